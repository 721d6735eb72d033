/* SPDX-License-Identifier: Apache-2.0
 *
 * The few response headers that matter, from lines of any kind to bounded values. Knows no transport.
 * Pure; any thread.
 */
#ifndef KF_HTTP_HEAD_H
#define KF_HTTP_HEAD_H

#include "aws/kf_http.h"

/* The headers of one reply, while its lines come in. */
typedef struct {
    char request_id[80];
    char error_type[128];
    int64_t date_us;     /* 0: none */
    bool aged;           /* Age: the date is that of a cache */
    int64_t retry_us;    /* x-amz-retry-after; -1 */
    int64_t retry_s_us;  /* Retry-After in seconds; -1 */
    int64_t retry_at_us; /* Retry-After as a date; 0 */
} kf_http_head_t;

/** Before the first line, and again before each further head of the same reply (100 Continue). */
void kf_http_head_start(kf_http_head_t *head);

/** One line, "Name: value" with or without line break; what it does not know or trust it ignores. */
void kf_http_head_line(kf_http_head_t *head, kf_str_t line);

/**
 * Fills request_id, error_type, date_us and retry_after_us.
 * @param now_us  wall clock, for a Retry-After date in a reply without a date of its own
 */
void kf_http_head_finish(const kf_http_head_t *head, int64_t now_us, kf_http_reply_t *out);

/** "Sun, 06 Nov 1994 08:49:37 GMT" as wall clock microseconds; 0 for any other text. */
int64_t kf_http_date_us(kf_str_t text);

#endif
