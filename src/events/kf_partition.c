/* SPDX-License-Identifier: Apache-2.0
 *
 * Partition keys.
 */
#include "events/kf_partition.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/kf_clock.h"

#define UUID_BYTES 36

/* The order of the device key (mParticle format reference, section 3.4), after mp_deviceid. */
static const kf_identity_t device_order[] = {KF_I_ios_idfv,
                                             KF_I_ios_advertising_id,
                                             KF_I_android_advertising_id,
                                             KF_I_android_uuid,
                                             KF_I_fire_advertising_id,
                                             KF_I_roku_publisher_id,
                                             KF_I_roku_advertising_id,
                                             KF_I_microsoft_advertising_id,
                                             KF_I_amp_id,
                                             KF_I_push_token};

/* One look for a key. */
typedef struct {
    const kf_filter_t *filter;
    const kf_item_t *item;
    kf_key_t *key;
    bool failed; /* out of memory */
} search_t;

/* 0, -0, 0.0, 0e9: whatever the exponent, only zeros before it. */
static bool is_zero(kf_str_t number)
{
    for (size_t i = 0; i < number.n && (number.p[i] | 0x20) != 'e'; i++) {
        if (number.p[i] >= '1' && number.p[i] <= '9') {
            return false;
        }
    }
    return true;
}

/* Whether a value is present, by the format reference's rules 7 and 8. */
static bool is_present(const kf_json_t *json, uint32_t value)
{
    if (json->v[value].type == KF_JSON_NUMBER) {
        return !is_zero(kf_json_token(json, value));
    }
    return json->v[value].type == KF_JSON_STRING && kf_identity_usable(json, value) &&
           !kf_json_string_is(json, value, KF_STR("0")) && !kf_identity_zero_guid(json, value);
}

/* Cuts at the limit, but not inside a character. */
static void set_text(kf_key_t *key, kf_str_t text)
{
    size_t n = text.n;
    if (n > sizeof(key->bytes)) {
        n = sizeof(key->bytes);
        while (n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    memcpy(key->bytes, text.p, n);
    key->n = n;
}

/* FNV-1a. */
static void set_hash(kf_key_t *key, kf_str_t text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.n; i++) {
        h = (h ^ (unsigned char)text.p[i]) * UINT64_C(0x100000001b3);
    }
    char digits[17];
    snprintf(digits, sizeof(digits), "%016" PRIx64, h);
    memcpy(key->bytes, digits, 16);
    key->n = 16;
}

/* Takes a value as the key if it is present. @return whether the search is over */
static bool take(search_t *s, uint32_t value, bool hidden)
{
    const kf_json_t *json = s->item->json;
    if (value == 0 || !is_present(json, value)) {
        return false;
    }
    kf_buf_t plain;
    kf_str_t text = kf_json_token(json, value);
    kf_buf_init(&plain, text.n + 1);
    if (json->v[value].type == KF_JSON_STRING) {
        text = kf_json_inner(json, value);
        if (json->v[value].escaped) {
            kf_json_unescape(json, value, &plain);
            text = kf_buf_str(&plain);
        }
    }
    s->failed |= plain.failed;
    if (!plain.failed) {
        (hidden ? set_hash : set_text)(s->key, text);
    }
    kf_buf_free(&plain);
    return true;
}

static bool take_member(search_t *s, kf_batch_member_t id)
{
    return take(s, s->item->member[id], kf_plan_removes(s->filter, id));
}

static bool take_device_info(search_t *s)
{
    const kf_json_t *json = s->item->json;
    uint32_t info = s->item->member[KF_B_device_info];
    if (info == 0 || json->v[info].type != KF_JSON_OBJECT) {
        return false;
    }
    const kf_rule_t *rule = s->filter->rule[KF_B_device_info];
    for (size_t i = 0; i < sizeof(device_order) / sizeof(device_order[0]); i++) {
        kf_str_t name = kf_identities[device_order[i]].name;
        const kf_rule_t *child = kf_rules_find(rule, name);
        bool hidden = (rule && rule->remove) || (child && child->remove);
        if (take(s, kf_json_member(json, info, name), hidden)) {
            return true;
        }
    }
    return false;
}

static bool take_identity_member(search_t *s, uint32_t object)
{
    const kf_json_t *json = s->item->json;
    const kf_rule_t *rule = s->filter->rule[KF_B_user_identities];
    uint32_t end = json->v[object].next;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        const kf_rule_t *child = kf_rules_match(rule, json, k);
        if (take(s, k + 1, (rule && rule->remove) || (child && child->remove))) {
            return true;
        }
    }
    return false;
}

static bool take_identity_element(search_t *s, uint32_t array)
{
    const kf_json_t *json = s->item->json;
    uint32_t end = json->v[array].next;
    for (uint32_t e = kf_json_first(json, array); e < end; e = json->v[e].next) {
        if (json->v[e].type != KF_JSON_OBJECT) {
            continue;
        }
        uint32_t type = kf_json_member(json, e, KF_STR("identity_type"));
        bool hidden = kf_plan_removes(s->filter, KF_B_user_identities) ||
                      (type && json->v[type].type == KF_JSON_STRING &&
                       kf_plan_excludes(s->filter, kf_identity_of(json, type)));
        if (take(s, kf_json_member(json, e, KF_STR("identity")), hidden)) {
            return true;
        }
    }
    return false;
}

static bool take_user_identity(search_t *s)
{
    const kf_json_t *json = s->item->json;
    uint32_t ids = s->item->member[KF_B_user_identities];
    if (ids == 0) {
        return false;
    }
    return (json->v[ids].type == KF_JSON_OBJECT && take_identity_member(s, ids)) ||
           (json->v[ids].type == KF_JSON_ARRAY && take_identity_element(s, ids));
}

/* The device key of section 3.4, which ends with the user. */
static bool take_device(search_t *s)
{
    return take_member(s, KF_B_mp_deviceid) || take_device_info(s) || take_member(s, KF_B_mpid) ||
           take_user_identity(s);
}

static bool take_field(search_t *s)
{
    kf_str_t name = s->filter->key_field;
    const kf_rule_t *rule = kf_rules_find(&s->filter->rules, name);
    return take(s, kf_json_member(s->item->json, s->item->node, name), rule && rule->remove);
}

static bool take_audience(search_t *s)
{
    const kf_json_t *json = s->item->json;
    uint32_t ids = s->item->member[KF_B_UserIdentities];
    return ids && json->v[ids].type == KF_JSON_OBJECT &&
           (take(s, kf_json_member(json, ids, KF_STR("MPID")), false) ||
            take(s, kf_json_member(json, ids, kf_identities[KF_I_customer_id].audience),
                 kf_plan_excludes(s->filter, KF_I_customer_id)));
}

static bool find_key(search_t *s)
{
    if (s->item->kind == KF_ITEM_AUDIENCE) {
        return take_audience(s);
    }
    switch (s->filter->key) {
    case KF_KEY_AUTO:
        return take_member(s, KF_B_mpid) || take_device(s);
    case KF_KEY_MPID:
        return take_member(s, KF_B_mpid);
    case KF_KEY_DEVICE:
        return take_device(s);
    case KF_KEY_FIELD:
        return take_field(s);
    default:
        return false;
    }
}

bool kf_partition_key(const kf_filter_t *filter, const kf_item_t *item, kf_key_t *key)
{
    search_t s = {filter, item, key, false};
    key->n = 0;
    key->random = false;
    if (filter->keyed && !find_key(&s)) {
        key->random = true;
        key->n = UUID_BYTES;
    }
    return !s.failed;
}

kf_str_t kf_partition_key_next(kf_key_t *key)
{
    if (key->random) {
        kf_uuid4(key->bytes);
    }
    return (kf_str_t){key->bytes, key->n};
}
