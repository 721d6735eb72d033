/* SPDX-License-Identifier: Apache-2.0
 *
 * Where AWS's services answer: the host of a service in a region, and what the environment says of
 * endpoints. Knows no streams or requests. Host names: pure, any thread. The environment: read while
 * httpd reads its configuration, or before a child's threads start.
 */
#ifndef KF_ENDPOINT_H
#define KF_ENDPOINT_H

#include <apr_pools.h>
#include "base/kf_settings.h"

/**
 * The host of a service's own endpoint.
 * @param service  as in host names: "kinesis", "firehose", "sts"
 * @param account  12 digits for the endpoint of Kinesis' data operations in that account, which is what
 *                 AWS's rules ask for where a stream is named by its ARN; empty: the region's
 * @return of pool; NULL if no partition has such a region
 * Source: the endpoint rules of botocore 1.43.67 (Aug 2026).
 */
const char *kf_endpoint_host(apr_pool_t *pool, const char *service, const char *region, bool fips,
                             bool dual_stack, kf_str_t account);

/**
 * The endpoint that the environment names for a service: AWS_ENDPOINT_URL_KINESIS (_FIREHOSE, _STS),
 * else AWS_ENDPOINT_URL; none while AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is "true". Not checked.
 * @param variable  out: where it comes from
 * @return of the environment, NULL if there is none; a variable that is empty is as good as none
 * Source: AWS SDKs reference, service-specific endpoints (2026); botocore 1.43.67.
 */
const char *kf_endpoint_env_url(const char *service, const char **variable);

/* Which variables spoke where no directive does; NULL: none. */
typedef struct {
    const char *endpoint;   /* for KinesisEndpoint */
    const char *fips;       /* AWS_USE_FIPS_ENDPOINT, for KinesisUseFIPS */
    const char *dual_stack; /* AWS_USE_DUALSTACK_ENDPOINT, for KinesisUseDualStack */
} kf_endpoint_origin_t;

/**
 * Completes finished settings from the environment, directive by directive: KinesisEndpoint,
 * KinesisUseFIPS and KinesisUseDualStack where `set`, from which they were finished, has no value for
 * them (`none` and Off are values). As the SDKs do: explicit settings come first.
 */
kf_endpoint_origin_t kf_endpoint_env_apply(apr_pool_t *pool, const kf_settings_t *set,
                                           kf_settings_t *finished);

#endif
