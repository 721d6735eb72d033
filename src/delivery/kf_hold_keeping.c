/* SPDX-License-Identifier: Apache-2.0
 *
 * Holds to the index and back.
 */
#include "delivery/kf_hold_keeping.h"

#include <stdlib.h>
#include "base/kf_clock.h"

struct kf_hold_keeping_t {
    const kf_keeper_config_t *config;
    kf_hold_news_t *news; /* by connection: to be written */
    bool *is_written;     /* by connection: that it is on hold */
    int64_t again_us;     /* monotonic: when to write what lasts, and read */
};

kf_hold_keeping_t *kf_hold_keeping_create(const kf_keeper_config_t *config)
{
    size_t n = (size_t)config->connection_count + 1;
    kf_hold_keeping_t *keeping = calloc(1, sizeof(*keeping));

    if (!keeping) {
        return NULL;
    }
    keeping->config = config;
    keeping->news = calloc(n, sizeof(*keeping->news));
    keeping->is_written = calloc(n, sizeof(*keeping->is_written));
    if (!keeping->news || !keeping->is_written) {
        kf_hold_keeping_free(keeping);
        return NULL;
    }
    return keeping;
}

void kf_hold_keeping_free(kf_hold_keeping_t *keeping)
{
    if (keeping) {
        free(keeping->news);
        free(keeping->is_written);
        free(keeping);
    }
}

/* Asks the engine; what is over and not written yet is not lost. */
static void ask(kf_hold_keeping_t *keeping, int connection)
{
    kf_hold_news_t *news = &keeping->news[connection], now = {.since_us = 0};

    keeping->config->calls->tell_hold(keeping->config->engine, connection, &now);
    news->since_us = now.since_us;
    if (now.ended.end_us != 0) {
        if (news->ended.end_us == 0) {
            news->ended.begin_us = now.ended.begin_us;
        }
        news->ended.end_us = now.ended.end_us;
    }
    if (now.since_us == 0 || now.ended.end_us != 0) {
        keeping->is_written[connection] = false;
    }
}

static bool write_one(kf_hold_keeping_t *keeping, int connection, bool again)
{
    const kf_keeper_config_t *config = keeping->config;
    kf_hold_news_t *news = &keeping->news[connection];

    ask(keeping, connection);
    if (news->ended.end_us == 0 &&
        (news->since_us == 0 || (keeping->is_written[connection] && !again))) {
        return false;
    }
    if (kf_hold_rows_write(config->holds, connection, news, kf_wall_us(),
                           config->connections[connection].settings->retry_max_age) !=
        KF_INDEX_OK) {
        return false;
    }
    keeping->is_written[connection] = news->since_us != 0;
    news->ended = (kf_span_t){0, 0};
    return true;
}

static void read_one(kf_hold_keeping_t *keeping, int connection)
{
    const kf_keeper_config_t *config = keeping->config;
    kf_hold_known_t known;

    if (kf_hold_rows_read(config->holds, connection, &known) == KF_INDEX_OK) {
        config->calls->know_hold(config->engine, connection, &known);
    }
}

void kf_hold_keeping_tick(kf_hold_keeping_t *keeping)
{
    int64_t now_us = kf_mono_us();
    bool again = now_us >= keeping->again_us;

    if (!keeping->config->holds) {
        return;
    }
    for (int c = 0; c < keeping->config->connection_count; c++) {
        if (write_one(keeping, c, again) || again) {
            read_one(keeping, c);
        }
    }
    if (again) {
        keeping->again_us = now_us + keeping->config->timing->holds_us;
    }
}

void kf_hold_keeping_end(kf_hold_keeping_t *keeping)
{
    for (int c = 0; keeping->config->holds && c < keeping->config->connection_count; c++) {
        write_one(keeping, c, true);
    }
}
