/* SPDX-License-Identifier: Apache-2.0
 *
 * Partition keys.
 */
#include "events/kf_partition.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/kf_clock.h"
#include "events/kf_fnv.h"
#include "events/kf_scalar.h"

#define UUID_BYTES 36

/* One look for a key. */
typedef struct {
    const kf_filter_t *filter;
    const kf_item_t *item;
    kf_key_t *key;
    bool failed; /* out of memory */
} search_t;

/* How many bytes so many characters take; text that is shorter is taken whole. */
static size_t bytes_of(kf_str_t text, size_t characters)
{
    if (text.n <= characters) {
        return text.n;
    }
    for (size_t i = 0; i < text.n; i++) {
        bool begins = ((unsigned char)text.p[i] & 0xc0) != 0x80;
        if (begins && characters-- == 0) {
            return i;
        }
    }
    return text.n;
}

static void set_text(kf_key_t *key, kf_str_t text)
{
    key->n = bytes_of(text, KF_PARTITION_KEY_CHARS_MAX);
    memcpy(key->bytes, text.p, key->n);
}

static void set_hash(kf_key_t *key, kf_str_t text)
{
    char digits[17];
    snprintf(digits, sizeof(digits), "%016" PRIx64, kf_fnv(text));
    memcpy(key->bytes, digits, 16);
    key->n = 16;
}

/* Takes a value as the key if it is present. @return whether the search is over */
static bool take(search_t *s, uint32_t value, bool hidden)
{
    kf_buf_t scratch;
    kf_str_t text;
    if (value == 0) {
        return false;
    }
    kf_buf_init(&scratch, UINT32_MAX);
    bool found = kf_scalar_text(s->item->json, value, &scratch, &text);
    if (found) {
        (hidden ? set_hash : set_text)(s->key, text);
    }
    s->failed |= scratch.failed;
    if (scratch.p) {
        kf_buf_free(&scratch);
    }
    return found || s->failed;
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
    for (size_t i = 0; i < KF_DEVICE_ORDER_COUNT; i++) {
        kf_str_t name = kf_identities[kf_device_order[i]].name;
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
