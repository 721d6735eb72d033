/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of time in tests, longer where a checker makes programs many times slower.
 */
#ifndef KF_PATIENCE_H
#define KF_PATIENCE_H

#include <stdint.h>
#include <stdlib.h>

/* A limit, times what the environment's KF_TEST_PATIENCE says (make's targets set it for memcheck and the
 * sanitizers), which is 1 where it is unset. */
static inline int64_t patient(int64_t us)
{
    const char *factor = getenv("KF_TEST_PATIENCE");
    long n = factor ? strtol(factor, NULL, 10) : 1;

    return n > 1 ? us * n : us;
}

#endif
