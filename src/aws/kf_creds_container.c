/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials from the container endpoint: ECS tasks, EKS Pod Identity. Must not know in which order
 * sources are tried. The thread of a search.
 *
 * Source: SDK reference guide "Container credential provider", botocore 1.43.67 (Aug 2026): plain http
 * only to this machine and the two services' addresses, since the token would go to whoever answers. Its
 * three tries are the refresher's.
 */
#include "aws/kf_creds_providers.h"

#include <apr_strings.h>

#include "aws/kf_creds_reply.h"
#include "aws/kf_url.h"
#include "base/kf_clock.h"

#define PROVIDER "container"
#define ECS "http://169.254.170.2"
#define TIMEOUT_US (2 * KF_SEC)

static bool is_allowed(const kf_url_t *url)
{
    static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};

    if (url->tls || kf_url_is_loopback(url))
        return true;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (strcmp(url->host, hosts[i]) == 0)
            return true;
    return false;
}

/* @return NULL, or what is wrong */
static const char *find_url(kf_creds_flight_t *flight, const char *relative, const char *full,
                            kf_url_t *url)
{
    const char *text = relative ? apr_pstrcat(flight->pool, ECS, relative, NULL) : full;

    if (relative && relative[0] != '/')
        return "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with a slash";
    if (!kf_url_parse(flight->pool, text, url))
        return relative ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI makes no URL"
                        : "AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL";
    if (!is_allowed(url))
        return "AWS_CONTAINER_CREDENTIALS_FULL_URI is plain http to a host that is neither this "
               "machine "
               "nor ECS or EKS";
    return NULL;
}

/* The Authorization line, if there is to be one: a file is read each time, its token changes. */
static const char *put_authorization(const kf_creds_flight_t *flight, kf_buf_t *line, char *text,
                                     size_t size)
{
    const char *file = flight->env->value[KF_ENV_AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE];
    const char *token = flight->env->value[KF_ENV_AWS_CONTAINER_AUTHORIZATION_TOKEN];
    kf_buf_t read;
    const char *error = NULL;

    kf_buf_init(&read, 0);
    if (file)
        error = kf_creds_read_file(file, KF_CREDS_REPLY_MAX, &read, NULL, text, size);
    else if (!token)
        return NULL;
    if (!error) {
        kf_str_t value = file ? kf_buf_str(&read) : kf_str_of(token);

        while (file && value.n > 0 && strchr(" \t\r\n", value.p[value.n - 1]))
            value.n--;
        kf_buf_put_str(line, KF_STR("Authorization: "));
        kf_buf_put_str(line, value);
        kf_buf_putc(line, '\0');
        if (value.n == 0)
            error = "is empty";
        for (size_t i = 0; i < value.n && !error; i++)
            if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
                error = "holds a control character";
    }
    kf_creds_wipe(&read);
    return error;
}

static kf_creds_result_t ask(kf_creds_flight_t *flight, const kf_url_t *url, const kf_buf_t *line,
                             kf_creds_found_t *found)
{
    kf_http_request_t request = {.url = apr_pstrcat(flight->pool, url->base, url->path, NULL),
                                 .method = "GET",
                                 .headers = {"Accept: application/json", line->p},
                                 .header_count = line->n > 0 ? 2 : 1,
                                 .ca_file = flight->settings->ca_file,
                                 .connect_us = TIMEOUT_US,
                                 .stall_us = TIMEOUT_US,
                                 .total_us = TIMEOUT_US};
    kf_creds_result_t result = KF_CREDS_FOUND;
    kf_creds_reply_t reply;
    char why[200];

    *found = (kf_creds_found_t){.provider = PROVIDER, .outlives = true};
    if (!kf_creds_fetch(flight, &request, &reply))
        result = kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s: %s", url->base, reply.error);
    else if (!kf_creds_read_json(kf_buf_str(&reply.body), KF_CREDS_JSON_CONTAINER,
                                 reply.date_us ? reply.date_us : kf_wall_us(), found, why,
                                 sizeof why))
        result = kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s: HTTP %d, %s", url->base,
                               reply.status, why);
    kf_creds_reply_free(&reply);
    return result;
}

kf_creds_result_t kf_creds_from_container(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    const char *relative = flight->env->value[KF_ENV_AWS_CONTAINER_CREDENTIALS_RELATIVE_URI];
    const char *full = flight->env->value[KF_ENV_AWS_CONTAINER_CREDENTIALS_FULL_URI];
    kf_creds_result_t result;
    const char *error;
    char text[200];
    kf_buf_t line;
    kf_url_t url;

    if (!relative && !full)
        return kf_creds_note(flight, KF_CREDS_NONE, PROVIDER,
                             "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and ..._FULL_URI are not set");
    error = find_url(flight, relative, full, &url);
    if (error)
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s", error);
    kf_buf_init(&line, KF_CREDS_REPLY_MAX + 64);
    (void)kf_buf_room(&line, KF_CREDS_REPLY_MAX + 64);
    error = put_authorization(flight, &line, text, sizeof text);
    if (!error && line.failed)
        error = "is too long";
    result = error ? kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "the authorization token %s",
                                   error)
                   : ask(flight, &url, &line, found);
    kf_creds_wipe(&line);
    return result;
}
