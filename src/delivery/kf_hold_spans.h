/* SPDX-License-Identifier: Apache-2.0
 *
 * When a connection was on hold, by the wall clock: a bounded list of spans of time, in order, none
 * touching another. Values only; knows nobody who is on hold.
 */
#ifndef KF_HOLD_SPANS_H
#define KF_HOLD_SPANS_H

#include <stdint.h>

#define KF_HOLD_SPANS_MAX 32

typedef struct {
    int64_t begin_us, end_us; /* wall clock; begin < end, or both 0: none */
} kf_span_t;

typedef struct {
    int count;
    kf_span_t span[KF_HOLD_SPANS_MAX];
} kf_hold_spans_t;

/** Adds one, joined with those that it meets; where there are too many the nearest two become one. One
 * that is empty or runs backwards is left out. */
void kf_hold_spans_add(kf_hold_spans_t *spans, int64_t begin_us, int64_t end_us);

/** How much of the time between two moments they cover. */
int64_t kf_hold_spans_within(const kf_hold_spans_t *spans, int64_t from_us, int64_t to_us);

/** Forgets those that matter to no record any more: since their end max_age_us passed without a hold. */
void kf_hold_spans_forget(kf_hold_spans_t *spans, int64_t now_us, int64_t max_age_us);

/* What is known of a connection's holds from earlier, and from other children. */
typedef struct {
    kf_hold_spans_t past;
    int64_t open_since_us; /* one that is not known to be over; 0: none */
} kf_hold_known_t;

/* What a child has to tell of its own. */
typedef struct {
    int64_t since_us; /* on hold since; 0: it is not */
    kf_span_t ended;  /* what is over since it was asked last */
} kf_hold_news_t;

#endif
