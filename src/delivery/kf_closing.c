/* SPDX-License-Identifier: Apache-2.0
 *
 * Closing in turns: a transaction looks who has something due and seals it, then each of those gets one
 * after the other until nothing is due or the time is over.
 */
#include "delivery/kf_closing.h"

#include <stdlib.h>
#include "base/kf_clock.h"
#include "delivery/kf_closing_batch.h"
#include "delivery/kf_dropped.h"

/* Windows that can't be read and are passed over; more would hold up their connections. */
#define UNREAD_MAX 64

struct kf_closing_t {
    const kf_keeper_config_t *config;
    kf_closing_batch_t work;
    kf_window_t *list, *closed;
    bool *due; /* by connection */
    int turn;  /* whose it is */
    int64_t unread[UNREAD_MAX];
    uint32_t unread_count;
    uint32_t generation; /* of the index in which those are */
    int64_t pause_us, paused_until_us;
};

kf_closing_t *kf_closing_create(const kf_keeper_config_t *config)
{
    kf_closing_t *closing = calloc(1, sizeof(*closing));
    size_t n = (size_t)config->timing->close_windows + UNREAD_MAX;

    if (!closing) {
        return NULL;
    }
    closing->config = config;
    kf_closing_batch_init(&closing->work, config);
    closing->list = calloc(n, sizeof(*closing->list));
    closing->closed = calloc(n, sizeof(*closing->closed));
    closing->due = calloc((size_t)config->connection_count + 1, sizeof(*closing->due));
    if (!closing->list || !closing->closed || !closing->due) {
        kf_closing_free(closing);
        return NULL;
    }
    return closing;
}

void kf_closing_free(kf_closing_t *closing)
{
    if (closing) {
        kf_closing_batch_free(&closing->work);
        free(closing->list);
        free(closing->closed);
        free(closing->due);
        free(closing);
    }
}

/* ---- what is due ---- */

static bool is_unread(const kf_closing_t *closing, int64_t id)
{
    for (uint32_t i = 0; i < closing->unread_count; i++) {
        if (closing->unread[i] == id) {
            return true;
        }
    }
    return false;
}

/* Windows due by then are to be closed: all of a connection that has none any more. */
static int64_t due_by(const kf_closing_t *closing, int connection)
{
    bool windowed =
        kf_filter_window_kind(closing->config->filters[connection]) != KF_WINDOW_KIND_NONE;

    return windowed ? kf_wall_us() - closing->config->timing->settle_us : INT64_MAX;
}

/* Fills the list. @return how many; those that can't be read are not among them */
static uint32_t list_due(kf_closing_t *closing, int connection, int64_t by_us, uint32_t max)
{
    uint32_t kept = 0;
    uint32_t n = kf_windows_due(closing->config->windows, (uint16_t)connection, by_us,
                                closing->list, max + closing->unread_count);

    for (uint32_t i = 0; i < n && kept < max; i++) {
        if (!is_unread(closing, closing->list[i].id)) {
            closing->list[kept++] = closing->list[i];
        }
    }
    return kept;
}

/* Whether the connection has something due; it is sealed then. A clock that was set back is followed. */
static bool seal_due(kf_closing_t *closing, int connection)
{
    kf_windows_t *windows = closing->config->windows;
    int64_t by_us = due_by(closing, connection);
    bool any = list_due(closing, connection, by_us, 1) > 0;

    if (any || kf_windows_sealed_until(windows, (uint16_t)connection) > by_us) {
        kf_windows_seal_until(windows, (uint16_t)connection, by_us);
    }
    return any;
}

/* Windows of another index: none of this one has been met yet. */
static void forget_unread(kf_closing_t *closing)
{
    for (int c = 0; closing->unread_count > 0 && c < closing->config->connection_count; c++) {
        kf_alert_at_t at = kf_keeper_at(closing->config, c);

        kf_alert_forget(&at, KF0655);
    }
    closing->unread_count = 0;
}

/* Notes who has something due, and seals it. @return whether anybody has */
static bool look(kf_closing_t *closing)
{
    uint32_t generation = kf_index_generation(closing->config->index);
    bool any = false;

    if (generation != closing->generation) {
        closing->generation = generation;
        forget_unread(closing);
    }
    if (kf_windows_begin(closing->config->windows) != KF_INDEX_OK) {
        return false;
    }
    for (int c = 0; c < closing->config->connection_count; c++) {
        closing->due[c] = seal_due(closing, c);
        any |= closing->due[c];
    }
    return kf_windows_commit(closing->config->windows) == KF_INDEX_OK && any;
}

/* ---- closing ---- */

/* The index failed after records were appended: they would be repeated at once. */
static void pause_closing(kf_closing_t *closing)
{
    const kf_keeper_timing_t *timing = closing->config->timing;

    closing->pause_us = closing->pause_us == 0                         ? timing->pause_us
                        : closing->pause_us < timing->pause_cap_us / 2 ? closing->pause_us * 2
                                                                       : timing->pause_cap_us;
    closing->paused_until_us = kf_mono_us() + closing->pause_us;
}

static void note_unread(kf_closing_t *closing, int connection, const kf_window_t *window)
{
    kf_alert_at_t at = kf_keeper_at(closing->config, connection);

    kf_alert_begin(&at, KF0655, "window %lld", (long long)window->id);
    if (closing->unread_count < UNREAD_MAX) {
        closing->unread[closing->unread_count++] = window->id;
    }
}

typedef struct {
    kf_record_list_t records;
    kf_filter_stats_t stats;
    uint32_t closed;
    const kf_window_t *unread; /* the one that stopped it */
    bool all;                  /* nothing else was due */
} turn_t;

static void make_batches(kf_closing_t *closing, int connection, turn_t *turn)
{
    const kf_keeper_timing_t *timing = closing->config->timing;
    int64_t by_us = kf_windows_sealed_until(closing->config->windows, (uint16_t)connection);
    uint32_t n = list_due(closing, connection, by_us, timing->close_windows);
    int64_t now_us = kf_wall_us();
    uint64_t bytes = 0;

    turn->all = n < timing->close_windows;
    for (uint32_t i = 0; i < n; i++) {
        const kf_window_t *window = &closing->list[i];
        if (i > 0 && bytes + window->bytes > timing->close_bytes) {
            turn->all = false;
            return;
        }
        bytes += window->bytes;
        kf_closed_t closed =
            kf_closing_batch(&closing->work, window, now_us, &turn->records, &turn->stats);
        if (closed != KF_CLOSED_OK) {
            turn->unread = closed == KF_CLOSED_UNREAD ? window : NULL;
            turn->all = closed == KF_CLOSED_MEMORY;
            return;
        }
        closing->closed[turn->closed++] = *window;
    }
}

/* One transaction of one connection. @return whether it has more due that may be closed now */
static bool close_some(kf_closing_t *closing, int connection)
{
    const kf_keeper_config_t *config = closing->config;
    turn_t turn = {.closed = 0};

    if (kf_windows_begin(config->windows) != KF_INDEX_OK) {
        return false;
    }
    make_batches(closing, connection, &turn);
    kf_windows_remove(config->windows, closing->closed, turn.closed);
    if (turn.records.count > 0 &&
        config->calls->put(config->engine, &turn.records) != KF_ACCEPTED) {
        kf_windows_rollback(config->windows);
        kf_record_list_clear(&turn.records);
        return false;
    }
    if (kf_windows_commit(config->windows) != KF_INDEX_OK) {
        pause_closing(closing);
        return false;
    }
    closing->pause_us = 0;
    if (turn.unread) {
        note_unread(closing, connection, turn.unread);
    }
    kf_dropped_count(config->metrics, connection, &turn.stats);
    kf_metrics_add(config->metrics, connection, KF_COUNT_WINDOWS_CLOSED, turn.closed);
    return !turn.all;
}

bool kf_closing_run(kf_closing_t *closing, int64_t until_us)
{
    int n = closing->config->connection_count, idle = 0;

    if (kf_mono_us() < closing->paused_until_us || !look(closing)) {
        return false;
    }
    while (idle < n) {
        int c = closing->turn % n;
        if (closing->due[c] && kf_mono_us() >= until_us) {
            return true;
        }
        closing->due[c] = closing->due[c] && close_some(closing, c);
        idle = closing->due[c] ? 0 : idle + 1;
        closing->turn = (c + 1) % n;
        if (kf_mono_us() < closing->paused_until_us) {
            return false;
        }
    }
    return false;
}
