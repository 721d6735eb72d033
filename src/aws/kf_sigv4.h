/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4, header form (aws-facts section 5), with the signing key cached. The general
 * form takes any request. No I/O, no clock. A cache belongs to one thread at a time.
 */
#ifndef KF_SIGV4_H
#define KF_SIGV4_H

#include <stdint.h>
#include "base/kf_buf.h"

typedef struct {
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token; /* or NULL */
} kf_sigv4_keys_t;

typedef struct {
    kf_str_t name; /* as sent; lower-cased for signing */
    kf_str_t value;
} kf_sigv4_header_t;

/* More headers than this are not signed: kf_sigv4_sign fails. */
#define KF_SIGV4_HEADERS_MAX 64

typedef struct {
    const char *method;
    kf_str_t path;  /* as sent, not normalised yet */
    kf_str_t query; /* without '?' */
    const kf_sigv4_header_t
        *headers; /* all that are to be signed; x-amz-date etc. are the caller's */
    int header_count;
    kf_str_t body;
    bool normalize_path; /* true but for S3, whose paths are signed as they are on the wire */
} kf_sigv4_request_t;

/** Cached key of one (secret, date, region, service). Zero-initialise; kf_sigv4_forget wipes it. */
typedef struct {
    unsigned char key[32];
    unsigned char id[32]; /* digest of what it was derived from */
    bool valid;
} kf_sigv4_cache_t;
void kf_sigv4_forget(kf_sigv4_cache_t *cache);

/** "20261122T154530Z" of a wall clock time, 16 characters and a terminator. */
void kf_sigv4_date(int64_t wall_us, char out[17]);

/**
 * The Authorization header's value. The parts are appended to the buffers that are not NULL (tests look
 * at canonical and to_sign).
 * @return false on failure of OpenSSL or out of memory
 */
bool kf_sigv4_sign(kf_sigv4_cache_t *cache, const kf_sigv4_keys_t *keys, const char *region,
                   const char *service, const char amz_date[17], const kf_sigv4_request_t *request,
                   kf_buf_t *authorization, kf_buf_t *canonical, kf_buf_t *to_sign);

#endif
