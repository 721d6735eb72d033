/* SPDX-License-Identifier: Apache-2.0
 *
 * What was posted: body bytes to validated items (event batches and audience messages), the checks of
 * the design's section 4 and nothing else: structure, names twice, depth, encoding, mParticle's
 * PutRecord wrapper taken off. Knows no connection and no HTTP. Pure; any thread, one post at a time.
 */
#ifndef KF_POST_H
#define KF_POST_H

#include "events/kf_json.h"

typedef enum { KF_ITEM_BATCH, KF_ITEM_AUDIENCE } kf_item_kind_t;

/* Batch-level members that are looked at; found once, while validating. */
typedef enum {
#define KF_BATCH_MEMBER(id, name) KF_B_##id,
#include "events/kf_batch_members.def"
#undef KF_BATCH_MEMBER
    KF_B_COUNT
} kf_batch_member_t;

_Static_assert(KF_B_COUNT < 32, "sets of members are bit masks");

typedef struct {
    kf_item_kind_t kind;
    const kf_json_t *json;       /* the text it stands in: the body, or a decoded wrapper's */
    uint32_t node;               /* the object */
    uint32_t known;              /* which of member[] are not 0: bit 1 << kf_batch_member_t */
    uint32_t member[KF_B_COUNT]; /* value node of each known member, 0 if absent (BATCH) */
    uint32_t event_count;        /* elements of events (BATCH) */
} kf_item_t;

/* Why a post is refused. */
typedef struct {
    bool out_of_memory; /* then it's no fault of the sender: 503 */
    char message[240];  /* what and where; quotes none of the body */
} kf_fault_t;

typedef struct kf_post_t kf_post_t;

/**
 * Scans and validates a body. Batch, array of batches, audience message, mixed arrays; wrappers are
 * taken off.
 * @param body  must stay as it is until kf_post_free
 * @return the post, to be freed; NULL with *fault set when it is refused
 * @bounds time linear in n times a constant even for hostile input (names twice are found by sorting
 *         or hashing with bounded cost); memory linear in n; no recursion
 */
kf_post_t *kf_post_parse(const char *body, size_t n, kf_fault_t *fault);
void kf_post_free(kf_post_t *post);

uint32_t kf_post_count(const kf_post_t *post);

/**
 * An item of the post. What is kept of each of several is small, and is spread out for the caller.
 * @return valid until the next call for this post
 */
const kf_item_t *kf_post_item(const kf_post_t *post, uint32_t i);

#endif
