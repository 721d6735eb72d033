/* SPDX-License-Identifier: Apache-2.0
 *
 * One call to Kinesis or Firehose: its body from records, its signed headers, and what its reply means for
 * each record. No I/O, no thread, no clock of its own. Streams and Firehose differ by kf_service_t only.
 */
#ifndef KF_CALL_H
#define KF_CALL_H

#include "aws/kf_class.h"
#include "aws/kf_http.h"
#include "aws/kf_sigv4.h"
#include "aws/kf_target.h"
#include "events/kf_record.h"

/*
 * What goes into a call: entries, each one service record made of one or more of ours (JoinRecords).
 * records[entry_end[i-1] .. entry_end[i]) make entry i. OP_PUT has exactly one entry.
 */
typedef struct {
    kf_record_t **records;
    const uint32_t *entry_end;
    uint32_t entry_count;
} kf_entries_t;

/**
 * Appends the JSON body. Joined records are separated by a line break where they don't end in one.
 * @return false when out of memory (out->failed)
 */
bool kf_call_encode(const kf_target_t *target, kf_op_t op, const kf_entries_t *entries,
                    kf_buf_t *out);

/* The header lines of a call; owns their text. */
typedef struct {
    char *line[8];
    int count;
} kf_call_headers_t;

/**
 * Signs a body for the target: Host, Content-Type, X-Amz-Date, X-Amz-Target, Authorization, and
 * X-Amz-Security-Token with a session token. All of them must be sent.
 * @param wall_us  corrected time
 * @return false on failure (out of memory, OpenSSL)
 */
bool kf_call_sign(const kf_target_t *target, kf_op_t op, const kf_sigv4_keys_t *keys,
                  kf_sigv4_cache_t *cache, int64_t wall_us, kf_str_t body, kf_call_headers_t *out);
/** Wipes and frees. */
void kf_call_headers_free(kf_call_headers_t *headers);

/* What became of one entry. */
typedef struct {
    kf_class_t class;
    char code[64]; /* "" when OK; "no result" where there is neither id nor code */
} kf_entry_result_t;

/* What became of a call. */
typedef struct {
    kf_class_t class;     /* OK: look at entries, some may have failed */
    bool outcome_unknown; /* class TRANSIENT and the records may have been taken all the same */
    char code[64];        /* AWS's code, or "HTTP 502", "timeout", "lost", "not sent", "aborted",
                              "unreadable reply", "out of memory"; "" when OK */
    char message[256];    /* printable ASCII, cut, without the values that AWS quotes; "". OK: what
                             the first entry that failed says */
    char request_id[80];
    int64_t retry_after_us; /* the server's hint, -1 none */
    int64_t bad_entry;      /* REFUSED: index of the culprit named in the message, -1 unknown */
    uint32_t entry_count;
    kf_entry_result_t *entries; /* entry_count of them when class is OK, else NULL; owned */
} kf_verdict_t;

/**
 * Reads a reply to a call of entry_count entries, 1 or more. A reply that does not have as many entries
 * as were sent, or that is no JSON, means that all may have failed: TRANSIENT, outcome_unknown.
 * @return false when out of memory; the verdict is then TRANSIENT, outcome_unknown
 */
bool kf_call_read(const kf_target_t *target, kf_op_t op, uint32_t entry_count,
                  const kf_http_reply_t *reply, kf_verdict_t *out);
void kf_verdict_free(kf_verdict_t *verdict);
/** The code of what failed: the call's or, of one that was taken, its first failed entry's; "". */
const char *kf_verdict_code(const kf_verdict_t *verdict);
/** The verdict's message if it goes with this code, else "". */
const char *kf_verdict_message(const kf_verdict_t *verdict, const char *code);

/* What DescribeDeliveryStream said. */
typedef struct {
    char status[40];        /* "ACTIVE", ... */
    char type[40];          /* "DirectPut", ... */
    bool appends_delimiter; /* an AppendDelimiterToRecord processor is on */
} kf_describe_t;

/** Appends the body of DescribeDeliveryStream. */
bool kf_describe_encode(const kf_target_t *target, kf_buf_t *out);
/** Reads its reply: class OK fills *out. @return false when out of memory */
bool kf_describe_read(const kf_http_reply_t *reply, kf_verdict_t *verdict, kf_describe_t *out);

#endif
