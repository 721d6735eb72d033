/* SPDX-License-Identifier: Apache-2.0
 *
 * What the background work of a child works with: the parts of delivery that it was given, and its
 * times. Values only; read by any thread, never written after the start.
 */
#ifndef KF_KEEPER_CONFIG_H
#define KF_KEEPER_CONFIG_H

#include "delivery/kf_alert.h"
#include "delivery/kf_alert_table.h"
#include "delivery/kf_engine.h"
#include "delivery/kf_hold_rows.h"
#include "delivery/kf_usage.h"
#include "delivery/kf_windows.h"
#include "events/kf_filter.h"

/* What is asked of the engine; kf_engine.h has the contracts. Tests bring their own. */
typedef struct {
    kf_admission_t (*put)(kf_engine_t *engine, kf_record_list_t *records);
    void (*filed)(kf_engine_t *engine, kf_record_list_t *records);
    void (*unfiled)(kf_engine_t *engine, kf_record_list_t *records);
    void (*look_behind)(kf_engine_t *engine);
    void (*tell)(kf_engine_t *engine);
    void (*recall)(kf_engine_t *engine);
    void (*tell_hold)(kf_engine_t *engine, int connection, kf_hold_news_t *news);
    void (*know_hold)(kf_engine_t *engine, int connection, const kf_hold_known_t *known);
} kf_keeper_calls_t;

/** The real ones. */
extern const kf_keeper_calls_t kf_keeper_engine_calls;

typedef struct {
    int64_t tick_us;        /* between two looks at what is due */
    int64_t linger_us;      /* longest an upload waits for others to be filed with it */
    int64_t settle_us;      /* a window closes so much after it is due: uploads accepted before may
                               still be on their way into it */
    int64_t turn_us;        /* longest the leader closes windows before uploads are filed again */
    int64_t compact_us;     /* between two looks for segments to copy forward, */
    int64_t tidy_us;        /* and at the index's free room */
    int64_t holds_us;       /* between two notes of holds that last, and looks at those of others */
    int64_t pause_us;       /* after an index that fails: first wait, which doubles, */
    int64_t pause_cap_us;   /* up to here */
    uint32_t batch_records; /* uploads of one transaction, */
    uint64_t batch_bytes;   /* and their bytes, but for the first */
    uint32_t close_windows; /* windows of one transaction, */
    uint64_t close_bytes;   /* and their bytes, but for the first */
    uint32_t due_max;       /* windows of a connection that are due: with more, filing waits */
} kf_keeper_timing_t;

#define KF_KEEPER_TIMING_DEFAULT \
    { \
        .tick_us = 400 * KF_MS, .linger_us = 150 * KF_MS, .settle_us = 400 * KF_MS, \
        .turn_us = 200 * KF_MS, .compact_us = 10 * KF_SEC, .tidy_us = 60 * KF_SEC, \
        .holds_us = 5 * KF_SEC, .pause_us = KF_SEC, .pause_cap_us = 60 * KF_SEC, \
        .batch_records = 1024, .batch_bytes = UINT64_C(4) << 20, .close_windows = 512, \
        .close_bytes = UINT64_C(4) << 20, .due_max = 4096 \
    }

typedef struct {
    const char *directory; /* the store */
    const kf_connection_t *connections;
    const kf_filter_t *const *filters; /* by connection */
    int connection_count;
    const kf_process_settings_t *process;
    kf_engine_t *engine;
    const kf_keeper_calls_t *calls; /* NULL: kf_keeper_engine_calls */
    kf_journal_t *journal;          /* NULL: memory only */
    kf_deadletters_t *letters;      /* NULL: none are kept */
    kf_windows_t *windows;          /* NULL: no connection is windowed, or was */
    kf_hold_rows_t *holds;          /* NULL: nobody writes them down */
    kf_index_t *index;              /* NULL: there is none */
    kf_usage_t *usage;              /* NULL: nobody counts */
    kf_shared_t *shared;
    kf_metrics_t *metrics;            /* joined */
    kf_alert_table_t *alerts;         /* NULL: they are in memory only, and no command is run */
    size_t thread_stack_bytes;        /* 0: the system's default */
    const kf_keeper_timing_t *timing; /* NULL: KF_KEEPER_TIMING_DEFAULT */
} kf_keeper_config_t;

static inline kf_alert_at_t kf_keeper_at(const kf_keeper_config_t *config, int connection)
{
    return (kf_alert_at_t){config->shared, connection, config->connections[connection].name};
}

/** Whether the connection's records have the form `outbound`, with ids of messages. */
static inline bool kf_keeper_outbound(const kf_keeper_config_t *config, int connection)
{
    return config->connections[connection].settings->record_format == KF_FORMAT_OUTBOUND;
}

#endif
