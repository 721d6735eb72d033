/* SPDX-License-Identifier: Apache-2.0
 *
 * What the children of one server share, in memory made before they are forked: counters, and flags
 * such as "this alert is raised" and "this stream's check is taken", per connection. Every access is an
 * atomic on one word; a child may die at any point. Knows no httpd; the caller brings the memory.
 */
#ifndef KF_SHARED_H
#define KF_SHARED_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "base/kf_log.h"

/* Counters, one of each per connection, of the whole server. */
typedef enum {
    KF_COUNT_ACCEPTED,  /* records accepted */
    KF_COUNT_DELIVERED, /* records delivered */
    KF_COUNT_DELIVERED_BYTES,
    KF_COUNT_DEAD,         /* records given up on */
    KF_COUNT_LOST,         /* records left when a child ended, durability memory */
    KF_COUNT_CALLS,        /* calls that ended */
    KF_COUNT_CALLS_FAILED, /* of them, those that failed as a whole */
    KF_COUNT_PARTIAL,      /* of them, those with some records failed */
    KF_COUNT_RETRIED,      /* records sent again */
    KF_COUNT_THROTTLED,    /* throttled calls and records */
    KF_COUNT_DROPPED_TYPE, /* by filters: kf_drop_t */
    KF_COUNT_DROPPED_ANONYMOUS,
    KF_COUNT_DROPPED_NO_EVENTS,
    KF_COUNT_DROPPED_EMPTIED,
    KF_COUNT_REJECTED,     /* requests that fed it answered 400, 413 or 415, */
    KF_COUNT_DISCARDED,    /* or 202 instead of that: KinesisInvalidBatch discard */
    KF_COUNT_REFUSED_FULL, /* requests answered 503 for want of room */
    KF_COUNT_MAX
} kf_count_t;

typedef struct kf_shared_t kf_shared_t;

/** Bytes that a server with n connections needs. */
size_t kf_shared_size(int connections);

/** Makes memory of that size, all zero, into a shared area. */
kf_shared_t *kf_shared_init(void *memory, int connections);

void kf_shared_add(kf_shared_t *shared, int connection, kf_count_t count, uint64_t n);
uint64_t kf_shared_get(const kf_shared_t *shared, int connection, kf_count_t count);

/**
 * Marks an alert of a connection as raised.
 * @return true if it was not raised before: the caller logs it (once a change, not once a record)
 */
bool kf_shared_raise(kf_shared_t *shared, int connection, kf_msg_t alert);
/** @return true if it was raised before: the caller logs that it is over, where there is a message */
bool kf_shared_clear(kf_shared_t *shared, int connection, kf_msg_t alert);
/** Whether it is raised: a load, for pages and for callers who clear often. */
bool kf_shared_raised(const kf_shared_t *shared, int connection, kf_msg_t alert);

/**
 * Claims a job that one child is to do for all (a stream's check).
 * @param now_us     of a clock that all children share: the monotonic one
 * @param period_us  how long ago the last claim must be
 * @return whether it is the caller's; the first claim always is
 */
bool kf_shared_claim(kf_shared_t *shared, int connection, int64_t now_us, int64_t period_us);

#endif
