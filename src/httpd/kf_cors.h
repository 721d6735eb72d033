/* SPDX-License-Identifier: Apache-2.0
 *
 * Cross-origin resource sharing: the headers that let pages of allowed origins read an answer. Knows
 * KinesisAllowOrigin, no body. The request's thread.
 */
#ifndef KF_CORS_H
#define KF_CORS_H

#include <httpd.h>
#include "httpd/kf_config.h"

/**
 * Puts the headers for the request's Origin on whatever answers it, httpd's own errors too: none if the
 * origin is not allowed. Harmless when repeated.
 * @return whether the origin is allowed
 */
bool kf_cors_apply(request_rec *r, const kf_location_t *location);

/** Adds what a preflight asks for, if the request is one and its origin is allowed. */
void kf_cors_preflight(request_rec *r, const kf_location_t *location);

#endif
