/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials as their sources write them: JSON and XML that is good, that is refused, and that says
 * why; times; URLs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <stdio.h>
#include "aws/kf_creds_reply.h"
#include "aws/kf_url.h"
#include "base/kf_clock.h"

/* 2026-11-22T15:45:30Z */
#define NOW_US (INT64_C(1795362330) * KF_SEC)

static apr_pool_t *pool;
static char why[200];

static kf_creds_found_t json(const char *text, kf_creds_json_t form)
{
    kf_creds_found_t found = {0};

    why[0] = '\0';
    if (!kf_creds_read_json(kf_str_of(text), form, NOW_US, &found, why, sizeof why)) {
        assert_null(found.keys);
        assert_true(why[0] != '\0');
    }
    return found;
}

static void refused(const char *text, kf_creds_json_t form, const char *because)
{
    assert_null(json(text, form).keys);
    if (!strstr(why, because))
        fail_msg("\"%s\" for %s", why, text);
    assert_null(strstr(why, "SeCrEt"));
}

static void test_time(void **state)
{
    static const char *const bad[] = {"",
                                      "2026-11-22",
                                      "2026-11-22T15:45:30",
                                      "2026-11-22T15:45:30ZZ",
                                      "2026-13-22T15:45:30Z",
                                      "2026-11-22T15:45:30+",
                                      "soon",
                                      "1795362330",
                                      "2026-11-22T15:45:30+2h"};
    int64_t at;

    (void)state;
    assert_true(kf_creds_read_time(KF_STR("2026-11-22T15:45:30Z"), &at));
    assert_int_equal(at, NOW_US);
    assert_true(kf_creds_read_time(KF_STR("2026-11-22T15:45:30.123456Z"), &at));
    assert_int_equal(at, NOW_US);
    assert_true(kf_creds_read_time(KF_STR("2026-11-22T17:45:30+02:00"), &at));
    assert_int_equal(at, NOW_US);
    assert_true(kf_creds_read_time(KF_STR("2026-11-22T10:15:30-0530"), &at));
    assert_int_equal(at, NOW_US);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(kf_creds_read_time(kf_str_of(bad[i]), &at));
}

static void test_json(void **state)
{
    kf_creds_found_t found =
        json("{\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"a\\/b\",\"Token\":\"t\","
             "\"Expiration\":\"2026-11-22T16:45:30Z\",\"AccountId\":\"1\"}",
             KF_CREDS_JSON_CONTAINER);

    (void)state;
    assert_non_null(found.keys);
    assert_string_equal(kf_keys_of(found.keys)->access_key_id, "ASIA");
    assert_string_equal(kf_keys_of(found.keys)->secret_access_key, "a/b");
    assert_string_equal(kf_keys_of(found.keys)->session_token, "t");
    assert_int_equal(found.ttl_us, 3600 * KF_SEC);
    kf_keys_release(found.keys);

    found = json("{\"Version\":1,\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"s\"}",
                 KF_CREDS_JSON_PROCESS);
    assert_non_null(found.keys);
    assert_null(kf_keys_of(found.keys)->session_token);
    assert_true(found.ttl_us == KF_CREDS_FOREVER);
    kf_keys_release(found.keys);
}

static void test_json_refused(void **state)
{
    (void)state;
    refused("", KF_CREDS_JSON_CONTAINER, "no JSON object");
    refused("[]", KF_CREDS_JSON_CONTAINER, "no JSON object");
    refused("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SeCrEt", KF_CREDS_JSON_CONTAINER,
            "no JSON object");
    refused("{\"code\":\"NoIdMapping\",\"message\":\"m\"}", KF_CREDS_JSON_CONTAINER,
            "answers NoIdMapping");
    refused("{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", KF_CREDS_JSON_INSTANCE,
            "answers AssumeRoleUnauthorizedAccess");
    refused("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SeCrEt\",\"Token\":\"t\"}",
            KF_CREDS_JSON_CONTAINER, "Expiration");
    refused("{\"SecretAccessKey\":\"SeCrEt\",\"Expiration\":\"2026-11-22T16:45:30Z\"}",
            KF_CREDS_JSON_INSTANCE, "access key id is missing");
    refused("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":7,\"Expiration\":\"2026-11-22T16:45:30Z\"}",
            KF_CREDS_JSON_INSTANCE, "secret access key is missing");
    refused("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SeCrEt\\r\\nX: y\","
            "\"Expiration\":\"2026-11-22T16:45:30Z\"}",
            KF_CREDS_JSON_INSTANCE, "secret access key is none");
    refused("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SeCrEt\"}", KF_CREDS_JSON_PROCESS,
            "Version");
    refused("{\"Version\":\"1\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SeCrEt\"}",
            KF_CREDS_JSON_PROCESS, "Version");
    refused("{\"Version\":2,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SeCrEt\"}",
            KF_CREDS_JSON_PROCESS, "Version");
    refused("{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"SeCrEt\",\"Expiration\":"
            "\"never\"}",
            KF_CREDS_JSON_PROCESS, "Expiration");
}

static bool sts(const char *text, kf_creds_found_t *found, kf_creds_sts_error_t *error)
{
    *found = (kf_creds_found_t){0};
    return kf_creds_read_sts(pool, kf_str_of(text), NOW_US, found, error);
}

#define STS_GOOD \
    "<?xml version=\"1.0\"?><AssumeRoleResponse " \
    "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" \
    "<AssumeRoleResult><AssumedRoleUser><Arn>x</Arn></AssumedRoleUser><Credentials>" \
    "<AccessKeyId>ASIA</AccessKeyId>\n<SecretAccessKey>a&amp;b</SecretAccessKey>" \
    "<SessionToken>t&#x2f;t</SessionToken><Expiration>2026-11-22T16:45:30Z</Expiration></" \
    "Credentials>" \
    "</AssumeRoleResult></AssumeRoleResponse>"

static void test_sts(void **state)
{
    kf_creds_sts_error_t error;
    kf_creds_found_t found;

    (void)state;
    assert_true(sts(STS_GOOD, &found, &error));
    assert_string_equal(kf_keys_of(found.keys)->access_key_id, "ASIA");
    assert_string_equal(kf_keys_of(found.keys)->secret_access_key, "a&b");
    assert_string_equal(kf_keys_of(found.keys)->session_token, "t/t");
    assert_int_equal(found.ttl_us, 3600 * KF_SEC);
    kf_keys_release(found.keys);
}

static void test_sts_refused(void **state)
{
    static const char *const unreadable[] = {"",
                                             "{}",
                                             "<a>",
                                             "<a></b>",
                                             "<html><body>no</body></html>",
                                             "<!DOCTYPE a [<!ENTITY b \"c\">]><a><b>&b;</b></a>"};
    kf_creds_sts_error_t error;
    kf_creds_found_t found;

    (void)state;
    for (size_t i = 0; i < sizeof unreadable / sizeof unreadable[0]; i++) {
        assert_false(sts(unreadable[i], &found, &error));
        assert_string_equal(error.code, "");
        assert_true(error.message[0] != '\0');
    }
    assert_false(
        sts("<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>"
            "The request signature does not match.\n\nx-amz-security-token:SeCrEt</Message>"
            "</Error></ErrorResponse>",
            &found, &error));
    assert_string_equal(error.code, "SignatureDoesNotMatch");
    assert_string_equal(error.message, "The request signature does not match.");
    assert_false(sts(
        "<R><S><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>SeCrEt</SecretAccessKey>"
        "<Expiration>later</Expiration></Credentials></S></R>",
        &found, &error));
    assert_null(found.keys);
    assert_non_null(strstr(error.message, "Expiration"));
}

static void test_urls(void **state)
{
    static const char *const bad[] = {"",
                                      "ftp://a/",
                                      "http://",
                                      "http://u:p@a/",
                                      "http://a/#f",
                                      "a b",
                                      "http://a/b c",
                                      "http://a\r\n/",
                                      "http://\xae/",
                                      "http://a%C3/",
                                      "http://a%0d%0aX/"};
    kf_url_t url;

    (void)state;
    assert_true(kf_url_parse(pool, "HTTP://LocalHost:80/x?y=z", &url));
    assert_false(url.tls);
    assert_string_equal(url.at, "localhost");
    assert_string_equal(url.path, "/x?y=z");
    assert_true(kf_url_is_loopback(&url));
    assert_true(kf_url_parse(pool, "https://a.example:8443", &url));
    assert_true(url.tls);
    assert_string_equal(url.at, "a.example:8443");
    assert_string_equal(url.base, "https://a.example:8443");
    assert_string_equal(url.path, "/");
    assert_false(kf_url_is_loopback(&url));
    assert_true(kf_url_parse(pool, "http://[fd00:ec2::23]/v1", &url));
    assert_string_equal(url.host, "[fd00:ec2::23]");
    assert_true(kf_url_parse(pool, "http://127.0.0.1.evil.example/", &url));
    assert_false(kf_url_is_loopback(&url));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (kf_url_parse(pool, bad[i], &url))
            fail_msg("taken: %s", bad[i]);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),         cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_refused), cmocka_unit_test(test_sts),
        cmocka_unit_test(test_urls),         cmocka_unit_test(test_sts_refused),
    };

    return cmocka_run_group_tests_name("creds_reply", tests, set_up, tear_down);
}
