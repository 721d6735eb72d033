/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before the next attempt: exponential, full jitter, the server's hint respected
 * (aws-facts section 3). Pure; any thread.
 */
#ifndef KF_RETRY_H
#define KF_RETRY_H

#include <stdint.h>
#include "aws/kf_class.h"

/**
 * rand * min(base * 2^failures, cap); for THROTTLE base is the smaller of one second and cap.
 * @param failures  failures in a row before this one, any value; the exponent is capped before use
 * @param hint_us   the server's hint or -1: the result is at least min(hint, result + 5 s)
 * @param random    uniform
 * @return microseconds, at least 1 ms, at most cap + 5 s
 */
int64_t kf_retry_delay_us(kf_class_t c, uint32_t failures, int64_t base_us, int64_t cap_us,
                          int64_t hint_us, uint32_t random);

#endif
