/* SPDX-License-Identifier: Apache-2.0
 *
 * What belongs together in a configuration, checked once all of it is read: httpd's check_config hook,
 * which also runs for "apachectl configtest". Finishes the settings and resolves secrets on the way.
 * Reads files, changes nothing. Logs each fault (KF0104), with connection, directive, file and line.
 *
 * Faults of the environment (a file that cannot be read, a variable that is gone) refuse a start. When
 * a running server reads its configuration again they do not, because that would end it: they are an
 * alert (KF0103), and the connection is unusable until the next restart.
 */
#ifndef KF_CHECK_H
#define KF_CHECK_H

#include <httpd.h>
#include <stdbool.h>

/** The hook. @return OK, or HTTP_INTERNAL_SERVER_ERROR: httpd does not start */
int kf_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *server);

/** Whether this process has been serving and reads its configuration again. */
bool kf_check_restarting(void);

#endif
