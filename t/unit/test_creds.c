/* SPDX-License-Identifier: Apache-2.0
 *
 * Static credentials: what is handed out, for how long, and from several threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include "aws/kf_creds.h"

static kf_creds_t *creds_of(const char *id, const char *secret, const char *token)
{
    kf_settings_t settings = {
        .access_key_id = id, .secret_access_key = secret, .session_token = token};
    kf_creds_t *creds = kf_creds_create(&settings);

    assert_non_null(creds);
    return creds;
}

static void test_static_keys(void **state)
{
    char secret[] = "wJalrXUtnFEMI";
    kf_creds_t *creds = creds_of("AKIDEXAMPLE", secret, NULL);
    const char *why = NULL;
    kf_keys_t *keys;

    (void)state;
    /* Copied: the caller may wipe its own. */
    memset(secret, 'x', sizeof secret - 1);
    keys = kf_creds_get(creds, &why);
    assert_non_null(keys);
    assert_null(why);
    assert_string_equal(kf_keys_of(keys)->access_key_id, "AKIDEXAMPLE");
    assert_string_equal(kf_keys_of(keys)->secret_access_key, "wJalrXUtnFEMI");
    assert_null(kf_keys_of(keys)->session_token);
    assert_false(kf_creds_refuse(creds, keys));
    kf_keys_release(keys);
    kf_creds_destroy(creds);
}

static void test_session_token(void **state)
{
    kf_creds_t *creds = creds_of("A", "S", "token==");
    const char *why;
    kf_keys_t *keys = kf_creds_get(creds, &why);

    (void)state;
    assert_string_equal(kf_keys_of(keys)->session_token, "token==");
    kf_keys_release(keys);
    kf_creds_destroy(creds);
}

static void test_none(void **state)
{
    const char *why = NULL;
    kf_creds_t *creds = creds_of(NULL, NULL, NULL);

    (void)state;
    assert_null(kf_creds_get(creds, &why));
    assert_non_null(strstr(why, "KinesisAccessKeyId"));
    kf_creds_destroy(creds);
    creds = creds_of("A", NULL, NULL);
    assert_null(kf_creds_get(creds, &why));
    kf_creds_destroy(creds);
    kf_creds_destroy(NULL);
    kf_keys_release(NULL);
}

static void test_keys_outlive_creds(void **state)
{
    kf_creds_t *creds = creds_of("A", "S", NULL);
    const char *why;
    kf_keys_t *keys = kf_creds_get(creds, &why);
    kf_keys_t *again = kf_creds_get(creds, &why);

    (void)state;
    assert_ptr_equal(keys, again);
    kf_creds_destroy(creds);
    kf_keys_release(again);
    assert_string_equal(kf_keys_of(keys)->secret_access_key, "S");
    kf_keys_release(keys);
}

static void *get_and_release(void *context)
{
    const char *why;

    for (int i = 0; i < 20000; i++)
        kf_keys_release(kf_creds_get(context, &why));
    return NULL;
}

static void test_threads(void **state)
{
    kf_creds_t *creds = creds_of("A", "S", NULL);
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_release, creds), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    test_static_keys(NULL);
    kf_creds_destroy(creds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_keys), cmocka_unit_test(test_session_token),
        cmocka_unit_test(test_none),        cmocka_unit_test(test_keys_outlive_creds),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests_name("creds", tests, NULL, NULL);
}
