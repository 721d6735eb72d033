/* SPDX-License-Identifier: Apache-2.0
 *
 * Reasons of filters to counters.
 */
#include "delivery/kf_dropped.h"

void kf_dropped_add(kf_filter_stats_t *to, const kf_filter_stats_t *stats)
{
    for (int d = 0; d < KF_DROP_COUNT; d++)
        to->dropped[d] += stats->dropped[d];
}

uint64_t kf_dropped_count(kf_shared_t *shared, int connection, const kf_filter_stats_t *stats)
{
    static const kf_count_t counts[KF_DROP_COUNT] = {
        [KF_DROP_TYPE] = KF_COUNT_DROPPED_TYPE,
        [KF_DROP_ANONYMOUS] = KF_COUNT_DROPPED_ANONYMOUS,
        [KF_DROP_NO_EVENTS] = KF_COUNT_DROPPED_NO_EVENTS,
        [KF_DROP_EMPTIED] = KF_COUNT_DROPPED_EMPTIED,
    };
    uint64_t all = 0;

    for (int d = 0; d < KF_DROP_COUNT; d++) {
        all += stats->dropped[d];
        if (stats->dropped[d] > 0)
            kf_shared_add(shared, connection, counts[d], stats->dropped[d]);
    }
    return all;
}
