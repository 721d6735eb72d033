/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings' structs, driven by the table of directives (kf_settings.h). Must not know httpd nor
 * what single directives are for; what texts must look like is kf_syntax.c's. Configuration time.
 */
#include "base/kf_settings.h"

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <apr_strings.h>
#include <inttypes.h>
#include <strings.h>
#include "base/kf_syntax.h"
#include "base/kf_parse.h"

#ifndef KF_STATEDIR
#define KF_STATEDIR "/var/lib/mod_kinesis_forward"
#endif

/* As much of a value as an error shows. */
#define SHOWN_MAX 200

#define STRUCT_CONN kf_settings_t
#define STRUCT_CONN1 kf_settings_t
#define STRUCT_SERVER kf_process_settings_t
#define STRUCT_LOCATION kf_location_settings_t

const kf_directive_t kf_directives[] = {
#define KF_DIRECTIVE(scope, kind, member, name, deflt, min, max, check, syntax, help) \
    {name, \
     KF_SCOPE_##scope, \
     KF_KIND_##kind, \
     offsetof(STRUCT_##scope, member), \
     deflt, \
     min, \
     max, \
     KF_CHECK_##check, \
     syntax, \
     help},
#include "base/kf_directives.def"
#undef KF_DIRECTIVE
};

const int kf_directive_count = (int)(sizeof kf_directives / sizeof *kf_directives);

/* The value of one directive, by kind. */
typedef union {
    int choice; /* FLAG, CHOICE */
    int64_t number;
    kf_times_t times;
    kf_list_t list;
    const char *text;
} value_t;

/* What TEXT and SECRET point to while unset; `none` is NULL. */
static const char unset_text[] = "";

const kf_directive_t *kf_directive_find(const char *name)
{
    for (int i = 0; i < kf_directive_count; i++)
        if (strcasecmp(kf_directives[i].name, name) == 0)
            return &kf_directives[i];
    return NULL;
}

static kf_scope_t struct_scope(kf_scope_t scope)
{
    return scope == KF_SCOPE_CONN1 ? KF_SCOPE_CONN : scope;
}

size_t kf_scope_size(kf_scope_t scope)
{
    switch (struct_scope(scope)) {
    case KF_SCOPE_SERVER:
        return sizeof(kf_process_settings_t);
    case KF_SCOPE_LOCATION:
        return sizeof(kf_location_settings_t);
    default:
        return sizeof(kf_settings_t);
    }
}

static size_t kind_size(kf_kind_t kind)
{
    switch (kind) {
    case KF_KIND_FLAG:
    case KF_KIND_CHOICE:
        return sizeof(int);
    case KF_KIND_TEXT:
    case KF_KIND_SECRET:
        return sizeof(const char *);
    case KF_KIND_LIST:
        return sizeof(kf_list_t);
    case KF_KIND_TIMES:
        return sizeof(kf_times_t);
    default:
        return sizeof(int64_t);
    }
}

static value_t get(const void *settings, const kf_directive_t *d)
{
    value_t v;

    memcpy(&v, (const char *)settings + d->offset, kind_size(d->kind));
    return v;
}

static void put(void *settings, const kf_directive_t *d, const value_t *v)
{
    memcpy((char *)settings + d->offset, v, kind_size(d->kind));
}

static value_t unset_value(kf_kind_t kind)
{
    switch (kind) {
    case KF_KIND_FLAG:
    case KF_KIND_CHOICE:
        return (value_t){.choice = -1};
    case KF_KIND_TEXT:
    case KF_KIND_SECRET:
        return (value_t){.text = unset_text};
    case KF_KIND_LIST:
        return (value_t){.list = {.n = -1}};
    case KF_KIND_TIMES:
        return (value_t){.times = {.base = -1, .cap = -1}};
    default:
        return (value_t){.number = -1};
    }
}

bool kf_setting_is_set(const void *settings, const kf_directive_t *d)
{
    value_t v = get(settings, d);

    switch (d->kind) {
    case KF_KIND_FLAG:
    case KF_KIND_CHOICE:
        return v.choice >= 0;
    case KF_KIND_TEXT:
    case KF_KIND_SECRET:
        return v.text != unset_text;
    case KF_KIND_LIST:
        return v.list.n >= 0;
    case KF_KIND_TIMES:
        return v.times.base >= 0;
    default:
        return v.number >= 0;
    }
}

/* The next row of the struct of scope after row i; the count if there is none. */
static int next_row(kf_scope_t scope, int i)
{
    do
        i++;
    while (i < kf_directive_count && struct_scope(kf_directives[i].scope) != struct_scope(scope));
    return i;
}

void *kf_settings_create(apr_pool_t *pool, kf_scope_t scope)
{
    void *settings = apr_pcalloc(pool, kf_scope_size(scope));

    for (int i = next_row(scope, -1); i < kf_directive_count; i = next_row(scope, i)) {
        value_t v = unset_value(kf_directives[i].kind);

        put(settings, &kf_directives[i], &v);
    }
    return settings;
}

/* ---- errors ---- */

/* A URL may hold a password even where it must not. */
static bool is_confidential(const kf_directive_t *d, const char *text)
{
    return d->kind == KF_KIND_SECRET ||
           ((d->check == KF_CHECK_PROXY || d->check == KF_CHECK_ENDPOINT) && strchr(text, '@'));
}

/* The value as an error shows it. */
static const char *shown(apr_pool_t *pool, const kf_directive_t *d, const char *text)
{
    char *copy;

    if (is_confidential(d, text))
        return "(value not shown)";
    copy = apr_pstrndup(pool, text, SHOWN_MAX);
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return apr_psprintf(pool, "\"%s%s\"", copy, strlen(text) > SHOWN_MAX ? "..." : "");
}

static const char *refuse(apr_pool_t *pool, const kf_directive_t *d, const char *text,
                          const char *allowed)
{
    return apr_psprintf(pool, "%s %s: must be %s", d->name, shown(pool, d, text), allowed);
}

static const char *show_time(apr_pool_t *pool, int64_t us)
{
    static const struct {
        int64_t us;
        const char *unit;
    } units[] = {{INT64_C(3600000000), "h"}, {INT64_C(60000000), "min"}, {1000000, "s"}};

    for (size_t i = 0; us > 0 && i < sizeof units / sizeof *units; i++)
        if (us % units[i].us == 0)
            return apr_psprintf(pool, "%" PRId64 "%s", us / units[i].us, units[i].unit);
    return us == 0 ? "0" : apr_psprintf(pool, "%" PRId64 "ms", us / 1000);
}

static const char *show_size(apr_pool_t *pool, int64_t bytes)
{
    static const char units[] = "GMK";

    for (int i = 0; units[i]; i++)
        if (bytes % (INT64_C(1) << (30 - 10 * i)) == 0)
            return apr_psprintf(pool, "%" PRId64 "%c", bytes >> (30 - 10 * i), units[i]);
    return apr_psprintf(pool, "%" PRId64, bytes);
}

/* What a number of the row must be. */
static const char *allowed_number(apr_pool_t *pool, const kf_directive_t *d)
{
    switch (d->kind) {
    case KF_KIND_TIME:
    case KF_KIND_TIMES:
        return apr_psprintf(pool, "%s to %s (digits, then ms, s, mi, min or h; no unit: seconds)",
                            show_time(pool, d->min), show_time(pool, d->max));
    case KF_KIND_SIZE:
        return apr_psprintf(pool, "%s to %s (digits, then K, M or G; no unit: bytes)",
                            show_size(pool, d->min), show_size(pool, d->max));
    default:
        return apr_psprintf(pool, "a whole number from %" PRId64 " to %" PRId64 "%s", d->min,
                            d->max, d->check == KF_CHECK_PERCENT ? ", without a sign" : "");
    }
}

/* The choices of a syntax "a|b|c" as "a, b or c". */
static const char *allowed_choices(apr_pool_t *pool, const char *syntax)
{
    const char *last = strrchr(syntax, '|');
    const char *text = "";

    for (const char *p = syntax, *end; p; p = end ? end + 1 : NULL) {
        end = strchr(p, '|');
        text = apr_psprintf(pool, "%s%s%.*s", text,
                            p == syntax ? ""
                            : p > last  ? " or "
                                        : ", ",
                            end ? (int)(end - p) : (int)strlen(p), p);
    }
    return text;
}

/* ---- reading values ---- */

static bool is_none(const char *text)
{
    return strcasecmp(text, "none") == 0;
}

/* Whether "no value" is a value: where there is another default something must stand. */
static bool may_be_none(const kf_directive_t *d)
{
    return is_none(d->deflt);
}

static const char *read_choice(apr_pool_t *pool, const kf_directive_t *d, const char *text,
                               value_t *out)
{
    size_t n = strlen(text);
    int i = 0;

    for (const char *p = d->syntax, *end; p; p = end ? end + 1 : NULL, i++) {
        end = strchr(p, '|');
        if ((end ? (size_t)(end - p) : strlen(p)) == n && strncasecmp(p, text, n) == 0) {
            out->choice = i;
            return NULL;
        }
    }
    return refuse(pool, d, text, allowed_choices(pool, d->syntax));
}

static const char *read_number(apr_pool_t *pool, const kf_directive_t *d, const char *text,
                               int64_t *out)
{
    kf_str_t s = kf_str_of(text);
    bool good;

    if (d->kind == KF_KIND_SIZE)
        good = kf_parse_size(s, out);
    else if (d->kind == KF_KIND_COUNT)
        good = kf_parse_i64(s, out);
    else
        good = kf_parse_time(s, out);
    return good ? NULL : refuse(pool, d, text, allowed_number(pool, d));
}

static const char *read_times(apr_pool_t *pool, const kf_directive_t *d, const char *const *argv,
                              value_t *out)
{
    const char *error = read_number(pool, d, argv[0], &out->times.base);

    return error ? error : read_number(pool, d, argv[1], &out->times.cap);
}

/* The words of KinesisPartitionKey are told from members' names by their lower case. */
static const char *canonical(const kf_directive_t *d, const char *text)
{
    static const char *const words[] = {"auto", "mpid", "device", "random"};

    for (size_t i = 0; d->check == KF_CHECK_PARTITION_KEY && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return words[i];
    return text;
}

static const char *read_text(apr_pool_t *pool, const kf_directive_t *d, const char *text,
                             value_t *out)
{
    if (is_none(text) && may_be_none(d)) {
        out->text = NULL;
        return NULL;
    }
    if (is_none(text) || !kf_syntax_fits(d->check, kf_str_of(text)))
        return refuse(pool, d, text, kf_syntax_allowed(d->check));
    out->text = apr_pstrdup(pool, canonical(d, text));
    return NULL;
}

/* What an element must be besides its look. */
static const char *check_element(apr_pool_t *pool, const kf_directive_t *d, int i,
                                 const char *const *argv)
{
    if (d->check == KF_CHECK_PROGRAM && i > 0)
        return NULL;
    if (is_none(argv[i]))
        return apr_psprintf(pool, "%s: none stands alone", d->name);
    if (d->check == KF_CHECK_ORIGIN && strcmp(argv[i], "*") == 0)
        return apr_psprintf(pool, "%s: * stands alone", d->name);
    for (int k = 0; d->check == KF_CHECK_CONNECTION && k < i; k++)
        if (strcmp(argv[k], argv[i]) == 0)
            return refuse(pool, d, argv[i], "named once");
    return NULL;
}

static const char *read_list(apr_pool_t *pool, const kf_directive_t *d, int argc,
                             const char *const *argv, value_t *out)
{
    const char **copy = apr_palloc(pool, (size_t)argc * sizeof *copy);
    const char *error = NULL;

    if (argc == 1 && is_none(argv[0])) {
        out->list = (kf_list_t){0};
        return NULL;
    }
    for (int i = 0; i < argc; i++) {
        bool is_argument = d->check == KF_CHECK_PROGRAM && i > 0;

        if (!is_argument && !kf_syntax_fits(d->check, kf_str_of(argv[i])))
            return refuse(pool, d, argv[i], kf_syntax_allowed(d->check));
        if (argc > 1)
            error = check_element(pool, d, i, argv);
        if (error)
            return error;
        copy[i] = apr_pstrdup(pool, argv[i]);
    }
    out->list = (kf_list_t){argc, copy};
    return NULL;
}

static const char *check_count(apr_pool_t *pool, const kf_directive_t *d, int argc)
{
    int64_t min = d->kind == KF_KIND_LIST ? d->min : d->kind == KF_KIND_TIMES ? 2 : 1;
    int64_t max = d->kind == KF_KIND_LIST ? d->max : min;

    if (argc >= min && argc <= max)
        return NULL;
    if (min == max)
        return apr_psprintf(pool, "%s takes %s argument%s: %s", d->name, min == 1 ? "one" : "two",
                            min == 1 ? "" : "s", d->syntax);
    return apr_psprintf(pool, "%s takes %" PRId64 " to %" PRId64 " arguments: %s", d->name, min,
                        max, d->syntax);
}

static const char *read_value(apr_pool_t *pool, const kf_directive_t *d, int argc,
                              const char *const *argv, value_t *out)
{
    switch (d->kind) {
    case KF_KIND_FLAG:
        return kf_parse_flag(kf_str_of(argv[0]), &out->choice)
                   ? NULL
                   : refuse(pool, d, argv[0], "On or Off");
    case KF_KIND_CHOICE:
        return read_choice(pool, d, argv[0], out);
    case KF_KIND_TEXT:
    case KF_KIND_SECRET:
        return read_text(pool, d, argv[0], out);
    case KF_KIND_LIST:
        return read_list(pool, d, argc, argv, out);
    case KF_KIND_TIMES:
        return read_times(pool, d, argv, out);
    default:
        return read_number(pool, d, argv[0], &out->number);
    }
}

static const char *check_range(apr_pool_t *pool, const kf_directive_t *d, const char *const *argv,
                               const value_t *v)
{
    int64_t low, high;

    switch (d->kind) {
    case KF_KIND_TIME:
    case KF_KIND_SIZE:
    case KF_KIND_COUNT:
        low = high = v->number;
        break;
    case KF_KIND_TIMES:
        low = v->times.base;
        high = v->times.cap;
        break;
    default:
        return NULL;
    }
    if (low < d->min || low > d->max)
        return refuse(pool, d, argv[0], allowed_number(pool, d));
    if (high < d->min || high > d->max)
        return refuse(pool, d, argv[1], allowed_number(pool, d));
    if (low > high)
        return apr_psprintf(pool, "%s %s %s: the first must not be above the second", d->name,
                            shown(pool, d, argv[0]), shown(pool, d, argv[1]));
    return NULL;
}

const char *kf_setting_set(apr_pool_t *pool, void *settings, const kf_directive_t *d, int argc,
                           const char *const *argv)
{
    value_t v = unset_value(d->kind);
    const char *error = check_count(pool, d, argc);

    if (!error)
        error = read_value(pool, d, argc, argv, &v);
    if (!error)
        error = check_range(pool, d, argv, &v);
    if (!error)
        put(settings, d, &v);
    return error;
}

void *kf_settings_merge(apr_pool_t *pool, kf_scope_t scope, const void *base, const void *over)
{
    void *merged = apr_pmemdup(pool, base, kf_scope_size(scope));

    for (int i = next_row(scope, -1); i < kf_directive_count; i = next_row(scope, i)) {
        const kf_directive_t *d = &kf_directives[i];

        if (kf_setting_is_set(over, d)) {
            value_t v = get(over, d);

            put(merged, d, &v);
        }
    }
    return merged;
}

/* Reads the row's default, its range not looked at: a default may stand for "depends". */
static value_t default_value(apr_pool_t *pool, const kf_directive_t *d)
{
    value_t v = unset_value(d->kind);
    const char *argv[2] = {d->deflt, NULL};
    const char *blank = d->kind == KF_KIND_TIMES ? strchr(d->deflt, ' ') : NULL;

    if (blank) {
        argv[0] = apr_pstrmemdup(pool, d->deflt, (size_t)(blank - d->deflt));
        argv[1] = blank + 1;
    }
    read_value(pool, d, 1, argv, &v);
    return v;
}

void *kf_settings_finish(apr_pool_t *pool, kf_scope_t scope, const void *settings)
{
    void *finished = apr_pmemdup(pool, settings, kf_scope_size(scope));

    for (int i = next_row(scope, -1); i < kf_directive_count; i = next_row(scope, i)) {
        const kf_directive_t *d = &kf_directives[i];

        if (!kf_setting_is_set(settings, d)) {
            value_t v = default_value(pool, d);

            put(finished, d, &v);
        }
    }
    return finished;
}
