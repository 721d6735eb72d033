/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake of fake_http.h. Each instance is its worker's; only the flag of wake() is shared.
 */
#include "fake_http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/kf_clock.h"

typedef struct transfer_t transfer_t;
struct transfer_t {
    transfer_t *next;
    kf_http_done_fn *done;
    void *context;
    int64_t due_us; /* INT64_MAX: never */
    int64_t started_us;
    kf_http_reply_t reply;
    kf_buf_t body;
};

typedef struct {
    kf_http_t base;
    fake_world_t *world;
    transfer_t *transfers;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool is_woken;
} fake_http_t;

/* The real one, whatever the tests put in place of it. */
static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * KF_SEC + t.tv_nsec / 1000;
}

/* ---------------------------------------------------------------------- bodies */

static const char *find(const char *p, const char *end, const char *word)
{
    return memmem(p, (size_t)(end - p), word, strlen(word));
}

static void copy_string(const char *p, const char *end, char *out, size_t size)
{
    size_t n = 0;

    for (; p < end && *p != '"' && n + 1 < size; p++)
        out[n++] = *p;
    out[n] = '\0';
}

static void read_call(const kf_http_request_t *request, fake_call_t *call)
{
    const char *body = request->body.n > 0 ? request->body.p : "";
    const char *end = body + request->body.n;
    const char *p = find(body, end, "StreamName\":\"");
    uint32_t room = 0;

    *call = (fake_call_t){.request = request};
    for (int i = 0; i < request->header_count; i++) {
        const char *dot = strchr(request->headers[i], '.');

        if (strncmp(request->headers[i], "X-Amz-Target:", 13) == 0 && dot)
            snprintf(call->action, sizeof call->action, "%s", dot + 1);
        if (strstr(request->headers[i], "Firehose_"))
            call->is_firehose = true;
    }
    if (p)
        copy_string(p + strlen("StreamName\":\""), end, call->stream, sizeof call->stream);
    for (p = body; (p = find(p, end, "\"Data\":\"")) != NULL;) {
        p += strlen("\"Data\":\"");
        if (call->entry_count == room) {
            room = room ? room * 2 : 512;
            call->entries = realloc(call->entries, room * sizeof *call->entries);
        }
        call->entries[call->entry_count++] = p;
    }
}

size_t fake_call_data(const fake_call_t *call, uint32_t entry, char *out, size_t size)
{
    const char *p = call->entries[entry], *end = strchr(p, '"');
    size_t n = (size_t)(end - p);
    kf_buf_t b;

    if (n > size / 3 * 4)
        n = size / 3 * 4;
    kf_buf_init(&b, size);
    if (!kf_buf_put_unbase64(&b, (kf_str_t){p, n / 4 * 4}))
        abort();
    n = b.n;
    if (n > 0)
        memcpy(out, b.p, n);
    kf_buf_free(&b);
    return n;
}

static void write_entry(kf_buf_t *b, const fake_call_t *call, const char *code)
{
    if (code)
        kf_buf_printf(b, "{\"ErrorCode\":\"%s\",\"ErrorMessage\":\"no\"}", code);
    else if (call->is_firehose)
        kf_buf_printf(b, "{\"RecordId\":\"r\"}");
    else
        kf_buf_printf(b, "{\"SequenceNumber\":\"1\",\"ShardId\":\"s\"}");
}

static void write_body(kf_buf_t *b, const fake_call_t *call, const fake_answer_t *answer)
{
    uint32_t failed = 0;

    if (answer->body) {
        kf_buf_printf(b, "%s", answer->body);
    } else if (answer->code) {
        kf_buf_printf(b, "{\"__type\":\"%s\",\"message\":\"%s\"}", answer->code,
                      answer->message ? answer->message : "");
    } else if (strstr(call->action, "Describe")) {
        kf_buf_printf(b, "{\"DeliveryStreamDescription\":{\"DeliveryStreamStatus\":\"ACTIVE\","
                         "\"DeliveryStreamType\":\"DirectPut\",\"Destinations\":[]}}");
    } else if (strcmp(call->action, "PutRecord") == 0) {
        write_entry(b, call, NULL);
    } else {
        for (uint32_t i = 0; i < call->entry_count && answer->entry_codes; i++)
            failed += answer->entry_codes[i] != NULL;
        kf_buf_printf(b, "{\"%s\":%u,\"%s\":[",
                      call->is_firehose ? "FailedPutCount" : "FailedRecordCount", failed,
                      call->is_firehose ? "RequestResponses" : "Records");
        for (uint32_t i = 0; i < call->entry_count; i++) {
            if (i > 0)
                kf_buf_putc(b, ',');
            write_entry(b, call, answer->entry_codes ? answer->entry_codes[i] : NULL);
        }
        kf_buf_printf(b, "]}");
    }
}

/* ------------------------------------------------------------------- transfers */

static bool start(kf_http_t *http, const kf_http_request_t *request, kf_http_done_fn *done,
                  void *context)
{
    fake_http_t *f = (fake_http_t *)http;
    transfer_t *t = calloc(1, sizeof *t), **end = &f->transfers;
    fake_answer_t answer = {0};
    fake_call_t call;

    read_call(request, &call);
    atomic_fetch_add(&f->world->calls, 1);
    atomic_fetch_add(&f->world->records, (int)call.entry_count);
    if (f->world->handler)
        f->world->handler(f->world->context, &call, &answer);
    t->done = done;
    t->context = context;
    t->started_us = now_us();
    t->due_us = answer.never ? INT64_MAX : t->started_us + answer.delay_us;
    t->reply =
        (kf_http_reply_t){.outcome = answer.outcome,
                          .status = answer.status ? answer.status : 200,
                          .date_us = answer.date_us,
                          .retry_after_us = answer.retry_after_us ? answer.retry_after_us : -1};
    snprintf(t->reply.request_id, sizeof t->reply.request_id, "fake-%d",
             atomic_load(&f->world->calls));
    kf_buf_init(&t->body, (size_t)1 << 22);
    write_body(&t->body, &call, &answer);
    free(call.entries);
    while (*end)
        end = &(*end)->next;
    *end = t;
    return true;
}

static void finish(transfer_t *t, kf_http_outcome_t outcome)
{
    t->reply.outcome = outcome;
    t->reply.took_us = now_us() - t->started_us;
    if (outcome == KF_HTTP_REPLIED)
        t->reply.body = kf_buf_str(&t->body);
    else
        snprintf(t->reply.error, sizeof t->reply.error, "fake");
    t->done(t->context, &t->reply);
    kf_buf_free(&t->body);
    free(t);
}

/* Ends what is due. @return whether anything was */
static bool deliver(fake_http_t *f)
{
    int64_t now = now_us();
    bool any = false;

    for (transfer_t **at = &f->transfers; *at;) {
        transfer_t *t = *at;

        if (t->due_us > now) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        finish(t, t->reply.outcome);
        any = true;
        at = &f->transfers; /* done may have started others */
    }
    return any;
}

static void poll_http(kf_http_t *http, int64_t timeout_us)
{
    fake_http_t *f = (fake_http_t *)http;
    int64_t until_us = now_us() + timeout_us;
    struct timespec until;

    if (deliver(f))
        timeout_us = 0;
    for (const transfer_t *t = f->transfers; t; t = t->next)
        if (t->due_us < until_us)
            until_us = t->due_us;
    until = (struct timespec){until_us / KF_SEC, until_us % KF_SEC * 1000};
    pthread_mutex_lock(&f->lock);
    if (timeout_us > 0)
        while (!f->is_woken && pthread_cond_timedwait(&f->woken, &f->lock, &until) == 0)
            ;
    f->is_woken = false;
    pthread_mutex_unlock(&f->lock);
    deliver(f);
}

static void wake(kf_http_t *http)
{
    fake_http_t *f = (fake_http_t *)http;

    atomic_fetch_add(&f->world->wakes, 1);
    pthread_mutex_lock(&f->lock);
    f->is_woken = true;
    pthread_cond_signal(&f->woken);
    pthread_mutex_unlock(&f->lock);
}

static void abort_all(kf_http_t *http)
{
    fake_http_t *f = (fake_http_t *)http;
    transfer_t *t;

    deliver(f);
    while ((t = f->transfers) != NULL) {
        f->transfers = t->next;
        atomic_fetch_add(&f->world->aborted, 1);
        finish(t, KF_HTTP_ABORTED);
    }
}

static void destroy(kf_http_t *http)
{
    fake_http_t *f = (fake_http_t *)http;

    abort_all(http);
    atomic_fetch_sub(&f->world->instances, 1);
    pthread_cond_destroy(&f->woken);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

kf_http_t *fake_http_create(void *world)
{
    static const kf_http_ops_t ops = {start, poll_http, wake, abort_all, destroy};
    fake_http_t *f = calloc(1, sizeof *f);
    pthread_condattr_t monotonic;

    f->base.ops = &ops;
    f->world = world;
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&f->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
    atomic_fetch_add(&f->world->instances, 1);
    return &f->base;
}
