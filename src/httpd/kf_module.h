/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's name for httpd's macros: its record (mod_kinesis_forward.c) and its index in LogLevel.
 * Included by every file here that asks httpd for the module's configuration or writes to its log.
 */
#ifndef KF_MODULE_H
#define KF_MODULE_H

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>

extern module AP_MODULE_DECLARE_DATA kinesis_forward_module;

APLOG_USE_MODULE(kinesis_forward);

/* Names for SetHandler. */
#define KF_HANDLER_NAME "kinesis-forward"

#endif
