/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies by tables: what is taken, what is refused and with which words, names twice in each place
 * where they matter and in those where they don't, wrappers, and hostile input in bounded time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/kf_limits.h"
#include "events/kf_members.h"
#include "events/kf_post.h"

static kf_fault_t fault;

/* Parses a copy that ends where its block ends. The copy lives until the next call. */
static kf_post_t *parse(const char *text, size_t n)
{
    static char *copy;
    free(copy);
    copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    memset(&fault, 'x', sizeof(fault));
    return kf_post_parse(copy, n, &fault);
}

static void assert_taken(const char *text, uint32_t items)
{
    kf_post_t *post = parse(text, strlen(text));
    if (!post) {
        fail_msg("refused (%s): %s", fault.message, text);
    }
    assert_int_equal(kf_post_count(post), items);
    kf_post_free(post);
}

static void assert_refused(const char *text, size_t n, const char *message)
{
    kf_post_t *post = parse(text, n);
    if (post) {
        fail_msg("taken: %s", text);
    }
    assert_false(fault.out_of_memory);
    if (strcmp(fault.message, message) != 0) {
        fail_msg("%s: \"%s\", not \"%s\"", text, fault.message, message);
    }
}

typedef struct {
    const char *body;
    const char *message;
} refusal_t;

static void refused(const refusal_t *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_refused(rows[i].body, strlen(rows[i].body), rows[i].message);
    }
}
#define REFUSED(rows) refused(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_taken(void **state)
{
    static const struct {
        const char *body;
        uint32_t items;
    } rows[] = {
        {"{\"events\":[]}", 1},
        {" \r\n\t{ \"events\" : null } \n", 1},
        {"{\"mpid\":1}", 1},
        {"{\"mpid\":null}", 1},
        {"{\"mp_deviceid\":\"x\"}", 1},
        {"{\"user_identities\":null}", 1},
        {"{\"user_attributes\":{}}", 1},
        {"{\"deleted_user_attributes\":[]}", 1},
        {"{\"device_info\":7}", 1},
        {"{\"consent_state\":{}}", 1},
        {"{\"ev\\u0065nts\":[{\"event\\u005ftype\":\"\"}]}", 1},
        {"{\"events\":[{\"event_type\":\"a\",\"data\":null},{\"event_type\":\"b\",\"data\":[]}]}",
         1},
        {"{\"events\":[{\"event_type\":\"a\",\"data\":{\"breadcrumbs\":[1,{\"data\":2}]}}]}", 1},
        {"[{\"mpid\":1},{\"AudienceId\":2},{\"events\":[{\"event_type\":\"a\"}]}]", 3},
        {"{\"AudienceId\":1}", 1},
        {"{\"AudienceId\":1,\"mpid\":2}", 1},
        {"{\"dt\":\"h\",\"mpid\":1}", 1},
        {"{\"dt\":\"x\",\"msgs\":[],\"mpid\":1}", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_taken(rows[i].body, rows[i].items);
    }
}

static void test_structure(void **state)
{
    static const refusal_t rows[] = {
        {"", "the body is empty (byte 0)"},
        {" \n", "the body is empty (byte 2)"},
        {"\"just a string\"", "the body must be an object or an array (byte 0)"},
        {" 5", "the body must be an object or an array (byte 1)"},
        {"null", "the body must be an object or an array (byte 0)"},
        {"[]", "an empty array holds no batch (byte 0)"},
        {"[{\"mpid\":1},3]", "batch 1: a batch must be an object (byte 12)"},
        {"[[]]", "batch 0: a batch must be an object (byte 1)"},
        {"{}", "neither an event batch nor an audience message (byte 0)"},
        {"{\"application_info\":{},\"ip\":\"::1\"}",
         "neither an event batch nor an audience message (byte 0)"},
        {"[{\"mpid\":1},{\"x\":1}]",
         "batch 1: neither an event batch nor an audience message (byte 12)"},
        {"{\"AudienceId\":null}", "neither an event batch nor an audience message (byte 0)"},
        {"{\"events\":{}}", "events must be an array or null (byte 10)"},
        {"{\"events\":\"\"}", "events must be an array or null (byte 10)"},
        {"{\"events\":false,\"AudienceId\":1}", "events must be an array or null (byte 10)"},
        {"{\"events\":[null]}", "event 0: an event must be an object (byte 11)"},
        {"{\"events\":[{\"event_type\":\"a\"},[]]}",
         "event 1: an event must be an object (byte 30)"},
        {"{\"events\":[{\"data\":{}}]}", "event 0: an event needs an event_type (byte 11)"},
        {"{\"events\":[{\"event_type\":null}]}", "event 0: event_type must be a string (byte 25)"},
        {"{\"events\":[{\"event_type\":1}]}", "event 0: event_type must be a string (byte 25)"},
        {"[{\"mpid\":1},{\"events\":[{\"event_type\":\"a\"},{}]}]",
         "batch 1, event 1: an event needs an event_type (byte 42)"},
    };
    (void)state;
    REFUSED(rows);
}

static void test_not_json(void **state)
{
    static const struct {
        const char *body;
        size_t n;
        const char *at;
    } rows[] = {
        {"\xef\xbb\xbf{\"mpid\":1}", 13, "(byte 0)"},
        {"{\"mpid\":\"\xff\"}", 12, "(byte 9)"},
        {"{\"mpid\":\"\\ud800\"}", 17, "(byte 9)"},
        {"{\"mpid\":\"\\udc00\\ud800\"}", 23, "(byte 9)"},
        {"{\"mpid\":1}\0", 11, "(byte 10)"},
        {"{\"mpid\":1} {}", 13, "(byte 11)"},
        {"{\"mpid\":1", 9, "(byte 9)"},
        {"{\"mpid\":01}", 11, "byte 9"},
        {"{'mpid':1}", 10, "(byte 1)"},
        {"{\"mpid\":1,}", 11, "(byte 10)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_null(parse(rows[i].body, rows[i].n));
        if (!strstr(fault.message, rows[i].at) || strncmp(fault.message, "not JSON: ", 10) != 0) {
            fail_msg("row %zu: %s", i, fault.message);
        }
    }
}

/* A batch in which `depth` brackets are open at once, within a bulk or not. */
static void assert_depth(bool bulk, int depth, bool taken)
{
    char text[400] = "", closing[200] = "";
    int inner = depth - 1 - bulk;
    strcat(text, bulk ? "[{\"mpid\":" : "{\"mpid\":");
    for (int i = 0; i < inner; i++) {
        strcat(text, i % 2 ? "{\"a\":" : "[");
        memmove(closing + 1, closing, strlen(closing) + 1);
        closing[0] = i % 2 ? '}' : ']';
    }
    strcat(text, "1");
    strcat(text, closing);
    strcat(text, bulk ? "}]" : "}");
    kf_post_t *post = parse(text, strlen(text));
    assert_int_equal(post != NULL, taken);
    if (!taken) {
        assert_non_null(strstr(fault.message, "more than 64 brackets open at once (byte "));
    }
    kf_post_free(post);
}

static void test_depth(void **state)
{
    (void)state;
    for (int bulk = 0; bulk < 2; bulk++) {
        assert_depth(bulk, KF_JSON_DEPTH_MAX, true);
        assert_depth(bulk, KF_JSON_DEPTH_MAX + 1, false);
    }
}

static void test_native(void **state)
{
#define NATIVE "this is mParticle's native SDK format (dt \"h\" with msgs), not the Events API's "
    static const refusal_t rows[] = {
        {"{\"dt\":\"h\",\"msgs\":[]}", NATIVE "(byte 0)"},
        {"{\"mpid\":1,\"msgs\":[{\"dt\":\"e\"}],\"d\\u0074\":\"\\u0068\"}", NATIVE "(byte 0)"},
        {"[{\"dt\":\"h\",\"msgs\":null}]", "batch 0: " NATIVE "(byte 1)"},
        {"{\"Record\":{\"Data\":{\"dt\":\"h\",\"msgs\":[]}}}", NATIVE "(byte 18)"},
    };
    (void)state;
    REFUSED(rows);
}

static void test_names_twice(void **state)
{
#define EVENT(inner) "{\"events\":[{\"event_type\":\"a\"" inner "}]}"
    static const refusal_t rows[] = {
        {"{\"mpid\":1,\"mpid\":2}", "a member name twice (byte 10)"},
        {"{\"mpid\":1,\"mp\\u0069d\":2}", "a member name twice (byte 10)"},
        {"{\"mpid\":1,\"\":1,\"x\":1,\"\":1}", "a member name twice (byte 21)"},
        {"{\"mpid\":1,\"abcdefgh1abcdefgh\":1,\"abcdefgh2abcdefgh\":1,\"abcdefgh\\u0031abcdefgh\":"
         "1}",
         "a member name twice (byte 54)"},
        {"{\"mpid\":1,\"\\u0000\":1,\"\\u0000\":1}", "a member name twice (byte 21)"},
        {"{\"user_identities\":{\"email\":1,\"email\":1}}",
         "a member name twice in user_identities (byte 30)"},
        {"{\"user_identities\":[{},{\"identity\":1,\"identity\":1}]}",
         "user identity 1: a member name twice (byte 37)"},
        {"{\"mpid\":1,\"partner_identities\":{\"a\":1,\"a\":1}}",
         "a member name twice in partner_identities (byte 38)"},
        {"{\"device_info\":{\"a\":1,\"a\":1}}", "a member name twice in device_info (byte 22)"},
        {"{\"mpid\":1,\"context\":{\"a\":1,\"a\":1}}", "a member name twice in context (byte 27)"},
        {EVENT(",\"x\":1,\"x\":1"), "event 0: a member name twice (byte 35)"},
        {EVENT(",\"data\":{},\"data\":{}"), "event 0: a member name twice (byte 39)"},
        {EVENT(",\"data\":{\"a\":1,\"\\u0061\":1}"),
         "event 0: a member name twice in data (byte 43)"},
        {EVENT(",\"data\":{\"breadcrumbs\":[{},{\"a\":1,\"a\":1}]}"),
         "event 0, breadcrumb 1: a member name twice (byte 62)"},
        {EVENT(",\"data\":{\"breadcrumbs\":[{\"data\":{\"a\":1,\"a\":1}}]}"),
         "event 0, breadcrumb 0: a member name twice in data (byte 67)"},
        {"{\"AudienceId\":1,\"a\":1,\"a\":1}", "a member name twice (byte 22)"},
        {"[{\"mpid\":1},{\"AudienceId\":1,\"UserIdentities\":{\"a\":1,\"a\":1}}]",
         "batch 1: a member name twice in UserIdentities (byte 52)"},
    };
    static const char *const allowed[] = {
        "{\"mpid\":1,\"user_attributes\":{\"a\":1,\"a\":1},\"application_info\":{\"a\":1,\"a\":1}}",
        "{\"mpid\":1,\"consent_state\":{\"a\":1,\"a\":1},\"context\":{\"x\":{\"a\":1,\"a\":1}}}",
        "{\"mpid\":1,\"partner_identities\":[{\"a\":1,\"a\":1}],\"device_info\":[{\"a\":1,\"a\":1}]"
        "}",
        EVENT(",\"x\":{\"a\":1,\"a\":1},\"data\":{\"custom_attributes\":{\"a\":1,\"a\":1}}"),
        EVENT(",\"data\":{\"breadcrumbs\":{\"a\":1,\"a\":1}}"),
        EVENT(",\"data\":{\"breadcrumbs\":[{\"data\":{\"x\":{\"a\":1,\"a\":1}}}]}"),
        "{\"AudienceId\":1,\"x\":{\"a\":1,\"a\":1}}",
        "{\"mpid\":1,\"A\":1,\"a\":1}",
    };
    (void)state;
    REFUSED(rows);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        assert_taken(allowed[i], 1);
    }
}

/* n names n0, n1, ..., every third escaped where asked; and, as the last, n0 again if asked. */
static char *many_names(int n, bool escaped, bool twice)
{
    char *text = malloc((size_t)n * 16 + 64), *p = text;
    assert_non_null(text);
    p += sprintf(p, "{\"mpid\":0");
    for (int i = 0; i < n; i++) {
        p += sprintf(p, escaped && i % 3 == 1 ? ",\"\\u006e%d\":0" : ",\"n%d\":0", i);
    }
    sprintf(p, twice ? ",\"n\\u0030\":0}" : "}");
    return text;
}

static void test_many_names(void **state)
{
    static const int counts[] = {1, 15, 29, 30, 31, 32, 33, 63, 64, 65, 66, 127, 200, 5000};
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (int escaped = 0; escaped < 2; escaped++) {
            char *good = many_names(counts[i], escaped, false);
            assert_taken(good, 1);
            free(good);
            char *bad = many_names(counts[i], escaped, true);
            assert_null(parse(bad, strlen(bad)));
            assert_non_null(strstr(fault.message, "a member name twice (byte "));
            free(bad);
        }
    }
}

/* Names that agree in all that the quick hash looks at: their length, head and tail. */
static void test_colliding_names(void **state)
{
    (void)state;
    const int n = 100000;
    char *text = malloc((size_t)n * 48 + 64), *p = text;
    assert_non_null(text);
    p += sprintf(p, "{\"mpid\":0");
    for (int i = 0; i < n; i++) {
        p += sprintf(p, ",\"aaaaaaaa%08daaaaaaaa\":0", i);
    }
    sprintf(p, "}");
    clock_t before = clock();
    assert_taken(text, 1);
    /* some 20 ms; comparing each with each would take a minute */
    assert_true(clock() - before < 3 * CLOCKS_PER_SEC);
    free(text);
}

static void test_wrapper(void **state)
{
    /* {"mpid":1} in base64 */
#define ONE "eyJtcGlkIjoxfQ=="
    static const refusal_t rows[] = {
        {"{\"Record\":{\"Data\":5}}", "Record.Data must be an object or a base64 string (byte 18)"},
        {"{\"Record\":{}}", "Record.Data must be an object or a base64 string (byte 10)"},
        {"{\"Record\":3}", "neither an event batch nor an audience message (byte 0)"},
        {"{\"Record\":{\"Data\":\"*\"}}", "Record.Data is no base64 (byte 18)"},
        {"{\"Record\":{\"Data\":\"eyJtcGlkIjoxfQ\"}}", "Record.Data is no base64 (byte 18)"},
        {"{\"Record\":{\"Data\":\"\"}}", "empty (byte 0 of the decoded Record.Data)"},
        {"{\"Record\":{\"Data\":\"e30=\"}}",
         "neither an event batch nor an audience message (byte 0 of the decoded Record.Data)"},
        {"{\"Record\":{\"Data\":\"W10=\"}}",
         "Record.Data must hold an object (byte 0 of the decoded Record.Data)"},
        {"[{\"mpid\":1},{\"Record\":{\"Data\":{\"events\":[{}]}}}]",
         "batch 1, event 0: an event needs an event_type (byte 41)"},
        {"{\"Record\":{\"Data\":{\"Record\":{\"Data\":\"" ONE "\"}}}}",
         "neither an event batch nor an audience message (byte 18)"},
        {"[{\"Record\":{\"Data\":\"" ONE "\"}},{\"Record\":{\"Data\":\"W10=\"}}]",
         "batch 1: Record.Data must hold an object (byte 0 of the decoded Record.Data)"},
        /* {"mpid":x} */
        {"[{\"Record\":{\"Data\":\"" ONE "\"}},{\"Record\":{\"Data\":\"eyJtcGlkIjp4fQ==\"}}]",
         "batch 1: not JSON: a value was expected (byte 8 of the decoded Record.Data)"},
        {"[{\"Record\":{\"Data\":\"" ONE "\"}},{\"Record\":{\"Data\":\"\"}}]",
         "batch 1: empty (byte 0 of the decoded Record.Data)"},
        {"{\"Record\":{\"Data\":\"" ONE "\"},\"Record\":{\"Data\":\"" ONE "\"}}",
         "a member name twice in the PutRecord wrapper (byte 38)"},
        {"{\"Record\":{\"Data\":\"" ONE "\",\"Data\":\"" ONE "\"}}",
         "a member name twice in the PutRecord wrapper (byte 37)"},
    };
    static const char *const good[] = {
        "{\"Record\":{\"Data\":\"" ONE "\"}}",
        "{\"DeliveryStreamName\":\"s\",\"Rec\\u006frd\":{\"Data\":{\"mpid\":1}}}",
        "{\"StreamName\":\"s\",\"PartitionKey\":\"p\",\"Record\":{\"Data\":{\"AudienceId\":1}}}",
        "{\"x\":1,\"x\":2,\"Record\":{\"Data\":\"eyJtcGlkI\\u006aoxfQ==\"}}",
    };
    (void)state;
    REFUSED(rows);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_taken(good[i], 1);
    }
    assert_taken("[{\"Record\":{\"Data\":\"" ONE "\"}},{\"mpid\":2},{\"Record\":{\"Data\":\"" ONE
                 "\"}}]",
                 3);
    /* a batch that has a Record of its own is a batch */
    kf_post_t *post = parse("{\"mpid\":1,\"Record\":{\"Data\":5}}", 30);
    assert_non_null(post);
    assert_int_equal(kf_post_item(post, 0)->kind, KF_ITEM_BATCH);
    assert_int_equal(kf_post_item(post, 0)->node, 0);
    kf_post_free(post);
}

static void test_items(void **state)
{
    const char *text =
        "[{\"events\":[{\"event_type\":\"a\"},{\"event_type\":\"b\"}],\"mp\\u0069d\":7},"
        "{\"Record\":{\"Data\":\"" ONE "\"}},{\"AudienceId\":3,\"IsMember\":true}]";
    (void)state;
    kf_post_t *post = parse(text, strlen(text));
    assert_non_null(post);
    assert_int_equal(kf_post_count(post), 3);
    for (int round = 0; round < 2; round++) {
        const kf_item_t *item = kf_post_item(post, 0);
        assert_int_equal(item->kind, KF_ITEM_BATCH);
        assert_int_equal(item->event_count, 2);
        assert_int_equal(item->known, 1u << KF_B_events | 1u << KF_B_mpid);
        assert_true(kf_str_eq(kf_json_token(item->json, item->member[KF_B_mpid]), KF_STR("7")));
        assert_int_equal(item->member[KF_B_mp_deviceid], 0);
        item = kf_post_item(post, 1);
        assert_int_equal(item->kind, KF_ITEM_BATCH);
        assert_int_equal(item->event_count, 0);
        assert_int_equal(item->member[KF_B_events], 0);
        assert_true(kf_str_eq(kf_json_token(item->json, item->node), KF_STR("{\"mpid\":1}")));
        item = kf_post_item(post, 2);
        assert_int_equal(item->kind, KF_ITEM_AUDIENCE);
        assert_int_equal(item->known, 1u << KF_B_AudienceId);
        assert_int_equal(item->member[KF_B_mpid], 0);
    }
    kf_post_free(post);
    kf_post_free(NULL);
}

/* More than are kept without growing, of unequal sizes, from three texts. */
static void test_many_items(void **state)
{
    (void)state;
    enum { TRIPLES = 400 };
    char *text = malloc(TRIPLES * 160), *p = text;
    assert_non_null(text);
    for (int i = 0; i < TRIPLES; i++) {
        p += sprintf(
            p,
            "%s{\"mpid\":%d,\"ip\":1,\"user_attributes\":{},\"events\":[{\"event_type\":\"a\"}]},"
            "{\"AudienceId\":%d},{\"Record\":{\"Data\":\"" ONE "\"}}",
            i ? "," : "[", i, i);
    }
    sprintf(p, "]");
    kf_post_t *post = parse(text, strlen(text));
    assert_non_null(post);
    assert_int_equal(kf_post_count(post), 3 * TRIPLES);
    for (uint32_t i = 3 * TRIPLES; i-- > 0;) {
        static const kf_batch_member_t named[] = {KF_B_mpid, KF_B_AudienceId, KF_B_mpid};
        static const int members[] = {4, 1, 1};
        const kf_item_t *item = kf_post_item(post, i);
        char number[16];
        int set = 0;
        for (int id = 0; id < KF_B_COUNT; id++) {
            set += item->member[id] != 0;
            assert_int_equal(item->member[id] != 0, item->known >> id & 1);
        }
        assert_int_equal(set, members[i % 3]);
        assert_int_equal(item->kind, i % 3 == 1 ? KF_ITEM_AUDIENCE : KF_ITEM_BATCH);
        assert_int_equal(item->event_count, i % 3 == 0);
        snprintf(number, sizeof(number), "%u", i % 3 == 2 ? 1 : i / 3);
        assert_true(
            kf_str_eq(kf_json_token(item->json, item->member[named[i % 3]]), kf_str_of(number)));
    }
    kf_post_free(post);
    free(text);
}

static void test_member_names(void **state)
{
    static const kf_str_t names[] = {
#define KF_BATCH_MEMBER(id, name) {name, sizeof(name) - 1},
#include "events/kf_batch_members.def"
#undef KF_BATCH_MEMBER
    };
    (void)state;
    for (int id = 0; id < KF_B_COUNT; id++) {
        char other[64];
        assert_int_equal(kf_member_find(names[id]), id);
        memcpy(other, names[id].p, names[id].n);
        other[names[id].n / 2] = '#';
        assert_int_equal(kf_member_find((kf_str_t){other, names[id].n}), KF_B_COUNT);
        memcpy(other, names[id].p, names[id].n);
        other[names[id].n] = '#';
        assert_int_equal(kf_member_find((kf_str_t){other, names[id].n + 1}), KF_B_COUNT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),           cmocka_unit_test(test_structure),
        cmocka_unit_test(test_not_json),        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_items),      cmocka_unit_test(test_native),
        cmocka_unit_test(test_names_twice),     cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_colliding_names), cmocka_unit_test(test_wrapper),
        cmocka_unit_test(test_items),           cmocka_unit_test(test_member_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
