/* SPDX-License-Identifier: Apache-2.0
 *
 * The log facade: every message has a stable id from kf_messages.def, which also holds its level and
 * what the operator should do. The server's adapter installs the sink. Any thread; formats on the
 * stack, takes no lock and no pool. Callers never pass secrets, nor bytes of a body; control
 * characters in arguments are made harmless here.
 */
#ifndef KF_LOG_H
#define KF_LOG_H

typedef enum { KF_ERROR, KF_WARNING, KF_NOTICE, KF_INFO, KF_DEBUG } kf_level_t;

typedef enum {
#define KF_MSG(number, level, text, advice) KF##number,
#include "base/kf_messages.def"
#undef KF_MSG
    KF_MSG_COUNT
} kf_msg_t;

typedef struct {
    const char *id; /* "KF0101" */
    kf_level_t level;
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
 * Logs "ID: <formatted>; <advice>", at the catalogue's level. fmt gives the particulars of this
 * occurrence (connection, value, code); truncated at about 1 KiB.
 */
void kf_log(kf_msg_t msg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
