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
    say(fault, "%s%s (byte %zu%s)", *sep ? ": " : "", what, offset - v->place.base,
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
    return item->known >> id & 1;
}

static bool is_native(const kf_json_t *json, const kf_item_t *item)
{
    uint32_t dt = item->member[KF_B_dt];
    return has(item, KF_B_dt) && has(item, KF_B_msgs) && json->v[dt].type == KF_JSON_STRING &&
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
    const uint32_t any = 1u << KF_B_events | 1u << KF_B_mpid | 1u << KF_B_mp_deviceid |
                         1u << KF_B_user_identities | 1u << KF_B_user_attributes |
                         1u << KF_B_deleted_user_attributes | 1u << KF_B_device_info |
                         1u << KF_B_consent_state;
    return (item->known & any) != 0;
}

static bool is_wrapper(const kf_json_t *json, const kf_item_t *item)
{
    uint32_t record = item->member[KF_B_Record];
    return record && json->v[record].type == KF_JSON_OBJECT;
}

/* The members that are looked at. @return whether a name may be there twice: one of them is, or of
 * the others there are several */
static bool find_members(const kf_json_t *json, uint32_t object, kf_item_t *item)
{
    uint32_t known = 0, others = 0, end = json->v[object].next;
    bool again = false;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        kf_batch_member_t id = kf_member_of_key(json, k);
        if (id == KF_B_COUNT) {
            others++;
        } else if (known >> id & 1) {
            again = true;
        } else {
            known |= 1u << id;
            item->member[id] = k + 1;
        }
    }
    for (uint32_t left = item->known & ~known; left; left &= left - 1) {
        item->member[__builtin_ctz(left)] = 0;
    }
    item->known = known;
    return again || others > 1;
}

kf_shape_t kf_validate_shape(kf_validator_t *v, const kf_json_t *json, uint32_t object,
                             kf_item_t *item)
{
    const uint32_t others = 1u << KF_B_dt | 1u << KF_B_AudienceId | 1u << KF_B_Record;
    v->unsure = find_members(json, object, item);
    item->json = json;
    item->node = object;
    if (!(item->known & others) && is_batch(item)) {
        item->kind = KF_ITEM_BATCH;
        return KF_SHAPE_BATCH;
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

/* The longest name that check_members looks for. */
#define NAME_MAX_BYTES (sizeof("event_type") - 1)

/* Which of n names a key is, n if it is none. */
static inline uint32_t which_name(kf_str_t key, const kf_str_t *names, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && !kf_str_eq(key, names[i])) {
        i++;
    }
    return i;
}

__attribute__((noinline)) static uint32_t which_escaped(const kf_json_t *json, uint32_t key,
                                                        const kf_str_t *names, uint32_t n)
{
    char plain[NAME_MAX_BYTES];
    kf_str_t name;
    return kf_json_short_escaped(json, key, plain, sizeof(plain), &name)
               ? which_name(name, names, n)
               : n;
}

/*
 * Names twice in an object of which some members are looked for: it is gone through a second time only if
 * one of those came twice, or several others did.
 * @param[out] found  their values, 0 where there is none of that name
 */
static inline bool check_members(kf_validator_t *v, const kf_json_t *json, uint32_t object,
                                 const kf_str_t *names, uint32_t n, uint32_t *found)
{
    uint32_t others = 0, end = json->v[object].next;
    bool again = false;
    memset(found, 0, n * sizeof(*found));
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        uint32_t i = json->v[k].escaped ? which_escaped(json, k, names, n)
                                        : which_name(kf_json_inner(json, k), names, n);
        if (i == n) {
            others++;
        } else if (found[i]) {
            again = true;
        } else {
            found[i] = k + 1;
        }
    }
    return (!again && others < 2) || check_names(v, json, object, "a member name twice");
}

static bool check_breadcrumbs(kf_validator_t *v, const kf_json_t *json, uint32_t value)
{
    if (json->v[value].type != KF_JSON_ARRAY) {
        return true;
    }
    const kf_str_t name = KF_STR("data");
    v->place.breadcrumb = 0;
    uint32_t end = json->v[value].next;
    for (uint32_t e = kf_json_first(json, value); e < end; e = json->v[e].next) {
        uint32_t data = 0;
        if (json->v[e].type == KF_JSON_OBJECT && !check_members(v, json, e, &name, 1, &data)) {
            return false;
        }
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
    const kf_str_t names[] = {KF_STR("event_type"), KF_STR("data")};
    uint32_t found[2];
    if (!check_members(v, json, event, names, 2, found)) {
        return false;
    }
    uint32_t type = found[0], data = found[1];
    if (type == 0) {
        return kf_validate_fail(v, "an event needs an event_type", json->v[event].start);
    }
    if (json->v[type].type != KF_JSON_STRING) {
        return kf_validate_fail(v, "event_type must be a string", json->v[type].start);
    }
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
    const uint32_t looked_into = 1u << KF_B_partner_identities | 1u << KF_B_device_info |
                                 1u << KF_B_context | 1u << KF_B_user_identities |
                                 1u << KF_B_events;
    const uint32_t *member = item->member;
    if (v->unsure && !check_names(v, item->json, item->node, "a member name twice")) {
        return false;
    }
    item->event_count = 0;
    if (item->kind == KF_ITEM_AUDIENCE) {
        uint32_t ids = member[KF_B_UserIdentities];
        return !ids || check_names(v, item->json, ids, "a member name twice in UserIdentities");
    }
    if (!(item->known & looked_into)) {
        return true;
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
