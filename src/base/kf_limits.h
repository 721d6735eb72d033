/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of the services and formats, each once, with its source and date. "bc" is botocore 1.43.67
 * (Aug 2026), "fdg" the Firehose developer guide, "js" the AWS SDK for JavaScript v3 (Sep 2026).
 */
#ifndef KF_LIMITS_H
#define KF_LIMITS_H

/* PutRecords, PutRecordBatch: records a call (bc). */
#define KF_CALL_RECORDS_MAX 500
/* Kinesis: raw bytes a call, partition keys included (bc, js; 5 MiB until 2025). */
#define KF_STREAMS_CALL_BYTES_MAX (10u * 1024 * 1024)
/* Kinesis: data plus partition key of one record, a stream's default (bc). */
#define KF_STREAMS_RECORD_BYTES_MAX (1024u * 1024)
/* Firehose: raw bytes a call, before base64 (bc). */
#define KF_FIREHOSE_CALL_BYTES_MAX (4u * 1024 * 1024)
/* Firehose: data of one record, before base64: 1000 KiB, not 1 MiB (bc). */
#define KF_FIREHOSE_RECORD_BYTES_MAX (1000u * 1024)
/* Partition key: 1 to 256 characters (bc), which are Unicode's (Smithy's length of a string); their bytes
 * count toward the record. */
#define KF_PARTITION_KEY_CHARS_MAX 256
#define KF_PARTITION_KEY_MAX (4 * KF_PARTITION_KEY_CHARS_MAX)
/* Firehose, JoinRecords: records that RecordDeAggregation takes apart, per joined record (bc). */
#define KF_FIREHOSE_JOIN_LINES_MAX 500
/* Connection names: letters, digits, '.', '_', '-' (DESIGN section 3). */
#define KF_CONNECTION_NAME_MAX 64
/* Open brackets at once in a body, a bulk's array included (DESIGN section 4). */
#define KF_JSON_DEPTH_MAX 64
/* Signatures are refused when the clock is off by more than this: 5 minutes in the JSON services'
 * messages; the SDKs correct from 4 (js). */
#define KF_CLOCK_SKEW_US (INT64_C(240) * 1000000)

#endif
