/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's own: what its sources (append and done; fetch; adopt; compact) share. Not for others.
 *
 * Locks, in this order: adopt_lock (one adopter), fetch_lock (one reader of files; segments leave the list
 * under it), lock (the list, every segment's memory, the counts; held for moments, never while a frame
 * is written or synced, but while a new segment is made: there is nowhere to write to anyway).
 */
#ifndef KF_JOURNAL_INT_H
#define KF_JOURNAL_INT_H

#include "delivery/kf_journal.h"
#include "delivery/kf_segment_int.h"

#include <errno.h>

#define KF_JOURNAL_SLOTS 65536

typedef struct {
    uint64_t records, bytes; /* WAITING */
    uint64_t aside, aside_bytes;
    kf_segment_t *hint; /* no segment before it has any of them; NULL: none has */
} kf_journal_share_t;

/* A file that is no segment known here, or that can't be opened: said once. */
typedef struct kf_left_alone_t {
    struct kf_left_alone_t *next;
    bool is_tried_again; /* by every call, else when it has changed */
    struct timespec changed;
    off_t size;
    char file[];
} kf_left_alone_t;

struct kf_journal_t {
    kf_journal_config_t config;
    const kf_file_ops_t *files;
    int folder;
    int place; /* in usage */
    pthread_mutex_t adopt_lock, fetch_lock, lock;
    kf_segment_t *segments; /* oldest first */
    uint32_t segment_count, segments_max;
    kf_segment_t *current; /* takes frames; NULL before the first, after a seal or a failure */
    kf_segment_t *spare;   /* will, next; not on the list */
    uint64_t appended;     /* frames, ever */
    uint64_t idle_at;      /* as many as when it was last seen to change, */
    int64_t idle_us;       /* and when that was; monotonic */
    kf_segment_t *slot[KF_JOURNAL_SLOTS];
    uint16_t next_slot;
    uint64_t turns;            /* how often fetch went to another segment */
    kf_journal_share_t *share; /* by connection */
    int retry_error;           /* why there is no current segment */
    int64_t retry_us;          /* monotonic: not tried again before */
    bool failing;              /* the last append failed: said once */
    bool note_failing;
    char *window; /* what fetch read last; under fetch_lock */
    size_t window_cap;
    kf_left_alone_t *left_alone; /* under adopt_lock */
};

static inline uint64_t kf_record_bytes(const kf_record_t *r)
{
    return (uint64_t)r->key_bytes + r->data_bytes;
}

/** Whether an errno says that this process has no memory or no descriptors just now: it is tried again. */
static inline bool kf_journal_is_short(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE;
}

/** A record's mark: slot of its segment + 1, then its ordinal, so that 0 is no mark. */
static inline uint64_t kf_mark_make(const kf_segment_t *s, uint32_t ordinal)
{
    return ((uint64_t)s->slot + 1) << 32 | ordinal;
}

/** Puts a segment in its place by name, gives it a slot, counts what it holds. Lock held. @return false: no slot */
bool kf_journal_admit(kf_journal_t *journal, kf_segment_t *segment);

/** Takes a segment off the list and what it holds off the counts. Both locks held. */
void kf_journal_expel(kf_journal_t *journal, kf_segment_t *segment);

/** kf_segment_set, and the journal's counts with it. Lock held. */
void kf_journal_set(kf_journal_t *journal, kf_segment_t *segment, uint32_t ordinal,
                    kf_state_t state, uint64_t bytes);

/** The first segment with records that wait for a connection. Lock held. */
kf_segment_t *kf_journal_first_waiting(kf_journal_t *journal, uint16_t connection);

/** Counts a segment anew that holds these shares instead of its own; frees neither. Lock held. */
void kf_journal_recount(kf_journal_t *journal, kf_segment_t *segment, kf_segment_share_t *share);

/** Whether compaction would take a segment. Lock held. */
bool kf_journal_is_worth_copying(const kf_journal_t *journal, const kf_segment_t *segment);

/** Index of a connection, KF_SEGMENT_UNKNOWN where none has that name. */
uint16_t kf_journal_index_of(const kf_journal_t *journal, kf_str_t name);

/** Where segments take more memory than they should: makes some of them cold. No lock held. */
void kf_journal_cool(kf_journal_t *journal);

/**
 * Reads where the records of a cold segment stand, and which of them wait. What its files don't give any more is
 * said and counted as fetch does it. May make others cold.
 * Both locks held; the lock is given up while reading.
 * @return false: not now, for want of memory or open files; nothing changed
 */
bool kf_journal_warm(kf_journal_t *journal, kf_segment_t *segment);

/** Removes the files of a list of expelled segments, and frees them. No lock held. */
void kf_journal_dispose(kf_journal_t *journal, kf_segment_t *list);

/** Removes what is finished. No lock held. */
void kf_journal_remove_finished(kf_journal_t *journal);

/** A record out of a sound frame. @return NULL when out of memory */
kf_record_t *kf_journal_record(const kf_frame_record_t *r, uint16_t connection);

#endif
