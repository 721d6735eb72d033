/* SPDX-License-Identifier: Apache-2.0
 *
 * The words that a server's children share (kf_shared.h). Must not know where the memory comes from,
 * nor what claims are for. Any thread of any child: no lock, so that nothing is left locked
 * by a child that dies.
 */
#include "delivery/kf_shared.h"

#include <stdatomic.h>

/* One connection's; a multiple of a cache line, so that connections don't slow each other. */
typedef struct {
    _Alignas(64) _Atomic int64_t claimed_us; /* time of the last claim, plus one; 0: never */
} cell_t;

struct kf_shared_t {
    _Alignas(64) size_t alerts_at; /* bytes from here */
    cell_t cells[];
};

static size_t alerts_at(int connections)
{
    return sizeof(kf_shared_t) + sizeof(cell_t) * (size_t)connections;
}

size_t kf_shared_size(int connections)
{
    /* Room to begin at a cache line, wherever the memory begins. */
    return alerts_at(connections) + kf_alert_cells_size(connections) + _Alignof(kf_shared_t);
}

kf_shared_t *kf_shared_init(void *memory, int connections)
{
    uintptr_t at = (uintptr_t)memory, line = _Alignof(kf_shared_t);
    kf_shared_t *shared = (kf_shared_t *)((at + line - 1) / line * line);

    shared->alerts_at = alerts_at(connections);
    return kf_alert_cells_init(kf_shared_alerts(shared), connections) ? shared : NULL;
}

kf_alert_cells_t *kf_shared_alerts(kf_shared_t *shared)
{
    return (kf_alert_cells_t *)(void *)((char *)shared + shared->alerts_at);
}

bool kf_shared_raised(const kf_shared_t *shared, int connection, kf_msg_t alert)
{
    const char *at = (const char *)shared + shared->alerts_at;

    return kf_alert_cells_raised((const kf_alert_cells_t *)(const void *)at, connection, alert);
}

bool kf_shared_claim(kf_shared_t *shared, int connection, int64_t now_us, int64_t period_us)
{
    _Atomic int64_t *claimed = &shared->cells[connection].claimed_us;
    int64_t last = atomic_load(claimed);

    if (last != 0 && now_us + 1 - last < period_us)
        return false;
    return atomic_compare_exchange_strong(claimed, &last, now_us + 1);
}
