/* SPDX-License-Identifier: Apache-2.0
 *
 * The index's own: what its sources (transactions; opening and mending; the log that a crash left) share.
 * Not for others.
 */
#ifndef KF_INDEX_OWN_H
#define KF_INDEX_OWN_H

#include <sys/types.h>
#include "base/kf_log.h"
#include "delivery/kf_index_int.h"

#define KF_INDEX_PATH_BYTES 4096
/* The log of changes, in pages of 4 KiB: when writers wait a moment for readers, so that it can start
 * over. */
#define KF_INDEX_WAL_RESTART_PAGES(x) (4 * (x)->copy_pages)

enum { KF_INDEX_BEGIN, KF_INDEX_COMMIT, KF_INDEX_ROLLBACK, KF_INDEX_STATEMENTS };

struct kf_index_t {
    kf_index_config_t config;
    char path[KF_INDEX_PATH_BYTES];
    sqlite3 *db; /* NULL: closed, because of closed_rc */
    sqlite3_stmt *statement[KF_INDEX_STATEMENTS];
    pthread_mutex_t mutex; /* who uses the index; guards all below, and db */
    kf_index_user_t *users;
    bool writing;                  /* config.lock is held */
    int rc;                        /* SQLite's, of the first thing that failed */
    int copy_pages;                /* pages of the log: when it is copied into the database */
    int restart_at;                /* pages of the log: when to try for a fresh one */
    bool failing;                  /* the last operation failed: said once */
    bool damaged;                  /* and why: stays so until another file is opened */
    int closed_rc;                 /* why it is closed */
    dev_t device;                  /* of the file that is open */
    ino_t inode;                   /* likewise */
    uint32_t generation;           /* how often it was opened */
    int64_t try_us;                /* monotonic: when to mend again */
    char said[KF_INDEX_ERROR_MAX]; /* why it could not be opened: said once a change */
};

/* SQLite's default. */
#define KF_INDEX_PAGE_BYTES 4096

static inline bool kf_index_is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

/** The right to write, on any but the failure to wait so long. The index is taken. */
bool kf_index_lock_writers(kf_index_t *index);
void kf_index_unlock_writers(kf_index_t *index);

/** Begins a transaction that writes; ends it, rolling back where anything failed. The index is taken. */
bool kf_index_start(kf_index_t *index);
void kf_index_finish(kf_index_t *index);

/** Runs one statement that may give a number. @return SQLite's result */
int kf_index_query(sqlite3 *db, const char *sql, int64_t *value);

/** As kf_index_prepare, the index being taken. @return SQLite's result */
int kf_index_prepare_taken(kf_index_t *index, const char *const *sql, int n,
                           sqlite3_stmt **statements);

/** As kf_index_connections, the index being taken: index->rc tells. */
void kf_index_resolve(kf_index_t *index, const char *const *names, int n, int64_t *ids);

/** Copies the log of changes into the database, waiting for readers a moment only; db is open. */
void kf_index_copy_log(kf_index_t *index, const char *name, int mode);

/**
 * Looks at the log that lies beside the database, which is open and not yet read. Does nothing if anybody
 * else has it open: SQLite has read the log for that one, and it is written to.
 * @return whether the log was damaged and is kept: what lies behind the damage is best removed, by a copy
 *         that cuts it, or the next crash would have it found again
 * @blocks to read the log: some 50 ms for 64 MiB; on damage to copy it
 */
bool kf_index_check_log(kf_index_t *index);

/** Bytes of the damaged logs that are kept. */
uint64_t kf_index_kept_bytes(const kf_index_t *index);

/** What to do after a commit (sqlite3_wal_hook). */
int kf_index_after_commit(void *index, sqlite3 *db, const char *name, int pages);

#endif
