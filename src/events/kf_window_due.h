/* SPDX-License-Identifier: Apache-2.0
 *
 * When a window is due, and which sessions another one's start ends (mParticle format reference,
 * sections 3.4 and 6.4). Times are microseconds of one clock, by receipt: what devices say of time
 * only tells older sessions from newer ones. Knows no store. Pure; any thread.
 *
 * The rules for whoever keeps windows, for each part of an upload in the plan's order:
 * 1. what is due by the time of receipt is closed;
 * 2. an upload whose source_request_id is in the window already is a repeat, and counts for
 *    nothing;
 * 3. the part goes into the window of its key, or opens it: opened_us, last_us (moved by each
 *    further part), began_us (the best known of its parts, see kf_window_began); a window that
 *    opens for a session whose other windows are over already is over as they are;
 * 4. `ends` makes all windows of the part's scope over at the time of receipt, `starts` all windows
 *    of the part's device that are of another session for which kf_window_is_older says so; what is
 *    over already stays as it is.
 */
#ifndef KF_WINDOW_DUE_H
#define KF_WINDOW_DUE_H

#include "events/kf_window_plan.h"

/* The absolute limit of 6.4 on a session's age, for sessions whose sender never ends them. */
#define KF_WINDOW_SESSION_AGE_MAX_US (INT64_C(24) * 3600 * 1000000)

typedef struct {
    int64_t window_us;  /* KinesisBatchWindow */
    int64_t timeout_us; /* KinesisSessionTimeout */
    int64_t grace_us;   /* KinesisSessionGrace */
} kf_window_limits_t;

typedef struct {
    int64_t opened_us; /* receipt of its first part */
    int64_t last_us;   /* of its latest */
    int64_t over_us;   /* of what said that the session is over; 0: nothing did */
} kf_window_times_t;

/** When a window is to be closed, if nothing more comes. */
int64_t kf_window_due(kf_window_kind_t kind, const kf_window_times_t *times,
                      const kf_window_limits_t *limits);

/* What is known of when a window's session began. */
typedef struct {
    uint8_t began; /* kf_began_t */
    int64_t began_us;
} kf_window_began_t;

/** Takes one more part's knowledge into a window's. */
void kf_window_began(kf_window_began_t *known, const kf_window_part_t *part);

/**
 * Whether the start of a session ends a window of another session of the device. A session that
 * began later goes on: the start came late. What is not known is taken to be older.
 */
bool kf_window_is_older(const kf_window_began_t *window, const kf_window_part_t *start);

#endif
