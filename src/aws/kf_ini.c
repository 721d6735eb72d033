/* SPDX-License-Identifier: Apache-2.0
 *
 * Reader of kf_ini.h. Must not know what settings mean. Pure; any thread.
 */
#include "aws/kf_ini.h"

#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static kf_str_t trimmed(kf_str_t s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool is_comment(char c)
{
    return c == '#' || c == ';';
}

/* Cuts a comment off, which begins the line or follows a blank. */
static kf_str_t without_comment(kf_str_t line)
{
    for (size_t i = 0; i < line.n; i++)
        if (is_comment(line.p[i]) && (i == 0 || is_blank(line.p[i - 1])))
            line.n = i;
    return line;
}

static kf_str_t take_line(kf_str_t *text)
{
    const char *end = memchr(text->p, '\n', text->n);
    kf_str_t line = {text->p, end ? (size_t)(end - text->p) : text->n};
    size_t taken = line.n + (end ? 1 : 0);

    text->p += taken;
    text->n -= taken;
    return line;
}

/* @return whether it is a section's head; *out is what stands between the brackets */
static bool read_section(kf_str_t line, kf_str_t *out)
{
    if (line.n < 2 || line.p[0] != '[' || line.p[line.n - 1] != ']')
        return false;
    *out = trimmed((kf_str_t){line.p + 1, line.n - 2});
    return out->n > 0;
}

static bool read_setting(kf_str_t line, kf_ini_item_t *item)
{
    const char *sign = memchr(line.p, '=', line.n);
    size_t at;

    if (!sign)
        return false;
    at = (size_t)(sign - line.p);
    item->name = trimmed((kf_str_t){line.p, at});
    item->value = trimmed((kf_str_t){sign + 1, line.n - at - 1});
    return item->name.n > 0;
}

int kf_ini_parse(kf_str_t text, kf_ini_fn *fn, void *context)
{
    kf_ini_item_t item = {0};
    kf_str_t whole = {0}; /* the last setting if it had no value: indented lines are its parts */

    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = (kf_str_t){text.p + 3, text.n - 3};
    for (int number = 1; text.n > 0; number++) {
        kf_str_t raw = take_line(&text);
        kf_str_t line = trimmed(without_comment(raw));

        if (line.n == 0)
            continue;
        item.part_of = is_blank(raw.p[0]) ? whole : (kf_str_t){0};
        if (item.part_of.n > 0) {
            if (!memchr(line.p, '\0', line.n) && read_setting(line, &item))
                fn(context, &item);
            continue;
        }
        if (memchr(line.p, '\0', line.n))
            return number;
        item.name = item.value = whole = (kf_str_t){0};
        if (line.p[0] == '[') {
            if (!read_section(line, &item.section))
                return number;
        } else {
            if (item.section.n == 0 || !read_setting(line, &item))
                return number;
            whole = item.value.n == 0 ? item.name : (kf_str_t){0};
        }
        fn(context, &item);
    }
    return 0;
}

bool kf_ini_is(kf_str_t name, const char *wanted)
{
    return name.n == strlen(wanted) && strncasecmp(name.p, wanted, name.n) == 0;
}
