/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call's verdict does to its records and its destination: a reaction a class (kf_destination.h;
 * the classes are AWS's errors as the retry rules of the SDKs sort them). Must not know how calls are
 * made. Runs under the engine's lock.
 */
#include "delivery/kf_destination_int.h"

#include <stdlib.h>

#include "aws/kf_retry.h"
#include "base/kf_limits.h"

/* Corrections that differ by less are the same clock. */
#define SAME_CLOCK_US (60 * KF_SEC)
/* A service whose clock jumps about is not worth following for ever. */
#define CLOCK_TRIES_MAX 3

static const kf_msg_t trouble_msg[KF_TROUBLES] = {
    [KF_TROUBLE_SERVER] = KF0401, [KF_TROUBLE_NETWORK] = KF0405, [KF_TROUBLE_THROTTLE] = KF0406};

/* ---------------------------------------------------------------- troubles */

static void trouble(kf_destination_t *d, kf_trouble_t which, const char *code, const kf_end_t *end)
{
    kf_trouble_state_t *t = &d->troubles[which];

    t->seen_us = end->now.mono_us;
    t->better = false;
    kf_outcome_begin(end->out, trouble_msg[which], 0, code);
    t->raised = true;
}

void kf_destination_tick(kf_destination_t *d, kf_now_t now, kf_outcome_t *out)
{
    for (int i = 0; i < KF_TROUBLES; i++) {
        kf_trouble_state_t *t = &d->troubles[i];

        if (!t->raised || !t->better || now.mono_us < t->seen_us + d->config.timing.quiet_us)
            continue;
        t->raised = false;
        kf_outcome_end(out, trouble_msg[i]);
    }
}

/* What is not over for this destination, whoever met it last. */
static uint64_t own_alerts(const kf_destination_t *d)
{
    uint64_t own = 0;

    for (int i = 0; i < KF_TROUBLES; i++)
        own |= d->troubles[i].raised ? KF_MSG_BIT(trouble_msg[i]) : 0;
    own |= d->hold.on ? KF_MSG_BIT(KF0306) : 0;
    own |= d->over_limit > 0 ? KF_MSG_BIT(KF0305) : 0;
    own |= d->is_single ? KF_MSG_BIT(KF0402) : 0;
    own |= d->offset_us != 0 ? KF_MSG_BIT(KF0404) : 0;
    return own;
}

/* What another child, perhaps dead by now, has left raised. */
static void first_success(kf_destination_t *d, kf_outcome_t *out)
{
    static const kf_msg_t of_delivery[] = {KF0401, KF0405, KF0406, KF0306, KF0305, KF0402, KF0404};
    uint64_t own = own_alerts(d);

    d->is_proven = true;
    for (size_t i = 0; i < sizeof of_delivery / sizeof of_delivery[0]; i++)
        if (!(own & KF_MSG_BIT(of_delivery[i])))
            kf_outcome_end(out, of_delivery[i]);
}

/* ----------------------------------------------------------------- records */

void kf_destination_leave(kf_destination_t *d, kf_record_t *record, kf_now_t now, kf_outcome_t *out)
{
    record->held_us += kf_destination_held_us(d, now);
    if (record->attempts < d->config.retry_limit)
        return;
    d->over_limit--;
    if (d->over_limit == 0)
        kf_outcome_end(out, KF0305);
}

void kf_destination_give_up(kf_destination_t *d, kf_record_t *record, kf_dead_reason_t reason,
                            const char *code, const kf_end_t *end)
{
    kf_destination_leave(d, record, end->now, end->out);
    kf_outcome_dead(end->out, record, reason, code, end->verdict);
}

bool kf_destination_attempt(kf_destination_t *d, kf_record_t *record, const char *code,
                            const kf_end_t *end)
{
    int64_t age_us = end->now.wall_us - record->accepted_us - record->held_us -
                     kf_destination_held_us(d, end->now);

    if (++record->attempts == d->config.retry_limit) {
        d->over_limit++;
        kf_outcome_begin(end->out, KF0305, record->attempts, code);
    }
    if (age_us >= d->config.max_age_us) {
        kf_destination_give_up(d, record, KF_DEAD_TOO_OLD, code, end);
        return true;
    }
    end->out->retried++;
    return false;
}

/* Counts an attempt of all; those too old are given up, the others close ranks. */
static void attempt_all(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    uint32_t kept = 0, entries = 0;

    for (uint32_t e = 0, i = 0; e < batch->entry_count; e++) {
        uint32_t before = kept;

        for (; i < batch->entry_end[e]; i++)
            if (!kf_destination_attempt(d, batch->records[i], end->verdict->code, end))
                batch->records[kept++] = batch->records[i];
        if (kept > before)
            batch->entry_end[entries++] = kept;
    }
    batch->count = kept;
    batch->entry_count = entries;
}

void kf_destination_again(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    bool stays_part = batch->is_part && batch->count > 0 && !d->hold.on &&
                      (batch->count == 1 || !kf_destination_single(d));
    kf_record_list_t records = {0};

    if (stays_part) {
        batch->next = d->parts;
        d->parts = batch;
        return;
    }
    kf_batch_put_back(batch, &records);
    kf_destination_requeue(d, &records, end->now.mono_us);
    kf_family_release(d, batch, end);
    kf_batch_free(batch);
}

/* ----------------------------------------------------------------- classes */

static void call_failed(kf_destination_t *d, kf_batch_t *batch, kf_class_t class,
                        const kf_end_t *end)
{
    int64_t now_us = end->now.mono_us;

    if (class == KF_CLASS_THROTTLE) {
        trouble(d, KF_TROUBLE_THROTTLE, end->verdict->code, end);
        end->out->throttled += batch->count;
    } else if (!end->facts->is_reached) {
        trouble(d, KF_TROUBLE_NETWORK, end->verdict->code, end);
    } else if (end->facts->status >= 500 || end->verdict->class == KF_CLASS_OK) {
        trouble(d, KF_TROUBLE_SERVER, end->verdict->code, end);
    }
    /* Calls that were out together fail together: that is one failure. */
    if (batch->epoch == d->epoch) {
        d->backoff_until_us =
            now_us + kf_retry_delay_us(class, d->failures, d->config.backoff_base_us,
                                       d->config.backoff_cap_us, end->verdict->retry_after_us,
                                       end->facts->random);
        d->failures++;
        kf_destination_new_epoch(d);
    }
    if (batch->is_probe && d->hold.on)
        d->hold.probe_us = now_us + d->hold.interval_us;
    attempt_all(d, batch, end);
    kf_destination_again(d, batch, end);
}

static void put_on_hold(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    kf_hold_on(d, batch, false, end);
    kf_destination_again(d, batch, end);
}

static void denied(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    if (d->config.put_mode != KF_PUT_AUTO || batch->op != KF_OP_PUT_BATCH) {
        put_on_hold(d, batch, end);
        return;
    }
    d->ask_batch_us = end->now.mono_us + d->config.timing.ask_batch_us;
    if (!d->is_single) {
        d->is_single = true;
        kf_outcome_begin(end->out, KF0402, 0, end->verdict->code);
        kf_isolate_dissolve(d, end);
    }
    if (batch->is_probe)
        kf_hold_on(d, batch, false, end);
    kf_destination_again(d, batch, end);
}

/* For what a record of it is, or for the call's size, which in the end is that of one record. A record that
 * is alone and too large is a culprit like any other: something on the way that finds every call too large
 * says nothing of the records. */
static void refused(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    attempt_all(d, batch, end);
    if (!d->hold.on && batch->count > 0) {
        kf_isolate(d, batch, end);
        return;
    }
    if (d->hold.on && !kf_hold_is_older(d, batch)) {
        kf_record_list_t records = {0};

        kf_hold_on(d, batch, true, end);
        kf_batch_put_back(batch, &records);
        kf_record_list_append(&d->suspects, &records);
    }
    kf_destination_again(d, batch, end);
}

static void set_offset(kf_destination_t *d, int64_t offset_us, kf_outcome_t *out)
{
    if (offset_us != 0 && llabs(offset_us - d->offset_us) >= SAME_CLOCK_US)
        kf_outcome_begin(out, KF0404, offset_us, "");
    if (offset_us == 0 && d->offset_us != 0)
        kf_outcome_end(out, KF0404);
    d->offset_us = offset_us;
}

/* A small difference is left alone, unless a correction is in force. */
static void note_offset(kf_destination_t *d, int64_t offset_us, kf_outcome_t *out)
{
    if (llabs(offset_us) >= KF_CLOCK_SKEW_US)
        set_offset(d, offset_us, out);
    else if (d->offset_us != 0)
        set_offset(d, llabs(offset_us) < SAME_CLOCK_US ? 0 : offset_us, out);
}

static void clock_is_off(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    const kf_facts_t *facts = end->facts;

    if (facts->has_offset && llabs(facts->offset_us - batch->offset_us) >= SAME_CLOCK_US &&
        d->clock_tries < CLOCK_TRIES_MAX) {
        if (batch->epoch == d->epoch) {
            d->clock_tries++;
            kf_destination_new_epoch(d);
        }
        set_offset(d, facts->offset_us, end->out);
        kf_destination_again(d, batch, end);
        return;
    }
    put_on_hold(d, batch, end);
}

static void keys_are_off(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    bool is_current = batch->epoch == d->epoch;

    if (!end->facts->is_refreshed || (is_current && d->creds_tried)) {
        put_on_hold(d, batch, end);
        return;
    }
    if (is_current) {
        d->creds_tried = true;
        kf_destination_new_epoch(d);
    }
    kf_destination_again(d, batch, end);
}

/* ---------------------------------------------------------- entries of a call */

/* A record's failure within a call that was taken, as one of three classes. */
static kf_class_t entry_class(kf_class_t class)
{
    switch (class) {
    case KF_CLASS_OK:
    case KF_CLASS_THROTTLE:
    case KF_CLASS_REFUSED:
        return class;
    case KF_CLASS_TOO_LARGE:
        return KF_CLASS_REFUSED;
    case KF_CLASS_HOLD:
    case KF_CLASS_DENIED:
        return KF_CLASS_HOLD;
    default:
        return KF_CLASS_TRANSIENT;
    }
}

static void accepted(kf_destination_t *d, const kf_batch_t *batch, uint32_t records,
                     const kf_end_t *end)
{
    d->accepted += records;
    d->lone_refused = 0;
    d->clock_tries = 0;
    if (batch->epoch == d->epoch) {
        d->failures = 0;
        d->backoff_until_us = 0;
        d->creds_tried = false;
    }
    for (int i = 0; i < KF_TROUBLES; i++)
        d->troubles[i].better = true;
    kf_hold_disinherit(d, end->now);
    if (!d->is_proven)
        first_success(d, end->out);
    if (d->hold.on && !kf_hold_is_older(d, batch))
        kf_hold_over(d, end);
    if (batch->asks_batch && d->is_single) {
        d->is_single = false;
        kf_outcome_end(end->out, KF0402);
    }
    kf_destination_tick(d, end->now, end->out);
}

/* One record that failed while others of its call were taken. */
static void entry_failed(kf_destination_t *d, kf_record_t *record, const kf_entry_result_t *result,
                         const kf_end_t *end)
{
    kf_class_t class = entry_class(result->class);
    int64_t delay_us = kf_retry_delay_us(class == KF_CLASS_TRANSIENT ? class : KF_CLASS_THROTTLE,
                                         record->attempts, d->config.backoff_base_us,
                                         d->config.backoff_cap_us, -1, end->facts->random);

    if (class == KF_CLASS_THROTTLE) {
        trouble(d, KF_TROUBLE_THROTTLE, result->code, end);
        end->out->throttled++;
    } else if (class == KF_CLASS_TRANSIENT) {
        trouble(d, KF_TROUBLE_SERVER, result->code, end);
    }
    if (kf_destination_attempt(d, record, result->code, end))
        return;
    if (class == KF_CLASS_REFUSED)
        kf_destination_give_up(d, record, KF_DEAD_REFUSED, result->code, end);
    else
        kf_destination_retry_at(d, end->now.mono_us + delay_us, record);
}

/* Not one record of a call was taken: what that says of the destination. */
static void none_accepted(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    uint32_t of[KF_CLASS_COUNT] = {0};
    const kf_verdict_t *verdict = end->verdict;
    kf_verdict_t named = *verdict;
    kf_end_t as_call = *end;

    for (uint32_t e = 0; e < verdict->entry_count; e++)
        of[entry_class(verdict->entries[e].class)]++;
    memcpy(named.code, verdict->entries[0].code, sizeof named.code);
    as_call.verdict = &named;
    if (of[KF_CLASS_THROTTLE] > 0)
        call_failed(d, batch, KF_CLASS_THROTTLE, &as_call);
    else if (of[KF_CLASS_HOLD] > 0)
        put_on_hold(d, batch, &as_call);
    else if (of[KF_CLASS_REFUSED] == verdict->entry_count)
        refused(d, batch, &as_call);
    else
        call_failed(d, batch, KF_CLASS_TRANSIENT, &as_call);
}

static void look_at_entries(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    const kf_entry_result_t *results = end->verdict->entries;
    uint32_t taken = 0;

    for (uint32_t e = 0; e < batch->entry_count; e++)
        if (results[e].class == KF_CLASS_OK)
            taken += batch->entry_end[e] - kf_batch_entry_begin(batch, e);
    end->out->call_failed = taken == 0;
    end->out->call_partial = taken > 0 && taken < batch->count;
    if (taken == 0) {
        none_accepted(d, batch, end);
        return;
    }
    accepted(d, batch, taken, end);
    for (uint32_t e = 0, i = 0; e < batch->entry_count; e++)
        for (; i < batch->entry_end[e]; i++)
            if (results[e].class == KF_CLASS_OK) {
                kf_destination_leave(d, batch->records[i], end->now, end->out);
                kf_record_list_add(&end->out->delivered, batch->records[i]);
            } else {
                entry_failed(d, batch->records[i], &results[e], end);
            }
    kf_family_release(d, batch, end);
    kf_batch_free(batch);
}

static void react(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    switch (end->verdict->class) {
    case KF_CLASS_HOLD:
        put_on_hold(d, batch, end);
        break;
    case KF_CLASS_DENIED:
        denied(d, batch, end);
        break;
    case KF_CLASS_REFUSED:
    case KF_CLASS_TOO_LARGE:
        refused(d, batch, end);
        break;
    case KF_CLASS_CLOCK:
        clock_is_off(d, batch, end);
        break;
    case KF_CLASS_EXPIRED:
    case KF_CLASS_CREDENTIALS:
        keys_are_off(d, batch, end);
        break;
    case KF_CLASS_THROTTLE:
        call_failed(d, batch, KF_CLASS_THROTTLE, end);
        break;
    default:
        call_failed(d, batch, KF_CLASS_TRANSIENT, end);
        break;
    }
}

void kf_destination_apply(kf_destination_t *d, kf_batch_t *batch, const kf_verdict_t *verdict,
                          const kf_facts_t *facts, kf_now_t now, kf_outcome_t *out)
{
    kf_end_t end = {.verdict = verdict, .facts = facts, .now = now, .out = out};

    out->is_call = true;
    kf_destination_landed(d, batch);
    if (verdict->class != KF_CLASS_CLOCK && facts->has_offset)
        note_offset(d, facts->offset_us, out);
    if (verdict->class == KF_CLASS_OK) {
        look_at_entries(d, batch, &end);
        out->own = own_alerts(d);
        return;
    }
    out->call_failed = true;
    react(d, batch, &end);
}
