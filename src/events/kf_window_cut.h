/* SPDX-License-Identifier: Apache-2.0
 *
 * Cuts a part out of an upload: what a window keeps of it, or what leaves at once. Knows no filters
 * and no storage. Pure; any thread.
 */
#ifndef KF_WINDOW_CUT_H
#define KF_WINDOW_CUT_H

#include "events/kf_window_plan.h"

/**
 * Appends a batch's text with only the part's events; every other member is kept token by token,
 * but api_key and api_keys.
 * @param part  index in the plan
 * @param message_id  n > 0: put in the place of an incoming message_id when the upload becomes
 *                    several parts, for ids of records must differ (the form `outbound`)
 * @return false when out of memory or out is full; out is then as it was
 * @bounds linear in the bytes written and the batch-level members
 */
bool kf_window_cut(const kf_window_plan_t *plan, uint32_t part, kf_str_t message_id, kf_buf_t *out);

#endif
