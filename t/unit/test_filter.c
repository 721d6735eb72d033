/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters by tables: settings, a body, and the records to the byte. Random ids come from a counter,
 * so that fresh ones can be told apart: the n-th is ID(n). The limits, at them and beyond.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/kf_clock.h"
#include "base/kf_limits.h"
#include "events/kf_event.h"
#include "events/kf_filter.h"
#include "events/kf_identity.h"

#define RECEIVED_US INT64_C(1700000000123456)
#define RECORDS_MAX 4
#define ID(n) "0000000" #n "-0000-4000-8000-000000000000"
#define FRESH(n) "\"message_id\":\"" ID(n) "\""
#define TYPE "\"message_type\":\"events\""
#define SCHEMA "\"schema_version\":2"
#define TIME "\"timestamp_unixtime_ms\":1700000000123"
#define ENVELOPE(n) FRESH(n) "," TYPE "," SCHEMA "," TIME
#define RANDOM ID(1)

static apr_pool_t *pool;
static unsigned drawn;

/* 00000001-0000-..., 00000002-0000-...; asked for piece by piece or in larger blocks. */
static void count_up(void *p, size_t n)
{
    memset(p, 0, n);
    for (size_t i = 0; i + 16 <= n; i += 16) {
        ((unsigned char *)p)[i + 3] = (unsigned char)(++drawn);
    }
}

static int before_each(void **state)
{
    static const kf_clock_source_t source = {NULL, NULL, count_up};
    (void)state;
    drawn = 0;
    kf_clock_set_source(&source);
    apr_pool_create(&pool, NULL);
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    kf_clock_set_source(NULL);
    apr_pool_destroy(pool);
    return 0;
}

/* Settings as "Directive value...", one a line. */
static const kf_filter_t *compile(const char *text)
{
    void *settings = kf_settings_create(pool, KF_SCOPE_CONN);
    char *lines = NULL, *line = apr_strtok(apr_pstrdup(pool, text), "\n", &lines);
    for (; line; line = apr_strtok(NULL, "\n", &lines)) {
        const char *args[70];
        int n = 0;
        char *words = NULL, *name = apr_strtok(line, " ", &words);
        while (n < 70 && (args[n] = apr_strtok(NULL, " ", &words))) {
            n++;
        }
        const kf_directive_t *d = kf_directive_find(name);
        assert_non_null(d);
        const char *error = kf_setting_set(pool, settings, d, n, args);
        if (error) {
            fail_msg("%s", error);
        }
    }
    const kf_filter_t *f =
        kf_filter_compile(pool, kf_settings_finish(pool, KF_SCOPE_CONN, settings), 9);
    assert_non_null(f);
    return f;
}

static void apply(const char *settings, const char *body, size_t n, kf_record_list_t *list,
                  kf_filter_stats_t *stats)
{
    kf_fault_t fault;
    const kf_filter_t *filter = compile(settings);
    kf_post_t *post = kf_post_parse(body, n, &fault);
    if (!post) {
        fail_msg("refused: %s", fault.message);
    }
    memset(list, 0, sizeof(*list));
    memset(stats, 0, sizeof(*stats));
    for (uint32_t i = 0; i < kf_post_count(post); i++) {
        assert_true(
            kf_filter_close(filter, kf_post_item(post, i), RECEIVED_US, KF_STR(""), list, stats));
    }
    kf_post_free(post);
}

typedef struct {
    const char *settings;
    const char *body;
    const char *records[RECORDS_MAX]; /* data, NULL after the last */
} row_t;

static void run(const row_t *row)
{
    kf_record_list_t list;
    kf_filter_stats_t stats;
    int i = 0;
    drawn = 0;
    kf_random_forked();
    apply(row->settings, row->body, strlen(row->body), &list, &stats);
    for (const kf_record_t *r = list.first; r; r = r->next, i++) {
        kf_str_t data = kf_record_data(r);
        const char *want = i < RECORDS_MAX && row->records[i] ? row->records[i] : "(none)";
        if (!kf_str_eq(data, kf_str_of(want))) {
            fail_msg("%s\n%s\ngave %.*s\nnot  %s", row->settings, row->body, (int)data.n, data.p,
                     want);
        }
        assert_int_equal(r->connection, 9);
        assert_int_equal(r->accepted_us, RECEIVED_US);
        assert_int_equal(r->too_large, 0);
    }
    if (i < RECORDS_MAX && row->records[i]) {
        fail_msg("%s\n%s\nmisses %s", row->settings, row->body, row->records[i]);
    }
    assert_int_equal(list.count, stats.records);
    kf_record_list_clear(&list);
}

static void run_all(const row_t *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        run(&rows[i]);
    }
}
#define RUN(rows) run_all(rows, sizeof(rows) / sizeof((rows)[0]))

#define KEYED "KinesisPartitionKey mpid\n"
#define RECEIVED KEYED "KinesisRecordFormat received\n"
#define EVENT(type) "{\"event_type\":\"" type "\"}"

static void test_envelope(void **state)
{
    static const row_t rows[] = {
        {KEYED, "{\"mpid\":1}", {"{\"mpid\":1," ENVELOPE(1) "}"}},
        {KEYED, " { \"mpid\" : 1 \n} ", {"{ \"mpid\" : 1," ENVELOPE(1) "}"}},
        {KEYED,
         "{\"message_id\":null,\"mpid\":1,\"message_type\":null,\"schema_version\":null,"
         "\"timestamp_unixtime_ms\":null}",
         {"{" FRESH(1) ",\"mpid\":1," TYPE "," SCHEMA "," TIME "}"}},
        {KEYED,
         "{\"message_id\":\"m\",\"mpid\":1,\"message_type\":\"x\",\"schema_version\":1,"
         "\"timestamp_unixtime_ms\":\"5\"}",
         {"{\"message_id\":\"m\",\"mpid\":1,\"message_type\":\"x\",\"schema_version\":1,"
          "\"timestamp_unixtime_ms\":\"5\"}"}},
        {KEYED "KinesisUniqueId u\"",
         "{\"mpid\":1}",
         {"{\"mpid\":1," ENVELOPE(1) ",\"unique_id\":\"u\\\"\"}"}},
        {RECEIVED "KinesisUniqueId u",
         "{\"mpid\":1, \"unique_\\u0069d\" : {}, \"x\":2}",
         {"{\"mpid\":1, \"unique_\\u0069d\" : \"u\", \"x\":2}"}},
        {"KinesisRecordFormat received\nKinesisService firehose\nKinesisJoinRecords On",
         "{\n\"mpid\" :\r\n1}\n",
         {"{\"mpid\" :1}"}},
        {RECEIVED "KinesisJoinRecords On", "{\n\"mpid\":1}", {"{\n\"mpid\":1}"}},
        {RECEIVED,
         "{\"mpid\":1,\"unique_id\":4,\"message_id\":null }",
         {"{\"mpid\":1,\"unique_id\":4,\"message_id\":null }"}},
        {KEYED "KinesisExcludeFields message_id timestamp_unixtime_ms",
         "{\"mpid\":1,\"message_id\":\"m\",\"timestamp_unixtime_ms\":5}",
         {"{\"mpid\":1," ENVELOPE(1) "}"}},
    };
    (void)state;
    RUN(rows);
}

/* What no filter touches is copied at once, but for line breaks where records are to be lines. */
static void test_lines(void **state)
{
#define UNTOUCHED "KinesisService firehose\nKinesisRecordFormat received\n"
#define JOINED UNTOUCHED "KinesisJoinRecords On"
#define BATCH(nl) \
    "{" nl "\"mpid\" :" nl "1, \"x\":\"\\n\"," nl \
    "\"events\":[" nl EVENT("a") "," nl EVENT("b") "]" nl "}"
#define WRAPPED(data) "{\n\"Record\":{\"Data\":\n" data "}}"
/* {"mpid":3} with line breaks */
#define BASE64 "\"ewoibXBpZCI6Mw0KfQ==\""
    static const row_t rows[] = {
        {JOINED, BATCH("\r\n") "\n", {BATCH("")}},
        {JOINED, "[\n" BATCH("\n") ",\n{\"mpid\":\r2}\n]", {BATCH(""), "{\"mpid\":2}"}},
        {JOINED,
         "[" WRAPPED(BATCH("\n")) ",\n" WRAPPED(BASE64) "," WRAPPED(BASE64) "]",
         {BATCH(""), "{\"mpid\":3}", "{\"mpid\":3}"}},
        {JOINED, "{\n\"AudienceId\":\r\n1}", {"{\"AudienceId\":1}"}},
        {JOINED "\nKinesisRecordDelimiter newline", BATCH("\n"), {BATCH("") "\n"}},
        {UNTOUCHED "KinesisRecordDelimiter newline", BATCH("\n"), {BATCH("") "\n"}},
        {JOINED "\nKinesisSendAsBatch Off",
         "{\n\"events\":[\n" EVENT("a") "\n]}",
         {"{\"events\":[" EVENT("a") "]}"}},
        {UNTOUCHED, "\n" BATCH("\r\n") "\n", {BATCH("\r\n")}},
        {UNTOUCHED, "[" WRAPPED(BASE64) "]", {"{\n\"mpid\":3\r\n}"}},
    };
    (void)state;
    RUN(rows);
}

static void test_identities(void **state)
{
#define IDENTITY(type, value, time) \
    "{\"identity_type\":" type ",\"identity\":" value ",\"timestamp_unixtime_ms\":" time "}"
    static const row_t rows[] = {
        {KEYED,
         "{\"mpid\":1,\"user_identities\":{\"customer\\u0069d\":\"c\\/\",\"x\":-0.0,\"y\":null,"
         "\"z\":\"\",\"o\":{ \"a\":[]}}}",
         {"{\"mpid\":1,\"user_identities\":[" IDENTITY(
             "\"customer\\u0069d\"", "\"c\\/\"",
             "1700000000123") "," IDENTITY("\"x\"", "-0.0",
                                           "1700000000123") "," IDENTITY("\"o\"", "{ \"a\":[]}",
                                                                         "1700000000123") "]"
                                                                                          "," ENVELOPE(
                                                                                              1) "}"}},
        {KEYED,
         "{\"user_identities\":{\"x\":1},\"timestamp_unixtime_ms\":\"12\",\"mpid\":1}",
         {"{\"user_identities\":[" IDENTITY(
             "\"x\"", "1",
             "\"12\"") "],\"timestamp_unixtime_ms\":\"12\",\"mpid\":1," FRESH(1) "," TYPE "," SCHEMA
                                                                                 "}"}},
        {KEYED,
         "{\"user_identities\":{\"x\":null},\"mpid\":1}",
         {"{\"user_identities\":[],\"mpid\":1," ENVELOPE(1) "}"}},
        {KEYED,
         "{\"user_identities\":null,\"mpid\":1}",
         {"{\"user_identities\":null,\"mpid\":1," ENVELOPE(1) "}"}},
        {RECEIVED,
         "{\"user_identities\":{\"x\":null},\"mpid\":1}",
         {"{\"user_identities\":{\"x\":null},\"mpid\":1}"}},
        {KEYED "KinesisRecordDelimiter newline",
         "{\"user_identities\":{\"x\":{\n\"a\" :\r\n1}},\n\"mpid\":1}\n",
         {"{\"user_identities\":[" IDENTITY("\"x\"", "{\"a\" :1}",
                                            "1700000000123") "],\"mpid\":1," ENVELOPE(1) "}\n"}},
        {KEYED "KinesisExcludeIdentities customer_id\nKinesisExcludeFields user_identities.x.a",
         "{\"mpid\":1,\"user_identities\":{\"customerId\":1,\"customerid\":1,\"x\":{\"a\":1,\"b\":"
         "2},"
         "\"customer_id\":3}}",
         {"{\"mpid\":1,\"user_identities\":[" IDENTITY("\"x\"", "{\"b\":2}",
                                                       "1700000000123") "]," ENVELOPE(1) "}"}},
        {RECEIVED "KinesisExcludeIdentities customer_id email",
         "{\"mpid\":1,\"user_identities\":[{\"identity_type\":\"customerId\",\"identity\":1}, 5 ,"
         "{\"identity_type\":\"\\u0065mail\"},{\"identity_type\":\"other\"}]}",
         {"{\"mpid\":1,\"user_identities\":[5 ,{\"identity_type\":\"other\"}]}"}},
    };
    (void)state;
    RUN(rows);
}

static void test_removals(void **state)
{
    static const row_t rows[] = {
        {RECEIVED, "{\"api_key\":1,\"mpid\":1,\"api\\u005fkeys\":[2]}", {"{\"mpid\":1}"}},
        {RECEIVED "KinesisExcludeFields a b c.d",
         "{\"a\":1, \"b\":2 ,\"mpid\":1,\"c\":{\"d\":1}}",
         {"{\"mpid\":1,\"c\":{}}"}},
        {RECEIVED "KinesisExcludeFields c.d.e c.x",
         "{\"c\":{\"x\":1,\"d\":{\"y\":1,\"\\u0065\":2},\"z\":3,\"x\":4},\"mpid\":1}",
         {"{\"c\":{\"d\":{\"y\":1},\"z\":3},\"mpid\":1}"}},
        {RECEIVED "KinesisExcludeFields c.d",
         "{\"c\":[{\"d\":1}],\"mpid\":1}",
         {"{\"c\":[{\"d\":1}],\"mpid\":1}"}},
        {RECEIVED "KinesisExcludeFields mpid", "{\"mpid\":1}", {"{}"}},
        {KEYED "KinesisExcludeFields mpid", "{ \"mpid\":1 }", {"{ " ENVELOPE(1) "}"}},
        {RECEIVED "KinesisIncludeMetadata Off",
         "{\"mpid\":1,\"device_info\":{},\"application_info\":0,\"source_info\":0,\"sdk_version\":"
         "1}",
         {"{\"mpid\":1,\"sdk_version\":1}"}},
        {RECEIVED "KinesisIncludeUserIdentities Off\nKinesisIncludeConsentState Off\n"
                  "KinesisIncludeMPDeviceId Off",
         "{\"user_identities\":{},\"partner_identities\":0,\"partner_identity\":0,\"mpid\":1,"
         "\"consent_state\":{\"location\":1},\"mp_deviceid\":2}",
         {"{\"mpid\":1}"}},
        {RECEIVED "KinesisExcludeIdentities mp_deviceid ios_idfv push_token",
         "{\"mpid\":1,\"mp_deviceid\":2,\"device_info\":{\"ios_idfv\":1,\"device\":2,\"push_"
         "token\":3}}",
         {"{\"mpid\":1,\"device_info\":{\"device\":2}}"}},
    };
    (void)state;
    RUN(rows);
}

static void test_location(void **state)
{
#define OFF RECEIVED "KinesisIncludeLocationInformation Off"
    static const row_t rows[] = {
        {OFF,
         "{\"mpid\":1,\"context\":{\"location\":{}},\"events\":[{\"data\":{\"location\":1},"
         "\"event_type\":\"x\"}]}",
         {"{\"mpid\":1,\"context\":{},\"events\":[{\"data\":{},\"event_type\":\"x\"}]}"}},
        {OFF,
         "{\"mpid\":1,\"events\":[{\"event_type\":\"crash_report\",\"data\":{\"a\":1,"
         "\"locat\\u0069on\":"
         "null,\"breadcrumbs\":[{\"data\":{\"location\":1,\"b\":{\"location\":1}}},2],\"c\":3}}]}",
         {"{\"mpid\":1,\"events\":[{\"event_type\":\"crash_report\",\"data\":{\"a\":1,"
          "\"breadcrumbs\":[{\"data\":{\"b\":{\"location\":1}}},2],\"c\":3}}]}"}},
        {OFF,
         "{\"mpid\":1,\"events\":[{\"event_type\":\"crash_report\",\"data\":{\"breadcrumbs\":"
         "[{\"data\":{\"location\":1}}],\"location\":2}}]}",
         {"{\"mpid\":1,\"events\":[{\"event_type\":\"crash_report\",\"data\":{\"breadcrumbs\":"
          "[{\"data\":{}}]}}]}"}},
        {RECEIVED "KinesisIncludeEventBatchLocation Off",
         "{\"mpid\":1,\"context\":{\"a\":1,\"location\":{}},\"events\":[{\"event_type\":\"x\","
         "\"data\":{\"location\":1}}]}",
         {"{\"mpid\":1,\"context\":{\"a\":1},\"events\":[{\"event_type\":\"x\","
          "\"data\":{\"location\":1}}]}"}},
    };
    (void)state;
    RUN(rows);
}

static void test_event_switches(void **state)
{
    static const row_t rows[] = {
        {RECEIVED,
         "{\"mpid\":1,\"events\":[" EVENT("user_attribute_change") ", " EVENT("a") " ," EVENT(
             "user_identity_change") "," EVENT("validation_result") "]}",
         {"{\"mpid\":1,\"events\":[" EVENT("a") " ]}"}},
        {RECEIVED "KinesisSendOtherEvents Off",
         "{\"mpid\":1,\"events\":[" EVENT("pre_attribution") "," EVENT("opt_out") "," EVENT(
             "") "," EVENT("custom\\u005fevent") "]}",
         {"{\"mpid\":1,\"events\":[" EVENT("opt_out") "," EVENT("custom\\u005fevent") "]}"}},
        {RECEIVED "KinesisSendLifecycleEvents Off",
         "{\"mpid\":1,\"events\":[" EVENT("session_start") "," EVENT("session_end") "," EVENT(
             "first_run") "," EVENT("uninstall") "," EVENT("application_state_transition") "]}",
         {NULL}},
        {RECEIVED "KinesisSendCrashEvents Off\nKinesisSendPushRegistrationsAndReceipts Off",
         "{\"mpid\":1,\"events\":[" EVENT("breadcrumb") "," EVENT("crash_report") "," EVENT(
             "push_"
             "messag"
             "e") "," EVENT("push_reaction") "," EVENT("push_registration") "," EVENT("push") "]}",
         {"{\"mpid\":1,\"events\":[" EVENT("push") "]}"}},
        {RECEIVED "KinesisSendBatchesWithoutEvents Off", "{\"mpid\":1,\"events\":null}", {NULL}},
        {RECEIVED "KinesisSendBatchesWithoutEvents Off", "{\"mpid\":1,\"events\":[ ]}", {NULL}},
        {RECEIVED "KinesisSendBatchesWithoutEvents Off", "{\"mpid\":1}", {NULL}},
        {RECEIVED, "{\"mpid\":1,\"events\":[ ]}", {"{\"mpid\":1,\"events\":[ ]}"}},
    };
    (void)state;
    RUN(rows);
}

static void test_single_events(void **state)
{
#define SINGLE "KinesisSendAsBatch Off\n"
    static const row_t rows[] = {
        {KEYED SINGLE,
         "{\"message_id\":\"m\",\"events\":[ " EVENT("a") " , " EVENT(
             "b") "],\"mpid\":1,"
                  "\"message_type\":\"x\",\"schema_version\":1,\"timestamp_unixtime_ms\":5}",
         /* the first id is the placeholder's */
         {"{" FRESH(2) ",\"events\":[" EVENT(
              "a") "],\"mpid\":1,\"message_type\":\"x\","
                   "\"schema_version\":1,\"timestamp_unixtime_ms\":5}",
          "{" FRESH(3) ",\"events\":[" EVENT(
              "b") "],\"mpid\":1,\"message_type\":\"x\","
                   "\"schema_version\":1,\"timestamp_unixtime_ms\":5}"}},
        {RECEIVED SINGLE "KinesisRecordDelimiter newline",
         "{\"message_id\":\"m\",\n\"events\":[" EVENT("a") ",\n" EVENT("b") "],\"mpid\":1}",
         {"{\"message_id\":\"m\",\"events\":[" EVENT("a") "],\"mpid\":1}\n",
          "{\"message_id\":\"m\",\"events\":[" EVENT("b") "],\"mpid\":1}\n"}},
        {KEYED SINGLE,
         "{\"message_id\":\"m\",\"events\":[" EVENT("a") "," EVENT(
             "validation_result") "],"
                                  "\"mpid\":1,\"message_type\":\"x\",\"schema_version\":1,"
                                  "\"timestamp_unixtime_ms\":5}",
         {"{\"message_id\":\"m\",\"events\":[" EVENT(
             "a") "],"
                  "\"mpid\":1,\"message_type\":\"x\",\"schema_version\":1,\"timestamp_unixtime_"
                  "ms\":5}"}},
        {RECEIVED SINGLE "KinesisWaitForCompleteBatch On",
         "{\"mpid\":1,\"events\":[" EVENT("a") "," EVENT("b") "]}",
         {"{\"mpid\":1,\"events\":[" EVENT("a") "," EVENT("b") "]}"}},
        {RECEIVED SINGLE, "{\"mpid\":1,\"events\":[]}", {"{\"mpid\":1,\"events\":[]}"}},
    };
    (void)state;
    RUN(rows);
}

static void test_audience(void **state)
{
#define MESSAGE(ids) "{\"AudienceId\":1,\"UserIdentities\":{" ids "}}"
#define KNOWN "KinesisSendAnonymousUsers Off\n"
    static const row_t rows[] = {
        {"KinesisIncludeUserIdentities Off\nKinesisUniqueId u\nKinesisExcludeFields AudienceId",
         " { \"AudienceId\":1,\"AudienceName\":\"n\",\"UserIdentities\":{\"MPID\":1}, \"mpid\":2 }",
         {"{ \"AudienceId\":1,\"AudienceName\":\"n\",\"UserIdentities\":{\"MPID\":1}, \"mpid\":2 "
          "}"}},
        {"KinesisExcludeIdentities customer_id email ios_idfv other_id_2 alias",
         MESSAGE("\"CustomerId\":1,\"MPID\":1,\"\\u0045mail\":2,\"Other\":3,"
                 "\"AppleVendorIdentifier\":4,"
                 "\"Other2\":5,\"Alias\":6"),
         {MESSAGE("\"MPID\":1,\"Other\":3,\"Alias\":6")}},
        {"", "{\"api_key\":1,\"AudienceId\":2}", {"{\"AudienceId\":2}"}},
        {"KinesisExcludeIdentities email",
         "{\"AudienceId\":2,\"events\":null,\"UserIdentities\":{\"Email\":1}}",
         {"{\"AudienceId\":2,\"events\":null,\"UserIdentities\":{}}"}},
        {KNOWN, MESSAGE("\"MPID\":1"), {NULL}},
        {KNOWN, MESSAGE(""), {NULL}},
        {KNOWN,
         MESSAGE("\"Email\":null,\"Other\":\"\","
                 "\"AndroidId\":\"00000000-0000-0000-0000-000000000000\""),
         {NULL}},
        {KNOWN, MESSAGE("\"Other\":\"x\""), {MESSAGE("\"Other\":\"x\"")}},
        {KNOWN, MESSAGE("\"Odd\":\"x\""), {MESSAGE("\"Odd\":\"x\"")}},
        {KNOWN, "{\"AudienceId\":1}", {"{\"AudienceId\":1}"}},
        {"KinesisRecordDelimiter newline", "{\"AudienceId\":\n1}", {"{\"AudienceId\":1}\n"}},
    };
    (void)state;
    RUN(rows);
}

static void test_anonymous(void **state)
{
    static const struct {
        const char *members;
        bool anonymous;
    } rows[] = {
        {"\"mp_deviceid\":\"x\"", true},
        {"\"user_identities\":null", true},
        {"\"user_identities\":{}", true},
        {"\"user_identities\":[]", true},
        {"\"user_identities\":{\"email\":null,\"other\":\"\"}", true},
        {"\"user_identities\":[{\"identity_type\":\"email\",\"identity\":\"\"},{},null]", true},
        {"\"user_identities\":{\"customerid\":\"c\"}", false},
        {"\"user_identities\":{\"customerId\":\"c\"}", false},
        {"\"user_identities\":{\"whatever\":0}", false},
        {"\"user_identities\":[{\"identity_type\":\"email\",\"identity\":\"e\"}]", false},
        {"\"device_info\":{\"push_token\":\"t\",\"device\":\"d\",\"platform\":\"web\"}", true},
        {"\"device_info\":{\"ios_idfv\":\"00000000-0000-0000-0000-000000000000\",\"amp_id\":\"\"}",
         true},
        {"\"device_info\":{\"ios_idfv\":\"00000000000000000000000000000000\",\"amp_id\":null}",
         true},
        {"\"device_info\":{\"ios_idfv\":\"00000000-0000-0000-0000-000000000001\"}", false},
        {"\"device_info\":{\"microsoft_publisher_id\":\"x\"}", false},
        {"\"device_info\":{\"\\u0061mp_id\":\"x\"}", false},
        {"\"partner_identities\":{\"P\":\"x\"}", false},
        {"\"partner_identities\":{\"P\":\"\"},\"partner_identity\":null", true},
        {"\"partner_identity\":\"x\"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        kf_record_list_t list;
        kf_filter_stats_t stats;
        char *body =
            apr_psprintf(pool, "{\"mpid\":1,%s,\"events\":[" EVENT("a") "]}", rows[i].members);
        /* what the same settings remove counts all the same */
        apply(KNOWN "KinesisIncludeUserIdentities Off\nKinesisIncludeMetadata Off", body,
              strlen(body), &list, &stats);
        if (list.count != !rows[i].anonymous) {
            fail_msg("%s", body);
        }
        assert_int_equal(stats.dropped[KF_DROP_ANONYMOUS], rows[i].anonymous);
        kf_record_list_clear(&list);
    }
}

static void assert_key(const char *settings, const char *body, const char *key)
{
    kf_record_list_t list;
    kf_filter_stats_t stats;
    drawn = 0;
    kf_random_forked();
    apply(settings, body, strlen(body), &list, &stats);
    assert_int_equal(list.count, 1);
    kf_str_t got = kf_record_key(list.first);
    if (!kf_str_eq(got, kf_str_of(key))) {
        fail_msg("%s\n%s\nhas key %.*s, not %s", settings, body, (int)got.n, got.p, key);
    }
    kf_record_list_clear(&list);
}

static void test_partition_keys(void **state)
{
#define R "KinesisRecordFormat received\n"
#define BY(what) R "KinesisPartitionKey " what "\n"
    static const struct {
        const char *settings, *body, *key;
    } rows[] = {
        {R, "{\"mpid\":-9223372036854775808}", "-9223372036854775808"},
        {R, "{\"mpid\":\"-9223372036854775808\"}", "-9223372036854775808"},
        {R, "{\"mpid\":\"\\u0031\",\"mp_deviceid\":\"d\"}", "1"},
        {R, "{\"mpid\":0,\"mp_deviceid\":\"d\"}", "d"},
        {R, "{\"mpid\":-0.0E+5,\"mp_deviceid\":\"d\"}", "d"},
        {R, "{\"mpid\":\"0\",\"mp_deviceid\":\"d\"}", "d"},
        {R,
         "{\"mpid\":null,\"mp_deviceid\":\"\",\"device_info\":{\"amp_id\":\"a\",\"ios_idfv\":\"i\"}"
         "}",
         "i"},
        {R,
         "{\"mp_deviceid\":\"00000000-0000-0000-0000-000000000000\",\"user_identities\":"
         "{\"a\":null,\"b\":\"\",\"c\":\"u\"}}",
         "u"},
        {R, "{\"user_identities\":[3,{\"identity\":\"\"},{\"identity\":7}]}", "7"},
        {R, "{\"mpid\":true}", RANDOM},
        {R, "{\"mpid\":{}}", RANDOM},
        {BY("mpid"), "{\"mpid\":\"\",\"mp_deviceid\":\"d\"}", RANDOM},
        {BY("device"), "{\"mpid\":1,\"mp_deviceid\":\"d\"}", "d"},
        {BY("device"), "{\"mpid\":1,\"device_info\":{\"push_token\":\"p\"}}", "p"},
        {BY("device"), "{\"mpid\":1,\"device_info\":{\"microsoft_publisher_id\":\"p\"}}", "1"},
        {BY("random"), "{\"mpid\":1}", RANDOM},
        {BY("ip"), "{\"mpid\":1,\"ip\":\"::1\"}", "::1"},
        {BY("ip"), "{\"mpid\":1}", RANDOM},
        {BY("my.field"), "{\"mpid\":1,\"my.field\":12.50}", "12.50"},
        {R "KinesisService firehose", "{\"mpid\":1}", ""},
        {R, "{\"AudienceId\":1,\"UserIdentities\":{\"CustomerId\":\"c\",\"MPID\":5}}", "5"},
        {BY("random"),
         "{\"AudienceId\":1,\"UserIdentities\":{\"CustomerId\":\"c\",\"MPID\":\"0\"}}", "c"},
        {R, "{\"AudienceId\":1,\"UserIdentities\":{\"Email\":\"c\"}}", RANDOM},
        {R, "{\"AudienceId\":1}", RANDOM},
        /* left out of the record: FNV-1a of "a" and of "foobar" */
        {R "KinesisIncludeUserIdentities Off", "{\"user_identities\":{\"email\":\"a\"}}",
         "af63dc4c8601ec8c"},
        {R "KinesisIncludeMetadata Off", "{\"device_info\":{\"ios_idfv\":\"foobar\"}}",
         "85944171f73967e8"},
        {R "KinesisExcludeIdentities customer_id",
         "{\"AudienceId\":1,\"UserIdentities\":{\"CustomerId\":\"a\"}}", "af63dc4c8601ec8c"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_key(rows[i].settings, rows[i].body, rows[i].key);
    }
}

/* AWS counts characters, whatever their bytes. */
static void test_long_partition_key(void **state)
{
    static const char *const characters[] = {"k", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    char body[1400], key[1300];
    (void)state;
    for (size_t c = 0; c < 4; c++) {
        size_t n = strlen(characters[c]);
        for (size_t count = 255; count < 300; count += count == 255 ? 1 : 43) {
            for (size_t i = 0; i < count; i++) {
                memcpy(key + i * n, characters[c], n);
            }
            key[count * n] = '\0';
            snprintf(body, sizeof(body), "{\"mpid\":\"%s\"}", key);
            key[(count < 256 ? count : 256) * n] = '\0';
            assert_key(R, body, key);
        }
    }
}

/* A batch of two events whose record in received form has n bytes. */
static char *batch_of(size_t n)
{
    static const char head[] = "{\"mpid\":12345,\"events\":[" EVENT("a") ",{\"event_type\":\"",
                      tail[] = "\"}]}";
    char *text = apr_palloc(pool, n + 1);
    memset(text, 'x', n);
    memcpy(text, head, sizeof(head) - 1);
    memcpy(text + n - (sizeof(tail) - 1), tail, sizeof(tail));
    return text;
}

static void test_limits(void **state)
{
    static const struct {
        const char *settings;
        size_t most;
    } rows[] = {
        {R, KF_STREAMS_RECORD_BYTES_MAX - 5},
        {R "KinesisRecordDelimiter newline", KF_STREAMS_RECORD_BYTES_MAX - 6},
        {BY("random"), KF_STREAMS_RECORD_BYTES_MAX - 36},
        {R "KinesisService firehose", KF_FIREHOSE_RECORD_BYTES_MAX},
        {R "KinesisService firehose\nKinesisRecordDelimiter newline",
         KF_FIREHOSE_RECORD_BYTES_MAX - 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t over = 0; over < 2; over++) {
            kf_record_list_t list;
            kf_filter_stats_t stats;
            apply(rows[i].settings, batch_of(rows[i].most + over), rows[i].most + over, &list,
                  &stats);
            assert_int_equal(list.count, 1 + over);
            assert_int_equal(stats.events, 2);
            for (const kf_record_t *r = list.first; r; r = r->next) {
                assert_int_equal(r->events, 2 - over);
                assert_int_equal(r->too_large, 0);
            }
            kf_record_list_clear(&list);
        }
    }
}

static void test_too_large(void **state)
{
    kf_record_list_t list;
    kf_filter_stats_t stats;
    size_t n = KF_STREAMS_RECORD_BYTES_MAX + 40;
    (void)state;
    /* an event that is too large by itself, its neighbour not */
    apply(R, batch_of(n), n, &list, &stats);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.first->too_large, 0);
    assert_int_equal(list.last->too_large, 1);
    kf_record_list_clear(&list);
    /* other members that are too large: in one piece, splitting would not help */
    char *page = apr_palloc(pool, n + 1);
    memset(page, 'x', n);
    page[n] = '\0';
    char *body = apr_psprintf(
        pool, "{\"mpid\":1,\"events\":[" EVENT("a") "," EVENT("b") "],\"page\":\"%s\"}", page);
    apply(R, body, strlen(body), &list, &stats);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.first->too_large, 1);
    assert_int_equal(list.first->events, 2);
    assert_int_equal(list.first->data_bytes, strlen(body));
    kf_record_list_clear(&list);
}

static void test_bounded_output(void **state)
{
    kf_record_list_t list = {.max_bytes = 100};
    kf_filter_stats_t stats = {.records = 0};
    kf_fault_t fault;
    const char *body =
        "{\"mpid\":1,\"page\":\"xxxxxxxx\",\"events\":[" EVENT("a") "," EVENT("b") "]}";
    const kf_filter_t *filter = compile(RECEIVED SINGLE);
    (void)state;
    kf_post_t *post = kf_post_parse(body, strlen(body), &fault);
    assert_non_null(post);
    assert_false(
        kf_filter_close(filter, kf_post_item(post, 0), RECEIVED_US, KF_STR(""), &list, &stats));
    assert_true(list.over);
    assert_int_equal(list.count, 1);
    kf_record_list_clear(&list);
    kf_post_free(post);
}

static void test_counts(void **state)
{
    kf_record_list_t list;
    kf_filter_stats_t stats;
    const char *body = "[{\"mpid\":1,\"events\":[" EVENT(
        "validation_result") "]},"
                             "{\"mpid\":1,\"events\":[" EVENT("a") "," EVENT(
                                 "user_attribute_change") "]},"
                                                          "{\"mpid\":1,\"events\":[]}]";
    (void)state;
    apply(R "KinesisSendBatchesWithoutEvents Off", body, strlen(body), &list, &stats);
    assert_int_equal(stats.dropped[KF_DROP_TYPE], 2);
    assert_int_equal(stats.dropped[KF_DROP_EMPTIED], 1);
    assert_int_equal(stats.dropped[KF_DROP_NO_EVENTS], 1);
    assert_int_equal(stats.dropped[KF_DROP_ANONYMOUS], 0);
    assert_int_equal(stats.events, 1);
    assert_int_equal(stats.records, 1);
    kf_record_list_clear(&list);
}

static void test_names(void **state)
{
    (void)state;
    for (int id = 0; id < KF_I_COUNT; id++) {
        assert_int_equal(kf_identity_find(kf_identities[id].name), id);
        assert_true(kf_filter_knows_identity(kf_identities[id].name));
    }
    assert_true(kf_filter_knows_identity(KF_STR("customerid")));
    assert_true(kf_filter_knows_identity(KF_STR("customerId")));
    assert_false(kf_filter_knows_identity(KF_STR("CustomerId")));
    assert_false(kf_filter_knows_identity(KF_STR("mpid")));
    assert_false(kf_filter_knows_identity(KF_STR("")));
    assert_int_equal(kf_event_type_find(KF_STR("opt_out")), KF_E_opt_out);
    assert_int_equal(kf_event_type_find(KF_STR("screen_view")), KF_E_screen_view);
    assert_int_equal(kf_event_type_find(KF_STR("screen_views")), KF_E_other);
    assert_int_equal(kf_event_type_find(KF_STR("")), KF_E_other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)
    const struct CMUnitTest tests[] = {
        TEST(test_envelope),
        TEST(test_lines),
        TEST(test_identities),
        TEST(test_removals),
        TEST(test_location),
        TEST(test_event_switches),
        TEST(test_single_events),
        TEST(test_audience),
        TEST(test_anonymous),
        TEST(test_partition_keys),
        TEST(test_long_partition_key),
        TEST(test_limits),
        TEST(test_too_large),
        TEST(test_bounded_output),
        TEST(test_counts),
        TEST(test_names),
    };
    apr_initialize();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
