/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids seen before. A form is a tag and the id: 16 bytes of a UUID all in lower or all in upper case,
 * or any bytes with their length before them.
 */
#include "delivery/kf_seen.h"

#include <stdlib.h>

#define UUID_CHARS 36
#define UUID_BYTES 16
#define FORMS_MAX ((size_t)256 * 1024 * 1024)
#define REQUEST UINT32_MAX

enum { LOWER = 0, UPPER = 1, PLAIN = 2, TAG_MASK = 3 };

static int hex_digit(char c, char ten)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= ten && c < ten + 6 ? c - ten + 10 : -1;
}

/* @return false if the id is no UUID with letters of this case */
static bool pack_uuid(kf_str_t id, char ten, char out[UUID_BYTES])
{
    if (id.n != UUID_CHARS) {
        return false;
    }
    for (size_t i = 0, o = 0; i < UUID_CHARS;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (id.p[i++] != '-') {
                return false;
            }
            continue;
        }
        int high = hex_digit(id.p[i], ten), low = hex_digit(id.p[i + 1], ten);
        if (high < 0 || low < 0) {
            return false;
        }
        out[o++] = (char)(high << 4 | low);
        i += 2;
    }
    return true;
}

void kf_seen_put(kf_buf_t *list, kf_seen_of_t of, kf_str_t id)
{
    char uuid[UUID_BYTES];

    if (pack_uuid(id, 'a', uuid)) {
        kf_buf_putc(list, (char)(of | LOWER));
        kf_buf_put(list, uuid, sizeof(uuid));
    } else if (pack_uuid(id, 'A', uuid)) {
        kf_buf_putc(list, (char)(of | UPPER));
        kf_buf_put(list, uuid, sizeof(uuid));
    } else {
        uint32_t n = (uint32_t)id.n;
        kf_buf_putc(list, (char)(of | PLAIN));
        kf_buf_put(list, &n, sizeof(n));
        kf_buf_put_str(list, id);
    }
}

bool kf_seen_next(kf_str_t *list, kf_str_t *form)
{
    size_t n = 1 + UUID_BYTES;

    if (list->n == 0) {
        return false;
    }
    if ((list->p[0] & TAG_MASK) == PLAIN) {
        uint32_t plain;
        if (list->n < 1 + sizeof(plain)) {
            return false;
        }
        memcpy(&plain, list->p + 1, sizeof(plain));
        n = 1 + sizeof(plain) + plain;
    }
    if (list->n < n) {
        return false;
    }
    *form = (kf_str_t){list->p, n};
    list->p += n;
    list->n -= n;
    return true;
}

static int compare_forms(kf_str_t a, kf_str_t b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare(const void *a, const void *b)
{
    const kf_seen_id_t *x = a, *y = b;
    int order = compare_forms(x->form, y->form);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static bool reserve(kf_seen_set_t *set, uint32_t n)
{
    if (n > set->cap) {
        kf_seen_id_t *grown = realloc(set->id, n * sizeof(*grown));
        if (!grown) {
            return false;
        }
        set->id = grown;
        set->cap = n;
    }
    return true;
}

bool kf_seen_set(kf_seen_set_t *set, kf_str_t request, const kf_str_t *events, uint32_t n,
                 bool *repeated)
{
    if (set->forms.max == 0) {
        kf_buf_init(&set->forms, FORMS_MAX);
    }
    kf_buf_clear(&set->forms);
    set->n = 0;
    if (!reserve(set, n + 1)) {
        return false;
    }
    if (request.n > 0) {
        kf_seen_put(&set->forms, KF_SEEN_REQUEST, request);
        set->id[set->n++].at = REQUEST;
    }
    for (uint32_t i = 0; i < n; i++) {
        repeated[i] = false;
        if (events[i].n > 0) {
            kf_seen_put(&set->forms, KF_SEEN_EVENT, events[i]);
            set->id[set->n++].at = i;
        }
    }
    if (set->forms.failed) {
        return false;
    }
    kf_str_t list = kf_buf_str(&set->forms);
    for (uint32_t i = 0; i < set->n; i++) {
        kf_seen_next(&list, &set->id[i].form);
    }
    if (set->n > 1) {
        qsort(set->id, set->n, sizeof(*set->id), compare);
    }
    for (uint32_t i = 1; i < set->n; i++) {
        if (compare_forms(set->id[i - 1].form, set->id[i].form) == 0) {
            repeated[set->id[i].at] = true;
        }
    }
    return true;
}

/* The first of the set with this form. */
static uint32_t find(const kf_seen_set_t *set, kf_str_t form)
{
    uint32_t low = 0, high = set->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_forms(set->id[middle].form, form) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool kf_seen_mark(const kf_seen_set_t *set, kf_str_t list, bool *repeated)
{
    bool request = false;

    for (kf_str_t form; kf_seen_next(&list, &form);) {
        for (uint32_t i = find(set, form); i < set->n && compare_forms(set->id[i].form, form) == 0;
             i++) {
            if (set->id[i].at == REQUEST) {
                request = true;
            } else {
                repeated[set->id[i].at] = true;
            }
        }
    }
    return request;
}

void kf_seen_free(kf_seen_set_t *set)
{
    kf_buf_free(&set->forms);
    free(set->id);
    *set = (kf_seen_set_t){0};
}
