/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64, by table and by AVX2. Every delivered record goes through it: by table it was a third of the
 * instructions of its delivery.
 */
#include "base/kf_base64.h"

#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void kf_base64_encode_portable(char *to, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;

    for (; n >= 3; n -= 3, from += 3) {
        uint32_t v = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];

        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = digits[v >> 6 & 63];
        *to++ = digits[v & 63];
    }
    if (n > 0) {
        uint32_t v = (uint32_t)from[0] << 16 | (n == 2 ? (uint32_t)from[1] << 8 : 0);

        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = n == 2 ? digits[v >> 6 & 63] : '=';
        *to++ = '=';
    }
}

#if defined(__x86_64__)
/* Bytes that one step reads of, in two overlapping halves, and those that it encodes. */
#define STEP_READS 28
#define STEP_BYTES 24
#define STEP_DIGITS 32

/* Twelve bytes in each half to sixteen values of six bits. Each group of three bytes abc is laid out as b a c b,
 * so that two multiplications move the four values, two each, to where they belong. */
__attribute__((target("avx2"))) static inline __m256i split(__m256i bytes)
{
    const __m256i groups = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    __m256i laid = _mm256_shuffle_epi8(bytes, groups);
    __m256i even = _mm256_mulhi_epu16(_mm256_and_si256(laid, _mm256_set1_epi32(0x0fc0fc00)),
                                      _mm256_set1_epi32(0x04000040));
    __m256i odd = _mm256_mullo_epi16(_mm256_and_si256(laid, _mm256_set1_epi32(0x003f03f0)),
                                     _mm256_set1_epi32(0x01000010));

    return _mm256_or_si256(even, odd);
}

/* Values to digits, by what has to be added to a value of each range: 0 for a to z, 1 to 10 for the numerals,
 * 11 and 12 for the last two, 13 for A to Z. */
__attribute__((target("avx2"))) static inline __m256i spell(__m256i values)
{
    const __m256i added = _mm256_broadcastsi128_si256(
        _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                      '0' - 52, '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0));
    __m256i range = _mm256_subs_epu8(values, _mm256_set1_epi8(51));
    __m256i is_upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), values);

    range = _mm256_or_si256(range, _mm256_and_si256(is_upper, _mm256_set1_epi8(13)));
    return _mm256_add_epi8(values, _mm256_shuffle_epi8(added, range));
}

__attribute__((target("avx2"))) static void by_steps(char *to, const unsigned char *from, size_t n)
{
    for (; n >= STEP_READS; n -= STEP_BYTES, from += STEP_BYTES, to += STEP_DIGITS) {
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)from);
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(from + STEP_BYTES / 2));
        __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);

        _mm256_storeu_si256((__m256i *)(void *)to, spell(split(both)));
    }
    kf_base64_encode_portable(to, from, n);
}
#endif

void kf_base64_encode(char *to, const void *bytes, size_t n)
{
#if defined(__x86_64__)
    if (n >= STEP_READS && __builtin_cpu_supports("avx2")) {
        by_steps(to, bytes, n);
        return;
    }
#endif
    kf_base64_encode_portable(to, bytes, n);
}
