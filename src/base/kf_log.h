/* SPDX-License-Identifier: Apache-2.0
 *
 * The log facade: every message has a stable id from kf_messages.def, which also holds its level and
 * what the operator should do. The server's adapter installs the sink. Any thread; formats on the
 * stack, takes no lock and no pool. Callers never pass secrets, nor bytes of a body; control
 * characters in arguments are made harmless here.
 */
#ifndef KF_LOG_H
#define KF_LOG_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { KF_ERROR, KF_WARNING, KF_NOTICE, KF_INFO, KF_DEBUG } kf_level_t;

/* Whether a message is an alert: something the operator must know, listed until it is over. */
typedef enum {
    KF_ALERT_LOG,   /* it is none: the log has it */
    KF_ALERT_EVENT, /* something happened: listed, and over at once */
    KF_ALERT_STATE, /* lasts until its end is seen, over restarts too */
    KF_ALERT_FAULT /* likewise, but found again by whoever meets it: what was raised by a process that
                       is gone, and is not met again within a minute, is over */
} kf_alert_kind_t;

typedef enum {
#define KF_MSG(number, level, alert, text, advice) KF##number,
#include "base/kf_messages.def"
#undef KF_MSG
    KF_MSG_COUNT
} kf_msg_t;

/** Sets of messages. */
#define KF_MSG_BIT(msg) (UINT64_C(1) << (msg))
_Static_assert(KF_MSG_COUNT <= 64, "a set of messages has 64 bits");

typedef struct {
    const char *id; /* "KF0101" */
    kf_level_t level;
    kf_alert_kind_t alert;
    const char *text;   /* one line: what it means */
    const char *advice; /* one line: what to do, "" if nothing */
} kf_msg_info_t;

/** The catalogue's row of a message. */
const kf_msg_info_t *kf_msg_info(kf_msg_t msg);

/** Where lines go: level and one finished line "KF0101: ..." without line break. Called on any thread. */
typedef void kf_log_sink_fn(kf_level_t level, const char *line);

/** Installs the sink (NULL: standard error). Before threads start. */
void kf_log_set_sink(kf_log_sink_fn *sink);

/**
 * Who learns of messages that may be an alert's beginning or end before they are logged, on the thread
 * that logs, whatever locks it holds: it must neither block nor log.
 * @param particulars  harmless, as they will stand in the line
 * @return whether the line is to be written
 */
typedef bool kf_log_watch_fn(kf_msg_t msg, const char *particulars);

/** Installs the watch (NULL: none). Before threads start. */
void kf_log_set_watch(kf_log_watch_fn *watch);

/** Asks the watch, for who writes the line by itself. @return whether it is to be written */
bool kf_log_tell(kf_msg_t msg, const char *particulars);

/**
 * Logs "ID: <formatted>; <advice>", at the catalogue's level. fmt gives the particulars of this
 * occurrence (connection, value, code); truncated at about 1 KiB.
 */
void kf_log(kf_msg_t msg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** The same, without telling the watch: for who has looked after alerts already. */
void kf_log_unwatched(kf_msg_t msg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
