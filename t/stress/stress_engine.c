/* SPDX-License-Identifier: Apache-2.0
 *
 * The delivery engine under load: producers, several connections, faults of every class, stops at any
 * moment. Checks that every accepted record has exactly one end: taken by the service (once), given up
 * on (only records that the service refuses), or left when the child ended. Then that no wake-up is
 * lost: producers who wait for each record before they submit the next, which a worker that sleeps on
 * would stall. Meant to run under the thread and address sanitizers too.
 *
 *   stress_engine [SECONDS [SEED]]     prints TAP
 */
#include <apr_general.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_engine.h"
#include "fake_http.h"
#include "patience.h"

#define IDS_MAX (4 * 1024 * 1024)
#define ID_DIGITS 12
#define PRODUCERS 4
#define POISON_EVERY 700

enum { CALM, FAULTY, JOINED, DENIED, HANGING, CONNECTIONS };
static const char *const names[CONNECTIONS] = {"calm", "faulty", "joined", "denied", "hanging"};

static atomic_uchar accepted[IDS_MAX]; /* connection + 1 */
static atomic_uchar taken[IDS_MAX];    /* times */
static atomic_int next_id;
static atomic_int poisons; /* accepted ones */
static atomic_bool finished;
static atomic_int problems;
static int plan;

static void problem(const char *what, int id)
{
    if (atomic_fetch_add(&problems, 1) < 20)
        printf("# %s: %d\n", what, id);
}

static void quiet(kf_level_t level, const char *line)
{
    (void)level;
    (void)line;
}

/* xorshift, one a thread */
static uint32_t random_of(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void nap(int64_t us)
{
    nanosleep(&(struct timespec){us / KF_SEC, us % KF_SEC * 1000}, NULL);
}

static bool one_in(uint32_t *state, uint32_t n)
{
    return random_of(state) % n == 0;
}

/* ------------------------------------------------------------------- the service */

static _Thread_local uint32_t service_state;

static bool is_poison(int id)
{
    return id % POISON_EVERY == 0;
}

/* The ids of an entry: lines, each beginning with one. */
static int ids_of(const fake_call_t *call, uint32_t entry, int *ids, int most)
{
    static _Thread_local char data[1 << 20];
    /* Only joined records have more than the first one's id to tell. */
    size_t n = fake_call_data(call, entry, data, call->is_firehose ? sizeof data - 1 : 16);
    int count = 0;

    data[n] = '\0';
    for (char *line = data; line && count < most;) {
        char *end = strchr(line, '\n');

        ids[count++] = (int)strtol(line, NULL, 10);
        line = end && end[1] ? end + 1 : NULL;
    }
    return count;
}

static bool has_poison(const fake_call_t *call)
{
    int ids[512];

    for (uint32_t e = 0; e < call->entry_count; e++)
        for (int n = ids_of(call, e, ids, 512); n > 0; n--)
            if (is_poison(ids[n - 1]))
                return true;
    return false;
}

static void take(const fake_call_t *call, const char **codes)
{
    int ids[512];

    for (uint32_t e = 0; e < call->entry_count; e++)
        for (int n = codes && codes[e] ? 0 : ids_of(call, e, ids, 512); n > 0; n--)
            if (atomic_fetch_add(&taken[ids[n - 1]], 1) != 0)
                problem("taken twice", ids[n - 1]);
}

static void fail(fake_answer_t *answer, int status, const char *code)
{
    answer->status = status;
    answer->code = code;
}

/* A fault of the whole call. @return false if there is none */
static bool fault(fake_answer_t *answer, uint32_t *s, uint32_t entries)
{
    switch (random_of(s) % 40) {
    case 0:
        fail(answer, 500, "InternalFailure");
        return true;
    case 1:
        fail(answer, 400, "ProvisionedThroughputExceededException");
        return true;
    case 2:
        answer->outcome = KF_HTTP_LOST;
        return true;
    case 3:
        answer->outcome = KF_HTTP_NOT_SENT;
        return true;
    case 4:
        fail(answer, 400, "KMSDisabledException");
        return true;
    case 5:
        fail(answer, 400, "ExpiredTokenException");
        return true;
    case 6:
        fail(answer, 400, "RequestTimeTooSkewed");
        answer->date_us = kf_wall_us() + (int64_t)(random_of(s) % 3) * 600 * KF_SEC;
        return true;
    case 7:
        fail(answer, 502, NULL);
        answer->body = "<html>";
        return true;
    case 8:
        if (entries > 1)
            fail(answer, 413, "RequestEntityTooLargeException");
        return entries > 1;
    case 9:
        fail(answer, 400, "ResourceNotFoundException");
        return true;
    default:
        return false;
    }
}

static const char *codes_of_thread(const char ***codes, uint32_t *s, const fake_call_t *call)
{
    static _Thread_local const char *storage[4096];

    for (uint32_t e = 0; e < call->entry_count && e < 4096; e++)
        storage[e] = one_in(s, 5)   ? "ProvisionedThroughputExceededException"
                     : one_in(s, 9) ? "InternalFailure"
                                    : NULL;
    *codes = storage;
    return NULL;
}

static void service(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    uint32_t *s = &service_state;
    bool is_batch = strcmp(call->action, "PutRecord") != 0;

    (void)context;
    if (*s == 0)
        *s = (uint32_t)kf_mono_us() | 1;
    answer->delay_us = random_of(s) % 3000;
    if (strstr(call->action, "Describe"))
        return;
    if (strcmp(call->stream, "hanging") == 0) {
        answer->never = true;
        return;
    }
    if (strcmp(call->stream, "denied") == 0 && is_batch && !one_in(s, 4)) {
        fail(answer, 400, "AccessDeniedException");
        return;
    }
    if (strcmp(call->stream, "calm") != 0 && fault(answer, s, call->entry_count))
        return;
    if (has_poison(call)) {
        fail(answer, 400, "InvalidArgumentException");
        return;
    }
    if (strcmp(call->stream, "calm") != 0 && is_batch && one_in(s, 4))
        codes_of_thread(&answer->entry_codes, s, call);
    take(call, answer->entry_codes);
}

/* -------------------------------------------------------------------- the engine */

static kf_shared_t *shared;
static kf_metrics_t *metrics;

typedef struct {
    apr_pool_t *pool;
    kf_process_settings_t process;
    kf_settings_t settings[CONNECTIONS];
    kf_connection_t connections[CONNECTIONS];
    fake_world_t world;
    kf_timing_t timing;
    kf_engine_t *engine;
} rig_t;

static void set_up_settings(rig_t *rig, bool faults)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        kf_settings_t *s = &rig->settings[i];

        *s = *(kf_settings_t *)kf_settings_finish(rig->pool, KF_SCOPE_CONN,
                                                  kf_settings_create(rig->pool, KF_SCOPE_CONN));
        s->stream_name = names[i];
        s->access_key_id = "AKIAIOSFODNN7EXAMPLE";
        s->secret_access_key = "secret";
        s->linger = faults ? 2 * KF_MS : i % 2 ? 0 : KF_MS;
        s->retry_backoff = (kf_times_t){KF_MS, 8 * KF_MS};
        s->retry_limit = 4;
        s->max_in_flight = 4;
        s->service = i == JOINED ? KF_SERVICE_FIREHOSE : KF_SERVICE_STREAMS;
        s->join_records = i == JOINED;
        rig->connections[i] = (kf_connection_t){.name = names[i], .settings = s};
    }
}

static void set_up(rig_t *rig, fake_handler_fn *handler, bool faults)
{
    kf_engine_config_t config;
    const char *error;

    *rig = (rig_t){.world = {.handler = handler}, .timing = KF_TIMING_DEFAULT};
    apr_pool_create(&rig->pool, NULL);
    set_up_settings(rig, faults);
    rig->process = *(kf_process_settings_t *)kf_settings_finish(
        rig->pool, KF_SCOPE_SERVER, kf_settings_create(rig->pool, KF_SCOPE_SERVER));
    rig->process.workers = 3;
    rig->process.queue_size = 4096;
    rig->timing.hold_first_us = 2 * KF_MS;
    rig->timing.hold_cap_us = 8 * KF_MS;
    rig->timing.ask_batch_us = 20 * KF_MS;
    rig->timing.quiet_us = 10 * KF_MS;
    rig->timing.check_us = rig->timing.check_least_us = 20 * KF_MS;
    config = (kf_engine_config_t){.process = &rig->process,
                                  .connections = rig->connections,
                                  .connection_count = CONNECTIONS,
                                  .shared = shared,
                                  .metrics = metrics,
                                  .threaded = true,
                                  .http_factory = fake_http_create,
                                  .http_context = &rig->world,
                                  .timing = &rig->timing};
    rig->engine = kf_engine_start(&config, &error);
    if (!rig->engine) {
        printf("Bail out! %s\n", error);
        exit(1);
    }
}

static void tear_down(rig_t *rig, int64_t timeout_us)
{
    kf_engine_stop(rig->engine, timeout_us);
    if (atomic_load(&rig->world.instances) != 0)
        problem("transfer engines left", atomic_load(&rig->world.instances));
    apr_pool_destroy(rig->pool);
}

static kf_record_t *make_record(int connection, int id, uint32_t padding)
{
    char text[4096];
    int n = snprintf(text, sizeof text, "%0*d %*s", ID_DIGITS, id, (int)padding, "");
    kf_str_t key = connection == JOINED ? (kf_str_t){0} : KF_STR("key");
    kf_record_t *r = kf_record_create((uint16_t)connection, key, (kf_str_t){text, (size_t)n});

    r->accepted_us = kf_wall_us();
    return r;
}

/* ---------------------------------------------------------------------- under load */

static void note_accepted(const int *ids, const int *connections, int n)
{
    for (int i = 0; i < n; i++) {
        atomic_store(&accepted[ids[i]], (unsigned char)(connections[i] + 1));
        if (is_poison(ids[i]))
            atomic_fetch_add(&poisons, 1);
    }
}

/* One request. @return what was said */
static kf_admission_t post(rig_t *rig, uint32_t *s)
{
    int n = 1 + (int)(random_of(s) % 20), ids[20], connections[20];
    int connection = (int)(random_of(s) % CONNECTIONS);
    kf_record_list_t list = {0};
    kf_admission_t said;

    for (int i = 0; i < n; i++) {
        if (i == n / 2 && one_in(s, 3))
            connection = (connection + 1) % CONNECTIONS;
        ids[i] = atomic_fetch_add(&next_id, 1);
        if (ids[i] >= IDS_MAX)
            break;
        connections[i] = connection;
        kf_record_list_add(
            &list, make_record(connection, ids[i], one_in(s, 50) ? 3000 : random_of(s) % 100));
    }
    if (list.count < (uint32_t)n) {
        kf_record_list_clear(&list);
        return KF_CLOSED;
    }
    said = kf_engine_submit(rig->engine, &list);
    if (said == KF_ACCEPTED)
        note_accepted(ids, connections, n);
    kf_record_list_clear(&list);
    return said;
}

typedef struct {
    rig_t *rig;
    uint32_t seed;
} producer_t;

static void *produce(void *context)
{
    producer_t *p = context;
    uint32_t s = p->seed;

    while (!atomic_load(&finished)) {
        kf_admission_t said = post(p->rig, &s);

        if (said == KF_CLOSED)
            break;
        if (said == KF_FULL)
            nap(KF_MS);
        if (one_in(&s, 50))
            nap(300);
    }
    return NULL;
}

static void one_life(uint32_t *s, int64_t for_us)
{
    static const int64_t timeouts_us[] = {0, 20 * KF_MS, 500 * KF_MS};
    producer_t producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    rig_t rig;

    set_up(&rig, service, true);
    atomic_store(&finished, false);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (producer_t){&rig, random_of(s) | 1};
        pthread_create(&threads[i], NULL, produce, &producers[i]);
    }
    nap(for_us);
    if (one_in(s, 2))
        kf_engine_drain(rig.engine);
    if (one_in(s, 2))
        kf_engine_close(rig.engine);
    atomic_store(&finished, true);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    tear_down(&rig, timeouts_us[random_of(s) % 3]);
}

static uint64_t sum(kf_count_t count)
{
    uint64_t n = 0;

    for (int i = 0; i < CONNECTIONS; i++)
        n += kf_metrics_count(metrics, i, count);
    return n;
}

static uint64_t sum_family(kf_metric_family_t family)
{
    uint64_t n = 0;

    for (int i = 0; i < CONNECTIONS; i++)
        n += kf_metrics_family(metrics, i, family);
    return n;
}

static void check_ends(void)
{
    uint64_t accepted_sum = 0, taken_sum = 0;
    int ids = atomic_load(&next_id);

    for (int id = 0; id < ids && id < IDS_MAX; id++) {
        int times = atomic_load(&taken[id]);

        accepted_sum += atomic_load(&accepted[id]) != 0;
        taken_sum += times > 0;
        if (times > 0 && atomic_load(&accepted[id]) == 0)
            problem("taken, never accepted", id);
    }
    printf("# accepted %llu, delivered %llu, dead %llu (poison %d), left %llu, calls %llu, "
           "failed %llu, partial %llu\n",
           (unsigned long long)accepted_sum, (unsigned long long)sum(KF_COUNT_DELIVERED),
           (unsigned long long)sum_family(KF_FAMILY_DEAD), atomic_load(&poisons),
           (unsigned long long)sum(KF_COUNT_LOST), (unsigned long long)sum_family(KF_FAMILY_CALLS),
           (unsigned long long)(sum_family(KF_FAMILY_CALLS) - sum(KF_COUNT_CALLS_OK) -
                                sum(KF_COUNT_CALLS_PARTIAL)),
           (unsigned long long)sum(KF_COUNT_CALLS_PARTIAL));
    if (accepted_sum != sum(KF_COUNT_ACCEPTED))
        problem("accepted counted otherwise", (int)sum(KF_COUNT_ACCEPTED));
    if (accepted_sum != sum(KF_COUNT_DELIVERED) + sum_family(KF_FAMILY_DEAD) + sum(KF_COUNT_LOST))
        problem("ends don't add up", 0);
    /* What the service took while the child ended was taken, but we never learned of it. */
    if (taken_sum < sum(KF_COUNT_DELIVERED))
        problem("delivered, never taken", 0);
    if (sum_family(KF_FAMILY_DEAD) > (uint64_t)atomic_load(&poisons))
        problem("good records given up on", (int)sum_family(KF_FAMILY_DEAD));
}

/* -------------------------------------------------------------------- waking up */

static void service_of_waiters(void *context, const fake_call_t *call, fake_answer_t *answer)
{
    (void)context;
    answer->delay_us = call->entry_count % 3 == 0 ? 50 : 0;
    if (!strstr(call->action, "Describe"))
        take(call, NULL);
}

static atomic_int rounds;

static void *wait_for_each(void *context)
{
    producer_t *p = context;
    uint32_t s = p->seed;

    while (!atomic_load(&finished)) {
        int id = atomic_fetch_add(&next_id, 1), connection = (int)(random_of(&s) % CONNECTIONS);
        int64_t until_us = kf_mono_us() + patient(20 * KF_SEC);
        kf_record_list_t list = {0};

        if (id >= IDS_MAX)
            break;
        kf_record_list_add(&list, make_record(connection, id, 0));
        if (kf_engine_submit(p->rig->engine, &list) != KF_ACCEPTED) {
            problem("not accepted while waiting", id);
            kf_record_list_clear(&list);
            break;
        }
        while (atomic_load(&taken[id]) == 0 && kf_mono_us() < until_us)
            sched_yield();
        if (atomic_load(&taken[id]) == 0) {
            problem("a wake-up was lost", id);
            break;
        }
        atomic_fetch_add(&rounds, 1);
        if (one_in(&s, 4))
            nap(random_of(&s) % 200);
    }
    return NULL;
}

static void wake_ups(uint32_t *s, int64_t for_us)
{
    producer_t producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    int64_t start_us;
    rig_t rig;

    set_up(&rig, service_of_waiters, false);
    start_us = kf_mono_us();
    atomic_store(&finished, false);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (producer_t){&rig, random_of(s) | 1};
        pthread_create(&threads[i], NULL, wait_for_each, &producers[i]);
    }
    while (kf_mono_us() - start_us < for_us && atomic_load(&problems) == 0)
        nap(KF_MS);
    atomic_store(&finished, true);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    tear_down(&rig, KF_SEC);
    printf("# %d records waited for, %d wake-ups\n", atomic_load(&rounds),
           atomic_load(&rig.world.wakes));
}

static void say(const char *name)
{
    printf("%sok %d - %s\n", atomic_load(&problems) ? "not " : "", ++plan, name);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    uint32_t s = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : kf_random_u32();
    void *memory = calloc(1, kf_shared_size(CONNECTIONS)), *kept = NULL;
    int64_t until_us = kf_mono_us() + (int64_t)(seconds / 2 * (double)KF_SEC);

    apr_initialize();
    kf_log_set_sink(quiet);
    shared = kf_shared_init(memory, CONNECTIONS);
    metrics = kf_metrics_open(&kept, names, CONNECTIONS, 1);
    printf("1..2\n# seed %u\n", s);
    s |= 1;
    atomic_store(&next_id, 1);
    while (kf_mono_us() < until_us && atomic_load(&next_id) < IDS_MAX / 2)
        one_life(&s, (int64_t)(random_of(&s) % 400) * KF_MS);
    check_ends();
    say("every record has one end");
    wake_ups(&s, (int64_t)(seconds / 2 * (double)KF_SEC));
    say("no wake-up is lost");
    kf_metrics_close(metrics);
    kf_metrics_discard(&kept);
    free(memory);
    apr_terminate();
    return atomic_load(&problems) != 0;
}
