/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands behind directives: the first byte says which one, the rest is its arguments, 0x1f between
 * them. What is taken must be in range and fit for where it is used; what is not must be said without
 * quoting a secret; merging and finishing must keep it.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <string.h>
#include "base/kf_settings.h"
#include "fuzz_check.h"

#define ARGS_MAX 80
#define SEPARATOR 0x1f
/* Ends each secret, so that a message which quotes one is told from a message's own words. */
#define SECRET_END "+told+everyone+"

static apr_pool_t *pool;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    return 0;
}

static int split(const kf_directive_t *d, const char *p, size_t n, const char **argv)
{
    const char *end = p + n;
    int argc = 0;

    while (p < end && argc < ARGS_MAX) {
        const char *stop = memchr(p, SEPARATOR, (size_t)(end - p));

        stop = stop ? stop : end;
        argv[argc] = apr_pstrmemdup(pool, p, (size_t)(stop - p));
        if (d->kind == KF_KIND_SECRET && strcasecmp(argv[argc], "none") != 0)
            argv[argc] = apr_pstrcat(pool, argv[argc], SECRET_END, NULL);
        argc++;
        p = stop + 1;
    }
    return argc;
}

/* These reach URLs, header lines and documents. */
static bool has_form(kf_check_t check)
{
    return check != KF_CHECK_NONE && check != KF_CHECK_UTF8 && check != KF_CHECK_RUN_FILE &&
           check != KF_CHECK_STORE_DIR && check != KF_CHECK_PROGRAM &&
           check != KF_CHECK_PARTITION_KEY && check != KF_CHECK_EXCLUDE_PATH;
}

static void check_text(const kf_directive_t *d, const char *text)
{
    /* An argument of a program may be empty. */
    CHECK(*text || d->check == KF_CHECK_PROGRAM);
    for (; *text && has_form(d->check); text++)
        CHECK(*text > ' ' && *text < 0x7f);
}

static void check_number(const kf_directive_t *d, int64_t value)
{
    CHECK(value >= d->min && value <= d->max);
}

static void check_value(const kf_directive_t *d, const void *settings)
{
    const void *at = (const char *)settings + d->offset;
    const char *const *text = at;
    const int *word = at;
    const int64_t *number = at;
    const kf_list_t *list = at;
    const kf_times_t *times = at;

    switch (d->kind) {
    case KF_KIND_FLAG:
        CHECK(*word == 0 || *word == 1);
        break;
    case KF_KIND_CHOICE:
        CHECK(*word >= 0 && *word < 3);
        break;
    case KF_KIND_TEXT:
    case KF_KIND_SECRET:
        if (*text)
            check_text(d, *text);
        break;
    case KF_KIND_LIST:
        CHECK(list->n >= 0 && list->n <= d->max);
        for (int i = 0; i < list->n; i++)
            check_text(d, list->v[i]);
        break;
    case KF_KIND_TIMES:
        check_number(d, times->base);
        check_number(d, times->cap);
        CHECK(times->base <= times->cap);
        break;
    default:
        check_number(d, *number);
    }
}

static void check_taken(const kf_directive_t *d, const void *settings)
{
    void *empty = kf_settings_create(pool, d->scope);
    void *under = kf_settings_merge(pool, d->scope, settings, empty);
    void *over = kf_settings_merge(pool, d->scope, empty, settings);
    void *finished = kf_settings_finish(pool, d->scope, settings);
    size_t size = kf_scope_size(d->scope);

    CHECK(kf_setting_is_set(settings, d) && !kf_setting_is_set(empty, d));
    CHECK(kf_setting_is_set(under, d) && kf_setting_is_set(over, d));
    CHECK(memcmp(under, over, size) == 0);
    check_value(d, finished);
    check_value(d, kf_settings_finish(pool, d->scope, over));
}

static void check_refused(const kf_directive_t *d, const void *settings, const char *error)
{
    CHECK(strstr(error, d->name));
    CHECK(d->kind != KF_KIND_SECRET || !strstr(error, SECRET_END));
    CHECK(!kf_setting_is_set(settings, d));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *argv[ARGS_MAX];

    if (size < 1)
        return 0;
    const kf_directive_t *d = &kf_directives[data[0] % kf_directive_count];
    void *settings = kf_settings_create(pool, d->scope);
    int argc = split(d, (const char *)data + 1, size - 1, argv);
    const char *error = kf_setting_set(pool, settings, d, argc, argv);

    if (error)
        check_refused(d, settings, error);
    else
        check_taken(d, settings);
    apr_pool_clear(pool);
    return 0;
}
