/* SPDX-License-Identifier: Apache-2.0
 *
 * The variables that the SDKs read credentials and their whereabouts from, as they stood at the child's
 * start: later changes of the environment are other modules' business. Knows nothing of what they mean.
 * Made on one thread; read by any.
 */
#ifndef KF_CREDS_ENV_H
#define KF_CREDS_ENV_H

#include <stdbool.h>

/* Names as the SDK reference guide has them (2026); AWS_SECURITY_TOKEN and AWS_DEFAULT_PROFILE are older
 * names that botocore still takes. */
#define KF_CREDS_VARIABLES(X) \
    X(AWS_ACCESS_KEY_ID) \
    X(AWS_SECRET_ACCESS_KEY) \
    X(AWS_SESSION_TOKEN) \
    X(AWS_SECURITY_TOKEN) \
    X(AWS_WEB_IDENTITY_TOKEN_FILE) \
    X(AWS_ROLE_ARN) \
    X(AWS_ROLE_SESSION_NAME) \
    X(AWS_PROFILE) \
    X(AWS_DEFAULT_PROFILE) \
    X(AWS_SHARED_CREDENTIALS_FILE) \
    X(AWS_CONFIG_FILE) \
    X(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI) \
    X(AWS_CONTAINER_CREDENTIALS_FULL_URI) \
    X(AWS_CONTAINER_AUTHORIZATION_TOKEN) \
    X(AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE) \
    X(AWS_EC2_METADATA_DISABLED) \
    X(AWS_EC2_METADATA_SERVICE_ENDPOINT) \
    X(AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE) \
    X(AWS_ENDPOINT_URL_STS) \
    X(AWS_ENDPOINT_URL) \
    X(AWS_IGNORE_CONFIGURED_ENDPOINT_URLS) \
    X(HOME)

typedef enum {
#define KF_CREDS_VARIABLE(name) KF_ENV_##name,
    KF_CREDS_VARIABLES(KF_CREDS_VARIABLE)
#undef KF_CREDS_VARIABLE
        KF_ENV_COUNT
} kf_creds_variable_t;

typedef struct {
    char *value[KF_ENV_COUNT]; /* NULL: not set, or empty, which is the same to the SDKs */
} kf_creds_env_t;

/**
 * Copies the variables. HOME is the user's that runs this where the environment has none.
 * @return false when out of memory; kf_creds_env_free is due all the same
 */
bool kf_creds_env_read(kf_creds_env_t *env);
/** Wipes and frees. */
void kf_creds_env_free(kf_creds_env_t *env);

/** Whether it is set to "true", any case. */
bool kf_creds_env_is_true(const kf_creds_env_t *env, kf_creds_variable_t variable);

#endif
