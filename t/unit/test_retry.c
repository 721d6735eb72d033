/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounds of the delay between attempts, for any input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aws/kf_retry.h"
#include "base/kf_clock.h"

#define MOST UINT32_MAX

static int64_t delay(kf_class_t c, uint32_t failures, int64_t hint, uint32_t random)
{
    return kf_retry_delay_us(c, failures, 50 * KF_MS, 20 * KF_SEC, hint, random);
}

static void test_grows_and_is_capped(void **state)
{
    (void)state;
    assert_in_range(delay(KF_CLASS_TRANSIENT, 0, -1, MOST), 49 * KF_MS, 50 * KF_MS);
    assert_in_range(delay(KF_CLASS_TRANSIENT, 1, -1, MOST), 99 * KF_MS, 100 * KF_MS);
    assert_in_range(delay(KF_CLASS_TRANSIENT, 5, -1, MOST), 1599 * KF_MS, 1600 * KF_MS);
    assert_in_range(delay(KF_CLASS_TRANSIENT, 9, -1, MOST), 19 * KF_SEC, 20 * KF_SEC);
    assert_in_range(delay(KF_CLASS_TRANSIENT, 9, -1, MOST / 2), 9 * KF_SEC, 10 * KF_SEC);
}

static void test_throttle_starts_at_a_second(void **state)
{
    (void)state;
    assert_in_range(delay(KF_CLASS_THROTTLE, 0, -1, MOST), 999 * KF_MS, 1000 * KF_MS);
    assert_in_range(delay(KF_CLASS_THROTTLE, 3, -1, MOST), 7999 * KF_MS, 8000 * KF_MS);
    /* With a cap below a second, at the cap. */
    assert_in_range(kf_retry_delay_us(KF_CLASS_THROTTLE, 0, KF_MS, 200 * KF_MS, -1, MOST),
                    199 * KF_MS, 200 * KF_MS);
}

static void test_hint(void **state)
{
    (void)state;
    /* A hint lengthens, by 5 s at most, and never shortens. */
    assert_int_equal(delay(KF_CLASS_TRANSIENT, 0, 2 * KF_SEC, 0), 2 * KF_SEC);
    assert_int_equal(delay(KF_CLASS_TRANSIENT, 0, 3600 * KF_SEC, 0), 5 * KF_SEC);
    assert_in_range(delay(KF_CLASS_TRANSIENT, 9, KF_SEC, MOST), 19 * KF_SEC, 20 * KF_SEC);
    assert_in_range(delay(KF_CLASS_TRANSIENT, 9, INT64_MAX, MOST), 24 * KF_SEC, 25 * KF_SEC);
    assert_int_equal(delay(KF_CLASS_TRANSIENT, 0, 0, 0), KF_MS);
}

static void test_jitter_is_full(void **state)
{
    (void)state;
    assert_int_equal(delay(KF_CLASS_TRANSIENT, 9, -1, 0), KF_MS);
    assert_in_range(delay(KF_CLASS_TRANSIENT, 9, -1, MOST / 4), 4999 * KF_MS, 5000 * KF_MS);
}

static void test_extremes(void **state)
{
    static const uint32_t failures[] = {0, 1, 31, 32, 63, 64, 0x7fffffff, 0x80000000, UINT32_MAX};
    static const uint32_t randoms[] = {0, 1, 0x80000000, UINT32_MAX - 1, UINT32_MAX};
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, 1000, 3600 * KF_SEC};
    static const int64_t hints[] = {INT64_MIN, -1, 0, 1, KF_SEC, INT64_MAX};

    (void)state;
    for (size_t f = 0; f < 9; f++)
        for (size_t r = 0; r < 5; r++)
            for (size_t b = 0; b < 6; b++)
                for (size_t c = 0; c < 6; c++)
                    for (size_t h = 0; h < 6; h++)
                        for (int k = 0; k < KF_CLASS_COUNT; k++) {
                            int64_t cap = times[c] > KF_MS ? times[c] : KF_MS;
                            int64_t d = kf_retry_delay_us((kf_class_t)k, failures[f], times[b],
                                                          times[c], hints[h], randoms[r]);

                            assert_true(d >= KF_MS && d <= cap + 5 * KF_SEC);
                        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_is_capped),
        cmocka_unit_test(test_throttle_starts_at_a_second),
        cmocka_unit_test(test_hint),
        cmocka_unit_test(test_jitter_is_full),
        cmocka_unit_test(test_extremes),
    };

    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
