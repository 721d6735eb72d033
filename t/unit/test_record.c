/* SPDX-License-Identifier: Apache-2.0
 *
 * Records and their lists.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "events/kf_record.h"

static void test_create(void **state)
{
    (void)state;
    kf_record_t *r = kf_record_create(3, KF_STR("key"), KF_STR("da\0ta"));
    assert_non_null(r);
    assert_int_equal(r->connection, 3);
    assert_true(kf_str_eq(kf_record_key(r), KF_STR("key")));
    assert_true(kf_str_eq(kf_record_data(r), KF_STR("da\0ta")));
    assert_int_equal(r->attempts + r->held_us + r->accepted_us, 0);
    assert_int_equal(r->kind + r->too_large + r->events, 0);
    assert_null(r->next);
    kf_record_free(r);
    r = kf_record_create(0, (kf_str_t){NULL, 0}, (kf_str_t){NULL, 0});
    assert_non_null(r);
    assert_int_equal(r->key_bytes + r->data_bytes, 0);
    kf_record_free(r);
}

static void test_create_beyond(void **state)
{
    static char key[UINT16_MAX + 1];
    (void)state;
    kf_record_t *r = kf_record_create(0, (kf_str_t){key, UINT16_MAX}, KF_STR("d"));
    assert_non_null(r);
    assert_int_equal(r->key_bytes, UINT16_MAX);
    kf_record_free(r);
    assert_null(kf_record_create(0, (kf_str_t){key, UINT16_MAX + 1}, KF_STR("d")));
}

static void add(kf_record_list_t *list, uint16_t connection)
{
    kf_record_t *r = kf_record_create(connection, KF_STR("k"), KF_STR("data"));
    assert_non_null(r);
    kf_record_list_add(list, r);
}

static void assert_takes(kf_record_list_t *list, uint16_t connection)
{
    kf_record_t *r = kf_record_list_take(list);
    assert_non_null(r);
    assert_int_equal(r->connection, connection);
    assert_null(r->next);
    kf_record_free(r);
}

static void test_list(void **state)
{
    kf_record_list_t a = {0}, b = {0};
    (void)state;
    assert_null(kf_record_list_take(&a));
    kf_record_list_append(&a, &b);
    assert_int_equal(a.count, 0);
    add(&b, 1);
    add(&b, 2);
    assert_int_equal(b.bytes, 10);
    kf_record_list_append(&a, &b);
    assert_null(b.first);
    assert_null(b.last);
    assert_int_equal(b.count + b.bytes, 0);
    add(&b, 3);
    kf_record_list_append(&a, &b);
    add(&a, 4);
    assert_int_equal(a.count, 4);
    assert_int_equal(a.bytes, 20);
    for (uint16_t i = 1; i <= 4; i++) {
        assert_takes(&a, i);
    }
    assert_int_equal(a.count + a.bytes, 0);
    add(&a, 5);
    assert_takes(&a, 5);
    add(&a, 6);
    add(&a, 7);
    kf_record_list_clear(&a);
    assert_null(a.first);
    assert_null(a.last);
    assert_int_equal(a.count + a.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_create_beyond),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
