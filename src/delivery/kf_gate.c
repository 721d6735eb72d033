/* SPDX-License-Identifier: Apache-2.0
 *
 * Gates (kf_gate.h).
 */
#include "delivery/kf_gate.h"

#ifdef __linux__

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void kf_gate_init(kf_gate_t *gate)
{
    atomic_init(&gate->opened, 0);
}

void kf_gate_destroy(kf_gate_t *gate)
{
    (void)gate;
}

void kf_gate_wait(kf_gate_t *gate, uint32_t seen)
{
    syscall(SYS_futex, &gate->opened, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

void kf_gate_open(kf_gate_t *gate, kf_gate_many_t many)
{
    atomic_fetch_add(&gate->opened, 1);
    syscall(SYS_futex, &gate->opened, FUTEX_WAKE_PRIVATE, many == KF_GATE_ONE ? 1 : INT_MAX, NULL,
            NULL, 0);
}

#else

void kf_gate_init(kf_gate_t *gate)
{
    atomic_init(&gate->opened, 0);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->open, NULL);
}

void kf_gate_destroy(kf_gate_t *gate)
{
    pthread_mutex_destroy(&gate->lock);
    pthread_cond_destroy(&gate->open);
}

void kf_gate_wait(kf_gate_t *gate, uint32_t seen)
{
    pthread_mutex_lock(&gate->lock);
    while (atomic_load(&gate->opened) == seen)
        pthread_cond_wait(&gate->open, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

void kf_gate_open(kf_gate_t *gate, kf_gate_many_t many)
{
    pthread_mutex_lock(&gate->lock);
    atomic_fetch_add(&gate->opened, 1);
    if (many == KF_GATE_ONE)
        pthread_cond_signal(&gate->open);
    else
        pthread_cond_broadcast(&gate->open);
    pthread_mutex_unlock(&gate->lock);
}

#endif
