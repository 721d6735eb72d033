/* SPDX-License-Identifier: Apache-2.0
 *
 * Hosts and the environment's endpoints (kf_endpoint.h). Must not know requests, nor look at files.
 */
#include "aws/kf_endpoint.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <strings.h>
#include "aws/kf_region.h"

#define IS(a, b) (strcmp(a, b) == 0)

/* Services whose plain endpoint in aws-us-gov is the FIPS one. */
static bool is_fips_by_itself(const char *service, const kf_partition_t *partition)
{
    return IS(partition->id, "aws-us-gov") && (IS(service, "kinesis") || IS(service, "sts"));
}

static bool has_account_endpoints(const char *service, const kf_partition_t *partition)
{
    return IS(service, "kinesis") && !IS(partition->id, "aws-iso") &&
           !IS(partition->id, "aws-iso-b");
}

const char *kf_endpoint_host(apr_pool_t *pool, const char *service, const char *region, bool fips,
                             bool dual_stack, kf_str_t account)
{
    const kf_partition_t *partition = kf_region_partition(kf_str_of(region));
    const char *suffix;

    if (!partition)
        return NULL;
    suffix = dual_stack ? partition->dual_stack_suffix : partition->dns_suffix;
    if (account.n > 0 && has_account_endpoints(service, partition))
        return apr_psprintf(pool, "%.*s.data-%s%s.%s.%s", (int)account.n, account.p, service,
                            fips ? "-fips" : "", region, suffix);
    if (!dual_stack && is_fips_by_itself(service, partition))
        fips = false;
    return apr_psprintf(pool, "%s%s.%s.%s", service, fips ? "-fips" : "", region, suffix);
}

/* ------------------------------------------------------------------ environment */

static const char *value_of(const char *variable)
{
    const char *value = getenv(variable);

    return value && *value ? value : NULL;
}

static bool is_true(const char *variable)
{
    const char *value = value_of(variable);

    return value && strcasecmp(value, "true") == 0;
}

const char *kf_endpoint_env_url(const char *service, const char **variable)
{
    static const struct {
        const char *service, *variable;
    } own[] = {{"kinesis", "AWS_ENDPOINT_URL_KINESIS"},
               {"firehose", "AWS_ENDPOINT_URL_FIREHOSE"},
               {"sts", "AWS_ENDPOINT_URL_STS"}};

    if (is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        return NULL;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (IS(service, own[i].service) && value_of(own[i].variable)) {
            *variable = own[i].variable;
            return value_of(*variable);
        }
    }
    *variable = "AWS_ENDPOINT_URL";
    return value_of(*variable);
}

static bool is_unset(const kf_settings_t *set, const char *directive)
{
    return !kf_setting_is_set(set, kf_directive_find(directive));
}

static const char *of_environment(apr_pool_t *pool, const char *variable)
{
    return apr_pstrcat(pool, "the environment's ", variable, NULL);
}

/* @return what made the flag true, if something did */
static const char *apply_flag(apr_pool_t *pool, const kf_settings_t *set, const char *directive,
                              const char *variable, int *flag)
{
    if (!is_unset(set, directive) || !is_true(variable))
        return NULL;
    *flag = 1;
    return of_environment(pool, variable);
}

static void apply_url(apr_pool_t *pool, const kf_creds_endpoint_t *profile, kf_settings_t *finished,
                      kf_endpoint_origin_t *origin)
{
    const char *service = finished->service == KF_SERVICE_FIREHOSE ? "firehose" : "kinesis";
    const char *variable;
    const char *url = kf_endpoint_env_url(service, &variable);

    if (url) {
        finished->endpoint = apr_pstrdup(pool, url);
        origin->endpoint = of_environment(pool, variable);
    } else if (profile->url[0] && !is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
        finished->endpoint = apr_pstrdup(pool, profile->url);
        origin->endpoint =
            apr_psprintf(pool, "profile \"%s\" of the shared AWS files", profile->profile);
        origin->is_of_file = true;
    }
}

static const char *chosen(const char *variable, const char *of_profile)
{
    const char *value = value_of(variable);

    return value ? value : of_profile;
}

/* @return NULL, or what is wrong with the mode */
static const char *apply_account(apr_pool_t *pool, const kf_creds_endpoint_t *profile,
                                 kf_settings_t *finished)
{
    const char *mode = chosen("AWS_ACCOUNT_ID_ENDPOINT_MODE", profile->account_mode);
    const char *account = chosen("AWS_ACCOUNT_ID", profile->account);

    if (!*mode || strcasecmp(mode, "preferred") == 0 || finished->service != KF_SERVICE_STREAMS)
        return NULL;
    if (strcasecmp(mode, "disabled") == 0) {
        finished->endpoint_account = "";
        return NULL;
    }
    if (strcasecmp(mode, "required") != 0)
        return "AWS_ACCOUNT_ID_ENDPOINT_MODE, or the profile's account_id_endpoint_mode, must be "
               "preferred, disabled or required";
    if (finished->stream_arn || finished->endpoint)
        return NULL;
    if (strlen(account) != 12 || strspn(account, "0123456789") != 12)
        return "an account's endpoint is required (AWS_ACCOUNT_ID_ENDPOINT_MODE, or the profile's "
               "account_id_endpoint_mode): must be with KinesisStreamArn, or with an account of 12 "
               "digits in AWS_ACCOUNT_ID or the profile's aws_account_id";
    finished->endpoint_account = apr_pstrdup(pool, account);
    return NULL;
}

kf_endpoint_origin_t kf_endpoint_apply(apr_pool_t *pool, const kf_settings_t *set,
                                       const kf_creds_endpoint_t *profile, kf_settings_t *finished)
{
    kf_endpoint_origin_t origin = {.is_of_file = false};

    if (is_unset(set, "KinesisEndpoint"))
        apply_url(pool, profile, finished, &origin);
    origin.fips =
        apply_flag(pool, set, "KinesisUseFIPS", "AWS_USE_FIPS_ENDPOINT", &finished->use_fips);
    origin.dual_stack = apply_flag(pool, set, "KinesisUseDualStack", "AWS_USE_DUALSTACK_ENDPOINT",
                                   &finished->use_dual_stack);
    origin.error = apply_account(pool, profile, finished);
    return origin;
}
