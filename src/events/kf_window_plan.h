/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan of one upload for a windowed connection: into which windows which of its events go, and
 * what it says of sessions (mParticle format reference, sections 3.4 and 6.4). Knows neither what
 * is in the windows nor when they close nor where they are kept. Pure; any thread, a plan at a
 * time.
 *
 * Decisions where the reference leaves a choice:
 * - What belongs to no session leaves at once under Wait for Complete Batch, for Send as Batch is
 *   ignored then: events without a session (opt_out is one), batches without events. So does
 *   everything of a batch without a device.
 * - Under Send as Batch a batch without events joins the window of its device and user: it carries
 *   attributes.
 * - A batch that names no environment is of production, as in mParticle's own reference.
 * - An upload of more sessions than the bounds below is not taken apart: it leaves at once.
 */
#ifndef KF_WINDOW_PLAN_H
#define KF_WINDOW_PLAN_H

#include "events/kf_post.h"
#include "events/kf_session.h"

/* The letters begin the keys: windows of both kinds never have one key. */
typedef enum {
    KF_WINDOW_BATCH = 'B',  /* Send as Batch, with a window */
    KF_WINDOW_SESSION = 'S' /* Wait for Complete Batch */
} kf_window_kind_t;

#define KF_WINDOW_KEY_MAX 512
/* Bounds of what one upload becomes: parts, and bytes of batch-level members in all of them. */
#define KF_WINDOW_PARTS_MAX 128
#define KF_WINDOW_REPEATED_BYTES_MAX (8u * 1024 * 1024)
#define KF_WINDOW_NONE UINT32_MAX

/* What is best known of a session's beginning; more says more. */
typedef enum {
    KF_BEGAN_UNKNOWN,
    KF_BEGAN_BY_EVENT, /* its earliest event here */
    KF_BEGAN_BY_FIELD, /* session_start_unixtime_ms */
    KF_BEGAN_BY_START  /* its session_start event */
} kf_began_t;

typedef struct {
    uint32_t node; /* in the item's index */
    uint32_t next; /* index of the part's next event, KF_WINDOW_NONE after the last */
    uint32_t part; /* index of its part */
    uint8_t type;  /* kf_event_type_t */
    uint8_t began; /* kf_began_t of the time below */
    int64_t time_us;
} kf_window_event_t;

typedef struct {
    uint32_t first, last; /* indexes of its events, KF_WINDOW_NONE if it has none */
    uint32_t event_count;
    bool at_once; /* goes into no window; the key says nothing */
    /* SESSION: the session's start, which ends older sessions of the device, and its end, for all
     * MPIDs, are among its events. */
    bool starts, ends;
    uint8_t began;    /* kf_began_t */
    int64_t began_us; /* 0: unknown; by the device's clock */
    kf_session_key_t session;
    size_t scope_bytes; /* SESSION: so much of key is the device and the session */
    size_t key_bytes;
    char key[KF_WINDOW_KEY_MAX];
} kf_window_part_t;

typedef struct {
    const kf_item_t *item;
    kf_window_part_t *parts; /* sessions as they first appear, what has none last; one at least */
    uint32_t part_count, part_cap;
    kf_window_event_t *events; /* all of the upload, in its order */
    uint32_t event_count, event_cap;
    size_t device_bytes; /* so much of each part's key is the device's; 0: there is none */
    bool unsplit;        /* too many sessions: one part, at once */
    kf_str_t request_id; /* source_request_id as text; n == 0: none that says something */
    char head[KF_WINDOW_KEY_MAX],
        tail[KF_WINDOW_KEY_MAX]; /* of the keys: before and after session */
    size_t head_bytes, tail_bytes;
    kf_buf_t scratch, request; /* memory, used again */
} kf_window_plan_t;

void kf_window_plan_init(kf_window_plan_t *plan);
void kf_window_plan_free(kf_window_plan_t *plan);

/**
 * Plans one upload.
 * @param plan  initialised; may have been used before
 * @param batch  a validated BATCH; must stay as long as the plan is used
 * @return false when out of memory; the plan can then only be used again or freed
 * @bounds time linear in the batch, times KF_WINDOW_PARTS_MAX for hostile ones; memory linear
 */
bool kf_window_plan(kf_window_plan_t *plan, const kf_item_t *batch, kf_window_kind_t kind);

/** The window of a part that is not at_once. */
static inline kf_str_t kf_window_part_key(const kf_window_part_t *part)
{
    return (kf_str_t){part->key, part->key_bytes};
}

/** What all windows of one session of one device have in common: for its end. */
static inline kf_str_t kf_window_part_scope(const kf_window_part_t *part)
{
    return (kf_str_t){part->key, part->scope_bytes};
}

/** What all windows of one device have in common: for a session's start. */
static inline kf_str_t kf_window_part_device(const kf_window_plan_t *plan,
                                             const kf_window_part_t *part)
{
    return (kf_str_t){part->key, plan->device_bytes};
}

/**
 * The source_message_id of one of the plan's events as text; a number and a string of it are the
 * same.
 * @param scratch  holds what had to be unescaped; failed when out of memory
 * @return false if it has none that says something (null, "", 0)
 */
bool kf_window_event_id(const kf_window_plan_t *plan, uint32_t event, kf_buf_t *scratch,
                        kf_str_t *id);

#endif
