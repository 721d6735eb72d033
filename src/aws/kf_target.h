/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a connection's records go: service, stream, endpoint, limits. Streams and Firehose are two rows
 * of one table and share all code. Compiled once from finished settings; read-only afterwards, any
 * thread.
 */
#ifndef KF_TARGET_H
#define KF_TARGET_H

#include <apr_pools.h>
#include "base/kf_settings.h"

typedef enum { KF_OP_PUT, KF_OP_PUT_BATCH, KF_OP_DESCRIBE } kf_op_t;

/* What differs between the services. */
typedef struct {
    const char *name; /* signing name and host prefix: "kinesis", "firehose" */
    const char
        *action[3]; /* by kf_op_t: "Kinesis_20131202.PutRecord", ...; NULL if there is none */
    const char *stream_member;  /* "StreamName", "DeliveryStreamName" */
    const char *id_member;      /* "SequenceNumber", "RecordId": its presence is success */
    const char *results_member; /* "Records", "RequestResponses" */
    bool has_key;               /* PartitionKey */
    uint32_t record_bytes_max;  /* data and key */
    uint32_t call_bytes_max;    /* data and keys of all records, before base64 */
} kf_service_t;

typedef struct {
    const kf_service_t *service;
    const char *stream_name; /* or NULL with */
    const char *stream_arn;
    const char *url;  /* "https://kinesis.us-east-1.amazonaws.com/" */
    const char *host; /* exactly the Host header that goes out: with the port if not the scheme's */
    const char *region;          /* signing region */
    const char *ca_file, *proxy; /* or NULL */
} kf_target_t;

/**
 * Resolves endpoint and service (aws-facts section 4): custom endpoint, else by region, partition, FIPS,
 * dual stack, account id of an ARN.
 * @return the target in pool, or NULL with *error set (a sentence of pool)
 */
const kf_target_t *kf_target_resolve(apr_pool_t *pool, const kf_settings_t *settings,
                                     const char **error);

#endif
