/* SPDX-License-Identifier: Apache-2.0
 *
 * What a snapshot comes to: whether the server and each connection are well, and why not, in words.
 * Pure; any thread.
 */
#ifndef KF_STATE_H
#define KF_STATE_H

#include "base/kf_buf.h"
#include "delivery/kf_snapshot.h"

typedef enum {
    KF_STATE_HEALTHY,
    KF_STATE_DEGRADED, /* posts are taken; something wants an operator's eye */
    KF_STATE_FAILING   /* posts are not taken, or what was taken can't be handled */
} kf_state_t;

/** "healthy", "degraded", "failing". */
const char *kf_state_text(kf_state_t state);

/** A connection's. @param[out] words  what it does, "on hold" */
kf_state_t kf_state_of(const kf_snapshot_connection_t *connection, const char **words);

/** What to do about a connection's trouble: by AWS's code where it says more than the message; "" if
 * nothing is wrong. */
const char *kf_state_advice(const kf_snapshot_connection_t *connection);

/**
 * The server's.
 * @param[out] why  appended: one line, plain text not made harmless yet; of a healthy server what is
 *                  worth knowing of it
 */
kf_state_t kf_state_overall(const kf_snapshot_t *snapshot, kf_buf_t *why);

#endif
