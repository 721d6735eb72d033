/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether filing is to wait because closing is behind. Both need the one right to write to the index, and
 * every child files while one closes: without this, windows would close slower than they are filled when
 * uploads come as fast as can be, and the index would grow to where it may not. So what is too much waits
 * in the journal, and KinesisStoreLimit turns senders away. Knows nothing of who closes. One thread.
 */
#ifndef KF_CLOSING_FIRST_H
#define KF_CLOSING_FIRST_H

#include "delivery/kf_keeper_config.h"

typedef struct kf_closing_first_t kf_closing_first_t;

/** @param config  outlives it; timing set. @return NULL when out of memory */
kf_closing_first_t *kf_closing_first_create(const kf_keeper_config_t *config);
/** NULL does nothing. */
void kf_closing_first_free(kf_closing_first_t *first);

/**
 * Whether more than timing->due_max windows of a connection are due and some of it were closed since this
 * was asked last: where closing gets nowhere (no room in the journal, nobody leads), filing goes on.
 * @blocks for a look at the index
 */
bool kf_closing_first(kf_closing_first_t *first);

#endif
