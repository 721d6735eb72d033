/* SPDX-License-Identifier: Apache-2.0
 *
 * One call to AWS from a batch to its verdict: encode, sign, send, read. Must not know what a verdict
 * means for the records (kf_reaction.c). Runs on the worker that started the call; takes the engine's
 * lock for the moment in which the verdict is applied.
 */
#include <stdio.h>
#include <stdlib.h>

#include "delivery/kf_engine_int.h"

/* Longest reply that is read; 500 results with a message each stay below a quarter of it. */
#define REPLY_MAX ((size_t)2 * 1024 * 1024)
/* A body beyond this is a mistake: 10 MiB in base64, keys and JSON around 500 records. */
#define BODY_MAX ((size_t)32 * 1024 * 1024)
/* The request's part of a body that is not records. */
#define BODY_HEAD 512
/* A reply that took longer says little about the clock. */
#define CLOCK_TOOK_MAX_US (15 * 60 * KF_SEC)
/* Why there are no keys: what a verdict has room for. */
#define WHY_MAX sizeof((kf_verdict_t){0}.message)

typedef struct {
    kf_worker_t *worker;
    kf_lane_t *lane;
    kf_batch_t *batch; /* NULL: a look at the stream */
    kf_keys_t *keys;
    kf_buf_t body;
    kf_call_headers_t headers;
} transfer_t;

static transfer_t *create(kf_worker_t *worker, kf_lane_t *lane, kf_batch_t *batch)
{
    transfer_t *t = calloc(1, sizeof *t);

    if (t) {
        *t = (transfer_t){.worker = worker, .lane = lane, .batch = batch};
        kf_buf_init(&t->body, BODY_MAX);
    }
    return t;
}

static void destroy(transfer_t *t)
{
    if (!t)
        return;
    kf_buf_free(&t->body);
    kf_call_headers_free(&t->headers);
    if (t->keys)
        kf_keys_release(t->keys);
    free(t);
}

/* ------------------------------------------------------------------ its end */

static kf_count_t outcome_of(const kf_outcome_t *out, const kf_verdict_t *verdict,
                             const kf_facts_t *facts)
{
    switch (verdict->class) {
    case KF_CLASS_OK:
        return out->call_failed    ? KF_COUNT_CALLS_NONE
               : out->call_partial ? KF_COUNT_CALLS_PARTIAL
                                   : KF_COUNT_CALLS_OK;
    case KF_CLASS_THROTTLE:
        return KF_COUNT_CALLS_THROTTLED;
    case KF_CLASS_REFUSED:
    case KF_CLASS_TOO_LARGE:
        return KF_COUNT_CALLS_REFUSED;
    case KF_CLASS_HOLD:
        return KF_COUNT_CALLS_HOLD;
    case KF_CLASS_DENIED:
        return KF_COUNT_CALLS_DENIED;
    case KF_CLASS_CLOCK:
        return KF_COUNT_CALLS_CLOCK;
    case KF_CLASS_EXPIRED:
    case KF_CLASS_CREDENTIALS:
        return KF_COUNT_CALLS_CREDENTIALS;
    default:
        return facts->is_reached ? KF_COUNT_CALLS_SERVER : KF_COUNT_CALLS_NETWORK;
    }
}

/* What was not sent has no duration and no records. */
static void count_call(kf_engine_t *engine, const kf_lane_t *lane, kf_count_t outcome,
                       uint32_t records, int64_t took_us)
{
    kf_metrics_t *metrics = engine->config.metrics;
    int connection = lane->at.connection;

    kf_metrics_add(metrics, connection, outcome, 1);
    if (outcome == KF_COUNT_CALLS_UNSENT)
        return;
    kf_metrics_observe(metrics, connection, KF_HISTOGRAM_CALL, took_us, 1);
    kf_metrics_observe(metrics, connection, KF_HISTOGRAM_CALL_RECORDS, records, 1);
}

/* Under the engine's lock: one at a time. */
static void note_error(kf_engine_t *engine, const kf_lane_t *lane, const kf_verdict_t *verdict,
                       const kf_facts_t *facts, kf_now_t now)
{
    kf_last_error_t error = {.at_us = now.wall_us, .status = facts->status};

    snprintf(error.code, sizeof error.code, "%s", kf_verdict_code(verdict));
    snprintf(error.message, sizeof error.message, "%.*s", (int)sizeof error.message - 1,
             verdict->message);
    snprintf(error.request_id, sizeof error.request_id, "%s", verdict->request_id);
    kf_metrics_set_error(engine->config.metrics, lane->at.connection, &error);
}

/* took_us: -1 when nothing was sent. */
static void end_put(kf_worker_t *worker, kf_lane_t *lane, kf_batch_t *batch,
                    const kf_verdict_t *verdict, const kf_facts_t *facts, int64_t took_us)
{
    kf_engine_t *engine = worker->engine;
    uint32_t records = batch->count;
    kf_outcome_t out = {0};
    kf_now_t now = kf_now();

    pthread_mutex_lock(&engine->lock);
    kf_flight_end(lane, batch);
    kf_destination_apply(&lane->destination, batch, verdict, facts, now, &out);
    if (out.call_failed || out.call_partial)
        note_error(engine, lane, verdict, facts, now);
    pthread_mutex_unlock(&engine->lock);
    count_call(engine, lane, took_us < 0 ? KF_COUNT_CALLS_UNSENT : outcome_of(&out, verdict, facts),
               records, took_us);
    kf_settle(engine, lane, &out, verdict);
    kf_gauges_call_ended(engine, out.notice_count > 0, now.mono_us);
}

/* What is wrong with a stream that was described; NULL if nothing is. */
static const char *unfit(const kf_describe_t *stream, char *text, size_t size)
{
    if (strcmp(stream->status, "ACTIVE") != 0)
        snprintf(text, size, "its status is %s", stream->status);
    else if (strcmp(stream->type, "DirectPut") != 0)
        snprintf(text, size, "its source is %s", stream->type);
    else
        return NULL;
    return text;
}

static bool is_passing(kf_class_t class)
{
    return class == KF_CLASS_TRANSIENT || class == KF_CLASS_THROTTLE || class == KF_CLASS_CLOCK ||
           class == KF_CLASS_EXPIRED || class == KF_CLASS_CREDENTIALS;
}

/* stream is NULL when the call failed. What passes by itself is asked again soon, without a word:
 * puts meet the same trouble, and raise it. */
static void end_check(kf_worker_t *worker, kf_lane_t *lane, const kf_verdict_t *verdict,
                      const kf_describe_t *stream)
{
    kf_engine_t *engine = worker->engine;
    bool again = !stream && is_passing(verdict->class);
    char text[96];

    pthread_mutex_lock(&engine->lock);
    lane->check.is_out = false;
    lane->check.why = again ? KF_CHECK_SOON : KF_CHECK_HOURLY;
    lane->check.due_us =
        kf_mono_us() + (again ? engine->timing.check_least_us : engine->timing.check_us);
    pthread_mutex_unlock(&engine->lock);
    if (again)
        return;
    if (!stream)
        kf_alert_begin(&lane->at, KF0403, "stream %s: %s%s%s", lane->target->stream_name,
                       verdict->code, verdict->message[0] ? ": " : "", verdict->message);
    else if (unfit(stream, text, sizeof text))
        kf_alert_begin(&lane->at, KF0403, "stream %s: %s", lane->target->stream_name, text);
    else
        kf_alert_end(&lane->at, KF0403, KF0307);
}

/* A call that could not even be started. */
static void end_unsent(transfer_t *t, kf_worker_t *worker, kf_lane_t *lane, kf_batch_t *batch,
                       kf_class_t class, const char *code, const char *message)
{
    kf_verdict_t verdict = {.class = class, .retry_after_us = -1, .bad_entry = -1};
    kf_facts_t facts = {.is_reached = true, .random = kf_random_u32()};

    snprintf(verdict.code, sizeof verdict.code, "%s", code);
    snprintf(verdict.message, sizeof verdict.message, "%s", message);
    destroy(t);
    if (batch)
        end_put(worker, lane, batch, &verdict, &facts, -1);
    else
        end_check(worker, lane, &verdict, NULL);
}

static kf_facts_t facts_of(const kf_http_reply_t *reply)
{
    return (kf_facts_t){
        .is_reached = reply->outcome == KF_HTTP_REPLIED,
        .status = reply->status,
        .has_offset = reply->outcome == KF_HTTP_REPLIED && reply->date_us != 0 &&
                      reply->took_us < CLOCK_TOOK_MAX_US,
        .offset_us = reply->date_us - kf_wall_us(),
        .random = kf_random_u32(),
    };
}

static void put_done(void *context, const kf_http_reply_t *reply)
{
    transfer_t *t = context;
    kf_worker_t *worker = t->worker;
    kf_lane_t *lane = t->lane;
    kf_batch_t *batch = t->batch;
    kf_facts_t facts = facts_of(reply);
    kf_verdict_t verdict;

    if (reply->outcome == KF_HTTP_ABORTED) {
        destroy(t);
        pthread_mutex_lock(&worker->engine->lock);
        kf_flight_end(lane, batch);
        kf_destination_return(&lane->destination, batch, kf_now());
        pthread_mutex_unlock(&worker->engine->lock);
        return;
    }
    kf_buf_free(&t->body);
    kf_call_read(lane->target, batch->op, batch->entry_count, reply, &verdict);
    if (verdict.class == KF_CLASS_EXPIRED || verdict.class == KF_CLASS_CREDENTIALS)
        facts.is_refreshed = kf_creds_refuse(lane->creds, t->keys);
    destroy(t);
    end_put(worker, lane, batch, &verdict, &facts, reply->took_us);
    kf_verdict_free(&verdict);
}

static void check_done(void *context, const kf_http_reply_t *reply)
{
    transfer_t *t = context;
    kf_worker_t *worker = t->worker;
    kf_lane_t *lane = t->lane;
    kf_verdict_t verdict;
    kf_describe_t stream;

    if (reply->outcome == KF_HTTP_ABORTED) {
        destroy(t);
        return;
    }
    kf_describe_read(reply, &verdict, &stream);
    if (verdict.class == KF_CLASS_EXPIRED || verdict.class == KF_CLASS_CREDENTIALS)
        kf_creds_refuse(lane->creds, t->keys);
    destroy(t);
    end_check(worker, lane, &verdict, verdict.class == KF_CLASS_OK ? &stream : NULL);
    kf_verdict_free(&verdict);
}

/* --------------------------------------------------------------- its beginning */

/* The body's size, nearly: so that it is allocated once, and what it was charged for. */
static size_t body_bytes(const kf_batch_t *batch)
{
    size_t n = BODY_HEAD;

    for (uint32_t i = 0; i < batch->count; i++)
        n += kf_charge(batch->records[i]) - sizeof(kf_record_t) - batch->records[i]->data_bytes;
    return n;
}

static bool encode_put(transfer_t *t)
{
    kf_batch_t *batch = t->batch;
    kf_entries_t entries = {.records = batch->records,
                            .entry_end = batch->entry_end,
                            .entry_count = batch->entry_count};

    return kf_buf_room(&t->body, body_bytes(batch)) &&
           kf_call_encode(t->lane->target, batch->op, &entries, &t->body);
}

static bool start(transfer_t *t, kf_http_done_fn *done)
{
    kf_engine_t *engine = t->worker->engine;
    kf_http_request_t request = {.url = t->lane->target->url,
                                 .method = "POST",
                                 .header_count = t->headers.count,
                                 .body = kf_buf_str(&t->body),
                                 .ca_file = t->lane->target->ca_file,
                                 .proxy = t->lane->target->proxy,
                                 .connect_us = engine->timing.connect_us,
                                 .stall_us = engine->timing.stall_us,
                                 .total_us = engine->timing.total_us,
                                 .reply_max = REPLY_MAX};

    for (int i = 0; i < t->headers.count; i++)
        request.headers[i] = t->headers.line[i];
    return t->worker->http->ops->start(t->worker->http, &request, done, t);
}

/* Signs and starts what was encoded. @return NULL, or what failed */
static const char *sign_and_start(transfer_t *t, kf_op_t op, int64_t offset_us,
                                  kf_http_done_fn *done)
{
    kf_lane_t *lane = t->lane;

    if (!kf_call_sign(lane->target, op, kf_keys_of(t->keys),
                      &t->worker->signers[lane->at.connection], kf_wall_us() + offset_us,
                      kf_buf_str(&t->body), &t->headers))
        return "the call could not be signed";
    if (!start(t, done))
        return "the call could not be started";
    return NULL;
}

void kf_transfer_put(kf_worker_t *worker, kf_lane_t *lane, kf_batch_t *batch)
{
    transfer_t *t = create(worker, lane, batch);
    const char *why = "no memory for the call";
    char missing[WHY_MAX];

    if (!t || !encode_put(t)) {
        end_unsent(t, worker, lane, batch, KF_CLASS_TRANSIENT, "LocalFailure", why);
        return;
    }
    t->keys = kf_creds_get(lane->creds, missing, sizeof missing);
    if (!t->keys) {
        end_unsent(t, worker, lane, batch, KF_CLASS_HOLD, "NoCredentials", missing);
        return;
    }
    why = sign_and_start(t, batch->op, batch->offset_us, put_done);
    if (why)
        end_unsent(t, worker, lane, batch, KF_CLASS_TRANSIENT, "LocalFailure", why);
}

void kf_transfer_check(kf_worker_t *worker, kf_lane_t *lane)
{
    transfer_t *t = create(worker, lane, NULL);
    const char *why = "no memory for the call";
    char missing[WHY_MAX];
    int64_t offset_us;

    if (!t || !kf_describe_encode(lane->target, &t->body)) {
        end_unsent(t, worker, lane, NULL, KF_CLASS_TRANSIENT, "LocalFailure", why);
        return;
    }
    t->keys = kf_creds_get(lane->creds, missing, sizeof missing);
    if (!t->keys) {
        /* Puts say so, and KF0408 does. */
        end_unsent(t, worker, lane, NULL, KF_CLASS_CREDENTIALS, "NoCredentials", missing);
        return;
    }
    pthread_mutex_lock(&worker->engine->lock);
    offset_us = lane->destination.offset_us;
    pthread_mutex_unlock(&worker->engine->lock);
    why = sign_and_start(t, KF_OP_DESCRIBE, offset_us, check_done);
    if (why)
        end_unsent(t, worker, lane, NULL, KF_CLASS_TRANSIENT, "LocalFailure", why);
}
