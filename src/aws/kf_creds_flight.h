/* SPDX-License-Identifier: Apache-2.0
 *
 * One search for credentials, as its providers share it: what was asked for, what may be used, what was
 * found, and the report of who was tried and why it did not serve. A search runs from beginning to end on
 * the thread that began it, and waits for networks, files and programs; only kf_creds_refresh.c begins
 * one, on a thread of its own. No secret enters a report.
 */
#ifndef KF_CREDS_FLIGHT_H
#define KF_CREDS_FLIGHT_H

#include <apr_pools.h>
#include <stdatomic.h>

#include "aws/kf_creds_env.h"
#include "aws/kf_http.h"
#include "aws/kf_keys.h"
#include "base/kf_settings.h"

/* Longest report; with a connection's name it fits a line of the log. */
#define KF_CREDS_REPORT_MAX 720
#define KF_CREDS_FOREVER INT64_MAX
/* Longest reply of a provider, token file and output of a program. */
#define KF_CREDS_REPLY_MAX ((size_t)64 * 1024)

typedef enum {
    KF_CREDS_FOUND,
    KF_CREDS_NONE, /* nothing is set up for this provider: the next one is asked */
    KF_CREDS_FAILED /* it is set up and does not serve: the search ends, so that nobody acts as somebody
                       else than was meant */
} kf_creds_result_t;

/* What was found; keys belong to whoever has it. */
typedef struct {
    kf_keys_t *keys;
    int64_t ttl_us;       /* from now, may be negative; KF_CREDS_FOREVER: they don't expire */
    bool outlives;        /* to be used past their end where no others can be had */
    const char *provider; /* constant text */
} kf_creds_found_t;

typedef struct {
    const kf_settings_t *settings;
    const kf_creds_env_t *env;
    kf_http_t *http;
    const atomic_bool *is_stopping; /* NULL: never. The search is to end soon */
    apr_pool_t *pool;               /* of the search; no secret goes there */
    char report[KF_CREDS_REPORT_MAX];
} kf_creds_flight_t;

/** Adds "PROVIDER: why" to the report, printable ASCII only. @return result */
kf_creds_result_t kf_creds_note(kf_creds_flight_t *flight, kf_creds_result_t result,
                                const char *provider, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

bool kf_creds_stopping(const kf_creds_flight_t *flight);

/* A reply to a provider's request. */
typedef struct {
    bool is_reply; /* else error says why there is none */
    int status;
    kf_buf_t body;
    int64_t date_us; /* the server's clock, 0: not known */
    bool timed_out;
    char error[200];
} kf_creds_reply_t;

/**
 * Makes a request and waits for its end. Reply and request are treated as secrets.
 * @param request  reply_max and is_secret are set here
 * @param reply    for kf_creds_reply_free, whatever is returned
 * @return reply->is_reply
 * @blocks the request's total_us; ends at once when the search is to end
 */
bool kf_creds_fetch(kf_creds_flight_t *flight, kf_http_request_t *request, kf_creds_reply_t *reply);
/** Wipes and frees. */
void kf_creds_reply_free(kf_creds_reply_t *reply);

/** Wipes and frees a buffer that may hold a secret. Give it its room before: growing leaves copies. */
void kf_creds_wipe(kf_buf_t *secret);

/**
 * Reads a file of at most max bytes, whole.
 * @param out    empty, its maximum is set here; for kf_creds_wipe
 * @param mode   of the file; may be NULL
 * @return NULL, or what is wrong (constant text or the system's, at most `size` bytes of `text`)
 */
const char *kf_creds_read_file(const char *path, size_t max, kf_buf_t *out, unsigned *mode,
                               char *text, size_t size);

#endif
