/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a change is asked for by the page itself and not by another site in the operator's browser:
 * the browser says so, and the request has the token that only the page shows. Knows no change. Request
 * threads.
 */
#ifndef KF_STATUS_GUARD_H
#define KF_STATUS_GUARD_H

#include <httpd.h>
#include <stdbool.h>

/** Draws the secret of the tokens, or finds the one that this server has had since it was started.
 * @thread the parent's */
void kf_status_guard_prepare(void);

/** The token of who asks; of the request's pool. */
const char *kf_status_guard_token(request_rec *r);

/**
 * @param token  as it came, or NULL
 * @return NULL if the change may be made, else why not, a sentence
 */
const char *kf_status_guard_refuses(request_rec *r, const char *token);

#endif
