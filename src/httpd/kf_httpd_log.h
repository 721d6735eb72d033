/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of messages into httpd's error log: the sink of base/kf_log.h, and messages about a request,
 * which httpd marks with the client's address. Any thread; uses no pool but a request's own.
 */
#ifndef KF_HTTPD_LOG_H
#define KF_HTTPD_LOG_H

#include <httpd.h>
#include "base/kf_log.h"

/** The sink: writes to the main server's log. Once that is open. */
void kf_httpd_log(kf_level_t level, const char *line);

/** The sink until then: writes to where httpd writes its own errors, whatever LogLevel says. */
void kf_httpd_log_startup(kf_level_t level, const char *line);

/**
 * Logs "ID: <formatted>; <advice>" about a request, at the catalogue's level. Formats nothing where
 * LogLevel is above it.
 * @thread the request's
 */
void kf_httpd_log_request(request_rec *r, kf_msg_t msg, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
