/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans of uploads, the texts cut by them, and windows' ends.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "events/kf_window_cut.h"
#include "events/kf_window_due.h"
#include "kf_refuse.h"
#include "kf_samples.h"

static kf_window_plan_t plan;
static kf_post_t *post;

static void make_plan(const char *text, kf_window_kind_t kind)
{
    kf_post_free(post);
    post = kf_sample_post(kf_str_of(text));
    assert_true(kf_window_plan(&plan, kf_post_item(post, 0), kind));
}

static void assert_key(uint32_t part, const char *want)
{
    kf_str_t key = kf_window_part_key(&plan.parts[part]);
    if (!kf_str_eq(key, kf_str_of(want))) {
        fail_msg("%.*s, not %s", (int)key.n, key.p, want);
    }
}

static void assert_cut(uint32_t part, const char *message_id, const char *want)
{
    kf_buf_t out;
    kf_buf_init(&out, 100000);
    kf_buf_putc(&out, '>');
    assert_true(kf_window_cut(&plan, part, kf_str_of(message_id), &out));
    if (out.n != strlen(want) + 1 || memcmp(out.p + 1, want, out.n - 1) != 0) {
        fail_msg("%.*s, not %s", (int)out.n, out.p, want);
    }
    kf_buf_free(&out);
}

#define EVENTS ",\"events\":[{\"event_type\":\"x\"}]}"

/* First usable id in the reference's order. */
static void test_devices(void **state)
{
    static const struct {
        const char *members;
        const char *key; /* NULL: none, at once */
    } rows[] = {
        {"\"mp_deviceid\":\"d\",\"mpid\":7", "B11:mp_deviceid1:d1:710:production"},
        {"\"mp_deviceid\":\"\\u0064\",\"mpid\":\"7\"", "B11:mp_deviceid1:d1:710:production"},
        {"\"mp_deviceid\":null,\"device_info\":{\"push_token\":\"p\",\"ios_idfv\":\"i\"}",
         "B8:ios_idfv1:i0:10:production"},
        {"\"device_info\":{\"ios_idfv\":\"00000000-0000-0000-0000-000000000000\","
         "\"amp_id\":\"a\"}",
         "B6:amp_id1:a0:10:production"},
        {"\"device_info\":{\"push_token\":\"p\"},\"mpid\":7", "B10:push_token1:p1:710:production"},
        {"\"device_info\":\"odd\",\"mpid\":-7", "B4:mpid2:-72:-710:production"},
        {"\"mpid\":0,\"user_identities\":{\"email\":\"\",\"customerId\":\"c\"}",
         "B11:customer_id1:c0:10:production"},
        {"\"user_identities\":{\"o\\u0064d\":5}", "B8:o\\u0064d1:50:10:production"},
        {"\"user_identities\":[1,{\"identity_type\":\"customerid\",\"identity\":\"c\"}]",
         "B11:customer_id1:c0:10:production"},
        {"\"user_identities\":[{\"identity\":\"c\"}]", "B0:1:c0:10:production"},
        {"\"mp_deviceid\":\"d\",\"environment\":\"development\"",
         "B11:mp_deviceid1:d0:11:development"},
        {"\"mp_deviceid\":\"d\",\"environment\":null", "B11:mp_deviceid1:d0:10:production"},
        {"\"mp_deviceid\":{\"a\":1},\"mpid\":\"0\",\"user_identities\":{\"email\":null}", NULL},
        {"\"user_identities\":\"odd\"", NULL},
        {"\"ip\":\"::1\"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[400];
        snprintf(text, sizeof(text), "{%s" EVENTS, rows[i].members);
        make_plan(text, KF_WINDOW_BATCH);
        assert_int_equal(plan.part_count, 1);
        assert_int_equal(plan.parts[0].at_once, rows[i].key == NULL);
        assert_int_equal(plan.device_bytes == 0, rows[i].key == NULL);
        if (rows[i].key) {
            assert_key(0, rows[i].key);
        }
        make_plan(text, KF_WINDOW_SESSION);
        assert_true(plan.part_count == 1 && plan.parts[0].at_once);
    }
}

/* Keys have a bound, and values that differ beyond it differ in their keys. */
static void test_long_values(void **state)
{
    char text[2000], value[601], first[KF_WINDOW_KEY_MAX];
    size_t n = 0;
    (void)state;
    for (int last = 0; last < 2; last++) {
        memset(value, 'v', 600);
        value[599] = (char)('a' + last);
        value[600] = '\0';
        snprintf(text, sizeof(text), "{\"mp_deviceid\":\"%s\",\"mpid\":\"%.600s\"" EVENTS, value,
                 value);
        make_plan(text, KF_WINDOW_BATCH);
        kf_str_t key = kf_window_part_key(&plan.parts[0]);
        assert_true(key.n <= KF_WINDOW_KEY_MAX);
        assert_true(n == 0 || n != key.n || memcmp(first, key.p, n) != 0);
        memcpy(first, key.p, key.n);
        n = key.n;
    }
}

#define S(fields) "{\"event_type\":\"x\",\"data\":{" fields "}}"
#define A S("\"session_id\":1")
#define B S("\"session_id\":\"2\"")
#define NONE "{\"event_type\":\"x\"}"
#define START_B "{\"event_type\":\"session_start\",\"data\":{\"session_id\":2}}"
#define END "{\"event_type\":\"session_end\",\"data\":{}}"

/* Which session each event joins; sessions are letters in the order of their parts, '-' is none. */
static void test_joining(void **state)
{
    static const struct {
        const char *events;
        const char *sessions;
    } rows[] = {
        {"", ""},
        {A, "1"},
        {NONE, "-"},
        {NONE "," NONE, "--"},
        {A "," NONE, "11"},
        {NONE "," A, "11"},
        {NONE "," A "," B, "-12"},
        {A "," NONE "," B "," NONE "," A "," NONE, "112211"},
        {B "," A "," NONE, "211"},
        {A "," S("\"session_uuid\":null"), "11"},
        {A "," END, "11"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[800], got[20];
        uint32_t seen = 0;
        snprintf(text, sizeof(text), "{\"mp_deviceid\":\"d\",\"events\":[%s]}", rows[i].events);
        make_plan(text, KF_WINDOW_SESSION);
        for (uint32_t p = 0; p < plan.part_count; p++) {
            const kf_window_part_t *part = &plan.parts[p];
            assert_int_equal(part->at_once, part->session.n == 0);
            for (uint32_t e = part->first; e != KF_WINDOW_NONE; e = plan.events[e].next, seen++) {
                assert_int_equal(plan.events[e].part, p);
                got[e] = part->session.n ? part->session.bytes[3] : '-';
            }
        }
        assert_int_equal(seen, strlen(rows[i].sessions));
        assert_memory_equal(got, rows[i].sessions, seen);
    }
}

static void test_session_parts(void **state)
{
    (void)state;
    make_plan("{\"mp_deviceid\":\"d\",\"mpid\":7,\"events\":[" NONE "," A "," END "," START_B "]}",
              KF_WINDOW_SESSION);
    assert_int_equal(plan.part_count, 3);
    assert_key(0, "S11:mp_deviceid1:di1:11:710:production");
    assert_key(1, "S11:mp_deviceid1:di1:21:710:production");
    kf_str_t scope = kf_window_part_scope(&plan.parts[0]);
    assert_true(kf_str_eq(scope, KF_STR("S11:mp_deviceid1:di1:1")));
    kf_str_t device = kf_window_part_device(&plan, &plan.parts[1]);
    assert_true(kf_str_eq(device, KF_STR("S11:mp_deviceid1:d")));
    assert_true(plan.parts[0].ends && !plan.parts[0].starts && !plan.parts[0].at_once);
    assert_true(plan.parts[1].starts && !plan.parts[1].ends && !plan.parts[1].at_once);
    assert_true(plan.parts[2].at_once && !plan.parts[2].ends);
    assert_int_equal(plan.parts[0].event_count, 2);
    assert_cut(0, "", "{\"mp_deviceid\":\"d\",\"mpid\":7,\"events\":[" A "," END "]}");
    assert_cut(2, "", "{\"mp_deviceid\":\"d\",\"mpid\":7,\"events\":[" NONE "]}");
    /* an end or a start that joins no session says nothing */
    make_plan("{\"mp_deviceid\":\"d\",\"events\":[" END "]}", KF_WINDOW_SESSION);
    assert_true(plan.parts[0].at_once && !plan.parts[0].ends);
    /* nor does one of a batch window */
    make_plan("{\"mp_deviceid\":\"d\",\"events\":[" START_B "," END "]}", KF_WINDOW_BATCH);
    assert_true(!plan.parts[0].at_once && !plan.parts[0].ends && !plan.parts[0].starts);
}

static void test_without_events(void **state)
{
    static const char *const rows[] = {"{\"mp_deviceid\":\"d\",\"events\":[]}",
                                       "{\"mp_deviceid\":\"d\",\"events\":null}",
                                       "{ \"mp_deviceid\" : \"d\" , \"user_attributes\" : { } }"};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make_plan(rows[i], KF_WINDOW_BATCH);
        assert_true(plan.part_count == 1 && plan.event_count == 0 && !plan.parts[0].at_once);
        assert_int_equal(plan.parts[0].first, KF_WINDOW_NONE);
        assert_cut(0, "m", rows[i]);
        make_plan(rows[i], KF_WINDOW_SESSION);
        assert_true(plan.part_count == 1 && plan.parts[0].at_once);
    }
}

static void test_samples(void **state)
{
    kf_str_t text = kf_sample_read("two-sessions-one-batch");
    (void)state;
    kf_post_free(post);
    post = kf_sample_post(text);
    assert_true(kf_window_plan(&plan, kf_post_item(post, 0), KF_WINDOW_SESSION));
    assert_int_equal(plan.part_count, 2);
    assert_int_equal(plan.parts[0].event_count, 2);
    assert_int_equal(plan.parts[1].event_count, 3);
    assert_true(plan.parts[0].ends && plan.parts[1].starts);
    assert_true(plan.parts[0].began == KF_BEGAN_BY_FIELD &&
                plan.parts[0].began_us == INT64_C(1700000000000000));
    assert_true(plan.parts[1].began == KF_BEGAN_BY_START &&
                plan.parts[1].began_us == INT64_C(1700000900000000));
    kf_window_began_t window = {0, 0};
    assert_true(kf_window_is_older(&window, &plan.parts[1]));
    kf_window_began(&window, &plan.parts[0]);
    assert_true(kf_window_is_older(&window, &plan.parts[1]));
    assert_true(kf_str_eq(plan.request_id, KF_STR("7c0ffee0-0000-4000-8000-00000000041b")));
    kf_post_free(post);
    post = NULL;
    free((char *)(uintptr_t)text.p);
}

static void test_beginnings(void **state)
{
    static const struct {
        const char *data;
        int began;
        int64_t us;
    } rows[] = {
        {"\"timestamp_unixtime_ms\":1700000000000", KF_BEGAN_BY_EVENT, INT64_C(1700000000000000)},
        {"\"session_start_unixtime_ms\":1700000000,\"timestamp_unixtime_ms\":1800000000000",
         KF_BEGAN_BY_FIELD, INT64_C(1700000000000000)},
        {"\"session_start_unixtime_ms\":0", KF_BEGAN_UNKNOWN, 0},
        {"\"timestamp_unixtime_ms\":\"soon\"", KF_BEGAN_UNKNOWN, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[400];
        snprintf(text, sizeof(text),
                 "{\"mpid\":1,\"events\":[{\"event_type\":\"x\",\"data\":{\"session_id\":1,%s}},"
                 "{\"event_type\":\"x\",\"data\":{\"session_id\":1,"
                 "\"timestamp_unixtime_ms\":1900000000000}}]}",
                 rows[i].data);
        make_plan(text, KF_WINDOW_SESSION);
        if (rows[i].began == KF_BEGAN_UNKNOWN) {
            assert_int_equal(plan.parts[0].began, KF_BEGAN_BY_EVENT);
            assert_true(plan.parts[0].began_us == INT64_C(1900000000000000));
        } else {
            assert_int_equal(plan.parts[0].began, rows[i].began);
            assert_true(plan.parts[0].began_us == rows[i].us);
        }
    }
}

static void test_older(void **state)
{
    kf_window_part_t start = {.began = KF_BEGAN_BY_START, .began_us = 100};
    kf_window_began_t window = {KF_BEGAN_BY_EVENT, 100};
    (void)state;
    assert_true(kf_window_is_older(&window, &start));
    window.began_us = 101;
    assert_false(kf_window_is_older(&window, &start));
    start.began = KF_BEGAN_UNKNOWN;
    assert_true(kf_window_is_older(&window, &start));
    start = (kf_window_part_t){.began = KF_BEGAN_BY_EVENT, .began_us = 99};
    kf_window_began(&window, &start);
    assert_true(window.began == KF_BEGAN_BY_EVENT && window.began_us == 99);
    start = (kf_window_part_t){.began = KF_BEGAN_BY_FIELD, .began_us = 120};
    kf_window_began(&window, &start);
    assert_true(window.began == KF_BEGAN_BY_FIELD && window.began_us == 120);
    start = (kf_window_part_t){.began = KF_BEGAN_UNKNOWN};
    kf_window_began(&window, &start);
    assert_true(window.began == KF_BEGAN_BY_FIELD && window.began_us == 120);
}

/* Credentials go; the message id is replaced only in a batch that becomes several. */
static void test_cuts(void **state)
{
    (void)state;
    make_plan("{ \"api_key\":\"k\", \"mpid\" : 1.50e3, \"message_id\":\"m\",\n\"events\":[ " A
              " ],\"api\\u005fkeys\":[] }",
              KF_WINDOW_SESSION);
    assert_cut(0, "fresh", "{\"mpid\":1.50e3,\"message_id\":\"m\",\"events\":[ " A " ]}");
    make_plan("{\"message_id\":\"m\",\"mpid\":1,\"events\":[" A "," B "],\"api_key\":1}",
              KF_WINDOW_SESSION);
    assert_cut(0, "fresh", "{\"message_id\":\"fresh\",\"mpid\":1,\"events\":[" A "]}");
    assert_cut(1, "", "{\"message_id\":\"m\",\"mpid\":1,\"events\":[" B "]}");
    make_plan("{\"mpid\":1,\"events\":[" A "," B "]}", KF_WINDOW_SESSION);
    assert_cut(0, "fresh", "{\"mpid\":1,\"events\":[" A "]}");
    make_plan("{\"message_id\":\"m\",\"mpid\":1,\"events\":[" A "," B "]}", KF_WINDOW_BATCH);
    assert_cut(0, "fresh", "{\"message_id\":\"m\",\"mpid\":1,\"events\":[" A "," B "]}");
    kf_buf_t out;
    kf_buf_init(&out, 40);
    kf_buf_putc(&out, '>');
    assert_false(kf_window_cut(&plan, 0, KF_STR(""), &out));
    assert_int_equal(out.n, 1);
    kf_buf_free(&out);
}

static void test_ids(void **state)
{
    kf_buf_t scratch;
    kf_str_t id;
    (void)state;
    kf_buf_init(&scratch, 100);
    make_plan("{\"mpid\":1,\"source_request_id\":\"\\u0072\\u0000\",\"events\":["
              "{\"event_type\":\"x\",\"data\":{\"source_message_id\":\"\\u006d\"}},"
              "{\"event_type\":\"x\",\"data\":{\"source_message_id\":12}},"
              "{\"event_type\":\"x\",\"data\":{\"source_message_id\":null}}," NONE "]}",
              KF_WINDOW_BATCH);
    assert_true(kf_str_eq(plan.request_id, KF_STR("r\0")));
    assert_true(kf_window_event_id(&plan, 0, &scratch, &id) && kf_str_eq(id, KF_STR("m")));
    assert_true(kf_window_event_id(&plan, 1, &scratch, &id) && kf_str_eq(id, KF_STR("12")));
    assert_false(kf_window_event_id(&plan, 2, &scratch, &id));
    assert_false(kf_window_event_id(&plan, 3, &scratch, &id));
    make_plan("{\"mpid\":1,\"source_request_id\":17}", KF_WINDOW_BATCH);
    assert_true(kf_str_eq(plan.request_id, KF_STR("17")));
    make_plan("{\"mpid\":1,\"source_request_id\":\"\"}", KF_WINDOW_BATCH);
    assert_int_equal(plan.request_id.n, 0);
    kf_buf_free(&scratch);
}

static char *many_sessions(uint32_t sessions, size_t ballast)
{
    kf_buf_t text;
    kf_buf_init(&text, SIZE_MAX / 4);
    kf_buf_put_str(&text, KF_STR("{\"mpid\":1,\"ballast\":\""));
    for (size_t i = 0; i < ballast; i++) {
        kf_buf_putc(&text, 'x');
    }
    kf_buf_put_str(&text, KF_STR("\",\"events\":["));
    for (uint32_t i = 0; i < 3 * sessions; i++) {
        kf_buf_printf(&text, "%s{\"event_type\":\"x\",\"data\":{\"session_id\":%u}}", i ? "," : "",
                      1 + i % sessions);
    }
    kf_buf_put(&text, "]}", 3);
    assert_false(text.failed);
    return text.p;
}

static void test_bounds(void **state)
{
    static const struct {
        uint32_t sessions;
        size_t ballast;
        bool split;
    } rows[] = {{KF_WINDOW_PARTS_MAX, 0, true},
                {KF_WINDOW_PARTS_MAX + 1, 0, false},
                {20000, 0, false},
                {1, KF_WINDOW_REPEATED_BYTES_MAX, true},
                {8, 1024 * 1024 - 200, true},
                {8, 1024 * 1024, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = many_sessions(rows[i].sessions, rows[i].ballast);
        make_plan(text, KF_WINDOW_SESSION);
        assert_int_equal(plan.unsplit, !rows[i].split);
        assert_int_equal(plan.part_count, rows[i].split ? rows[i].sessions : 1);
        assert_int_equal(plan.parts[0].at_once, !rows[i].split);
        assert_int_equal(plan.parts[0].event_count, rows[i].split ? 3 : 3 * rows[i].sessions);
        kf_post_free(post);
        post = NULL;
        free(text);
    }
}

/* Each allocation fails once; the plan is as good as new afterwards. */
static void test_memory(void **state)
{
    static const char *const sessions[] = {
        "\"session_id\":\"\\u0031\"", "\"session_uuid\":\"\\u0032\"",
        "\"session_start_unixtime_ms\":\"\\u0033\"", "\"session_id\":4",
        "\"session_id\":5,\"timestamp_unixtime_ms\":\"\\u0031\""};
    char text[1000];
    size_t n = (size_t)snprintf(text, sizeof(text),
                                "{\"mp_deviceid\":\"\\u0064\",\"mpid\":\"\\u0037\","
                                "\"environment\":\"\\u0065\",\"events\":[" NONE);
    for (size_t i = 0; i < 5; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",{\"event_type\":\"x\",\"data\":{%s}}",
                              sessions[i]);
    }
    snprintf(text + n, sizeof(text) - n, "],\"source_request_id\":\"\\u0072\"}");
    kf_window_plan_t fresh;
    unsigned tried = 0;
    bool done;
    (void)state;
    make_plan(text, KF_WINDOW_SESSION);
    assert_int_equal(plan.part_count, 6);
    do {
        kf_window_plan_init(&fresh);
        refuse = ++tried;
        done = kf_window_plan(&fresh, kf_post_item(post, 0), KF_WINDOW_SESSION);
        assert_true(done == (refuse > 0));
        refuse = 0;
        assert_true(kf_window_plan(&fresh, kf_post_item(post, 0), KF_WINDOW_SESSION));
        assert_int_equal(fresh.part_count, 6);
        for (uint32_t p = 0; p < 6; p++) {
            assert_true(
                kf_str_eq(kf_window_part_key(&fresh.parts[p]), kf_window_part_key(&plan.parts[p])));
        }
        kf_window_plan_free(&fresh);
    } while (!done);
    assert_true(tried > 4);
}

static void test_due(void **state)
{
    const kf_window_limits_t limits = {600, 2100, 5};
    const int64_t day = KF_WINDOW_SESSION_AGE_MAX_US;
    const struct {
        char kind;
        kf_window_times_t times;
        int64_t due;
    } rows[] = {
        {'B', {1000, 1500, 0}, 1600},      {'B', {1000, 1500, 1550}, 1600},
        {'S', {1000, 1000, 0}, 3100},      {'S', {1000, 9000, 0}, 11100},
        {'S', {1000, 9000, 9001}, 9006},   {'S', {1000, 9000, 100000}, 11100},
        {'S', {1000, day, 0}, 1000 + day},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        kf_window_kind_t kind = rows[i].kind == 'B' ? KF_WINDOW_BATCH : KF_WINDOW_SESSION;
        assert_true(kf_window_due(kind, &rows[i].times, &limits) == rows[i].due);
    }
}

static int set_up(void **state)
{
    (void)state;
    kf_window_plan_init(&plan);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kf_post_free(post);
    kf_window_plan_free(&plan);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_joining),
        cmocka_unit_test(test_session_parts),
        cmocka_unit_test(test_without_events),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_beginnings),
        cmocka_unit_test(test_older),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_due),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
