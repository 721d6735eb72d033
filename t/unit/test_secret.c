/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials out of files and variables: their values to the letter, and of those that cannot be used why,
 * never the value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include "httpd/kf_secret.h"
#include "temp_store.h"

#define SECRET "wJalrXUtnFEMI-of-the-tests"
#define KEY_ID "AKIAOFTHETESTS"
#define FILE_MAX 65536

static apr_pool_t *pool;
static char *folder;

static int set_up(void **state)
{
    (void)state;
    folder = temp_make();
    return apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("KF_TEST_VALUE");
    apr_pool_destroy(pool);
    temp_done(folder);
    return 0;
}

/* "file:" and the path of a file that holds n bytes. */
static const char *file_of(const char *bytes, size_t n, mode_t mode)
{
    const char *path = apr_pstrcat(pool, folder, "/secret", NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return apr_pstrcat(pool, "file:", path, NULL);
}

static const char *file_with(const char *text)
{
    return file_of(text, strlen(text), 0600);
}

static void resolves(kf_check_t check, const char *reference, const char *wanted)
{
    const char *value = reference, *error = kf_secret_resolve(pool, check, &value);

    if (error)
        fail_msg("%s", error);
    assert_string_equal(value, wanted);
}

/* The reference is named, what it refers to is not shown. */
static void fails(kf_check_t check, const char *reference, const char *because)
{
    const char *value = reference, *error = kf_secret_resolve(pool, check, &value);

    assert_non_null(error);
    if (!strstr(error, because))
        fail_msg("no \"%s\" in \"%s\"", because, error);
    assert_null(strstr(error, SECRET));
    assert_null(strstr(error, KEY_ID));
}

static void test_values_stay(void **state)
{
    static const char *const values[] = {SECRET, "/no/file/of/this/name", "a:b", "files", "env",
                                         ""};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const char *value = values[i];

        assert_null(kf_secret_resolve(pool, KF_CHECK_SECRET, &value));
        assert_ptr_equal(value, values[i]);
    }
}

/* One line break goes, as editors leave it, and nothing else. */
static void test_files(void **state)
{
    (void)state;
    resolves(KF_CHECK_SECRET, file_with(SECRET), SECRET);
    resolves(KF_CHECK_SECRET, file_with(SECRET "\n"), SECRET);
    resolves(KF_CHECK_SECRET, file_with(SECRET "\r\n"), SECRET);
    resolves(KF_CHECK_SECRET, file_with("a/b+c=\n"), "a/b+c=");
    resolves(KF_CHECK_ACCESS_KEY, file_with(KEY_ID "\n"), KEY_ID);
    fails(KF_CHECK_SECRET, file_with(SECRET "\n\n"), "printable ASCII without blanks");
    fails(KF_CHECK_SECRET, file_with(SECRET "\r"), "printable ASCII without blanks");
    fails(KF_CHECK_SECRET, file_with(SECRET "\n" SECRET), "printable ASCII without blanks");
    fails(KF_CHECK_SECRET, file_with(SECRET " "), "printable ASCII without blanks");
    fails(KF_CHECK_ACCESS_KEY, file_with(KEY_ID "-"), "letters, digits and '_'");
    fails(KF_CHECK_SECRET, file_with(""), "/secret is empty");
    fails(KF_CHECK_SECRET, file_with("\n"), "/secret is empty");
    fails(KF_CHECK_SECRET, file_with("\r\n"), "/secret is empty");
    fails(KF_CHECK_SECRET, file_of(SECRET "\0x", sizeof SECRET + 1, 0600), "holds a NUL byte");
    /* A reference leads to a value, not to another reference. */
    fails(KF_CHECK_SECRET, file_with("env:HOME"), "what file:");
    fails(KF_CHECK_SECRET, file_with("file:/etc/passwd"), "what file:");
}

static void test_who_else_may_read_it(void **state)
{
    (void)state;
    resolves(KF_CHECK_SECRET, file_of(SECRET, strlen(SECRET), 0640), SECRET);
    fails(KF_CHECK_SECRET, file_of(SECRET, strlen(SECRET), 0604),
          "readable by all users (chmod 600");
    /* A key id is no secret. */
    resolves(KF_CHECK_ACCESS_KEY, file_of(KEY_ID, strlen(KEY_ID), 0644), KEY_ID);
}

static void test_long_files(void **state)
{
    char *bytes = malloc(FILE_MAX + 2);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', FILE_MAX + 2);
    fails(KF_CHECK_SECRET, file_of(bytes, FILE_MAX + 1, 0600), "is longer than 65536 bytes");
    fails(KF_CHECK_SECRET, file_of(bytes, FILE_MAX + 2, 0600), "is longer than 65536 bytes");
    /* As long as a file may be, and its last byte is looked at too. */
    bytes[FILE_MAX] = '\0';
    resolves(KF_CHECK_SECRET, file_of(bytes, FILE_MAX, 0600), bytes);
    bytes[FILE_MAX - 1] = ' ';
    fails(KF_CHECK_SECRET, file_of(bytes, FILE_MAX, 0600), "printable ASCII without blanks");
    free(bytes);
}

static void test_what_cannot_be_read(void **state)
{
    char *path = apr_pstrcat(pool, folder, "/pipe", NULL);

    (void)state;
    fails(KF_CHECK_SECRET, apr_pstrcat(pool, "file:", folder, "/missing", NULL),
          "/missing cannot be read: No such file");
    fails(KF_CHECK_SECRET, "file:", "file: cannot be read: No such file");
    fails(KF_CHECK_SECRET, apr_pstrcat(pool, "file:", folder, NULL), "is no regular file");
    /* Nobody writes to it, and it is not waited for. */
    assert_int_equal(mkfifo(path, 0600), 0);
    fails(KF_CHECK_SECRET, apr_pstrcat(pool, "file:", path, NULL), "/pipe is no regular file");
    /* Regular by its looks; its first page is nobody's. */
    fails(KF_CHECK_SECRET, "file:/proc/self/mem", "cannot be read: Input/output error");
}

static void test_variables(void **state)
{
    (void)state;
    fails(KF_CHECK_SECRET, "env:KF_TEST_VALUE", "env:KF_TEST_VALUE is not set");
    fails(KF_CHECK_SECRET, "env:", "env: is not set");
    setenv("KF_TEST_VALUE", "", 1);
    fails(KF_CHECK_SECRET, "env:KF_TEST_VALUE", "env:KF_TEST_VALUE is empty");
    setenv("KF_TEST_VALUE", SECRET " ", 1);
    fails(KF_CHECK_SECRET, "env:KF_TEST_VALUE", "what env:KF_TEST_VALUE holds must be printable");
    setenv("KF_TEST_VALUE", "file:/etc/passwd", 1);
    fails(KF_CHECK_SECRET, "env:KF_TEST_VALUE", "what env:KF_TEST_VALUE holds must be printable");
    setenv("KF_TEST_VALUE", "env:HOME", 1);
    fails(KF_CHECK_SECRET, "env:KF_TEST_VALUE", "what env:KF_TEST_VALUE holds must be printable");
    setenv("KF_TEST_VALUE", SECRET, 1);
    resolves(KF_CHECK_SECRET, "env:KF_TEST_VALUE", SECRET);
}

/* It outlives the variable. */
static void test_a_variable_that_changes(void **state)
{
    const char *value = "env:KF_TEST_VALUE";

    (void)state;
    setenv("KF_TEST_VALUE", SECRET, 1);
    assert_null(kf_secret_resolve(pool, KF_CHECK_SECRET, &value));
    setenv("KF_TEST_VALUE", "another", 1);
    unsetenv("KF_TEST_VALUE");
    assert_string_equal(value, SECRET);
}

static void test_references_with_a_mistake(void **state)
{
    (void)state;
    fails(KF_CHECK_SECRET, "File:/etc/x", "file: and env: are written in small letters");
    fails(KF_CHECK_SECRET, "ENV:HOME", "file: and env: are written in small letters");
    fails(KF_CHECK_SECRET, "/etc/passwd", "write file: before the name");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_values_stay),
        T(test_files),
        T(test_who_else_may_read_it),
        T(test_long_files),
        T(test_what_cannot_be_read),
        T(test_variables),
        T(test_a_variable_that_changes),
        T(test_references_with_a_mistake),
    };

    apr_initialize();
    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
