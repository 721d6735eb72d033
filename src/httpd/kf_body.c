/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a request's body (kf_body.h). Must not know what is in it. The request's thread.
 */
#include "httpd/kf_body.h"

#include <apr_buckets.h>
#include <http_protocol.h>
#include <util_filter.h>
#include "base/kf_parse.h"
#include "httpd/kf_content.h"

/* Asked of the filters at a time. */
#define READ_BYTES 65536
/* Memory taken for a Content-Length's sake alone; what comes after it grows with what arrives. */
#define ANNOUNCED_MAX (INT64_C(1) << 20)
#define UNANNOUNCED_BYTES 8192

typedef struct {
    request_rec *r;
    kf_body_t *body;
    int64_t room; /* bytes that may still come */
    bool keep;    /* else they are dropped */
    bool encoded; /* there is a coding that a filter must have taken off */
} reader_t;

int64_t kf_body_announced(const request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    int64_t n;

    if (!length || kf_content_is_encoded(r) || !kf_parse_i64(kf_str_of(length), &n))
        return -1;
    return n;
}

static apr_status_t free_bytes(void *bytes)
{
    kf_buf_free(bytes);
    return APR_SUCCESS;
}

/* Of what a filter said, what is the sender's mistake and what is httpd's business. */
static kf_body_result_t failed(const reader_t *reader, apr_status_t rv)
{
    conn_rec *c = reader->r->connection;

    reader->body->status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    reader->body->ended = true;
    c->keepalive = AP_CONN_CLOSE;
    if (reader->body->status != HTTP_BAD_REQUEST || c->aborted || APR_STATUS_IS_EOF(rv) ||
        APR_STATUS_IS_INCOMPLETE(rv) || APR_STATUS_IS_ECONNABORTED(rv) ||
        APR_STATUS_IS_ECONNRESET(rv))
        return KF_BODY_REFUSED;
    return KF_BODY_BROKEN;
}

static kf_body_result_t take_bytes(reader_t *reader, const char *data, apr_size_t n)
{
    kf_buf_t *bytes = &reader->body->bytes;

    if ((uint64_t)n > (uint64_t)reader->room)
        return KF_BODY_TOO_LARGE;
    reader->room -= (int64_t)n;
    if (reader->keep)
        kf_buf_put(bytes, data, n);
    return bytes->failed ? KF_BODY_MEMORY : KF_BODY_READ;
}

static kf_body_result_t take_bucket(reader_t *reader, apr_bucket *bucket)
{
    const char *data;
    apr_size_t n;
    apr_status_t rv;

    if (APR_BUCKET_IS_EOS(bucket)) {
        reader->body->ended = true;
        return KF_BODY_READ;
    }
    if (AP_BUCKET_IS_ERROR(bucket)) {
        reader->body->ended = true;
        reader->body->status = ((ap_bucket_error *)bucket->data)->status;
        return KF_BODY_REFUSED;
    }
    if (APR_BUCKET_IS_METADATA(bucket))
        return KF_BODY_READ;
    rv = apr_bucket_read(bucket, &data, &n, APR_BLOCK_READ);
    return rv == APR_SUCCESS ? take_bytes(reader, data, n) : failed(reader, rv);
}

static kf_body_result_t take_brigade(reader_t *reader, apr_bucket_brigade *brigade)
{
    kf_body_result_t result = KF_BODY_READ;

    /* A blocking read that brings nothing would bring nothing for ever. */
    if (APR_BRIGADE_EMPTY(brigade))
        return failed(reader, APR_INCOMPLETE);
    while (!APR_BRIGADE_EMPTY(brigade) && !reader->body->ended && result == KF_BODY_READ) {
        apr_bucket *bucket = APR_BRIGADE_FIRST(brigade);

        result = take_bucket(reader, bucket);
        apr_bucket_delete(bucket);
    }
    return result;
}

/* Reads until the end, or until there is no room for what comes. */
static kf_body_result_t read_all(reader_t *reader)
{
    request_rec *r = reader->r;
    apr_bucket_brigade *brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    kf_body_result_t result = KF_BODY_READ;

    while (!reader->body->ended && result == KF_BODY_READ) {
        apr_status_t rv = ap_get_brigade(r->input_filters, brigade, AP_MODE_READBYTES,
                                         APR_BLOCK_READ, READ_BYTES);

        if (rv != APR_SUCCESS)
            result = failed(reader, rv);
        /* Filters take their coding off the header when they are first asked. */
        else if (reader->encoded && kf_content_is_encoded(r))
            result = KF_BODY_ENCODED;
        else
            result = take_brigade(reader, brigade);
        apr_brigade_cleanup(brigade);
    }
    apr_brigade_destroy(brigade);
    return result;
}

kf_body_result_t kf_body_read(request_rec *r, int64_t limit, int64_t announced, kf_body_t *body)
{
    reader_t reader = {.r = r, .body = body, .room = limit, .keep = true};
    int64_t first = announced < 0 ? UNANNOUNCED_BYTES : announced;

    reader.encoded = announced < 0 && kf_content_is_encoded(r);
    if (first > ANNOUNCED_MAX)
        first = ANNOUNCED_MAX;
    if (first > limit)
        first = limit;
    kf_buf_init(&body->bytes, (size_t)limit);
    body->ended = false;
    apr_pool_cleanup_register(r->pool, &body->bytes, free_bytes, apr_pool_cleanup_null);
    if (!kf_buf_room(&body->bytes, (size_t)first))
        return KF_BODY_MEMORY;
    return read_all(&reader);
}

void kf_body_drop(request_rec *r, kf_body_t *body, int64_t max)
{
    reader_t reader = {.r = r, .body = body, .room = max, .keep = false};

    kf_buf_free(&body->bytes);
    if (!body->ended && read_all(&reader) != KF_BODY_READ)
        r->connection->keepalive = AP_CONN_CLOSE;
}
