/* SPDX-License-Identifier: Apache-2.0
 *
 * The delay of kf_retry.h. Must not know clocks, queues or records. Pure; any thread.
 */
#include "aws/kf_retry.h"

#include "base/kf_clock.h"

/* First delay after a throttle, and how far a server's hint may lengthen a delay: "2026 retries" of
 * the SDKs (@smithy/core 3.41.0, Sep 2026). */
#define THROTTLE_BASE_US KF_SEC
#define HINT_US (5 * KF_SEC)

static int64_t doubled(int64_t base, uint32_t times, int64_t cap)
{
    while (times > 0 && base < cap) {
        base = base > cap / 2 ? cap : base * 2;
        times--;
    }
    return base < cap ? base : cap;
}

int64_t kf_retry_delay_us(kf_class_t c, uint32_t failures, int64_t base_us, int64_t cap_us,
                          int64_t hint_us, uint32_t random)
{
    int64_t cap = cap_us > KF_MS ? cap_us : KF_MS;
    int64_t base = c == KF_CLASS_THROTTLE ? THROTTLE_BASE_US : base_us;
    int64_t delay;

    if (base < 1)
        base = 1;
    delay = doubled(base, failures, cap);
    /* In floating point: the product of both numbers does not fit 64 bits. */
    delay = (int64_t)((double)delay * ((double)random / 4294967296.0));
    if (hint_us > delay)
        delay = hint_us - delay > HINT_US ? delay + HINT_US : hint_us;
    return delay > KF_MS ? delay : KF_MS;
}
