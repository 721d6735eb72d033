/* SPDX-License-Identifier: Apache-2.0
 *
 * Time and randomness, in one place so that tests can replace them. Everything above asks here and
 * nowhere else. Any thread; nothing blocks (getrandom blocks only before the kernel's pool is ready).
 */
#ifndef KF_CLOCK_H
#define KF_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define KF_MS INT64_C(1000)     /* microseconds */
#define KF_SEC INT64_C(1000000) /* microseconds */

/** Wall clock, microseconds since the epoch. */
int64_t kf_wall_us(void);

/** Monotonic clock, microseconds since some moment; for intervals and deadlines. */
int64_t kf_mono_us(void);

/** Fills p with n random bytes from the kernel (buffered per thread). */
void kf_random(void *p, size_t n);

/** A uniform random number. */
uint32_t kf_random_u32(void);

/** Forgets buffered randomness: called first in a new child, so that parent and child differ. */
void kf_random_forked(void);

/** Writes a random UUIDv4 in lower case, 36 characters, no terminator. */
void kf_uuid4(char out[36]);

/** What tests put in place of the real thing; NULL members keep it. Not for product code. */
typedef struct {
    int64_t (*wall_us)(void);
    int64_t (*mono_us)(void);
    void (*random)(void *p, size_t n);
} kf_clock_source_t;
void kf_clock_set_source(const kf_clock_source_t *source);

#endif
