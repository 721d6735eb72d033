/* SPDX-License-Identifier: Apache-2.0
 *
 * A run of bytes that somebody else owns. Strings in this project have a length, not a
 * terminator: real batches contain NUL (mParticle format reference, rule 6).
 * Knows nothing else; any thread.
 */
#ifndef KF_STR_H
#define KF_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *p; /* not terminated; NULL only together with n == 0 */
    size_t n;
} kf_str_t;

/** A literal as a kf_str_t, without its terminator. */
#define KF_STR(literal) ((kf_str_t){(literal), sizeof(literal) - 1})

static inline bool kf_str_eq(kf_str_t a, kf_str_t b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Longest of kf_str_decimal. */
#define KF_STR_DECIMAL_MAX 20

/** Writes a number's decimal digits, without a terminator. @return how many */
static inline size_t kf_str_decimal(char *to, uint64_t number)
{
    char digits[KF_STR_DECIMAL_MAX];
    size_t n = 0;

    do {
        digits[sizeof digits - ++n] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    memcpy(to, digits + sizeof digits - n, n);
    return n;
}

static inline kf_str_t kf_str_of(const char *s)
{
    return (kf_str_t){s, s ? strlen(s) : 0};
}

#endif
