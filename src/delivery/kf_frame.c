/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's bytes.
 */
#include "delivery/kf_frame.h"

#include "base/kf_crc32c.h"

#define HEAD_FIXED 32
#define VERSION 1

static const char HEAD_MAGIC[4] = {'K', 'F', 'J', 'S'};
static const char FRAME_MAGIC[4] = {'K', 'F', 'J', 'F'};
static const char VOID_MAGIC[4] = {'K', 'F', 'J', 'V'};

static void put_le(char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * i));
    }
}

static uint64_t get_le(const char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        v = (v << 8) | (unsigned char)p[i];
    }
    return v;
}

static uint64_t padded(uint64_t n)
{
    return (n + KF_FRAME_ALIGN - 1) / KF_FRAME_ALIGN * KF_FRAME_ALIGN;
}

static void pad(kf_buf_t *out, size_t start)
{
    static const char zeros[KF_FRAME_ALIGN];
    size_t n = out->n - start;
    kf_buf_put(out, zeros, (size_t)padded(n) - n);
}

/* ---- segment head ---- */

void kf_frame_put_head(kf_buf_t *out, uint32_t id, int64_t created_us, const char *const *names,
                       int count)
{
    size_t start = out->n;
    char fixed[HEAD_FIXED] = {0};

    kf_buf_put(out, fixed, sizeof(fixed));
    for (int i = 0; i < count; i++) {
        size_t n = strlen(names[i]);
        kf_buf_putc(out, (char)(unsigned char)n);
        kf_buf_put(out, names[i], n);
    }
    pad(out, start);
    if (out->failed) {
        return;
    }
    char *p = out->p + start;
    size_t bytes = out->n - start;
    memcpy(p, HEAD_MAGIC, 4);
    put_le(p + 4, VERSION, 2);
    put_le(p + 6, (uint64_t)count, 2);
    put_le(p + 8, bytes, 4);
    put_le(p + 16, id, 4);
    put_le(p + 24, (uint64_t)created_us, 8);
    uint32_t crc = kf_crc32c(kf_crc32c(0, p, 12), p + 16, bytes - 16);
    put_le(p + 12, crc, 4);
}

static bool names_fit(kf_str_t text, const kf_segment_head_t *head)
{
    uint32_t at = head->names;
    for (int i = 0; i < head->connection_count; i++) {
        if (at >= head->bytes) {
            return false;
        }
        at += 1u + (unsigned char)text.p[at];
    }
    return at <= head->bytes;
}

bool kf_frame_read_head(kf_str_t text, kf_segment_head_t *head)
{
    if (text.n < HEAD_FIXED || memcmp(text.p, HEAD_MAGIC, 4) != 0 ||
        get_le(text.p + 4, 2) != VERSION) {
        return false;
    }
    head->connection_count = (uint16_t)get_le(text.p + 6, 2);
    head->bytes = (uint32_t)get_le(text.p + 8, 4);
    head->id = (uint32_t)get_le(text.p + 16, 4);
    head->created_us = (int64_t)get_le(text.p + 24, 8);
    head->names = HEAD_FIXED;
    if (head->bytes < HEAD_FIXED || head->bytes > text.n || head->bytes % KF_FRAME_ALIGN != 0) {
        return false;
    }
    uint32_t crc = kf_crc32c(kf_crc32c(0, text.p, 12), text.p + 16, head->bytes - 16);
    return crc == get_le(text.p + 12, 4) && names_fit(text, head);
}

kf_str_t kf_frame_head_name(kf_str_t text, const kf_segment_head_t *head, int i)
{
    uint32_t at = head->names;
    for (; i > 0; i--) {
        at += 1u + (unsigned char)text.p[at];
    }
    return (kf_str_t){text.p + at + 1, (unsigned char)text.p[at]};
}

/* ---- frame of records ---- */

uint64_t kf_frame_size(const kf_record_list_t *records)
{
    return padded(KF_FRAME_HEAD_BYTES + (uint64_t)records->count * KF_FRAME_RECORD_BYTES +
                  records->bytes);
}

static void put_record(kf_buf_t *out, const kf_record_t *r)
{
    char head[KF_FRAME_RECORD_BYTES];

    put_le(head, r->data_bytes, 4);
    put_le(head + 4, r->connection, 2);
    put_le(head + 6, r->key_bytes, 2);
    put_le(head + 8, r->events, 2);
    head[10] = (char)r->kind;
    head[11] = (char)r->too_large;
    put_le(head + 12, r->attempts, 4);
    put_le(head + 16, (uint64_t)r->accepted_us, 8);
    put_le(head + 24, (uint64_t)r->held_us, 8);
    kf_buf_put(out, head, sizeof(head));
    kf_buf_put(out, r->bytes, (size_t)r->key_bytes + r->data_bytes);
}

void kf_frame_put(kf_buf_t *out, const kf_record_list_t *records)
{
    size_t start = out->n;
    char head[KF_FRAME_HEAD_BYTES] = {0};

    memcpy(head, FRAME_MAGIC, 4);
    kf_buf_put(out, head, sizeof(head));
    for (const kf_record_t *r = records->first; r; r = r->next) {
        put_record(out, r);
    }
    if (out->failed) {
        return;
    }
    put_le(out->p + start + 8, out->n - start - KF_FRAME_HEAD_BYTES, 4);
    put_le(out->p + start + 12, records->count, 4);
    pad(out, start);
}

void kf_frame_seal(char *frame, uint32_t first, uint32_t id)
{
    put_le(frame + 16, first, 4);
    uint64_t bytes = padded(KF_FRAME_HEAD_BYTES + get_le(frame + 8, 4));
    put_le(frame + 4, kf_crc32c(id, frame + 8, (size_t)bytes - 8), 4);
}

void kf_frame_void(char *head, uint32_t id)
{
    memcpy(head, VOID_MAGIC, 4);
    put_le(head + 4, kf_crc32c(id, head + 8, KF_FRAME_HEAD_BYTES - 8), 4);
}

uint32_t kf_frame_next(const char *frame, uint32_t at, kf_frame_record_t *record)
{
    const char *p = frame + at;

    record->data_bytes = (uint32_t)get_le(p, 4);
    record->connection = (uint16_t)get_le(p + 4, 2);
    record->key_bytes = (uint16_t)get_le(p + 6, 2);
    record->events = (uint16_t)get_le(p + 8, 2);
    record->kind = (uint8_t)p[10];
    record->too_large = (uint8_t)p[11];
    record->attempts = (uint32_t)get_le(p + 12, 4);
    record->accepted_us = (int64_t)get_le(p + 16, 8);
    record->held_us = (int64_t)get_le(p + 24, 8);
    record->bytes = p + KF_FRAME_RECORD_BYTES;
    return at + KF_FRAME_RECORD_BYTES + record->key_bytes + record->data_bytes;
}

/* Whether `count` records fill exactly the frame's payload: a checksum can be right by chance, or forged. */
static bool records_fill(const char *frame, uint32_t payload, uint32_t count)
{
    uint64_t at = KF_FRAME_HEAD_BYTES;
    uint64_t end = (uint64_t)KF_FRAME_HEAD_BYTES + payload;

    for (; count > 0; count--) {
        if (end - at < KF_FRAME_RECORD_BYTES) {
            return false;
        }
        at += KF_FRAME_RECORD_BYTES + get_le(frame + at, 4) + get_le(frame + at + 6, 2);
        if (at > end) {
            return false;
        }
    }
    return at == end;
}

static kf_frame_result_t read_void(kf_str_t text, uint32_t id)
{
    uint32_t crc = kf_crc32c(id, text.p + 8, KF_FRAME_HEAD_BYTES - 8);
    return crc == get_le(text.p + 4, 4) ? KF_FRAME_VOID : KF_FRAME_DAMAGED;
}

kf_frame_result_t kf_frame_read(kf_str_t text, uint32_t id, kf_frame_t *frame)
{
    frame->bytes = KF_FRAME_HEAD_BYTES;
    if (text.n < KF_FRAME_HEAD_BYTES) {
        return KF_FRAME_SHORT;
    }
    uint64_t payload = get_le(text.p + 8, 4);
    uint64_t bytes = padded(KF_FRAME_HEAD_BYTES + payload);
    bool is_void = memcmp(text.p, VOID_MAGIC, 4) == 0;
    if ((memcmp(text.p, FRAME_MAGIC, 4) != 0 && !is_void) || bytes > UINT32_MAX ||
        get_le(text.p + 20, 4) != 0) {
        return KF_FRAME_DAMAGED;
    }
    frame->bytes = (uint32_t)bytes;
    frame->count = (uint32_t)get_le(text.p + 12, 4);
    frame->first = (uint32_t)get_le(text.p + 16, 4);
    if (is_void) {
        return read_void(text, id);
    }
    if (text.n < bytes) {
        return KF_FRAME_SHORT;
    }
    if (kf_crc32c(id, text.p + 8, (size_t)bytes - 8) != get_le(text.p + 4, 4) ||
        frame->count == 0 || !records_fill(text.p, (uint32_t)payload, frame->count)) {
        return KF_FRAME_DAMAGED;
    }
    return KF_FRAME_OK;
}

/* ---- outcomes ---- */

void kf_frame_put_outcome(kf_buf_t *out, uint32_t id, const uint32_t *ordinals, uint32_t n)
{
    size_t start = out->n;
    char head[8] = {0};

    kf_buf_put(out, head, sizeof(head));
    for (uint32_t i = 0; i < n; i++) {
        char ordinal[4];
        put_le(ordinal, ordinals[i], 4);
        kf_buf_put(out, ordinal, sizeof(ordinal));
    }
    if (!out->failed) {
        char *p = out->p + start;
        put_le(p + 4, n, 4);
        put_le(p, kf_crc32c(id, p + 4, out->n - start - 4), 4);
    }
}

uint32_t kf_frame_note_count(const char *head)
{
    return (uint32_t)get_le(head + 4, 4);
}

size_t kf_frame_read_outcomes(kf_str_t text, uint32_t id,
                              void (*fn)(void *context, uint32_t ordinal), void *context)
{
    size_t at = 0;

    while (text.n - at >= 8) {
        const char *p = text.p + at;
        uint64_t count = get_le(p + 4, 4);
        uint64_t bytes = 8 + 4 * count;
        if (count == 0 || bytes > text.n - at ||
            kf_crc32c(id, p + 4, (size_t)bytes - 4) != get_le(p, 4)) {
            break;
        }
        for (uint64_t i = 0; i < count; i++) {
            fn(context, (uint32_t)get_le(p + 8 + 4 * i, 4));
        }
        at += (size_t)bytes;
    }
    return at;
}
