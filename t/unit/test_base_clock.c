/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks, randomness and UUIDs: their look, that they differ where they must, and that tests can
 * replace them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/kf_clock.h"

static void test_clocks(void **state)
{
    int64_t wall = kf_wall_us();
    int64_t mono = kf_mono_us();
    int64_t seconds = (int64_t)time(NULL);

    (void)state;
    assert_true(wall / KF_SEC >= seconds - 2 && wall / KF_SEC <= seconds + 2);
    usleep(2000);
    assert_true(kf_mono_us() - mono >= 2 * KF_MS);
}

static void test_random_lengths(void **state)
{
    static unsigned char bytes[2000];

    (void)state;
    for (size_t n = 0; n < sizeof bytes - 1; n = n * 2 + 1) {
        memset(bytes, 0, sizeof bytes);
        kf_random(bytes, n);
        assert_int_equal(bytes[n], 0);
    }
    /* 2000 zero bytes in a row are no chance. */
    kf_random(bytes, sizeof bytes);
    assert_true(bytes[0] != 0 || memcmp(bytes, bytes + 1, sizeof bytes - 1) != 0);
}

static void test_random_does_not_repeat(void **state)
{
    enum { COUNT = 2000 };
    static uint64_t seen[COUNT];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        kf_random(&seen[i], sizeof seen[i]);
        for (int k = 0; k < i; k++)
            assert_true(seen[k] != seen[i]);
    }
}

static void test_random_is_uniform(void **state)
{
    int ones = 0;

    (void)state;
    for (int i = 0; i < 4096; i++)
        ones += __builtin_popcount(kf_random_u32());
    /* 131072 bits: eight standard deviations are 1448. */
    assert_true(ones > 65536 - 1448 && ones < 65536 + 1448);
}

static void *draw(void *out)
{
    kf_random(out, 16);
    return NULL;
}

static void test_threads_differ(void **state)
{
    unsigned char bytes[8][16];
    pthread_t threads[8];

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw, bytes[i]), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(bytes[i], bytes[k], 16);
}

static void test_child_differs(void **state)
{
    unsigned char mine[16];
    unsigned char childs[16];
    int ends[2];
    pid_t child;

    (void)state;
    kf_random_u32();
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        kf_random_forked();
        kf_random(childs, sizeof childs);
        _exit(write(ends[1], childs, sizeof childs) == sizeof childs ? 0 : 1);
    }
    assert_true(child > 0);
    kf_random(mine, sizeof mine);
    assert_int_equal(read(ends[0], childs, sizeof childs), sizeof childs);
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    assert_memory_not_equal(mine, childs, sizeof mine);
}

static void test_uuid(void **state)
{
    char last[36] = "";

    (void)state;
    for (int i = 0; i < 1000; i++) {
        char uuid[37];

        uuid[36] = '~';
        kf_uuid4(uuid);
        assert_int_equal(uuid[36], '~');
        for (int k = 0; k < 36; k++) {
            if (k == 8 || k == 13 || k == 18 || k == 23)
                assert_int_equal(uuid[k], '-');
            else
                assert_non_null(strchr("0123456789abcdef", uuid[k]));
        }
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89ab", uuid[19]));
        assert_memory_not_equal(uuid, last, 36);
        memcpy(last, uuid, 36);
    }
}

static int64_t fixed_wall(void)
{
    return 42;
}

static int64_t fixed_mono(void)
{
    return 43;
}

static void all_ones(void *p, size_t n)
{
    memset(p, 0xff, n);
}

static void test_replaced(void **state)
{
    const kf_clock_source_t all = {fixed_wall, fixed_mono, all_ones};
    const kf_clock_source_t mono_only = {.mono_us = fixed_mono};
    char uuid[36];

    (void)state;
    kf_clock_set_source(&all);
    assert_int_equal(kf_wall_us(), 42);
    assert_int_equal(kf_mono_us(), 43);
    assert_int_equal(kf_random_u32(), UINT32_MAX);
    kf_uuid4(uuid);
    assert_memory_equal(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff", 36);
    kf_clock_set_source(&mono_only);
    assert_int_equal(kf_mono_us(), 43);
    assert_true(kf_wall_us() > 42);
    kf_clock_set_source(NULL);
    assert_true(kf_wall_us() > 42);
    assert_true(kf_mono_us() != 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_random_lengths),
        cmocka_unit_test(test_random_does_not_repeat),
        cmocka_unit_test(test_random_is_uniform),
        cmocka_unit_test(test_threads_differ),
        cmocka_unit_test(test_child_differs),
        cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_replaced),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
