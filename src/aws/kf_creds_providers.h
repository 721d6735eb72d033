/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources of credentials, each behind one function that searches there (kf_creds_flight.h) and notes
 * in the report what it did not find. kf_creds_chain.c says in which order they are asked. Sources:
 * botocore 1.43.67 and the AWS SDK for JavaScript v3 (Sep 2026), as aws-facts section 6 has them.
 */
#ifndef KF_CREDS_PROVIDERS_H
#define KF_CREDS_PROVIDERS_H

#include "aws/kf_creds_flight.h"

/* A role to be assumed; pointers are the caller's. */
typedef struct {
    const char *arn;
    const char *session_name; /* NULL: the module's */
    const char *external_id;  /* or NULL */
    const char *duration;     /* seconds as text, or NULL: the role's default */
} kf_creds_role_t;

/** AWS_ACCESS_KEY_ID and its kin. One without the other is an error, as in the SDKs. */
kf_creds_result_t kf_creds_from_environment(kf_creds_flight_t *flight, kf_creds_found_t *found);

/** AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN (Kubernetes' service accounts). */
kf_creds_result_t kf_creds_from_web_identity(kf_creds_flight_t *flight, kf_creds_found_t *found);

/**
 * STS AssumeRole with keys that were found before.
 * @param found  in: whose keys sign, which are let go; out: the role's
 */
kf_creds_result_t kf_creds_assume_role(kf_creds_flight_t *flight, const kf_creds_role_t *role,
                                       kf_creds_found_t *found);

/** STS AssumeRoleWithWebIdentity, unsigned; the token's file is read each time. */
kf_creds_result_t kf_creds_assume_by_token(kf_creds_flight_t *flight, const kf_creds_role_t *role,
                                           const char *token_file, kf_creds_found_t *found);

/** The shared files: KinesisCredentialsFile or AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, and so
 * on; KinesisProfile or AWS_PROFILE or "default". */
kf_creds_result_t kf_creds_from_profile(kf_creds_flight_t *flight, kf_creds_found_t *found);

/** The endpoint of ECS tasks and EKS pods. */
kf_creds_result_t kf_creds_from_container(kf_creds_flight_t *flight, kf_creds_found_t *found);

/** The instance metadata service, version 2. */
kf_creds_result_t kf_creds_from_instance(kf_creds_flight_t *flight, kf_creds_found_t *found);

/** A program's output (credential_process). */
kf_creds_result_t kf_creds_from_process(kf_creds_flight_t *flight, const char *command,
                                        kf_creds_found_t *found);

#endif
