/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks and the kernel's randomness (kf_clock.h). Must not know what they are used for. Any thread:
 * the buffer of random bytes is each thread's own.
 */
#include "base/kf_clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static kf_clock_source_t replaced;

static _Thread_local struct {
    unsigned char bytes[512];
    size_t left; /* unused ones, at the end */
} pool;

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * KF_SEC + t.tv_nsec / 1000;
}

int64_t kf_wall_us(void)
{
    return replaced.wall_us ? replaced.wall_us() : clock_us(CLOCK_REALTIME);
}

int64_t kf_mono_us(void)
{
    return replaced.mono_us ? replaced.mono_us() : clock_us(CLOCK_MONOTONIC);
}

static void kernel_random(unsigned char *p, size_t n)
{
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (errno != EINTR) {
            /* No kernel that OpenSSL 3 runs on refuses; ids that repeat would lose records. */
            abort();
        }
    }
}

void kf_random(void *p, size_t n)
{
    if (replaced.random) {
        replaced.random(p, n);
        return;
    }
    if (n > sizeof pool.bytes) {
        kernel_random(p, n);
        return;
    }
    if (n > pool.left) {
        kernel_random(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
    }
    memcpy(p, pool.bytes + sizeof pool.bytes - pool.left, n);
    pool.left -= n;
}

uint32_t kf_random_u32(void)
{
    uint32_t v;

    kf_random(&v, sizeof v);
    return v;
}

void kf_random_forked(void)
{
    pool.left = 0;
}

void kf_uuid4(char out[36])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char b[16];
    char *to = out;

    kf_random(b, sizeof b);
    b[6] = (unsigned char)(0x40 | (b[6] & 0x0f)); /* version 4 */
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f)); /* variant of RFC 9562 */
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex[b[i] >> 4];
        *to++ = hex[b[i] & 15];
    }
}

void kf_clock_set_source(const kf_clock_source_t *source)
{
    replaced = source ? *source : (kf_clock_source_t){0};
}
