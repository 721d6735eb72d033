/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a source of credentials may answer: the first byte says in which form it is read (JSON of a
 * container, of the instance, of a program; XML of STS; a time; a URL).
 */
#include <apr_general.h>
#include <stdint.h>
#include <stdlib.h>
#include "aws/kf_creds_reply.h"
#include "aws/kf_url.h"

#define NOW_US (INT64_C(1795362330) * 1000000)

static void check_word(const char *text)
{
    if (!*text)
        abort();
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            abort();
}

/* Keys go into header lines. */
static void check_found(bool ok, kf_creds_found_t *found)
{
    if (ok != (found->keys != NULL))
        abort();
    if (!ok)
        return;
    check_word(kf_keys_of(found->keys)->access_key_id);
    check_word(kf_keys_of(found->keys)->secret_access_key);
    if (kf_keys_of(found->keys)->session_token)
        check_word(kf_keys_of(found->keys)->session_token);
    kf_keys_release(found->keys);
}

static void check_text(const char *text, size_t size)
{
    if (!memchr(text, '\0', size))
        abort();
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            abort();
}

static void read_json(kf_str_t text, kf_creds_json_t form)
{
    kf_creds_found_t found = {0};
    char why[200] = "";
    bool ok = kf_creds_read_json(text, form, NOW_US, &found, why, sizeof why);

    check_text(why, sizeof why);
    if (ok == (why[0] != '\0'))
        abort();
    check_found(ok, &found);
}

static void read_sts(apr_pool_t *pool, kf_str_t text)
{
    kf_creds_found_t found = {0};
    kf_creds_sts_error_t error;
    bool ok = kf_creds_read_sts(pool, text, NOW_US, &found, &error);

    check_text(error.code, sizeof error.code);
    check_text(error.message, sizeof error.message);
    check_found(ok, &found);
}

static void read_url(apr_pool_t *pool, kf_str_t text)
{
    char *copy = malloc(text.n + 1);
    kf_url_t url;

    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (kf_url_parse(pool, copy, &url)) {
        check_word(url.host);
        check_word(url.base);
        check_word(url.path);
        (void)kf_url_is_loopback(&url);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    kf_str_t text = {(const char *)data + 1, size - 1};
    apr_pool_t *pool;
    int64_t at;

    if (size < 1)
        return 0;
    if (!is_ready)
        apr_initialize();
    is_ready = true;
    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    switch (data[0] % 6) {
    case 3:
        read_sts(pool, text);
        break;
    case 4:
        if (kf_creds_read_time(text, &at) && at < -86400 * INT64_C(1000000))
            abort();
        break;
    case 5:
        read_url(pool, text);
        break;
    default:
        read_json(text, (kf_creds_json_t)(data[0] % 6));
    }
    apr_pool_destroy(pool);
    return 0;
}
