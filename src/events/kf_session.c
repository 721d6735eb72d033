/* SPDX-License-Identifier: Apache-2.0
 *
 * Session ids and keys.
 */
#include "events/kf_session.h"

#include <inttypes.h>
#include <stdio.h>
#include "events/kf_fnv.h"
#include "events/kf_scalar.h"

/* Takes one character off valid UTF-8. */
static unsigned take_character(const unsigned char **p)
{
    unsigned c = *(*p)++;
    unsigned more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    c = more ? c & (0x3fu >> more) : c;
    for (; more > 0; more--) {
        c = c << 6 | (*(*p)++ & 0x3fu);
    }
    return c;
}

static uint64_t hash_unit(uint64_t hash, unsigned unit)
{
    return kf_fnv_byte(kf_fnv_byte(hash, unit & 0xff), unit >> 8);
}

int64_t kf_session_id(kf_str_t uuid)
{
    uint64_t hash = KF_FNV_START;
    const unsigned char *p = (const unsigned char *)uuid.p, *end = p + uuid.n;
    while (p < end) {
        unsigned c = take_character(&p);
        if (c >= 'a' && c <= 'z') {
            c -= 'a' - 'A';
        }
        if (c >= 0x10000) {
            hash = hash_unit(hash, 0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }
        hash = hash_unit(hash, c);
    }
    return (int64_t)hash;
}

static void set(kf_session_key_t *key, char kind, kf_str_t text)
{
    key->bytes[0] = kind;
    key->n = 1 + kf_window_key_part(key->bytes + 1, text, KF_SESSION_TEXT_MAX);
}

void kf_session_key(const kf_json_t *json, const kf_event_fields_t *fields, kf_buf_t *scratch,
                    kf_session_key_t *key)
{
    kf_str_t text;
    uint32_t uuid = fields->node[KF_F_session_uuid];
    uint32_t start = fields->node[KF_F_session_start_unixtime_ms];
    key->n = 0;
    if (kf_scalar_text(json, fields->node[KF_F_session_id], scratch, &text)) {
        set(key, 'i', text);
    } else if (uuid && json->v[uuid].type == KF_JSON_STRING &&
               kf_scalar_text(json, uuid, scratch, &text)) {
        char digits[24];
        int n = snprintf(digits, sizeof(digits), "%" PRId64, kf_session_id(text));
        set(key, 'i', (kf_str_t){digits, (size_t)n});
    } else if (!(uuid && json->v[uuid].type == KF_JSON_NULL) &&
               kf_scalar_text(json, start, scratch, &text)) {
        set(key, 't', text);
    }
    if (scratch->failed) {
        key->n = 0;
    }
}
