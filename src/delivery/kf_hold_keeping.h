/* SPDX-License-Identifier: Apache-2.0
 *
 * Carries holds between a child's engine and the index: what this child's connections have to tell is
 * written when a hold begins or ends, and while it lasts; what others wrote is read. The keeper's thread.
 */
#ifndef KF_HOLD_KEEPING_H
#define KF_HOLD_KEEPING_H

#include "delivery/kf_keeper_config.h"

typedef struct kf_hold_keeping_t kf_hold_keeping_t;

/** @param config  outlives it; timing set @return NULL when out of memory */
kf_hold_keeping_t *kf_hold_keeping_create(const kf_keeper_config_t *config);
/** NULL does nothing. */
void kf_hold_keeping_free(kf_hold_keeping_t *keeping);

/** @blocks as others that write to the index do */
void kf_hold_keeping_tick(kf_hold_keeping_t *keeping);

/** What has not been written yet is, as far as it can be: the child ends. */
void kf_hold_keeping_end(kf_hold_keeping_t *keeping);

#endif
