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
    /* A table of key nodes; 0: free, for node 0 is never a key. Bits that no node needs hold some of the
     * name's hash, so that what stands in a name's way need hardly ever be fetched. */
    uint32_t *keys;
    uint32_t cap;
    uint32_t hash_key; /* 0: not drawn yet */
    char shorter[32];  /* a name unescaped, if it is no longer than this */
    kf_buf_t plain;    /* one that is */
    bool plain_ready;
    bool failed; /* out of memory */
} kf_names_t;

/**
 * Looks for a name that the object has more than once.
 * @return the key node of a repetition, 0 if there is none or names->failed is set
 * @bounds linear in the object's bytes: names that a cheap look can't tell apart, or more than 32, go
 *         through a table under a hash whose key the sender does not know
 */
uint32_t kf_names_repeated_of(kf_names_t *names, const kf_json_t *json, uint32_t object);

/** The same; tells at once that an object of less than two members has none. */
static inline uint32_t kf_names_repeated(kf_names_t *names, const kf_json_t *json, uint32_t object)
{
    uint32_t end = json->v[object].next, key = kf_json_first(json, object);
    return key == end || json->v[key + 1].next == end ? 0
                                                      : kf_names_repeated_of(names, json, object);
}

void kf_names_free(kf_names_t *names);

#endif
