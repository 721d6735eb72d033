/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine with a fake in place of the network: delivery, isolation of connections from each other,
 * bounds, the look at Firehose streams, and every way to stop. Nothing waits for a fixed time: each wait
 * ends with what it waits for, or fails after a while.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_engine.h"
#include "delivery/kf_journal.h"
#include "delivery/kf_usage.h"
#include "fake_http.h"
#include "patience.h"
#include "temp_store.h"

#define PATIENCE_US patient(30 * KF_SEC)
enum { GOOD, BAD, HOSE, CONNECTIONS };
static const char *const names[CONNECTIONS] = {"good", "bad", "hose"};

static struct {
    apr_pool_t *pool;
    kf_process_settings_t process;
    kf_settings_t settings[CONNECTIONS];
    kf_connection_t connections[CONNECTIONS];
    kf_timing_t timing;
    kf_engine_config_t config;
    fake_world_t world;
    void *memory;
    kf_shared_t *shared;
    void *kept;
    kf_metrics_t *metrics;
    kf_engine_t *engine;
} rig;

/* ------------------------------------------------------------------------ the log */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[64 * 1024];

static void keep(kf_level_t level, const char *line)
{
    size_t n;

    (void)level;
    pthread_mutex_lock(&log_lock);
    n = strlen(log_text);
    snprintf(log_text + n, sizeof log_text - n, "%s\n", line);
    pthread_mutex_unlock(&log_lock);
}

static int logged(const char *text)
{
    int n = 0;

    pthread_mutex_lock(&log_lock);
    for (const char *p = log_text; (p = strstr(p, text)) != NULL; p++)
        n++;
    pthread_mutex_unlock(&log_lock);
    return n;
}

/* ------------------------------------------------------------------------ the rig */

static int set_up(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof rig);
    log_text[0] = '\0';
    kf_log_set_sink(keep);
    apr_pool_create(&rig.pool, NULL);
    for (int i = 0; i < CONNECTIONS; i++) {
        kf_settings_t *s = &rig.settings[i];

        *s = *(kf_settings_t *)kf_settings_finish(rig.pool, KF_SCOPE_CONN,
                                                  kf_settings_create(rig.pool, KF_SCOPE_CONN));
        s->stream_name = names[i];
        s->access_key_id = "AKIAIOSFODNN7EXAMPLE";
        s->secret_access_key = "secret";
        s->linger = KF_MS;
        s->service = i == HOSE ? KF_SERVICE_FIREHOSE : KF_SERVICE_STREAMS;
        rig.connections[i] = (kf_connection_t){.name = names[i], .settings = s};
    }
    rig.process = *(kf_process_settings_t *)kf_settings_finish(
        rig.pool, KF_SCOPE_SERVER, kf_settings_create(rig.pool, KF_SCOPE_SERVER));
    rig.timing = (kf_timing_t)KF_TIMING_DEFAULT;
    rig.memory = calloc(1, kf_shared_size(CONNECTIONS));
    rig.shared = kf_shared_init(rig.memory, CONNECTIONS);
    rig.metrics = kf_metrics_open(&rig.kept, names, CONNECTIONS, 1);
    assert_true(kf_metrics_join(rig.metrics));
    rig.config = (kf_engine_config_t){.process = &rig.process,
                                      .connections = rig.connections,
                                      .connection_count = CONNECTIONS,
                                      .shared = rig.shared,
                                      .metrics = rig.metrics,
                                      .threaded = true,
                                      .http_factory = fake_http_create,
                                      .http_context = &rig.world,
                                      .thread_stack_bytes = 256 * 1024,
                                      .timing = &rig.timing};
    return 0;
}

static void start(void)
{
    const char *error = NULL;

    rig.engine = kf_engine_start(&rig.config, &error);
    if (!rig.engine)
        fail_msg("%s", error);
}

static int64_t stop(int64_t timeout_us)
{
    int64_t began_us = kf_mono_us();

    kf_engine_stop(rig.engine, timeout_us);
    rig.engine = NULL;
    assert_int_equal(rig.world.instances, 0);
    return kf_mono_us() - began_us;
}

static int tear_down(void **state)
{
    (void)state;
    if (rig.engine)
        stop(0);
    kf_log_set_sink(NULL);
    kf_metrics_leave(rig.metrics);
    kf_metrics_close(rig.metrics);
    kf_metrics_discard(&rig.kept);
    free(rig.memory);
    apr_pool_destroy(rig.pool);
    return 0;
}

static void add(kf_record_list_t *list, int connection, int n)
{
    char text[400];

    memset(text, 'x', sizeof text);
    for (int i = 0; i < n; i++) {
        kf_record_t *r = kf_record_create((uint16_t)connection,
                                          connection == HOSE ? (kf_str_t){0} : KF_STR("key"),
                                          (kf_str_t){text, sizeof text});

        r->accepted_us = kf_wall_us();
        kf_record_list_add(list, r);
    }
}

static kf_admission_t submit(int connection, int n)
{
    kf_record_list_t list = {0};
    kf_admission_t said;

    add(&list, connection, n);
    said = kf_engine_submit(rig.engine, &list);
    assert_int_equal(list.count, said == KF_ACCEPTED ? 0 : n);
    kf_record_list_clear(&list);
    return said;
}

static uint64_t count(int connection, kf_count_t which)
{
    return kf_metrics_count(rig.metrics, connection, which);
}

static uint64_t family(int connection, kf_metric_family_t which)
{
    return kf_metrics_family(rig.metrics, connection, which);
}

static uint64_t failed_calls(int connection)
{
    return family(connection, KF_FAMILY_CALLS) - count(connection, KF_COUNT_CALLS_OK) -
           count(connection, KF_COUNT_CALLS_PARTIAL);
}

#define AWAIT(condition) AWAIT_WITHIN(PATIENCE_US, condition)
#define AWAIT_WITHIN(limit_us, condition) \
    do { \
        int64_t until_us = kf_mono_us() + (limit_us); \
        while (!(condition) && kf_mono_us() < until_us) \
            nanosleep(&(struct timespec){0, 200000}, NULL); \
        assert_true(condition); \
    } while (0)

static kf_connection_metrics_t numbers(int connection)
{
    kf_connection_metrics_t read;

    kf_engine_tell(rig.engine);
    kf_metrics_read(rig.metrics, connection, &read);
    return read;
}

static int64_t gauge(int connection, kf_gauge_id_t which)
{
    return numbers(connection).gauge[which];
}

static kf_admission_t room(int connection)
{
    uint16_t index = (uint16_t)connection;

    return kf_engine_room(rig.engine, &index, 1);
}

/* -------------------------------------------------------------------------- tests */

static void test_delivers(void **state)
{
    kf_record_list_t list = {0};

    (void)state;
    start();
    for (int i = 0; i < 50; i++) {
        add(&list, GOOD, 7);
        add(&list, BAD, 2);
        add(&list, HOSE, 1);
        assert_int_equal(kf_engine_submit(rig.engine, &list), KF_ACCEPTED);
        assert_int_equal(list.count, 0);
        assert_null(list.first);
    }
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 350);
    AWAIT(count(BAD, KF_COUNT_DELIVERED) == 100);
    AWAIT(count(HOSE, KF_COUNT_DELIVERED) == 50);
    assert_int_equal(count(GOOD, KF_COUNT_ACCEPTED), 350);
    assert_int_equal(count(GOOD, KF_COUNT_DELIVERED_BYTES), 350 * 403);
    assert_int_equal(failed_calls(GOOD), 0);
    assert_true(stop(patient(5 * KF_SEC)) < patient(2 * KF_SEC));
    assert_int_equal(logged("KF0303"), 0);
}

static void test_calls_are_full_and_wake_ups_few(void **state)
{
    (void)state;
    rig.settings[GOOD].linger = rig.settings[BAD].linger = rig.settings[HOSE].linger = 60 * KF_SEC;
    start();
    for (int i = 0; i < 4000; i++)
        assert_int_equal(submit(GOOD, 1), KF_ACCEPTED);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 4000);
    assert_in_range(family(GOOD, KF_FAMILY_CALLS), 8, 8);
    /* For the first record, and for each call's worth; both workers may be told. */
    assert_true(rig.world.wakes <= 40);
}

static void test_drain_does_not_linger(void **state)
{
    (void)state;
    rig.settings[GOOD].linger = 60 * KF_SEC;
    start();
    assert_int_equal(submit(GOOD, 3), KF_ACCEPTED);
    kf_engine_drain(rig.engine);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 3);
    /* Still open, and in a hurry. */
    assert_int_equal(submit(GOOD, 3), KF_ACCEPTED);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 6);
    kf_engine_close(rig.engine);
    assert_int_equal(submit(GOOD, 3), KF_CLOSED);
    assert_int_equal(room(GOOD), KF_CLOSED);
    kf_engine_drain(rig.engine); /* never back */
    assert_int_equal(room(GOOD), KF_CLOSED);
    assert_int_equal(kf_engine_retry_after(rig.engine, NULL, 0), 1);
}

static void bad_never_answers(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    answer->never = strcmp(call->stream, "bad") == 0;
}

static void test_one_that_never_answers_slows_nobody(void **state)
{
    uint64_t bad = 0;

    (void)state;
    rig.world.handler = bad_never_answers;
    rig.settings[BAD].max_in_flight = 3;
    start();
    while (submit(BAD, 16) == KF_ACCEPTED)
        bad += 16;
    /* Its half, and not more. */
    assert_int_equal(bad, 4096);
    assert_int_equal(room(BAD), KF_FULL);
    assert_int_equal(room(GOOD), KF_ACCEPTED);
    assert_int_equal(logged("KF0202"), 1);
    assert_int_equal(count(BAD, KF_COUNT_REFUSED_FULL), 2);
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 100; k++)
            assert_int_equal(submit(GOOD, 10), KF_ACCEPTED);
        AWAIT(count(GOOD, KF_COUNT_DELIVERED) == (uint64_t)(i + 1) * 1000);
    }
    AWAIT(gauge(BAD, KF_GAUGE_IN_FLIGHT_CALLS) == 3);
    assert_int_equal(gauge(BAD, KF_GAUGE_MEMORY_RECORDS), 4096);
    assert_int_equal(gauge(BAD, KF_GAUGE_BACKLOG_RECORDS), 4096);
    assert_int_equal(gauge(BAD, KF_GAUGE_JOURNAL_RECORDS), 0);
    assert_in_range(gauge(BAD, KF_GAUGE_IN_FLIGHT_RECORDS), 3, 1500);
    assert_true(gauge(BAD, KF_GAUGE_MEMORY_BYTES) > 4096 * 403);
    assert_true(gauge(BAD, KF_GAUGE_OLDEST_RECORD) > 0);
    assert_int_equal(gauge(BAD, KF_GAUGE_STATE), KF_DELIVERY_DELIVERING);
    /* They are counted as delivered a moment before they are let go. */
    AWAIT(gauge(GOOD, KF_GAUGE_BACKLOG_RECORDS) == 0);
    AWAIT(gauge(GOOD, KF_GAUGE_STATE) == KF_DELIVERY_IDLE);
    assert_int_equal(gauge(GOOD, KF_GAUGE_OLDEST_RECORD), 0);
    assert_true(stop(200 * KF_MS) < patient(5 * KF_SEC));
    assert_int_equal(rig.world.aborted, 3);
    assert_int_equal(count(BAD, KF_COUNT_LOST), 4096);
    assert_int_equal(logged("KF0303"), 1);
    assert_int_equal(logged("bad 4096"), 1);
}

static atomic_bool healed;

static void bad_is_broken(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    if (atomic_load(&healed) || strcmp(call->stream, "bad") != 0)
        return;
    answer->status = 400;
    answer->code = "ResourceNotFoundException";
    answer->message = "Stream bad under account 1 not found.";
}

static void test_hold_and_recovery(void **state)
{
    (void)state;
    atomic_store(&healed, false);
    rig.world.handler = bad_is_broken;
    rig.timing.hold_first_us = rig.timing.hold_cap_us = 20 * KF_MS;
    start();
    while (submit(BAD, 16) == KF_ACCEPTED)
        ;
    AWAIT(family(BAD, KF_FAMILY_CALLS) > 3);
    assert_int_equal(submit(GOOD, 5), KF_ACCEPTED);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 5);
    assert_int_equal(logged("KF0306: connection bad"), 1);
    assert_int_equal(logged("ResourceNotFoundException: Stream bad under account 1"), 1);
    assert_true(kf_alert_cells_raised(kf_shared_alerts(rig.shared), BAD, KF0306));
    assert_int_equal(gauge(BAD, KF_GAUGE_STATE), KF_DELIVERY_HOLD);
    assert_string_equal(numbers(BAD).error.code, "ResourceNotFoundException");
    assert_non_null(strstr(numbers(BAD).error.message, "under account 1"));
    assert_int_equal(numbers(BAD).error.status, 400);
    assert_int_equal(numbers(GOOD).error.at_us, 0);
    assert_true(count(BAD, KF_COUNT_CALLS_HOLD) > 3);
    atomic_store(&healed, true);
    AWAIT(count(BAD, KF_COUNT_DELIVERED) == 4096);
    AWAIT(gauge(BAD, KF_GAUGE_STATE) == KF_DELIVERY_IDLE);
    AWAIT(gauge(BAD, KF_GAUGE_BACKLOG_RECORDS) == 0);
    assert_int_equal(numbers(BAD).histogram[KF_HISTOGRAM_DELIVERY].count, 4096);
    assert_int_equal(numbers(BAD).histogram[KF_HISTOGRAM_CALL].count, family(BAD, KF_FAMILY_CALLS));
    AWAIT(logged("KF0203") == 1);
    assert_int_equal(room(BAD), KF_ACCEPTED);
    assert_int_equal(logged("KF0307: connection bad"), 1);
    assert_false(kf_alert_cells_raised(kf_shared_alerts(rig.shared), BAD, KF0306));
}

static void one_is_refused(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    for (uint32_t i = 0; i < call->entry_count; i++) {
        char data[8] = "";

        fake_call_data(call, i, data, 6);
        if (strncmp(data, "poison", 6) == 0) {
            answer->status = 400;
            answer->code = "InvalidArgumentException";
            answer->message = "no";
        }
    }
}

/* ------------------------------------------------------------------- credentials */

/* STS hands out keys ASIA1, ASIA2, ...; Kinesis takes the latest only. */
static struct {
    atomic_int handed_out;
    atomic_int is_failing; /* STS does not answer */
    atomic_int is_expired; /* Kinesis takes none of those handed out so far */
    int64_t delay_us;
} sts;

static void serve_keys(fake_answer_t *answer)
{
    static _Thread_local char text[600];
    char until[40];
    time_t at = time(NULL) + 3600;
    struct tm parts;

    if (atomic_load(&sts.is_failing)) {
        answer->outcome = KF_HTTP_NOT_SENT;
        return;
    }
    strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &parts));
    snprintf(
        text, sizeof text,
        "<R><S><Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        "<SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></S></R>",
        atomic_fetch_add(&sts.handed_out, 1) + 1, until);
    answer->body = text;
    answer->delay_us = sts.delay_us;
    atomic_store(&sts.is_expired, 0);
}

static void answer_with_sts(void *unused, const fake_call_t *call, fake_answer_t *answer)
{
    (void)unused;
    if (call->request->body.n > 7 && memcmp(call->request->body.p, "Action=", 7) == 0) {
        serve_keys(answer);
    } else if (strcmp(call->stream, "good") == 0 && atomic_load(&sts.is_expired)) {
        answer->status = 400;
        answer->code = "ExpiredTokenException";
    }
}

static void with_role(void)
{
    memset(&sts, 0, sizeof sts);
    setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1", 1);
    rig.world.handler = answer_with_sts;
    rig.settings[GOOD].role_arn = "arn:aws:iam::123456789012:role/r";
}

static void test_records_wait_for_the_first_keys(void **state)
{
    (void)state;
    with_role();
    sts.delay_us = 200 * KF_MS;
    start();
    assert_int_equal(submit(GOOD, 5), KF_ACCEPTED);
    assert_int_equal(submit(BAD, 5), KF_ACCEPTED);
    AWAIT(count(BAD, KF_COUNT_DELIVERED) == 5);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 5);
    assert_int_equal(failed_calls(GOOD), 0);
    assert_int_equal(logged("KF0306"), 0);
    assert_int_equal(logged("KF0408"), 0);
}

static void test_expired_keys_are_replaced_without_a_word(void **state)
{
    (void)state;
    with_role();
    start();
    assert_int_equal(submit(GOOD, 5), KF_ACCEPTED);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 5);
    atomic_store(&sts.is_expired, 1);
    assert_int_equal(submit(GOOD, 5), KF_ACCEPTED);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 10);
    assert_int_equal(atomic_load(&sts.handed_out), 2);
    assert_int_equal(logged("KF0306"), 0);
}

static void test_no_keys_is_a_hold_that_ends_with_them(void **state)
{
    (void)state;
    with_role();
    atomic_store(&sts.is_failing, 1);
    /* Only new keys end it. */
    rig.timing.hold_first_us = rig.timing.hold_cap_us = 3600 * KF_SEC;
    start();
    assert_int_equal(submit(GOOD, 5), KF_ACCEPTED);
    AWAIT(logged("KF0408: connection good: credentials cannot be had: STS: AssumeRole of ") == 1);
    AWAIT(logged("KF0306: connection good: a connection is on hold: NoCredentials: STS: ") == 1);
    assert_int_equal(submit(BAD, 5), KF_ACCEPTED);
    AWAIT(count(BAD, KF_COUNT_DELIVERED) == 5);
    atomic_store(&sts.is_failing, 0);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 5);
    AWAIT(logged("KF0409: connection good: ") == 1);
    assert_int_equal(logged("KF0408"), 1);
}

static void test_poison(void **state)
{
    kf_record_list_t list = {0};

    (void)state;
    rig.world.handler = one_is_refused;
    start();
    add(&list, GOOD, 250);
    kf_record_list_add(&list, kf_record_create(GOOD, KF_STR("key"), KF_STR("poisonous")));
    add(&list, GOOD, 249);
    assert_int_equal(kf_engine_submit(rig.engine, &list), KF_ACCEPTED);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 499);
    AWAIT(family(GOOD, KF_FAMILY_DEAD) == 1);
    AWAIT(logged("KF0304: connection good") == 1);
    assert_int_equal(logged("InvalidArgumentException"), 1);
    assert_int_equal(logged("request id fake-"), 1);
}

static void test_too_large(void **state)
{
    kf_record_list_t list = {0};

    (void)state;
    start();
    add(&list, HOSE, 1);
    list.first->too_large = 1;
    assert_int_equal(kf_engine_submit(rig.engine, &list), KF_ACCEPTED);
    AWAIT(family(HOSE, KF_FAMILY_DEAD) == 1);
    AWAIT(logged("KF0304: connection hose") == 1);
}

static void test_no_credentials(void **state)
{
    (void)state;
    rig.settings[GOOD].access_key_id = rig.settings[GOOD].secret_access_key = NULL;
    start();
    assert_int_equal(submit(GOOD, 2), KF_ACCEPTED);
    AWAIT(logged("KF0306: connection good") == 1);
    assert_int_equal(logged("NoCredentials"), 1);
    /* On hold: stop has nothing to wait for. */
    assert_true(stop(patient(5 * KF_SEC)) < patient(4 * KF_SEC));
    assert_int_equal(count(GOOD, KF_COUNT_LOST), 2);
}

static void test_unusable_connection(void **state)
{
    kf_record_list_t list = {0};
    uint16_t both[2] = {GOOD, BAD};

    (void)state;
    rig.connections[BAD].unusable = true;
    start();
    assert_int_equal(kf_engine_room(rig.engine, both, 2), KF_CLOSED);
    assert_int_equal(room(GOOD), KF_ACCEPTED);
    add(&list, GOOD, 1);
    add(&list, BAD, 1);
    assert_int_equal(kf_engine_submit(rig.engine, &list), KF_CLOSED);
    assert_int_equal(list.count, 2);
    kf_record_list_clear(&list);
}

static void describes(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    if (strcmp(call->action, "DescribeDeliveryStream") == 0) {
        atomic_fetch_add((atomic_int *)context, 1);
        answer->body = "{\"DeliveryStreamDescription\":{\"DeliveryStreamStatus\":\"ACTIVE\","
                       "\"DeliveryStreamType\":\"KinesisStreamAsSource\",\"Destinations\":[]}}";
    }
}

static void test_firehose_is_looked_at_once(void **state)
{
    atomic_int looks = 0;

    (void)state;
    rig.world.handler = describes;
    rig.world.context = &looks;
    start();
    AWAIT(logged("KF0403: connection hose") == 1);
    assert_int_equal(logged("KinesisStreamAsSource"), 1);
    /* Delivery does not depend on it. */
    assert_int_equal(submit(HOSE, 1), KF_ACCEPTED);
    AWAIT(count(HOSE, KF_COUNT_DELIVERED) == 1);
    stop(KF_SEC);
    /* Another child of the same server. */
    start();
    assert_int_equal(submit(HOSE, 1), KF_ACCEPTED);
    AWAIT(count(HOSE, KF_COUNT_DELIVERED) == 2);
    stop(KF_SEC);
    assert_int_equal(looks, 1);
}

static void test_stop_idle(void **state)
{
    (void)state;
    start();
    AWAIT(rig.world.calls >= 1); /* the look at the stream */
    assert_true(stop(patient(5 * KF_SEC)) < patient(2 * KF_SEC));
    start();
    stop(0);
}

static void answers_slowly(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    (void)call;
    answer->delay_us = 100 * KF_MS;
}

/* A stack that no machine has room for. */
static void test_a_thread_that_is_refused(void **state)
{
    const char *error = NULL;

    (void)state;
    rig.config.thread_stack_bytes = (size_t)1 << 47;
    rig.engine = kf_engine_start(&rig.config, &error);
    assert_null(rig.engine);
    assert_string_equal(error, "a worker thread could not be started");
    assert_int_equal(logged("KF0302"), 1);
}

static void test_stop_finishes_calls(void **state)
{
    (void)state;
    rig.world.handler = answers_slowly;
    rig.settings[GOOD].linger = 60 * KF_SEC;
    start();
    assert_int_equal(submit(GOOD, 600), KF_ACCEPTED);
    assert_true(stop(patient(20 * KF_SEC)) < patient(10 * KF_SEC));
    assert_int_equal(count(GOOD, KF_COUNT_DELIVERED), 600);
    assert_int_equal(logged("KF0303"), 0);
}

/* Every call that was begun was answered, and what it held delivered; the rest of so many records is left. */
static void expect_answered_or_left(int records)
{
    assert_int_equal(rig.world.aborted, 0);
    assert_int_equal(count(GOOD, KF_COUNT_DELIVERED), rig.world.records);
    assert_int_equal(count(GOOD, KF_COUNT_LOST), records - rig.world.records);
}

/* There is more than the time is enough for: what was begun is answered all the same, the rest is left. */
static void test_stop_begins_no_call_that_it_will_not_wait_for(void **state)
{
    (void)state;
    rig.world.handler = answers_slowly;
    rig.settings[GOOD].max_in_flight = 1;
    rig.settings[GOOD].put_mode = KF_PUT_SINGLE;
    start();
    assert_int_equal(submit(GOOD, 1000), KF_ACCEPTED);
    stop(2 * KF_SEC);
    assert_true(rig.world.records < 1000);
    expect_answered_or_left(1000);
}

/* As above, where the time began when it was closed. */
static void test_close_is_when_the_time_begins(void **state)
{
    (void)state;
    rig.world.handler = answers_slowly;
    rig.settings[GOOD].max_in_flight = 1;
    rig.settings[GOOD].put_mode = KF_PUT_SINGLE;
    rig.process.shutdown_timeout = KF_SEC;
    start();
    assert_int_equal(submit(GOOD, 1000), KF_ACCEPTED);
    kf_engine_close(rig.engine);
    assert_true(stop(PATIENCE_US) < PATIENCE_US / 2);
    expect_answered_or_left(1000);
}

static void test_a_hurry_awaits_what_was_begun_and_begins_nothing(void **state)
{
    static atomic_bool hurry;

    (void)state;
    rig.world.handler = answers_slowly;
    rig.settings[GOOD].max_in_flight = 1;
    rig.settings[GOOD].put_mode = KF_PUT_SINGLE;
    rig.process.shutdown_timeout = PATIENCE_US;
    rig.config.hurry = &hurry;
    atomic_store(&hurry, false);
    start();
    assert_int_equal(submit(GOOD, 1000), KF_ACCEPTED);
    AWAIT(rig.world.calls >= 2); /* one of them looks at the stream */
    atomic_store(&hurry, true);
    assert_true(stop(2 * PATIENCE_US) < PATIENCE_US);
    assert_int_equal(logged("KF0308"), 1);
    expect_answered_or_left(1000);
}

static void test_a_hurry_waits_no_longer_than_half_of_the_time(void **state)
{
    static atomic_bool hurry;

    (void)state;
    rig.world.handler = bad_never_answers;
    rig.process.shutdown_timeout = 100 * KF_MS;
    rig.config.hurry = &hurry;
    atomic_store(&hurry, true);
    start();
    assert_int_equal(submit(BAD, 1), KF_ACCEPTED);
    AWAIT(rig.world.records == 1);
    assert_true(stop(2 * PATIENCE_US) < PATIENCE_US);
    assert_int_equal(rig.world.aborted, 1);
    assert_int_equal(count(BAD, KF_COUNT_LOST), 1);
}

static void test_stop_at_once(void **state)
{
    (void)state;
    rig.world.handler = bad_never_answers;
    start();
    for (int i = 0; i < 100; i++)
        submit(BAD, 10);
    stop(0);
    assert_int_equal(count(BAD, KF_COUNT_DELIVERED), 0);
    assert_int_equal(count(BAD, KF_COUNT_LOST), 1000);
}

static void test_start_fails(void **state)
{
    const char *error = NULL;

    (void)state;
    rig.settings[GOOD].region = "nowhere at all";
    rig.settings[GOOD].endpoint = NULL;
    assert_null(kf_engine_start(&rig.config, &error));
    assert_non_null(error);
    assert_true(strlen(error) > 0);
}

/* ---------------------------------------- prefork: the end comes out of a signal */

#define SUBMITS 3000
#ifdef __SANITIZE_THREAD__
/* Freeing memory in a handler is what this test is about. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_signal_unsafe=0";
}
#endif

static sigjmp_buf out_of_handler;
static kf_record_list_t one;
static atomic_int submitted;

static void end_of_child(int signal_number)
{
    (void)signal_number;
    kf_engine_close(rig.engine);
    kf_engine_stop(rig.engine, 50 * KF_MS);
    rig.engine = NULL;
    siglongjmp(out_of_handler, 1); /* as the child exits from here */
}

static void *send_signal(void *main_thread)
{
    int when = (int)(kf_random_u32() % SUBMITS);

    while (submitted < when)
        ;
    pthread_kill(*(pthread_t *)main_thread, SIGTERM);
    return NULL;
}

static void submit_until_interrupted(kf_record_t **records)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    while (atomic_load(&submitted) < SUBMITS) {
        /* The interruption is for the engine, not for this test's own bookkeeping. */
        pthread_sigmask(SIG_BLOCK, &ending, NULL);
        kf_record_list_add(&one, records[atomic_fetch_add(&submitted, 1)]);
        pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
        if (kf_engine_submit(rig.engine, &one) != KF_ACCEPTED)
            break;
    }
    for (;;)
        pause();
}

static void end_inside_a_request(void)
{
    pthread_t self = pthread_self(), thread;
    static kf_record_t *records[SUBMITS];

    for (int i = 0; i < SUBMITS; i++)
        records[i] = kf_record_create(GOOD, KF_STR("key"), KF_STR("data"));
    one = (kf_record_list_t){0};
    submitted = 0;
    pthread_create(&thread, NULL, send_signal, &self);
    if (sigsetjmp(out_of_handler, 1) == 0)
        submit_until_interrupted(records);
    pthread_join(thread, NULL);
    assert_null(rig.engine);
    /* The interrupted request was taken as a whole or not at all. */
    assert_int_equal(count(GOOD, KF_COUNT_DELIVERED) + count(GOOD, KF_COUNT_LOST) + one.count,
                     (uint64_t)submitted);
    kf_record_list_clear(&one);
    for (int i = submitted; i < SUBMITS; i++)
        kf_record_free(records[i]);
}

static void test_prefork_stop_inside_a_request(void **state)
{
    struct sigaction action = {.sa_handler = end_of_child};

    sigaction(SIGTERM, &action, NULL);
    for (int round = 0; round < 20; round++) {
        if (round > 0) {
            tear_down(state);
            set_up(state);
        }
        rig.config.threaded = false;
        rig.process.workers = 1;
        start();
        end_inside_a_request();
    }
    signal(SIGTERM, SIG_DFL);
}

/* ---- uploads for windows ---- */

static pthread_mutex_t inbox_lock = PTHREAD_MUTEX_INITIALIZER;
static kf_record_list_t inbox;

static void to_inbox(void *context, kf_record_list_t *records)
{
    (void)context;
    pthread_mutex_lock(&inbox_lock);
    kf_record_list_append(&inbox, records);
    pthread_mutex_unlock(&inbox_lock);
}

static uint32_t inbox_count(void)
{
    uint32_t n;

    pthread_mutex_lock(&inbox_lock);
    n = inbox.count;
    pthread_mutex_unlock(&inbox_lock);
    return n;
}

/* What a test that failed left there is no other test's. */
static void file_nothing(void)
{
    pthread_mutex_lock(&inbox_lock);
    kf_record_list_clear(&inbox);
    pthread_mutex_unlock(&inbox_lock);
}

static uint32_t file_inbox(void)
{
    kf_record_list_t filed = {0};
    uint32_t n;

    pthread_mutex_lock(&inbox_lock);
    kf_record_list_append(&filed, &inbox);
    pthread_mutex_unlock(&inbox_lock);
    n = filed.count;
    kf_engine_filed(rig.engine, &filed);
    return n;
}

static kf_journal_t *open_journal(const char *folder, void *memory)
{
    static const int64_t shares[CONNECTIONS] = {100, 100, 100};
    const char *error = NULL;
    kf_journal_config_t config = {.directory = folder,
                                  .durability = KF_DURABILITY_PROCESS,
                                  .segment_bytes = 1 << 20,
                                  .connections = names,
                                  .connection_count = CONNECTIONS,
                                  .usage = kf_usage_init(memory, CONNECTIONS, 1, 1 << 30, shares)};
    kf_journal_t *journal = kf_journal_open(&config, &error);

    assert_non_null(journal);
    return journal;
}

/* A journal with an engine upon it, and what measures the store. */
static struct {
    char *folder;
    void *memory;
    kf_usage_t *usage;
} store;

static void start_with_store(void)
{
    store.folder = temp_make();
    store.memory = calloc(1, kf_usage_size(CONNECTIONS, 1));
    rig.config.journal = open_journal(store.folder, store.memory);
    store.usage = store.memory;
    start();
}

static void stop_with_store(void)
{
    stop(0);
    kf_journal_close(rig.config.journal);
    temp_done(store.folder);
    free(store.memory);
}

/* ---- connections beside each other ---- */

static void only_hose_answers(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    answer->never = strcmp(call->stream, "hose") != 0;
}

static void submit_each(int connection, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(submit(connection, 1), KF_ACCEPTED);
}

/* Two connections with more than memory has room for, which get no answer: the third one's records,
 * posted then, are delivered however many there are. */
static void test_a_third_one_finds_room(void **state)
{
    (void)state;
    rig.world.handler = only_hose_answers;
    rig.process.queue_size = 256;
    start_with_store();
    submit_each(GOOD, 1000);
    submit_each(BAD, 1000);
    AWAIT(gauge(GOOD, KF_GAUGE_JOURNAL_RECORDS) > 0 && gauge(BAD, KF_GAUGE_JOURNAL_RECORDS) > 0);
    submit_each(HOSE, 2000);
    AWAIT(count(HOSE, KF_COUNT_DELIVERED) == 2000);
    assert_in_range(gauge(GOOD, KF_GAUGE_MEMORY_RECORDS), 1, 128);
    assert_in_range(gauge(BAD, KF_GAUGE_MEMORY_RECORDS), 1, 128);
    assert_int_equal(count(GOOD, KF_COUNT_DELIVERED) + count(BAD, KF_COUNT_DELIVERED), 0);
    stop_with_store();
}

static void hose_is_fast(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    if (strcmp(call->stream, "hose") != 0)
        answer->delay_us = 50 * KF_MS;
}

/* The same where the two are slow, and all three have their backlog already when the engine starts. */
static void test_slow_backlogs_hold_up_no_other(void **state)
{
    const int n = 4000;
    kf_record_list_t list = {0};

    (void)state;
    rig.world.handler = hose_is_fast;
    rig.process.queue_size = 256;
    rig.settings[GOOD].max_in_flight = rig.settings[BAD].max_in_flight = 1;
    store.folder = temp_make();
    store.memory = calloc(1, kf_usage_size(CONNECTIONS, 1));
    rig.config.journal = open_journal(store.folder, store.memory);
    for (int i = 0; i < CONNECTIONS; i++) {
        add(&list, i, n);
        assert_int_equal(kf_journal_append(rig.config.journal, &list), KF_JOURNAL_OK);
        for (const kf_record_t *r = list.first; r; r = r->next)
            kf_journal_release(rig.config.journal, r);
        kf_record_list_clear(&list);
    }
    start();
    AWAIT(count(HOSE, KF_COUNT_DELIVERED) == (uint64_t)n);
    assert_true(count(GOOD, KF_COUNT_DELIVERED) < (uint64_t)n);
    assert_true(count(BAD, KF_COUNT_DELIVERED) < (uint64_t)n);
    /* And are held up by none. */
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == (uint64_t)n);
    AWAIT(count(BAD, KF_COUNT_DELIVERED) == (uint64_t)n);
    stop_with_store();
}

/* A record for which there is room only when others have gone is not passed by them for ever. */
static void test_a_large_record_gets_its_room(void **state)
{
    enum { OTHERS = 20000 };
    kf_record_list_t list = {0};
    char *text = calloc(1, 1 << 20);

    (void)state;
    rig.world.handler = hose_is_fast;
    rig.process.queue_bytes = 8 << 20;
    rig.settings[GOOD].max_in_flight = rig.settings[BAD].max_in_flight = 1;
    start_with_store();
    submit_each(GOOD, OTHERS);
    submit_each(BAD, OTHERS);
    AWAIT(gauge(GOOD, KF_GAUGE_JOURNAL_RECORDS) > 0 && gauge(BAD, KF_GAUGE_JOURNAL_RECORDS) > 0);
    kf_record_list_add(&list, kf_record_create(HOSE, (kf_str_t){0}, (kf_str_t){text, 1000 * 1024}));
    assert_int_equal(kf_engine_submit(rig.engine, &list), KF_ACCEPTED);
    AWAIT(count(HOSE, KF_COUNT_DELIVERED) == 1);
    assert_true(count(GOOD, KF_COUNT_DELIVERED) < OTHERS &&
                count(BAD, KF_COUNT_DELIVERED) < OTHERS);
    stop_with_store();
    free(text);
}

static void drops_uploads(void *context, kf_record_list_t *records)
{
    (void)context;
    kf_engine_unfiled(rig.engine, records);
}

/* What is set aside for want of an index waits, and counts. */
static void test_what_is_set_aside_is_counted(void **state)
{
    kf_record_list_t list = {0};

    (void)state;
    file_nothing();
    start_with_store();
    kf_engine_set_filer(rig.engine, drops_uploads, NULL);
    add(&list, GOOD, 20);
    for (kf_record_t *r = list.first; r; r = r->next)
        r->kind = KF_RECORD_WINDOW;
    assert_int_equal(kf_engine_submit(rig.engine, &list), KF_ACCEPTED);
    AWAIT(kf_journal_aside(rig.config.journal) == 20);
    assert_int_equal(gauge(GOOD, KF_GAUGE_JOURNAL_RECORDS), 20);
    assert_int_equal(gauge(GOOD, KF_GAUGE_BACKLOG_RECORDS), 20);
    assert_int_equal(gauge(GOOD, KF_GAUGE_JOURNAL_BYTES), 20 * 403);
    kf_engine_set_filer(rig.engine, to_inbox, NULL);
    kf_engine_recall(rig.engine);
    int filed = 0;
    AWAIT((filed += (int)file_inbox()) == 20);
    assert_int_equal(gauge(GOOD, KF_GAUGE_BACKLOG_RECORDS), 0);
    assert_int_equal(gauge(GOOD, KF_GAUGE_JOURNAL_BYTES), 0);
    kf_engine_set_filer(rig.engine, NULL, NULL);
    stop_with_store();
}

/* ---- Retry-After ---- */

static _Atomic int64_t clock_us;

static int64_t read_clock(void)
{
    return atomic_load(&clock_us);
}

/* The shortest of many answers: without the spread. */
static int retry_after(int connection)
{
    uint16_t index = (uint16_t)connection;
    int least = INT_MAX, most = 0;

    for (int i = 0; i < 2000; i++) {
        int seconds = kf_engine_retry_after(rig.engine, &index, 1);

        least = seconds < least ? seconds : least;
        most = seconds > most ? seconds : most;
    }
    assert_in_range(least, 1, KF_RETRY_AFTER_MAX_S);
    assert_in_range(most, least + 1, KF_RETRY_AFTER_MAX_S);
    assert_true(most <= least + least / 4 + 1);
    return least;
}

/* So much of a connection's leaves in each of the next ten seconds. */
static void drain(int connection, uint64_t rate)
{
    kf_metrics_add(rig.metrics, connection, KF_COUNT_DELIVERED_BYTES, 10 * rate);
    atomic_fetch_add(&clock_us, 10 * KF_SEC);
    kf_engine_tell(rig.engine);
}

#define MIB (INT64_C(1) << 20)

static void fill_store(int64_t bytes)
{
    kf_usage_set_files(store.usage, KF_USAGE_INDEX, (uint64_t)bytes);
}

/* The store's limit is 1 GiB here: there is room again when it has less than 19/20 of that. */
static void test_retry_after(void **state)
{
    static const kf_clock_source_t source = {.mono_us = read_clock};
    const int64_t limit = 1024 * MIB, free_again = limit - limit / 20;
    int full, fuller;

    (void)state;
    atomic_store(&clock_us, 1000 * KF_SEC);
    kf_clock_set_source(&source);
    start_with_store();
    kf_engine_tell(rig.engine);
    /* Nothing is known yet; nor where it is not the store that is full. */
    fill_store(limit);
    assert_int_equal(retry_after(GOOD), 10);
    drain(GOOD, MIB);
    fill_store(limit / 2);
    assert_int_equal(retry_after(GOOD), 10);
    /* Longer the more there is, shorter the faster it goes. */
    fill_store(free_again + 20 * MIB);
    full = retry_after(GOOD);
    assert_int_equal(full, 21);
    fill_store(free_again + 40 * MIB);
    fuller = retry_after(GOOD);
    assert_int_equal(fuller, 41);
    drain(GOOD, 4 * MIB);
    assert_int_equal(retry_after(GOOD), 11);
    /* Of all connections together. */
    drain(GOOD, 2 * MIB);
    kf_metrics_add(rig.metrics, BAD, KF_COUNT_DELIVERED_BYTES, 20 * MIB);
    drain(GOOD, 2 * MIB);
    assert_int_equal(retry_after(GOOD), 11);
    drain(GOOD, 1000 * MIB);
    assert_int_equal(retry_after(GOOD), 1);
    drain(GOOD, 1);
    assert_int_equal(retry_after(GOOD), 240);
    /* None at all, of a connection whose share is full, while others go on. */
    fill_store(0);
    kf_usage_set_index(store.usage, BAD, (uint64_t)limit);
    drain(GOOD, MIB);
    assert_int_equal(retry_after(BAD), 240);
    assert_int_equal(retry_after(GOOD), 10);
    drain(BAD, MIB);
    assert_int_equal(retry_after(BAD), 52);
    stop_with_store();
    kf_clock_set_source(NULL);
}

/* Who files is the one that makes room: what waits in the journal follows at once, however much it is.
 * A look every half a second, as at what nobody tells of, would take longer than the limit, which is long
 * enough for a slow machine and TSan. */
static void test_filing_brings_the_backlog(void **state)
{
    enum { UPLOADS = 20000, ROOM = 64, LOOKS_A_SECOND = 2 };
    const int64_t limit_us = patient(UPLOADS / ROOM / LOOKS_A_SECOND * KF_SEC * 3 / 4);
    char *folder = temp_make();
    void *memory = calloc(1, kf_usage_size(CONNECTIONS, 1));
    kf_record_list_t list = {0};
    int filed = 0;

    (void)state;
    file_nothing();
    rig.process.queue_size = 2 * ROOM;
    rig.config.journal = open_journal(folder, memory);
    start();
    kf_engine_set_filer(rig.engine, to_inbox, NULL);
    add(&list, GOOD, UPLOADS);
    for (kf_record_t *r = list.first; r; r = r->next)
        r->kind = KF_RECORD_WINDOW;
    assert_int_equal(kf_engine_submit(rig.engine, &list), KF_ACCEPTED);
    AWAIT_WITHIN(limit_us, (filed += (int)file_inbox()) == UPLOADS);
    kf_engine_set_filer(rig.engine, NULL, NULL);
    stop(0);
    kf_journal_close(rig.config.journal);
    temp_done(folder);
    free(memory);
}

/* Uploads that nobody files take half of the room at most, and what leaves windows doesn't queue behind
 * those that wait: it may have to leave before they can be filed. */
static void test_records_pass_uploads_that_wait(void **state)
{
    char *folder = temp_make();
    void *memory = calloc(1, kf_usage_size(CONNECTIONS, 1));
    kf_record_list_t list = {0};

    (void)state;
    file_nothing();
    rig.process.queue_size = 128;
    rig.config.journal = open_journal(folder, memory);
    start();
    kf_engine_set_filer(rig.engine, to_inbox, NULL);
    for (int i = 0; i < 500; i++) {
        add(&list, GOOD, 1);
        list.first->kind = KF_RECORD_WINDOW;
        assert_int_equal(kf_engine_submit(rig.engine, &list), KF_ACCEPTED);
    }
    add(&list, GOOD, 20);
    assert_int_equal(kf_engine_put(rig.engine, &list), KF_ACCEPTED);
    AWAIT(count(GOOD, KF_COUNT_DELIVERED) == 20);
    AWAIT(inbox_count() >= 32);
    assert_int_equal(inbox_count(), 32);
    int filed = 0;
    AWAIT((filed += (int)file_inbox()) == 500);
    kf_engine_set_filer(rig.engine, NULL, NULL);
    stop(0);
    kf_journal_close(rig.config.journal);
    temp_done(folder);
    free(memory);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_delivers),
        T(test_calls_are_full_and_wake_ups_few),
        T(test_drain_does_not_linger),
        T(test_one_that_never_answers_slows_nobody),
        T(test_hold_and_recovery),
        T(test_poison),
        T(test_too_large),
        T(test_no_credentials),
        T(test_records_wait_for_the_first_keys),
        T(test_expired_keys_are_replaced_without_a_word),
        T(test_no_keys_is_a_hold_that_ends_with_them),
        T(test_unusable_connection),
        T(test_firehose_is_looked_at_once),
        T(test_stop_idle),
        T(test_a_thread_that_is_refused),
        T(test_stop_finishes_calls),
        T(test_stop_begins_no_call_that_it_will_not_wait_for),
        T(test_close_is_when_the_time_begins),
        T(test_a_hurry_awaits_what_was_begun_and_begins_nothing),
        T(test_a_hurry_waits_no_longer_than_half_of_the_time),
        T(test_stop_at_once),
        T(test_start_fails),
        T(test_filing_brings_the_backlog),
        T(test_records_pass_uploads_that_wait),
        T(test_a_third_one_finds_room),
        T(test_slow_backlogs_hold_up_no_other),
        T(test_a_large_record_gets_its_room),
        T(test_what_is_set_aside_is_counted),
        T(test_retry_after),
        T(test_prefork_stop_inside_a_request),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
