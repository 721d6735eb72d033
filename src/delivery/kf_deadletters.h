/* SPDX-License-Identifier: Apache-2.0
 *
 * The dead letters: records given up on, kept in the index with the reason until an operator sends
 * them again or discards them. Knows neither AWS nor the journal.
 *
 * Threads: any; see kf_index.h. Every operation is a transaction of its own (large ones are several).
 */
#ifndef KF_DEADLETTERS_H
#define KF_DEADLETTERS_H

#include "base/kf_str.h"
#include "delivery/kf_index.h"
#include "events/kf_record.h"

typedef struct kf_deadletters_t kf_deadletters_t;

typedef enum {
    KF_DEAD_TOO_LARGE, /* larger than the service takes */
    KF_DEAD_REFUSED,   /* AWS refused it for what it is */
    KF_DEAD_TOO_OLD    /* KinesisRetryMaxAge */
} kf_dead_reason_t;

/** "too-large", "refused", "too-old". */
const char *kf_dead_reason_text(kf_dead_reason_t reason);

/**
 * @param names  of the connections, by the index that records carry; only needed by add and replay
 * @return NULL: logged
 */
kf_deadletters_t *kf_deadletters_open(kf_index_t *index, const char *const *names, int n);
/** NULL does nothing. */
void kf_deadletters_close(kf_deadletters_t *letters);

typedef struct {
    const kf_record_t *record;
    kf_dead_reason_t reason;
    const char *code; /* AWS's; NULL or "" if there is none, as below */
    const char *message;
    const char *request_id;
    int64_t failed_us; /* wall clock */
} kf_dead_entry_t;

/**
 * Adds letters, all or none; with durability disk they are on the disk afterwards, and the records may
 * be marked done in the journal. Records stay the caller's.
 */
kf_index_result_t kf_deadletters_add(kf_deadletters_t *letters, const kf_dead_entry_t *entries,
                                     uint32_t n);

/* A letter as it is read. */
typedef struct {
    int64_t id;
    const char *connection; /* the strings: terminated, UTF-8 as far as they came so */
    const char *reason;
    const char *code, *message, *request_id;
    uint32_t attempts;
    int64_t accepted_us, failed_us;
    kf_record_kind_t kind;
    uint32_t events;
    bool replay; /* marked: the leader will send it again */
    uint64_t data_bytes;
    kf_str_t key;
    kf_str_t data; /* p NULL unless asked for */
} kf_dead_letter_t;

/** Reads one letter, good during the call; may not use the index. @return false to hear no more */
typedef bool kf_dead_letter_fn(void *context, const kf_dead_letter_t *letter);

/* Which letters; zero-initialised: all. */
typedef struct {
    const char *connection; /* NULL: of all */
    int64_t after, before;  /* ids between these two, both excluded; 0: no bound */
    uint32_t limit;         /* 0: no limit */
    bool newest_first;
    bool with_data;
} kf_dead_filter_t;

/**
 * Reads letters in the order of their ids. Keeps the index, and its log of changes from being cut,
 * until the last call returned: long lists are read in several pieces.
 */
kf_index_result_t kf_deadletters_list(kf_deadletters_t *letters, const kf_dead_filter_t *filter,
                                      kf_dead_letter_fn *fn, void *context);

/** Reads one, with its data. @return KF_INDEX_NONE if there is none of this id */
kf_index_result_t kf_deadletters_get(kf_deadletters_t *letters, int64_t id, kf_dead_letter_fn *fn,
                                     void *context);

/* What to mark or discard: ids, or else those of a connection, or else all. */
typedef struct {
    const int64_t *ids;
    uint32_t id_count;
    const char *connection;
    bool all;
} kf_dead_selection_t;

/**
 * Marks letters, for the leader to send them again; those marked already count too.
 * @param[out] n  how many; right also after an error
 */
kf_index_result_t kf_deadletters_mark(kf_deadletters_t *letters,
                                      const kf_dead_selection_t *selection, uint64_t *n);

/** Removes letters for good. What is added meanwhile stays. @param[out] n  as above */
kf_index_result_t kf_deadletters_discard(kf_deadletters_t *letters,
                                         const kf_dead_selection_t *selection, uint64_t *n);

/**
 * Makes records safe (appends them to the journal). They stay the list's or are taken off it.
 * @return false: they are not, and stay dead letters
 */
typedef bool kf_dead_replay_fn(void *context, kf_record_list_t *records);

/**
 * Takes marked letters of configured connections, oldest first, as records with fresh counters and
 * age, hands them to fn, and removes the letters if it says so, all in one transaction: two leaders
 * never take the same letter; a crash after fn's work repeats it. One that was too large stays so, and
 * becomes a letter again.
 * @param max_records, max_bytes  of one call; one record at least is taken where there is one
 * @param[out] n  letters that are records now
 */
kf_index_result_t kf_deadletters_replay(kf_deadletters_t *letters, uint32_t max_records,
                                        uint64_t max_bytes, kf_dead_replay_fn *fn, void *context,
                                        uint32_t *n);

typedef struct {
    const char *connection; /* good during the call */
    uint64_t letters;       /* there, */
    uint64_t marked;        /* of them, those to be sent again */
    uint64_t bytes;         /* keys and data */
    int64_t oldest_us;      /* failing of the one with the lowest id; 0: none */
} kf_dead_totals_t;
typedef void kf_dead_totals_fn(void *context, const kf_dead_totals_t *totals);

/** Of each connection that has or had any. Cheap: sums are kept. */
kf_index_result_t kf_deadletters_totals(kf_deadletters_t *letters, kf_dead_totals_fn *fn,
                                        void *context);

/** Bytes of all letters, for the store's limit; cheap. 0 after an error. */
uint64_t kf_deadletters_bytes(kf_deadletters_t *letters);

#endif
