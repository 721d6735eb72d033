/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: the id that follows from a session's UUID, and the key of the session that an event
 * says it belongs to (mParticle format reference, section 6.1). Knows no devices and no windows.
 * Pure; any thread.
 */
#ifndef KF_SESSION_H
#define KF_SESSION_H

#include "events/kf_event_fields.h"
#include "events/kf_window_key.h"

/* Of a session_id or session_start_unixtime_ms; what is longer goes in as a hash. */
#define KF_SESSION_TEXT_MAX 64

typedef struct {
    size_t n; /* 0: no session */
    char bytes[1 + KF_SESSION_TEXT_MAX + KF_WINDOW_KEY_PART_EXTRA];
} kf_session_key_t;

/**
 * The session_id of a session_uuid: FNV-1a of the UTF-16LE bytes of the text in upper case.
 * @param uuid  UTF-8, of any case (of ASCII)
 */
int64_t kf_session_id(kf_str_t uuid);

/**
 * The key of the session that an event names: its session_id, else the one that follows from its
 * session_uuid, else its session_start_unixtime_ms; of each a number and a string are the same, and
 * null, zero and "" are none. A session_uuid of null lets session_start_unixtime_ms count for
 * nothing: so the Web SDK marks what happens after a session's end, with a time of its own.
 * @param[out] key  n == 0 if it names none, and when out of memory (scratch->failed)
 */
void kf_session_key(const kf_json_t *json, const kf_event_fields_t *fields, kf_buf_t *scratch,
                    kf_session_key_t *key);

static inline bool kf_session_key_eq(const kf_session_key_t *a, const kf_session_key_t *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

#endif
