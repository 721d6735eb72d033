/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields of events. Most names of data are told apart by their length alone.
 */
#include "events/kf_event_fields.h"

/* Longer than any of the names. */
#define NAME_MAX_BYTES 64

static const kf_str_t names[KF_F_COUNT] = {
    [KF_F_session_id] = {"session_id", 10},
    [KF_F_session_uuid] = {"session_uuid", 12},
    [KF_F_source_message_id] = {"source_message_id", 17},
    [KF_F_timestamp_unixtime_ms] = {"timestamp_unixtime_ms", 21},
    [KF_F_session_start_unixtime_ms] = {"session_start_unixtime_ms", 25},
};

void kf_event_fields(const kf_json_t *json, uint32_t event, kf_event_fields_t *fields)
{
    *fields = (kf_event_fields_t){{0}};
    uint32_t data =
        json->v[event].type == KF_JSON_OBJECT ? kf_json_member(json, event, KF_STR("data")) : 0;
    if (data == 0 || json->v[data].type != KF_JSON_OBJECT) {
        return;
    }
    uint32_t end = json->v[data].next;
    for (uint32_t k = kf_json_first(json, data); k < end; k = json->v[k + 1].next) {
        char plain[NAME_MAX_BYTES];
        kf_str_t name;
        if (!kf_json_short_string(json, k, plain, sizeof(plain), &name)) {
            continue;
        }
        for (int f = 0; f < KF_F_COUNT; f++) {
            if (fields->node[f] == 0 && kf_str_eq(name, names[f])) {
                fields->node[f] = k + 1;
                break;
            }
        }
    }
}
