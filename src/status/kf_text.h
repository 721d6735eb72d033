/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for pages: whatever came from outside made to show as text, and numbers as people read them.
 * Bytes that are no UTF-8 become U+FFFD; control characters become their pictures (U+2400 and up), and
 * characters that turn the direction of writing or break lines become "<U+202E>". Pure; any thread.
 */
#ifndef KF_TEXT_H
#define KF_TEXT_H

#include <stdint.h>
#include "base/kf_buf.h"
#include "delivery/kf_metrics_list.h"

typedef enum {
    KF_TEXT_PLAIN, /* one line of text */
    KF_TEXT_LINES, /* the same, line breaks and tabs stay */
    KF_TEXT_HTML,  /* between tags and in quoted attributes */
    KF_TEXT_JSON,  /* inside of a string, its quotes left out */
    KF_TEXT_LABEL  /* a label's value of Prometheus, its quotes left out */
} kf_text_kind_t;

/** Appends, made harmless for where it goes. */
void kf_text_put(kf_buf_t *out, kf_text_kind_t kind, kf_str_t text);

/** The same for a terminated string; NULL is an empty one. */
void kf_text_puts(kf_buf_t *out, kf_text_kind_t kind, const char *text);

/* Numbers: the script of the page has the same, and both are tested to agree. */

/** "0", "9999", "12.3k", "1.2M" */
void kf_text_count(kf_buf_t *out, double n);
/** "0 B", "1.2 KiB" */
void kf_text_bytes(kf_buf_t *out, double n);
/** "0.4 ms", "12 ms", "1.2 s", "3 min 12 s", "2 h 5 min", "3 d 4 h" */
void kf_text_duration(kf_buf_t *out, double us);
/** "2026-11-22T21:12:45Z", or "never" for 0 */
void kf_text_time(kf_buf_t *out, int64_t us);
/** By unit. AGE: a duration, a dash for 0. */
void kf_text_value(kf_buf_t *out, kf_unit_t unit, int64_t value);

/** A number in a rendering for machines: times in seconds, all others as they are. */
void kf_text_number(kf_buf_t *out, kf_unit_t unit, int64_t value);

#endif
