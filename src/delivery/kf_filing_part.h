/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of one upload: those that leave at once become records, the others go into their windows,
 * within a transaction of the caller's. Knows neither batches of uploads nor the engine. One thread.
 */
#ifndef KF_FILING_PART_H
#define KF_FILING_PART_H

#include "delivery/kf_keeper_config.h"
#include "events/kf_window_note.h"

/* What windows had already. */
typedef struct {
    uint64_t batches, events;
} kf_repeats_t;

/* Memory that is used again for each upload. */
typedef struct {
    const kf_keeper_config_t *config;
    kf_window_plan_t plan;
    kf_window_note_t note;
    kf_buf_t text, scratch, ids;
    kf_str_t *event_ids;
    bool *repeated;
    uint32_t event_cap;
    kf_repeats_t *repeats; /* by connection: of the transaction */
} kf_filing_part_t;

/** @return false when out of memory; to be freed all the same */
bool kf_filing_part_init(kf_filing_part_t *work, const kf_keeper_config_t *config);
void kf_filing_part_free(kf_filing_part_t *work);

/**
 * Whether the upload need not be parsed: it goes whole into one window, and its note says into which.
 */
bool kf_filing_is_noted(const kf_filing_part_t *work, const kf_record_t *upload);

typedef struct {
    bool leaves; /* has parts that leave at once */
    bool stays;  /* has parts for windows */
} kf_filing_shape_t;

/** What parts an upload has. @return false when out of memory */
bool kf_filing_shape(kf_filing_part_t *work, const kf_record_t *upload, const kf_item_t *item,
                     kf_filing_shape_t *shape);

/**
 * Makes the records of the parts that leave at once, the same ones each time.
 * @return false when out of memory, or when they would be more than KinesisQueueBytes (out->over)
 */
bool kf_filing_leave(kf_filing_part_t *work, const kf_record_t *upload, const kf_item_t *item,
                     kf_record_list_t *out, kf_filter_stats_t *stats);

/** A transaction ended: counts what was dropped in it, if it took place. */
void kf_filing_part_ended(kf_filing_part_t *work, bool took_place);

/**
 * Puts the others into their windows.
 * @param item  NULL: the upload is noted
 * @return false when out of memory: to be rolled back
 */
bool kf_filing_stay(kf_filing_part_t *work, const kf_record_t *upload, const kf_item_t *item);

#endif
