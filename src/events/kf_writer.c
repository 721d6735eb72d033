/* SPDX-License-Identifier: Apache-2.0
 *
 * Copying with parts left out. A text without removals is one span, and a span is one memcpy.
 */
#include "events/kf_writer.h"

#include <stdlib.h>

void kf_writer_init(kf_writer_t *w, const kf_json_t *json, bool one_line)
{
    w->json = json;
    w->p = w->first;
    w->n = 0;
    w->cap = sizeof(w->first);
    w->pos = 0;
    w->one_line = one_line;
    w->failed = false;
}

void kf_writer_free(kf_writer_t *w)
{
    if (w->p != w->first) {
        free(w->p);
    }
    w->p = w->first;
}

static bool grow(kf_writer_t *w, size_t more)
{
    size_t cap = w->cap * 2 > w->n + more ? w->cap * 2 : w->n + more;
    char *p = w->failed ? NULL : realloc(w->p == w->first ? NULL : w->p, cap);
    if (!p) {
        w->failed = true;
        return false;
    }
    if (w->p == w->first) {
        memcpy(p, w->first, w->n);
    }
    w->p = p;
    w->cap = cap;
    return true;
}

void kf_writer_put(kf_writer_t *w, const void *bytes, size_t n)
{
    if ((n > w->cap - w->n && !grow(w, n)) || n == 0) {
        return;
    }
    memcpy(w->p + w->n, bytes, n);
    w->n += n;
}

void kf_writer_put_str(kf_writer_t *w, kf_str_t s)
{
    kf_writer_put(w, s.p, s.n);
}

/* Strings hold no raw control characters, so each line break stands between tokens. */
static void put_span(kf_writer_t *w, const char *p, size_t n)
{
    const char *end = p + n;
    if (!w->one_line || (!memchr(p, '\n', n) && !memchr(p, '\r', n))) {
        kf_writer_put(w, p, n);
        return;
    }
    while (p < end) {
        const char *start = p;
        while (p < end && *p != '\n' && *p != '\r') {
            p++;
        }
        kf_writer_put(w, start, (size_t)(p - start));
        p += p < end;
    }
}

void kf_writer_to(kf_writer_t *w, uint32_t offset)
{
    if (offset > w->pos) {
        put_span(w, w->json->text + w->pos, offset - w->pos);
        w->pos = offset;
    }
}

void kf_writer_put_token(kf_writer_t *w, uint32_t node)
{
    kf_str_t token = kf_json_token(w->json, node);
    put_span(w, token.p, token.n);
}

void kf_writer_replace(kf_writer_t *w, uint32_t node)
{
    kf_writer_to(w, w->json->v[node].start);
    w->pos = w->json->v[node].end;
}

static void cut(kf_writer_t *w, uint32_t container, uint32_t first, uint32_t value, uint32_t *lead)
{
    const kf_json_node_t *v = w->json->v;
    uint32_t from = v[first].start, to = v[value].end, after = v[value].next;
    if (first == *lead) {
        *lead = after;
        if (after < v[container].next) {
            to = v[after].start;
        }
    } else {
        while (w->json->text[from] != ',') {
            from--;
        }
    }
    kf_writer_to(w, from);
    w->pos = to;
}

void kf_writer_cut_member(kf_writer_t *w, uint32_t object, uint32_t key, uint32_t *lead)
{
    cut(w, object, key, key + 1, lead);
}

void kf_writer_cut_element(kf_writer_t *w, uint32_t array, uint32_t element, uint32_t *lead)
{
    cut(w, array, element, element, lead);
}

uint32_t kf_writer_inner_end(const kf_json_t *json, uint32_t container)
{
    const char *text = json->text;
    uint32_t end = json->v[container].end - 1;
    while (text[end - 1] == ' ' || text[end - 1] == '\t' || text[end - 1] == '\n' ||
           text[end - 1] == '\r') {
        end--;
    }
    return end;
}
