/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks of one posted object: what kind it is, its structure, names twice. Knows neither bulk
 * arrays nor wrappers' texts. Pure; any thread.
 */
#ifndef KF_VALIDATE_H
#define KF_VALIDATE_H

#include "events/kf_names.h"
#include "events/kf_post.h"

/* What an object is, by its members. */
typedef enum {
    KF_SHAPE_BATCH,
    KF_SHAPE_AUDIENCE,
    KF_SHAPE_WRAPPER, /* has Record and nothing that a batch or an audience message has */
    KF_SHAPE_NATIVE,  /* mParticle's native SDK format */
    KF_SHAPE_OTHER
} kf_shape_t;

/* Where a check is, for the message; -1: not inside one. */
typedef struct {
    int64_t batch, event, breadcrumb, identity;
    bool decoded; /* offsets count in a decoded Record.Data */
    size_t base;  /* where that begins in its text */
} kf_place_t;

typedef struct {
    kf_names_t names;
    kf_place_t place;
    kf_fault_t *fault;
    bool unsure; /* the object whose shape was told last may have a name twice */
} kf_validator_t;

/**
 * Finds the members that are looked at and tells the shape.
 * @param[in,out] item  zero-initialised or of another object; all but event_count is set
 */
kf_shape_t kf_validate_shape(kf_validator_t *v, const kf_json_t *json, uint32_t object,
                             kf_item_t *item);

/**
 * Checks a batch or an audience message, the one whose shape was told last.
 * @return false with the fault set; on success event_count is set
 */
bool kf_validate_item(kf_validator_t *v, kf_item_t *item);

/** Sets the fault: place, what, byte offset in the text. @return false */
bool kf_validate_fail(kf_validator_t *v, const char *what, size_t offset);

/** Sets the fault of a lack of memory. @return false */
bool kf_validate_no_memory(kf_validator_t *v);

#endif
