/* SPDX-License-Identifier: Apache-2.0
 *
 * Notes: a head, the key, the request's id, the lengths of the events' ids, their texts.
 */
#include "events/kf_window_note.h"

typedef struct {
    int64_t began_us;
    uint32_t kind, event_count, request_bytes;
    uint16_t device_bytes, scope_bytes, key_bytes;
    uint8_t began;
    bool starts, ends;
} head_t;

_Static_assert(KF_WINDOW_KEY_MAX <= UINT16_MAX, "a key's length has room");

static void put_ids(const kf_window_plan_t *plan, kf_buf_t *note)
{
    size_t lengths = note->n, bytes = plan->event_count * sizeof(uint32_t);
    kf_buf_t scratch;

    if (!kf_buf_room(note, bytes)) {
        return;
    }
    note->n += bytes;
    kf_buf_init(&scratch, note->max);
    for (uint32_t i = 0; i < plan->event_count; i++) {
        kf_str_t id = KF_STR("");
        uint32_t n = 0;
        if (kf_window_event_id(plan, i, &scratch, &id)) {
            kf_buf_put_str(note, id);
            n = (uint32_t)id.n;
        }
        note->failed |= scratch.failed;
        memcpy(note->p + lengths + i * sizeof(n), &n, sizeof(n));
    }
    kf_buf_free(&scratch);
}

static void put_plan(const kf_window_plan_t *plan, kf_window_kind_t kind, kf_buf_t *note)
{
    const kf_window_part_t *part = &plan->parts[0];
    head_t head;

    memset(&head, 0, sizeof(head));
    head.began_us = part->began_us;
    head.kind = (uint32_t)kind;
    head.event_count = part->event_count;
    head.request_bytes = (uint32_t)plan->request_id.n;
    head.device_bytes = (uint16_t)plan->device_bytes;
    head.scope_bytes = (uint16_t)part->scope_bytes;
    head.key_bytes = (uint16_t)part->key_bytes;
    head.began = part->began;
    head.starts = part->starts;
    head.ends = part->ends;
    kf_buf_put(note, &head, sizeof(head));
    kf_buf_put_str(note, kf_window_part_key(part));
    kf_buf_put_str(note, plan->request_id);
    put_ids(plan, note);
}

void kf_window_note_put(const kf_item_t *batch, kf_window_kind_t kind, kf_buf_t *note)
{
    kf_window_plan_t plan;

    kf_window_plan_init(&plan);
    if (kf_window_plan(&plan, batch, kind) && plan.part_count == 1 && !plan.parts[0].at_once) {
        put_plan(&plan, kind, note);
    }
    kf_window_plan_free(&plan);
}

bool kf_window_note_is(kf_str_t note, kf_window_kind_t kind)
{
    head_t head;

    if (note.n < sizeof(head)) {
        return false;
    }
    memcpy(&head, note.p, sizeof(head));
    return head.kind == (uint32_t)kind;
}

void kf_window_note_read(kf_str_t note, kf_window_note_t *out)
{
    const char *at = note.p + sizeof(head_t);
    head_t head;

    memcpy(&head, note.p, sizeof(head));
    out->kind = (kf_window_kind_t)head.kind;
    memset(&out->part, 0, offsetof(kf_window_part_t, key));
    out->part.first = out->part.last = KF_WINDOW_NONE;
    out->part.event_count = head.event_count;
    out->part.starts = head.starts;
    out->part.ends = head.ends;
    out->part.began = head.began;
    out->part.began_us = head.began_us;
    out->part.scope_bytes = head.scope_bytes;
    out->part.key_bytes = head.key_bytes;
    memcpy(out->part.key, at, head.key_bytes);
    out->device = (kf_str_t){at, head.device_bytes};
    at += head.key_bytes;
    out->request_id = (kf_str_t){at, head.request_bytes};
    at += head.request_bytes;
    out->event_ids = (kf_str_t){at, (size_t)(note.p + note.n - at)};
}

void kf_window_note_ids(const kf_window_note_t *note, kf_str_t *ids)
{
    const char *length = note->event_ids.p;
    const char *at = length + note->part.event_count * sizeof(uint32_t);

    for (uint32_t i = 0; i < note->part.event_count; i++, length += sizeof(uint32_t)) {
        uint32_t n;
        memcpy(&n, length, sizeof(n));
        ids[i] = (kf_str_t){at, n};
        at += n;
    }
}
