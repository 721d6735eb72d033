/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner by tables: what RFC 8259 allows and what it does not, at every limit, with the
 * place of each error. Also built with the portable steps in place of SSE2's (test_json_portable.c).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/kf_limits.h"
#include "events/kf_json.h"
#include "test_json_oracle.h"

static kf_json_t json;

static int free_index(void **state)
{
    (void)state;
    kf_json_free(&json);
    return 0;
}

/* Scans a copy that ends where its block ends, so that reading further is seen by a sanitizer. */
static bool scan(kf_str_t text, int depth, kf_json_error_t *error)
{
    static char *copy;

    free(copy);
    copy = malloc(text.n ? text.n : 1);
    assert_non_null(copy);
    memcpy(copy, text.p, text.n);
    return kf_json_scan(&json, copy, text.n, depth, error);
}

static void assert_good(kf_str_t text)
{
    kf_json_error_t error;

    if (!scan(text, KF_JSON_DEPTH_MAX, &error))
        fail_msg("refused at %zu (%s): %.*s", error.offset, error.what, (int)text.n, text.p);
    assert_int_equal(error.result, KF_JSON_OK);
    assert_null(oracle_check_index(&json, text.n));
}

static void assert_bad(kf_str_t text, kf_json_result_t result, size_t offset)
{
    kf_json_error_t error;

    if (scan(text, KF_JSON_DEPTH_MAX, &error))
        fail_msg("accepted: %.*s", (int)text.n, text.p);
    if (error.result != result || error.offset != offset)
        fail_msg("%.*s: result %d at %zu (%s), not %d at %zu", (int)text.n, text.p, error.result,
                 error.offset, error.what, result, offset);
    assert_true(error.what && *error.what);
}

#define BAD(text, offset) assert_bad(KF_STR(text), KF_JSON_SYNTAX, offset)
#define GOOD(text) assert_good(KF_STR(text))

static void test_empty(void **state)
{
    kf_json_error_t error;

    (void)state;
    assert_bad(KF_STR(""), KF_JSON_EMPTY, 0);
    assert_bad(KF_STR(" "), KF_JSON_EMPTY, 1);
    assert_bad(KF_STR(" \t\r\n \n"), KF_JSON_EMPTY, 6);
    assert_false(kf_json_scan(&json, NULL, 0, 1, &error));
    assert_int_equal(error.result, KF_JSON_EMPTY);
    BAD("\f", 0);
    BAD("\v", 0);
    BAD("\0", 0);
    BAD("\xc2\xa0", 0);
}

static void test_byte_order_mark(void **state)
{
    kf_json_error_t error;

    (void)state;
    BAD("\xef\xbb\xbf{}", 0);
    BAD("\xef\xbb\xbf", 0);
    assert_non_null(strstr((scan(KF_STR("\xef\xbb\xbf{}"), 8, &error), error.what), "mark"));
    BAD("{}\xef\xbb\xbf", 2);
    GOOD("\"\xef\xbb\xbf\"");
}

static void test_words(void **state)
{
    (void)state;
    GOOD("null");
    GOOD("true");
    GOOD(" false ");
    assert_int_equal(json.v[0].type, KF_JSON_FALSE);
    assert_int_equal(json.v[0].start, 1);
    assert_int_equal(json.v[0].end, 6);
    BAD("nul", 0);
    BAD("nulL", 0);
    BAD("True", 0);
    BAD("truefalse", 4);
    BAD("true1", 4);
    BAD("[tru]", 1);
    BAD("NaN", 0);
    BAD("Infinity", 0);
    BAD("undefined", 0);
    BAD("'a'", 0);
}

static void test_numbers(void **state)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "9",
                                       "10",
                                       "-1",
                                       "123456789012345678901234567890",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "0.0",
                                       "-0.5",
                                       "1.25",
                                       "0e0",
                                       "0E+0",
                                       "1e5",
                                       "1E5",
                                       "1e+5",
                                       "1e-5",
                                       "1.5e300",
                                       "1e999",
                                       "-0.0e-0",
                                       "100.001E00"};
    static const struct {
        const char *text;
        size_t offset;
    } bad[] = {{"-", 1},   {"+1", 0},        {"00", 1},  {"01", 1},    {"-01", 2},
               {"-a", 1},  {".5", 0},        {"1.", 2},  {"1.e5", 2},  {"1.5.5", 3},
               {"1e", 2},  {"1e+", 3},       {"1E-", 3}, {"1e5.5", 3}, {"1e 5", 2},
               {"--1", 1}, {"1-", 1},        {"1+1", 1}, {"0x10", 1},  {"1_000", 1},
               {"1a", 1},  {"-Infinity", 1}, {"1,", 1},  {"1 2", 2},   {"\xef\xbc\x91", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_good(kf_str_of(good[i]));
        assert_int_equal(json.v[0].type, KF_JSON_NUMBER);
        assert_int_equal(json.v[0].end, strlen(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_bad(kf_str_of(bad[i].text), KF_JSON_SYNTAX, bad[i].offset);
}

static void test_arrays(void **state)
{
    (void)state;
    GOOD("[]");
    GOOD("[ ]");
    GOOD(" [ 1 , 2 ] ");
    assert_int_equal(json.n, 3);
    GOOD("[[],[[]],[1,[2]]]");
    BAD("[", 1);
    BAD("]", 0);
    BAD("[,]", 1);
    BAD("[,1]", 1);
    BAD("[1,]", 3);
    BAD("[1,,2]", 3);
    BAD("[1 2]", 3);
    BAD("[1", 2);
    BAD("[1,", 3);
    BAD("[1}", 2);
    BAD("[]]", 2);
    BAD("[][]", 2);
    BAD("[1]x", 3);
    BAD("[1:2]", 2);
    BAD("[1] ,", 4);
}

static void test_objects(void **state)
{
    (void)state;
    GOOD("{}");
    GOOD("{ }");
    GOOD("{\"\":0}");
    GOOD(" { \"a\" : 1 , \"b\" : [ ] } ");
    GOOD("{\"a\":1,\"a\":2}");
    BAD("{", 1);
    BAD("}", 0);
    BAD("{,}", 1);
    BAD("{\"a\"", 4);
    BAD("{\"a\"}", 4);
    BAD("{\"a\":}", 5);
    BAD("{\"a\":", 5);
    BAD("{\"a\":1", 6);
    BAD("{\"a\":1,", 7);
    BAD("{\"a\":1,}", 7);
    BAD("{\"a\" 1}", 5);
    BAD("{\"a\"::1}", 5);
    BAD("{\"a\":1 \"b\":2}", 7);
    BAD("{\"a\":1]", 6);
    BAD("{1:2}", 1);
    BAD("{a:1}", 1);
    BAD("{'a':1}", 1);
    BAD("{null:1}", 1);
    BAD("{[]:1}", 1);
    BAD("{}{}", 2);
    BAD("{\"a\":1}/", 7);
    BAD("[1 /**/]", 3);
}

static void test_every_byte_in_a_string(void **state)
{
    char text[40];

    (void)state;
    /* At every place of a step and behind it. */
    for (size_t at = 1; at < sizeof text - 2; at++) {
        for (int c = 0; c < 256; c++) {
            kf_json_error_t error;
            bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

            memset(text, 'x', sizeof text);
            text[0] = text[sizeof text - 1] = '"';
            text[at] = (char)c;
            assert_int_equal(scan((kf_str_t){text, sizeof text}, 1, &error), plain);
            if (plain)
                continue;
            assert_int_equal(error.result, KF_JSON_SYNTAX);
            assert_int_equal(error.offset, c == '"' ? at + 1 : at);
        }
    }
}

static void test_string_lengths(void **state)
{
    char text[80];

    (void)state;
    for (size_t n = 0; n < sizeof text - 2; n++) {
        memset(text, 'x', sizeof text);
        text[0] = text[n + 1] = '"';
        assert_good((kf_str_t){text, n + 2});
        assert_int_equal(kf_json_inner(&json, 0).n, n);
        assert_bad((kf_str_t){text, n + 1}, KF_JSON_SYNTAX, n + 1);
    }
}

static void test_escapes(void **state)
{
    (void)state;
    GOOD("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uABCD\\uabcd\"");
    assert_int_equal(json.v[0].escaped, 1);
    GOOD("\"/\x7f\"");
    assert_int_equal(json.v[0].escaped, 0);
    for (int c = 0; c < 256; c++) {
        char text[] = {'"', '\\', (char)c, '"'};

        if (c != 0 && strchr("\"\\/bfnrt", c))
            assert_good((kf_str_t){text, sizeof text});
        else
            assert_bad((kf_str_t){text, sizeof text}, KF_JSON_SYNTAX, c == 'u' ? 3 : 1);
    }
    BAD("\"\\", 2);
    BAD("\"\\u", 3);
    BAD("\"\\u123", 6);
    BAD("\"\\u123\"", 6);
    BAD("\"\\u12G4\"", 5);
    BAD("\"\\u 123\"", 3);
    BAD("\"\\u+123\"", 3);
    BAD("\"\\U0041\"", 1);
    BAD("\"\\n", 3);
}

static void test_surrogates(void **state)
{
    (void)state;
    GOOD("\"\\ud800\\udc00\"");
    GOOD("\"\\uDBFF\\uDFFF\"");
    GOOD("\"\\ud7ff\\ue000\"");
    BAD("\"\\ud800\"", 1);
    BAD("\"a\\udbff\"", 2);
    BAD("\"\\udc00\"", 1);
    BAD("\"\\udfff\"", 1);
    BAD("\"\\ud800x\"", 1);
    BAD("\"\\ud800\\n\"", 1);
    BAD("\"\\ud800\\u0041\"", 1);
    BAD("\"\\ud800\\ud800\"", 1);
    BAD("\"\\ud800\\ue000\"", 1);
    BAD("\"\\ud800\\udbff\\udc00\"", 1);
    BAD("\"\\udc00\\ud800\"", 1);
    BAD("\"\\ud800\\udc00\\udc00\"", 13);
    BAD("\"\\ud800", 7);
    BAD("\"\\ud800\\", 8);
    BAD("\"\\ud800\\u", 9);
    BAD("\"\\ud800\\udc0", 12);
    BAD("\"\\ud800\\udc0x\"", 12);
}

/* The definition of UTF-8 (RFC 3629), written another way than the scanner's. */
static bool is_character(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = n == 2 ? p[0] & 0x1f : n == 3 ? p[0] & 0x0f : p[0] & 0x07;
    unsigned lead = n == 2 ? p[0] & 0xe0 : n == 3 ? p[0] & 0xf0 : p[0] & 0xf8;

    if (lead != (n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0))
        return false;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return false;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code >= least[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static void test_utf8_sequences(void **state)
{
    static const unsigned char edges[] = {0x22, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                          0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    const size_t n = sizeof edges;
    unsigned char text[6] = "\"";

    (void)state;
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        for (size_t i = 0; i < n * n * n; i++) {
            text[1] = (unsigned char)lead;
            text[2] = edges[i % n];
            text[3] = edges[i / n % n];
            text[4] = edges[i / n / n];
            text[5] = '"';
            for (size_t length = 2; length <= 4; length++) {
                unsigned char closed[6];
                kf_json_error_t error;
                bool good = is_character(text + 1, length);

                memcpy(closed, text, 1 + length);
                closed[1 + length] = '"';
                /* What is shorter and valid is another case. */
                if (!good && (is_character(text + 1, 2) || is_character(text + 1, 3)))
                    continue;
                if (scan((kf_str_t){(char *)closed, length + 2}, 1, &error) != good)
                    fail_msg("%02x %02x %02x %02x, length %zu", text[1], text[2], text[3], text[4],
                             length);
                assert_int_equal(error.offset, good ? 0 : 1);
            }
        }
    }
}

static void test_utf8(void **state)
{
    (void)state;
    GOOD("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"");
    GOOD("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
    GOOD("{\"\xc3\xa9\":\"a\xe2\x82\xac b\xf0\x9f\x98\x80\"}");
    BAD("\"\xc0\x80\"", 1);
    BAD("\"\xc1\xbf\"", 1);
    BAD("\"\xe0\x9f\xbf\"", 1);
    BAD("\"\xf0\x8f\xbf\xbf\"", 1);
    BAD("\"\xed\xa0\x80\"", 1);
    BAD("\"\xed\xbf\xbf\"", 1);
    BAD("\"\xf4\x90\x80\x80\"", 1);
    BAD("\"\xf5\x80\x80\x80\"", 1);
    BAD("\"ab\x80\"", 3);
    BAD("\"\xc3\xa9\xe2\x82\"", 3);
    BAD("\"\xe2\x82", 1);
    BAD("\"\xc3", 1);
    BAD("\xc3\xa9", 0);
    BAD("[\xc3\xa9]", 1);
}

static void test_depth(void **state)
{
    static const char *const opening[] = {"[", "{\"a\":"};
    static const char *const closing[] = {"]", "}"};

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        for (int depth = 62; depth <= 66; depth++) {
            kf_json_error_t error;
            kf_buf_t text;

            kf_buf_init(&text, 4096);
            for (int i = 0; i < depth; i++)
                kf_buf_put_str(&text, kf_str_of(opening[kind]));
            kf_buf_putc(&text, '1');
            for (int i = 0; i < depth; i++)
                kf_buf_put_str(&text, kf_str_of(closing[kind]));
            assert_int_equal(scan(kf_buf_str(&text), 64, &error), depth <= 64);
            assert_int_equal(error.result, depth <= 64 ? KF_JSON_OK : KF_JSON_DEPTH);
            if (depth > 64)
                assert_int_equal(error.offset, 64 * strlen(opening[kind]));
            kf_buf_free(&text);
        }
    }
}

static void test_depth_counts_open_brackets_only(void **state)
{
    kf_json_error_t error;

    (void)state;
    assert_true(scan(KF_STR("[[],[],{},{\"a\":[]},[[]]]"), 3, &error));
    assert_false(scan(KF_STR("[[],[[]]]"), 2, &error));
    assert_int_equal(error.result, KF_JSON_DEPTH);
    assert_int_equal(error.offset, 5);
    assert_true(scan(KF_STR("\"[[\""), 0, &error));
    assert_false(scan(KF_STR("[]"), 0, &error));
    assert_int_equal(error.result, KF_JSON_DEPTH);
}

static void test_every_truncation(void **state)
{
    static const char *const texts[] = {
        "{\"a\":[1,-2.5e+3,true,false,null,\"x\\n\\u00e9\\ud83d\\ude00\xc3\xa9\"],\"\":{}}",
        "[{\"events\":[{\"event_type\":\"custom_event\",\"data\":{\"n\":1}}],\"mpid\":1},{}]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = strlen(texts[i]);

        assert_good((kf_str_t){texts[i], n});
        for (size_t cut = 0; cut < n; cut++) {
            kf_json_error_t error;

            assert_false(scan((kf_str_t){texts[i], cut}, 64, &error));
            assert_int_equal(error.result, cut ? KF_JSON_SYNTAX : KF_JSON_EMPTY);
            assert_true(error.offset <= cut);
        }
    }
}

static void test_nodes(void **state)
{
    static const struct {
        kf_json_type_t type;
        uint32_t start, end, next;
    } nodes[] = {
        {KF_JSON_OBJECT, 1, 32, 10},  {KF_JSON_STRING, 2, 5, 2},    {KF_JSON_ARRAY, 7, 18, 6},
        {KF_JSON_NUMBER, 8, 9, 4},    {KF_JSON_OBJECT, 10, 12, 5},  {KF_JSON_NULL, 13, 17, 6},
        {KF_JSON_STRING, 19, 22, 7},  {KF_JSON_OBJECT, 23, 31, 10}, {KF_JSON_STRING, 24, 27, 9},
        {KF_JSON_STRING, 28, 30, 10},
    };

    (void)state;
    GOOD(" {\"a\": [1,{},null],\"b\":{\"c\":\"\"}}\n");
    assert_int_equal(json.n, sizeof nodes / sizeof *nodes);
    for (uint32_t i = 0; i < json.n; i++) {
        assert_int_equal(json.v[i].type, nodes[i].type);
        assert_int_equal(json.v[i].start, nodes[i].start);
        assert_int_equal(json.v[i].end, nodes[i].end);
        assert_int_equal(json.v[i].next, nodes[i].next);
    }
    assert_true(kf_str_eq(kf_json_token(&json, 1), KF_STR("\"a\"")));
    assert_true(kf_str_eq(kf_json_inner(&json, 1), KF_STR("a")));
}

static void test_names(void **state)
{
    (void)state;
    GOOD("{\"events\":1,\"\\u0065vents\":2,\"a\\n\":3,\"\":4,\"n\\u0000l\":5,\"\xc3\xa9\":6}");
    assert_int_equal(kf_json_member(&json, 0, KF_STR("events")), 2);
    assert_int_equal(kf_json_member(&json, 0, KF_STR("a\n")), 6);
    assert_int_equal(kf_json_member(&json, 0, KF_STR("")), 8);
    assert_int_equal(kf_json_member(&json, 0, KF_STR("n\0l")), 10);
    assert_int_equal(kf_json_member(&json, 0, KF_STR("\xc3\xa9")), 12);
    assert_int_equal(kf_json_member(&json, 0, KF_STR("event")), 0);
    assert_int_equal(kf_json_member(&json, 0, KF_STR("events2")), 0);
    assert_int_equal(kf_json_member(&json, 0, KF_STR("n")), 0);
    assert_true(kf_json_strings_equal(&json, 1, 3));
    assert_true(kf_json_strings_equal(&json, 3, 1));
    assert_false(kf_json_strings_equal(&json, 1, 5));
    GOOD("{\"a\":{\"b\":1},\"b\":2}");
    assert_int_equal(kf_json_member(&json, 0, KF_STR("b")), 6);
    assert_int_equal(kf_json_member(&json, 2, KF_STR("b")), 4);
    GOOD("{}");
    assert_int_equal(kf_json_member(&json, 0, KF_STR("")), 0);
}

static void assert_unescaped(kf_str_t text, kf_str_t meant)
{
    kf_buf_t out;

    assert_good(text);
    kf_buf_init(&out, 100);
    kf_buf_put(&out, "+", 1);
    kf_json_unescape(&json, 0, &out);
    assert_false(out.failed);
    assert_int_equal(out.n, meant.n + 1);
    assert_memory_equal(out.p + 1, meant.p, meant.n);
    assert_true(kf_json_string_is(&json, 0, meant));
    kf_buf_free(&out);
}

static void test_unescape(void **state)
{
    kf_buf_t out;

    (void)state;
    assert_unescaped(KF_STR("\"\""), KF_STR(""));
    assert_unescaped(KF_STR("\"abc\""), KF_STR("abc"));
    assert_unescaped(KF_STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), KF_STR("\"\\/\b\f\n\r\t"));
    assert_unescaped(KF_STR("\"\\u0000\\u007f\\u0080\""), KF_STR("\0\x7f\xc2\x80"));
    assert_unescaped(KF_STR("\"\\u07ff\\u0800\\uFFFF\""),
                     KF_STR("\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"));
    assert_unescaped(KF_STR("\"\\ud800\\udc00\\udbff\\udfff\""),
                     KF_STR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    assert_unescaped(KF_STR("\"\xe2\x82\xac\\u20ac\""), KF_STR("\xe2\x82\xac\xe2\x82\xac"));
    GOOD("\"ab\\ncd\"");
    kf_buf_init(&out, 3);
    kf_json_unescape(&json, 0, &out);
    assert_true(out.failed);
    kf_buf_free(&out);
}

/* Into a buffer that is too small for it, just large enough, and larger: as kf_json_unescape, or not at all. */
static void check_short(kf_str_t token)
{
    char buffer[32];
    kf_str_t out;
    kf_buf_t plain;

    assert_good(token);
    kf_buf_init(&plain, 32);
    kf_json_unescape(&json, 0, &plain);
    assert_false(plain.failed);
    for (size_t size = 0; size < sizeof buffer; size++) {
        memset(buffer, '?', sizeof buffer);
        bool fits = kf_json_short_string(&json, 0, buffer, size, &out);

        assert_int_equal(fits, !json.v[0].escaped || plain.n <= size);
        assert_true(!fits || kf_str_eq(out, kf_buf_str(&plain)));
        for (size_t i = size; i < sizeof buffer; i++)
            assert_int_equal(buffer[i], '?');
    }
    kf_buf_free(&plain);
}

static void test_short_strings(void **state)
{
    (void)state;
    check_short(KF_STR("\"\""));
    check_short(KF_STR("\"abc\""));
    check_short(KF_STR("\"\\n\""));
    check_short(KF_STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""));
    check_short(KF_STR("\"a\\u0000b\\u007f\\u0080c\""));
    check_short(KF_STR("\"\\u0079\\u004F\\u00ff\\u0100\\u1041\""));
    check_short(KF_STR("\"\\u07ff\\u0800\\uFFFF\""));
    check_short(KF_STR("\"x\\ud800\\udc00\\n\""));
    check_short(KF_STR("\"\xe2\x82\xac\\u20ac\""));
}

static void test_equal_strings(void **state)
{
    /* 1 to 4 are one string, 5 and 6 another. */
    (void)state;
    GOOD("[\"\xc3\xa9/\",\"\\u00e9/\",\"\\u00E9\\/\",\"\xc3\xa9\\/\","
         "\"\xc3\xa9\",\"\\u00e9\",\"\\u00e9/x\",\"\\u00e8/\",\"\",\"\\u0000\"]");
    for (uint32_t a = 1; a < json.n; a++)
        for (uint32_t b = 1; b < json.n; b++) {
            bool same = a == b || (a <= 4 && b <= 4) || ((a == 5 || a == 6) && (b == 5 || b == 6));

            assert_int_equal(kf_json_strings_equal(&json, a, b), same);
        }
}

static void test_index_is_reused_and_grows(void **state)
{
    kf_json_error_t error;
    kf_buf_t text;

    (void)state;
    kf_json_free(&json);
    for (size_t n = 1; n < 5000; n = n * 3 + 1) {
        kf_buf_init(&text, 20000);
        kf_buf_putc(&text, '[');
        for (size_t i = 0; i < n; i++)
            kf_buf_printf(&text, "%s%zu", i ? "," : "", i % 10);
        kf_buf_putc(&text, ']');
        assert_true(kf_json_scan(&json, text.p, text.n, 1, &error));
        assert_int_equal(json.n, n + 1);
        assert_null(oracle_check_index(&json, text.n));
        assert_true(json.cap <= 2 * json.n + 64);
        kf_buf_free(&text);
        GOOD("7");
    }
    kf_json_free(&json);
    assert_null(json.v);
    kf_json_free(&json);
}

/* Brackets that open one after the other, where the index has to grow at any of them. */
static void test_index_grows_at_any_bracket(void **state)
{
    kf_json_error_t error;

    (void)state;
    for (int before = 0; before < 40; before++)
        for (int depth = 1; depth < 20; depth++) {
            kf_buf_t text;

            kf_buf_init(&text, 1000);
            kf_buf_putc(&text, '[');
            for (int i = 0; i < before; i++)
                kf_buf_put_str(&text, i % 2 ? KF_STR("0,") : KF_STR("{},"));
            for (int i = 0; i < depth; i++)
                kf_buf_putc(&text, '[');
            kf_buf_put_str(&text, before % 3 ? KF_STR("{\"a\":[[1]]}") : KF_STR(""));
            for (int i = 0; i <= depth; i++)
                kf_buf_putc(&text, ']');
            kf_json_free(&json);
            assert_true(kf_json_scan(&json, text.p, text.n, 64, &error));
            assert_null(oracle_check_index(&json, text.n));
            kf_buf_free(&text);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_every_byte_in_a_string),
        cmocka_unit_test(test_string_lengths),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_surrogates),
        cmocka_unit_test(test_utf8_sequences),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_counts_open_brackets_only),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_short_strings),
        cmocka_unit_test(test_equal_strings),
        cmocka_unit_test(test_index_is_reused_and_grows),
        cmocka_unit_test(test_index_grows_at_any_bracket),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, free_index);
}
