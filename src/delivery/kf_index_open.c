/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the index: its schema and versions, what keeps it from being opened, and opening it anew once
 * that is put right. What is attached to it is made ready each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "base/kf_settings.h"
#include "delivery/kf_index_own.h"
#include "delivery/kf_index_schema.h"
#include "delivery/kf_store.h"

#define WAIT_US (10 * KF_SEC)
#define CACHE_KIB 8192
/* Pages of the log of changes that are copied into the database at once: at most, and of the smallest store. */
#define WAL_COPY_PAGES 4000
#define WAL_COPY_PAGES_LEAST 64
/* Between two attempts to open or to write. */
#define TRY_US KF_SEC
/* After the file was moved away: by then no child uses it any more, nor the memory it shared for it. */
#define MOVED_US (2 * KF_SEC)

static const char *const statements[KF_INDEX_STATEMENTS] = {"BEGIN IMMEDIATE", "COMMIT",
                                                            "ROLLBACK"};

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

/* Of one moment: another process may be making the tables. */
static int look(kf_index_t *x, int64_t *application, int64_t *version, int64_t *tables)
{
    bool alone = sqlite3_get_autocommit(x->db);
    int rc = alone ? kf_index_query(x->db, "BEGIN", NULL) : SQLITE_OK;

    if (rc == SQLITE_OK) {
        rc = kf_index_query(x->db, "PRAGMA application_id", application);
    }
    if (rc == SQLITE_OK) {
        rc = kf_index_query(x->db, "PRAGMA user_version", version);
    }
    if (rc == SQLITE_OK) {
        rc = kf_index_query(x->db, "SELECT count(*) FROM sqlite_schema", tables);
    }
    if (alone && !sqlite3_get_autocommit(x->db)) {
        kf_index_query(x->db, "ROLLBACK", NULL);
    }
    return rc;
}

/* @return SQLite's result; a sentence in error where it is another fault */
static int identify(kf_index_t *x, int64_t *version, char *error)
{
    int64_t application = 0, tables = 0;
    int rc = look(x, &application, version, &tables);

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
    int rc = kf_index_query(x->db, "BEGIN IMMEDIATE", NULL);

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
        rc = kf_index_query(x->db, "COMMIT", NULL);
    }
    if (!sqlite3_get_autocommit(x->db)) {
        kf_index_query(x->db, "ROLLBACK", NULL);
    }
    return rc;
}

/* A sixteenth of a small store. */
static int copy_pages(uint64_t max_bytes)
{
    uint64_t pages = max_bytes / 16 / KF_INDEX_PAGE_BYTES;

    if (max_bytes == 0 || pages > WAL_COPY_PAGES)
        return WAL_COPY_PAGES;
    return pages > WAL_COPY_PAGES_LEAST ? (int)pages : WAL_COPY_PAGES_LEAST;
}

static int configure(kf_index_t *x)
{
    int durability = x->config.durability;
    char text[300];

    snprintf(text, sizeof(text),
             "PRAGMA synchronous=%s; PRAGMA journal_size_limit=%d; PRAGMA cache_size=-%d; PRAGMA "
             "cell_size_check=ON",
             durability == KF_DURABILITY_DISK      ? "FULL"
             : durability == KF_DURABILITY_PROCESS ? "NORMAL"
                                                   : "OFF",
             x->copy_pages * KF_INDEX_PAGE_BYTES, CACHE_KIB);
    sqlite3_wal_hook(x->db, kf_index_after_commit, x);
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
    bool is_broken = kf_index_check_log(x);
    rc = identify(x, &version, error);
    if (rc == SQLITE_OK && !error[0] && version == 0) {
        /* Of no effect but on an empty file; must precede everything else. */
        rc = kf_index_query(x->db, "PRAGMA auto_vacuum=INCREMENTAL", NULL);
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
    if (rc == SQLITE_OK && !error[0] && is_broken) {
        kf_index_copy_log(x, NULL, SQLITE_CHECKPOINT_TRUNCATE);
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

/* What SQLite would take for a new database, and remove the log of. */
static bool is_orphaned(const kf_index_t *x, char *error)
{
    char log[KF_INDEX_PATH_BYTES + 8];
    struct stat file, other;

    snprintf(log, sizeof(log), "%s-wal", x->path);
    if ((stat(x->path, &file) == 0 && file.st_size > 0) || stat(log, &other) != 0 ||
        other.st_size == 0) {
        return false;
    }
    fail(error,
         "%s is not there or empty, but its log of changes %s is: put the file back, or move both "
         "away, and keep them if the windows and dead letters in them matter",
         x->path, log);
    return true;
}

/* ---- what is attached ---- */

static int make_ready(kf_index_t *x, kf_index_user_t *user)
{
    int rc = kf_index_prepare_taken(x, user->sql, user->count, user->statements);

    if (rc == SQLITE_OK && user->name_count > 0) {
        kf_index_resolve(x, user->names, user->name_count, user->ids);
        rc = x->rc;
    }
    return rc;
}

static int make_all_ready(kf_index_t *x)
{
    int rc = kf_index_prepare_taken(x, statements, KF_INDEX_STATEMENTS, x->statement);

    for (kf_index_user_t *user = x->users; user && rc == SQLITE_OK; user = user->next) {
        rc = make_ready(x, user);
    }
    return rc;
}

/* ---- open, close ---- */

/* Whether the file that is open lies somewhere else by now. */
static bool has_moved(const kf_index_t *x)
{
    struct stat info;

    return stat(x->path, &info) != 0 || info.st_ino != x->inode || info.st_dev != x->device;
}

static void close_file(kf_index_t *x, int rc)
{
    for (kf_index_user_t *user = x->users; user; user = user->next) {
        kf_index_finalize(user->statements, user->count);
    }
    kf_index_finalize(x->statement, KF_INDEX_STATEMENTS);
    if (x->db && has_moved(x)) {
        /* What now has the name of its log is another one's. */
        sqlite3_db_config(x->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    sqlite3_close_v2(x->db);
    x->db = NULL;
    x->closed_rc = rc == SQLITE_OK ? SQLITE_ERROR : rc;
}

/* The index is taken. @return whether it is open; else closed, with a sentence in error */
static bool open_file(kf_index_t *x, char *error)
{
    struct stat info;

    error[0] = '\0';
    x->rc = SQLITE_OK;
    if (!kf_index_lock_writers(x)) {
        x->rc = SQLITE_BUSY;
    } else if (!is_orphaned(x, error)) {
        x->rc = prepare_file(x, error);
    }
    kf_index_unlock_writers(x);
    int rc = x->rc;
    if (rc == SQLITE_OK && !error[0]) {
        if (stat(x->path, &info) == 0) {
            x->device = info.st_dev;
            x->inode = info.st_ino;
        }
        rc = make_all_ready(x);
    }
    if (rc != SQLITE_OK) {
        explain(x, rc, error);
    }
    if (error[0]) {
        close_file(x, rc);
        return false;
    }
    x->generation++;
    return true;
}

/* Says why it can't be opened, once a change. */
static void say(kf_index_t *x, int rc, const char *error)
{
    x->failing = true;
    x->damaged = kf_index_is_damage(rc);
    if (strcmp(x->said, error) != 0) {
        snprintf(x->said, sizeof(x->said), "%s", error);
        kf_log(x->damaged ? KF0613 : KF0611, "%s", error);
    }
}

static kf_index_t *create(const kf_index_config_t *config, char *error)
{
    kf_index_t *x = calloc(1, sizeof(*x));

    if (!x) {
        fail(error, "out of memory");
        return NULL;
    }
    x->config = *config;
    x->config.wait_us = config->wait_us > 0 ? config->wait_us : WAIT_US;
    x->copy_pages = copy_pages(config->max_bytes);
    x->restart_at = KF_INDEX_WAL_RESTART_PAGES(x);
    int n = snprintf(x->path, sizeof(x->path), "%s/%s", config->directory, KF_STORE_INDEX);
    if (n < 0 || (size_t)n + sizeof("-wal") > sizeof(x->path)) {
        fail(error, "the store's path is too long");
        free(x);
        return NULL;
    }
    pthread_mutex_init(&x->mutex, NULL);
    return x;
}

kf_index_t *kf_index_open(const kf_index_config_t *config, char error[KF_INDEX_ERROR_MAX])
{
    kf_index_t *x = create(config, error);

    if (!x) {
        return NULL;
    }
    pthread_mutex_lock(&x->mutex);
    bool opened = open_file(x, error);
    if (!opened && config->patient) {
        say(x, x->closed_rc, error);
        x->try_us = kf_mono_us() + TRY_US;
    }
    pthread_mutex_unlock(&x->mutex);
    if (!opened && !config->patient) {
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
    close_file(x, SQLITE_OK);
    pthread_mutex_destroy(&x->mutex);
    free(x);
}

bool kf_index_attach(kf_index_t *x, kf_index_user_t *user)
{
    char error[KF_INDEX_ERROR_MAX];

    kf_index_enter(x);
    memset(user->statements, 0, (size_t)user->count * sizeof(*user->statements));
    user->next = x->users;
    x->users = user;
    int rc = x->db ? make_ready(x, user) : SQLITE_OK;
    if (rc != SQLITE_OK && x->config.patient) {
        explain(x, rc, error);
        close_file(x, rc);
        say(x, rc, error);
    } else if (rc != SQLITE_OK) {
        x->rc = rc;
    }
    bool ok = kf_index_leave(x) == KF_INDEX_OK || x->config.patient;
    if (!ok) {
        kf_index_detach(x, user);
    }
    return ok;
}

void kf_index_detach(kf_index_t *x, kf_index_user_t *user)
{
    pthread_mutex_lock(&x->mutex);
    for (kf_index_user_t **p = &x->users; *p; p = &(*p)->next) {
        if (*p == user) {
            *p = user->next;
            break;
        }
    }
    kf_index_finalize(user->statements, user->count);
    pthread_mutex_unlock(&x->mutex);
}

/* ---- mending ---- */

/* Writes one page. The index is taken. */
static int try_to_write(kf_index_t *x)
{
    char text[40];

    x->rc = SQLITE_OK;
    if (kf_index_start(x)) {
        snprintf(text, sizeof(text), "PRAGMA user_version=%d", KF_INDEX_VERSION);
        x->rc = sqlite3_exec(x->db, text, NULL, NULL, NULL);
        kf_index_finish(x);
    }
    return x->rc;
}

static void works_again(kf_index_t *x)
{
    x->failing = x->damaged = false;
    x->said[0] = '\0';
    kf_log(KF0612, "%s", x->path);
}

static bool open_again(kf_index_t *x)
{
    char error[KF_INDEX_ERROR_MAX];

    if (!open_file(x, error)) {
        say(x, x->closed_rc, error);
        return false;
    }
    works_again(x);
    return true;
}

bool kf_index_mend(kf_index_t *x)
{
    int64_t now_us = kf_mono_us();
    bool works = false;

    pthread_mutex_lock(&x->mutex);
    if (x->db && has_moved(x)) {
        close_file(x, SQLITE_CANTOPEN);
        x->failing = true;
        x->try_us = now_us + MOVED_US;
    }
    if (x->db && !x->failing) {
        works = true;
    } else if (now_us >= x->try_us) {
        if (!x->db) {
            works = open_again(x);
        } else if (try_to_write(x) == SQLITE_OK) {
            works = true;
            if (!x->damaged) {
                works_again(x);
            }
        }
        x->try_us = now_us + TRY_US;
    }
    pthread_mutex_unlock(&x->mutex);
    return works;
}

uint32_t kf_index_generation(kf_index_t *x)
{
    pthread_mutex_lock(&x->mutex);
    uint32_t generation = x->generation;
    pthread_mutex_unlock(&x->mutex);
    return generation;
}
