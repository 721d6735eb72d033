/* SPDX-License-Identifier: Apache-2.0
 *
 * Closing windows that are due: merged, filtered, appended to the journal, removed, in one transaction
 * of the windows. Knows neither who leads nor when to look. One thread; two children may do it at once,
 * the transaction keeps them apart.
 *
 * What a window holds that can't be read goes back to the journal as an upload by itself, and so among
 * the dead letters: it holds up neither its window nor the others.
 */
#ifndef KF_CLOSING_H
#define KF_CLOSING_H

#include "delivery/kf_keeper_config.h"

typedef struct kf_closing_t kf_closing_t;

/** @param config  outlives it; timing and windows set. @return NULL when out of memory */
kf_closing_t *kf_closing_create(const kf_keeper_config_t *config);
/** NULL does nothing. */
void kf_closing_free(kf_closing_t *closing);

/**
 * Closes what is due, of each connection some in turn; all windows of connections that are windowed no
 * more. After an index that fails it pauses: what was appended already would be repeated.
 * @param until_us  monotonic; no transaction begins after it
 * @return whether more is due
 */
bool kf_closing_run(kf_closing_t *closing, int64_t until_us);

#endif
