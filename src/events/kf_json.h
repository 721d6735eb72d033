/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner: one pass over the bytes, into a flat index of spans. RFC 8259 to the letter,
 * UTF-8 validated, lone surrogates refused, depth bounded, no byte order mark, no bytes after the
 * value. Copies and converts nothing. Knows nothing of batches. Pure; any thread.
 */
#ifndef KF_JSON_H
#define KF_JSON_H

#include <stdint.h>
#include "base/kf_buf.h"
#include "base/kf_str.h"

typedef enum {
    KF_JSON_NULL,
    KF_JSON_FALSE,
    KF_JSON_TRUE,
    KF_JSON_NUMBER,
    KF_JSON_STRING,
    KF_JSON_OBJECT,
    KF_JSON_ARRAY
} kf_json_type_t;

/*
 * A value, or the key of a member (a STRING whose value is the node after it). Nodes stand in the
 * order of their first byte; a container's first child is the node after it.
 */
typedef struct {
    uint32_t start;    /* offset of the token's first byte: quote, bracket, digit, letter */
    uint32_t end;      /* offset after its last byte */
    uint32_t next;     /* index of the first node after this value and all inside it */
    uint8_t type;      /* kf_json_type_t */
    uint8_t escaped;   /* STRING: holds a backslash */
    uint8_t unused[2]; /* may hold anything */
} kf_json_node_t;

/* The index of one text. Zero-initialise; reusable for another text; free with kf_json_free. */
typedef struct {
    const char *text; /* the caller's; must outlive the index's use */
    kf_json_node_t *v;
    uint32_t n, cap;
} kf_json_t;

typedef enum {
    KF_JSON_OK,
    KF_JSON_SYNTAX, /* not RFC 8259, invalid UTF-8, lone surrogate, byte order mark, trailing bytes */
    KF_JSON_DEPTH, /* more open brackets at once than max_depth */
    KF_JSON_EMPTY, /* nothing but white space */
    KF_JSON_MEMORY /* out of memory, or a text of 4 GiB or more */
} kf_json_result_t;

typedef struct {
    kf_json_result_t result;
    size_t offset;    /* where it went wrong, bytes from the start */
    const char *what; /* constant text, e.g. "invalid UTF-8", "a value was expected" */
} kf_json_error_t;

/**
 * Scans text[0..n). Node 0 is the value.
 * @param max_depth  brackets that may be open at once
 * @return true and a complete index; false and *error, with the index unusable but freeable
 * @bounds time linear in n; memory 16 bytes a node, with room for a node for each 8 bytes of text at
 *         first, then grown by doubling; no recursion
 */
bool kf_json_scan(kf_json_t *json, const char *text, size_t n, int max_depth,
                  kf_json_error_t *error);

/**
 * Scans text[from..end) as one value more of an index that holds several of one text: its nodes follow
 * those that are there, so the value's is json->n before the call.
 * @param json  zero-initialised, or holding values of the same text before `from`
 * @return as kf_json_scan; offsets in nodes and *error count from the text's beginning
 */
bool kf_json_scan_more(kf_json_t *json, const char *text, size_t from, size_t end, int max_depth,
                       kf_json_error_t *error);

/** Frees the index (not the text). */
void kf_json_free(kf_json_t *json);

/** The token's bytes, quotes and brackets included. */
static inline kf_str_t kf_json_token(const kf_json_t *json, uint32_t node)
{
    const kf_json_node_t *d = &json->v[node];
    return (kf_str_t){json->text + d->start, d->end - d->start};
}

/** The raw bytes between the quotes of a STRING. */
static inline kf_str_t kf_json_inner(const kf_json_t *json, uint32_t node)
{
    const kf_json_node_t *d = &json->v[node];
    return (kf_str_t){json->text + d->start + 1, d->end - d->start - 2};
}

/** Whether a STRING that holds escapes equals s, unescaped. */
bool kf_json_escaped_is(const kf_json_t *json, uint32_t node, kf_str_t s);

/** Whether the STRING, unescaped, equals s. Allocates nothing. */
static inline bool kf_json_string_is(const kf_json_t *json, uint32_t node, kf_str_t s)
{
    const kf_json_node_t *d = &json->v[node];
    if (d->escaped)
        return kf_json_escaped_is(json, node, s);
    return kf_str_eq(kf_json_inner(json, node), s);
}

/** Whether two STRINGs are equal unescaped. Allocates nothing. */
bool kf_json_strings_equal(const kf_json_t *json, uint32_t a, uint32_t b);

/** Appends the STRING unescaped (UTF-8, may hold NUL). */
void kf_json_unescape(const kf_json_t *json, uint32_t node, kf_buf_t *out);

/** As kf_json_short_string, of a STRING that holds escapes: out is in the buffer. */
bool kf_json_short_escaped(const kf_json_t *json, uint32_t node, char *buffer, size_t size,
                           kf_str_t *out);

/**
 * A STRING unescaped, for comparing it with names that are known.
 * @param buffer  used if it holds escapes
 * @param[out] out  in the text or in the buffer
 * @return false when it holds escapes and is longer than size
 */
static inline bool kf_json_short_string(const kf_json_t *json, uint32_t node, char *buffer,
                                        size_t size, kf_str_t *out)
{
    if (json->v[node].escaped)
        return kf_json_short_escaped(json, node, buffer, size, out);
    *out = kf_json_inner(json, node);
    return true;
}

/**
 * The value node of the first member of that name (compared unescaped).
 * @param object  an OBJECT's node
 * @return 0 if there is none (node 0 is never a member's value)
 */
uint32_t kf_json_member(const kf_json_t *json, uint32_t object, kf_str_t name);

/*
 * Iterating members:   for (k = kf_json_first(j, o); k < j->v[o].next; k = j->v[k + 1].next)
 *                          key is k, value is k + 1
 * Iterating elements:  for (e = kf_json_first(j, a); e < j->v[a].next; e = j->v[e].next)
 */
static inline uint32_t kf_json_first(const kf_json_t *json, uint32_t container)
{
    (void)json;
    return container + 1;
}

#endif
