/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts to bounded values: every unit, both ends of every range, and what must be refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/kf_parse.h"

typedef bool parse_fn(kf_str_t text, int64_t *out);

typedef struct {
    const char *text;
    int64_t value;
} good_t;

static void assert_good(parse_fn *parse, const good_t *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v = -7;

        if (!parse(kf_str_of(table[i].text), &v) || v != table[i].value)
            fail_msg("\"%s\": %lld", table[i].text, (long long)v);
    }
}

/* What is refused leaves the value alone. */
static void assert_bad(parse_fn *parse, const char *const *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v = -7;

        if (parse(kf_str_of(table[i]), &v) || v != -7)
            fail_msg("\"%s\": %lld", table[i], (long long)v);
    }
}

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void test_i64(void **state)
{
    static const good_t good[] = {{"0", 0},
                                  {"1", 1},
                                  {"007", 7},
                                  {"9223372036854775806", INT64_MAX - 1},
                                  {"9223372036854775807", INT64_MAX},
                                  {"00000000000000000000000009223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      "-0",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      "1k",
                                      "1_0",
                                      "9223372036854775808",
                                      "9223372036854775810",
                                      "99999999999999999999999",
                                      "\xd9\xa1"};
    int64_t v;

    (void)state;
    assert_good(kf_parse_i64, good, COUNT(good));
    assert_bad(kf_parse_i64, bad, COUNT(bad));
    assert_false(kf_parse_i64((kf_str_t){NULL, 0}, &v));
    assert_false(kf_parse_i64(KF_STR("1\0"), &v));
    assert_true(kf_parse_i64((kf_str_t){"12345", 2}, &v));
    assert_int_equal(v, 12);
}

static void test_time(void **state)
{
    static const good_t good[] = {{"0", 0},
                                  {"0ms", 0},
                                  {"1", 1000000},
                                  {"1s", 1000000},
                                  {"1S", 1000000},
                                  {"1ms", 1000},
                                  {"1Ms", 1000},
                                  {"1MS", 1000},
                                  {"1mi", 60000000},
                                  {"1MI", 60000000},
                                  {"1min", 60000000},
                                  {"1Min", 60000000},
                                  {"1h", 3600000000},
                                  {"1H", 3600000000},
                                  {"24h", 86400000000},
                                  {"9223372036854", 9223372036854000000},
                                  {"9223372036854775ms", 9223372036854775000},
                                  {"2562047788h", 9223372036800000000}};
    static const char *const bad[] = {"",
                                      "s",
                                      "ms",
                                      "1m",
                                      "1M",
                                      "1 s",
                                      "1s ",
                                      " 1s",
                                      "-1s",
                                      "+1s",
                                      "1.5s",
                                      "1d",
                                      "1us",
                                      "1sec",
                                      "1mins",
                                      "1hr",
                                      "1ss",
                                      "1msx",
                                      "1,5s",
                                      "1h30min",
                                      "9223372036855",
                                      "9223372036854776ms",
                                      "2562047789h",
                                      "153722867281min",
                                      "9223372036854775808ms"};

    (void)state;
    assert_good(kf_parse_time, good, COUNT(good));
    assert_bad(kf_parse_time, bad, COUNT(bad));
}

static void test_size(void **state)
{
    static const good_t good[] = {{"0", 0},
                                  {"1", 1},
                                  {"1K", 1024},
                                  {"1k", 1024},
                                  {"1M", 1048576},
                                  {"1m", 1048576},
                                  {"4G", INT64_C(4) << 30},
                                  {"4g", INT64_C(4) << 30},
                                  {"8589934591G", INT64_C(8589934591) << 30},
                                  {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",
                                      "K",
                                      "1KB",
                                      "1kB",
                                      "1B",
                                      "1T",
                                      "1 K",
                                      "-1K",
                                      "+1",
                                      "1.5M",
                                      "1MiB",
                                      "8589934592G",
                                      "9223372036854775808",
                                      "9007199254740992K"};

    (void)state;
    assert_good(kf_parse_size, good, COUNT(good));
    assert_bad(kf_parse_size, bad, COUNT(bad));
}

static void test_flag(void **state)
{
    static const char *const bad[] = {"",  "o",    "onn", "offf", "yes",
                                      "1", "true", " on", "on ",  "of"};
    int v = -7;

    (void)state;
    assert_true(kf_parse_flag(KF_STR("On"), &v));
    assert_int_equal(v, 1);
    assert_true(kf_parse_flag(KF_STR("oFF"), &v));
    assert_int_equal(v, 0);
    assert_true(kf_parse_flag(KF_STR("ON"), &v));
    assert_int_equal(v, 1);
    v = -7;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(kf_parse_flag(kf_str_of(bad[i]), &v));
    assert_false(kf_parse_flag(KF_STR("on\0"), &v));
    assert_int_equal(v, -7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i64),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_flag),
    };

    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
