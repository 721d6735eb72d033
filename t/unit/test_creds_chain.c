/* SPDX-License-Identifier: Apache-2.0
 *
 * Each source of credentials with fakes in place of networks, the order in which they are asked, and
 * what the report says of those that did not serve: never a secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include "aws/kf_creds_chain.h"
#include "aws/kf_creds_profile.h"
#include "base/kf_clock.h"
#include "creds_fixture.h"

#define F creds_fixture
#define ROLE "arn:aws:iam::123456789012:role/r"

static kf_creds_found_t found;
static char report[KF_CREDS_REPORT_MAX];

/* A search by the settings and the environment as they are now. */
static bool search(void)
{
    kf_creds_flight_t flight = {.settings = &F.settings};
    kf_creds_env_t env;
    bool ok;

    assert_true(kf_creds_env_read(&env));
    flight.env = &env;
    flight.http = fake_http_create(&F.world);
    assert_int_equal(apr_pool_create_unmanaged_ex(&flight.pool, NULL, NULL), 0);
    ok = kf_creds_search(&flight, &found);
    apr_pool_destroy(flight.pool);
    flight.http->ops->destroy(flight.http);
    kf_creds_env_free(&env);
    snprintf(report, sizeof report, "%s", flight.report);
    assert_null(strstr(report, FIXTURE_MARK));
    return ok;
}

static void finds(const char *id)
{
    if (!search())
        fail_msg("%s", report);
    assert_string_equal(kf_keys_of(found.keys)->access_key_id, id);
    assert_non_null(strstr(kf_keys_of(found.keys)->secret_access_key, FIXTURE_MARK));
    kf_keys_release(found.keys);
}

static void fails(const char *because)
{
    if (search())
        fail_msg("found %s", kf_keys_of(found.keys)->access_key_id);
    assert_null(found.keys);
    if (!strstr(report, because))
        fail_msg("no \"%s\" in \"%s\"", because, report);
}

static void no_instance(void)
{
    creds_setenv("AWS_EC2_METADATA_DISABLED", "true");
}

#define KEYS(id) "aws_access_key_id=" id "\naws_secret_access_key=" FIXTURE_MARK "\n"

/* ----------------------------------------------------------- chain, environment */

static void test_nothing_is_set_up(void **state)
{
    (void)state;
    no_instance();
    fails("environment: AWS_ACCESS_KEY_ID is not set; web identity: AWS_WEB_IDENTITY_TOKEN_FILE is "
          "not "
          "set; shared files: neither ");
    assert_non_null(strstr(report, "; container: "));
    assert_non_null(strstr(report, "; instance metadata: AWS_EC2_METADATA_DISABLED is true"));
}

static void test_environment(void **state)
{
    (void)state;
    creds_setenv("AWS_ACCESS_KEY_ID", "AKIAENV");
    fails("environment: the secret access key is missing");
    creds_setenv("AWS_SECRET_ACCESS_KEY", FIXTURE_MARK);
    creds_file(".aws/credentials", "[default]\n" KEYS("AKIAFILE"), 0600);
    finds("AKIAENV");
    assert_true(found.ttl_us == KF_CREDS_FOREVER);
    F.settings.profile = "other";
    fails("\"other\": is in none of the files");
    F.settings.profile = NULL;
    F.settings.access_key_id = "AKIADIR";
    F.settings.secret_access_key = FIXTURE_MARK;
    finds("AKIADIR");
    creds_setenv("AWS_SECRET_ACCESS_KEY", FIXTURE_MARK "\r\n");
    F.settings.access_key_id = F.settings.secret_access_key = NULL;
    fails("environment: the secret access key is none");
}

static void test_static(void **state)
{
    kf_creds_env_t env;
    kf_keys_t *keys = NULL;
    const char *why;

    (void)state;
    assert_true(kf_creds_env_read(&env));
    assert_false(kf_creds_static(&F.settings, &env, &keys, &why));
    kf_creds_env_free(&env);
    creds_setenv("AWS_ACCESS_KEY_ID", "AKIAENV");
    creds_setenv("AWS_SECRET_ACCESS_KEY", FIXTURE_MARK);
    creds_setenv("AWS_SECURITY_TOKEN", "old-name");
    assert_true(kf_creds_env_read(&env));
    assert_true(kf_creds_static(&F.settings, &env, &keys, &why));
    assert_string_equal(kf_keys_of(keys)->session_token, "old-name");
    kf_keys_release(keys);
    F.settings.role_arn = ROLE;
    assert_false(kf_creds_static(&F.settings, &env, &keys, &why));
    F.settings.role_arn = NULL;
    F.settings.profile = "p";
    assert_false(kf_creds_static(&F.settings, &env, &keys, &why));
    F.settings.access_key_id = "AKIADIR";
    F.settings.secret_access_key = "s";
    assert_true(kf_creds_static(&F.settings, &env, &keys, &why));
    assert_string_equal(kf_keys_of(keys)->access_key_id, "AKIADIR");
    kf_keys_release(keys);
    kf_creds_env_free(&env);
}

/* ------------------------------------------------------------------------ STS */

static void test_role_on_top(void **state)
{
    (void)state;
    F.settings.access_key_id = "AKIADIR";
    F.settings.secret_access_key = FIXTURE_MARK;
    F.settings.session_token = "to/ken";
    F.settings.role_arn = ROLE;
    F.settings.external_id = "a b&c";
    finds("ASIA1");
    assert_string_equal(F.form, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
                                "123456789012%3Arole%2Fr&RoleSessionName=mod_kinesis_forward"
                                "&ExternalId=a%20b%26c");
    assert_non_null(strstr(F.lines, "Credential=AKIADIR/"));
    assert_non_null(strstr(F.lines, "/us-east-1/sts/aws4_request"));
    assert_non_null(strstr(F.lines, "X-Amz-Security-Token: to/ken\n"));
    assert_non_null(
        strstr(F.lines, "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"));
    assert_false(found.outlives);
    assert_int_equal(found.ttl_us / (60 * KF_SEC), 59);
    F.settings.role_session_name = "me@here";
    finds("ASIA2");
    assert_non_null(strstr(F.form, "&RoleSessionName=me%40here"));
}

static void test_sts_refuses(void **state)
{
    (void)state;
    F.settings.access_key_id = "AKIADIR";
    F.settings.secret_access_key = FIXTURE_MARK;
    F.settings.role_arn = ROLE;
    F.status = 403;
    F.body =
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User is not authorized</Message>"
        "</Error></ErrorResponse>";
    fails("STS: AssumeRole of " ROLE " at 127.0.0.1:1: AccessDenied: User is not authorized");
    F.status = 502;
    F.body = "<html>Bad Gateway</html>";
    fails("HTTP 502: what it answers cannot be read");
    atomic_store(&F.broken, 1);
    fails("127.0.0.1:1: fake");
}

/* The first answer says that the clock is off; its Date says by how much. */
static void skewed(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    answer->date_us = kf_wall_us() + 3600 * KF_SEC;
    if (atomic_fetch_add(&F.asked, 1) == 0) {
        answer->status = 403;
        answer->body =
            "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: "
            "20261122T154530Z is now earlier than</Message></Error></ErrorResponse>";
        return;
    }
    for (int i = 0; i < call->request->header_count; i++)
        if (strncmp(call->request->headers[i], "X-Amz-Date:", 11) == 0)
            snprintf(F.lines, sizeof F.lines, "%s", call->request->headers[i]);
    answer->body =
        "<R><S><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>" FIXTURE_MARK
        "</SecretAccessKey><SessionToken>t</SessionToken>"
        "<Expiration>2026-11-22T17:45:30Z</Expiration></Credentials></S></R>";
}

static void test_clock_of_sts(void **state)
{
    (void)state;
    creds_simulate();
    F.world.handler = skewed;
    F.settings.access_key_id = "AKIADIR";
    F.settings.secret_access_key = FIXTURE_MARK;
    F.settings.role_arn = ROLE;
    finds("ASIA");
    assert_string_equal(F.lines, "X-Amz-Date: 20261122T164530Z");
    /* By the service's clock. */
    assert_int_equal(found.ttl_us, 3600 * KF_SEC);
}

static void endpoint_is(const char *url)
{
    finds("ASIA1");
    assert_string_equal(F.url, url);
    atomic_store(&F.serial, 0);
}

static void test_endpoints_of_sts(void **state)
{
    (void)state;
    F.settings.access_key_id = "AKIADIR";
    F.settings.secret_access_key = FIXTURE_MARK;
    F.settings.role_arn = ROLE;
    endpoint_is(FIXTURE_URL "/");
    creds_setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE");
    endpoint_is("https://sts.us-east-1.amazonaws.com/");
    F.settings.use_fips = 1;
    endpoint_is("https://sts-fips.us-east-1.amazonaws.com/");
    F.settings.use_dual_stack = 1;
    endpoint_is("https://sts-fips.us-east-1.api.aws/");
    F.settings.use_dual_stack = 0;
    F.settings.region = "us-gov-west-1";
    endpoint_is("https://sts.us-gov-west-1.amazonaws.com/");
    F.settings.use_fips = 0;
    F.settings.region = "cn-north-1";
    endpoint_is("https://sts.cn-north-1.amazonaws.com.cn/");
    creds_setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false");
    creds_setenv("AWS_ENDPOINT_URL_STS", "http://sts.example");
    fails("plain http to another machine");
    F.settings.allow_insecure_endpoint = 1;
    endpoint_is("http://sts.example/");
    creds_setenv("AWS_ENDPOINT_URL_STS", "sts example");
    fails("AWS_ENDPOINT_URL_STS is no URL");
    creds_setenv("AWS_ENDPOINT_URL_STS", "");
    creds_setenv("AWS_ENDPOINT_URL", "https://all.example:444");
    endpoint_is("https://all.example:444/");
}

static void test_web_identity(void **state)
{
    (void)state;
    creds_setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token");
    fails("web identity: AWS_ROLE_ARN is not set");
    creds_setenv("AWS_ROLE_ARN", ROLE);
    fails("web identity: /nowhere/token: No such file");
    creds_setenv("AWS_WEB_IDENTITY_TOKEN_FILE",
                 creds_file("token", "ey" FIXTURE_MARK ".x\n", 0644));
    creds_setenv("AWS_ROLE_SESSION_NAME", "pod");
    finds("ASIA1");
    assert_non_null(strstr(F.form, "Action=AssumeRoleWithWebIdentity&"));
    assert_non_null(strstr(F.form, "&RoleSessionName=pod&WebIdentityToken=ey" FIXTURE_MARK ".x"));
    assert_null(strstr(F.lines, "Authorization"));
    /* It is read again each time. */
    creds_file("token", "second", 0644);
    F.settings.role_arn = "arn:aws:iam::210987654321:role/other";
    finds("ASIA3");
    assert_int_equal(atomic_load(&F.asked), 3);
    assert_non_null(strstr(F.form, "Action=AssumeRole&"));
    assert_non_null(strstr(F.lines, "Credential=ASIA2/"));
    creds_file("token", "\n", 0644);
    fails("token: is empty");
}

/* ---------------------------------------------------------------- shared files */

static void test_default_files(void **state)
{
    (void)state;
    no_instance();
    creds_file(".aws/credentials", "[default]\n" KEYS("AKIAFILE"), 0600);
    finds("AKIAFILE");
    creds_setenv("AWS_PROFILE", "two");
    fails("profile \"two\": is in none of the files");
    creds_file(".aws/config", "[profile two]\n" KEYS("AKIATWO") "[default]\nregion=x\n", 0600);
    finds("AKIATWO");
    creds_file(".aws/config", "[profile two]\n" KEYS("AKIATWO"), 0644);
    fails("holds a secret and is readable by all users (chmod 600");
    /* A configuration file without secrets may be read by all. */
    creds_file(".aws/config", "[profile two]\nsource_profile=default\nrole_arn=" ROLE "\n", 0644);
    finds("ASIA1");
    assert_non_null(strstr(F.lines, "Credential=AKIAFILE/"));
    creds_file(".aws/credentials", "[default]\n" KEYS("AKIAFILE"), 0604);
    fails("credentials: is readable by all users (chmod 600 or 640)");
    creds_file(".aws/credentials", "[default]\nnonsense\n", 0600);
    fails("credentials: line 2 is no section");
    creds_setenv("AWS_PROFILE", "");
    creds_file(".aws/credentials", "[other]\n" KEYS("AKIAFILE"), 0600);
    fails("shared files: there is no profile \"default\"; container: ");
}

static void test_named_files(void **state)
{
    (void)state;
    no_instance();
    F.settings.credentials_file = "/nowhere/credentials";
    fails("shared files: /nowhere/credentials: No such file");
    F.settings.credentials_file = creds_file("mine", "[default]\n" KEYS("AKIAMINE"), 0640);
    creds_setenv("AWS_SHARED_CREDENTIALS_FILE",
                 creds_file("theirs", "[p]\n" KEYS("AKIATHEIRS"), 0600));
    finds("AKIAMINE");
    F.settings.credentials_file = NULL;
    F.settings.profile = "p";
    finds("AKIATHEIRS");
    creds_setenv("AWS_CONFIG_FILE",
                 creds_file("cfg", "[p]\n" KEYS("NO") "[profile \"q r\"]\n" KEYS("AKIAQ"), 0600));
    finds("AKIATHEIRS");
    F.settings.profile = "q r";
    finds("AKIAQ");
    creds_setenv("AWS_CONFIG_FILE", "/nowhere/config");
    fails("profile \"q r\": is in none of the files");
    creds_setenv("AWS_CONFIG_FILE", F.folder);
    fails("is no regular file");
}

/* As with the SDKs: named by a variable they need not be there, and /dev/null means none. */
static void test_files_that_are_not_there(void **state)
{
    (void)state;
    creds_file(".aws/credentials", "[default]\n" KEYS("AKIAFILE"), 0600);
    creds_setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    creds_setenv("AWS_CONFIG_FILE", "/nowhere/config");
    finds("ASIA1");
    no_instance();
    fails("shared files: neither /dev/null nor /nowhere/config is there");
}

static void test_keys_of_two_files(void **state)
{
    (void)state;
    creds_file(".aws/config", "[default]\n" KEYS("AKIACFG") "aws_session_token=cfg\n", 0600);
    creds_file(".aws/credentials", "[default]\n" KEYS("AKIAFILE"), 0600);
    assert_true(search());
    assert_string_equal(kf_keys_of(found.keys)->access_key_id, "AKIAFILE");
    assert_null(kf_keys_of(found.keys)->session_token);
    kf_keys_release(found.keys);
}

static void profile(const char *text)
{
    F.settings.config_file = creds_file("config", text, 0600);
    F.settings.profile = "p";
}

static void test_roles_of_profiles(void **state)
{
    (void)state;
    profile("[profile p]\nrole_arn=" ROLE
            "\nsource_profile=q\nexternal_id=ext\nrole_session_name=me\n"
            "duration_seconds=900\n[profile q]\nrole_arn=" ROLE "2\nsource_profile=r\n"
            "[profile r]\n" KEYS("AKIAR"));
    finds("ASIA2");
    assert_int_equal(atomic_load(&F.asked), 2);
    assert_non_null(strstr(F.form, "&RoleSessionName=me&ExternalId=ext&DurationSeconds=900"));
    assert_non_null(strstr(F.lines, "Credential=ASIA1/"));
    /* A role that a profile takes with its own keys. */
    profile("[profile p]\nrole_arn=" ROLE "\nsource_profile=p\n" KEYS("AKIAP"));
    finds("ASIA3");
    assert_non_null(strstr(F.lines, "Credential=AKIAP/"));
    profile("[profile p]\nrole_arn=" ROLE "\ncredential_source=Environment\n");
    fails("profile \"p\": its credential_source has nothing to give");
    creds_setenv("AWS_ACCESS_KEY_ID", "AKIAENV");
    creds_setenv("AWS_SECRET_ACCESS_KEY", FIXTURE_MARK);
    finds("ASIA4");
    profile("[profile p]\nrole_arn=" ROLE "\ncredential_source=Ec2InstanceMetadata\n");
    finds("ASIA6");
    creds_setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", FIXTURE_URL "/v1/credentials");
    profile("[profile p]\nrole_arn=" ROLE "\ncredential_source=EcsContainer\n");
    finds("ASIA8");
    profile("[profile p]\nrole_arn=" ROLE "\nweb_identity_token_file=/nowhere/t\n");
    fails("/nowhere/t: No such file");
}

static void test_profiles_that_lead_nowhere(void **state)
{
    (void)state;
    profile("[profile p]\nrole_arn=" ROLE "\nsource_profile=q\n[profile q]\nrole_arn=" ROLE
            "\nsource_profile=p\n");
    fails("profile \"p\": its source_profile leads back to itself");
    profile("[profile p]\nrole_arn=" ROLE "\nsource_profile=p\n");
    fails("leads back to itself");
    profile("[profile p]\nrole_arn=" ROLE "\nsource_profile=q\n");
    fails("profile \"q\": is in none of the files");
    profile("[profile p]\nrole_arn=" ROLE "\n");
    fails("exactly one of source_profile and credential_source");
    profile("[profile p]\nrole_arn=" ROLE "\nsource_profile=q\ncredential_source=Environment\n");
    fails("exactly one of");
    profile("[profile p]\nrole_arn=" ROLE "\ncredential_source=Cloud\n");
    fails("none of Environment, EcsContainer and");
    profile("[profile p]\nrole_arn=" ROLE
            "\nsource_profile=q\nmfa_serial=arn\n[profile q]\n" KEYS("A"));
    fails("mfa_serial needs a person");
    profile("[profile p]\nsso_session=s\nsso_account_id=1\n");
    fails("need a person to sign in");
    profile("[profile p]\nregion=eu-west-1\n");
    fails("says nothing of credentials");
    profile("[profile p]\naws_access_key_id=A\n");
    fails("the secret access key is missing");
    profile("[profile p]\nrole_arn=" ROLE
            "\nsource_profile=q\nduration_seconds=1\n[profile q]\n" KEYS("A"));
    fails("duration_seconds must be from 900 to 43200");
    profile("[profile p]\nweb_identity_token_file=/t\n");
    fails("needs role_arn");
}

static void test_too_many_profiles(void **state)
{
    char text[4096] = "[profile p]\nrole_arn=" ROLE "\nsource_profile=p0\n";
    size_t n = strlen(text);

    (void)state;
    for (int i = 0; i < 20; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "[profile p%d]\nrole_arn=" ROLE "\nsource_profile=p%d\n", i, i + 1);
    profile(text);
    fails("too many profiles lead to it");
}

static void test_check_of_files(void **state)
{
    const char *good = creds_file("good", "[p]\n" KEYS("A"), 0600);
    const char *open = creds_file("open", "[p]\n" KEYS("A"), 0644);
    const char *config = creds_file("config", "[profile p]\nregion=x\n", 0644);
    const char *secret = creds_file("secret", "[profile s]\n" KEYS("A"), 0644);
    char error[400] = "";

    (void)state;
    assert_true(kf_creds_files_check(good, config, "p", error, sizeof error));
    assert_true(kf_creds_files_check(good, NULL, "q", error, sizeof error));
    assert_true(kf_creds_files_check(NULL, NULL, "q", error, sizeof error));
    assert_false(kf_creds_files_check(good, config, "q", error, sizeof error));
    assert_non_null(strstr(error, "there is no profile \"q\" in "));
    assert_false(kf_creds_files_check(open, NULL, NULL, error, sizeof error));
    assert_non_null(strstr(error, "chmod 600"));
    assert_false(kf_creds_files_check(good, secret, "s", error, sizeof error));
    assert_non_null(strstr(error, "holds a secret"));
    assert_false(kf_creds_files_check("/nowhere/x", NULL, NULL, error, sizeof error));
    assert_non_null(strstr(error, "/nowhere/x: No such file"));
}

/* -------------------------------------------------------- container, instance */

static void test_container(void **state)
{
    (void)state;
    creds_setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://credentials.example/");
    fails("container: AWS_CONTAINER_CREDENTIALS_FULL_URI is plain http to a host");
    creds_setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example/");
    fails("container: AWS_CONTAINER_CREDENTIALS_FULL_URI is plain http to a host");
    creds_setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
    creds_setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", FIXTURE_MARK "1");
    finds("ASIA1");
    assert_string_equal(F.url, "http://169.254.170.23/v1/credentials");
    assert_non_null(strstr(F.lines, "Authorization: " FIXTURE_MARK "1\n"));
    assert_true(found.outlives);
    creds_setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                 creds_file("token", FIXTURE_MARK "2\n", 0644));
    creds_setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "https://credentials.example/x?y");
    finds("ASIA2");
    assert_non_null(strstr(F.lines, "Authorization: " FIXTURE_MARK "2\n"));
    creds_setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/abc");
    finds("ASIA3");
    assert_string_equal(F.url, "http://169.254.170.2/v2/credentials/abc");
    creds_file("token", FIXTURE_MARK "\r\nHost: evil", 0644);
    fails("container: the authorization token holds a control character");
    creds_setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere/t");
    fails("the authorization token No such file");
    creds_setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/");
    fails("does not begin with a slash");
}

static void test_container_refuses(void **state)
{
    (void)state;
    creds_setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", FIXTURE_URL "/");
    F.status = 404;
    F.body = "{\"code\":\"NoIdMapping\"}";
    fails("container: " FIXTURE_URL ": HTTP 404, it answers NoIdMapping");
    atomic_store(&F.broken, 1);
    fails("container: " FIXTURE_URL ": fake");
    /* It was set up: nobody else is asked. */
    assert_int_equal(atomic_load(&F.probed), 0);
}

static void test_instance(void **state)
{
    (void)state;
    finds("ASIA1");
    assert_string_equal(F.url,
                        "http://169.254.169.254/latest/meta-data/iam/security-credentials/role");
    assert_non_null(strstr(F.lines, "X-aws-ec2-metadata-token: session-token\n"));
    assert_true(found.outlives);
    creds_setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    finds("ASIA2");
    assert_non_null(strstr(F.url, "http://[fd00:ec2::254]/"));
    creds_setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", FIXTURE_URL);
    finds("ASIA3");
    assert_non_null(strstr(F.url, FIXTURE_URL "/latest/"));
    F.status = 403;
    fails("instance metadata: " FIXTURE_URL ": session token: HTTP 403");
    F.status = 0;
    atomic_store(&F.broken, 1);
    fails("instance metadata: " FIXTURE_URL ": session token: fake");
}

static void without_role(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    answer->body = "t";
    if (strstr(call->request->url, "/iam/"))
        answer->status = 404;
}

static void test_instance_without_role(void **state)
{
    (void)state;
    F.world.handler = without_role;
    fails("instance metadata: the instance has no role");
}

/* -------------------------------------------------------------------- process */

static void process(const char *line)
{
    char text[1024];

    snprintf(text, sizeof text, "[profile p]\ncredential_process = %s\n", line);
    profile(text);
}

static void test_process(void **state)
{
    char line[600];
    const char *answer =
        creds_file("answer",
                   "{\"Version\":1,\"AccessKeyId\":\"AKIAPROC\",\"SecretAccessKey\":\"" FIXTURE_MARK
                   "\",\"SessionToken\":\"t\",\"Expiration\":\"2046-11-22T16:45:30Z\"}",
                   0600);

    (void)state;
    snprintf(line, sizeof line, "cat \"%s\"", answer);
    process(line);
    finds("AKIAPROC");
    process("/bin/sh -c 'echo " FIXTURE_MARK "; exit 3'");
    fails("credential_process: /bin/sh ended with status 3");
    process("/bin/sh -c 'kill -9 $$'");
    fails("credential_process: /bin/sh was ended by signal 9");
    process("/bin/echo " FIXTURE_MARK);
    fails("credential_process: /bin/echo: what it gives is no JSON object");
    process("/bin/sh -c 'head -c 70000 /dev/zero'");
    fails("prints more than 65536 bytes");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, creds_set_up, creds_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_nothing_is_set_up),
        T(test_environment),
        T(test_static),
        T(test_role_on_top),
        T(test_sts_refuses),
        T(test_clock_of_sts),
        T(test_endpoints_of_sts),
        T(test_web_identity),
        T(test_default_files),
        T(test_named_files),
        T(test_files_that_are_not_there),
        T(test_keys_of_two_files),
        T(test_roles_of_profiles),
        T(test_profiles_that_lead_nowhere),
        T(test_too_many_profiles),
        T(test_check_of_files),
        T(test_container),
        T(test_container_refuses),
        T(test_instance),
        T(test_instance_without_role),
        T(test_process),
    };

    return cmocka_run_group_tests_name("creds_chain", tests, NULL, NULL);
}
