/* SPDX-License-Identifier: Apache-2.0
 *
 * The events of several uploads as one list: repeats left out, in the order of their times. Knows
 * no other members of batches. Pure but for the map's random key; any thread, a list at a time.
 */
#ifndef KF_MERGE_EVENTS_H
#define KF_MERGE_EVENTS_H

#include "events/kf_text_map.h"

typedef struct {
    const kf_json_t *json;
    uint32_t node;
    int64_t time_us; /* 0: it has none */
} kf_merge_event_t;

/* Zero-initialise, but for scratch; free with kf_merge_events_free. */
typedef struct {
    kf_merge_event_t *v;
    uint32_t n, cap;
    bool untimed;      /* one of them has no time */
    kf_text_map_t ids; /* of source_message_id */
    kf_buf_t *scratch; /* the caller's */
} kf_merge_events_t;

/**
 * Adds the elements of an array but those whose source_message_id was there before.
 * @return false when out of memory
 */
bool kf_merge_events_add(kf_merge_events_t *events, const kf_json_t *json, uint32_t array);

/**
 * Sorts them by time, those of one time as they are; does nothing unless all have one.
 * @return false when out of memory
 * @bounds n log n
 */
bool kf_merge_events_sort(kf_merge_events_t *events);

/** Appends them as an array. */
void kf_merge_events_put(const kf_merge_events_t *events, kf_buf_t *out);

void kf_merge_events_free(kf_merge_events_t *events);

#endif
