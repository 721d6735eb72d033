/* SPDX-License-Identifier: Apache-2.0
 *
 * Reasons of filters to counters.
 */
#include "delivery/kf_dropped.h"

void kf_dropped_add(kf_filter_stats_t *to, const kf_filter_stats_t *stats)
{
    for (int d = 0; d < KF_DROP_COUNT; d++)
        to->dropped[d] += stats->dropped[d];
    for (int t = 0; t < KF_E_COUNT; t++)
        to->types[t] += stats->types[t];
}

static void count_types(kf_metrics_t *metrics, int connection, const uint32_t types[])
{
    static const kf_count_t counts[KF_E_COUNT] = {
#define KF_EVENT_TYPE(id, name, setting) [KF_E_##id] = KF_COUNT_FILTERED_##id,
#include "events/kf_event_types.def"
#undef KF_EVENT_TYPE
        /* Always forwarded. */
        [KF_E_opt_out] = KF_COUNT_FILTERED_other,
        [KF_E_other] = KF_COUNT_FILTERED_other,
    };

    for (int t = 0; t < KF_E_COUNT; t++)
        kf_metrics_add(metrics, connection, counts[t], types[t]);
}

uint64_t kf_dropped_count(kf_metrics_t *metrics, int connection, const kf_filter_stats_t *stats)
{
    const uint64_t *dropped = stats->dropped;

    if (dropped[KF_DROP_TYPE] > 0)
        count_types(metrics, connection, stats->types);
    kf_metrics_add(metrics, connection, KF_COUNT_FILTERED_ANONYMOUS, dropped[KF_DROP_ANONYMOUS]);
    kf_metrics_add(metrics, connection, KF_COUNT_FILTERED_NO_EVENTS, dropped[KF_DROP_NO_EVENTS]);
    kf_metrics_add(metrics, connection, KF_COUNT_FILTERED_EMPTIED, dropped[KF_DROP_EMPTIED]);
    return dropped[KF_DROP_TYPE] + dropped[KF_DROP_ANONYMOUS] + dropped[KF_DROP_NO_EVENTS] +
           dropped[KF_DROP_EMPTIED];
}
