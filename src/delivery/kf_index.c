/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the index, and its transactions.
 */
#include "delivery/kf_index_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_index_schema.h"
#include "delivery/kf_store.h"

#define PATH_BYTES 4096
#define WAIT_US (10 * KF_SEC)
#define CACHE_KIB 8192
/* The log of changes, in pages of 4 KiB: when it is copied into the database; when writers wait a
 * moment for readers, so that it can start over. */
#define WAL_COPY_PAGES 4000
#define WAL_RESTART_PAGES 16000
#define WAL_RESTART_WAIT_MS 50
#define WAL_KEEP_BYTES "16777216"
/* A tidy: from how many free pages and what share of them; how much at once, and for how long, because
 * SQLite looks for each page in all of its list of free ones. */
#define TIDY_FREE_PAGES 1000
#define TIDY_FREE_ONE_IN 4
#define TIDY_PAGES "50"
#define TIDY_US (20 * KF_MS)

enum { BEGIN, COMMIT, ROLLBACK, STATEMENTS };
static const char *const statements[STATEMENTS] = {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};

struct kf_index_t {
    kf_index_config_t config;
    char path[PATH_BYTES];
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
    pthread_mutex_t mutex; /* who uses the index; guards all below */
    bool writing;          /* config.lock is held */
    int rc;                /* SQLite's, of the first thing that failed */
    int restart_at;        /* pages of the log: when to try for a fresh one */
    bool failing;          /* the last operation failed: said once */
};

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
static bool lock_writers(kf_index_t *x)
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

static void unlock_writers(kf_index_t *x)
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
        return system_error == ENOSPC || system_error == EDQUOT ? KF_INDEX_FULL : KF_INDEX_FAILED;
    default:
        return KF_INDEX_FAILED;
    }
}

static bool is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

/* Says once that it fails, and once that it works again: what reads may work all the time while a disk
 * is full. The index is taken. */
static kf_index_result_t outcome(kf_index_t *x, bool wrote)
{
    bool failing = x->rc != SQLITE_OK;

    if (failing != x->failing && (failing || wrote)) {
        x->failing = failing;
        if (!failing) {
            kf_log(KF0612, "%s", x->path);
        } else if (is_damage(x->rc)) {
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

bool kf_index_prepare(kf_index_t *x, const char *const *sql, int n, sqlite3_stmt **out)
{
    int rc = SQLITE_OK;

    memset(out, 0, (size_t)n * sizeof(*out));
    pthread_mutex_lock(&x->mutex);
    for (int i = 0; i < n && rc == SQLITE_OK; i++) {
        rc = sqlite3_prepare_v3(x->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);
    }
    x->rc = rc;
    outcome(x, false);
    pthread_mutex_unlock(&x->mutex);
    if (rc != SQLITE_OK) {
        kf_index_finalize(out, n);
    }
    return rc == SQLITE_OK;
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
    x->rc = SQLITE_OK;
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

kf_index_result_t kf_index_begin(kf_index_t *x)
{
    kf_index_enter(x);
    if (!lock_writers(x)) {
        x->rc = SQLITE_BUSY;
    } else if (!kf_index_run(x, x->statement[BEGIN])) {
        unlock_writers(x);
    }
    return x->rc == SQLITE_OK ? KF_INDEX_OK : kf_index_leave(x);
}

/* SQLite may have rolled back by itself, depending on what failed. */
static void roll_back(kf_index_t *x)
{
    if (!sqlite3_get_autocommit(x->db)) {
        sqlite3_step(x->statement[ROLLBACK]);
        sqlite3_reset(x->statement[ROLLBACK]);
    }
}

kf_index_result_t kf_index_commit(kf_index_t *x)
{
    if (!kf_index_run(x, x->statement[COMMIT])) {
        roll_back(x);
    }
    unlock_writers(x);
    return leave(x, true);
}

void kf_index_rollback(kf_index_t *x)
{
    roll_back(x);
    unlock_writers(x);
    kf_index_leave(x);
}

/*
 * After a commit. The log is copied into the database whenever it has grown long, which a reader in an
 * older state may keep from ending: then it grows on, and a copy that waits for the readers is tried
 * now and then. Whatever comes of it, the commit stands.
 */
static int after_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    kf_index_t *x = context;

    if (pages < x->restart_at) {
        if (pages >= WAL_COPY_PAGES) {
            sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        } else {
            x->restart_at = WAL_RESTART_PAGES;
        }
        return SQLITE_OK;
    }
    sqlite3_busy_timeout(db, WAL_RESTART_WAIT_MS);
    sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    sqlite3_busy_timeout(db, (int)(x->config.wait_us / KF_MS));
    x->restart_at = pages + WAL_COPY_PAGES;
    return SQLITE_OK;
}

/* ---- opening ---- */

/* Runs one statement that may give a number. */
static int query(sqlite3 *db, const char *sql, int64_t *value)
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

/* Another process that is just making the database may refuse this without its waiting being asked. */
static int use_log(kf_index_t *x, bool *used)
{
    int64_t deadline = kf_mono_us() + x->config.wait_us;
    int rc;

    do {
        sqlite3_stmt *statement;
        rc = sqlite3_prepare_v2(x->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
        if (rc == SQLITE_OK) {
            rc = sqlite3_step(statement);
            const char *mode =
                rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
            *used = mode && strcmp(mode, "wal") == 0;
            int end = sqlite3_finalize(statement);
            rc = rc == SQLITE_ROW ? end : rc;
        }
        if ((rc & 0xff) == SQLITE_BUSY) {
            usleep(10000);
        }
    } while ((rc & 0xff) == SQLITE_BUSY && kf_mono_us() < deadline);
    return rc;
}

static void fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(char *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, KF_INDEX_ERROR_MAX, format, args);
    va_end(args);
}

/* @return SQLite's result; a sentence in error where it is another fault */
static int identify(kf_index_t *x, int64_t *version, char *error)
{
    int64_t application = 0, tables = 0;
    int rc = query(x->db, "PRAGMA application_id", &application);

    if (rc == SQLITE_OK) {
        rc = query(x->db, "PRAGMA user_version", version);
    }
    if (rc == SQLITE_OK) {
        rc = query(x->db, "SELECT count(*) FROM sqlite_schema", &tables);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (application != KF_INDEX_APPLICATION && (application != 0 || *version != 0 || tables != 0)) {
        fail(error, "%s is a database of another program; move it away or choose another store",
             x->path);
    } else if (*version > KF_INDEX_VERSION) {
        fail(error,
             "%s was written by a newer version of this module (format %lld, known is %d); "
             "install that version",
             x->path, (long long)*version, KF_INDEX_VERSION);
    } else if (sqlite3_db_readonly(x->db, "main")) {
        fail(error,
             "%s cannot be written; it must be owned by the user that httpd's children run as, "
             "on a file system that is writable",
             x->path);
    }
    return SQLITE_OK;
}

/* Runs the steps that are missing, all or none. */
static int upgrade(kf_index_t *x, char *error)
{
    int64_t version = 0;
    char text[120];
    int rc = query(x->db, "BEGIN IMMEDIATE", NULL);

    if (rc != SQLITE_OK) {
        return rc;
    }
    /* Once more: another process may have been here in between. */
    rc = identify(x, &version, error);
    for (int64_t v = version; rc == SQLITE_OK && !error[0] && v < KF_INDEX_VERSION; v++) {
        rc = sqlite3_exec(x->db, kf_index_schema[v], NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK && version < KF_INDEX_VERSION) {
        snprintf(text, sizeof(text), "PRAGMA application_id=%d; PRAGMA user_version=%d",
                 KF_INDEX_APPLICATION, KF_INDEX_VERSION);
        rc = sqlite3_exec(x->db, text, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK && !error[0]) {
        rc = query(x->db, "COMMIT", NULL);
    }
    if (!sqlite3_get_autocommit(x->db)) {
        query(x->db, "ROLLBACK", NULL);
    }
    return rc;
}

static int configure(kf_index_t *x)
{
    int durability = x->config.durability;
    char text[300];

    snprintf(text, sizeof(text),
             "PRAGMA synchronous=%s; PRAGMA journal_size_limit=" WAL_KEEP_BYTES
             "; PRAGMA cache_size=-%d; PRAGMA cell_size_check=ON",
             durability == KF_DURABILITY_DISK      ? "FULL"
             : durability == KF_DURABILITY_PROCESS ? "NORMAL"
                                                   : "OFF",
             CACHE_KIB);
    sqlite3_wal_hook(x->db, after_commit, x);
    return sqlite3_exec(x->db, text, NULL, NULL, NULL);
}

/* SQLite would make it readable by all, its log too, which takes the file's mode. */
static void keep_private(const kf_index_t *x)
{
    int fd;

    if (x->config.existing)
        return;
    fd = open(x->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

static int prepare_file(kf_index_t *x, char *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int64_t version = 0;
    bool used = false;
    int rc;

    keep_private(x);
    rc = sqlite3_open_v2(x->path, &x->db, x->config.existing ? flags : flags | SQLITE_OPEN_CREATE,
                         NULL);

    if (rc != SQLITE_OK) {
        return rc;
    }
    sqlite3_extended_result_codes(x->db, 1);
    sqlite3_busy_timeout(x->db, (int)(x->config.wait_us / KF_MS));
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    rc = identify(x, &version, error);
    if (rc == SQLITE_OK && !error[0] && version == 0) {
        /* Of no effect but on an empty file; must precede everything else. */
        rc = query(x->db, "PRAGMA auto_vacuum=INCREMENTAL", NULL);
    }
    if (rc == SQLITE_OK && !error[0]) {
        rc = use_log(x, &used);
        if (rc == SQLITE_OK && !used) {
            fail(error,
                 "%s cannot be used by several processes at once; the store must be on a local "
                 "file system",
                 x->path);
        }
    }
    if (rc == SQLITE_OK && !error[0]) {
        rc = configure(x);
    }
    return rc == SQLITE_OK && !error[0] && version < KF_INDEX_VERSION ? upgrade(x, error) : rc;
}

/* The sentence for what SQLite said. */
static void explain(const kf_index_t *x, int rc, char *error)
{
    const char *advice = "look at the disk and at the permissions of the file and its folder";

    switch (rc & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        advice = "it was left as it is; move it away with its -wal file, and keep both if the "
                 "windows and dead letters in it matter (\"sqlite3 FILE .recover\" reads what can "
                 "be read)";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        advice = "another process writes to it for too long";
        break;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        advice = "make room";
        break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        advice = "the file and its folder must be there and writable for the user that httpd's "
                 "children run as";
        break;
    default:
        break;
    }
    int system = x->db ? sqlite3_system_errno(x->db) : 0;
    fail(error, "%s cannot be opened: %s%s%s; %s", x->path, sqlite3_errstr(rc), system ? ", " : "",
         system ? strerror(system) : "", advice);
}

kf_index_t *kf_index_open(const kf_index_config_t *config, char error[KF_INDEX_ERROR_MAX])
{
    kf_index_t *x = calloc(1, sizeof(*x));

    error[0] = '\0';
    if (!x) {
        fail(error, "out of memory");
        return NULL;
    }
    x->config = *config;
    x->config.wait_us = config->wait_us > 0 ? config->wait_us : WAIT_US;
    x->restart_at = WAL_RESTART_PAGES;
    int n = snprintf(x->path, sizeof(x->path), "%s/%s", config->directory, KF_STORE_INDEX);
    if (n < 0 || (size_t)n + sizeof("-wal") > sizeof(x->path)) {
        fail(error, "the store's path is too long");
        free(x);
        return NULL;
    }
    pthread_mutex_init(&x->mutex, NULL);
    int rc = lock_writers(x) ? prepare_file(x, error) : SQLITE_BUSY;
    unlock_writers(x);
    if (rc == SQLITE_OK && !error[0] &&
        !kf_index_prepare(x, statements, STATEMENTS, x->statement)) {
        rc = x->rc;
    }
    if (rc != SQLITE_OK) {
        explain(x, rc, error);
    }
    if (error[0]) {
        kf_index_close(x);
        return NULL;
    }
    return x;
}

void kf_index_close(kf_index_t *x)
{
    if (!x) {
        return;
    }
    kf_index_finalize(x->statement, STATEMENTS);
    sqlite3_close_v2(x->db);
    pthread_mutex_destroy(&x->mutex);
    free(x);
}

/* ---- size ---- */

uint64_t kf_index_bytes(const kf_index_t *x)
{
    struct stat info;
    char log[PATH_BYTES + 8];
    uint64_t bytes = stat(x->path, &info) == 0 ? (uint64_t)info.st_size : 0;

    snprintf(log, sizeof(log), "%s-wal", x->path);
    return bytes + (stat(log, &info) == 0 ? (uint64_t)info.st_size : 0);
}

/* Whether much of the file is free. */
static kf_index_result_t is_untidy(kf_index_t *x, bool *untidy, int64_t *free_pages)
{
    int64_t all = 0;

    kf_index_enter(x);
    x->rc = query(x->db, "PRAGMA freelist_count", free_pages);
    if (x->rc == SQLITE_OK) {
        x->rc = query(x->db, "PRAGMA page_count", &all);
    }
    *untidy = *free_pages > TIDY_FREE_PAGES && *free_pages > all / TIDY_FREE_ONE_IN;
    return kf_index_leave(x);
}

kf_index_result_t kf_index_tidy(kf_index_t *x, uint32_t *pages)
{
    int64_t before = 0, after = 0, until = kf_mono_us() + TIDY_US;
    bool untidy = false;
    kf_index_result_t result = is_untidy(x, &untidy, &before);

    *pages = 0;
    if (result == KF_INDEX_OK && untidy) {
        result = kf_index_begin(x);
    }
    if (result != KF_INDEX_OK || !untidy) {
        return result;
    }
    do {
        x->rc = sqlite3_exec(x->db, "PRAGMA incremental_vacuum(" TIDY_PAGES ")", NULL, NULL, NULL);
        if (x->rc == SQLITE_OK) {
            x->rc = query(x->db, "PRAGMA freelist_count", &after);
        }
    } while (x->rc == SQLITE_OK && after > TIDY_FREE_PAGES && kf_mono_us() < until);
    result = kf_index_commit(x);
    if (result == KF_INDEX_OK && after < before) {
        *pages = (uint32_t)(before - after);
        kf_index_enter(x);
        /* The file becomes shorter only once the log is copied into it. */
        sqlite3_wal_checkpoint_v2(x->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
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

kf_index_result_t kf_index_connections(kf_index_t *x, const char *const *names, int n, int64_t *ids)
{
    static const char *const sql[] = {"SELECT id FROM connection WHERE name = ?1",
                                      "INSERT INTO connection (name) VALUES (?1)"};
    sqlite3_stmt *s[2];

    if (!kf_index_prepare(x, sql, 2, s)) {
        return KF_INDEX_FAILED;
    }
    kf_index_enter(x);
    bool all = find_connections(x, s[0], names, n, ids);
    kf_index_result_t result = kf_index_leave(x);
    if (result == KF_INDEX_OK && !all) {
        result = kf_index_begin(x);
        if (result == KF_INDEX_OK) {
            find_connections(x, s[0], names, n, ids);
            for (int i = 0; i < n; i++) {
                if (ids[i] == 0) {
                    sqlite3_bind_text(s[1], 1, names[i], -1, SQLITE_STATIC);
                    kf_index_run(x, s[1]);
                    ids[i] = sqlite3_last_insert_rowid(x->db);
                }
            }
            result = kf_index_commit(x);
        }
    }
    kf_index_finalize(s, 2);
    return result;
}
