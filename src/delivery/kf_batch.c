/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling calls (kf_batch.h). Must not know destinations. Any thread, one at a time.
 */
#include "delivery/kf_batch.h"

#include <stdlib.h>

/* How far a call has been filled. */
typedef struct {
    uint64_t call_bytes;
    uint64_t entry_bytes;
    uint32_t entries;
    uint32_t joined; /* records in the last entry */
} filled_t;

static kf_batch_t *allocate(uint32_t count)
{
    kf_batch_t *batch = malloc(sizeof *batch + count * (sizeof(kf_record_t *) + sizeof(uint32_t)));

    if (batch) {
        *batch = (kf_batch_t){.count = count};
        batch->entry_end = (uint32_t *)(void *)(batch->records + count);
    }
    return batch;
}

/* What joins two records: nothing where the first ends its line itself. */
static uint64_t separator(const kf_record_t *before)
{
    kf_str_t data = kf_record_data(before);

    return data.n > 0 && data.p[data.n - 1] == '\n' ? 0 : 1;
}

/* Adds a record if it fits; the first one always does. */
static bool add(filled_t *f, const kf_fill_t *fill, const kf_record_t *r, const kf_record_t *before)
{
    uint64_t bytes = (uint64_t)r->key_bytes + r->data_bytes;

    if (f->entries > 0 && f->joined < fill->join_max) {
        uint64_t more = bytes + separator(before);

        if (f->entry_bytes + more <= fill->record_bytes_max &&
            f->call_bytes + more <= fill->call_bytes_max) {
            f->joined++;
            f->entry_bytes += more;
            f->call_bytes += more;
            return true;
        }
    }
    if (f->entries > 0 &&
        (f->entries == fill->entries_max || f->call_bytes + bytes > fill->call_bytes_max))
        return false;
    f->entries++;
    f->joined = 1;
    f->entry_bytes = bytes;
    f->call_bytes += bytes;
    return true;
}

static uint32_t count_fitting(const kf_record_list_t *list, const kf_fill_t *fill)
{
    const kf_record_t *before = NULL;
    filled_t f = {0};
    uint32_t n = 0;

    for (const kf_record_t *r = list->first; r && add(&f, fill, r, before); r = r->next) {
        before = r;
        n++;
    }
    return n;
}

kf_batch_t *kf_batch_take(kf_record_list_t *list, const kf_fill_t *fill)
{
    uint32_t n = count_fitting(list, fill);
    kf_batch_t *batch = n > 0 ? allocate(n) : NULL;
    filled_t f = {0};

    if (!batch)
        return NULL;
    for (uint32_t i = 0; i < n; i++) {
        kf_record_t *r = kf_record_list_take(list);

        add(&f, fill, r, i > 0 ? batch->records[i - 1] : NULL);
        batch->records[i] = r;
        batch->entry_end[f.entries - 1] = i + 1;
    }
    batch->entry_count = f.entries;
    return batch;
}

kf_batch_t *kf_batch_of(kf_record_t *const *records, uint32_t count)
{
    kf_batch_t *batch = allocate(count);

    if (!batch)
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        batch->records[i] = records[i];
        batch->entry_end[i] = i + 1;
    }
    batch->entry_count = count;
    batch->is_part = true;
    return batch;
}

void kf_list_prepend(kf_record_list_t *list, kf_record_list_t *from)
{
    kf_record_list_append(from, list);
    *list = *from;
    *from = (kf_record_list_t){0};
}

void kf_batch_put_back(kf_batch_t *batch, kf_record_list_t *list)
{
    kf_record_list_t records = {0};

    for (uint32_t i = 0; i < batch->count; i++)
        kf_record_list_add(&records, batch->records[i]);
    batch->count = batch->entry_count = 0;
    kf_list_prepend(list, &records);
}

void kf_batch_free(kf_batch_t *batch)
{
    free(batch);
}
