/* SPDX-License-Identifier: Apache-2.0
 *
 * A map from texts to numbers in bounded time for hostile input: member names, ids of repeats.
 * Keeps no texts: an entry points to the value it came from. Knows nothing of what they mean. Pure
 * but for a random key; any thread, a map at a time.
 */
#ifndef KF_TEXT_MAP_H
#define KF_TEXT_MAP_H

#include "events/kf_json.h"

#define KF_TEXT_MAP_NEW UINT32_MAX

/* Zero-initialise; free with kf_text_map_free. */
typedef struct {
    struct kf_text_map_slot_t *slots;
    struct kf_text_map_entry_t *entries;
    uint32_t cap, n; /* slots; entries, at most half as many */
    uint32_t key;    /* of the hash; 0: not drawn yet */
} kf_text_map_t;

/**
 * The number of a text; enters the text as KF_TEXT_MAP_NEW where it is not yet there.
 * @param json,node  where the text stands, for comparisons: a STRING, or a value whose token it is;
 *                   must stay as long as the map is used
 * @param text  its plain text
 * @return where the number stands, valid until the next call; NULL when out of memory
 */
uint32_t *kf_text_map_enter(kf_text_map_t *map, const kf_json_t *json, uint32_t node,
                            kf_str_t text);

/** Makes room for n texts more. @return false when out of memory */
bool kf_text_map_reserve(kf_text_map_t *map, uint32_t n);

/** The number of a text, NULL if it is not there. */
uint32_t *kf_text_map_find(const kf_text_map_t *map, kf_str_t text);

void kf_text_map_free(kf_text_map_t *map);

#endif
