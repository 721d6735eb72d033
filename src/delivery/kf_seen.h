/* SPDX-License-Identifier: Apache-2.0
 *
 * Which ids of a part were seen before: the ids in a compact and exact form (a UUID takes 17 bytes),
 * and the search of one list in another. Knows neither windows nor where the lists are kept. Values
 * only; any thread.
 */
#ifndef KF_SEEN_H
#define KF_SEEN_H

#include <stdint.h>
#include "base/kf_buf.h"

/* Ids of requests and of events are different ones, whatever their text. */
typedef enum { KF_SEEN_REQUEST = 0, KF_SEEN_EVENT = 4 } kf_seen_of_t;

/** Appends an id's form to a list. */
void kf_seen_put(kf_buf_t *list, kf_seen_of_t of, kf_str_t id);

/**
 * Takes the next form off a list. @return false at its end, or where it is damaged
 */
bool kf_seen_next(kf_str_t *list, kf_str_t *form);

typedef struct {
    kf_str_t form;
    uint32_t at; /* of whom; UINT32_MAX: the request's */
} kf_seen_id_t;

/* The ids of one part, sorted, so that stored ones can be looked up. Zero-initialise. */
typedef struct {
    kf_buf_t forms;
    kf_seen_id_t *id;
    uint32_t n, cap;
} kf_seen_set_t;

/**
 * Fills the set anew.
 * @param repeated  one flag an event id: set where an earlier one is the same, else cleared
 * @return false when out of memory
 */
bool kf_seen_set(kf_seen_set_t *set, kf_str_t request, const kf_str_t *events, uint32_t n,
                 bool *repeated);

/** Marks what a stored list holds of the set. @return whether the request's id is in it */
bool kf_seen_mark(const kf_seen_set_t *set, kf_str_t list, bool *repeated);

void kf_seen_free(kf_seen_set_t *set);

#endif
