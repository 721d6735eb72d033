/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing byte buffer with an upper bound and a sticky error, so that writers need not look
 * at every append: they look once, at the end. Knows no format. Any thread, one at a time.
 */
#ifndef KF_BUF_H
#define KF_BUF_H

#include <stdarg.h>
#include "base/kf_str.h"

typedef struct {
    char *p;
    size_t n;    /* bytes in use */
    size_t cap;  /* bytes allocated */
    size_t max;  /* never grows beyond */
    bool failed; /* out of memory or beyond max; all later appends do nothing */
} kf_buf_t;

/** An empty buffer that may grow to max bytes. Allocates nothing. */
void kf_buf_init(kf_buf_t *b, size_t max);

/** Gives the memory back; the buffer is as after kf_buf_init with the same max. */
void kf_buf_free(kf_buf_t *b);

/** Forgets contents and error, keeps the memory. */
void kf_buf_clear(kf_buf_t *b);

/** Room for n more bytes. @return where to write them (then add to b->n), or NULL when failed */
char *kf_buf_room(kf_buf_t *b, size_t n);

/** Appends; on failure sets b->failed and leaves the contents as they were. */
void kf_buf_put(kf_buf_t *b, const void *bytes, size_t n);
void kf_buf_put_str(kf_buf_t *b, kf_str_t s);
void kf_buf_putc(kf_buf_t *b, char c);
void kf_buf_printf(kf_buf_t *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Appends decimal digits of v. */
void kf_buf_put_i64(kf_buf_t *b, long long v);

/** Appends s as a JSON string token, quotes included. s must be valid UTF-8. */
void kf_buf_put_json(kf_buf_t *b, kf_str_t s);

/** Appends base64 (standard alphabet, padded) of n bytes. */
void kf_buf_put_base64(kf_buf_t *b, const void *bytes, size_t n);

/**
 * Appends the bytes that a base64 text stands for (standard alphabet; padding required when the
 * length calls for it; no line breaks).
 * @return false if the text is no base64; the buffer then holds what it held before
 */
bool kf_buf_put_unbase64(kf_buf_t *b, kf_str_t text);

/** The contents as a view; valid until the next change of the buffer. */
static inline kf_str_t kf_buf_str(const kf_buf_t *b)
{
    return (kf_str_t){b->p, b->n};
}

#endif
