/* SPDX-License-Identifier: Apache-2.0
 *
 * The work that one child does for all: taking over what dead children left, closing windows, shedding
 * them, sending dead letters again, measuring the store. Who holds the lock of a file in the store
 * leads; the kernel releases it whatever ends the child. Two may lead for a moment: every step is safe
 * to run twice. Knows no network and never waits for any. One thread.
 */
#ifndef KF_LEADER_H
#define KF_LEADER_H

#include "delivery/kf_closing.h"

#define KF_LEADER_FILE "leader"

typedef struct kf_leader_t kf_leader_t;

/** @param config  outlives it; timing set. @return NULL when out of memory */
kf_leader_t *kf_leader_create(const kf_keeper_config_t *config);
/** Gives the lock back. NULL does nothing. */
void kf_leader_free(kf_leader_t *leader);

/**
 * Leads, if nobody else does.
 * @return whether more waits to be done than was done now
 */
bool kf_leader_tick(kf_leader_t *leader);

/** Leads no more, until the next tick: a child that ends lets one lead that goes on. */
void kf_leader_resign(kf_leader_t *leader);

#endif
