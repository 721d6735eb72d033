/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of one call, and how they fill it: 500 entries, bytes, joined or one by one. One malloc'd
 * block with one owner, as a record; knows no clock, no lock and no reply. Any thread, one at a time.
 */
#ifndef KF_BATCH_H
#define KF_BATCH_H

#include "aws/kf_call.h"
#include "events/kf_record.h"

typedef struct {
    uint32_t entries_max;      /* 500, or 1 for single calls */
    uint32_t call_bytes_max;   /* keys and data of all */
    uint32_t record_bytes_max; /* a joined entry */
    uint32_t join_max;         /* records that may be joined into an entry; 1: never */
} kf_fill_t;

typedef struct kf_family_t kf_family_t;

typedef struct kf_batch_t kf_batch_t;
struct kf_batch_t {
    kf_batch_t *next;    /* owner's list */
    kf_family_t *family; /* the isolation it is a part of, or NULL */
    kf_op_t op;
    bool is_part;      /* goes out as it is, nothing added */
    bool is_probe;     /* asks whether a hold is over */
    bool asks_batch;   /* asks whether batch calls are allowed again */
    uint32_t epoch;    /* what of its destination it has seen */
    int64_t offset_us; /* correction of the clock that it is signed with */
    uint32_t count;
    uint32_t entry_count;
    uint32_t *entry_end; /* as in kf_entries_t */
    kf_record_t *records[];
};

/**
 * Takes records off the front of a list until a call is full; at least one.
 * @return NULL when out of memory or the list is empty: nothing was taken
 * @owner the batch owns its records
 */
kf_batch_t *kf_batch_take(kf_record_list_t *list, const kf_fill_t *fill);

/** A batch of given records, none joined. @return NULL when out of memory: the caller keeps them */
kf_batch_t *kf_batch_of(kf_record_t *const *records, uint32_t count);

/** Moves its records to the list's front, in order. */
void kf_batch_put_back(kf_batch_t *batch, kf_record_list_t *list);

/** Frees the block; the records must have gone elsewhere. */
void kf_batch_free(kf_batch_t *batch);

/** The first record of an entry. */
static inline uint32_t kf_batch_entry_begin(const kf_batch_t *batch, uint32_t entry)
{
    return entry == 0 ? 0 : batch->entry_end[entry - 1];
}

/** Puts all of `from` before the records of `list`; `from` is empty afterwards. */
void kf_list_prepend(kf_record_list_t *list, kf_record_list_t *from);

#endif
