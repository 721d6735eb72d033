/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of batch-level members to their numbers (kf_batch_members.def). Knows names only. Pure; any
 * thread.
 */
#ifndef KF_MEMBERS_H
#define KF_MEMBERS_H

#include "events/kf_post.h"

/** The number of a member's name, KF_B_COUNT for a name that the module does not look at. */
kf_batch_member_t kf_member_find(kf_str_t name);

/** The same for a key of a text, compared unescaped. */
kf_batch_member_t kf_member_of_key(const kf_json_t *json, uint32_t key);

#endif
