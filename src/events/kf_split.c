/* SPDX-License-Identifier: Apache-2.0
 *
 * Records out of written text. Splitting keeps the envelope at the head of the writer's buffer and
 * the events of the open part behind it.
 */
#include "events/kf_split.h"

#include "base/kf_clock.h"
#include "events/kf_message_id.h"

/* A run of events that will be one record. */
typedef struct {
    kf_marks_t marks;
    size_t envelope; /* its bytes */
    size_t start;    /* of the open part */
    uint32_t events; /* in it */
    uint32_t made;   /* records so far */
} parts_t;

/* Whether a record of so many bytes may still be made. */
static bool fits(kf_split_t *s, size_t total)
{
    if (s->out->max_bytes &&
        (s->out->bytes > s->out->max_bytes || total > s->out->max_bytes - s->out->bytes)) {
        s->out->over = true;
    }
    return !s->out->over;
}

static uint16_t capped(uint32_t events)
{
    return events < UINT16_MAX ? (uint16_t)events : UINT16_MAX;
}

static kf_record_t *new_record(kf_split_t *s, size_t data, kf_record_kind_t kind, uint32_t events)
{
    kf_str_t key = kf_partition_key_next(&s->key);
    size_t total = kf_split_record_bytes(s, data);
    size_t bytes = total - key.n;
    if (s->w.failed || bytes > UINT32_MAX || !fits(s, total)) {
        return NULL;
    }
    kf_record_t *r = kf_record_new(s->filter->connection, (uint16_t)key.n, (uint32_t)bytes);
    if (r) {
        memcpy(r->bytes, key.p, key.n);
        r->accepted_us = s->received_us;
        r->kind = (uint8_t)kind;
        r->events = capped(events);
        r->too_large = total > s->filter->limit;
        if (s->filter->newline) {
            r->bytes[total - 1] = '\n';
        }
    }
    return r;
}

static void add_record(kf_split_t *s, kf_record_t *r, uint32_t events)
{
    kf_record_list_add(s->out, r);
    s->stats->records++;
    s->stats->events += events;
}

bool kf_split_upload(kf_split_t *s, kf_str_t note)
{
    if (s->w.failed || s->w.n > UINT32_MAX || !fits(s, KF_MESSAGE_ID_BYTES + s->w.n)) {
        return false;
    }
    kf_record_t *r = kf_record_new_noted(s->filter->connection, KF_MESSAGE_ID_BYTES,
                                         (uint32_t)s->w.n, (uint32_t)note.n);
    if (!r) {
        return false;
    }
    kf_uuid4(r->bytes);
    memcpy(r->bytes + KF_MESSAGE_ID_BYTES, s->w.p, s->w.n);
    if (note.n > 0) {
        memcpy(r->bytes + KF_MESSAGE_ID_BYTES + s->w.n, note.p, note.n);
    }
    r->accepted_us = s->received_us;
    r->kind = KF_RECORD_WINDOW;
    r->events = capped(s->item->event_count);
    kf_record_list_add(s->out, r);
    return true;
}

bool kf_split_one(kf_split_t *s, kf_str_t text, kf_record_kind_t kind, uint32_t events)
{
    kf_record_t *r = new_record(s, text.n, kind, events);
    if (!r) {
        return false;
    }
    memcpy(r->bytes + r->key_bytes, text.p, text.n);
    add_record(s, r, events);
    return true;
}

static void write_id(kf_split_t *s, const parts_t *parts)
{
    char *to = s->w.p + parts->marks.id_at;
    if (s->message_id.n > 0) {
        kf_message_id_derive(s->message_id, parts->made, to);
    } else {
        kf_uuid4(to);
    }
}

/* A record of the open part up to an offset; the next part opens at `next`. */
static bool close_part(kf_split_t *s, parts_t *parts, size_t end, size_t next)
{
    size_t head = parts->marks.hole, tail = parts->envelope - head, body = end - parts->start;
    if (parts->marks.id_at && !s->w.failed) {
        write_id(s, parts);
    }
    kf_record_t *r = new_record(s, parts->envelope + body, KF_RECORD_EVENTS, parts->events);
    if (!r) {
        return false;
    }
    char *p = r->bytes + r->key_bytes;
    memcpy(p, s->w.p, head);
    memcpy(p + head, s->w.p + parts->start, body);
    memcpy(p + head + body, s->w.p + head, tail);
    add_record(s, r, parts->events);
    parts->made++;
    parts->start = next;
    parts->events = 0;
    return true;
}

/* Whether the event that was just written must not join the open part. */
static bool is_full(const kf_split_t *s, const parts_t *parts, bool single, bool last)
{
    size_t data = parts->envelope + (s->w.n - parts->start);
    return parts->events > 0 && (single || (last && parts->made == 0) ||
                                 kf_split_record_bytes(s, data) > s->filter->limit);
}

static bool add_event(kf_split_t *s, parts_t *parts, uint32_t event, bool single, bool last)
{
    size_t end = s->w.n;
    if (parts->events > 0) {
        kf_writer_put(&s->w, ",", 1);
    }
    size_t start = s->w.n;
    kf_envelope_event(s->filter, &s->w, event);
    if (is_full(s, parts, single, last) && !close_part(s, parts, end, start)) {
        return false;
    }
    parts->events++;
    return !s->w.failed;
}

static uint32_t count_kept(const kf_split_t *s, uint32_t events)
{
    const kf_json_t *json = s->item->json;
    uint32_t n = 0, end = json->v[events].next;
    for (uint32_t e = kf_json_first(json, events); e < end; e = json->v[e].next) {
        n += kf_plan_keeps_event(s->filter, json, e);
    }
    return n;
}

bool kf_split_events(kf_split_t *s, bool single)
{
    const kf_json_t *json = s->item->json;
    uint32_t events = s->item->member[KF_B_events], left = count_kept(s, events);
    parts_t parts = {.events = 0};
    s->w.n = 0;
    kf_envelope_empty(s->filter, s->item, s->received_us, &s->w, &parts.marks);
    parts.envelope = parts.start = s->w.n;
    uint32_t end = json->v[events].next;
    for (uint32_t e = kf_json_first(json, events); e < end; e = json->v[e].next) {
        if (kf_plan_keeps_event(s->filter, json, e) &&
            !add_event(s, &parts, e, single, --left == 0)) {
            return false;
        }
    }
    return close_part(s, &parts, s->w.n, s->w.n);
}
