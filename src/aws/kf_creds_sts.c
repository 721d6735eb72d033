/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials from the Security Token Service: AssumeRole, AssumeRoleWithWebIdentity. Must not know who
 * asks for a role, nor in which order sources are tried. The thread of a search.
 *
 * Source: STS API reference 2011-06-15. Endpoints are regional.
 */
#include "aws/kf_creds_providers.h"

#include <apr_strings.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "aws/kf_class.h"
#include "aws/kf_creds_reply.h"
#include "aws/kf_creds_shared.h"
#include "aws/kf_endpoint.h"
#include "aws/kf_url.h"
#include "base/kf_clock.h"
#include "base/kf_parse.h"

#define PROVIDER "STS"
#define CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"
#define SESSION_NAME "mod_kinesis_forward"
/* Room for the token and its header lines; more does not come. */
#define TEXT_MAX (4 * KF_CREDS_REPLY_MAX)
#define DURATION_LEAST 900
#define DURATION_MOST 43200

/* ------------------------------------------------------------------ endpoint */

/* As kf_endpoint_env_url, from the child's copy of the environment; else as the profile says. */
static const char *custom_url(kf_creds_flight_t *flight, const char **origin)
{
    const kf_creds_env_t *env = flight->env;
    const char *url = env->value[KF_ENV_AWS_ENDPOINT_URL_STS];
    kf_creds_endpoint_t shared;

    *origin = url ? "AWS_ENDPOINT_URL_STS" : "AWS_ENDPOINT_URL";
    if (kf_creds_env_is_true(env, KF_ENV_AWS_IGNORE_CONFIGURED_ENDPOINT_URLS))
        return NULL;
    if (url || env->value[KF_ENV_AWS_ENDPOINT_URL])
        return url ? url : env->value[KF_ENV_AWS_ENDPOINT_URL];
    kf_creds_read_endpoint(flight, "sts", &shared);
    *origin = apr_psprintf(flight->pool, "the endpoint of profile \"%s\"", shared.profile);
    return shared.url[0] ? apr_pstrdup(flight->pool, shared.url) : NULL;
}

/* @return NULL, or what is wrong with it */
static const char *take_url(kf_creds_flight_t *flight, const char *text, kf_url_t *out)
{
    if (!kf_url_parse(flight->pool, text, out))
        return "is no URL";
    if (!out->tls && !flight->settings->allow_insecure_endpoint && !kf_url_is_loopback(out))
        return "is plain http to another machine, which KinesisAllowInsecureEndpoint does not "
               "allow";
    return NULL;
}

/* @return false after a note */
static bool find_endpoint(kf_creds_flight_t *flight, kf_url_t *out)
{
    const kf_settings_t *s = flight->settings;
    const char *variable, *error, *url = custom_url(flight, &variable);
    const char *host = kf_endpoint_host(flight->pool, "sts", s->region, s->use_fips,
                                        s->use_dual_stack, (kf_str_t){0});

    if (url) {
        error = take_url(flight, url, out);
        if (error)
            kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s %s", variable, error);
        return !error;
    }
    if (!host) {
        kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s is no region", s->region);
        return false;
    }
    *out = (kf_url_t){.tls = true, .at = host};
    out->base = apr_pstrcat(flight->pool, "https://", host, NULL);
    return true;
}

/* ---------------------------------------------------------------------- form */

/* Everything but unreserved characters as %XX (RFC 3986, which the query protocol asks for). */
static void put_encoded(kf_buf_t *out, kf_str_t value)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c != '\0' && strchr("-_.~", c))) {
            kf_buf_putc(out, (char)c);
        } else {
            kf_buf_putc(out, '%');
            kf_buf_putc(out, hex[c >> 4]);
            kf_buf_putc(out, hex[c & 15]);
        }
    }
}

static void put_field(kf_buf_t *out, const char *name, kf_str_t value)
{
    if (value.n == 0)
        return;
    kf_buf_printf(out, "&%s=", name);
    put_encoded(out, value);
}

static void put_form(kf_buf_t *out, const char *action, const kf_creds_role_t *role, kf_str_t token)
{
    kf_buf_init(out, TEXT_MAX);
    (void)kf_buf_room(out, TEXT_MAX);
    kf_buf_printf(out, "Action=%s&Version=2011-06-15", action);
    put_field(out, "RoleArn", kf_str_of(role->arn));
    put_field(out, "RoleSessionName",
              kf_str_of(role->session_name ? role->session_name : SESSION_NAME));
    put_field(out, "ExternalId", kf_str_of(role->external_id));
    put_field(out, "DurationSeconds", kf_str_of(role->duration));
    put_field(out, "WebIdentityToken", token);
}

/* ---------------------------------------------------------------------- call */

typedef struct {
    kf_url_t url;
    const char *action;
    const kf_creds_role_t *role;
    const kf_keys_t *keys; /* NULL: unsigned */
    kf_buf_t form;
    kf_buf_t lines; /* header lines, each with its terminator */
    int64_t offset_us;
} call_t;

static void put_line(kf_http_request_t *request, kf_buf_t *lines, const char *name, kf_str_t value)
{
    request->headers[request->header_count++] = lines->p + lines->n;
    kf_buf_printf(lines, "%s: ", name);
    kf_buf_put_str(lines, value);
    kf_buf_putc(lines, '\0');
}

/* Adds date, token and signature. The lines' buffer has its room, so that they stay where they are. */
static bool sign(const kf_creds_flight_t *flight, call_t *call, kf_http_request_t *request)
{
    const kf_sigv4_keys_t *keys = kf_keys_of(call->keys);
    kf_sigv4_cache_t cache = {.valid = false};
    char date[17];
    kf_sigv4_header_t headers[4] = {
        {KF_STR("Host"), kf_str_of(call->url.at)},
        {KF_STR("Content-Type"), KF_STR(CONTENT_TYPE)},
        {KF_STR("X-Amz-Date"), {date, 16}},
        {KF_STR("X-Amz-Security-Token"), kf_str_of(keys->session_token)},
    };
    kf_sigv4_request_t what = {.method = "POST",
                               .path = KF_STR("/"),
                               .headers = headers,
                               .header_count = keys->session_token ? 4 : 3,
                               .body = kf_buf_str(&call->form),
                               .normalize_path = true};
    kf_buf_t authorization;
    bool ok;

    kf_sigv4_date(kf_wall_us() + call->offset_us, date);
    kf_buf_init(&authorization, TEXT_MAX);
    ok = kf_sigv4_sign(&cache, keys, flight->settings->region, "sts", date, &what, &authorization,
                       NULL, NULL);
    kf_sigv4_forget(&cache);
    for (int i = 2; ok && i < what.header_count; i++)
        put_line(request, &call->lines, headers[i].name.p, headers[i].value);
    if (ok)
        put_line(request, &call->lines, "Authorization", kf_buf_str(&authorization));
    kf_buf_free(&authorization);
    return ok && !call->lines.failed;
}

static bool send_call(kf_creds_flight_t *flight, call_t *call, kf_creds_reply_t *reply)
{
    kf_http_request_t request = {.url = apr_pstrcat(flight->pool, call->url.base, "/", NULL),
                                 .method = "POST",
                                 .body = kf_buf_str(&call->form),
                                 .ca_file = flight->settings->ca_file,
                                 .proxy = flight->settings->proxy,
                                 .connect_us = 5 * KF_SEC,
                                 .stall_us = 10 * KF_SEC,
                                 .total_us = 20 * KF_SEC};

    *reply = (kf_creds_reply_t){.error = "out of memory"};
    kf_buf_clear(&call->lines);
    put_line(&request, &call->lines, "Host", kf_str_of(call->url.at));
    put_line(&request, &call->lines, "Content-Type", KF_STR(CONTENT_TYPE));
    if (call->keys && !sign(flight, call, &request)) {
        snprintf(reply->error, sizeof reply->error, "the call could not be signed");
        return false;
    }
    if (call->form.failed || call->lines.failed)
        return false;
    return kf_creds_fetch(flight, &request, reply);
}

/* Whether the service's clock is what it complains of; then the call's correction is set. */
static bool is_clock(call_t *call, const kf_creds_reply_t *reply, const kf_creds_sts_error_t *error)
{
    if (!call->keys || call->offset_us != 0 || reply->date_us == 0 ||
        kf_class_of(kf_str_of(error->code), kf_str_of(error->message), reply->status) !=
            KF_CLASS_CLOCK)
        return false;
    call->offset_us = reply->date_us - kf_wall_us();
    return call->offset_us != 0;
}

/* @return whether there is something in *found; else *error */
static bool try_once(kf_creds_flight_t *flight, call_t *call, kf_creds_found_t *found,
                     kf_creds_sts_error_t *error, bool *is_to_repeat)
{
    kf_creds_reply_t reply;
    bool ok = send_call(flight, call, &reply);

    *is_to_repeat = false;
    if (!ok) {
        *error = (kf_creds_sts_error_t){0};
        snprintf(error->message, sizeof error->message, "%.190s", reply.error);
    } else {
        ok = kf_creds_read_sts(flight->pool, kf_buf_str(&reply.body),
                               reply.date_us ? reply.date_us : kf_wall_us(), found, error);
        *is_to_repeat = !ok && is_clock(call, &reply, error);
        if (!ok && error->code[0] == '\0')
            snprintf(error->code, sizeof error->code, "HTTP %d", reply.status);
    }
    kf_creds_reply_free(&reply);
    return ok;
}

static kf_creds_result_t run(kf_creds_flight_t *flight, call_t *call, kf_str_t token,
                             kf_creds_found_t *found)
{
    kf_creds_found_t got = {.provider = PROVIDER};
    kf_creds_sts_error_t error = {0};
    bool again, ok = false;

    if (!find_endpoint(flight, &call->url))
        return KF_CREDS_FAILED;
    put_form(&call->form, call->action, call->role, token);
    kf_buf_init(&call->lines, TEXT_MAX);
    if (kf_buf_room(&call->lines, TEXT_MAX)) {
        ok = try_once(flight, call, &got, &error, &again);
        if (again)
            ok = try_once(flight, call, &got, &error, &again);
    } else {
        snprintf(error.message, sizeof error.message, "out of memory");
    }
    kf_creds_wipe(&call->form);
    kf_creds_wipe(&call->lines);
    if (!ok)
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s of %s at %s: %s%s%s",
                             call->action, call->role->arn, call->url.at, error.code,
                             error.code[0] ? ": " : "", error.message);
    *found = got;
    return KF_CREDS_FOUND;
}

/* ------------------------------------------------------------------ the calls */

static bool is_duration(const char *text)
{
    int64_t seconds;

    return kf_parse_i64(kf_str_of(text), &seconds) && seconds >= DURATION_LEAST &&
           seconds <= DURATION_MOST;
}

kf_creds_result_t kf_creds_assume_role(kf_creds_flight_t *flight, const kf_creds_role_t *role,
                                       kf_creds_found_t *found)
{
    call_t call = {.action = "AssumeRole", .role = role, .keys = found->keys};
    kf_creds_result_t result;

    if (role->duration && !is_duration(role->duration)) {
        result =
            kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER,
                          "duration_seconds must be from %d to %d", DURATION_LEAST, DURATION_MOST);
        kf_keys_release(found->keys);
        found->keys = NULL;
        return result;
    }
    result = run(flight, &call, (kf_str_t){0}, found);
    kf_keys_release((kf_keys_t *)(uintptr_t)call.keys);
    if (result != KF_CREDS_FOUND)
        found->keys = NULL;
    return result;
}

kf_creds_result_t kf_creds_assume_by_token(kf_creds_flight_t *flight, const kf_creds_role_t *role,
                                           const char *token_file, kf_creds_found_t *found)
{
    call_t call = {.action = "AssumeRoleWithWebIdentity", .role = role};
    char text[200];
    kf_buf_t token;
    kf_str_t trimmed;
    kf_creds_result_t result;
    /* Kubernetes lets others read it (0644): its mode is no concern. */
    const char *error =
        kf_creds_read_file(token_file, KF_CREDS_REPLY_MAX, &token, NULL, text, sizeof text);

    trimmed = kf_buf_str(&token);
    while (trimmed.n > 0 && strchr(" \t\r\n", trimmed.p[trimmed.n - 1]))
        trimmed.n--;
    if (!error && trimmed.n == 0)
        error = "is empty";
    if (error)
        result =
            kf_creds_note(flight, KF_CREDS_FAILED, "web identity", "%s: %s", token_file, error);
    else
        result = run(flight, &call, trimmed, found);
    kf_creds_wipe(&token);
    return result;
}

kf_creds_result_t kf_creds_from_web_identity(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    const char *file = flight->env->value[KF_ENV_AWS_WEB_IDENTITY_TOKEN_FILE];
    kf_creds_role_t role = {.arn = flight->env->value[KF_ENV_AWS_ROLE_ARN],
                            .session_name = flight->env->value[KF_ENV_AWS_ROLE_SESSION_NAME]};

    if (!file)
        return kf_creds_note(flight, KF_CREDS_NONE, "web identity",
                             "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    if (!role.arn)
        return kf_creds_note(flight, KF_CREDS_FAILED, "web identity", "AWS_ROLE_ARN is not set");
    return kf_creds_assume_by_token(flight, &role, file, found);
}
