/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a JSON text anew from its index: copies spans, leaves parts out, puts parts in, and keeps
 * the commas right. Knows nothing of batches. Pure; any thread, a writer at a time.
 */
#ifndef KF_WRITER_H
#define KF_WRITER_H

#include "events/kf_json.h"

/* Enough for all but unusual batches, so that writing allocates nothing. */
#define KF_WRITER_FIRST 8192

typedef struct {
    const kf_json_t *json;
    char *p;
    size_t n, cap;
    uint32_t pos;  /* source bytes before it have been copied or left out */
    bool one_line; /* line breaks between tokens are dropped */
    bool failed;   /* out of memory; all later calls do nothing */
    char first[KF_WRITER_FIRST];
} kf_writer_t;

void kf_writer_init(kf_writer_t *w, const kf_json_t *json, bool one_line);
void kf_writer_free(kf_writer_t *w);

/** Goes on at a source offset: what lies before it is neither copied nor looked at. */
static inline void kf_writer_from(kf_writer_t *w, uint32_t offset)
{
    w->pos = offset;
}

/** What has been written; valid until the next change. */
static inline kf_str_t kf_writer_text(const kf_writer_t *w)
{
    return (kf_str_t){w->p, w->n};
}

/** Copies the source up to an offset (nothing when it is already passed). */
void kf_writer_to(kf_writer_t *w, uint32_t offset);

/** Writes bytes of the caller's own, which hold no line break. */
void kf_writer_put(kf_writer_t *w, const void *bytes, size_t n);
void kf_writer_put_str(kf_writer_t *w, kf_str_t s);

/** Writes a value's token, from wherever it stands. */
void kf_writer_put_token(kf_writer_t *w, uint32_t node);

/** Copies up to a value and leaves the value itself out, for something else in its place. */
void kf_writer_replace(kf_writer_t *w, uint32_t node);

/*
 * Cutting members of an object, or elements of an array, in their order:
 *     uint32_t lead = kf_json_first(json, container);
 *     kf_writer_cut_member(w, container, key, &lead);
 * `lead` tells the commas' place: it is the first node that was not cut so long as all before were.
 * When it reaches the container's next nothing is left in it.
 */
void kf_writer_cut_member(kf_writer_t *w, uint32_t object, uint32_t key, uint32_t *lead);
void kf_writer_cut_element(kf_writer_t *w, uint32_t array, uint32_t element, uint32_t *lead);

/** The offset after the last byte that is not white space before a container's closing bracket. */
uint32_t kf_writer_inner_end(const kf_json_t *json, uint32_t container);

#endif
