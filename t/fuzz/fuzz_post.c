/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes what lies between a body and its records: any bytes, parsed and put through filters of all
 * kinds. Each record must be JSON (to our scanner always, to jansson where it could read the item),
 * within the limit unless it says otherwise, and hold what no setting removes byte for byte, in its
 * order.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>
#include "base/kf_settings.h"
#include "events/kf_filter.h"
#include "events/kf_members.h"
#include "fuzz_check.h"

#define FILTERS 7
#define ARGS_MAX 8
#define RECEIVED_US INT64_C(1700000000123456)

/* Each ends with NULL. `all` is first: nothing but credentials is removed from it. */
static const char *const texts[FILTERS][24] = {
    {"KinesisRecordFormat received", "KinesisIncludeUserAttributeChangeEvents On",
     "KinesisIncludeUserIdentityChangeEvents On", "KinesisSendValidationResults On", NULL},
    {NULL},
    {"KinesisSendAsBatch Off", "KinesisUniqueId u\"1", "KinesisRecordDelimiter newline", NULL},
    {"KinesisSendAsBatch Off", "KinesisRecordFormat received", "KinesisPartitionKey device",
     "KinesisIncludeLocationInformation Off", "KinesisUniqueId u", NULL},
    {"KinesisIncludeLocationInformation Off", "KinesisIncludeUserIdentities Off",
     "KinesisIncludeMetadata Off", "KinesisIncludeConsentState Off", "KinesisIncludeMPDeviceId Off",
     "KinesisSendAnonymousUsers Off", "KinesisSendBatchesWithoutEvents Off",
     "KinesisSendOtherEvents Off", "KinesisSendCustomEvents Off", "KinesisSendLifecycleEvents Off",
     "KinesisRecordDelimiter newline", "KinesisService firehose", "KinesisPartitionKey random",
     NULL},
    {"KinesisExcludeFields a user_attributes.a context.data_plan message_id "
     "user_identities.email.x",
     "KinesisExcludeIdentities customer_id email mp_deviceid android_uuid push_token",
     "KinesisPartitionKey a", NULL},
    {"KinesisExcludeIdentities customer_id email mp_deviceid android_uuid push_token",
     "KinesisRecordFormat received", "KinesisIncludeEventBatchLocation Off",
     "KinesisSendAnonymousUsers Off", "KinesisPartitionKey mpid", NULL}};

static const kf_filter_t *filters[FILTERS];
static const kf_settings_t *finished[FILTERS];

static void set(apr_pool_t *pool, void *settings, const char *text)
{
    char copy[256];
    const char *args[ARGS_MAX];
    int n = 0;
    snprintf(copy, sizeof(copy), "%s", text);
    char *rest = NULL, *name = strtok_r(copy, " ", &rest);
    while (n < ARGS_MAX && (args[n] = strtok_r(NULL, " ", &rest))) {
        args[n] = apr_pstrmemdup(pool, args[n], strlen(args[n]));
        n++;
    }
    CHECK(kf_setting_set(pool, settings, kf_directive_find(name), n, args) == NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static apr_pool_t *pool;
    (void)argc;
    (void)argv;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    for (int i = 0; i < FILTERS; i++) {
        void *settings = kf_settings_create(pool, KF_SCOPE_CONN);
        for (int k = 0; texts[i][k]; k++) {
            set(pool, settings, texts[i][k]);
        }
        finished[i] = kf_settings_finish(pool, KF_SCOPE_CONN, settings);
        filters[i] = kf_filter_compile(pool, finished[i], (uint16_t)i);
        CHECK(filters[i]);
    }
    return 0;
}

static bool jansson_reads(kf_str_t text)
{
    json_t *root = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
    json_decref(root);
    return root != NULL;
}

/* Equal but for line breaks, which are never inside a string. */
static bool same_token(kf_str_t a, kf_str_t b)
{
    size_t i = 0, k = 0;
    for (;;) {
        while (i < a.n && (a.p[i] == '\n' || a.p[i] == '\r')) {
            i++;
        }
        while (k < b.n && (b.p[k] == '\n' || b.p[k] == '\r')) {
            k++;
        }
        if (i == a.n || k == b.n) {
            return i == a.n && k == b.n;
        }
        if (a.p[i++] != b.p[k++]) {
            return false;
        }
    }
}

/* Members that the module does not know, "a" aside, arrive all, in their order. */
static void check_unknown_members(const kf_item_t *item, const kf_json_t *record)
{
    const kf_json_t *json = item->json;
    uint32_t r = kf_json_first(record, 0), end = json->v[item->node].next;
    for (uint32_t k = kf_json_first(json, item->node); k < end; k = json->v[k + 1].next) {
        if (kf_member_of_key(json, k) != KF_B_COUNT || kf_json_string_is(json, k, KF_STR("a"))) {
            continue;
        }
        while (r < record->v[0].next &&
               !same_token(kf_json_token(json, k), kf_json_token(record, r))) {
            r = record->v[r + 1].next;
        }
        CHECK(r < record->v[0].next);
        CHECK(same_token(kf_json_token(json, k + 1), kf_json_token(record, r + 1)));
        r = record->v[r + 1].next;
    }
}

/* The record's events are the item's, in their order. @return the item's next one */
static uint32_t check_events(const kf_item_t *item, const kf_json_t *record, uint32_t next,
                             uint32_t *seen)
{
    const kf_json_t *json = item->json;
    uint32_t events = kf_json_member(record, 0, KF_STR("events"));
    if (item->event_count == 0) {
        return next;
    }
    CHECK(events && record->v[events].type == KF_JSON_ARRAY);
    for (uint32_t e = kf_json_first(record, events); e < record->v[events].next;
         e = record->v[e].next) {
        uint32_t end = json->v[item->member[KF_B_events]].next;
        while (next < end && !same_token(kf_json_token(json, next), kf_json_token(record, e))) {
            next = json->v[next].next;
        }
        CHECK(next < end);
        next = json->v[next].next;
        ++*seen;
    }
    return next;
}

static void check_record(int f, const kf_item_t *item, const kf_record_t *r, uint32_t *next,
                         uint32_t *seen, bool readable)
{
    kf_json_t json = {0};
    kf_json_error_t error;
    kf_str_t data = kf_record_data(r), key = kf_record_key(r);
    bool firehose = finished[f]->service == KF_SERVICE_FIREHOSE;
    CHECK(key.n <= 256 && (firehose ? key.n == 0 : key.n > 0));
    CHECK(r->too_large == (data.n + key.n > (firehose ? 1000u * 1024 : 1024u * 1024)));
    if (finished[f]->record_delimiter == KF_DELIMITER_NEWLINE) {
        CHECK(data.n && data.p[data.n - 1] == '\n');
        data.n--;
        CHECK(!memchr(data.p, '\n', data.n) && !memchr(data.p, '\r', data.n));
    }
    /* one bracket more than came: identities that became an array */
    CHECK(kf_json_scan(&json, data.p, data.n, 65, &error));
    CHECK(json.v[0].type == KF_JSON_OBJECT && json.v[0].start == 0 && json.v[0].end == data.n);
    CHECK(!kf_json_member(&json, 0, KF_STR("api_key")));
    CHECK(!kf_json_member(&json, 0, KF_STR("api_keys")));
    CHECK(!readable || jansson_reads(data));
    if (item->kind == KF_ITEM_BATCH) {
        check_unknown_members(item, &json);
        if (finished[f]->include_location) {
            *next = check_events(item, &json, *next, seen);
        }
        if (finished[f]->record_format == KF_FORMAT_OUTBOUND) {
            CHECK(kf_json_member(&json, 0, KF_STR("message_id")));
            CHECK(kf_json_member(&json, 0, KF_STR("timestamp_unixtime_ms")));
        }
    }
    kf_json_free(&json);
}

static void check_item(int f, const kf_item_t *item)
{
    kf_record_list_t list = {0};
    kf_filter_stats_t stats = {0};
    kf_str_t token = kf_json_token(item->json, item->node);
    bool readable = jansson_reads(token);
    uint32_t seen = 0, next = item->member[KF_B_events] + 1;
    CHECK(kf_filter_close(filters[f], item, RECEIVED_US, KF_STR(""), &list, &stats));
    CHECK(list.count == stats.records);
    for (const kf_record_t *r = list.first; r; r = r->next) {
        check_record(f, item, r, &next, &seen, readable);
    }
    if (item->kind == KF_ITEM_BATCH && finished[f]->include_location) {
        CHECK(seen == stats.events);
    }
    if (stats.records > 0 && item->kind == KF_ITEM_BATCH) {
        CHECK(stats.events + stats.dropped[KF_DROP_TYPE] == item->event_count);
    }
    if (f == 0 && !item->member[KF_B_api_key] && !item->member[KF_B_api_keys]) {
        CHECK(list.count == 1 && kf_str_eq(kf_record_data(list.first), token));
    }
    kf_record_list_clear(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kf_fault_t fault;
    kf_post_t *post = kf_post_parse((const char *)data, size, &fault);
    if (!post) {
        CHECK(!fault.out_of_memory && fault.message[0]);
        return 0;
    }
    CHECK(kf_post_count(post) > 0);
    for (uint32_t i = 0; i < kf_post_count(post); i++) {
        for (int f = 0; f < FILTERS; f++) {
            check_item(f, kf_post_item(post, i));
        }
    }
    kf_post_free(post);
    return 0;
}
