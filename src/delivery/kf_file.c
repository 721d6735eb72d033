/* SPDX-License-Identifier: Apache-2.0
 *
 * File operations of the store, on the real system.
 */
#include "delivery/kf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int create(int folder, const char *name, int *fd)
{
    *fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *fd < 0 ? errno : 0;
}

static int write_at(int fd, const void *bytes, size_t n, uint64_t offset)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t w = pwrite(fd, p, n, (off_t)offset);
        if (w < 0 && errno != EINTR) {
            return errno;
        }
        if (w == 0) {
            return ENOSPC;
        }
        if (w > 0) {
            p += w;
            n -= (size_t)w;
            offset += (uint64_t)w;
        }
    }
    return 0;
}

static int sync_data(int fd)
{
    while (fdatasync(fd) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int sync_folder(int folder)
{
    while (fsync(folder) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int rename_in(int folder, const char *from, const char *to)
{
    return renameat(folder, from, folder, to) != 0 ? errno : 0;
}

static int remove_from(int folder, const char *name)
{
    return unlinkat(folder, name, 0) != 0 ? errno : 0;
}

const kf_file_ops_t kf_file_system = {create,      write_at,  sync_data,
                                      sync_folder, rename_in, remove_from};

bool kf_file_is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

ssize_t kf_file_read_at(int fd, void *bytes, size_t n, uint64_t offset)
{
    char *p = bytes;
    size_t got = 0;

    while (got < n) {
        ssize_t r = pread(fd, p + got, n - got, (off_t)(offset + got));
        if (r < 0 && errno != EINTR) {
            return -1;
        }
        if (r == 0) {
            break;
        }
        if (r > 0) {
            got += (size_t)r;
        }
    }
    return (ssize_t)got;
}
