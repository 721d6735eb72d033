/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans of time that connections were on hold, and their rows in the index.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/kf_clock.h"
#include "base/kf_settings.h"
#include "delivery/kf_hold_rows.h"
#include "temp_store.h"

static const char *const names[] = {"one", "two"};

static void assert_span(const kf_hold_spans_t *s, int i, int64_t begin, int64_t end)
{
    assert_int_equal(s->span[i].begin_us, begin);
    assert_int_equal(s->span[i].end_us, end);
}

static void test_spans_are_joined(void **state)
{
    kf_hold_spans_t s = {.count = 0};

    (void)state;
    kf_hold_spans_add(&s, 50, 60);
    kf_hold_spans_add(&s, 10, 20);
    kf_hold_spans_add(&s, 30, 40);
    kf_hold_spans_add(&s, 70, 70);
    kf_hold_spans_add(&s, 90, 80);
    assert_int_equal(s.count, 3);
    assert_span(&s, 0, 10, 20);
    assert_span(&s, 1, 30, 40);
    kf_hold_spans_add(&s, 20, 25);
    assert_span(&s, 0, 10, 25);
    assert_int_equal(kf_hold_spans_within(&s, 0, 100), 35);
    assert_int_equal(kf_hold_spans_within(&s, 15, 35), 15);
    assert_int_equal(kf_hold_spans_within(&s, 60, 100), 0);
    kf_hold_spans_add(&s, 22, 55);
    assert_int_equal(s.count, 1);
    assert_span(&s, 0, 10, 60);
}

static void test_spans_are_bounded(void **state)
{
    kf_hold_spans_t s = {.count = 0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        kf_hold_spans_add(&s, i * 100, i * 100 + (i == 500 ? 99 : 10));
        assert_in_range(s.count, 1, KF_HOLD_SPANS_MAX);
    }
    for (int i = 1; i < s.count; i++)
        assert_true(s.span[i].begin_us > s.span[i - 1].end_us);
    /* Too much may count, never too little. */
    assert_true(kf_hold_spans_within(&s, 0, 100000) >= 10000);
    /* Where the list is full, one that joins the nearest two's gap. */
    for (int i = 0; i < 1000; i++)
        kf_hold_spans_add(&s, i * 100 + 5, i * 100 + 50);
    assert_in_range(s.count, 1, KF_HOLD_SPANS_MAX);
}

static void test_spans_are_forgotten(void **state)
{
    kf_hold_spans_t s = {.count = 0};

    (void)state;
    kf_hold_spans_add(&s, 0, 100);
    kf_hold_spans_add(&s, 150, 300);
    kf_hold_spans_add(&s, 320, 1000);
    kf_hold_spans_forget(&s, 1010, 81);
    assert_int_equal(s.count, 3);
    kf_hold_spans_forget(&s, 1010, 80);
    assert_int_equal(s.count, 2);
    assert_span(&s, 0, 150, 300);
    kf_hold_spans_forget(&s, 5000, 80);
    assert_int_equal(s.count, 0);
}

static void test_rows(void **state)
{
    char *top = temp_make(), error[KF_INDEX_ERROR_MAX];
    kf_index_config_t config = {.directory = top, .durability = KF_DURABILITY_PROCESS};
    kf_hold_news_t news = {.since_us = 1000};
    kf_hold_known_t known;

    (void)state;
    kf_index_t *x = kf_index_open(&config, error);
    kf_hold_rows_t *rows = kf_hold_rows_open(x, names, 2);
    assert_non_null(rows);
    assert_int_equal(kf_hold_rows_read(rows, 0, &known), KF_INDEX_OK);
    assert_int_equal(known.past.count + known.open_since_us, 0);
    /* It begins, */
    assert_int_equal(kf_hold_rows_write(rows, 0, &news, 1000, KF_SEC), KF_INDEX_OK);
    assert_int_equal(kf_hold_rows_read(rows, 0, &known), KF_INDEX_OK);
    assert_int_equal(known.open_since_us, 1000);
    /* lasts, over a restart and in another child, which was on hold a little later, */
    kf_hold_rows_close(rows);
    kf_index_close(x);
    x = kf_index_open(&config, error);
    rows = kf_hold_rows_open(x, names, 2);
    news.since_us = 1500;
    assert_int_equal(kf_hold_rows_write(rows, 0, &news, 9000, KF_SEC), KF_INDEX_OK);
    assert_int_equal(kf_hold_rows_read(rows, 0, &known), KF_INDEX_OK);
    assert_int_equal(known.open_since_us, 1000);
    assert_span(&known.past, 0, 1000, 9000);
    /* and ends. */
    news = (kf_hold_news_t){.ended = {8000, 20000}};
    assert_int_equal(kf_hold_rows_write(rows, 0, &news, 25000, KF_SEC), KF_INDEX_OK);
    assert_int_equal(kf_hold_rows_read(rows, 0, &known), KF_INDEX_OK);
    assert_int_equal(known.open_since_us, 0);
    assert_int_equal(known.past.count, 1);
    assert_span(&known.past, 0, 1000, 20000);
    assert_int_equal(kf_hold_rows_read(rows, 1, &known), KF_INDEX_OK);
    assert_int_equal(known.past.count, 0);
    /* Another one; the first matters no more. */
    news = (kf_hold_news_t){.since_us = 90000, .ended = {50000, 60000}};
    assert_int_equal(kf_hold_rows_write(rows, 0, &news, 95000, 60000), KF_INDEX_OK);
    assert_int_equal(kf_hold_rows_read(rows, 0, &known), KF_INDEX_OK);
    assert_int_equal(known.past.count, 2);
    assert_int_equal(known.open_since_us, 90000);
    assert_span(&known.past, 0, 50000, 60000);
    kf_hold_rows_close(rows);
    kf_index_close(x);
    temp_done(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spans_are_joined),
        cmocka_unit_test(test_spans_are_bounded),
        cmocka_unit_test(test_spans_are_forgotten),
        cmocka_unit_test(test_rows),
    };

    return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
