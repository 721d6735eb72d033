/* SPDX-License-Identifier: Apache-2.0
 *
 * Merging by tables: members, events, repeats, deleted attributes, ids; damage, bounds, memory that
 * runs out; the map of texts under it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>
#include "base/kf_clock.h"
#include "base/kf_limits.h"
#include "events/kf_merge.h"
#include "events/kf_text_map.h"
#include "kf_refuse.h"
#include "kf_samples.h"
#include "patience.h"

#define UPLOADS_MAX 6

typedef struct {
    const char *uploads[UPLOADS_MAX];
    const char *merged;
} row_t;

static void assert_merged(const row_t *row, const char *message_id)
{
    kf_str_t texts[UPLOADS_MAX];
    uint32_t n = 0, damaged = 0;
    kf_buf_t out;
    for (; n < UPLOADS_MAX && row->uploads[n]; n++) {
        texts[n] = kf_str_of(row->uploads[n]);
    }
    kf_buf_init(&out, 100000);
    assert_int_equal(kf_merge(texts, n, kf_str_of(message_id), &out, &damaged), KF_MERGE_OK);
    if (!kf_str_eq(kf_buf_str(&out), kf_str_of(row->merged))) {
        fail_msg("%.*s, not %s", (int)out.n, out.p, row->merged);
    }
    kf_buf_free(&out);
}

static void assert_all(const row_t *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_merged(&rows[i], "");
    }
}

#define ALL(rows) assert_all(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_members(void **state)
{
    static const row_t rows[] = {
        {{"{}"}, "{}"},
        {{"{}", "{}"}, "{}"},
        {{"{ \"mpid\" : 1.0e0 , \"x\" : [ 1 , 2 ] }"}, "{\"mpid\":1.0e0,\"x\":[ 1 , 2 ]}"},
        {{"{\"a\":1,\"b\":2}", "{\"c\":3,\"b\":4}"}, "{\"a\":1,\"b\":4,\"c\":3}"},
        {{"{\"a\":1}", "{\"a\":null}"}, "{\"a\":1}"},
        {{"{\"a\":null}", "{\"a\":1}", "{\"a\":null}"}, "{\"a\":1}"},
        {{"{\"a\":null}", "{\"\\u0061\":null}"}, "{\"a\":null}"},
        {{"{\"\\u0061\":1}", "{\"a\":2}"}, "{\"\\u0061\":2}"},
        {{"{\"a\\u0000\":1}", "{\"a\":2}", "{\"a\\u0000\":3}"}, "{\"a\\u0000\":3,\"a\":2}"},
        {{"{\"ip\":\"1\",\"mpid\":1}", "{\"mpid\":\"1\"}", "{\"i\\u0070\":\"2\"}"},
         "{\"ip\":\"2\",\"mpid\":\"1\"}"},
        {{"{\"user_attributes\":{\"a\":1},\"context\":{\"x\":1}}", "{\"user_attributes\":{}}"},
         "{\"user_attributes\":{},\"context\":{\"x\":1}}"},
        {{"{\"batch_id\":-8602161397754364001,\"source_request_id\":\"a\"}",
          "{\"source_request_id\":\"b\",\"batch_id\":9007199254740993}"},
         "{\"batch_id\":9007199254740993,\"source_request_id\":\"b\"}"},
        {{"{\"system_notifications\":[1]}", "{\"system_notifications\":null}",
          "{\"system_notifications\":[ 2,3 ]}", "{\"system_notifications\":[]}"},
         "{\"system_notifications\":[1,2,3]}"},
        {{"{\"system_notifications\":[]}", "{\"system_notifications\":[]}"},
         "{\"system_notifications\":[]}"},
        {{"{\"system_notifications\":[1]}", "{\"system_notifications\":\"odd\"}"},
         "{\"system_notifications\":\"odd\"}"},
        {{"{\"system_notifications\":\"odd\"}", "{\"system_notifications\":[1]}"},
         "{\"system_notifications\":[1]}"},
    };
    (void)state;
    ALL(rows);
}

#define T(time, name) \
    "{\"event_type\":\"x\",\"data\":{\"timestamp_unixtime_ms\":" time ",\"n\":" name "}}"
#define ID(id, name) "{\"event_type\":\"x\",\"data\":{\"source_message_id\":" id ",\"n\":" name "}}"
#define EV(list) "{\"events\":[" list "]}"

static void test_order(void **state)
{
    static const row_t rows[] = {
        {{EV(T("1700000000002", "1")), EV(T("1700000000001", "2"))},
         EV(T("1700000000001", "2") "," T("1700000000002", "1"))},
        /* equal ones as they came, whatever their form: ms, seconds, strings */
        {{EV(T("1700000001000", "1") "," T("1700000000000", "2")),
          EV(T("\"1700000001000\"", "3") "," T("1700000000", "4")),
          EV(T("1700000000.999", "5") "," T("1700000000000.0", "6"))},
         EV(T("1700000000000", "2") "," T("1700000000", "4") "," T("1700000000000.0", "6") "," T(
             "1700000000.999", "5") "," T("1700000001000", "1") "," T("\"1700000001000\"", "3"))},
        /* one without: none is moved */
        {{EV(T("1700000000002", "1")), EV(T("0", "2") "," T("1700000000001", "3"))},
         EV(T("1700000000002", "1") "," T("0", "2") "," T("1700000000001", "3"))},
        {{EV(T("2", "1")), EV("{\"event_type\":\"x\"}"), EV(T("1", "2"))},
         EV(T("2", "1") ",{\"event_type\":\"x\"}," T("1", "2"))},
        /* one upload is left as it is, two are merged though one has no events */
        {{EV(T("2", "1") " , " T("1", "2"))}, EV(T("2", "1") "," T("1", "2"))},
        {{EV(T("2", "1") "," T("1", "2")), "{\"mpid\":1}"},
         "{\"events\":[" T("1", "2") "," T("2", "1") "],\"mpid\":1}"},
        {{"{\"events\":null}", "{\"mpid\":1}"}, "{\"events\":null,\"mpid\":1}"},
        {{"{\"events\":null}", EV("")}, EV("")},
        {{"{\"events\":null,\"mpid\":1}", EV(T("2", "1")), "{\"events\":null}"},
         "{\"events\":[" T("2", "1") "],\"mpid\":1}"},
    };
    (void)state;
    ALL(rows);
}

static void test_repeats(void **state)
{
    static const row_t rows[] = {
        {{EV(ID("\"m\"", "1")), EV(ID("\"\\u006d\"", "2") "," ID("\"n\"", "3"))},
         EV(ID("\"m\"", "1") "," ID("\"n\"", "3"))},
        {{EV(ID("5", "1") "," ID("\"5\"", "2"))}, EV(ID("5", "1"))},
        {{EV(ID("\"\\u0035\"", "1") "," ID("5", "2") "," ID("5.0", "3"))},
         EV(ID("\"\\u0035\"", "1") "," ID("5.0", "3"))},
        {{EV(ID("null", "1") "," ID("null", "2") "," ID("\"\"", "3") "," ID("\"\"", "4"))},
         EV(ID("null", "1") "," ID("null", "2") "," ID("\"\"", "3") "," ID("\"\"", "4"))},
        /* a repeated upload changes nothing, and what is left alone is one upload */
        {{"{\"source_request_id\":\"r\",\"a\":1,\"events\":[" T("2", "1") "," T("1", "2") "]}",
          "{\"source_request_id\":\"\\u0072\",\"a\":2,\"b\":3,\"events\":[" T("1", "3") "]}"},
         "{\"source_request_id\":\"r\",\"a\":1,\"events\":[" T("2", "1") "," T("1", "2") "]}"},
        {{"{\"source_request_id\":\"1\",\"a\":1}", "{\"source_request_id\":2,\"a\":2}",
          "{\"source_request_id\":1,\"a\":3}"},
         "{\"source_request_id\":2,\"a\":2}"},
        {{"{\"source_request_id\":null,\"a\":1}", "{\"source_request_id\":null,\"a\":2}"},
         "{\"source_request_id\":null,\"a\":2}"},
    };
    (void)state;
    ALL(rows);
}

#define DEL(list) "{\"deleted_user_attributes\":[" list "]}"
#define SET(members) "{\"user_attributes\":{" members "}}"
#define BOTH(members, list) \
    "{\"user_attributes\":{" members "},\"deleted_user_attributes\":[" list "]}"

static void test_deleted(void **state)
{
    static const row_t rows[] = {
        {{DEL("\"a\",\"a\"")}, DEL("\"a\",\"a\"")},
        {{DEL("\"a\",\"b\""), DEL("\"c\",\"\\u0061\"")}, DEL("\"a\",\"b\",\"c\"")},
        {{DEL("\"a\",\"b\""), SET("\"\\u0061\":1")},
         "{\"deleted_user_attributes\":[\"b\"],\"user_attributes\":{\"\\u0061\":1}}"},
        {{DEL("\"a\""), SET("\"a\":null")},
         "{\"deleted_user_attributes\":[\"a\"],\"user_attributes\":{\"a\":null}}"},
        {{DEL("\"a\""), SET("\"a\":1"), DEL("\"a\"")},
         "{\"deleted_user_attributes\":[\"a\"],\"user_attributes\":{\"a\":1}}"},
        {{DEL("\"a\",\"b\""), BOTH("\"a\":1", "\"a\"")},
         "{\"deleted_user_attributes\":[\"b\",\"a\"],\"user_attributes\":{\"a\":1}}"},
        {{BOTH("\"a\":1", "\"a\""), "{}"}, BOTH("\"a\":1", "\"a\"")},
        {{SET("\"a\":1"), DEL("\"a\"")}, BOTH("\"a\":1", "\"a\"")},
        {{DEL("\"a\""), SET("\"a\":1")},
         "{\"deleted_user_attributes\":[],\"user_attributes\":{\"a\":1}}"},
        {{DEL("1,1,null"), DEL("1")}, DEL("1,1,null,1")},
        {{DEL("\"a\""), "{\"deleted_user_attributes\":null}"}, DEL("\"a\"")},
        {{DEL("\"a\""), "{\"deleted_user_attributes\":\"b\"}"},
         "{\"deleted_user_attributes\":\"b\"}"},
        {{DEL("\"a\""), "{\"user_attributes\":[\"a\"]}"},
         "{\"deleted_user_attributes\":[\"a\"],\"user_attributes\":[\"a\"]}"},
    };
    (void)state;
    ALL(rows);
}

static void test_message_id(void **state)
{
    static const row_t rows[] = {
        {{"{}"}, "{\"message_id\":\"w\"}"},
        {{"{\"mpid\":1}"}, "{\"mpid\":1,\"message_id\":\"w\"}"},
        {{"{\"message_id\":null,\"mpid\":1}"}, "{\"message_id\":\"w\",\"mpid\":1}"},
        /* a single batch keeps its own */
        {{"{\"message_id\":\"m\",\"mpid\":1}"}, "{\"message_id\":\"m\",\"mpid\":1}"},
        {{"{\"message_id\":\"m\"}", "{\"mpid\":1}"}, "{\"message_id\":\"w\",\"mpid\":1}"},
        {{"{\"message_id\":\"m\",\"source_request_id\":1}", "{\"source_request_id\":1}"},
         "{\"message_id\":\"m\",\"source_request_id\":1}"},
    };
    static const row_t without = {{"{\"message_id\":\"m\"}", "{\"message_id\":\"n\"}"},
                                  "{\"message_id\":\"n\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_merged(&rows[i], "w");
    }
    assert_merged(&without, "");
}

static void test_damage(void **state)
{
    static const char *const bad[] = {"", "{", "[]", "null", "{\"a\":1}x"};
    kf_buf_t out;
    (void)state;
    kf_buf_init(&out, 1000);
    kf_buf_putc(&out, '>');
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        kf_str_t texts[] = {KF_STR("{\"source_request_id\":1}"),
                            KF_STR("{\"source_request_id\":1}"), kf_str_of(bad[i]), KF_STR("{}")};
        uint32_t damaged = 99;
        assert_int_equal(kf_merge(texts, 4, KF_STR(""), &out, &damaged), KF_MERGE_DAMAGED);
        assert_int_equal(damaged, 2);
        assert_true(out.n == 1 && !out.failed);
    }
    kf_buf_free(&out);
}

/* Everything that allocates: many members, many events out of order, deletions, escapes. */
static kf_buf_t large_upload(unsigned serial)
{
    kf_buf_t text;
    kf_buf_init(&text, SIZE_MAX / 4);
    kf_buf_printf(&text, "{\"source_request_id\":\"\\u0072%u\",\"deleted_user_attributes\":[",
                  serial);
    for (unsigned i = 0; i < 40; i++) {
        kf_buf_printf(&text, "%s\"\\u0061%u\"", i ? "," : "", i + serial);
    }
    kf_buf_put_str(&text, KF_STR("],\"user_attributes\":{\"\\u0061\":1},\"events\":["));
    for (unsigned i = 0; i < 100; i++) {
        kf_buf_printf(&text,
                      "%s{\"event_type\":\"x\",\"data\":{\"source_message_id\":\"\\u006d%u\","
                      "\"timestamp_unixtime_ms\":%u}}",
                      i ? "," : "", i + 50 * serial, 2000 - 2 * i + serial);
    }
    kf_buf_putc(&text, ']');
    for (unsigned i = 0; i < 80; i++) {
        kf_buf_printf(&text, ",\"n%u\":%u", i, serial);
    }
    kf_buf_putc(&text, '}');
    assert_false(text.failed);
    return text;
}

static void test_memory(void **state)
{
    kf_buf_t uploads[3], out;
    kf_str_t texts[3];
    uint32_t damaged;
    kf_merge_result_t result;
    unsigned tried = 0;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        uploads[i] = large_upload(i);
        texts[i] = kf_buf_str(&uploads[i]);
    }
    do {
        kf_buf_init(&out, SIZE_MAX / 4);
        kf_buf_putc(&out, '>');
        refuse = ++tried;
        result = kf_merge(texts, 3, KF_STR("w"), &out, &damaged);
        bool reached = refuse == 0;
        refuse = 0;
        assert_true(result == (reached ? KF_MERGE_MEMORY : KF_MERGE_OK));
        assert_int_equal(out.n == 1, reached);
        kf_buf_free(&out);
    } while (result != KF_MERGE_OK);
    assert_true(tried > 20);
    kf_buf_init(&out, 2000);
    assert_int_equal(kf_merge(texts, 3, KF_STR("w"), &out, &damaged), KF_MERGE_MEMORY);
    assert_int_equal(out.n, 0);
    kf_buf_free(&out);
    for (unsigned i = 0; i < 3; i++) {
        kf_buf_free(&uploads[i]);
    }
}

static int64_t processor_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * KF_SEC + t.tv_nsec / 1000;
}

/* Time grows with the bytes, however the sender chose names, ids and times: a quadratic step would
 * take minutes here. The processor's time, since the machine may be busy with other things. */
static void test_hostile(void **state)
{
    enum { N = 100000, UPLOADS = 4 };
    kf_buf_t uploads[UPLOADS], out;
    kf_str_t texts[UPLOADS];
    uint32_t damaged;
    (void)state;
    for (unsigned u = 0; u < UPLOADS; u++) {
        kf_buf_init(&uploads[u], SIZE_MAX / 4);
        kf_buf_put_str(&uploads[u], KF_STR("{\"deleted_user_attributes\":["));
        for (unsigned i = 0; i < N; i++) {
            kf_buf_printf(&uploads[u], "%s\"%08x\"", i ? "," : "", i * 2654435761u + u);
        }
        kf_buf_put_str(&uploads[u], KF_STR("],\"events\":["));
        for (unsigned i = 0; i < N; i++) {
            kf_buf_printf(&uploads[u],
                          "%s{\"event_type\":\"x\",\"data\":{\"source_message_id\":%u,"
                          "\"timestamp_unixtime_ms\":%u}}",
                          i ? "," : "", 1 + UPLOADS * i + u, N - i);
        }
        kf_buf_putc(&uploads[u], ']');
        for (unsigned i = 0; i < N; i++) {
            kf_buf_printf(&uploads[u], ",\"%u\":1", UPLOADS * i + u);
        }
        kf_buf_putc(&uploads[u], '}');
        assert_false(uploads[u].failed);
        texts[u] = kf_buf_str(&uploads[u]);
    }
    kf_buf_init(&out, SIZE_MAX / 4);
    int64_t start = processor_us();
    assert_int_equal(kf_merge(texts, UPLOADS, KF_STR(""), &out, &damaged), KF_MERGE_OK);
    assert_true(processor_us() - start < patient(20 * KF_SEC));
    for (unsigned u = 0; u < UPLOADS; u++) {
        kf_buf_free(&uploads[u]);
    }
    kf_buf_free(&out);
}

static void test_sorting(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 70; n++) {
        kf_buf_t text, out;
        kf_json_t json = {0};
        kf_json_error_t error;
        uint32_t damaged;
        kf_buf_init(&text, SIZE_MAX / 4);
        kf_buf_init(&out, SIZE_MAX / 4);
        kf_buf_put_str(&text, KF_STR("{\"events\":["));
        for (unsigned i = 0; i < n; i++) {
            kf_buf_printf(&text, "%s{\"data\":{\"timestamp_unixtime_ms\":%u},\"n\":%u}",
                          i ? "," : "", 1 + (i * 37 + n) % 11, 100 + i);
        }
        kf_buf_put_str(&text, KF_STR("]}"));
        kf_str_t texts[] = {kf_buf_str(&text), KF_STR("{}")};
        assert_int_equal(kf_merge(texts, 2, KF_STR(""), &out, &damaged), KF_MERGE_OK);
        assert_true(kf_json_scan(&json, out.p, out.n, KF_JSON_DEPTH_MAX, &error));
        unsigned time = 0, serial = 0, seen = 0;
        for (uint32_t e = 3; e < json.v[2].next; e = json.v[e].next, seen++) {
            uint32_t data = kf_json_member(&json, e, KF_STR("data"));
            unsigned t = (unsigned)strtoul(kf_json_token(&json, data + 2).p, NULL, 10);
            uint32_t node = kf_json_member(&json, e, KF_STR("n"));
            unsigned s = (unsigned)strtoul(kf_json_token(&json, node).p, NULL, 10);
            assert_true(t > time || (t == time && s > serial));
            time = t;
            serial = s;
        }
        assert_int_equal(seen, n);
        kf_json_free(&json);
        kf_buf_free(&text);
        kf_buf_free(&out);
    }
}

static void test_map(void **state)
{
    enum { N = 5000 };
    kf_text_map_t map = {0};
    kf_json_t json = {0};
    kf_json_error_t error;
    kf_buf_t text;
    (void)state;
    kf_buf_init(&text, SIZE_MAX / 4);
    kf_buf_putc(&text, '[');
    for (unsigned i = 0; i < N; i++) {
        kf_buf_printf(&text, i % 2 ? "%s\"%u\"" : "%s%u", i ? "," : "", i);
    }
    kf_buf_putc(&text, ']');
    assert_true(kf_json_scan(&json, text.p, text.n, 2, &error));
    assert_null(kf_text_map_find(&map, KF_STR("0")));
    for (unsigned round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < N; i++) {
            kf_str_t key = i % 2 ? kf_json_inner(&json, 1 + i) : kf_json_token(&json, 1 + i);
            uint32_t *number = kf_text_map_enter(&map, &json, 1 + i, key);
            assert_non_null(number);
            assert_true(*number == (round ? i : KF_TEXT_MAP_NEW));
            *number = i;
        }
    }
    assert_int_equal(map.n, N);
    assert_int_equal(*kf_text_map_find(&map, KF_STR("4321")), 4321);
    assert_null(kf_text_map_find(&map, KF_STR("04321")));
    assert_null(kf_text_map_find(&map, KF_STR("")));
    kf_text_map_free(&map);
    kf_json_free(&json);
    kf_buf_free(&text);
}

/* The parts of a written session, as they came and the other way round. */
static void test_samples(void **state)
{
    static const char *const names[] = {"session-part-1-start", "session-part-2-middle-uuid-only",
                                        "session-part-2-duplicate-upload",
                                        "session-part-5-straggler-after-end"};
    kf_str_t texts[4], back[4];
    kf_buf_t out[2];
    uint32_t damaged;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        texts[i] = back[3 - i] = kf_sample_read(names[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        kf_buf_init(&out[i], SIZE_MAX / 4);
        assert_int_equal(kf_merge(i ? back : texts, 4, KF_STR(""), &out[i], &damaged), KF_MERGE_OK);
    }
    kf_post_t *post = kf_sample_post(kf_buf_str(&out[0]));
    const kf_item_t *item = kf_post_item(post, 0);
    assert_int_equal(item->event_count, 5);
    assert_true(kf_json_string_is(item->json, item->member[KF_B_source_request_id],
                                  KF_STR("5e551011-0000-4000-8000-000000000005")));
    kf_post_t *other = kf_sample_post(kf_buf_str(&out[1]));
    const kf_item_t *same = kf_post_item(other, 0);
    assert_true(kf_str_eq(kf_json_token(item->json, item->member[KF_B_events]),
                          kf_json_token(same->json, same->member[KF_B_events])));
    kf_post_free(post);
    kf_post_free(other);
    for (unsigned i = 0; i < 4; i++) {
        free((char *)(uintptr_t)texts[i].p);
    }
    kf_buf_free(&out[0]);
    kf_buf_free(&out[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),    cmocka_unit_test(test_order),
        cmocka_unit_test(test_repeats),    cmocka_unit_test(test_deleted),
        cmocka_unit_test(test_message_id), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_memory),     cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_sorting),    cmocka_unit_test(test_map),
        cmocka_unit_test(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
