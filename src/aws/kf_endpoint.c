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

/* @return the variable, if it made the flag true */
static const char *apply_flag(const kf_settings_t *set, const char *directive, const char *variable,
                              int *flag)
{
    if (!is_unset(set, directive) || !is_true(variable))
        return NULL;
    *flag = 1;
    return variable;
}

kf_endpoint_origin_t kf_endpoint_env_apply(apr_pool_t *pool, const kf_settings_t *set,
                                           kf_settings_t *finished)
{
    kf_endpoint_origin_t origin = {NULL, NULL, NULL};
    const char *service = finished->service == KF_SERVICE_FIREHOSE ? "firehose" : "kinesis";
    const char *variable;
    const char *url = kf_endpoint_env_url(service, &variable);

    if (url && is_unset(set, "KinesisEndpoint")) {
        finished->endpoint = apr_pstrdup(pool, url);
        origin.endpoint = variable;
    }
    origin.fips = apply_flag(set, "KinesisUseFIPS", "AWS_USE_FIPS_ENDPOINT", &finished->use_fips);
    origin.dual_stack = apply_flag(set, "KinesisUseDualStack", "AWS_USE_DUALSTACK_ENDPOINT",
                                   &finished->use_dual_stack);
    return origin;
}
