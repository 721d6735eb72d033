/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans of uploads.
 */
#include "events/kf_window_plan.h"

#include <stdlib.h>
#include "events/kf_device.h"
#include "events/kf_event.h"
#include "events/kf_scalar.h"

/* Longest parts of a key that go in as they are. Push tokens, the longest ids of devices in use,
 * have under 200 bytes. */
#define NAME_MAX_BYTES 64
#define DEVICE_MAX_BYTES 200
#define MPID_MAX_BYTES 64
#define ENVIRONMENT_MAX_BYTES 64

_Static_assert(1 + NAME_MAX_BYTES + DEVICE_MAX_BYTES + MPID_MAX_BYTES + ENVIRONMENT_MAX_BYTES +
                       4 * KF_WINDOW_KEY_PART_EXTRA + sizeof(((kf_session_key_t *)0)->bytes) <=
                   KF_WINDOW_KEY_MAX,
               "a key has room for all its parts");

void kf_window_plan_init(kf_window_plan_t *plan)
{
    memset(plan, 0, sizeof(*plan));
    kf_buf_init(&plan->scratch, UINT32_MAX);
    kf_buf_init(&plan->request, UINT32_MAX);
}

void kf_window_plan_free(kf_window_plan_t *plan)
{
    free(plan->parts);
    free(plan->events);
    kf_buf_free(&plan->scratch);
    kf_buf_free(&plan->request);
    kf_window_plan_init(plan);
}

/* Room for one more element. */
static bool grow(void **p, uint32_t *cap, uint32_t n, size_t size)
{
    if (n < *cap) {
        return true;
    }
    uint32_t more = *cap ? *cap * 2 : 4;
    void *grown = more > *cap ? realloc(*p, more * size) : NULL;
    if (!grown) {
        return false;
    }
    *p = grown;
    *cap = more;
    return true;
}

/* The keys' parts before and after the session. @return false when out of memory */
static bool prepare_keys(kf_window_plan_t *plan, kf_window_kind_t kind)
{
    const kf_item_t *item = plan->item;
    kf_device_t device;
    kf_str_t text;
    size_t n = 0;
    plan->device_bytes = 0;
    if (kf_device_find(item, &plan->scratch, &device)) {
        plan->head[n++] = (char)kind;
        n += kf_window_key_part(plan->head + n, device.name, NAME_MAX_BYTES);
        n += kf_window_key_part(plan->head + n, device.id, DEVICE_MAX_BYTES);
        plan->device_bytes = n;
    }
    plan->head_bytes = n;
    bool ok = !plan->scratch.failed;
    text = KF_STR("");
    kf_scalar_text(item->json, item->member[KF_B_mpid], &plan->scratch, &text);
    ok = ok && !plan->scratch.failed;
    n = kf_window_key_part(plan->tail, text, MPID_MAX_BYTES);
    text = KF_STR("production");
    kf_scalar_text(item->json, item->member[KF_B_environment], &plan->scratch, &text);
    ok = ok && !plan->scratch.failed;
    n += kf_window_key_part(plan->tail + n, text, ENVIRONMENT_MAX_BYTES);
    plan->tail_bytes = n;
    plan->request_id = KF_STR("");
    kf_scalar_text(item->json, item->member[KF_B_source_request_id], &plan->request,
                   &plan->request_id);
    return ok && !plan->request.failed;
}

static kf_window_part_t *add_part(kf_window_plan_t *plan, const kf_session_key_t *session)
{
    void *parts = plan->parts;
    if (!grow(&parts, &plan->part_cap, plan->part_count, sizeof(*plan->parts))) {
        return NULL;
    }
    plan->parts = parts;
    kf_window_part_t *part = &plan->parts[plan->part_count++];
    memset(part, 0, offsetof(kf_window_part_t, key));
    part->first = part->last = KF_WINDOW_NONE;
    part->session.n = session->n;
    memcpy(part->session.bytes, session->bytes, session->n);
    memcpy(part->key, plan->head, plan->head_bytes);
    memcpy(part->key + plan->head_bytes, session->bytes, session->n);
    part->scope_bytes = plan->head_bytes + session->n;
    memcpy(part->key + part->scope_bytes, plan->tail, plan->tail_bytes);
    part->key_bytes = part->scope_bytes + plan->tail_bytes;
    return part;
}

static bool list_events(kf_window_plan_t *plan)
{
    const kf_item_t *item = plan->item;
    if (item->event_count > plan->event_cap) {
        void *events = realloc(plan->events, item->event_count * sizeof(*plan->events));
        if (!events) {
            return false;
        }
        plan->events = events;
        plan->event_cap = item->event_count;
    }
    uint32_t events = item->member[KF_B_events];
    uint32_t e = events ? kf_json_first(item->json, events) : 0;
    for (uint32_t i = 0; i < item->event_count; i++, e = item->json->v[e].next) {
        plan->events[i] = (kf_window_event_t){.node = e,
                                              .next = KF_WINDOW_NONE,
                                              .part = KF_WINDOW_NONE,
                                              .type = (uint8_t)kf_event_type(item->json, e)};
    }
    plan->event_count = item->event_count;
    return true;
}

/* What an event tells of its session's beginning. */
static void read_beginning(kf_window_plan_t *plan, kf_window_event_t *event,
                           const kf_event_fields_t *fields)
{
    const kf_json_t *json = plan->item->json;
    uint32_t own = fields->node[KF_F_timestamp_unixtime_ms];
    uint32_t field = fields->node[KF_F_session_start_unixtime_ms];
    int64_t happened = kf_scalar_time_us(json, own, &plan->scratch);
    int64_t began = kf_scalar_time_us(json, field, &plan->scratch);
    if (event->type == KF_E_session_start && happened > 0) {
        event->began = KF_BEGAN_BY_START;
        event->time_us = happened;
    } else if (began > 0) {
        event->began = KF_BEGAN_BY_FIELD;
        event->time_us = began;
    } else {
        event->began = happened > 0 ? KF_BEGAN_BY_EVENT : KF_BEGAN_UNKNOWN;
        event->time_us = happened;
    }
}

/* The part of a session, made if there is none yet. @return KF_WINDOW_NONE when out of memory */
static uint32_t part_of(kf_window_plan_t *plan, const kf_session_key_t *session, uint32_t recent)
{
    if (recent != KF_WINDOW_NONE && kf_session_key_eq(&plan->parts[recent].session, session)) {
        return recent;
    }
    for (uint32_t p = 0; p < plan->part_count; p++) {
        if (kf_session_key_eq(&plan->parts[p].session, session)) {
            return p;
        }
    }
    return add_part(plan, session) ? plan->part_count - 1 : KF_WINDOW_NONE;
}

static bool too_many(const kf_window_plan_t *plan)
{
    const kf_item_t *item = plan->item;
    const kf_json_node_t *whole = &item->json->v[item->node];
    const kf_json_node_t *events = &item->json->v[item->member[KF_B_events]];
    uint64_t others = (whole->end - whole->start) - (events->end - events->start);
    return plan->part_count > KF_WINDOW_PARTS_MAX ||
           (plan->part_count > 1 && plan->part_count * others > KF_WINDOW_REPEATED_BYTES_MAX);
}

/* Gives each event that names a session its part, and those without one their predecessor's. */
static bool find_sessions(kf_window_plan_t *plan)
{
    uint32_t recent = KF_WINDOW_NONE;
    for (uint32_t i = 0; i < plan->event_count; i++) {
        kf_window_event_t *event = &plan->events[i];
        kf_event_fields_t fields;
        kf_session_key_t session;
        kf_event_fields(plan->item->json, event->node, &fields);
        kf_session_key(plan->item->json, &fields, &plan->scratch, &session);
        if (session.n > 0) {
            recent = part_of(plan, &session, recent);
            if (recent == KF_WINDOW_NONE) {
                return false;
            }
            plan->unsplit = too_many(plan);
            if (plan->unsplit) {
                return true;
            }
        }
        read_beginning(plan, event, &fields);
        event->part = recent;
        if (plan->scratch.failed) {
            return false;
        }
    }
    return true;
}

/* Makes the events of no part so far part of this one. */
static void join_rest(kf_window_plan_t *plan, uint32_t part)
{
    for (uint32_t i = 0; i < plan->event_count && plan->events[i].part == KF_WINDOW_NONE; i++) {
        plan->events[i].part = part;
    }
}

/* Adds an event to its part's list and to what the part says of its session. */
static void link_event(kf_window_plan_t *plan, uint32_t i)
{
    kf_window_event_t *event = &plan->events[i];
    kf_window_part_t *part = &plan->parts[event->part];
    if (part->last == KF_WINDOW_NONE) {
        part->first = i;
    } else {
        plan->events[part->last].next = i;
    }
    part->last = i;
    part->event_count++;
    if (part->session.n == 0) {
        return;
    }
    part->starts |= event->type == KF_E_session_start;
    part->ends |= event->type == KF_E_session_end;
    if (event->began > part->began ||
        (event->began == part->began && event->time_us < part->began_us)) {
        part->began = event->began;
        part->began_us = event->time_us;
    }
}

/* Everything in one part. */
static bool keep_whole(kf_window_plan_t *plan, bool at_once)
{
    kf_session_key_t none = {.n = 0};
    plan->part_count = 0;
    kf_window_part_t *part = add_part(plan, &none);
    if (!part) {
        return false;
    }
    part->at_once = at_once;
    for (uint32_t i = 0; i < plan->event_count; i++) {
        plan->events[i].part = 0;
        link_event(plan, i);
    }
    return true;
}

static bool split(kf_window_plan_t *plan)
{
    if (!find_sessions(plan)) {
        return false;
    }
    if (plan->unsplit) {
        return keep_whole(plan, true);
    }
    bool rest = plan->part_count != 1 && plan->events[0].part == KF_WINDOW_NONE;
    if (rest) {
        kf_session_key_t none = {.n = 0};
        kf_window_part_t *part = add_part(plan, &none);
        if (!part) {
            return false;
        }
        part->at_once = true;
    }
    join_rest(plan, rest ? plan->part_count - 1 : 0);
    for (uint32_t i = 0; i < plan->event_count; i++) {
        link_event(plan, i);
    }
    return true;
}

bool kf_window_plan(kf_window_plan_t *plan, const kf_item_t *batch, kf_window_kind_t kind)
{
    plan->item = batch;
    plan->part_count = 0;
    plan->unsplit = false;
    kf_buf_clear(&plan->scratch);
    kf_buf_clear(&plan->request);
    if (!prepare_keys(plan, kind) || !list_events(plan)) {
        return false;
    }
    if (plan->device_bytes == 0 || plan->event_count == 0 || kind == KF_WINDOW_BATCH) {
        return keep_whole(plan, plan->device_bytes == 0 || kind == KF_WINDOW_SESSION);
    }
    return split(plan);
}

bool kf_window_event_id(const kf_window_plan_t *plan, uint32_t event, kf_buf_t *scratch,
                        kf_str_t *id)
{
    kf_event_fields_t fields;
    kf_event_fields(plan->item->json, plan->events[event].node, &fields);
    return kf_scalar_text(plan->item->json, fields.node[KF_F_source_message_id], scratch, id);
}
