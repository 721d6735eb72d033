/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment whose files are cut off, damaged or mixed up: what is whole comes back, nothing else does;
 * and the sync that many share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/kf_segment.h"

#define NUMBERS 64

static int setup(void **state)
{
    *state = calloc(1, sizeof(fixture_t));
    fixture_make(*state);
    return 0;
}

static int teardown(void **state)
{
    fixture_remove(*state);
    free(*state);
    return 0;
}

/* ---- files ---- */

/* The only segment's files, in memory; the folder is empty afterwards. */
typedef struct {
    char name[KF_SEGMENT_NAME_MAX];
    char *seg, *out;
    size_t seg_n, out_n;
    uint32_t id, first_frame;
} files_t;

static char *take_file(const fixture_t *f, const char *name, const char *suffix, size_t *n)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s.%s", f->folder, name, suffix);
    char *text = calloc(1, 1 << 20);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(text && fd >= 0);
    ssize_t got = read(fd, text, 1 << 20);
    assert_true(got >= 0);
    *n = (size_t)got;
    close(fd);
    unlink(path);
    return text;
}

static void put_file(const fixture_t *f, const char *name, const char *suffix, const char *text,
                     size_t n)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s.%s", f->folder, name, suffix);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
}

static void take_files(const fixture_t *f, files_t *files)
{
    DIR *folder = opendir(f->folder);

    assert_non_null(folder);
    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        if (strstr(e->d_name, ".seg")) {
            snprintf(files->name, sizeof(files->name), "%.25s", e->d_name);
        }
    }
    closedir(folder);
    files->seg = take_file(f, files->name, "seg", &files->seg_n);
    files->out = take_file(f, files->name, "out", &files->out_n);
    kf_segment_head_t head;
    assert_true(kf_frame_read_head((kf_str_t){files->seg, files->seg_n}, &head));
    files->id = head.id;
    files->first_frame = head.bytes;
}

static void empty_folder(const fixture_t *f)
{
    fault_folder_remove(f->folder);
    assert_int_equal(mkdir(f->folder, 0700), 0);
}

/* ---- expectations ---- */

/* Frames of 1 to 4 records with numbers from 0 on; 3 and 4 are done, in two notes. */
static void make(const fixture_t *f, files_t *files)
{
    kf_journal_t *j = fixture_open(f);
    uint64_t number = 0;

    for (uint32_t count = 1; count <= 4; count++) {
        kf_record_list_t list = {0};
        for (uint32_t i = 0; i < count; i++, number++) {
            kf_record_list_add(&list, fixture_record((uint16_t)(number % 3), number, count * 20));
        }
        assert_int_equal(kf_journal_append(j, &list), KF_JOURNAL_OK);
        for (const kf_record_t *r = list.first; r; r = r->next) {
            kf_journal_release(j, r);
        }
        kf_record_list_clear(&list);
    }
    for (uint16_t connection = 0; connection < 2; connection++) {
        kf_record_list_t list = {0}, done = {0};
        kf_journal_fetch(j, connection, 2, UINT64_MAX, &list);
        kf_journal_release(j, list.first);
        kf_record_free(kf_record_list_take(&list));
        kf_record_list_append(&done, &list);
        fixture_done(j, &done);
    }
    kf_journal_close(j);
    take_files(f, files);
}

/* What a start on these files serves: how often each number. */
static void serve(const fixture_t *f, const files_t *files, unsigned *served)
{
    kf_journal_t *j = fixture_open(f);

    memset(served, 0, NUMBERS * sizeof(*served));
    put_file(f, files->name, "seg", files->seg, files->seg_n);
    put_file(f, files->name, "out", files->out, files->out_n);
    kf_journal_adopt(j);
    for (uint16_t c = 0; c < FIXTURE_CONNECTIONS; c++) {
        kf_record_list_t list = {0};
        kf_journal_fetch(j, c, UINT32_MAX, UINT64_MAX, &list);
        for (const kf_record_t *r = list.first; r; r = r->next) {
            uint64_t number = fixture_number(r);
            assert_true(number < NUMBERS);
            served[number]++;
        }
        kf_record_list_clear(&list);
    }
    kf_journal_close(j);
    empty_folder(f);
}

/* Expects all numbers but the done ones and those of frames that touch the bytes from..to. */
static void expect_all_but(const files_t *files, const unsigned *served, size_t from, size_t to)
{
    size_t at = files->first_frame;

    while (at < files->seg_n) {
        kf_frame_t frame;
        kf_str_t text = {files->seg + at, files->seg_n - at};
        assert_int_equal(kf_frame_read(text, files->id, &frame), KF_FRAME_OK);
        bool touched = from < at + frame.bytes && to > at;
        for (uint32_t i = frame.first; i < frame.first + frame.count; i++) {
            bool done = i == 3 || i == 4;
            assert_int_equal(served[i], !done && !touched);
        }
        at += frame.bytes;
    }
}

static void expect_none(const unsigned *served)
{
    for (int i = 0; i < NUMBERS; i++) {
        assert_int_equal(served[i], 0);
    }
}

/* ---- cut off and damaged ---- */

static void test_whole(void **state)
{
    unsigned served[NUMBERS];
    files_t files;

    make(*state, &files);
    serve(*state, &files, served);
    expect_all_but(&files, served, 0, 0);
    free(files.seg);
    free(files.out);
}

static void test_every_truncation(void **state)
{
    unsigned served[NUMBERS];
    files_t files;

    make(*state, &files);
    files_t cut = files;
    for (cut.seg_n = 0; cut.seg_n < files.seg_n; cut.seg_n++) {
        serve(*state, &cut, served);
        if (cut.seg_n < files.first_frame) {
            expect_none(served);
            assert_int_equal(fixture_logged("KF0606"), cut.seg_n > 0);
        } else {
            expect_all_but(&files, served, cut.seg_n, SIZE_MAX);
            assert_int_equal(fixture_logged("KF0603"), 0);
        }
    }
    free(files.seg);
    free(files.out);
}

static void test_every_byte_damaged(void **state)
{
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    unsigned served[NUMBERS];
    files_t files;

    make(*state, &files);
    files_t damaged = files;
    damaged.seg = malloc(files.seg_n);
    assert_non_null(damaged.seg);
    for (size_t i = 0; i < files.seg_n; i++) {
        memcpy(damaged.seg, files.seg, files.seg_n);
        damaged.seg[i] = (char)(damaged.seg[i] ^ masks[i % 3]);
        serve(*state, &damaged, served);
        if (i < files.first_frame) {
            expect_none(served);
        } else {
            expect_all_but(&files, served, i, i + 1);
            assert_int_equal(fixture_logged("KF0603") + fixture_logged("KF0604"), 1);
        }
    }
    free(damaged.seg);
    free(files.seg);
    free(files.out);
}

static void test_every_hole(void **state)
{
    unsigned served[NUMBERS];
    files_t files;

    make(*state, &files);
    files_t damaged = files;
    damaged.seg = malloc(files.seg_n);
    assert_non_null(damaged.seg);
    /* As a disk leaves it that wrote some of its sectors. */
    for (size_t at = files.first_frame; at < files.seg_n; at += 8) {
        size_t n = files.seg_n - at < 64 ? files.seg_n - at : 64;
        memcpy(damaged.seg, files.seg, files.seg_n);
        memset(damaged.seg + at, 0, n);
        serve(*state, &damaged, served);
        expect_all_but(&files, served, at, at + n);
    }
    free(damaged.seg);
    free(files.seg);
    free(files.out);
}

static void test_outcomes_cut_off_and_damaged(void **state)
{
    unsigned served[NUMBERS];
    files_t files;

    make(*state, &files);
    files_t other = files;
    other.out = malloc(files.out_n);
    assert_non_null(other.out);
    assert_int_equal(files.out_n, 24);
    for (size_t i = 0; i < files.out_n * 2; i++) {
        bool cut = i % 2;
        memcpy(other.out, files.out, files.out_n);
        other.out_n = cut ? i / 2 : files.out_n;
        if (!cut) {
            other.out[i / 2] = (char)(other.out[i / 2] ^ 2);
        }
        serve(*state, &other, served);
        bool first_lost = i / 2 < 12;
        assert_int_equal(served[3], first_lost);
        assert_int_equal(served[4], 1);
        for (uint32_t k = 0; k < 10; k++) {
            assert_true(k == 3 || k == 4 || served[k] == 1);
        }
    }
    free(other.out);
    free(files.seg);
    free(files.out);
}

static void test_frames_of_another_segment(void **state)
{
    unsigned served[NUMBERS];
    files_t one, other;

    make(*state, &one);
    make(*state, &other);
    files_t mixed = one;
    mixed.seg = malloc(one.seg_n + other.seg_n);
    assert_non_null(mixed.seg);
    memcpy(mixed.seg, one.seg, one.seg_n);
    memcpy(mixed.seg + one.seg_n, other.seg, other.seg_n);
    mixed.seg_n += other.seg_n;
    serve(*state, &mixed, served);
    expect_all_but(&one, served, 0, 0);
    assert_int_equal(fixture_logged("KF0603"), 1);
    free(mixed.seg);
    mixed = one;
    mixed.out = other.out;
    mixed.out_n = other.out_n;
    serve(*state, &mixed, served);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(served[i], 1);
    }
    free(one.seg);
    free(one.out);
    free(other.seg);
    free(other.out);
}

/* A frame twice, as if copied by hand: its ordinals are given out already. */
static void test_frame_twice(void **state)
{
    unsigned served[NUMBERS];
    files_t files;

    make(*state, &files);
    size_t n = files.seg_n - files.first_frame;
    files_t twice = files;
    twice.seg = malloc(files.seg_n + n);
    assert_non_null(twice.seg);
    memcpy(twice.seg, files.seg, files.seg_n);
    memcpy(twice.seg + files.seg_n, files.seg + files.first_frame, n);
    twice.seg_n += n;
    serve(*state, &twice, served);
    expect_all_but(&files, served, 0, 0);
    free(twice.seg);
    free(files.seg);
    free(files.out);
}

/* Frames that lie across what is read at once. */
static void test_large_frames(void **state)
{
    fixture_t *f = *state;

    f->config.segment_bytes = 64 << 20;
    kf_journal_t *j = fixture_open(f);
    uint64_t number = 0;
    for (uint32_t bytes = 1; bytes < 700000; bytes += bytes / 5 + 1) {
        for (int i = 0; i < 3; i++) {
            fixture_leave(j, 0, number++, bytes);
        }
    }
    kf_journal_close(j);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fixture_logged("KF0603"), 0);
    kf_record_list_t list = {0};
    assert_int_equal(kf_journal_fetch(j, 0, UINT32_MAX, UINT64_MAX, &list), number);
    number = 0;
    for (const kf_record_t *r = list.first; r; r = r->next) {
        assert_int_equal(fixture_number(r), number++);
    }
    fixture_done(j, &list);
    kf_journal_close(j);
}

/* ---- names ---- */

static void test_names(void **state)
{
    fixture_t *f = *state;
    static const char *const connections[] = {"a"};
    int folder = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char before[KF_SEGMENT_NAME_MAX] = "";

    assert_true(folder >= 0);
    for (int64_t made = 1; made > 0 && made < INT64_MAX / 10; made *= 10) {
        kf_segment_t *s = kf_segment_create(1);
        assert_int_equal(kf_segment_start(s, folder, &kf_file_system, made, connections), 0);
        assert_true(kf_segment_is_name(s->name, strlen(s->name)));
        assert_true(strcmp(before, s->name) < 0);
        memcpy(before, s->name, sizeof(before));
        assert_int_equal(kf_segment_publish(s, folder, &kf_file_system, true), 0);
        assert_int_equal(kf_segment_remove(s, folder, &kf_file_system), 0);
        assert_int_equal(kf_segment_remove(s, folder, &kf_file_system), ENOENT);
        kf_segment_destroy(s);
    }
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
    assert_false(kf_segment_is_name("0000000000000001-0000000g", 25));
    assert_false(kf_segment_is_name("0000000000000001x00000001", 25));
    assert_false(kf_segment_is_name("0000000000000001-0000000", 24));
    close(folder);
}

/* ---- the sync that many share ---- */

#define SYNCERS 8

static struct {
    kf_segment_t *segment;
    int error;
    int arrived; /* threads about to sync */
    int syncs;
} shared;

/* The first one lasts until all others have come. */
static int slow_sync(int fd)
{
    (void)fd;
    if (__atomic_fetch_add(&shared.syncs, 1, __ATOMIC_SEQ_CST) == 0) {
        while (__atomic_load_n(&shared.arrived, __ATOMIC_SEQ_CST) < SYNCERS) {
            sched_yield();
        }
    }
    return shared.error;
}

static void *sync_one(void *context)
{
    const kf_file_ops_t files = {.sync_data = slow_sync};

    __atomic_fetch_add(&shared.arrived, 1, __ATOMIC_SEQ_CST);
    *(int *)context = kf_segment_sync(shared.segment, &files);
    return NULL;
}

static void share_sync(int error)
{
    pthread_t threads[SYNCERS];
    int rc[SYNCERS];

    shared.segment = kf_segment_create(1);
    shared.error = error;
    shared.arrived = shared.syncs = 0;
    for (int i = 0; i < SYNCERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sync_one, &rc[i]), 0);
    }
    for (int i = 0; i < SYNCERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(rc[i], error);
    }
    if (error) {
        /* After one that failed no later one can vouch for anything. */
        assert_int_equal(shared.syncs, 1);
        shared.error = 0;
        sync_one(&rc[0]);
        assert_int_equal(rc[0], error);
        assert_int_equal(shared.syncs, 1);
    } else {
        assert_in_range(shared.syncs, 1, SYNCERS);
        int before = shared.syncs;
        sync_one(&rc[0]);
        assert_int_equal(shared.syncs, before + 1);
    }
    kf_segment_destroy(shared.segment);
}

static void test_shared_sync(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        share_sync(0);
        share_sync(EIO);
    }
}

/* ---- withdrawing, while others sync ---- */

static struct {
    int running, overlaps;
} alone;

static int watched_sync(int fd)
{
    (void)fd;
    if (__atomic_fetch_add(&alone.running, 1, __ATOMIC_SEQ_CST) > 0) {
        __atomic_fetch_add(&alone.overlaps, 1, __ATOMIC_SEQ_CST);
    }
    for (int i = 0; i < 20; i++) {
        sched_yield();
    }
    __atomic_fetch_sub(&alone.running, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int no_write(int fd, const void *bytes, size_t n, uint64_t offset)
{
    (void)fd;
    (void)bytes;
    (void)n;
    (void)offset;
    return 0;
}

static void *sync_or_withdraw(void *context)
{
    const kf_file_ops_t files = {.sync_data = watched_sync, .write_at = no_write};
    char frame[KF_FRAME_HEAD_BYTES] = {0};

    for (int i = 0; i < 50; i++) {
        if (context) {
            kf_segment_withdraw(shared.segment, -1, &files, frame, 0, 0, 1);
        } else {
            assert_int_equal(kf_segment_sync(shared.segment, &files), 0);
        }
    }
    return NULL;
}

/* One that fails must not hide behind another one that succeeds. */
static void test_one_sync_at_a_time(void **state)
{
    pthread_t threads[SYNCERS];

    (void)state;
    shared.segment = kf_segment_create(1);
    for (int i = 0; i < SYNCERS; i++) {
        void *withdraws = i % 2 ? &shared : NULL;
        assert_int_equal(pthread_create(&threads[i], NULL, sync_or_withdraw, withdraws), 0);
    }
    for (int i = 0; i < SYNCERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(alone.overlaps, 0);
    kf_segment_destroy(shared.segment);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole),
        TEST(test_every_truncation),
        TEST(test_every_byte_damaged),
        TEST(test_every_hole),
        TEST(test_outcomes_cut_off_and_damaged),
        TEST(test_frames_of_another_segment),
        TEST(test_frame_twice),
        TEST(test_large_frames),
        TEST(test_names),
        cmocka_unit_test(test_shared_sync),
        cmocka_unit_test(test_one_sync_at_a_time),
    };

    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
