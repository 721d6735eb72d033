/* SPDX-License-Identifier: Apache-2.0
 *
 * What filters left out, into the counters of the whole server. Knows no lock; any thread.
 */
#ifndef KF_DROPPED_H
#define KF_DROPPED_H

#include "delivery/kf_metrics.h"
#include "events/kf_filter.h"

/** Adds what was dropped to `to`. */
void kf_dropped_add(kf_filter_stats_t *to, const kf_filter_stats_t *stats);

/** Counts what was dropped of one connection. @return how many in all */
uint64_t kf_dropped_count(kf_metrics_t *metrics, int connection, const kf_filter_stats_t *stats);

#endif
