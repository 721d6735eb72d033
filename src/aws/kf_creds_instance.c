/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials of the machine's role, from the EC2 instance metadata service. Version 2 only: the older
 * one answers whoever can make this machine ask. Must not know in which order sources are tried. The
 * thread of a search.
 *
 * Source: EC2 user guide "Use IMDSv2", botocore 1.43.67 (Aug 2026): one try of a second, never through a
 * proxy. A container's packet is one hop too far for the token's reply where the hop limit is 1, and the
 * request times out.
 */
#include "aws/kf_creds_providers.h"

#include <apr_strings.h>
#include <stdio.h>

#include "aws/kf_creds_reply.h"
#include "aws/kf_url.h"
#include "base/kf_clock.h"

#define PROVIDER "instance metadata"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define TIMEOUT_US KF_SEC
#define TOKEN_MAX 512
#define ROLE_MAX 128

static bool find_endpoint(kf_creds_flight_t *flight, kf_url_t *url)
{
    const char *custom = flight->env->value[KF_ENV_AWS_EC2_METADATA_SERVICE_ENDPOINT];
    const char *mode = flight->env->value[KF_ENV_AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE];
    bool six = mode && strcasecmp(mode, "ipv6") == 0;

    return kf_url_parse(flight->pool,
                        custom ? custom
                        : six  ? "http://[fd00:ec2::254]"
                               : "http://169.254.169.254",
                        url);
}

static bool ask(kf_creds_flight_t *flight, const kf_url_t *url, const char *method,
                const char *path, const char *line, kf_creds_reply_t *reply)
{
    kf_http_request_t request = {.url = apr_pstrcat(flight->pool, url->base, path, NULL),
                                 .method = method,
                                 .headers = {line},
                                 .header_count = 1,
                                 .ca_file = flight->settings->ca_file,
                                 .connect_us = TIMEOUT_US,
                                 .stall_us = TIMEOUT_US,
                                 .total_us = TIMEOUT_US};

    return kf_creds_fetch(flight, &request, reply);
}

static bool is_plain(kf_str_t text, size_t most)
{
    if (text.n == 0 || text.n > most)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~')
            return false;
    return true;
}

/* The first line, without what ends it. */
static kf_str_t first_line(const kf_buf_t *body)
{
    kf_str_t text = kf_buf_str(body);
    const char *end = text.n ? memchr(text.p, '\n', text.n) : NULL;

    if (end)
        text.n = (size_t)(end - text.p);
    while (text.n > 0 && text.p[text.n - 1] == '\r')
        text.n--;
    return text;
}

static kf_creds_result_t note_failure(kf_creds_flight_t *flight, const kf_url_t *url,
                                      const kf_creds_reply_t *reply, const char *what)
{
    if (reply->is_reply)
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s: %s: HTTP %d", url->base, what,
                             reply->status);
    return kf_creds_note(
        flight, KF_CREDS_FAILED, PROVIDER, "%s: %s: %s%s", url->base, what, reply->error,
        reply->timed_out ? " (this is no EC2 instance; or, in a container, its hop limit "
                           "is below 2)"
                         : "");
}

/* Writes the header line with the session's token. */
static kf_creds_result_t get_token(kf_creds_flight_t *flight, const kf_url_t *url, char *line,
                                   size_t size)
{
    kf_creds_result_t result = KF_CREDS_FOUND;
    kf_creds_reply_t reply;
    kf_str_t token;

    if (ask(flight, url, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600",
            &reply) &&
        reply.status == 200 && is_plain(token = first_line(&reply.body), TOKEN_MAX))
        snprintf(line, size, "X-aws-ec2-metadata-token: %.*s", (int)token.n, token.p);
    else
        result = note_failure(flight, url, &reply, "session token");
    kf_creds_reply_free(&reply);
    return result;
}

static kf_creds_result_t get_role(kf_creds_flight_t *flight, const kf_url_t *url, const char *line,
                                  const char **role)
{
    kf_creds_result_t result = KF_CREDS_FOUND;
    kf_creds_reply_t reply;
    kf_str_t name;
    bool replied = ask(flight, url, "GET", ROLES, line, &reply);

    *role = NULL;
    if (replied && reply.status == 404)
        result = kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "the instance has no role");
    else if (replied && reply.status == 200 && is_plain(name = first_line(&reply.body), ROLE_MAX))
        *role = apr_pstrmemdup(flight->pool, name.p, name.n);
    else
        result = note_failure(flight, url, &reply, "the role's name");
    kf_creds_reply_free(&reply);
    return result;
}

static kf_creds_result_t get_keys(kf_creds_flight_t *flight, const kf_url_t *url, const char *line,
                                  const char *role, kf_creds_found_t *found)
{
    kf_creds_result_t result = KF_CREDS_FOUND;
    kf_creds_reply_t reply;
    char why[200];

    *found = (kf_creds_found_t){.provider = PROVIDER, .outlives = true};
    if (!ask(flight, url, "GET", apr_pstrcat(flight->pool, ROLES, role, NULL), line, &reply) ||
        reply.status != 200)
        result = note_failure(flight, url, &reply, "the role's keys");
    else if (!kf_creds_read_json(kf_buf_str(&reply.body), KF_CREDS_JSON_INSTANCE,
                                 reply.date_us ? reply.date_us : kf_wall_us(), found, why,
                                 sizeof why))
        result = kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s: %s", url->base, why);
    kf_creds_reply_free(&reply);
    return result;
}

kf_creds_result_t kf_creds_from_instance(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    char line[TOKEN_MAX + 64];
    kf_creds_result_t result;
    const char *role;
    kf_url_t url;

    if (kf_creds_env_is_true(flight->env, KF_ENV_AWS_EC2_METADATA_DISABLED))
        return kf_creds_note(flight, KF_CREDS_NONE, PROVIDER, "AWS_EC2_METADATA_DISABLED is true");
    if (!find_endpoint(flight, &url))
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER,
                             "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL");
    result = get_token(flight, &url, line, sizeof line);
    if (result == KF_CREDS_FOUND)
        result = get_role(flight, &url, line, &role);
    if (result == KF_CREDS_FOUND)
        result = get_keys(flight, &url, line, role, found);
    return result;
}
