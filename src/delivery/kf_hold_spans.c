/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans of time. Any thread, one at a time.
 */
#include "delivery/kf_hold_spans.h"

#include <string.h>

static int64_t earlier_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void remove_at(kf_hold_spans_t *spans, int at)
{
    spans->count--;
    memmove(&spans->span[at], &spans->span[at + 1],
            (size_t)(spans->count - at) * sizeof(spans->span[0]));
}

/* Joins the two with the least time between them. */
static void join_nearest(kf_hold_spans_t *spans)
{
    int best = 1;

    for (int i = 2; i < spans->count; i++) {
        if (spans->span[i].begin_us - spans->span[i - 1].end_us <
            spans->span[best].begin_us - spans->span[best - 1].end_us) {
            best = i;
        }
    }
    spans->span[best - 1].end_us = spans->span[best].end_us;
    remove_at(spans, best);
}

void kf_hold_spans_add(kf_hold_spans_t *spans, int64_t begin_us, int64_t end_us)
{
    int at = 0;

    if (begin_us >= end_us) {
        return;
    }
    for (int i = spans->count - 1; i >= 0; i--) {
        kf_span_t *s = &spans->span[i];
        if (s->end_us >= begin_us && s->begin_us <= end_us) {
            begin_us = earlier_of(begin_us, s->begin_us);
            end_us = later_of(end_us, s->end_us);
            remove_at(spans, i);
        }
    }
    if (spans->count == KF_HOLD_SPANS_MAX) {
        join_nearest(spans);
    }
    while (at < spans->count && spans->span[at].end_us < begin_us) {
        at++;
    }
    if (at < spans->count && spans->span[at].begin_us <= end_us) {
        /* Within what was just joined. */
        spans->span[at].begin_us = earlier_of(begin_us, spans->span[at].begin_us);
        spans->span[at].end_us = later_of(end_us, spans->span[at].end_us);
        return;
    }
    memmove(&spans->span[at + 1], &spans->span[at],
            (size_t)(spans->count - at) * sizeof(spans->span[0]));
    spans->span[at] = (kf_span_t){begin_us, end_us};
    spans->count++;
}

int64_t kf_hold_spans_within(const kf_hold_spans_t *spans, int64_t from_us, int64_t to_us)
{
    int64_t sum_us = 0;

    for (int i = spans->count - 1; i >= 0 && spans->span[i].end_us > from_us; i--) {
        int64_t begin_us = later_of(spans->span[i].begin_us, from_us);
        int64_t end_us = earlier_of(spans->span[i].end_us, to_us);
        sum_us += end_us > begin_us ? end_us - begin_us : 0;
    }
    return sum_us;
}

void kf_hold_spans_forget(kf_hold_spans_t *spans, int64_t now_us, int64_t max_age_us)
{
    int64_t after_us = now_us, free_us = 0;

    for (int i = spans->count - 1; i >= 0; i--) {
        int64_t gap_us = after_us - spans->span[i].end_us;
        free_us += gap_us > 0 ? gap_us : 0;
        if (free_us >= max_age_us) {
            for (int k = 0; k <= i; k++) {
                remove_at(spans, 0);
            }
            return;
        }
        after_us = spans->span[i].begin_us;
    }
}
