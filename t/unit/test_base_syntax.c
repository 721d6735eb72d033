/* SPDX-License-Identifier: Apache-2.0
 *
 * The look of settings' texts: for each kind what fits and what does not, at the limits of length.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/kf_syntax.h"

static void assert_fits(kf_check_t check, const char *text)
{
    if (!kf_syntax_fits(check, kf_str_of(text)))
        fail_msg("refused: \"%s\"", text);
}

static void assert_not(kf_check_t check, const char *text)
{
    if (kf_syntax_fits(check, kf_str_of(text)))
        fail_msg("taken: \"%s\"", text);
}

#define FIT(check, ...) \
    for (const char *const *t = (const char *const[]){__VA_ARGS__, NULL}; *t; t++) \
    assert_fits(KF_CHECK_##check, *t)
#define NOT(check, ...) \
    for (const char *const *t = (const char *const[]){__VA_ARGS__, NULL}; *t; t++) \
    assert_not(KF_CHECK_##check, *t)

/* prefix, n times c, suffix; the last one made is freed. */
static const char *repeated(const char *prefix, char c, size_t n, const char *suffix)
{
    static char *text;
    size_t before = strlen(prefix);

    free(text);
    text = malloc(before + n + strlen(suffix) + 1);
    assert_non_null(text);
    memcpy(text, prefix, before);
    memset(text + before, c, n);
    strcpy(text + before + n, suffix);
    return text;
}

static void assert_lengths(kf_check_t check, size_t min, size_t max)
{
    if (min > 0)
        assert_not(check, repeated("", 'a', min - 1, ""));
    assert_fits(check, repeated("", 'a', min, ""));
    assert_fits(check, repeated("", 'a', max - 1, ""));
    assert_fits(check, repeated("", 'a', max, ""));
    assert_not(check, repeated("", 'a', max + 1, ""));
}

static void test_credentials(void **state)
{
    (void)state;
    assert_lengths(KF_CHECK_ACCESS_KEY, 1, 128);
    FIT(ACCESS_KEY, "AKIAIOSFODNN7EXAMPLE", "a_1", "file:/etc/key", "env:AWS_KEY", "env:_a1",
        "file:/a b");
    NOT(ACCESS_KEY, "AKIA-1", "a b", "file:", "file:/", "file:key", "file:./key", "env:", "env:1A",
        "env:A-B", "env:A B", "ENV:A", "File:/a", "file:/a\nb", "\xc3\xa9");
    FIT(SECRET, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "!~", "file:/etc/kinesis.secret",
        "env:SECRET");
    NOT(SECRET, "", "a b", " a", "a\t", "a\x7f", "\xc3\xa9", "file:relative", "env:", "env:1",
        "file:/");
    assert_fits(KF_CHECK_SECRET, repeated("", 'x', 5000, ""));
}

static void test_streams(void **state)
{
    static const char arn[] = "arn:aws:kinesis:us-east-1:123456789012:stream/";

    (void)state;
    assert_lengths(KF_CHECK_STREAM_NAME, 1, 128);
    FIT(STREAM_NAME, "game-events", "A.b_c-9", ".");
    NOT(STREAM_NAME, "a b", "a/b", "a:b", "\xc3\xa9", "a\n");
    FIT(REGION, "us-east-1", "us-gov-west-1", "cn-north-1");
    NOT(REGION, "", "us east", "us-east-1/", "us.east", "us-east-1:");
    FIT(STREAM_ARN, "arn:aws:kinesis:us-east-1:123456789012:stream/game-events",
        "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a",
        "arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/a.b_c-d");
    NOT(STREAM_ARN, "", "arn", "game-events", "arn:aws:kinesis:us-east-1:123456789012:stream/",
        "arn:aws:kinesis:us-east-1:123456789012:stream/a/b",
        "arn:aws:kinesis:us-east-1:12345678901:stream/a",
        "arn:aws:kinesis:us-east-1:1234567890123:stream/a",
        "arn:aws:kinesis:us-east-1:12345678901a:stream/a", "arn:aws:kinesis::123456789012:stream/a",
        "arn:aws:firehose:us-east-1:123456789012:deliverystream/a",
        "arn:aws1:kinesis:us-east-1:123456789012:stream/a",
        "arn:AWS:kinesis:us-east-1:123456789012:stream/a",
        "arn:gcp:kinesis:us-east-1:123456789012:stream/a",
        "arn:aws:kinesis:us-east-1:123456789012:Stream/a",
        "arn:aws:kinesis:us-east-1:123456789012:stream/a b",
        "arn:aws:kinesis:us-east-1:123456789012:stream", "arn:aws:kinesis:us-east-1",
        " arn:aws:kinesis:us-east-1:123456789012:stream/a");
    assert_fits(KF_CHECK_STREAM_ARN, repeated(arn, 'a', 128, ""));
    assert_not(KF_CHECK_STREAM_ARN, repeated(arn, 'a', 129, ""));
}

static void test_roles(void **state)
{
    static const char role[] = "arn:aws:iam::123456789012:role/";

    (void)state;
    FIT(ROLE_ARN, "arn:aws:iam::123456789012:role/writer",
        "arn:aws-cn:iam::123456789012:role/path/to/writer",
        "arn:aws:iam::123456789012:role/a+=,.@-_b");
    NOT(ROLE_ARN, "", "writer", "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/a/", "arn:aws:iam::123456789012:user/a",
        "arn:aws:iam:us-east-1:123456789012:role/a", "arn:aws:iam::12345678901:role/a",
        "arn:aws:sts::123456789012:role/a", "arn:aws:iam::123456789012:role/a b",
        "arn:aws:iam::123456789012:role/\xc3\xa9");
    assert_fits(KF_CHECK_ROLE_ARN, repeated(role, 'a', 2048 - sizeof role + 1, ""));
    assert_not(KF_CHECK_ROLE_ARN, repeated(role, 'a', 2048 - sizeof role + 2, ""));
    assert_lengths(KF_CHECK_EXTERNAL_ID, 2, 1224);
    FIT(EXTERNAL_ID, "aZ09_+=,.@:/-");
    NOT(EXTERNAL_ID, "a b", "a#b", "\xc3\xa9\xc3\xa9");
    assert_lengths(KF_CHECK_ROLE_SESSION, 2, 64);
    FIT(ROLE_SESSION, "aZ09_+=,.@-");
    NOT(ROLE_SESSION, "a b", "a:b", "a/b");
}

static void test_endpoint(void **state)
{
    (void)state;
    FIT(ENDPOINT, "https://kinesis.us-east-1.amazonaws.com",
        "https://kinesis.us-east-1.amazonaws.com/", "http://localhost", "http://localhost:4566",
        "http://127.0.0.1:1", "http://127.0.0.1:65535/", "http://[::1]", "http://[::1]:4566",
        "https://[2001:db8::1]:443/", "HTTPS://A.example", "Http://a_b",
        "https://vpce-1.kinesis.us-east-1.vpce.amazonaws.com", "http://1a", "http://a1",
        "http://10.0.0.1");
    NOT(ENDPOINT, "", "localhost", "localhost:4566", "//localhost", "ftp://localhost",
        "https:/localhost", "https://", "https:///", "https://a//", "https://a/b", "https://a/?",
        "https://a?x=1", "https://a#f", "https://a/#", "https://user@a", "https://user:password@a",
        "https://a:", "https://a:0", "https://a:65536", "https://a:+1", "https://a:1a",
        "https://a:000001", "https://a:80:80", "https://:80", "https://[::1", "https://::1",
        "https://[::1]80", "https://[::1]:", "https://[]", "https://[1.2.3.4]",
        "https://[::1%25eth0]", "https://a b", " https://a", "https://a ", "https://-a",
        "https://a-", "https://a..b", "https://.a", "https://a.", "https://1.2.3",
        "https://1.2.3.4.5", "https://256.1.1.1", "https://127.1", "https://2130706433",
        "https://\xc3\xa9", "https://a%2fb", "https://a\\b");
    assert_fits(KF_CHECK_ENDPOINT, repeated("http://", 'a', 63, ".example"));
    assert_not(KF_CHECK_ENDPOINT, repeated("http://", 'a', 64, ".example"));
    assert_not(KF_CHECK_ENDPOINT, repeated("http://[", ':', 60, "]"));
    assert_not(KF_CHECK_ENDPOINT,
               repeated("http://a.", 'a', 63,
                        ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void test_proxy(void **state)
{
    (void)state;
    FIT(PROXY, "http://proxy:3128", "http://proxy.example:3128/", "http://user:password@proxy:3128",
        "http://user:@proxy:3128", "http://u:p:q@[::1]:8080", "http://us%40er:p%2F@10.0.0.1:80",
        "HTTP://proxy:1");
    NOT(PROXY, "", "proxy:3128", "http://proxy", "https://proxy:3128", "socks5://proxy:1080",
        "http://proxy:0", "http://user@proxy:3128", "http://:password@proxy:3128",
        "http://@proxy:3128", "http://u:p@@proxy:3128", "http://u:p/@proxy:3128",
        "http://u:p?@proxy:3128", "http://u:p#@proxy:3128", "http://u :p@proxy:3128",
        "http://proxy:3128/path", "http://proxy:3128?", "http://user:password@proxy",
        "http://u:p@proxy:1@a:1");
}

static void test_origin(void **state)
{
    (void)state;
    FIT(ORIGIN, "*", "https://www.example.com", "http://localhost:3000", "HTTPS://Example.COM:8443",
        "capacitor://localhost", "chrome-extension://abcdefghijklmnop", "http://[::1]:80",
        "http://127.0.0.1");
    NOT(ORIGIN, "", "**", "null", "www.example.com", "https://", "https://a/", "https://a/b",
        "https://a?", "https://*.example.com", "https://u@a", "https:a", "://a", "1s://a", "-s://a",
        "s s://a", "https://a:0", "https://a b", "https//a");
}

static void test_texts(void **state)
{
    (void)state;
    assert_lengths(KF_CHECK_UTF8, 1, 1024);
    FIT(UTF8, " ", "com.example.game", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xc2\xa0",
        "\"\\'");
    NOT(UTF8, "\t", "a\nb", "\x1f", "\x7f", "\xc2\x80", "\xc2\x9f", "\x80", "\xc3", "\xc0\xaf",
        "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff", "\xe0\x80\xaf", "\xf0\x80\x80\xaf",
        "\xc3\xc3");
    assert_false(kf_syntax_fits(KF_CHECK_UTF8, KF_STR("a\0b")));
    assert_true(kf_syntax_is_utf8(KF_STR("")));
    assert_lengths(KF_CHECK_PARTITION_KEY, 1, 256);
    FIT(PARTITION_KEY, "auto", "mpid", "device", "random", "source_request_id", "\xc3\xa9");
    NOT(PARTITION_KEY, "a\n", "\xff");
    FIT(NONE, "default", "my profile");
    NOT(NONE, "", "a\nb");
    FIT(STORE_DIR, "/var/lib/x", "store", "/with blank");
    NOT(STORE_DIR, "", "a\nb");
    FIT(PROGRAM, "/usr/bin/alert", "bin/alert");
    NOT(PROGRAM, "");
    FIT(RUN_FILE, "/a", "/etc/ssl/ca.pem", "/with blank");
    NOT(RUN_FILE, "", "/", "a", "./a", "~/a", "/a\n");
}

static void test_names(void **state)
{
    (void)state;
    assert_lengths(KF_CHECK_CONNECTION, 1, 64);
    FIT(CONNECTION, "none1", "game-events", "A.b_c-9");
    NOT(CONNECTION, "none", "None", "a b", "a/b", "a,b", "\xc3\xa9", "a\n");
    assert_lengths(KF_CHECK_IDENTITY, 1, 64);
    FIT(IDENTITY, "email", "ios_idfv", "other10");
    NOT(IDENTITY, "e-mail", "a b");
    FIT(EXCLUDE_PATH, "ip", "device_info.device", "a.b.c.d", "user_attributes.$Age",
        "user_attributes.a b", "event", "eventsx", "a.events", "Events", "\xc3\xa9.x");
    NOT(EXCLUDE_PATH, "", ".", "a.", ".a", "a..b", "events", "events.data", "a\n.b", "\xff");
}

static void test_every_check_says_what_it_takes(void **state)
{
    (void)state;
    for (int check = KF_CHECK_NONE; check <= KF_CHECK_INVALID_BATCH; check++) {
        const char *allowed = kf_syntax_allowed((kf_check_t)check);

        assert_non_null(allowed);
        assert_true(*allowed);
        assert_false(kf_syntax_fits((kf_check_t)check, KF_STR("")));
        assert_false(kf_syntax_fits((kf_check_t)check, (kf_str_t){NULL, 0}));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_check_says_what_it_takes),
    };

    return cmocka_run_group_tests_name("syntax", tests, NULL, NULL);
}
