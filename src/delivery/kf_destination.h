/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection's records on their way to AWS, as a state machine: what is pending, what waits to be sent
 * again, what is in flight, backing off, on hold, put mode, clock. Knows no thread, lock, clock, log or
 * network: time and randomness come as arguments, results leave as outcomes and batches. The caller
 * serialises (the engine's lock).
 *
 * Batches leave by kf_destination_take and come back, each once, by kf_destination_apply or
 * kf_destination_return. A record that was added ends in exactly one outcome, or in
 * kf_destination_clear.
 */
#ifndef KF_DESTINATION_H
#define KF_DESTINATION_H

#include "base/kf_settings.h"
#include "delivery/kf_batch.h"
#include "delivery/kf_hold_spans.h"
#include "delivery/kf_outcome.h"
#include "delivery/kf_timing.h"

typedef struct {
    int64_t mono_us;
    int64_t wall_us;
} kf_now_t;

#define KF_NEVER_US INT64_MAX

/* Everything that does not change. */
typedef struct {
    int64_t linger_us;
    int64_t max_age_us;
    int64_t backoff_base_us, backoff_cap_us;
    uint32_t max_in_flight;
    uint32_t retry_limit;
    int put_mode;          /* KF_PUT_AUTO, ... */
    kf_fill_t fill;        /* hard limits of a call */
    uint32_t fill_records; /* pending records, */
    uint64_t fill_bytes;   /* or bytes of them, that are worth a call before the linger is over */
    kf_timing_t timing;
} kf_destination_config_t;

/* Troubles that come and go: raised at once, over after a while without them. */
typedef enum {
    KF_TROUBLE_SERVER,
    KF_TROUBLE_NETWORK,
    KF_TROUBLE_THROTTLE,
    KF_TROUBLES
} kf_trouble_t;

typedef struct {
    int64_t seen_us;
    bool raised;
    bool better; /* a success came after it */
} kf_trouble_state_t;

typedef struct {
    bool on;
    bool refused; /* for calls refused whatever the record; else an error of the HOLD class */
    bool probing; /* the probe is out */
    int64_t since_us;
    int64_t since_wall_us;
    int64_t probe_us; /* when the next probe is due */
    int64_t interval_us;
    uint32_t probes;
    uint32_t epoch; /* calls of earlier epochs were sent before it began */
} kf_hold_t;

/* Records that are due at the same moment to be sent again. More moments than slots share the nearest
 * later one, so that nothing here needs memory. */
#define KF_RETRY_SLOTS 64
typedef struct {
    int64_t due_us;
    kf_record_list_t records;
} kf_retry_slot_t;

typedef struct {
    kf_destination_config_t config;

    kf_record_list_t pending;
    int64_t pending_since_us; /* of the oldest; holds while there is one */
    kf_retry_slot_t retry[KF_RETRY_SLOTS];
    int retry_count;
    kf_batch_t *parts;         /* to be sent as they are, at once */
    kf_record_list_t suspects; /* refused, perhaps for no fault of theirs: while on hold */

    uint32_t in_flight;
    uint32_t epoch;           /* calls sent before something changed don't speak for what is now */
    uint32_t in_flight_epoch; /* of them, those of this epoch */
    uint32_t failures;        /* of calls, in a row */
    int64_t backoff_until_us;
    kf_hold_t hold;
    int64_t held_sum_us;       /* of earlier holds */
    kf_hold_spans_t past;      /* the same, and what is known of others', by the wall clock */
    bool is_inherited;         /* a hold of others that is not known to be over: it goes on until */
    int64_t inherited_us;      /* something is accepted. Counted in held_us since, */
    int64_t inherited_wall_us; /* and by the wall clock */
    kf_span_t ended;           /* what is over, for who writes it down */
    kf_trouble_state_t troubles[KF_TROUBLES];

    bool is_single; /* put mode auto, batch calls denied */
    bool asking_batch;
    int64_t ask_batch_us;
    int64_t offset_us;    /* correction of the clock in force */
    uint32_t clock_tries; /* corrections in a row without success */
    bool creds_tried;     /* refreshed without success since */
    bool is_proven;       /* something was accepted by this destination object */
    bool check_wanted;    /* a hold is over: have the stream checked again */

    uint64_t accepted;      /* records, ever */
    uint32_t over_limit;    /* records held that reached the retry limit */
    uint32_t lone_refused;  /* lone records refused in a row for one reason, */
    uint64_t lone_accepted; /* while `accepted` stood here */
    char lone_code[64];
} kf_destination_t;

/* What is known of a reply beside the verdict. */
typedef struct {
    bool is_reached; /* there was a reply */
    int status;
    bool has_offset;
    int64_t offset_us; /* server's clock minus ours */
    bool is_refreshed; /* EXPIRED, CREDENTIALS: other keys are or may become available */
    uint32_t random;
} kf_facts_t;

/**
 * @param half_records, half_bytes  the connection's share of what a child may hold
 */
void kf_destination_configure(kf_destination_config_t *config, const kf_settings_t *settings,
                              uint32_t record_bytes_max, uint32_t call_bytes_max,
                              uint64_t half_records, uint64_t half_bytes,
                              const kf_timing_t *timing);
void kf_destination_init(kf_destination_t *d, const kf_destination_config_t *config);

/** Takes records in, in order; what is too large for the service ends at once. `records` is empty
 * afterwards. */
void kf_destination_add(kf_destination_t *d, kf_record_list_t *records, kf_now_t now,
                        kf_outcome_t *out);

/**
 * The next call that is due, its operation, epoch and clock correction set.
 * @param flush  don't linger
 * @return NULL if none is due (or there is no memory: a little later)
 */
kf_batch_t *kf_destination_take(kf_destination_t *d, kf_now_t now, bool flush);

/** When kf_destination_take or kf_destination_tick may have something to do, if nothing happens before;
 * KF_NEVER_US if not. */
int64_t kf_destination_due(const kf_destination_t *d, kf_now_t now, bool flush);

/** The wait for more records at present: 0 where calls are single. */
int64_t kf_destination_linger(const kf_destination_t *d);

/** What becomes of a call's records. Consumes the batch. */
void kf_destination_apply(kf_destination_t *d, kf_batch_t *batch, const kf_verdict_t *verdict,
                          const kf_facts_t *facts, kf_now_t now, kf_outcome_t *out);

/** A call was given up by us (the child ends): its records are pending as before. Consumes it. */
void kf_destination_return(kf_destination_t *d, kf_batch_t *batch, kf_now_t now);

/** What is over by mere passing of time. */
void kf_destination_tick(kf_destination_t *d, kf_now_t now, kf_outcome_t *out);

/** Moves pending records to `out` until the oldest `keep` are left. */
void kf_destination_spill(kf_destination_t *d, kf_now_t now, uint32_t keep, kf_record_list_t *out);

/** They could not go: pending as before. `records` is empty afterwards. */
void kf_destination_unspill(kf_destination_t *d, kf_record_list_t *records, kf_now_t now);

/** A record that could not leave for good: it is sent again at due_us. */
void kf_destination_defer(kf_destination_t *d, kf_record_t *record, int64_t due_us, kf_now_t now);

/** Moves every record that it still has to the end of `out`. No call may be in flight. */
void kf_destination_clear(kf_destination_t *d, kf_now_t now, kf_record_list_t *out);

/** What a hold may have been about has changed: it is asked at once whether it is over. */
void kf_destination_look_again(kf_destination_t *d, kf_now_t now);

/**
 * Holds of earlier lives and of other children: time that counts for records that are added from now
 * on. One that is not over goes on until something is accepted, or a later word says otherwise.
 */
void kf_destination_know_hold(kf_destination_t *d, const kf_hold_known_t *known, kf_now_t now);

/** What is to be written down; what is over is told once. */
void kf_destination_tell_hold(kf_destination_t *d, kf_hold_news_t *news);

/** Time that the destination has been on hold, ever. */
int64_t kf_destination_held_us(const kf_destination_t *d, kf_now_t now);

#endif
