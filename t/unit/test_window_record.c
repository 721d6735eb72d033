/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of windowed connections: what is kept of an upload, what a closed window becomes, and the ids
 * that follow from others.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_general.h>
#include <stdio.h>
#include "base/kf_settings.h"
#include "events/kf_filter.h"
#include "events/kf_message_id.h"
#include "events/kf_window_note.h"
#include "kf_samples.h"

#define RECEIVED_US INT64_C(1700000000123456)
#define WINDOW_ID "0a1b2c3d-0000-4000-8000-00000000cafe"
#define EVENT "{\"event_type\":\"custom_event\",\"data\":{}}"

static apr_pool_t *pool;

static int before_each(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/* Settings as name and value in turn. */
static const kf_filter_t *compile(const char *const *words)
{
    void *settings = kf_settings_create(pool, KF_SCOPE_CONN);
    for (; words[0]; words += 2) {
        assert_null(kf_setting_set(pool, settings, kf_directive_find(words[0]), 1,
                                   (const char *const *)&words[1]));
    }
    const kf_filter_t *f =
        kf_filter_compile(pool, kf_settings_finish(pool, KF_SCOPE_CONN, settings), 3);
    assert_non_null(f);
    return f;
}

#define FILTER(...) compile((const char *const[]){__VA_ARGS__, NULL, NULL})

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(kf_filter_window_kind(FILTER("KinesisSendAsBatch", "On")), KF_WINDOW_BATCH);
    assert_int_equal(kf_filter_window_kind(FILTER("KinesisBatchWindow", "0")), KF_WINDOW_KIND_NONE);
    assert_int_equal(kf_filter_window_kind(FILTER("KinesisSendAsBatch", "Off")),
                     KF_WINDOW_KIND_NONE);
    assert_int_equal(kf_filter_window_kind(FILTER("KinesisWaitForCompleteBatch", "On")),
                     KF_WINDOW_SESSION);
    assert_int_equal(
        kf_filter_window_kind(FILTER("KinesisWaitForCompleteBatch", "On", "KinesisSendAsBatch",
                                     "Off", "KinesisBatchWindow", "0")),
        KF_WINDOW_SESSION);
}

/* The one record of a body. */
static kf_record_t *keep(const kf_filter_t *filter, const char *body)
{
    kf_record_list_t list = {.count = 0};
    kf_filter_stats_t stats = {.records = 0};
    kf_post_t *post = kf_sample_post(kf_str_of(body));
    assert_true(kf_filter_apply(filter, kf_post_item(post, 0), RECEIVED_US, &list, &stats));
    assert_int_equal(list.count, 1);
    kf_post_free(post);
    return kf_record_list_take(&list);
}

static void assert_kept(const char *body, const char *text)
{
    const kf_filter_t *filter =
        FILTER("KinesisSendAnonymousUsers", "Off", "KinesisSendCustomEvents", "Off",
               "KinesisIncludeUserIdentities", "Off", "KinesisRecordDelimiter", "newline",
               "KinesisUniqueId", "u");
    kf_record_t *r = keep(filter, body);
    kf_str_t data = kf_record_data(r);
    if (!kf_str_eq(data, kf_str_of(text))) {
        fail_msg("%s\nkept as %.*s\nnot     %s", body, (int)data.n, data.p, text);
    }
    assert_int_equal(r->kind, KF_RECORD_WINDOW);
    assert_int_equal(r->connection, 3);
    assert_int_equal(r->accepted_us, RECEIVED_US);
    assert_int_equal(r->too_large, 0);
    assert_int_equal(r->key_bytes, KF_MESSAGE_ID_BYTES);
    kf_record_free(r);
}

static void test_kept_unfiltered(void **state)
{
    (void)state;
    assert_kept("{\"mpid\":1, \"events\" : [" EVENT "]}", "{\"mpid\":1, \"events\" : [" EVENT "]}");
    assert_kept("{\"api_key\":\"k\",\"mpid\":1,\"events\":[]}", "{\"mpid\":1,\"events\":[]}");
    assert_kept("{\"mpid\":1,\"api_keys\":[\"k\",{}],\"events\":[],\"api_key\":\"k\"}",
                "{\"mpid\":1,\"events\":[]}");
    assert_kept("{\"mpid\":1,\"api\\u005fkey\":\"k\",\"api_keys\":7}", "{\"mpid\":1}");
    assert_kept("{\"api_keys\":7,\"api_key\":\"k\",\"mpid\":1.00}", "{\"mpid\":1.00}");
    assert_kept("{\"Record\":{\"Data\":{\"mpid\":5,\"api_key\":1}}}", "{\"mpid\":5}");
}

static void test_ids_of_uploads_differ(void **state)
{
    const kf_filter_t *filter = FILTER("KinesisSendAsBatch", "On");
    kf_record_t *a = keep(filter, "{\"mpid\":1}"), *b = keep(filter, "{\"mpid\":1}");
    (void)state;
    assert_false(kf_str_eq(kf_record_key(a), kf_record_key(b)));
    kf_record_free(a);
    kf_record_free(b);
}

static void test_audience_is_not_windowed(void **state)
{
    kf_record_t *r = keep(FILTER("KinesisSendAsBatch", "On"),
                          "{\"AudienceId\":1,\"MPID\":2,\"ChangeType\":\"Add\"}");
    (void)state;
    assert_int_equal(r->kind, KF_RECORD_AUDIENCE);
    kf_record_free(r);
}

static void test_bound(void **state)
{
    kf_record_list_t list = {.max_bytes = 46};
    kf_filter_stats_t stats = {.records = 0};
    const kf_filter_t *filter = FILTER("KinesisSendAsBatch", "On");
    kf_post_t *post = kf_sample_post(KF_STR("{\"mpid\":1}"));
    (void)state;
    assert_true(kf_filter_apply(filter, kf_post_item(post, 0), RECEIVED_US, &list, &stats));
    assert_false(kf_filter_apply(filter, kf_post_item(post, 0), RECEIVED_US, &list, &stats));
    assert_true(list.over);
    kf_post_free(post);
    kf_record_list_clear(&list);
}

/* ---- notes ---- */

#define SESSION_EVENT(id) \
    "{\"event_type\":\"session_start\",\"data\":{\"session_id\":7,\"source_message_id\":\"" id \
    "\"," \
    "\"timestamp_unixtime_ms\":1700000000000}}"
#define NOTED(events) \
    "{\"source_request_id\":\"r\\u0031\",\"mpid\":5,\"mp_deviceid\":\"d\",\"events\":[" events "]" \
    "}"

/* What is noted is what the plan of the kept text says. */
static void assert_noted(const kf_filter_t *filter, const char *body)
{
    kf_window_kind_t kind = kf_filter_window_kind(filter);
    kf_record_t *r = keep(filter, body);
    kf_post_t *post = kf_sample_post(kf_record_data(r));
    kf_window_plan_t plan;
    kf_window_note_t note;
    kf_str_t ids[4];
    kf_window_plan_init(&plan);
    assert_true(kf_window_plan(&plan, kf_post_item(post, 0), kind));
    const kf_window_part_t *part = &plan.parts[0];
    assert_true(kf_window_note_is(kf_record_note(r), kind));
    kf_window_note_read(kf_record_note(r), &note);
    assert_true(kf_str_eq(kf_window_part_key(&note.part), kf_window_part_key(part)));
    assert_true(kf_str_eq(kf_window_part_scope(&note.part), kf_window_part_scope(part)));
    assert_true(kf_str_eq(note.device, kf_window_part_device(&plan, part)));
    assert_true(kf_str_eq(note.request_id, KF_STR("r1")));
    assert_int_equal(note.kind, kind);
    assert_int_equal(note.part.event_count, part->event_count);
    assert_int_equal(note.part.starts, part->starts);
    assert_int_equal(note.part.ends, part->ends);
    assert_int_equal(note.part.began, part->began);
    assert_int_equal(note.part.began_us, part->began_us);
    assert_int_equal(note.part.event_count, 2);
    kf_window_note_ids(&note, ids);
    assert_true(kf_str_eq(ids[0], KF_STR("one")));
    assert_true(kf_str_eq(ids[1], KF_STR("")));
    kf_window_plan_free(&plan);
    kf_post_free(post);
    kf_record_free(r);
}

static void test_noted(void **state)
{
    const char *body = NOTED(SESSION_EVENT("\\u006fne") "," EVENT);
    (void)state;
    assert_noted(FILTER("KinesisSendAsBatch", "On"), body);
    assert_noted(FILTER("KinesisWaitForCompleteBatch", "On"), body);
}

static void assert_not_noted(const kf_filter_t *filter, const char *body)
{
    kf_record_t *r = keep(filter, body);
    assert_int_equal(r->note_bytes, 0);
    assert_false(kf_window_note_is(kf_record_note(r), kf_filter_window_kind(filter)));
    kf_record_free(r);
}

static void test_not_noted(void **state)
{
    const kf_filter_t *batch = FILTER("KinesisSendAsBatch", "On");
    const kf_filter_t *session = FILTER("KinesisWaitForCompleteBatch", "On");
    char body[8000], id[6000];
    (void)state;
    /* No device; no session; longer than the text; long ids. */
    assert_not_noted(batch, "{\"events\":[" EVENT "," EVENT "," EVENT "]}");
    assert_not_noted(session, NOTED(EVENT "," EVENT "," EVENT));
    assert_not_noted(batch, "{\"mp_deviceid\":\"d\"}");
    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    snprintf(body, sizeof(body), "{\"mp_deviceid\":\"d\",\"source_request_id\":\"%s\"}", id);
    assert_not_noted(batch, body);
    /* Several sessions. */
    assert_not_noted(session,
                     NOTED(SESSION_EVENT("one") ",{\"event_type\":\"custom_event\",\"data\":"
                                                "{\"session_id\":8}}"));
}

/* ---- closing ---- */

static void close_batch(const kf_filter_t *filter, const char *body, kf_record_list_t *list)
{
    kf_filter_stats_t stats = {.records = 0};
    kf_post_t *post = kf_sample_post(kf_str_of(body));
    *list = (kf_record_list_t){.count = 0};
    assert_true(kf_filter_close(filter, kf_post_item(post, 0), RECEIVED_US, KF_STR(WINDOW_ID), list,
                                &stats));
    kf_post_free(post);
}

static bool contains(const kf_record_t *r, const char *text)
{
    return memmem(r->bytes + r->key_bytes, r->data_bytes, text, strlen(text)) != NULL;
}

static void test_one_record_has_the_windows_id(void **state)
{
    kf_record_list_t list;
    (void)state;
    close_batch(FILTER("KinesisSendAsBatch", "On"), "{\"mpid\":1,\"events\":[" EVENT "]}", &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.first->kind, KF_RECORD_EVENTS);
    assert_true(contains(list.first, "\"message_id\":\"" WINDOW_ID "\""));
    kf_record_list_clear(&list);
    close_batch(FILTER("KinesisSendAsBatch", "On"),
                "{\"message_id\":\"own\",\"events\":[" EVENT "]}", &list);
    assert_true(contains(list.first, "\"message_id\":\"own\""));
    kf_record_list_clear(&list);
    close_batch(FILTER("KinesisExcludeFields", "message_id"),
                "{\"message_id\":\"own\",\"events\":[" EVENT "]}", &list);
    assert_true(contains(list.first, "\"message_id\":\"" WINDOW_ID "\""));
    kf_record_list_clear(&list);
}

static void test_received_keeps_its_id(void **state)
{
    kf_record_list_t list;
    const char *body = "{\"message_id\":\"own\",\"events\":[" EVENT "," EVENT "]}";
    (void)state;
    close_batch(FILTER("KinesisRecordFormat", "received"), body, &list);
    assert_true(kf_str_eq(kf_record_data(list.first), kf_str_of(body)));
    kf_record_list_clear(&list);
    close_batch(FILTER("KinesisRecordFormat", "received"), "{\"events\":[" EVENT "]}", &list);
    assert_true(kf_str_eq(kf_record_data(list.first), KF_STR("{\"events\":[" EVENT "]}")));
    kf_record_list_clear(&list);
}

static void test_several_have_the_same_ids_each_time(void **state)
{
    const kf_filter_t *filter = FILTER("KinesisSendAsBatch", "Off");
    const char *body = "{\"message_id\":\"own\",\"events\":[" EVENT "," EVENT "," EVENT "]}";
    kf_record_list_t list, again;
    (void)state;
    close_batch(filter, body, &list);
    close_batch(filter, body, &again);
    assert_int_equal(list.count, 3);
    assert_int_equal(again.count, 3);
    for (const kf_record_t *a = list.first, *b = again.first; a; a = a->next, b = b->next) {
        assert_true(kf_str_eq(kf_record_data(a), kf_record_data(b)));
        assert_false(contains(a, "\"own\""));
        for (const kf_record_t *c = a->next; c; c = c->next) {
            assert_false(kf_str_eq(kf_record_data(a), kf_record_data(c)));
        }
    }
    kf_record_list_clear(&list);
    kf_record_list_clear(&again);
}

static void test_closing_filters(void **state)
{
    kf_record_list_t list = {.count = 0};
    kf_filter_stats_t stats = {.records = 0};
    const kf_filter_t *filter = FILTER("KinesisSendCustomEvents", "Off");
    kf_post_t *post = kf_sample_post(KF_STR("{\"mpid\":1,\"events\":[" EVENT "," EVENT "]}"));
    (void)state;
    assert_true(kf_filter_close(filter, kf_post_item(post, 0), RECEIVED_US, KF_STR(WINDOW_ID),
                                &list, &stats));
    assert_int_equal(list.count, 0);
    assert_int_equal(stats.dropped[KF_DROP_TYPE], 2);
    assert_int_equal(stats.dropped[KF_DROP_EMPTIED], 1);
    kf_post_free(post);
}

/* ---- ids ---- */

static void test_derived_ids(void **state)
{
    enum { N = 300 };
    static char ids[2 * N][KF_MESSAGE_ID_BYTES];
    const kf_str_t base = KF_STR(WINDOW_ID);
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        char again[KF_MESSAGE_ID_BYTES];
        kf_message_id_derive(base, i, ids[i]);
        kf_message_id_derive(base, i, again);
        assert_memory_equal(ids[i], again, sizeof(again));
        kf_message_id_derive((kf_str_t){ids[i], KF_MESSAGE_ID_BYTES}, i / 2, ids[N + i]);
        assert_int_equal(ids[i][14], '4');
        assert_non_null(strchr("89ab", ids[i][19]));
        assert_int_equal(ids[i][8], '-');
        assert_int_equal(ids[i][23], '-');
    }
    for (int a = 0; a < 2 * N; a++) {
        assert_memory_not_equal(ids[a], base.p, base.n);
        for (int b = a + 1; b < 2 * N; b++) {
            assert_memory_not_equal(ids[a], ids[b], KF_MESSAGE_ID_BYTES);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_kept_unfiltered, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_ids_of_uploads_differ, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_audience_is_not_windowed, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_noted, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_not_noted, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_bound, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_one_record_has_the_windows_id, before_each,
                                        after_each),
        cmocka_unit_test_setup_teardown(test_received_keeps_its_id, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_several_have_the_same_ids_each_time, before_each,
                                        after_each),
        cmocka_unit_test_setup_teardown(test_closing_filters, before_each, after_each),
        cmocka_unit_test(test_derived_ids),
    };
    apr_initialize();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
