/* SPDX-License-Identifier: Apache-2.0
 *
 * The answers: mParticle's error bodies, and the successes, which have none. Each writes the whole
 * answer and returns what the handler is to return. The request's thread.
 */
#ifndef KF_ANSWER_H
#define KF_ANSWER_H

#include <httpd.h>

/** 202, empty. */
int kf_answer_accepted(request_rec *r);

/** 204 to OPTIONS. */
int kf_answer_options(request_rec *r);

/**
 * {"errors":[{"code":"...","message":"..."}]}, with Allow where the status asks for it.
 * @param status   400, 405, 413, 415 or 503
 * @param message  valid UTF-8
 */
int kf_answer_error(request_rec *r, int status, const char *message);

/** 503 with Retry-After. */
int kf_answer_unavailable(request_rec *r, int retry_after_s, const char *message);

#endif
