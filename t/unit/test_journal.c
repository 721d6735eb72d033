/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal: what was appended comes back, once and in order, whoever died; what failed never does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/kf_clock.h"
#include "delivery/kf_segment.h"

#define ALL UINT32_MAX

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

static uint64_t backlog(kf_journal_t *j, uint16_t connection)
{
    kf_backlog_t b;

    kf_journal_backlog(j, connection, &b);
    return b.records;
}

/* Fetches all of a connection and expects numbers first, first + 1, ...; @return how many */
static uint32_t fetch_in_order(kf_journal_t *j, uint16_t connection, uint64_t first)
{
    kf_record_list_t list = {0};
    uint32_t n = kf_journal_fetch(j, connection, ALL, UINT64_MAX, &list);

    assert_int_equal(n, list.count);
    for (const kf_record_t *r = list.first; r; r = r->next) {
        assert_int_equal(r->connection, connection);
        assert_int_equal(fixture_number(r), first++);
    }
    kf_record_list_clear(&list);
    return n;
}

static uint32_t deliver_all(kf_journal_t *j, uint16_t connection)
{
    kf_record_list_t list = {0};
    uint32_t n = kf_journal_fetch(j, connection, ALL, UINT64_MAX, &list);

    fixture_done(j, &list);
    return n;
}

static kf_record_list_t some(uint16_t connection, uint64_t first, uint32_t count, uint32_t bytes)
{
    kf_record_list_t list = {0};

    for (uint32_t i = 0; i < count; i++) {
        kf_record_list_add(&list, fixture_record(connection, first + i, bytes));
    }
    return list;
}

/* Path of the only file with this suffix. */
static void only_file(const fixture_t *f, const char *suffix, char *path)
{
    char command[512];

    assert_int_equal(fault_folder_count(f->folder, suffix), 1);
    snprintf(command, sizeof(command), "ls %s/*%s", f->folder, suffix);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(path, 400, p));
    pclose(p);
    path[strcspn(path, "\n")] = 0;
}

static void put_file(const fixture_t *f, const char *name, const char *text, size_t n)
{
    char path[400];

    snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
}

static void flip(const char *path, off_t offset)
{
    char byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte = (char)(byte ^ 0x10);
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

/* ---- append, fetch, done ---- */

static void test_comes_back_in_order(void **state)
{
    kf_journal_t *j = fixture_open(*state);

    for (uint64_t i = 0; i < 500; i++) {
        fixture_leave(j, 0, i, (uint32_t)(i * 7 % 1500));
        fixture_leave(j, 1, i, 0);
    }
    assert_true(fault_folder_count(((fixture_t *)*state)->folder, ".seg") > 4);
    assert_int_equal(backlog(j, 0), 500);
    assert_int_equal(fetch_in_order(j, 0, 0), 500);
    assert_int_equal(backlog(j, 0), 0);
    assert_int_equal(fetch_in_order(j, 0, 0), 0);
    assert_int_equal(fetch_in_order(j, 1, 0), 500);
    assert_int_equal(fetch_in_order(j, 2, 0), 0);
    kf_journal_close(j);
}

static void test_what_is_in_memory_is_not_fetched(void **state)
{
    kf_journal_t *j = fixture_open(*state);
    kf_record_list_t list = some(0, 0, 5, 100);

    assert_int_equal(kf_journal_append(j, &list), KF_JOURNAL_OK);
    assert_int_equal(backlog(j, 0), 0);
    kf_journal_release(j, list.first->next);
    kf_journal_release(j, list.first->next->next->next);
    kf_journal_release(j, list.first);
    assert_int_equal(backlog(j, 0), 3);
    kf_record_list_t back = {0};
    assert_int_equal(kf_journal_fetch(j, 0, ALL, UINT64_MAX, &back), 3);
    assert_int_equal(fixture_number(back.first), 0);
    assert_int_equal(fixture_number(back.first->next), 1);
    assert_int_equal(fixture_number(back.last), 3);
    assert_int_equal(back.first->mark, list.first->mark);
    kf_record_list_clear(&back);
    kf_record_list_clear(&list);
    kf_journal_close(j);
}

static kf_backlog_t backlog_of(kf_journal_t *j)
{
    kf_backlog_t backlog;

    kf_journal_backlog(j, 0, &backlog);
    return backlog;
}

static void set_aside(kf_journal_t *j, uint32_t n)
{
    kf_record_list_t list = {0};

    assert_int_equal(kf_journal_fetch(j, 0, n, UINT64_MAX, &list), n);
    for (const kf_record_t *r = list.first; r; r = r->next) {
        kf_journal_set_aside(j, r);
    }
    kf_record_list_clear(&list);
}

static void test_what_is_set_aside_is_passed_over_until_it_is_recalled(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0; i < 300; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    kf_backlog_t before = backlog_of(j);
    uint64_t used = kf_usage_of(f->usage, 0);
    assert_int_equal(kf_journal_aside(j), 0);
    set_aside(j, 200);
    assert_int_equal(kf_journal_aside(j), 200);
    kf_backlog_t aside = backlog_of(j);
    assert_int_equal(aside.records, 100);
    assert_int_equal(aside.aside, 200);
    assert_true(aside.bytes < before.bytes / 2);
    assert_int_equal(kf_usage_of(f->usage, 0), used);
    /* Others of the connection are not held up. */
    kf_record_list_t list = {0};
    assert_int_equal(kf_journal_fetch(j, 0, ALL, UINT64_MAX, &list), 100);
    assert_int_equal(fixture_number(list.first), 200);
    fixture_done(j, &list);
    kf_journal_recall(j);
    assert_int_equal(kf_journal_aside(j), 0);
    aside = backlog_of(j);
    assert_int_equal(aside.records, 200);
    assert_int_equal(aside.bytes, 200 * before.bytes / 300);
    assert_int_equal(fetch_in_order(j, 0, 0), 200);
    kf_journal_recall(j);
    assert_int_equal(backlog(j, 0), 0);
    kf_journal_close(j);
}

static void test_what_is_set_aside_is_anothers_to_fetch_after_the_end(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0; i < 300; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    set_aside(j, 300);
    kf_journal_close(j);
    j = fixture_open(f);
    assert_true(kf_journal_adopt(j) > 0);
    assert_int_equal(fetch_in_order(j, 0, 0), 300);
    kf_journal_close(j);
}

static void test_bounds_of_fetch(void **state)
{
    kf_journal_t *j = fixture_open(*state);
    kf_record_list_t out = {0};

    for (uint64_t i = 0; i < 10; i++) {
        fixture_leave(j, 0, 20 * i, 1000); /* numbers without a key */
    }
    assert_int_equal(kf_journal_fetch(j, 0, 0, UINT64_MAX, &out), 0);
    assert_int_equal(kf_journal_fetch(j, 0, 3, UINT64_MAX, &out), 3);
    assert_int_equal(kf_journal_fetch(j, 0, ALL, 2 * 1008, &out), 2);
    assert_int_equal(kf_journal_fetch(j, 0, ALL, 2 * 1008 - 1, &out), 1);
    assert_int_equal(kf_journal_fetch(j, 0, ALL, 0, &out), 1);
    assert_int_equal(kf_journal_fetch(j, 0, 1, 0, &out), 1);
    assert_int_equal(kf_journal_fetch(j, 0, ALL, UINT64_MAX, &out), 2);
    assert_int_equal(out.count, 10);
    uint64_t expected = 0;
    for (const kf_record_t *r = out.first; r; r = r->next, expected += 20) {
        assert_int_equal(fixture_number(r), expected);
    }
    kf_record_list_clear(&out);
    kf_journal_close(j);
}

/* Frames of two records for each connection; all wait. */
static void leave_frames(kf_journal_t *j, uint64_t first, uint64_t count)
{
    for (uint64_t n = first; n < first + 2 * count; n += 2) {
        kf_record_list_t frame = {0};

        for (uint16_t c = 0; c < FIXTURE_CONNECTIONS; c++) {
            kf_record_list_t two = some(c, n, 2, 1000);
            kf_record_list_append(&frame, &two);
        }
        assert_int_equal(kf_journal_append(j, &frame), KF_JOURNAL_OK);
        for (const kf_record_t *r = frame.first; r; r = r->next) {
            kf_journal_release(j, r);
        }
        kf_record_list_clear(&frame);
    }
}

/* Fetches for all three with the same room, but none for those of the mask; numbers go on where they stood. */
static void fetch_all(kf_journal_t *j, uint32_t records, uint64_t bytes, unsigned without,
                      uint64_t next[FIXTURE_CONNECTIONS])
{
    kf_journal_want_t wants[FIXTURE_CONNECTIONS];

    for (uint16_t c = 0; c < FIXTURE_CONNECTIONS; c++) {
        /* In another order than that of the frames. */
        uint16_t connection = (uint16_t)((c + 1) % FIXTURE_CONNECTIONS);
        wants[c] = (kf_journal_want_t){.connection = connection,
                                       .records = without >> connection & 1 ? 0 : records,
                                       .bytes = bytes};
    }
    kf_journal_fetch_all(j, wants, FIXTURE_CONNECTIONS);
    for (uint16_t c = 0; c < FIXTURE_CONNECTIONS; c++) {
        for (const kf_record_t *r = wants[c].found.first; r; r = r->next) {
            assert_int_equal(r->connection, wants[c].connection);
            assert_int_equal(fixture_number(r), next[r->connection]++);
        }
        fixture_done(j, &wants[c].found);
    }
}

static void expect_next(const uint64_t next[FIXTURE_CONNECTIONS], uint64_t a, uint64_t b,
                        uint64_t c)
{
    assert_int_equal(next[0], a);
    assert_int_equal(next[1], b);
    assert_int_equal(next[2], c);
}

static void test_fetch_for_several_at_once(void **state)
{
    kf_journal_t *j = fixture_open(*state);
    uint64_t next[FIXTURE_CONNECTIONS] = {0};

    leave_frames(j, 0, 100); /* several segments */
    fetch_all(j, 0, UINT64_MAX, 0, next);
    expect_next(next, 0, 0, 0);
    fetch_all(j, 5, UINT64_MAX, 0, next);
    expect_next(next, 5, 5, 5);
    fetch_all(j, ALL, 0, 0, next);
    expect_next(next, 6, 6, 6);
    /* A key has 20 bytes at most. */
    fetch_all(j, ALL, 3 * 1028, 0, next);
    expect_next(next, 9, 9, 9);
    /* From here on not all come to a frame together: order stays. */
    fetch_all(j, 40, UINT64_MAX, 1u << 1, next);
    expect_next(next, 49, 9, 49);
    fetch_all(j, 50, UINT64_MAX, 1u << 0, next);
    expect_next(next, 49, 59, 99);
    fetch_all(j, 101, UINT64_MAX, 0, next);
    expect_next(next, 150, 160, 200);
    fetch_all(j, ALL, UINT64_MAX, 0, next);
    expect_next(next, 200, 200, 200);
    fetch_all(j, ALL, UINT64_MAX, 0, next);
    expect_next(next, 200, 200, 200);
    for (uint16_t c = 0; c < FIXTURE_CONNECTIONS; c++) {
        assert_int_equal(backlog(j, c), 0);
    }
    kf_journal_close(j);
}

static void test_backlog(void **state)
{
    kf_journal_t *j = fixture_open(*state);
    kf_record_list_t list = some(1, 40, 3, 92);
    kf_backlog_t b;

    assert_int_equal(kf_journal_append(j, &list), KF_JOURNAL_OK);
    kf_journal_backlog(j, 1, &b);
    assert_int_equal(b.records, 0);
    assert_int_equal(b.oldest_us, 0);
    for (const kf_record_t *r = list.first; r; r = r->next) {
        kf_journal_release(j, r);
    }
    kf_journal_backlog(j, 1, &b);
    assert_int_equal(b.records, 3);
    assert_int_equal(b.bytes, 3 * 100 + 0 + 1 + 2);
    assert_int_equal(b.oldest_us, list.first->accepted_us);
    kf_journal_backlog(j, 0, &b);
    assert_int_equal(b.records, 0);
    kf_record_list_clear(&list);
    kf_journal_close(j);
}

static void test_done_removes_files(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0; i < 300; i++) {
        fixture_leave(j, (uint16_t)(i % 2), i, 1000);
    }
    unsigned files = fault_folder_count(f->folder, ".seg");
    assert_true(files >= 4);
    assert_int_equal(deliver_all(j, 0), 150);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), files);
    assert_int_equal(deliver_all(j, 1), 150);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 1); /* takes frames still */
    assert_int_equal(kf_usage_of(f->usage, 0), 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

static void test_done_of_several_segments_in_any_order(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    kf_record_list_t list = {0}, mixed = {0}, rest = {0};

    for (uint64_t i = 0; i < 1500; i++) {
        fixture_leave(j, 0, i, 200);
    }
    assert_int_equal(kf_journal_fetch(j, 0, ALL, UINT64_MAX, &list), 1500);
    for (kf_record_t *r = kf_record_list_take(&list); r; r = kf_record_list_take(&list)) {
        kf_record_list_add(fixture_number(r) % 2 ? &mixed : &rest, r);
    }
    kf_record_list_append(&mixed, &rest);
    kf_record_list_add(&mixed, fixture_record(0, 1, 1)); /* of no journal */
    fixture_done(j, &mixed);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

static void test_frame_of_all_sizes(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    kf_record_list_t many = some(0, 0, 3000, 10), large = some(1, 0, 1, 3 << 20), none = {0};
    kf_record_list_t huge = some(0, 0, 1, 1);

    assert_int_equal(kf_journal_append(j, &none), KF_JOURNAL_OK);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
    assert_int_equal(kf_journal_append(j, &many), KF_JOURNAL_OK);
    assert_int_equal(kf_journal_append(j, &large), KF_JOURNAL_OK);
    huge.bytes = UINT64_C(1) << 32;
    assert_int_equal(kf_journal_append(j, &huge), KF_JOURNAL_FULL);
    kf_journal_close(j);
    kf_record_list_clear(&many);
    kf_record_list_clear(&large);
    kf_record_list_clear(&huge);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 2);
    assert_int_equal(fetch_in_order(j, 0, 0), 3000);
    assert_int_equal(fetch_in_order(j, 1, 0), 1);
    kf_journal_close(j);
}

/* ---- another start ---- */

static void test_survives_close(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    kf_record_list_t list = some(0, 0, 100, 1000);

    assert_int_equal(kf_journal_append(j, &list), KF_JOURNAL_OK);
    for (uint64_t i = 100; i < 300; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    kf_record_list_t first = {0};
    for (int i = 0; i < 60; i++) {
        kf_record_list_add(&first, kf_record_list_take(&list));
    }
    fixture_done(j, &first);
    kf_journal_close(j);
    kf_record_list_clear(&list);
    assert_int_equal(kf_usage_of(f->usage, 0), 0);
    j = fixture_open(f);
    assert_true(kf_journal_adopt(j) > 1);
    assert_int_equal(kf_journal_adopt(j), 0);
    assert_int_equal(backlog(j, 0), 240);
    assert_int_equal(fetch_in_order(j, 0, 60), 240);
    kf_journal_close(j);
}

static void test_connections_change(void **state)
{
    static const char *const other[] = {"new", "c", "a"};
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0; i < 10; i++) {
        for (uint16_t c = 0; c < 3; c++) {
            fixture_leave(j, c, 100 * c + i, 50);
        }
    }
    kf_journal_close(j);
    fixture_t changed = *f;
    changed.config.connections = other;
    j = fixture_open(&changed);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(kf_journal_adopt(j), 0);
    assert_int_equal(fixture_logged("KF0605"), 1);
    assert_int_equal(backlog(j, 0), 0);
    assert_int_equal(fetch_in_order(j, 1, 200), 10);
    assert_int_equal(fetch_in_order(j, 2, 0), 10);
    kf_journal_close(j);
    /* Configured again: still there. */
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fixture_logged("KF0605"), 0);
    assert_int_equal(fetch_in_order(j, 1, 100), 10);
    kf_journal_close(j);
}

static void test_segments_are_read_oldest_first(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *first = fixture_open(f), *second = fixture_open(f), *third = fixture_open(f);

    for (uint64_t i = 0; i < 200; i++) {
        fixture_leave(first, 0, i, 1000);
    }
    for (uint64_t i = 200; i < 400; i++) {
        fixture_leave(second, 0, i, 1000);
    }
    kf_journal_close(second);
    assert_true(kf_journal_adopt(third) > 2);
    kf_journal_close(first);
    assert_true(kf_journal_adopt(third) > 2);
    assert_int_equal(fetch_in_order(third, 0, 0), 400);
    kf_journal_close(third);
}

/* ---- children that die ---- */

/* Appends for ever; each number that was taken goes into the pipe. */
static void run_child(const fixture_t *f, int to)
{
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0;; i++) {
        if (fixture_append(j, 0, i, (uint32_t)(i % 3000)) == 0 ||
            write(to, &i, sizeof(i)) != sizeof(i)) {
            _exit(1);
        }
    }
}

static pid_t start_child(const fixture_t *f, int *from)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        run_child(f, ends[1]);
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

static void kill_child(pid_t child)
{
    int status;

    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_adopts_from_killed_child(void **state)
{
    fixture_t *f = *state;
    uint64_t number, taken = 0;
    int from;
    pid_t child = start_child(f, &from);
    kf_journal_t *j = fixture_open(f);

    while (taken < 300 && read(from, &number, sizeof(number)) == sizeof(number)) {
        taken = number + 1;
    }
    /* Locked by a living owner. */
    assert_int_equal(kf_journal_adopt(j), 0);
    kill_child(child);
    while (read(from, &number, sizeof(number)) == sizeof(number)) {
        taken = number + 1;
    }
    close(from);
    assert_true(kf_usage_of(f->usage, 0) > 0);
    assert_true(kf_journal_adopt(j) > 0);
    kf_backlog_t b;
    kf_journal_backlog(j, 0, &b);
    assert_int_equal(kf_usage_of(f->usage, 0), b.bytes);
    assert_int_equal(kf_usage_total(f->usage), fault_folder_bytes(f->folder));
    assert_true(b.records >= taken);
    assert_int_equal(fetch_in_order(j, 0, 0), b.records);
    assert_int_equal(fixture_logged("KF0603"), 0);
    kf_journal_close(j);
}

typedef struct {
    kf_journal_t *journal;
    kf_record_list_t found;
} adopter_t;

static void *adopt(void *context)
{
    adopter_t *a = context;

    for (int i = 0; i < 20; i++) {
        kf_journal_adopt(a->journal);
        for (uint16_t c = 0; c < FIXTURE_CONNECTIONS; c++) {
            kf_journal_fetch(a->journal, c, ALL, UINT64_MAX, &a->found);
        }
    }
    return NULL;
}

static void test_adopters_race(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    adopter_t adopters[4];
    pthread_t threads[4];
    bool seen[600] = {false};

    for (uint64_t i = 0; i < 600; i++) {
        fixture_leave(j, (uint16_t)(i % 3), i, 1000);
    }
    kf_journal_close(j);
    /* Two journals, two threads each. */
    kf_journal_t *both[2] = {fixture_open(f), fixture_open(f)};
    for (int i = 0; i < 4; i++) {
        adopters[i] = (adopter_t){both[i % 2], {0}};
        assert_int_equal(pthread_create(&threads[i], NULL, adopt, &adopters[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        for (const kf_record_t *r = adopters[i].found.first; r; r = r->next) {
            assert_false(seen[fixture_number(r)]);
            seen[fixture_number(r)] = true;
        }
        fixture_done(both[i % 2], &adopters[i].found);
    }
    for (int i = 0; i < 600; i++) {
        assert_true(seen[i]);
    }
    kf_journal_close(both[0]);
    kf_journal_close(both[1]);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

static void test_never_adopts_its_own(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f), *other = fixture_open(f);

    for (uint64_t i = 0; i < 300; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    kf_journal_prepare(j);
    assert_int_equal(kf_journal_adopt(j), 0);
    assert_int_equal(kf_journal_adopt(other), 0);
    assert_int_equal(fetch_in_order(j, 0, 0), 300);
    kf_journal_close(j);
    kf_journal_close(other);
}

static void test_left_overs_are_removed(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    put_file(f, "0000000000000001-00000001.new", "KFJS", 4);
    put_file(f, "0000000000000001-00000002.out", "note", 4);
    put_file(f, "0000000000000001-00000003.seg", "", 0);
    put_file(f, "mine.new", "x", 1);
    put_file(f, "mine.out", "x", 1);
    kf_journal_adopt(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 2);
    assert_int_equal(fault_folder_count(f->folder, "mine.new"), 1);
    assert_int_equal(fault_folder_count(f->folder, "mine.out"), 1);
    assert_int_equal(kf_usage_total(f->usage), fault_folder_bytes(f->folder));
    assert_int_equal(fixture_logged("KF0606"), 0);
    kf_journal_close(j);
}

static void test_foreign_files_are_left_alone(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    char path[400];
    char head[64] = "KFJS\2";

    put_file(f, "notes.seg", "hello", 5);
    put_file(f, "0000000000000001-00000001.seg", head, sizeof(head)); /* of a newer version */
    put_file(f, "0000000000000001-00000002-a-name-that-is-much-too-long-for-one.seg", "x", 1);
    snprintf(path, sizeof(path), "%s/0000000000000001-00000009.seg", f->folder);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kf_journal_adopt(j), 0);
    }
    assert_int_equal(fixture_logged("KF0606"), 4);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 4);
    put_file(f, "notes.seg", "hello again", 11);
    assert_int_equal(kf_journal_adopt(j), 0);
    assert_int_equal(fixture_logged("KF0606"), 1);
    /* Replaced by what it should be. */
    assert_true(kf_journal_leaves_alone(j));
    assert_int_equal(unlink(path), 0);
    fixture_leave(j, 0, 1, 1);
    kf_journal_close(j);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fetch_in_order(j, 0, 1), 1);
    kf_journal_close(j);
}

static void test_open_files_are_bounded(void **state)
{
    fixture_t *f = *state;
    struct rlimit before, few;

    f->config.segment_bytes = 1024;
    kf_journal_t *j = fixture_open(f);
    for (uint64_t i = 0; i < 100; i++) {
        fixture_leave(j, 0, i, 2000);
    }
    kf_journal_close(j);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 120;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    j = fixture_open(f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(kf_journal_adopt(j), 30);
    assert_int_equal(kf_journal_adopt(j), 0);
    uint32_t delivered = 0;
    for (int i = 0; i < 4; i++) {
        delivered += deliver_all(j, 0);
        kf_journal_adopt(j);
    }
    assert_int_equal(delivered, 100);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

/* ---- damage ---- */

static void test_torn_outcomes(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    char path[400];

    for (uint64_t i = 0; i < 20; i++) {
        fixture_leave(j, 0, i, 10);
    }
    kf_record_list_t list = {0};
    kf_journal_fetch(j, 0, 5, UINT64_MAX, &list);
    fixture_done(j, &list);
    kf_journal_fetch(j, 0, 5, UINT64_MAX, &list);
    fixture_done(j, &list);
    kf_journal_close(j);
    only_file(f, ".out", path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 3), 0);
    /* The second note is lost; later notes must count all the same. */
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(backlog(j, 0), 15);
    kf_journal_fetch(j, 0, 7, UINT64_MAX, &list);
    fixture_done(j, &list);
    kf_journal_close(j);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fetch_in_order(j, 0, 12), 8);
    kf_journal_close(j);
}

/* Twenty records, of which two notes of five say that they are done. @param path  of the notes */
static void leave_noted(fixture_t *f, char *path)
{
    kf_journal_t *j = fixture_open(f);
    kf_record_list_t list = {0};

    for (uint64_t i = 0; i < 20; i++) {
        fixture_leave(j, 0, i, 10);
    }
    for (int i = 0; i < 2; i++) {
        kf_journal_fetch(j, 0, 5, UINT64_MAX, &list);
        fixture_done(j, &list);
    }
    kf_journal_close(j);
    only_file(f, ".out", path);
}

static void test_damaged_outcomes_are_kept(void **state)
{
    fixture_t *f = *state;
    char path[400];

    leave_noted(f, path);
    flip(path, 28 + 8); /* an ordinal of the second note */
    kf_journal_t *j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fixture_logged("KF0603"), 1);
    assert_int_equal(fault_folder_count(f->folder, ".out"), 0);
    assert_int_equal(fetch_in_order(j, 0, 5), 15);
    assert_int_equal(deliver_all(j, 0), 0);
    kf_journal_close(j);
    /* Nobody noted anything: all of it goes again. */
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(deliver_all(j, 0), 20);
    kf_journal_adopt(j);
    assert_int_equal(fixture_logged("KF0603"), 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 1);
    only_file(f, ".out.damaged", path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 2 * 28);
}

/* What a crash leaves of notes is no damage, nor what it leaves behind a shorter one. */
static void test_outcomes_that_a_crash_cut_are_no_damage(void **state)
{
    fixture_t *f = *state;
    char path[400];

    leave_noted(f, path);
    assert_int_equal(truncate(path, 28 + 20), 0);
    kf_journal_t *j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    kf_record_list_t list = {0};
    kf_journal_fetch(j, 0, 1, UINT64_MAX, &list);
    fixture_done(j, &list);
    kf_journal_close(j);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 28 + 12);
    assert_int_equal(truncate(path, 4096), 0); /* room of which nothing was written */
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fixture_logged("KF0603"), 0);
    assert_int_equal(deliver_all(j, 0), 14);
    kf_journal_close(j);
}

static void test_outcomes_that_cannot_be_opened_hold_up_their_segment(void **state)
{
    fixture_t *f = *state;
    char path[400];

    leave_noted(f, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    kf_journal_t *j = fixture_open(f);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kf_journal_adopt(j), 0);
        assert_true(kf_journal_leaves_alone(j));
    }
    assert_int_equal(fixture_logged("KF0606"), 1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_false(kf_journal_leaves_alone(j));
    assert_int_equal(deliver_all(j, 0), 20);
    assert_int_equal(fixture_logged("KF0606"), 0);
    kf_journal_close(j);
}

static void test_damage_found_at_start(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    char path[400];

    for (uint64_t i = 0; i < 40; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    kf_journal_close(j);
    only_file(f, ".seg", path);
    flip(path, 20 * 1000);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fixture_logged("KF0603"), 1);
    assert_int_equal(backlog(j, 0), 39);
    assert_int_equal(deliver_all(j, 0), 39);
    kf_journal_adopt(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 1);
    only_file(f, ".damaged", path);
    kf_journal_close(j);
    j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 0);
    kf_journal_close(j);
}

static void test_damage_found_while_reading(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    char path[400];

    for (uint64_t i = 0; i < 40; i++) {
        fixture_leave(j, (uint16_t)(i % 2), i, 1000);
    }
    only_file(f, ".seg", path);
    flip(path, 20 * 1000);
    uint32_t delivered = deliver_all(j, 0) + deliver_all(j, 1);
    assert_int_equal(delivered, 39);
    assert_int_equal(fixture_logged("KF0603"), 1);
    assert_int_equal(backlog(j, 0) + backlog(j, 1), 0);
    kf_backlog_t b;
    kf_journal_backlog(j, 1, &b);
    assert_int_equal(b.bytes, 0);
    assert_int_equal(kf_usage_of(f->usage, 0) + kf_usage_of(f->usage, 1), 0);
    kf_journal_close(j);
    only_file(f, ".damaged", path);
}

static void test_file_that_shrinks(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    char path[400];

    for (uint64_t i = 0; i < 40; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    only_file(f, ".seg", path);
    assert_int_equal(truncate(path, 20 * 1000), 0);
    assert_in_range(deliver_all(j, 0), 18, 19);
    assert_int_equal(backlog(j, 0), 0);
    kf_journal_close(j);
}

/* ---- failing disks ---- */

typedef struct {
    fault_op_t op;
    int error;
    kf_journal_result_t result;
} failure_t;

static const failure_t failures[] = {
    {FAULT_CREATE, EROFS, KF_JOURNAL_FAILED},    {FAULT_CREATE, ENOSPC, KF_JOURNAL_FULL},
    {FAULT_WRITE, ENOSPC, KF_JOURNAL_FULL},      {FAULT_WRITE, EDQUOT, KF_JOURNAL_FULL},
    {FAULT_WRITE, EFBIG, KF_JOURNAL_FULL},       {FAULT_WRITE, EIO, KF_JOURNAL_FAILED},
    {FAULT_SYNC, EIO, KF_JOURNAL_FAILED},        {FAULT_SYNC, ENOSPC, KF_JOURNAL_FULL},
    {FAULT_SYNC_FOLDER, EIO, KF_JOURNAL_FAILED}, {FAULT_RENAME, EIO, KF_JOURNAL_FAILED},
    {FAULT_RENAME, ENOSPC, KF_JOURNAL_FULL},
};

/* One operation fails `skip` calls on, `count` times: what was not taken is never served, all else is. */
static void fail_once(fixture_t *f, const failure_t *failure, unsigned skip, unsigned count)
{
    kf_journal_t *j = fixture_open(f);
    bool taken[12] = {false};
    unsigned failed = 0, recovered = 0;

    fault_fail(failure->op, skip, count, failure->error);
    for (uint64_t i = 0; i < 12; i++) {
        kf_record_list_t list = some(0, i, 2, 4000);
        kf_journal_result_t rc = kf_journal_append(j, &list);
        taken[i] = rc == KF_JOURNAL_OK;
        failed += !taken[i] && (i == 0 || taken[i - 1]);
        recovered += taken[i] && i > 0 && !taken[i - 1];
        if (!taken[i]) {
            assert_int_equal(rc, failure->result);
            assert_int_equal(list.count, 2);
        }
        kf_record_list_clear(&list);
        fixture_pass(200 * KF_MS);
    }
    fault_clear();
    assert_int_equal(fixture_logged("KF0601"), failed);
    assert_int_equal(fixture_logged("KF0602"), recovered);
    kf_journal_close(j);
    j = fixture_open(f);
    kf_journal_adopt(j);
    kf_record_list_t found = {0};
    kf_journal_fetch(j, 0, ALL, UINT64_MAX, &found);
    uint32_t expected = 0;
    for (uint64_t i = 0; i < 12; i++) {
        expected += taken[i] ? 2 : 0;
    }
    assert_int_equal(found.count, expected);
    for (const kf_record_t *r = found.first; r; r = r->next->next) {
        assert_true(taken[fixture_number(r)]);
        assert_int_equal(fixture_number(r->next), fixture_number(r) + 1);
    }
    fixture_done(j, &found);
    assert_int_equal(kf_usage_of(f->usage, 0), 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
    assert_int_equal(fixture_logged("KF0603"), 0);
}

static void test_failures(void **state)
{
    fixture_t *f = *state;

    f->config.files = &fault_files;
    f->config.durability = KF_DURABILITY_DISK;
    f->config.segment_bytes = 40000;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        for (unsigned skip = 0; skip < 12; skip++) {
            fail_once(f, &failures[i], skip, 1);
            fail_once(f, &failures[i], skip, 3);
        }
    }
}

static void test_refuses_without_asking_a_full_disk_each_time(void **state)
{
    fixture_t *f = *state;

    f->config.files = &fault_files;
    kf_journal_t *j = fixture_open(f);
    fault_fail(FAULT_WRITE, 0, 1000000, ENOSPC);
    unsigned before = fault_calls(FAULT_CREATE);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fixture_append(j, 0, 1, 1), 0);
    }
    assert_int_equal(fault_calls(FAULT_CREATE), before + 1);
    fixture_pass(200 * KF_MS);
    assert_int_equal(fixture_append(j, 0, 1, 1), 0);
    assert_int_equal(fault_calls(FAULT_CREATE), before + 2);
    fault_clear();
    fixture_pass(200 * KF_MS);
    assert_int_not_equal(fixture_append(j, 0, 1, 1), 0);
    assert_int_equal(fixture_logged("KF0601"), 1);
    kf_journal_close(j);
}

static void test_notes_fail(void **state)
{
    fixture_t *f = *state;

    f->config.files = &fault_files;
    kf_journal_t *j = fixture_open(f);
    for (uint64_t i = 0; i < 40; i++) {
        fixture_leave(j, 0, i, 10);
    }
    kf_record_list_t list = {0};
    kf_journal_fetch(j, 0, 10, UINT64_MAX, &list);
    fixture_done(j, &list);
    for (int i = 0; i < 2; i++) {
        fault_fail(FAULT_WRITE, 0, 1, ENOSPC);
        kf_journal_fetch(j, 0, 7 - (uint32_t)i, UINT64_MAX, &list);
        fixture_done(j, &list);
    }
    assert_int_equal(fixture_logged("KF0607"), 1);
    assert_int_equal(fixture_logged("KF0601"), 0);
    kf_journal_fetch(j, 0, 5, UINT64_MAX, &list);
    fixture_done(j, &list);
    kf_journal_close(j);
    /* What could not be noted is repeated, what was noted before and after is not. */
    j = fixture_open(f);
    kf_journal_adopt(j);
    kf_journal_fetch(j, 0, ALL, UINT64_MAX, &list);
    assert_int_equal(list.count, 7 + 6 + 12);
    assert_int_equal(fixture_number(list.first), 10);
    assert_int_equal(fixture_number(list.last), 39);
    fixture_done(j, &list);
    kf_journal_close(j);
}

/* From now on this process can't read its segment, which stays what it is. */
static void stop_reading(const char *folder)
{
    char name[64], path[1024];
    bool found = false;

    for (int fd = 3; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        if (strncmp(path, folder, strlen(folder)) == 0 && strstr(path, ".seg")) {
            int deaf = open(path, O_WRONLY | O_CLOEXEC);
            assert_int_equal(dup2(deaf, fd), fd);
            close(deaf);
            found = true;
        }
    }
    assert_true(found);
}

static void test_what_cannot_be_read_is_left_for_the_next_start(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);

    for (uint64_t i = 0; i < 3; i++) {
        fixture_leave(j, 0, i, 100);
    }
    stop_reading(f->folder);
    assert_int_equal(fetch_in_order(j, 0, 0), 0);
    assert_int_equal(fixture_logged("KF0608"), 3);
    assert_int_equal(fixture_logged("KF0603"), 0);
    assert_int_equal(backlog(j, 0), 0);
    kf_journal_close(j);
    j = fixture_open(f);
    kf_journal_adopt(j);
    assert_int_equal(fetch_in_order(j, 0, 0), 3);
    kf_journal_close(j);
}

static void test_remove_fails(void **state)
{
    fixture_t *f = *state;

    f->config.files = &fault_files;
    kf_journal_t *j = fixture_open(f);
    for (uint64_t i = 0; i < 100; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    fault_fail(FAULT_REMOVE, 0, 1000, EROFS);
    assert_int_equal(deliver_all(j, 0), 100);
    assert_int_equal(fixture_logged("KF0609"), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kf_journal_adopt(j), 0);
        assert_int_equal(fetch_in_order(j, 0, 0), 0);
    }
    assert_int_equal(fixture_logged("KF0606"), 1);
    kf_journal_close(j);
    fault_clear();
    j = fixture_open(f);
    kf_journal_adopt(j);
    assert_int_equal(backlog(j, 0), 0);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

/* ---- usage ---- */

static void test_limit_and_shares(void **state)
{
    static const int64_t halves[FIXTURE_CONNECTIONS] = {10, 50, 100};
    fixture_t *f = *state;

    f->usage = kf_usage_init(f->usage, FIXTURE_CONNECTIONS, 16, 100000, halves);
    kf_journal_t *j = fixture_open(f);
    unsigned taken[3] = {0};
    for (uint64_t i = 0; i < 300; i++) {
        for (uint16_t c = 0; c < 3; c++) {
            taken[c] += fixture_append(j, c, 20, 992) != 0;
        }
    }
    assert_int_equal(taken[0], 10);
    assert_in_range(taken[1], 40, 50);
    assert_in_range(taken[1] + taken[2], 75, 90);
    assert_true(kf_usage_total(f->usage) <= 100000);
    kf_record_list_t both = some(1, 20, 1, 1);
    kf_record_list_add(&both, fixture_record(0, 20, 992));
    assert_int_equal(kf_journal_append(j, &both), KF_JOURNAL_FULL);
    kf_record_list_clear(&both);
    kf_journal_close(j);
    assert_int_equal(kf_usage_of(f->usage, 0), 0);
    kf_usage_set_index(f->usage, 0, 9000);
    kf_usage_set_files(f->usage, KF_USAGE_INDEX, 5);
    kf_usage_add_files(f->usage, KF_USAGE_INDEX, 2);
    assert_true(kf_usage_fits(f->usage, 0, 1000));
    assert_false(kf_usage_fits(f->usage, 0, 1001));
    assert_int_equal(kf_usage_total(f->usage), fault_folder_bytes(f->folder) + 7);
}

static void test_more_children_than_places(void **state)
{
    fixture_t *f = *state;
    int places[20];

    for (int i = 0; i < 20; i++) {
        places[i] = kf_usage_join(f->usage);
        kf_usage_add_records(f->usage, places[i], 1, 10);
    }
    assert_int_equal(places[16], places[19]);
    kf_usage_settle(f->usage);
    assert_int_equal(kf_usage_of(f->usage, 1), 200);
    for (int i = 0; i < 16; i++) {
        kf_usage_leave(f->usage, places[i]);
    }
    kf_usage_settle(f->usage);
    assert_int_equal(kf_usage_of(f->usage, 1), 40);
    assert_int_equal(kf_usage_join(f->usage), 0);
    kf_usage_leave(f->usage, 0);
}

static void test_memory_of_a_record(void **state)
{
    fixture_t *f = *state;

    f->config.segment_bytes = 1 << 20;
    kf_journal_t *j = fixture_open(f);
    for (uint64_t i = 0; i < 60000; i++) {
        fixture_leave(j, 0, i, 20);
    }
    kf_journal_close(j);
    j = fixture_open(f);
    struct mallinfo2 before = mallinfo2();
    assert_int_equal(kf_journal_adopt(j), fault_folder_count(f->folder, ".seg"));
    struct mallinfo2 after = mallinfo2();
    /* Sanitizers count nothing here. */
    assert_true(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd <
                60000 * 15 + 20000);
    assert_int_equal(backlog(j, 0), 60000);
    kf_journal_close(j);
}

/* ---- compaction ---- */

/* Every fiftieth record stays. @return how many */
static uint32_t leave_few(kf_journal_t *j, uint64_t count)
{
    kf_record_list_t list = {0}, done = {0};
    uint32_t left = 0;

    for (uint64_t i = 0; i < count; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    kf_journal_fetch(j, 0, ALL, UINT64_MAX, &list);
    for (kf_record_t *r = kf_record_list_take(&list); r; r = kf_record_list_take(&list)) {
        if (fixture_number(r) % 50 == 0) {
            kf_journal_release(j, r);
            kf_record_free(r);
            left++;
        } else {
            kf_record_list_add(&done, r);
        }
    }
    fixture_done(j, &done);
    return left;
}

static void expect_few(kf_journal_t *j, uint32_t left)
{
    kf_record_list_t list = {0};
    uint64_t expected = 0;

    assert_int_equal(kf_journal_fetch(j, 0, ALL, UINT64_MAX, &list), left);
    for (const kf_record_t *r = list.first; r; r = r->next, expected += 50) {
        assert_int_equal(fixture_number(r), expected);
    }
    fixture_done(j, &list);
}

static void test_compaction(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    uint32_t left = leave_few(j, 1000);
    unsigned files = fault_folder_count(f->folder, ".seg");
    uint64_t used = kf_usage_of(f->usage, 0);
    kf_backlog_t before, after;

    assert_true(files > 12);
    kf_journal_backlog(j, 0, &before);
    assert_true(kf_journal_compact(j) > 10);
    assert_int_equal(kf_journal_compact(j), 0);
    assert_in_range(fault_folder_count(f->folder, ".seg"), 1, 3);
    assert_true(fault_folder_bytes(f->folder) < 128 * 1024);
    assert_int_equal(kf_usage_of(f->usage, 0), used);
    kf_journal_adopt(j);
    assert_int_equal(kf_usage_total(f->usage), fault_folder_bytes(f->folder));
    kf_journal_backlog(j, 0, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    /* New ones come after the copies. */
    fixture_leave(j, 0, 1000, 1);
    expect_few(j, left + 1);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

static void test_compaction_survives(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    uint32_t left = leave_few(j, 1000);

    kf_journal_compact(j);
    kf_journal_close(j);
    j = fixture_open(f);
    kf_journal_adopt(j);
    expect_few(j, left);
    kf_journal_close(j);
}

static void test_compaction_leaves_what_is_in_memory(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    kf_record_list_t list = {0};
    uint32_t left = leave_few(j, 1000);

    assert_int_equal(kf_journal_fetch(j, 0, 5, UINT64_MAX, &list), 5);
    unsigned files = fault_folder_count(f->folder, ".seg");
    int removed = kf_journal_compact(j);
    assert_true(removed > 0);
    assert_true(fault_folder_count(f->folder, ".seg") >= 2);
    assert_true(fault_folder_count(f->folder, ".seg") < files);
    for (const kf_record_t *r = list.first; r; r = r->next) {
        kf_journal_release(j, r);
    }
    kf_record_list_clear(&list);
    expect_few(j, left);
    kf_journal_close(j);
}

static void test_compaction_leaves_aside_what_is_aside(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    uint32_t left = leave_few(j, 1000);

    set_aside(j, left / 2);
    kf_backlog_t before = backlog_of(j);
    assert_true(kf_journal_compact(j) > 10);
    kf_backlog_t after = backlog_of(j);
    assert_int_equal(after.records, before.records);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.aside, left / 2);
    kf_journal_recall(j);
    expect_few(j, left);
    kf_journal_close(j);
}

static void test_compaction_fails(void **state)
{
    fixture_t *f = *state;

    f->config.files = &fault_files;
    kf_journal_t *j = fixture_open(f);
    uint32_t left = leave_few(j, 1000);
    unsigned files = fault_folder_count(f->folder, ".seg");
    for (fault_op_t op = FAULT_CREATE; op <= FAULT_RENAME; op++) {
        fault_fail(op, op == FAULT_WRITE, 1, ENOSPC);
        assert_int_equal(kf_journal_compact(j), -1);
        fault_clear();
        assert_int_equal(fault_folder_count(f->folder, ".seg"), files);
        assert_int_equal(fault_folder_count(f->folder, ".new"), 0);
    }
    assert_true(kf_journal_compact(j) > 0);
    expect_few(j, left);
    kf_journal_close(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
}

static void test_compaction_of_damage(void **state)
{
    fixture_t *f = *state;
    kf_journal_t *j = fixture_open(f);
    char command[512];

    uint32_t left = leave_few(j, 1000);
    /* The first byte of the first record, which waits. */
    snprintf(command, sizeof(command), "ls %s/*.seg | head -n 1", f->folder);
    FILE *p = popen(command, "r");
    char path[400] = "";
    assert_non_null(p);
    assert_non_null(fgets(path, sizeof(path), p));
    pclose(p);
    path[strcspn(path, "\n")] = 0;
    flip(path, 200);
    assert_int_equal(kf_journal_compact(j), -1);
    assert_true(kf_journal_compact(j) > 0);
    kf_record_list_t list = {0};
    assert_int_equal(kf_journal_fetch(j, 0, ALL, UINT64_MAX, &list), left - 1);
    assert_int_equal(fixture_logged("KF0603"), 1);
    fixture_done(j, &list);
    kf_journal_close(j);
}

static void test_small_segments_are_joined(void **state)
{
    fixture_t *f = *state;

    for (uint64_t i = 0; i < 20; i++) {
        kf_journal_t *j = fixture_open(f);
        fixture_leave(j, (uint16_t)(i % 3), i, 100);
        kf_journal_close(j);
    }
    kf_journal_t *j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 20);
    assert_int_equal(kf_journal_compact(j), 20);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 1);
    assert_int_equal(deliver_all(j, 0) + deliver_all(j, 1) + deliver_all(j, 2), 20);
    kf_journal_close(j);
}

/* ---- many segments, the spare one ---- */

static void test_many_segments(void **state)
{
    fixture_t *f = *state;

    f->config.segment_bytes = 512;
    kf_journal_t *j = fixture_open(f);
    for (uint64_t i = 0; i < 1500; i++) {
        fixture_leave(j, i == 1400 ? 1 : 0, i, 600);
    }
    assert_int_equal(backlog(j, 1), 1);
    assert_int_equal(fetch_in_order(j, 1, 1400), 1);
    uint32_t n = 0;
    kf_record_list_t list = {0};
    while (kf_journal_fetch(j, 0, 7, UINT64_MAX, &list) > 0) {
        n += list.count;
        fixture_done(j, &list);
    }
    assert_int_equal(n, 1499);
    kf_journal_close(j);
}

static void test_spare_segment(void **state)
{
    fixture_t *f = *state;

    f->config.files = &fault_files;
    kf_journal_t *j = fixture_open(f);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ""), 0);
    for (uint64_t i = 0; i < 40; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    kf_journal_prepare(j);
    kf_journal_prepare(j);
    assert_int_equal(fault_folder_count(f->folder, ".seg"), 2);
    unsigned created = fault_calls(FAULT_CREATE);
    for (uint64_t i = 40; i < 100; i++) {
        fixture_leave(j, 0, i, 1000);
    }
    assert_int_equal(fault_calls(FAULT_CREATE), created);
    kf_journal_prepare(j);
    kf_journal_close(j);
    j = fixture_open(f);
    kf_journal_adopt(j);
    assert_int_equal(fetch_in_order(j, 0, 0), 100);
    kf_journal_close(j);
}

static void test_cannot_open(void **state)
{
    fixture_t *f = *state;
    const char *error = NULL;

    kf_journal_config_t config = f->config;
    config.directory = "/does/not/exist";
    assert_null(kf_journal_open(&config, &error));
    assert_non_null(error);
    config = f->config;
    config.connection_count = KF_SEGMENT_CONNECTIONS_MAX + 1;
    error = NULL;
    assert_null(kf_journal_open(&config, &error));
    assert_non_null(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_comes_back_in_order),
        TEST(test_what_is_in_memory_is_not_fetched),
        TEST(test_what_is_set_aside_is_passed_over_until_it_is_recalled),
        TEST(test_what_is_set_aside_is_anothers_to_fetch_after_the_end),
        TEST(test_bounds_of_fetch),
        TEST(test_fetch_for_several_at_once),
        TEST(test_backlog),
        TEST(test_done_removes_files),
        TEST(test_done_of_several_segments_in_any_order),
        TEST(test_frame_of_all_sizes),
        TEST(test_survives_close),
        TEST(test_connections_change),
        TEST(test_segments_are_read_oldest_first),
        TEST(test_adopts_from_killed_child),
        TEST(test_adopters_race),
        TEST(test_never_adopts_its_own),
        TEST(test_left_overs_are_removed),
        TEST(test_foreign_files_are_left_alone),
        TEST(test_open_files_are_bounded),
        TEST(test_torn_outcomes),
        TEST(test_damaged_outcomes_are_kept),
        TEST(test_outcomes_that_a_crash_cut_are_no_damage),
        TEST(test_outcomes_that_cannot_be_opened_hold_up_their_segment),
        TEST(test_damage_found_at_start),
        TEST(test_damage_found_while_reading),
        TEST(test_file_that_shrinks),
        TEST(test_failures),
        TEST(test_refuses_without_asking_a_full_disk_each_time),
        TEST(test_notes_fail),
        TEST(test_what_cannot_be_read_is_left_for_the_next_start),
        TEST(test_remove_fails),
        TEST(test_limit_and_shares),
        TEST(test_more_children_than_places),
        TEST(test_memory_of_a_record),
        TEST(test_compaction),
        TEST(test_compaction_survives),
        TEST(test_compaction_leaves_what_is_in_memory),
        TEST(test_compaction_leaves_aside_what_is_aside),
        TEST(test_compaction_fails),
        TEST(test_compaction_of_damage),
        TEST(test_small_segments_are_joined),
        TEST(test_many_segments),
        TEST(test_spare_segment),
        TEST(test_cannot_open),
    };

    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
