/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads as they are kept for windows.
 */
#include "events/kf_window_text.h"

void kf_window_text(const kf_item_t *batch, kf_writer_t *w)
{
    const kf_json_t *json = batch->json;
    uint32_t lead = kf_json_first(json, batch->node);
    uint32_t one = batch->member[KF_B_api_key], other = batch->member[KF_B_api_keys];
    uint32_t first = one && other && other < one ? other : one;
    uint32_t second = first == one ? other : one;
    kf_writer_from(w, json->v[batch->node].start);
    if (first) {
        kf_writer_cut_member(w, batch->node, first - 1, &lead);
    }
    if (second) {
        kf_writer_cut_member(w, batch->node, second - 1, &lead);
    }
    kf_writer_to(w, json->v[batch->node].end);
}
