/* SPDX-License-Identifier: Apache-2.0
 *
 * The log facade and its catalogue: finished lines, levels, cutting, control characters.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "base/kf_log.h"

static char line[4096];
static kf_level_t level;
static int lines;

static void keep(kf_level_t new_level, const char *text)
{
    level = new_level;
    lines++;
    snprintf(line, sizeof line, "%s", text);
}

static int install(void **state)
{
    (void)state;
    kf_log_set_sink(keep);
    lines = 0;
    return 0;
}

static int remove_sink(void **state)
{
    (void)state;
    kf_log_set_sink(NULL);
    return 0;
}

static void test_catalogue(void **state)
{
    (void)state;
    assert_true(KF_MSG_COUNT > 0);
    for (int i = 0; i < KF_MSG_COUNT; i++) {
        const kf_msg_info_t *info = kf_msg_info((kf_msg_t)i);

        assert_int_equal(strlen(info->id), 6);
        assert_memory_equal(info->id, "KF", 2);
        assert_int_equal(strspn(info->id + 2, "0123456789"), 4);
        assert_true(info->level <= KF_DEBUG);
        assert_true(*info->text);
        assert_non_null(info->advice);
        assert_true(strlen(info->advice) < 400);
        assert_null(strpbrk(info->text, "\r\n"));
        assert_null(strpbrk(info->advice, "\r\n"));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(info->id, kf_msg_info((kf_msg_t)k)->id);
    }
}

static void test_line(void **state)
{
    char expected[2048];

    (void)state;
    for (int i = 0; i < KF_MSG_COUNT; i++) {
        const kf_msg_info_t *info = kf_msg_info((kf_msg_t)i);

        kf_log((kf_msg_t)i, "connection %s: %d", "a", 7);
        snprintf(expected, sizeof expected, "%s: connection a: 7%s%s", info->id,
                 *info->advice ? "; " : "", info->advice);
        assert_string_equal(line, expected);
        assert_int_equal(level, info->level);
    }
    assert_int_equal(lines, KF_MSG_COUNT);
}

static void test_control_characters(void **state)
{
    (void)state;
    kf_log(KF0201, "%s", "a\r\nb\t\x1b[31m\x7f\xc3\xa9");
    assert_string_equal(line, "KF0201: a??b??[31m?\xc3\xa9");
}

static void test_cut(void **state)
{
    char text[3000];

    (void)state;
    for (size_t n = 900; n < sizeof text; n++) {
        memset(text, 'x', sizeof text);
        text[n] = '\0';
        kf_log(KF0103, "%s", text);
        assert_true(strlen(line) < 1024 + 400);
        assert_int_equal(strstr(line, "...;") != NULL, n > 1023);
        assert_non_null(strstr(line, kf_msg_info(KF0103)->advice));
    }
}

static void test_cut_keeps_characters(void **state)
{
    (void)state;
    for (size_t lead = 0; lead < 4; lead++) {
        char text[3000];
        const char *dots;
        size_t n = lead;

        memset(text, 'x', lead);
        for (; n + 3 < sizeof text; n += 3)
            memcpy(text + n, "\xe2\x82\xac", 3);
        text[n] = '\0';
        kf_log(KF0201, "%s", text);
        dots = strstr(line, "...");
        assert_non_null(dots);
        assert_int_equal((size_t)(dots - line - 8 - (ptrdiff_t)lead) % 3, 0);
    }
}

static char watched[80];
static bool watch(kf_msg_t msg, const char *particulars)
{
    snprintf(watched, sizeof watched, "%s %s", kf_msg_info(msg)->id, particulars);
    return msg != KF0601;
}

static void test_watch(void **state)
{
    (void)state;
    kf_log_set_watch(watch);
    kf_log(KF0602, "%s", "a\tb");
    assert_string_equal(watched, "KF0602 a?b");
    assert_non_null(strstr(line, "KF0602"));
    kf_log(KF0601, "%s", "kept back");
    assert_string_equal(watched, "KF0601 kept back");
    assert_null(strstr(line, "KF0601"));
    kf_log_unwatched(KF0601, "%s", "written");
    assert_string_equal(watched, "KF0601 kept back");
    assert_non_null(strstr(line, "KF0601: written"));
    assert_false(kf_log_tell(KF0601, "told"));
    assert_string_equal(watched, "KF0601 told");
    kf_log_set_watch(NULL);
    assert_true(kf_log_tell(KF0601, "nobody"));
    assert_string_equal(watched, "KF0601 told");
}

static void test_standard_error(void **state)
{
    (void)state;
    kf_log_set_sink(NULL);
    kf_log(KF0201, "to standard error");
    assert_int_equal(lines, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_catalogue, install, remove_sink),
        cmocka_unit_test_setup_teardown(test_line, install, remove_sink),
        cmocka_unit_test_setup_teardown(test_control_characters, install, remove_sink),
        cmocka_unit_test_setup_teardown(test_cut, install, remove_sink),
        cmocka_unit_test_setup_teardown(test_cut_keeps_characters, install, remove_sink),
        cmocka_unit_test_setup_teardown(test_watch, install, remove_sink),
        cmocka_unit_test_setup_teardown(test_standard_error, install, remove_sink),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
