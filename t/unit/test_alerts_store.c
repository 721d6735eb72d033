/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts about the store as whoever leads raises and ends them: each begins when there is a reason for it,
 * and is over when there is none. Steps are called as the keeper's thread calls them, in one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <sys/stat.h>
#include "delivery/kf_alert.h"
#include "delivery/kf_index_int.h"
#include "keeper_fixture.h"
#include "temp_store.h"

#define LIMIT_BYTES 16384
#define WINDOW (601 * KF_SEC)
/* Longer than what comes again is the same alert. */
#define LATER (KF_ALERT_AGAIN_US + KF_SEC)

static keeper_fixture_t f;

static int before_each(void **state)
{
    (void)state;
    keeper_make(&f, NULL);
    f.process->store_limit = LIMIT_BYTES;
    kf_alert_watch_log(f.config.shared);
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    kf_alert_watch_log(NULL);
    keeper_close(&f);
    keeper_remove(&f);
    return 0;
}

static void execute(const char *sql)
{
    assert_int_equal(sqlite3_exec(kf_index_db(f.config.index), sql, NULL, NULL, NULL), SQLITE_OK);
}

static bool is_raised_of(int connection, kf_msg_t msg)
{
    return kf_alert_cells_raised(kf_shared_alerts(f.config.shared), connection, msg);
}

static bool is_raised(kf_msg_t msg)
{
    return is_raised_of(kf_alert_cells_server(kf_shared_alerts(f.config.shared)), msg);
}

static void add_letters(size_t bytes)
{
    static char data[LIMIT_BYTES];
    kf_record_t *r = kf_record_create(PLAIN, KF_STR("k"), (kf_str_t){data, bytes});
    kf_dead_entry_t entry = {.record = r, .reason = KF_DEAD_REFUSED, .failed_us = 1};

    memset(data, 'x', sizeof data);
    assert_int_equal(kf_deadletters_add(f.config.letters, &entry, 1), KF_INDEX_OK);
    kf_record_free(r);
}

static void discard_letters(void)
{
    uint64_t n;

    assert_int_equal(
        kf_deadletters_discard(f.config.letters, &(kf_dead_selection_t){.all = true}, &n),
        KF_INDEX_OK);
}

static void post_one(int mpid)
{
    char body[200];

    snprintf(body, sizeof body, "{\"mpid\":%d,\"events\":[{\"event_type\":\"opt_out\"}]}", mpid);
    keeper_post(&f, BATCH, kf_str_of(body));
}

static void test_dead_letters_that_fill_a_quarter(void **state)
{
    (void)state;
    add_letters(LIMIT_BYTES / 4 - 200);
    keeper_lead(&f);
    assert_false(is_raised(KF0656));
    add_letters(300);
    keeper_lead(&f);
    keeper_lead(&f);
    assert_true(is_raised(KF0656));
    assert_int_equal(keeper_logged("KF0656"), 1);
    discard_letters();
    keeper_lead(&f);
    assert_false(is_raised(KF0656));
    keeper_pass(LATER);
    add_letters(LIMIT_BYTES / 2);
    keeper_lead(&f);
    assert_true(is_raised(KF0656));
    assert_int_equal(keeper_logged("KF0656"), 2);
}

/* Where nobody knows how many there are, nobody knows that they are few. */
static void test_dead_letters_that_cannot_be_counted(void **state)
{
    (void)state;
    add_letters(LIMIT_BYTES / 2);
    keeper_lead(&f);
    assert_true(is_raised(KF0656));
    execute("ALTER TABLE dead_letter_total RENAME TO away");
    keeper_lead(&f);
    assert_true(keeper_logged("KF0611") > 0);
    assert_true(is_raised(KF0656));
    execute("ALTER TABLE away RENAME TO dead_letter_total");
    keeper_lead(&f);
    assert_false(is_raised(KF0611));
    assert_true(is_raised(KF0656));
    assert_int_equal(keeper_logged("KF0656"), 1);
}

static void test_windows_that_fill_their_half(void **state)
{
    (void)state;
    for (int i = 1; i <= 20; i++) {
        post_one(i);
        keeper_pass(KF_SEC);
    }
    keeper_lead(&f);
    assert_true(is_raised_of(BATCH, KF0653));
    assert_false(is_raised_of(SESSION, KF0653));
    assert_true(f.out.count > 0 && f.out.count < 20);
    keeper_lead(&f);
    assert_true(is_raised_of(BATCH, KF0653));
    execute("ALTER TABLE window_total RENAME TO away");
    keeper_lead(&f);
    assert_true(keeper_logged("KF0611") > 0);
    assert_true(is_raised_of(BATCH, KF0653));
    execute("ALTER TABLE away RENAME TO window_total");
    keeper_pass(WINDOW);
    keeper_lead(&f);
    keeper_lead(&f);
    assert_int_equal(f.out.count, 20);
    assert_false(is_raised_of(BATCH, KF0653));
    assert_int_equal(keeper_logged("KF0653"), 1);
}

static void test_a_window_that_cannot_be_read(void **state)
{
    (void)state;
    post_one(1);
    execute("DELETE FROM upload");
    keeper_pass(WINDOW);
    keeper_lead(&f);
    assert_true(is_raised_of(BATCH, KF0655));
    keeper_pass(LATER);
    keeper_lead(&f);
    assert_true(is_raised_of(BATCH, KF0655));
    /* As an operator moves a damaged index away. */
    for (int i = 0; i < 3; i++) {
        static const char *const files[] = {"index.db", "index.db-wal", "index.db-shm"};

        unlink(temp_in(f.folder, files[i]));
    }
    assert_false(kf_index_mend(f.config.index));
    keeper_pass(10 * KF_SEC);
    assert_true(kf_index_mend(f.config.index));
    keeper_lead(&f);
    assert_false(is_raised_of(BATCH, KF0655));
    assert_int_equal(keeper_logged("KF0655"), 1);
}

static void test_nobody_can_lead(void **state)
{
    (void)state;
    assert_int_equal(mkdir(temp_in(f.folder, KF_LEADER_FILE), 0700), 0);
    keeper_lead(&f);
    keeper_lead(&f);
    assert_true(is_raised(KF0651));
    assert_int_equal(keeper_logged("KF0651"), 1);
    assert_int_equal(rmdir(temp_in(f.folder, KF_LEADER_FILE)), 0);
    keeper_lead(&f);
    assert_false(is_raised(KF0651));
}

/* One that may not lead, while another does, until it may: it never leads all that time. */
static void test_one_cannot_lead_while_another_does(void **state)
{
    char file[600], moved[700];

    (void)state;
    snprintf(file, sizeof file, "%s", temp_in(f.folder, KF_LEADER_FILE));
    snprintf(moved, sizeof moved, "%s.moved", file);
    keeper_lead(&f);
    kf_leader_t *other = kf_leader_create(&f.config);
    assert_int_equal(rename(file, moved), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    kf_leader_tick(other);
    assert_true(is_raised(KF0651));
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(rename(moved, file), 0);
    kf_leader_tick(other);
    assert_false(is_raised(KF0651));
    kf_leader_free(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dead_letters_that_fill_a_quarter),
        TEST(test_dead_letters_that_cannot_be_counted),
        TEST(test_windows_that_fill_their_half),
        TEST(test_a_window_that_cannot_be_read),
        TEST(test_nobody_can_lead),
        TEST(test_one_cannot_lead_while_another_does),
    };
    apr_initialize();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
