/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of one object. Nothing is refused that the design's table does not name: senders' batches
 * fail mParticle's own schema more often than not.
 */
#include "events/kf_validate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include "events/kf_members.h"

static void say(kf_fault_t *fault, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(kf_fault_t *fault, const char *fmt, ...)
{
    size_t n = strlen(fault->message);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fault->message + n, sizeof(fault->message) - n, fmt, ap);
    va_end(ap);
}

bool kf_validate_fail(kf_validator_t *v, const char *what, size_t offset)
{
    const struct {
        const char *word;
        int64_t index;
    } parts[] = {{"batch", v->place.batch},
                 {"event", v->place.event},
                 {"breadcrumb", v->place.breadcrumb},
                 {"user identity", v->place.identity}};
    kf_fault_t *fault = v->fault;
    const char *sep = "";
    fault->out_of_memory = false;
    fault->message[0] = '\0';
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].index >= 0) {
            say(fault, "%s%s %" PRId64, sep, parts[i].word, parts[i].index);
            sep = ", ";
        }
    }
    say(fault, "%s%s (byte %zu%s)", *sep ? ": " : "", what, offset,
        v->place.decoded ? " of the decoded Record.Data" : "");
    return false;
}

bool kf_validate_no_memory(kf_validator_t *v)
{
    v->fault->out_of_memory = true;
    v->fault->message[0] = '\0';
    say(v->fault, "out of memory");
    return false;
}

static bool has(const kf_item_t *item, kf_batch_member_t id)
{
    return item->member[id] != 0;
}

static bool is_native(const kf_json_t *json, const kf_item_t *item)
{
    uint32_t dt = item->member[KF_B_dt];
    return dt && has(item, KF_B_msgs) && json->v[dt].type == KF_JSON_STRING &&
           kf_json_string_is(json, dt, KF_STR("h"));
}

/* events: null is no more than no events. */
static bool is_audience(const kf_json_t *json, const kf_item_t *item)
{
    uint32_t audience = item->member[KF_B_AudienceId], events = item->member[KF_B_events];
    return audience && json->v[audience].type != KF_JSON_NULL &&
           (events == 0 || json->v[events].type == KF_JSON_NULL);
}

static bool is_batch(const kf_item_t *item)
{
    return has(item, KF_B_events) || has(item, KF_B_mpid) || has(item, KF_B_mp_deviceid) ||
           has(item, KF_B_user_identities) || has(item, KF_B_user_attributes) ||
           has(item, KF_B_deleted_user_attributes) || has(item, KF_B_device_info) ||
           has(item, KF_B_consent_state);
}

static bool is_wrapper(const kf_json_t *json, const kf_item_t *item)
{
    uint32_t record = item->member[KF_B_Record];
    return record && json->v[record].type == KF_JSON_OBJECT;
}

kf_shape_t kf_validate_shape(const kf_json_t *json, uint32_t object, kf_item_t *item)
{
    memset(item, 0, sizeof(*item));
    item->json = json;
    item->node = object;
    uint32_t end = json->v[object].next;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        kf_batch_member_t id = kf_member_of_key(json, k);
        if (id != KF_B_COUNT && item->member[id] == 0) {
            item->member[id] = k + 1;
        }
    }
    if (is_native(json, item)) {
        return KF_SHAPE_NATIVE;
    }
    if (is_audience(json, item)) {
        item->kind = KF_ITEM_AUDIENCE;
        return KF_SHAPE_AUDIENCE;
    }
    if (is_batch(item)) {
        item->kind = KF_ITEM_BATCH;
        return KF_SHAPE_BATCH;
    }
    return is_wrapper(json, item) ? KF_SHAPE_WRAPPER : KF_SHAPE_OTHER;
}

/* Names twice in a value that may be an object. */
static bool check_names(kf_validator_t *v, const kf_json_t *json, uint32_t value, const char *what)
{
    if (json->v[value].type != KF_JSON_OBJECT) {
        return true;
    }
    uint32_t key = kf_names_repeated(&v->names, json, value);
    if (v->names.failed) {
        return kf_validate_no_memory(v);
    }
    return key == 0 || kf_validate_fail(v, what, json->v[key].start);
}

static bool check_identities(kf_validator_t *v, const kf_json_t *json, uint32_t value)
{
    if (json->v[value].type != KF_JSON_ARRAY) {
        return check_names(v, json, value, "a member name twice in user_identities");
    }
    v->place.identity = 0;
    uint32_t end = json->v[value].next;
    for (uint32_t e = kf_json_first(json, value); e < end; e = json->v[e].next) {
        if (!check_names(v, json, e, "a member name twice")) {
            return false;
        }
        v->place.identity++;
    }
    v->place.identity = -1;
    return true;
}

static bool check_breadcrumbs(kf_validator_t *v, const kf_json_t *json, uint32_t value)
{
    if (json->v[value].type != KF_JSON_ARRAY) {
        return true;
    }
    v->place.breadcrumb = 0;
    uint32_t end = json->v[value].next;
    for (uint32_t e = kf_json_first(json, value); e < end; e = json->v[e].next) {
        if (!check_names(v, json, e, "a member name twice")) {
            return false;
        }
        uint32_t data =
            json->v[e].type == KF_JSON_OBJECT ? kf_json_member(json, e, KF_STR("data")) : 0;
        if (data && !check_names(v, json, data, "a member name twice in data")) {
            return false;
        }
        v->place.breadcrumb++;
    }
    v->place.breadcrumb = -1;
    return true;
}

static bool check_event(kf_validator_t *v, const kf_json_t *json, uint32_t event)
{
    if (json->v[event].type != KF_JSON_OBJECT) {
        return kf_validate_fail(v, "an event must be an object", json->v[event].start);
    }
    if (!check_names(v, json, event, "a member name twice")) {
        return false;
    }
    uint32_t type = kf_json_member(json, event, KF_STR("event_type"));
    if (type == 0) {
        return kf_validate_fail(v, "an event needs an event_type", json->v[event].start);
    }
    if (json->v[type].type != KF_JSON_STRING) {
        return kf_validate_fail(v, "event_type must be a string", json->v[type].start);
    }
    uint32_t data = kf_json_member(json, event, KF_STR("data"));
    if (data == 0 || json->v[data].type != KF_JSON_OBJECT) {
        return true;
    }
    if (!check_names(v, json, data, "a member name twice in data")) {
        return false;
    }
    uint32_t breadcrumbs = kf_json_member(json, data, KF_STR("breadcrumbs"));
    return breadcrumbs == 0 || check_breadcrumbs(v, json, breadcrumbs);
}

static bool check_events(kf_validator_t *v, kf_item_t *item)
{
    const kf_json_t *json = item->json;
    uint32_t events = item->member[KF_B_events];
    if (events == 0 || json->v[events].type == KF_JSON_NULL) {
        return true;
    }
    if (json->v[events].type != KF_JSON_ARRAY) {
        return kf_validate_fail(v, "events must be an array or null", json->v[events].start);
    }
    uint32_t end = json->v[events].next;
    for (uint32_t e = kf_json_first(json, events); e < end; e = json->v[e].next) {
        v->place.event = item->event_count++;
        if (!check_event(v, json, e)) {
            return false;
        }
    }
    v->place.event = -1;
    return true;
}

bool kf_validate_item(kf_validator_t *v, kf_item_t *item)
{
    static const struct {
        kf_batch_member_t id;
        const char *what;
    } places[] = {{KF_B_partner_identities, "a member name twice in partner_identities"},
                  {KF_B_device_info, "a member name twice in device_info"},
                  {KF_B_context, "a member name twice in context"}};
    const uint32_t *member = item->member;
    if (item->kind == KF_ITEM_AUDIENCE) {
        uint32_t ids = member[KF_B_UserIdentities];
        return check_names(v, item->json, item->node, "a member name twice") &&
               (!ids || check_names(v, item->json, ids, "a member name twice in UserIdentities"));
    }
    if (!check_names(v, item->json, item->node, "a member name twice")) {
        return false;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        uint32_t value = member[places[i].id];
        if (value && !check_names(v, item->json, value, places[i].what)) {
            return false;
        }
    }
    uint32_t ids = member[KF_B_user_identities];
    return (!ids || check_identities(v, item->json, ids)) && check_events(v, item);
}
