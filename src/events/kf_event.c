/* SPDX-License-Identifier: Apache-2.0
 *
 * Event types.
 */
#include "events/kf_event.h"

/* Longer than any type's name. */
#define NAME_MAX_BYTES 64

static const kf_str_t type_names[KF_E_COUNT] = {
#define KF_EVENT_TYPE(id, name, setting) [KF_E_##id] = {(name), sizeof(name) - 1},
#include "events/kf_event_types.def"
#undef KF_EVENT_TYPE
    [KF_E_opt_out] = {"opt_out", 7},
    [KF_E_other] = {NULL, 0},
};

kf_event_type_t kf_event_type_find(kf_str_t name)
{
    for (int type = 0; type < KF_E_other; type++) {
        if (name.n == type_names[type].n && memcmp(name.p, type_names[type].p, name.n) == 0) {
            return (kf_event_type_t)type;
        }
    }
    return KF_E_other;
}

kf_event_type_t kf_event_type(const kf_json_t *json, uint32_t event)
{
    uint32_t value = kf_json_member(json, event, KF_STR("event_type"));
    char plain[NAME_MAX_BYTES];
    kf_str_t name;
    return kf_json_short_string(json, value, plain, sizeof(plain), &name) ? kf_event_type_find(name)
                                                                          : KF_E_other;
}
