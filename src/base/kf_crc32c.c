/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C, by table and by the SSE 4.2 instruction.
 */
#include "base/kf_crc32c.h"

#include <string.h>

/* The reflected Castagnoli polynomial (RFC 3720, appendix B.4). */
#define POLYNOMIAL 0x82f63b78u

/* Four bits at a time: the table is small enough to write down by a rule at each use of the file. */
static uint32_t step4(uint32_t crc)
{
    for (int i = 0; i < 4; i++) {
        crc = (crc >> 1) ^ ((crc & 1u) ? POLYNOMIAL : 0u);
    }
    return crc;
}

uint32_t kf_crc32c_portable(uint32_t crc, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t table[16];

    for (uint32_t i = 0; i < 16; i++) {
        table[i] = step4(i);
    }
    crc = ~crc;
    for (; n > 0; n--, p++) {
        crc ^= *p;
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                                 size_t n)
{
    const unsigned char *p = bytes;
    uint64_t wide = ~crc;

    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; n > 0; n--, p++) {
        crc = __builtin_ia32_crc32qi(crc, *p);
    }
    return ~crc;
}
#endif

uint32_t kf_crc32c(uint32_t crc, const void *bytes, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return by_instruction(crc, bytes, n);
    }
#endif
    return kf_crc32c_portable(crc, bytes, n);
}
