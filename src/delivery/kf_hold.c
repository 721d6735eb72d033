/* SPDX-License-Identifier: Apache-2.0
 *
 * A destination on hold: an operator must act, nothing is dropped, one record at a time asks at growing
 * intervals whether it is over. Must not know which errors put a destination on hold (kf_reaction.c).
 * Runs under the engine's lock.
 */
#include "delivery/kf_destination_int.h"

bool kf_hold_is_older(const kf_destination_t *d, const kf_batch_t *batch)
{
    return (int32_t)(batch->epoch - d->hold.epoch) < 0;
}

static void begin(kf_destination_t *d, const kf_end_t *end)
{
    kf_destination_new_epoch(d);
    d->hold.on = true;
    d->hold.probes = 0;
    d->hold.epoch = d->epoch;
    d->hold.since_us = end->now.mono_us;
    d->hold.interval_us = d->config.timing.hold_first_us;
    kf_outcome_begin(end->out, KF0306, 0, end->verdict->code);
    kf_isolate_dissolve(d, end);
}

void kf_hold_on(kf_destination_t *d, const kf_batch_t *batch, bool refused, const kf_end_t *end)
{
    if (kf_hold_is_older(d, batch)) {
        if (!d->hold.on)
            kf_destination_requeue(d, &d->suspects, end->now.mono_us);
        return;
    }
    if (!d->hold.on) {
        begin(d, end);
    } else {
        d->hold.interval_us *= 2;
        if (d->hold.interval_us > d->config.timing.hold_cap_us)
            d->hold.interval_us = d->config.timing.hold_cap_us;
    }
    d->hold.refused = refused;
    d->hold.probe_us = end->now.mono_us + d->hold.interval_us;
}

void kf_hold_over(kf_destination_t *d, const kf_end_t *end)
{
    d->held_sum_us = kf_destination_held_us(d, end->now);
    d->hold.on = false;
    d->failures = 0;
    d->backoff_until_us = 0;
    d->check_wanted = true;
    kf_outcome_end(end->out, KF0306);
    kf_isolate_suspects(d, end->now.mono_us);
}

void kf_destination_look_again(kf_destination_t *d, kf_now_t now)
{
    if (d->hold.on)
        d->hold.probe_us = now.mono_us;
}

kf_batch_t *kf_hold_probe(kf_destination_t *d, int64_t now_us)
{
    kf_fill_t fill = d->config.fill;
    kf_batch_t *batch;

    if (d->hold.probing || now_us < d->hold.probe_us)
        return NULL;
    fill.entries_max = fill.join_max = 1;
    /* What was not refused yet comes first: if the records were at fault after all, it tells. */
    batch = kf_batch_take(d->pending.count > 0 ? &d->pending : &d->suspects, &fill);
    if (!batch) {
        d->hold.probe_us = now_us + d->hold.interval_us;
        return NULL;
    }
    batch->is_probe = true;
    /* Where both operations were denied either may be allowed first. */
    batch->asks_batch = d->is_single && !d->asking_batch && d->hold.probes % 2 == 1;
    d->hold.probing = true;
    d->hold.probes++;
    return batch;
}
