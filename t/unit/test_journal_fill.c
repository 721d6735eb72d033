/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments with zeros ahead: who gets them, what they count, and what a power cut leaves in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal_fixture.h"
#include "base/kf_clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEGMENT ((uint64_t)64 * 1024)
#define RECORD 1000
#define HALF 34 /* records that fill more than half of a segment */

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));

    fixture_make(f);
    f->config.durability = KF_DURABILITY_DISK;
    f->config.files = &fault_files;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fault_clear();
    fixture_remove(*state);
    free(*state);
    return 0;
}

/* ---- while the journal reads ---- */

static void (*after_read)(void);

/* The journal's reads come here instead of into the C library. */
ssize_t pread(int fd, void *bytes, size_t n, off_t offset)
{
    ssize_t got = (ssize_t)syscall(SYS_pread64, fd, bytes, n, offset);
    void (*fn)(void) = after_read;

    after_read = NULL;
    if (fn)
        fn();
    return got;
}

/* Path and size of the newest segment: names sort by time. */
static uint64_t newest(const fixture_t *f, char *path)
{
    char name[256] = "";
    DIR *folder = opendir(f->folder);
    struct stat st;

    assert_non_null(folder);
    for (struct dirent *e = readdir(folder); e; e = readdir(folder))
        if (strstr(e->d_name, ".seg") && strcmp(e->d_name, name) > 0)
            snprintf(name, sizeof(name), "%s", e->d_name);
    closedir(folder);
    snprintf(path, 600, "%s/%s", f->folder, name);
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void leave(kf_journal_t *j, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        fixture_leave(j, 0, i, RECORD);
}

/* Delivers all that waits. @return how many; they come in order, from first on */
static uint32_t deliver(kf_journal_t *j, uint64_t first)
{
    kf_record_list_t list = {0};
    uint32_t n = kf_journal_fetch(j, 0, UINT32_MAX, UINT64_MAX, &list);

    for (const kf_record_t *r = list.first; r; r = r->next)
        assert_int_equal(fixture_number(r), first++);
    fixture_done(j, &list);
    return n;
}

static void test_frames_go_over_zeros(void **state)
{
    fixture_t *f = *state;
    char path[600];
    kf_journal_t *j = fixture_open(f);

    leave(j, 0, HALF);
    kf_journal_prepare(j);
    assert_int_equal(newest(f, path), SEGMENT);
    assert_int_equal(kf_usage_total(f->usage), fault_folder_bytes(f->folder));
    leave(j, HALF, 3 * HALF);
    assert_int_equal(kf_usage_total(f->usage), fault_folder_bytes(f->folder));
    /* The zeros are no frames, whoever reads them. */
    kf_journal_close(j);
    j = fixture_open(f);
    assert_true(kf_journal_adopt(j) > 0);
    assert_int_equal(fixture_logged("KF0603") + fixture_logged("KF0604"), 0);
    assert_int_equal(deliver(j, 0), 3 * HALF);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
    assert_int_equal(kf_usage_total(f->usage), 0);
    kf_journal_close(j);
}

static void test_zeros_go_when_nothing_comes(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    leave(j, 0, 10);
    kf_journal_prepare(j);
    leave(j, 10, 10 + HALF);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 3);
    /* While some come they stay. */
    fixture_pass(9 * KF_SEC);
    leave(j, 10 + HALF, 11 + HALF);
    kf_journal_prepare(j);
    fixture_pass(9 * KF_SEC);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 3);
    fixture_pass(2 * KF_SEC);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 2);
    assert_int_equal(deliver(j, 0), 11 + HALF);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
    assert_int_equal(kf_usage_total(f->usage), 0);
    /* And it goes on. */
    leave(j, 0, 10);
    assert_int_equal(deliver(j, 0), 10);
    kf_journal_close(j);
}

static kf_journal_t *read_now;

static void append_meanwhile(void)
{
    leave(read_now, 20, 23);
}

/* What is read ahead is older than what was written since: zeros, where a frame is now. */
static void test_frames_written_while_others_are_read(void **state)
{
    fixture_t *f = *state;

    read_now = fixture_open(f);
    leave(read_now, 0, 10);
    kf_journal_prepare(read_now);
    leave(read_now, 10, 20);
    assert_int_equal(deliver(read_now, 0), 10 + 10);
    leave(read_now, 18, 20);
    after_read = append_meanwhile;
    assert_int_equal(deliver(read_now, 18), 5);
    assert_null(after_read);
    assert_int_equal(fixture_logged("KF0603"), 0);
    kf_journal_close(read_now);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

/* All of it may be done by then: nobody else would remove it. */
static void test_the_first_one_is_left_early(void **state)
{
    fixture_t *f = *state;
    char path[600];
    kf_journal_t *j = fixture_open(f);

    leave(j, 0, 10);
    assert_int_equal(deliver(j, 0), 10);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 1);
    assert_int_equal(newest(f, path), SEGMENT);
    kf_journal_prepare(j);
    leave(j, 10, 20);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 1);
    leave(j, 20, 20 + HALF);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 2);
    assert_int_equal(deliver(j, 10), 10 + HALF);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

static void expect_none(fixture_t *f)
{
    char path[600];
    kf_journal_t *j = fixture_open(f);

    leave(j, 0, HALF);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 2);
    assert_true(newest(f, path) < 1000);
    assert_int_equal(deliver(j, 0), HALF);
    kf_journal_close(j);
}

static void test_only_where_syncs_matter(void **state)
{
    fixture_t *f = *state;

    f->config.durability = KF_DURABILITY_PROCESS;
    expect_none(f);
}

static void test_not_where_the_store_is_small(void **state)
{
    static const int64_t shares[FIXTURE_CONNECTIONS] = {100, 100, 100};
    fixture_t *f = *state;

    f->usage = kf_usage_init(f->usage, FIXTURE_CONNECTIONS, 16, 8 * SEGMENT, shares);
    expect_none(f);
}

static void test_a_full_disk_gives_fewer_zeros(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    leave(j, 0, HALF);
    /* The head of the next one, and then no more. */
    fault_fail(FAULT_WRITE, 1, 1, ENOSPC);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 2);
    leave(j, HALF, 3 * HALF);
    assert_int_equal(deliver(j, 0), 3 * HALF);
    assert_int_equal(fixture_logged("KF0601"), 0);
    kf_journal_close(j);
}

/* Whatever the sync says: what it was to bring to the disk, the head too, may be lost. */
static void fail_sync(fixture_t *f, int error)
{
    kf_journal_t *j = fixture_open(f);

    leave(j, 0, HALF);
    fault_fail(FAULT_SYNC, 0, 1, error);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 1);
    assert_int_equal(kf_usage_total(f->usage), fault_folder_bytes(f->folder));
    leave(j, HALF, 3 * HALF);
    assert_int_equal(deliver(j, 0), 3 * HALF);
    kf_journal_close(j);
}

static void test_a_failing_disk_leaves_no_file(void **state)
{
    fail_sync(*state, EIO);
    fail_sync(*state, ENOSPC);
}

/* ---- after a power cut ---- */

/* Leaves a filled segment of which a part is used. @return where its last frame begins */
static uint64_t leave_part(fixture_t *f, char *path)
{
    kf_journal_t *j = fixture_open(f);
    uint64_t frame = (RECORD + 100) / 8 * 8;
    char *bytes = malloc(SEGMENT);
    uint64_t last = 0;

    leave(j, 0, HALF);
    kf_journal_prepare(j);
    leave(j, HALF, 2 * HALF);
    kf_journal_close(j);
    assert_int_equal(newest(f, path), SEGMENT);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, bytes, SEGMENT, 0), SEGMENT);
    close(fd);
    for (uint64_t at = 0; at + 4 < SEGMENT; at += 8)
        if (memcmp(bytes + at, "KFJF", 4) == 0)
            last = at;
    free(bytes);
    assert_true(last > frame && last + 2 * frame < SEGMENT);
    return last;
}

/* @param sectors  how many of the frame's are left out, from which on */
static void unwrite(const char *path, uint64_t frame, unsigned first, unsigned sectors)
{
    static const char zeros[512];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint64_t at = frame / 512 * 512 + (uint64_t)first * 512;

    for (uint64_t end = at + (uint64_t)sectors * 512; at < end; at += 512) {
        uint64_t from = at > frame ? at : frame;

        assert_int_equal(pwrite(fd, zeros, at + 512 - from, (off_t)from), at + 512 - from);
    }
    close(fd);
}

static void expect_loaded(const fixture_t *f, unsigned damaged, unsigned torn)
{
    kf_journal_t *j = fixture_open(f);

    kf_journal_adopt(j);
    assert_int_equal(fixture_logged("KF0603"), damaged);
    assert_int_equal(fixture_logged("KF0604"), torn);
    assert_int_equal(deliver(j, 0), 2 * HALF - 1);
    assert_int_equal(fault_folder_count(f->folder, ".damaged"), damaged);
    kf_journal_close(j);
}

static void test_a_frame_without_its_end_is_torn(void **state)
{
    char path[600];
    uint64_t last = leave_part(*state, path);

    unwrite(path, last, 1, 2);
    expect_loaded(*state, 0, 1);
}

static void test_a_frame_without_its_middle_is_torn(void **state)
{
    char path[600];
    uint64_t last = leave_part(*state, path);

    unwrite(path, last, 1, 1);
    expect_loaded(*state, 0, 1);
}

static void test_a_frame_without_its_beginning_is_torn(void **state)
{
    char path[600];
    uint64_t last = leave_part(*state, path);

    unwrite(path, last, 0, 1);
    expect_loaded(*state, 0, 1);
}

static void test_a_frame_with_a_wrong_byte_is_damaged(void **state)
{
    char path[600], byte = 0;
    uint64_t last = leave_part(*state, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, &byte, 1, (off_t)last + 700), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)last + 700), 1);
    close(fd);
    expect_loaded(*state, 1, 0);
}

/* Behind it stands a frame that was synced: it was, too. */
static void test_a_frame_before_others_is_damaged(void **state)
{
    char path[600];
    uint64_t last = leave_part(*state, path);

    unwrite(path, last - 3000, 1, 1);
    kf_journal_t *j = fixture_open(*state);
    kf_journal_adopt(j);
    assert_int_equal(fixture_logged("KF0603"), 1);
    assert_int_equal(fixture_logged("KF0604"), 0);
    kf_journal_close(j);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_frames_go_over_zeros),
        TEST(test_zeros_go_when_nothing_comes),
        TEST(test_frames_written_while_others_are_read),
        TEST(test_the_first_one_is_left_early),
        TEST(test_only_where_syncs_matter),
        TEST(test_not_where_the_store_is_small),
        TEST(test_a_full_disk_gives_fewer_zeros),
        TEST(test_a_failing_disk_leaves_no_file),
        TEST(test_a_frame_without_its_end_is_torn),
        TEST(test_a_frame_without_its_middle_is_torn),
        TEST(test_a_frame_without_its_beginning_is_torn),
        TEST(test_a_frame_with_a_wrong_byte_is_damaged),
        TEST(test_a_frame_before_others_is_damaged),
    };

    return cmocka_run_group_tests_name("journal_fill", tests, NULL, NULL);
}
