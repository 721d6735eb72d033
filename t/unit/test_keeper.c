/* SPDX-License-Identifier: Apache-2.0
 *
 * The background work: uploads into windows, windows to records, who leads, what happens when the index
 * or the journal says no and when a child dies between two steps. Steps are called as the thread calls
 * them; the thread itself is tried at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <sched.h>
#include <sys/file.h>
#include "delivery/kf_closing_first.h"
#include "delivery/kf_index_int.h"
#include "delivery/kf_keeper.h"
#include "keeper_fixture.h"
#include "kf_samples.h"
#include "patience.h"
#include "temp_store.h"

#define GRACE (6 * KF_SEC) /* KinesisSessionGrace, and what closing waits besides */
#define WINDOW (601 * KF_SEC)

static keeper_fixture_t f;

static int before_each(void **state)
{
    (void)state;
    keeper_make(&f, NULL);
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    keeper_close(&f);
    keeper_remove(&f);
    return 0;
}

/* A child does something and dies at its first put, once the journal has the records. */
static void die_while(void (*act)(void))
{
    keeper_close(&f);
    pid_t pid = fork();
    if (pid == 0) {
        keeper_open(&f);
        f.dies = true;
        act();
        _exit(1);
    }
    assert_int_equal(temp_wait(pid), KEEPER_DIED);
    keeper_open(&f);
}

static void post_sample(int connection, const char *name)
{
    kf_str_t text = kf_sample_read(name);
    keeper_post(&f, connection, text);
    free((char *)(uintptr_t)text.p);
}

static void lead(void)
{
    keeper_lead(&f);
}

static uint32_t count_of(const kf_record_t *r, const char *text)
{
    kf_str_t data = kf_record_data(r);
    uint32_t n = 0;
    for (const char *p = data.p; (p = memmem(p, (size_t)(data.p + data.n - p), text, strlen(text)));
         p++) {
        n++;
    }
    return n;
}

/* The n-th record that was put. */
static const kf_record_t *out(uint32_t n)
{
    const kf_record_t *r = f.out.first;
    for (; r && n > 0; n--) {
        r = r->next;
    }
    assert_non_null(r);
    return r;
}

static kf_str_t message_id(const kf_record_t *r)
{
    kf_str_t data = kf_record_data(r);
    const char *p = memmem(data.p, data.n, "\"message_id\":\"", 14);
    assert_non_null(p);
    return (kf_str_t){p + 14, 36};
}

static void add_windows(void *context, const kf_window_totals_t *totals)
{
    *(uint64_t *)context += totals->windows;
}

static uint64_t windows_open(void)
{
    uint64_t n = 0;
    assert_int_equal(kf_windows_totals(f.config.windows, add_windows, &n), KF_INDEX_OK);
    return n;
}

/* ---- sessions ---- */

static void test_session_leaves_once(void **state)
{
    static const char *const parts[] = {"session-part-1-start",
                                        "session-part-2-middle-uuid-only",
                                        "session-part-2-duplicate-upload",
                                        "session-part-3-id-only-then-login",
                                        "session-part-4-end",
                                        "session-part-5-straggler-after-end"};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        post_sample(SESSION, parts[i]);
        keeper_pass(100 * KF_MS);
        lead();
    }
    assert_int_equal(f.out.count, 0);
    assert_int_equal(f.filed, 6);
    keeper_pass(GRACE);
    lead();
    assert_int_equal(f.out.count, 2); /* one a user */
    assert_int_equal(out(0)->events + out(1)->events, 7);
    assert_int_equal(count_of(out(0), "\"event_type\"") + count_of(out(1), "\"event_type\""), 7);
    assert_int_equal(windows_open(), 0);
    assert_int_equal(out(0)->accepted_us, kf_wall_us());
}

static void test_sessions_out_of_order(void **state)
{
    static const char *const parts[] = {
        "session-part-4-end", "session-part-2-middle-uuid-only", "session-part-1-start",
        "session-part-5-straggler-after-end", "session-part-3-id-only-then-login"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        post_sample(SESSION, parts[i]);
    }
    keeper_pass(GRACE);
    lead();
    assert_int_equal(f.out.count, 2);
    assert_int_equal(out(0)->events + out(1)->events, 7);
}

static void test_two_sessions_in_one_upload(void **state)
{
    (void)state;
    post_sample(SESSION, "two-sessions-one-batch");
    assert_int_equal(windows_open(), 2);
    keeper_pass(GRACE);
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(out(0)->events, 2);
    keeper_pass(36 * 60 * KF_SEC);
    lead();
    assert_int_equal(f.out.count, 2);
    assert_int_equal(out(1)->events, 3);
    assert_false(kf_str_eq(message_id(out(0)), message_id(out(1))));
}

static void test_sessionless_leaves_at_once(void **state)
{
    (void)state;
    post_sample(SESSION, "sessionless-opt-out-and-uninstall");
    assert_int_equal(f.out.count, 1);
    assert_int_equal(f.filed, 1);
    assert_int_equal(windows_open(), 0);
}

/* ---- windows of time ---- */

static void test_batch_window(void **state)
{
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    keeper_pass(300 * KF_SEC);
    post_sample(BATCH, "session-part-2-middle-uuid-only");
    post_sample(BATCH, "session-part-2-duplicate-upload");
    lead();
    assert_int_equal(f.out.count, 0);
    keeper_pass(WINDOW - 300 * KF_SEC);
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(out(0)->events, 4);
    lead();
    assert_int_equal(f.out.count, 1);
}

static void test_no_device_leaves_at_once(void **state)
{
    (void)state;
    keeper_post(&f, BATCH, KF_STR("{\"events\":[{\"event_type\":\"custom_event\",\"data\":{}}]}"));
    assert_int_equal(f.out.count, 1);
    assert_int_equal(windows_open(), 0);
}

static uint64_t counted(int connection, kf_count_t count)
{
    return kf_metrics_count(f.config.metrics, connection, count);
}

static int64_t gauge(int connection, kf_gauge_id_t id)
{
    kf_connection_metrics_t read;

    kf_metrics_read(f.config.metrics, connection, &read);
    return read.gauge[id];
}

static void test_filters_count_at_closing(void **state)
{
    (void)state;
    keeper_set(&f, BATCH, "KinesisSendCustomEvents", "Off");
    post_sample(BATCH, "session-part-2-middle-uuid-only");
    assert_int_equal(kf_metrics_family(f.config.metrics, BATCH, KF_FAMILY_FILTERED_EVENTS), 0);
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count, 0);
    assert_int_equal(windows_open(), 0);
    assert_int_equal(kf_metrics_family(f.config.metrics, BATCH, KF_FAMILY_FILTERED_EVENTS), 2);
}

/* ---- crashes and failures ---- */

/* An upload that was filed, and whose child died before it said so. */
static void test_filed_twice_counts_once(void **state)
{
    kf_record_list_t records = {.count = 0}, twin = {.count = 0};
    static const char body[] =
        "{\"mpid\":5,\"events\":[{\"event_type\":\"custom_event\",\"data\":{}}]}";
    (void)state;
    keeper_accept(&f, BATCH, KF_STR(body), &records);
    kf_record_t *copy =
        kf_record_create(BATCH, kf_record_key(records.first), kf_record_data(records.first));
    copy->kind = KF_RECORD_WINDOW;
    copy->accepted_us = records.first->accepted_us;
    kf_record_list_add(&twin, copy);
    assert_int_equal(kf_journal_append(f.config.journal, &twin), KF_JOURNAL_OK);
    kf_filing_add(f.filing, &records);
    kf_filing_run(f.filing);
    kf_filing_add(f.filing, &twin);
    kf_filing_run(f.filing);
    keeper_post(&f, BATCH, KF_STR(body)); /* the same again, from the sender: it counts */
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(out(0)->events, 2);
    assert_int_equal(counted(BATCH, KF_COUNT_REPEATED_BATCHES), 1);
    assert_int_equal(counted(BATCH, KF_COUNT_REPEATED_EVENTS), 0);
    assert_int_equal(f.filed, 3);
}

#define WITH_ID(id) "{\"event_type\":\"custom_event\",\"data\":{\"source_message_id\":\"" id "\"}}"

/* Of an upload that goes by its note, only what its window has already is left out. */
static void test_repeated_events_are_cut_out(void **state)
{
    static const char *const bodies[] = {
        "{\"mpid\":5,\"mp_deviceid\":\"d\",\"events\":[" WITH_ID("a") "," WITH_ID("b") "]}",
        "{\"mpid\":5,\"mp_deviceid\":\"d\",\"events\":[" WITH_ID("b") "," WITH_ID("c") "]}",
        "{\"mpid\":5,\"mp_deviceid\":\"d\",\"events\":[" WITH_ID("c") "," WITH_ID("a") "]}"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        kf_record_list_t records = {.count = 0};
        keeper_accept(&f, BATCH, kf_str_of(bodies[i]), &records);
        assert_true(records.first->note_bytes > 0);
        kf_filing_add(f.filing, &records);
        kf_filing_run(f.filing);
    }
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(out(0)->events, 3);
    assert_int_equal(count_of(out(0), "\"a\"}"), 1);
    assert_int_equal(count_of(out(0), "\"b\"}"), 1);
    assert_int_equal(count_of(out(0), "\"c\"}"), 1);
    assert_int_equal(counted(BATCH, KF_COUNT_REPEATED_EVENTS), 3);
}

/* What the dead left in the journal for a connection. */
static kf_record_list_t left_behind(uint16_t connection)
{
    kf_record_list_t list = {.count = 0};
    kf_journal_fetch(f.config.journal, connection, 100, 1 << 20, &list);
    return list;
}

static void file_unnoted(void)
{
    f.dies_unnoted = true;
    keeper_post(&f, BATCH,
                KF_STR("{\"mpid\":5,\"source_request_id\":\"a\",\"events\":[{\"event_type\":"
                       "\"custom_event\",\"data\":{}}]}"));
}

static void file_again(void)
{
    lead();
    kf_record_list_t uploads = left_behind(BATCH);
    kf_filing_add(f.filing, &uploads);
    kf_filing_run(f.filing);
}

/* The same, and its window was closed before somebody took over what it left. */
static void test_filed_counts_once_after_its_window(void **state)
{
    (void)state;
    die_while(file_unnoted);
    assert_int_equal(windows_open(), 1);
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count, 1);
    file_again();
    assert_int_equal(f.filed, 1);
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(windows_open(), 0);
}

static void file_unnoted_twice(void)
{
    kf_record_list_t uploads = left_behind(BATCH);
    assert_int_equal(uploads.count, 0);
    file_again();
    assert_int_equal(f.filed, 1);
    file_unnoted();
}

/* Who takes over dies like the first one. */
static void test_filed_counts_once_after_two_deaths(void **state)
{
    (void)state;
    die_while(file_unnoted);
    keeper_pass(WINDOW);
    die_while(file_unnoted_twice);
    keeper_pass(WINDOW);
    lead();
    file_again();
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count + left_behind(BATCH).count, 2);
}

static void fail_to_file(void)
{
    kf_record_list_t records = {.count = 0};

    keeper_accept(&f, BATCH,
                  KF_STR("{\"mpid\":5,\"events\":[{\"event_type\":\"custom_event\","
                         "\"data\":{}}]}"),
                  &records);
    assert_int_equal(kf_windows_begin(f.config.windows), KF_INDEX_OK);
    kf_windows_filed(f.config.windows, kf_record_key(records.first));
    kf_windows_rollback(f.config.windows);
    kf_record_list_clear(&records);
    f.dies_unnoted = true;
    keeper_post(&f, BATCH,
                KF_STR("{\"mpid\":6,\"events\":[{\"event_type\":\"custom_event\",\"data\":{}}]}"));
}

/* What was rolled back was not filed. */
static void test_rolled_back_is_filed_again(void **state)
{
    (void)state;
    die_while(fail_to_file);
    file_again();
    assert_int_equal(f.filed, 2);
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count, 2);
}

static void assert_same(const kf_record_list_t *a, const kf_record_list_t *b)
{
    const kf_record_t *y = b->first;
    assert_int_equal(a->count, b->count);
    for (const kf_record_t *x = a->first; x; x = x->next, y = y->next) {
        assert_true(kf_str_eq(kf_record_data(x), kf_record_data(y)));
    }
}

static void test_crash_between_append_and_removal(void **state)
{
    (void)state;
    post_sample(SESSION, "two-sessions-one-batch");
    post_sample(SESSION, "session-part-3-id-only-then-login");
    keeper_pass(40 * 60 * KF_SEC);
    die_while(lead);
    assert_int_equal(windows_open(), 3);
    lead();
    assert_int_equal(f.looked, 1);
    assert_int_equal(windows_open(), 0);
    kf_record_list_t before = left_behind(SESSION);
    assert_int_equal(before.count, 3);
    assert_same(&f.out, &before);
    message_id(out(0));
    kf_record_list_clear(&before);
}

/* An upload that is filed after the crash is no part of what may have left: it goes on its own. */
static void test_late_upload_after_a_crash_in_closing(void **state)
{
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    keeper_pass(3600 * KF_SEC);
    die_while(lead);
    assert_int_equal(windows_open(), 1);
    keeper_pass(-3600 * KF_SEC);
    post_sample(BATCH, "session-part-2-middle-uuid-only");
    keeper_pass(3600 * KF_SEC);
    lead();
    kf_record_list_t before = left_behind(BATCH);
    assert_int_equal(before.count, 1);
    assert_int_equal(f.out.count, 2);
    assert_true(kf_str_eq(kf_record_data(f.out.first), kf_record_data(before.first)));
    kf_record_list_clear(&before);
}

static void post_sessionless(void)
{
    post_sample(SESSION, "sessionless-opt-out-and-uninstall");
}

/* What leaves at once is repeated under its ids too. */
static void test_crash_between_append_and_done(void **state)
{
    kf_record_list_t uploads = {.count = 0}, before = {.count = 0};
    (void)state;
    die_while(post_sessionless);
    lead();
    kf_record_list_t all = left_behind(SESSION);
    for (kf_record_t *r = kf_record_list_take(&all); r; r = kf_record_list_take(&all)) {
        kf_record_list_add(r->kind == KF_RECORD_WINDOW ? &uploads : &before, r);
    }
    assert_int_equal(uploads.count, 1);
    assert_int_equal(before.count, 1);
    kf_filing_add(f.filing, &uploads);
    kf_filing_run(f.filing);
    assert_same(&f.out, &before);
    kf_record_list_clear(&before);
}

static void test_full_store_closes_later(void **state)
{
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    keeper_pass(WINDOW);
    f.answer = KF_FULL;
    lead();
    assert_int_equal(windows_open(), 1);
    f.answer = KF_ACCEPTED;
    lead();
    assert_int_equal(windows_open(), 0);
    assert_int_equal(f.out.count, 1);
}

/* One connection whose records find no room holds up nobody else. */
static void test_full_share_holds_up_its_own(void **state)
{
    kf_record_list_t records = {.count = 0};
    static const char body[] = "{\"mpid\":5,\"events\":[{\"event_type\":\"opt_out\",\"data\":{}}]}";
    (void)state;
    f.refused = SESSION;
    keeper_accept(&f, SESSION, KF_STR(body), &records);
    keeper_accept(&f, BATCH, KF_STR("{\"events\":[]}"), &records);
    keeper_accept(&f, BATCH, KF_STR(body), &records);
    kf_filing_add(f.filing, &records);
    assert_false(kf_filing_run(f.filing));
    assert_int_equal(f.filed, 2);
    assert_int_equal(f.out.count, 1);
    f.refused = -1;
    assert_false(kf_filing_run(f.filing));
    assert_int_equal(f.filed, 2);
    kf_filing_retry(f.filing);
    kf_filing_run(f.filing);
    assert_int_equal(f.filed, 3);
    assert_int_equal(f.out.count, 2);
}

static void execute(const char *sql)
{
    assert_int_equal(sqlite3_exec(kf_index_db(f.config.index), sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The engine reads back what was given back, because the index works. */
static void come_back(void)
{
    kf_filing_unstick(f.filing);
    kf_filing_add(f.filing, &f.given_back);
    while (kf_filing_run(f.filing)) {
    }
}

/* Another writer that does not let go. */
static void test_index_busy(void **state)
{
    sqlite3 *other;
    (void)state;
    assert_int_equal(sqlite3_open(temp_in(f.folder, "index.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    post_sample(SESSION, "two-sessions-one-batch");
    assert_int_equal(f.given_back.count, 1);
    /* Nobody waits for the index once more. */
    post_sample(SESSION, "sessionless-opt-out-and-uninstall");
    assert_int_equal(f.given_back.count, 2);
    assert_int_equal(f.filed, 0);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    come_back();
    assert_int_equal(f.filed, 2);
    assert_int_equal(f.out.count, 1);
    assert_int_equal(windows_open(), 2);
    sqlite3_close(other);
}

static void break_windows_of(const char *name)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "CREATE TRIGGER broken BEFORE INSERT ON window WHEN new.connection ="
             " (SELECT id FROM connection WHERE name = '%s') BEGIN SELECT raise(ABORT, 'no'); END",
             name);
    execute(sql);
}

#define IN_SESSION \
    "{\"mpid\":5,\"mp_deviceid\":\"e\",\"events\":[" \
    "{\"event_type\":\"screen_view\",\"data\":{\"session_uuid\":\"a\",\"screen_name\":\"x\"}}]}"

/* Windows of one connection that can't be written hold up no other's, and none of them are in memory. */
static void test_broken_windows_hold_up_their_own(void **state)
{
    kf_record_list_t records = {.count = 0};
    (void)state;
    break_windows_of("session");
    keeper_accept(&f, SESSION, KF_STR(IN_SESSION), &records);
    keeper_accept(&f, BATCH, KF_STR("{\"mpid\":1,\"events\":[]}"), &records);
    for (int i = 0; i < 5; i++) {
        keeper_accept(&f, SESSION, KF_STR(IN_SESSION), &records);
    }
    kf_filing_add(f.filing, &records);
    kf_filing_run(f.filing);
    assert_int_equal(f.filed, 1);
    assert_int_equal(f.given_back.count, 6);
    keeper_post(&f, BATCH, KF_STR("{\"mpid\":3,\"events\":[]}"));
    assert_int_equal(f.filed, 2);
    come_back();
    assert_int_equal(f.given_back.count, 6);
    execute("DROP TRIGGER broken");
    come_back();
    assert_int_equal(f.given_back.count, 0);
    assert_int_equal(f.filed, 8);
}

/* An upload of which a part has left stays in memory, so that the part does not leave again. */
static void test_what_has_left_does_not_leave_again(void **state)
{
    static const char body[] =
        "{\"mpid\":5,\"mp_deviceid\":\"d\",\"events\":[{\"event_type\":\"opt_out\",\"data\":{}},"
        "{\"event_type\":\"screen_view\",\"data\":{\"session_uuid\":\"a\",\"screen_name\":\"x\"}},"
        "{\"event_type\":\"screen_view\",\"data\":{\"session_uuid\":\"b\",\"screen_name\":\"y\"}}]"
        "}";
    (void)state;
    break_windows_of("session");
    keeper_post(&f, SESSION, KF_STR(body));
    assert_int_equal(f.out.count, 1);
    assert_int_equal(f.given_back.count, 0);
    kf_filing_retry(f.filing);
    kf_filing_run(f.filing);
    keeper_post(&f, SESSION, KF_STR(IN_SESSION));
    assert_int_equal(f.given_back.count, 1);
    execute("DROP TRIGGER broken");
    kf_filing_retry(f.filing);
    come_back();
    assert_int_equal(f.filed, 2);
    assert_int_equal(f.out.count, 1);
}

/* An upload that can't be parsed, and no place to keep it as a dead letter. */
static void test_no_place_for_a_dead_letter(void **state)
{
    (void)state;
    execute(
        "CREATE TRIGGER broken BEFORE INSERT ON dead_letter BEGIN SELECT raise(ABORT, 'no'); END");
    kf_record_list_t records = {.count = 0};
    kf_record_t *r = kf_record_create(BATCH, KF_STR("key"), KF_STR("not json"));
    r->kind = KF_RECORD_WINDOW;
    kf_record_list_add(&records, r);
    assert_int_equal(kf_journal_append(f.config.journal, &records), KF_JOURNAL_OK);
    kf_filing_add(f.filing, &records);
    kf_filing_run(f.filing);
    assert_int_equal(f.given_back.count, 1);
    execute("DROP TRIGGER broken");
    come_back();
    assert_int_equal(f.filed, 1);
    assert_true(kf_deadletters_bytes(f.config.letters) > 0);
}

static void test_given_back_at_the_end(void **state)
{
    kf_record_list_t records = {.count = 0};
    (void)state;
    keeper_accept(&f, BATCH, KF_STR("{\"mpid\":1,\"events\":[]}"), &records);
    kf_filing_add(f.filing, &records);
    kf_filing_give_back(f.filing);
    assert_int_equal(f.given_back.count, 1);
    assert_int_equal(f.filed, 0);
}

static void file_put(void)
{
    kf_record_list_t uploads = {.count = 0};
    for (kf_record_t *r = kf_record_list_take(&f.out); r; r = kf_record_list_take(&f.out)) {
        if (r->kind == KF_RECORD_WINDOW) {
            kf_record_list_add(&uploads, r);
        } else {
            kf_record_list_add(&f.given_back, r);
        }
    }
    kf_filing_add(f.filing, &uploads);
    kf_filing_run(f.filing);
}

/* What is damaged becomes a dead letter; the rest of its window leaves. */
static void test_damaged_upload(void **state)
{
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    post_sample(BATCH, "session-part-2-middle-uuid-only");
    execute("UPDATE upload SET text = x'7b22' WHERE id = (SELECT min(id) FROM upload)");
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(windows_open(), 0);
    file_put();
    assert_int_equal(f.given_back.count, 1);
    assert_int_equal(f.given_back.first->events, 2);
    assert_int_equal(kf_deadletters_bytes(f.config.letters) > 0, 1);
    assert_int_equal(keeper_logged("KF0652"), 1);
}

static void test_unreadable_window_holds_up_nobody(void **state)
{
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    keeper_post(&f, BATCH,
                KF_STR("{\"mpid\":8,\"events\":[{\"event_type\":\"opt_out\",\"data\":{}}]}"));
    execute("DELETE FROM upload WHERE id = (SELECT min(id) FROM upload)");
    keeper_pass(WINDOW);
    lead();
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(windows_open(), 1);
    assert_int_equal(keeper_logged("KF0655"), 1);
}

/* ---- reloads, leading, shedding, replay ---- */

static void test_windowed_no_more(void **state)
{
    kf_record_list_t records = {.count = 0};
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    keeper_accept(&f, BATCH, KF_STR("{\"mpid\":1,\"events\":[]}"), &records);
    keeper_set(&f, BATCH, "KinesisBatchWindow", "0");
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(windows_open(), 0);
    kf_filing_add(f.filing, &records);
    kf_filing_run(f.filing);
    assert_int_equal(f.out.count, 2);
    assert_int_equal(windows_open(), 0);
}

static void test_windows_survive_a_restart(void **state)
{
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    keeper_close(&f);
    keeper_pass(WINDOW);
    keeper_open(&f);
    lead();
    assert_int_equal(f.out.count, 1);
}

static void test_one_leads(void **state)
{
    kf_leader_t *other = kf_leader_create(&f.config);
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    kf_leader_tick(other);
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(windows_open(), 1);
    kf_leader_resign(other);
    lead();
    assert_int_equal(windows_open(), 0);
    kf_leader_free(other);
}

static void test_no_leader_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir(temp_in(f.folder, KF_LEADER_FILE), 0700), 0);
    lead();
    lead();
    assert_int_equal(keeper_logged("KF0651"), 1);
    assert_int_equal(rmdir(temp_in(f.folder, KF_LEADER_FILE)), 0);
    post_sample(BATCH, "session-part-1-start");
    keeper_pass(WINDOW);
    lead();
    assert_int_equal(f.out.count, 1);
}

static void test_shedding(void **state)
{
    char body[200];
    (void)state;
    f.process->store_limit = 16384;
    for (int i = 0; i < 20; i++) {
        snprintf(body, sizeof(body), "{\"mpid\":%d,\"events\":[{\"event_type\":\"opt_out\"}]}",
                 i + 1);
        keeper_post(&f, BATCH, kf_str_of(body));
        keeper_pass(KF_SEC);
    }
    lead();
    assert_int_equal(f.out.count + windows_open(), 20);
    assert_in_range(f.out.count, 5, 15);
    assert_int_equal(count_of(out(0), "\"mpid\":1,"), 1);
    assert_int_equal(keeper_logged("KF0653"), 1);
    assert_int_equal(counted(BATCH, KF_COUNT_WINDOWS_CLOSED), f.out.count);
    assert_int_equal(counted(BATCH, KF_COUNT_WINDOWS_SHED), f.out.count);
    lead();
    assert_int_equal(keeper_logged("KF0653"), 1);
    assert_int_equal(gauge(BATCH, KF_GAUGE_WINDOWS), windows_open());
    assert_true(gauge(BATCH, KF_GAUGE_OLDEST_WINDOW) >= KF_SEC);
    assert_int_equal(gauge(SESSION, KF_GAUGE_WINDOWS), 0);
}

static void test_replay(void **state)
{
    kf_record_t *r = kf_record_create(PLAIN, KF_STR("k"), KF_STR("{}"));
    kf_dead_entry_t entry = {.record = r, .reason = KF_DEAD_REFUSED, .failed_us = 1};
    kf_dead_selection_t all = {.all = true};
    uint64_t n = 0;
    (void)state;
    assert_int_equal(kf_deadletters_add(f.config.letters, &entry, 1), KF_INDEX_OK);
    lead();
    assert_int_equal(f.out.count, 0);
    assert_int_equal(gauge(PLAIN, KF_GAUGE_DEAD_LETTERS), 1);
    assert_int_equal(gauge(PLAIN, KF_GAUGE_DEAD_LETTER_BYTES), 3);
    assert_int_equal(kf_deadletters_mark(f.config.letters, &all, &n), KF_INDEX_OK);
    f.answer = KF_FULL;
    lead();
    assert_true(kf_deadletters_bytes(f.config.letters) > 0);
    f.answer = KF_ACCEPTED;
    lead();
    assert_int_equal(f.out.count, 1);
    assert_int_equal(kf_deadletters_bytes(f.config.letters), 0);
    assert_int_equal(counted(PLAIN, KF_COUNT_REPLAYED), 1);
    lead();
    assert_int_equal(gauge(PLAIN, KF_GAUGE_DEAD_LETTERS), 0);
    kf_record_free(r);
}

static void test_usage_is_measured(void **state)
{
    (void)state;
    post_sample(BATCH, "session-part-1-start");
    lead();
    assert_true(kf_usage_of(f.usage, BATCH) > 500);
    assert_int_equal(gauge(BATCH, KF_GAUGE_CONNECTION_STORE_BYTES), kf_usage_of(f.usage, BATCH));
    assert_int_equal(kf_metrics_server(f.config.metrics, KF_SERVER_STORE_BYTES),
                     kf_usage_total(f.usage));
    assert_int_equal(kf_metrics_server(f.config.metrics, KF_SERVER_STORE_LIMIT),
                     f.process->store_limit);
    assert_int_equal(kf_usage_of(f.usage, PLAIN), 0);
}

static void close_one(int connection)
{
    kf_window_t window;
    assert_int_equal(kf_windows_begin(f.config.windows), KF_INDEX_OK);
    assert_int_equal(
        kf_windows_due(f.config.windows, (uint16_t)connection, kf_wall_us(), &window, 1), 1);
    kf_windows_remove(f.config.windows, &window, 1);
    assert_int_equal(kf_windows_commit(f.config.windows), KF_INDEX_OK);
}

/* Filing waits for closing while that gets on, and no longer. */
static void test_closing_goes_first(void **state)
{
    kf_closing_first_t *first = kf_closing_first_create(&f.config);
    char body[80];
    (void)state;
    f.timing.due_max = 2;
    for (int i = 1; i <= 4; i++) {
        int n = snprintf(body, sizeof body,
                         "{\"mpid\":%d,\"events\":[{\"event_type\":\"opt_out\"}]}", i);
        keeper_post(&f, BATCH, (kf_str_t){body, (size_t)n});
    }
    assert_false(kf_closing_first(first));
    keeper_pass(WINDOW);
    assert_true(kf_closing_first(first));
    assert_false(kf_closing_first(first));
    close_one(BATCH);
    assert_true(kf_closing_first(first));
    close_one(BATCH);
    assert_false(kf_closing_first(first));
    lead();
    assert_int_equal(windows_open(), 0);
    assert_false(kf_closing_first(first));
    kf_closing_first_free(first);
}

/* ---- the thread ---- */

static void test_thread(void **state)
{
    kf_record_list_t records = {.count = 0};
    const char *error = NULL;
    (void)state;
    kf_clock_set_source(NULL);
    f.timing.settle_us = 0;
    keeper_set(&f, BATCH, "KinesisBatchWindow", "100ms");
    keeper_accept(&f, BATCH, KF_STR("{\"mpid\":1,\"events\":[{\"event_type\":\"opt_out\"}]}"),
                  &records);
    kf_keeper_t *keeper = kf_keeper_start(&f.config, &error);
    assert_non_null(keeper);
    kf_keeper_file(keeper, &records);
    assert_int_equal(records.count, 0);
    for (int64_t until = kf_mono_us() + patient(20 * KF_SEC);
         __atomic_load_n(&f.put, __ATOMIC_ACQUIRE) == 0 && kf_mono_us() < until;) {
        kf_keeper_poke(keeper);
        sched_yield();
    }
    assert_int_equal(f.put, 1);
    kf_keeper_retire(keeper);
    kf_keeper_stop(keeper);
    assert_true(f.told > 0);
    keeper_accept(&f, BATCH, KF_STR("{\"mpid\":1,\"events\":[]}"), &records);
    kf_keeper_file(keeper, &records);
    assert_int_equal(f.given_back.count, 1);
    kf_keeper_free(keeper);
    assert_int_equal(f.filed, 1);
    assert_int_equal(f.out.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_session_leaves_once),
        TEST(test_sessions_out_of_order),
        TEST(test_two_sessions_in_one_upload),
        TEST(test_sessionless_leaves_at_once),
        TEST(test_batch_window),
        TEST(test_no_device_leaves_at_once),
        TEST(test_filters_count_at_closing),
        TEST(test_filed_twice_counts_once),
        TEST(test_repeated_events_are_cut_out),
        TEST(test_filed_counts_once_after_its_window),
        TEST(test_filed_counts_once_after_two_deaths),
        TEST(test_rolled_back_is_filed_again),
        TEST(test_crash_between_append_and_removal),
        TEST(test_late_upload_after_a_crash_in_closing),
        TEST(test_crash_between_append_and_done),
        TEST(test_full_store_closes_later),
        TEST(test_full_share_holds_up_its_own),
        TEST(test_index_busy),
        TEST(test_broken_windows_hold_up_their_own),
        TEST(test_what_has_left_does_not_leave_again),
        TEST(test_no_place_for_a_dead_letter),
        TEST(test_given_back_at_the_end),
        TEST(test_damaged_upload),
        TEST(test_unreadable_window_holds_up_nobody),
        TEST(test_windowed_no_more),
        TEST(test_windows_survive_a_restart),
        TEST(test_one_leads),
        TEST(test_no_leader_file),
        TEST(test_shedding),
        TEST(test_replay),
        TEST(test_usage_is_measured),
        TEST(test_closing_goes_first),
        TEST(test_thread),
    };
    apr_initialize();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
