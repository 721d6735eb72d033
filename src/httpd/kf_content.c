/* SPDX-License-Identifier: Apache-2.0
 *
 * Content-Type and Content-Encoding (kf_content.h). Must not know connections. The request's thread.
 */
#include "httpd/kf_content.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <util_filter.h>
#include "base/kf_str.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static kf_str_t trim(kf_str_t s)
{
    while (s.n > 0 && is_blank(s.p[0]))
        s = (kf_str_t){s.p + 1, s.n - 1};
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool is_word(kf_str_t s, const char *word)
{
    return s.n == strlen(word) && ap_cstr_casecmpn(s.p, word, s.n) == 0;
}

/* ---- Content-Type ---- */

/* Takes what stands before the next ';' that is not inside quotes. */
static kf_str_t take_part(kf_str_t *rest)
{
    kf_str_t part = {rest->p, 0};
    bool quoted = false;

    while (part.n < rest->n && (quoted || rest->p[part.n] != ';')) {
        if (rest->p[part.n] == '"')
            quoted = !quoted;
        else if (quoted && rest->p[part.n] == '\\' && part.n + 1 < rest->n)
            part.n++;
        part.n++;
    }
    rest->p += part.n;
    rest->n -= part.n;
    if (rest->n > 0) {
        rest->p++;
        rest->n--;
    }
    return trim(part);
}

/* Compares a parameter's value, a token or a quoted string, with a word. */
static bool value_is(kf_str_t value, const char *word)
{
    size_t i = 0;
    size_t k = 0;

    if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"')
        return is_word(value, word);
    value = (kf_str_t){value.p + 1, value.n - 2};
    for (; i < value.n && word[k]; i++, k++) {
        if (value.p[i] == '\\' && i + 1 < value.n)
            i++;
        if (apr_tolower(value.p[i]) != apr_tolower(word[k]))
            return false;
    }
    return i == value.n && !word[k];
}

/* UTF-8 has the other spelling in practice; ASCII is the alias of US-ASCII. */
static bool is_good_charset(kf_str_t value)
{
    return value_is(value, "utf-8") || value_is(value, "utf8") || value_is(value, "us-ascii") ||
           value_is(value, "ascii");
}

const char *kf_content_type_fault(const char *type)
{
    kf_str_t rest = trim(kf_str_of(type));
    kf_str_t part;

    if (rest.n == 0)
        return NULL;
    part = take_part(&rest);
    if (!is_word(part, "application/json") && !is_word(part, "text/plain"))
        return "the Content-Type must be application/json or text/plain";
    while (rest.n > 0) {
        const char *equals;

        part = take_part(&rest);
        equals = part.n ? memchr(part.p, '=', part.n) : NULL;
        if (equals && is_word(trim((kf_str_t){part.p, (size_t)(equals - part.p)}), "charset") &&
            !is_good_charset(trim((kf_str_t){equals + 1, part.n - (size_t)(equals - part.p) - 1})))
            return "the charset of the Content-Type must be UTF-8 or US-ASCII";
    }
    return NULL;
}

/* ---- Content-Encoding ---- */

/* Takes the last coding off a list, identity and empty ones not counted; n == 0: there is none. */
static kf_str_t take_last_coding(kf_str_t *list)
{
    while (list->n > 0) {
        size_t start = list->n;
        kf_str_t coding;

        while (start > 0 && list->p[start - 1] != ',')
            start--;
        coding = trim((kf_str_t){list->p + start, list->n - start});
        list->n = start > 0 ? start - 1 : 0;
        if (coding.n > 0 && !is_word(coding, "identity"))
            return coding;
    }
    return (kf_str_t){list->p, 0};
}

static kf_str_t codings_of(const request_rec *r)
{
    return kf_str_of(apr_table_get(r->headers_in, "Content-Encoding"));
}

bool kf_content_is_encoded(const request_rec *r)
{
    kf_str_t list = codings_of(r);

    return take_last_coding(&list).n > 0;
}

bool kf_content_stays_encoded(const request_rec *r)
{
    kf_str_t list = codings_of(r);
    kf_str_t coding = take_last_coding(&list);

    for (const ap_filter_t *f = r->input_filters; f && f != r->proto_input_filters && coding.n > 0;
         f = f->next) {
        /* What filters of other modules do cannot be known before they are asked. */
        if (strcmp(f->frec->name, "deflate") != 0)
            return false;
        /* mod_deflate's takes one coding off, if it is the last and its own. */
        if (is_word(coding, "gzip") || is_word(coding, "x-gzip"))
            coding = take_last_coding(&list);
    }
    return coding.n > 0;
}
