/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls: bodies, signed headers, and what replies mean. Bodies are read back with jansson, which the
 * product does not use for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "aws/kf_call.h"
#include "base/kf_clock.h"

static apr_pool_t *pool;
static const kf_target_t *streams, *by_arn, *hose;

static const kf_target_t *target_of(int service, const char *name, const char *arn)
{
    kf_settings_t s = {
        .service = service, .region = "us-east-1", .stream_name = name, .stream_arn = arn};
    const char *error;
    const kf_target_t *target = kf_target_resolve(pool, &s, &error);

    if (!target)
        fail_msg("%s", error);
    return target;
}

static kf_record_t *record_of(const char *key, kf_str_t data)
{
    kf_record_t *r = kf_record_create(0, kf_str_of(key), data);

    assert_non_null(r);
    return r;
}

/* The body, as a tree. */
static json_t *encoded(const kf_target_t *target, kf_op_t op, kf_record_t **records,
                       const uint32_t *ends, uint32_t count)
{
    kf_entries_t entries = {records, ends, count};
    kf_buf_t body;
    json_t *json;

    kf_buf_init(&body, SIZE_MAX);
    assert_true(kf_call_encode(target, op, &entries, &body));
    json = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    kf_buf_free(&body);
    return json;
}

static const char *text_of(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void assert_data(json_t *entry, kf_str_t want)
{
    kf_buf_t data;

    kf_buf_init(&data, SIZE_MAX);
    assert_true(kf_buf_put_unbase64(&data, kf_str_of(text_of(entry, "Data"))));
    assert_int_equal(data.n, want.n);
    assert_true(kf_str_eq(kf_buf_str(&data), want));
    kf_buf_free(&data);
}

/* ------------------------------------------------------------ bodies */

static void test_put_record(void **state)
{
    kf_record_t *r = record_of("k\"\\\xc3\xa9\n", KF_STR("a\0b"));
    uint32_t end = 1;
    json_t *body = encoded(streams, KF_OP_PUT, &r, &end, 1);

    (void)state;
    assert_int_equal(json_object_size(body), 3);
    assert_string_equal(text_of(body, "StreamName"), "clicks");
    assert_string_equal(text_of(body, "PartitionKey"), "k\"\\\xc3\xa9\n");
    assert_data(body, KF_STR("a\0b"));
    json_decref(body);
    body = encoded(by_arn, KF_OP_PUT, &r, &end, 1);
    assert_string_equal(text_of(body, "StreamARN"),
                        "arn:aws:kinesis:us-east-1:123456789012:stream/clicks");
    assert_null(json_object_get(body, "StreamName"));
    json_decref(body);
    body = encoded(hose, KF_OP_PUT, &r, &end, 1);
    assert_int_equal(json_object_size(body), 2);
    assert_string_equal(text_of(body, "DeliveryStreamName"), "clicks");
    assert_int_equal(json_object_size(json_object_get(body, "Record")), 1);
    assert_data(json_object_get(body, "Record"), KF_STR("a\0b"));
    json_decref(body);
    kf_record_free(r);
}

static void test_put_records(void **state)
{
    kf_record_t *r[3] = {record_of("a", KF_STR("1")), record_of("b", KF_STR("")),
                         record_of("c", KF_STR("\xff\x00\x7f"))};
    const uint32_t ends[] = {1, 2, 3};
    json_t *body = encoded(streams, KF_OP_PUT_BATCH, r, ends, 3);
    json_t *records = json_object_get(body, "Records");

    (void)state;
    assert_int_equal(json_array_size(records), 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *entry = json_array_get(records, i);

        assert_int_equal(json_object_size(entry), 2);
        assert_int_equal(text_of(entry, "PartitionKey")[0], 'a' + (int)i);
        assert_data(entry, kf_record_data(r[i]));
    }
    json_decref(body);
    for (int i = 0; i < 3; i++)
        kf_record_free(r[i]);
}

static void test_joined(void **state)
{
    static const char *const pieces[] = {"a", "bb\n", "", "ccc", "dddd\n", "e"};
    static const char want[] = "a\nbb\n\nccc\ndddd\ne";
    const uint32_t ends[] = {5, 6};
    kf_record_t *r[6];
    json_t *body;
    json_t *records;

    (void)state;
    for (int i = 0; i < 6; i++)
        r[i] = record_of("", kf_str_of(pieces[i]));
    body = encoded(hose, KF_OP_PUT_BATCH, r, ends, 2);
    records = json_object_get(body, "Records");
    assert_int_equal(json_array_size(records), 2);
    assert_data(json_array_get(records, 0), (kf_str_t){want, sizeof want - 2});
    assert_data(json_array_get(records, 1), KF_STR("e"));
    json_decref(body);
    for (int i = 0; i < 6; i++)
        kf_record_free(r[i]);
}

/* Every split of a text over three records gives the same base64 as the text. */
static void test_joining_keeps_bytes(void **state)
{
    static const char text[] = "0123456\n89abcd\nefghij";
    const uint32_t end = 3;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++) {
        for (size_t j = i; j < sizeof text; j++) {
            kf_record_t *r[3] = {record_of("", (kf_str_t){text, i}),
                                 record_of("", (kf_str_t){text + i, j - i}),
                                 record_of("", (kf_str_t){text + j, sizeof text - 1 - j})};
            char want[64];
            size_t n = 0;
            json_t *body;

            for (int k = 0; k < 3; k++) {
                kf_str_t d = kf_record_data(r[k]);

                if (d.n > 0)
                    memcpy(want + n, d.p, d.n);
                n += d.n;
                if (k < 2 && (d.n == 0 || d.p[d.n - 1] != '\n'))
                    want[n++] = '\n';
            }
            body = encoded(hose, KF_OP_PUT, r, &end, 1);
            assert_data(json_object_get(body, "Record"), (kf_str_t){want, n});
            json_decref(body);
            for (int k = 0; k < 3; k++)
                kf_record_free(r[k]);
        }
    }
}

static void test_no_room(void **state)
{
    kf_record_t *r = record_of("k", KF_STR("0123456789"));
    uint32_t end = 1;
    kf_entries_t entries = {&r, &end, 1};

    (void)state;
    for (size_t room = 0; room < 69; room++) {
        kf_buf_t body;

        kf_buf_init(&body, room);
        assert_false(kf_call_encode(streams, KF_OP_PUT_BATCH, &entries, &body));
        kf_buf_free(&body);
    }
    kf_record_free(r);
}

static void test_describe_body(void **state)
{
    kf_buf_t body;
    json_t *json;

    (void)state;
    kf_buf_init(&body, 4096);
    assert_true(kf_describe_encode(hose, &body));
    json = json_loadb(body.p, body.n, 0, NULL);
    assert_string_equal(text_of(json, "DeliveryStreamName"), "clicks");
    json_decref(json);
    kf_buf_free(&body);
}

/* ------------------------------------------------------------ headers */

static const char *line_of(const kf_call_headers_t *h, const char *name)
{
    const char *found = NULL;

    for (int i = 0; i < h->count; i++) {
        if (strncmp(h->line[i], name, strlen(name)) == 0 && h->line[i][strlen(name)] == ':') {
            assert_null(found);
            found = h->line[i] + strlen(name) + 2;
        }
    }
    return found;
}

/* As botocore 1.43.67 signs it: kinesis-putrecords of t/aws_vectors. */
static void test_signature(void **state)
{
    static const char body[] =
        "{\"StreamName\":\"my-stream\",\"Records\":[{\"Data\":\"eyJhIjoxfQo=\",\"PartitionKey\":"
        "\"5328410341842314012\"},{\"Data\":\"eyJiIjoyfQo=\",\"PartitionKey\":\"k2\","
        "\"ExplicitHashKey\":\"0\"}]}";
    kf_sigv4_keys_t keys = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL};
    kf_sigv4_cache_t cache = {.valid = false};
    kf_call_headers_t h;

    (void)state;
    assert_true(kf_call_sign(streams, KF_OP_PUT_BATCH, &keys, &cache, INT64_C(1795362330) * KF_SEC,
                             kf_str_of(body), &h));
    assert_string_equal(
        line_of(&h, "Authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/kinesis/"
        "aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
        "Signature=fca394bff519aebb79009a2cdb3459f3ea9f53c3cfb8481035a1712255facf59");
    kf_call_headers_free(&h);
}

static void test_headers(void **state)
{
    kf_sigv4_keys_t keys = {"AKIDEXAMPLE", "secret", NULL};
    kf_sigv4_cache_t cache = {.valid = false};
    kf_call_headers_t h;
    int64_t at = INT64_C(1795362330) * KF_SEC;

    (void)state;
    assert_true(kf_call_sign(streams, KF_OP_PUT_BATCH, &keys, &cache, at, KF_STR("{}"), &h));
    assert_int_equal(h.count, 5);
    assert_string_equal(line_of(&h, "Host"), "kinesis.us-east-1.amazonaws.com");
    assert_string_equal(line_of(&h, "Content-Type"), "application/x-amz-json-1.1");
    assert_string_equal(line_of(&h, "X-Amz-Date"), "20261122T154530Z");
    assert_string_equal(line_of(&h, "X-Amz-Target"), "Kinesis_20131202.PutRecords");
    assert_non_null(strstr(line_of(&h, "Authorization"),
                           "Credential=AKIDEXAMPLE/20261122/us-east-1/kinesis/aws4_request, "
                           "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="));
    kf_call_headers_free(&h);
    assert_int_equal(h.count, 0);
    keys.session_token = "token==";
    assert_true(kf_call_sign(hose, KF_OP_DESCRIBE, &keys, &cache, at, KF_STR("{}"), &h));
    assert_int_equal(h.count, 6);
    assert_string_equal(line_of(&h, "X-Amz-Security-Token"), "token==");
    assert_string_equal(line_of(&h, "X-Amz-Target"), "Firehose_20150804.DescribeDeliveryStream");
    assert_non_null(strstr(line_of(&h, "Authorization"), "x-amz-date;x-amz-security-token;x-amz-"));
    kf_call_headers_free(&h);
}

/* ------------------------------------------------------------ replies */

static kf_http_reply_t reply_of(int status, kf_str_t body)
{
    kf_http_reply_t r = {.status = status, .body = body, .retry_after_us = -1};

    strcpy(r.request_id, "id-1");
    return r;
}

static kf_verdict_t read_body(const kf_target_t *target, kf_op_t op, uint32_t count, int status,
                              const char *body)
{
    kf_http_reply_t reply = reply_of(status, kf_str_of(body));
    kf_verdict_t v;

    assert_true(kf_call_read(target, op, count, &reply, &v));
    assert_int_equal(v.entry_count, count);
    assert_string_equal(v.request_id, "id-1");
    assert_true((v.class == KF_CLASS_OK) == (v.entries != NULL));
    if (v.class == KF_CLASS_OK) {
        assert_string_equal(v.code, "");
        assert_false(v.outcome_unknown);
    }
    return v;
}

static void test_success(void **state)
{
    kf_verdict_t v = read_body(streams, KF_OP_PUT, 1, 200,
                               "{\"SequenceNumber\":\"495\",\"ShardId\":\"shardId-0\"}");

    (void)state;
    assert_int_equal(v.class, KF_CLASS_OK);
    assert_int_equal(v.entries[0].class, KF_CLASS_OK);
    kf_verdict_free(&v);
    v = read_body(hose, KF_OP_PUT, 1, 200, "{\"Encrypted\":false,\"RecordId\":\"r\"}");
    assert_int_equal(v.entries[0].class, KF_CLASS_OK);
    kf_verdict_free(&v);
    v = read_body(
        hose, KF_OP_PUT_BATCH, 2, 200,
        "{\"FailedPutCount\":0,\"RequestResponses\":[{\"RecordId\":\"a\"},{\"RecordId\":\"b\"}]}");
    assert_int_equal(v.entries[0].class, KF_CLASS_OK);
    assert_int_equal(v.entries[1].class, KF_CLASS_OK);
    assert_string_equal(v.entries[1].code, "");
    kf_verdict_free(&v);
}

static void test_partial_failure(void **state)
{
    static const char body[] =
        "{\"FailedRecordCount\":9,\"Records\":["
        "{\"SequenceNumber\":\"1\",\"ShardId\":\"s\"},"
        "{\"ErrorCode\":\"ProvisionedThroughputExceededException\",\"ErrorMessage\":\"Rate\"},"
        "{\"ErrorCode\":\"InternalFailure\",\"ErrorMessage\":\"\"},"
        "{\"ErrorCode\":\"KMSAccessDeniedException\"},"
        "{\"ErrorCode\":\"SomethingNew\",\"ErrorMessage\":\"x\"},"
        "{},null,7,[],"
        "{\"SequenceNumber\":null,\"ErrorCode\":null},{\"SequenceNumber\":\"\"},"
        "{\"SequenceNumber\":5},{\"ErrorCode\":\"DryRunOperationException\"},"
        "{\"ErrorCode\":\"namespace#\"}]}";
    static const kf_class_t want[] = {KF_CLASS_OK,        KF_CLASS_THROTTLE,  KF_CLASS_TRANSIENT,
                                      KF_CLASS_HOLD,      KF_CLASS_TRANSIENT, KF_CLASS_TRANSIENT,
                                      KF_CLASS_TRANSIENT, KF_CLASS_TRANSIENT, KF_CLASS_TRANSIENT,
                                      KF_CLASS_TRANSIENT, KF_CLASS_TRANSIENT, KF_CLASS_TRANSIENT,
                                      KF_CLASS_TRANSIENT, KF_CLASS_TRANSIENT};
    kf_verdict_t v = read_body(streams, KF_OP_PUT_BATCH, 14, 200, body);

    (void)state;
    assert_int_equal(v.class, KF_CLASS_OK);
    for (size_t i = 0; i < 14; i++)
        assert_int_equal(v.entries[i].class, want[i]);
    assert_string_equal(v.entries[1].code, "ProvisionedThroughputExceededException");
    assert_string_equal(v.entries[5].code, "no result");
    assert_string_equal(v.entries[13].code, "no result");
    assert_string_equal(kf_verdict_code(&v), "ProvisionedThroughputExceededException");
    assert_string_equal(v.message, "Rate");
    assert_string_equal(kf_verdict_message(&v, "ProvisionedThroughputExceededException"), "Rate");
    assert_string_equal(kf_verdict_message(&v, "SomethingNew"), "");
    kf_verdict_free(&v);
}

/* What cannot be believed: everything may have failed, and may have been taken. */
static void test_unreadable_success(void **state)
{
    static const char *const bodies[] = {
        "",
        "   ",
        "OK",
        "<html><body>hello</body></html>",
        "{\"Records\":[{\"SequenceNumber\":\"1\"}]}",
        "{\"Records\":[{\"SequenceNumber\":\"1\"},{},{}]}",
        "{\"Records\":[]}",
        "{\"Records\":{\"SequenceNumber\":\"1\"}}",
        "{\"RequestResponses\":[{\"RecordId\":\"1\"},{\"RecordId\":\"2\"}]}",
        "{}",
        "[]",
        "null",
        "{\"Records\":[{\"SequenceNumber\":\"1\"},{\"SequenceNumber\":\"2\"",
        "{\"Records\":[{\"SequenceNumber\":\"1\"},{\"SequenceNumber\":\"2\"}]}x",
        "{\"Records\":[{\"SequenceNumber\":\"\xff\"},{\"SequenceNumber\":\"2\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        kf_verdict_t v = read_body(streams, KF_OP_PUT_BATCH, 2, 200, bodies[i]);

        assert_int_equal(v.class, KF_CLASS_TRANSIENT);
        assert_true(v.outcome_unknown);
        assert_string_equal(v.code, "unreadable reply");
        kf_verdict_free(&v);
    }
}

static void test_duplicate_members(void **state)
{
    kf_verdict_t v = read_body(
        streams, KF_OP_PUT_BATCH, 1, 200,
        "{\"Records\":[{\"SequenceNumber\":\"1\"}],\"Records\":[{\"ErrorCode\":\"x\"},{}]}");

    (void)state;
    assert_int_equal(v.entries[0].class, KF_CLASS_OK);
    kf_verdict_free(&v);
    v = read_body(streams, KF_OP_PUT, 1, 400,
                  "{\"__type\":\"AccessDeniedException\",\"__type\":\"InternalFailure\"}");
    assert_int_equal(v.class, KF_CLASS_DENIED);
}

static void test_deep_nesting(void **state)
{
    static char body[200002];
    kf_verdict_t v;

    (void)state;
    memset(body, '[', 100000);
    memset(body + 100000, ']', 100000);
    v = read_body(streams, KF_OP_PUT_BATCH, 1, 200, body);
    assert_int_equal(v.class, KF_CLASS_TRANSIENT);
    v = read_body(streams, KF_OP_PUT_BATCH, 1, 400, body);
    assert_int_equal(v.class, KF_CLASS_HOLD);
    assert_string_equal(v.code, "HTTP 400");
}

typedef struct {
    int status;
    const char *body;
    const char *header; /* x-amzn-ErrorType */
    const char *code;
    kf_class_t class;
} error_row_t;

static const error_row_t error_rows[] = {
    {400, "{\"__type\":\"AccessDeniedException\",\"message\":\"m\"}", "", "AccessDeniedException",
     KF_CLASS_DENIED},
    {400, "{\"__type\":\"com.amazonaws.kinesis.v20131202#AccessDeniedException\"}", "",
     "AccessDeniedException", KF_CLASS_DENIED},
    {400, "{\"__type\":\"AccessDeniedException:http://x/#y\"}", "", "AccessDeniedException",
     KF_CLASS_DENIED},
    {400, "{\"__type\":\"a.b#AccessDeniedException:http://x/#y\"}", "", "AccessDeniedException",
     KF_CLASS_DENIED},
    {400, "{\"__type\":\"Access\\u0044eniedException\"}", "", "AccessDeniedException",
     KF_CLASS_DENIED},
    {400, "{\"__type\":\"AccessDeniedException\"}", "InternalFailure", "AccessDeniedException",
     KF_CLASS_DENIED},
    {400, "{}", "a#AccessDeniedException:http://x/", "AccessDeniedException", KF_CLASS_DENIED},
    {400, "", "AccessDeniedException", "AccessDeniedException", KF_CLASS_DENIED},
    {400, "{\"__type\":\"\"}", "AccessDeniedException", "AccessDeniedException", KF_CLASS_DENIED},
    {400, "{\"__type\":7}", "AccessDeniedException", "AccessDeniedException", KF_CLASS_DENIED},
    {400, "[\"__type\"]", "AccessDeniedException", "AccessDeniedException", KF_CLASS_DENIED},
    {502, "<html>Bad Gateway</html>", "", "HTTP 502", KF_CLASS_TRANSIENT},
    {503, "", "", "HTTP 503", KF_CLASS_TRANSIENT},
    {403, "<html>", "", "HTTP 403", KF_CLASS_HOLD},
    {429, "", "", "HTTP 429", KF_CLASS_THROTTLE},
    {413, "", "", "HTTP 413", KF_CLASS_TOO_LARGE},
    {301, "", "", "HTTP 301", KF_CLASS_HOLD},
    {400, "{\"__type\":\"#\"}", "", "HTTP 400", KF_CLASS_HOLD},
    {400, "{\"__type\":\":\"}", "", "HTTP 400", KF_CLASS_HOLD},
    {400, "{\"__type\":\"DryRunOperationException\"}", "", "DryRunOperationException",
     KF_CLASS_HOLD},
    {400, "{\"__type\":\"Bad\\u0007\\u00e9\"}", "", "Bad???", KF_CLASS_HOLD},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof error_rows / sizeof error_rows[0]; i++) {
        const error_row_t *row = &error_rows[i];
        kf_http_reply_t reply = reply_of(row->status, kf_str_of(row->body));
        kf_verdict_t v;

        strcpy(reply.error_type, row->header);
        reply.retry_after_us = 1500;
        assert_true(kf_call_read(streams, KF_OP_PUT_BATCH, 5, &reply, &v));
        assert_int_equal(v.class, row->class);
        assert_string_equal(v.code, row->code);
        assert_null(v.entries);
        assert_int_equal(v.retry_after_us, 1500);
        assert_int_equal(v.bad_entry, -1);
        assert_int_equal(v.outcome_unknown, row->class == KF_CLASS_TRANSIENT);
    }
}

static void test_error_messages(void **state)
{
    kf_verdict_t v =
        read_body(streams, KF_OP_PUT, 1, 400,
                  "{\"__type\":\"X\",\"message\":\"one\\ntwo\",\"Message\":\"three\"}");
    char body[1000];

    (void)state;
    assert_string_equal(v.message, "one?two");
    v = read_body(streams, KF_OP_PUT, 1, 400, "{\"__type\":\"X\",\"Message\":\"three\"}");
    assert_string_equal(v.message, "three");
    snprintf(body, sizeof body, "{\"__type\":\"%0100d\",\"message\":\"%0500d\"}", 1, 1);
    v = read_body(streams, KF_OP_PUT, 1, 400, body);
    assert_int_equal(strlen(v.message), sizeof v.message - 1);
    assert_int_equal(strlen(v.code), sizeof v.code - 1);
}

#define VIOLATED(value, path) \
    "{\"__type\":\"ValidationException\",\"message\":\"1 validation error detected: Value" value \
    " at '" path \
    "' failed to satisfy constraint: Member must have length less than or equal to 256\"}"

static void test_bad_entry(void **state)
{
    static const struct {
        const char *body;
        int64_t bad;
    } rows[] = {
        {VIOLATED("", "records.3.member.data"), 2},
        {VIOLATED(" 'x'", "records.1.member.partitionKey"), 0},
        {VIOLATED("", "records.10.member.data"), 9},
        {VIOLATED("", "records.11.member.data"), -1},
        {VIOLATED("", "records.0.member.data"), -1},
        {VIOLATED("", "records.99999999999999999999999.member.data"), -1},
        {VIOLATED("", "records.x.member.data"), -1},
        {VIOLATED("", "records.3"), -1},
        {VIOLATED("", "records"), -1},
        {VIOLATED(" 'at 'records.1.member.x'", "records.4.member.partitionKey"), 3},
        {VIOLATED(" 'y' at 'records.1.member.x'", "records.4.member.partitionKey"), 3},
        {"{\"__type\":\"InvalidArgumentException\",\"message\":\"\"}", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kf_verdict_t v = read_body(streams, KF_OP_PUT_BATCH, 10, 400, rows[i].body);

        assert_int_equal(v.class, KF_CLASS_REFUSED);
        assert_int_equal(v.bad_entry, rows[i].bad);
        v = read_body(streams, KF_OP_PUT, 1, 400, rows[i].body);
        assert_int_equal(v.bad_entry, 0);
    }
}

/* Senders' data neither shows in messages nor decides what becomes of a call. */
static void test_values_are_hidden(void **state)
{
    kf_verdict_t v = read_body(
        streams, KF_OP_PUT_BATCH, 10, 400,
        VIOLATED(" 'jane at 'streamName' records size exceeds'", "records.2.member.partitionKey"));

    (void)state;
    assert_int_equal(v.class, KF_CLASS_REFUSED);
    assert_int_equal(v.bad_entry, 1);
    assert_null(strstr(v.message, "jane"));
    assert_non_null(strstr(v.message, "Value at 'records.2.member.partitionKey' failed"));
    v = read_body(streams, KF_OP_PUT_BATCH, 10, 400,
                  "{\"__type\":\"ValidationException\",\"message\":\"Value 'jane\"}");
    assert_string_equal(v.message, "Value");
    v = read_body(
        streams, KF_OP_PUT_BATCH, 10, 400,
        "{\"__type\":\"ValidationException\",\"message\":\"2 errors: Value 'a' at 'b' failed "
        "to satisfy constraint: x; Value 'c' at 'd' failed to satisfy constraint: y\"}");
    assert_string_equal(v.message, "2 errors: Value at 'b' failed to satisfy constraint: x; "
                                   "Value at 'd' failed to satisfy constraint: y");
}

static void test_without_a_reply(void **state)
{
    static const struct {
        kf_http_outcome_t outcome;
        bool timed_out, unknown;
        const char *code;
    } rows[] = {
        {KF_HTTP_NOT_SENT, false, false, "not sent"}, {KF_HTTP_NOT_SENT, true, false, "not sent"},
        {KF_HTTP_LOST, false, true, "lost"},          {KF_HTTP_LOST, true, true, "timeout"},
        {KF_HTTP_ABORTED, false, true, "aborted"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kf_http_reply_t reply = {.outcome = rows[i].outcome, .timed_out = rows[i].timed_out};
        kf_verdict_t v;

        strcpy(reply.error, "host: broken\n");
        assert_true(kf_call_read(streams, KF_OP_PUT_BATCH, 3, &reply, &v));
        assert_int_equal(v.class, KF_CLASS_TRANSIENT);
        assert_int_equal(v.outcome_unknown, rows[i].unknown);
        assert_string_equal(v.code, rows[i].code);
        assert_string_equal(v.message, "host: broken?");
        assert_int_equal(v.retry_after_us, -1);
    }
}

/* ------------------------------------------------------------ DescribeDeliveryStream */

static kf_verdict_t describe(int status, const char *body, kf_describe_t *out)
{
    kf_http_reply_t reply = reply_of(status, kf_str_of(body));
    kf_verdict_t v;

    assert_true(kf_describe_read(&reply, &v, out));
    return v;
}

#define DESCRIBED(destinations) \
    "{\"DeliveryStreamDescription\":{\"DeliveryStreamStatus\":\"ACTIVE\",\"DeliveryStreamType\":" \
    "\"DirectPut\",\"Destinations\":" destinations "}}"
#define PROCESSED(enabled, type) \
    DESCRIBED("[{\"DestinationId\":\"d\",\"ExtendedS3DestinationDescription\":{" \
              "\"ProcessingConfiguration\":{\"Enabled\":" enabled ",\"Processors\":[{},null," \
              "{\"Type\":\"" type "\"}]}}}]")

static void test_describe(void **state)
{
    kf_describe_t d;
    kf_verdict_t v = describe(200, DESCRIBED("[]"), &d);

    (void)state;
    assert_int_equal(v.class, KF_CLASS_OK);
    assert_string_equal(d.status, "ACTIVE");
    assert_string_equal(d.type, "DirectPut");
    assert_false(d.appends_delimiter);
    describe(200, PROCESSED("true", "AppendDelimiterToRecord"), &d);
    assert_true(d.appends_delimiter);
    describe(200, PROCESSED("false", "AppendDelimiterToRecord"), &d);
    assert_false(d.appends_delimiter);
    describe(200, PROCESSED("true", "Lambda"), &d);
    assert_false(d.appends_delimiter);
    v = describe(200, DESCRIBED("[null,7,{}]"), &d);
    assert_int_equal(v.class, KF_CLASS_OK);
    v = describe(200, "{}", &d);
    assert_int_equal(v.class, KF_CLASS_TRANSIENT);
    v = describe(200, "", &d);
    assert_int_equal(v.class, KF_CLASS_TRANSIENT);
    v = describe(400, "{\"__type\":\"ResourceNotFoundException\"}", &d);
    assert_int_equal(v.class, KF_CLASS_HOLD);
    assert_string_equal(v.code, "ResourceNotFoundException");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_record),
        cmocka_unit_test(test_put_records),
        cmocka_unit_test(test_joined),
        cmocka_unit_test(test_joining_keeps_bytes),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_describe_body),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_partial_failure),
        cmocka_unit_test(test_unreadable_success),
        cmocka_unit_test(test_duplicate_members),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_error_messages),
        cmocka_unit_test(test_bad_entry),
        cmocka_unit_test(test_values_are_hidden),
        cmocka_unit_test(test_without_a_reply),
        cmocka_unit_test(test_describe),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    streams = target_of(KF_SERVICE_STREAMS, "clicks", NULL);
    by_arn =
        target_of(KF_SERVICE_STREAMS, NULL, "arn:aws:kinesis:us-east-1:123456789012:stream/clicks");
    hose = target_of(KF_SERVICE_FIREHOSE, "clicks", NULL);
    failed = cmocka_run_group_tests_name("call", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
