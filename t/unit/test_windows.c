/* SPDX-License-Identifier: Apache-2.0
 *
 * The windows: filing, repeats, sessions' ends and starts, bounds, closing, making room, two processes
 * at once, a crash. Plans are made by hand here; the planner has tests of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_index_int.h"
#include "delivery/kf_seen.h"
#include "delivery/kf_windows.h"
#include "temp_store.h"

#define IDS_MAX 400

static const char *const names[] = {"one", "two"};
static kf_window_rules_t rules[2];

typedef struct {
    char *top;
    kf_index_t *index;
    kf_windows_t *w;
} fixture_t;

static char logged[4096];

static void keep(kf_level_t level, const char *line)
{
    (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

static void open_windows(fixture_t *f, pthread_mutex_t *lock)
{
    static const kf_windows_config_t config = {names, rules, 2};
    kf_index_config_t index = {
        .directory = f->top, .durability = KF_DURABILITY_MEMORY, .lock = lock};
    char error[KF_INDEX_ERROR_MAX];

    f->index = kf_index_open(&index, error);
    assert_non_null(f->index);
    f->w = kf_windows_open(f->index, &config);
    assert_non_null(f->w);
}

static void close_windows(fixture_t *f)
{
    kf_windows_close(f->w);
    kf_index_close(f->index);
}

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);

    for (int i = 0; i < 2; i++)
        rules[i] = (kf_window_rules_t){.limits = {.window_us = 600 * KF_SEC,
                                                  .timeout_us = 2100 * KF_SEC,
                                                  .grace_us = 5 * KF_SEC},
                                       .max_bytes = 1000000,
                                       .max_events = 5000};
    f->top = temp_make();
    open_windows(f, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;

    close_windows(f);
    temp_done(f->top);
    free(f);
    return 0;
}

/* ---- parts by hand ---- */

typedef struct {
    uint16_t connection;
    const char *device, *session, *user; /* session NULL: a batch's window */
    int64_t at;                          /* seconds */
    const char *text, *request;
    const char *ids[8];
    bool starts, ends;
    uint8_t began;
    int64_t began_at;
} filing_t;

typedef struct {
    bool put;
    bool repeated[8];
    uint32_t left;
} filed_t;

static void make_part(const filing_t *f, kf_window_part_t *part, kf_window_filing_t *out)
{
    memset(part, 0, sizeof *part);
    size_t n =
        (size_t)snprintf(part->key, sizeof part->key, "%c[%s]", f->session ? 'S' : 'B', f->device);
    out->device = (kf_str_t){part->key, n};
    n +=
        (size_t)snprintf(part->key + n, sizeof part->key - n, "[%s]", f->session ? f->session : "");
    part->scope_bytes = n;
    n += (size_t)snprintf(part->key + n, sizeof part->key - n, "[%s]", f->user ? f->user : "");
    part->key_bytes = n;
    part->starts = f->starts;
    part->ends = f->ends;
    part->began = f->began;
    part->began_us = f->began_at * KF_SEC;
    out->part = part;
    out->connection = f->connection;
    out->kind = f->session ? KF_WINDOW_SESSION : KF_WINDOW_BATCH;
    out->request_id = kf_str_of(f->request);
    out->received_us = f->at * KF_SEC;
}

/* Within a transaction. */
static filed_t put(kf_windows_t *w, const filing_t *f)
{
    kf_window_part_t part;
    kf_window_filing_t filing = {0};
    kf_str_t ids[8];
    filed_t filed = {.put = false};

    make_part(f, &part, &filing);
    for (int i = 0; i < 8 && f->ids[i]; i++) {
        ids[i] = kf_str_of(f->ids[i]);
        filing.event_count++;
    }
    filing.event_ids = ids;
    filed.put = kf_windows_look(w, &filing, filed.repeated);
    for (uint32_t i = 0; i < filing.event_count; i++)
        filed.left += !filed.repeated[i];
    if (filed.put)
        kf_windows_put(w, &filing, kf_str_of(f->text ? f->text : "{}"), filed.repeated, filed.left);
    return filed;
}

static filed_t file(kf_windows_t *w, filing_t f)
{
    assert_int_equal(kf_windows_begin(w), KF_INDEX_OK);
    filed_t filed = put(w, &f);
    assert_int_equal(kf_windows_commit(w), KF_INDEX_OK);
    return filed;
}

/* What would be closed at a time: texts of each window in a pair of brackets; closes it if told so. */
static const char *due(kf_windows_t *w, uint16_t connection, int64_t at, bool close)
{
    static char text[20000];
    kf_window_t list[64];
    size_t ends[512], n = 0;
    kf_buf_t texts;

    text[0] = '\0';
    kf_buf_init(&texts, 1 << 20);
    assert_int_equal(kf_windows_begin(w), KF_INDEX_OK);
    uint32_t count = kf_windows_due(w, connection, at * KF_SEC, list, 64);
    for (uint32_t i = 0; i < count; i++) {
        kf_buf_clear(&texts);
        assert_true(list[i].uploads <= 512);
        assert_int_equal(kf_windows_read(w, &list[i], &texts, ends), list[i].uploads);
        assert_int_equal(texts.n, list[i].bytes);
        assert_int_equal(list[i].connection, connection);
        n += (size_t)snprintf(text + n, sizeof text - n, "(");
        for (uint32_t u = 0; u < list[i].uploads; u++) {
            size_t start = u ? ends[u - 1] : 0;
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", u ? "," : "",
                                  (int)(ends[u] - start), texts.p + start);
        }
        n += (size_t)snprintf(text + n, sizeof text - n, ")");
    }
    if (close) {
        kf_windows_remove(w, list, count);
        assert_int_equal(kf_windows_commit(w), KF_INDEX_OK);
    } else {
        kf_windows_rollback(w);
    }
    kf_buf_free(&texts);
    return text;
}

static void add_totals(void *context, const kf_window_totals_t *t)
{
    kf_window_totals_t *totals = context;

    if (strcmp(t->name, totals->name) == 0) {
        const char *name = totals->name;
        *totals = *t;
        totals->name = name;
    }
}

static kf_window_totals_t totals_of(kf_windows_t *w, const char *name)
{
    kf_window_totals_t totals = {.name = name, .connection = -2};

    assert_int_equal(kf_windows_totals(w, add_totals, &totals), KF_INDEX_OK);
    return totals;
}

static int64_t rows(fixture_t *f)
{
    sqlite3_stmt *s;
    int64_t n;

    sqlite3_prepare_v2(kf_index_db(f->index),
                       "SELECT (SELECT count(*) FROM window) + (SELECT count(*) FROM upload) +"
                       " (SELECT count(*) FROM seen)",
                       -1, &s, NULL);
    sqlite3_step(s);
    n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* ---- batches ---- */

/* Children file what they took at their own pace. */
static void test_uploads_are_in_the_order_of_their_coming(void **state)
{
    fixture_t *f = *state;
    kf_windows_t *w = f->w;

    file(w, (filing_t){.device = "d", .user = "u", .at = 1003, .text = "third"});
    file(w, (filing_t){.device = "d", .user = "u", .at = 1001, .text = "first"});
    file(w, (filing_t){.device = "d", .user = "u", .at = 1004, .text = "fourth"});
    file(w, (filing_t){.device = "d", .user = "u", .at = 1004, .text = "fifth"});
    file(w, (filing_t){.device = "d", .user = "u", .at = 1002, .text = "second"});
    assert_string_equal(due(w, 0, 9999, true), "(first,second,third,fourth,fifth)");
    assert_int_equal(rows(f), 0);
}

static void test_batch(void **state)
{
    fixture_t *f = *state;
    kf_windows_t *w = f->w;

    file(w, (filing_t){.device = "d", .user = "u", .at = 1000, .text = "a"});
    file(w, (filing_t){.device = "d", .user = "v", .at = 1100, .text = "other user"});
    file(w, (filing_t){.device = "d", .user = "u", .at = 1599, .text = "b"});
    file(w,
         (filing_t){.connection = 1, .device = "d", .user = "u", .at = 1000, .text = "elsewhere"});
    assert_string_equal(due(w, 0, 1599, false), "");
    assert_string_equal(due(w, 0, 1600, false), "(a,b)");
    assert_string_equal(due(w, 0, 1700, false), "(a,b)(other user)");
    assert_string_equal(due(w, 1, 1700, false), "(elsewhere)");
    /* What comes when the window is due opens another, though nobody has closed the first yet. */
    file(w, (filing_t){.device = "d", .user = "u", .at = 1600, .text = "c"});
    assert_string_equal(due(w, 0, 1600, false), "(a,b)");
    assert_string_equal(due(w, 0, 2200, false), "(a,b)(other user)(c)");
    kf_window_totals_t t = totals_of(w, "one");
    assert_int_equal(t.connection, 0);
    assert_int_equal(t.windows, 3);
    assert_int_equal(t.sealed, 1);
    assert_int_equal(t.uploads, 4);
    assert_int_equal(t.bytes, 3 * KF_WINDOW_EXTRA + 4 * KF_WINDOW_UPLOAD_EXTRA + 13);
    assert_int_equal(t.bytes - t.open_bytes, KF_WINDOW_EXTRA + 2 * KF_WINDOW_UPLOAD_EXTRA + 2);
    assert_int_equal(t.oldest_us, 1100 * KF_SEC);
    assert_string_equal(due(w, 0, 1700, true), "(a,b)(other user)");
    assert_string_equal(due(w, 0, 9999, true), "(c)");
    assert_string_equal(due(w, 1, 9999, true), "(elsewhere)");
    t = totals_of(w, "one");
    assert_int_equal(t.windows + t.sealed + t.uploads + t.bytes + t.open_bytes, 0);
    assert_int_equal(t.oldest_us, 0);
    assert_int_equal(totals_of(w, "none").connection, -2);
    assert_int_equal(rows(f), 0);
}

static void test_message_ids(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;
    kf_window_t list[3], again[3];

    file(w, (filing_t){.device = "a", .at = 1});
    file(w, (filing_t){.device = "b", .at = 2});
    file(w, (filing_t){.device = "b", .at = 3});
    kf_windows_begin(w);
    assert_int_equal(kf_windows_due(w, 0, 9999 * KF_SEC, list, 3), 2);
    kf_windows_rollback(w);
    kf_windows_begin(w);
    assert_int_equal(kf_windows_due(w, 0, 9999 * KF_SEC, again, 1), 1);
    kf_windows_rollback(w);
    assert_int_equal(strlen(list[0].message_id), KF_WINDOW_MESSAGE_ID_BYTES);
    assert_string_not_equal(list[0].message_id, list[1].message_id);
    assert_string_equal(list[0].message_id, again[0].message_id);
    assert_int_equal(list[1].uploads, 2);
    assert_int_equal(list[1].opened_us, 2 * KF_SEC);
    assert_int_equal(list[1].last_us, 3 * KF_SEC);
    assert_int_equal(list[1].due_us, 602 * KF_SEC);
    assert_int_equal(list[1].kind, KF_WINDOW_BATCH);
    assert_false(list[1].sealed);
}

static void test_bounds(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;

    rules[0].max_bytes = 10;
    rules[0].max_events = 3;
    file(w, (filing_t){.device = "d", .at = 1, .text = "12345"});
    file(w, (filing_t){.device = "d", .at = 2, .text = "6789"});
    assert_string_equal(due(w, 0, 2, false), "");
    file(w, (filing_t){.device = "d", .at = 3, .text = "ab"});
    assert_string_equal(due(w, 0, 3, true), "(12345,6789)");
    /* Exactly full is full; so is what is too long by itself. */
    file(w, (filing_t){.device = "d", .at = 4, .text = "cdefghij"});
    assert_string_equal(due(w, 0, 4, true), "(ab,cdefghij)");
    file(w, (filing_t){.device = "d", .at = 5, .text = "much more than there is room for"});
    assert_string_equal(due(w, 0, 5, true), "(much more than there is room for)");
    file(w, (filing_t){.device = "d", .at = 6, .text = "1", .ids = {"a", "b"}});
    file(w, (filing_t){.device = "d", .at = 7, .text = "2", .ids = {"c", "d"}});
    assert_string_equal(due(w, 0, 7, true), "(1)");
    file(w, (filing_t){.device = "d", .at = 8, .text = "3", .ids = {"e"}});
    assert_string_equal(due(w, 0, 8, true), "(2,3)");
}

/* ---- repeats ---- */

static void test_repeats(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;
    filing_t first = {
        .device = "d", .at = 1, .text = "1", .request = "r", .ids = {"a", "", "b", "a"}};
    filed_t filed = file(w, first);

    assert_true(filed.put);
    assert_false(filed.repeated[0] || filed.repeated[1] || filed.repeated[2]);
    assert_true(filed.repeated[3]);
    assert_false(file(w, first).put);
    first.request = "s";
    filed = file(w, first);
    assert_true(filed.put);
    assert_true(filed.repeated[0] && filed.repeated[2] && filed.repeated[3]);
    assert_false(filed.repeated[1]);
    /* An event named as a request is neither. */
    filed = file(w, (filing_t){.device = "d", .at = 3, .text = "3", .request = "a", .ids = {"r"}});
    assert_true(filed.put);
    assert_false(filed.repeated[0]);
    /* Elsewhere, and in the next window, it is no repeat. */
    first.connection = 1;
    assert_false(file(w, first).repeated[0]);
    first.connection = 0;
    first.at = 601;
    filed = file(w, first);
    assert_true(filed.put);
    assert_false(filed.repeated[0]);
    assert_string_equal(due(w, 0, 601, false), "(1,1,3)");
    /* Within one transaction too. */
    first.device = "e";
    assert_int_equal(kf_windows_begin(w), KF_INDEX_OK);
    assert_true(put(w, &first).put);
    assert_false(put(w, &first).put);
    assert_int_equal(kf_windows_commit(w), KF_INDEX_OK);
}

/* More ids than a window's row holds. */
static void test_many_repeats(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;
    static char ids[IDS_MAX][40];

    for (int i = 0; i < IDS_MAX; i++) {
        snprintf(ids[i], sizeof ids[i], "%08d-89ab-cdef-0123-456789abcdef", i);
        if (i % 3 == 1)
            ids[i][12] = 'X';
        if (i % 3 == 2)
            snprintf(ids[i], sizeof ids[i], "%08d-89AB-CDEF-0123-456789ABCDEF", i);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i + 4 <= IDS_MAX; i += 4) {
            char request[32];
            snprintf(request, sizeof request, "%d %d", round, i);
            filed_t filed =
                file(w, (filing_t){.device = "d",
                                   .at = 1 + i,
                                   .text = "x",
                                   .request = request,
                                   .ids = {ids[i], ids[i + 1], ids[i + 2], ids[i + 3]}});
            assert_true(filed.put);
            assert_int_equal(filed.left, round == 0 ? 4 : 0);
        }
    }
    assert_false(file(w, (filing_t){.device = "d", .at = 300, .request = "0 0"}).put);
    assert_false(file(w, (filing_t){.device = "d", .at = 300, .request = "1 200"}).put);
    assert_int_equal(strlen(due(w, 0, 601, true)), 2 * IDS_MAX / 4 * 2 + 1);
    assert_int_equal(rows(*state), 0);
}

static void test_seen(void **state)
{
    static const char *const uuids[] = {"01234567-89ab-cdef-0123-456789abcdef",
                                        "01234567-89AB-CDEF-0123-456789ABCDEF",
                                        "01234567-89aB-cdef-0123-456789abcdef",
                                        "01234567-89ab-cdef-0123-456789abcdeg",
                                        "01234567089ab-cdef-0123-456789abcdef",
                                        "01234567-89ab-cdef-0123-456789abcde",
                                        "01234567-8901-2345-6789-012345678901",
                                        "x",
                                        ""};
    const size_t n = sizeof uuids / sizeof uuids[0];
    kf_seen_set_t set = {0};
    kf_str_t ids[9], form, rest;
    bool repeated[9];
    kf_buf_t list;

    (void)state;
    kf_buf_init(&list, 10000);
    for (size_t i = 0; i < n; i++) {
        ids[i] = kf_str_of(uuids[i]);
        size_t before = list.n;
        if (ids[i].n)
            kf_seen_put(&list, KF_SEEN_EVENT, ids[i]);
        if (i < 2 || i == 6)
            assert_int_equal(list.n - before, 17);
    }
    assert_true(kf_seen_set(&set, KF_STR("x"), ids, (uint32_t)n, repeated));
    for (size_t i = 0; i < n; i++)
        assert_false(repeated[i]);
    assert_false(kf_seen_mark(&set, kf_buf_str(&list), repeated));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(repeated[i], i < 8);
    /* A damaged list ends, and is not read beyond. */
    for (size_t cut = 0; cut < list.n; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, list.p, cut);
        rest = (kf_str_t){copy, cut};
        while (kf_seen_next(&rest, &form))
            assert_true(form.n > 0);
        free(copy);
    }
    kf_seen_free(&set);
    kf_seen_free(&set);
    kf_buf_free(&list);
}

/* ---- sessions ---- */

static void test_session(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;

    file(w, (filing_t){.device = "d", .session = "s", .user = "u", .at = 1000, .text = "a"});
    file(w, (filing_t){.device = "d", .session = "s", .user = "v", .at = 1500, .text = "b"});
    file(w, (filing_t){.device = "d", .session = "s", .user = "u", .at = 3000, .text = "c"});
    assert_string_equal(due(w, 0, 3599, false), "");
    assert_string_equal(due(w, 0, 3600, false), "(b)");
    /* The end is all users' of the session, and no other session's nor device's. */
    file(w, (filing_t){.device = "d", .session = "t", .at = 3100, .text = "other session"});
    file(w, (filing_t){.device = "dd", .session = "s", .at = 3100, .text = "other device"});
    file(w,
         (filing_t){.connection = 1, .device = "d", .session = "s", .at = 3100, .text = "other"});
    file(w, (filing_t){
                .device = "d", .session = "s", .user = "u", .at = 3200, .text = "d", .ends = true});
    assert_string_equal(due(w, 0, 3204, false), "");
    /* Stragglers join and put nothing off; a user's first part after the end is over as the others. */
    file(w, (filing_t){.device = "d", .session = "s", .user = "v", .at = 3203, .text = "e"});
    file(w, (filing_t){.device = "d", .session = "s", .user = "w", .at = 3203, .text = "f"});
    file(w, (filing_t){
                .device = "d", .session = "s", .user = "w", .at = 3204, .text = "g", .ends = true});
    assert_string_equal(due(w, 0, 3205, true), "(a,c,d)(b,e)(f,g)");
    /* Late ones make another batch. */
    file(w, (filing_t){.device = "d", .session = "s", .user = "u", .at = 3300, .text = "h"});
    assert_string_equal(due(w, 0, 3400, false), "");
    assert_string_equal(due(w, 0, 6000, true), "(other session)(other device)(h)");
    assert_string_equal(due(w, 1, 6000, true), "(other)");
    /* Opened by its end. */
    file(w, (filing_t){.device = "x", .session = "s", .at = 7000, .text = "i", .ends = true});
    assert_string_equal(due(w, 0, 7004, false), "");
    assert_string_equal(due(w, 0, 7005, true), "(i)");
    rules[0].limits.grace_us = 0;
    file(w, (filing_t){.device = "x", .session = "s", .at = 8000, .text = "j", .ends = true});
    assert_string_equal(due(w, 0, 8000, true), "(j)");
}

static void test_session_starts(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;

    file(w, (filing_t){.device = "d",
                       .session = "old",
                       .user = "u",
                       .at = 100,
                       .text = "a",
                       .began = KF_BEGAN_BY_FIELD,
                       .began_at = 90});
    file(w, (filing_t){.device = "d", .session = "unknown", .at = 101, .text = "b"});
    file(w, (filing_t){.device = "d",
                       .session = "later",
                       .at = 102,
                       .text = "c",
                       .began = KF_BEGAN_BY_FIELD,
                       .began_at = 102});
    file(w, (filing_t){.device = "e", .session = "old", .at = 103, .text = "other device"});
    file(w, (filing_t){.device = "d",
                       .session = "new",
                       .at = 104,
                       .text = "d",
                       .starts = true,
                       .began = KF_BEGAN_BY_START,
                       .began_at = 95});
    assert_string_equal(due(w, 0, 108, false), "");
    assert_string_equal(due(w, 0, 109, true), "(a)(b)");
    /* What is better known of a beginning counts: the field said 102, the start says 80. */
    file(w, (filing_t){.device = "d",
                       .session = "later",
                       .at = 110,
                       .text = "e",
                       .began = KF_BEGAN_BY_START,
                       .began_at = 80});
    file(w, (filing_t){.device = "d",
                       .session = "new",
                       .at = 111,
                       .text = "f",
                       .starts = true,
                       .began = KF_BEGAN_BY_START,
                       .began_at = 95});
    assert_string_equal(due(w, 0, 116, true), "(c,e)");
    /* An absolute age. */
    for (int64_t at = 111; at < 200000; at += 2000)
        file(w, (filing_t){.device = "d", .session = "new", .at = at, .text = "g"});
    assert_non_null(strstr(due(w, 0, 104 + 24 * 3600, false), "(d,f,g,"));
}

/* A device with more windows than an end looks at: the others end by themselves. */
static void test_too_many_others(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;
    kf_window_t list[400];
    char user[20];

    assert_int_equal(kf_windows_begin(w), KF_INDEX_OK);
    for (int i = 0; i < 300; i++) {
        snprintf(user, sizeof user, "%d", i);
        filing_t f = {.device = "d", .session = "s", .user = user, .at = 1};
        assert_true(put(w, &f).put);
    }
    assert_int_equal(kf_windows_commit(w), KF_INDEX_OK);
    file(w, (filing_t){.device = "d", .session = "s", .user = "x", .at = 2, .ends = true});
    kf_windows_begin(w);
    uint32_t n = kf_windows_due(w, 0, 7 * KF_SEC, list, 400);
    assert_true(n >= KF_WINDOW_OTHERS_MAX && n <= KF_WINDOW_OTHERS_MAX + 1);
    assert_int_equal(kf_windows_due(w, 0, 2101 * KF_SEC, list, 400), 301);
    kf_windows_rollback(w);
}

/* ---- room ---- */

static void test_shed(void **state)
{
    kf_windows_t *w = ((fixture_t *)*state)->w;
    const uint64_t each = KF_WINDOW_EXTRA + KF_WINDOW_UPLOAD_EXTRA + 1;
    const char *devices[] = {"a", "b", "c", "d"};

    for (int i = 0; i < 4; i++)
        file(w, (filing_t){.device = devices[i], .at = 1 + i, .text = devices[i]});
    file(w, (filing_t){.connection = 1, .device = "a", .at = 1, .text = "x"});
    assert_int_equal(kf_windows_begin(w), KF_INDEX_OK);
    assert_int_equal(kf_windows_shed(w, 0, 4 * each, 100), 0);
    assert_int_equal(kf_windows_shed(w, 0, 4 * each - 1, 100), 1);
    assert_int_equal(kf_windows_shed(w, 0, 2 * each + 1, 0), 0);
    assert_int_equal(kf_windows_shed(w, 0, 2 * each, 100), 1);
    assert_int_equal(kf_windows_shed(w, 0, 2 * each, 100), 0);
    assert_int_equal(kf_windows_commit(w), KF_INDEX_OK);
    /* Sealed ones count no more, though they are still there. */
    assert_int_equal(kf_windows_begin(w), KF_INDEX_OK);
    assert_int_equal(kf_windows_shed(w, 0, 2 * each, 100), 0);
    assert_int_equal(kf_windows_commit(w), KF_INDEX_OK);
    assert_int_equal(totals_of(w, "one").open_bytes, 2 * each);
    assert_int_equal(totals_of(w, "one").sealed, 2);
    assert_string_equal(due(w, 0, 5, true), "(a)(b)");
    assert_int_equal(totals_of(w, "one").sealed, 0);
    assert_int_equal(kf_windows_begin(w), KF_INDEX_OK);
    assert_int_equal(kf_windows_shed(w, 0, 0, 100), 2);
    assert_int_equal(kf_windows_shed(w, 0, 0, 100), 0);
    assert_int_equal(kf_windows_commit(w), KF_INDEX_OK);
    assert_int_equal(totals_of(w, "two").windows, 1);
}

/* ---- transactions, processes ---- */

static void test_rolled_back(void **state)
{
    fixture_t *f = *state;
    filing_t one = {.device = "d", .at = 1, .text = "a"};

    assert_int_equal(kf_windows_begin(f->w), KF_INDEX_OK);
    put(f->w, &one);
    kf_windows_rollback(f->w);
    assert_int_equal(rows(f), 0);
    assert_int_equal(totals_of(f->w, "one").windows, 0);
    /* A full disk: nothing of it, and the sums are right afterwards. */
    sqlite3_exec(kf_index_db(f->index), "PRAGMA max_page_count=1", NULL, NULL, NULL);
    static char big[100000];
    memset(big, 'x', sizeof big - 1);
    assert_int_equal(kf_windows_begin(f->w), KF_INDEX_OK);
    put(f->w, &one);
    filing_t two = {.device = "e", .at = 1, .text = big};
    put(f->w, &two);
    put(f->w, &one);
    assert_int_equal(kf_windows_commit(f->w), KF_INDEX_FULL);
    assert_int_equal(rows(f), 0);
    sqlite3_exec(kf_index_db(f->index), "PRAGMA max_page_count=100000", NULL, NULL, NULL);
    file(f->w, one);
    assert_int_equal(totals_of(f->w, "one").windows, 1);
    assert_int_equal(totals_of(f->w, "one").uploads, 1);
}

static void test_connection_is_gone(void **state)
{
    fixture_t *f = *state;
    static const char *const other[] = {"three", "one"};
    const kf_windows_config_t config = {other, rules, 2};

    file(f->w, (filing_t){.device = "d", .at = 1, .text = "a"});
    file(f->w, (filing_t){.connection = 1, .device = "d", .at = 1, .text = "b"});
    kf_windows_close(f->w);
    f->w = kf_windows_open(f->index, &config);
    assert_non_null(f->w);
    /* The order of the configuration makes no difference; windows of what is not in it stay. */
    assert_int_equal(totals_of(f->w, "one").connection, 1);
    assert_int_equal(totals_of(f->w, "two").connection, -1);
    assert_int_equal(totals_of(f->w, "two").windows, 1);
    assert_string_equal(due(f->w, 0, 9999, true), "");
    assert_string_equal(due(f->w, 1, 9999, true), "(a)");
    assert_int_equal(totals_of(f->w, "two").windows, 1);
}

#define FILERS 3
#define PARTS 200

/* Children file while others close: every part comes out once. */
static void file_parts(fixture_t *f, pthread_mutex_t *lock, int who)
{
    char text[32], device[8];

    open_windows(f, lock);
    for (int i = 0; i < PARTS; i++) {
        snprintf(text, sizeof text, "%d-%d", who, i);
        snprintf(device, sizeof device, "%d", i % 7);
        filing_t one = {.device = device, .at = 1 + i * 10, .text = text};
        if (kf_windows_begin(f->w) != KF_INDEX_OK || !put(f->w, &one).put)
            _exit(1);
        if (kf_windows_commit(f->w) != KF_INDEX_OK)
            _exit(2);
    }
    close_windows(f);
    _exit(0);
}

static void close_parts(fixture_t *f, pthread_mutex_t *lock, int out)
{
    static kf_window_t list[16];
    static size_t ends[FILERS * PARTS];
    kf_buf_t texts;

    open_windows(f, lock);
    kf_buf_init(&texts, 1 << 20);
    for (int idle = 0; idle < 300;) {
        if (kf_windows_begin(f->w) != KF_INDEX_OK)
            _exit(1);
        uint32_t n = kf_windows_due(f->w, 0, INT64_MAX, list, 16);
        kf_buf_clear(&texts);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t count = kf_windows_read(f->w, &list[i], &texts, ends);
            if (count != list[i].uploads)
                _exit(2);
        }
        kf_windows_remove(f->w, list, n);
        if (kf_windows_commit(f->w) != KF_INDEX_OK)
            _exit(3);
        if (texts.n > 0 && write(out, texts.p, texts.n) != (ssize_t)texts.n)
            _exit(4);
        idle = n ? 0 : idle + 1;
        if (!n)
            usleep(3000);
    }
    kf_buf_free(&texts);
    close_windows(f);
    _exit(0);
}

static void test_processes(void **state)
{
    fixture_t *f = *state;
    pthread_mutex_t *lock =
        mmap(NULL, sizeof *lock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[FILERS + 2];
    int out[2];
    ssize_t n;
    size_t bytes = 0, expected = 0;
    char text[4096];

    assert_ptr_not_equal(lock, MAP_FAILED);
    assert_int_equal(kf_index_lock_init(lock), 0);
    assert_int_equal(pipe(out), 0);
    close_windows(f);
    for (int i = 0; i < FILERS + 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0 && i < FILERS)
            file_parts(f, lock, i);
        if (pids[i] == 0)
            close_parts(f, lock, out[1]);
    }
    close(out[1]);
    while ((n = read(out[0], text, sizeof text)) > 0)
        bytes += (size_t)n;
    close(out[0]);
    for (int i = 0; i < FILERS + 2; i++)
        assert_int_equal(temp_wait(pids[i]), 0);
    for (int who = 0; who < FILERS; who++)
        for (int i = 0; i < PARTS; i++)
            expected += (size_t)snprintf(NULL, 0, "%d-%d", who, i);
    assert_int_equal(bytes, expected);
    open_windows(f, NULL);
    assert_int_equal(rows(f), 0);
    assert_int_equal(totals_of(f->w, "one").windows, 0);
    assert_int_equal(totals_of(f->w, "one").bytes, 0);
    munmap(lock, sizeof *lock);
}

/* Killed after the journal has the batch and before the windows are gone: it comes again under the
 * same id. */
static void test_killed_while_closing(void **state)
{
    fixture_t *f = *state;
    char before[40] = "", after[40] = "";
    kf_window_t window;
    int told[2];

    file(f->w, (filing_t){.device = "d", .at = 1, .text = "a"});
    close_windows(f);
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        open_windows(f, NULL);
        if (kf_windows_begin(f->w) != KF_INDEX_OK ||
            kf_windows_due(f->w, 0, INT64_MAX, &window, 1) != 1)
            _exit(1);
        kf_windows_remove(f->w, &window, 1);
        if (write(told[1], window.message_id, KF_WINDOW_MESSAGE_ID_BYTES) < 0)
            _exit(2);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(temp_wait(pid), 1000 + SIGKILL);
    assert_int_equal(read(told[0], before, sizeof before - 1), KF_WINDOW_MESSAGE_ID_BYTES);
    close(told[0]);
    close(told[1]);
    open_windows(f, NULL);
    assert_int_equal(kf_windows_begin(f->w), KF_INDEX_OK);
    assert_int_equal(kf_windows_due(f->w, 0, INT64_MAX, &window, 1), 1);
    snprintf(after, sizeof after, "%s", window.message_id);
    kf_windows_remove(f->w, &window, 1);
    assert_int_equal(kf_windows_commit(f->w), KF_INDEX_OK);
    assert_string_equal(before, after);
    assert_int_equal(rows(f), 0);
}

static void test_damaged_chain(void **state)
{
    fixture_t *f = *state;
    kf_window_t window;
    size_t ends[4];
    kf_buf_t texts;

    kf_buf_init(&texts, 100);
    file(f->w, (filing_t){.device = "d", .at = 1, .text = "a"});
    file(f->w, (filing_t){.device = "d", .at = 2, .text = "b"});
    sqlite3_exec(kf_index_db(f->index), "DELETE FROM upload WHERE previous = 0", NULL, NULL, NULL);
    assert_int_equal(kf_windows_begin(f->w), KF_INDEX_OK);
    assert_int_equal(kf_windows_due(f->w, 0, INT64_MAX, &window, 1), 1);
    assert_int_equal(kf_windows_read(f->w, &window, &texts, ends), 0);
    kf_windows_rollback(f->w);
    kf_buf_free(&texts);
}

/* No statement may look at every row of a table that grows: with a million of them that would be the
 * end of it. */
static void test_plans(void **state)
{
    static const char *const small[] = {"_total", "SCAN filed", "SCAN CONSTANT ROW", "SCAN 1 ",
                                        "(subquery-"};
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
            if (strstr(sqlite3_sql(s), "BETWEEN ?1 AND ?2 AND due_us") &&
                strncmp(step, "SEARCH window", 13) == 0)
                assert_non_null(strstr(step, "USING INDEX window_digest"));
        }
        sqlite3_finalize(plan);
    }
    assert_true(count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_uploads_are_in_the_order_of_their_coming, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_message_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_repeats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_repeats, set_up, tear_down),
        cmocka_unit_test(test_seen),
        cmocka_unit_test_setup_teardown(test_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_session_starts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rolled_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connection_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_processes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_while_closing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plans, set_up, tear_down),
    };

    kf_log_set_sink(keep);
    return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
