/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes answers (kf_answer.h). Must not know why. The request's thread.
 */
#include "httpd/kf_answer.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include "base/kf_buf.h"

#define BODY_MAX 4096
#define ALLOWED_METHODS "POST, OPTIONS"

static const char *code_of(int status)
{
    switch (status) {
    case HTTP_METHOD_NOT_ALLOWED:
        return "METHOD_NOT_ALLOWED";
    case HTTP_UNSUPPORTED_MEDIA_TYPE:
        return "UNSUPPORTED_MEDIA_TYPE";
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "PAYLOAD_TOO_LARGE";
    case HTTP_SERVICE_UNAVAILABLE:
        return "SERVICE_UNAVAILABLE";
    default:
        return "BAD_REQUEST";
    }
}

int kf_answer_accepted(request_rec *r)
{
    r->status = HTTP_ACCEPTED;
    ap_set_content_length(r, 0);
    return OK;
}

int kf_answer_options(request_rec *r)
{
    r->status = HTTP_NO_CONTENT;
    apr_table_setn(r->headers_out, "Allow", ALLOWED_METHODS);
    return OK;
}

int kf_answer_error(request_rec *r, int status, const char *message)
{
    kf_buf_t body;

    kf_buf_init(&body, BODY_MAX);
    kf_buf_printf(&body, "{\"errors\":[{\"code\":\"%s\",\"message\":", code_of(status));
    kf_buf_put_json(&body, kf_str_of(message));
    kf_buf_put(&body, "}]}", 3);
    r->status = status;
    if (status == HTTP_METHOD_NOT_ALLOWED)
        apr_table_setn(r->headers_out, "Allow", ALLOWED_METHODS);
    ap_set_content_type(r, "application/json");
    if (!body.failed)
        ap_rwrite(body.p, (int)body.n, r);
    kf_buf_free(&body);
    return OK;
}

int kf_answer_unavailable(request_rec *r, int retry_after_s, const char *message)
{
    apr_table_setn(r->headers_out, "Retry-After", apr_itoa(r->pool, retry_after_s));
    return kf_answer_error(r, HTTP_SERVICE_UNAVAILABLE, message);
}
