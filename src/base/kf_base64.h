/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 (RFC 4648, section 4), the form in which AWS's JSON takes records; many digits at a time where the
 * processor can. Knows no buffer. Pure; any thread.
 */
#ifndef KF_BASE64_H
#define KF_BASE64_H

#include <stddef.h>

/** Digits of n bytes, padding included. n must be less than SIZE_MAX / 4 * 3. */
static inline size_t kf_base64_length(size_t n)
{
    return (n / 3 + (n % 3 > 0)) * 4;
}

/**
 * Writes the padded digits of n bytes.
 * @param to  has room for kf_base64_length(n) bytes, all of which are written; no more are
 */
void kf_base64_encode(char *to, const void *bytes, size_t n);

/** The same without the processor's wide instructions; tests compare the two. */
void kf_base64_encode_portable(char *to, const void *bytes, size_t n);

#endif
