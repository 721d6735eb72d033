/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows to records.
 */
#include "delivery/kf_closing_batch.h"

#include <stdlib.h>
#include "delivery/kf_dropped.h"
#include "events/kf_merge.h"

void kf_closing_batch_init(kf_closing_batch_t *work, const kf_keeper_config_t *config)
{
    memset(work, 0, sizeof(*work));
    work->config = config;
    kf_buf_init(&work->texts, SIZE_MAX / 4);
    kf_buf_init(&work->merged, UINT32_MAX);
}

void kf_closing_batch_free(kf_closing_batch_t *work)
{
    kf_buf_free(&work->texts);
    kf_buf_free(&work->merged);
    free(work->ends);
    free(work->uploads);
}

static bool make_room(kf_closing_batch_t *work, uint32_t n)
{
    if (n <= work->cap) {
        return true;
    }
    void *ends = realloc(work->ends, n * sizeof(*work->ends));
    if (ends) {
        work->ends = ends;
    }
    void *uploads = realloc(work->uploads, n * sizeof(*work->uploads));
    if (uploads) {
        work->uploads = uploads;
    }
    if (!ends || !uploads) {
        return false;
    }
    work->cap = n;
    return true;
}

static kf_str_t id_of(const kf_window_t *window)
{
    return kf_str_of(window->message_id);
}

/* A text that can't be closed, as an upload that will be a dead letter. */
static kf_closed_t put_aside(const kf_window_t *window, kf_str_t text, kf_record_list_t *out)
{
    kf_record_t *record = kf_record_create(window->connection, id_of(window), text);

    if (!record) {
        return KF_CLOSED_MEMORY;
    }
    record->kind = KF_RECORD_WINDOW;
    record->accepted_us = window->last_us;
    record->too_large = 1;
    kf_record_list_add(out, record);
    return KF_CLOSED_OK;
}

/* Merges what can be, puts aside what is none. @return MEMORY, or OK with an empty text if nothing is */
static kf_closed_t merge(kf_closing_batch_t *work, const kf_window_t *window, uint32_t n,
                         kf_record_list_t *out)
{
    kf_str_t id = kf_keeper_outbound(work->config, window->connection) ? id_of(window) : KF_STR("");
    uint32_t damaged;

    kf_buf_clear(&work->merged);
    while (n > 0) {
        kf_merge_result_t result = kf_merge(work->uploads, n, id, &work->merged, &damaged);
        if (result == KF_MERGE_OK) {
            break;
        }
        if (result == KF_MERGE_MEMORY ||
            put_aside(window, work->uploads[damaged], out) != KF_CLOSED_OK) {
            return KF_CLOSED_MEMORY;
        }
        n--;
        memmove(&work->uploads[damaged], &work->uploads[damaged + 1],
                (n - damaged) * sizeof(*work->uploads));
    }
    return KF_CLOSED_OK;
}

static kf_closed_t filter(kf_closing_batch_t *work, const kf_window_t *window, int64_t now_us,
                          kf_record_list_t *out, kf_filter_stats_t *stats)
{
    kf_str_t text = kf_buf_str(&work->merged);
    kf_record_list_t made = {.max_bytes = (uint64_t)work->config->process->queue_bytes};
    kf_fault_t fault = {.out_of_memory = false};
    kf_post_t *post = kf_post_parse(text.p, text.n, &fault);

    if (!post) {
        return fault.out_of_memory ? KF_CLOSED_MEMORY : put_aside(window, text, out);
    }
    bool ok = kf_filter_close(work->config->filters[window->connection], kf_post_item(post, 0),
                              window->last_us, id_of(window), &made, stats);
    kf_post_free(post);
    if (!ok) {
        kf_record_list_clear(&made);
        return made.over ? put_aside(window, text, out) : KF_CLOSED_MEMORY;
    }
    for (kf_record_t *r = made.first; r; r = r->next) {
        r->accepted_us = now_us;
    }
    kf_record_list_append(out, &made);
    return KF_CLOSED_OK;
}

kf_closed_t kf_closing_batch(kf_closing_batch_t *work, const kf_window_t *window, int64_t now_us,
                             kf_record_list_t *out, kf_filter_stats_t *stats)
{
    kf_record_list_t own = {.count = 0};
    kf_filter_stats_t dropped = {.records = 0};
    size_t at = 0;

    kf_buf_clear(&work->texts);
    if (!make_room(work, window->uploads)) {
        return KF_CLOSED_MEMORY;
    }
    uint32_t n = kf_windows_read(work->config->windows, window, &work->texts, work->ends);
    if (n == 0) {
        return work->texts.failed ? KF_CLOSED_MEMORY : KF_CLOSED_UNREAD;
    }
    for (uint32_t i = 0; i < n; i++) {
        work->uploads[i] = (kf_str_t){work->texts.p + at, work->ends[i] - at};
        at = work->ends[i];
    }
    kf_closed_t closed = merge(work, window, n, &own);
    if (closed == KF_CLOSED_OK && work->merged.n > 0) {
        closed = filter(work, window, now_us, &own, &dropped);
    }
    if (closed != KF_CLOSED_OK) {
        kf_record_list_clear(&own);
        return closed;
    }
    kf_record_list_append(out, &own);
    kf_dropped_add(stats, &dropped);
    return KF_CLOSED_OK;
}
