/* SPDX-License-Identifier: Apache-2.0
 *
 * CORS headers (kf_cors.h). Must not know what is posted. The request's thread.
 */
#include "httpd/kf_cors.h"

#include <strings.h>
#include "base/kf_str.h"

/* A browser asks again after an hour; longer would keep a changed configuration from it. */
#define MAX_AGE "3600"

/* An origin less its scheme's own port, which browsers leave out. */
static kf_str_t without_port(kf_str_t origin, const char *scheme, const char *port)
{
    size_t n = strlen(port);

    if (strncasecmp(origin.p, scheme, strlen(scheme)) == 0 && origin.n > n &&
        memcmp(origin.p + origin.n - n, port, n) == 0)
        origin.n -= n;
    return origin;
}

static bool same_origin(const char *one, const char *other)
{
    kf_str_t a = without_port(kf_str_of(one), "https://", ":443");
    kf_str_t b = without_port(kf_str_of(other), "https://", ":443");

    a = without_port(a, "http://", ":80");
    b = without_port(b, "http://", ":80");
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

static bool is_any(const kf_list_t *origins)
{
    return origins->n == 1 && strcmp(origins->v[0], "*") == 0;
}

static void vary_by_origin(request_rec *r)
{
    const char *vary = apr_table_get(r->err_headers_out, "Vary");

    if (!vary || !ap_find_token(r->pool, vary, "Origin"))
        apr_table_mergen(r->err_headers_out, "Vary", "Origin");
}

bool kf_cors_apply(request_rec *r, const kf_location_t *location)
{
    const kf_list_t *origins = &location->settings->allow_origin;
    const char *origin = apr_table_get(r->headers_in, "Origin");
    bool allowed = false;

    if (origins->n == 0)
        return false;
    /* Caches are told even where this origin is not allowed: another may be. */
    if (!is_any(origins))
        vary_by_origin(r);
    if (!origin)
        return false;
    for (int i = 0; i < origins->n && !allowed; i++)
        allowed = is_any(origins) || same_origin(origin, origins->v[i]);
    if (allowed)
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin",
                       is_any(origins) ? "*" : origin);
    return allowed;
}

void kf_cors_preflight(request_rec *r, const kf_location_t *location)
{
    if (!kf_cors_apply(r, location) ||
        !apr_table_get(r->headers_in, "Access-Control-Request-Method"))
        return;
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Methods", "POST, OPTIONS");
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Headers",
                   "Content-Type, Authorization, Accept");
    apr_table_setn(r->err_headers_out, "Access-Control-Max-Age", MAX_AGE);
}
