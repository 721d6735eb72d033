/* SPDX-License-Identifier: Apache-2.0
 *
 * The store's folder (KinesisStoreDirectory): its layout, making and checking it, and the lock that
 * keeps a second server out. Knows neither what the journal nor what the index holds.
 *
 *     DIRECTORY/       mode 0700, of the user that httpd's children run as
 *       version        one line: the store's format
 *       lock           the server's lock; its pid, for people
 *       journal/       mode 0700; segments, kf_journal.h
 *       index.db       with -wal and -shm beside it, and damaged -wal; made by the first child, kf_index.h
 *
 * The lock is flock's: it belongs to the open file, which the children inherit. So the store is taken
 * as long as any process of the server lives: a second server cannot start beside children whose
 * parent was killed and which still write. (A POSIX record lock would be the parent's alone, and be
 * free at that moment; it would also be lost when httpd detaches from its terminal.) What is started
 * by exec, as alert programs and piped loggers, does not keep it. The kernel releases it, whatever
 * kills them; only a pid is never trusted.
 *
 * Everything that root does here is done on opened files inside the folder, links never followed: the
 * folder's owner may be less than root.
 */
#ifndef KF_STORE_H
#define KF_STORE_H

#include <stdbool.h>
#include <sys/types.h>

#define KF_STORE_JOURNAL "journal"
#define KF_STORE_INDEX "index.db"
/* The format that this version writes; an older one would be brought up to date by prepare. */
#define KF_STORE_VERSION 1

/* Room for a sentence that names a path and says what to do. */
#define KF_STORE_ERROR_MAX 1200

/**
 * Makes the folder ready: made with its journal/ if it is not there (its parent must be), else checked.
 * @param path  absolute
 * @param uid, gid  the run-as user's; when the caller is not root: of whoever starts httpd, and the
 *                  children are the same
 * @return false with a sentence in error
 * @thread the parent's, as root or not, before children are made; at each start and restart
 */
bool kf_store_prepare(const char *path, uid_t uid, gid_t gid, char error[KF_STORE_ERROR_MAX]);

/**
 * What prepare would find wrong, as far as the caller may look; changes nothing. A folder that is not
 * there is right if its parent is; one in use by a server is right.
 */
bool kf_store_check(const char *path, uid_t uid, char error[KF_STORE_ERROR_MAX]);

/* The stores that this process has locked. */
typedef struct kf_store_lock_t kf_store_lock_t;

/**
 * Takes the store for this server, or finds it taken by this process already. Locks are kept until the
 * process ends, also those of stores that a changed configuration names no more: older children still
 * use them.
 * @param locks  where this process keeps its locks across graceful restarts, NULL at first: memory
 *               that outlives the module's unloading (httpd: ap_retained_data)
 * @return false with a sentence in error: the store of another server names that one's pid
 * @thread the parent's, after prepare
 * @blocks up to 2 seconds when the server that had it is just dying
 */
bool kf_store_lock(const char *path, kf_store_lock_t **locks, char error[KF_STORE_ERROR_MAX]);

/** Gives all back: for programs that end otherwise than by ending the process. */
void kf_store_unlock(kf_store_lock_t **locks);

#endif
