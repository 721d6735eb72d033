/* SPDX-License-Identifier: Apache-2.0
 *
 * The index: one SQLite database (WAL) in the store, shared by the server's children and the command
 * line program. Here: opening it, its schema and versions, transactions and who may write. What is in
 * it is others' business (kf_windows.h, kf_deadletters.h). A database that is damaged, newer or
 * somebody else's is never touched, let alone removed.
 *
 * Processes: each opens it for itself, after the fork; an open index must never cross one.
 * Writers: the children pass the right to write on by a process-shared robust mutex, so that none
 * sleeps in SQLite's busy loop; SQLite's own locks are the second line, for the command line program,
 * which has no part in that memory. A child that dies with the mutex leaves nothing half done: SQLite
 * rolls its transaction back, the next one takes the mutex over.
 * Threads: any; an index serves one at a time, by a mutex of its own. Not from signal handlers, and no
 * operation within another one's callback.
 */
#ifndef KF_INDEX_H
#define KF_INDEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kf_index_t kf_index_t;

typedef enum {
    KF_INDEX_OK,
    KF_INDEX_NONE,  /* there is no such thing */
    KF_INDEX_FULL,  /* disk, quota or memory: nothing took place; trying again later may do */
    KF_INDEX_BUSY,  /* somebody else wrote for too long: as before */
    KF_INDEX_FAILED /* I/O error, damage, permission: nothing took place; logged once a change */
} kf_index_result_t;

typedef struct {
    const char *directory; /* the store */
    int durability;        /* KF_DURABILITY_DISK: what is committed is synced; PROCESS: at
                               checkpoints only; MEMORY: never */
    pthread_mutex_t *lock; /* made by kf_index_lock_init in memory that the children share; NULL:
                               SQLite's locks alone */
    int64_t wait_us;       /* longest wait for another writer; 0: 10 s */
    uint64_t max_bytes; /* KinesisStoreLimit: the log of changes is kept short beside it; 0: none */
    bool existing;      /* an index that is not there is an error */
    bool patient;       /* one that can't be opened is none: it fails (and says so) until
                              kf_index_mend finds it put right */
} kf_index_config_t;

#define KF_INDEX_ERROR_MAX 600

/**
 * Makes the children's write lock.
 * @param lock  in shared memory, before the fork
 * @return 0, or an errno value
 */
int kf_index_lock_init(pthread_mutex_t *lock);

/**
 * Opens the index, makes it or brings it up to date. Who is the first looks at the log that a crash left:
 * where damage has ended it early it is copied aside, as index.db-wal.N.damaged, and KF0615 says so.
 * @param config  copied; what it points to must outlive the index
 * @return NULL with a sentence in error that names the file and what to do; with `patient` for want of
 *         memory only
 * @thread the child's, after the fork
 */
kf_index_t *kf_index_open(const kf_index_config_t *config, char error[KF_INDEX_ERROR_MAX]);

/** Closes; nothing may be using it, and what was opened on it is closed. NULL does nothing. */
void kf_index_close(kf_index_t *index);

/**
 * Looks whether the file has been moved away, and then makes a new one or opens what lies in its place
 * a little later; tries again to open one that can't be, and to write where writing failed, once a
 * second at most.
 * @return whether it works, as far as is known
 * @blocks as others that write do
 */
bool kf_index_mend(kf_index_t *index);

/** How often it was opened: numbers of rows stand for other things after a change. */
uint32_t kf_index_generation(kf_index_t *index);

/** Bytes on disk, with the log of changes and copies of damaged ones. A look at a few files, no lock. */
uint64_t kf_index_bytes(const kf_index_t *index);

/**
 * Gives room back to the file system when much of the file is free, a piece at a time: for the leader,
 * at its ticks. What is free is used again in any case.
 * @param[out] pages  given back
 * @blocks others that write, for some 20 ms
 */
kf_index_result_t kf_index_tidy(kf_index_t *index, uint32_t *pages);

#endif
