/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the destination's state machine share: kf_destination.c (taking in, filling calls,
 * moments), kf_reaction.c (what a verdict does), kf_hold.c, kf_isolate.c. For them alone.
 */
#ifndef KF_DESTINATION_INT_H
#define KF_DESTINATION_INT_H

#include "delivery/kf_destination.h"

/* One call's end, as the reactions pass it on. */
typedef struct {
    const kf_verdict_t *verdict;
    const kf_facts_t *facts;
    kf_now_t now;
    kf_outcome_t *out;
} kf_end_t;

/* kf_destination.c */
bool kf_destination_single(const kf_destination_t *d);
/** To the front of what is pending, to be sent as soon as calls may be. */
void kf_destination_requeue(kf_destination_t *d, kf_record_list_t *records, int64_t now_us);
/** A call is in flight no more. */
void kf_destination_landed(kf_destination_t *d, const kf_batch_t *batch);
void kf_destination_retry_at(kf_destination_t *d, int64_t due_us, kf_record_t *record);
/** What is known of the destination has changed: calls in flight no longer speak for it. */
void kf_destination_new_epoch(kf_destination_t *d);

/* kf_reaction.c */
/** Counts a failed attempt; gives the record up when it is too old. @return whether it was */
bool kf_destination_attempt(kf_destination_t *d, kf_record_t *record, const char *code,
                            const kf_end_t *end);
/** The record is about to leave for good. */
void kf_destination_leave(kf_destination_t *d, kf_record_t *record, kf_now_t now,
                          kf_outcome_t *out);
/** Gives a record up. */
void kf_destination_give_up(kf_destination_t *d, kf_record_t *record, kf_dead_reason_t reason,
                            const char *code, const kf_end_t *end);
/** Sends a batch's records again, as they are where they are a part. Consumes it. */
void kf_destination_again(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end);

/* kf_hold.c */
/** An operator must act: begins a hold, or lengthens one that a probe found still needed. */
void kf_hold_on(kf_destination_t *d, const kf_batch_t *batch, bool refused, const kf_end_t *end);
/** Something was accepted: a hold that others left is over. */
void kf_hold_disinherit(kf_destination_t *d, kf_now_t now);
/** A call sent during the hold was accepted. */
void kf_hold_over(kf_destination_t *d, const kf_end_t *end);
/** Whether a call was sent before the latest hold began. */
bool kf_hold_is_older(const kf_destination_t *d, const kf_batch_t *batch);
kf_batch_t *kf_hold_probe(kf_destination_t *d, int64_t now_us);

/* kf_isolate.c */
/** A call was refused: finds the records that it was refused for. Consumes the batch. */
void kf_isolate(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end);
/** Suspects of a hold that is over: what is refused among them now is at fault itself. */
void kf_isolate_suspects(kf_destination_t *d, int64_t now_us);
/** Dissolves the parts that wait: their records are pending like others. */
void kf_isolate_dissolve(kf_destination_t *d, const kf_end_t *end);
/** A part is done with, or a part no more. */
void kf_family_release(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end);
/** The records that the isolations keep aside go to `out`; families end. */
void kf_isolate_clear(kf_destination_t *d, kf_record_list_t *out);

#endif
