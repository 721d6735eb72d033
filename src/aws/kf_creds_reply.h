/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials in the forms in which their sources hand them out: JSON of containers, of the instance
 * metadata service and of programs; XML of STS. No I/O. Any thread.
 *
 * Texts are read in place, so that no copy of a secret is left behind: that is why the JSON is scanned
 * with the events layer's scanner rather than loaded into a library's tree.
 */
#ifndef KF_CREDS_REPLY_H
#define KF_CREDS_REPLY_H

#include <apr_pools.h>
#include "aws/kf_creds_flight.h"

/* The members' names, and what else must be there (aws-facts section 6). */
typedef enum {
    KF_CREDS_JSON_CONTAINER, /* Token */
    KF_CREDS_JSON_INSTANCE,  /* Token; Code, if there is one, is "Success" */
    KF_CREDS_JSON_PROCESS    /* Version 1; SessionToken; without Expiration they don't expire */
} kf_creds_json_t;

/**
 * @param now_us  wall clock of who made the text, or ours
 * @return true and *out (keys, ttl_us); false and *why, printable, without anything of the text but an
 *         error code of the source
 */
bool kf_creds_read_json(kf_str_t text, kf_creds_json_t form, int64_t now_us, kf_creds_found_t *out,
                        char *why, size_t size);

/* What STS said where it gave no credentials. */
typedef struct {
    char code[64];     /* "AccessDenied"; "" if there is none */
    char message[200]; /* printable, its first line; "" */
} kf_creds_sts_error_t;

/**
 * The reply to AssumeRole or AssumeRoleWithWebIdentity.
 * @param pool    for the parser; it holds copies of the text until it is destroyed, those of secrets
 *                wiped
 * @return true and *out; false with *error, its code "" when it can't be read
 */
bool kf_creds_read_sts(apr_pool_t *pool, kf_str_t text, int64_t now_us, kf_creds_found_t *out,
                       kf_creds_sts_error_t *error);

/** "2026-11-22T15:45:30Z", with fractions of a second or an offset. @return false on any other text */
bool kf_creds_read_time(kf_str_t text, int64_t *wall_us);

#endif
