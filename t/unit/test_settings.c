/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings: every row of the list of directives (default, set, merge, none, both ends of its
 * range), the arguments' count, and what errors say and do not say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <strings.h>
#include "base/kf_settings.h"

static apr_pool_t *pool;

static int start(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL) == APR_SUCCESS ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static const kf_directive_t *row(const char *name)
{
    const kf_directive_t *d = kf_directive_find(name);

    if (!d)
        fail_msg("no directive %s", name);
    return d;
}

/* Sets a directive from its arguments as they would stand in the file, separated by blanks. */
static const char *set(void *settings, const kf_directive_t *d, const char *arguments)
{
    char *argv[100];
    char *copy = apr_pstrdup(pool, arguments);
    char *last;
    int argc = 0;

    for (char *p = apr_strtok(copy, " ", &last); p; p = apr_strtok(NULL, " ", &last))
        argv[argc++] = p;
    return kf_setting_set(pool, settings, d, argc, (const char *const *)argv);
}

static void *created(const kf_directive_t *d)
{
    return kf_settings_create(pool, d->scope);
}

static void assert_takes(const char *name, const char *arguments)
{
    const kf_directive_t *d = row(name);
    void *settings = created(d);
    const char *error = set(settings, d, arguments);

    if (error)
        fail_msg("%s %s: %s", name, arguments, error);
    assert_true(kf_setting_is_set(settings, d));
}

/* The error names the directive, and allowed where it is given; nothing is set. */
static const char *assert_refuses(const char *name, const char *arguments, const char *allowed)
{
    const kf_directive_t *d = row(name);
    void *settings = created(d);
    const char *error = set(settings, d, arguments);

    if (!error)
        fail_msg("taken: %s %s", name, arguments);
    if (!strstr(error, d->name) || (allowed && !strstr(error, allowed)))
        fail_msg("%s %s: %s", name, arguments, error);
    assert_false(kf_setting_is_set(settings, d));
    return error;
}

/* ---- values as text, to compare them ---- */

static const char *shown(const void *settings, const kf_directive_t *d)
{
    const void *member = (const char *)settings + d->offset;
    const kf_times_t *times = member;
    const kf_list_t *list = member;
    const char *text = "";

    switch (d->kind) {
    case KF_KIND_FLAG:
    case KF_KIND_CHOICE:
        return apr_itoa(pool, *(const int *)member);
    case KF_KIND_TEXT:
    case KF_KIND_SECRET:
        text = *(const char *const *)member;
        return text ? text : "(null)";
    case KF_KIND_TIMES:
        return apr_psprintf(pool, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT, times->base,
                            times->cap);
    case KF_KIND_LIST:
        for (int i = 0; i < list->n; i++)
            text = apr_pstrcat(pool, text, i ? " " : "", list->v[i], NULL);
        return text;
    default:
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, *(const int64_t *)member);
    }
}

/* Values for the row that are not its default; shown gives them as the second text says. */
typedef struct {
    const char *text;
    const char *shown;
} sample_t;

static sample_t sample(const kf_directive_t *d)
{
    static const struct {
        kf_check_t check;
        const char *text;
    } texts[] = {{KF_CHECK_STREAM_ARN, "arn:aws:kinesis:eu-west-1:123456789012:stream/a"},
                 {KF_CHECK_ENDPOINT, "https://a.example:8443/"},
                 {KF_CHECK_ROLE_ARN, "arn:aws:iam::123456789012:role/a"},
                 {KF_CHECK_PROXY, "http://a:3128"},
                 {KF_CHECK_ORIGIN, "https://a.example"},
                 {KF_CHECK_RUN_FILE, "/a/b"}};

    switch (d->kind) {
    case KF_KIND_FLAG:
        return strcmp(d->deflt, "On") == 0 ? (sample_t){"off", "0"} : (sample_t){"ON", "1"};
    case KF_KIND_CHOICE:
        return (sample_t){strrchr(d->syntax, '|') + 1,
                          strstr(d->syntax, "|") == strrchr(d->syntax, '|') ? "1" : "2"};
    case KF_KIND_TIMES:
        return (sample_t){"2ms 1min", "2000 60000000"};
    case KF_KIND_TIME:
        return (sample_t){"1001ms", "1001000"};
    case KF_KIND_SIZE:
        return d->max >= INT64_C(17) << 30 ? (sample_t){"17G", "18253611008"}
               : d->min > 3 * 1024         ? (sample_t){"9M", "9437184"}
                                           : (sample_t){"3k", "3072"};
    case KF_KIND_COUNT:
        return (sample_t){"17", "17"};
    default:
        break;
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].check == d->check)
            return (sample_t){texts[i].text, texts[i].text};
    return d->kind == KF_KIND_LIST ? (sample_t){"b c", "b c"} : (sample_t){"aa", "aa"};
}

/* ---- every row ---- */

static void test_rows_are_sound(void **state)
{
    (void)state;
    assert_true(kf_directive_count > 50);
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];

        assert_memory_equal(d->name, "Kinesis", 7);
        assert_true(*d->syntax && *d->help);
        assert_true(d->min <= d->max);
        assert_true(d->offset < kf_scope_size(d->scope));
        assert_ptr_equal(kf_directive_find(d->name), d);
        for (int k = 0; k < i; k++)
            assert_true(strcasecmp(d->name, kf_directives[k].name) != 0);
    }
    assert_null(kf_directive_find("KinesisNothing"));
    assert_null(kf_directive_find(""));
    assert_ptr_equal(kf_directive_find("kinesisREGION"), row("KinesisRegion"));
}

static void test_unset_then_default(void **state)
{
    (void)state;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        void *settings = created(d);
        void *finished;
        void *given;

        assert_false(kf_setting_is_set(settings, d));
        finished = kf_settings_finish(pool, d->scope, settings);
        assert_false(kf_setting_is_set(settings, d));
        assert_true(kf_setting_is_set(finished, d));
        if (strcmp(d->name, "KinesisStoreShare") == 0) {
            assert_string_equal(shown(finished, d), "0");
            continue;
        }
        given = created(d);
        assert_null(set(given, d, d->deflt));
        assert_true(kf_setting_is_set(given, d));
        assert_string_equal(shown(finished, d), shown(given, d));
    }
}

static void test_set_and_merge(void **state)
{
    (void)state;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        const sample_t s = sample(d);
        void *empty = created(d);
        void *given = created(d);
        const char *error = set(given, d, s.text);

        if (error)
            fail_msg("%s", error);
        assert_true(kf_setting_is_set(given, d));
        assert_string_equal(shown(given, d), s.shown);
        for (int k = 0; k < kf_directive_count; k++)
            if (k != i && kf_scope_size(kf_directives[k].scope) == kf_scope_size(d->scope))
                assert_false(kf_setting_is_set(given, &kf_directives[k]));
        assert_string_equal(shown(kf_settings_merge(pool, d->scope, empty, given), d), s.shown);
        assert_string_equal(shown(kf_settings_merge(pool, d->scope, given, empty), d), s.shown);
        assert_false(kf_setting_is_set(kf_settings_merge(pool, d->scope, empty, empty), d));
        assert_string_equal(shown(kf_settings_finish(pool, d->scope, given), d), s.shown);
        assert_false(kf_setting_is_set(empty, d));
    }
}

static void test_later_value_replaces(void **state)
{
    (void)state;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        void *base = created(d);
        void *over = created(d);

        assert_null(set(base, d, sample(d).text));
        if (strcmp(d->name, "KinesisStoreShare") == 0)
            assert_null(set(over, d, "33"));
        else
            assert_null(set(over, d, d->deflt));
        assert_string_equal(shown(kf_settings_merge(pool, d->scope, base, over), d),
                            shown(over, d));
        assert_null(set(over, d, sample(d).text));
        assert_string_equal(shown(over, d), sample(d).shown);
    }
}

static void test_none(void **state)
{
    (void)state;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        void *base = created(d);
        void *over = created(d);
        const void *merged;

        if (d->kind != KF_KIND_TEXT && d->kind != KF_KIND_SECRET && d->kind != KF_KIND_LIST)
            continue;
        if (strcmp(d->deflt, "none") != 0) {
            assert_refuses(d->name, "none", NULL);
            continue;
        }
        assert_null(set(base, d, sample(d).text));
        assert_null(set(over, d, i % 2 ? "none" : "None"));
        assert_true(kf_setting_is_set(over, d));
        merged = kf_settings_merge(pool, d->scope, base, over);
        assert_string_equal(shown(merged, d), d->kind == KF_KIND_LIST ? "" : "(null)");
        merged = kf_settings_finish(pool, d->scope, merged);
        assert_string_equal(shown(merged, d), d->kind == KF_KIND_LIST ? "" : "(null)");
    }
}

static const char *in_unit(const kf_directive_t *d, int64_t v)
{
    /* Microseconds cannot be written: the next value is a millisecond away. */
    int64_t n = d->kind == KF_KIND_TIME || d->kind == KF_KIND_TIMES ? v / 1000 : v;

    return apr_psprintf(pool, "%" APR_INT64_T_FMT "%s", n, n == v ? "" : "ms");
}

static void test_ranges(void **state)
{
    (void)state;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        int64_t step = d->kind == KF_KIND_TIME ? 1000 : 1;

        if (d->kind != KF_KIND_TIME && d->kind != KF_KIND_SIZE && d->kind != KF_KIND_COUNT)
            continue;
        assert_takes(d->name, in_unit(d, d->min));
        assert_takes(d->name, in_unit(d, d->min + step));
        assert_takes(d->name, in_unit(d, d->max - step));
        assert_takes(d->name, in_unit(d, d->max));
        assert_refuses(d->name, in_unit(d, d->max + step), " to ");
        if (d->min > 0) {
            assert_refuses(d->name, in_unit(d, d->min - step), " to ");
            assert_refuses(d->name, "0", " to ");
        }
        assert_refuses(d->name, "-1", " to ");
        assert_refuses(d->name, "+1", " to ");
        assert_refuses(d->name, "1.5", " to ");
        assert_refuses(d->name, "none", " to ");
        assert_refuses(d->name, "x", " to ");
        assert_refuses(d->name, "99999999999999999999", " to ");
    }
}

static void test_zero_times(void **state)
{
    static const char *const zero[] = {"KinesisBatchWindow", "KinesisLinger",
                                       "KinesisSessionGrace"};

    (void)state;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        bool may = false;

        for (size_t k = 0; k < sizeof zero / sizeof *zero; k++)
            may = may || strcmp(zero[k], d->name) == 0;
        if (d->kind == KF_KIND_TIME && may)
            assert_takes(d->name, "0");
        else if (d->kind == KF_KIND_TIME)
            assert_refuses(d->name, "0", " to ");
    }
}

static void test_argument_counts(void **state)
{
    (void)state;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        const char *many = "a";

        assert_refuses(d->name, "", d->syntax);
        if (d->kind == KF_KIND_LIST) {
            for (int64_t k = 1; k < d->max; k++)
                many = apr_psprintf(pool, "%s n%d", many, (int)k);
            if (d->check != KF_CHECK_ORIGIN)
                assert_takes(d->name, many);
            assert_refuses(d->name, apr_pstrcat(pool, many, " last", NULL), "1 to 64 arguments");
        } else if (d->kind == KF_KIND_TIMES) {
            assert_refuses(d->name, "1s", "two arguments");
            assert_refuses(d->name, "1s 2s 3s", "two arguments");
        } else {
            assert_refuses(d->name, "1 2", "one argument:");
        }
    }
}

/* ---- single kinds ---- */

static void test_choices(void **state)
{
    kf_settings_t *s = kf_settings_create(pool, KF_SCOPE_CONN);
    kf_process_settings_t *p = kf_settings_create(pool, KF_SCOPE_SERVER);
    kf_location_settings_t *l = kf_settings_create(pool, KF_SCOPE_LOCATION);

    (void)state;
    assert_null(set(s, row("KinesisService"), "streams"));
    assert_int_equal(s->service, KF_SERVICE_STREAMS);
    assert_null(set(s, row("KinesisService"), "Firehose"));
    assert_int_equal(s->service, KF_SERVICE_FIREHOSE);
    assert_null(set(s, row("KinesisPutMode"), "single"));
    assert_int_equal(s->put_mode, KF_PUT_SINGLE);
    assert_null(set(s, row("KinesisPutMode"), "BATCH"));
    assert_int_equal(s->put_mode, KF_PUT_BATCH);
    assert_null(set(s, row("KinesisRecordFormat"), "received"));
    assert_int_equal(s->record_format, KF_FORMAT_RECEIVED);
    assert_null(set(s, row("KinesisRecordDelimiter"), "none"));
    assert_int_equal(s->record_delimiter, KF_DELIMITER_NONE);
    assert_null(set(s, row("KinesisRecordDelimiter"), "newline"));
    assert_int_equal(s->record_delimiter, KF_DELIMITER_NEWLINE);
    assert_null(set(p, row("KinesisDurability"), "process"));
    assert_int_equal(p->durability, KF_DURABILITY_PROCESS);
    assert_null(set(p, row("KinesisDurability"), "memory"));
    assert_int_equal(p->durability, KF_DURABILITY_MEMORY);
    assert_null(set(l, row("KinesisInvalidBatch"), "discard"));
    assert_int_equal(l->invalid_batch, KF_INVALID_DISCARD);
    assert_refuses("KinesisService", "stream", "must be streams or firehose");
    assert_refuses("KinesisService", "streamss", "\"streamss\"");
    assert_refuses("KinesisService", "streams|firehose", NULL);
    assert_refuses("KinesisService", "none", "streams or firehose");
    assert_refuses("KinesisDurability", "disc", "must be disk, process or memory");
    assert_refuses("KinesisSendAsBatch", "yes", "must be On or Off");
}

static void test_backoff(void **state)
{
    kf_settings_t *s = kf_settings_create(pool, KF_SCOPE_CONN);

    (void)state;
    assert_null(set(s, row("KinesisRetryBackoff"), "1ms 1h"));
    assert_int_equal(s->retry_backoff.base, 1000);
    assert_int_equal(s->retry_backoff.cap, INT64_C(3600000000));
    assert_takes("KinesisRetryBackoff", "1s 1s");
    assert_takes("KinesisRetryBackoff", "1h 1h");
    assert_refuses("KinesisRetryBackoff", "2s 1s", "\"2s\" \"1s\"");
    assert_refuses("KinesisRetryBackoff", "0 1s", "1ms to 1h");
    assert_refuses("KinesisRetryBackoff", "1s 3601s", "\"3601s\"");
    assert_refuses("KinesisRetryBackoff", "3601s 3602s", "\"3601s\"");
    assert_refuses("KinesisRetryBackoff", "x 1s", "\"x\"");
    assert_refuses("KinesisRetryBackoff", "1s 1m", "\"1m\"");
}

static void test_percent(void **state)
{
    (void)state;
    assert_refuses("KinesisStoreShare", "0", "1 to 100, without a sign");
    assert_refuses("KinesisStoreShare", "101", "1 to 100");
    assert_refuses("KinesisStoreShare", "50%", "without a sign");
    assert_takes("KinesisStoreShare", "1");
    assert_takes("KinesisStoreShare", "100");
}

static void test_lists(void **state)
{
    (void)state;
    assert_refuses("KinesisForward", "a b a", "\"a\"");
    assert_takes("KinesisForward", "a A b");
    assert_refuses("KinesisForward", "a none", "none");
    assert_refuses("KinesisForward", "none none", "none");
    assert_refuses("KinesisForward", "a b/c", "\"b/c\"");
    assert_takes("KinesisAllowOrigin", "*");
    assert_takes("KinesisAllowOrigin", "https://a http://b:80");
    assert_refuses("KinesisAllowOrigin", "* https://a", "alone");
    assert_refuses("KinesisAllowOrigin", "https://a *", "alone");
    assert_refuses("KinesisAllowOrigin", "https://a/", "without path");
    assert_takes("KinesisExcludeFields", "ip device_info.device");
    assert_refuses("KinesisExcludeFields", "ip events.data", "\"events.data\"");
    assert_refuses("KinesisExcludeFields", "ip events", "not events");
    /* A program's arguments may be anything. */
    assert_takes("KinesisAlertCommand", "/bin/alert none * -");
    assert_refuses("KinesisAlertCommand", "none x", "none");
}

static void test_list_is_a_copy(void **state)
{
    kf_location_settings_t *l = kf_settings_create(pool, KF_SCOPE_LOCATION);
    char name[] = "abc";
    const char *argv[] = {name};

    (void)state;
    assert_null(kf_setting_set(pool, l, row("KinesisForward"), 1, argv));
    name[0] = 'x';
    argv[0] = NULL;
    assert_string_equal(l->forward.v[0], "abc");
}

static void test_partition_key_words(void **state)
{
    kf_settings_t *s = kf_settings_create(pool, KF_SCOPE_CONN);

    (void)state;
    assert_null(set(s, row("KinesisPartitionKey"), "Device"));
    assert_string_equal(s->partition_key, "device");
    assert_null(set(s, row("KinesisPartitionKey"), "Source_Request_Id"));
    assert_string_equal(s->partition_key, "Source_Request_Id");
}

static void test_finished_defaults(void **state)
{
    const kf_settings_t *s =
        kf_settings_finish(pool, KF_SCOPE_CONN1, kf_settings_create(pool, KF_SCOPE_CONN1));
    const kf_process_settings_t *p =
        kf_settings_finish(pool, KF_SCOPE_SERVER, kf_settings_create(pool, KF_SCOPE_SERVER));
    const kf_location_settings_t *l =
        kf_settings_finish(pool, KF_SCOPE_LOCATION, kf_settings_create(pool, KF_SCOPE_LOCATION));

    (void)state;
    assert_null(s->access_key_id);
    assert_null(s->stream_name);
    assert_string_equal(s->region, "us-east-1");
    assert_string_equal(s->partition_key, "auto");
    assert_int_equal(s->send_as_batch, 1);
    assert_int_equal(s->wait_for_complete_batch, 0);
    assert_int_equal(s->include_user_attribute_changes, 0);
    assert_int_equal(s->include_user_identity_changes, 0);
    assert_int_equal(s->linger, 100000);
    assert_int_equal(s->batch_window, 600000000);
    assert_int_equal(s->session_timeout, INT64_C(2100000000));
    assert_int_equal(s->session_grace, 5000000);
    assert_int_equal(s->retry_backoff.base, 50000);
    assert_int_equal(s->retry_backoff.cap, 20000000);
    assert_int_equal(s->retry_max_age, INT64_C(86400000000));
    assert_int_equal(s->store_share, 0);
    assert_int_equal(s->exclude_fields.n, 0);
    assert_true(p->store_directory[0] == '/');
    assert_int_equal(p->store_limit, INT64_C(4) << 30);
    assert_int_equal(p->queue_bytes, 32 << 20);
    assert_int_equal(p->shutdown_timeout, 5000000);
    assert_int_equal(l->max_body_size, 1 << 20);
    assert_int_equal(l->forward.n, 0);
    assert_int_equal(l->invalid_batch, KF_INVALID_REJECT);
}

/* ---- errors ---- */

static void test_errors_hide_secrets(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *secret;
    } table[] = {{"KinesisSecretAccessKey", "hush\xc3\xa9", "hush"},
                 {"KinesisAccessKeyId", "hush-hush", "hush"},
                 {"KinesisSessionToken", "file:hush", "hush"},
                 {"KinesisSecretAccessKey", "hush hush", "hush"},
                 {"KinesisProxy", "https://user:hush@proxy:1", "hush"},
                 {"KinesisProxy", "http://user:hush@proxy", "hush"},
                 {"KinesisEndpoint", "https://user:hush@a", "hush"}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_null(strstr(assert_refuses(table[i].name, table[i].value, NULL), table[i].secret));
}

static void test_errors_show_values(void **state)
{
    char longer[1000];
    const char *argv[] = {longer};
    const char *error;
    const kf_directive_t *d = row("KinesisRegion");

    (void)state;
    assert_refuses("KinesisRegion", "us_east!", "\"us_east!\"");
    assert_refuses("KinesisLinger", "61s", "0 to 1min");
    assert_refuses("KinesisRetryMaxAge", "1ms", "1s to 8760h");
    assert_refuses("KinesisRetryBackoff", "1 1001h", "1ms to 1h");
    assert_refuses("KinesisStoreLimit", "1K", "16M to 1048576G");
    assert_refuses("KinesisMaxBodySize", "0", "1 to 1G");
    assert_refuses("KinesisWorkers", "65", "1 to 64");
    assert_refuses("KinesisEndpoint", "http://a/b", "without user, path, query or fragment");
    memset(longer, '!', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    longer[0] = '\n';
    error = kf_setting_set(pool, created(d), d, 1, argv);
    assert_non_null(error);
    assert_true(strlen(error) < 400);
    assert_non_null(strstr(error, "\"?!!"));
    assert_non_null(strstr(error, "!...\""));
    assert_null(strchr(error, '\n'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_sound),
        cmocka_unit_test(test_unset_then_default),
        cmocka_unit_test(test_set_and_merge),
        cmocka_unit_test(test_later_value_replaces),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_zero_times),
        cmocka_unit_test(test_argument_counts),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_list_is_a_copy),
        cmocka_unit_test(test_partition_key_words),
        cmocka_unit_test(test_finished_defaults),
        cmocka_unit_test(test_errors_hide_secrets),
        cmocka_unit_test(test_errors_show_values),
    };

    return cmocka_run_group_tests_name("settings", tests, start, stop);
}
