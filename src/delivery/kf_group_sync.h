/* SPDX-License-Identifier: Apache-2.0
 *
 * One sync of a file for all who wait for one: whoever finds none running does it for everybody that has
 * written by then. Must not know what is written. Any thread.
 *
 * Without a lock: who waits sleeps on a word in memory and goes on at once when it is woken, where a
 * condition's waiters would queue for its mutex, one context switch after the other.
 */
#ifndef KF_GROUP_SYNC_H
#define KF_GROUP_SYNC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "delivery/kf_file.h"
#include "delivery/kf_gate.h"

/* Zero-initialise, then kf_group_sync_init. */
typedef struct {
    _Atomic uint64_t begun;  /* syncs, ever */
    _Atomic uint64_t synced; /* the last one that succeeded */
    _Atomic bool is_running; /* somebody's turn to sync, or alone */
    _Atomic int error; /* of the sync that failed: no later one can vouch for what it dropped */
    kf_gate_t gate[2]; /* who waits for the sync that runs, and who for the one after it */
} kf_group_sync_t;

void kf_group_sync_init(kf_group_sync_t *g);
void kf_group_sync_destroy(kf_group_sync_t *g);

/**
 * Returns after a sync of fd that began after the call did.
 * @return 0, or the error of the first sync that failed
 * @blocks for at most two syncs
 */
int kf_group_sync(kf_group_sync_t *g, const kf_file_ops_t *files, int fd);

/** Waits until nobody syncs, and keeps it so until the end. */
void kf_group_sync_begin_alone(kf_group_sync_t *g);
/** @param error  what is to be the answer to all from now on; 0: nothing has happened */
void kf_group_sync_end_alone(kf_group_sync_t *g, int error);

#endif
