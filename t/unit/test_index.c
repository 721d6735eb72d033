/* SPDX-License-Identifier: Apache-2.0
 *
 * The index: opening what is there and what is not, transactions, two writers, a child killed at the
 * worst moment, a full disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_index_int.h"
#include "delivery/kf_index_schema.h"
#include "temp_store.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

static char error[KF_INDEX_ERROR_MAX];
static char logged[4096];

static void keep(kf_level_t level, const char *line)
{
    size_t n = strlen(logged);

    (void)level;
    snprintf(logged + n, sizeof logged - n, "%s\n", line);
}

static kf_index_t *open_with(const char *folder, pthread_mutex_t *lock)
{
    kf_index_config_t config = {
        .directory = folder, .durability = KF_DURABILITY_PROCESS, .lock = lock};
    kf_index_t *x = kf_index_open(&config, error);

    if (!x)
        print_message("%s\n", error);
    return x;
}

static int64_t number(kf_index_t *x, const char *sql)
{
    sqlite3_stmt *s;
    int64_t value = -1;

    assert_int_equal(sqlite3_prepare_v2(kf_index_db(x), sql, -1, &s, NULL), SQLITE_OK);
    if (sqlite3_step(s) == SQLITE_ROW)
        value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return value;
}

static void set(const char *folder, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(temp_in(folder, "index.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static bool opens(const char *folder, bool existing)
{
    kf_index_config_t config = {.directory = folder, .existing = existing, .wait_us = 100000};
    kf_index_t *x = kf_index_open(&config, error);

    kf_index_close(x);
    return x != NULL;
}

static void assert_refused(const char *folder, const char *words)
{
    assert_false(opens(folder, false));
    if (!strstr(error, words)) {
        print_message("\"%s\" does not say \"%s\"\n", error, words);
        fail();
    }
}

/* ---- an index that can't be opened, and is put right ---- */

static int64_t passed_us;

static int64_t mono(void)
{
    return KF_SEC + passed_us;
}

static const char *const user_names[] = {"one", "two"};

typedef struct {
    kf_index_user_t user;
    sqlite3_stmt *s[1];
    int64_t ids[2];
} user_t;

static kf_index_t *open_patiently(const char *folder, user_t *u)
{
    static const char *const count[] = {"SELECT count(*) FROM connection"};
    kf_index_config_t config = {
        .directory = folder, .durability = KF_DURABILITY_PROCESS, .patient = true};
    kf_index_t *x = kf_index_open(&config, error);

    assert_non_null(x);
    u->user = (kf_index_user_t){.sql = count,
                                .statements = u->s,
                                .count = 1,
                                .names = user_names,
                                .ids = u->ids,
                                .name_count = 2};
    assert_true(kf_index_attach(x, &u->user));
    return x;
}

/* Whether the index reads and writes. */
static bool serves(kf_index_t *x, user_t *u)
{
    int64_t count = 0;

    kf_index_enter(x);
    if (kf_index_row(x, u->s[0])) {
        count = sqlite3_column_int64(u->s[0], 0);
        kf_index_end(u->s[0]);
    }
    bool reads = kf_index_leave(x) == KF_INDEX_OK && count == 2;
    bool writes = kf_index_begin(x) == KF_INDEX_OK && kf_index_commit(x) == KF_INDEX_OK;

    assert_int_equal(reads, writes);
    return reads;
}

static unsigned count_logged(const char *id)
{
    unsigned n = 0;

    for (const char *p = logged; (p = strstr(p, id)); p++)
        n++;
    return n;
}

static bool mends_within(kf_index_t *x, int64_t us)
{
    bool works = kf_index_mend(x);

    for (int64_t end = passed_us + us; !works && passed_us < end;) {
        passed_us += 100000;
        works = kf_index_mend(x);
    }
    return works;
}

static void move(const char *folder, const char *from, const char *to)
{
    assert_int_equal(rename(temp_in(folder, from), temp_in(folder, to)), 0);
}

static bool is_there(const char *folder, const char *name)
{
    return access(temp_in(folder, name), F_OK) == 0;
}

static void set_up_mending(void)
{
    static const kf_clock_source_t source = {.mono_us = mono};

    passed_us = 0;
    kf_clock_set_source(&source);
    logged[0] = '\0';
}

static void tear_down_mending(void)
{
    kf_clock_set_source(NULL);
    logged[0] = '\0';
}

static void test_patient(void **state)
{
    static const char garbage[] = "this is no database at all, but long enough to have a header of "
                                  "a hundred bytes and more, so that it is looked at.";
    char *top = temp_make();
    user_t u;
    uint32_t pages;

    (void)state;
    set_up_mending();
    temp_write(temp_in(top, "index.db"), garbage);
    kf_index_t *x = open_patiently(top, &u);
    assert_int_equal(count_logged("KF0613"), 1);
    assert_non_null(strstr(logged, "left as it is"));
    assert_false(serves(x, &u));
    assert_int_not_equal(kf_index_tidy(x, &pages), KF_INDEX_OK);
    assert_int_equal(kf_index_bytes(x), sizeof garbage - 1);
    assert_false(mends_within(x, 60 * KF_SEC));
    assert_int_equal(count_logged("KF06"), 1);
    move(top, "index.db", "aside");
    assert_true(mends_within(x, 3 * KF_SEC));
    assert_true(serves(x, &u));
    assert_int_equal(kf_index_generation(x), 1);
    assert_int_equal(count_logged("KF0612"), 1);
    struct stat info;
    assert_int_equal(stat(temp_in(top, "aside"), &info), 0);
    assert_int_equal(info.st_size, sizeof garbage - 1);
    kf_index_detach(x, &u.user);
    kf_index_close(x);
    tear_down_mending();
    temp_done(top);
}

/* Put right in place: a newer version's, back to ours. */
static void test_put_right(void **state)
{
    char *top = temp_make(), text[60];
    user_t u;

    (void)state;
    set_up_mending();
    assert_true(opens(top, false));
    set(top, "PRAGMA user_version=1000");
    kf_index_t *x = open_patiently(top, &u);
    assert_int_equal(count_logged("KF0611"), 1);
    assert_non_null(strstr(logged, "newer version"));
    assert_false(mends_within(x, 10 * KF_SEC));
    snprintf(text, sizeof text, "PRAGMA user_version=%d", KF_INDEX_VERSION);
    set(top, text);
    assert_true(mends_within(x, 2 * KF_SEC));
    assert_true(serves(x, &u));
    kf_index_detach(x, &u.user);
    kf_index_close(x);
    tear_down_mending();
    temp_done(top);
}

/* Two children use it; it is found damaged; the operator moves it away. */
static void test_moved_away(void **state)
{
    char *top = temp_make();
    user_t u[2];
    kf_index_t *x[2];

    (void)state;
    set_up_mending();
    for (int i = 0; i < 2; i++)
        x[i] = open_patiently(top, &u[i]);
    assert_true(serves(x[0], &u[0]) && serves(x[1], &u[1]));
    move(top, "index.db", "aside.db");
    move(top, "index.db-wal", "aside.db-wal");
    move(top, "index.db-shm", "aside.db-shm");
    /* Nobody opens a new one before all have let go of the old one. */
    assert_false(kf_index_mend(x[0]));
    assert_false(serves(x[0], &u[0]));
    assert_false(is_there(top, "index.db"));
    assert_false(kf_index_mend(x[1]));
    for (int i = 0; i < 2; i++) {
        assert_true(mends_within(x[i], 3 * KF_SEC));
        assert_true(serves(x[i], &u[i]));
        assert_int_equal(kf_index_generation(x[i]), 2);
    }
    assert_true(is_there(top, "index.db-wal"));
    for (int i = 0; i < 2; i++) {
        kf_index_detach(x[i], &u[i].user);
        kf_index_close(x[i]);
    }
    assert_true(is_there(top, "aside.db-wal"));
    /* What was written before is in what was moved. */
    move(top, "aside.db", "index.db");
    move(top, "aside.db-wal", "index.db-wal");
    x[0] = open_patiently(top, &u[0]);
    assert_true(serves(x[0], &u[0]));
    kf_index_detach(x[0], &u[0].user);
    kf_index_close(x[0]);
    tear_down_mending();
    temp_done(top);
}

/* SQLite would begin anew, and remove the log with all that is in it. */
static void test_log_without_database(void **state)
{
    char *top = temp_make();

    (void)state;
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            kf_index_t *x = open_with(top, NULL);
            _exit(x && kf_index_begin(x) == KF_INDEX_OK && kf_index_commit(x) == KF_INDEX_OK ? 0
                                                                                             : 1);
        }
        assert_int_equal(temp_wait(pid), 0);
        assert_true(is_there(top, "index.db-wal"));
        if (i == 0)
            move(top, "index.db", "away");
        else
            assert_int_equal(truncate(temp_in(top, "index.db"), 0), 0);
        assert_refused(top, "log of changes");
        assert_true(is_there(top, "index.db-wal"));
        if (i == 0)
            move(top, "away", "index.db");
    }
    temp_remove(temp_in(top, "index.db-wal"));
    assert_true(opens(top, false));
    temp_done(top);
}

/* A disk that is full for a while, found out by the look for whether it is still. */
static void test_mends_by_itself(void **state)
{
    char *top = temp_make();
    user_t u;

    (void)state;
    set_up_mending();
    kf_index_t *x = open_patiently(top, &u);
    kf_index_enter(x);
    kf_index_fail_memory(x);
    assert_int_equal(kf_index_leave(x), KF_INDEX_FULL);
    assert_int_equal(count_logged("KF0611"), 1);
    assert_true(mends_within(x, 2 * KF_SEC));
    assert_int_equal(count_logged("KF0612"), 1);
    assert_int_equal(kf_index_generation(x), 1);
    kf_index_detach(x, &u.user);
    kf_index_close(x);
    tear_down_mending();
    temp_done(top);
}

static void test_opens(void **state)
{
    static const struct {
        int durability, synchronous;
    } modes[] = {{KF_DURABILITY_DISK, 2}, {KF_DURABILITY_PROCESS, 1}, {KF_DURABILITY_MEMORY, 0}};
    char *top = temp_make();

    (void)state;
    assert_false(opens(top, true));
    assert_int_not_equal(access(temp_in(top, "index.db"), F_OK), 0);
    for (size_t i = 0; i < 3; i++) {
        kf_index_config_t config = {.directory = top, .durability = modes[i].durability};
        kf_index_t *x = kf_index_open(&config, error);
        assert_non_null(x);
        assert_int_equal(number(x, "PRAGMA synchronous"), modes[i].synchronous);
        assert_int_equal(number(x, "PRAGMA user_version"), KF_INDEX_VERSION);
        assert_int_equal(number(x, "PRAGMA application_id"), 0x4b466978);
        assert_int_equal(number(x, "PRAGMA auto_vacuum"), 2);
        assert_true(kf_index_bytes(x) > 0);
        kf_index_close(x);
    }
    assert_true(opens(top, true));
    kf_index_close(NULL);
    temp_done(top);
}

/* What an older version has left gets what is missing, and keeps what it has. */
static void test_brings_up_to_date(void **state)
{
    char *top = temp_make();

    (void)state;
    assert_true(opens(top, false));
    set(top, "INSERT INTO connection (name) VALUES ('kept'); DROP TABLE alerts;"
             "DROP TABLE closing; DROP TABLE upload;"
             "CREATE TABLE upload (id INTEGER PRIMARY KEY, previous INTEGER NOT NULL,"
             " text BLOB NOT NULL);"
             "INSERT INTO upload (previous, text) VALUES (0, 'old');"
             "PRAGMA user_version=3");
    kf_index_t *x = kf_index_open(&(kf_index_config_t){.directory = top}, error);
    assert_non_null(x);
    assert_int_equal(number(x, "PRAGMA user_version"), KF_INDEX_VERSION);
    assert_int_equal(number(x, "SELECT count(*) FROM alerts"), 0);
    assert_int_equal(number(x, "SELECT count(*) FROM connection WHERE name = 'kept'"), 1);
    assert_int_equal(number(x, "SELECT count(*) FROM upload WHERE received_us = 0"), 1);
    kf_index_close(x);
    temp_done(top);
}

static void test_refuses(void **state)
{
    char *top = temp_make(), *path = malloc(600), set_back[60];
    static const char garbage[] = "this is no database at all, but long enough to have a header of "
                                  "a hundred bytes and more, so that it is looked at.";

    (void)state;
    snprintf(path, 600, "%s", temp_in(top, "index.db"));
    temp_write(path, garbage);
    assert_refused(top, "left as it is");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, sizeof garbage - 1);
    unlink(path);
    set(top, "CREATE TABLE somebody_elses (x)");
    assert_refused(top, "another program");
    unlink(path);
    set(top, "PRAGMA application_id=7");
    assert_refused(top, "another program");
    unlink(path);
    assert_true(opens(top, false));
    set(top, "PRAGMA user_version=1000");
    assert_refused(top, "newer version");
    snprintf(set_back, sizeof set_back, "PRAGMA user_version=%d", KF_INDEX_VERSION);
    set(top, set_back);
    assert_true(opens(top, false));
    /* A damaged table is found when it is used, a damaged schema here. */
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, garbage, 100, 100), 100);
    close(fd);
    assert_refused(top, "left as it is");
    temp_remove(path);
    mkdir(path, 0700);
    assert_refused(top, "cannot be opened");
    assert_refused("/nowhere/at/all", "cannot be opened");
    free(path);
    temp_done(top);
}

static void test_may_not_write(void **state)
{
    char *top = temp_make();

    (void)state;
    if (geteuid() != 0) {
        /* cmocka's skip() counts as a failure in TAP. */
        print_message("# only root can give files away\n");
        temp_done(top);
        return;
    }
    assert_true(opens(top, false));
    chmod(top, 0755);
    chmod(temp_in(top, "index.db"), 0644);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(9);
        _exit(!opens(top, false) && strstr(error, "run as") ? 0 : 1);
    }
    assert_int_equal(temp_wait(pid), 0);
    temp_done(top);
}

/* ---- transactions ---- */

static kf_index_result_t insert(kf_index_t *x, const char *name)
{
    static const char *const sql[] = {"INSERT INTO connection (name) VALUES (?1)"};
    sqlite3_stmt *s[1];
    kf_index_result_t result;

    if (!kf_index_prepare(x, sql, 1, s))
        return KF_INDEX_FAILED;
    result = kf_index_begin(x);
    if (result == KF_INDEX_OK) {
        sqlite3_bind_text(s[0], 1, name, -1, SQLITE_STATIC);
        kf_index_run(x, s[0]);
        result = kf_index_commit(x);
    }
    kf_index_finalize(s, 1);
    return result;
}

static void test_transactions(void **state)
{
    char *top = temp_make();
    kf_index_t *x = open_with(top, NULL);
    static const char *const sql[] = {"INSERT INTO connection (name) VALUES (?1)"};
    sqlite3_stmt *s[1];

    (void)state;
    assert_int_equal(insert(x, "a"), KF_INDEX_OK);
    /* The first error stays: nothing of the transaction is kept, and the next one works. */
    assert_true(kf_index_prepare(x, sql, 1, s));
    assert_int_equal(kf_index_begin(x), KF_INDEX_OK);
    const char *names[] = {"b", "a", "c"};
    for (int i = 0; i < 3; i++) {
        sqlite3_bind_text(s[0], 1, names[i], -1, SQLITE_STATIC);
        assert_int_equal(kf_index_run(x, s[0]), i == 0);
    }
    assert_int_equal(kf_index_commit(x), KF_INDEX_FAILED);
    assert_int_equal(number(x, "SELECT count(*) FROM connection"), 1);
    assert_int_equal(kf_index_begin(x), KF_INDEX_OK);
    sqlite3_bind_text(s[0], 1, "d", -1, SQLITE_STATIC);
    assert_true(kf_index_run(x, s[0]));
    kf_index_rollback(x);
    assert_int_equal(kf_index_begin(x), KF_INDEX_OK);
    kf_index_fail_memory(x);
    assert_false(kf_index_good(x));
    assert_int_equal(kf_index_commit(x), KF_INDEX_FULL);
    assert_int_equal(number(x, "SELECT count(*) FROM connection"), 1);
    kf_index_finalize(s, 1);
    static const char *const wrong[] = {"SELECT 1", "SELECT nothing FROM nowhere"};
    sqlite3_stmt *two[2];
    assert_false(kf_index_prepare(x, wrong, 2, two));
    assert_null(two[0]);
    kf_index_close(x);
    temp_done(top);
}

static void test_says_once(void **state)
{
    char *top = temp_make();
    kf_index_t *x = open_with(top, NULL);

    (void)state;
    logged[0] = '\0';
    insert(x, "a");
    insert(x, "a");
    /* Reading works meanwhile. */
    kf_index_enter(x);
    assert_int_equal(kf_index_leave(x), KF_INDEX_OK);
    insert(x, "a");
    insert(x, "b");
    insert(x, "c");
    static const char *const parts[] = {"KF0611", "\n", "KF0612", "\n"};
    const char *at = logged;
    for (int i = 0; i < 4; i++) {
        at = strstr(at, parts[i]);
        assert_non_null(at);
        at++;
    }
    assert_string_equal(at, "");
    kf_index_close(x);
    temp_done(top);
}

static void test_full(void **state)
{
    char *top = temp_make(), name[4000];
    kf_index_t *x = open_with(top, NULL);
    kf_index_result_t result = KF_INDEX_OK;
    int64_t count = 0;

    (void)state;
    char limit[60];
    snprintf(limit, sizeof limit, "PRAGMA max_page_count=%d",
             (int)number(x, "PRAGMA page_count") + 4);
    number(x, limit);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < 100 && result == KF_INDEX_OK; i++) {
        name[0] = (char)('a' + i % 26);
        name[1] = (char)('a' + i / 26);
        result = insert(x, name);
        count += result == KF_INDEX_OK;
    }
    assert_int_equal(result, KF_INDEX_FULL);
    assert_int_equal(number(x, "SELECT count(*) FROM connection"), count);
    number(x, "PRAGMA max_page_count=100000");
    assert_int_equal(insert(x, "room again"), KF_INDEX_OK);
    kf_index_close(x);
    temp_done(top);
}

static void test_damage_is_found(void **state)
{
    char *top = temp_make(), page[4096];
    kf_index_t *x = open_with(top, NULL);
    const char *names[] = {"a"};
    int64_t id, root = number(x, "SELECT rootpage FROM sqlite_master WHERE name = 'connection'");

    (void)state;
    assert_int_equal(kf_index_connections(x, names, 1, &id), KF_INDEX_OK);
    kf_index_close(x);
    memset(page, 0x55, sizeof page);
    int fd = open(temp_in(top, "index.db"), O_WRONLY);
    assert_int_equal(pwrite(fd, page, sizeof page, (root - 1) * 4096), sizeof page);
    close(fd);
    logged[0] = '\0';
    x = open_with(top, NULL);
    assert_non_null(x);
    assert_int_equal(insert(x, "b"), KF_INDEX_FAILED);
    assert_non_null(strstr(logged, "KF0613"));
    kf_index_close(x);
    temp_done(top);
}

static void test_connections(void **state)
{
    char *top = temp_make();
    kf_index_t *x = open_with(top, NULL);
    const char *names[] = {"one", "two", "three"};
    int64_t ids[3], again[3];

    (void)state;
    assert_int_equal(kf_index_connections(x, names, 2, ids), KF_INDEX_OK);
    assert_int_not_equal(ids[0], ids[1]);
    assert_int_equal(kf_index_connections(x, names, 3, again), KF_INDEX_OK);
    assert_memory_equal(ids, again, 2 * sizeof ids[0]);
    const char *turned[] = {"three", "one"};
    assert_int_equal(kf_index_connections(x, turned, 2, ids), KF_INDEX_OK);
    assert_int_equal(ids[0], again[2]);
    assert_int_equal(ids[1], again[0]);
    assert_int_equal(kf_index_connections(x, NULL, 0, NULL), KF_INDEX_OK);
    kf_index_close(x);
    temp_done(top);
}

/* ---- several processes ---- */

#define WRITERS 3
#define EACH 60

static pthread_mutex_t *shared_lock(void)
{
    pthread_mutex_t *lock =
        mmap(NULL, sizeof *lock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(lock, MAP_FAILED);
    assert_int_equal(kf_index_lock_init(lock), 0);
    return lock;
}

static void write_many(const char *top, pthread_mutex_t *lock, int who)
{
    char name[40];
    kf_index_t *x = open_with(top, lock);

    if (!x)
        _exit(1);
    for (int i = 0; i < EACH; i++) {
        snprintf(name, sizeof name, "%d-%d", who, i);
        if (insert(x, name) != KF_INDEX_OK)
            _exit(2);
    }
    kf_index_close(x);
    _exit(0);
}

/* Children with the mutex, a program without it; the first of them make the database. */
static void test_writers(void **state)
{
    char *top = temp_make();
    pthread_mutex_t *lock = shared_lock();
    pid_t pids[WRITERS + 1];

    (void)state;
    for (int i = 0; i <= WRITERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            write_many(top, i < WRITERS ? lock : NULL, i);
    }
    for (int i = 0; i <= WRITERS; i++)
        assert_int_equal(temp_wait(pids[i]), 0);
    kf_index_t *x = open_with(top, lock);
    assert_int_equal(number(x, "SELECT count(*) FROM connection"), (WRITERS + 1) * EACH);
    kf_index_close(x);
    munmap(lock, sizeof *lock);
    temp_done(top);
}

static void test_killed_in_a_transaction(void **state)
{
#ifdef UNDER_TSAN
    skip(); /* it takes no note of who gets a mutex by its owner's death in pthread_mutex_timedlock */
#endif
    char *top = temp_make(), byte;
    pthread_mutex_t *lock = shared_lock();
    static const char *const sql[] = {"INSERT INTO connection (name) VALUES ('half')"};
    kf_index_t *x = open_with(top, lock);

    (void)state;
    for (int round = 0; round < 5; round++) {
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        if (pid == 0) {
            sqlite3_stmt *s[1];
            kf_index_t *own = open_with(top, lock);
            if (!own || !kf_index_prepare(own, sql, 1, s) || kf_index_begin(own) != KF_INDEX_OK ||
                !kf_index_run(own, s[0]) || write(ready[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        kill(pid, SIGKILL);
        logged[0] = '\0';
        char name[20];
        snprintf(name, sizeof name, "after %d", round);
        /* Waits for nothing but the death, whoever sees it first. */
        assert_int_equal(insert(x, name), KF_INDEX_OK);
        assert_non_null(strstr(logged, "KF0614"));
        assert_int_equal(temp_wait(pid), 1000 + SIGKILL);
        assert_int_equal(number(x, "SELECT count(*) FROM connection"), round + 1);
        close(ready[0]);
        close(ready[1]);
    }
    kf_index_close(x);
    munmap(lock, sizeof *lock);
    temp_done(top);
}

static void test_waits_no_longer_than_told(void **state)
{
    char *top = temp_make();
    pthread_mutex_t *lock = shared_lock();
    kf_index_config_t config = {.directory = top, .lock = lock, .wait_us = 50000};
    kf_index_t *a = kf_index_open(&config, error), *b = kf_index_open(&config, error);
    kf_index_config_t without = {.directory = top, .wait_us = 50000};
    kf_index_t *c = kf_index_open(&without, error);

    (void)state;
    assert_int_equal(kf_index_begin(a), KF_INDEX_OK);
    assert_int_equal(insert(b, "b"), KF_INDEX_BUSY);
    assert_int_equal(insert(c, "c"), KF_INDEX_BUSY);
    kf_index_rollback(a);
    assert_int_equal(insert(b, "b"), KF_INDEX_OK);
    assert_int_equal(insert(c, "c"), KF_INDEX_OK);
    /* The other way round: children wait for the program too. */
    assert_int_equal(kf_index_begin(c), KF_INDEX_OK);
    assert_int_equal(insert(b, "d"), KF_INDEX_BUSY);
    kf_index_rollback(c);
    assert_int_equal(insert(b, "d"), KF_INDEX_OK);
    kf_index_close(a);
    kf_index_close(b);
    kf_index_close(c);
    munmap(lock, sizeof *lock);
    temp_done(top);
}

typedef struct {
    kf_index_t *index;
    int who;
} thread_t;

static void *write_thread(void *p)
{
    thread_t *t = p;
    char name[40];

    for (int i = 0; i < EACH; i++) {
        snprintf(name, sizeof name, "%d-%d", t->who, i);
        if (insert(t->index, name) != KF_INDEX_OK)
            return t;
        kf_index_bytes(t->index);
    }
    return NULL;
}

static void test_threads(void **state)
{
    char *top = temp_make();
    pthread_mutex_t *lock = shared_lock();
    kf_index_t *x = open_with(top, lock);
    pthread_t threads[WRITERS];
    thread_t t[WRITERS];
    void *result;

    (void)state;
    for (int i = 0; i < WRITERS; i++) {
        t[i] = (thread_t){x, i};
        pthread_create(&threads[i], NULL, write_thread, &t[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(number(x, "SELECT count(*) FROM connection"), WRITERS * EACH);
    kf_index_close(x);
    munmap(lock, sizeof *lock);
    temp_done(top);
}

/* ---- size ---- */

static kf_index_result_t insert_blobs(kf_index_t *x, const char *sql)
{
    kf_index_result_t result = kf_index_begin(x);

    if (result == KF_INDEX_OK) {
        if (sqlite3_exec(kf_index_db(x), sql, NULL, NULL, NULL) != SQLITE_OK)
            kf_index_fail_memory(x);
        result = kf_index_commit(x);
    }
    return result;
}

static void test_gives_room_back(void **state)
{
    char *top = temp_make();
    kf_index_t *x = open_with(top, NULL);
    uint32_t pages, all = 0;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(insert_blobs(x,
                                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                                      " FROM n WHERE i < 100) INSERT INTO upload (previous, text)"
                                      " SELECT 0, zeroblob(20000) FROM n"),
                         KF_INDEX_OK);
    assert_int_equal(kf_index_tidy(x, &pages), KF_INDEX_OK);
    assert_int_equal(pages, 0);
    uint64_t full = kf_index_bytes(x);
    assert_int_equal(insert_blobs(x, "DELETE FROM upload"), KF_INDEX_OK);
    do {
        assert_int_equal(kf_index_tidy(x, &pages), KF_INDEX_OK);
        all += pages;
    } while (pages > 0);
    assert_true(all > 3500);
    assert_int_equal(kf_index_tidy(x, &pages), KF_INDEX_OK);
    kf_index_close(x);
    x = open_with(top, NULL);
    assert_true(kf_index_bytes(x) < full / 2);
    kf_index_close(x);
    temp_done(top);
}

/* Reads for a moment in one state, again and again, until it is killed. */
static void read_for_ever(const char *top, int ready, useconds_t moment)
{
    sqlite3 *db;
    sqlite3_stmt *s;

    if (sqlite3_open(temp_in(top, "index.db"), &db) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT id FROM upload UNION ALL SELECT 1", -1, &s, NULL) !=
            SQLITE_OK)
        _exit(1);
    for (bool first = true;; first = false) {
        if (sqlite3_step(s) != SQLITE_ROW || (first && write(ready, "x", 1) != 1))
            _exit(2);
        usleep(moment);
        sqlite3_reset(s);
    }
}

static off_t write_megabytes(kf_index_t *x, const char *log, int n)
{
    struct stat info;
    off_t longest = 0;

    for (int i = 0; i < n; i++) {
        assert_int_equal(
            insert_blobs(x, "UPDATE upload SET text = zeroblob(1000000 + (random() & 1))"),
            KF_INDEX_OK);
        if (stat(log, &info) == 0 && info.st_size > longest)
            longest = info.st_size;
    }
    return longest;
}

/* A small store is not filled by what the index has been through. */
static void test_keeps_small_in_a_small_store(void **state)
{
    char *top = temp_make();
    kf_index_config_t config = {.directory = top, .max_bytes = 16 << 20};
    kf_index_t *x = kf_index_open(&config, error);
    uint32_t pages;

    (void)state;
    assert_non_null(x);
    for (int i = 0; i < 20; i++)
        assert_int_equal(
            insert_blobs(x, "INSERT INTO upload (previous, text) VALUES (0, zeroblob(1000000))"),
            KF_INDEX_OK);
    assert_int_equal(insert_blobs(x, "DELETE FROM upload"), KF_INDEX_OK);
    for (int i = 0; i < 1000 && kf_index_bytes(x) > 3 << 20; i++)
        assert_int_equal(kf_index_tidy(x, &pages), KF_INDEX_OK);
    assert_true(kf_index_bytes(x) <= 3 << 20);
    kf_index_close(x);
    temp_done(top);
}

/* Readers that come and go, so that there is always one, do not keep the log growing. One that stays
 * does, and only as long as it stays. */
static void test_log_is_bounded(void **state)
{
    char *top = temp_make(), log[400], byte;
    kf_index_t *x = open_with(top, NULL);
    const useconds_t moments[] = {3000, 7000, 60 * 1000 * 1000};
    pid_t readers[3];
    struct stat info;
    int ready[2];

    (void)state;
    snprintf(log, sizeof log, "%s/index.db-wal", top);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(
        insert_blobs(x, "INSERT INTO upload (previous, text) VALUES (0, zeroblob(1000000))"),
        KF_INDEX_OK);
    for (int i = 0; i < 3; i++) {
        readers[i] = fork();
        if (readers[i] == 0)
            read_for_ever(top, ready[1], moments[i]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        off_t longest = write_megabytes(x, log, i == 1 ? 200 : i == 2 ? 120 : 10);
        assert_true(i == 2 ? longest > 100 * 1000 * 1000 : longest < 100 * 1000 * 1000);
    }
    for (int i = 2; i >= 0; i--) {
        kill(readers[i], SIGKILL);
        assert_int_equal(temp_wait(readers[i]), 1000 + SIGKILL);
    }
    write_megabytes(x, log, 40);
    assert_int_equal(stat(log, &info), 0);
    assert_true(info.st_size < 40 * 1000 * 1000);
    close(ready[0]);
    close(ready[1]);
    kf_index_close(x);
    temp_done(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patient),
        cmocka_unit_test(test_put_right),
        cmocka_unit_test(test_moved_away),
        cmocka_unit_test(test_log_without_database),
        cmocka_unit_test(test_mends_by_itself),
        cmocka_unit_test(test_opens),
        cmocka_unit_test(test_brings_up_to_date),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_may_not_write),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_says_once),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_writers),
        cmocka_unit_test(test_killed_in_a_transaction),
        cmocka_unit_test(test_waits_no_longer_than_told),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_gives_room_back),
        cmocka_unit_test(test_log_is_bounded),
        cmocka_unit_test(test_keeps_small_in_a_small_store),
    };

    kf_log_set_sink(keep);
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
