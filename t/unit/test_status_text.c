/* SPDX-License-Identifier: Apache-2.0
 *
 * Text of others in pages, numbers as people read them, forms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/kf_clock.h"
#include "status/kf_form.h"
#include "status/kf_text.h"

static kf_buf_t out;

static const char *finish(void)
{
    kf_buf_putc(&out, '\0');
    assert_false(out.failed);
    return out.p;
}

static const char *put(kf_text_kind_t kind, const char *text, size_t n)
{
    kf_buf_clear(&out);
    kf_text_put(&out, kind, (kf_str_t){text, n});
    return finish();
}
#define PUT(kind, literal) put(kind, literal, sizeof(literal) - 1)

static void test_escapes(void **state)
{
    (void)state;
    assert_string_equal(PUT(KF_TEXT_HTML, "a<b>&\"'\\"), "a&lt;b&gt;&amp;&quot;&#39;\\");
    assert_string_equal(PUT(KF_TEXT_JSON, "a<b>&\"'\\"), "a<b>&\\\"'\\\\");
    assert_string_equal(PUT(KF_TEXT_LABEL, "a<b>&\"'\\\n"), "a<b>&\\\"'\\\\\xE2\x90\x8A");
    assert_string_equal(PUT(KF_TEXT_PLAIN, "a<b>&\"'\\"), "a<b>&\"'\\");
    assert_string_equal(PUT(KF_TEXT_HTML, ""), "");
}

static void test_control_characters(void **state)
{
    (void)state;
    assert_string_equal(PUT(KF_TEXT_HTML, "a\0b\x1b[31m\x7f"), "a\xE2\x90\x80"
                                                               "b\xE2\x90\x9B[31m\xE2\x90\xA1");
    assert_string_equal(PUT(KF_TEXT_PLAIN, "a\r\nb\t"), "a\xE2\x90\x8D\xE2\x90\x8A"
                                                        "b\xE2\x90\x89");
    assert_string_equal(PUT(KF_TEXT_LINES, "a\r\nb\t"), "a\xE2\x90\x8D\nb\t");
    /* C1, directions, invisible ones, line separators, the byte order mark. */
    assert_string_equal(PUT(KF_TEXT_HTML, "\xC2\x9B"), "&lt;U+009B&gt;");
    assert_string_equal(PUT(KF_TEXT_PLAIN, "\xE2\x80\xAE"), "<U+202E>");
    assert_string_equal(PUT(KF_TEXT_JSON, "\xE2\x80\xA8"), "<U+2028>");
    assert_string_equal(PUT(KF_TEXT_JSON, "\xE2\x81\xA6\xEF\xBB\xBF\xE2\x80\x8B"),
                        "<U+2066><U+FEFF><U+200B>");
    /* Harmless ones stay. */
    assert_string_equal(PUT(KF_TEXT_HTML, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
                        "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
}

static void test_bytes_that_are_no_text(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"\xFF", "\xEF\xBF\xBD"},
        {"\x80", "\xEF\xBF\xBD"},
        {"\xC3", "\xEF\xBF\xBD"},
        {"\xC3(", "\xEF\xBF\xBD("},
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* longer than needed */
        {"\xE0\x80\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* likewise */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
        {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\x82<", "\xEF\xBF\xBD\xEF\xBF\xBD&lt;"}, /* hides no markup */
        {"\xF0\x9F\x98\"", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD&quot;"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(put(KF_TEXT_HTML, cases[i].text, strlen(cases[i].text)),
                            cases[i].shown);
}

/* Whatever the bytes: nothing that could be markup, end a string or a line comes out. */
static void test_any_bytes(void **state)
{
    char text[64];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = kf_random_u32() % sizeof text;

        kf_random(text, n);
        put(KF_TEXT_HTML, text, n);
        assert_null(strpbrk(out.p, "<>\"'\n\r\x1b"));
        put(KF_TEXT_LABEL, text, n);
        for (const char *p = out.p; *p; p++) {
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7F);
            if (*p == '\\')
                p++;
            else
                assert_true(*p != '"');
        }
    }
}

typedef void number_fn(kf_buf_t *out, double n);

static const char *number(number_fn *fn, double n)
{
    kf_buf_clear(&out);
    fn(&out, n);
    return finish();
}

static void test_numbers(void **state)
{
    (void)state;
    assert_string_equal(number(kf_text_count, 0), "0");
    assert_string_equal(number(kf_text_count, 9999), "9999");
    assert_string_equal(number(kf_text_count, 10000), "10k");
    assert_string_equal(number(kf_text_count, 12345), "12.3k");
    assert_string_equal(number(kf_text_count, 999999), "1M");
    assert_string_equal(number(kf_text_count, 1234567), "1.23M");
    assert_string_equal(number(kf_text_count, 0.25), "0.25");
    assert_string_equal(number(kf_text_count, 12.345), "12.3");
    assert_string_equal(number(kf_text_count, 1e15), "1000T");
    assert_string_equal(number(kf_text_bytes, 0), "0 B");
    assert_string_equal(number(kf_text_bytes, 1023), "1023 B");
    assert_string_equal(number(kf_text_bytes, 1024), "1 KiB");
    assert_string_equal(number(kf_text_bytes, 1536), "1.5 KiB");
    assert_string_equal(number(kf_text_bytes, 4294967296.0), "4 GiB");
    assert_string_equal(number(kf_text_duration, 0), "0 ms");
    assert_string_equal(number(kf_text_duration, 400), "0.4 ms");
    assert_string_equal(number(kf_text_duration, 12345), "12.3 ms");
    assert_string_equal(number(kf_text_duration, 999600), "1 s");
    assert_string_equal(number(kf_text_duration, 1.24e6), "1.24 s");
    assert_string_equal(number(kf_text_duration, 59.96e6), "1 min");
    assert_string_equal(number(kf_text_duration, 192e6), "3 min 12 s");
    assert_string_equal(number(kf_text_duration, 7500e6), "2 h 5 min");
    assert_string_equal(number(kf_text_duration, 277200e6), "3 d 5 h");
}

static const char *machine(kf_unit_t unit, int64_t value)
{
    kf_buf_clear(&out);
    kf_text_number(&out, unit, value);
    return finish();
}

static void test_numbers_for_machines(void **state)
{
    (void)state;
    assert_string_equal(machine(KF_UNIT_NUMBER, 1234567), "1234567");
    assert_string_equal(machine(KF_UNIT_SECONDS, 0), "0");
    assert_string_equal(machine(KF_UNIT_SECONDS, 500), "0.0005");
    assert_string_equal(machine(KF_UNIT_SECONDS, 10), "0.00001");
    assert_string_equal(machine(KF_UNIT_AGE, 1500000), "1.5");
    assert_string_equal(machine(KF_UNIT_TIME, INT64_C(1795383795692895)), "1795383795.692895");
    assert_string_equal(machine(KF_UNIT_SECONDS, -1500000), "-1.5");
    assert_string_equal(machine(KF_UNIT_BYTES, INT64_MAX), "9223372036854775807");
}

static void test_times(void **state)
{
    (void)state;
    kf_buf_clear(&out);
    kf_text_time(&out, INT64_C(1795383795692895));
    assert_string_equal(finish(), "2026-11-22T21:43:15Z");
    kf_buf_clear(&out);
    kf_text_time(&out, 0);
    assert_string_equal(finish(), "never");
}

static void test_forms(void **state)
{
    apr_pool_t *pool = *state;
    kf_form_t form;
    int64_t n;

    kf_form_parse(pool, KF_STR("a=1&b=x+y%20z&c&=d&&e=%3Cb%3E%zz%4&a=2"), &form);
    assert_string_equal(kf_form_get(&form, "a"), "1");
    assert_string_equal(kf_form_get(&form, "b"), "x y z");
    assert_string_equal(kf_form_get(&form, "c"), "");
    assert_string_equal(kf_form_get(&form, ""), "d");
    assert_string_equal(kf_form_get(&form, "e"), "<b>%zz%4");
    assert_null(kf_form_get(&form, "f"));
    assert_int_equal(form.n, 6);
    kf_form_parse(pool, (kf_str_t){NULL, 0}, &form);
    assert_int_equal(form.n, 0);
    kf_form_parse(pool, KF_STR("a=b%00c"), &form);
    assert_string_equal(kf_form_get(&form, "a"), "b");
    kf_form_parse(pool, KF_STR("a=%2"), &form);
    assert_string_equal(kf_form_get(&form, "a"), "%2");
    kf_form_parse(pool, KF_STR("a=%41"), &form);
    assert_string_equal(kf_form_get(&form, "a"), "A");
    assert_true(kf_form_number("12", &n) && n == 12);
    assert_false(kf_form_number("-1", &n));
    assert_false(kf_form_number("0", &n));
    assert_false(kf_form_number("12x", &n));
    assert_false(kf_form_number("", &n));
    assert_false(kf_form_number(NULL, &n));
}

static void test_long_forms(void **state)
{
    apr_pool_t *pool = *state;
    size_t n = (size_t)KF_FORM_MAX * 4;
    char *text = malloc(n);
    kf_form_t form;

    for (size_t i = 0; i < n; i++)
        text[i] = "a=1&"[i % 4];
    kf_form_parse(pool, (kf_str_t){text, n}, &form);
    assert_int_equal(form.n, KF_FORM_MAX);
    memset(text, '&', n);
    kf_form_parse(pool, (kf_str_t){text, n}, &form);
    assert_int_equal(form.n, 0);
    free(text);
}

static int set_up(void **state)
{
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    *state = pool;
    kf_buf_init(&out, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    kf_buf_free(&out);
    apr_pool_destroy(*state);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_for_machines),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_long_forms),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
