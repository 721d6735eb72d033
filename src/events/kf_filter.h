/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection's filters and record form, compiled once from its settings, applied to one item at a
 * time: anonymity test, events by type, removals, envelope, splitting, partition key. The order of
 * work is section 3.6 of the mParticle format reference. Copies spans: what nothing removes arrives
 * byte for byte. Knows no queue and no HTTP. Pure but for random ids; any thread; a compiled filter
 * is read-only.
 */
#ifndef KF_FILTER_H
#define KF_FILTER_H

#include <apr_pools.h>
#include "base/kf_settings.h"
#include "events/kf_event.h"
#include "events/kf_post.h"
#include "events/kf_record.h"
#include "events/kf_window_plan.h"

typedef struct kf_filter_t kf_filter_t;

/** Whether KinesisExcludeIdentities knows the name. */
bool kf_filter_knows_identity(kf_str_t name);

/**
 * Compiles finished settings (kf_settings_finish).
 * @param connection  index that the records will carry
 * @return the filter, in pool; settings are kept by reference. NULL when out of memory
 */
const kf_filter_t *kf_filter_compile(apr_pool_t *pool, const kf_settings_t *settings,
                                     uint16_t connection);

#define KF_WINDOW_KIND_NONE ((kf_window_kind_t)0)

/** Into what windows the connection's batches go; KF_WINDOW_KIND_NONE: into none. */
kf_window_kind_t kf_filter_window_kind(const kf_filter_t *filter);

/* Why something was not forwarded; counters, one a reason. */
typedef enum {
    KF_DROP_TYPE,      /* events: their type is switched off */
    KF_DROP_ANONYMOUS, /* items: Send Anonymous Users is off */
    KF_DROP_NO_EVENTS, /* items: arrived without events, Send Batches without Events is off */
    KF_DROP_EMPTIED,   /* items: no event was left by the filters */
    KF_DROP_COUNT
} kf_drop_t;

typedef struct {
    uint64_t dropped[KF_DROP_COUNT];
    uint32_t types[KF_E_COUNT]; /* KF_DROP_TYPE, by kf_event_type_t */
    uint64_t events;            /* events that went into records */
    uint64_t records;           /* records made */
} kf_filter_stats_t;

/**
 * Makes the records of one item: none, one, or several (single events, splitting).
 * A record that is too large by itself has too_large set. Of a windowed connection's batch it makes one
 * KF_RECORD_WINDOW, unfiltered: what filters leave out of it counts when its window closes.
 * @param received_us  wall clock of receipt: the batch's time where it has none, and accepted_us
 * @param[in,out] out  records are appended; on failure what was appended stays and the caller drops it
 * @param[in,out] stats  added to
 * @return false when out of memory, or when the records of one item would take out->bytes beyond
 *         out->max_bytes (out->over is set then): single events and splitting repeat the batch's
 *         other members in each record, so a small body can ask for large output
 */
bool kf_filter_apply(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                     kf_record_list_t *out, kf_filter_stats_t *stats);

/**
 * The same for what leaves its window, or never goes into one: always the records themselves.
 * @param message_id  a UUID for `outbound`: one record without a message_id gets this, and of several
 *                    the ids follow from it, the same ones each time. n == 0: ids are random.
 *                    `received` does not look at it
 */
bool kf_filter_close(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                     kf_str_t message_id, kf_record_list_t *out, kf_filter_stats_t *stats);

#endif
