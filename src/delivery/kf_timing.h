/* SPDX-License-Identifier: Apache-2.0
 *
 * The times of delivery that are not directives, in one place; tests bring shorter ones. Values only;
 * any thread.
 */
#ifndef KF_TIMING_H
#define KF_TIMING_H

#include <stdint.h>
#include "base/kf_clock.h"

typedef struct {
    int64_t connect_us;     /* a call: connecting, */
    int64_t stall_us;       /* no byte moving, */
    int64_t total_us;       /* all of it */
    int64_t hold_first_us;  /* on hold: until the first probe, */
    int64_t hold_cap_us;    /* longest between probes, which doubles up to here */
    int64_t ask_batch_us;   /* put mode auto, single calls: until batch is asked for again */
    int64_t quiet_us;       /* trouble that comes and goes is over when not seen for so long */
    int64_t check_us;       /* Firehose: between checks of a stream, */
    int64_t check_least_us; /* and at least, whatever the occasion */
    int64_t drain_us;       /* over which it is measured how fast records leave */
} kf_timing_t;

#define KF_TIMING_DEFAULT \
    { \
        .connect_us = 5 * KF_SEC, .stall_us = 30 * KF_SEC, .total_us = 60 * KF_SEC, \
        .hold_first_us = 5 * KF_SEC, .hold_cap_us = 60 * KF_SEC, .ask_batch_us = 3600 * KF_SEC, \
        .quiet_us = 10 * KF_SEC, .check_us = 3600 * KF_SEC, .check_least_us = 60 * KF_SEC, \
        .drain_us = 5 * KF_SEC \
    }

#endif
