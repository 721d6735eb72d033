/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's page (kf_status.h).
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "httpd/kf_status.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <inttypes.h>
#include <mod_status.h>
#include <pthread.h>
#include <signal.h>
#include "base/kf_clock.h"
#include "delivery/kf_probe.h"
#include "httpd/kf_config.h"
#include "httpd/kf_httpd_log.h"
#include "httpd/kf_lifecycle.h"
#include "httpd/kf_module.h"
#include "httpd/kf_status_change.h"
#include "httpd/kf_status_guard.h"
#include "httpd/kf_status_index.h"
#include "status/kf_assets.h"
#include "status/kf_render.h"
#include "status/kf_text.h"

#ifndef KF_VERSION
#define KF_VERSION "unknown"
#endif

#define ALLOWED "GET, HEAD, POST, OPTIONS"
/* No page is longer: a thousand connections with their history. */
#define PAGE_BYTES ((size_t)64 << 20)
#define PREVIEW_BYTES 65536
/* Less room than this is none: a small batch would still fit, the next one not. */
#define FULL_BYTES (INT64_C(64) << 10)
/* Everything that the page has comes from here, and nobody may frame it. */
#define POLICY \
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " \
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

/* Made by post_config, the same for all requests. */
static struct {
    const kf_snapshot_setting_t **settings; /* by connection */
    int *setting_count;
    const char **names;
    const char *mpm;
} fixed;

typedef struct {
    request_rec *r;
    kf_form_t query;
    sigset_t signals; /* before they were held back */
    kf_buf_t body;
} job_t;

int kf_status_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                          server_rec *server)
{
    const kf_config_t *config = kf_config_current();
    size_t n = (size_t)config->connection_count;

    (void)plog;
    (void)ptemp;
    (void)server;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    kf_status_guard_prepare();
    fixed.mpm = apr_pstrdup(pconf, ap_show_mpm());
    fixed.settings = apr_pcalloc(pconf, (n + 1) * sizeof *fixed.settings);
    fixed.setting_count = apr_pcalloc(pconf, (n + 1) * sizeof *fixed.setting_count);
    fixed.names = apr_pcalloc(pconf, (n + 1) * sizeof *fixed.names);
    for (size_t i = 0; i < n; i++)
        fixed.names[i] = config->connections[i].name;
    for (size_t i = 0; i < n; i++)
        kf_snapshot_settings(pconf, config->connections[i].settings, &fixed.settings[i],
                             &fixed.setting_count[i]);
    return OK;
}

void kf_status_child_init(apr_pool_t *pchild, server_rec *server)
{
    const kf_config_t *config = kf_config_current();
    kf_status_store_t store = {.directory = config->process->store_directory,
                               .shared = config->shared,
                               .names = fixed.names,
                               .connection_count = config->connection_count};

    (void)server;
    kf_status_index_child(pchild, &store);
}

/* ---- the snapshot ---- */

static bool is_full(const kf_config_t *config)
{
    return config->metrics &&
           kf_metrics_server(config->metrics, KF_SERVER_STORE_BYTES) + FULL_BYTES >
               config->process->store_limit;
}

/* Why posts are not taken; NULL: they are. Not a connection's business: that it has used up its share,
 * or that AWS is away, closes nobody else's locations. */
static const char *closed_because(apr_pool_t *pool, const kf_config_t *config)
{
    kf_engine_t *engine = kf_lifecycle_engine();
    char text[200];
    int failed;

    if (config->connection_count == 0)
        return "no connection is configured";
    if (!config->has_store)
        return "the store cannot be used; the error log tells why (KF0505)";
    if (!engine)
        return "this child could not start delivering; the error log tells why (KF0502)";
    if (kf_engine_room(engine, NULL, 0) != KF_ACCEPTED)
        return "the server is stopping";
    if (is_full(config))
        return "the store is full (KinesisStoreLimit)";
    failed = kf_probe_store(config->process->store_directory);
    if (failed != 0)
        return apr_psprintf(pool, "the store cannot be written: %s",
                            apr_strerror(APR_FROM_OS_ERROR(failed), text, sizeof text));
    return NULL;
}

static void take_snapshot(request_rec *r, bool want_history, kf_snapshot_t *out)
{
    const kf_config_t *config = kf_config_current();
    kf_snapshot_source_t source = {.process = config->process,
                                   .connections = config->connections,
                                   .connection_count = config->connection_count,
                                   .settings = fixed.settings,
                                   .setting_count = fixed.setting_count,
                                   .metrics = config->metrics,
                                   .shared = config->shared,
                                   .want_history = want_history};

    kf_snapshot_fill(r->pool, &source, out);
    out->version = KF_VERSION;
    out->host = r->server->server_hostname ? r->server->server_hostname : ap_get_server_name(r);
    out->mpm = fixed.mpm;
    out->delivering = kf_lifecycle_engine() != NULL;
    out->closed = closed_because(r->pool, config);
    kf_status_index_raised(out->raised);
}

static void add_index(job_t *job, kf_snapshot_t *out)
{
    const kf_config_t *config = kf_config_current();
    const char *of = kf_form_get(&job->query, "letters");
    int64_t before = 0;

    if (config->connection_count == 0)
        return;
    kf_form_number(kf_form_get(&job->query, "before"), &before);
    kf_status_index_page(job->r->pool, of && of[0] ? of : NULL, before, &out->index);
    out->has_index = true;
}

/* ---- answering ---- */

static int send_body(job_t *job, int status, const char *type)
{
    request_rec *r = job->r;

    if (job->body.failed)
        return HTTP_INTERNAL_SERVER_ERROR;
    r->status = status;
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)job->body.n);
    if (!r->header_only)
        ap_rwrite(job->body.p, (int)job->body.n, r);
    return OK;
}

static int send_text(job_t *job, int status, const char *text)
{
    kf_text_puts(&job->body, KF_TEXT_PLAIN, text);
    kf_buf_putc(&job->body, '\n');
    return send_body(job, status, "text/plain; charset=utf-8");
}

static int send_health(job_t *job)
{
    const char *closed = closed_because(job->r->pool, kf_config_current());

    return closed ? send_text(job, HTTP_SERVICE_UNAVAILABLE, closed)
                  : send_text(job, HTTP_OK, "ok");
}

static int send_asset(job_t *job, const char *name)
{
    const kf_asset_t *asset = kf_asset_find(name);
    const char *version = kf_form_get(&job->query, "v");

    if (!asset)
        return send_text(job, HTTP_NOT_FOUND, "there is no such file");
    if (version && strcmp(version, asset->version) == 0)
        apr_table_setn(job->r->headers_out, "Cache-Control",
                       "private, max-age=31536000, immutable");
    kf_buf_put(&job->body, asset->bytes, asset->n);
    return send_body(job, HTTP_OK, asset->type);
}

static const char *address_of(request_rec *r, const char *name)
{
    const kf_asset_t *asset = kf_asset_find(name);

    return apr_psprintf(r->pool, "?asset=%s&v=%s", name, asset ? asset->version : "");
}

static int send_page(job_t *job)
{
    request_rec *r = job->r;
    kf_snapshot_t snapshot;
    kf_page_t page = {.path = ap_escape_uri(r->pool, r->uri),
                      .token = kf_status_guard_token(r),
                      .styles = address_of(r, "style.css"),
                      .script = address_of(r, "script.js"),
                      .icon = address_of(r, "icon.svg")};

    page.notice = kf_status_change_notice(r, &job->query, &page.notice_bad);
    take_snapshot(r, true, &snapshot);
    add_index(job, &snapshot);
    kf_render_html(&job->body, &snapshot, &page);
    return send_body(job, HTTP_OK, "text/html; charset=utf-8");
}

/* "1795381965.5", seconds. */
static int64_t since_of(const job_t *job)
{
    const char *text = kf_form_get(&job->query, "since");

    return text ? (int64_t)(strtod(text, NULL) * (double)KF_SEC + 0.5) : 0;
}

static int send_format(job_t *job, const char *format)
{
    kf_snapshot_t snapshot;

    if (strcmp(format, "json") == 0) {
        int64_t since_us = since_of(job);

        take_snapshot(job->r, since_us <= kf_wall_us(), &snapshot);
        add_index(job, &snapshot);
        kf_render_json(&job->body, &snapshot, since_us);
        return send_body(job, HTTP_OK, "application/json");
    }
    if (strcmp(format, "prometheus") == 0) {
        take_snapshot(job->r, false, &snapshot);
        kf_render_prometheus(&job->body, &snapshot);
        return send_body(job, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8");
    }
    if (strcmp(format, "html") == 0)
        return send_page(job);
    return send_text(job, HTTP_BAD_REQUEST, "format is json, prometheus or html");
}

/* ---- dead letters ---- */

static void put_preview(kf_buf_t *out, const kf_snapshot_letter_t *letter, kf_str_t bytes)
{
    kf_text_put(out, KF_TEXT_LINES, bytes);
    if (letter->bytes > bytes.n)
        kf_buf_printf(out, "\n\n(the first %zu of %" PRIu64 " bytes; download it for the rest)",
                      bytes.n, letter->bytes);
    kf_buf_putc(out, '\n');
}

static int send_letter(job_t *job, const char *text, bool preview)
{
    request_rec *r = job->r;
    const char *error = NULL;
    kf_snapshot_letter_t letter;
    kf_str_t bytes;
    int64_t id;

    if (!kf_form_number(text, &id))
        return send_text(job, HTTP_BAD_REQUEST, "a letter is named by its number");
    switch (kf_status_index_letter(r->pool, id, preview ? PREVIEW_BYTES : PAGE_BYTES, &letter,
                                   &bytes, &error)) {
    case KF_INDEX_OK:
        break;
    case KF_INDEX_NONE:
        return send_text(job, HTTP_NOT_FOUND, "there is no such letter (any more)");
    default:
        return send_text(job, HTTP_SERVICE_UNAVAILABLE, error);
    }
    if (preview) {
        put_preview(&job->body, &letter, bytes);
        return send_body(job, HTTP_OK, "text/plain; charset=utf-8");
    }
    apr_table_setn(r->headers_out, "Content-Disposition",
                   apr_psprintf(r->pool, "attachment; filename=\"letter-%" PRId64 "\"", id));
    kf_buf_put_str(&job->body, bytes);
    return send_body(job, HTTP_OK, "application/octet-stream");
}

/* ---- requests ---- */

static int send_what_is_asked(job_t *job)
{
    const char *value;

    if ((value = kf_form_get(&job->query, "asset")) != NULL)
        return send_asset(job, value);
    if (kf_form_get(&job->query, "health"))
        return send_health(job);
    if ((value = kf_form_get(&job->query, "letter")) != NULL)
        return send_letter(job, value, false);
    if ((value = kf_form_get(&job->query, "preview")) != NULL)
        return send_letter(job, value, true);
    if ((value = kf_form_get(&job->query, "format")) != NULL)
        return send_format(job, value);
    return send_page(job);
}

static void set_headers(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "Content-Security-Policy", POLICY);
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    /* Not no-referrer: browsers would send a form's Origin as null then. */
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    apr_table_setn(r->headers_out, "X-Frame-Options", "DENY");
    apr_table_setn(r->headers_out, "Cross-Origin-Resource-Policy", "same-origin");
}

static int dispatch(job_t *job)
{
    request_rec *r = job->r;

    switch (r->method_number) {
    case M_GET: /* HEAD too */
        return send_what_is_asked(job);
    case M_POST:
        return kf_status_change(r);
    case M_OPTIONS:
        apr_table_setn(r->headers_out, "Allow", ALLOWED);
        r->status = HTTP_NO_CONTENT;
        return OK;
    default:
        apr_table_setn(r->headers_out, "Allow", ALLOWED);
        return send_text(job, HTTP_METHOD_NOT_ALLOWED, "the method must be GET, HEAD or POST");
    }
}

/* On prefork the signal that ends a child would end it inside of SQLite. */
static bool hold_signals(sigset_t *before)
{
    sigset_t ending;

    if (kf_lifecycle_is_threaded())
        return false;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    return pthread_sigmask(SIG_BLOCK, &ending, before) == 0;
}

int kf_status_handler(request_rec *r)
{
    job_t job = {.r = r};
    bool held;
    int status;

    if (!r->handler || strcmp(r->handler, KF_STATUS_HANDLER_NAME) != 0)
        return DECLINED;
    set_headers(r);
    kf_buf_init(&job.body, PAGE_BYTES);
    kf_form_parse(r->pool, kf_str_of(r->args), &job.query);
    held = hold_signals(&job.signals);
    status = dispatch(&job);
    if (held)
        pthread_sigmask(SIG_SETMASK, &job.signals, NULL);
    kf_buf_free(&job.body);
    return status;
}

/* ---- mod_status ---- */

int kf_status_section(request_rec *r, int flags)
{
    kf_snapshot_t snapshot;
    kf_buf_t out;

    kf_buf_init(&out, PAGE_BYTES);
    take_snapshot(r, false, &snapshot);
    if (flags & AP_STATUS_SHORT)
        kf_render_lines(&out, &snapshot);
    else
        kf_render_section(&out, &snapshot, !(flags & AP_STATUS_NOTABLE));
    if (!out.failed)
        ap_rwrite(out.p, (int)out.n, r);
    kf_buf_free(&out);
    return OK;
}
