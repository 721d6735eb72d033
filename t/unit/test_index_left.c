/* SPDX-License-Identifier: Apache-2.0
 *
 * The index opened beside the log that killed processes left: sound, torn, damaged; by the first and by others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_index_int.h"
#include "temp_store.h"

#define ROWS 60
#define COPY "index.db-wal.1.damaged"

static char error[KF_INDEX_ERROR_MAX];
static char logged[4096];

static void keep(kf_level_t level, const char *line)
{
    size_t n = strlen(logged);

    (void)level;
    snprintf(logged + n, sizeof logged - n, "%s\n", line);
}

static unsigned count_logged(const char *words)
{
    unsigned n = 0;

    for (const char *p = logged; (p = strstr(p, words)); p++)
        n++;
    return n;
}

static kf_index_t *open_index(const char *folder)
{
    kf_index_config_t config = {
        .directory = folder, .durability = KF_DURABILITY_MEMORY, .wait_us = 200000};
    kf_index_t *x = kf_index_open(&config, error);

    if (!x)
        print_message("%s\n", error);
    return x;
}

/* A transaction each. */
static bool add_rows(kf_index_t *x, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[20];
        const char *name = text;
        int64_t id;

        snprintf(text, sizeof text, "row %d", i);
        if (kf_index_connections(x, &name, 1, &id) != KF_INDEX_OK)
            return false;
    }
    return true;
}

static int64_t rows(kf_index_t *x)
{
    sqlite3_stmt *s;
    int64_t n = -1;

    assert_int_equal(
        sqlite3_prepare_v2(kf_index_db(x), "SELECT count(*) FROM connection", -1, &s, NULL),
        SQLITE_OK);
    if (sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* A process that opens the index, writes, and is killed before it could close it. */
static void write_and_be_killed(const char *folder, int from, int to)
{
    pid_t pid = fork();

    if (pid == 0) {
        kf_index_t *x = open_index(folder);
        if (!x || logged[0] || !add_rows(x, from, to))
            _exit(1);
        raise(SIGKILL);
    }
    assert_int_equal(temp_wait(pid), 1000 + SIGKILL);
}

static char *store_left(void)
{
    char *top = temp_make();

    logged[0] = '\0';
    write_and_be_killed(top, 0, ROWS);
    return top;
}

static off_t size_of(const char *folder, const char *name)
{
    struct stat info;

    return stat(temp_in(folder, name), &info) == 0 ? info.st_size : -1;
}

/* Another byte, so far from the log's end. */
static void damage(const char *folder, off_t back)
{
    int fd = open(temp_in(folder, "index.db-wal"), O_RDWR);
    off_t at = lseek(fd, 0, SEEK_END) - back;
    char byte;

    assert_true(at > 0 && pread(fd, &byte, 1, at) == 1);
    byte = (char)~byte;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static char *contents(const char *folder, const char *name, size_t *n)
{
    char *p;
    int fd = open(temp_in(folder, name), O_RDONLY);

    assert_true(fd >= 0);
    *n = (size_t)size_of(folder, name);
    p = malloc(*n + 1);
    assert_int_equal(read(fd, p, *n), *n);
    close(fd);
    return p;
}

static void assert_all_there(const char *folder)
{
    kf_index_t *x = open_index(folder);

    assert_non_null(x);
    assert_int_equal(rows(x), ROWS);
    kf_index_close(x);
    assert_string_equal(logged, "");
    assert_int_equal(size_of(folder, COPY), -1);
}

static void test_sound(void **state)
{
    char *top = store_left();

    (void)state;
    assert_true(size_of(top, "index.db-wal") > ROWS * 4096);
    assert_all_there(top);
    temp_done(top);
}

/* The last commit had not come to its end. */
static void test_torn(void **state)
{
    char *top = store_left();

    (void)state;
    assert_int_equal(truncate(temp_in(top, "index.db-wal"), size_of(top, "index.db-wal") - 1), 0);
    kf_index_t *x = open_index(top);
    assert_int_equal(rows(x), ROWS - 1);
    assert_true(add_rows(x, ROWS - 1, ROWS));
    kf_index_close(x);
    assert_all_there(top);
    temp_done(top);
}

static void test_damaged(void **state)
{
    char *top = store_left();
    size_t n, copied;

    (void)state;
    damage(top, size_of(top, "index.db-wal") / 3);
    char *log = contents(top, "index.db-wal", &n);
    kf_index_t *x = open_index(top);
    assert_non_null(x);
    int64_t left = rows(x);
    assert_true(left > ROWS / 3 && left < ROWS - 10);
    assert_int_equal(count_logged("KF0615"), 1);
    char words[60];
    snprintf(words, sizeof words, "about %d transactions", (int)(ROWS - left));
    assert_int_equal(count_logged(words), 1);
    assert_int_equal(count_logged("kept as "), 1);
    assert_int_equal(count_logged(COPY), 1);
    char *copy = contents(top, COPY, &copied);
    assert_int_equal(copied, n);
    assert_memory_equal(copy, log, n);
    /* It counts as the store's. */
    assert_true(kf_index_bytes(x) >= n + (uint64_t)size_of(top, "index.db"));
    kf_index_close(x);
    /* What was lost is found once. */
    logged[0] = '\0';
    write_and_be_killed(top, 0, ROWS);
    assert_int_equal(size_of(top, COPY), n);
    x = open_index(top);
    assert_int_equal(rows(x), ROWS);
    assert_string_equal(logged, "");
    kf_index_close(x);
    free(log);
    free(copy);
    temp_done(top);
}

/* Killed right after it was opened beside a damaged log: the damage is not found again in what is left of it. */
static void test_found_once(void **state)
{
    char *top = store_left();

    (void)state;
    damage(top, size_of(top, "index.db-wal") / 2);
    pid_t pid = fork();
    if (pid == 0) {
        kf_index_t *x = open_index(top);
        if (!x || count_logged("KF0615") != 1 || !add_rows(x, 1000, 1002))
            _exit(1);
        raise(SIGKILL);
    }
    assert_int_equal(temp_wait(pid), 1000 + SIGKILL);
    assert_true(size_of(top, "index.db-wal") > 0);
    kf_index_t *x = open_index(top);
    assert_non_null(x);
    assert_string_equal(logged, "");
    kf_index_close(x);
    temp_done(top);
}

static void test_damaged_header(void **state)
{
    char *top = store_left();

    (void)state;
    damage(top, size_of(top, "index.db-wal") - 13);
    kf_index_t *x = open_index(top);
    /* Not even the tables had been copied yet: it begins anew, and the log is kept. */
    assert_non_null(x);
    assert_int_equal(rows(x), 0);
    assert_int_equal(count_logged("KF0615"), 1);
    assert_true(size_of(top, COPY) > 0);
    assert_true(add_rows(x, 0, 3));
    kf_index_close(x);
    temp_done(top);
}

/* ---- others have it open ---- */

/* Whoever has it open reads and writes a log that is sound for him. */
static void test_open_in_another_process(void **state)
{
    char *top = temp_make(), byte;
    int ready[2], end[2];

    (void)state;
    logged[0] = '\0';
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid_t pid = fork();
    if (pid == 0) {
        kf_index_t *x = open_index(top);
        close(end[1]);
        if (!x || !add_rows(x, 0, ROWS) || write(ready[1], "x", 1) != 1 ||
            read(end[0], &byte, 1) != 1)
            _exit(1);
        raise(SIGKILL);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    damage(top, size_of(top, "index.db-wal") / 2);
    kf_index_t *x = open_index(top);
    assert_non_null(x);
    assert_string_equal(logged, "");
    assert_int_equal(size_of(top, COPY), -1);
    /* It has not taken the other one's locks away, nor does it keep any when it is closed. */
    kf_index_close(x);
    assert_string_equal(logged, "");
    assert_int_equal(write(end[1], "x", 1), 1);
    assert_int_equal(temp_wait(pid), 1000 + SIGKILL);
    x = open_index(top);
    assert_non_null(x);
    assert_int_equal(count_logged("KF0615"), 1);
    kf_index_close(x);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(end[i]);
    }
    temp_done(top);
}

/* As the status page's beside the delivery's own: the first one's locks outlive the second one. */
static void test_open_in_this_process(void **state)
{
    char *top = temp_make();

    (void)state;
    logged[0] = '\0';
    kf_index_t *first = open_index(top);
    assert_true(add_rows(first, 0, ROWS));
    damage(top, size_of(top, "index.db-wal") / 2);
    kf_index_t *second = open_index(top);
    assert_non_null(second);
    kf_index_close(second);
    assert_string_equal(logged, "");
    pid_t pid = fork();
    if (pid == 0) {
        kf_index_t *x = open_index(top);
        _exit(x && !logged[0] ? 0 : 1);
    }
    assert_int_equal(temp_wait(pid), 0);
    kf_index_close(first);
    temp_done(top);
}

/* ---- copies that can't be made ---- */

static void test_copies_enough(void **state)
{
    char *top = store_left(), name[60];

    (void)state;
    for (int i = 1; i <= 4; i++) {
        snprintf(name, sizeof name, "index.db-wal.%d.damaged", i);
        temp_write(temp_in(top, name), "of another time");
    }
    damage(top, size_of(top, "index.db-wal") / 2);
    kf_index_t *x = open_index(top);
    assert_non_null(x);
    assert_int_equal(count_logged("KF0615"), 1);
    assert_int_equal(count_logged("copies enough"), 1);
    assert_true(add_rows(x, 1000, 1001));
    kf_index_close(x);
    for (int i = 1; i <= 5; i++) {
        snprintf(name, sizeof name, "index.db-wal.%d.damaged", i);
        assert_int_equal(size_of(top, name), i == 5 ? -1 : 15);
    }
    temp_done(top);
}

/* No room for a copy: none is left half, the log stays, and what it holds is read. */
static void test_no_room(void **state)
{
    char *top = store_left();
    off_t bytes = size_of(top, "index.db-wal");

    (void)state;
    damage(top, bytes / 2);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {(rlim_t)bytes / 2, (rlim_t)bytes / 2};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(9);
        kf_index_t *x = open_index(top);
        _exit(x && count_logged("KF0615") == 1 &&
                      count_logged("could not be kept: File too") == 1 && rows(x) > 10
                  ? 0
                  : 1);
    }
    assert_int_equal(temp_wait(pid), 0);
    assert_int_equal(size_of(top, COPY), -1);
    assert_int_equal(size_of(top, "index.db-wal"), bytes);
    /* Once there is room it is kept. */
    kf_index_t *x = open_index(top);
    assert_int_equal(count_logged("KF0615"), 1);
    assert_int_equal(size_of(top, COPY), bytes);
    kf_index_close(x);
    temp_done(top);
}

/* Something else in the log's place is SQLite's to judge. */
static void test_no_file(void **state)
{
    char *top = temp_make();

    (void)state;
    logged[0] = '\0';
    kf_index_close(open_index(top));
    assert_int_equal(mkdir(temp_in(top, "index.db-wal"), 0700), 0);
    kf_index_config_t config = {.directory = top};
    assert_null(kf_index_open(&config, error));
    assert_non_null(strstr(error, "cannot be opened"));
    assert_string_equal(logged, "");
    temp_done(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_found_once),
        cmocka_unit_test(test_damaged_header),
        cmocka_unit_test(test_open_in_another_process),
        cmocka_unit_test(test_open_in_this_process),
        cmocka_unit_test(test_copies_enough),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_no_file),
    };

    kf_log_set_sink(keep);
    return cmocka_run_group_tests_name("index_left", tests, NULL, NULL);
}
