/* SPDX-License-Identifier: Apache-2.0
 *
 * What the children of one server share, in memory made before they are forked: alerts
 * (kf_alert_cells.h), and flags such as "this stream's check is taken", per connection. Every access to
 * a flag is an atomic on one word; a child may die at any point. Knows no httpd; the caller brings the
 * memory.
 */
#ifndef KF_SHARED_H
#define KF_SHARED_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "delivery/kf_alert_cells.h"

typedef struct kf_shared_t kf_shared_t;

/** Bytes that a server with n connections needs. */
size_t kf_shared_size(int connections);

/** Makes memory of that size, all zero, into a shared area. @return NULL if the system has no locks */
kf_shared_t *kf_shared_init(void *memory, int connections);

/** The cells of the alerts. */
kf_alert_cells_t *kf_shared_alerts(kf_shared_t *shared);
/** Whether an alert of a connection is raised. One load. */
bool kf_shared_raised(const kf_shared_t *shared, int connection, kf_msg_t alert);

/**
 * Claims a job that one child is to do for all (a stream's check).
 * @param now_us     of a clock that all children share: the monotonic one
 * @param period_us  how long ago the last claim must be
 * @return whether it is the caller's; the first claim always is
 */
bool kf_shared_claim(kf_shared_t *shared, int connection, int64_t now_us, int64_t period_us);

#endif
