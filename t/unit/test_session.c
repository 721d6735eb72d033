/* SPDX-License-Identifier: Apache-2.0
 *
 * Session ids, session keys, and what they are made of: values as text and as times.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include "base/kf_limits.h"
#include "events/kf_scalar.h"
#include "events/kf_session.h"
#include "kf_samples.h"

static kf_json_t json;
static kf_buf_t scratch;

static void scan(const char *text)
{
    kf_json_error_t error;
    assert_true(kf_json_scan(&json, text, strlen(text), KF_JSON_DEPTH_MAX, &error));
}

static void test_ids(void **state)
{
    static const struct {
        const char *uuid;
        int64_t id;
    } pairs[] = {
        {"84E1B361-A282-4ADF-8A6D-1D31E6DD5A9E", INT64_C(6051321688317951794)},
        {"8B8DFAA2-17C7-43E8-88EE-5F2DCF016D56", INT64_C(-2271448330363288817)},
        {"29959B6B-9C3B-486F-9807-B5534EA1B16A", INT64_C(-8572887793551346848)},
        {"0B7E4C1A-52D3-4E8F-9A60-7C1D2E3F4A5B", INT64_C(1445908961998732730)},
        {"C4D5E6F7-1829-4A3B-8C5D-6E7F80910A1B", INT64_C(-1143075195046513635)},
        {"", INT64_C(-3750763034362895579)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char lower[40];
        size_t n = strlen(pairs[i].uuid);
        for (size_t c = 0; c <= n; c++) {
            char u = pairs[i].uuid[c];
            lower[c] = (char)(u >= 'A' && u <= 'Z' ? u + 32 : u);
        }
        assert_true(kf_session_id(kf_str_of(pairs[i].uuid)) == pairs[i].id);
        assert_true(kf_session_id(kf_str_of(lower)) == pairs[i].id);
    }
    /* two, three and four bytes of UTF-8: one unit of UTF-16, one, two; no case but ASCII's */
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    const unsigned char units[] = {0xe9, 0, 0x31, 1, 0xac, 0x20, 0x3d, 0xd8, 0, 0xde, 0x41, 0};
    for (size_t i = 0; i < sizeof(units); i++) {
        h = (h ^ units[i]) * UINT64_C(0x100000001b3);
    }
    assert_true(kf_session_id(KF_STR("\u00e9\u0131\u20ac\U0001f600a")) == (int64_t)h);
}

static void test_samples(void **state)
{
    static const char *const names[] = {"session-part-1-start", "two-sessions-one-batch",
                                        "every-schema-event-type", "session-part-4-end"};
    unsigned pairs = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        kf_str_t text = kf_sample_read(names[i]);
        kf_post_t *post = kf_sample_post(text);
        const kf_item_t *item = kf_post_item(post, 0);
        uint32_t e = item->member[KF_B_events] + 1;
        for (uint32_t n = 0; n < item->event_count; n++, e = item->json->v[e].next) {
            kf_event_fields_t fields;
            kf_session_key_t by_id, by_uuid;
            kf_event_fields(item->json, e, &fields);
            if (!fields.node[KF_F_session_id] || !fields.node[KF_F_session_uuid]) {
                continue;
            }
            kf_session_key(item->json, &fields, &scratch, &by_id);
            fields.node[KF_F_session_id] = 0;
            kf_session_key(item->json, &fields, &scratch, &by_uuid);
            assert_true(by_id.n > 0 && kf_session_key_eq(&by_id, &by_uuid));
            pairs++;
        }
        kf_post_free(post);
        free((char *)(uintptr_t)text.p);
    }
    assert_true(pairs >= 8);
}

#define UUID "84E1B361-A282-4ADF-8A6D-1D31E6DD5A9E"
#define ID "6051321688317951794"
#define LONG_DIGITS "11111111112222222222333333333344444444445555555555666666666677777"

static void test_keys(void **state)
{
    static const struct {
        const char *data;
        const char *key;
    } rows[] = {
        {"{\"session_id\":" ID "}", "i19:" ID},
        {"{\"session_id\":\"" ID "\"}", "i19:" ID},
        {"{\"session_id\":\"\\u0036051321688317951794\"}", "i19:" ID},
        {"{\"session_id\":-5,\"session_uuid\":\"" UUID "\"}", "i2:-5"},
        {"{\"session_uuid\":\"" UUID "\"}", "i19:" ID},
        {"{\"session_uuid\":\"84e1b361-a282-4adf-8a6d-1d31e6dd5a9e\"}", "i19:" ID},
        {"{\"session_\\u0075uid\":\"\\u00384e1b361-a282-4adf-8a6d-1d31e6dd5a9e\"}", "i19:" ID},
        {"{\"session_id\":null,\"session_uuid\":\"" UUID "\"}", "i19:" ID},
        {"{\"session_id\":0,\"session_uuid\":\"" UUID "\"}", "i19:" ID},
        {"{\"session_id\":\"0\",\"session_uuid\":\"" UUID "\"}", "i19:" ID},
        {"{\"session_id\":\"\",\"session_uuid\":\"" UUID "\"}", "i19:" ID},
        {"{\"session_id\":{},\"session_uuid\":\"" UUID "\"}", "i19:" ID},
        {"{\"session_id\":true,\"session_uuid\":17}", ""},
        {"{\"session_start_unixtime_ms\":1700000000000}", "t13:1700000000000"},
        {"{\"session_start_unixtime_ms\":\"1700000000000\"}", "t13:1700000000000"},
        {"{\"session_id\":0,\"session_uuid\":\"\",\"session_start_unixtime_ms\":17}", "t2:17"},
        {"{\"session_uuid\":\"00000000-0000-0000-0000-000000000000\","
         "\"session_start_unixtime_ms\":17}",
         "t2:17"},
        {"{\"session_uuid\":null,\"session_start_unixtime_ms\":17}", ""},
        {"{\"session_id\":3,\"session_uuid\":null,\"session_start_unixtime_ms\":17}", "i1:3"},
        {"{\"session_id\":null,\"session_uuid\":\"\",\"session_start_unixtime_ms\":0}", ""},
        {"{\"session_id\":-0.0e5}", ""},
        {"{\"session_id\":" LONG_DIGITS "}", "i#c2882e3185b1751c,65:"},
        {"{}", ""},
        {"null", ""},
        {"[{\"session_id\":1}]", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char event[400];
        kf_event_fields_t fields;
        kf_session_key_t key;
        snprintf(event, sizeof(event), "{\"event_type\":\"x\",\"data\":%s}", rows[i].data);
        scan(event);
        kf_event_fields(&json, 0, &fields);
        kf_session_key(&json, &fields, &scratch, &key);
        if (key.n != strlen(rows[i].key) || memcmp(key.bytes, rows[i].key, key.n) != 0) {
            fail_msg("%s: %.*s", rows[i].data, (int)key.n, key.bytes);
        }
        assert_true(key.n <= sizeof(key.bytes));
    }
    scan("[{\"data\":{\"session_id\":1}}]");
    kf_event_fields_t fields;
    kf_event_fields(&json, 0, &fields);
    assert_int_equal(fields.node[KF_F_session_id], 0);
}

/* A part that is too long goes in as a hash that its bytes and its length change. */
static void test_long_keys(void **state)
{
    char text[500], a[300], b[300];
    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(kf_window_key_part(a, (kf_str_t){text, 200}, 200), 204);
    assert_memory_equal(a, "200:xxx", 7);
    size_t n = kf_window_key_part(a, (kf_str_t){text, 201}, 200);
    assert_true(n <= 205 && a[0] == '#');
    assert_int_equal(kf_window_key_part(b, (kf_str_t){text, 202}, 200), n);
    assert_memory_not_equal(a, b, n);
    text[200] = 'y';
    assert_int_equal(kf_window_key_part(b, (kf_str_t){text, 201}, 200), n);
    assert_memory_not_equal(a, b, n);
    assert_int_equal(kf_window_key_part(b, KF_STR(""), 200), 2);
    assert_memory_equal(b, "0:", 2);
}

static void test_times(void **state)
{
    static const struct {
        const char *value;
        int64_t us;
    } rows[] = {
        {"1700000000000", INT64_C(1700000000000000)},
        {"\"1700000000000\"", INT64_C(1700000000000000)},
        {"\"\\u0031700000000000\"", INT64_C(1700000000000000)},
        {"1700000000", INT64_C(1700000000000000)},
        {"1700000000.123", INT64_C(1700000000123000)},
        {"\"1700000000.1234567\"", INT64_C(1700000000123456)},
        {"1700000000000.5", INT64_C(1700000000000500)},
        {"1.7e12", INT64_C(1700000000000000)},
        {"17E+8", INT64_C(1700000000000000)},
        {"17000000000000e-1", INT64_C(1700000000000000)},
        {"99999999999", INT64_C(99999999999000000)},
        {"99999999999.999", INT64_C(99999999999999000)},
        {"100000000000", INT64_C(100000000000000)},
        {"1700000000000.000000000000000000001", INT64_C(1700000000000000)},
        {"1", 1000000},
        {"1e-6", 1},
        {"1e-7", 0},
        {"1e-99999999999", 0},
        {"1e99999999999", INT64_MAX},
        {"9223372036854775807", INT64_MAX},
        {"123456789012345678901234567890", INT64_MAX},
        {"123456789012345678901234567890e-17", INT64_C(1234567890123456)},
        {"0", 0},
        {"0.0", 0},
        {"-1700000000000", 0},
        {"null", 0},
        {"true", 0},
        {"\"\"", 0},
        {"\" 1700000000000\"", 0},
        {"\"17000x\"", 0},
        {"\"1.2.3\"", 0},
        {"\".\"", 0},
        {"\"1e\"", 0},
        {"\"1e+\"", 0},
        {"\"1e5x\"", 0},
        {"\"e5\"", 0},
        {"[1]", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[100];
        snprintf(text, sizeof(text), "[%s]", rows[i].value);
        scan(text);
        int64_t us = kf_scalar_time_us(&json, 1, &scratch);
        if (us != rows[i].us) {
            fail_msg("%s: %" PRId64, rows[i].value, us);
        }
    }
    assert_int_equal(kf_scalar_time_us(&json, 0, &scratch), 0);
}

static int set_up(void **state)
{
    (void)state;
    kf_buf_init(&scratch, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kf_buf_free(&scratch);
    kf_json_free(&json);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),   cmocka_unit_test(test_samples),
        cmocka_unit_test(test_keys),  cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
