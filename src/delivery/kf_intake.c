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

    kf_metrics_add(engine->config.metrics, connection, KF_COUNT_REFUSED_FULL, 1);
    atomic_store(&lane->is_full, true);
    kf_alert_begin(&lane->at, KF0202, "%s", "");
    return KF_FULL;
}

static bool has_room(const kf_engine_t *engine, int connection)
{
    return engine->config.journal ? kf_journal_room(engine->config.journal, connection)
                                  : kf_bounds_room(&engine->bounds, connection);
}

static kf_admission_t unusable(const kf_engine_t *engine, int connection)
{
    kf_metrics_add(engine->config.metrics, connection, KF_COUNT_REFUSED_UNUSABLE, 1);
    return KF_CLOSED;
}

kf_admission_t kf_engine_room(const kf_engine_t *engine, const uint16_t *connections, int n)
{
    if (is_closed(engine)) {
        for (int i = 0; i < n; i++)
            kf_metrics_add(engine->config.metrics, connections[i], KF_COUNT_REFUSED_CLOSED, 1);
        return KF_CLOSED;
    }
    for (int i = 0; i < n; i++)
        if (!engine->lanes[connections[i]].target)
            return unusable(engine, connections[i]);
    for (int i = 0; i < n; i++)
        if (!has_room(engine, connections[i]))
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
        uint64_t n = 0, bytes = 0, uploads = 0;

        for (; r && r->connection == connection; r = r->next)
            if (r->kind == KF_RECORD_WINDOW) {
                uploads++;
            } else {
                n++;
                bytes += (uint64_t)r->key_bytes + r->data_bytes;
            }
        kf_metrics_add(engine->config.metrics, connection, KF_COUNT_ACCEPTED, n);
        kf_metrics_add(engine->config.metrics, connection, KF_COUNT_ACCEPTED_BYTES, bytes);
        kf_metrics_add(engine->config.metrics, connection, KF_COUNT_UPLOADS, uploads);
    }
}

/* What is in the journal goes into memory too where there is room, unless older records of its
 * connection wait there: they go first. But not before what leaves windows: those older ones may be
 * uploads that wait until windows have been closed. */
static void remember(kf_engine_t *engine, kf_record_list_t *records, bool from_inside)
{
    kf_record_list_t wanted = {0};

    while (records->first) {
        const kf_lane_t *lane = &engine->lanes[records->first->connection];
        kf_record_list_t run = kf_backlog_take_run(records);

        if ((atomic_load(&lane->is_behind) && !from_inside) ||
            (run.first->kind == KF_RECORD_WINDOW && !kf_backlog_may_file(engine, lane)) ||
            kf_bounds_reserve(&engine->bounds, &run) >= 0)
            kf_backlog_leave(engine, &run);
        else if (run.first->kind == KF_RECORD_WINDOW)
            kf_backlog_file(engine, &run);
        else
            kf_record_list_append(&wanted, &run);
    }
    if (wanted.count > 0)
        kf_intake_enqueue(engine, &wanted);
}

/* Under durability memory: whether the records need the journal all the same. */
static bool must_be_stored(const kf_engine_t *engine, const kf_record_list_t *records)
{
    for (const kf_record_t *r = records->first; r; r = r->next)
        if (r->kind == KF_RECORD_WINDOW || atomic_load(&engine->lanes[r->connection].is_behind))
            return true;
    return false;
}

static kf_admission_t store(kf_engine_t *engine, kf_record_list_t *records, bool from_inside)
{
    int first = records->first->connection;

    if (engine->config.process->durability == KF_DURABILITY_MEMORY &&
        !must_be_stored(engine, records) && kf_bounds_reserve(&engine->bounds, records) < 0) {
        count_accepted(engine, records);
        kf_intake_enqueue(engine, records);
        return KF_ACCEPTED;
    }
    switch (from_inside ? kf_journal_append_moved(engine->config.journal, records)
                        : kf_journal_append(engine->config.journal, records)) {
    case KF_JOURNAL_OK:
        count_accepted(engine, records);
        remember(engine, records, from_inside);
        return KF_ACCEPTED;
    case KF_JOURNAL_FULL:
        /* From inside it is no request: who put it keeps it, and comes again. */
        return from_inside ? KF_FULL : full(engine, first);
    default: /* the journal has said why */
        if (!from_inside)
            kf_metrics_add(engine->config.metrics, first, KF_COUNT_REFUSED_FAILING, 1);
        return KF_FULL;
    }
}

kf_admission_t kf_engine_put(kf_engine_t *engine, kf_record_list_t *records)
{
    return records->count > 0 ? store(engine, records, true) : KF_ACCEPTED;
}

/* They are grouped by connection. */
static kf_admission_t closed(kf_engine_t *engine, const kf_record_list_t *records)
{
    int last = -1;

    for (const kf_record_t *r = records->first; r; r = r->next) {
        if (r->connection != last)
            kf_metrics_add(engine->config.metrics, r->connection, KF_COUNT_REFUSED_CLOSED, 1);
        last = r->connection;
    }
    return KF_CLOSED;
}

static kf_admission_t submit(kf_engine_t *engine, kf_record_list_t *records)
{
    int connection;

    if (is_closed(engine))
        return closed(engine, records);
    for (const kf_record_t *r = records->first; r; r = r->next)
        if (!engine->lanes[r->connection].target)
            return unusable(engine, r->connection);
    if (engine->config.journal)
        return store(engine, records, false);
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
        !(engine->config.journal ? has_room(engine, lane->at.connection)
                                 : kf_bounds_relaxed(&engine->bounds, lane->at.connection)))
        return;
    atomic_store(&lane->is_full, false);
    kf_alert_end(&lane->at, KF0202, KF0203);
}
