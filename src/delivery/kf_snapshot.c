/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling a snapshot (kf_snapshot.h).
 */
#include "delivery/kf_snapshot.h"

#include <apr_strings.h>
#include <inttypes.h>
#include "base/kf_clock.h"
#include "delivery/kf_history.h"

/* A plot of less would be hard to read. */
#define LEAST_POINTS 30

/* ---- settings ---- */

static const char *choice_text(apr_pool_t *pool, const kf_directive_t *d, int index)
{
    const char *at = d->syntax;
    size_t n;

    while (index-- > 0 && strchr(at, '|'))
        at = strchr(at, '|') + 1;
    n = strcspn(at, "|");
    return apr_pstrndup(pool, at, n);
}

static const char *time_text(apr_pool_t *pool, int64_t us)
{
    if (us % KF_SEC == 0)
        return apr_psprintf(pool, "%" PRId64 "s", us / KF_SEC);
    return apr_psprintf(pool, "%" PRId64 "ms", us / KF_MS);
}

static const char *list_text(apr_pool_t *pool, const kf_list_t *list)
{
    const char *text = "";

    for (int i = 0; i < list->n; i++)
        text = apr_pstrcat(pool, text, i > 0 ? " " : "", list->v[i], NULL);
    return list->n > 0 ? text : "none";
}

/* What is secret by its kind, or may hold a password; the external id is one between two accounts. */
static bool is_secret(const kf_directive_t *d, const char *text)
{
    return d->kind == KF_KIND_SECRET || strcmp(d->name, "KinesisExternalId") == 0 ||
           (text && strchr(text, '@'));
}

static const char *value_text(apr_pool_t *pool, const kf_directive_t *d, const void *value)
{
    const kf_times_t *times = value;

    switch (d->kind) {
    case KF_KIND_FLAG:
        return *(const int *)value ? "On" : "Off";
    case KF_KIND_TEXT:
    case KF_KIND_SECRET:
        if (!*(const char *const *)value)
            return "none";
        return is_secret(d, *(const char *const *)value) ? "set" : *(const char *const *)value;
    case KF_KIND_LIST:
        return list_text(pool, value);
    case KF_KIND_TIME:
        return time_text(pool, *(const int64_t *)value);
    case KF_KIND_TIMES:
        return apr_pstrcat(pool, time_text(pool, times->base), " ", time_text(pool, times->cap),
                           NULL);
    case KF_KIND_CHOICE:
        return choice_text(pool, d, *(const int *)value);
    default:
        return apr_psprintf(pool, "%" PRId64, *(const int64_t *)value);
    }
}

void kf_snapshot_settings(apr_pool_t *pool, const kf_settings_t *settings,
                          const kf_snapshot_setting_t **list, int *n)
{
    const void *defaults =
        kf_settings_finish(pool, KF_SCOPE_CONN, kf_settings_create(pool, KF_SCOPE_CONN));
    kf_snapshot_setting_t *out =
        apr_palloc(pool, (size_t)kf_directive_count * sizeof(kf_snapshot_setting_t));

    *n = 0;
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        const char *value;

        if (d->scope != KF_SCOPE_CONN && d->scope != KF_SCOPE_CONN1)
            continue;
        value = value_text(pool, d, (const char *)settings + d->offset);
        if (strcmp(value, value_text(pool, d, (const char *)defaults + d->offset)) != 0)
            out[(*n)++] = (kf_snapshot_setting_t){d->name, value};
    }
    *list = out;
}

/* ---- history ---- */

/* The points of all connections stand on one grid, which ends with the latest of them. */
/* @return the last point's time, 0 if there is none */
static int64_t find_ends(const kf_snapshot_source_t *source, kf_history_point_t *points,
                         int64_t *first_us)
{
    int64_t end_us = 0;

    *first_us = INT64_MAX;
    for (int i = 0; i < source->connection_count; i++) {
        uint32_t n = kf_history_read(source->metrics, i, points, KF_HISTORY_POINTS);

        if (n > 0 && points[n - 1].at_us > end_us)
            end_us = points[n - 1].at_us;
        if (n > 0 && points[0].at_us < *first_us)
            *first_us = points[0].at_us;
    }
    return end_us;
}

/* So much is shown: what there is, five minutes at least, an hour at most. */
static int count_of(int64_t first_us, int64_t end_us)
{
    int64_t n = (end_us - first_us) / KF_HISTORY_STEP_US + 2;

    return n < LEAST_POINTS ? LEAST_POINTS : n > KF_HISTORY_POINTS ? KF_HISTORY_POINTS : (int)n;
}

/* One field of a point: a rate is spread over the steps that it covers, a level stands at its end. */
static void put_point(int64_t *values, int count, int at, const kf_history_point_t *point,
                      int field)
{
    int64_t value = point->value[field];
    int64_t steps = (point->span_us + KF_HISTORY_STEP_US / 2) / KF_HISTORY_STEP_US;

    if (at < 0 || at >= count)
        return;
    values[at] = value;
    if (kf_history_info((kf_history_id_t)field)->kind != KF_HISTORY_RATE || steps <= 1)
        return;
    for (int64_t k = 0; k < steps && at - k >= 0; k++)
        values[at - k] = value / steps + (k < value % steps);
}

static void put_history(apr_pool_t *pool, const kf_snapshot_source_t *source, int connection,
                        const kf_snapshot_t *grid, kf_history_point_t *points,
                        kf_snapshot_connection_t *out)
{
    uint32_t n = kf_history_read(source->metrics, connection, points, KF_HISTORY_POINTS);
    size_t count = (size_t)grid->history_count;
    int64_t *values = apr_palloc(pool, KF_HISTORY_COUNT * count * sizeof *values);

    for (size_t i = 0; i < KF_HISTORY_COUNT * count; i++)
        values[i] = -1;
    for (uint32_t p = 0; p < n; p++) {
        int64_t behind =
            (grid->history_end_us - points[p].at_us + KF_HISTORY_STEP_US / 2) / KF_HISTORY_STEP_US;

        for (int f = 0; f < KF_HISTORY_COUNT; f++)
            put_point(values + (size_t)f * count, (int)count, (int)count - 1 - (int)behind,
                      &points[p], f);
    }
    for (int f = 0; f < KF_HISTORY_COUNT; f++)
        out->history[f] = values + (size_t)f * count;
}

static void fill_history(apr_pool_t *pool, const kf_snapshot_source_t *source, kf_snapshot_t *out,
                         kf_snapshot_connection_t *connections)
{
    kf_history_point_t *points = apr_palloc(pool, KF_HISTORY_POINTS * sizeof *points);
    int64_t first_us, end_us = find_ends(source, points, &first_us);

    if (end_us == 0)
        return;
    out->history_step_us = KF_HISTORY_STEP_US;
    out->history_end_us = end_us;
    out->history_count = count_of(first_us, end_us);
    for (int i = 0; i < source->connection_count; i++)
        put_history(pool, source, i, out, points, &connections[i]);
}

/* ---- a connection ---- */

/* What is wrong: of several the worst, and of equals what stops more. */
static kf_msg_t trouble_of(const kf_shared_t *shared, int connection)
{
    kf_msg_t worst = KF_MSG_COUNT;

    if (!shared)
        return worst;
    if (kf_shared_raised(shared, connection, KF0306))
        return KF0306;
    for (int m = 0; m < KF_MSG_COUNT; m++) {
        kf_level_t level = kf_msg_info((kf_msg_t)m)->level;

        if (m == KF0304 || level > KF_WARNING || !kf_shared_raised(shared, connection, (kf_msg_t)m))
            continue;
        if (worst == KF_MSG_COUNT || level < kf_msg_info(worst)->level)
            worst = (kf_msg_t)m;
    }
    return worst;
}

static const char *mode_text(int mode)
{
    return mode == KF_PUT_AUTO ? "auto" : mode == KF_PUT_BATCH ? "batch" : "single";
}

static void fill_connection(const kf_snapshot_source_t *source, int i,
                            kf_snapshot_connection_t *out)
{
    const kf_connection_t *c = &source->connections[i];
    const kf_settings_t *s = c->settings;

    *out = (kf_snapshot_connection_t){
        .name = c->name,
        .service = s->service == KF_SERVICE_FIREHOSE ? "firehose" : "streams",
        .region = s->region,
        .stream = s->stream_name ? s->stream_name : s->stream_arn,
        .endpoint = s->endpoint,
        .put_mode = mode_text(s->put_mode),
        .unusable = c->unusable,
        .windowed = s->wait_for_complete_batch || (s->send_as_batch && s->batch_window > 0),
        .settings = source->settings[i],
        .setting_count = source->setting_count[i],
        .trouble = trouble_of(source->shared, i),
    };
    if (source->metrics)
        kf_metrics_read(source->metrics, i, &out->numbers);
}

void kf_snapshot_fill(apr_pool_t *pool, const kf_snapshot_source_t *source, kf_snapshot_t *out)
{
    static const char *const durabilities[] = {"disk", "process", "memory"};
    kf_snapshot_connection_t *connections =
        apr_palloc(pool, ((size_t)source->connection_count + 1) * sizeof *connections);

    *out = (kf_snapshot_t){
        .at_us = kf_wall_us(),
        .directory = source->process->store_directory,
        .durability = durabilities[source->process->durability],
        .connections = connections,
        .connection_count = source->connection_count,
    };
    for (int i = 0; i < source->connection_count; i++)
        fill_connection(source, i, &connections[i]);
    if (!source->metrics)
        return;
    for (int g = 0; g < KF_SERVER_COUNT; g++)
        out->server[g] = kf_metrics_server(source->metrics, (kf_server_gauge_t)g);
    if (source->want_history)
        fill_history(pool, source, out, connections);
}
