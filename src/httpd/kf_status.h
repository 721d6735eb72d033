/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's page: SetHandler kinesis-forward-status. Which request asks for what, and the answers'
 * headers. GET and HEAD read, POST changes. Knows neither SQL nor how things look.
 *
 *     (nothing)            the dashboard
 *     format=json          with since=SECONDS, letters=NAME, before=ID
 *     format=prometheus
 *     health               200 or 503 with the reason
 *     letter=ID            the bytes of a dead letter, as an attachment
 *     preview=ID           the beginning of them, as plain text
 *     asset=NAME           the page's own files
 *
 * Works in a child that has no engine, and without an index that can be read.
 */
#ifndef KF_STATUS_H
#define KF_STATUS_H

#include <httpd.h>

#define KF_STATUS_HANDLER_NAME "kinesis-forward-status"

/** post_config hook: what is the same for all requests. */
int kf_status_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                          server_rec *server);

/** child_init hook. */
void kf_status_child_init(apr_pool_t *pchild, server_rec *server);

/** handler hook. */
int kf_status_handler(request_rec *r);

/** mod_status' hook, where that is loaded: its page's section, and lines. */
int kf_status_section(request_rec *r, int flags);

#endif
