/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of records, and of calls: counted, logged, given back to the bounds, freed. The one place
 * where a record leaves the engine, and so the one where a store learns of it. Must not know why. Workers
 * run this, never under the engine's lock.
 */
#include "delivery/kf_engine_int.h"

#include <stdlib.h>

/* Records told to the journal in one go. */
#define NOTE_MAX 512
/* Letters kept in one go. */
#define LETTERS_MAX 128
/* Until a dead letter that could not be kept is tried again where it can't wait in the journal. */
#define BURY_AGAIN_US (30 * KF_SEC)

static void note_done(kf_engine_t *engine, const kf_record_list_t *records)
{
    const kf_record_t *done[NOTE_MAX];
    uint32_t n = 0;

    for (const kf_record_t *r = records->first; r; r = r->next) {
        if (r->mark != 0)
            done[n++] = r;
        if (n > 0 && (n == NOTE_MAX || !r->next)) {
            kf_journal_done(engine->config.journal, done, n);
            n = 0;
        }
    }
}

void kf_settle_let_go(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_lane_t *lane;
    uint64_t bytes = 0;

    if (records->count == 0)
        return;
    lane = &engine->lanes[records->first->connection];
    if (engine->config.journal)
        note_done(engine, records);
    for (const kf_record_t *r = records->first; r; r = r->next)
        bytes += kf_charge(r);
    kf_bounds_release(&engine->bounds, lane->at.connection, records->count, bytes);
    kf_record_list_clear(records);
    kf_intake_relax(engine, lane);
}

/* Neighbours were accepted together: one addition for those of one millisecond. */
static void observe_delivery(kf_engine_t *engine, int connection, const kf_record_list_t *records)
{
    int64_t now_us = kf_wall_us();

    for (const kf_record_t *r = records->first; r;) {
        int64_t accepted_us = r->accepted_us;
        uint64_t n = 0;

        for (; r && llabs(r->accepted_us - accepted_us) < KF_MS; r = r->next)
            n++;
        kf_metrics_observe(engine->config.metrics, connection, KF_HISTOGRAM_DELIVERY,
                           now_us - accepted_us, n);
    }
}

/* Counted before the journal is told: what a crash between the two sends again counts again, and nothing
 * that was delivered is missing. */
static void delivered(kf_engine_t *engine, const kf_lane_t *lane, kf_record_list_t *records,
                      uint64_t own)
{
    kf_metrics_t *metrics = engine->config.metrics;
    int connection = lane->at.connection;

    if (records->count == 0)
        return;
    kf_metrics_add(metrics, connection, KF_COUNT_DELIVERED, records->count);
    kf_metrics_add(metrics, connection, KF_COUNT_DELIVERED_BYTES, records->bytes);
    observe_delivery(engine, connection, records);
    kf_alert_delivers(&lane->at, own);
    kf_settle_let_go(engine, records);
}

static kf_count_t count_of(kf_dead_reason_t reason)
{
    switch (reason) {
    case KF_DEAD_TOO_LARGE:
        return KF_COUNT_DEAD_TOO_LARGE;
    case KF_DEAD_REFUSED:
        return KF_COUNT_DEAD_REFUSED;
    default:
        return KF_COUNT_DEAD_TOO_OLD;
    }
}

static const char *words_of(kf_dead_reason_t reason)
{
    switch (reason) {
    case KF_DEAD_TOO_LARGE:
        return "larger than the service takes";
    case KF_DEAD_REFUSED:
        return "refused by AWS";
    default:
        return "older than KinesisRetryMaxAge";
    }
}

/* Keeps some from *from on, which moves behind them. */
static bool keep_some(kf_engine_t *engine, const kf_record_t **from, const kf_dead_t *reason)
{
    kf_dead_entry_t entries[LETTERS_MAX];
    int64_t now_us = kf_wall_us();
    uint32_t n = 0;

    for (; *from && n < LETTERS_MAX; *from = (*from)->next)
        entries[n++] = (kf_dead_entry_t){.record = *from,
                                         .reason = reason->reason,
                                         .code = reason->code,
                                         .message = reason->message,
                                         .request_id = reason->request_id,
                                         .failed_us = now_us};
    return kf_deadletters_add(engine->config.letters, entries, n) == KF_INDEX_OK;
}

/* @return false if they could not all be kept: those that were will be there twice */
static bool keep_letters(kf_engine_t *engine, const kf_record_list_t *records,
                         const kf_dead_t *reason)
{
    const kf_record_t *from = records->first;

    while (engine->config.letters && from)
        if (!keep_some(engine, &from, reason))
            return false;
    return true;
}

/* What could not be kept as a dead letter is not lost: it waits, outside memory, and fails again later. */
static void defer(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_lane_t *lane = &engine->lanes[records->first->connection];
    kf_now_t now = kf_now();

    if (kf_backlog_set_aside(engine, records))
        return;
    pthread_mutex_lock(&engine->lock);
    while (records->first)
        kf_destination_defer(&lane->destination, kf_record_list_take(records),
                             now.mono_us + BURY_AGAIN_US, now);
    pthread_mutex_unlock(&engine->lock);
}

/* Records of one connection are given up on. */
static void dead_letters(kf_engine_t *engine, kf_record_list_t *records, const kf_dead_t *reason)
{
    const kf_record_t *first = records->first;
    const kf_lane_t *lane = &engine->lanes[first->connection];

    if (!keep_letters(engine, records, reason)) {
        defer(engine, records);
        return;
    }
    kf_alert_begin_of(
        &lane->at, KF0304,
        &(kf_alert_words_t){
            .code = reason->code, .request_id = reason->request_id, .times = records->count},
        "%s%s%s%s%s, %u attempt(s), request id %s", words_of(reason->reason),
        reason->code[0] ? ": " : "", reason->code, reason->message[0] ? ": " : "", reason->message,
        first->attempts, reason->request_id[0] ? reason->request_id : "none");
    kf_metrics_add(engine->config.metrics, lane->at.connection, count_of(reason->reason),
                   records->count);
    kf_settle_let_go(engine, records);
}

static void bury(kf_engine_t *engine, kf_outcome_t *out)
{
    static const kf_dead_t bare = {.reason = KF_DEAD_REFUSED};
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
    const char *code = notice->code;
    const char *message = verdict ? kf_verdict_message(verdict, code) : "";
    const char *between = code[0] && message[0] ? ": " : "";
    kf_alert_words_t words = {
        .code = code, .request_id = verdict ? verdict->request_id : "", .times = notice->times};

    if (notice->msg == KF0404)
        kf_alert_begin_of(&lane->at, KF0404, &words, "by %lld s",
                          (long long)(notice->value / KF_SEC));
    else if (notice->msg == KF0305)
        kf_alert_begin_of(&lane->at, KF0305, &words, "%lld attempts, last %s%s%s, request id %s",
                          (long long)notice->value, code, between, message, id);
    else
        kf_alert_begin_of(&lane->at, notice->msg, &words, "%s%s%s, request id %s", code, between,
                          message, id);
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

void kf_settle(kf_engine_t *engine, kf_lane_t *lane, kf_outcome_t *out, const kf_verdict_t *verdict)
{
    kf_metrics_add(engine->config.metrics, lane->at.connection, KF_COUNT_RETRIED, out->retried);
    kf_metrics_add(engine->config.metrics, lane->at.connection, KF_COUNT_THROTTLED, out->throttled);
    delivered(engine, lane, &out->delivered, out->own);
    bury(engine, out);
    for (int i = 0; i < out->notice_count; i++)
        tell(lane, &out->notices[i], verdict);
}
