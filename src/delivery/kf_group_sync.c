/* SPDX-License-Identifier: Apache-2.0
 *
 * Syncing for all (kf_group_sync.h).
 */
#include "delivery/kf_group_sync.h"

#include <sched.h>

/* Where the processors are busy, so many times others go first, to be in the same sync. */
#define YIELDS 3

void kf_group_sync_init(kf_group_sync_t *g)
{
    atomic_init(&g->begun, 0);
    atomic_init(&g->synced, 0);
    atomic_init(&g->is_running, false);
    atomic_init(&g->error, 0);
    kf_gate_init(&g->gate[0]);
    kf_gate_init(&g->gate[1]);
}

void kf_group_sync_destroy(kf_group_sync_t *g)
{
    kf_gate_destroy(&g->gate[0]);
    kf_gate_destroy(&g->gate[1]);
}

static bool take_turn(kf_group_sync_t *g)
{
    bool expected = false;

    return atomic_compare_exchange_strong(&g->is_running, &expected, true);
}

/* One of those who wait for the next sync is to do it; after an error nobody has anything to wait for. */
static void give_turn(kf_group_sync_t *g, uint64_t number, int error)
{
    atomic_store(&g->is_running, false);
    kf_gate_open(&g->gate[number & 1], KF_GATE_ALL);
    kf_gate_open(&g->gate[(number + 1) & 1], error == 0 ? KF_GATE_ONE : KF_GATE_ALL);
}

static void sync_for_all(kf_group_sync_t *g, const kf_file_ops_t *files, int fd)
{
    uint64_t number;
    int error;

    for (int i = 0; i < YIELDS; i++)
        sched_yield();
    number = atomic_fetch_add(&g->begun, 1) + 1;
    error = files->sync_data(fd);

    if (error == 0)
        atomic_store(&g->synced, number);
    else
        atomic_store(&g->error, error);
    give_turn(g, number, error);
}

int kf_group_sync(kf_group_sync_t *g, const kf_file_ops_t *files, int fd)
{
    /* One that runs already began before this caller's write was over, perhaps. */
    uint64_t need = atomic_load(&g->begun) + 1;
    kf_gate_t *gate = &g->gate[need & 1];

    for (;;) {
        /* In this order: what happens after the look at the gate opens it for this caller. */
        uint32_t seen = kf_gate_look(gate);

        if (atomic_load(&g->synced) >= need)
            return 0;
        if (atomic_load(&g->error) != 0)
            return atomic_load(&g->error);
        if (!take_turn(g))
            kf_gate_wait(gate, seen);
        else if (atomic_load(&g->synced) < need && atomic_load(&g->error) == 0)
            sync_for_all(g, files, fd);
        else
            give_turn(g, atomic_load(&g->begun), atomic_load(&g->error));
    }
}

void kf_group_sync_begin_alone(kf_group_sync_t *g)
{
    for (;;) {
        kf_gate_t *gate = &g->gate[atomic_load(&g->begun) & 1];
        uint32_t seen = kf_gate_look(gate);

        if (take_turn(g))
            return;
        kf_gate_wait(gate, seen);
    }
}

void kf_group_sync_end_alone(kf_group_sync_t *g, int error)
{
    if (error != 0)
        atomic_store(&g->error, error);
    give_turn(g, atomic_load(&g->begun), error);
}
