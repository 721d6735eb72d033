/* SPDX-License-Identifier: Apache-2.0
 *
 * Types of events, told by event_type unescaped. Knows no connection. Pure; any thread.
 */
#ifndef KF_EVENT_H
#define KF_EVENT_H

#include "events/kf_json.h"

typedef enum {
#define KF_EVENT_TYPE(id, name, setting) KF_E_##id,
#include "events/kf_event_types.def"
#undef KF_EVENT_TYPE
    KF_E_opt_out,
    KF_E_other, /* pre_attribution, unknown and future types */
    KF_E_COUNT
} kf_event_type_t;

/** The type of its name. */
kf_event_type_t kf_event_type_find(kf_str_t name);

/** The type of a validated event (an OBJECT with a STRING event_type). */
kf_event_type_t kf_event_type(const kf_json_t *json, uint32_t event);

#endif
