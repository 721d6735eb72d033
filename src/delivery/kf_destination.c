/* SPDX-License-Identifier: Apache-2.0
 *
 * A destination's records before and between calls: taking in, lingering, waiting to be sent again, and
 * what the next call is made of (kf_destination.h). Must not know what replies mean (kf_reaction.c).
 * Runs under the engine's lock.
 */
#include "delivery/kf_destination_int.h"

#include "base/kf_limits.h"

/* After a call could not be made for want of memory. */
#define NO_MEMORY_US (100 * KF_MS)

static uint64_t at_least_one(uint64_t n)
{
    return n > 0 ? n : 1;
}

void kf_destination_configure(kf_destination_config_t *config, const kf_settings_t *settings,
                              uint32_t record_bytes_max, uint32_t call_bytes_max,
                              uint64_t half_records, uint64_t half_bytes, const kf_timing_t *timing)
{
    bool joins = settings->join_records && settings->service == KF_SERVICE_FIREHOSE;
    /* Waiting for more than a part of what the connection may hold would turn senders away while
     * everything waits; half again of the bytes are those of the encoded form. */
    uint64_t records = at_least_one(half_records / 4);
    uint64_t bytes = at_least_one(half_bytes / 8);

    *config = (kf_destination_config_t){
        .linger_us = settings->linger,
        .max_age_us = settings->retry_max_age,
        .backoff_base_us = settings->retry_backoff.base,
        .backoff_cap_us = settings->retry_backoff.cap,
        .max_in_flight = (uint32_t)settings->max_in_flight,
        .retry_limit = (uint32_t)settings->retry_limit,
        .put_mode = settings->put_mode,
        .fill = {.entries_max = KF_CALL_RECORDS_MAX,
                 .call_bytes_max = call_bytes_max,
                 .record_bytes_max = record_bytes_max,
                 .join_max = joins ? KF_FIREHOSE_JOIN_LINES_MAX : 1},
        .timing = *timing,
    };
    config->fill_records =
        records < KF_CALL_RECORDS_MAX || joins ? (uint32_t)records : KF_CALL_RECORDS_MAX;
    config->fill_bytes = bytes < call_bytes_max ? bytes : call_bytes_max;
}

void kf_destination_init(kf_destination_t *d, const kf_destination_config_t *config)
{
    *d = (kf_destination_t){.config = *config};
}

bool kf_destination_single(const kf_destination_t *d)
{
    return d->config.put_mode == KF_PUT_SINGLE || d->is_single;
}

int64_t kf_destination_linger(const kf_destination_t *d)
{
    return kf_destination_single(d) ? 0 : d->config.linger_us;
}

int64_t kf_destination_held_us(const kf_destination_t *d, kf_now_t now)
{
    if (d->hold.on)
        return d->held_sum_us + now.mono_us - d->hold.since_us;
    return d->held_sum_us + (d->is_inherited ? now.mono_us - d->inherited_us : 0);
}

void kf_destination_new_epoch(kf_destination_t *d)
{
    d->epoch++;
    d->in_flight_epoch = 0;
}

/* When the first of the pending records began to wait. Records carry the wall clock, which may jump:
 * its word counts within the linger only. */
static int64_t waiting_since(const kf_destination_t *d, kf_now_t now)
{
    int64_t waited = now.wall_us - d->pending.first->accepted_us;

    if (waited < 0)
        waited = 0;
    if (waited > d->config.linger_us)
        waited = d->config.linger_us;
    return now.mono_us - waited;
}

/* The journal does not know what a record that it gave back has waited through: it was there for every
 * hold since it was accepted. */
static void credit_holds(const kf_destination_t *d, kf_record_t *r, kf_now_t now)
{
    int64_t begun_us = d->hold.on        ? d->hold.since_wall_us
                       : d->is_inherited ? d->inherited_wall_us
                                         : now.wall_us;
    int64_t held_us = kf_hold_spans_within(&d->past, r->accepted_us, begun_us);
    int64_t from_us = r->accepted_us > begun_us ? r->accepted_us : begun_us;

    if (now.wall_us > from_us)
        held_us += now.wall_us - from_us;
    if (r->held_us < held_us)
        r->held_us = held_us;
}

void kf_destination_add(kf_destination_t *d, kf_record_list_t *records, kf_now_t now,
                        kf_outcome_t *out)
{
    int64_t held_us = kf_destination_held_us(d, now);
    bool was_empty = d->pending.count == 0;
    kf_record_t *r;

    while ((r = kf_record_list_take(records)) != NULL) {
        if (r->too_large) {
            kf_outcome_dead(out, r, KF_DEAD_TOO_LARGE, "", NULL);
            continue;
        }
        credit_holds(d, r, now);
        /* Only the holds from here on count; see kf_destination_leave. */
        r->held_us -= held_us;
        if (r->attempts >= d->config.retry_limit)
            d->over_limit++;
        kf_record_list_add(&d->pending, r);
    }
    if (was_empty && d->pending.count > 0)
        d->pending_since_us = waiting_since(d, now);
}

void kf_destination_requeue(kf_destination_t *d, kf_record_list_t *records, int64_t now_us)
{
    if (records->count == 0)
        return;
    kf_list_prepend(&d->pending, records);
    d->pending_since_us = now_us - d->config.linger_us;
}

void kf_destination_retry_at(kf_destination_t *d, int64_t due_us, kf_record_t *record)
{
    kf_retry_slot_t *latest = NULL, *later = NULL, *slot = NULL;

    for (int i = 0; i < d->retry_count && !slot; i++) {
        kf_retry_slot_t *s = &d->retry[i];

        if (s->due_us == due_us)
            slot = s;
        if (s->due_us > due_us && (!later || s->due_us < later->due_us))
            later = s;
        if (!latest || s->due_us > latest->due_us)
            latest = s;
    }
    if (!slot && d->retry_count < KF_RETRY_SLOTS) {
        slot = &d->retry[d->retry_count++];
        *slot = (kf_retry_slot_t){.due_us = due_us};
    }
    if (!slot)
        slot = later ? later : latest;
    kf_record_list_add(&slot->records, record);
}

/* What was to be sent again by now is pending; it may wait for company once more. */
static void collect_retries(kf_destination_t *d, int64_t now_us)
{
    for (int i = d->retry_count - 1; i >= 0; i--) {
        if (d->retry[i].due_us > now_us)
            continue;
        if (d->pending.count == 0)
            d->pending_since_us = now_us;
        kf_list_prepend(&d->pending, &d->retry[i].records);
        d->retry[i] = d->retry[--d->retry_count];
    }
}

static bool is_full(const kf_destination_t *d)
{
    return d->pending.count >= d->config.fill_records || d->pending.bytes >= d->config.fill_bytes;
}

/* When the pending records are worth a call, backoff aside. */
static int64_t pending_due(const kf_destination_t *d, int64_t now_us, bool flush)
{
    if (d->pending.count == 0)
        return KF_NEVER_US;
    if (flush || is_full(d))
        return now_us;
    return d->pending_since_us + kf_destination_linger(d);
}

/* Whether one more call may be in flight. After a failure one goes first and tells. */
static bool may_start(const kf_destination_t *d)
{
    return d->in_flight < d->config.max_in_flight && (d->failures == 0 || d->in_flight_epoch == 0);
}

static kf_batch_t *take_pending(kf_destination_t *d, kf_now_t now)
{
    kf_fill_t fill = d->config.fill;
    bool asks = d->is_single && !d->asking_batch && now.mono_us >= d->ask_batch_us;
    kf_batch_t *batch;

    if (kf_destination_single(d) && !asks)
        fill.entries_max = fill.join_max = 1;
    batch = kf_batch_take(&d->pending, &fill);
    if (!batch) {
        d->backoff_until_us = now.mono_us + NO_MEMORY_US;
        return NULL;
    }
    batch->asks_batch = asks;
    if (d->pending.count > 0) {
        int64_t since_us = waiting_since(d, now);

        if (since_us > d->pending_since_us)
            d->pending_since_us = since_us;
    }
    return batch;
}

static kf_batch_t *take_part(kf_destination_t *d)
{
    kf_batch_t *part = d->parts;

    d->parts = part->next;
    part->next = NULL;
    return part;
}

kf_batch_t *kf_destination_take(kf_destination_t *d, kf_now_t now, bool flush)
{
    kf_batch_t *batch;

    collect_retries(d, now.mono_us);
    if (!may_start(d) || now.mono_us < d->backoff_until_us)
        return NULL;
    if (d->hold.on)
        batch = kf_hold_probe(d, now.mono_us);
    else if (d->parts)
        batch = take_part(d);
    else if (pending_due(d, now.mono_us, flush) <= now.mono_us)
        batch = take_pending(d, now);
    else
        return NULL;
    if (!batch)
        return NULL;
    batch->op = kf_destination_single(d) && !batch->asks_batch ? KF_OP_PUT : KF_OP_PUT_BATCH;
    batch->epoch = d->epoch;
    batch->offset_us = d->offset_us;
    d->in_flight++;
    d->in_flight_epoch++;
    d->asking_batch |= batch->asks_batch;
    return batch;
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t call_due(const kf_destination_t *d, int64_t now_us, bool flush)
{
    int64_t due_us = KF_NEVER_US;

    if (!may_start(d))
        return KF_NEVER_US;
    if (d->hold.on) {
        if (!d->hold.probing && (d->pending.count > 0 || d->suspects.count > 0))
            due_us = d->hold.probe_us;
    } else if (d->parts) {
        due_us = now_us;
    } else {
        due_us = pending_due(d, now_us, flush);
    }
    return due_us == KF_NEVER_US ? due_us : later_of(due_us, d->backoff_until_us);
}

int64_t kf_destination_due(const kf_destination_t *d, kf_now_t now, bool flush)
{
    int64_t due_us = call_due(d, now.mono_us, flush);

    for (int i = 0; i < d->retry_count; i++)
        due_us = earlier_of(due_us, d->retry[i].due_us);
    for (int i = 0; i < KF_TROUBLES; i++)
        if (d->troubles[i].raised && d->troubles[i].better)
            due_us = earlier_of(due_us, d->troubles[i].seen_us + d->config.timing.quiet_us);
    return due_us;
}

void kf_destination_landed(kf_destination_t *d, const kf_batch_t *batch)
{
    d->in_flight--;
    if (batch->epoch == d->epoch)
        d->in_flight_epoch--;
    if (batch->is_probe)
        d->hold.probing = false;
    if (batch->asks_batch)
        d->asking_batch = false;
}

void kf_destination_return(kf_destination_t *d, kf_batch_t *batch, kf_now_t now)
{
    kf_record_list_t records = {0};

    kf_destination_landed(d, batch);
    if (batch->is_part) {
        batch->next = d->parts;
        d->parts = batch;
        return;
    }
    kf_batch_put_back(batch, &records);
    kf_destination_requeue(d, &records, now.mono_us);
    kf_batch_free(batch);
}

void kf_destination_clear(kf_destination_t *d, kf_now_t now, kf_record_list_t *out)
{
    kf_record_list_t left = {0};
    int64_t held_us = kf_destination_held_us(d, now);

    kf_record_list_append(&left, &d->pending);
    kf_record_list_append(&left, &d->suspects);
    for (int i = 0; i < d->retry_count; i++)
        kf_record_list_append(&left, &d->retry[i].records);
    d->retry_count = 0;
    kf_isolate_clear(d, &left);
    for (kf_record_t *r = left.first; r; r = r->next)
        r->held_us += held_us;
    kf_record_list_append(out, &left);
}

void kf_destination_spill(kf_destination_t *d, kf_now_t now, uint32_t keep, kf_record_list_t *out)
{
    kf_record_list_t kept = {0};
    int64_t held_us = kf_destination_held_us(d, now);

    while (d->pending.first && kept.count < keep)
        kf_record_list_add(&kept, kf_record_list_take(&d->pending));
    for (kf_record_t *r = d->pending.first; r; r = r->next)
        r->held_us += held_us;
    kf_record_list_append(out, &d->pending);
    d->pending = kept;
}

void kf_destination_unspill(kf_destination_t *d, kf_record_list_t *records, kf_now_t now)
{
    int64_t held_us = kf_destination_held_us(d, now);

    if (d->pending.count == 0)
        d->pending_since_us = now.mono_us;
    for (kf_record_t *r = records->first; r; r = r->next)
        r->held_us -= held_us;
    kf_record_list_append(&d->pending, records);
}

void kf_destination_defer(kf_destination_t *d, kf_record_t *record, int64_t due_us, kf_now_t now)
{
    record->held_us -= kf_destination_held_us(d, now);
    kf_destination_retry_at(d, due_us, record);
}
