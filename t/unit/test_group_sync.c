/* SPDX-License-Identifier: Apache-2.0
 *
 * Group sync: nobody returns before a sync that began after its call, many share one, an error is the
 * answer to all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "delivery/kf_group_sync.h"

#define THREADS 24
#define TIMES 200

static kf_group_sync_t sync_of_all;
static _Atomic uint64_t written[THREADS]; /* by thread: how often */
static _Atomic uint64_t safe[THREADS];    /* of them, on the disk */
static _Atomic int syncs, running;
static _Atomic int overlaps, too_early, errors;
static _Atomic int failing;

/* What is written when a sync begins is safe when it ends. */
static int fake_sync(int fd)
{
    uint64_t seen[THREADS];

    (void)fd;
    if (atomic_fetch_add(&running, 1) != 0)
        atomic_fetch_add(&overlaps, 1);
    for (int i = 0; i < THREADS; i++)
        seen[i] = atomic_load(&written[i]);
    usleep(100);
    atomic_fetch_add(&syncs, 1);
    atomic_fetch_sub(&running, 1);
    if (atomic_load(&failing))
        return EIO;
    for (int i = 0; i < THREADS; i++)
        atomic_store(&safe[i], seen[i]);
    return 0;
}

static const kf_file_ops_t files = {.sync_data = fake_sync};

static void *write_often(void *number)
{
    int me = (int)(intptr_t)number;

    for (uint64_t i = 1; i <= TIMES; i++) {
        atomic_store(&written[me], i);
        if (kf_group_sync(&sync_of_all, &files, 7) != 0)
            atomic_fetch_add(&errors, 1);
        else if (atomic_load(&safe[me]) < i)
            atomic_fetch_add(&too_early, 1);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t thread[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, write_often, (void *)(intptr_t)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

static int before_each(void **state)
{
    (void)state;
    kf_group_sync_init(&sync_of_all);
    for (int i = 0; i < THREADS; i++) {
        atomic_store(&written[i], 0);
        atomic_store(&safe[i], 0);
    }
    syncs = running = overlaps = too_early = errors = failing = 0;
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    kf_group_sync_destroy(&sync_of_all);
    return 0;
}

static void test_shared(void **state)
{
    (void)state;
    run_threads();
    assert_int_equal(overlaps, 0);
    assert_int_equal(too_early, 0);
    assert_int_equal(errors, 0);
    assert_in_range(syncs, TIMES, THREADS * TIMES - 1);
}

static void test_alone_keeps_syncs_off(void **state)
{
    pthread_t thread;

    (void)state;
    kf_group_sync_begin_alone(&sync_of_all);
    assert_int_equal(pthread_create(&thread, NULL, write_often, (void *)(intptr_t)0), 0);
    usleep(2000);
    assert_int_equal(syncs, 0);
    kf_group_sync_end_alone(&sync_of_all, 0);
    pthread_join(thread, NULL);
    assert_int_equal(syncs, TIMES);
}

static void test_error_is_for_all(void **state)
{
    (void)state;
    failing = 1;
    run_threads();
    assert_int_equal(errors, THREADS * TIMES);
    assert_int_equal(syncs, 1);
    failing = 0;
    assert_int_equal(kf_group_sync(&sync_of_all, &files, 7), EIO);
}

static void test_error_from_alone(void **state)
{
    (void)state;
    kf_group_sync_begin_alone(&sync_of_all);
    kf_group_sync_end_alone(&sync_of_all, ENOSPC);
    assert_int_equal(kf_group_sync(&sync_of_all, &files, 7), ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shared, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_alone_keeps_syncs_off, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_error_is_for_all, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_error_from_alone, before_each, after_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
