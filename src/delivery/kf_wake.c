/* SPDX-License-Identifier: Apache-2.0
 *
 * The wake-ups of kf_wake.h, whose head says why none is lost. Any thread.
 */
#include "delivery/kf_wake.h"

#include <stddef.h>

void kf_wake_init(kf_wake_t *wake, void (*fn)(void *context, int worker), void *context)
{
    atomic_init(&wake->waiting, 0);
    atomic_init(&wake->armed, KF_WAKE_NEVER);
    atomic_init(&wake->sleeping, 0);
    wake->wake = fn;
    wake->context = context;
}

void kf_wake_pushed(kf_wake_t *wake, int64_t weight)
{
    int64_t waiting = atomic_fetch_add(&wake->waiting, weight) + weight;
    int64_t armed = atomic_load(&wake->armed);

    /* When nobody is found asleep, everybody is up and looks at `waiting` before lying down. */
    if (waiting >= armed && atomic_compare_exchange_strong(&wake->armed, &armed, KF_WAKE_NEVER))
        kf_wake_one(wake);
}

void kf_wake_popped(kf_wake_t *wake, int64_t weight)
{
    atomic_fetch_sub(&wake->waiting, weight);
}

void kf_wake_arm(kf_wake_t *wake, int64_t threshold)
{
    if (atomic_load_explicit(&wake->armed, memory_order_relaxed) != threshold)
        atomic_store(&wake->armed, threshold);
}

static uint64_t bit_of(int worker)
{
    return UINT64_C(1) << worker;
}

bool kf_wake_lie_down(kf_wake_t *wake, int worker, int64_t threshold)
{
    atomic_store(&wake->armed, threshold);
    atomic_fetch_or(&wake->sleeping, bit_of(worker));
    if (atomic_load(&wake->waiting) < threshold)
        return true;
    kf_wake_get_up(wake, worker);
    return false;
}

void kf_wake_get_up(kf_wake_t *wake, int worker)
{
    atomic_fetch_and(&wake->sleeping, ~bit_of(worker));
}

bool kf_wake_one(kf_wake_t *wake)
{
    uint64_t sleeping = atomic_load(&wake->sleeping);

    while (sleeping != 0) {
        int worker = __builtin_ctzll(sleeping);

        if (atomic_compare_exchange_weak(&wake->sleeping, &sleeping, sleeping & (sleeping - 1))) {
            wake->wake(wake->context, worker);
            return true;
        }
    }
    return false;
}
