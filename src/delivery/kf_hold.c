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

/* It is over, and to be written down. */
static void note_end(kf_destination_t *d, int64_t begin_wall_us, kf_now_t now)
{
    kf_hold_spans_add(&d->past, begin_wall_us, now.wall_us);
    kf_hold_spans_forget(&d->past, now.wall_us, d->config.max_age_us);
    if (d->ended.end_us == 0)
        d->ended.begin_us = begin_wall_us;
    d->ended.end_us = now.wall_us;
}

/* What was counted of it stays counted. */
static void end_inherited(kf_destination_t *d, kf_now_t now)
{
    d->held_sum_us += now.mono_us - d->inherited_us;
    kf_hold_spans_add(&d->past, d->inherited_wall_us, now.wall_us);
    d->is_inherited = false;
}

void kf_hold_disinherit(kf_destination_t *d, kf_now_t now)
{
    if (!d->is_inherited)
        return;
    end_inherited(d, now);
    note_end(d, d->inherited_wall_us, now);
}

void kf_destination_know_hold(kf_destination_t *d, const kf_hold_known_t *known, kf_now_t now)
{
    for (int i = 0; i < known->past.count; i++)
        kf_hold_spans_add(&d->past, known->past.span[i].begin_us, known->past.span[i].end_us);
    if (known->open_since_us == 0 && d->is_inherited)
        end_inherited(d, now);
    if (known->open_since_us != 0 && !d->hold.on && !d->is_inherited) {
        kf_hold_spans_add(&d->past, known->open_since_us, now.wall_us);
        d->is_inherited = true;
        d->inherited_us = now.mono_us;
        d->inherited_wall_us = now.wall_us;
    }
    kf_hold_spans_forget(&d->past, now.wall_us, d->config.max_age_us);
}

void kf_destination_tell_hold(kf_destination_t *d, kf_hold_news_t *news)
{
    *news = (kf_hold_news_t){.since_us = d->hold.on ? d->hold.since_wall_us : 0, .ended = d->ended};
    d->ended = (kf_span_t){0, 0};
}

static void begin(kf_destination_t *d, const kf_end_t *end)
{
    if (d->is_inherited)
        end_inherited(d, end->now);
    kf_destination_new_epoch(d);
    d->hold.on = true;
    d->hold.probes = 0;
    d->hold.epoch = d->epoch;
    d->hold.since_us = end->now.mono_us;
    d->hold.since_wall_us = end->now.wall_us;
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
        kf_outcome_begin(end->out, KF0306, 0, end->verdict->code);
    }
    d->hold.refused = refused;
    d->hold.probe_us = end->now.mono_us + d->hold.interval_us;
}

void kf_hold_over(kf_destination_t *d, const kf_end_t *end)
{
    d->held_sum_us = kf_destination_held_us(d, end->now);
    d->hold.on = false;
    note_end(d, d->hold.since_wall_us, end->now);
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
