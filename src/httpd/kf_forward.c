/* SPDX-License-Identifier: Apache-2.0
 *
 * Body to engine (kf_forward.h). Must not know HTTP beyond status codes. Request threads.
 */
#include "httpd/kf_forward.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/kf_clock.h"
#include "delivery/kf_dropped.h"

/* KinesisForward takes no more names. */
#define CONNECTIONS_MAX 64

typedef struct {
    const kf_config_t *config;
    const kf_location_t *location;
    uint64_t batches, events, audience; /* that came */
    kf_record_list_t records;
    kf_filter_stats_t stats[CONNECTIONS_MAX]; /* by the location's connections */
} work_t;

static void refuse(kf_forwarded_t *out, int status, const char *message)
{
    out->status = status;
    snprintf(out->message, sizeof out->message, "%s", message);
}

static void refuse_memory(kf_forwarded_t *out)
{
    out->out_of_memory = true;
    refuse(out, HTTP_SERVICE_UNAVAILABLE, "the server is out of memory; try again later");
}

/* The records of every item for every connection, grouped by connection. */
static bool filter_all(work_t *work, const kf_post_t *post, kf_forwarded_t *out)
{
    int64_t now_us = kf_wall_us();
    uint32_t n = kf_post_count(post);

    for (int c = 0; c < work->location->connection_count; c++) {
        const kf_filter_t *filter = work->config->filters[work->location->connections[c]];

        for (uint32_t i = 0; i < n; i++)
            if (!kf_filter_apply(filter, kf_post_item(post, i), now_us, &work->records,
                                 &work->stats[c])) {
                if (!work->records.over)
                    refuse_memory(out);
                else {
                    out->status = HTTP_REQUEST_ENTITY_TOO_LARGE;
                    snprintf(out->message, sizeof out->message,
                             "the records made of this body would be more than %" PRIu64 " bytes",
                             work->records.max_bytes);
                }
                return false;
            }
    }
    return true;
}

static void count_items(work_t *work, const kf_post_t *post)
{
    uint32_t n = kf_post_count(post);

    work->batches = work->events = 0;
    for (uint32_t i = 0; i < n; i++) {
        const kf_item_t *item = kf_post_item(post, i);

        if (item->kind == KF_ITEM_BATCH) {
            work->batches++;
            work->events += item->event_count;
        }
    }
    work->audience = n - work->batches;
}

/* What came, and what filters left out of it, counts once the rest is taken: a sender that is refused
 * comes again. */
static void count(const work_t *work, kf_forwarded_t *out)
{
    kf_metrics_t *metrics = work->config->metrics;

    for (int c = 0; c < work->location->connection_count; c++) {
        int connection = work->location->connections[c];

        kf_metrics_add(metrics, connection, KF_COUNT_RECEIVED_BATCHES, work->batches);
        kf_metrics_add(metrics, connection, KF_COUNT_RECEIVED_EVENTS, work->events);
        kf_metrics_add(metrics, connection, KF_COUNT_RECEIVED_AUDIENCE, work->audience);
        out->filtered += kf_dropped_count(metrics, connection, &work->stats[c]);
    }
}

static void submit(work_t *work, kf_engine_t *engine, kf_forwarded_t *out)
{
    kf_admission_t admission = KF_ACCEPTED;

    out->records = work->records.count;
    if (work->records.count > 0)
        admission = kf_engine_submit(engine, &work->records);
    if (admission == KF_ACCEPTED) {
        out->status = HTTP_ACCEPTED;
        count(work, out);
    } else if (admission == KF_FULL) {
        refuse(out, HTTP_SERVICE_UNAVAILABLE, "the store is full; try again later");
    } else {
        refuse(out, HTTP_SERVICE_UNAVAILABLE, "the server takes no data at the moment");
    }
}

/* @return whether there is something to submit, or nothing of it was left */
static bool make_records(work_t *work, kf_str_t body, kf_forwarded_t *out)
{
    kf_fault_t fault = {0};
    kf_post_t *post = kf_post_parse(body.p, body.n, &fault);
    bool made = false;

    if (post) {
        count_items(work, post);
        made = filter_all(work, post, out);
    } else if (fault.out_of_memory) {
        refuse_memory(out);
    } else {
        refuse(out, HTTP_BAD_REQUEST, fault.message);
    }
    kf_post_free(post);
    return made;
}

void kf_forward(const kf_config_t *config, kf_engine_t *engine, const kf_location_t *location,
                kf_buf_t *body, kf_forwarded_t *out)
{
    work_t work;
    bool made;

    *out = (kf_forwarded_t){0};
    work.config = config;
    work.location = location;
    work.records = (kf_record_list_t){0};
    memset(work.stats, 0, (size_t)location->connection_count * sizeof work.stats[0]);
    work.records.max_bytes = (uint64_t)config->process->queue_bytes;
    made = make_records(&work, kf_buf_str(body), out);
    /* Not kept while the request waits for the disk with many others. */
    kf_buf_free(body);
    if (made)
        submit(&work, engine, out);
    kf_record_list_clear(&work.records);
}
