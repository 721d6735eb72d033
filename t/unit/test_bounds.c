/* SPDX-License-Identifier: Apache-2.0
 *
 * Reservations: no connection holds more than is free, all or none, what is given back, many threads. And
 * who wakes whom.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "delivery/kf_bounds.h"
#include "delivery/kf_wake.h"

static void add(kf_record_list_t *list, int connection, uint32_t bytes, int n)
{
    char *data = calloc(1, bytes + 1);

    for (int i = 0; i < n; i++)
        kf_record_list_add(
            list, kf_record_create((uint16_t)connection, KF_STR("key"), (kf_str_t){data, bytes}));
    free(data);
}

static int reserve(kf_bounds_t *bounds, int connection, uint32_t bytes, int n)
{
    kf_record_list_t list = {0};
    int said;

    add(&list, connection, bytes, n);
    said = kf_bounds_reserve(bounds, &list);
    kf_record_list_clear(&list);
    return said;
}

static uint64_t charge(uint32_t bytes)
{
    kf_record_t r = {.key_bytes = 3, .data_bytes = bytes};

    return kf_charge(&r);
}

static void test_charge(void **state)
{
    (void)state;
    /* Block, base64, key twice, overhead. */
    assert_int_equal(charge(3), sizeof(kf_record_t) + 3 + 4 + 6 + KF_ENTRY_OVERHEAD);
    assert_int_equal(charge(4), sizeof(kf_record_t) + 4 + 8 + 6 + KF_ENTRY_OVERHEAD);
}

static void test_half_each(void **state)
{
    kf_bounds_t bounds;

    (void)state;
    assert_true(kf_bounds_init(&bounds, 100, 1 << 20, 3));
    assert_int_equal(reserve(&bounds, 0, 10, 49), -1);
    assert_true(kf_bounds_room(&bounds, 0));
    assert_int_equal(reserve(&bounds, 0, 10, 2), 0);
    assert_int_equal(reserve(&bounds, 0, 10, 1), -1);
    assert_false(kf_bounds_room(&bounds, 0));
    assert_false(kf_bounds_relaxed(&bounds, 0));
    kf_bounds_release(&bounds, 0, 12, 12 * charge(10));
    assert_false(kf_bounds_relaxed(&bounds, 0));
    kf_bounds_release(&bounds, 0, 2, 2 * charge(10));
    assert_true(kf_bounds_relaxed(&bounds, 0));
    assert_int_equal(kf_bounds_records(&bounds), 36);
    kf_bounds_free(&bounds);
}

static int take_all(kf_bounds_t *bounds, int connection)
{
    int n = 0;

    while (reserve(bounds, connection, 10, 1) < 0)
        n++;
    return n;
}

/* However many have taken all they get, the next one finds half of what is left. */
static void test_one_more_always_finds_room(void **state)
{
    enum { BUSY = 8 };
    kf_bounds_t bounds;

    (void)state;
    assert_true(kf_bounds_init(&bounds, 1024, 1 << 30, BUSY + 1));
    for (int c = 0; c < BUSY; c++) {
        uint64_t records, bytes;

        kf_bounds_left(&bounds, c, &records, &bytes);
        assert_int_equal(records, 512 >> c);
        assert_int_equal(take_all(&bounds, c), 512 >> c);
    }
    assert_false(kf_bounds_room(&bounds, 0));
    assert_true(kf_bounds_room(&bounds, BUSY));
    kf_bounds_free(&bounds);
}

/* Connections that deliver and take again share alike in the end, and as much is free. */
static void test_shares_even_out(void **state)
{
    enum { BUSY = 4 };
    kf_bounds_t bounds;

    (void)state;
    assert_true(kf_bounds_init(&bounds, 1000, 1 << 30, BUSY + 1));
    for (int round = 0; round < 1000; round++)
        for (int c = 0; c < BUSY; c++) {
            if (kf_bounds_held(&bounds, c) > 0)
                kf_bounds_release(&bounds, c, 1, charge(10));
            take_all(&bounds, c);
        }
    for (int c = 0; c < BUSY; c++)
        assert_in_range(kf_bounds_held(&bounds, c), 190, 210);
    assert_in_range(take_all(&bounds, BUSY), 95, 105);
    kf_bounds_free(&bounds);
}

static void test_bytes(void **state)
{
    kf_bounds_t bounds;

    (void)state;
    assert_true(kf_bounds_init(&bounds, 100, 20 * charge(100), 2));
    assert_int_equal(reserve(&bounds, 0, 100, 11), 0);
    assert_int_equal(reserve(&bounds, 0, 100, 10), -1);
    assert_int_equal(reserve(&bounds, 0, 0, 1), 0);
    assert_int_equal(reserve(&bounds, 1, 101, 5), 1);
    assert_int_equal(reserve(&bounds, 1, 100, 5), -1);
    assert_int_equal(reserve(&bounds, 1, 100, 1), 1);
    kf_bounds_free(&bounds);
}

static void test_all_or_none(void **state)
{
    kf_record_list_t list = {0};
    kf_bounds_t bounds;

    (void)state;
    assert_true(kf_bounds_init(&bounds, 40, 1 << 20, 4));
    assert_int_equal(reserve(&bounds, 2, 10, 15), -1);
    add(&list, 0, 10, 5);
    add(&list, 1, 10, 5);
    add(&list, 2, 10, 6);
    add(&list, 3, 10, 1);
    assert_int_equal(kf_bounds_reserve(&bounds, &list), 2);
    assert_int_equal(kf_bounds_records(&bounds), 15);
    for (int c = 0; c < 4; c++) {
        assert_int_equal(bounds.each[c].records, c == 2 ? 15 : 0);
        assert_int_equal(bounds.each[c].bytes, c == 2 ? 15 * charge(10) : 0);
    }
    assert_int_equal(bounds.all.bytes, 15 * charge(10));
    kf_record_list_clear(&list);
    kf_bounds_free(&bounds);
}

/* ------------------------------------------------------------------ many threads */

static kf_bounds_t common;
static atomic_bool exceeded;

static void *contend(void *context)
{
    int connection = *(int *)context;

    for (int i = 0; i < 20000; i++) {
        kf_record_list_t list = {0};
        int n = 1 + i % 7;

        add(&list, connection % 2, 10, n);
        add(&list, 2, 20, 1);
        if (kf_bounds_reserve(&common, &list) < 0) {
            if (kf_bounds_records(&common) > 40)
                atomic_store(&exceeded, true);
            kf_bounds_release(&common, connection % 2, (uint64_t)n, (uint64_t)n * charge(10));
            kf_bounds_release(&common, 2, 1, charge(20));
        }
        kf_record_list_clear(&list);
    }
    return NULL;
}

static void test_contention(void **state)
{
    pthread_t threads[4];
    int index[4];

    (void)state;
    assert_true(kf_bounds_init(&common, 40, 40 * charge(20), 3));
    for (int i = 0; i < 4; i++) {
        index[i] = i;
        pthread_create(&threads[i], NULL, contend, &index[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_false(exceeded);
    assert_int_equal(kf_bounds_records(&common), 0);
    assert_int_equal(common.all.bytes, 0);
    kf_bounds_free(&common);
}

/* ------------------------------------------------------------------------ waking */

static int woken[64], woken_count;

static void remember(void *context, int worker)
{
    (void)context;
    woken[woken_count++] = worker;
}

static void test_one_is_woken_when_it_is_worth_it(void **state)
{
    kf_wake_t wake;

    (void)state;
    kf_wake_init(&wake, remember, NULL);
    woken_count = 0;
    kf_wake_pushed(&wake, 1000); /* everybody is up */
    assert_int_equal(woken_count, 0);
    assert_false(kf_wake_lie_down(&wake, 3, 500)); /* enough is there already */
    kf_wake_popped(&wake, 1000);
    assert_true(kf_wake_lie_down(&wake, 3, 500));
    assert_true(kf_wake_lie_down(&wake, 63, 500));
    kf_wake_pushed(&wake, 499);
    assert_int_equal(woken_count, 0);
    kf_wake_pushed(&wake, 1);
    assert_int_equal(woken_count, 1);
    assert_int_equal(woken[0], 3);
    kf_wake_pushed(&wake, 1000); /* it is on its way */
    assert_int_equal(woken_count, 1);
    kf_wake_get_up(&wake, 3);
    kf_wake_arm(&wake, 500);
    kf_wake_pushed(&wake, 1);
    assert_int_equal(woken_count, 2);
    assert_int_equal(woken[1], 63);
    assert_false(kf_wake_one(&wake));
}

static void test_first_record_wakes(void **state)
{
    kf_wake_t wake;

    (void)state;
    kf_wake_init(&wake, remember, NULL);
    woken_count = 0;
    assert_true(kf_wake_lie_down(&wake, 0, 500));
    assert_true(kf_wake_lie_down(&wake, 1, 1));
    kf_wake_pushed(&wake, 1);
    kf_wake_pushed(&wake, 1);
    assert_int_equal(woken_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charge),
        cmocka_unit_test(test_half_each),
        cmocka_unit_test(test_one_more_always_finds_room),
        cmocka_unit_test(test_shares_even_out),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_all_or_none),
        cmocka_unit_test(test_contention),
        cmocka_unit_test(test_one_is_woken_when_it_is_worth_it),
        cmocka_unit_test(test_first_record_wakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
