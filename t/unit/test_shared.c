/* SPDX-License-Identifier: Apache-2.0
 *
 * The shared words: counters, alerts, claims, in memory that begins anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/kf_clock.h"
#include "delivery/kf_alert.h"
#include "delivery/kf_shared.h"

static char lines[4][1200];
static int line_count;

static void keep(kf_level_t level, const char *line)
{
    (void)level;
    snprintf(lines[line_count++ % 4], sizeof lines[0], "%s", line);
}

/* The caller's memory may begin anywhere. */
static void test_alignment(void **state)
{
    for (size_t offset = 0; offset < 3; offset++) {
        unsigned char *memory = calloc(1, kf_shared_size(3) + 8);
        kf_shared_t *shared = kf_shared_init(memory + offset * 4, 3);

        (void)state;
        for (int c = 0; c < 3; c++) {
            assert_true(kf_alert_cells_raise(kf_shared_alerts(shared), c, KF0306,
                                             &(kf_alert_words_t){.text = "x"}));
            assert_true(kf_shared_claim(shared, c, 7, KF_SEC));
            assert_false(kf_shared_claim(shared, c, 7, KF_SEC));
        }
        free(memory);
    }
}

static void test_claims(void **state)
{
    void *memory = calloc(1, kf_shared_size(2));
    kf_shared_t *shared = kf_shared_init(memory, 2);

    (void)state;
    assert_true(kf_shared_claim(shared, 0, 0, 60 * KF_SEC));
    assert_false(kf_shared_claim(shared, 0, 59 * KF_SEC, 60 * KF_SEC));
    assert_true(kf_shared_claim(shared, 1, 59 * KF_SEC, 60 * KF_SEC));
    assert_true(kf_shared_claim(shared, 0, 60 * KF_SEC, 60 * KF_SEC));
    assert_false(kf_shared_claim(shared, 0, 61 * KF_SEC, 60 * KF_SEC));
    assert_true(kf_shared_claim(shared, 0, 61 * KF_SEC, KF_SEC));
    free(memory);
}

static kf_shared_t *contended;
static int firsts[4], claims[4];

static void *contend(void *context)
{
    static const kf_alert_words_t words = {.text = "contended"};
    int *index = context;

    for (int i = 0; i < 20000; i++) {
        firsts[*index] += kf_alert_cells_raise(kf_shared_alerts(contended), 0, KF0306, &words);
        firsts[*index] -= kf_alert_cells_clear(kf_shared_alerts(contended), 0, KF0306);
        claims[*index] += kf_shared_claim(contended, 0, 5, KF_SEC);
    }
    return NULL;
}

static void test_contention(void **state)
{
    void *memory = calloc(1, kf_shared_size(1));
    pthread_t threads[4];
    int index[4], open = 0, claimed = 0;

    (void)state;
    contended = kf_shared_init(memory, 1);
    for (int i = 0; i < 4; i++) {
        index[i] = i;
        pthread_create(&threads[i], NULL, contend, &index[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        open += firsts[i];
        claimed += claims[i];
    }
    /* Each change was told to exactly one. */
    assert_int_equal(open, kf_alert_cells_raised(kf_shared_alerts(contended), 0, KF0306));
    assert_int_equal(claimed, 1);
    free(memory);
}

static void test_alerts_are_logged_once_a_change(void **state)
{
    void *memory = calloc(1, kf_shared_size(1));
    kf_alert_at_t at = {kf_shared_init(memory, 1), 0, "game"};

    (void)state;
    kf_log_set_sink(keep);
    for (int i = 0; i < 3; i++)
        kf_alert_begin(&at, KF0406, "%s", "Slow");
    assert_int_equal(line_count, 1);
    assert_non_null(strstr(lines[0], "KF0406: connection game: "));
    assert_non_null(strstr(lines[0], ": Slow"));
    for (int i = 0; i < 3; i++)
        kf_alert_end(&at, KF0406, KF0307);
    assert_int_equal(line_count, 2);
    assert_non_null(strstr(lines[1], "KF0307: connection game: "));
    kf_alert_begin(&at, KF0402, "%s", "");
    kf_alert_forget(&at, KF0402);
    assert_int_equal(line_count, 3);
    kf_alert_begin(&at, KF0402, "%s", "");
    assert_int_equal(line_count, 4);
    kf_log_set_sink(NULL);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_contention),
        cmocka_unit_test(test_alerts_are_logged_once_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
