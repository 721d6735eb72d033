/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of uploads as text.
 */
#include "events/kf_window_cut.h"

static void put_events(const kf_window_plan_t *plan, const kf_window_part_t *part, kf_buf_t *out)
{
    kf_buf_putc(out, '[');
    for (uint32_t i = part->first; i != KF_WINDOW_NONE; i = plan->events[i].next) {
        if (i != part->first) {
            kf_buf_putc(out, ',');
        }
        kf_buf_put_str(out, kf_json_token(plan->item->json, plan->events[i].node));
    }
    kf_buf_putc(out, ']');
}

static void put_members(const kf_window_plan_t *plan, const kf_window_part_t *part,
                        kf_str_t message_id, kf_buf_t *out)
{
    const kf_item_t *item = plan->item;
    const kf_json_t *json = item->json;
    const uint32_t *member = item->member;
    bool some = part->event_count < plan->event_count;
    char sep = '{';
    for (uint32_t k = kf_json_first(json, item->node); k < json->v[item->node].next;
         k = json->v[k + 1].next) {
        uint32_t value = k + 1;
        if (value == member[KF_B_api_key] || value == member[KF_B_api_keys]) {
            continue;
        }
        kf_buf_putc(out, sep);
        sep = ',';
        kf_buf_put_str(out, kf_json_token(json, k));
        kf_buf_putc(out, ':');
        if (value == member[KF_B_events] && some) {
            put_events(plan, part, out);
        } else if (value == member[KF_B_message_id] && some && message_id.n > 0) {
            kf_buf_put_json(out, message_id);
        } else {
            kf_buf_put_str(out, kf_json_token(json, value));
        }
    }
    if (sep == '{') {
        kf_buf_putc(out, '{');
    }
    kf_buf_putc(out, '}');
}

bool kf_window_cut(const kf_window_plan_t *plan, uint32_t part, kf_str_t message_id, kf_buf_t *out)
{
    const kf_window_part_t *p = &plan->parts[part];
    const uint32_t *member = plan->item->member;
    size_t before = out->n;
    if (p->event_count == plan->event_count && !member[KF_B_api_key] && !member[KF_B_api_keys]) {
        kf_buf_put_str(out, kf_json_token(plan->item->json, plan->item->node));
    } else {
        put_members(plan, p, message_id, out);
    }
    if (out->failed) {
        out->n = before;
    }
    return !out->failed;
}
