/* SPDX-License-Identifier: Apache-2.0
 *
 * Regions, partitions and endpoints.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>
#include "aws/kf_endpoint.h"
#include "aws/kf_region.h"
#include "aws/kf_target.h"

#define ARN_WEST "arn:aws:kinesis:us-west-2:123456789012:stream/clicks"

static apr_pool_t *pool;
static const kf_creds_endpoint_t no_profile;

/* ------------------------------------------------------------ regions */

static const char *partition_of(const char *region)
{
    const kf_partition_t *p = kf_region_partition(kf_str_of(region));

    return p ? p->id : "none";
}

static void test_known_regions(void **state)
{
    static const struct {
        const char *partition;
        const char *regions[40];
    } rows[] = {
        {"aws",
         {"af-south-1",     "ap-east-1",      "ap-east-2",      "ap-northeast-1", "ap-northeast-2",
          "ap-northeast-3", "ap-south-1",     "ap-south-2",     "ap-southeast-1", "ap-southeast-2",
          "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
          "ca-central-1",   "ca-west-1",      "eu-central-1",   "eu-central-2",   "eu-north-1",
          "eu-south-1",     "eu-south-2",     "eu-west-1",      "eu-west-2",      "eu-west-3",
          "il-central-1",   "me-central-1",   "me-south-1",     "me-west-1",      "mx-central-1",
          "sa-east-1",      "sa-west-1",      "us-east-1",      "us-east-2",      "us-west-1",
          "us-west-2"}},
        {"aws-cn", {"cn-north-1", "cn-northwest-1"}},
        {"aws-eusc", {"eusc-de-east-1"}},
        {"aws-iso", {"us-iso-east-1", "us-iso-west-1"}},
        {"aws-iso-b", {"us-isob-east-1", "us-isob-west-1"}},
        {"aws-iso-e", {"eu-isoe-west-1"}},
        {"aws-iso-f", {"us-isof-east-1", "us-isof-south-1"}},
        {"aws-us-gov", {"us-gov-east-1", "us-gov-west-1"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (const char *const *region = rows[i].regions; *region; region++)
            assert_string_equal(partition_of(*region), rows[i].partition);
    }
}

static void test_region_patterns(void **state)
{
    static const char *const good[] = {"us-x-1",   "us-EAST-1", "us-a_b-12345678901234567890",
                                       "us-_-0",   "us-9-9",    "mx-new-99",
                                       "us-iso-1", "us-gov-1",  "eu-isoe-3"};
    static const char *const bad[] = {"",           "us",
                                      "us-",        "us-east",
                                      "us-east-",   "us-east-1 ",
                                      " us-east-1", "us-east-1\n",
                                      "us-east-1a", "us-east-1-",
                                      "us-east-x1", "US-east-1",
                                      "us--1",      "us-é-1",
                                      "us-ea st-1", "us-east-1-1",
                                      "xx-east-1",  "useast-1",
                                      "us_east_1",  "us-east-+1",
                                      "us-east-1.", "eusc-fr-east-1",
                                      "eusc-de-1",  "us-gov-east",
                                      "cn--1",      "us-isoz-east-1",
                                      "uss-east-1", "u-east-1",
                                      "-us-east-1", "us-east-\xd9\xa1"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_string_equal(partition_of(good[i]), "aws");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (kf_region_partition(kf_str_of(bad[i])))
            fail_msg("\"%s\" is taken for a region of %s", bad[i], partition_of(bad[i]));
    }
    /* Exactly its bytes: what stands behind them, and a NUL inside, counts. */
    assert_non_null(kf_region_partition((kf_str_t){"us-east-1x", 9}));
    assert_null(kf_region_partition((kf_str_t){"us-east-1\0", 10}));
    assert_null(kf_region_partition((kf_str_t){NULL, 0}));
}

/* ------------------------------------------------------------ endpoints */

static kf_settings_t streams(const char *region)
{
    kf_settings_t s = {.service = KF_SERVICE_STREAMS, .region = region, .stream_name = "clicks"};

    return s;
}

static kf_settings_t firehose(const char *region)
{
    kf_settings_t s = streams(region);

    s.service = KF_SERVICE_FIREHOSE;
    return s;
}

static const kf_target_t *resolve(const kf_settings_t *settings)
{
    const char *error = NULL;
    const kf_target_t *target = kf_target_resolve(pool, settings, &error);

    if (!target)
        fail_msg("%s", error);
    assert_null(error);
    return target;
}

static void assert_host(const kf_settings_t *settings, const char *host)
{
    const kf_target_t *target = resolve(settings);
    char url[512];

    snprintf(url, sizeof url, "https://%s/", host);
    assert_string_equal(target->host, host);
    assert_string_equal(target->url, url);
    assert_string_equal(target->region, settings->region);
}

typedef struct {
    const char *region;
    const char *plain[2], *fips[2], *dual[2], *both[2]; /* of Kinesis and Firehose */
} hosts_t;

static const hosts_t regional[] = {
    {"us-east-1",
     {"kinesis.us-east-1.amazonaws.com", "firehose.us-east-1.amazonaws.com"},
     {"kinesis-fips.us-east-1.amazonaws.com", "firehose-fips.us-east-1.amazonaws.com"},
     {"kinesis.us-east-1.api.aws", "firehose.us-east-1.api.aws"},
     {"kinesis-fips.us-east-1.api.aws", "firehose-fips.us-east-1.api.aws"}},
    {"us-gov-west-1",
     {"kinesis.us-gov-west-1.amazonaws.com", "firehose.us-gov-west-1.amazonaws.com"},
     {"kinesis.us-gov-west-1.amazonaws.com", "firehose-fips.us-gov-west-1.amazonaws.com"},
     {"kinesis.us-gov-west-1.api.aws", "firehose.us-gov-west-1.api.aws"},
     {"kinesis-fips.us-gov-west-1.api.aws", "firehose-fips.us-gov-west-1.api.aws"}},
    {"cn-north-1",
     {"kinesis.cn-north-1.amazonaws.com.cn", "firehose.cn-north-1.amazonaws.com.cn"},
     {"kinesis-fips.cn-north-1.amazonaws.com.cn", "firehose-fips.cn-north-1.amazonaws.com.cn"},
     {"kinesis.cn-north-1.api.amazonwebservices.com.cn",
      "firehose.cn-north-1.api.amazonwebservices.com.cn"},
     {"kinesis-fips.cn-north-1.api.amazonwebservices.com.cn",
      "firehose-fips.cn-north-1.api.amazonwebservices.com.cn"}},
    {"us-iso-east-1",
     {"kinesis.us-iso-east-1.c2s.ic.gov", "firehose.us-iso-east-1.c2s.ic.gov"},
     {"kinesis-fips.us-iso-east-1.c2s.ic.gov", "firehose-fips.us-iso-east-1.c2s.ic.gov"},
     {"kinesis.us-iso-east-1.api.aws.ic.gov", "firehose.us-iso-east-1.api.aws.ic.gov"},
     {"kinesis-fips.us-iso-east-1.api.aws.ic.gov", "firehose-fips.us-iso-east-1.api.aws.ic.gov"}},
};

static void test_regional_endpoints(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof regional / sizeof regional[0]; i++) {
        for (int service = 0; service < 2; service++) {
            kf_settings_t s = service ? firehose(regional[i].region) : streams(regional[i].region);

            assert_host(&s, regional[i].plain[service]);
            s.use_fips = 1;
            assert_host(&s, regional[i].fips[service]);
            s.use_dual_stack = 1;
            assert_host(&s, regional[i].both[service]);
            s.use_fips = 0;
            assert_host(&s, regional[i].dual[service]);
        }
    }
}

static kf_settings_t by_arn(const char *region, const char *arn)
{
    kf_settings_t s = streams(region);

    s.stream_name = NULL;
    s.stream_arn = arn;
    return s;
}

static void test_account_endpoints(void **state)
{
    kf_settings_t s = by_arn("us-west-2", ARN_WEST);

    (void)state;
    assert_host(&s, "123456789012.data-kinesis.us-west-2.amazonaws.com");
    assert_string_equal(resolve(&s)->stream_arn, ARN_WEST);
    assert_null(resolve(&s)->stream_name);
    s.use_fips = 1;
    assert_host(&s, "123456789012.data-kinesis-fips.us-west-2.amazonaws.com");
    s.use_dual_stack = 1;
    assert_host(&s, "123456789012.data-kinesis-fips.us-west-2.api.aws");
    s = by_arn("us-gov-east-1", "arn:aws-us-gov:kinesis:us-gov-east-1:123456789012:stream/s");
    s.use_fips = 1;
    assert_host(&s, "123456789012.data-kinesis-fips.us-gov-east-1.amazonaws.com");
    s = by_arn("us-iso-east-1", "arn:aws-iso:kinesis:us-iso-east-1:123456789012:stream/s");
    assert_host(&s, "kinesis.us-iso-east-1.c2s.ic.gov");
    s = by_arn("us-isob-east-1", "arn:aws-iso-b:kinesis:us-isob-east-1:123456789012:stream/s");
    assert_host(&s, "kinesis.us-isob-east-1.sc2s.sgov.gov");
    s = by_arn("us-isof-east-1", "arn:aws-iso-f:kinesis:us-isof-east-1:123456789012:stream/s");
    assert_host(&s, "123456789012.data-kinesis.us-isof-east-1.csp.hci.ic.gov");
    /* A custom endpoint is used as it is. */
    s = by_arn("us-west-2", ARN_WEST);
    s.endpoint = "https://vpce.example";
    assert_host(&s, "vpce.example");
}

static void test_custom_endpoints(void **state)
{
    static const char *const rows[][3] = {
        {"https://proxy.example", "proxy.example", "https://proxy.example/"},
        {"https://proxy.example/", "proxy.example", "https://proxy.example/"},
        {"https://proxy.example:443", "proxy.example", "https://proxy.example/"},
        {"https://proxy.example:00443", "proxy.example", "https://proxy.example/"},
        {"https://proxy.example:80", "proxy.example:80", "https://proxy.example:80/"},
        {"https://Proxy.EXAMPLE:8443/", "proxy.example:8443", "https://proxy.example:8443/"},
        {"HTTPS://proxy.example", "proxy.example", "https://proxy.example/"},
        {"http://localhost", "localhost", "http://localhost/"},
        {"http://LocalHost:4567", "localhost:4567", "http://localhost:4567/"},
        {"http://127.0.0.1:80", "127.0.0.1", "http://127.0.0.1/"},
        {"http://127.255.0.9:443", "127.255.0.9:443", "http://127.255.0.9:443/"},
        {"http://[::1]", "[::1]", "http://[::1]/"},
        {"http://[::1]:4567/", "[::1]:4567", "http://[::1]:4567/"},
        {"https://[2001:DB8::1]:443", "[2001:db8::1]", "https://[2001:db8::1]/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kf_settings_t s = streams("eu-west-1");

        s.endpoint = rows[i][0];
        assert_string_equal(resolve(&s)->host, rows[i][1]);
        assert_string_equal(resolve(&s)->url, rows[i][2]);
        assert_string_equal(resolve(&s)->region, "eu-west-1");
    }
}

static void assert_refused(const kf_settings_t *s, const char *words)
{
    const char *error = NULL;

    assert_null(kf_target_resolve(pool, s, &error));
    assert_non_null(error);
    if (!strstr(error, words))
        fail_msg("\"%s\" does not say \"%s\"", error, words);
}

static kf_settings_t *set_by(const char *directive, const char *value)
{
    kf_settings_t *set = kf_settings_create(pool, KF_SCOPE_CONN);
    const char *error = NULL;

    if (directive)
        error = kf_setting_set(pool, set, kf_directive_find(directive), 1, &value);
    assert_null(error);
    return set;
}

/* Variables, of which all that are not given are unset. */
static void environment(const char *const *pairs)
{
    static const char *const all[] = {"AWS_ENDPOINT_URL_KINESIS",
                                      "AWS_ENDPOINT_URL_FIREHOSE",
                                      "AWS_ENDPOINT_URL_STS",
                                      "AWS_ENDPOINT_URL",
                                      "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                                      "AWS_USE_FIPS_ENDPOINT",
                                      "AWS_USE_DUALSTACK_ENDPOINT",
                                      "AWS_ACCOUNT_ID_ENDPOINT_MODE",
                                      "AWS_ACCOUNT_ID"};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        unsetenv(all[i]);
    for (; pairs && *pairs; pairs += 2)
        assert_int_equal(setenv(pairs[0], pairs[1], 1), 0);
}

#define ENVIRONMENT(...) environment((const char *const[]){__VA_ARGS__, NULL})

#define OF_ENV(variable) "the environment's " variable

/* The endpoint of settings completed from the environment. */
static const char *endpoint_from(const kf_settings_t *set, int service, const char **variable)
{
    kf_settings_t *finished = kf_settings_finish(pool, KF_SCOPE_CONN, set);
    kf_endpoint_origin_t origin;

    finished->service = service;
    origin = kf_endpoint_apply(pool, set, &no_profile, finished);
    *variable = origin.endpoint;
    return finished->endpoint;
}

static void assert_endpoint(const kf_settings_t *set, int service, const char *url,
                            const char *variable)
{
    const char *from;
    const char *found = endpoint_from(set, service, &from);

    if (!url) {
        assert_null(found);
        assert_null(from);
        return;
    }
    assert_string_equal(found, url);
    if (variable)
        assert_string_equal(from, variable);
    else
        assert_null(from);
}

static void test_endpoints_of_the_environment(void **state)
{
    const kf_settings_t *unset = set_by(NULL, NULL);
    const kf_settings_t *own = set_by("KinesisEndpoint", "https://own");
    const kf_settings_t *none = set_by("KinesisEndpoint", "none");
    const char *variable;

    (void)state;
    environment(NULL);
    assert_endpoint(unset, KF_SERVICE_STREAMS, NULL, NULL);
    ENVIRONMENT("AWS_ENDPOINT_URL", "https://all", "AWS_ENDPOINT_URL_KINESIS", "https://k");
    assert_endpoint(unset, KF_SERVICE_STREAMS, "https://k", OF_ENV("AWS_ENDPOINT_URL_KINESIS"));
    assert_endpoint(unset, KF_SERVICE_FIREHOSE, "https://all", OF_ENV("AWS_ENDPOINT_URL"));
    assert_endpoint(own, KF_SERVICE_STREAMS, "https://own", NULL);
    assert_endpoint(none, KF_SERVICE_STREAMS, NULL, NULL);
    assert_string_equal(kf_endpoint_env_url("sts", &variable), "https://all");
    ENVIRONMENT("AWS_ENDPOINT_URL_FIREHOSE", "https://f", "AWS_ENDPOINT_URL_STS", "https://s");
    assert_endpoint(unset, KF_SERVICE_STREAMS, NULL, NULL);
    assert_endpoint(unset, KF_SERVICE_FIREHOSE, "https://f", OF_ENV("AWS_ENDPOINT_URL_FIREHOSE"));
    assert_string_equal(kf_endpoint_env_url("sts", &variable), "https://s");
    assert_string_equal(variable, "AWS_ENDPOINT_URL_STS");
    ENVIRONMENT("AWS_ENDPOINT_URL", "", "AWS_ENDPOINT_URL_KINESIS", "");
    assert_endpoint(unset, KF_SERVICE_STREAMS, NULL, NULL);
    ENVIRONMENT("AWS_ENDPOINT_URL", "https://all", "AWS_ENDPOINT_URL_KINESIS", "https://k",
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True");
    assert_endpoint(unset, KF_SERVICE_STREAMS, NULL, NULL);
    assert_endpoint(own, KF_SERVICE_STREAMS, "https://own", NULL);
    assert_null(kf_endpoint_env_url("sts", &variable));
    ENVIRONMENT("AWS_ENDPOINT_URL", "https://all", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "1");
    assert_endpoint(unset, KF_SERVICE_STREAMS, "https://all", OF_ENV("AWS_ENDPOINT_URL"));
    environment(NULL);
}

static void test_endpoint_of_a_profile(void **state)
{
    static const kf_creds_endpoint_t profile = {.profile = "local", .url = "http://localhost:4566"};
    const kf_settings_t *unset = set_by(NULL, NULL), *none = set_by("KinesisEndpoint", "none");
    kf_settings_t *finished = kf_settings_finish(pool, KF_SCOPE_CONN, unset);
    kf_endpoint_origin_t origin;

    (void)state;
    environment(NULL);
    origin = kf_endpoint_apply(pool, unset, &profile, finished);
    assert_string_equal(finished->endpoint, profile.url);
    assert_string_equal(origin.endpoint, "profile \"local\" of the shared AWS files");
    assert_true(origin.is_of_file);
    finished = kf_settings_finish(pool, KF_SCOPE_CONN, none);
    origin = kf_endpoint_apply(pool, none, &profile, finished);
    assert_true(!finished->endpoint && !origin.endpoint && !origin.is_of_file);
    ENVIRONMENT("AWS_ENDPOINT_URL", "https://all");
    finished = kf_settings_finish(pool, KF_SCOPE_CONN, unset);
    origin = kf_endpoint_apply(pool, unset, &profile, finished);
    assert_string_equal(finished->endpoint, "https://all");
    assert_false(origin.is_of_file);
    ENVIRONMENT("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    finished = kf_settings_finish(pool, KF_SCOPE_CONN, unset);
    origin = kf_endpoint_apply(pool, unset, &profile, finished);
    assert_true(!finished->endpoint && !origin.endpoint);
    environment(NULL);
}

/* The host of a stream called by a name or an ARN; NULL where the choice of an account's endpoint is wrong. */
static const char *host_with(const char *directive, const char *value, int service,
                             const char *mode, const char *account)
{
    kf_creds_endpoint_t profile = {.profile = "p"};
    kf_settings_t *finished = kf_settings_finish(pool, KF_SCOPE_CONN, set_by(directive, value));
    const kf_target_t *target;
    const char *error = NULL;

    finished->region = "us-west-2";
    finished->service = service;
    snprintf(profile.account_mode, sizeof profile.account_mode, "%s", mode);
    snprintf(profile.account, sizeof profile.account, "%s", account);
    if (kf_endpoint_apply(pool, set_by(directive, value), &profile, finished).error)
        return NULL;
    target = kf_target_resolve(pool, finished, &error);
    assert_non_null(target);
    return target->host;
}

static void test_account_endpoint_mode(void **state)
{
    static const char region[] = "kinesis.us-west-2.amazonaws.com";
    static const char of_account[] = "123456789012.data-kinesis.us-west-2.amazonaws.com";
    static const struct {
        const char *directive, *value;
        int service;
        const char *mode, *account, *host;
    } rows[] = {
        {"KinesisStreamArn", ARN_WEST, KF_SERVICE_STREAMS, "", "", of_account},
        {"KinesisStreamArn", ARN_WEST, KF_SERVICE_STREAMS, "preferred", "", of_account},
        {"KinesisStreamArn", ARN_WEST, KF_SERVICE_STREAMS, "Disabled", "", region},
        {"KinesisStreamArn", ARN_WEST, KF_SERVICE_STREAMS, "required", "", of_account},
        {"KinesisStreamArn", ARN_WEST, KF_SERVICE_STREAMS, "required", "999999999999", of_account},
        {"KinesisStreamArn", ARN_WEST, KF_SERVICE_STREAMS, "perhaps", "", NULL},
        {"KinesisStreamName", "clicks", KF_SERVICE_STREAMS, "", "123456789012", region},
        {"KinesisStreamName", "clicks", KF_SERVICE_STREAMS, "preferred", "123456789012", region},
        {"KinesisStreamName", "clicks", KF_SERVICE_STREAMS, "required", "123456789012", of_account},
        {"KinesisStreamName", "clicks", KF_SERVICE_STREAMS, "required", "", NULL},
        {"KinesisStreamName", "clicks", KF_SERVICE_STREAMS, "required", "12345", NULL},
        {"KinesisStreamName", "clicks", KF_SERVICE_FIREHOSE, "required", "",
         "firehose.us-west-2.amazonaws.com"},
    };

    (void)state;
    environment(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *host = host_with(rows[i].directive, rows[i].value, rows[i].service,
                                     rows[i].mode, rows[i].account);

        if (rows[i].host)
            assert_string_equal(host, rows[i].host);
        else
            assert_null(host);
    }
    ENVIRONMENT("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled");
    assert_string_equal(host_with("KinesisStreamArn", ARN_WEST, KF_SERVICE_STREAMS, "required", ""),
                        region);
    ENVIRONMENT("AWS_ACCOUNT_ID_ENDPOINT_MODE", "required", "AWS_ACCOUNT_ID", "123456789012");
    assert_string_equal(host_with("KinesisStreamName", "clicks", KF_SERVICE_STREAMS, "", ""),
                        of_account);
    environment(NULL);
}

static void test_variants_of_the_environment(void **state)
{
    const kf_settings_t *unset = set_by(NULL, NULL);
    const kf_settings_t *off = set_by("KinesisUseFIPS", "Off");
    kf_settings_t *finished = kf_settings_finish(pool, KF_SCOPE_CONN, unset);
    kf_endpoint_origin_t origin;

    (void)state;
    ENVIRONMENT("AWS_USE_FIPS_ENDPOINT", "TRUE", "AWS_USE_DUALSTACK_ENDPOINT", "true");
    origin = kf_endpoint_apply(pool, unset, &no_profile, finished);
    assert_true(finished->use_fips && finished->use_dual_stack);
    assert_string_equal(origin.fips, OF_ENV("AWS_USE_FIPS_ENDPOINT"));
    assert_string_equal(origin.dual_stack, OF_ENV("AWS_USE_DUALSTACK_ENDPOINT"));
    finished = kf_settings_finish(pool, KF_SCOPE_CONN, off);
    origin = kf_endpoint_apply(pool, off, &no_profile, finished);
    assert_true(!finished->use_fips && finished->use_dual_stack && !origin.fips);
    ENVIRONMENT("AWS_USE_FIPS_ENDPOINT", "1", "AWS_USE_DUALSTACK_ENDPOINT", "false");
    finished = kf_settings_finish(pool, KF_SCOPE_CONN, unset);
    origin = kf_endpoint_apply(pool, unset, &no_profile, finished);
    assert_true(!finished->use_fips && !finished->use_dual_stack && !origin.dual_stack);
    environment(NULL);
}

static void test_hosts_of_sts(void **state)
{
    const kf_str_t none = {"", 0};

    (void)state;
    assert_string_equal(kf_endpoint_host(pool, "sts", "eu-west-1", false, false, none),
                        "sts.eu-west-1.amazonaws.com");
    assert_string_equal(kf_endpoint_host(pool, "sts", "us-gov-west-1", true, false, none),
                        "sts.us-gov-west-1.amazonaws.com");
    assert_string_equal(kf_endpoint_host(pool, "sts", "us-gov-west-1", true, true, none),
                        "sts-fips.us-gov-west-1.api.aws");
    assert_null(kf_endpoint_host(pool, "sts", "nowhere", false, false, none));
}

static void test_insecure_endpoints(void **state)
{
    static const char *const far[] = {
        "http://proxy.example",   "http://10.0.0.1:4567", "http://localhost.example",
        "http://127.example.com", "http://[::2]",         "http://128.0.0.1"};

    (void)state;
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        kf_settings_t s = streams("eu-west-1");

        s.endpoint = far[i];
        assert_refused(&s, "KinesisAllowInsecureEndpoint");
        s.allow_insecure_endpoint = 1;
        resolve(&s);
    }
}

static void test_refused_endpoints(void **state)
{
    kf_settings_t s = streams("eu-west-1");

    (void)state;
    s.endpoint = "https://proxy.example";
    s.use_fips = 1;
    assert_refused(&s, "KinesisUseFIPS");
    s.use_fips = 0;
    s.use_dual_stack = 1;
    assert_refused(&s, "KinesisUseDualStack");
    s.use_dual_stack = 0;
    s.endpoint = "https://user@proxy.example";
    assert_refused(&s, "KinesisEndpoint (with a user, not shown)");
    s.endpoint = "ftp://proxy.example";
    assert_refused(&s, "KinesisEndpoint");
    s.endpoint = "https://proxy.example/path";
    assert_refused(&s, "KinesisEndpoint");
}

static void test_refused_streams(void **state)
{
    kf_settings_t s = streams("nowhere");

    (void)state;
    assert_refused(&s, "KinesisRegion nowhere");
    s = streams("eu-west-1");
    s.stream_name = NULL;
    assert_refused(&s, "exactly one");
    s = streams("us-west-2");
    s.stream_arn = ARN_WEST;
    assert_refused(&s, "exactly one");
    s = by_arn("us-west-2", ARN_WEST);
    s.service = KF_SERVICE_FIREHOSE;
    assert_refused(&s, "Firehose");
    s = by_arn("us-west-1", ARN_WEST);
    assert_refused(&s, "another region");
    s = by_arn("us-west-2", "arn:aws-cn:kinesis:us-west-2:123456789012:stream/s");
    assert_refused(&s, "partition");
    s = by_arn("us-west-2", "arn:aws:kinesis:us-west-2:12345678901:stream/s");
    assert_refused(&s, "12 digits");
    s = firehose("us-west-2");
    s.stream_name = "12345678901234567890123456789012345678901234567890123456789012345";
    assert_refused(&s, "64");
    s.stream_name++;
    resolve(&s);
    s = streams("us-west-2");
    s.stream_name = "12345678901234567890123456789012345678901234567890123456789012345";
    resolve(&s);
}

static void test_services(void **state)
{
    kf_settings_t s = streams("us-east-1");
    kf_settings_t f = firehose("us-east-1");
    const kf_service_t *kinesis = resolve(&s)->service;
    const kf_service_t *hose = resolve(&f)->service;

    (void)state;
    assert_string_equal(kinesis->action[KF_OP_PUT_BATCH], "Kinesis_20131202.PutRecords");
    assert_string_equal(hose->action[KF_OP_PUT_BATCH], "Firehose_20150804.PutRecordBatch");
    assert_string_equal(hose->action[KF_OP_DESCRIBE], "Firehose_20150804.DescribeDeliveryStream");
    assert_null(kinesis->action[KF_OP_DESCRIBE]);
    assert_int_equal(hose->record_bytes_max, 1024000);
    assert_int_equal(kinesis->record_bytes_max, 1048576);
    s.ca_file = "/ca.pem";
    s.proxy = "http://proxy:3128";
    assert_string_equal(resolve(&s)->ca_file, "/ca.pem");
    assert_string_equal(resolve(&s)->proxy, "http://proxy:3128");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_regions),
        cmocka_unit_test(test_region_patterns),
        cmocka_unit_test(test_regional_endpoints),
        cmocka_unit_test(test_account_endpoints),
        cmocka_unit_test(test_custom_endpoints),
        cmocka_unit_test(test_insecure_endpoints),
        cmocka_unit_test(test_refused_endpoints),
        cmocka_unit_test(test_refused_streams),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_hosts_of_sts),
        cmocka_unit_test(test_endpoints_of_the_environment),
        cmocka_unit_test(test_variants_of_the_environment),
        cmocka_unit_test(test_endpoint_of_a_profile),
        cmocka_unit_test(test_account_endpoint_mode),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests_name("target", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
