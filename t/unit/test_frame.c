/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's bytes: what is written is read again, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "delivery/kf_frame.h"

#define ID 0x12345678u

/* ---- heads ---- */

static void test_head(void **state)
{
    char longest[256];
    const char *names[] = {"a", longest, "game-events"};
    kf_segment_head_t head;
    kf_buf_t out;

    (void)state;
    memset(longest, 'x', 255);
    longest[255] = 0;
    for (int count = 0; count <= 3; count++) {
        kf_buf_init(&out, 4096);
        kf_frame_put_head(&out, ID, -5, names, count);
        assert_false(out.failed);
        assert_int_equal(out.n % KF_FRAME_ALIGN, 0);
        assert_true(kf_frame_read_head(kf_buf_str(&out), &head));
        assert_int_equal(head.id, ID);
        assert_int_equal(head.created_us, -5);
        assert_int_equal(head.bytes, out.n);
        assert_int_equal(head.connection_count, count);
        for (int i = 0; i < count; i++) {
            kf_str_t name = kf_frame_head_name(kf_buf_str(&out), &head, i);
            assert_true(kf_str_eq(name, kf_str_of(names[i])));
        }
        /* No part of it, nor it with any bit turned over, is a head. */
        for (size_t n = 0; n < out.n; n++) {
            assert_false(kf_frame_read_head((kf_str_t){out.p, n}, &head));
            for (int bit = 0; bit < 8; bit++) {
                out.p[n] = (char)(out.p[n] ^ (1 << bit));
                assert_false(kf_frame_read_head(kf_buf_str(&out), &head));
                out.p[n] = (char)(out.p[n] ^ (1 << bit));
            }
        }
        kf_buf_free(&out);
    }
}

static void test_head_without_room(void **state)
{
    const char *names[] = {"a", "b"};
    kf_buf_t out;

    (void)state;
    for (size_t max = 0; max < 40; max++) {
        kf_buf_init(&out, max);
        kf_frame_put_head(&out, ID, 1, names, 2);
        assert_true(out.failed);
        kf_buf_free(&out);
    }
}

/* ---- frames ---- */

static kf_record_t *record(uint16_t connection, uint16_t key_bytes, uint32_t data_bytes)
{
    kf_record_t *r = kf_record_new(connection, key_bytes, data_bytes);

    assert_non_null(r);
    for (size_t i = 0; i < (size_t)key_bytes + data_bytes; i++) {
        r->bytes[i] = (char)(unsigned char)(i * 31 + data_bytes);
    }
    r->accepted_us = INT64_MAX - key_bytes;
    r->held_us = INT64_MIN + (int64_t)data_bytes;
    r->attempts = UINT32_MAX;
    r->events = UINT16_MAX;
    r->kind = KF_RECORD_AUDIENCE;
    r->too_large = 1;
    return r;
}

static void expect_frame(kf_str_t text, const kf_record_list_t *list, uint32_t first)
{
    uint32_t at = kf_frame_first();
    kf_frame_record_t got;
    kf_frame_t frame;

    assert_int_equal(kf_frame_read(text, ID, &frame), KF_FRAME_OK);
    assert_int_equal(frame.bytes, kf_frame_size(list));
    assert_int_equal(frame.count, list->count);
    assert_int_equal(frame.first, first);
    for (const kf_record_t *r = list->first; r; r = r->next) {
        at = kf_frame_next(text.p, at, &got);
        assert_int_equal(got.connection, r->connection);
        assert_int_equal(got.key_bytes, r->key_bytes);
        assert_int_equal(got.data_bytes, r->data_bytes);
        assert_int_equal(got.events, r->events);
        assert_int_equal(got.kind, r->kind);
        assert_int_equal(got.too_large, r->too_large);
        assert_int_equal(got.attempts, r->attempts);
        assert_int_equal(got.accepted_us, r->accepted_us);
        assert_int_equal(got.held_us, r->held_us);
        assert_memory_equal(got.bytes, r->bytes, (size_t)r->key_bytes + r->data_bytes);
    }
}

static kf_buf_t frame_of(const kf_record_list_t *list, uint32_t first)
{
    kf_buf_t out;

    kf_buf_init(&out, UINT32_MAX);
    kf_frame_put(&out, list);
    assert_false(out.failed);
    assert_int_equal(out.n, kf_frame_size(list));
    kf_frame_seal(out.p, first, ID);
    return out;
}

static void test_round_trips(void **state)
{
    static const uint32_t data[] = {0, 1, 7, 8, 9, 1300, 65535, 65536, 1048576, 5000000};
    static const uint16_t keys[] = {0, 1, 8, 256, UINT16_MAX};

    (void)state;
    for (size_t d = 0; d < sizeof(data) / sizeof(data[0]); d++) {
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            kf_record_list_t list = {0};
            for (uint16_t i = 0; i < 3; i++) {
                kf_record_list_add(&list, record((uint16_t)(UINT16_MAX - i), keys[k], data[d]));
            }
            kf_buf_t out = frame_of(&list, UINT32_MAX - 3);
            expect_frame(kf_buf_str(&out), &list, UINT32_MAX - 3);
            kf_buf_free(&out);
            kf_record_list_clear(&list);
        }
    }
}

static void test_many_records(void **state)
{
    kf_record_list_t list = {0};

    (void)state;
    for (uint32_t i = 0; i < 70000; i++) {
        kf_record_list_add(&list, record((uint16_t)(i % 9), (uint16_t)(i % 5), i % 7));
    }
    kf_buf_t out = frame_of(&list, 0);
    expect_frame(kf_buf_str(&out), &list, 0);
    kf_buf_free(&out);
    kf_record_list_clear(&list);
}

static void test_nothing_but_the_frame(void **state)
{
    kf_record_list_t list = {0};
    kf_frame_t frame;

    (void)state;
    kf_record_list_add(&list, record(1, 3, 50));
    kf_record_list_add(&list, record(2, 0, 0));
    kf_buf_t out = frame_of(&list, 7);
    for (size_t n = 0; n < out.n; n++) {
        assert_int_equal(kf_frame_read((kf_str_t){out.p, n}, ID, &frame), KF_FRAME_SHORT);
        assert_int_equal(frame.bytes, n < KF_FRAME_HEAD_BYTES ? KF_FRAME_HEAD_BYTES : out.n);
        for (int bit = 0; bit < 8; bit++) {
            out.p[n] = (char)(out.p[n] ^ (1 << bit));
            kf_frame_result_t rc = kf_frame_read(kf_buf_str(&out), ID, &frame);
            assert_true(rc == KF_FRAME_DAMAGED || rc == KF_FRAME_SHORT);
            out.p[n] = (char)(out.p[n] ^ (1 << bit));
        }
    }
    /* Of another segment. */
    assert_int_equal(kf_frame_read(kf_buf_str(&out), ID + 1, &frame), KF_FRAME_DAMAGED);
    assert_int_equal(kf_frame_read(kf_buf_str(&out), ID, &frame), KF_FRAME_OK);
    kf_buf_free(&out);
    kf_record_list_clear(&list);
}

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * i));
    }
}

/* A checksum that is right does not make the rest right. */
static void test_forged_contents(void **state)
{
    static const uint32_t lengths[] = {0, 1, 51, 100, 0x7fffffff, 0xffffffff};
    kf_record_list_t list = {0};
    kf_frame_t frame;

    (void)state;
    kf_record_list_add(&list, record(1, 0, 50));
    kf_buf_t out = frame_of(&list, 0);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        put_u32(out.p + KF_FRAME_HEAD_BYTES, lengths[i]);
        kf_frame_seal(out.p, 0, ID);
        assert_int_equal(kf_frame_read(kf_buf_str(&out), ID, &frame), KF_FRAME_DAMAGED);
    }
    put_u32(out.p + KF_FRAME_HEAD_BYTES, 50);
    for (uint32_t count = 0; count < 5; count++) {
        put_u32(out.p + 12, count);
        kf_frame_seal(out.p, 0, ID);
        assert_int_equal(kf_frame_read(kf_buf_str(&out), ID, &frame),
                         count == 1 ? KF_FRAME_OK : KF_FRAME_DAMAGED);
    }
    put_u32(out.p + 8, UINT32_MAX); /* longer than any frame may be */
    assert_int_equal(kf_frame_read(kf_buf_str(&out), ID, &frame), KF_FRAME_DAMAGED);
    kf_buf_free(&out);
    kf_record_list_clear(&list);
}

static void test_void(void **state)
{
    kf_record_list_t list = {0};
    kf_frame_t frame;

    (void)state;
    kf_record_list_add(&list, record(1, 2, 500));
    kf_buf_t out = frame_of(&list, 9);
    char before[KF_FRAME_HEAD_BYTES];
    memcpy(before, out.p, sizeof(before));
    kf_frame_void(out.p, ID);
    assert_memory_equal(before + 8, out.p + 8, sizeof(before) - 8);
    assert_int_equal(kf_frame_read(kf_buf_str(&out), ID, &frame), KF_FRAME_VOID);
    assert_int_equal(frame.bytes, out.n);
    /* Its head is enough. */
    assert_int_equal(kf_frame_read((kf_str_t){out.p, sizeof(before)}, ID, &frame), KF_FRAME_VOID);
    assert_int_equal(kf_frame_read(kf_buf_str(&out), ID + 1, &frame), KF_FRAME_DAMAGED);
    for (size_t i = 0; i < sizeof(before); i++) {
        out.p[i] = (char)(out.p[i] ^ 1);
        assert_int_not_equal(kf_frame_read(kf_buf_str(&out), ID, &frame), KF_FRAME_VOID);
        assert_int_not_equal(kf_frame_read(kf_buf_str(&out), ID, &frame), KF_FRAME_OK);
        out.p[i] = (char)(out.p[i] ^ 1);
    }
    kf_buf_free(&out);
    kf_record_list_clear(&list);
}

static void test_frame_without_room(void **state)
{
    kf_record_list_t list = {0};
    kf_buf_t out;

    (void)state;
    kf_record_list_add(&list, record(1, 2, 50));
    for (size_t max = 0; max < kf_frame_size(&list); max++) {
        kf_buf_init(&out, max);
        kf_frame_put(&out, &list);
        assert_true(out.failed);
        kf_buf_free(&out);
    }
    kf_record_list_clear(&list);
}

/* ---- outcomes ---- */

typedef struct {
    uint32_t ordinals[16];
    uint32_t n;
} noted_t;

static void take(void *context, uint32_t ordinal)
{
    noted_t *noted = context;

    assert_true(noted->n < 16);
    noted->ordinals[noted->n++] = ordinal;
}

static void test_outcomes(void **state)
{
    static const uint32_t ordinals[] = {0, 7, UINT32_MAX, 3, 4};
    kf_buf_t out;

    (void)state;
    kf_buf_init(&out, 4096);
    kf_frame_put_outcome(&out, ID, ordinals, 3);
    size_t one = out.n;
    kf_frame_put_outcome(&out, ID, ordinals + 3, 2);
    for (size_t n = 0; n <= out.n; n++) {
        noted_t noted = {.n = 0};
        size_t sound = kf_frame_read_outcomes((kf_str_t){out.p, n}, ID, take, &noted);
        assert_int_equal(sound, n < one ? 0 : n < out.n ? one : n);
        assert_int_equal(noted.n, n < one ? 0 : n < out.n ? 3 : 5);
        assert_memory_equal(noted.ordinals, ordinals, noted.n * sizeof(uint32_t));
    }
    for (size_t i = 0; i < out.n; i++) {
        noted_t noted = {.n = 0};
        out.p[i] = (char)(out.p[i] ^ 4);
        kf_frame_read_outcomes(kf_buf_str(&out), ID, take, &noted);
        assert_int_equal(noted.n, i < one ? 0 : 3);
        out.p[i] = (char)(out.p[i] ^ 4);
    }
    noted_t noted = {.n = 0};
    assert_int_equal(kf_frame_read_outcomes(kf_buf_str(&out), ID + 1, take, &noted), 0);
    kf_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_without_room),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_many_records),
        cmocka_unit_test(test_nothing_but_the_frame),
        cmocka_unit_test(test_forged_contents),
        cmocka_unit_test(test_void),
        cmocka_unit_test(test_frame_without_room),
        cmocka_unit_test(test_outcomes),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
