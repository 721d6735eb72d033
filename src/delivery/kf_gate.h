/* SPDX-License-Identifier: Apache-2.0
 *
 * A gate to wait at without a lock: look, find out whether there is anything to wait for, wait; who opens
 * the gate after the look lets the waiter through. On Linux a futex (futex(2)); elsewhere a mutex and a
 * condition do the same, slower. Threads of one process. Must not know what is waited for.
 */
#ifndef KF_GATE_H
#define KF_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

typedef struct {
    _Atomic uint32_t opened; /* times, modulo 2^32 */
#ifndef __linux__
    pthread_mutex_t lock;
    pthread_cond_t open;
#endif
} kf_gate_t;

typedef enum { KF_GATE_ONE, KF_GATE_ALL } kf_gate_many_t;

void kf_gate_init(kf_gate_t *gate);
void kf_gate_destroy(kf_gate_t *gate);

/** To be handed to kf_gate_wait. */
static inline uint32_t kf_gate_look(kf_gate_t *gate)
{
    return atomic_load(&gate->opened);
}

/** Returns once the gate has been opened since the look; now and then earlier. */
void kf_gate_wait(kf_gate_t *gate, uint32_t seen);

/** Lets one of those that wait through, or all; and those that have looked and don't wait yet. */
void kf_gate_open(kf_gate_t *gate, kf_gate_many_t many);

#endif
