/* SPDX-License-Identifier: Apache-2.0
 *
 * A child's delivery, put together.
 */
#include "delivery/kf_delivery.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/kf_limits.h"
#include "delivery/kf_index.h"
#include "delivery/kf_keeper.h"
#include "delivery/kf_store.h"
#include "delivery/kf_usage.h"
#include "delivery/kf_windows.h"

/* A segment is sealed beyond this: small enough to go soon, large enough to be made rarely. */
#define SEGMENT_BYTES (UINT64_C(32) * 1024 * 1024)
/* And beyond this part of the store's limit, where that is small. */
#define SEGMENT_PARTS 64
/* KinesisStoreShare's default. */
#define SHARE_ALONE 100
#define SHARE_OF_SEVERAL 50
/* Events of one window: a batch of more is closed and another opened. */
#define WINDOW_EVENTS_MAX 10000

struct kf_common_t {
    pthread_mutex_t index_lock;
    _Alignas(64) char usage[]; /* kf_usage_t */
};

struct kf_delivery_t {
    kf_delivery_config_t config;
    char journal_folder[PATH_MAX];
    const char **names;
    kf_window_rules_t *rules;
    kf_journal_t *journal;
    kf_index_t *index;
    kf_deadletters_t *letters;
    kf_windows_t *windows;
    kf_hold_rows_t *hold_rows;
    kf_hold_known_t *holds; /* as they were at the start */
    kf_alert_table_t *alerts;
    kf_engine_t *engine;
    kf_keeper_t *keeper;
};

/* Text that outlives what it was about. */
static char kept[KF_STORE_ERROR_MAX];

size_t kf_common_size(int connections, int children)
{
    /* And room to begin on a boundary: memory that children share may begin anywhere. */
    return _Alignof(kf_common_t) + sizeof(kf_common_t) + kf_usage_size(connections, children);
}

kf_common_t *kf_common_init(void *memory, const kf_process_settings_t *process,
                            const kf_connection_t *connections, int n, int children)
{
    uintptr_t start = (uintptr_t)memory, align = _Alignof(kf_common_t);
    kf_common_t *common = (kf_common_t *)((start + align - 1) / align * align);
    bool made;
    int64_t *share = calloc((size_t)n + 1, sizeof *share);

    if (!share)
        return NULL;
    for (int i = 0; i < n; i++) {
        share[i] = connections[i].settings->store_share;
        if (share[i] == 0)
            share[i] = n == 1 ? SHARE_ALONE : SHARE_OF_SEVERAL;
    }
    made = kf_usage_init(common->usage, n, children, process->store_limit, share) &&
           kf_index_lock_init(&common->index_lock) == 0;
    free(share);
    return made ? common : NULL;
}

static kf_usage_t *usage_of(kf_common_t *common)
{
    return (kf_usage_t *)(void *)common->usage;
}

static kf_window_rules_t rules_of(const kf_settings_t *settings)
{
    uint64_t record_max = settings->service == KF_SERVICE_FIREHOSE ? KF_FIREHOSE_RECORD_BYTES_MAX
                                                                   : KF_STREAMS_RECORD_BYTES_MAX;

    return (kf_window_rules_t){
        .limits = {.window_us = settings->batch_window,
                   .timeout_us = settings->session_timeout,
                   .grace_us = settings->session_grace},
        /* Room for what the envelope adds; merging takes more away. */
        .max_bytes = record_max / 8 * 7,
        .max_events = WINDOW_EVENTS_MAX,
    };
}

static bool name_connections(kf_delivery_t *d)
{
    int n = d->config.engine.connection_count;

    d->names = calloc((size_t)n + 1, sizeof *d->names);
    d->rules = calloc((size_t)n + 1, sizeof *d->rules);
    d->holds = calloc((size_t)n + 1, sizeof *d->holds);
    if (!d->names || !d->rules || !d->holds)
        return false;
    for (int i = 0; i < n; i++) {
        const kf_settings_t *settings = d->config.engine.connections[i].settings;

        d->names[i] = d->config.engine.connections[i].name;
        d->rules[i] = rules_of(settings);
    }
    return true;
}

static bool open_journal(kf_delivery_t *d, const char **error)
{
    uint64_t part = (uint64_t)d->config.engine.process->store_limit / SEGMENT_PARTS;
    kf_journal_config_t config = {
        .directory = d->journal_folder,
        .durability = d->config.engine.process->durability,
        .segment_bytes = part < SEGMENT_BYTES ? part : SEGMENT_BYTES,
        .connections = d->names,
        .connection_count = d->config.engine.connection_count,
        .usage = usage_of(d->config.common),
        .metrics = d->config.engine.metrics,
    };

    snprintf(d->journal_folder, sizeof d->journal_folder, "%s/" KF_STORE_JOURNAL,
             d->config.directory);
    d->journal = kf_journal_open(&config, error);
    return d->journal != NULL;
}

static bool open_index(kf_delivery_t *d, const char **error)
{
    kf_index_config_t config = {
        .directory = d->config.directory,
        .durability = d->config.engine.process->durability,
        .lock = &d->config.common->index_lock,
        .max_bytes = (uint64_t)d->config.engine.process->store_limit,
        /* The journal delivers without it: windows and dead letters wait. */
        .patient = true,
    };
    kf_windows_config_t windows = {
        .connections = d->names,
        .rules = d->rules,
        .connection_count = d->config.engine.connection_count,
    };

    d->index = kf_index_open(&config, kept);
    *error = kept;
    if (!d->index)
        return false;
    *error = "the index cannot be used";
    d->letters = kf_deadletters_open(d->index, d->names, d->config.engine.connection_count);
    d->windows = kf_windows_open(d->index, &windows);
    d->hold_rows = kf_hold_rows_open(d->index, d->names, d->config.engine.connection_count);
    for (int i = 0; d->hold_rows && i < d->config.engine.connection_count; i++)
        kf_hold_rows_read(d->hold_rows, i, &d->holds[i]);
    d->alerts = kf_alert_table_open(d->index, kf_shared_alerts(d->config.engine.shared), d->names,
                                    d->config.engine.connection_count);
    if (!d->letters || !d->windows || !d->hold_rows || !d->alerts)
        return false;
    /* What fails here is done when the index can be used. */
    kf_alert_table_load(d->alerts);
    return true;
}

static bool start_threads(kf_delivery_t *d, const char **error)
{
    kf_engine_config_t engine = d->config.engine;
    kf_keeper_config_t keeper = {
        .directory = d->config.directory,
        .process = engine.process,
        .connections = engine.connections,
        .filters = d->config.filters,
        .connection_count = engine.connection_count,
        .calls = &kf_keeper_engine_calls,
        .thread_stack_bytes = engine.thread_stack_bytes,
        .journal = d->journal,
        .index = d->index,
        .letters = d->letters,
        .windows = d->windows,
        .holds = d->hold_rows,
        .usage = usage_of(d->config.common),
        .shared = engine.shared,
        .metrics = engine.metrics,
        .alerts = d->alerts,
    };

    engine.journal = d->journal;
    engine.letters = d->letters;
    engine.holds = d->holds;
    d->engine = kf_engine_start(&engine, error);
    if (!d->engine)
        return false;
    keeper.engine = d->engine;
    d->keeper = kf_keeper_start(&keeper, error);
    if (!d->keeper)
        return false;
    kf_engine_set_filer(d->engine, kf_keeper_file, d->keeper);
    return true;
}

kf_delivery_t *kf_delivery_start(const kf_delivery_config_t *config, const char **error)
{
    kf_delivery_t *d = calloc(1, sizeof *d);

    *error = "out of memory";
    if (!d)
        return NULL;
    d->config = *config;
    if (name_connections(d) && open_journal(d, error) && open_index(d, error) &&
        start_threads(d, error))
        return d;
    kf_delivery_stop(d, 0);
    return NULL;
}

kf_alert_table_t *kf_delivery_alerts(kf_delivery_t *delivery)
{
    return delivery->alerts;
}

kf_engine_t *kf_delivery_engine(kf_delivery_t *delivery)
{
    return delivery->engine;
}

void kf_delivery_drain(kf_delivery_t *delivery)
{
    kf_keeper_retire(delivery->keeper);
    kf_engine_drain(delivery->engine);
}

void kf_delivery_stop(kf_delivery_t *d, int64_t timeout_us)
{
    int64_t left_us = kf_mono_us() + timeout_us;

    if (d->engine)
        kf_engine_close(d->engine);
    if (d->keeper)
        kf_keeper_stop(d->keeper);
    left_us -= kf_mono_us();
    if (d->engine)
        kf_engine_stop(d->engine, left_us > 0 ? left_us : 0);
    /* What was said at the end has nobody else to write it. */
    if (d->alerts)
        kf_alert_table_save(d->alerts, d->config.engine.process->alert_command.n > 0);
    /* Workers may have been about to hand it something until now. */
    kf_keeper_free(d->keeper);
    kf_alert_table_close(d->alerts);
    kf_windows_close(d->windows);
    kf_hold_rows_close(d->hold_rows);
    kf_deadletters_close(d->letters);
    kf_index_close(d->index);
    if (d->journal)
        kf_journal_close(d->journal);
    free(d->names);
    free(d->rules);
    free(d->holds);
    free(d);
}
