/* SPDX-License-Identifier: Apache-2.0
 *
 * Written text to records: one, or the events of a batch over several within the service's limit.
 * Knows no network. Any thread.
 */
#ifndef KF_SPLIT_H
#define KF_SPLIT_H

#include "events/kf_envelope.h"
#include "events/kf_partition.h"

/* One item on its way to its records. */
typedef struct {
    const kf_filter_t *filter;
    const kf_item_t *item;
    int64_t received_us;
    kf_str_t message_id; /* ids that are to be made follow from it; n == 0: random ones */
    kf_key_t key;
    kf_writer_t w;
    kf_record_list_t *out;
    kf_filter_stats_t *stats;
} kf_split_t;

/** Bytes of a record with this data, as the service counts them. */
static inline size_t kf_split_record_bytes(const kf_split_t *s, size_t data)
{
    return s->key.n + data + (s->filter->newline ? 1 : 0);
}

/** Makes the record of an upload for windows, with its note (n == 0: none). @return false when out of memory or out->over */
bool kf_split_upload(kf_split_t *s, kf_str_t note);

/** Makes one record of a text. @return false when out of memory or out->over */
bool kf_split_one(kf_split_t *s, kf_str_t text, kf_record_kind_t kind, uint32_t events);

/**
 * Makes the records of a batch of two or more kept events: one each, or (greedily, in order, and
 * two at least) as many in each as the limit takes. An event that is too large by itself gets a
 * record of its own that says so. What was written before is lost.
 */
bool kf_split_events(kf_split_t *s, bool single);

#endif
