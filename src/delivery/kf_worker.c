/* SPDX-License-Identifier: Apache-2.0
 *
 * The workers: each takes what the queue holds, makes the calls that are due, drives its own transfers,
 * sleeps in their poll. Must not know what calls mean. Every worker is like every other; one of those
 * asleep minds the time.
 *
 * When a producer wakes one (kf_wake.h): with the first record while nobody is up, nor will be before
 * anybody's linger is over; otherwise only when there is enough for a call.
 */
#include "delivery/kf_engine_int.h"

/* How often a sleeper looks whether there is room for what waits in the journal. */
#define BACKLOG_US (KF_SEC / 2)
/* A sleep that nothing ends. */
#define SLEEP_MAX_US (600 * KF_SEC)

/* What a worker found to do. */
typedef struct {
    kf_lane_t *lane;   /* NULL: nothing */
    kf_batch_t *batch; /* a call, */
    bool is_check;     /* a look at the stream, */
    kf_outcome_t out;  /* or only something to settle */
    bool is_more;      /* there are further calls due */
} job_t;

static int64_t earlier_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ------------------------------------------------------- under the engine's lock */

static void get_up(kf_worker_t *w)
{
    kf_engine_t *engine = w->engine;

    if (!w->is_up) {
        w->is_up = true;
        engine->up_count++;
        if (engine->watcher == w->index)
            engine->watcher = -1;
        kf_wake_get_up(&engine->wake, w->index);
    }
    kf_wake_arm(&engine->wake, (int64_t)engine->fill_records);
}

/* One connection's records of what was collected. */
static void distribute_run(kf_engine_t *engine, kf_record_list_t *records, kf_now_t now,
                           kf_outcome_t *out)
{
    kf_lane_t *lane = &engine->lanes[records->first->connection];
    kf_record_list_t run = {0};

    while (records->first && records->first->connection == lane->at.connection)
        kf_record_list_add(&run, kf_record_list_take(records));
    kf_destination_add(&lane->destination, &run, now, out);
}

/* Whether it is this child's turn to look at the stream. */
static bool take_check(kf_engine_t *engine, kf_lane_t *lane, int64_t now_us)
{
    kf_stream_check_t *check = &lane->check;
    const kf_timing_t *timing = &engine->timing;
    bool hourly = check->why == KF_CHECK_HOURLY;

    if (!check->is_wanted || check->is_out)
        return false;
    if (lane->destination.check_wanted) {
        lane->destination.check_wanted = false;
        check->why = KF_CHECK_SOON;
        check->due_us = now_us;
    }
    if (now_us < check->due_us || atomic_load(&engine->state) >= KF_STATE_CLOSED)
        return false;
    if (kf_shared_claim(engine->config.shared, lane->at.connection, now_us,
                        hourly ? timing->check_us : timing->check_least_us)) {
        check->is_out = true;
        return true;
    }
    /* Another child did. After a hold what it saw may be out of date. */
    check->due_us =
        now_us + (check->why == KF_CHECK_SOON ? timing->check_least_us : timing->check_us);
    if (check->why == KF_CHECK_START)
        check->why = KF_CHECK_HOURLY;
    return false;
}

static bool look_at(kf_engine_t *engine, kf_lane_t *lane, kf_now_t now, bool flush, job_t *job)
{
    kf_destination_tick(&lane->destination, now, &job->out);
    job->is_check = take_check(engine, lane, now.mono_us);
    if (!job->is_check)
        job->batch = kf_destination_take(&lane->destination, now, flush);
    if (job->batch)
        kf_flight_begin(lane, job->batch);
    if (!job->batch && !job->is_check && job->out.notice_count == 0)
        return false;
    job->lane = lane;
    return true;
}

/* At an end those under way have the rest of the time for their answers. */
static bool may_begin(const kf_engine_t *engine, kf_now_t now)
{
    return now.mono_us < atomic_load(&engine->begin_until_us);
}

/* Whether calls can be made for it: not while keys to sign them are being searched for. */
static bool is_open(const kf_lane_t *lane)
{
    return lane->target && !kf_creds_is_awaited(lane->creds);
}

static void find_job(kf_worker_t *w, kf_now_t now, bool flush, job_t *job)
{
    kf_engine_t *engine = w->engine;

    if (!may_begin(engine, now))
        return;
    for (int i = 0; i < engine->lane_count && !job->is_more; i++) {
        kf_lane_t *lane = &engine->lanes[(w->next_lane + i) % engine->lane_count];

        if (!is_open(lane))
            continue;
        if (job->lane)
            job->is_more = kf_destination_due(&lane->destination, now, flush) <= now.mono_us;
        else if (look_at(engine, lane, now, flush, job))
            job->is_more = kf_destination_due(&lane->destination, now, flush) <= now.mono_us;
    }
    if (job->lane)
        w->next_lane = (job->lane->at.connection + 1) % engine->lane_count;
}

/* The next moment at which there is something to do, and the shortest wait that a new record has. */
static int64_t next_moment(const kf_engine_t *engine, kf_now_t now, bool flush, int64_t *linger_us)
{
    bool checks = atomic_load(&engine->state) < KF_STATE_CLOSED;
    int64_t next_us = KF_NEVER_US;

    *linger_us = flush ? 0 : KF_NEVER_US;
    for (int i = 0; i < engine->lane_count && may_begin(engine, now); i++) {
        const kf_lane_t *lane = &engine->lanes[i];

        if (!is_open(lane))
            continue;
        next_us = earlier_of(next_us, kf_destination_due(&lane->destination, now, flush));
        *linger_us = earlier_of(*linger_us, kf_destination_linger(&lane->destination));
        if (checks && lane->check.is_wanted && !lane->check.is_out)
            next_us = earlier_of(next_us, lane->check.due_us);
    }
    return next_us;
}

/* Whether the lane may still deliver something. What is on hold is not worth waiting for. */
static bool may_deliver(const kf_engine_t *engine, const kf_lane_t *lane, kf_now_t now)
{
    const kf_destination_t *d = &lane->destination;

    return d->in_flight > 0 ||
           (may_begin(engine, now) && !d->hold.on &&
            kf_destination_due(d, now, true) < atomic_load(&engine->begin_until_us));
}

/* Tells stop when nothing more can be delivered before the end. */
static void tell_settled(kf_engine_t *engine, kf_now_t now)
{
    if (!atomic_load(&engine->is_stopping) || engine->is_settled || engine->up_count > 0)
        return;
    if (atomic_load(&engine->wake.waiting) > 0 || atomic_load(&engine->taking) > 0)
        return;
    for (int i = 0; i < engine->lane_count && kf_bounds_records(&engine->bounds) > 0; i++)
        if (engine->lanes[i].target && may_deliver(engine, &engine->lanes[i], now))
            return;
    engine->is_settled = true;
    sem_post(&engine->settled);
}

/* What the queue must hold to fill a call, with what already waits for company. Who has enough for a call
 * and does not make it waits for something else. */
static int64_t wanting(const kf_engine_t *engine)
{
    uint64_t most = 0;

    for (int i = 0; i < engine->lane_count; i++) {
        uint64_t pending = engine->lanes[i].destination.pending.count;

        if (pending > most && pending < engine->fill_records)
            most = pending;
    }
    return (int64_t)(engine->fill_records - most);
}

/* @return how long to poll */
static int64_t lie_down(kf_worker_t *w, kf_now_t now, int state)
{
    kf_engine_t *engine = w->engine;
    int64_t linger_us, until_us = KF_NEVER_US, threshold = wanting(engine);
    int64_t next_us = next_moment(engine, now, state >= KF_STATE_DRAINING, &linger_us);

    w->is_up = false;
    engine->up_count--;
    if (next_us != KF_NEVER_US && (engine->watcher < 0 || next_us < engine->watch_until_us)) {
        engine->watcher = w->index;
        engine->watch_until_us = until_us = next_us;
    }
    if (engine->up_count == 0 &&
        (engine->watcher < 0 || engine->watch_until_us - now.mono_us > linger_us))
        threshold = 1;
    if (!kf_wake_lie_down(&engine->wake, w->index, threshold) ||
        atomic_load(&engine->state) != state) {
        get_up(w);
        return 0;
    }
    tell_settled(engine, now);
    until_us = until_us == KF_NEVER_US ? SLEEP_MAX_US : until_us - now.mono_us;
    if (kf_backlog_waits(engine))
        until_us = earlier_of(until_us, BACKLOG_US);
    return until_us < 0 ? 0 : earlier_of(until_us, SLEEP_MAX_US);
}

/* ---------------------------------------------------------------------- the loop */

/* One connection at a time: what spills goes to the journal as one run. */
static void spill_one(kf_engine_t *engine, kf_now_t now, kf_record_list_t *spilt)
{
    for (int i = 0; i < engine->lane_count && spilt->count == 0; i++)
        if (engine->lanes[i].target)
            kf_backlog_spill(engine, &engine->lanes[i], now, spilt);
}

/* Takes in what is new, and finds something to do or the time to sleep. */
static int64_t pass(kf_worker_t *w, job_t *job)
{
    kf_engine_t *engine = w->engine;
    int state = atomic_load(&engine->state);
    kf_record_list_t collected = {0}, spilt = {0};
    kf_outcome_t too_large = {0};
    int64_t timeout_us = 0;
    bool has_sleepers;
    kf_now_t now;

    atomic_fetch_add(&engine->taking, 1);
    kf_intake_collect(engine, &collected);
    kf_backlog_refill(w, &collected);
    now = kf_now();
    pthread_mutex_lock(&engine->lock);
    get_up(w);
    while (collected.first)
        distribute_run(engine, &collected, now, &too_large);
    atomic_fetch_sub(&engine->taking, 1);
    find_job(w, now, state >= KF_STATE_DRAINING, job);
    spill_one(engine, now, &spilt);
    if (!job->lane)
        timeout_us = lie_down(w, now, state);
    has_sleepers = engine->up_count < engine->worker_count;
    pthread_mutex_unlock(&engine->lock);
    kf_backlog_spilt(engine, &spilt);
    if (too_large.dead || too_large.dead_bare.count > 0)
        kf_settle(engine, &engine->lanes[0], &too_large, NULL);
    if (job->lane && job->is_more && has_sleepers)
        kf_wake_one(&engine->wake);
    return timeout_us;
}

static void work(kf_worker_t *w, job_t *job)
{
    kf_settle(w->engine, job->lane, &job->out, NULL);
    if (job->batch)
        kf_transfer_put(w, job->lane, job->batch);
    else if (job->is_check)
        kf_transfer_check(w, job->lane);
}

static void run(kf_worker_t *w)
{
    kf_http_t *http = w->http;

    while (atomic_load(&w->engine->state) != KF_STATE_ENDING) {
        job_t job = {0};
        int64_t timeout_us = pass(w, &job);

        if (job.lane)
            work(w, &job);
        http->ops->poll(http, timeout_us);
    }
    http->ops->abort_all(http);
}

void *APR_THREAD_FUNC kf_worker_main(apr_thread_t *thread, void *worker)
{
    run(worker);
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}
