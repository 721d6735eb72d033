/* SPDX-License-Identifier: Apache-2.0
 *
 * The last hour (kf_history.h). Must not know who leads. Who counts a connection's turn up takes the
 * point; a point's own turn is 0 while it is written, so that nobody reads half of one.
 */
#include "delivery/kf_history.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (KF_HISTORY_POINTS + 1)
/* A quantile says something of the last so many steps; what was seen longer ago is forgotten. */
#define STALE_STEPS 3

typedef struct {
    int64_t mono_us; /* 0: never seen */
    kf_histogram_t call, delivery;
} seen_t;

struct kf_sampler_t {
    kf_metrics_t *metrics;
    seen_t *seen; /* by connection: at the last point that this one took */
    kf_connection_metrics_t now;
};

/* ----------------------------------------------------------------------- taking */

kf_sampler_t *kf_sampler_create(kf_metrics_t *metrics)
{
    kf_sampler_t *sampler = calloc(1, sizeof *sampler);

    if (!sampler)
        return NULL;
    sampler->metrics = metrics;
    sampler->seen = calloc((size_t)kf_metrics_connections(metrics) + 1, sizeof *sampler->seen);
    if (sampler->seen)
        return sampler;
    free(sampler);
    return NULL;
}

void kf_sampler_free(kf_sampler_t *sampler)
{
    if (sampler)
        free(sampler->seen);
    free(sampler);
}

static int64_t sum_of(const kf_connection_metrics_t *now, kf_count_t first, kf_count_t last)
{
    uint64_t sum = 0;

    for (int i = first; i <= (int)last; i++)
        sum += now->count[i];
    return (int64_t)sum;
}

static int64_t quantile(kf_histogram_id_t id, const kf_histogram_t *now, const kf_histogram_t *then,
                        double part)
{
    kf_histogram_t between = {.count = now->count - then->count};

    for (int b = 0; b < KF_BUCKETS_MAX; b++)
        between.bucket[b] = now->bucket[b] - then->bucket[b];
    return kf_histogram_quantile(id, &between, part);
}

static void fill(const kf_connection_metrics_t *now, const seen_t *seen, int64_t value[])
{
    const kf_histogram_t *call = &now->histogram[KF_HISTOGRAM_CALL];
    const kf_histogram_t *delivery = &now->histogram[KF_HISTOGRAM_DELIVERY];

    value[KF_HISTORY_ACCEPTED] = (int64_t)now->count[KF_COUNT_ACCEPTED];
    value[KF_HISTORY_DELIVERED] = (int64_t)now->count[KF_COUNT_DELIVERED];
    value[KF_HISTORY_DELIVERED_BYTES] = (int64_t)now->count[KF_COUNT_DELIVERED_BYTES];
    value[KF_HISTORY_DEAD] = sum_of(now, KF_COUNT_DEAD_TOO_LARGE, KF_COUNT_DEAD_UNREADABLE);
    value[KF_HISTORY_FAILED_CALLS] = sum_of(now, KF_COUNT_CALLS_NONE, KF_COUNT_CALLS_UNSENT);
    value[KF_HISTORY_BACKLOG] = now->gauge[KF_GAUGE_BACKLOG_RECORDS];
    value[KF_HISTORY_OLDEST] = now->gauge[KF_GAUGE_OLDEST_RECORD];
    value[KF_HISTORY_CALL_P50] = quantile(KF_HISTOGRAM_CALL, call, &seen->call, 0.5);
    value[KF_HISTORY_CALL_P99] = quantile(KF_HISTOGRAM_CALL, call, &seen->call, 0.99);
    value[KF_HISTORY_DELIVERY_P50] =
        quantile(KF_HISTOGRAM_DELIVERY, delivery, &seen->delivery, 0.5);
    value[KF_HISTORY_DELIVERY_P99] =
        quantile(KF_HISTOGRAM_DELIVERY, delivery, &seen->delivery, 0.99);
}

static void write_point(kf_history_slot_t *slot, uint64_t turn, int64_t now_us,
                        const int64_t value[])
{
    atomic_store_explicit(&slot->turn, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->at_us, kf_wall_us(), memory_order_release);
    atomic_store_explicit(&slot->mono_us, now_us, memory_order_release);
    for (int i = 0; i < KF_HISTORY_COUNT; i++)
        atomic_store_explicit(&slot->value[i], value[i], memory_order_release);
    atomic_store_explicit(&slot->turn, turn, memory_order_release);
}

static void look(kf_sampler_t *sampler, int connection, int64_t now_us)
{
    seen_t *seen = &sampler->seen[connection];

    kf_metrics_read(sampler->metrics, connection, &sampler->now);
    seen->mono_us = now_us;
    seen->call = sampler->now.histogram[KF_HISTOGRAM_CALL];
    seen->delivery = sampler->now.histogram[KF_HISTOGRAM_DELIVERY];
}

static void sample(kf_sampler_t *sampler, int connection, int64_t now_us)
{
    kf_history_ring_t *ring = kf_metrics_history(sampler->metrics, connection);
    uint64_t turn = (uint64_t)(now_us / KF_HISTORY_STEP_US) + 1;
    uint64_t taken = atomic_load(&ring->taken);
    seen_t then = sampler->seen[connection];
    int64_t value[KF_HISTORY_COUNT];

    if (then.mono_us == 0 || now_us - then.mono_us > STALE_STEPS * KF_HISTORY_STEP_US) {
        look(sampler, connection, now_us);
        then = sampler->seen[connection];
    }
    if (taken >= turn || !atomic_compare_exchange_strong(&ring->taken, &taken, turn))
        return;
    look(sampler, connection, now_us);
    fill(&sampler->now, &then, value);
    write_point(&ring->slots[turn % SLOTS], turn, now_us, value);
}

void kf_sampler_tick(kf_sampler_t *sampler)
{
    int64_t now_us = kf_mono_us();

    for (int c = 0; c < kf_metrics_connections(sampler->metrics); c++)
        sample(sampler, c, now_us);
}

/* ---------------------------------------------------------------------- reading */

typedef struct {
    int64_t at_us, mono_us, value[KF_HISTORY_COUNT];
} raw_t;

/* @return false if the point was not taken, or is being written */
static bool read_raw(kf_history_slot_t *slot, uint64_t turn, raw_t *raw)
{
    if (atomic_load_explicit(&slot->turn, memory_order_acquire) != turn)
        return false;
    raw->at_us = atomic_load_explicit(&slot->at_us, memory_order_acquire);
    raw->mono_us = atomic_load_explicit(&slot->mono_us, memory_order_acquire);
    for (int i = 0; i < KF_HISTORY_COUNT; i++)
        raw->value[i] = atomic_load_explicit(&slot->value[i], memory_order_acquire);
    return atomic_load_explicit(&slot->turn, memory_order_relaxed) == turn;
}

static void make_point(const raw_t *raw, const raw_t *before, kf_history_point_t *out)
{
    out->at_us = raw->at_us;
    out->span_us = raw->mono_us - before->mono_us;
    for (int i = 0; i < KF_HISTORY_COUNT; i++)
        out->value[i] = kf_history_info((kf_history_id_t)i)->kind == KF_HISTORY_RATE
                            ? raw->value[i] - before->value[i]
                            : raw->value[i];
}

uint32_t kf_history_read(const kf_metrics_t *metrics, int connection, kf_history_point_t *out,
                         uint32_t max)
{
    kf_history_ring_t *ring = kf_metrics_history(metrics, connection);
    uint64_t last = (uint64_t)(kf_mono_us() / KF_HISTORY_STEP_US) + 1;
    uint64_t first = last >= SLOTS ? last - SLOTS + 1 : 1;
    bool is_first = true;
    raw_t raw, before;
    uint32_t n = 0;

    for (uint64_t turn = first; turn <= last && n < max; turn++) {
        if (!read_raw(&ring->slots[turn % SLOTS], turn, &raw))
            continue;
        if (!is_first)
            make_point(&raw, &before, &out[n++]);
        before = raw;
        is_first = false;
    }
    return n;
}
