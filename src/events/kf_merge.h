/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads of one window to one batch (mParticle format reference, section 3.4). Knows neither
 * windows nor filters. Pure but for the maps' random keys; any thread.
 *
 * Of several uploads, in the order of their arrival:
 * - an upload whose source_request_id, and an event whose source_message_id came before is left
 *   out;
 * - events follow each other, sorted by data.timestamp_unixtime_ms when all have a usable one,
 *   those of one time as they came;
 * - of another member the newest upload's value stays that is not null; null only where all say so;
 * - deleted_user_attributes are all those that user_attributes of a later upload don't set again
 *   (to something but null), system_notifications are all, where the newest value is an array;
 * - members stand where they first appeared.
 * One upload comes out with its own tokens in its own order, but for events that repeat one.
 * What is kept is kept byte for byte, white space between a batch's members aside.
 */
#ifndef KF_MERGE_H
#define KF_MERGE_H

#include "base/kf_buf.h"
#include "base/kf_str.h"

#include <stdint.h>

typedef enum {
    KF_MERGE_OK,
    KF_MERGE_MEMORY, /* out of memory, or out is full */
    KF_MERGE_DAMAGED /* an upload is no JSON object */
} kf_merge_result_t;

/**
 * Appends the merged batch.
 * @param uploads  texts that kf_window_cut made; n >= 1
 * @param message_id  n > 0: the batch's message_id, in the place of another or as the last member;
 *                    a single upload that has one of its own keeps it. n == 0: like any other
 *                    member
 * @param[out] damaged  the index of an upload that is no JSON object
 * @return anything but OK leaves out as it was, but perhaps failed
 * @bounds time linear in all bytes but for the sort's n log n; memory 16 bytes a JSON node and
 *         what is written; no recursion
 */
kf_merge_result_t kf_merge(const kf_str_t *uploads, uint32_t n, kf_str_t message_id, kf_buf_t *out,
                           uint32_t *damaged);

#endif
