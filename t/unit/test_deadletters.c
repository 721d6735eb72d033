/* SPDX-License-Identifier: Apache-2.0
 *
 * The dead letters: what is kept of a record, lists, marking, sending again, discarding, sums.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_deadletters.h"
#include "delivery/kf_index_int.h"
#include "temp_store.h"

#define MANY 1203 /* more than two pieces of a large change */

static const char *const names[] = {"one", "two"};

typedef struct {
    char *top;
    kf_index_t *index;
    kf_deadletters_t *l;
} fixture_t;

static void keep(kf_level_t level, const char *line)
{
    (void)level;
    (void)line;
}

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    char error[KF_INDEX_ERROR_MAX];

    f->top = temp_make();
    kf_index_config_t config = {.directory = f->top, .durability = KF_DURABILITY_DISK};
    f->index = kf_index_open(&config, error);
    assert_non_null(f->index);
    f->l = kf_deadletters_open(f->index, names, 2);
    assert_non_null(f->l);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;

    kf_deadletters_close(f->l);
    kf_deadletters_close(NULL);
    kf_index_close(f->index);
    temp_done(f->top);
    free(f);
    return 0;
}

static kf_record_t *record(uint16_t connection, const char *key, const char *data)
{
    kf_record_t *r = kf_record_create(connection, kf_str_of(key), kf_str_of(data));

    assert_non_null(r);
    r->accepted_us = 1700000000123456;
    r->attempts = 3;
    r->events = 7;
    return r;
}

static void add(kf_deadletters_t *l, uint16_t connection, const char *key, const char *data,
                kf_dead_reason_t reason)
{
    kf_record_t *r = record(connection, key, data);
    kf_dead_entry_t entry = {.record = r, .reason = reason, .failed_us = 1700000001000000};

    assert_int_equal(kf_deadletters_add(l, &entry, 1), KF_INDEX_OK);
    kf_record_free(r);
}

static void add_many(kf_deadletters_t *l, uint16_t connection, uint32_t n)
{
    kf_record_t *r = record(connection, "k", "data");
    kf_dead_entry_t *entries = calloc(n, sizeof *entries);

    for (uint32_t i = 0; i < n; i++)
        entries[i] = (kf_dead_entry_t){.record = r, .reason = KF_DEAD_REFUSED, .failed_us = 1};
    assert_int_equal(kf_deadletters_add(l, entries, n), KF_INDEX_OK);
    free(entries);
    kf_record_free(r);
}

/* ---- reading ---- */

typedef struct {
    char text[4000];
    size_t n;
    uint32_t stop_after;
    uint32_t count;
} heard_t;

static bool hear(void *context, const kf_dead_letter_t *l)
{
    heard_t *h = context;

    assert_int_equal(l->data.p != NULL || l->data_bytes == 0, l->data.n > 0 || l->data_bytes == 0);
    h->n += (size_t)snprintf(h->text + h->n, sizeof h->text - h->n, "%d%s%s%.*s ", (int)l->id,
                             l->connection, l->replay ? "!" : "", (int)l->data.n,
                             l->data.p ? l->data.p : "");
    return ++h->count != h->stop_after;
}

static const char *heard(kf_deadletters_t *l, kf_dead_filter_t filter)
{
    static heard_t h;

    memset(&h, 0, sizeof h);
    assert_int_equal(kf_deadletters_list(l, &filter, hear, &h), KF_INDEX_OK);
    return h.text;
}

static bool check_all(void *context, const kf_dead_letter_t *l)
{
    assert_int_equal(l->id, 1);
    assert_string_equal(l->connection, "two");
    assert_string_equal(l->reason, "refused");
    assert_string_equal(l->code, "InvalidArgumentException");
    assert_string_equal(l->message, "because\x1b of \xff this");
    assert_string_equal(l->request_id, "1234");
    assert_int_equal(l->attempts, 3);
    assert_int_equal(l->accepted_us, 1700000000123456);
    assert_int_equal(l->failed_us, 1700000001000000);
    assert_int_equal(l->kind, KF_RECORD_AUDIENCE);
    assert_int_equal(l->events, 7);
    assert_false(l->replay);
    assert_int_equal(l->data_bytes, 5);
    assert_true(kf_str_eq(l->key, KF_STR("key")));
    assert_true(kf_str_eq(l->data, KF_STR("a\0b\xff\n")));
    *(bool *)context = true;
    return true;
}

static void test_keeps_all(void **state)
{
    kf_deadletters_t *l = ((fixture_t *)*state)->l;
    kf_record_t *r = kf_record_create(1, KF_STR("key"), KF_STR("a\0b\xff\n"));
    bool seen = false;

    r->accepted_us = 1700000000123456;
    r->attempts = 3;
    r->events = 7;
    r->kind = KF_RECORD_AUDIENCE;
    kf_dead_entry_t entry = {.record = r,
                             .reason = KF_DEAD_REFUSED,
                             .code = "InvalidArgumentException",
                             .message = "because\x1b of \xff this",
                             .request_id = "1234",
                             .failed_us = 1700000001000000};
    assert_int_equal(kf_deadletters_add(l, &entry, 1), KF_INDEX_OK);
    kf_record_free(r);
    assert_int_equal(kf_deadletters_get(l, 1, check_all, &seen), KF_INDEX_OK);
    assert_true(seen);
    assert_int_equal(kf_deadletters_get(l, 2, check_all, &seen), KF_INDEX_NONE);
    assert_int_equal(kf_deadletters_get(l, -1, check_all, &seen), KF_INDEX_NONE);
    assert_string_equal(kf_dead_reason_text(KF_DEAD_TOO_LARGE), "too-large");
    assert_string_equal(kf_dead_reason_text(KF_DEAD_TOO_OLD), "too-old");
}

static void test_lists(void **state)
{
    kf_deadletters_t *l = ((fixture_t *)*state)->l;
    heard_t h = {.stop_after = 2};

    assert_string_equal(heard(l, (kf_dead_filter_t){0}), "");
    add(l, 0, "", "a", KF_DEAD_REFUSED);
    add(l, 1, "", "b", KF_DEAD_TOO_OLD);
    add(l, 0, "", "", KF_DEAD_TOO_LARGE);
    add(l, 0, "", "d", KF_DEAD_REFUSED);
    assert_string_equal(heard(l, (kf_dead_filter_t){0}), "1one 2two 3one 4one ");
    assert_string_equal(heard(l, (kf_dead_filter_t){.with_data = true}), "1onea 2twob 3one 4oned ");
    assert_string_equal(heard(l, (kf_dead_filter_t){.connection = "one", .newest_first = true}),
                        "4one 3one 1one ");
    assert_string_equal(heard(l, (kf_dead_filter_t){.connection = "one", .after = 1}),
                        "3one 4one ");
    assert_string_equal(heard(l, (kf_dead_filter_t){.connection = "none"}), "");
    assert_string_equal(heard(l, (kf_dead_filter_t){.after = 1, .before = 4}), "2two 3one ");
    assert_string_equal(heard(l, (kf_dead_filter_t){.newest_first = true, .before = 4, .limit = 2}),
                        "3one 2two ");
    assert_int_equal(kf_deadletters_list(l, &(kf_dead_filter_t){0}, hear, &h), KF_INDEX_OK);
    assert_int_equal(h.count, 2);
}

/* ---- sums ---- */

static void sum(void *context, const kf_dead_totals_t *t)
{
    kf_dead_totals_t *totals = context;

    if (strcmp(t->connection, totals->connection) == 0) {
        const char *name = totals->connection;
        *totals = *t;
        totals->connection = name;
    }
}

static kf_dead_totals_t totals_of(kf_deadletters_t *l, const char *name)
{
    kf_dead_totals_t totals = {.connection = name};

    assert_int_equal(kf_deadletters_totals(l, sum, &totals), KF_INDEX_OK);
    return totals;
}

static void test_sums(void **state)
{
    kf_deadletters_t *l = ((fixture_t *)*state)->l;
    uint64_t n;

    assert_int_equal(kf_deadletters_bytes(l), 0);
    add(l, 0, "key", "data", KF_DEAD_REFUSED);
    add(l, 0, "", "more data", KF_DEAD_REFUSED);
    add(l, 1, "k", "d", KF_DEAD_REFUSED);
    assert_int_equal(kf_deadletters_bytes(l), 18);
    kf_dead_totals_t t = totals_of(l, "one");
    assert_int_equal(t.letters, 2);
    assert_int_equal(t.bytes, 16);
    assert_int_equal(t.marked, 0);
    assert_int_equal(t.oldest_us, 1700000001000000);
    int64_t ids[] = {1, 77, 1, 3};
    assert_int_equal(kf_deadletters_mark(l, &(kf_dead_selection_t){.ids = ids, .id_count = 4}, &n),
                     KF_INDEX_OK);
    assert_int_equal(n, 3);
    assert_int_equal(totals_of(l, "one").marked, 1);
    assert_int_equal(totals_of(l, "two").marked, 1);
    assert_int_equal(
        kf_deadletters_discard(l, &(kf_dead_selection_t){.ids = ids, .id_count = 4}, &n),
        KF_INDEX_OK);
    assert_int_equal(n, 2);
    t = totals_of(l, "one");
    assert_int_equal(t.letters, 1);
    assert_int_equal(t.marked, 0);
    assert_int_equal(t.bytes, 9);
    assert_int_equal(totals_of(l, "two").letters + totals_of(l, "two").bytes, 0);
    assert_int_equal(totals_of(l, "two").oldest_us, 0);
    /* Ids are never given again. */
    add(l, 1, "", "x", KF_DEAD_REFUSED);
    assert_string_equal(heard(l, (kf_dead_filter_t){0}), "2one 4two ");
}

static void test_many(void **state)
{
    kf_deadletters_t *l = ((fixture_t *)*state)->l;
    uint64_t n;

    add_many(l, 0, MANY);
    add_many(l, 1, 2);
    assert_int_equal(kf_deadletters_mark(l, &(kf_dead_selection_t){0}, &n), KF_INDEX_OK);
    assert_int_equal(n, 0);
    assert_int_equal(kf_deadletters_mark(l, &(kf_dead_selection_t){.connection = "two"}, &n),
                     KF_INDEX_OK);
    assert_int_equal(n, 2);
    assert_int_equal(totals_of(l, "one").marked, 0);
    assert_int_equal(kf_deadletters_mark(l, &(kf_dead_selection_t){.all = true}, &n), KF_INDEX_OK);
    assert_int_equal(n, MANY + 2);
    assert_int_equal(totals_of(l, "one").marked, MANY);
    assert_int_equal(totals_of(l, "two").marked, 2);
    assert_int_equal(kf_deadletters_discard(l, &(kf_dead_selection_t){.connection = "one"}, &n),
                     KF_INDEX_OK);
    assert_int_equal(n, MANY);
    assert_int_equal(totals_of(l, "one").letters, 0);
    assert_int_equal(kf_deadletters_discard(l, &(kf_dead_selection_t){.connection = "one"}, &n),
                     KF_INDEX_OK);
    assert_int_equal(n, 0);
    assert_int_equal(kf_deadletters_discard(l, &(kf_dead_selection_t){.all = true}, &n),
                     KF_INDEX_OK);
    assert_int_equal(n, 2);
    assert_int_equal(kf_deadletters_bytes(l), 0);
}

/* ---- sending again ---- */

typedef struct {
    char text[4000];
    bool refuse, keep_none;
    int64_t now;
} journal_t;

static bool append(void *context, kf_record_list_t *records)
{
    journal_t *j = context;
    size_t n = strlen(j->text);

    for (kf_record_t *r = records->first; r; r = r->next) {
        assert_int_equal(r->attempts, 0);
        assert_int_equal(r->held_us, 0);
        assert_true(r->accepted_us >= j->now);
        assert_int_equal(r->events, 7);
        n += (size_t)snprintf(j->text + n, sizeof j->text - n, "%d:%.*s:%.*s%s ", r->connection,
                              (int)r->key_bytes, r->bytes, (int)r->data_bytes,
                              r->bytes + r->key_bytes, r->too_large ? "!" : "");
    }
    if (j->keep_none)
        kf_record_list_clear(records);
    return !j->refuse;
}

static void test_replay(void **state)
{
    kf_deadletters_t *l = ((fixture_t *)*state)->l;
    journal_t j = {.now = kf_wall_us()};
    uint32_t n;
    uint64_t marked;

    assert_int_equal(kf_deadletters_replay(l, 10, 1000, append, &j, &n), KF_INDEX_OK);
    assert_int_equal(n, 0);
    add(l, 1, "k", "b", KF_DEAD_REFUSED);
    add(l, 0, "", "a", KF_DEAD_TOO_LARGE);
    add(l, 0, "", "not marked", KF_DEAD_REFUSED);
    add(l, 0, "", "cccc", KF_DEAD_TOO_OLD);
    int64_t ids[] = {1, 2, 4};
    kf_deadletters_mark(l, &(kf_dead_selection_t){.ids = ids, .id_count = 3}, &marked);
    j.refuse = true;
    assert_int_equal(kf_deadletters_replay(l, 10, 1000, append, &j, &n), KF_INDEX_OK);
    assert_int_equal(n, 0);
    assert_string_equal(j.text, "0::a! 0::cccc 1:k:b ");
    assert_int_equal(totals_of(l, "one").marked, 2);
    j.refuse = false;
    j.text[0] = '\0';
    /* One at least, then until the bytes are full; the records may be taken off the list. */
    j.keep_none = true;
    assert_int_equal(kf_deadletters_replay(l, 10, 1, append, &j, &n), KF_INDEX_OK);
    assert_int_equal(n, 1);
    assert_int_equal(kf_deadletters_replay(l, 1, 1000, append, &j, &n), KF_INDEX_OK);
    assert_int_equal(n, 1);
    j.keep_none = false;
    assert_int_equal(kf_deadletters_replay(l, 10, 1000, append, &j, &n), KF_INDEX_OK);
    assert_int_equal(n, 1);
    assert_string_equal(j.text, "0::a! 0::cccc 1:k:b ");
    assert_string_equal(heard(l, (kf_dead_filter_t){0}), "3one ");
    assert_int_equal(totals_of(l, "two").letters, 0);
}

static void test_replay_of_what_is_gone(void **state)
{
    fixture_t *f = *state;
    static const char *const other[] = {"three", "two"};
    journal_t j = {.now = kf_wall_us()};
    uint64_t marked;
    uint32_t n;

    add(f->l, 0, "", "a", KF_DEAD_REFUSED);
    add(f->l, 1, "", "b", KF_DEAD_REFUSED);
    kf_deadletters_mark(f->l, &(kf_dead_selection_t){.all = true}, &marked);
    kf_deadletters_close(f->l);
    f->l = kf_deadletters_open(f->index, other, 2);
    assert_int_equal(kf_deadletters_replay(f->l, 10, 1000, append, &j, &n), KF_INDEX_OK);
    assert_string_equal(j.text, "1::b ");
    assert_string_equal(heard(f->l, (kf_dead_filter_t){0}), "1one! ");
}

static void test_full(void **state)
{
    fixture_t *f = *state;
    static char big[200000];

    add(f->l, 0, "", "a", KF_DEAD_REFUSED);
    memset(big, 'x', sizeof big - 1);
    kf_record_t *small = record(0, "", "b"), *large = record(0, "", big);
    kf_dead_entry_t entries[] = {{.record = small}, {.record = large}, {.record = small}};
    sqlite3_exec(kf_index_db(f->index), "PRAGMA max_page_count=1", NULL, NULL, NULL);
    assert_int_equal(kf_deadletters_add(f->l, entries, 3), KF_INDEX_FULL);
    assert_int_equal(kf_deadletters_bytes(f->l), 1);
    sqlite3_exec(kf_index_db(f->index), "PRAGMA max_page_count=100000", NULL, NULL, NULL);
    assert_int_equal(kf_deadletters_add(f->l, entries, 3), KF_INDEX_OK);
    assert_int_equal(kf_deadletters_bytes(f->l), sizeof big - 1 + 3);
    kf_record_free(small);
    kf_record_free(large);
}

/* No statement may look at every row of a table that grows: with a million of them that would be the
 * end of it. */
static void test_plans(void **state)
{
    static const char *const small[] = {"_total", "SCAN CONSTANT ROW", "SCAN 1 ", "(subquery-"};
    sqlite3 *db = kf_index_db(((fixture_t *)*state)->index);
    int count = 0;

    for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(db, s)) != NULL; count++) {
        char text[2000];
        sqlite3_stmt *plan;
        snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sqlite3_sql(s));
        if (strncmp(sqlite3_sql(s), "EXPLAIN", 7) == 0)
            continue;
        assert_int_equal(sqlite3_prepare_v2(db, text, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(plan, 3);
            bool scans = strncmp(step, "SCAN", 4) == 0;
            for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
                scans = scans && !strstr(step, small[i]);
            if (scans || strstr(step, "TEMP B-TREE")) {
                print_message("%s\n%s\n", sqlite3_sql(s), step);
                fail();
            }
        }
        sqlite3_finalize(plan);
    }
    assert_true(count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keeps_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replay_of_what_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plans, set_up, tear_down),
    };

    kf_log_set_sink(keep);
    return cmocka_run_group_tests_name("deadletters", tests, NULL, NULL);
}
