/* SPDX-License-Identifier: Apache-2.0
 *
 * A backlog of many segments, most of them cold: all comes back, once and in order, also where the files are not
 * what they were, and the counts are right throughout.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/kf_clock.h"
#include "delivery/kf_journal_int.h"

#define ALL UINT32_MAX
#define BYTES 1000
#define RECORDS 1200 /* about twenty segments */
/* Two segments' places, about. */
#define WARM_BYTES (2 * 64 * 14)

/* ---- what can fail ---- */

static struct {
    bool on;
    off_t from, to;
} bad_disk;
static unsigned loads; /* times that a segment was read from its beginning */
static bool no_memory;

ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    if (bad_disk.on && at < bad_disk.to && at + (off_t)n > bad_disk.from) {
        errno = EIO;
        return -1;
    }
    loads += at == 0 && n > 8192;
    return __real_pread(fd, p, n, at);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));

    *state = f;
    fixture_make(f);
    f->config.warm_bytes = WARM_BYTES;
    memset(&bad_disk, 0, sizeof(bad_disk));
    no_memory = false;
    loads = 0;
    return 0;
}

static int teardown(void **state)
{
    fixture_remove(*state);
    free(*state);
    return 0;
}

/* ---- what is seen ---- */

static uint32_t count_cold(kf_journal_t *j)
{
    uint32_t n = 0;

    for (const kf_segment_t *s = j->segments; s; s = s->next) {
        assert_int_equal(s->cold, s->sealed && !s->state);
        assert_int_equal(s->cold, s->sealed && !s->frame);
        n += s->cold;
    }
    return n;
}

static uint64_t warm_bytes(kf_journal_t *j)
{
    uint64_t bytes = 0;

    for (const kf_segment_t *s = j->segments; s; s = s->next) {
        bytes += s->sealed ? 2 * (uint64_t)s->records_cap + 12 * (uint64_t)s->frames_cap : 0;
    }
    return bytes;
}

static kf_segment_t *nth_cold(kf_journal_t *j, uint32_t n)
{
    kf_segment_t *s = j->segments;

    while (s && (!s->cold || n-- > 0)) {
        s = s->next;
    }
    assert_non_null(s);
    return s;
}

static kf_backlog_t backlog(kf_journal_t *j, uint16_t connection)
{
    kf_backlog_t b;

    kf_journal_backlog(j, connection, &b);
    return b;
}

/* What waits of a connection, all of it from its number on, each number times its step. */
static void expect_backlog(fixture_t *f, kf_journal_t *j, uint16_t connection, uint64_t first,
                           uint64_t step, uint64_t records)
{
    kf_backlog_t b = backlog(j, connection);
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < records; i++) {
        bytes += (first + i * step) % 20 + 8 + BYTES;
    }
    assert_int_equal(b.records, records);
    assert_int_equal(b.bytes, bytes);
    assert_int_equal(kf_usage_of(f->usage, connection), bytes);
    if (records > 0) {
        assert_int_equal(b.oldest_us, (INT64_C(1700000000) + (int64_t)first) * KF_SEC);
    }
}

/* Record i is of connection i % connections. */
static kf_journal_t *leave_records(fixture_t *f, uint16_t connections)
{
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0; i < RECORDS; i++) {
        fixture_leave(j, (uint16_t)(i % connections), i, BYTES);
    }
    assert_int_equal(count_cold(j), 0);
    kf_journal_prepare(j);
    assert_true(count_cold(j) > 10);
    assert_true(warm_bytes(j) <= f->config.warm_bytes);
    return j;
}

/* Fetches up to n of a connection and expects *next and so on in steps. @return how many */
static uint32_t deliver(kf_journal_t *j, uint16_t connection, uint32_t n, uint64_t *next,
                        uint64_t step)
{
    kf_record_list_t list = {0};
    uint32_t got = kf_journal_fetch(j, connection, n, UINT64_MAX, &list);

    for (const kf_record_t *r = list.first; r; r = r->next, *next += step) {
        assert_int_equal(fixture_number(r), *next);
    }
    fixture_done(j, &list);
    return got;
}

/* ---- tests ---- */

static void test_comes_back_once_and_in_order(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 1);
    uint64_t next = 0;
    unsigned segments = count_cold(j);

    loads = 0;
    while (next < RECORDS) {
        expect_backlog(f, j, 0, next, 1, RECORDS - next);
        assert_int_equal(deliver(j, 0, 25, &next, 1), 25);
        assert_true(warm_bytes(j) <= WARM_BYTES + 2048);
    }
    assert_int_equal(deliver(j, 0, ALL, &next, 1), 0);
    assert_int_equal(loads, segments);
    assert_int_equal(count_cold(j), 0);
    assert_int_equal(kf_usage_of(f->usage, 0), 0);
    assert_int_equal(fixture_logged("KF0603") + fixture_logged("KF0608"), 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 0);
}

static void test_few_segments_stay_warm(void **state)
{
    fixture_t *f = *state;
    f->config.warm_bytes = 0;
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0; i < RECORDS; i++) {
        fixture_leave(j, 0, i, BYTES);
    }
    kf_journal_prepare(j);
    assert_int_equal(count_cold(j), 0);
    kf_journal_close(j);
}

static void test_connections_take_turns(void **state)
{
    fixture_t *f = *state;
    /* A turn's records are in six segments at most. */
    f->config.warm_bytes = 3 * WARM_BYTES;
    kf_journal_t *j = leave_records(f, 3);
    uint64_t next[3] = {0, 1, 2};
    const uint32_t most[3] = {7, 31, 90}; /* they come to stand far apart */
    unsigned segments = j->segment_count;

    loads = 0;
    for (bool any = true; any;) {
        any = false;
        for (uint16_t c = 0; c < 3; c++) {
            any |= deliver(j, c, most[c], &next[c], 3) > 0;
            expect_backlog(f, j, c, next[c], 3, (RECORDS + c - next[c]) / 3);
        }
    }
    for (uint16_t c = 0; c < 3; c++) {
        assert_int_equal(next[c], RECORDS + c);
    }
    /* Once for each connection at most. */
    assert_true(loads <= 3 * segments);
    kf_journal_close(j);
}

static void test_one_connection_stands_still(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 2);
    uint64_t next[2] = {0, 1};
    unsigned segments = count_cold(j);

    loads = 0;
    while (deliver(j, 1, 10, &next[1], 2) > 0) {
        assert_true(warm_bytes(j) <= 2 * WARM_BYTES);
    }
    assert_int_equal(next[1], RECORDS + 1);
    assert_int_equal(loads, segments);
    assert_true(count_cold(j) > 10);
    expect_backlog(f, j, 0, 0, 2, RECORDS / 2);
    expect_backlog(f, j, 1, 0, 2, 0);
    /* What was noted before it went cold does not come again. */
    while (deliver(j, 0, 10, &next[0], 2) > 0) {
        continue;
    }
    assert_int_equal(next[0], RECORDS);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 0);
}

static void test_what_is_in_memory_or_aside_stays_warm(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    kf_record_list_t held = {0}, aside = {0};

    for (uint64_t i = 0; i < RECORDS; i++) {
        fixture_leave(j, 0, i, BYTES);
    }
    assert_int_equal(kf_journal_fetch(j, 0, 600, UINT64_MAX, &held), 600);
    assert_int_equal(kf_journal_fetch(j, 0, 300, UINT64_MAX, &aside), 300);
    for (const kf_record_t *r = aside.first; r; r = r->next) {
        kf_journal_set_aside(j, r);
    }
    kf_journal_prepare(j);
    for (const kf_segment_t *s = j->segments; s; s = s->next) {
        assert_true(!s->cold || (s->memory == 0 && s->share[0].waiting == s->outstanding));
    }
    uint32_t cold = count_cold(j);
    assert_true(cold > 0 && cold < 6);
    for (const kf_record_t *r = held.first; r; r = r->next) {
        kf_journal_release(j, r);
    }
    kf_journal_recall(j);
    kf_journal_prepare(j);
    assert_true(count_cold(j) > 10);
    /* One that was given back already is nobody's. */
    kf_journal_release(j, aside.last);
    expect_backlog(f, j, 0, 0, 1, RECORDS);
    kf_record_list_clear(&held);
    kf_record_list_clear(&aside);
    uint64_t next = 0;
    assert_int_equal(deliver(j, 0, ALL, &next, 1), RECORDS);
    kf_journal_close(j);
}

static void test_restart(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 2);
    uint64_t next[2] = {0, 1};

    assert_int_equal(deliver(j, 1, 300, &next[1], 2), 300);
    kf_journal_close(j);
    j = fixture_open(f);
    while (kf_journal_adopt(j) > 0) {
        assert_true(warm_bytes(j) <= WARM_BYTES + 2048);
    }
    assert_true(count_cold(j) > 10);
    expect_backlog(f, j, 0, 0, 2, RECORDS / 2);
    expect_backlog(f, j, 1, next[1], 2, RECORDS / 2 - 300);
    while (deliver(j, 0, 20, &next[0], 2) + deliver(j, 1, 20, &next[1], 2) > 0) {
        continue;
    }
    assert_int_equal(next[0], RECORDS);
    assert_int_equal(next[1], RECORDS + 1);
    kf_journal_close(j);
}

static void test_no_memory_is_asked_for_again(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 1);
    kf_record_list_t list = {0};

    no_memory = true;
    uint32_t n = kf_journal_fetch(j, 0, ALL, UINT64_MAX, &list);
    assert_in_range(n, 1, RECORDS / 2);
    no_memory = false;
    fixture_done(j, &list);
    expect_backlog(f, j, 0, n, 1, RECORDS - n);
    uint64_t next = n;
    assert_int_equal(deliver(j, 0, ALL, &next, 1), RECORDS - n);
    assert_int_equal(fixture_logged("KF0603") + fixture_logged("KF0608"), 0);
    kf_journal_close(j);
}

/* Fetches up to that many and expects numbers that rise. */
static uint32_t deliver_some(kf_journal_t *j, uint32_t most)
{
    kf_record_list_t list = {0};
    uint32_t n = kf_journal_fetch(j, 0, most, UINT64_MAX, &list);
    uint64_t before = 0;

    for (const kf_record_t *r = list.first; r; r = r->next) {
        assert_true(r == list.first || fixture_number(r) > before);
        before = fixture_number(r);
    }
    fixture_done(j, &list);
    return n;
}

static uint32_t deliver_rising(kf_journal_t *j)
{
    return deliver_some(j, ALL);
}

static void flip(const fixture_t *f, const kf_segment_t *s, const char *suffix, off_t at)
{
    char path[400], byte;

    snprintf(path, sizeof(path), "%s/%s.%s", f->folder, s->name, suffix);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(__real_pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 0x10);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void test_damage_is_told_and_kept(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 1);

    flip(f, nth_cold(j, 3), "seg", 30000);
    assert_int_equal(deliver_rising(j), RECORDS - 1);
    assert_int_equal(fixture_logged("KF0603"), 1);
    expect_backlog(f, j, 0, 0, 1, 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ".damaged"), 1);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 0);
}

static void test_file_that_shrinks(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 1);

    assert_int_equal(ftruncate(nth_cold(j, 2)->fd, 30000), 0);
    uint32_t n = deliver_rising(j);
    assert_in_range(n, RECORDS - 40, RECORDS - 25);
    assert_int_equal(fixture_logged("KF0603"), 1);
    expect_backlog(f, j, 0, 0, 1, 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ".damaged"), 1);
}

static void test_what_cannot_be_read_is_left_for_the_next_start(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 1);
    kf_segment_t *bad = nth_cold(j, 3);
    uint32_t before = bad->outstanding;
    uint64_t next = 0;

    /* Up to the bad one, which alone is read then. */
    while (j->segments != bad) {
        assert_int_equal(deliver(j, 0, 1, &next, 1), 1);
    }
    assert_true(bad->cold);
    bad_disk.on = true;
    bad_disk.from = 30000;
    bad_disk.to = 30001;
    assert_int_equal(deliver_some(j, before - 10), before - 10);
    bad_disk.on = false;
    /* When it is made warm; and the frame before, which is read up to the next one. */
    assert_int_equal(fixture_logged("KF0608"), 2);
    assert_int_equal(fixture_logged("KF0603"), 0);
    uint64_t left = backlog(j, 0).records;
    uint64_t hidden = RECORDS - next - (before - 10) - left;
    assert_in_range(hidden, 3, 9);
    assert_true(kf_usage_of(f->usage, 0) >= (left + hidden) * BYTES);
    assert_int_equal(deliver_rising(j), left);
    kf_journal_close(j);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(deliver_rising(j), hidden);
    assert_int_equal(kf_usage_of(f->usage, 0), 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ".damaged"), 0);
}

static void test_head_that_cannot_be_read(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 1);
    kf_segment_t *bad = nth_cold(j, 0);
    uint32_t records = bad->outstanding;

    flip(f, bad, "seg", 6);
    assert_int_equal(deliver_rising(j), RECORDS - records);
    assert_int_equal(fixture_logged("KF0608"), 1);
    assert_int_equal(backlog(j, 0).records, 0);
    assert_true(kf_usage_of(f->usage, 0) >= (uint64_t)records * BYTES);
    flip(f, bad, "seg", 6);
    kf_journal_close(j);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(deliver_rising(j), records);
    kf_journal_close(j);
}

static void test_damaged_notes_cost_a_repeat(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = leave_records(f, 2);
    uint64_t next[2] = {0, 1};

    assert_int_equal(deliver(j, 1, ALL, &next[1], 2), RECORDS / 2);
    kf_journal_prepare(j);
    kf_segment_t *s = nth_cold(j, 3);
    uint32_t again = s->share[0].waiting;
    flip(f, s, "out", 1);
    assert_int_equal(deliver(j, 0, ALL, &next[0], 2), RECORDS / 2);
    assert_int_equal(fixture_logged("KF0603"), 1);
    assert_int_equal(fault_folder_count(f->folder, ".out.damaged"), 1);
    assert_in_range(backlog(j, 1).records, again - 1, again + 1);
    kf_record_list_t list = {0};
    assert_in_range(kf_journal_fetch(j, 1, ALL, UINT64_MAX, &list), again - 1, again + 1);
    fixture_done(j, &list);
    assert_int_equal(kf_usage_of(f->usage, 1), 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 0);
}

static void test_what_could_not_be_noted_stays_warm(void **state)
{
    fixture_t *f = *state;
    f->config.files = &fault_files;
    kf_journal_t *j = fixture_open(f);
    uint64_t next = 0;

    for (uint64_t i = 0; i < RECORDS; i++) {
        fixture_leave(j, 0, i, BYTES);
    }
    fault_fail(FAULT_CREATE, 0, 1, EIO);
    assert_int_equal(deliver(j, 0, 10, &next, 1), 10);
    fault_clear();
    f->config.warm_bytes = 1;
    j->config.warm_bytes = 1;
    kf_journal_prepare(j);
    assert_true(j->segments->unnoted && !j->segments->cold);
    assert_true(count_cold(j) > 10);
    assert_int_equal(deliver(j, 0, ALL, &next, 1), RECORDS - 10);
    assert_int_equal(fixture_logged("KF0607"), 1);
    kf_journal_close(j);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_comes_back_once_and_in_order),
        TEST(test_few_segments_stay_warm),
        TEST(test_connections_take_turns),
        TEST(test_one_connection_stands_still),
        TEST(test_what_is_in_memory_or_aside_stays_warm),
        TEST(test_restart),
        TEST(test_no_memory_is_asked_for_again),
        TEST(test_damage_is_told_and_kept),
        TEST(test_file_that_shrinks),
        TEST(test_what_cannot_be_read_is_left_for_the_next_start),
        TEST(test_head_that_cannot_be_read),
        TEST(test_damaged_notes_cost_a_repeat),
        TEST(test_what_could_not_be_noted_stays_warm),
    };

    return cmocka_run_group_tests_name("journal_cold", tests, NULL, NULL);
}
