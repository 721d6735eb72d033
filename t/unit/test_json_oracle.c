/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner beside jansson: the sample batches, every truncation and many damages of them, and
 * some twenty thousand generated texts; and what happens when memory runs out. What is pseudo-random
 * comes from one seed, so that a failure comes again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include "test_json_oracle.h"

static kf_json_t json;
static uint64_t random_state = 88172645463325252u;

/* Linked with --wrap=realloc: the next allocations that are refused. */
static int refuse_from = -1;
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
    if (refuse_from == 0)
        return NULL;
    if (refuse_from > 0)
        refuse_from--;
    return __real_realloc(p, n);
}

static uint32_t below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % n;
}

static void compare(const char *text, size_t n)
{
    const char *wrong = oracle_compare(&json, text, n);

    if (wrong)
        fail_msg("%s: %.*s", wrong, (int)n, text);
}

/* ---- generated texts ---- */

static void put_space(kf_buf_t *out)
{
    static const char space[] = " \t\r\n";

    while (below(4) == 0)
        kf_buf_putc(out, space[below(4)]);
}

static void put_string(kf_buf_t *out)
{
    static const char *const parts[] = {"a",        "events",
                                        "\\n",      "\\\"",
                                        "\\\\",     "\\/",
                                        "\\u0041",  "\\u0000",
                                        "\\u00e9",  "\\ud83d\\ude00",
                                        "\xc3\xa9", "\xe2\x82\xac",
                                        " ",        "0123456789abcdef0123",
                                        "\x7f",     "\xf0\x9f\x98\x80"};

    kf_buf_putc(out, '"');
    while (below(3) != 0)
        kf_buf_put_str(out, kf_str_of(parts[below(sizeof parts / sizeof *parts)]));
    kf_buf_putc(out, '"');
}

static void put_number(kf_buf_t *out)
{
    static const char *const exponents[] = {"e5", "E-7", "e+0", ""};

    if (below(3) == 0)
        kf_buf_putc(out, '-');
    kf_buf_printf(out, "%u", below(below(2) ? 10 : 1000000000));
    if (below(3) == 0)
        kf_buf_printf(out, ".%u", below(100000));
    if (below(3) == 0)
        kf_buf_put_str(out, kf_str_of(exponents[below(4)]));
}

static void put_value(kf_buf_t *out, int depth);

static void put_container(kf_buf_t *out, int depth, bool object)
{
    bool first = true;

    kf_buf_putc(out, object ? '{' : '[');
    put_space(out);
    while (below(4) != 0) {
        if (!first)
            kf_buf_putc(out, ',');
        put_space(out);
        if (object) {
            put_string(out);
            put_space(out);
            kf_buf_putc(out, ':');
            put_space(out);
        }
        put_value(out, depth - 1);
        put_space(out);
        first = false;
    }
    kf_buf_putc(out, object ? '}' : ']');
}

static void put_value(kf_buf_t *out, int depth)
{
    static const char *const words[] = {"null", "true", "false"};
    uint32_t kind = below(depth > 0 ? 8 : 4);

    if (kind == 0)
        kf_buf_put_str(out, kf_str_of(words[below(3)]));
    else if (kind == 1)
        put_number(out);
    else if (kind < 4)
        put_string(out);
    else
        put_container(out, depth, kind < 6);
}

/* Damages a text that it may be invalid, or valid and another. */
static void damage(char *text, size_t *n)
{
    static const char bytes[] =
        "\"\\{}[],:0123456789eE+-.ntfu/ \t\n\x01\x1f\x7f\x80\xbf\xc0\xc3\xe2\xed\xf0\xf5\xff";
    size_t at = below((uint32_t)*n);

    switch (below(4)) {
    case 0:
        text[at] = bytes[below(sizeof bytes - 1)];
        break;
    case 1:
        memmove(text + at, text + at + 1, *n - at - 1);
        (*n)--;
        break;
    case 2:
        text[at] = text[below((uint32_t)*n)];
        break;
    default:
        text[at] = (char)below(256);
    }
}

static void test_generated(void **state)
{
    kf_buf_t out;

    (void)state;
    kf_buf_init(&out, 1 << 20);
    for (int i = 0; i < 8000; i++) {
        kf_json_error_t error;

        kf_buf_clear(&out);
        put_space(&out);
        put_value(&out, 6);
        put_space(&out);
        assert_false(out.failed);
        compare(out.p, out.n);
        assert_true(kf_json_scan(&json, out.p, out.n, 6, &error));
    }
    kf_buf_free(&out);
}

static void test_damaged(void **state)
{
    kf_buf_t out;

    (void)state;
    kf_buf_init(&out, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        kf_buf_clear(&out);
        put_value(&out, 5);
        for (uint32_t k = below(3) + 1; k > 0 && out.n > 1; k--)
            damage(out.p, &out.n);
        compare(out.p, out.n);
    }
    kf_buf_free(&out);
}

/* ---- the samples ---- */

static char *read_sample(const char *folder, const char *name, size_t *n)
{
    const size_t room = 1 << 20;
    char path[1024];
    char *text = malloc(room);
    FILE *file;

    assert_non_null(text);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    *n = fread(text, 1, room, file);
    assert_true(*n < room);
    fclose(file);
    return text;
}

static void compare_sample(const char *folder, const char *name)
{
    kf_json_error_t error;
    size_t n;
    char *text = read_sample(folder, name, &n);

    compare(text, n);
    assert_true(kf_json_scan(&json, text, n, KF_JSON_DEPTH_MAX, &error));
    for (size_t cut = 0; cut < n; cut += 1 + n / 500)
        compare(text, cut);
    for (int i = 0; i < 200; i++) {
        char *copy = malloc(n);
        size_t length = n;

        assert_non_null(copy);
        memcpy(copy, text, n);
        damage(copy, &length);
        compare(copy, length);
        free(copy);
    }
    free(text);
}

static void test_samples(void **state)
{
    const char *data = getenv("KF_TEST_DATA");
    const struct dirent *entry;
    char folder[512];
    int count = 0;
    DIR *dir;

    (void)state;
    snprintf(folder, sizeof folder, "%s/data/samples/written", data ? data : "t");
    dir = opendir(folder);
    if (!dir)
        fail_msg("cannot open %s", folder);
    while ((entry = readdir(dir))) {
        if (!strstr(entry->d_name, ".json"))
            continue;
        compare_sample(folder, entry->d_name);
        count++;
    }
    closedir(dir);
    assert_true(count > 0);
}

/* ---- out of memory ---- */

static void test_no_memory(void **state)
{
    static char text[1000];
    kf_json_error_t error;

    (void)state;
    memset(text, '0', sizeof text);
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        text[i] = i ? ',' : '[';
    text[sizeof text - 2] = ']';
    text[sizeof text - 1] = ' ';
    for (int allowed = 0; allowed < 3; allowed++) {
        kf_json_free(&json);
        refuse_from = allowed;
        assert_false(kf_json_scan(&json, text, sizeof text, 1, &error));
        refuse_from = -1;
        assert_int_equal(error.result, KF_JSON_MEMORY);
    }
    /* The index that failed serves again. */
    assert_true(kf_json_scan(&json, text, sizeof text, 1, &error));
    assert_null(oracle_check_index(&json, sizeof text));
}

static void test_too_long(void **state)
{
    kf_json_error_t error;

    (void)state;
#if SIZE_MAX > UINT32_MAX
    assert_false(kf_json_scan(&json, "0", (size_t)UINT32_MAX + 1, 1, &error));
    assert_int_equal(error.result, KF_JSON_MEMORY);
#else
    (void)error;
    skip();
#endif
}

static int free_index(void **state)
{
    (void)state;
    kf_json_free(&json);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generated), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_samples),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests_name("json beside jansson", tests, NULL, free_index);
}
