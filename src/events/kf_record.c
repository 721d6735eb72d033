/* SPDX-License-Identifier: Apache-2.0
 *
 * Records and lists of them.
 */
#include "events/kf_record.h"

#include <stdlib.h>

kf_record_t *kf_record_new_noted(uint16_t connection, uint16_t key_bytes, uint32_t data_bytes,
                                 uint32_t note_bytes)
{
    kf_record_t *r = malloc(sizeof(*r) + key_bytes + (size_t)data_bytes + note_bytes);
    if (r) {
        memset(r, 0, sizeof(*r));
        r->connection = connection;
        r->key_bytes = key_bytes;
        r->data_bytes = data_bytes;
        r->note_bytes = note_bytes;
    }
    return r;
}

kf_record_t *kf_record_new(uint16_t connection, uint16_t key_bytes, uint32_t data_bytes)
{
    return kf_record_new_noted(connection, key_bytes, data_bytes, 0);
}

kf_record_t *kf_record_create(uint16_t connection, kf_str_t key, kf_str_t data)
{
    if (key.n > UINT16_MAX || data.n > UINT32_MAX) {
        return NULL;
    }
    kf_record_t *r = kf_record_new(connection, (uint16_t)key.n, (uint32_t)data.n);
    if (r && key.n) {
        memcpy(r->bytes, key.p, key.n);
    }
    if (r && data.n) {
        memcpy(r->bytes + key.n, data.p, data.n);
    }
    return r;
}

void kf_record_free(kf_record_t *record)
{
    free(record);
}

kf_record_t *kf_record_list_take(kf_record_list_t *list)
{
    kf_record_t *r = list->first;
    if (r) {
        list->first = r->next;
        if (!list->first) {
            list->last = NULL;
        }
        list->count--;
        list->bytes -= r->key_bytes + (uint64_t)r->data_bytes;
        r->next = NULL;
    }
    return r;
}

void kf_record_list_append(kf_record_list_t *list, kf_record_list_t *from)
{
    if (!from->first) {
        return;
    }
    if (list->last) {
        list->last->next = from->first;
    } else {
        list->first = from->first;
    }
    list->last = from->last;
    list->count += from->count;
    list->bytes += from->bytes;
    from->first = from->last = NULL;
    from->count = 0;
    from->bytes = 0;
}

void kf_record_list_clear(kf_record_list_t *list)
{
    for (kf_record_t *r = kf_record_list_take(list); r; r = kf_record_list_take(list)) {
        kf_record_free(r);
    }
}
