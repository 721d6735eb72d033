/* SPDX-License-Identifier: Apache-2.0
 *
 * The open windows of a server with what was filed into them: the one interface to them, so that they
 * may live elsewhere later. What goes into which window, and when it is due, follows the rules of
 * events/kf_window_due.h; here they are kept. Knows neither filters nor merging nor the journal.
 *
 * All between begin and commit takes place or nothing does, and nobody else files or closes meanwhile.
 * Filing takes as many parts as there are into one transaction. Closing takes two: one says that windows
 * due by now take no more (kf_windows_seal_until); the next is begin, due, read, make the batches, append
 * them to the journal, remove, commit. So no upload can slip into a window once its batch may be in the
 * journal, two leaders never close the same one, and a crash after the append repeats the same batch
 * under the message_id that the window was given when it opened.
 *
 * A window is sealed when it takes no more: it had become due when the next part for it came, had
 * reached a bound, or had to make room. It is due at once, and the next part of its key opens another.
 *
 * Threads: any; each transaction belongs to one, and keeps the others of the process waiting, users of
 * the same index included (kf_index.h): no dead letter may be added between begin and commit.
 */
#ifndef KF_WINDOWS_H
#define KF_WINDOWS_H

#include "base/kf_buf.h"
#include "delivery/kf_index.h"
#include "events/kf_window_due.h"

/* What an upload and a window take besides their text in memory of any kind: for totals. */
#define KF_WINDOW_UPLOAD_EXTRA 64
#define KF_WINDOW_EXTRA 256
/* A session's start or end looks at so many windows of the device; more can't be made by devices that
 * behave, and would stop everybody: those end by their time-out. */
#define KF_WINDOW_OTHERS_MAX 256
#define KF_WINDOW_MESSAGE_ID_BYTES 36

typedef struct kf_windows_t kf_windows_t;

typedef struct {
    kf_window_limits_t limits;
    uint64_t max_bytes;  /* of a window's texts: what would go beyond opens another window */
    uint32_t max_events; /* likewise */
} kf_window_rules_t;

typedef struct {
    const char *const *connections; /* names, by index */
    const kf_window_rules_t *rules; /* by index */
    int connection_count;
} kf_windows_config_t;

/**
 * @param config  copied; what it points to must outlive the windows
 * @return NULL: logged
 */
kf_windows_t *kf_windows_open(kf_index_t *index, const kf_windows_config_t *config);
/** NULL does nothing. */
void kf_windows_close(kf_windows_t *windows);

/** On anything but KF_INDEX_OK there is no transaction. */
kf_index_result_t kf_windows_begin(kf_windows_t *windows);
/** On anything but KF_INDEX_OK nothing took place. */
kf_index_result_t kf_windows_commit(kf_windows_t *windows);
void kf_windows_rollback(kf_windows_t *windows);

/**
 * Whether an upload that a dead child left was filed by it: in its windows, open or closed by now, though the
 * journal has no note of it. Within a transaction.
 * @param key  the upload's own
 * @return false after an error too, which the commit will tell
 */
bool kf_windows_was_filed(kf_windows_t *windows, kf_str_t key);
/** All parts of an upload are filed by this transaction. */
void kf_windows_filed(kf_windows_t *windows, kf_str_t key);
/** The journal has a note of every upload filed so far. Not within a transaction. */
void kf_windows_noted(kf_windows_t *windows);

/* A part of an upload. All that it points to stays as it is between look and put. */
typedef struct {
    uint16_t connection;
    kf_window_kind_t kind;
    const kf_window_part_t *part; /* not at_once */
    kf_str_t device;              /* kf_window_part_device */
    kf_str_t request_id;          /* source_request_id; n == 0: none */
    const kf_str_t *event_ids;    /* source_message_id, by event of the part; n == 0: none */
    uint32_t event_count;         /* of event_ids */
    int64_t received_us;          /* wall clock */
} kf_window_filing_t;

/**
 * Whether the part, or which of its events, its window has already; what is twice in the part itself is
 * a repeat too. To be followed by put for the same filing, unless nothing is to be put.
 * @param[out] repeated  event_count flags
 * @return false if the whole part is a repeat (its request id) and is not to be put, and after an
 *         error, which the commit will tell
 */
bool kf_windows_look(kf_windows_t *windows, const kf_window_filing_t *filing, bool *repeated);

/**
 * Files a part into the window that look found, or opens one, and applies what it says of sessions.
 * @param text      what the window keeps: the part without the repeated events
 * @param repeated  as look left it
 * @param events    events in the text
 */
void kf_windows_put(kf_windows_t *windows, const kf_window_filing_t *filing, kf_str_t text,
                    const bool *repeated, uint32_t events);

typedef struct {
    int64_t id;
    uint16_t connection;
    kf_window_kind_t kind;
    bool sealed;
    char message_id[KF_WINDOW_MESSAGE_ID_BYTES + 1];
    int64_t opened_us, last_us;
    int64_t due_us; /* 0: sealed */
    uint64_t bytes; /* of the texts */
    uint32_t uploads, events;
    int64_t last_upload; /* the windows' own, as is pieces */
    uint32_t pieces;
} kf_window_t;

/**
 * Says that windows of the connection that are due by until_us take no more: what comes for them opens
 * others. In force once committed; only what was due by then may be closed after that. Within a
 * transaction.
 */
void kf_windows_seal_until(kf_windows_t *windows, uint16_t connection, int64_t until_us);
/** What was said last; 0: nothing. Within a transaction. */
int64_t kf_windows_sealed_until(kf_windows_t *windows, uint16_t connection);

/**
 * Windows of a connection to be closed at a time, the longest due first, sealed ones before all.
 * Within a transaction.
 * @param[out] out  room for max
 * @return how many
 */
uint32_t kf_windows_due(kf_windows_t *windows, uint16_t connection, int64_t now_us,
                        kf_window_t *out, uint32_t max);

/**
 * The window of a connection that kf_windows_due would give first, where more than so many are due. Not
 * within a transaction.
 * @return its id; 0 if they are fewer, and after an error
 */
int64_t kf_windows_next(kf_windows_t *windows, uint16_t connection, int64_t now_us,
                        uint32_t more_than);

/**
 * A window's uploads in the order in which they came (received_us), those of one moment as they were filed.
 * Within a transaction.
 * @param[out] texts  appended, one after the other
 * @param[out] ends   of each: where it ends in texts; room for window->uploads
 * @return how many there are: window->uploads, or 0 after an error or want of memory (texts->failed)
 */
uint32_t kf_windows_read(kf_windows_t *windows, const kf_window_t *window, kf_buf_t *texts,
                         size_t *ends);

/** Removes windows that due gave in the same transaction. */
void kf_windows_remove(kf_windows_t *windows, const kf_window_t *list, uint32_t n);

/**
 * Seals the oldest open windows of a connection until the others hold no more than max_bytes (as totals
 * count). Within a transaction; n bounds what one call does.
 * @return how many it sealed
 */
uint32_t kf_windows_shed(kf_windows_t *windows, uint16_t connection, uint64_t max_bytes,
                         uint32_t n);

typedef struct {
    const char *name;    /* of the connection; good during the call */
    int connection;      /* -1: not configured any more; its windows stay */
    uint64_t windows;    /* not removed yet, */
    uint64_t sealed;     /* of them, sealed ones */
    uint64_t uploads;    /* in all of them */
    uint64_t bytes;      /* of all, KF_WINDOW_EXTRA and KF_WINDOW_UPLOAD_EXTRA included, */
    uint64_t open_bytes; /* of those not sealed */
    int64_t oldest_us;   /* opening of the oldest not sealed; 0: none */
} kf_window_totals_t;
typedef void kf_window_totals_fn(void *context, const kf_window_totals_t *totals);

/** Totals of each connection that has or had windows. Cheap; not within a transaction. */
kf_index_result_t kf_windows_totals(kf_windows_t *windows, kf_window_totals_fn *fn, void *context);

#endif
