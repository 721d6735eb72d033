/* SPDX-License-Identifier: Apache-2.0
 *
 * One segment of the journal: its two files (records, outcomes) and what is known of them in memory:
 * where each frame starts and the state of each record, at most 14 bytes a record; of one that is cold
 * (kf_journal_cold.c) the counts only. Knows nothing of the other segments. What is in memory is not locked here: the journal says under which lock each function
 * runs. Syncing and noting lock for themselves.
 */
#ifndef KF_SEGMENT_H
#define KF_SEGMENT_H

#include <pthread.h>
#include "delivery/kf_file.h"
#include "delivery/kf_frame.h"
#include "delivery/kf_group_sync.h"

#define KF_SEGMENT_NAME_MAX 48
#define KF_SEGMENT_FILE_MAX (KF_SEGMENT_NAME_MAX + 16)

/* A record's word: its state, and its connection's index here. */
typedef enum {
    KF_STATE_DONE = 0,       /* or never written, or withdrawn */
    KF_STATE_MEMORY = 1,     /* somebody holds it in memory */
    KF_STATE_WAITING = 2,    /* on disk only */
    KF_STATE_UNREADABLE = 3, /* the disk refused to give it: left for another start */
    KF_STATE_ASIDE = 4       /* on disk only, and not to be read back until all such are recalled */
} kf_state_t;
#define KF_SEGMENT_STATE_SHIFT 13
#define KF_SEGMENT_UNKNOWN 0x1fff /* a connection that is not configured any more */
#define KF_SEGMENT_CONNECTIONS_MAX (KF_SEGMENT_UNKNOWN - 1)
#define KF_SEGMENT_BYTES_MAX ((uint64_t)UINT32_MAX * KF_FRAME_ALIGN)

typedef struct {
    uint32_t at8;      /* offset of the frame, in units of 8 bytes */
    uint32_t first;    /* ordinal of its first record */
    uint32_t accepted; /* of its first record: seconds since the epoch */
} kf_frame_place_t;

typedef struct {
    uint32_t waiting; /* records in state WAITING */
    uint32_t aside;   /* records in state ASIDE */
    uint32_t live;    /* records not DONE */
    uint32_t cursor;  /* no frame before this one has any that waits */
    uint32_t
        oldest; /* of a cold one: when the first that waits was accepted, seconds since the epoch */
    uint64_t waiting_bytes, aside_bytes, live_bytes;
} kf_segment_share_t;

typedef struct kf_segment_t {
    struct kf_segment_t *next;      /* the journal's list, oldest first */
    char name[KF_SEGMENT_NAME_MAX]; /* without suffix */
    uint32_t id;                    /* seed of its checksums */
    uint16_t slot;                  /* index in the journal's table, part of every mark */
    int fd;
    uint64_t size;   /* where the frames end */
    uint64_t filled; /* the file's end, where more than frames is in it, such as zeros ahead */
    int64_t created_us;
    bool sealed;                   /* takes no more frames */
    bool damaged;                  /* kept aside instead of removed */
    bool adopted;                  /* holds what another child wrote, or may */
    bool compacting;               /* being copied: the journal takes nothing out of it */
    bool pinned;                   /* could not be copied: stays as it is */
    bool unnoted;                  /* the files may not tell of all that is done */
    bool cold;                     /* has no state and no frame, all that is not done is WAITING */
    uint64_t read_at;              /* the journal's count of turns when fetch last came here */
    uint32_t outstanding;          /* records not DONE */
    uint32_t memory;               /* of them, those in state MEMORY */
    uint32_t unknown;              /* of them, those of unknown connections */
    uint32_t records, records_cap; /* ordinals given out */
    uint16_t *state;               /* by ordinal: state << KF_SEGMENT_STATE_SHIFT | connection */
    uint32_t frames, frames_cap;
    kf_frame_place_t *frame;
    int connections;
    kf_segment_share_t *share; /* by connection */
    kf_group_sync_t group_sync;
    /* outcomes, one note at a time */
    pthread_mutex_t note_lock;
    int outcome_fd; /* -1: not open */
    uint64_t outcome_bytes;
} kf_segment_t;

/** A segment in memory without files. @return NULL when out of memory */
kf_segment_t *kf_segment_create(int connections);
/** Closes the files, frees. Removes nothing. */
void kf_segment_destroy(kf_segment_t *segment);

/**
 * Makes the record file under a temporary name, locked, with its head. Whoever finds it unlocked may
 * remove it.
 * @param created_us  where it stands among the others
 * @return 0 or errno, then no file is left
 */
int kf_segment_start(kf_segment_t *segment, int folder, const kf_file_ops_t *files,
                     int64_t created_us, const char *const *names);

/** Removes what kf_segment_start made, instead of publishing it. */
void kf_segment_abandon(const kf_segment_t *segment, int folder, const kf_file_ops_t *files);

/**
 * Writes zeros behind the head, synced, so that frames need no more than their own bytes synced. Stops where
 * the disk is full. For a segment that nobody writes to yet; blocks.
 * @param until    the file's size then
 * @param most_us  stops after about this long
 * @return 0, or errno when the disk fails: what the file holds is not known
 */
int kf_segment_fill(kf_segment_t *segment, const kf_file_ops_t *files, uint64_t until,
                    int64_t most_us);

/** The size of its file. */
static inline uint64_t kf_segment_file_bytes(const kf_segment_t *segment)
{
    return segment->filled > segment->size ? segment->filled : segment->size;
}

/**
 * Gives it its name: whoever finds that finds a locked file with a whole head.
 * @param sync  what was written and the name are on disk when this returns
 * @return 0 or errno, then no file is left
 */
int kf_segment_publish(kf_segment_t *segment, int folder, const kf_file_ops_t *files, bool sync);

/**
 * Reserves room for a frame: offset and ordinals. The records become MEMORY.
 * @param frame_bytes  kf_frame_size
 * @return false when out of memory, or of numbers; nothing changed
 */
bool kf_segment_reserve(kf_segment_t *segment, const kf_record_list_t *records,
                        uint64_t frame_bytes, uint64_t *offset, uint32_t *first);

/** Takes no more frames; gives back memory that was in store for them. */
void kf_segment_seal(kf_segment_t *segment);

/**
 * Sets a record's state and keeps the counts.
 * @param bytes  of its key and data; 0 where nobody knows, the counts are right again when the
 *               connection's last record has left the state
 */
void kf_segment_set(kf_segment_t *segment, uint32_t ordinal, kf_state_t state, uint64_t bytes);

/** What was set aside waits again. */
void kf_segment_recall(kf_segment_t *segment);

static inline kf_state_t kf_segment_state(const kf_segment_t *s, uint32_t ordinal)
{
    return (kf_state_t)(s->state[ordinal] >> KF_SEGMENT_STATE_SHIFT);
}

static inline uint16_t kf_segment_connection(const kf_segment_t *s, uint32_t ordinal)
{
    return s->state[ordinal] & KF_SEGMENT_UNKNOWN;
}

/** Offset of frame i. */
static inline uint64_t kf_segment_frame_at(const kf_segment_t *s, uint32_t i)
{
    return (uint64_t)s->frame[i].at8 * KF_FRAME_ALIGN;
}

/** Bytes from frame i to the next one. */
uint64_t kf_segment_frame_bytes(const kf_segment_t *segment, uint32_t i);

/** Ordinal after the last record of frame i. */
uint32_t kf_segment_frame_end(const kf_segment_t *segment, uint32_t i);

/** Moves a connection's cursor to the first frame with a record that waits. @return false: none does */
bool kf_segment_seek(kf_segment_t *segment, uint16_t connection);

/** Waits until a sync covers the append that was just written. @return 0 or errno */
int kf_segment_sync(kf_segment_t *segment, const kf_file_ops_t *files);

/** Writes a note of outcomes, making the file at first use. @return 0 or errno, then nothing is noted */
int kf_segment_note(kf_segment_t *segment, int folder, const kf_file_ops_t *files,
                    const uint32_t *ordinals, uint32_t n);

/**
 * Makes sure as well as the disk allows that a sealed frame, which could not be written or synced, is
 * never served: by a void in its place or, failing that, a note that it is done.
 * @param head  the frame's KF_FRAME_HEAD_BYTES; changed
 */
void kf_segment_withdraw(kf_segment_t *segment, int folder, const kf_file_ops_t *files, char *head,
                         uint64_t offset, uint32_t first, uint32_t count);

typedef struct {
    uint64_t damaged_bytes; /* bytes in which no frame could be read */
    uint64_t torn_bytes;    /* of last frames that were never written to their end */
    bool foreign;           /* no segment, or of a version not known here */
    uint64_t damaged_notes; /* bytes behind the last sound outcome that no crash explains */
    int outcomes_error;     /* errno where the outcomes could not be opened: nothing was read */
    bool unreadable;        /* the disk refused to give a part, which counts as damaged */
} kf_segment_load_t;

typedef struct {
    /** For each connection name of the head: its index now, KF_SEGMENT_UNKNOWN if there is none. */
    uint16_t (*map)(void *context, kf_str_t name);
    /** For each name without an index of which records are not done. */
    void (*unknown)(void *context, kf_str_t name, uint32_t records);
    void *context;
} kf_segment_names_t;

/**
 * Reads an opened and locked segment and its outcomes: what is not done becomes WAITING. Once, without
 * the journal's lock, before anybody else knows the segment.
 * Outcomes that can't be opened are an error, since none could be noted either. Those behind a damaged place
 * count for nothing, so their records are WAITING; the next note would go over that place.
 * @return 0 or errno
 */
int kf_segment_load(kf_segment_t *segment, int folder, const kf_segment_names_t *names,
                    kf_segment_load_t *report);

/**
 * Puts its outcomes aside as NAME.out.damaged, before any is noted: the next note begins a new file.
 * @return 0 or errno
 */
int kf_segment_keep_outcomes(kf_segment_t *segment, int folder, const kf_file_ops_t *files);

/** Removes its files, or keeps the records aside under another name where they are damaged. @return 0 or errno */
int kf_segment_remove(kf_segment_t *segment, int folder, const kf_file_ops_t *files);

/** "NAME.SUFFIX" into out, KF_SEGMENT_FILE_MAX bytes. */
void kf_segment_file(const char *name, const char *suffix, char *out);

/** Whether a name is one that kf_segment_start makes. */
bool kf_segment_is_name(const char *name, size_t n);

#endif
