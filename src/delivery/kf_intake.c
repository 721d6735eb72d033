/* SPDX-License-Identifier: Apache-2.0
 *
 * From request threads into the queue, and out of it (kf_engine.h: room, submit). Must not know
 * destinations. Request threads run this; collect and relax are the workers'.
 *
 * An element of the queue is the chain of all records of one request, so that a request is one push
 * whatever it holds, and is in or out as a whole.
 */
#include <signal.h>

#include "delivery/kf_engine_int.h"

/* Records taken out in one pass, so that the lock is held for moments. */
#define COLLECT_MAX 2048

static bool is_closed(const kf_engine_t *engine)
{
    return atomic_load(&engine->state) >= KF_STATE_CLOSED;
}

static kf_admission_t full(kf_engine_t *engine, int connection)
{
    kf_lane_t *lane = &engine->lanes[connection];

    kf_shared_add(engine->config.shared, connection, KF_COUNT_REFUSED_FULL, 1);
    if (!atomic_exchange(&lane->is_full, true))
        kf_alert_begin(&lane->at, KF0202, "%s", "");
    return KF_FULL;
}

kf_admission_t kf_engine_room(const kf_engine_t *engine, const uint16_t *connections, int n)
{
    if (is_closed(engine))
        return KF_CLOSED;
    for (int i = 0; i < n; i++)
        if (!engine->lanes[connections[i]].target)
            return KF_CLOSED;
    for (int i = 0; i < n; i++)
        if (!kf_bounds_room(&engine->bounds, connections[i]))
            return full((kf_engine_t *)engine, connections[i]);
    return KF_ACCEPTED;
}

/* What a chain counts towards filling a call: records, or bytes where they fill it sooner. */
static int64_t weight_of(const kf_engine_t *engine, uint64_t records, uint64_t bytes)
{
    uint64_t by_bytes = bytes * engine->fill_records / engine->fill_bytes;

    return (int64_t)(records > by_bytes ? records : by_bytes);
}

void kf_intake_enqueue(kf_engine_t *engine, kf_record_list_t *records)
{
    int64_t weight = weight_of(engine, records->count, records->bytes);
    kf_record_t *chain = records->first;

    *records = (kf_record_list_t){0};
    /* As many places as records may be reserved: the queue is never full. */
    while (apr_queue_trypush(engine->queue, chain) != APR_SUCCESS)
        ;
    kf_wake_pushed(&engine->wake, weight);
}

static void count_accepted(kf_engine_t *engine, const kf_record_list_t *records)
{
    for (const kf_record_t *r = records->first; r;) {
        int connection = r->connection;
        uint64_t n = 0;

        for (; r && r->connection == connection; r = r->next)
            n++;
        kf_shared_add(engine->config.shared, connection, KF_COUNT_ACCEPTED, n);
    }
}

static kf_admission_t submit(kf_engine_t *engine, kf_record_list_t *records)
{
    int connection;

    if (is_closed(engine))
        return KF_CLOSED;
    for (const kf_record_t *r = records->first; r; r = r->next)
        if (!engine->lanes[r->connection].target)
            return KF_CLOSED;
    connection = kf_bounds_reserve(&engine->bounds, records);
    if (connection >= 0)
        return full(engine, connection);
    count_accepted(engine, records);
    kf_intake_enqueue(engine, records);
    return KF_ACCEPTED;
}

kf_admission_t kf_engine_submit(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_admission_t admission;
    sigset_t ending, before;

    if (records->count == 0)
        return is_closed(engine) ? KF_CLOSED : KF_ACCEPTED;
    if (engine->config.threaded)
        return submit(engine, records);
    /* The end of a prefork child runs its cleanups on this very thread, out of a signal: not while
     * the queue's lock is taken. */
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &ending, &before);
    admission = submit(engine, records);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return admission;
}

int kf_engine_retry_after(const kf_engine_t *engine)
{
    return is_closed(engine) ? 1 : 1 + (int)(kf_random_u32() % 4);
}

void kf_intake_collect(kf_engine_t *engine, kf_record_list_t *records)
{
    int64_t weight = 0;
    void *element;

    if (atomic_load(&engine->wake.waiting) <= 0)
        return;
    while (records->count < COLLECT_MAX &&
           apr_queue_trypop(engine->queue, &element) == APR_SUCCESS) {
        uint32_t count = records->count;
        uint64_t bytes = records->bytes;

        for (kf_record_t *r = element, *next; r; r = next) {
            next = r->next;
            kf_record_list_add(records, r);
        }
        weight += weight_of(engine, records->count - count, records->bytes - bytes);
    }
    kf_wake_popped(&engine->wake, weight);
}

void kf_intake_relax(kf_engine_t *engine, kf_lane_t *lane)
{
    if (!atomic_load_explicit(&lane->is_full, memory_order_relaxed) ||
        !kf_bounds_relaxed(&engine->bounds, lane->at.connection))
        return;
    atomic_store(&lane->is_full, false);
    kf_alert_end(&lane->at, KF0202, KF0203);
}
