/* SPDX-License-Identifier: Apache-2.0
 *
 * Raising and ending alerts: noted for the whole server (kf_alert_cells.h), logged once a change. Knows
 * no lock; any thread; blocks only as the log does, so never under the engine's lock.
 */
#ifndef KF_ALERT_H
#define KF_ALERT_H

#include "delivery/kf_alert_cells.h"
#include "delivery/kf_shared.h"

typedef struct {
    kf_shared_t *shared;
    int connection;
    const char *name;
} kf_alert_at_t;

/** Raises; logs "connection NAME: TEXT: particulars" if it was not raised before. */
void kf_alert_begin(const kf_alert_at_t *at, kf_msg_t msg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** The same with AWS's code and request id, and how often it took place; words->text is not looked at. */
void kf_alert_begin_of(const kf_alert_at_t *at, kf_msg_t msg, const kf_alert_words_t *words,
                       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** Notes an event of a connection, and logs it like the beginning of an alert, each time. */
void kf_alert_event(const kf_alert_at_t *at, kf_msg_t msg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Ends; where it was raised logs that it is over, as `said` (KF0307, KF0203). */
void kf_alert_end(const kf_alert_at_t *at, kf_msg_t msg, kf_msg_t said);

/** Ends without a word. */
void kf_alert_forget(const kf_alert_at_t *at, kf_msg_t msg);

/** Whether it is raised. One load. */
bool kf_alert_raised(const kf_alert_at_t *at, kf_msg_t msg);

/**
 * The connection delivers: troubles of delivery that were raised by children that are gone are over. One
 * load where none is raised.
 * @param own  a set: those that are not over for the caller, who ends them itself
 */
void kf_alert_delivers(const kf_alert_at_t *at, uint64_t own);

/**
 * From now on messages of kf_log that are alerts are raised for the server as a whole, in these cells;
 * KF0602 ends KF0601, KF0612 ends KF0611 and KF0613. What is raised already is not logged again.
 * @param shared  NULL: no more
 * @thread before threads start
 */
void kf_alert_watch_log(kf_shared_t *shared);

/** Ends an alert of the server as a whole. */
void kf_alert_forget_server(kf_shared_t *shared, kf_msg_t msg);

#endif
