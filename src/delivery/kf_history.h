/* SPDX-License-Identifier: Apache-2.0
 *
 * The last hour of each connection, a point each ten seconds, in the memory of kf_metrics.h: who
 * leads takes the points, anybody reads them. Points are taken at whole ten seconds of the monotonic
 * clock that the machine's processes share, each once, whoever comes first; a leader that dies leaves
 * at most a point out, and what happened meanwhile counts into the next. Knows no engine.
 */
#ifndef KF_HISTORY_H
#define KF_HISTORY_H

#include "delivery/kf_metrics.h"

#define KF_HISTORY_STEP_US (10 * KF_SEC)
#define KF_HISTORY_POINTS 360

typedef struct {
    int64_t at_us;   /* wall clock of its end */
    int64_t span_us; /* since the point before, KF_HISTORY_STEP_US or more */
    /* RATE: how much in the span. LEVEL: at its end; quantiles are of the span, -1 for nothing. */
    int64_t value[KF_HISTORY_COUNT];
} kf_history_point_t;

/**
 * The points of the last hour, the oldest first.
 * @param[out] out  room for max; KF_HISTORY_POINTS are enough
 * @return how many
 * @thread any of any process
 */
uint32_t kf_history_read(const kf_metrics_t *metrics, int connection, kf_history_point_t *out,
                         uint32_t max);

typedef struct kf_sampler_t kf_sampler_t;

/** @return NULL when out of memory */
kf_sampler_t *kf_sampler_create(kf_metrics_t *metrics);
/** NULL does nothing. */
void kf_sampler_free(kf_sampler_t *sampler);

/** Takes a point of each connection where it is time. At each tick of who leads. @thread one */
void kf_sampler_tick(kf_sampler_t *sampler);

/* ---- for kf_metrics.c: the memory ---- */

typedef struct {
    _Atomic uint64_t turn; /* number of its ten seconds, plus one; 0: being written, or never was */
    _Atomic int64_t at_us, mono_us;
    _Atomic int64_t value[KF_HISTORY_COUNT]; /* RATE: since counting began */
} kf_history_slot_t;

/* All zero at first. One more than is shown: rates are differences. */
struct kf_history_ring_t {
    _Atomic uint64_t taken; /* number of the last point's ten seconds, plus one */
    kf_history_slot_t slots[KF_HISTORY_POINTS + 1];
};

#endif
