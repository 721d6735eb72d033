/* SPDX-License-Identifier: Apache-2.0
 *
 * Partition keys: what keeps one device's or user's records in one shard. Made from the item as it
 * was received. A value that the connection leaves out of its records does not leave as a key
 * either: a hash of it does, which keeps the records together all the same. Any thread.
 */
#ifndef KF_PARTITION_H
#define KF_PARTITION_H

#include "base/kf_limits.h"
#include "events/kf_plan.h"

typedef struct {
    size_t n;    /* 0: the records carry none (Firehose) */
    bool random; /* each record gets its own */
    char bytes[KF_PARTITION_KEY_MAX];
} kf_key_t;

/** Makes the key of an item's records. @return false when out of memory */
bool kf_partition_key(const kf_filter_t *filter, const kf_item_t *item, kf_key_t *key);

/** The key of one more record: a fresh one if it is random. Valid until the next call. */
kf_str_t kf_partition_key_next(kf_key_t *key);

#endif
