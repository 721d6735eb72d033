/* SPDX-License-Identifier: Apache-2.0
 *
 * Derived ids: the base's 128 bits, mixed with the number by rounds of a Feistel network. For each
 * number that is a permutation, so bases that differ give ids that do, as far as 122 bits can.
 */
#include "events/kf_message_id.h"

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Every bit of the result depends on every bit of x (the finisher of splitmix64). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void write(uint64_t high, uint64_t low, char *to)
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            *to++ = '-';
        }
        *to++ = hex[(i < 16 ? high >> (60 - 4 * i) : low >> (124 - 4 * i)) & 15];
    }
}

void kf_message_id_derive(kf_str_t base, uint32_t number, char out[KF_MESSAGE_ID_BYTES])
{
    uint64_t high = 0, low = 0;
    for (size_t i = 0; i < base.n; i++) {
        int d = digit(base.p[i]);
        if (d >= 0) {
            high = high << 4 | low >> 60;
            low = low << 4 | (uint64_t)d;
        }
    }
    high ^= mix(low + UINT64_C(0x9e3779b97f4a7c15) * ((uint64_t)number + 1));
    low ^= mix(high + UINT64_C(0xc2b2ae3d27d4eb4f) * ((uint64_t)number + 1));
    high ^= mix(low);
    high = (high & ~UINT64_C(0xf000)) | UINT64_C(0x4000); /* version 4 */
    low =
        (low & ((UINT64_C(1) << 62) - 1)) | UINT64_C(0x8000000000000000); /* variant of RFC 9562 */
    write(high, low, out);
}
