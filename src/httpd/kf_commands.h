/* SPDX-License-Identifier: Apache-2.0
 *
 * The command table, generated from base/kf_directives.def, and the <KinesisConnection> section. Checks
 * each directive by itself: where it stands, its syntax and range. What belongs together is
 * kf_check.c's. Configuration time, no side effects.
 */
#ifndef KF_COMMANDS_H
#define KF_COMMANDS_H

#include <httpd.h>
#include <http_config.h>

extern const command_rec kf_commands[];

#endif
