/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of the shared AWS files: what is read, what is passed over, what is refused and where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include "aws/kf_ini.h"

static char seen[2048];

static void note(void *context, const kf_ini_item_t *item)
{
    size_t n = strlen(seen);

    (void)context;
    if (item->part_of.n > 0)
        snprintf(seen + n, sizeof seen - n, "%.*s|%.*s.%.*s=%.*s\n", (int)item->section.n,
                 item->section.p, (int)item->part_of.n, item->part_of.p, (int)item->name.n,
                 item->name.p, (int)item->value.n, item->value.p);
    else if (item->name.n > 0)
        snprintf(seen + n, sizeof seen - n, "%.*s|%.*s=%.*s\n", (int)item->section.n,
                 item->section.p, (int)item->name.n, item->name.p, (int)item->value.n,
                 item->value.p);
    else
        snprintf(seen + n, sizeof seen - n, "[%.*s]\n", (int)item->section.n, item->section.p);
}

static int parse(const char *text)
{
    seen[0] = '\0';
    return kf_ini_parse(kf_str_of(text), note, NULL);
}

static void test_reads(void **state)
{
    (void)state;
    assert_int_equal(parse("# a comment\n\n[default]\naws_access_key_id = AKIA\n"
                           "aws_secret_access_key=a=b+/\n[ profile  x ]\nregion\t=\teu-west-1  \n"),
                     0);
    assert_string_equal(seen, "[default]\ndefault|aws_access_key_id=AKIA\n"
                              "default|aws_secret_access_key=a=b+/\n[profile  x]\n"
                              "profile  x|region=eu-west-1\n");
    assert_int_equal(parse(""), 0);
    assert_string_equal(seen, "");
    assert_int_equal(parse("\xef\xbb\xbf[a]\r\nk = v\r\n"), 0);
    assert_string_equal(seen, "[a]\na|k=v\n");
    assert_int_equal(parse("[a]\nk = v"), 0);
    assert_string_equal(seen, "[a]\na|k=v\n");
}

static void test_comments(void **state)
{
    (void)state;
    assert_int_equal(parse("[a] # one\n; two\nk = v # three\nl = a#b;c\n  # four\nm = v\t; five\n"),
                     0);
    assert_string_equal(seen, "[a]\na|k=v\na|l=a#b;c\na|m=v\n");
}

static void test_parts_of_a_setting(void **state)
{
    (void)state;
    assert_int_equal(
        parse("[a]\ns3 =\n  aws_secret_access_key = no\n\n  max = 1\n  nothing\n  = x\nk = v\n"
              "  l = w\n[b]\n  m = x\n"),
        0);
    assert_string_equal(seen,
                        "[a]\na|s3=\na|s3.aws_secret_access_key=no\na|s3.max=1\na|k=v\na|l=w\n"
                        "[b]\nb|m=x\n");
    assert_int_equal(parse("[services x]\nkinesis =\n\tendpoint_url = http://k # c\n  other =\n"
                           "    deep = 1\nfirehose=\n endpoint_url=http://f\n"),
                     0);
    assert_string_equal(seen,
                        "[services x]\nservices x|kinesis=\n"
                        "services x|kinesis.endpoint_url=http://k\nservices x|kinesis.other=\n"
                        "services x|kinesis.deep=1\nservices x|firehose=\n"
                        "services x|firehose.endpoint_url=http://f\n");
}

static void test_refuses(void **state)
{
    (void)state;
    assert_int_equal(parse("k = v\n"), 1);
    assert_int_equal(parse("[a]\nk = v\nwhat is this\n[b]\n"), 3);
    assert_string_equal(seen, "[a]\na|k=v\n");
    assert_int_equal(parse("[a\n"), 1);
    assert_int_equal(parse("[]\n"), 1);
    assert_int_equal(parse("[ ]\n"), 1);
    assert_int_equal(parse("[a]\n= v\n"), 2);
    assert_int_equal(kf_ini_parse(KF_STR("[a]\nk = \0v\n"), note, NULL), 2);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(kf_ini_is(KF_STR("Role_Arn"), "role_arn"));
    assert_false(kf_ini_is(KF_STR("role_ar"), "role_arn"));
    assert_false(kf_ini_is(KF_STR("role_arns"), "role_arn"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),   cmocka_unit_test(test_comments),
        cmocka_unit_test(test_refuses), cmocka_unit_test(test_parts_of_a_setting),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("ini", tests, NULL, NULL);
}
