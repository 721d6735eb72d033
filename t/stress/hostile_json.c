/* SPDX-License-Identifier: Apache-2.0
 *
 * What a byte of a body costs: ordinary batches beside bodies made to be slow, through all that is done with
 * a body (scan and checks, filter and writing in several forms, windows: plan, cut, merge). Prints a table of
 * nanoseconds of processor time a byte, and fails if hostile JSON costs more than LIMIT times what ordinary
 * JSON does in the same column. Both are measured in turns, in rounds of a few milliseconds, and the least of
 * each counts: what else the machine does only adds, and seldom to all rounds of one.
 * Usage: hostile_json BATCH_FILE [words of the cases to run, names of the columns to run]
 */
#include <apr_general.h>
#include <apr_pools.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/kf_buf.h"
#include "base/kf_clock.h"
#include "base/kf_settings.h"
#include "events/kf_filter.h"
#include "events/kf_merge.h"
#include "events/kf_window_cut.h"

/* Hostile JSON may cost so many times what ordinary JSON costs. */
#define LIMIT 5.0
/* The longest body that httpd takes unless it is told otherwise. */
#define BODY (1u << 20)
/* Rounds of a case and a column: until so many in turn have brought nothing that is better by a hundredth. */
#define ROUNDS_IDLE 6
#define ROUNDS_MAX 60
/* KinesisQueueBytes as it is unless told otherwise: what a body may become. */
#define OUT_MAX (UINT64_C(32) << 20)
#define PARTS_MAX KF_WINDOW_PARTS_MAX
#define MESSAGE_ID KF_STR("0a0a0a0a-0000-4000-8000-000000000000")

enum { PARSE, RECEIVED, OUTBOUND, REMOVING, SINGLE, WINDOW, SESSION, COLUMNS };
static const char *const column_names[COLUMNS] = {"parse",  "received", "outbound", "removing",
                                                  "single", "window",   "session"};
static const char *const settings_of[COLUMNS][8] = {
    [RECEIVED] = {"KinesisRecordFormat received", NULL},
    [OUTBOUND] = {NULL},
    [REMOVING] = {"KinesisIncludeLocationInformation Off", "KinesisIncludeMetadata Off",
                  "KinesisSendScreenViews Off", "KinesisSendAnonymousUsers Off",
                  "KinesisRecordDelimiter newline", "KinesisExcludeIdentities email",
                  "KinesisPartitionKey ip", NULL},
    [SINGLE] = {"KinesisSendAsBatch Off", NULL}};

static const kf_filter_t *filters[COLUMNS];
/* What ordinary batches become: so many bytes written for each that came. */
static double ordinary_growth[COLUMNS];

/* ---- what is measured; each gives the bytes it wrote ---- */

/* As the handler does it: one list and one count for all of a request. */
static size_t filter_all(const kf_filter_t *filter, const kf_post_t *post)
{
    int64_t now_us = kf_wall_us();
    kf_record_list_t records = {.max_bytes = OUT_MAX};
    kf_filter_stats_t stats = {.records = 0};
    size_t bytes;

    for (uint32_t i = 0; i < kf_post_count(post) && !records.over; i++)
        if (!kf_filter_close(filter, kf_post_item(post, i), now_us, KF_STR(""), &records, &stats) &&
            !records.over)
            abort();
    bytes = records.bytes;
    kf_record_list_clear(&records);
    return bytes;
}

/* What the windows hold: each item's parts, one after the other. */
static kf_buf_t parts, part_counts;

/* Takes an item apart, as filing does. */
static void file_item(const kf_item_t *item, kf_window_kind_t kind)
{
    static kf_window_plan_t plan;
    size_t ends[PARTS_MAX];

    if (!plan.scratch.max)
        kf_window_plan_init(&plan);
    if (!kf_window_plan(&plan, item, kind) || plan.part_count > PARTS_MAX)
        abort();
    kf_buf_put(&part_counts, &plan.part_count, sizeof plan.part_count);
    for (uint32_t p = 0; p < plan.part_count; p++) {
        if (!kf_window_cut(&plan, p, MESSAGE_ID, &parts))
            abort();
        ends[p] = parts.n;
    }
    kf_buf_put(&part_counts, ends, plan.part_count * sizeof ends[0]);
}

/* Puts the items together again, as closing does, when the post is long gone; all in one window each. */
static size_t close_windows(void)
{
    static kf_buf_t merged;
    const char *counts = part_counts.p;
    size_t at = 0, bytes = parts.n;

    if (!merged.max)
        kf_buf_init(&merged, SIZE_MAX / 4);
    while (counts < part_counts.p + part_counts.n) {
        kf_str_t texts[PARTS_MAX];
        uint32_t n, damaged;

        memcpy(&n, counts, sizeof n);
        counts += sizeof n;
        for (uint32_t p = 0; p < n; p++, counts += sizeof(size_t)) {
            size_t end;

            memcpy(&end, counts, sizeof end);
            texts[p] = (kf_str_t){parts.p + at, end - at};
            at = end;
        }
        kf_buf_clear(&merged);
        if (kf_merge(texts, n, MESSAGE_ID, &merged, &damaged) != KF_MERGE_OK)
            abort();
        bytes += merged.n;
    }
    return bytes;
}

/* What is done with a body. @param[out] out  bytes written; none if it is refused */
static void run(int column, kf_str_t text, size_t *out)
{
    kf_fault_t fault = {.message = ""};
    kf_post_t *post = kf_post_parse(text.p, text.n, &fault);

    *out = 0;
    kf_buf_clear(&parts);
    kf_buf_clear(&part_counts);
    for (uint32_t i = 0; column >= WINDOW && post && i < kf_post_count(post); i++)
        if (kf_post_item(post, i)->kind == KF_ITEM_BATCH)
            file_item(kf_post_item(post, i),
                      column == WINDOW ? KF_WINDOW_BATCH : KF_WINDOW_SESSION);
    if (post && column != PARSE && column < WINDOW)
        *out = filter_all(filters[column], post);
    kf_post_free(post);
    if (column >= WINDOW)
        *out = close_windows();
}

/* What is paid for: the bytes that came, or what they became where that is more than of ordinary ones (a
 * batch's members are repeated for each of its single events, and in each part). */
static double weight(int column, kf_str_t text, size_t out)
{
    double grown = ordinary_growth[column] > 0 ? (double)out / ordinary_growth[column] : 0;

    return grown > (double)text.n ? grown : (double)text.n;
}

static int64_t processor_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One round: nanoseconds for each byte that is paid for; short bodies as often as makes a long one. */
static double time_round(int column, kf_str_t text)
{
    int64_t start = processor_ns();
    double bytes = 0;
    size_t out;

    for (size_t n = 0; n < BODY - 4096; n += text.n) {
        run(column, text, &out);
        bytes += weight(column, text, out);
    }
    return (double)(processor_ns() - start) / bytes;
}

/* @return whether it is better by a hundredth than the best so far, which it becomes if it is better at all */
static bool improve(double *best, double cost)
{
    bool much = *best <= 0 || cost < *best * 0.99;

    if (*best <= 0 || cost < *best)
        *best = cost;
    return much;
}

typedef struct {
    double ordinary, hostile; /* nanoseconds a byte */
} cost_t;

static cost_t measure(int column, kf_str_t ordinary, kf_str_t hostile)
{
    cost_t best = {0, 0};

    for (int round = 0, idle = 0; round < ROUNDS_MAX && idle < ROUNDS_IDLE; round++) {
        bool better = improve(&best.ordinary, time_round(column, ordinary));

        better |= improve(&best.hostile, time_round(column, hostile));
        idle = better ? 0 : idle + 1;
    }
    return best;
}

/* ---- bodies ---- */

static kf_buf_t body;
static const char *batch; /* an ordinary one, terminated */

static void put(const char *text)
{
    kf_buf_put_str(&body, kf_str_of(text));
}

/* A piece with a number in the place of %u or %x, until the body is long enough; the last comma goes. */
static void put_many(const char *piece)
{
    const char *sign = strchr(piece, '%');
    kf_str_t before = {piece, (size_t)(sign - piece)};

    for (unsigned i = 0; body.n < BODY - 300; i++) {
        kf_buf_put_str(&body, before);
        if (sign[1] == 'u')
            kf_buf_printf(&body, "%u", i);
        else
            kf_buf_printf(&body, "%x", i);
        put(sign + 2);
    }
    if (body.p[body.n - 1] == ',')
        body.n--;
}

static void put_times(const char *piece)
{
    while (body.n < BODY - 300)
        put(piece);
    if (body.p[body.n - 1] == ',')
        body.n--;
}

static void ordinary_bulk(void)
{
    put("[");
    while (body.n < BODY - 4096) {
        put(body.n > 1 ? "," : "");
        put(batch);
    }
    put("]");
}

static void ordinary_one(void)
{
    put(batch);
}

static void around(const char *before, const char *many, const char *after)
{
    put(before);
    put_many(many);
    put(after);
}

#define IN_EVENT "{\"mpid\":1,\"events\":[{\"event_type\":\"custom_event\","
#define IN_DATA IN_EVENT "\"data\":{\"timestamp_unixtime_ms\":1700000000000,"

/* Names of 16 letters that all have one hash under h * 31 + c, as Java's strings have. */
static void put_colliding(void)
{
    for (unsigned i = 0; body.n < BODY - 300; i++) {
        put("\"");
        for (int bit = 0; bit < 16; bit++)
            put(i >> bit & 1 ? "Aa" : "BB");
        put("\":1,");
    }
    body.n--;
}

static void colliding_batch(void)
{
    put("{\"mpid\":1,");
    put_colliding();
    put("}");
}

static void colliding_data(void)
{
    put(IN_DATA);
    put_colliding();
    put("}}]}");
}

/* 31 names of 32 KB that differ near their end, before the last 8 bytes, and cost most to compare. */
static void long_names(const char *piece)
{
    put("{\"mpid\":1");
    for (int name = 0; name < 31; name++) {
        size_t end = body.n + BODY / 32;

        put(",\"");
        while (body.n < end)
            put(piece);
        kf_buf_printf(&body, "%02dabcdefgh\":1", name);
    }
    put("}");
}

static void long_names_plain(void)
{
    long_names("abcdefgh");
}

static void long_names_escaped(void)
{
    long_names("\\u0061\\n");
}

static void long_names_half_escaped(void)
{
    long_names("abcdefgh\\nabcdefghabcdefghabcdefgh");
}

/* Short ones: in the batch's objects so many come without a table. */
static void small_colliding_objects(void)
{
    put("{\"mpid\":1,\"user_identities\":[");
    while (body.n < BODY - 4096) {
        put("{");
        for (int name = 0; name < 32; name++)
            kf_buf_printf(&body, "%s\"abcdefgh%02dabcdefgh\":1", name ? "," : "", name);
        put("},");
    }
    body.n--;
    put("]}");
}

static void small_colliding_escaped(void)
{
    put("{\"mpid\":1,\"user_identities\":[");
    while (body.n < BODY - 8192) {
        put("{");
        for (int name = 0; name < 32; name++)
            kf_buf_printf(&body, "%s\"abcdefgh\\u0061\\n%02dabcdefgh\":1", name ? "," : "", name);
        put("},");
    }
    body.n--;
    put("]}");
}

static void many_batch_members(void)
{
    around("{\"mpid\":1,", "\"m%u\":0,", "}");
}

static void shortest_members(void)
{
    around("{\"mpid\":1,", "\"%x\":0,", "}");
}

static void escaped_members(void)
{
    around("{\"mpid\":1,", "\"\\u0065\\u0076%x\":0,", "}");
}

/* Each begins as a name that is looked for. */
static void almost_known_members(void)
{
    around("{\"mpid\":1,", "\"user_\\u0069dentitie%x\":0,", "}");
}

static void prefixed_members(void)
{
    around("{\"mpid\":1,",
           "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%u"
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":0,",
           "}");
}

static void many_event_members(void)
{
    around(IN_EVENT, "\"m%u\":0,", "}]}");
}

static void escaped_event_members(void)
{
    around(IN_EVENT, "\"\\u0064\\u0061%x\":0,", "}]}");
}

static void many_data_members(void)
{
    around(IN_DATA, "\"m%u\":0,", "}}]}");
}

static void escaped_data_members(void)
{
    around(IN_DATA, "\"\\u0073\\u0065%x\":0,", "}}]}");
}

static void many_custom_attributes(void)
{
    around(IN_DATA "\"custom_attributes\":{", "\"m%u\":0,", "}}}]}");
}

static void many_user_attributes(void)
{
    around("{\"mpid\":1,\"user_attributes\":{", "\"m%u\":0,", "}}");
}

static void many_device_members(void)
{
    around("{\"mpid\":1,\"device_info\":{", "\"%x\":0,", "}}");
}

static void many_context_members(void)
{
    around("{\"mpid\":1,\"context\":{", "\"\\u006c%x\":0,", "}}");
}

static void many_identities(void)
{
    around("{\"mpid\":1,\"user_identities\":{", "\"i%u\":\"x\",", "}}");
}

static void escaped_identities(void)
{
    around("{\"mpid\":1,\"user_identities\":{", "\"\\u0065mai%x\":\"\\n\",", "}}");
}

static void many_identity_objects(void)
{
    around("{\"mpid\":1,\"user_identities\":[",
           "{\"identity_type\":\"email\",\"identity\":\"%x\"},", "]}");
}

static void tiny_identity_objects(void)
{
    put("{\"mpid\":1,\"user_identities\":[");
    put_times("{},");
    put("]}");
}

static void audience_identities(void)
{
    around("{\"AudienceId\":1,\"UserIdentities\":{", "\"\\u0045mai%x\":\"x\",", "}}");
}

static void deep_arrays(void)
{
    put("{\"mpid\":1,\"user_attributes\":[");
    put_times(
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],");
    put("]}");
}

static void tiny_arrays(void)
{
    put("{\"mpid\":1,\"user_attributes\":[");
    put_times("[],");
    put("]}");
}

static void tiny_numbers(void)
{
    put("{\"mpid\":1,\"user_attributes\":[");
    put_times("0,");
    put("]}");
}

static void in_string(const char *before, const char *piece, const char *after)
{
    put(before);
    while (body.n < BODY - 300)
        put(piece);
    put(after);
}

static void plain_string(void)
{
    in_string("{\"mpid\":1,\"a\":\"", "abcdefgh", "\"}");
}

static void simple_escapes(void)
{
    in_string("{\"mpid\":1,\"a\":\"", "\\n", "\"}");
}

static void unicode_escapes(void)
{
    in_string("{\"mpid\":1,\"a\":\"", "\\u0061", "\"}");
}

static void surrogates(void)
{
    in_string("{\"mpid\":1,\"a\":\"", "\\ud83d\\ude00", "\"}");
}

static void utf8_two(void)
{
    in_string("{\"mpid\":1,\"a\":\"", "\xc3\xa9", "\"}");
}

static void utf8_mixed(void)
{
    in_string("{\"mpid\":1,\"a\":\"", "a\xf0\x9f\x98\x80", "\"}");
}

/* Where a value is looked at. */
static void escaped_mpid(void)
{
    in_string("{\"mpid\":\"", "\\u0030", "\",\"ip\":\"x\"}");
}

static void escaped_device(void)
{
    in_string("{\"mpid\":0,\"mp_deviceid\":\"", "\\u0030-", "\",\"events\":[]}");
}

static void escaped_name(void)
{
    in_string("{\"mpid\":1,\"", "\\u0061", "\":1}");
}

static void escaped_event_type(void)
{
    in_string("{\"mpid\":1,\"events\":[{\"event_type\":\"", "\\u0061", "\"}]}");
}

static void long_number(void)
{
    in_string("{\"mpid\":1", "00000000", ",\"events\":[]}");
}

static void long_timestamp(void)
{
    in_string(IN_EVENT "\"data\":{\"timestamp_unixtime_ms\":1", "00000000", "}}]}");
}

static void long_session(void)
{
    in_string(IN_EVENT "\"data\":{\"session_uuid\":\"", "\\u0061", "\",\"session_id\":1}}]}");
}

static void tiny_events(void)
{
    put("{\"mpid\":1,\"events\":[");
    put_times("{\"event_type\":\"\"},");
    put("]}");
}

static void escaped_events(void)
{
    put("{\"mpid\":1,\"events\":[");
    put_times("{\"\\u0065vent_type\":\"\\u0063ustom_even\",\"\\u0064ata\":{}},");
    put("]}");
}

static void timed_events(void)
{
    around("{\"mpid\":1,\"events\":[",
           "{\"event_type\":\"screen_view\",\"data\":{\"timestamp_unixtime_ms\":%u}},", "]}");
}

static void events_backwards(void)
{
    put("{\"mpid\":1,\"events\":[");
    for (unsigned i = 4000000000u; body.n < BODY - 300; i--)
        kf_buf_printf(&body, "{\"event_type\":\"x\",\"data\":{\"timestamp_unixtime_ms\":%u}},", i);
    body.n--;
    put("]}");
}

static void named_events(void)
{
    around("{\"mpid\":1,\"events\":[",
           "{\"event_type\":\"x\",\"data\":{\"source_message_id\":\"%u\"}},", "]}");
}

static void events_of_sessions(void)
{
    around("{\"mpid\":1,\"mp_deviceid\":\"d\",\"events\":[",
           "{\"event_type\":\"x\",\"data\":{\"session_uuid\":\"%x-\"}},", "]}");
}

static void few_sessions_many_events(void)
{
    put("{\"mpid\":1,\"mp_deviceid\":\"d\",\"events\":[");
    for (unsigned i = 0; body.n < BODY - 300; i++)
        kf_buf_printf(&body, "{\"event_type\":\"x\",\"data\":{\"session_id\":%u}},", 1 + i % 127);
    body.n--;
    put("]}");
}

/* Members that each of a few parts has, and merging finds again in each. */
static void sessions_with_members(void)
{
    put("{\"mpid\":1,\"mp_deviceid\":\"d\",\"events\":[");
    for (int i = 0; i < 8; i++)
        kf_buf_printf(&body, "%s{\"event_type\":\"x\",\"data\":{\"session_id\":%d}}", i ? "," : "",
                      i + 1);
    put("],");
    put_many("\"m%u\":0,");
    put("}");
}

static void breadcrumbs(void)
{
    put(IN_DATA "\"breadcrumbs\":[");
    put_times("{\"\\u0064\":0,\"data\":{}},");
    put("]}}]}");
}

static void spaces(void)
{
    in_string("{\"mpid\":1,", "        ", "\"events\":[]}");
}

static void newlines(void)
{
    in_string("{\"mpid\":1,", "\r\n", "\"events\":[]}");
}

static void spaced_members(void)
{
    around("{\"mpid\":1", "\n ,\t\r\n \"a%u\" \n : \r 0\n", "}");
}

static void spaced_removals(void)
{
    put("{\"mpid\":1,\"events\":[");
    put_times("{\"event_type\":\"screen_view\"}   \n   ,    \n   ");
    put("{\"event_type\":\"x\"}]}");
}

static void locations(void)
{
    put("{\"mpid\":1,\"events\":[");
    put_times("{\"event_type\":\"x\",\"data\":{\"location\":{}}},");
    put("]}");
}

static void tiny_batches(void)
{
    put("[");
    put_times("{\"mpid\":1},");
    put("]");
}

static void tiny_audiences(void)
{
    put("[");
    put_times("{\"AudienceId\":1},");
    put("]");
}

static void tiny_wrappers(void)
{
    put("[");
    /* {"mpid":1} */
    put_times("{\"Record\":{\"Data\":\"eyJtcGlkIjoxfQ==\"}},");
    put("]");
}

static void long_wrapper(void)
{
    put("{\"Record\":{\"Data\":\"");
    /* {"mpid":1,"a":" and 3 bytes at a time of "aaa" */
    put("eyJtcGlkIjoxLCJhIjoi");
    while (body.n < BODY - 300)
        put("YWFh");
    put("In0=\"}}");
}

static void escaped_wrapper(void)
{
    put("{\"Record\":{\"Data\":\"eyJtcGlkIjoxLCJhIjoi");
    while (body.n < BODY - 300)
        put("\\u0059\\u0057\\u0046\\u0068");
    put("In0=\"}}");
}

static void open_string(void)
{
    in_string("{\"mpid\":\"", "abcdefgh", "");
}

static void open_members(void)
{
    around("{\"mpid\":1,", "\"m%u\":0,", "");
}

static void open_brackets(void)
{
    in_string("", "[", "");
}

static void name_twice_at_the_end(void)
{
    around("{\"mpid\":1,", "\"m%u\":0,", ",\"m1\":0}");
}

static void bad_byte_at_the_end(void)
{
    in_string("{\"mpid\":\"", "\xc3\xa9", "\xff\"}");
}

typedef struct {
    const char *name;
    void (*make)(void);
} case_t;

/* The first is what the others are compared with. */
static const case_t cases[] = {{"ordinary bulk", ordinary_bulk},
                               {"ordinary batch", ordinary_one},
                               {"batch members", many_batch_members},
                               {"shortest members", shortest_members},
                               {"escaped members", escaped_members},
                               {"almost known members", almost_known_members},
                               {"prefixed members", prefixed_members},
                               {"colliding members", colliding_batch},
                               {"colliding data", colliding_data},
                               {"long names", long_names_plain},
                               {"long names escaped", long_names_escaped},
                               {"long names half esc.", long_names_half_escaped},
                               {"small colliding", small_colliding_objects},
                               {"small colliding esc.", small_colliding_escaped},
                               {"event members", many_event_members},
                               {"escaped event members", escaped_event_members},
                               {"data members", many_data_members},
                               {"escaped data members", escaped_data_members},
                               {"custom attributes", many_custom_attributes},
                               {"user attributes", many_user_attributes},
                               {"device members", many_device_members},
                               {"context members", many_context_members},
                               {"identities", many_identities},
                               {"escaped identities", escaped_identities},
                               {"identity objects", many_identity_objects},
                               {"tiny identities", tiny_identity_objects},
                               {"audience identities", audience_identities},
                               {"deep arrays", deep_arrays},
                               {"tiny arrays", tiny_arrays},
                               {"tiny numbers", tiny_numbers},
                               {"plain string", plain_string},
                               {"simple escapes", simple_escapes},
                               {"unicode escapes", unicode_escapes},
                               {"surrogates", surrogates},
                               {"two byte UTF-8", utf8_two},
                               {"mixed UTF-8", utf8_mixed},
                               {"escaped mpid", escaped_mpid},
                               {"escaped device", escaped_device},
                               {"escaped long name", escaped_name},
                               {"escaped event type", escaped_event_type},
                               {"long number", long_number},
                               {"long timestamp", long_timestamp},
                               {"long session", long_session},
                               {"tiny events", tiny_events},
                               {"escaped events", escaped_events},
                               {"timed events", timed_events},
                               {"events backwards", events_backwards},
                               {"named events", named_events},
                               {"sessions", events_of_sessions},
                               {"127 sessions", few_sessions_many_events},
                               {"sessions and members", sessions_with_members},
                               {"breadcrumbs", breadcrumbs},
                               {"spaces", spaces},
                               {"newlines", newlines},
                               {"spaced members", spaced_members},
                               {"spaced removals", spaced_removals},
                               {"locations", locations},
                               {"tiny batches", tiny_batches},
                               {"tiny audiences", tiny_audiences},
                               {"tiny wrappers", tiny_wrappers},
                               {"long wrapper", long_wrapper},
                               {"escaped wrapper", escaped_wrapper},
                               {"open string", open_string},
                               {"open members", open_members},
                               {"open brackets", open_brackets},
                               {"name twice at the end", name_twice_at_the_end},
                               {"bad byte at the end", bad_byte_at_the_end}};

/* ---- the table ---- */

static void compile(int column)
{
    apr_pool_t *pool;
    void *settings;

    apr_pool_create(&pool, NULL);
    settings = kf_settings_create(pool, KF_SCOPE_CONN);
    for (int i = 0; settings_of[column][i]; i++) {
        char *text = strdup(settings_of[column][i]);
        char *blank = strchr(text, ' ');
        const char *value = blank + 1;

        *blank = '\0';
        if (kf_setting_set(pool, settings, kf_directive_find(text), 1, &value))
            abort();
    }
    filters[column] = kf_filter_compile(pool, kf_settings_finish(pool, KF_SCOPE_CONN, settings), 0);
}

static bool wanted_columns[COLUMNS];

/* Words that name a column choose it; the others stay. @return how many */
static int choose_columns(int words, char **word)
{
    int left = 0;

    for (int i = 0; i < words; i++) {
        int column = 0;

        while (column < COLUMNS && strcmp(column_names[column], word[i]) != 0)
            column++;
        if (column < COLUMNS)
            wanted_columns[column] = true;
        else
            word[left++] = word[i];
    }
    for (int column = 0; column < COLUMNS && left == words; column++)
        wanted_columns[column] = true;
    return left;
}

static bool is_wanted(const char *name, int words, char **word)
{
    bool wanted = words == 0;

    for (int i = 0; i < words; i++)
        wanted |= strstr(name, word[i]) != NULL;
    return wanted;
}

static kf_str_t make_body(const case_t *c)
{
    kf_buf_clear(&body);
    c->make();
    if (body.failed)
        abort();
    return kf_buf_str(&body);
}

/* What hostile bodies are compared with. */
static kf_str_t make_ordinary(void)
{
    kf_str_t made = make_body(&cases[0]);
    char *copy = malloc(made.n);

    if (!copy)
        abort();
    memcpy(copy, made.p, made.n);
    for (int column = 0; column < COLUMNS; column++) {
        size_t out;

        run(column, made, &out);
        ordinary_growth[column] = (double)out / (double)made.n;
    }
    return (kf_str_t){copy, made.n};
}

/* @return the largest ratio */
static double print_case(const case_t *c, kf_str_t ordinary)
{
    kf_str_t hostile = make_body(c);
    double worst = 0;
    int worst_column = 0;

    printf("%-22s %8zu", c->name, hostile.n);
    for (int column = 0; column < COLUMNS; column++) {
        if (!wanted_columns[column]) {
            printf("       -");
            continue;
        }
        cost_t cost = measure(column, ordinary, hostile);
        double ratio = cost.hostile / cost.ordinary;

        if (ratio > worst) {
            worst = ratio;
            worst_column = column;
        }
        printf(" %7.2f", cost.hostile);
        fflush(stdout);
    }
    printf("  %5.2f %s%s\n", worst, column_names[worst_column],
           worst > LIMIT ? "  <-- above the limit" : "");
    return worst;
}

int main(int argc, char **argv)
{
    static char text[1 << 16];
    double worst = 0;
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    kf_str_t ordinary;

    if (!file || fread(text, 1, sizeof text - 1, file) == 0) {
        fprintf(stderr, "usage: %s BATCH_FILE [WORD...]\n", argv[0]);
        return 2;
    }
    fclose(file);
    batch = text;
    apr_initialize();
    kf_buf_init(&body, 2 * BODY);
    kf_buf_init(&parts, SIZE_MAX / 4);
    kf_buf_init(&part_counts, SIZE_MAX / 4);
    for (int column = RECEIVED; column < WINDOW; column++)
        compile(column);
    ordinary = make_ordinary();
    int words = choose_columns(argc - 2, argv + 2);
    printf("%-22s %8s", "nanoseconds a byte", "bytes");
    for (int column = 0; column < COLUMNS; column++)
        printf(" %7.7s", column_names[column]);
    printf("  times ordinary\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (is_wanted(cases[i].name, words, argv + 2)) {
            double ratio = print_case(&cases[i], ordinary);

            worst = ratio > worst ? ratio : worst;
        }
    }
    printf("at most %.2f times; the limit is %.1f\n", worst, LIMIT);
    kf_buf_free(&body);
    free((char *)ordinary.p);
    return worst > LIMIT;
}
