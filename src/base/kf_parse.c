/* SPDX-License-Identifier: Apache-2.0
 *
 * Text to bounded value (kf_parse.h). Must not know which directive or header the text is of. Pure;
 * any thread.
 */
#include "base/kf_parse.h"

#include <strings.h>

/* Reads the digits at the start of *text and takes them off. */
static bool take_digits(kf_str_t *text, int64_t *out)
{
    int64_t v = 0;
    size_t i = 0;

    for (; i < text->n && text->p[i] >= '0' && text->p[i] <= '9'; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text->p[i] - '0', &v))
            return false;
    if (i == 0)
        return false;
    *text = (kf_str_t){text->p + i, text->n - i};
    *out = v;
    return true;
}

static bool is_word(kf_str_t text, const char *word)
{
    return text.n == strlen(word) && strncasecmp(text.p, word, text.n) == 0;
}

bool kf_parse_i64(kf_str_t text, int64_t *out)
{
    int64_t v;

    if (!take_digits(&text, &v) || text.n != 0)
        return false;
    *out = v;
    return true;
}

typedef struct {
    const char *word;
    int64_t factor;
} kf_unit_t;

static bool parse_with_unit(kf_str_t text, const kf_unit_t *units, int n, int64_t *out)
{
    int64_t v;

    if (!take_digits(&text, &v))
        return false;
    for (int i = 0; i < n; i++)
        if (is_word(text, units[i].word))
            return !__builtin_mul_overflow(v, units[i].factor, out);
    return false;
}

bool kf_parse_time(kf_str_t text, int64_t *out)
{
    static const kf_unit_t units[] = {
        {"", 1000000},
        {"ms", 1000},
        {"s", 1000000},
        {"mi", INT64_C(60000000)},
        {"min", INT64_C(60000000)},
        {"h", INT64_C(3600000000)},
    };
    int64_t v;

    if (!parse_with_unit(text, units, sizeof units / sizeof *units, &v))
        return false;
    *out = v;
    return true;
}

bool kf_parse_size(kf_str_t text, int64_t *out)
{
    static const kf_unit_t units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};
    int64_t v;

    if (!parse_with_unit(text, units, sizeof units / sizeof *units, &v))
        return false;
    *out = v;
    return true;
}

bool kf_parse_flag(kf_str_t text, int *out)
{
    if (is_word(text, "On"))
        *out = 1;
    else if (is_word(text, "Off"))
        *out = 0;
    else
        return false;
    return true;
}
