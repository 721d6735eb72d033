/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's life: start, drain, close, stop (kf_engine.h). Must not know how records are delivered.
 * The child's main thread runs this; drain and close also run in signal context, so they touch atomics
 * and a transfer engine's wake, nothing else.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/kf_limits.h"
#include "delivery/kf_engine_int.h"

#define NO_MEMORY "out of memory"
/* Between two looks whether there is a hurry. */
#define HURRY_US (100 * KF_MS)
/* What a connection in trouble keeps in memory for its probes, at least. */
#define FEW_RECORDS 8

static void wake_worker(void *context, int worker)
{
    kf_engine_t *engine = context;
    kf_http_t *http = engine->workers[worker].http;

    http->ops->wake(http);
}

/* --------------------------------------------------------------------------- start */

/* Half, or where there are many connections twice what each may hold when all are busy (kf_bounds.h). */
static uint64_t lane_part(const kf_engine_t *engine, uint64_t max)
{
    uint64_t part = 2 * max / ((uint64_t)engine->lane_count + 1);

    return part < max / 2 ? part : max / 2;
}

static bool start_lane(kf_engine_t *engine, int index, const char **error)
{
    const kf_connection_t *connection = &engine->config.connections[index];
    const kf_settings_t *settings = connection->settings;
    kf_lane_t *lane = &engine->lanes[index];
    kf_destination_config_t config;

    lane->at = (kf_alert_at_t){engine->config.shared, index, connection->name};
    lane->drain_rate = -1;
    if (connection->unusable)
        return true;
    lane->target = kf_target_resolve(engine->pool, settings, error);
    if (!lane->target)
        return false;
    lane->creds = kf_creds_create(engine->creds, settings, index);
    if (!lane->creds) {
        *error = NO_MEMORY;
        return false;
    }
    kf_destination_configure(&config, settings, lane->target->service->record_bytes_max,
                             lane->target->service->call_bytes_max,
                             lane_part(engine, engine->bounds.records_max),
                             lane_part(engine, engine->bounds.bytes_max), &engine->timing);
    kf_destination_init(&lane->destination, &config);
    if (engine->config.holds)
        kf_destination_know_hold(&lane->destination, &engine->config.holds[index], kf_now());
    lane->check.is_wanted = lane->target->service->action[KF_OP_DESCRIBE] != NULL;
    lane->check.due_us = kf_mono_us();
    if (config.fill_records < engine->fill_records)
        engine->fill_records = config.fill_records;
    if (config.fill_bytes < engine->fill_bytes)
        engine->fill_bytes = config.fill_bytes;
    return true;
}

/* A search for a connection's credentials has ended: what waits for them goes on. */
static void hear_of_creds(void *context, int connection, const kf_creds_news_t *news)
{
    kf_engine_t *engine = context;
    kf_lane_t *lane = &engine->lanes[connection];

    if (news->found)
        kf_alert_end(&lane->at, KF0408, KF0409);
    else if (news->is_grave)
        kf_alert_begin(&lane->at, KF0408, "%s%s",
                       news->has_keys ? "those at hand are used as long as AWS takes them; " : "",
                       news->report);
    pthread_mutex_lock(&engine->lock);
    if (news->changed)
        kf_destination_look_again(&lane->destination, kf_now());
    pthread_mutex_unlock(&engine->lock);
    kf_wake_one(&engine->wake);
}

static bool start_creds(kf_engine_t *engine)
{
    kf_creds_set_config_t config = {.http_factory = engine->config.http_factory,
                                    .http_context = engine->config.http_context,
                                    .told = hear_of_creds,
                                    .told_context = engine,
                                    .thread_stack_bytes = engine->config.thread_stack_bytes};

    engine->creds = kf_creds_set_create(&config);
    return engine->creds != NULL;
}

static bool start_lanes(kf_engine_t *engine, const char **error)
{
    engine->lane_count = engine->config.connection_count;
    engine->lanes = calloc((size_t)engine->lane_count + 1, sizeof *engine->lanes);
    if (!engine->lanes || !start_creds(engine)) {
        *error = NO_MEMORY;
        return false;
    }
    engine->fill_records = KF_CALL_RECORDS_MAX;
    engine->fill_bytes = KF_STREAMS_CALL_BYTES_MAX;
    for (int i = 0; i < engine->lane_count; i++)
        if (!start_lane(engine, i, error))
            return false;
    return true;
}

static bool start_workers(kf_engine_t *engine, const char **error)
{
    int64_t wanted = engine->config.process->workers;

    engine->worker_count = wanted < KF_WORKERS_MAX ? (int)wanted : KF_WORKERS_MAX;
    engine->workers = calloc((size_t)engine->worker_count, sizeof *engine->workers);
    if (!engine->workers) {
        *error = NO_MEMORY;
        return false;
    }
    for (int i = 0; i < engine->worker_count; i++) {
        kf_worker_t *w = &engine->workers[i];

        *w = (kf_worker_t){.engine = engine, .index = i, .next_lane = i, .is_up = true};
        w->signers = calloc((size_t)engine->lane_count + 1, sizeof *w->signers);
        w->behind = calloc((size_t)engine->lane_count + 1, sizeof *w->behind);
        w->wants = calloc((size_t)engine->lane_count + 1, sizeof *w->wants);
        w->http = engine->config.http_factory(engine->config.http_context);
        if (!w->signers || !w->behind || !w->wants || !w->http) {
            *error = "a worker's HTTP transfers could not be set up";
            return false;
        }
    }
    engine->up_count = engine->worker_count;
    return true;
}

/* Signals stay with the server's own threads. */
static bool start_threads(kf_engine_t *engine, const char **error)
{
    apr_threadattr_t *attributes;
    sigset_t all, before;
    apr_status_t status = apr_threadattr_create(&attributes, engine->pool);

    if (status == APR_SUCCESS && engine->config.thread_stack_bytes > 0)
        status = apr_threadattr_stacksize_set(attributes, engine->config.thread_stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < engine->worker_count && status == APR_SUCCESS; i++) {
        kf_worker_t *w = &engine->workers[i];

        status = apr_thread_create(&w->thread, attributes, kf_worker_main, w, engine->pool);
        /* APR leaves one there that was never started, nor can be joined. */
        if (status != APR_SUCCESS)
            w->thread = NULL;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == APR_SUCCESS)
        return true;
    kf_log(KF0302, "%s (%d)", kf_msg_info(KF0302)->text, status);
    *error = "a worker thread could not be started";
    return false;
}

/* A pool of the engine's own: the child's belongs to the server's threads and may have no lock. */
static bool start_pool(kf_engine_t *engine)
{
    apr_allocator_t *allocator;
    apr_thread_mutex_t *mutex;

    if (apr_allocator_create(&allocator) != APR_SUCCESS)
        return false;
    if (apr_pool_create_ex(&engine->pool, NULL, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return false;
    }
    apr_allocator_owner_set(allocator, engine->pool);
    apr_pool_tag(engine->pool, "kf_engine");
    if (apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, engine->pool) != APR_SUCCESS)
        return false;
    apr_allocator_mutex_set(allocator, mutex);
    return true;
}

static uint64_t at_least(uint64_t n, uint64_t least)
{
    return n > least ? n : least;
}

static bool start_all(kf_engine_t *engine, const char **error)
{
    const kf_process_settings_t *process = engine->config.process;

    *error = NO_MEMORY;
    if (!start_pool(engine) ||
        !kf_bounds_init(&engine->bounds, (uint64_t)process->queue_size,
                        (uint64_t)process->queue_bytes, engine->config.connection_count) ||
        apr_queue_create(&engine->queue, (unsigned int)process->queue_size, engine->pool) !=
            APR_SUCCESS)
        return false;
    engine->few_records = at_least(engine->bounds.records_max / 64, FEW_RECORDS);
    engine->few_bytes = at_least(engine->bounds.bytes_max / 64, 1);
    if (!start_lanes(engine, error) || !start_workers(engine, error))
        return false;
    if (engine->config.journal)
        kf_engine_look_behind(engine);
    return start_threads(engine, error) && kf_creds_set_start(engine->creds, error);
}

static kf_engine_t *create(const kf_engine_config_t *config)
{
    kf_engine_t *engine = aligned_alloc(_Alignof(kf_engine_t), sizeof *engine);

    if (!engine)
        return NULL;
    *engine = (kf_engine_t){.config = *config,
                            .timing = KF_TIMING_DEFAULT,
                            .begin_until_us = KF_NEVER_US,
                            .watcher = -1};
    if (config->timing)
        engine->timing = *config->timing;
    pthread_mutex_init(&engine->lock, NULL);
    sem_init(&engine->settled, 0, 0);
    kf_wake_init(&engine->wake, wake_worker, engine);
    return engine;
}

kf_engine_t *kf_engine_start(const kf_engine_config_t *config, const char **error)
{
    static char kept[256];
    kf_engine_t *engine = create(config);

    *error = NO_MEMORY;
    if (!engine)
        return NULL;
    if (start_all(engine, error)) {
        kf_log(KF0301, "%d worker(s), %d connection(s)", engine->worker_count, engine->lane_count);
        return engine;
    }
    /* It may be text of the pool that goes now. */
    snprintf(kept, sizeof kept, "%s", *error);
    *error = kept;
    kf_engine_stop(engine, 0);
    return NULL;
}

/* --------------------------------------------------------------------- drain, close */

static void raise_state(kf_engine_t *engine, int to)
{
    int now = atomic_load(&engine->state);

    while (now < to && !atomic_compare_exchange_weak(&engine->state, &now, to))
        ;
}

void kf_engine_drain(kf_engine_t *engine)
{
    raise_state(engine, KF_STATE_DRAINING);
    kf_wake_one(&engine->wake);
}

/* A call that is begun later than this would be given up before AWS has had time to answer it. */
static void begin_calls_until(kf_engine_t *engine, int64_t us)
{
    int64_t now = atomic_load(&engine->begin_until_us);

    while (us < now && !atomic_compare_exchange_weak(&engine->begin_until_us, &now, us))
        ;
}

void kf_engine_close(kf_engine_t *engine)
{
    begin_calls_until(engine, kf_mono_us() + engine->config.process->shutdown_timeout / 2);
    raise_state(engine, KF_STATE_CLOSED);
    kf_wake_one(&engine->wake);
}

/* ---------------------------------------------------------------------------- stop */

static void wake_all(kf_engine_t *engine)
{
    for (int i = 0; i < engine->worker_count && engine->workers; i++)
        if (engine->workers[i].thread)
            wake_worker(engine, i);
}

static bool is_hurried(const kf_engine_t *engine)
{
    return engine->config.hurry && atomic_load(engine->config.hurry);
}

/* The clock that is waited by, whatever a test has in place of it. */
static int64_t waiting_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * KF_SEC + now.tv_nsec / 1000;
}

/* @return whether it was said */
static bool await_settled_until(kf_engine_t *engine, int64_t until_us, bool hurried)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / KF_SEC),
                             .tv_nsec = (long)(until_us % KF_SEC * 1000)};
    int rc;

    do
        rc = sem_clockwait(&engine->settled, CLOCK_MONOTONIC, &until);
    while (rc != 0 && errno == EINTR && (hurried || !is_hurried(engine)));
    return rc == 0;
}

/* Calls under way have the time that any call has at an end. @return when it is over */
static int64_t hurry(kf_engine_t *engine, int64_t now_us, int64_t end_us)
{
    int64_t hurried_us = now_us + engine->config.process->shutdown_timeout / 2;

    kf_log(KF0308, "%s", kf_msg_info(KF0308)->text);
    begin_calls_until(engine, kf_mono_us());
    wake_all(engine);
    return hurried_us < end_us ? hurried_us : end_us;
}

/* Waits until the workers say that nothing more can be done, or the time is up, of which there is less once
 * there is a hurry: that may begin between two looks at it. No lock: on prefork this runs out of a signal. */
static void await_settled(kf_engine_t *engine, int64_t timeout_us)
{
    int64_t now_us = waiting_us(), end_us = now_us + timeout_us;
    bool hurried = false;

    while (now_us < end_us) {
        if (!hurried && is_hurried(engine)) {
            hurried = true;
            end_us = hurry(engine, now_us, end_us);
        }
        int64_t look_us = hurried || now_us + HURRY_US > end_us ? end_us : now_us + HURRY_US;
        if (await_settled_until(engine, look_us, hurried))
            return;
        now_us = waiting_us();
    }
}

static void join_all(kf_engine_t *engine)
{
    apr_status_t ignored;

    raise_state(engine, KF_STATE_ENDING);
    wake_all(engine);
    for (int i = 0; i < engine->worker_count && engine->workers; i++)
        if (engine->workers[i].thread)
            apr_thread_join(&ignored, engine->workers[i].thread);
    if (engine->creds)
        kf_creds_set_stop(engine->creds);
}

/* Everything that is left anywhere, as one list. The workers are gone. */
static void collect_left(kf_engine_t *engine, kf_record_list_t *left)
{
    void *element;

    while (engine->queue && apr_queue_trypop(engine->queue, &element) == APR_SUCCESS)
        for (kf_record_t *r = element, *next; r; r = next) {
            next = r->next;
            kf_record_list_add(left, r);
        }
    for (int i = 0; i < engine->lane_count && engine->lanes; i++)
        kf_destination_clear(&engine->lanes[i].destination, kf_now(), left);
}

/* What memory held and the journal does not: put there, though nobody was promised it. */
static void store_left(kf_engine_t *engine, kf_record_list_t *left)
{
    kf_record_list_t all = *left, lost = {0};

    *left = (kf_record_list_t){0};
    while (all.first) {
        kf_record_list_t run = kf_backlog_take_run(&all);

        if (!kf_backlog_leave(engine, &run))
            kf_record_list_append(&lost, &run);
    }
    *left = lost;
}

static void report_left(kf_engine_t *engine, const kf_record_list_t *left)
{
    kf_buf_t text;

    kf_buf_init(&text, 1024);
    for (int i = 0; i < engine->lane_count; i++) {
        uint64_t n = 0;

        for (const kf_record_t *r = left->first; r; r = r->next)
            n += r->connection == i;
        if (n == 0)
            continue;
        kf_buf_printf(&text, "%s%s %llu", text.n > 0 ? ", " : "", engine->lanes[i].at.name,
                      (unsigned long long)n);
        kf_metrics_add(engine->config.metrics, i, KF_COUNT_LOST, n);
    }
    kf_log(KF0303, "%u record(s) left: %.*s", left->count, (int)text.n, text.p ? text.p : "");
    kf_buf_free(&text);
}

static void free_workers(kf_engine_t *engine)
{
    for (int i = 0; i < engine->worker_count && engine->workers; i++) {
        kf_worker_t *w = &engine->workers[i];

        if (w->http)
            w->http->ops->destroy(w->http);
        for (int lane = 0; lane < engine->lane_count && w->signers; lane++)
            kf_sigv4_forget(&w->signers[lane]);
        free(w->signers);
        free(w->behind);
        free(w->wants);
    }
    free(engine->workers);
}

static void free_engine(kf_engine_t *engine)
{
    free_workers(engine);
    kf_creds_set_destroy(engine->creds);
    free(engine->lanes);
    kf_bounds_free(&engine->bounds);
    if (engine->pool)
        apr_pool_destroy(engine->pool);
    sem_destroy(&engine->settled);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

void kf_engine_stop(kf_engine_t *engine, int64_t timeout_us)
{
    kf_record_list_t left = {0};

    begin_calls_until(engine, kf_mono_us() + timeout_us / 2);
    atomic_store(&engine->is_stopping, true);
    raise_state(engine, KF_STATE_CLOSED);
    wake_all(engine);
    if (engine->workers && timeout_us > 0)
        await_settled(engine, timeout_us);
    join_all(engine);
    collect_left(engine, &left);
    if (engine->config.journal)
        store_left(engine, &left);
    if (left.count > 0)
        report_left(engine, &left);
    kf_record_list_clear(&left);
    free_engine(engine);
}
