/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of one child: what was accepted and is not yet done, on disk. Append-only segments of
 * framed, checksummed records, each with a file of outcomes beside it; see docs/store.md for the
 * layout. It is all that stands between a POST and its 202, and the only source of delivery. Knows
 * records and connections by name; no AWS, no HTTP, no queue.
 *
 * Threads: open and close by one and the same, which lives as long as the child; append by any request
 * thread at once; all others by any thread. Segments: made, locked (flock, released by the kernel when
 * the writer dies) and removed by the child that owns them; another child adopts a segment whose lock is
 * free. So a journal is opened after the fork, and no process that is forked off may outlive its child
 * without an exec.
 */
#ifndef KF_JOURNAL_H
#define KF_JOURNAL_H

#include "base/kf_settings.h"
#include "delivery/kf_file.h"
#include "delivery/kf_metrics.h"
#include "delivery/kf_usage.h"
#include "events/kf_record.h"

/* With what is twice as much in rare cases, far below the 64 MiB by which a child may grow while AWS is away. */
#define KF_JOURNAL_WARM_BYTES (UINT64_C(16) << 20)

typedef struct kf_journal_t kf_journal_t;

/* What it points to must outlive the journal. */
typedef struct {
    const char *directory;  /* exists, writable by this process */
    int durability;         /* KF_DURABILITY_DISK syncs before append returns; the others don't */
    uint64_t segment_bytes; /* a segment is sealed beyond this; frames are never split. Each segment
                               keeps a file open, two while it is delivered from */
    uint64_t warm_bytes; /* memory for where records stand, about: what waits beyond it is known by
                               counts only until it is fetched. 0: KF_JOURNAL_WARM_BYTES */
    const char *const *connections; /* names, by the index that records carry */
    int connection_count;
    kf_usage_t *usage;          /* bytes on disk, of the whole server */
    kf_metrics_t *metrics;      /* NULL: nobody counts */
    const kf_file_ops_t *files; /* NULL: the real ones */
} kf_journal_config_t;

typedef enum {
    KF_JOURNAL_OK,
    KF_JOURNAL_FULL, /* KinesisStoreLimit, a connection's share, ENOSPC, EDQUOT, or more than a frame's
                        4 GiB: nothing taken */
    KF_JOURNAL_FAILED /* EIO, EROFS, permission...: nothing taken; logged once a change */
} kf_journal_result_t;

/** Opens; the first segment is made by the first append. @return NULL with *error set */
kf_journal_t *kf_journal_open(const kf_journal_config_t *config, const char **error);

/**
 * Closes and unlocks; what is not done stays on disk for another child or the next start. A segment
 * with nothing outstanding is removed.
 */
void kf_journal_close(kf_journal_t *journal);

/**
 * Writes all records as one frame: all or none, also after a crash. With durability disk returns after
 * the sync that covers it, shared with every other waiting caller. Sets each record's mark; the records
 * count as in memory until done or release. What fails is not served, now or after a restart (as far as a
 * failing disk can be told so).
 * @blocks for one write and, with disk, at most two syncs; a new segment takes two more
 */
kf_journal_result_t kf_journal_append(kf_journal_t *journal, const kf_record_list_t *records);
/** The same for records that take the place of what the store holds already (kf_usage_fits_moved). */
kf_journal_result_t kf_journal_append_moved(kf_journal_t *journal, const kf_record_list_t *records);

/** How full the store is that this journal is a part of. */
const kf_usage_t *kf_journal_usage(const kf_journal_t *journal);

/** Whether something of the connection would find room in the store now; takes nothing. Lock-free. */
bool kf_journal_room(const kf_journal_t *journal, int connection);

/**
 * Notes that records are done (delivered, or safe among the dead letters): one small write per segment
 * concerned. A segment whose records are all done is removed, once sealed. The caller still owns and
 * frees the records.
 */
void kf_journal_done(kf_journal_t *journal, const kf_record_t *const *records, uint32_t n);

/**
 * Reads back records of a connection that are neither done nor in memory, oldest first; they count as in
 * memory afterwards.
 * @return how many were appended to *out: at most max_records, and stops before max_bytes (but gives at
 *         least one where there is one)
 */
uint32_t kf_journal_fetch(kf_journal_t *journal, uint16_t connection, uint32_t max_records,
                          uint64_t max_bytes, kf_record_list_t *out);

/** What a connection may be given of what waits for it. */
typedef struct {
    uint16_t connection;
    uint32_t
        records; /* at most; what is left of it afterwards, 0 too where the next one did not fit */
    uint64_t bytes;
    kf_record_list_t found; /* empty before */
} kf_journal_want_t;

/**
 * kf_journal_fetch for several connections, each of them once: a frame that holds records of many is read and
 * checked once for all of those who have room and come to it.
 */
void kf_journal_fetch_all(kf_journal_t *journal, kf_journal_want_t *wants, size_t n);

/**
 * Whether a record was written by another child, which is dead, or may have been. Good for records that
 * are in memory. O(1)
 */
bool kf_journal_is_adopted(const kf_journal_t *journal, const kf_record_t *record);

/**
 * A record leaves memory undelivered (its owner frees it): it may be fetched again, as it was when it
 * was appended; attempts and time on hold are forgotten.
 */
void kf_journal_release(kf_journal_t *journal, const kf_record_t *record);

/**
 * As release, for what would fail again if it came back now: fetch passes over it until everything that
 * was set aside is recalled, here or by whoever takes the segment over.
 */
void kf_journal_set_aside(kf_journal_t *journal, const kf_record_t *record);

/** Records that are set aside. Cheap. */
uint64_t kf_journal_aside(kf_journal_t *journal);

/** What was set aside may be fetched again; what is just being copied forward, at the next call. */
void kf_journal_recall(kf_journal_t *journal);

typedef struct {
    uint64_t records; /* neither done nor in memory */
    uint64_t bytes;
    uint64_t aside; /* records that are set aside, beside those */
    uint64_t aside_bytes;
    int64_t oldest_us; /* acceptance of the one that is fetched next, to the second; 0 none */
} kf_backlog_t;
/** What waits in this child's segments for a connection. Cheap. */
void kf_journal_backlog(kf_journal_t *journal, uint16_t connection, kf_backlog_t *out);

/**
 * Looks for segments whose writer is dead, and takes them over: their records that are not done become
 * fetchable here. Records of connections that are no longer configured stay where they are, counted
 * and named in an alert. Damaged frames are skipped, counted, kept aside, with an alert. A file that is
 * no segment known here is left alone until it changes, with an alert; a segment whose files can't be
 * opened, until they can. Outcomes that are damaged are kept aside too, and their records go again. Also
 * measures the folder for usage, and removes what the dead left unfinished. Takes about half a second at most: where there is
 * more to take over the next call goes on. For one child at a time, twice a second.
 * @return segments taken over
 */
int kf_journal_adopt(kf_journal_t *journal);

/** Whether the last call of kf_journal_adopt left any file alone (KF0606) that is still there. */
bool kf_journal_leaves_alone(kf_journal_t *journal);

/**
 * Copies forward what few records pin: the records that wait in sealed segments which are otherwise done
 * (or small) go into one new segment, on disk before the old ones are removed; a crash between the two
 * repeats them. Looks at little where there is nothing to gain; now and then.
 * @return 0 when there was nothing to do; segments removed, or -1 when it failed: meanwhile fetch passed
 *         over what they hold, so ask it again
 */
int kf_journal_compact(kf_journal_t *journal);

/**
 * Makes the next segment where the current one is half full, so that no append has to: under load with zeros
 * ahead (kf_segment_fill), which go when nothing has come for a while. Now and then; blocks for a second at most.
 */
void kf_journal_prepare(kf_journal_t *journal);

#endif
