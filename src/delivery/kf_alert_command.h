/* SPDX-License-Identifier: Apache-2.0
 *
 * KinesisAlertCommand: the operator's program, run at each new alert with the alert on its standard
 * input. Some run at once, the others wait in their order; too many are given up. Runs are claimed in
 * the cells that the children share, so that two leaders don't both run one; what was under way when its
 * child died is run again, by the next leader or at the next start: at least once. Knows neither index
 * nor httpd.
 *
 * Threads: one, the leader's. Nothing here waits, but for kf_alert_command_stop.
 */
#ifndef KF_ALERT_COMMAND_H
#define KF_ALERT_COMMAND_H

#include "base/kf_buf.h"
#include "base/kf_settings.h"
#include "delivery/kf_alert_table.h"

#define KF_ALERT_RUNS_MAX 4
#define KF_ALERT_WAITS_MAX 100
#define KF_ALERT_LIMIT_US (30 * KF_SEC)

typedef struct kf_alert_command_t kf_alert_command_t;

/**
 * @param command  program and arguments; outlives it, as cells and table do
 * @return NULL when out of memory
 */
kf_alert_command_t *kf_alert_command_create(const kf_list_t *command, kf_alert_cells_t *cells,
                                            const kf_alert_table_t *table, int rows);
/** As kf_alert_command_stop, and frees. NULL does nothing. */
void kf_alert_command_free(kf_alert_command_t *command);

/**
 * Looks for new alerts, in the order in which they came.
 * @param unsaved_too  the index can't be written: also those that have no number yet
 */
void kf_alert_command_find(kf_alert_command_t *command, bool unsaved_too);

/** Starts runs, ends those that are late, logs those that failed (KF0521). */
void kf_alert_command_look(kf_alert_command_t *command);

/**
 * Gives up leading: what waits is left to the next leader; what runs is given a second, then killed
 * and left to the next one too.
 */
void kf_alert_command_stop(kf_alert_command_t *command);

/**
 * Appends the alert as a JSON object and a line break.
 * @param connection  its name, "" for the server as a whole
 */
void kf_alert_put_json(kf_buf_t *out, kf_msg_t msg, const char *connection,
                       const kf_alert_state_t *state);

#endif
