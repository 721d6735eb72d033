/* SPDX-License-Identifier: Apache-2.0
 *
 * What children filed and the journal may have no note of: who is told of whose uploads, until when, and what
 * becomes of it when a transaction or the index fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_filed.h"
#include "delivery/kf_index_int.h"
#include "temp_store.h"

static char *top;
static kf_index_t *index_;
static char logged[2000];

static void keep(kf_level_t level, const char *line)
{
    (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

static int set_up(void **state)
{
    char error[KF_INDEX_ERROR_MAX];

    (void)state;
    logged[0] = '\0';
    top = temp_make();
    index_ = kf_index_open(
        &(kf_index_config_t){.directory = top, .durability = KF_DURABILITY_MEMORY}, error);
    return index_ ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    kf_index_close(index_);
    temp_done(top);
    return 0;
}

/* A key of an upload, by its number. */
static kf_str_t key(int number)
{
    static char text[8][KF_FILED_KEY_BYTES + 1];
    static unsigned next;
    char *p = text[next++ % 8];

    snprintf(p, KF_FILED_KEY_BYTES + 1, "%08d-0000-4000-8000-000000000000", number);
    return (kf_str_t){p, KF_FILED_KEY_BYTES};
}

static void begin(kf_filed_t *f)
{
    assert_int_equal(kf_index_begin(index_), KF_INDEX_OK);
    kf_filed_begin(f);
}

static kf_index_result_t commit(kf_filed_t *f)
{
    kf_filed_write(f);
    kf_index_result_t result = kf_index_commit(index_);

    if (result == KF_INDEX_OK)
        kf_filed_committed(f);
    return result;
}

static void file(kf_filed_t *f, int from, int to)
{
    begin(f);
    for (int i = from; i < to; i++)
        kf_filed_add(f, key(i));
    assert_int_equal(commit(f), KF_INDEX_OK);
}

static bool is_known(kf_filed_t *f, int number)
{
    begin(f);
    bool known = kf_filed_by_another(f, key(number));
    assert_int_equal(commit(f), KF_INDEX_OK);
    return known;
}

static void run(const char *sql)
{
    kf_index_enter(index_);
    assert_int_equal(sqlite3_exec(kf_index_db(index_), sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(kf_index_leave(index_), KF_INDEX_OK);
}

static int64_t number_of(const char *sql)
{
    sqlite3_stmt *s;

    assert_int_equal(sqlite3_prepare_v2(kf_index_db(index_), sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

#define ROWS "SELECT count(*) FROM filed"

static void test_of_others_only(void **state)
{
    kf_filed_t *a = kf_filed_open(index_), *b = kf_filed_open(index_);

    (void)state;
    assert_false(is_known(b, 1));
    file(a, 30, 40);
    file(a, 10, 20);
    file(b, 100, 101);
    for (int i = 0; i < 110; i++) {
        bool of_a = (i >= 10 && i < 20) || (i >= 30 && i < 40);
        assert_int_equal(is_known(b, i), of_a);
        assert_int_equal(is_known(a, i), i == 100);
    }
    /* Keys that are none are nobody's. */
    begin(a);
    kf_filed_add(a, KF_STR("short"));
    assert_int_equal(commit(a), KF_INDEX_OK);
    begin(b);
    assert_false(kf_filed_by_another(b, KF_STR("short")));
    assert_false(kf_filed_by_another(b, (kf_str_t){key(10).p, KF_FILED_KEY_BYTES - 1}));
    assert_int_equal(commit(b), KF_INDEX_OK);
    assert_int_equal(number_of("SELECT max(length(keys)) FROM filed"), 20 * KF_FILED_KEY_BYTES);
    kf_filed_close(a);
    kf_filed_close(b);
}

/* What the journal has a note of is forgotten with the next that is filed, or at the end. */
static void test_until_it_is_noted(void **state)
{
    kf_filed_t *a = kf_filed_open(index_), *b = kf_filed_open(index_);

    (void)state;
    file(a, 0, 3);
    kf_filed_noted(a);
    file(a, 5, 6);
    assert_false(is_known(b, 0) || is_known(b, 2));
    assert_true(is_known(b, 5));
    /* Killed, or closed before the note: it stays for whoever takes over. */
    kf_filed_close(a);
    assert_int_equal(number_of(ROWS), 1);
    assert_true(is_known(b, 5));
    a = kf_filed_open(index_);
    file(a, 7, 8);
    assert_true(is_known(a, 5));
    assert_int_equal(number_of(ROWS), 2);
    kf_filed_noted(a);
    kf_filed_close(a);
    assert_int_equal(number_of(ROWS), 1);
    assert_false(is_known(b, 7));
    kf_filed_close(b);
    kf_filed_close(NULL);
}

static void test_rolled_back(void **state)
{
    kf_filed_t *a = kf_filed_open(index_), *b = kf_filed_open(index_);

    (void)state;
    file(a, 0, 2);
    begin(a);
    kf_filed_add(a, key(2));
    kf_filed_write(a);
    kf_index_rollback(index_);
    assert_false(is_known(b, 2));
    assert_true(is_known(b, 1));
    file(a, 3, 4);
    assert_true(is_known(b, 0) && is_known(b, 1) && is_known(b, 3));
    assert_false(is_known(b, 2));
    kf_filed_close(a);
    kf_filed_close(b);
}

/* Rows of a week ago are nobody's any more; those of yesterday may be. */
static void test_forgotten_after_a_week(void **state)
{
    kf_filed_t *a = kf_filed_open(index_);
    char sql[200];
    const int64_t day = 24 * 3600 * KF_SEC;

    (void)state;
    file(a, 0, 1);
    kf_filed_close(a);
    assert_int_equal(number_of(ROWS), 1);
    snprintf(sql, sizeof sql, "UPDATE filed SET filed_us = %lld",
             (long long)(kf_wall_us() - 6 * day));
    run(sql);
    a = kf_filed_open(index_);
    assert_true(is_known(a, 0));
    kf_filed_close(a);
    snprintf(sql, sizeof sql, "UPDATE filed SET filed_us = %lld",
             (long long)(kf_wall_us() - 8 * day));
    run(sql);
    a = kf_filed_open(index_);
    assert_int_equal(number_of(ROWS), 0);
    assert_false(is_known(a, 0));
    kf_filed_close(a);
}

/* A row that holds no whole keys says nothing, and takes nothing from the others. */
static void test_damaged_row(void **state)
{
    kf_filed_t *a = kf_filed_open(index_), *b = kf_filed_open(index_);

    (void)state;
    file(a, 0, 3);
    run("INSERT INTO filed VALUES (-1, 1 << 60, zeroblob(35)), (-2, 1 << 60, 'text'), (-3, 1 << "
        "60, 5),"
        " (-4, 1 << 60, x'')");
    assert_true(is_known(b, 0) && is_known(b, 2));
    assert_false(is_known(b, 3));
    kf_filed_close(a);
    kf_filed_close(b);
}

/* Nobody is told "not filed" for want of memory: the transaction fails. */
static void test_too_much(void **state)
{
    kf_filed_t *a = kf_filed_open(index_);

    (void)state;
    run("INSERT INTO filed VALUES (-1, 1 << 60, zeroblob(36 * 1000000)),"
        " (-2, 1 << 60, zeroblob(36 * 1000000))");
    begin(a);
    assert_false(kf_filed_by_another(a, key(1)));
    kf_filed_add(a, key(1));
    assert_int_equal(commit(a), KF_INDEX_FULL);
    run("DELETE FROM filed WHERE child = -2");
    assert_false(is_known(a, 1));
    kf_filed_close(a);
}

static void test_index_fails(void **state)
{
    kf_filed_t *a = kf_filed_open(index_), *b = kf_filed_open(index_);

    (void)state;
    file(a, 0, 1);
    run("ALTER TABLE filed RENAME TO away");
    begin(b);
    assert_false(kf_filed_by_another(b, key(0)));
    assert_int_equal(commit(b), KF_INDEX_FAILED);
    assert_non_null(strstr(logged, "KF0611"));
    begin(b);
    kf_filed_add(b, key(9));
    assert_int_equal(commit(b), KF_INDEX_FAILED);
    assert_null(kf_filed_open(index_));
    run("ALTER TABLE away RENAME TO filed");
    assert_true(is_known(b, 0));
    assert_false(is_known(a, 9));
    kf_filed_close(a);
    kf_filed_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_others_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_until_it_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rolled_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgotten_after_a_week, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_index_fails, set_up, tear_down),
    };

    kf_log_set_sink(keep);
    return cmocka_run_group_tests_name("filed", tests, NULL, NULL);
}
