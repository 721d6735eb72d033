/* SPDX-License-Identifier: Apache-2.0
 *
 * Raising and ending alerts of a connection: noted for the whole server, logged once a change. Knows no
 * lock; any thread; blocks only as the log does, so never under the engine's lock.
 */
#ifndef KF_ALERT_H
#define KF_ALERT_H

#include "delivery/kf_shared.h"

typedef struct {
    kf_shared_t *shared;
    int connection;
    const char *name;
} kf_alert_at_t;

/** Raises; logs "connection NAME: TEXT: particulars" if it was not raised before. */
void kf_alert_begin(const kf_alert_at_t *at, kf_msg_t msg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Ends; where it was raised logs that it is over, as `said` (KF0307, KF0203). */
void kf_alert_end(const kf_alert_at_t *at, kf_msg_t msg, kf_msg_t said);

/** Ends without a word. */
void kf_alert_forget(const kf_alert_at_t *at, kf_msg_t msg);

#endif
