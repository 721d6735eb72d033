/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child's engine says of itself at the moment: records and calls that it has, what waits in the
 * journal, since when, what delivery does (kf_metrics.def, scope CHILD). Must not know who reads it.
 * Workers and the keeper run this; the lock is held for a moment a connection.
 */
#include "delivery/kf_engine_int.h"

/* Calls that end this long after gauges were told tell them anew. */
#define TELL_US (250 * KF_MS)
/* Parts of refused calls that are looked at for their age. */
#define PARTS_MAX 64

/* ------------------------------------------------------- under the engine's lock */

static int flights_of(const kf_lane_t *lane)
{
    uint32_t n = lane->destination.config.max_in_flight;

    return n < KF_FLIGHTS_MAX ? (int)n : KF_FLIGHTS_MAX;
}

/* A call's first records are the oldest: what is sent again goes to the front. */
void kf_flight_begin(kf_lane_t *lane, const kf_batch_t *batch)
{
    for (int i = 0; i < flights_of(lane); i++)
        if (!lane->flights[i].batch) {
            lane->flights[i] = (kf_flight_t){.batch = batch,
                                             .records = batch->count,
                                             .oldest_us = batch->records[0]->accepted_us};
            return;
        }
}

void kf_flight_end(kf_lane_t *lane, const kf_batch_t *batch)
{
    for (int i = 0; i < flights_of(lane); i++)
        if (lane->flights[i].batch == batch) {
            lane->flights[i].batch = NULL;
            return;
        }
}

static int64_t older_of(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static int64_t first_of(const kf_record_list_t *list)
{
    return list->first ? list->first->accepted_us : 0;
}

static int64_t oldest_of(const kf_lane_t *lane)
{
    const kf_destination_t *d = &lane->destination;
    int64_t oldest_us = older_of(first_of(&d->pending), first_of(&d->suspects));
    const kf_batch_t *part = d->parts;

    for (int i = 0; i < d->retry_count; i++)
        oldest_us = older_of(oldest_us, first_of(&d->retry[i].records));
    for (int i = 0; part && i < PARTS_MAX; i++, part = part->next)
        if (part->count > 0)
            oldest_us = older_of(oldest_us, part->records[0]->accepted_us);
    for (int i = 0; i < flights_of(lane); i++)
        if (lane->flights[i].batch)
            oldest_us = older_of(oldest_us, lane->flights[i].oldest_us);
    return oldest_us;
}

static kf_delivery_state_t state_of(const kf_destination_t *d, int64_t now_us)
{
    if (d->hold.on)
        return KF_DELIVERY_HOLD;
    if (d->failures > 0 || now_us < d->backoff_until_us)
        return KF_DELIVERY_BACKING_OFF;
    return d->in_flight > 0 || d->pending.count > 0 || d->retry_count > 0 || d->parts
               ? KF_DELIVERY_DELIVERING
               : KF_DELIVERY_IDLE;
}

typedef struct {
    kf_delivery_state_t state;
    bool is_single;
    uint32_t calls;
    uint64_t records;
    int64_t oldest_us;
} look_t;

static look_t look_at(const kf_lane_t *lane, int64_t now_us)
{
    const kf_destination_t *d = &lane->destination;
    look_t look = {.state = state_of(d, now_us),
                   .is_single = d->config.put_mode == KF_PUT_SINGLE || d->is_single,
                   .calls = d->in_flight,
                   .oldest_us = oldest_of(lane)};

    for (int i = 0; i < flights_of(lane); i++)
        if (lane->flights[i].batch)
            look.records += lane->flights[i].records;
    return look;
}

/* ------------------------------------------------------------------------ telling */

static void tell_lane(kf_engine_t *engine, kf_lane_t *lane, int64_t now_us)
{
    kf_metrics_t *metrics = engine->config.metrics;
    int connection = lane->at.connection;
    kf_backlog_t journal = {0};
    uint64_t records = kf_bounds_held(&engine->bounds, connection);
    look_t look;

    pthread_mutex_lock(&engine->lock);
    look = look_at(lane, now_us);
    pthread_mutex_unlock(&engine->lock);
    if (engine->config.journal)
        kf_journal_backlog(engine->config.journal, (uint16_t)connection, &journal);
    kf_metrics_set(metrics, connection, KF_GAUGE_STATE, (int64_t)look.state);
    kf_metrics_set(metrics, connection, KF_GAUGE_PUT_MODE, look.is_single);
    kf_metrics_set(metrics, connection, KF_GAUGE_BACKLOG_RECORDS,
                   (int64_t)(records + journal.records + journal.aside));
    kf_metrics_set(metrics, connection, KF_GAUGE_OLDEST_RECORD,
                   older_of(look.oldest_us, journal.oldest_us));
    kf_metrics_set(metrics, connection, KF_GAUGE_MEMORY_RECORDS, (int64_t)records);
    kf_metrics_set(metrics, connection, KF_GAUGE_MEMORY_BYTES,
                   (int64_t)kf_bounds_bytes(&engine->bounds, connection));
    kf_metrics_set(metrics, connection, KF_GAUGE_JOURNAL_RECORDS,
                   (int64_t)(journal.records + journal.aside));
    kf_metrics_set(metrics, connection, KF_GAUGE_JOURNAL_BYTES,
                   (int64_t)(journal.bytes + journal.aside_bytes));
    kf_metrics_set(metrics, connection, KF_GAUGE_IN_FLIGHT_RECORDS, (int64_t)look.records);
    kf_metrics_set(metrics, connection, KF_GAUGE_IN_FLIGHT_CALLS, (int64_t)look.calls);
}

void kf_engine_tell(kf_engine_t *engine)
{
    int64_t now_us = kf_mono_us();

    atomic_store(&engine->told_us, now_us);
    for (int i = 0; i < engine->lane_count; i++)
        tell_lane(engine, &engine->lanes[i], now_us);
    kf_retry_measure(engine, now_us);
    kf_metrics_beat(engine->config.metrics);
}

void kf_gauges_call_ended(kf_engine_t *engine, bool is_news, int64_t now_us)
{
    int64_t told_us = atomic_load(&engine->told_us);

    if (is_news || (now_us - told_us >= TELL_US &&
                    atomic_compare_exchange_strong(&engine->told_us, &told_us, now_us)))
        kf_engine_tell(engine);
}
