/* SPDX-License-Identifier: Apache-2.0
 *
 * Leading.
 */
#include "delivery/kf_leader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_alert_lead.h"
#include "delivery/kf_history.h"

/* Dead letters that one transaction sends again, and how many of those a tick does. */
#define REPLAY_RECORDS 500
#define REPLAY_BYTES (UINT64_C(4) << 20)
#define REPLAY_TURNS 4
/* Windows that one transaction seals. */
#define SHED_WINDOWS 256

struct kf_leader_t {
    const kf_keeper_config_t *config;
    kf_closing_t *closing; /* NULL: there are no windows */
    kf_sampler_t *sampler;
    kf_alert_lead_t *alerts; /* NULL: nobody looks after them here */
    int file;                /* -1: not open */
    bool leads;
    bool is_troubled;      /* KF0651 was said */
    bool is_full_of_dead;  /* KF0656 was */
    bool has_unknown;      /* KF0654 was */
    bool more;             /* of this tick */
    bool knows_windows;    /* open_bytes is what the index says */
    uint64_t marked, dead; /* of this tick: letters to be sent again, bytes of all letters, */
    uint64_t unknown;      /* windows of connections that are not configured */
    uint64_t *bytes;       /* by connection: in the index */
    uint64_t *open_bytes;  /* by connection: of open windows */
    uint64_t *replayed;    /* by connection: of the letters being sent again */
    int64_t tidy_us;       /* when it is time again */
};

kf_leader_t *kf_leader_create(const kf_keeper_config_t *config)
{
    size_t n = (size_t)config->connection_count + 1;
    kf_leader_t *leader = calloc(1, sizeof(*leader));

    if (!leader) {
        return NULL;
    }
    leader->config = config;
    leader->file = -1;
    leader->bytes = calloc(n, sizeof(*leader->bytes));
    leader->open_bytes = calloc(n, sizeof(*leader->open_bytes));
    leader->replayed = calloc(n, sizeof(*leader->replayed));
    leader->closing = config->windows ? kf_closing_create(config) : NULL;
    leader->sampler = kf_sampler_create(config->metrics);
    leader->alerts = config->alerts ? kf_alert_lead_create(config) : NULL;
    if (!leader->sampler || !leader->replayed || !leader->bytes || !leader->open_bytes ||
        (config->windows && !leader->closing) || (config->alerts && !leader->alerts)) {
        kf_leader_free(leader);
        return NULL;
    }
    leader->tidy_us = kf_mono_us() + config->timing->tidy_us;
    return leader;
}

void kf_leader_free(kf_leader_t *leader)
{
    if (!leader) {
        return;
    }
    kf_leader_resign(leader);
    kf_closing_free(leader->closing);
    kf_sampler_free(leader->sampler);
    kf_alert_lead_free(leader->alerts);
    free(leader->bytes);
    free(leader->open_bytes);
    free(leader->replayed);
    free(leader);
}

/* ---- who leads ---- */

static void trouble(kf_leader_t *leader, const char *path)
{
    if (!leader->is_troubled) {
        kf_log(KF0651, "%s: %s: %s", kf_msg_info(KF0651)->text, path, strerror(errno));
    }
    leader->is_troubled = true;
}

/* This child leads, or another does. */
static void no_trouble(kf_leader_t *leader)
{
    leader->is_troubled = false;
    kf_alert_forget_server(leader->config->shared, KF0651);
}

static bool take_lead(kf_leader_t *leader)
{
    char path[4096];

    if (leader->leads) {
        return true;
    }
    snprintf(path, sizeof(path), "%s/%s", leader->config->directory, KF_LEADER_FILE);
    if (leader->file < 0) {
        leader->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    if (leader->file < 0) {
        trouble(leader, path);
        return false;
    }
    if (flock(leader->file, LOCK_EX | LOCK_NB) == 0) {
        leader->leads = true;
        no_trouble(leader);
    } else if (errno == EWOULDBLOCK) {
        if (leader->is_troubled) {
            no_trouble(leader);
        }
    } else if (errno != EINTR) {
        trouble(leader, path);
    }
    return leader->leads;
}

void kf_leader_resign(kf_leader_t *leader)
{
    kf_alert_lead_resign(leader->alerts);
    if (leader->file >= 0) {
        close(leader->file);
    }
    leader->file = -1;
    leader->leads = false;
}

/* ---- the store ---- */

static void adopt(kf_leader_t *leader)
{
    const kf_keeper_config_t *config = leader->config;

    if (!config->journal) {
        return;
    }
    if (kf_journal_adopt(config->journal) > 0) {
        config->calls->look_behind(config->engine);
    }
    if (!kf_journal_leaves_alone(config->journal)) {
        kf_alert_forget_server(config->shared, KF0606);
    }
}

static void tell_letters(kf_metrics_t *metrics, int connection, const kf_dead_totals_t *totals)
{
    kf_metrics_set(metrics, connection, KF_GAUGE_DEAD_LETTERS, (int64_t)totals->letters);
    kf_metrics_set(metrics, connection, KF_GAUGE_DEAD_LETTER_BYTES, (int64_t)totals->bytes);
    kf_metrics_set(metrics, connection, KF_GAUGE_DEAD_LETTERS_MARKED, (int64_t)totals->marked);
    kf_metrics_set(metrics, connection, KF_GAUGE_OLDEST_DEAD_LETTER, totals->oldest_us);
}

static void tell_windows(kf_metrics_t *metrics, const kf_window_totals_t *totals)
{
    kf_metrics_set(metrics, totals->connection, KF_GAUGE_WINDOWS, (int64_t)totals->windows);
    kf_metrics_set(metrics, totals->connection, KF_GAUGE_WINDOW_BYTES, (int64_t)totals->bytes);
    kf_metrics_set(metrics, totals->connection, KF_GAUGE_OLDEST_WINDOW, totals->oldest_us);
}

static void tell_store(const kf_keeper_config_t *config)
{
    int64_t total = (int64_t)kf_usage_total(config->usage);
    int64_t index = config->index ? (int64_t)kf_index_bytes(config->index) : 0;

    kf_metrics_set_server(config->metrics, KF_SERVER_STORE_BYTES, total);
    kf_metrics_set_server(config->metrics, KF_SERVER_STORE_LIMIT, config->process->store_limit);
    kf_metrics_set_server(config->metrics, KF_SERVER_STORE_INDEX_BYTES, index);
    kf_metrics_set_server(config->metrics, KF_SERVER_STORE_JOURNAL_BYTES,
                          total > index ? total - index : 0);
    for (int c = 0; c < config->connection_count; c++)
        kf_metrics_set(config->metrics, c, KF_GAUGE_CONNECTION_STORE_BYTES,
                       (int64_t)kf_usage_of(config->usage, c));
}

static void add_letters(void *context, const kf_dead_totals_t *totals)
{
    kf_leader_t *leader = context;

    leader->marked += totals->marked;
    leader->dead += totals->bytes;
    for (int c = 0; c < leader->config->connection_count; c++) {
        if (strcmp(leader->config->connections[c].name, totals->connection) == 0) {
            leader->bytes[c] += totals->bytes;
            tell_letters(leader->config->metrics, c, totals);
        }
    }
}

static void add_windows(void *context, const kf_window_totals_t *totals)
{
    kf_leader_t *leader = context;

    if (totals->connection >= 0) {
        leader->bytes[totals->connection] += totals->bytes;
        leader->open_bytes[totals->connection] = totals->open_bytes;
        tell_windows(leader->config->metrics, totals);
    } else if (totals->windows > 0) {
        leader->unknown += totals->windows;
        if (leader->has_unknown) {
            return;
        }
        kf_log(KF0654, "connection %s: %s: %llu", totals->name, kf_msg_info(KF0654)->text,
               (unsigned long long)totals->windows);
    }
}

static void warn_of_letters(kf_leader_t *leader)
{
    uint64_t quarter = (uint64_t)leader->config->process->store_limit / 4;

    if (leader->dead >= quarter && !leader->is_full_of_dead) {
        leader->is_full_of_dead = true;
        kf_log(KF0656, "%s: %llu bytes", kf_msg_info(KF0656)->text,
               (unsigned long long)leader->dead);
    } else if (leader->dead < quarter / 4 * 3) {
        leader->is_full_of_dead = false;
        kf_alert_forget_server(leader->config->shared, KF0656);
    }
}

static void measure(kf_leader_t *leader)
{
    const kf_keeper_config_t *config = leader->config;
    size_t n = (size_t)config->connection_count;
    bool known = true;

    memset(leader->bytes, 0, n * sizeof(*leader->bytes));
    memset(leader->open_bytes, 0, n * sizeof(*leader->open_bytes));
    leader->marked = leader->dead = leader->unknown = 0;
    if (config->letters) {
        known = kf_deadletters_totals(config->letters, add_letters, leader) == KF_INDEX_OK;
        if (known) {
            warn_of_letters(leader);
        }
    }
    if (config->windows) {
        leader->knows_windows =
            kf_windows_totals(config->windows, add_windows, leader) == KF_INDEX_OK;
        known &= leader->knows_windows;
        leader->has_unknown |= known;
        if (known && leader->unknown == 0) {
            kf_alert_forget_server(config->shared, KF0654);
        }
    }
    if (!config->usage) {
        return;
    }
    if (config->index) {
        kf_usage_set_files(config->usage, KF_USAGE_INDEX, kf_index_bytes(config->index));
    }
    for (int c = 0; known && c < config->connection_count; c++) {
        kf_usage_set_index(config->usage, c, leader->bytes[c]);
    }
    kf_usage_settle(config->usage);
    tell_store(config);
}

/* ---- windows that fill their share ---- */

/* Half of what the connection may have in the store. */
static uint64_t windows_max(const kf_keeper_config_t *config, int connection)
{
    int64_t percent = config->connections[connection].settings->store_share;

    if (percent == 0) {
        percent = config->connection_count == 1 ? 100 : 50;
    }
    return (uint64_t)config->process->store_limit / 100 * (uint64_t)percent / 2;
}

static void shed(kf_leader_t *leader, int connection)
{
    const kf_keeper_config_t *config = leader->config;
    uint64_t max = windows_max(config, connection), open = leader->open_bytes[connection];
    kf_alert_at_t at = kf_keeper_at(config, connection);

    if (open <= max) {
        if (open < max / 4 * 3) {
            kf_alert_forget(&at, KF0653);
        }
        return;
    }
    if (kf_windows_begin(config->windows) != KF_INDEX_OK) {
        return;
    }
    uint32_t n = kf_windows_shed(config->windows, (uint16_t)connection, max, SHED_WINDOWS);
    if (kf_windows_commit(config->windows) == KF_INDEX_OK && n > 0) {
        kf_metrics_add(config->metrics, connection, KF_COUNT_WINDOWS_SHED, n);
        kf_alert_begin(&at, KF0653, "%llu bytes in open windows", (unsigned long long)open);
        leader->more |= n == SHED_WINDOWS;
    }
}

/* ---- dead letters to be sent again ---- */

static bool put(void *context, kf_record_list_t *records)
{
    const kf_leader_t *leader = context;
    const kf_keeper_config_t *config = leader->config;
    size_t n = (size_t)config->connection_count;

    memset(leader->replayed, 0, n * sizeof(*leader->replayed));
    for (const kf_record_t *r = records->first; r; r = r->next) {
        leader->replayed[r->connection]++;
    }
    if (config->calls->put(config->engine, records) != KF_ACCEPTED) {
        return false;
    }
    for (int c = 0; c < config->connection_count; c++) {
        kf_metrics_add(config->metrics, c, KF_COUNT_REPLAYED, leader->replayed[c]);
    }
    return true;
}

static void replay(kf_leader_t *leader)
{
    const kf_keeper_config_t *config = leader->config;
    uint32_t n = REPLAY_RECORDS;

    for (int i = 0; i < REPLAY_TURNS && n > 0 && leader->marked > 0; i++) {
        if (kf_deadletters_replay(config->letters, REPLAY_RECORDS, REPLAY_BYTES, put, leader, &n) !=
            KF_INDEX_OK) {
            return;
        }
        leader->marked -= n < leader->marked ? n : leader->marked;
    }
    leader->more |= n > 0 && leader->marked > 0;
}

/* ---- a tick ---- */

static void tidy(kf_leader_t *leader)
{
    uint32_t pages = 0;
    int64_t now_us = kf_mono_us();

    if (!leader->config->index || now_us < leader->tidy_us) {
        return;
    }
    if (kf_index_tidy(leader->config->index, &pages) != KF_INDEX_OK || pages == 0) {
        leader->tidy_us = now_us + leader->config->timing->tidy_us;
    }
}

bool kf_leader_tick(kf_leader_t *leader)
{
    const kf_keeper_config_t *config = leader->config;

    if (!take_lead(leader)) {
        return false;
    }
    leader->more = false;
    kf_metrics_reap(config->metrics);
    adopt(leader);
    measure(leader);
    for (int c = 0; leader->knows_windows && c < config->connection_count; c++) {
        shed(leader, c);
    }
    if (leader->closing &&
        kf_closing_run(leader->closing, kf_mono_us() + config->timing->turn_us)) {
        leader->more = true;
    }
    if (config->letters) {
        replay(leader);
    }
    tidy(leader);
    kf_sampler_tick(leader->sampler);
    if (leader->alerts) {
        kf_alert_lead_tick(leader->alerts);
    }
    return leader->more;
}
