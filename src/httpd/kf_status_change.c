/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes (kf_status_change.h).
 */
#include "httpd/kf_status_change.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include "base/kf_buf.h"
#include "httpd/kf_body.h"
#include "httpd/kf_httpd_log.h"
#include "httpd/kf_status_guard.h"
#include "httpd/kf_status_index.h"
#include "status/kf_text.h"

/* A form with every letter of a page takes a part of it. */
#define FORM_BYTES 32768
#define IDS_MAX 1000

typedef struct {
    request_rec *r;
    kf_status_change_t change;
    int64_t ids[IDS_MAX];
} asked_t;

/* What can be done, how a form asks for it, and how it is told of: one, several. */
typedef struct {
    const char *name;
    kf_change_t change;
    bool all; /* the value is a connection's name */
} verb_t;

static const verb_t verbs[] = {
    {"replay", KF_CHANGE_REPLAY, false},           {"discard", KF_CHANGE_DISCARD, false},
    {"acknowledge", KF_CHANGE_ACKNOWLEDGE, false}, {"replay-all", KF_CHANGE_REPLAY, true},
    {"discard-all", KF_CHANGE_DISCARD, true},
};
#define VERBS (sizeof verbs / sizeof *verbs)

static const char *const changes[] = {"replay", "discard", "acknowledge"};

/* ---- what is asked for ---- */

static void add_id(asked_t *asked, const char *text)
{
    int64_t id;

    if (asked->change.id_count < IDS_MAX && kf_form_number(text, &id))
        asked->ids[asked->change.id_count++] = id;
}

static bool understand_selected(asked_t *asked, const kf_form_t *form, const char *what)
{
    if (strcmp(what, "replay") != 0 && strcmp(what, "discard") != 0)
        return false;
    asked->change.change = what[0] == 'r' ? KF_CHANGE_REPLAY : KF_CHANGE_DISCARD;
    for (int i = 0; i < form->n; i++)
        if (strcmp(form->fields[i].name, "letter") == 0)
            add_id(asked, form->fields[i].value);
    return asked->change.id_count > 0;
}

static bool understand(asked_t *asked, const kf_form_t *form)
{
    const char *value = kf_form_get(form, "selected");

    asked->change.ids = asked->ids;
    if (value)
        return understand_selected(asked, form, value);
    for (size_t i = 0; i < VERBS; i++) {
        value = kf_form_get(form, verbs[i].name);
        if (!value)
            continue;
        asked->change.change = verbs[i].change;
        if (verbs[i].all)
            asked->change.connection = value;
        else
            add_id(asked, value);
        return verbs[i].all ? value[0] != '\0' : asked->change.id_count > 0;
    }
    return false;
}

/* ---- what is said of it ---- */

static const char *told(apr_pool_t *pool, kf_change_t change, uint64_t n, bool more)
{
    const char *one = n == 1 ? "" : "s";
    const char *rest = more ? " There are more: do it again for the rest." : "";

    if (n == 0 && change != KF_CHANGE_ACKNOWLEDGE)
        return "Nothing was changed: the letters are gone, or are being sent already.";
    switch (change) {
    case KF_CHANGE_REPLAY:
        return apr_psprintf(pool,
                            "%" APR_UINT64_T_FMT " dead letter%s will be sent again in a moment.%s",
                            (apr_uint64_t)n, one, rest);
    case KF_CHANGE_DISCARD:
        return apr_psprintf(pool, "%" APR_UINT64_T_FMT " dead letter%s discarded.%s",
                            (apr_uint64_t)n, n == 1 ? " was" : "s were", rest);
    default:
        return n == 0 ? "Nothing was changed: the alert is gone." : "The alert is acknowledged.";
    }
}

static bool wants_json(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    return accept && strstr(accept, "application/json");
}

/* {"changed":3,"message":"..."} */
static int answer_json(request_rec *r, int status, uint64_t n, const char *message)
{
    kf_buf_t body;

    kf_buf_init(&body, FORM_BYTES);
    kf_buf_put_str(&body, KF_STR("{\"changed\":"));
    kf_buf_put_i64(&body, (long long)n);
    kf_buf_put_str(&body, KF_STR(",\"message\":\""));
    kf_text_puts(&body, KF_TEXT_JSON, message);
    kf_buf_put_str(&body, KF_STR("\"}\n"));
    r->status = status;
    ap_set_content_type(r, "application/json");
    if (!body.failed)
        ap_rwrite(body.p, (int)body.n, r);
    kf_buf_free(&body);
    return OK;
}

static int refuse(request_rec *r, int status, const char *message)
{
    if (wants_json(r))
        return answer_json(r, status, 0, message);
    r->status = status;
    ap_set_content_type(r, "text/plain; charset=utf-8");
    ap_rputs(message, r);
    ap_rputs("\n", r);
    return OK;
}

/* Back to the page; the number and the word of a list are all that the query can say. */
static int send_back(request_rec *r, kf_change_t change, uint64_t n, bool more)
{
    apr_table_setn(r->headers_out, "Location",
                   apr_psprintf(r->pool, "%s?done=%s&n=%" APR_UINT64_T_FMT "%s#%s",
                                ap_escape_uri(r->pool, r->uri), changes[change], (apr_uint64_t)n,
                                more ? "&more=1" : "",
                                change == KF_CHANGE_ACKNOWLEDGE ? "alerts" : "letters"));
    r->status = HTTP_SEE_OTHER;
    return OK;
}

const char *kf_status_change_notice(request_rec *r, const kf_form_t *query, bool *bad)
{
    const char *done = kf_form_get(query, "done");
    int64_t n = 0;

    if (!done)
        return NULL;
    kf_form_number(kf_form_get(query, "n"), &n);
    *bad = n == 0;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (strcmp(done, changes[i]) == 0)
            return told(r->pool, (kf_change_t)i, (uint64_t)n, kf_form_get(query, "more") != NULL);
    return NULL;
}

/* ---- doing it ---- */

static int make(asked_t *asked)
{
    request_rec *r = asked->r;
    const char *error;
    uint64_t n;
    bool more;
    kf_index_result_t result;

    asked->change.who = r->user;
    result = kf_status_index_change(r->pool, &asked->change, &n, &more, &error);
    if (result != KF_INDEX_OK && result != KF_INDEX_NONE)
        return refuse(r, HTTP_SERVICE_UNAVAILABLE, error);
    kf_httpd_log_request(r, KF0524, "%s: %" APR_UINT64_T_FMT "%s%s%s%s",
                         changes[asked->change.change], (apr_uint64_t)n,
                         asked->change.connection ? " of connection " : "",
                         asked->change.connection ? asked->change.connection : "",
                         r->user ? ", by " : "", r->user ? r->user : "");
    if (wants_json(r))
        return answer_json(r, HTTP_OK, n, told(r->pool, asked->change.change, n, more));
    return send_back(r, asked->change.change, n, more);
}

static int read_form(request_rec *r, kf_form_t *form)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    kf_body_t *body = apr_pcalloc(r->pool, sizeof *body);

    if (!type || ap_cstr_casecmpn(type, "application/x-www-form-urlencoded", 33) != 0)
        return HTTP_UNSUPPORTED_MEDIA_TYPE;
    switch (kf_body_read(r, FORM_BYTES, kf_body_announced(r), body)) {
    case KF_BODY_READ:
        kf_form_parse(r->pool, kf_buf_str(&body->bytes), form);
        return OK;
    case KF_BODY_TOO_LARGE:
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    case KF_BODY_MEMORY:
        return HTTP_SERVICE_UNAVAILABLE;
    case KF_BODY_ENCODED:
    case KF_BODY_BROKEN:
        return HTTP_BAD_REQUEST;
    default:
        return body->status;
    }
}

int kf_status_change(request_rec *r)
{
    asked_t *asked = apr_pcalloc(r->pool, sizeof *asked);
    const char *why;
    kf_form_t form;
    int status = read_form(r, &form);

    asked->r = r;
    if (status == HTTP_UNSUPPORTED_MEDIA_TYPE)
        return refuse(r, status, "a change is a form: application/x-www-form-urlencoded");
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE)
        return refuse(r, status, "the form is too long; choose fewer letters");
    if (status != OK)
        return status;
    why = kf_status_guard_refuses(r, kf_form_get(&form, "token"));
    if (why)
        return refuse(r, HTTP_FORBIDDEN, why);
    if (!understand(asked, &form))
        return refuse(r, HTTP_BAD_REQUEST,
                      "the form asks for nothing that can be done; choose a letter first");
    return make(asked);
}
