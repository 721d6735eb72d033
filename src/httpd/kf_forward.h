/* SPDX-License-Identifier: Apache-2.0
 *
 * One posted body to records of every connection of its location, and these to the engine: all or none.
 * Knows no request and writes no answer. Request threads.
 */
#ifndef KF_FORWARD_H
#define KF_FORWARD_H

#include "base/kf_buf.h"
#include "httpd/kf_config.h"

typedef struct {
    int status; /* 202; or 400, 413, 503 and nothing was forwarded */
    bool out_of_memory;
    char message[240]; /* why not, for the sender */
    uint32_t records;  /* 202: handed over */
    uint64_t filtered; /* 202: events, and batches as a whole, that filters left out, of all
                          connections */
} kf_forwarded_t;

/**
 * Validates, filters and submits. Blocks until the records are as durable as the server promises.
 * @param engine  running
 * @param body    freed as soon as it was read
 */
void kf_forward(const kf_config_t *config, kf_engine_t *engine, const kf_location_t *location,
                kf_buf_t *body, kf_forwarded_t *out);

#endif
