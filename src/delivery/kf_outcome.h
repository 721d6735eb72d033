/* SPDX-License-Identifier: Apache-2.0
 *
 * What a destination reports when something ended: records delivered, records given up on with the
 * reason, troubles that began or are over. Filled under the engine's lock, dealt with after it
 * (kf_settle.h), so that nothing is freed, logged or written while it is held. Values only.
 */
#ifndef KF_OUTCOME_H
#define KF_OUTCOME_H

#include "aws/kf_call.h"
#include "base/kf_log.h"
#include "delivery/kf_deadletters.h"
#include "events/kf_record.h"

/* Records of one connection given up on for one reason. */
typedef struct kf_dead_t kf_dead_t;
struct kf_dead_t {
    kf_dead_t *next;
    kf_record_list_t records;
    kf_dead_reason_t reason;
    char code[64]; /* AWS's, or "" */
    char message[256];
    char request_id[80];
};

typedef struct {
    kf_msg_t msg;
    bool begins;    /* raised, or met again; else over */
    uint32_t times; /* it was met */
    int64_t value;  /* KF0404: microseconds; KF0305: attempts */
    char code[64];  /* of the error that raised it */
} kf_notice_t;

#define KF_NOTICES_MAX 16

/* Zero-initialise. */
typedef struct {
    kf_record_list_t delivered;
    kf_dead_t *dead;
    kf_record_list_t dead_bare; /* as dead, but there was no memory to say why */
    uint32_t retried;           /* records that will be sent again */
    uint32_t throttled;         /* records that were throttled */
    bool is_call;               /* a call ended, */
    bool call_failed;           /* as a whole failed, */
    bool call_partial;          /* or some of its records did */
    uint64_t own;               /* a set: alerts that are not over for who delivered */
    int notice_count;
    kf_notice_t notices[KF_NOTICES_MAX];
} kf_outcome_t;

/** Notes trouble, each time that it is met; its end. */
void kf_outcome_begin(kf_outcome_t *out, kf_msg_t msg, int64_t value, const char *code);
void kf_outcome_end(kf_outcome_t *out, kf_msg_t msg);

/** A reason without records yet. @param verdict  may be NULL  @return NULL when out of memory */
kf_dead_t *kf_dead_create(kf_dead_reason_t reason, const char *code, const kf_verdict_t *verdict);

/** Gives a record up; records of a connection with the same reason in a row share an entry. */
void kf_outcome_dead(kf_outcome_t *out, kf_record_t *record, kf_dead_reason_t reason,
                     const char *code, const kf_verdict_t *verdict);

#endif
