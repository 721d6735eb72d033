/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler (kf_handler.h). Must not know JSON, filters or AWS. Request threads.
 */
#include "httpd/kf_handler.h"

#include <ap_expr.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <signal.h>
#include "base/kf_clock.h"
#include "httpd/kf_answer.h"
#include "httpd/kf_body.h"
#include "httpd/kf_content.h"
#include "httpd/kf_cors.h"
#include "httpd/kf_forward.h"
#include "httpd/kf_httpd_log.h"
#include "httpd/kf_lifecycle.h"
#include "httpd/kf_module.h"

/* So many times its limit is read of a body that is dropped, to let the sender see the answer. */
#define DROP_FACTOR 8
/* Until a child that failed to start is replaced. */
#define RETRY_AFTER_S 10

typedef struct {
    request_rec *r;
    const kf_location_t *location;
    kf_engine_t *engine; /* NULL: it could not be started */
    kf_body_t *body;
} job_t;

/* ---- refusing ---- */

static void note_refusal(request_rec *r, int status, const char *message, bool discarded)
{
    apr_table_setn(r->notes, "kinesis-error", message);
    kf_httpd_log_request(r, KF0201, "%d%s: %s", status, discarded ? ", answered 202" : "", message);
}

/* Over HTTP/2 httpd resets a request that is answered before its end: many senders see no answer. */
static bool answers_after_body(const request_rec *r)
{
    return r->proto_num >= HTTP_VERSION(2, 0);
}

static void drop_body(const job_t *job)
{
    int64_t most = DROP_FACTOR * job->location->settings->max_body_size;

    kf_body_drop(job->r, job->body, most - (int64_t)job->body->bytes.n);
}

static void count(const job_t *job, kf_count_t what)
{
    kf_metrics_t *metrics = kf_config_current()->metrics;

    for (int i = 0; metrics && i < job->location->connection_count; i++)
        kf_metrics_add(metrics, job->location->connections[i], what, 1);
}

static kf_count_t invalid(int status, bool discard)
{
    switch (status) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return discard ? KF_COUNT_DISCARDED_413 : KF_COUNT_REJECTED_413;
    case HTTP_UNSUPPORTED_MEDIA_TYPE:
        return discard ? KF_COUNT_DISCARDED_415 : KF_COUNT_REJECTED_415;
    default:
        return discard ? KF_COUNT_DISCARDED_400 : KF_COUNT_REJECTED_400;
    }
}

/* 400, 413, 415: what KinesisInvalidBatch is about. message must live as long as the request. */
static int refuse(const job_t *job, int status, const char *message)
{
    bool discard = job->location->settings->invalid_batch == KF_INVALID_DISCARD;

    note_refusal(job->r, status, message, discard);
    count(job, invalid(status, discard));
    if (discard || answers_after_body(job->r))
        drop_body(job);
    return discard ? kf_answer_accepted(job->r) : kf_answer_error(job->r, status, message);
}

static int refuse_method(request_rec *r)
{
    const char *message = "the method must be POST or OPTIONS";

    note_refusal(r, HTTP_METHOD_NOT_ALLOWED, message, false);
    return kf_answer_error(r, HTTP_METHOD_NOT_ALLOWED, message);
}

static int refuse_for_now(const job_t *job, const char *message)
{
    const kf_location_t *location = job->location;
    int seconds = job->engine ? kf_engine_retry_after(job->engine, location->connections,
                                                      location->connection_count)
                              : RETRY_AFTER_S;

    note_refusal(job->r, HTTP_SERVICE_UNAVAILABLE, message, false);
    if (answers_after_body(job->r))
        drop_body(job);
    return kf_answer_unavailable(job->r, seconds, message);
}

static int refuse_memory(const job_t *job)
{
    kf_httpd_log_request(job->r, KF0204, "a request could not be taken");
    count(job, KF_COUNT_REFUSED_MEMORY);
    return refuse_for_now(job, "the server is out of memory; try again later");
}

static int refuse_encoding(const job_t *job)
{
    return refuse(job, HTTP_UNSUPPORTED_MEDIA_TYPE,
                  "the body has a Content-Encoding that nothing removed; "
                  "SetInputFilter DEFLATE in the location inflates gzip");
}

static int refuse_length(const job_t *job)
{
    return refuse(job, HTTP_REQUEST_ENTITY_TOO_LARGE,
                  apr_psprintf(job->r->pool, "the body is longer than %" APR_INT64_T_FMT " bytes",
                               (apr_int64_t)job->location->settings->max_body_size));
}

/* ---- taking ---- */

/*
 * On prefork the signal that ends a child ends it inside of whatever it interrupts, this handler's
 * memory management included: it is let wait for that.
 */
static void hold_signals(sigset_t *before)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ending, before);
}

static void forward(const job_t *job, kf_forwarded_t *out)
{
    const kf_config_t *config = kf_config_current();
    bool hold = !kf_lifecycle_is_threaded();
    sigset_t before;

    if (hold)
        hold_signals(&before);
    kf_forward(config, job->engine, job->location, &job->body->bytes, out);
    if (hold)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void observe_answer(const job_t *job)
{
    int64_t took_us = kf_wall_us() - job->r->request_time;

    for (int i = 0; i < job->location->connection_count; i++)
        kf_metrics_observe(kf_config_current()->metrics, job->location->connections[i],
                           KF_HISTOGRAM_ANSWER, took_us, 1);
}

static const char *decimal(apr_pool_t *pool, uint64_t n)
{
    char digits[KF_STR_DECIMAL_MAX];

    return n == 0 ? "0" : apr_pstrmemdup(pool, digits, kf_str_decimal(digits, n));
}

static int take(const job_t *job)
{
    request_rec *r = job->r;
    kf_forwarded_t done;

    forward(job, &done);
    if (done.out_of_memory)
        return refuse_memory(job);
    if (done.status == HTTP_SERVICE_UNAVAILABLE)
        return refuse_for_now(job, apr_pstrdup(r->pool, done.message));
    if (done.status != HTTP_ACCEPTED)
        return refuse(job, done.status, apr_pstrdup(r->pool, done.message));
    observe_answer(job);
    apr_table_setn(r->notes, "kinesis-records", decimal(r->pool, done.records));
    apr_table_setn(r->notes, "kinesis-filtered", decimal(r->pool, done.filtered));
    return kf_answer_accepted(r);
}

static int read_and_take(const job_t *job, int64_t announced)
{
    switch (kf_body_read(job->r, job->location->settings->max_body_size, announced, job->body)) {
    case KF_BODY_READ:
        return take(job);
    case KF_BODY_TOO_LARGE:
        return refuse_length(job);
    case KF_BODY_ENCODED:
        return refuse_encoding(job);
    case KF_BODY_BROKEN:
        return refuse(job, HTTP_BAD_REQUEST,
                      "the body cannot be read: its Content-Encoding or its framing is broken");
    case KF_BODY_MEMORY:
        return refuse_memory(job);
    default:
        return job->body->status;
    }
}

static int take_post(const job_t *job)
{
    const kf_location_t *location = job->location;
    const char *fault = kf_content_type_fault(apr_table_get(job->r->headers_in, "Content-Type"));
    int64_t announced;

    if (fault)
        return refuse(job, HTTP_UNSUPPORTED_MEDIA_TYPE, fault);
    if (kf_content_stays_encoded(job->r))
        return refuse_encoding(job);
    announced = kf_body_announced(job->r);
    if (announced > location->settings->max_body_size)
        return refuse_length(job);
    if (!job->engine) {
        count(job, KF_COUNT_REFUSED_CLOSED);
        return refuse_for_now(job, "the server takes no data at the moment");
    }
    switch (kf_engine_room(job->engine, location->connections, location->connection_count)) {
    case KF_ACCEPTED:
        return read_and_take(job, announced);
    case KF_FULL:
        return refuse_for_now(job, "the store is full; try again later");
    default:
        return refuse_for_now(job, "the server takes no data at the moment");
    }
}

int kf_handler(request_rec *r)
{
    job_t job = {.r = r};

    if (!r->handler || strcmp(r->handler, KF_HANDLER_NAME) != 0)
        return DECLINED;
    job.location = kf_config_location(r);
    /* Again, for locations that header_parser could not tell to be ours. */
    kf_cors_apply(r, job.location);
    if (job.location->connection_count == 0) {
        kf_httpd_log_request(r, KF0101, "%s: %s", r->uri, kf_msg_info(KF0101)->text);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (r->method_number == M_OPTIONS) {
        kf_cors_preflight(r, job.location);
        return kf_answer_options(r);
    }
    job.engine = kf_lifecycle_engine();
    job.body = apr_pcalloc(r->pool, sizeof *job.body);
    if (r->method_number == M_POST)
        return take_post(&job);
    if (answers_after_body(r))
        drop_body(&job);
    return refuse_method(r);
}

int kf_handler_missing(request_rec *r)
{
    if (r->method_number == M_POST && kf_config_location(r)->connection_count > 0)
        kf_httpd_log_request(r, KF0106, "%s: %s; %s", r->uri, kf_msg_info(KF0106)->text,
                             kf_msg_info(KF0106)->advice);
    return DECLINED;
}

/* ---- before the handler ---- */

/* Whether the handler will be ours, as far as it is known before it is chosen. */
static bool is_our_location(request_rec *r, const kf_location_t *location)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *handler = core->handler;
    const char *error = NULL;

    if (!handler && core->expr_handler)
        handler = ap_expr_str_exec(r, core->expr_handler, &error);
    if (handler && !error)
        return strcmp(handler, KF_HANDLER_NAME) == 0;
    return location->connection_count > 0;
}

int kf_handler_cors(request_rec *r)
{
    const kf_location_t *location = kf_config_location(r);

    if (location->settings->allow_origin.n > 0 && is_our_location(r, location))
        kf_cors_apply(r, location);
    return DECLINED;
}

void kf_handler_cors_again(request_rec *r)
{
    (void)kf_handler_cors(r);
}

int kf_handler_trace(request_rec *r)
{
    const kf_location_t *location;

    if (r->method_number != M_TRACE)
        return DECLINED;
    location = kf_config_location(r);
    if (!is_our_location(r, location))
        return DECLINED;
    kf_cors_apply(r, location);
    refuse_method(r);
    return DONE;
}
