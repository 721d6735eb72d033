/* SPDX-License-Identifier: Apache-2.0
 *
 * The common fields of an event's data that windows look at (mParticle format reference, section
 * 2.2), found in one pass. Knows not what they mean. Pure; any thread.
 */
#ifndef KF_EVENT_FIELDS_H
#define KF_EVENT_FIELDS_H

#include "events/kf_json.h"

typedef enum {
    KF_F_session_id,
    KF_F_session_uuid,
    KF_F_source_message_id,
    KF_F_timestamp_unixtime_ms,
    KF_F_session_start_unixtime_ms,
    KF_F_COUNT
} kf_event_field_t;

typedef struct {
    uint32_t node[KF_F_COUNT]; /* the value's node, 0 if absent */
} kf_event_fields_t;

/** Finds them, names compared unescaped. An event that is no OBJECT, or its data none, has none. */
void kf_event_fields(const kf_json_t *json, uint32_t event, kf_event_fields_t *fields);

#endif
