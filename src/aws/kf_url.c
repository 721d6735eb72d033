/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs of kf_url.h by libcurl's URL parser. Must not know what they are for. Any thread.
 */
#include "aws/kf_url.h"

#include <apr_strings.h>
#include <curl/curl.h>
#include <string.h>

/* A part, copied into the pool; NULL if there is none. */
static const char *part(apr_pool_t *pool, CURLU *url, CURLUPart which)
{
    char *text = NULL;
    const char *copy;

    if (curl_url_get(url, which, &text, 0) != CURLUE_OK)
        return NULL;
    copy = apr_pstrdup(pool, text);
    curl_free(text);
    return copy;
}

static char *lower_case(char *text)
{
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    return text;
}

static bool has(apr_pool_t *pool, CURLU *url, CURLUPart which)
{
    return part(pool, url, which) != NULL;
}

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static bool read_parts(apr_pool_t *pool, CURLU *url, kf_url_t *out)
{
    const char *scheme = part(pool, url, CURLUPART_SCHEME);
    const char *host = part(pool, url, CURLUPART_HOST);
    const char *port = part(pool, url, CURLUPART_PORT);
    const char *path = part(pool, url, CURLUPART_PATH);
    const char *query = part(pool, url, CURLUPART_QUERY);

    /* The parser decodes what was escaped in a host, and lets through what it took for part of one. */
    if (!scheme || !host || !*host || !is_plain(host) || (path && !is_plain(path)) ||
        (query && !is_plain(query)) || has(pool, url, CURLUPART_USER) ||
        has(pool, url, CURLUPART_PASSWORD) || has(pool, url, CURLUPART_FRAGMENT))
        return false;
    out->tls = strcmp(scheme, "https") == 0;
    if (!out->tls && strcmp(scheme, "http") != 0)
        return false;
    out->host = lower_case(apr_pstrdup(pool, host));
    out->at = out->host;
    if (port && strcmp(port, out->tls ? "443" : "80") != 0)
        out->at = apr_pstrcat(pool, out->host, ":", port, NULL);
    out->base = apr_pstrcat(pool, out->tls ? "https://" : "http://", out->at, NULL);
    out->path = apr_pstrcat(pool, path && *path ? path : "/", query ? "?" : "", query, NULL);
    return true;
}

bool kf_url_parse(apr_pool_t *pool, const char *text, kf_url_t *out)
{
    CURLU *url = curl_url();
    bool ok;

    ok = url && is_plain(text) && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
         read_parts(pool, url, out);
    curl_url_cleanup(url);
    return ok;
}

bool kf_url_is_loopback(const kf_url_t *url)
{
    return strcmp(url->host, "localhost") == 0 || strcmp(url->host, "[::1]") == 0 ||
           (strncmp(url->host, "127.", 4) == 0 &&
            strspn(url->host, "0123456789.") == strlen(url->host));
}
