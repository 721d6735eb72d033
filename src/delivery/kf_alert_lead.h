/* SPDX-License-Identifier: Apache-2.0
 *
 * What the leader does for alerts: writes them to the index, runs the operator's command, reminds of
 * those that last, and ends those that are over with nobody left to notice. Knows no httpd, and of the
 * alerts' reasons only what the store tells. One thread, the leader's; never waits for the command.
 */
#ifndef KF_ALERT_LEAD_H
#define KF_ALERT_LEAD_H

#include "delivery/kf_keeper_config.h"

typedef struct kf_alert_lead_t kf_alert_lead_t;

/** @param config  outlives it; has alerts. @return NULL when out of memory */
kf_alert_lead_t *kf_alert_lead_create(const kf_keeper_config_t *config);
/** NULL does nothing. */
void kf_alert_lead_free(kf_alert_lead_t *lead);

/** At each tick of the leader. */
void kf_alert_lead_tick(kf_alert_lead_t *lead);

/** Leads no more: what is not written is, the command's runs are ended. @blocks for a second at most, and
 * for a transaction. NULL does nothing. */
void kf_alert_lead_resign(kf_alert_lead_t *lead);

#endif
