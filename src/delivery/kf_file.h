/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operation by which the journal changes what is on disk, behind a table, so that tests can make
 * them fail, record them, and play a power cut. Each behaves as the system call of its name, but for
 * interruption and short writes, which are dealt with here. Knows nothing of what the bytes mean. Any
 * thread.
 */
#ifndef KF_FILE_H
#define KF_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    /** A new file, for reading and writing, of this user only. @return 0 and *fd, or errno */
    int (*create)(int folder, const char *name, int *fd);
    /** Writes all n bytes at offset. @return 0, or errno: a part may be written */
    int (*write_at)(int fd, const void *bytes, size_t n, uint64_t offset);
    /** fdatasync. @return 0, or errno */
    int (*sync_data)(int fd);
    /** fsync of a folder, after names in it changed. @return 0, or errno */
    int (*sync_folder)(int folder);
    /** @return 0, or errno */
    int (*rename)(int folder, const char *from, const char *to);
    /** @return 0, or errno */
    int (*remove)(int folder, const char *name);
} kf_file_ops_t;

extern const kf_file_ops_t kf_file_system;

/** Whether an errno says that there is no more room: a full disk, a quota, a limit of a file's size. */
bool kf_file_is_full(int error);

/** Reads up to n bytes at offset, less only at the end of the file. @return bytes read, or -1 and errno */
ssize_t kf_file_read_at(int fd, void *bytes, size_t n, uint64_t offset);

#endif
