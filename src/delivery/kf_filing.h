/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepted uploads into their windows, hundreds in one transaction; what belongs into none leaves at
 * once. Where the index fails, uploads are given back (unfiled), those of the connections concerned at
 * once until it is said that it works again. Whatever else fails is tried again later: an upload that
 * was taken is filed, given back, or kept as a dead letter. Knows nothing of closing and of time. One thread.
 *
 * An upload counts once in an open window, by its own id where it has no source_request_id: so one
 * that is filed, but not yet marked done when its child dies, is not filed twice.
 */
#ifndef KF_FILING_H
#define KF_FILING_H

#include "delivery/kf_keeper_config.h"

typedef struct kf_filing_t kf_filing_t;

/** @param config  outlives it; timing set. @return NULL when out of memory */
kf_filing_t *kf_filing_create(const kf_keeper_config_t *config);
/** After kf_filing_give_back. NULL does nothing. */
void kf_filing_free(kf_filing_t *filing);

/** Takes records of kind KF_RECORD_WINDOW over; the list is empty afterwards. O(1) */
void kf_filing_add(kf_filing_t *filing, kf_record_list_t *records);

/**
 * Files a batch of what waits.
 * @return whether more waits that has not been tried
 */
bool kf_filing_run(kf_filing_t *filing);

/** What failed may be tried again. */
void kf_filing_retry(kf_filing_t *filing);

/** The index works, as far as is known: uploads are tried again before they are given back. */
void kf_filing_unstick(kf_filing_t *filing);

/** Gives back all that it holds (unfiled). */
void kf_filing_give_back(kf_filing_t *filing);

#endif
