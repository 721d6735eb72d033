/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a request's body, through httpd's input filters, into one buffer under a limit. Knows neither
 * JSON nor answers. The request's thread; blocks as long as httpd's time-outs allow.
 */
#ifndef KF_BODY_H
#define KF_BODY_H

#include <httpd.h>
#include <stdint.h>
#include "base/kf_buf.h"

typedef enum {
    KF_BODY_READ,
    KF_BODY_TOO_LARGE, /* longer than the limit; the rest is not read yet */
    KF_BODY_ENCODED,   /* a Content-Encoding is left that no filter removed */
    KF_BODY_BROKEN,    /* a filter could not make sense of it: inflating failed */
    KF_BODY_MEMORY,    /* out of memory */
    KF_BODY_REFUSED    /* httpd refuses or the client is gone: answer as status says */
} kf_body_result_t;

typedef struct {
    kf_buf_t bytes; /* freed with the request, at the latest */
    bool ended;     /* nothing is left that could be read */
    int status;     /* REFUSED: what the handler is to return */
} kf_body_t;

/**
 * Reads the body.
 * @param limit  longest body, as the filters deliver it
 * @param announced  what kf_body_announced says: asked once a request
 * @bounds memory: the bytes read, doubled at most, and never more than limit or than a first piece that
 *         a Content-Length asks for
 */
kf_body_result_t kf_body_read(request_rec *r, int64_t limit, int64_t announced, kf_body_t *body);

/**
 * Reads and drops what is left, up to max bytes. Where more is left, or reading fails, the connection
 * is closed after the answer.
 */
void kf_body_drop(request_rec *r, kf_body_t *body, int64_t max);

/** What Content-Length says, -1 if nothing or if it counts a coding's bytes. */
int64_t kf_body_announced(const request_rec *r);

#endif
