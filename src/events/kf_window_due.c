/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows' ends.
 */
#include "events/kf_window_due.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t kf_window_due(kf_window_kind_t kind, const kf_window_times_t *times,
                      const kf_window_limits_t *limits)
{
    if (kind == KF_WINDOW_BATCH) {
        return times->opened_us + limits->window_us;
    }
    int64_t due =
        least(times->last_us + limits->timeout_us, times->opened_us + KF_WINDOW_SESSION_AGE_MAX_US);
    return times->over_us > 0 ? least(due, times->over_us + limits->grace_us) : due;
}

void kf_window_began(kf_window_began_t *known, const kf_window_part_t *part)
{
    if (part->began > known->began ||
        (part->began == known->began && part->began_us < known->began_us)) {
        known->began = part->began;
        known->began_us = part->began_us;
    }
}

bool kf_window_is_older(const kf_window_began_t *window, const kf_window_part_t *start)
{
    return window->began == KF_BEGAN_UNKNOWN || start->began == KF_BEGAN_UNKNOWN ||
           window->began_us <= start->began_us;
}
