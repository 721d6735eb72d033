/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether an object has a member name twice, compared unescaped, in bounded time for hostile input.
 * Knows nothing of what names mean. Pure but for a random key; any thread, a scratch at a time.
 */
#ifndef KF_NAMES_H
#define KF_NAMES_H

#include "events/kf_json.h"

/* Scratch, used again for each object of a post. Zero-initialise. */
typedef struct {
    struct kf_name_slot_t *slots;
    uint32_t cap;
    uint32_t base; /* of the keyed hash; 0: not drawn yet */
    kf_buf_t plain;
    bool plain_ready;
    bool failed; /* out of memory */
} kf_names_t;

/**
 * Looks for a name that the object has more than once.
 * @return the key node of a repetition, 0 if there is none or names->failed is set
 * @bounds linear in the object's members: up to 32 names are compared with each other in the worst
 *         case, more go through a table under a hash whose key the sender does not know
 */
uint32_t kf_names_repeated(kf_names_t *names, const kf_json_t *json, uint32_t object);

void kf_names_free(kf_names_t *names);

#endif
