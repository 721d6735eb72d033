/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader's work on alerts.
 */
#include "delivery/kf_alert_lead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "delivery/kf_alert_command.h"

/* Between two looks at all cells, and two transactions. */
#define LOOK_US KF_SEC
#define REMIND_US (3600 * KF_SEC)

struct kf_alert_lead_t {
    const kf_keeper_config_t *config;
    kf_alert_cells_t *cells;
    kf_alert_command_t *command; /* NULL: none is wanted */
    int64_t look_us;             /* when it is time again */
    bool *has_letters;           /* by connection */
    bool is_leading;
};

kf_alert_lead_t *kf_alert_lead_create(const kf_keeper_config_t *config)
{
    const kf_list_t *command = &config->process->alert_command;
    kf_alert_lead_t *lead = calloc(1, sizeof *lead);

    if (!lead)
        return NULL;
    lead->config = config;
    lead->cells = kf_shared_alerts(config->shared);
    lead->has_letters = calloc((size_t)config->connection_count + 1, sizeof *lead->has_letters);
    if (command->n > 0)
        lead->command = kf_alert_command_create(command, lead->cells, config->alerts,
                                                config->connection_count + 1);
    if (!lead->has_letters || (command->n > 0 && !lead->command)) {
        kf_alert_lead_free(lead);
        return NULL;
    }
    return lead;
}

void kf_alert_lead_free(kf_alert_lead_t *lead)
{
    if (!lead)
        return;
    kf_alert_command_free(lead->command);
    free(lead->has_letters);
    free(lead);
}

/* ---- what lasts ---- */

/* "connection NAME: ", or "" for the server. */
static void put_where(const kf_alert_lead_t *lead, int row, char text[96])
{
    const char *name = kf_alert_table_name(lead->config->alerts, row);

    snprintf(text, 96, "%s%s%s", *name ? "connection " : "", name, *name ? ": " : "");
}

static void remind(const kf_alert_lead_t *lead, int row, kf_msg_t msg)
{
    kf_alert_state_t state;
    char where[96];

    if (!kf_alert_cells_remind(lead->cells, row, msg, REMIND_US) ||
        !kf_alert_cells_read(lead->cells, row, msg, &state))
        return;
    put_where(lead, row, where);
    kf_log_unwatched(msg, "%s%s: still so after %lld minutes, %llu times: %s", where,
                     kf_msg_info(msg)->text,
                     (long long)((kf_wall_us() - state.first_us) / (60 * KF_SEC)),
                     (unsigned long long)state.count, state.text);
}

static void end(const kf_alert_lead_t *lead, int row, kf_msg_t msg)
{
    char where[96];

    if (!kf_alert_cells_clear(lead->cells, row, msg))
        return;
    put_where(lead, row, where);
    kf_log(KF0523, "%s%s; over: %s", where, kf_msg_info(KF0523)->text, kf_msg_info(msg)->text);
}

static void look_at_raised(const kf_alert_lead_t *lead, int64_t now_us)
{
    for (int row = 0; row <= lead->config->connection_count; row++)
        for (int m = 0; kf_alert_cells_any(lead->cells, row) && m < KF_MSG_COUNT; m++) {
            kf_msg_t msg = (kf_msg_t)m;

            if (kf_msg_info(msg)->alert == KF_ALERT_FAULT &&
                kf_alert_cells_doubtful(lead->cells, row, msg, now_us))
                end(lead, row, msg);
            remind(lead, row, msg);
        }
}

/* ---- dead letters ---- */

static void note_letters(void *context, const kf_dead_totals_t *totals)
{
    const kf_alert_lead_t *lead = context;

    for (int c = 0; c < lead->config->connection_count; c++)
        if (strcmp(lead->config->connections[c].name, totals->connection) == 0)
            lead->has_letters[c] = totals->letters > 0;
}

/* Where the last one is gone the alert is. */
static void look_at_letters(kf_alert_lead_t *lead)
{
    const kf_keeper_config_t *config = lead->config;
    bool is_wanted = false;

    for (int c = 0; c < config->connection_count; c++) {
        is_wanted |= kf_alert_cells_raised(lead->cells, c, KF0304);
        lead->has_letters[c] = false;
    }
    if (!is_wanted || !config->letters ||
        kf_deadletters_totals(config->letters, note_letters, lead) != KF_INDEX_OK)
        return;
    for (int c = 0; c < config->connection_count; c++)
        if (!lead->has_letters[c])
            kf_alert_cells_clear(lead->cells, c, KF0304);
}

/* ---- checks ---- */

/* Of a stream that is Firehose's no more: nobody checks it. */
static void look_at_checks(const kf_alert_lead_t *lead)
{
    const kf_keeper_config_t *config = lead->config;

    for (int c = 0; c < config->connection_count; c++)
        if (config->connections[c].settings->service != KF_SERVICE_FIREHOSE)
            end(lead, c, KF0403);
}

/* ---- room ---- */

/* The child that said so ends it when it delivers something; where nothing comes any more it never
 * does. */
static void look_at_room(const kf_alert_lead_t *lead)
{
    const kf_keeper_config_t *config = lead->config;
    kf_alert_state_t state;

    for (int c = 0; config->journal && c < config->connection_count; c++) {
        kf_alert_at_t at = kf_keeper_at(config, c);

        if (kf_alert_raised(&at, KF0202) && kf_journal_room(config->journal, c) &&
            kf_alert_cells_read(lead->cells, c, KF0202, &state) &&
            kf_wall_us() - state.last_us >= KF_ALERT_DOUBT_US)
            kf_alert_end(&at, KF0202, KF0203);
    }
}

/* ---- a tick ---- */

void kf_alert_lead_tick(kf_alert_lead_t *lead)
{
    int64_t now_us = kf_mono_us();

    lead->is_leading = true;
    if (now_us >= lead->look_us) {
        lead->look_us = now_us + LOOK_US;
        look_at_letters(lead);
        look_at_checks(lead);
        look_at_room(lead);
        look_at_raised(lead, now_us);
        /* First, so that the command is told the row's number. */
        kf_index_result_t saved = kf_alert_table_save(lead->config->alerts, lead->command != NULL);
        if (lead->command)
            kf_alert_command_find(lead->command, saved != KF_INDEX_OK);
    }
    if (lead->command)
        kf_alert_command_look(lead->command);
}

void kf_alert_lead_resign(kf_alert_lead_t *lead)
{
    if (!lead || !lead->is_leading)
        return;
    lead->is_leading = false;
    lead->look_us = 0;
    if (lead->command)
        kf_alert_command_stop(lead->command);
    kf_alert_table_save(lead->config->alerts, lead->command != NULL);
}
