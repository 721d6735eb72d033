/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions on the index.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "delivery/kf_file.h"
#include "delivery/kf_index_own.h"

/* The log of changes: how long writers wait for readers, so that it can start over. */
#define WAL_RESTART_WAIT_MS 50
/* A tidy: from how many free pages and what share of them; how much at once, and for how long, because
 * SQLite looks for each page in all of its list of free ones. */
#define TIDY_FREE_PAGES 1000
#define TIDY_FREE_ONE_IN 4
#define TIDY_PAGES "50"
#define TIDY_US (20 * KF_MS)

sqlite3 *kf_index_db(kf_index_t *x)
{
    return x->db;
}

/* ---- the write lock ---- */

int kf_index_lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t how;
    int rc = pthread_mutexattr_init(&how);

    if (rc != 0) {
        return rc;
    }
    rc = pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    }
    if (rc == 0) {
        rc = pthread_mutex_init(lock, &how);
    }
    pthread_mutexattr_destroy(&how);
    return rc;
}

/* A mutex that cannot be had any more is no reason to stop: SQLite's locks are there still.
 * @return false if somebody else had it for too long */
bool kf_index_lock_writers(kf_index_t *x)
{
    struct timespec until;

    if (!x->config.lock) {
        return true;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t us = (int64_t)until.tv_sec * KF_SEC + until.tv_nsec / 1000 + x->config.wait_us;
    until.tv_sec = (time_t)(us / KF_SEC);
    until.tv_nsec = (long)(us % KF_SEC * 1000);
    int rc = pthread_mutex_timedlock(x->config.lock, &until);
    if (rc == EOWNERDEAD) {
        pthread_mutex_consistent(x->config.lock);
        kf_log(KF0614, "%s", x->path);
        rc = 0;
    }
    x->writing = rc == 0;
    return rc != ETIMEDOUT;
}

void kf_index_unlock_writers(kf_index_t *x)
{
    if (x->writing) {
        x->writing = false;
        pthread_mutex_unlock(x->config.lock);
    }
}

/* ---- results ---- */

static kf_index_result_t result_of(int rc, int system_error)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
        return KF_INDEX_OK;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        return KF_INDEX_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return KF_INDEX_BUSY;
    case SQLITE_IOERR:
        return kf_file_is_full(system_error) ? KF_INDEX_FULL : KF_INDEX_FAILED;
    default:
        return KF_INDEX_FAILED;
    }
}

/* Says once that it fails, and once that it works again: what reads may work all the time while a disk
 * is full. The index is taken. */
static kf_index_result_t outcome(kf_index_t *x, bool wrote)
{
    bool failing = x->rc != SQLITE_OK;

    x->damaged |= failing && kf_index_is_damage(x->rc);
    /* Of a damaged one parts may work: it is not over until another file is there. */
    if (failing != x->failing && (failing || (wrote && !x->damaged))) {
        x->failing = failing;
        if (!failing) {
            kf_log(KF0612, "%s", x->path);
        } else if (kf_index_is_damage(x->rc)) {
            kf_log(KF0613, "%s: %s", x->path, sqlite3_errstr(x->rc));
        } else {
            kf_log(KF0611, "%s: %s", x->path, sqlite3_errstr(x->rc));
        }
    }
    return result_of(x->rc, failing ? sqlite3_system_errno(x->db) : 0);
}

bool kf_index_good(const kf_index_t *x)
{
    return x->rc == SQLITE_OK;
}

void kf_index_fail_memory(kf_index_t *x)
{
    if (x->rc == SQLITE_OK) {
        x->rc = SQLITE_NOMEM;
    }
}

/* ---- statements ---- */

int kf_index_prepare_taken(kf_index_t *x, const char *const *sql, int n, sqlite3_stmt **out)
{
    int rc = SQLITE_OK;

    memset(out, 0, (size_t)n * sizeof(*out));
    for (int i = 0; i < n && rc == SQLITE_OK; i++) {
        rc = sqlite3_prepare_v3(x->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);
    }
    if (rc != SQLITE_OK) {
        kf_index_finalize(out, n);
    }
    return rc;
}

bool kf_index_prepare(kf_index_t *x, const char *const *sql, int n, sqlite3_stmt **out)
{
    kf_index_enter(x);
    if (x->rc == SQLITE_OK) {
        x->rc = kf_index_prepare_taken(x, sql, n, out);
    }
    return kf_index_leave(x) == KF_INDEX_OK;
}

void kf_index_finalize(sqlite3_stmt **out, int n)
{
    for (int i = 0; i < n; i++) {
        sqlite3_finalize(out[i]);
        out[i] = NULL;
    }
}

void kf_index_end(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
}

bool kf_index_row(kf_index_t *x, sqlite3_stmt *statement)
{
    if (x->rc != SQLITE_OK) {
        sqlite3_reset(statement);
        return false;
    }
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        return true;
    }
    sqlite3_reset(statement);
    if (rc != SQLITE_DONE) {
        x->rc = rc;
    }
    return false;
}

bool kf_index_run(kf_index_t *x, sqlite3_stmt *statement)
{
    while (kf_index_row(x, statement)) {
    }
    return x->rc == SQLITE_OK;
}

void kf_index_bind_blob(sqlite3_stmt *statement, int at, kf_str_t bytes)
{
    sqlite3_bind_blob64(statement, at, bytes.n ? bytes.p : "", bytes.n, SQLITE_STATIC);
}

kf_str_t kf_index_blob(sqlite3_stmt *statement, int column)
{
    const char *p = sqlite3_column_blob(statement, column);

    return (kf_str_t){p, p ? (size_t)sqlite3_column_bytes(statement, column) : 0};
}

/* ---- transactions ---- */

void kf_index_enter(kf_index_t *x)
{
    pthread_mutex_lock(&x->mutex);
    x->rc = x->db ? SQLITE_OK : x->closed_rc;
}

static kf_index_result_t leave(kf_index_t *x, bool wrote)
{
    kf_index_result_t result = outcome(x, wrote);

    pthread_mutex_unlock(&x->mutex);
    return result;
}

kf_index_result_t kf_index_leave(kf_index_t *x)
{
    return leave(x, false);
}

bool kf_index_start(kf_index_t *x)
{
    if (!kf_index_lock_writers(x)) {
        x->rc = SQLITE_BUSY;
    } else if (!kf_index_run(x, x->statement[KF_INDEX_BEGIN])) {
        kf_index_unlock_writers(x);
    }
    return x->rc == SQLITE_OK;
}

kf_index_result_t kf_index_begin(kf_index_t *x)
{
    kf_index_enter(x);
    return x->rc == SQLITE_OK && kf_index_start(x) ? KF_INDEX_OK : kf_index_leave(x);
}

/* SQLite may have rolled back by itself, depending on what failed. */
static void roll_back(kf_index_t *x)
{
    if (!sqlite3_get_autocommit(x->db)) {
        sqlite3_step(x->statement[KF_INDEX_ROLLBACK]);
        sqlite3_reset(x->statement[KF_INDEX_ROLLBACK]);
    }
}

void kf_index_finish(kf_index_t *x)
{
    if (!kf_index_run(x, x->statement[KF_INDEX_COMMIT])) {
        roll_back(x);
    }
    kf_index_unlock_writers(x);
}

kf_index_result_t kf_index_commit(kf_index_t *x)
{
    kf_index_finish(x);
    return leave(x, true);
}

void kf_index_rollback(kf_index_t *x)
{
    roll_back(x);
    kf_index_unlock_writers(x);
    kf_index_leave(x);
}

void kf_index_copy_log(kf_index_t *x, const char *name, int mode)
{
    sqlite3_busy_timeout(x->db, WAL_RESTART_WAIT_MS);
    sqlite3_wal_checkpoint_v2(x->db, name, mode, NULL, NULL);
    sqlite3_busy_timeout(x->db, (int)(x->config.wait_us / KF_MS));
}

/*
 * After a commit. The log is copied into the database whenever it has grown long, which a reader in an
 * older state may keep from ending: then it grows on, and a copy that waits for the readers is tried
 * now and then. Whatever comes of it, the commit stands.
 */
int kf_index_after_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    kf_index_t *x = context;

    if (pages < x->restart_at) {
        if (pages >= x->copy_pages) {
            sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        } else {
            x->restart_at = KF_INDEX_WAL_RESTART_PAGES(x);
        }
        return SQLITE_OK;
    }
    kf_index_copy_log(x, name, SQLITE_CHECKPOINT_RESTART);
    x->restart_at = pages + x->copy_pages;
    return SQLITE_OK;
}

/* Runs one statement that may give a number. */
int kf_index_query(sqlite3 *db, const char *sql, int64_t *value)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW && value) {
            *value = sqlite3_column_int64(statement, 0);
        }
        int end = sqlite3_finalize(statement);
        rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? end : rc;
    }
    return rc;
}

/* ---- size ---- */

static uint64_t log_bytes(const kf_index_t *x)
{
    struct stat info;
    char log[KF_INDEX_PATH_BYTES + 8];

    snprintf(log, sizeof(log), "%s-wal", x->path);
    return stat(log, &info) == 0 ? (uint64_t)info.st_size : 0;
}

uint64_t kf_index_bytes(const kf_index_t *x)
{
    struct stat info;

    return (stat(x->path, &info) == 0 ? (uint64_t)info.st_size : 0) + log_bytes(x) +
           kf_index_kept_bytes(x);
}

/* The log is cut only by the next to write, who may never come where the log itself has filled the store. */
static void cut_log(kf_index_t *x)
{
    uint64_t most = 2 * (uint64_t)x->copy_pages * KF_INDEX_PAGE_BYTES;
    uint64_t bytes = x->config.max_bytes > 0 ? log_bytes(x) : 0;

    if (bytes <= most || bytes < x->config.max_bytes / 16)
        return;
    kf_index_enter(x);
    if (x->db) {
        kf_index_copy_log(x, NULL, SQLITE_CHECKPOINT_TRUNCATE);
    }
    kf_index_leave(x);
}

static int64_t free_most(const kf_index_t *x)
{
    return x->copy_pages < TIDY_FREE_PAGES ? x->copy_pages : TIDY_FREE_PAGES;
}

/* Whether much of the file is free. */
static kf_index_result_t is_untidy(kf_index_t *x, bool *untidy, int64_t *free_pages)
{
    int64_t all = 0;

    kf_index_enter(x);
    if (x->rc == SQLITE_OK) {
        x->rc = kf_index_query(x->db, "PRAGMA freelist_count", free_pages);
    }
    if (x->rc == SQLITE_OK) {
        x->rc = kf_index_query(x->db, "PRAGMA page_count", &all);
    }
    *untidy = *free_pages > free_most(x) && *free_pages > all / TIDY_FREE_ONE_IN;
    return kf_index_leave(x);
}

kf_index_result_t kf_index_tidy(kf_index_t *x, uint32_t *pages)
{
    int64_t before = 0, after = 0, until = kf_mono_us() + TIDY_US;
    bool untidy = false;
    kf_index_result_t result = is_untidy(x, &untidy, &before);

    *pages = 0;
    cut_log(x);
    if (result == KF_INDEX_OK && untidy) {
        result = kf_index_begin(x);
    }
    if (result != KF_INDEX_OK || !untidy) {
        return result;
    }
    do {
        x->rc = sqlite3_exec(x->db, "PRAGMA incremental_vacuum(" TIDY_PAGES ")", NULL, NULL, NULL);
        if (x->rc == SQLITE_OK) {
            x->rc = kf_index_query(x->db, "PRAGMA freelist_count", &after);
        }
    } while (x->rc == SQLITE_OK && after > free_most(x) && kf_mono_us() < until);
    result = kf_index_commit(x);
    if (result == KF_INDEX_OK && after < before) {
        *pages = (uint32_t)(before - after);
        kf_index_enter(x);
        /* The file becomes shorter only once the log is copied into it. */
        if (x->db) {
            sqlite3_wal_checkpoint_v2(x->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        }
        result = kf_index_leave(x);
    }
    return result;
}

/* ---- connections ---- */

static bool find_connections(kf_index_t *x, sqlite3_stmt *find, const char *const *names, int n,
                             int64_t *ids)
{
    bool all = true;

    for (int i = 0; i < n; i++) {
        sqlite3_bind_text(find, 1, names[i], -1, SQLITE_STATIC);
        ids[i] = 0;
        if (kf_index_row(x, find)) {
            ids[i] = sqlite3_column_int64(find, 0);
            kf_index_end(find);
        } else {
            all = false;
        }
    }
    return all;
}

void kf_index_resolve(kf_index_t *x, const char *const *names, int n, int64_t *ids)
{
    static const char *const sql[] = {"SELECT id FROM connection WHERE name = ?1",
                                      "INSERT INTO connection (name) VALUES (?1)"};
    sqlite3_stmt *s[2];

    x->rc = kf_index_prepare_taken(x, sql, 2, s);
    if (x->rc == SQLITE_OK && !find_connections(x, s[0], names, n, ids) && kf_index_start(x)) {
        find_connections(x, s[0], names, n, ids);
        for (int i = 0; i < n; i++) {
            if (ids[i] == 0) {
                sqlite3_bind_text(s[1], 1, names[i], -1, SQLITE_STATIC);
                kf_index_run(x, s[1]);
                ids[i] = sqlite3_last_insert_rowid(x->db);
            }
        }
        kf_index_finish(x);
    }
    kf_index_finalize(s, 2);
}

kf_index_result_t kf_index_connections(kf_index_t *x, const char *const *names, int n, int64_t *ids)
{
    kf_index_enter(x);
    if (x->rc == SQLITE_OK) {
        kf_index_resolve(x, names, n, ids);
    }
    return kf_index_leave(x);
}
