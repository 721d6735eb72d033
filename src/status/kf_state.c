/* SPDX-License-Identifier: Apache-2.0
 *
 * How well a server is (kf_state.h). Must not know how it is shown.
 */
#include "status/kf_state.h"

#include "base/kf_clock.h"
#include "status/kf_text.h"

/* A record that waits longer while nothing is wrong tells of a stream that takes less than comes. */
#define BEHIND_US (60 * KF_SEC)
/* Of the store's limit, percent. */
#define NEARLY_FULL 90

const char *kf_state_text(kf_state_t state)
{
    static const char *const texts[] = {"healthy", "degraded", "failing"};

    return texts[state];
}

kf_state_t kf_state_of(const kf_snapshot_connection_t *c, const char **words)
{
    if (c->unusable) {
        *words = "unusable: its secret could not be read";
        return KF_STATE_FAILING;
    }
    if (c->trouble == KF0306 || c->numbers.gauge[KF_GAUGE_STATE] == KF_DELIVERY_HOLD) {
        *words = "on hold";
        return KF_STATE_FAILING;
    }
    if (c->numbers.gauge[KF_GAUGE_STATE] == KF_DELIVERY_BACKING_OFF) {
        *words = "backing off";
        return KF_STATE_DEGRADED;
    }
    if (c->numbers.gauge[KF_GAUGE_OLDEST_RECORD] > BEHIND_US) {
        *words = "falling behind";
        return KF_STATE_DEGRADED;
    }
    *words = c->numbers.gauge[KF_GAUGE_STATE] == KF_DELIVERY_DELIVERING ? "delivering" : "idle";
    return KF_STATE_HEALTHY;
}

/* Beginnings of AWS's codes (Kinesis and Firehose API references, "Errors", looked up 2026-11), and
 * what puts each right. The first that fits. */
static const struct {
    const char *code, *advice;
} remedies[] = {
    {"AccessDenied", "give the user or role the permission that the message names"},
    {"ResourceNotFound", "create the stream, or correct KinesisStreamName and KinesisRegion; then "
                         "it goes on by itself"},
    {"UnrecognizedClient", "correct KinesisAccessKeyId, or make the key active again"},
    {"InvalidClientTokenId", "correct KinesisAccessKeyId, or make the key active again"},
    {"InvalidSignature", "correct KinesisSecretAccessKey"},
    {"SignatureDoesNotMatch", "correct KinesisSecretAccessKey"},
    {"InvalidKMSResource", "make the stream's KMS key usable for the role of the stream"},
    {"KMSThrottling", "raise the limits of the KMS key; it goes on by itself"},
    {"KMS", "allow the user or role to use the stream's KMS key, and see that the key is enabled"},
    {"OptInRequired", "subscribe the account to the service in this region"},
    {"SubscriptionRequired", "subscribe the account to the service in this region"},
};

const char *kf_state_advice(const kf_snapshot_connection_t *c)
{
    if (c->trouble == KF_MSG_COUNT)
        return "";
    for (size_t i = 0; c->trouble == KF0306 && i < sizeof remedies / sizeof *remedies; i++)
        if (strncmp(c->numbers.error.code, remedies[i].code, strlen(remedies[i].code)) == 0)
            return remedies[i].advice;
    return kf_msg_info(c->trouble)->advice;
}

/* ---- the server ---- */

typedef struct {
    kf_state_t state;
    kf_buf_t *why;
    size_t start;
} sum_t;

static void begin_reason(sum_t *sum, kf_state_t state)
{
    if (state > sum->state)
        sum->state = state;
    if (sum->why->n > sum->start)
        kf_buf_put_str(sum->why, KF_STR("; "));
}

/* "connection a is on hold or unusable", "3 connections are on hold or unusable". */
static void put_names(sum_t *sum, const kf_snapshot_t *s, kf_state_t state, const char *one,
                      const char *several)
{
    const char *words, *first = NULL;
    int n = 0;

    for (int i = 0; i < s->connection_count; i++)
        if (kf_state_of(&s->connections[i], &words) == state && n++ == 0)
            first = s->connections[i].name;
    if (n == 0)
        return;
    begin_reason(sum, KF_STATE_DEGRADED);
    if (n == 1)
        kf_buf_printf(sum->why, "connection %s %s", first, one);
    else
        kf_buf_printf(sum->why, "%d connections %s", n, several);
}

static void put_alerts(sum_t *sum, const kf_snapshot_index_t *index)
{
    const kf_snapshot_alert_t *latest = NULL;
    int n = 0;

    for (int i = 0; i < index->alert_count; i++) {
        const kf_snapshot_alert_t *a = &index->alerts[i];

        if (!a->active || a->acknowledged || strcmp(a->level, "notice") == 0)
            continue;
        if (!latest || a->last_us > latest->last_us)
            latest = a;
        n++;
    }
    if (n == 0)
        return;
    begin_reason(sum, KF_STATE_DEGRADED);
    kf_buf_put_str(sum->why, kf_str_of(latest->text));
    if (latest->connection[0])
        kf_buf_printf(sum->why, " (%s)", latest->connection);
    if (n > 1)
        kf_buf_printf(sum->why, ", and %d more alert%s", n - 1, n == 2 ? "" : "s");
}

static void put_store(sum_t *sum, const kf_snapshot_t *s)
{
    int64_t limit = s->server[KF_SERVER_STORE_LIMIT], used = s->server[KF_SERVER_STORE_BYTES];

    if (limit <= 0 || used / 100 * 100 < limit / 100 * NEARLY_FULL)
        return;
    begin_reason(sum, KF_STATE_DEGRADED);
    kf_buf_printf(sum->why, "the store is %d %% full", (int)((double)used * 100 / (double)limit));
}

static int64_t total_of(const kf_snapshot_t *s, kf_gauge_id_t gauge)
{
    int64_t total = 0;

    for (int i = 0; i < s->connection_count; i++)
        total += s->connections[i].numbers.gauge[gauge];
    return total;
}

/* What does not make a server ill. */
static void put_remarks(sum_t *sum, const kf_snapshot_t *s)
{
    int64_t letters = total_of(s, KF_GAUGE_DEAD_LETTERS);

    if (s->connection_count == 0) {
        begin_reason(sum, KF_STATE_HEALTHY);
        kf_buf_put_str(sum->why, KF_STR("no connection is configured"));
    } else if (sum->state == KF_STATE_HEALTHY) {
        begin_reason(sum, KF_STATE_HEALTHY);
        kf_buf_put_str(sum->why, s->connection_count == 1
                                     ? KF_STR("posts are taken, the connection delivers")
                                     : KF_STR("posts are taken, all connections deliver"));
    }
    if (letters > 0) {
        begin_reason(sum, KF_STATE_HEALTHY);
        kf_text_count(sum->why, (double)letters);
        kf_buf_put_str(sum->why, letters == 1 ? KF_STR(" dead letter waits for a decision")
                                              : KF_STR(" dead letters wait for a decision"));
    }
}

kf_state_t kf_state_overall(const kf_snapshot_t *s, kf_buf_t *why)
{
    sum_t sum = {.state = KF_STATE_HEALTHY, .why = why, .start = why->n};

    if (s->closed && s->connection_count > 0) {
        begin_reason(&sum, KF_STATE_FAILING);
        kf_buf_put_str(why, kf_str_of(s->closed));
    }
    put_names(&sum, s, KF_STATE_FAILING, "is on hold or unusable", "are on hold or unusable");
    put_names(&sum, s, KF_STATE_DEGRADED, "is backing off or falling behind",
              "are backing off or falling behind");
    put_store(&sum, s);
    if (s->index.error) {
        begin_reason(&sum, KF_STATE_DEGRADED);
        kf_buf_put_str(why, KF_STR("the index cannot be read"));
    }
    put_alerts(&sum, &s->index);
    put_remarks(&sum, s);
    return sum.state;
}
