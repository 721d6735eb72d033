/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler "kinesis-forward": decides which answer a request gets, in the order that the senders
 * rely on (method, media type, announced length, room, length, content). Hooks of httpd's request
 * phases. Request threads.
 */
#ifndef KF_HANDLER_H
#define KF_HANDLER_H

#include <httpd.h>

/** The handler hook. */
int kf_handler(request_rec *r);

/** handler hook, after all others: says so where a batch was posted to a location of ours that lacks the handler. */
int kf_handler_missing(request_rec *r);

/** header_parser hook: CORS headers for whatever will answer a request of our locations. */
int kf_handler_cors(request_rec *r);

/** insert_error_filter hook: the same where httpd, answering itself, has thrown headers away. */
void kf_handler_cors_again(request_rec *r);

/** translate_name hook: TRACE to our locations is no method of theirs, httpd would echo it. */
int kf_handler_trace(request_rec *r);

#endif
