/* SPDX-License-Identifier: Apache-2.0
 *
 * Device keys.
 */
#include "events/kf_device.h"

#include "events/kf_identity.h"
#include "events/kf_scalar.h"

static bool take(const kf_item_t *batch, uint32_t value, kf_str_t name, kf_buf_t *scratch,
                 kf_device_t *device)
{
    device->name = name;
    return kf_scalar_text(batch->json, value, scratch, &device->id);
}

static bool find_in_device_info(const kf_item_t *batch, kf_buf_t *scratch, kf_device_t *device)
{
    uint32_t info = batch->member[KF_B_device_info];
    if (info == 0 || batch->json->v[info].type != KF_JSON_OBJECT) {
        return false;
    }
    for (size_t i = 0; i < KF_DEVICE_ORDER_COUNT; i++) {
        kf_str_t name = kf_identities[kf_device_order[i]].name;
        if (take(batch, kf_json_member(batch->json, info, name), name, scratch, device)) {
            return true;
        }
    }
    return false;
}

/* The aliases of the customer id are one name; one that nobody knows is taken as it is spelt. */
static kf_str_t identity_name(const kf_json_t *json, uint32_t string)
{
    if (string == 0 || json->v[string].type != KF_JSON_STRING) {
        return KF_STR("");
    }
    kf_identity_t id = kf_identity_of(json, string);
    return id == KF_I_COUNT ? kf_json_inner(json, string) : kf_identities[id].name;
}

static bool find_in_user_identities(const kf_item_t *batch, kf_buf_t *scratch, kf_device_t *device)
{
    const kf_json_t *json = batch->json;
    uint32_t ids = batch->member[KF_B_user_identities], end = ids ? json->v[ids].next : 0;
    if (ids && json->v[ids].type == KF_JSON_OBJECT) {
        for (uint32_t k = kf_json_first(json, ids); k < end; k = json->v[k + 1].next) {
            if (take(batch, k + 1, identity_name(json, k), scratch, device)) {
                return true;
            }
        }
    }
    if (ids && json->v[ids].type == KF_JSON_ARRAY) {
        for (uint32_t e = kf_json_first(json, ids); e < end; e = json->v[e].next) {
            if (json->v[e].type != KF_JSON_OBJECT) {
                continue;
            }
            uint32_t type = kf_json_member(json, e, KF_STR("identity_type"));
            uint32_t value = kf_json_member(json, e, KF_STR("identity"));
            if (take(batch, value, identity_name(json, type), scratch, device)) {
                return true;
            }
        }
    }
    return false;
}

bool kf_device_find(const kf_item_t *batch, kf_buf_t *scratch, kf_device_t *device)
{
    return take(batch, batch->member[KF_B_mp_deviceid], KF_STR("mp_deviceid"), scratch, device) ||
           find_in_device_info(batch, scratch, device) ||
           take(batch, batch->member[KF_B_mpid], KF_STR("mpid"), scratch, device) ||
           find_in_user_identities(batch, scratch, device);
}
