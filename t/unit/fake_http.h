/* SPDX-License-Identifier: Apache-2.0
 *
 * A kf_http_t without a network: a test's function answers each call, at once, later or never. Knows
 * the bodies of Kinesis and Firehose calls just enough to say how many records they hold and which. The
 * function runs on the workers' threads.
 */
#ifndef FAKE_HTTP_H
#define FAKE_HTTP_H

#include <stdatomic.h>
#include "aws/kf_http.h"

typedef struct {
    const kf_http_request_t *request;
    char action[64]; /* "PutRecords", "DescribeDeliveryStream", ... */
    char stream[80];
    bool is_firehose;
    uint32_t entry_count;
    const char **entries; /* base64 of each record's data, ends at a quote */
} fake_call_t;

/* Zero: everything is taken, at once. */
typedef struct {
    kf_http_outcome_t outcome;
    bool never; /* no answer but by abort */
    int64_t delay_us;
    int status;       /* 0: 200 */
    const char *code; /* of an error */
    const char *message;
    const char *body;         /* in place of the one that fits */
    const char **entry_codes; /* entry_count of them, NULL: taken; may be NULL itself */
    int64_t date_us;
    int64_t retry_after_us; /* 0: none */
} fake_answer_t;

typedef void fake_handler_fn(void *context, const fake_call_t *call, fake_answer_t *answer);

typedef struct {
    fake_handler_fn *handler; /* NULL: everything is taken */
    void *context;
    atomic_int instances; /* made and not destroyed */
    atomic_int calls;
    atomic_int records; /* in calls */
    atomic_int aborted;
    atomic_int wakes;
} fake_world_t;

/** A kf_http_factory_fn; context is a fake_world_t. */
kf_http_t *fake_http_create(void *world);

/** Decodes the beginning of a record's data. @return bytes */
size_t fake_call_data(const fake_call_t *call, uint32_t entry, char *out, size_t size);

#endif
