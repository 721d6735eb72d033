/* SPDX-License-Identifier: Apache-2.0
 *
 * The sending half of kf_call.h: bodies and signed headers. Must not do I/O nor ask for the time; what
 * replies mean is kf_reply.c's. Any thread, each with its own buffer and cache.
 */
#include "aws/kf_call.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define CONTENT_TYPE "application/x-amz-json-1.1"
#define HEADER_MAX ((size_t)1 << 20)

/* ------------------------------------------------------------ bodies */

/* Base64 of bytes that come in pieces. */
typedef struct {
    kf_buf_t *out;
    char carry[3];
    size_t carried; /* less than 3 */
} base64_t;

static void base64_add(base64_t *b, kf_str_t piece)
{
    size_t whole;

    while (b->carried > 0 && piece.n > 0) {
        b->carry[b->carried++] = *piece.p++;
        piece.n--;
        if (b->carried == 3) {
            kf_buf_put_base64(b->out, b->carry, 3);
            b->carried = 0;
        }
    }
    whole = piece.n - piece.n % 3;
    kf_buf_put_base64(b->out, piece.p, whole);
    for (size_t i = whole; i < piece.n; i++)
        b->carry[b->carried++] = piece.p[i];
}

static void base64_end(base64_t *b)
{
    kf_buf_put_base64(b->out, b->carry, b->carried);
}

static void put_data(kf_buf_t *out, kf_record_t *const *records, uint32_t count)
{
    base64_t b = {.out = out};

    kf_buf_put_str(out, KF_STR("\"Data\":\""));
    for (uint32_t i = 0; i < count; i++) {
        kf_str_t data = kf_record_data(records[i]);

        base64_add(&b, data);
        if (i + 1 < count && (data.n == 0 || data.p[data.n - 1] != '\n'))
            base64_add(&b, KF_STR("\n"));
    }
    base64_end(&b);
    kf_buf_putc(out, '"');
}

static void put_member(kf_buf_t *out, const char *name, kf_str_t value)
{
    kf_buf_put_json(out, kf_str_of(name));
    kf_buf_putc(out, ':');
    kf_buf_put_json(out, value);
}

static void put_stream(const kf_target_t *target, kf_buf_t *out)
{
    if (target->stream_arn)
        put_member(out, "StreamARN", kf_str_of(target->stream_arn));
    else
        put_member(out, target->service->stream_member, kf_str_of(target->stream_name));
}

/* Data and key. A joined entry goes where its first record would. */
static void put_entry(const kf_target_t *target, kf_record_t *const *records, uint32_t count,
                      kf_buf_t *out)
{
    put_data(out, records, count);
    if (target->service->has_key) {
        kf_buf_putc(out, ',');
        put_member(out, "PartitionKey", kf_record_key(records[0]));
    }
}

/* Takes the memory at once: a body of a megabyte would otherwise be copied each time it doubles. */
static void reserve(const kf_target_t *target, const kf_entries_t *entries, kf_buf_t *out)
{
    size_t bytes = 64;

    for (uint32_t e = 0, r = 0; e < entries->entry_count; e++) {
        size_t data = 0;

        for (; r < entries->entry_end[e]; r++)
            data += entries->records[r]->data_bytes;
        bytes += (data + 2) / 3 * 4 + sizeof "{\"Data\":\"\"},";
        if (target->service->has_key)
            bytes += entries->records[r - 1]->key_bytes + sizeof ",\"PartitionKey\":\"\"";
    }
    if (bytes <= out->max - out->n)
        (void)kf_buf_room(out, bytes);
}

bool kf_call_encode(const kf_target_t *target, kf_op_t op, const kf_entries_t *entries,
                    kf_buf_t *out)
{
    uint32_t first = 0;

    reserve(target, entries, out);
    kf_buf_putc(out, '{');
    put_stream(target, out);
    kf_buf_putc(out, ',');
    if (op == KF_OP_PUT) {
        kf_buf_put_str(out, target->service->has_key ? KF_STR("") : KF_STR("\"Record\":{"));
        put_entry(target, entries->records, entries->entry_end[0], out);
        kf_buf_put_str(out, target->service->has_key ? KF_STR("}") : KF_STR("}}"));
        return !out->failed;
    }
    kf_buf_put_str(out, KF_STR("\"Records\":["));
    for (uint32_t e = 0; e < entries->entry_count; e++) {
        kf_buf_put_str(out, e > 0 ? KF_STR(",{") : KF_STR("{"));
        put_entry(target, entries->records + first, entries->entry_end[e] - first, out);
        kf_buf_putc(out, '}');
        first = entries->entry_end[e];
    }
    kf_buf_put_str(out, KF_STR("]}"));
    return !out->failed;
}

bool kf_describe_encode(const kf_target_t *target, kf_buf_t *out)
{
    kf_buf_putc(out, '{');
    put_stream(target, out);
    kf_buf_put_str(out, KF_STR(",\"Limit\":1}"));
    return !out->failed;
}

/* ------------------------------------------------------------ headers */

static bool add_line(kf_call_headers_t *headers, const char *name, kf_str_t value)
{
    size_t name_n = strlen(name);
    char *line = malloc(name_n + value.n + 3);

    if (!line)
        return false;
    memcpy(line, name, name_n);
    memcpy(line + name_n, ": ", 2);
    if (value.n > 0)
        memcpy(line + name_n + 2, value.p, value.n);
    line[name_n + 2 + value.n] = '\0';
    headers->line[headers->count++] = line;
    return true;
}

static bool add_lines(kf_call_headers_t *headers, const kf_sigv4_header_t *signed_headers,
                      int count, kf_str_t authorization)
{
    for (int i = 0; i < count; i++) {
        if (!add_line(headers, signed_headers[i].name.p, signed_headers[i].value))
            return false;
    }
    return add_line(headers, "Authorization", authorization);
}

bool kf_call_sign(const kf_target_t *target, kf_op_t op, const kf_sigv4_keys_t *keys,
                  kf_sigv4_cache_t *cache, int64_t wall_us, kf_str_t body, kf_call_headers_t *out)
{
    char date[17];
    /* Host stands here, and so is sent as written: what libcurl would make of the URL's host is
     * libcurl's business, and the signature covers it. */
    kf_sigv4_header_t headers[5] = {
        {KF_STR("Host"), kf_str_of(target->host)},
        {KF_STR("Content-Type"), KF_STR(CONTENT_TYPE)},
        {KF_STR("X-Amz-Date"), {date, 16}},
        {KF_STR("X-Amz-Target"), kf_str_of(target->service->action[op])},
        {KF_STR("X-Amz-Security-Token"), kf_str_of(keys->session_token)},
    };
    kf_sigv4_request_t request = {
        .method = "POST",
        .path = KF_STR("/"),
        .headers = headers,
        .header_count = keys->session_token ? 5 : 4,
        .body = body,
        .normalize_path = true,
    };
    kf_buf_t authorization;
    bool ok;

    *out = (kf_call_headers_t){.count = 0};
    kf_sigv4_date(wall_us, date);
    kf_buf_init(&authorization, HEADER_MAX);
    ok = kf_sigv4_sign(cache, keys, target->region, target->service->name, date, &request,
                       &authorization, NULL, NULL) &&
         add_lines(out, headers, request.header_count, kf_buf_str(&authorization));
    kf_buf_free(&authorization);
    if (!ok)
        kf_call_headers_free(out);
    return ok;
}

void kf_call_headers_free(kf_call_headers_t *headers)
{
    for (int i = 0; i < headers->count; i++) {
        OPENSSL_cleanse(headers->line[i], strlen(headers->line[i]));
        free(headers->line[i]);
    }
    *headers = (kf_call_headers_t){.count = 0};
}
