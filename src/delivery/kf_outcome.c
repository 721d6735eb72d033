/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling outcomes (kf_outcome.h). Must not log, write or free records. Any thread, one at a time.
 */
#include "delivery/kf_outcome.h"

#include <stdio.h>
#include <stdlib.h>

static kf_notice_t *notice(kf_outcome_t *out, kf_msg_t msg, bool begins)
{
    kf_notice_t *n = &out->notices[out->notice_count];

    if (out->notice_count == KF_NOTICES_MAX)
        return NULL;
    out->notice_count++;
    *n = (kf_notice_t){.msg = msg, .begins = begins};
    return n;
}

/* The last word on it, if it is that it begins. */
static kf_notice_t *find(kf_outcome_t *out, kf_msg_t msg)
{
    for (int i = out->notice_count - 1; i >= 0; i--)
        if (out->notices[i].msg == msg)
            return out->notices[i].begins ? &out->notices[i] : NULL;
    return NULL;
}

void kf_outcome_begin(kf_outcome_t *out, kf_msg_t msg, int64_t value, const char *code)
{
    kf_notice_t *n = find(out, msg);

    if (!n)
        n = notice(out, msg, true);
    if (!n)
        return;
    n->times++;
    n->value = value;
    snprintf(n->code, sizeof n->code, "%s", code);
}

void kf_outcome_end(kf_outcome_t *out, kf_msg_t msg)
{
    notice(out, msg, false);
}

kf_dead_t *kf_dead_create(kf_dead_reason_t reason, const char *code, const kf_verdict_t *verdict)
{
    kf_dead_t *dead = calloc(1, sizeof *dead);

    if (!dead)
        return NULL;
    dead->reason = reason;
    snprintf(dead->code, sizeof dead->code, "%s", code);
    if (verdict) {
        snprintf(dead->message, sizeof dead->message, "%s", kf_verdict_message(verdict, code));
        snprintf(dead->request_id, sizeof dead->request_id, "%s", verdict->request_id);
    }
    return dead;
}

void kf_outcome_dead(kf_outcome_t *out, kf_record_t *record, kf_dead_reason_t reason,
                     const char *code, const kf_verdict_t *verdict)
{
    kf_dead_t *dead = out->dead;

    if (!dead || dead->reason != reason || strcmp(dead->code, code) != 0 || !dead->records.first ||
        dead->records.first->connection != record->connection) {
        dead = kf_dead_create(reason, code, verdict);
        if (!dead) {
            kf_record_list_add(&out->dead_bare, record);
            return;
        }
        dead->next = out->dead;
        out->dead = dead;
    }
    kf_record_list_add(&dead->records, record);
}
