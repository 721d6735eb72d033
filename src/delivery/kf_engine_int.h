/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's inside, for its own files: kf_engine.c (life), kf_intake.c (request threads), kf_worker.c
 * (the loop), kf_transfer.c (one call), kf_settle.c (what became of records).
 *
 * Threads and locks: `lock` guards every lane's destination and check, and who is up or watching; only
 * workers take it, for moments, never while they encode, sign, log or do I/O. Request threads touch
 * bounds, wake and queue, whose own lock is the only one on their path.
 */
#ifndef KF_ENGINE_INT_H
#define KF_ENGINE_INT_H

#include <apr_queue.h>
#include <apr_thread_proc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "aws/kf_creds.h"
#include "delivery/kf_alert.h"
#include "delivery/kf_bounds.h"
#include "delivery/kf_destination.h"
#include "delivery/kf_engine.h"
#include "delivery/kf_wake.h"

/* Only ever raised. */
enum { KF_STATE_RUNNING, KF_STATE_DRAINING, KF_STATE_CLOSED, KF_STATE_ENDING };

/* Firehose: when the stream is looked at. */
typedef enum { KF_CHECK_START, KF_CHECK_SOON, KF_CHECK_HOURLY } kf_check_for_t;
typedef struct {
    bool is_wanted; /* at all */
    bool is_out;
    kf_check_for_t why;
    int64_t due_us;
} kf_stream_check_t;

/* A connection's way out. */
typedef struct {
    kf_destination_t destination;
    kf_stream_check_t check;
    kf_alert_at_t at;
    const kf_target_t *target; /* NULL if unusable, creds too */
    kf_creds_t *creds;
    atomic_bool is_full; /* KF0202 was raised by this child */
} kf_lane_t;

typedef struct {
    kf_engine_t *engine;
    int index;
    kf_http_t *http;
    apr_thread_t *thread;      /* NULL: not started */
    kf_sigv4_cache_t *signers; /* by lane */
    int next_lane;             /* whose turn it is */
    bool is_up;
} kf_worker_t;

struct kf_engine_t {
    kf_engine_config_t config;
    kf_timing_t timing;
    apr_pool_t *pool;
    apr_queue_t *queue; /* of chains of records, linked by next */
    kf_bounds_t bounds;
    kf_wake_t wake;
    uint64_t fill_records, fill_bytes; /* what makes a wake-up worth while */
    atomic_int state;
    _Atomic int64_t deadline_us; /* of stop; 0: not stopping */

    pthread_mutex_t lock;
    int lane_count;
    kf_lane_t *lanes;
    int worker_count;
    kf_worker_t *workers;
    int up_count;
    int watcher; /* the sleeping worker that minds the time, -1: none */
    int64_t watch_until_us;
    bool is_settled; /* told to stop */
    sem_t settled;
};

/* kf_intake.c */
/** Puts records that are reserved into the queue; `records` is empty afterwards. @thread any */
void kf_intake_enqueue(kf_engine_t *engine, kf_record_list_t *records);
/** What the queue holds now, as far as one pass takes it. @thread workers */
void kf_intake_collect(kf_engine_t *engine, kf_record_list_t *records);
/** Ends KF0202 when there is room again. @thread workers */
void kf_intake_relax(kf_engine_t *engine, kf_lane_t *lane);

/* kf_worker.c */
void *APR_THREAD_FUNC kf_worker_main(apr_thread_t *thread, void *worker);

/* kf_transfer.c */
/** Encodes, signs and starts a call; what cannot be started ends at once. @thread the worker */
void kf_transfer_put(kf_worker_t *worker, kf_lane_t *lane, kf_batch_t *batch);
/** The same for the look at a stream. */
void kf_transfer_check(kf_worker_t *worker, kf_lane_t *lane);

/* kf_settle.c */
/**
 * Deals with an outcome: the one place where records leave the engine.
 * @param verdict  what the notices are about; may be NULL
 * @thread workers, not under the lock
 */
void kf_settle(kf_engine_t *engine, kf_lane_t *lane, kf_outcome_t *out,
               const kf_verdict_t *verdict);

static inline kf_now_t kf_now(void)
{
    return (kf_now_t){.mono_us = kf_mono_us(), .wall_us = kf_wall_us()};
}

#endif
