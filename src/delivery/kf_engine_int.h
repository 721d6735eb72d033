/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's inside, for its own files: kf_engine.c (life), kf_intake.c (request threads), kf_worker.c
 * (the loop), kf_backlog.c (between memory and journal), kf_transfer.c (one call), kf_settle.c (what
 * became of records), kf_gauges.c (what is at the moment), kf_retry_after.c (when to come again).
 *
 * Threads and locks: `lock` guards every lane's destination and check, and who is up or watching;
 * workers take it, and the threads that search for credentials when they are done, for moments, never
 * while they encode, sign, log or do I/O. Request threads touch bounds, wake and queue, whose own lock is
 * the only one on their path.
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

/* As many calls of a connection as KinesisMaxInFlight may allow. */
#define KF_FLIGHTS_MAX 256
typedef struct {
    const kf_batch_t *batch; /* NULL: free */
    uint32_t records;
    int64_t oldest_us; /* acceptance */
} kf_flight_t;

/* A connection's way out. */
typedef struct {
    kf_destination_t destination;
    kf_stream_check_t check;
    kf_flight_t flights[KF_FLIGHTS_MAX]; /* the first free one is taken: low ones are in use */
    kf_alert_at_t at;
    const kf_target_t *target; /* NULL if unusable, creds too */
    kf_creds_t *creds;
    atomic_bool is_full;              /* KF0202 was raised by this child */
    atomic_bool is_behind;            /* records of it may wait in the journal */
    atomic_bool is_stuck;             /* on hold or failing: keeps little in memory */
    atomic_llong uploads;             /* with who files them */
    _Atomic uint64_t delivered_bytes; /* of the whole server, when drain_rate was measured */
    _Atomic int64_t drain_rate;       /* bytes a second since the time before; -1: not known yet */
} kf_lane_t;

/* A connection whose backlog may be read. */
typedef struct {
    int connection;
    uint64_t held; /* records in memory */
} kf_behind_t;

typedef struct {
    kf_engine_t *engine;
    int index;
    kf_http_t *http;
    apr_thread_t *thread;      /* NULL: not started */
    kf_sigv4_cache_t *signers; /* by lane */
    int next_lane;             /* whose turn it is */
    kf_behind_t *behind;       /* as many as lanes: of a pass */
    kf_journal_want_t *wants;  /* the same */
    bool is_up;
} kf_worker_t;

struct kf_engine_t {
    kf_engine_config_t config;
    kf_timing_t timing;
    apr_pool_t *pool;
    apr_queue_t *queue; /* of chains of records, linked by next */
    kf_bounds_t bounds;
    kf_wake_t wake;
    uint64_t few_records, few_bytes;   /* what a connection that is stuck may keep in memory */
    uint64_t fill_records, fill_bytes; /* what makes a wake-up worth while */
    _Atomic int64_t measured_us;       /* when drain_rate was measured */

    _Atomic(kf_file_window_fn *) filer;
    void *filer_context;
    _Atomic int64_t told_us; /* when gauges were told */
    atomic_int state;
    _Atomic int64_t begin_until_us; /* no call is begun from then on; KF_NEVER_US: not ending */
    atomic_bool is_stopping;        /* stop waits for is_settled */

    pthread_mutex_t lock;
    int lane_count;
    kf_lane_t *lanes;
    int worker_count;
    kf_worker_t *workers;
    int up_count;
    int watcher; /* the sleeping worker that minds the time, -1: none */
    int64_t watch_until_us;
    bool is_settled;          /* told to stop */
    atomic_bool is_refilling; /* a worker reads back what waits in the journal */
    atomic_int taking;        /* workers that have records in hand which no destination has yet */
    kf_creds_set_t *creds;
    sem_t settled;
};

/* kf_intake.c */
/** Puts records that are reserved into the queue; `records` is empty afterwards. @thread any */
void kf_intake_enqueue(kf_engine_t *engine, kf_record_list_t *records);
/** What the queue holds now, as far as one pass takes it. @thread workers */
void kf_intake_collect(kf_engine_t *engine, kf_record_list_t *records);
/** Ends KF0202 when there is room again. @thread workers */
void kf_intake_relax(kf_engine_t *engine, kf_lane_t *lane);

/* kf_settle.c */
/** Records of one connection are done with, for the journal too: memory is given back, they are freed. */
void kf_settle_let_go(kf_engine_t *engine, kf_record_list_t *records);

/* kf_backlog.c */
/** The first records of a list that are of one connection and kind; they leave it. @thread any */
kf_record_list_t kf_backlog_take_run(kf_record_list_t *records);
/** As kf_backlog_leave, for what the bounds were charged with: they get it back. */
bool kf_backlog_leave_charged(kf_engine_t *engine, kf_record_list_t *records);
/** Whether who files them may be given more uploads: they take half of the connection's room at most, so
 * that what leaves windows finds some. @thread any */
bool kf_backlog_may_file(const kf_engine_t *engine, const kf_lane_t *lane);
/**
 * As kf_backlog_leave_charged, for a run that would fail again if it came back now: it waits until
 * kf_engine_recall, or for the next child to take it over.
 * @return false also where there is no journal
 */
bool kf_backlog_set_aside(kf_engine_t *engine, kf_record_list_t *records);
/** Uploads for windows, charged to the bounds: to who files them. @thread any */
void kf_backlog_file(kf_engine_t *engine, kf_record_list_t *records);
/**
 * Gives back to the journal what is in memory and can't stay: a run of one connection's records, which
 * are freed, and are read back when there is room.
 * @return false, with the records kept, if one is not in the journal and can't be put there
 * @thread any, not under the lock
 */
bool kf_backlog_leave(kf_engine_t *engine, kf_record_list_t *records);
/** Reads back what there is room for, first of connections that hold little. @thread the worker, not under
 * the lock */
void kf_backlog_refill(kf_worker_t *worker, kf_record_list_t *records);
/** Whether records wait in the journal for a worker. @thread workers */
bool kf_backlog_waits(const kf_engine_t *engine);
/** What a stuck connection has in memory beyond little goes to `spilt`. @thread workers, under the lock */
void kf_backlog_spill(kf_engine_t *engine, kf_lane_t *lane, kf_now_t now, kf_record_list_t *spilt);
/** After kf_backlog_spill. @thread workers, not under the lock */
void kf_backlog_spilt(kf_engine_t *engine, kf_record_list_t *spilt);

/* kf_gauges.c */
/** A call of the lane was taken, and is no more in flight. @locks the engine's, held */
void kf_flight_begin(kf_lane_t *lane, const kf_batch_t *batch);
void kf_flight_end(kf_lane_t *lane, const kf_batch_t *batch);
/** Tells gauges after a call where it is time, or when something began or is over. @thread workers, not
 * under the lock */
void kf_gauges_call_ended(kf_engine_t *engine, bool is_news, int64_t now_us);

/* kf_retry_after.c */
/** Measures how fast connections' records leave, when it is time. @thread any but signal context */
void kf_retry_measure(kf_engine_t *engine, int64_t now_us);

/* kf_worker.c */
void *APR_THREAD_FUNC kf_worker_main(apr_thread_t *thread, void *worker);

/* kf_transfer.c */
/** Encodes, signs and starts a call; what cannot be started ends at once. @thread the worker */
void kf_transfer_put(kf_worker_t *worker, kf_lane_t *lane, kf_batch_t *batch);
/** The same for the look at a stream. */
void kf_transfer_check(kf_worker_t *worker, kf_lane_t *lane);

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
