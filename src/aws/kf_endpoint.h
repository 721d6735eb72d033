/* SPDX-License-Identifier: Apache-2.0
 *
 * Where AWS's services answer: the host of a service in a region, and what the environment and the shared
 * AWS files say of endpoints. Knows no streams or requests. Host names: pure, any thread. The environment: read while
 * httpd reads its configuration, or before a child's threads start.
 */
#ifndef KF_ENDPOINT_H
#define KF_ENDPOINT_H

#include <apr_pools.h>
#include "aws/kf_creds_shared.h"
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

/* What decided where no directive does, as a message says it ("the environment's AWS_ENDPOINT_URL"); NULL:
 * nothing did. */
typedef struct {
    const char *endpoint;   /* for KinesisEndpoint */
    const char *fips;       /* AWS_USE_FIPS_ENDPOINT, for KinesisUseFIPS */
    const char *dual_stack; /* AWS_USE_DUALSTACK_ENDPOINT, for KinesisUseDualStack */
    bool is_of_file;   /* endpoint: of the shared AWS files, which may change while httpd runs */
    const char *error; /* what was asked for and can't be had */
} kf_endpoint_origin_t;

/**
 * Completes finished settings from the environment and the profile, directive by directive: KinesisEndpoint,
 * KinesisUseFIPS and KinesisUseDualStack where `set`, from which they were finished, has no value for
 * them (`none` and Off are values). As the SDKs do: explicit settings come first, then the environment, then
 * the profile. AWS_ACCOUNT_ID_ENDPOINT_MODE or the profile's account_id_endpoint_mode: `preferred`, the
 * default, calls the endpoint of a stream ARN's account; `disabled` the region's; `required` an account's,
 * without an ARN that of AWS_ACCOUNT_ID or the profile's aws_account_id.
 * @param profile  what the shared files say; kept by nobody
 */
kf_endpoint_origin_t kf_endpoint_apply(apr_pool_t *pool, const kf_settings_t *set,
                                       const kf_creds_endpoint_t *profile, kf_settings_t *finished);

#endif
