/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of keys: "LENGTH:BYTES", or "#HASH,LENGTH:" of a long one.
 */
#include "events/kf_window_key.h"

#include <inttypes.h>
#include <stdio.h>
#include "events/kf_fnv.h"

size_t kf_window_key_part(char *to, kf_str_t part, size_t cap)
{
    if (part.n > cap) {
        char head[48];
        int n = snprintf(head, sizeof(head), "#%016" PRIx64 ",%zu:", kf_fnv(part), part.n);
        memcpy(to, head, (size_t)n);
        return (size_t)n;
    }
    size_t n = kf_str_decimal(to, part.n);
    to[n++] = ':';
    if (part.n > 0) {
        memcpy(to + n, part.p, part.n);
    }
    return n + part.n;
}
