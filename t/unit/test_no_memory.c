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
#include <string.h>
#include "aws/kf_call.h"
#include "aws/kf_creds.h"
#include "aws/kf_creds_reply.h"
#include "base/kf_clock.h"
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

static bool merge_uploads(void *uploads)
{
    kf_buf_t out;
    uint32_t damaged;
    kf_merge_result_t result;

    kf_buf_init(&out, SIZE_MAX);
    result = kf_merge(uploads, 3, KF_STR("00000001-0000-4000-8000-000000000000"), &out, &damaged);
    if (result != KF_MERGE_OK && result != KF_MERGE_MEMORY)
        fail_msg("merging gave %d", result);
    kf_buf_free(&out);
    return result == KF_MERGE_OK;
}

static void test_merging(void **state)
{
    kf_str_t uploads[] = {kf_sample_read("session-part-1-start"),
                          kf_sample_read("session-part-2-middle-uuid-only"),
                          kf_sample_read("session-part-4-end")};

    (void)state;
    run("merge", merge_uploads, uploads);
    for (size_t i = 0; i < 3; i++)
        free((char *)uploads[i].p);
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
        cmocka_unit_test(test_posts),   cmocka_unit_test(test_plans),
        cmocka_unit_test(test_merging), cmocka_unit_test(test_calls),
        cmocka_unit_test(test_replies), cmocka_unit_test(test_credentials),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, begin, end);
}
