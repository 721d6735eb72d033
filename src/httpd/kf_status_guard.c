/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes asked for by other sites (kf_status_guard.h).
 *
 * Browsers tell by Sec-Fetch-Site where a request comes from (W3C, Fetch Metadata, looked up 2026-11),
 * on https and on loopback; on plain http they send Origin with a POST (WHATWG, Fetch). Who sends neither
 * is no browser of the last years: a script says where it comes from by either header.
 */
#include "httpd/kf_status_guard.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "base/kf_clock.h"
#include "httpd/kf_module.h"

#define SECRET_KEY "kf_status_secret"
#define SECRET_BYTES 32
#define TOKEN_BYTES 20

/* The parent's memory that outlives reloads; children have a copy. */
static const unsigned char *secret;

void kf_status_guard_prepare(void)
{
    static const char key[] = SECRET_KEY;
    unsigned char *kept = ap_retained_data_get(key);

    if (!kept) {
        kept = ap_retained_data_create(key, SECRET_BYTES);
        kf_random(kept, SECRET_BYTES);
    }
    secret = kept;
}

const char *kf_status_guard_token(request_rec *r)
{
    const char *text = apr_psprintf(r->pool, "kinesis-forward-status %s", r->user ? r->user : "");
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned n = 0;
    char *token = apr_palloc(r->pool, 2 * TOKEN_BYTES + 1);

    HMAC(EVP_sha256(), secret, SECRET_BYTES, (const unsigned char *)text, strlen(text), digest, &n);
    if (n < TOKEN_BYTES)
        return "";
    for (int i = 0; i < TOKEN_BYTES; i++)
        apr_snprintf(token + 2 * i, 3, "%02x", digest[i]);
    return token;
}

/* "http://host:port" against "host:port": a port that follows from the scheme is left out of both. */
static bool is_own_origin(request_rec *r, const char *origin)
{
    const char *host = apr_table_get(r->headers_in, "Host");
    const char *at = strstr(origin, "://");

    return host && at && host[0] && ap_cstr_casecmp(at + 3, host) == 0;
}

static bool is_same_site(request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");

    if (site)
        return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    return origin && is_own_origin(r, origin);
}

const char *kf_status_guard_refuses(request_rec *r, const char *token)
{
    const char *own = kf_status_guard_token(r);

    if (!is_same_site(r))
        return "changes are made from the page itself: the request comes from another site, or "
               "says neither by Sec-Fetch-Site nor by Origin where it comes from";
    if (!own[0] || !token || strlen(token) != strlen(own) ||
        CRYPTO_memcmp(token, own, strlen(own)) != 0)
        return "the page is older than the server: load it again, then repeat the change";
    return NULL;
}
