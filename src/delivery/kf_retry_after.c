/* SPDX-License-Identifier: Apache-2.0
 *
 * When a sender that was turned away is to come again (kf_engine.h: retry_after). Records leave the store
 * when AWS has taken them; how fast is known of the whole server from its metrics, so that every child
 * says the same. Must not know destinations or calls. Request threads ask, workers and the keeper
 * measure.
 */
#include "delivery/kf_engine_int.h"

/* A sender that comes again is to find this part of the limit free. */
#define FREE_PARTS 20
/* Without the spread. */
#define LONGEST_S 240
/* Where nothing tells: before the first measure, or when it is not the store that is full. */
#define UNKNOWN_S 10

void kf_retry_measure(kf_engine_t *engine, int64_t now_us)
{
    int64_t since_us = atomic_load(&engine->measured_us);

    if (now_us - since_us < engine->timing.drain_us ||
        !atomic_compare_exchange_strong(&engine->measured_us, &since_us, now_us))
        return;
    for (int i = 0; i < engine->lane_count; i++) {
        kf_lane_t *lane = &engine->lanes[i];
        uint64_t bytes = kf_metrics_count(engine->config.metrics, i, KF_COUNT_DELIVERED_BYTES);
        uint64_t before = atomic_exchange(&lane->delivered_bytes, bytes);

        atomic_store(&lane->drain_rate,
                     since_us ? (int64_t)(bytes - before) * KF_SEC / (now_us - since_us) : -1);
    }
}

/* Of a connection, or of all: -1. */
static int64_t rate_of(const kf_engine_t *engine, int connection)
{
    int64_t sum = 0;

    if (connection >= 0)
        return atomic_load(&engine->lanes[connection].drain_rate);
    for (int i = 0; i < engine->lane_count && sum >= 0; i++) {
        int64_t rate = rate_of(engine, i);

        sum = rate < 0 ? rate : sum + rate;
    }
    return sum;
}

/* 0 where there is room. */
static int64_t seconds_until_room(const kf_engine_t *engine, int connection)
{
    const kf_usage_t *usage = kf_journal_usage(engine->config.journal);
    int64_t above = kf_usage_above(usage, connection, FREE_PARTS);
    int64_t rate = rate_of(engine, connection);

    if (above <= 0)
        return 0;
    if (rate < 0)
        return UNKNOWN_S;
    return rate == 0 || above / rate >= LONGEST_S ? LONGEST_S : above / rate + 1;
}

static int64_t longer_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int kf_engine_retry_after(const kf_engine_t *engine, const uint16_t *connections, int n)
{
    int64_t seconds = 1;
    int spread;

    if (atomic_load(&engine->state) >= KF_STATE_CLOSED)
        return 1;
    if (engine->config.journal) {
        seconds = seconds_until_room(engine, -1);
        for (int i = 0; i < n; i++)
            seconds = longer_of(seconds, seconds_until_room(engine, connections[i]));
        seconds = seconds > 0 ? seconds : UNKNOWN_S;
    }
    spread = (int)(kf_random_u32() % (uint32_t)(seconds / 4 + 2));
    return seconds + spread < KF_RETRY_AFTER_MAX_S ? (int)seconds + spread : KF_RETRY_AFTER_MAX_S;
}
