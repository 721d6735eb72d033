/* SPDX-License-Identifier: Apache-2.0
 *
 * One window to the records that leave: its uploads read, merged, filtered. Within a transaction of the
 * caller's. Knows neither the journal nor what is due. One thread.
 */
#ifndef KF_CLOSING_BATCH_H
#define KF_CLOSING_BATCH_H

#include "delivery/kf_keeper_config.h"

/* Memory that is used again for each window. */
typedef struct {
    const kf_keeper_config_t *config;
    kf_buf_t texts, merged;
    size_t *ends;
    kf_str_t *uploads;
    uint32_t cap;
} kf_closing_batch_t;

typedef enum {
    KF_CLOSED_OK,
    KF_CLOSED_UNREAD, /* its uploads are not all there, or the index failed: the commit tells */
    KF_CLOSED_MEMORY  /* out of memory */
} kf_closed_t;

void kf_closing_batch_init(kf_closing_batch_t *work, const kf_keeper_config_t *config);
void kf_closing_batch_free(kf_closing_batch_t *work);

/**
 * Makes a window's records: the same ids each time. What can't be merged or filtered becomes records of
 * kind KF_RECORD_WINDOW that are to end as dead letters.
 * @param[in,out] out    appended to; untouched unless OK
 * @param[in,out] stats  dropped: added to; likewise
 */
kf_closed_t kf_closing_batch(kf_closing_batch_t *work, const kf_window_t *window, int64_t now_us,
                             kf_record_list_t *out, kf_filter_stats_t *stats);

#endif
