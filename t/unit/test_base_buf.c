/* SPDX-License-Identifier: Apache-2.0
 *
 * The growing buffer: every append at its bound, the error that stays, memory that runs out, and the
 * formats it writes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include "base/kf_buf.h"

/* Linked with --wrap=realloc: whether the allocations are refused. */
static bool refuse;
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
    return refuse ? NULL : __real_realloc(p, n);
}

static void assert_holds(const kf_buf_t *b, kf_str_t s)
{
    assert_false(b->failed);
    assert_int_equal(b->n, s.n);
    if (s.n)
        assert_memory_equal(b->p, s.p, s.n);
}

static void test_bounds(void **state)
{
    (void)state;
    for (size_t max = 0; max < 5; max++) {
        for (size_t n = 0; n < 7; n++) {
            kf_buf_t b;

            kf_buf_init(&b, max);
            assert_int_equal(b.cap, 0);
            kf_buf_put(&b, "abcdefg", n);
            assert_int_equal(b.failed, n > max);
            assert_int_equal(b.n, n > max ? 0 : n);
            assert_true(b.cap <= max);
            kf_buf_free(&b);
            assert_null(b.p);
            assert_int_equal(b.max, max);
        }
    }
}

static void test_grows_to_its_bound(void **state)
{
    kf_buf_t b;

    (void)state;
    kf_buf_init(&b, 100000);
    for (int i = 0; i < 100000; i++)
        kf_buf_putc(&b, (char)('a' + i % 26));
    assert_false(b.failed);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    kf_buf_putc(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.n, 100000);
    kf_buf_free(&b);
}

static void test_error_stays(void **state)
{
    kf_buf_t b;

    (void)state;
    kf_buf_init(&b, 4);
    kf_buf_put_str(&b, KF_STR("abc"));
    kf_buf_put_str(&b, KF_STR("de"));
    assert_true(b.failed);
    kf_buf_putc(&b, 'd');
    kf_buf_printf(&b, "%d", 1);
    kf_buf_put_i64(&b, 1);
    kf_buf_put_json(&b, KF_STR(""));
    kf_buf_put_base64(&b, "a", 1);
    assert_true(kf_buf_put_unbase64(&b, KF_STR("YQ==")));
    assert_null(kf_buf_room(&b, 0));
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.p, "abc", 3);
    kf_buf_clear(&b);
    kf_buf_put_str(&b, KF_STR("defg"));
    assert_holds(&b, KF_STR("defg"));
    kf_buf_free(&b);
}

static void test_room(void **state)
{
    kf_buf_t b;

    (void)state;
    kf_buf_init(&b, 10);
    assert_non_null(kf_buf_room(&b, 0));
    memcpy(kf_buf_room(&b, 10), "0123456789", 10);
    b.n = 10;
    assert_holds(&b, KF_STR("0123456789"));
    assert_non_null(kf_buf_room(&b, 0));
    assert_null(kf_buf_room(&b, 1));
    assert_true(b.failed);
    kf_buf_free(&b);
    kf_buf_init(&b, SIZE_MAX);
    kf_buf_putc(&b, 'a');
    assert_null(kf_buf_room(&b, SIZE_MAX));
    assert_true(b.failed);
    kf_buf_free(&b);
}

static void test_no_memory(void **state)
{
    kf_buf_t b;

    (void)state;
    kf_buf_init(&b, 1000000);
    kf_buf_put_str(&b, KF_STR("abc"));
    refuse = true;
    assert_null(kf_buf_room(&b, 10000));
    refuse = false;
    assert_true(b.failed);
    assert_int_equal(b.n, 3);
    kf_buf_clear(&b);
    kf_buf_put_str(&b, KF_STR("d"));
    assert_holds(&b, KF_STR("d"));
    kf_buf_free(&b);
}

static void test_printf(void **state)
{
    char longer[1001];
    kf_buf_t b;

    (void)state;
    memset(longer, 'x', 1000);
    longer[1000] = '\0';
    kf_buf_init(&b, 1003);
    kf_buf_printf(&b, "%d,%s", 1, "a");
    assert_holds(&b, KF_STR("1,a"));
    kf_buf_printf(&b, "%s", longer);
    assert_false(b.failed);
    assert_int_equal(b.n, 1003);
    assert_memory_equal(b.p + 3, longer, 1000);
    kf_buf_printf(&b, "%s", "");
    assert_false(b.failed);
    kf_buf_printf(&b, "%s", "z");
    assert_true(b.failed);
    assert_int_equal(b.n, 1003);
    kf_buf_free(&b);
}

static void test_i64(void **state)
{
    static const struct {
        long long v;
        const char *text;
    } table[] = {{0, "0"},
                 {9, "9"},
                 {10, "10"},
                 {-1, "-1"},
                 {LLONG_MAX, "9223372036854775807"},
                 {LLONG_MIN, "-9223372036854775808"}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        kf_buf_t b;

        kf_buf_init(&b, 20);
        kf_buf_put_i64(&b, table[i].v);
        assert_holds(&b, kf_str_of(table[i].text));
        kf_buf_free(&b);
    }
}

static void assert_json(kf_str_t s, kf_str_t token)
{
    for (size_t max = 0; max <= token.n; max++) {
        kf_buf_t b;

        kf_buf_init(&b, max);
        kf_buf_put_json(&b, s);
        if (max == token.n)
            assert_holds(&b, token);
        else
            assert_true(b.failed && b.n == 0);
        kf_buf_free(&b);
    }
}

static void test_json(void **state)
{
    (void)state;
    assert_json(KF_STR(""), KF_STR("\"\""));
    assert_json((kf_str_t){NULL, 0}, KF_STR("\"\""));
    assert_json(KF_STR("abc/\x7f\xc3\xa9"), KF_STR("\"abc/\x7f\xc3\xa9\""));
    assert_json(KF_STR("\"a\\b\""), KF_STR("\"\\\"a\\\\b\\\"\""));
    assert_json(KF_STR("\b\t\n\f\r"), KF_STR("\"\\b\\t\\n\\f\\r\""));
    assert_json(KF_STR("a\0\x01\x0b\x0e\x1f"), KF_STR("\"a\\u0000\\u0001\\u000b\\u000e\\u001f\""));
}

/* RFC 4648, section 10, and bytes of every value. */
static const struct {
    kf_str_t bytes;
    kf_str_t text;
} base64_table[] = {{KF_STR(""), KF_STR("")},
                    {KF_STR("f"), KF_STR("Zg==")},
                    {KF_STR("fo"), KF_STR("Zm8=")},
                    {KF_STR("foo"), KF_STR("Zm9v")},
                    {KF_STR("foob"), KF_STR("Zm9vYg==")},
                    {KF_STR("fooba"), KF_STR("Zm9vYmE=")},
                    {KF_STR("foobar"), KF_STR("Zm9vYmFy")},
                    {KF_STR("\xfb\xff\xbf"), KF_STR("+/+/")},
                    {KF_STR("\0\0"), KF_STR("AAA=")}};

static void test_base64(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof base64_table / sizeof *base64_table; i++) {
        kf_buf_t b;

        kf_buf_init(&b, base64_table[i].text.n);
        kf_buf_put_base64(&b, base64_table[i].bytes.p, base64_table[i].bytes.n);
        assert_holds(&b, base64_table[i].text);
        kf_buf_putc(&b, 'x');
        assert_true(b.failed);
        kf_buf_free(&b);
        kf_buf_init(&b, base64_table[i].bytes.n);
        assert_true(kf_buf_put_unbase64(&b, base64_table[i].text));
        assert_holds(&b, base64_table[i].bytes);
        kf_buf_free(&b);
    }
}

static void test_base64_of_all_bytes(void **state)
{
    unsigned char bytes[256];
    kf_buf_t text;
    kf_buf_t back;

    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    kf_buf_init(&text, 1000);
    kf_buf_init(&back, 1000);
    for (size_t n = 0; n <= 256; n++) {
        kf_buf_clear(&text);
        kf_buf_clear(&back);
        kf_buf_put_base64(&text, bytes + 256 - n, n);
        assert_int_equal(text.n, (n + 2) / 3 * 4);
        assert_true(kf_buf_put_unbase64(&back, kf_buf_str(&text)));
        assert_holds(&back, (kf_str_t){(char *)bytes + 256 - n, n});
    }
    kf_buf_free(&text);
    kf_buf_free(&back);
}

static void test_no_base64(void **state)
{
    static const char *const bad[] = {
        "Z",    "Zg",       "Zg=",      "Zm8",        "=",      "====",         "Z===",
        "Zg=x", "Zg==Zg==", "Zm8=Zm8=", "Z=m8",       "Zm9v\n", "Zm9v\r\n\r\n", "Zm 9",
        "Zm9-", "Zm9_",     "Zm9.",     "Zm\xc3\xa9", "=Zg=",   "Zg===",        "Zm9vYg==="};
    kf_buf_t b;

    (void)state;
    kf_buf_init(&b, 100);
    kf_buf_putc(&b, '+');
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (kf_buf_put_unbase64(&b, kf_str_of(bad[i])))
            fail_msg("%s", bad[i]);
        assert_holds(&b, KF_STR("+"));
    }
    assert_false(kf_buf_put_unbase64(&b, KF_STR("Zm9\0")));
    kf_buf_free(&b);
    kf_buf_init(&b, 2);
    assert_true(kf_buf_put_unbase64(&b, KF_STR("Zm9v")));
    assert_true(b.failed);
    assert_int_equal(b.n, 0);
    kf_buf_free(&b);
    kf_buf_init(&b, SIZE_MAX);
    refuse = true;
    kf_buf_put_base64(&b, "", SIZE_MAX);
    assert_true(b.failed);
    refuse = false;
    kf_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),      cmocka_unit_test(test_grows_to_its_bound),
        cmocka_unit_test(test_error_stays), cmocka_unit_test(test_room),
        cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_printf),
        cmocka_unit_test(test_i64),         cmocka_unit_test(test_json),
        cmocka_unit_test(test_base64),      cmocka_unit_test(test_base64_of_all_bytes),
        cmocka_unit_test(test_no_base64),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
