/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of events.
 */
#include "events/kf_merge_events.h"

#include <stdlib.h>
#include "events/kf_event_fields.h"
#include "events/kf_scalar.h"

static bool grow(kf_merge_events_t *events)
{
    uint32_t cap = events->cap ? events->cap * 2 : 64;
    kf_merge_event_t *v = cap > events->cap ? realloc(events->v, cap * sizeof(*v)) : NULL;
    if (v) {
        events->v = v;
        events->cap = cap;
    }
    return v != NULL;
}

/* Whether the event is to be in the list. @return false as well when out of memory, with *failed */
static bool is_new(kf_merge_events_t *events, const kf_json_t *json,
                   const kf_event_fields_t *fields, bool *failed)
{
    kf_str_t id;
    uint32_t node = fields->node[KF_F_source_message_id];
    if (!kf_scalar_text(json, node, events->scratch, &id)) {
        *failed = events->scratch->failed;
        return !*failed;
    }
    uint32_t *seen = kf_text_map_enter(&events->ids, json, node, id);
    *failed = seen == NULL;
    if (!seen || *seen != KF_TEXT_MAP_NEW) {
        return false;
    }
    *seen = 0;
    return true;
}

bool kf_merge_events_add(kf_merge_events_t *events, const kf_json_t *json, uint32_t array)
{
    uint32_t end = json->v[array].next;
    for (uint32_t e = kf_json_first(json, array); e < end; e = json->v[e].next) {
        kf_event_fields_t fields;
        bool failed;
        kf_event_fields(json, e, &fields);
        if (!is_new(events, json, &fields, &failed)) {
            if (failed) {
                return false;
            }
            continue;
        }
        int64_t time_us =
            kf_scalar_time_us(json, fields.node[KF_F_timestamp_unixtime_ms], events->scratch);
        if (events->scratch->failed || (events->n == events->cap && !grow(events))) {
            return false;
        }
        events->untimed |= time_us == 0;
        events->v[events->n++] = (kf_merge_event_t){json, e, time_us};
    }
    return true;
}

static bool is_sorted(const kf_merge_events_t *events)
{
    for (uint32_t i = 1; i < events->n; i++) {
        if (events->v[i].time_us < events->v[i - 1].time_us) {
            return false;
        }
    }
    return true;
}

/* Merges two sorted neighbours, from[a..b) and from[b..end), into to[a..end). */
static void merge_runs(const kf_merge_event_t *from, kf_merge_event_t *to, size_t a, size_t b,
                       size_t end)
{
    size_t left = a, right = b;
    for (size_t i = a; i < end; i++) {
        bool second = left == b || (right < end && from[right].time_us < from[left].time_us);
        to[i] = from[second ? right++ : left++];
    }
}

bool kf_merge_events_sort(kf_merge_events_t *events)
{
    size_t n = events->n;
    if (events->untimed || is_sorted(events)) {
        return true;
    }
    kf_merge_event_t *from = events->v, *to = malloc(n * sizeof(*to));
    if (!to) {
        return false;
    }
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t a = 0; a < n; a += 2 * run) {
            size_t b = a + run < n ? a + run : n;
            merge_runs(from, to, a, b, b + run < n ? b + run : n);
        }
        kf_merge_event_t *swap = from;
        from = to;
        to = swap;
    }
    free(to);
    events->v = from;
    events->cap = (uint32_t)n;
    return true;
}

void kf_merge_events_put(const kf_merge_events_t *events, kf_buf_t *out)
{
    kf_buf_putc(out, '[');
    for (uint32_t i = 0; i < events->n; i++) {
        if (i > 0) {
            kf_buf_putc(out, ',');
        }
        kf_buf_put_str(out, kf_json_token(events->v[i].json, events->v[i].node));
    }
    kf_buf_putc(out, ']');
}

void kf_merge_events_free(kf_merge_events_t *events)
{
    free(events->v);
    kf_text_map_free(&events->ids);
    events->v = NULL;
    events->n = events->cap = 0;
}
