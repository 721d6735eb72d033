/* SPDX-License-Identifier: Apache-2.0
 *
 * Identities and anonymity.
 */
#include "events/kf_identity.h"

const kf_identity_info_t kf_identities[KF_I_COUNT] = {
#define KF_IDENTITY(id, name, audience, device, anonymous) \
    [KF_I_## \
        id] = {{(name), sizeof(name) - 1}, {(audience), sizeof(audience) - 1}, device, anonymous},
#include "events/kf_identities.def"
#undef KF_IDENTITY
};

const kf_str_t kf_customer_id_aliases[] = {{"customerid", 10}, {"customerId", 10}, {NULL, 0}};

const kf_identity_t kf_device_order[KF_DEVICE_ORDER_COUNT] = {KF_I_ios_idfv,
                                                              KF_I_ios_advertising_id,
                                                              KF_I_android_advertising_id,
                                                              KF_I_android_uuid,
                                                              KF_I_fire_advertising_id,
                                                              KF_I_roku_publisher_id,
                                                              KF_I_roku_advertising_id,
                                                              KF_I_microsoft_advertising_id,
                                                              KF_I_amp_id,
                                                              KF_I_push_token};

/* Longer than any name of an identity. */
#define NAME_MAX_BYTES 64

kf_identity_t kf_identity_find(kf_str_t name)
{
    for (int id = 0; id < KF_I_COUNT; id++) {
        if (kf_str_eq(name, kf_identities[id].name)) {
            return (kf_identity_t)id;
        }
    }
    for (const kf_str_t *alias = kf_customer_id_aliases; alias->n; alias++) {
        if (kf_str_eq(name, *alias)) {
            return KF_I_customer_id;
        }
    }
    return KF_I_COUNT;
}

kf_identity_t kf_identity_of(const kf_json_t *json, uint32_t string)
{
    char plain[NAME_MAX_BYTES];
    kf_str_t name;
    return kf_json_short_string(json, string, plain, sizeof(plain), &name) ? kf_identity_find(name)
                                                                           : KF_I_COUNT;
}

kf_identity_t kf_identity_of_audience(const kf_json_t *json, uint32_t key)
{
    char plain[NAME_MAX_BYTES];
    kf_str_t name;
    if (!kf_json_short_string(json, key, plain, sizeof(plain), &name)) {
        return KF_I_COUNT;
    }
    for (int id = 0; id < KF_I_COUNT; id++) {
        if (name.n > 0 && kf_str_eq(name, kf_identities[id].audience)) {
            return (kf_identity_t)id;
        }
    }
    return kf_identity_find(name);
}

bool kf_identity_usable(const kf_json_t *json, uint32_t value)
{
    const kf_json_node_t *d = &json->v[value];
    return d->type != KF_JSON_NULL && !(d->type == KF_JSON_STRING && d->end - d->start == 2);
}

bool kf_identity_zero_guid(const kf_json_t *json, uint32_t value)
{
    return json->v[value].type == KF_JSON_STRING &&
           (kf_json_string_is(json, value, KF_STR("00000000-0000-0000-0000-000000000000")) ||
            kf_json_string_is(json, value, KF_STR("00000000000000000000000000000000")));
}

static bool any_usable_member(const kf_json_t *json, uint32_t object)
{
    uint32_t end = json->v[object].next;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        if (kf_identity_usable(json, k + 1)) {
            return true;
        }
    }
    return false;
}

static bool any_usable_element(const kf_json_t *json, uint32_t array)
{
    uint32_t end = json->v[array].next;
    for (uint32_t e = kf_json_first(json, array); e < end; e = json->v[e].next) {
        uint32_t identity =
            json->v[e].type == KF_JSON_OBJECT ? kf_json_member(json, e, KF_STR("identity")) : 0;
        if (identity && kf_identity_usable(json, identity)) {
            return true;
        }
    }
    return false;
}

/* user_identities or partner_identities, object or array; any other type holds no identity. */
static bool any_identity(const kf_json_t *json, uint32_t value)
{
    if (value == 0) {
        return false;
    }
    return (json->v[value].type == KF_JSON_OBJECT && any_usable_member(json, value)) ||
           (json->v[value].type == KF_JSON_ARRAY && any_usable_element(json, value));
}

static bool makes_known(const kf_json_t *json, kf_identity_t id, uint32_t value)
{
    return kf_identity_usable(json, value) && !kf_identities[id].anonymous &&
           !(kf_identities[id].device && kf_identity_zero_guid(json, value));
}

static bool any_device_identity(const kf_json_t *json, uint32_t device_info)
{
    if (device_info == 0 || json->v[device_info].type != KF_JSON_OBJECT) {
        return false;
    }
    uint32_t end = json->v[device_info].next;
    for (uint32_t k = kf_json_first(json, device_info); k < end; k = json->v[k + 1].next) {
        kf_identity_t id = kf_identity_of(json, k);
        if (id != KF_I_COUNT && kf_identities[id].device && makes_known(json, id, k + 1)) {
            return true;
        }
    }
    return false;
}

bool kf_identity_batch_anonymous(const kf_item_t *item)
{
    const kf_json_t *json = item->json;
    uint32_t partner = item->member[KF_B_partner_identity];
    return !any_identity(json, item->member[KF_B_user_identities]) &&
           !any_device_identity(json, item->member[KF_B_device_info]) &&
           !any_identity(json, item->member[KF_B_partner_identities]) &&
           !(partner && kf_identity_usable(json, partner));
}

bool kf_identity_audience_anonymous(const kf_item_t *item)
{
    const kf_json_t *json = item->json;
    uint32_t ids = item->member[KF_B_UserIdentities];
    if (ids == 0 || json->v[ids].type != KF_JSON_OBJECT) {
        return false;
    }
    uint32_t end = json->v[ids].next;
    for (uint32_t k = kf_json_first(json, ids); k < end; k = json->v[k + 1].next) {
        kf_identity_t id = kf_identity_of_audience(json, k);
        if (kf_json_string_is(json, k, KF_STR("MPID"))) {
            continue;
        }
        if (id == KF_I_COUNT ? kf_identity_usable(json, k + 1) : makes_known(json, id, k + 1)) {
            return false;
        }
    }
    return true;
}
