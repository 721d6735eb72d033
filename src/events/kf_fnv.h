/* SPDX-License-Identifier: Apache-2.0
 *
 * FNV-1a, 64 bits: the hash that ties session_uuid to session_id. Not for tables that a sender can
 * fill. Knows nothing else. Pure; any thread.
 */
#ifndef KF_FNV_H
#define KF_FNV_H

#include <stdint.h>
#include "base/kf_str.h"

#define KF_FNV_START UINT64_C(0xcbf29ce484222325)

/** The hash of one byte more. */
static inline uint64_t kf_fnv_byte(uint64_t hash, unsigned byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

static inline uint64_t kf_fnv(kf_str_t s)
{
    uint64_t hash = KF_FNV_START;
    for (size_t i = 0; i < s.n; i++) {
        hash = kf_fnv_byte(hash, (unsigned char)s.p[i]);
    }
    return hash;
}

#endif
