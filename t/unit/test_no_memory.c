/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory ends, at every point: each piece of work is done again and again, the n-th allocation failing,
 * until there are no more. It must say that memory is missing, leave nothing behind, and in the end give
 * what it gives with memory. Built with the linker's --wrap for malloc and its kin.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <apr_general.h>
#include <jansson.h>
#include <errno.h>
#include <string.h>
#include "aws/kf_call.h"
#include "aws/kf_creds.h"
#include "aws/kf_creds_reply.h"
#include "base/kf_clock.h"
#include "base/kf_spawn.h"
#include "events/kf_filter.h"
#include "events/kf_merge.h"
#include "events/kf_window_cut.h"
#include "events/kf_window_plan.h"
#include "kf_samples.h"

#define NEVER 0
/* Of one piece of work; far more than any makes. */
#define ALLOCATIONS_MAX 100000
#define UPLOADS_MAX 8

static long until_failure = NEVER; /* allocations; the last of them fails */
static long alive;                 /* allocations not freed */
static bool has_failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static bool fails_now(void)
{
    if (until_failure == NEVER || --until_failure > 0)
        return false;
    until_failure = NEVER;
    has_failed = true;
    return true;
}

static void *count(void *p)
{
    alive += p != NULL;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails_now() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t each, size_t n)
{
    return fails_now() ? NULL : count(__real_calloc(each, n));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails_now())
        return NULL;
    return p ? __real_realloc(p, n) : count(__real_realloc(p, n));
}

void __wrap_free(void *p)
{
    alive -= p != NULL;
    __real_free(p);
}

/* ---- again and again ---- */

/* Does the work on `with`. @return false when it said that memory is missing. Leaves nothing allocated. */
typedef bool work_fn(void *with);

static void run(const char *name, work_fn *fn, void *with)
{
    long n = 0;

    do {
        bool done;

        if (++n == ALLOCATIONS_MAX)
            fail_msg("%s: no end", name);
        alive = 0;
        has_failed = false;
        until_failure = n;
        kf_random_forked();
        done = fn(with);
        until_failure = NEVER;
        if (alive != 0)
            fail_msg("%s: %ld blocks left after allocation %ld failed", name, alive, n);
        /* Where something could be done without it, all is well. */
        if (!done && !has_failed)
            fail_msg("%s: fails with memory", name);
    } while (has_failed);
    if (n < 2)
        fail_msg("%s: allocates nothing", name);
}

/* ---- posts and filters ---- */

typedef struct {
    const kf_filter_t *filter;
    kf_str_t body;
    uint32_t records; /* that came with memory; UINT32_MAX: not known yet */
} post_work_t;

static bool filter_post(void *with)
{
    post_work_t *work = with;
    kf_fault_t fault = {.message = ""};
    kf_record_list_t list = {0};
    kf_filter_stats_t stats = {0};
    kf_post_t *post = kf_post_parse(work->body.p, work->body.n, &fault);
    bool done = post != NULL;

    if (!post && !fault.out_of_memory)
        fail_msg("refused: %s", fault.message);
    for (uint32_t i = 0; done && i < kf_post_count(post); i++)
        done = kf_filter_close(work->filter, kf_post_item(post, i), 1700000000123456, KF_STR(""),
                               &list, &stats);
    if (done && work->records != UINT32_MAX)
        assert_int_equal(list.count, work->records);
    if (done)
        work->records = list.count;
    kf_record_list_clear(&list);
    if (post)
        kf_post_free(post);
    return done;
}

static apr_pool_t *pool;

static const kf_filter_t *filter_of(const char *const (*lines)[2])
{
    void *settings = kf_settings_create(pool, KF_SCOPE_CONN);

    for (; (*lines)[0]; lines++)
        assert_null(
            kf_setting_set(pool, settings, kf_directive_find((*lines)[0]), 1, &(*lines)[1]));
    return kf_filter_compile(pool, kf_settings_finish(pool, KF_SCOPE_CONN, settings), 0);
}

static const char *const samples[] = {
    "every-schema-event-type",       "outbound-all-fields",     "bulk-three-batches",
    "int64-and-unicode-edges",       "audience-all-identities", "profile-changes",
    "crash-with-nested-breadcrumbs", "location-everywhere",
};

static void test_posts(void **state)
{
    static const char *const usual[][2] = {{NULL, NULL}};
    static const char *const much[][2] = {{"KinesisSendAsBatch", "Off"},
                                          {"KinesisIncludeLocationInformation", "Off"},
                                          {"KinesisSendAnonymousUsers", "Off"},
                                          {"KinesisExcludeFields", "ip"},
                                          {"KinesisExcludeIdentities", "email"},
                                          {"KinesisUniqueId", "com.example"},
                                          {"KinesisRecordDelimiter", "newline"},
                                          {"KinesisPartitionKey", "device"},
                                          {NULL, NULL}};
    const kf_filter_t *filters[] = {filter_of(usual), filter_of(much)};

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        for (size_t f = 0; f < sizeof filters / sizeof *filters; f++) {
            post_work_t work = {filters[f], kf_sample_read(samples[i]), UINT32_MAX};

            run(samples[i], filter_post, &work);
            free((char *)work.body.p);
        }
}

/* ---- windows ---- */

typedef struct {
    kf_str_t body;
    kf_window_kind_t kind;
} plan_work_t;

static bool plan_windows(void *with)
{
    const plan_work_t *work = with;
    kf_fault_t fault = {.message = ""};
    kf_post_t *post = kf_post_parse(work->body.p, work->body.n, &fault);
    kf_window_plan_t plan;
    bool done;

    if (!post)
        return false;
    kf_window_plan_init(&plan);
    done = kf_window_plan(&plan, kf_post_item(post, 0), work->kind);
    kf_window_plan_free(&plan);
    kf_post_free(post);
    return done;
}

static void test_plans(void **state)
{
    static const char *const names[] = {"two-sessions-one-batch", "session-part-1-start",
                                        "session-part-3-id-only-then-login"};
    static const kf_window_kind_t kinds[] = {KF_WINDOW_BATCH, KF_WINDOW_SESSION};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < 2; k++) {
            plan_work_t work = {kf_sample_read(names[i]), kinds[k]};

            run(names[i], plan_windows, &work);
            free((char *)work.body.p);
        }
}

/* What a work gives: nothing when memory is missing, else always the same. */
typedef struct {
    kf_buf_t with_memory; /* empty: not known yet */
} same_t;

static void check_same(same_t *same, const kf_buf_t *out)
{
    if (same->with_memory.n > 0 && !kf_str_eq(kf_buf_str(&same->with_memory), kf_buf_str(out)))
        fail_msg("other than with memory: %.*s", (int)out->n, out->p);
}

/* Does it with memory, then again and again. */
static void run_same(const char *name, work_fn *fn, void *with, same_t *same)
{
    kf_buf_init(&same->with_memory, SIZE_MAX / 4);
    assert_true(fn(with));
    assert_true(same->with_memory.n > 0);
    run(name, fn, with);
    kf_buf_free(&same->with_memory);
}

/* The caller's, when it ran with memory: what comes is kept for check_same. */
static bool is_first(const same_t *same)
{
    return same->with_memory.n == 0;
}

#define UUID KF_STR("00000001-0000-4000-8000-000000000000")

typedef struct {
    kf_str_t uploads[UPLOADS_MAX];
    uint32_t n;
    same_t same;
} merge_work_t;

static bool merge_uploads(void *with)
{
    merge_work_t *work = with;
    kf_buf_t out;
    uint32_t damaged;
    kf_merge_result_t result;

    kf_buf_init(&out, SIZE_MAX / 4);
    result = kf_merge(work->uploads, work->n, UUID, &out, &damaged);
    if (result != KF_MERGE_OK && result != KF_MERGE_MEMORY)
        fail_msg("merging gave %d", result);
    assert_int_equal(out.n == 0, result == KF_MERGE_MEMORY);
    if (result == KF_MERGE_OK)
        check_same(&work->same, &out);
    if (is_first(&work->same))
        kf_buf_put_str(&work->same.with_memory, kf_buf_str(&out));
    kf_buf_free(&out);
    return result == KF_MERGE_OK;
}

static void free_uploads(merge_work_t *work)
{
    for (uint32_t i = 0; i < work->n; i++)
        free((char *)work->uploads[i].p);
}

static void test_merging(void **state)
{
    static const char *const names[] = {"session-part-1-start", "session-part-2-middle-uuid-only",
                                        "session-part-2-duplicate-upload",
                                        "session-part-3-id-only-then-login", "session-part-4-end"};
    merge_work_t work = {.n = sizeof names / sizeof *names};

    (void)state;
    for (uint32_t i = 0; i < work.n; i++)
        work.uploads[i] = kf_sample_read(names[i]);
    run_same("merge", merge_uploads, &work, &work.same);
    for (work.n = 1; work.n < 3; work.n++)
        run_same("merge few", merge_uploads, &work, &work.same);
    work.n = sizeof names / sizeof *names;
    free_uploads(&work);
}

/* Of every list more than fits at first, events against their times, everything escaped. */
static kf_str_t large_upload(unsigned serial)
{
    enum { EVENTS = 70, NAMES = 40 };
    kf_buf_t text;

    kf_buf_init(&text, SIZE_MAX / 4);
    kf_buf_printf(&text, "{\"mpid\":1,\"source_request_id\":\"\\u0072%u\"", serial);
    for (unsigned i = 0; i < NAMES; i++)
        kf_buf_printf(&text, ",\"\\u006e%u\":%u", i + serial * NAMES / 2, serial);
    kf_buf_put_str(&text, KF_STR(",\"user_attributes\":{"));
    for (unsigned i = 0; i < NAMES; i++)
        kf_buf_printf(&text, "%s\"\\u0061%u\":1", i ? "," : "", i + serial * NAMES);
    kf_buf_put_str(&text, KF_STR("},\"deleted_user_attributes\":["));
    for (unsigned i = 0; i < NAMES; i++)
        kf_buf_printf(&text, "%s\"\\u0061%u\"", i ? "," : "", i + serial * NAMES + NAMES / 2);
    kf_buf_put_str(&text, KF_STR("],\"system_notifications\":[{}],\"events\":["));
    for (unsigned i = 0; i < EVENTS; i++)
        kf_buf_printf(&text,
                      "%s{\"event_type\":\"custom_event\",\"data\":{\"source_message_id\":"
                      "\"\\u006d%u\",\"timestamp_unixtime_ms\":\"\\u0031%u\"}}",
                      i ? "," : "", i + serial * EVENTS / 2, 2000 - i);
    kf_buf_put_str(&text, KF_STR("]}"));
    assert_false(text.failed);
    return kf_buf_str(&text);
}

static void test_merging_much(void **state)
{
    merge_work_t work = {.n = 3};

    (void)state;
    for (uint32_t i = 0; i < work.n; i++)
        work.uploads[i] = large_upload(i);
    run_same("merge much", merge_uploads, &work, &work.same);
    free_uploads(&work);
}

typedef struct {
    kf_str_t body;
    same_t same;
} cut_work_t;

/* The plan's parts with the ids of their events, as they are filed. */
static bool cut_parts(void *with)
{
    cut_work_t *work = with;
    kf_fault_t fault = {.message = ""};
    kf_post_t *post = kf_post_parse(work->body.p, work->body.n, &fault);
    kf_window_plan_t plan;
    kf_buf_t out, scratch;
    kf_str_t id;
    bool done;

    if (!post)
        return false;
    kf_window_plan_init(&plan);
    kf_buf_init(&out, SIZE_MAX / 4);
    kf_buf_init(&scratch, SIZE_MAX / 4);
    done = kf_window_plan(&plan, kf_post_item(post, 0), KF_WINDOW_SESSION);
    for (uint32_t p = 0; done && p < plan.part_count; p++) {
        size_t before = out.n;

        done = kf_window_cut(&plan, p, UUID, &out);
        if (!done)
            assert_int_equal(out.n, before);
    }
    for (uint32_t e = 0; done && e < plan.event_count; e++) {
        if (kf_window_event_id(&plan, e, &scratch, &id))
            kf_buf_put_str(&out, id);
        done = !scratch.failed && !out.failed;
    }
    if (done)
        check_same(&work->same, &out);
    if (is_first(&work->same))
        kf_buf_put_str(&work->same.with_memory, kf_buf_str(&out));
    kf_buf_free(&scratch);
    kf_buf_free(&out);
    kf_window_plan_free(&plan);
    kf_post_free(post);
    return done;
}

static void test_cutting(void **state)
{
    static const char *const names[] = {"two-sessions-one-batch",
                                        "sessionless-opt-out-and-uninstall",
                                        "session-part-3-id-only-then-login"};

    (void)state;
    for (size_t i = 0; i <= sizeof names / sizeof *names; i++) {
        bool is_sample = i < sizeof names / sizeof *names;
        cut_work_t work = {.body = is_sample ? kf_sample_read(names[i]) : large_upload(0)};

        run_same(is_sample ? names[i] : "cut much", cut_parts, &work, &work.same);
        free((char *)work.body.p);
    }
}

/* ---- records of windows ---- */

typedef struct {
    const kf_filter_t *filter;
    kf_str_t body;
    bool is_closed; /* what leaves a window; else what goes into one */
    same_t same;
} record_work_t;

static bool make_records(void *with)
{
    record_work_t *work = with;
    kf_fault_t fault = {.message = ""};
    kf_record_list_t list = {0};
    kf_filter_stats_t stats = {0};
    kf_post_t *post = kf_post_parse(work->body.p, work->body.n, &fault);
    kf_buf_t out;
    bool done;

    if (!post) {
        assert_true(fault.out_of_memory);
        return false;
    }
    done = work->is_closed
               ? kf_filter_close(work->filter, kf_post_item(post, 0), 1, UUID, &list, &stats)
               : kf_filter_apply(work->filter, kf_post_item(post, 0), 1, &list, &stats);
    assert_false(list.over);
    until_failure = NEVER;
    kf_buf_init(&out, SIZE_MAX / 4);
    for (const kf_record_t *r = list.first; done && r; r = r->next)
        kf_buf_put_str(&out, kf_record_data(r));
    if (done)
        check_same(&work->same, &out);
    if (is_first(&work->same))
        kf_buf_put_str(&work->same.with_memory, kf_buf_str(&out));
    kf_buf_free(&out);
    kf_record_list_clear(&list);
    kf_post_free(post);
    return done;
}

/* More than a record takes: it is split, with ids that follow from the window's. */
static kf_str_t batch_of_megabytes(void)
{
    enum { EVENTS = 30, EACH = 100000 };
    kf_buf_t text;
    char *room;

    kf_buf_init(&text, SIZE_MAX / 4);
    kf_buf_put_str(&text, KF_STR("{\"mpid\":1,\"events\":["));
    for (unsigned i = 0; i < EVENTS; i++) {
        kf_buf_printf(&text, "%s{\"event_type\":\"custom_event\",\"data\":{\"n\":%u,\"x\":\"",
                      i ? "," : "", i);
        room = kf_buf_room(&text, EACH);
        assert_non_null(room);
        memset(room, 'x', EACH);
        text.n += EACH;
        kf_buf_put_str(&text, KF_STR("\"}}"));
    }
    kf_buf_put_str(&text, KF_STR("]}"));
    assert_false(text.failed);
    return kf_buf_str(&text);
}

static void test_records_of_windows(void **state)
{
    static const char *const windowed[][2] = {{"KinesisSendAsBatch", "On"}, {NULL, NULL}};
    static const char *const single[][2] = {
        {"KinesisSendAsBatch", "Off"}, {"KinesisPartitionKey", "device"}, {NULL, NULL}};
    record_work_t works[] = {
        {.filter = filter_of(windowed), .body = kf_sample_read("every-schema-event-type")},
        {.filter = filter_of(windowed), .body = batch_of_megabytes(), .is_closed = true},
        {.filter = filter_of(single), .body = large_upload(0), .is_closed = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        run_same("records", make_records, &works[i], &works[i].same);
        free((char *)works[i].body.p);
    }
}

/* ---- wrapped posts, programs ---- */

/* mParticle's PutRecord wrapper, with text that has to be decoded. */
static void test_wrapped(void **state)
{
    static const char *const usual[][2] = {{NULL, NULL}};
    kf_str_t inner = kf_sample_read("every-schema-event-type");
    post_work_t work = {filter_of(usual), KF_STR(""), UINT32_MAX};
    kf_buf_t text;

    (void)state;
    kf_buf_init(&text, SIZE_MAX / 4);
    kf_buf_putc(&text, '[');
    for (int i = 0; i < 3; i++) {
        kf_buf_put_str(&text, i ? KF_STR(",{\"Record\":{\"Data\":\"")
                                : KF_STR("{\"Record\":{\"Data\":\""));
        kf_buf_put_base64(&text, inner.p, inner.n);
        kf_buf_put_str(&text, KF_STR("\"}}"));
    }
    kf_buf_putc(&text, ']');
    assert_false(text.failed);
    work.body = kf_buf_str(&text);
    run("wrapped", filter_post, &work);
    kf_buf_free(&text);
    free((char *)inner.p);
}

static bool run_program(void *unused)
{
    static const char *const argv[] = {"/bin/cat", NULL};
    static const char *const more[] = {"A=b", NULL};
    const kf_spawn_config_t config = {.argv = argv,
                                      .input = KF_STR("said"),
                                      .environment = more,
                                      .output_max = 100,
                                      .error_max = 100,
                                      .limit_us = 60 * KF_SEC};
    int error = 0;
    kf_spawn_t *program = kf_spawn_start(&config, &error);

    (void)unused;
    if (!program) {
        assert_int_equal(error, ENOMEM);
        return false;
    }
    kf_spawn_wait(program);
    assert_int_equal(kf_spawn_result(program)->end, KF_SPAWN_EXITED);
    assert_string_equal(kf_spawn_result(program)->output.p, "said");
    kf_spawn_free(program);
    return true;
}

static void test_programs(void **state)
{
    (void)state;
    run("program", run_program, NULL);
}

/* ---- AWS ---- */

static const kf_target_t *target;

static bool encode_and_sign(void *record)
{
    kf_record_t *records[] = {record, record};
    static const uint32_t ends[] = {1, 2};
    kf_entries_t entries = {records, ends, 2};
    static const kf_sigv4_keys_t keys = {"AKIDEXAMPLE", "secret", "token"};
    kf_sigv4_cache_t cache = {0};
    kf_call_headers_t headers = {.count = 0};
    kf_buf_t body;
    bool done;

    kf_buf_init(&body, SIZE_MAX);
    done = kf_call_encode(target, KF_OP_PUT_BATCH, &entries, &body) && !body.failed &&
           kf_call_sign(target, KF_OP_PUT_BATCH, &keys, &cache, 1700000000000000, kf_buf_str(&body),
                        &headers);
    kf_call_headers_free(&headers);
    kf_buf_free(&body);
    return done;
}

static void test_calls(void **state)
{
    kf_settings_t settings = {
        .service = KF_SERVICE_STREAMS, .region = "us-east-1", .stream_name = "s"};
    const char *error;
    kf_record_t *record = kf_record_create(0, KF_STR("key"), KF_STR("{\"a\":1}"));

    (void)state;
    target = kf_target_resolve(pool, &settings, &error);
    assert_non_null(target);
    run("call", encode_and_sign, record);
    kf_record_free(record);
}

static bool read_reply(void *text)
{
    kf_http_reply_t reply = {.outcome = KF_HTTP_REPLIED, .status = 200, .body = kf_str_of(text)};
    kf_verdict_t verdict;
    bool done = kf_call_read(target, KF_OP_PUT_BATCH, 2, &reply, &verdict);

    if (!done) {
        assert_int_equal(verdict.class, KF_CLASS_TRANSIENT);
        assert_true(verdict.outcome_unknown);
    }
    kf_verdict_free(&verdict);
    return done;
}

static void test_replies(void **state)
{
    static char text[] =
        "{\"FailedRecordCount\":1,\"Records\":[{\"SequenceNumber\":\"1\",\"ShardId\":"
        "\"shardId-000000000000\"},{\"ErrorCode\":\"InternalFailure\","
        "\"ErrorMessage\":\"Internal service failure.\"}]}";

    (void)state;
    run("reply", read_reply, text);
}

/* ---- credentials ---- */

static bool make_credentials(void *settings)
{
    static const kf_creds_set_config_t config = {0};
    kf_creds_set_t *set = kf_creds_set_create(&config);
    kf_settings_t *with_role = settings, fixed = *with_role;
    bool done;

    fixed.role_arn = NULL;
    done = set && kf_creds_create(set, &fixed, 0) && kf_creds_create(set, with_role, 1);
    kf_creds_set_destroy(set);
    return done;
}

static bool read_credentials(void *text)
{
    kf_creds_found_t found = {0};
    char why[100];
    bool done =
        kf_creds_read_json(kf_str_of(text), KF_CREDS_JSON_CONTAINER, 0, &found, why, sizeof why);

    kf_keys_release(found.keys);
    return done;
}

static void test_credentials(void **state)
{
    static char text[] = "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"b\\/c\",\"Token\":\"d\","
                         "\"Expiration\":\"2026-11-22T16:45:30Z\"}";
    kf_settings_t settings = {.region = "us-east-1",
                              .access_key_id = "A",
                              .secret_access_key = "b",
                              .role_arn = "arn:aws:iam::123456789012:role/r"};

    (void)state;
    run("credentials", make_credentials, &settings);
    run("their reply", read_credentials, text);
}

static int begin(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    /* Of jansson too, whose own calls the linker doesn't see; its seed is drawn before. */
    json_object_seed(1);
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    return 0;
}

static int end(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts),       cmocka_unit_test(test_plans),
        cmocka_unit_test(test_merging),     cmocka_unit_test(test_merging_much),
        cmocka_unit_test(test_cutting),     cmocka_unit_test(test_records_of_windows),
        cmocka_unit_test(test_wrapped),     cmocka_unit_test(test_programs),
        cmocka_unit_test(test_calls),       cmocka_unit_test(test_replies),
        cmocka_unit_test(test_credentials),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, begin, end);
}
