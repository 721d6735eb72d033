/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of records, and of calls: counted, logged, given back to the bounds, freed. The one place
 * where a record leaves the engine, and so the one where a store learns of it. Must not know why. Workers
 * run this, never under the engine's lock.
 */
#include "delivery/kf_engine_int.h"

#include <stdlib.h>

/* Records of one connection are done with: nobody needs them any more. */
static void let_go(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_lane_t *lane;
    uint64_t bytes = 0;

    if (records->count == 0)
        return;
    lane = &engine->lanes[records->first->connection];
    for (const kf_record_t *r = records->first; r; r = r->next)
        bytes += kf_charge(r);
    kf_bounds_release(&engine->bounds, lane->at.connection, records->count, bytes);
    kf_record_list_clear(records);
    kf_intake_relax(engine, lane);
}

static void delivered(kf_engine_t *engine, const kf_lane_t *lane, kf_record_list_t *records)
{
    kf_shared_add(engine->config.shared, lane->at.connection, KF_COUNT_DELIVERED, records->count);
    kf_shared_add(engine->config.shared, lane->at.connection, KF_COUNT_DELIVERED_BYTES,
                  records->bytes);
    let_go(engine, records);
}

/* Records of one connection are given up on. */
static void dead_letters(kf_engine_t *engine, kf_record_list_t *records, const kf_dead_t *reason)
{
    const kf_record_t *first = records->first;
    const kf_lane_t *lane = &engine->lanes[first->connection];

    kf_shared_raise(engine->config.shared, lane->at.connection, KF0304);
    kf_log(KF0304,
           "connection %s: %u record(s) given up on: %s%s%s%s%s, %u attempt(s), request id %s",
           lane->at.name, records->count, reason->why, reason->code[0] ? ": " : "", reason->code,
           reason->message[0] ? ": " : "", reason->message, first->attempts,
           reason->request_id[0] ? reason->request_id : "none");
    kf_shared_add(engine->config.shared, lane->at.connection, KF_COUNT_DEAD, records->count);
    let_go(engine, records);
}

static void bury(kf_engine_t *engine, kf_outcome_t *out)
{
    static const kf_dead_t bare = {.why = "out of memory for the reason"};
    kf_record_t *r;

    while (out->dead) {
        kf_dead_t *dead = out->dead;

        out->dead = dead->next;
        dead_letters(engine, &dead->records, dead);
        free(dead);
    }
    while ((r = kf_record_list_take(&out->dead_bare)) != NULL) {
        kf_record_list_t one = {0};

        kf_record_list_add(&one, r);
        dead_letters(engine, &one, &bare);
    }
}

static void begin(const kf_lane_t *lane, const kf_notice_t *notice, const kf_verdict_t *verdict)
{
    const char *id = verdict && verdict->request_id[0] ? verdict->request_id : "none";
    const char *message = verdict ? verdict->message : "";
    const char *code = notice->code;
    const char *between = code[0] && message[0] ? ": " : "";

    if (notice->msg == KF0404)
        kf_alert_begin(&lane->at, KF0404, "by %lld s", (long long)(notice->value / KF_SEC));
    else if (notice->msg == KF0305)
        kf_alert_begin(&lane->at, KF0305, "%lld attempts, last %s%s%s, request id %s",
                       (long long)notice->value, code, between, message, id);
    else
        kf_alert_begin(&lane->at, notice->msg, "%s%s%s, request id %s", code, between, message, id);
}

static void tell(const kf_lane_t *lane, const kf_notice_t *notice, const kf_verdict_t *verdict)
{
    if (notice->begins)
        begin(lane, notice, verdict);
    else if (notice->msg == KF0402 || notice->msg == KF0404)
        kf_alert_forget(&lane->at, notice->msg);
    else
        kf_alert_end(&lane->at, notice->msg, KF0307);
}

static void count_call(kf_engine_t *engine, const kf_lane_t *lane, const kf_outcome_t *out)
{
    kf_shared_t *shared = engine->config.shared;
    int connection = lane->at.connection;

    kf_shared_add(shared, connection, KF_COUNT_CALLS, out->is_call);
    kf_shared_add(shared, connection, KF_COUNT_CALLS_FAILED, out->call_failed);
    kf_shared_add(shared, connection, KF_COUNT_PARTIAL, out->call_partial);
    kf_shared_add(shared, connection, KF_COUNT_RETRIED, out->retried);
    kf_shared_add(shared, connection, KF_COUNT_THROTTLED, out->throttled);
}

void kf_settle(kf_engine_t *engine, kf_lane_t *lane, kf_outcome_t *out, const kf_verdict_t *verdict)
{
    count_call(engine, lane, out);
    delivered(engine, lane, &out->delivered);
    bury(engine, out);
    for (int i = 0; i < out->notice_count; i++)
        tell(lane, &out->notices[i], verdict);
}
