/* SPDX-License-Identifier: Apache-2.0
 *
 * The delivery engine of one child: takes records from request threads into the journal and a bounded
 * APR queue, and delivers them to AWS by a pool of workers. Knows no httpd. What memory has no room for
 * waits in the journal and is read back in order; callers see accepted or not.
 *
 * Life: kf_engine_start in the child -> submit from any request thread -> kf_engine_drain (graceful,
 * optional, never blocks) -> kf_engine_close (refuse from now on, never blocks) -> kf_engine_stop
 * (finish within the deadline, join, free).
 */
#ifndef KF_ENGINE_H
#define KF_ENGINE_H

#include <stdatomic.h>

#include "aws/kf_http.h"
#include "base/kf_settings.h"
#include "delivery/kf_deadletters.h"
#include "delivery/kf_hold_spans.h"
#include "delivery/kf_journal.h"
#include "delivery/kf_metrics.h"
#include "delivery/kf_shared.h"
#include "delivery/kf_timing.h"
#include "events/kf_record.h"

typedef struct {
    const char *name;
    const kf_settings_t *settings; /* finished; secrets resolved */
    bool unusable; /* its secret could not be read at a restart: locations feeding it answer 503 */
} kf_connection_t;

typedef struct {
    const kf_process_settings_t *process; /* finished */
    const kf_connection_t *connections;   /* records name them by index */
    int connection_count;
    kf_shared_t *shared;          /* memory that all children of the server share */
    kf_metrics_t *metrics;        /* likewise; joined */
    kf_journal_t *journal;        /* what was accepted and is not done; NULL: memory only */
    kf_deadletters_t *letters;    /* records given up on; NULL: they are only logged */
    const kf_hold_known_t *holds; /* of earlier lives, by connection, for the start; NULL: none */
    const atomic_bool *hurry;     /* once true, stop begins no more calls and waits half of the
                                         process's shutdown_timeout at most; NULL: never */
    bool threaded;                /* false on prefork: one request at a time, which a signal's
                                         cleanup may interrupt */
    kf_http_factory_fn *http_factory; /* kf_http_curl_create, or a test's */
    void *http_context;
    size_t thread_stack_bytes; /* 0: the system's default */
    const kf_timing_t *timing; /* NULL: KF_TIMING_DEFAULT; tests have less time */
} kf_engine_config_t;

typedef struct kf_engine_t kf_engine_t;

typedef enum {
    KF_ACCEPTED, /* every record is the engine's now */
    KF_FULL, /* no room, for one of the connections or at all, or the store fails: nothing was taken */
    KF_CLOSED /* stopping, or the engine never started: nothing was taken */
} kf_admission_t;

/**
 * Starts the workers.
 * @param config  copied; what it points to must outlive the engine
 * @return NULL with *error set (constant or static text) when it cannot
 * @thread the child's main thread, before requests
 */
kf_engine_t *kf_engine_start(const kf_engine_config_t *config, const char **error);

/**
 * Whether a request for these connections could be taken now; asked before its body is read. A no for
 * want of room is counted (KF_COUNT_REFUSED_FULL) and logged once until there is room again (KF0202,
 * KF0203), here and by submit.
 * @return KF_CLOSED too for a connection that is unusable
 * @thread any; lock-free
 */
kf_admission_t kf_engine_room(const kf_engine_t *engine, const uint16_t *connections, int n);

/**
 * Hands all records of one request over: all or none.
 * @param records  grouped by connection; on KF_ACCEPTED owned by the engine and the list is empty,
 *                 else untouched
 * @thread any request thread; never blocks on the network; waits for the journal (kf_journal_append);
 *         on prefork SIGTERM is held back meanwhile
 */
kf_admission_t kf_engine_submit(kf_engine_t *engine, kf_record_list_t *records);

/**
 * Hands over records made inside the child (closed windows, replayed dead letters): all or none, also
 * while closing. On KF_ACCEPTED they are in the journal and the list is empty.
 * @thread any but signal context
 */
kf_admission_t kf_engine_put(kf_engine_t *engine, kf_record_list_t *records);

/** Takes records of kind KF_RECORD_WINDOW in; O(1). @thread request threads and workers */
typedef void kf_file_window_fn(void *context, kf_record_list_t *records);

/** Where uploads for windows go; until then, and after NULL, they wait in the journal. */
void kf_engine_set_filer(kf_engine_t *engine, kf_file_window_fn *fn, void *context);

/** They are in their windows: done in the journal, memory given back, freed. The list is empty
 * afterwards. @thread any but signal context */
void kf_engine_filed(kf_engine_t *engine, kf_record_list_t *records);

/** They could not be filed now: they leave memory and wait in the journal until kf_engine_recall. The
 * list is empty afterwards. @thread any but signal context */
void kf_engine_unfiled(kf_engine_t *engine, kf_record_list_t *records);

/**
 * What could not be filed, or not be kept as dead letters, is worth another try.
 * @thread any but signal context
 */
void kf_engine_recall(kf_engine_t *engine);

/** What this child has to tell of a connection's hold (kf_destination_tell_hold). @thread the keeper */
void kf_engine_tell_hold(kf_engine_t *engine, int connection, kf_hold_news_t *news);
/** What others have told (kf_destination_know_hold). @thread the keeper */
void kf_engine_know_hold(kf_engine_t *engine, int connection, const kf_hold_known_t *known);

/**
 * Records wait in the journal that nobody here had in memory: after an adoption.
 * @thread any but signal context
 */
void kf_engine_look_behind(kf_engine_t *engine);

/**
 * Publishes what is at the moment (kf_metrics.def, scope CHILD); to be called twice a second at least.
 * @thread any but signal context
 */
void kf_engine_tell(kf_engine_t *engine);

/* The longest Retry-After. */
#define KF_RETRY_AFTER_MAX_S 300

/**
 * Seconds for Retry-After when room or submit said no: until the store, and the share of each of these
 * connections, are a twentieth below their limits again at the rate of the last seconds, at which the
 * whole server's records leave. Longest where none leave. 1 to KF_RETRY_AFTER_MAX_S, not the same for
 * all who ask.
 * @thread any
 */
int kf_engine_retry_after(const kf_engine_t *engine, const uint16_t *connections, int n);

/** The child ends when its last request has: send what lingers now. @thread any, signal context too */
void kf_engine_drain(kf_engine_t *engine);

/** Refuse new records from now on. Calls are begun for half of the process's shutdown_timeout, so that each
 * has the other half for its answer. @thread any, signal context too */
void kf_engine_close(kf_engine_t *engine);

/**
 * Closes, goes on delivering, begins calls for half of timeout_us (and of the time from kf_engine_close) at
 * most and awaits their answers for at most all of it, aborts what is still in flight, joins every thread,
 * frees all. Records left stay in the journal, or are put there; those that cannot be are
 * counted and logged (KF0303). Journal and letters stay the caller's.
 * @thread the child's main thread, once; @blocks timeout_us and a moment
 */
void kf_engine_stop(kf_engine_t *engine, int64_t timeout_us);

#endif
