/* SPDX-License-Identifier: Apache-2.0
 *
 * The words that a server's children share (kf_shared.h). Must not know where the memory comes from,
 * nor what alerts mean. Any thread of any child: no lock, so that nothing is left locked
 * by a child that dies.
 */
#include "delivery/kf_shared.h"

#include <stdatomic.h>

#define ALERT_WORDS ((KF_MSG_COUNT + 63) / 64)

/* One connection's; a multiple of a cache line, so that connections don't slow each other. */
typedef struct {
    _Alignas(64) _Atomic uint64_t alerts[ALERT_WORDS];
    _Atomic int64_t claimed_us; /* time of the last claim, plus one; 0: never */
} cell_t;

struct kf_shared_t {
    cell_t cells[1];
};

size_t kf_shared_size(int connections)
{
    /* Room to begin at a cache line, wherever the memory begins. */
    return sizeof(cell_t) * (size_t)(connections > 0 ? connections : 1) + _Alignof(cell_t);
}

kf_shared_t *kf_shared_init(void *memory, int connections)
{
    uintptr_t at = (uintptr_t)memory;

    (void)connections;
    at = (at + _Alignof(cell_t) - 1) & ~(uintptr_t)(_Alignof(cell_t) - 1);
    return (kf_shared_t *)at;
}

static uint64_t bit_of(kf_msg_t alert)
{
    return UINT64_C(1) << ((unsigned)alert % 64);
}

bool kf_shared_raised(const kf_shared_t *shared, int connection, kf_msg_t alert)
{
    return atomic_load(&shared->cells[connection].alerts[(unsigned)alert / 64]) & bit_of(alert);
}

bool kf_shared_raise(kf_shared_t *shared, int connection, kf_msg_t alert)
{
    uint64_t before =
        atomic_fetch_or(&shared->cells[connection].alerts[(unsigned)alert / 64], bit_of(alert));

    return !(before & bit_of(alert));
}

bool kf_shared_clear(kf_shared_t *shared, int connection, kf_msg_t alert)
{
    if (!kf_shared_raised(shared, connection, alert))
        return false;
    return atomic_fetch_and(&shared->cells[connection].alerts[(unsigned)alert / 64],
                            ~bit_of(alert)) &
           bit_of(alert);
}

bool kf_shared_claim(kf_shared_t *shared, int connection, int64_t now_us, int64_t period_us)
{
    _Atomic int64_t *claimed = &shared->cells[connection].claimed_us;
    int64_t last = atomic_load(claimed);

    if (last != 0 && now_us + 1 - last < period_us)
        return false;
    return atomic_compare_exchange_strong(claimed, &last, now_us + 1);
}
