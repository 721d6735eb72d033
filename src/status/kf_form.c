/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms (kf_form.h). Must not know what is in them.
 */
#include "status/kf_form.h"

#include "base/kf_parse.h"

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const char *decode(apr_pool_t *pool, kf_str_t text)
{
    char *out = apr_palloc(pool, text.n + 1), *to = out;

    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '%' && i + 2 < text.n ? digit_of(text.p[i + 1]) : -1;
        int low = high >= 0 ? digit_of(text.p[i + 2]) : -1;

        if (low >= 0) {
            *to++ = (char)(high << 4 | low);
            i += 2;
        } else {
            *to++ = text.p[i];
            if (text.p[i] == '+')
                to[-1] = ' ';
        }
    }
    *to = '\0';
    return out;
}

static size_t find(kf_str_t text, char c)
{
    const char *at = text.n > 0 ? memchr(text.p, c, text.n) : NULL;

    return at ? (size_t)(at - text.p) : text.n;
}

static int count_of(kf_str_t text)
{
    int n = 1;

    for (size_t i = 0; i < text.n && n < KF_FORM_MAX; i++)
        n += text.p[i] == '&';
    return n;
}

void kf_form_parse(apr_pool_t *pool, kf_str_t text, kf_form_t *form)
{
    int most = count_of(text);

    *form = (kf_form_t){.fields = apr_palloc(pool, (size_t)most * sizeof *form->fields)};
    while (text.n > 0 && form->n < most) {
        size_t end = find(text, '&');
        kf_str_t field = {text.p, end};
        size_t name = find(field, '=');
        size_t after = name < end ? name + 1 : end;

        if (end > 0)
            form->fields[form->n++] =
                (kf_form_field_t){decode(pool, (kf_str_t){field.p, name}),
                                  decode(pool, (kf_str_t){field.p + after, end - after})};
        if (end == text.n)
            break;
        text.p += end + 1;
        text.n -= end + 1;
    }
}

const char *kf_form_get(const kf_form_t *form, const char *name)
{
    for (int i = 0; i < form->n; i++)
        if (strcmp(form->fields[i].name, name) == 0)
            return form->fields[i].value;
    return NULL;
}

bool kf_form_number(const char *text, int64_t *number)
{
    return text && kf_parse_i64(kf_str_of(text), number) && *number > 0;
}
