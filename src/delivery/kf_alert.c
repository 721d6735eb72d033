/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts (kf_alert.h). Must not know what they are about. Any thread.
 */
#include "delivery/kf_alert.h"

#include <stdarg.h>
#include <stdio.h>

#define PARTICULARS_MAX 768

void kf_alert_begin(const kf_alert_at_t *at, kf_msg_t msg, const char *fmt, ...)
{
    char particulars[PARTICULARS_MAX];
    va_list args;

    if (!kf_shared_raise(at->shared, at->connection, msg))
        return;
    va_start(args, fmt);
    vsnprintf(particulars, sizeof particulars, fmt, args);
    va_end(args);
    kf_log(msg, "connection %s: %s%s%s", at->name, kf_msg_info(msg)->text,
           particulars[0] ? ": " : "", particulars);
}

void kf_alert_end(const kf_alert_at_t *at, kf_msg_t msg, kf_msg_t said)
{
    if (kf_shared_clear(at->shared, at->connection, msg))
        kf_log(said, "connection %s: %s; over: %s", at->name, kf_msg_info(said)->text,
               kf_msg_info(msg)->text);
}

void kf_alert_forget(const kf_alert_at_t *at, kf_msg_t msg)
{
    kf_shared_clear(at->shared, at->connection, msg);
}
