/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments on a disk that refuses to read: what stands around the place comes back, and nothing is thrown away.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORDS 40
#define RECORD_BYTES 1000
#define PAGE 4096

/* ---- the disk ---- */

static struct {
    const char *suffix; /* of the files that it is about; NULL: all is well */
    off_t from, to;     /* what can't be read, */
    int error;          /* and what is said then */
    size_t most;        /* bytes that one call reads; 0: all */
} bad;

ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);

static bool is_bad_file(int fd)
{
    char link[40], path[400];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (!bad.suffix || n < (ssize_t)strlen(bad.suffix))
        return false;
    path[n] = '\0';
    return strcmp(path + n - strlen(bad.suffix), bad.suffix) == 0;
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    if (!is_bad_file(fd))
        return __real_pread(fd, p, n, at);
    if (at < bad.to && at + (off_t)n > bad.from) {
        if (at >= bad.from) {
            errno = bad.error;
            return -1;
        }
        n = (size_t)(bad.from - at);
    }
    return __real_pread(fd, p, bad.most && n > bad.most ? bad.most : n, at);
}

/* ---- journals on it ---- */

static int set_up(void **state)
{
    memset(&bad, 0, sizeof bad);
    *state = calloc(1, sizeof(fixture_t));
    fixture_make(*state);
    fixture_logged("KF0603");
    fixture_logged("KF0606");
    return 0;
}

static int tear_down(void **state)
{
    memset(&bad, 0, sizeof bad);
    fixture_remove(*state);
    free(*state);
    return 0;
}

/* Records of a dead child, each a frame; the first ten are noted as done. */
static void leave(const fixture_t *f)
{
    kf_journal_t *j = fixture_open(f);
    kf_record_list_t list = {0};

    for (uint64_t i = 0; i < RECORDS; i++)
        fixture_leave(j, 0, i, RECORD_BYTES);
    kf_journal_fetch(j, 0, 10, UINT64_MAX, &list);
    fixture_done(j, &list);
    kf_journal_close(j);
}

static void find(const fixture_t *f, const char *suffix, char path[600])
{
    DIR *list = opendir(f->folder);

    path[0] = '\0';
    for (struct dirent *e = readdir(list); e; e = readdir(list))
        if (strstr(e->d_name, suffix))
            snprintf(path, 600, "%s/%s", f->folder, e->d_name);
    closedir(list);
    assert_true(path[0]);
}

static off_t size_of(const fixture_t *f, const char *suffix)
{
    char path[600];
    struct stat info;

    find(f, suffix, path);
    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

/* Which records come back, each once. @return how many */
static unsigned fetch_all(kf_journal_t *j, bool *came)
{
    kf_record_list_t list = {0};
    unsigned n = 0;

    memset(came, 0, RECORDS * sizeof *came);
    kf_journal_fetch(j, 0, UINT32_MAX, UINT64_MAX, &list);
    for (const kf_record_t *r = list.first; r; r = r->next, n++) {
        uint64_t number = fixture_number(r);
        assert_true(number < RECORDS && !came[number]);
        came[number] = true;
    }
    kf_record_list_clear(&list);
    return n;
}

/* A place of the medium that can't be read costs the frames that touch it, whatever the file system calls it. */
static void test_a_page(void **state)
{
    static const int errors[] = {EIO, EUCLEAN, EBADMSG};
    fixture_t *f = *state;
    bool came[RECORDS];

    leave(f);
    off_t frame = size_of(f, ".seg") / RECORDS;
    for (int i = 0; i < 3; i++) {
        bad.suffix = ".seg";
        bad.from = 5 * PAGE + 100;
        bad.to = 6 * PAGE;
        bad.error = errors[i];
        kf_journal_t *j = fixture_open(f);
        assert_int_equal(kf_journal_adopt(j), 1);
        assert_int_equal(fixture_logged("KF0603"), 1);
        unsigned n = fetch_all(j, came);
        /* A page is read as a whole, and is in six frames at most. */
        assert_in_range(n, 30 - 6, 30 - 4);
        for (int k = 0; k < RECORDS; k++) {
            bool around = (k + 2) * frame < 5 * PAGE || (k - 1) * frame > 6 * PAGE;
            assert_true(came[k] == (k >= 10) || (!came[k] && !around));
        }
        kf_journal_close(j);
    }
    /* Nothing was thrown away: once it can be read all comes. */
    bad.suffix = NULL;
    kf_journal_t *j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fetch_all(j, came), 30);
    assert_int_equal(fixture_logged("KF0603"), 0);
    kf_journal_close(j);
}

/* What is no fault of the medium says nothing of the bytes: the file waits as it is. */
static void test_another_error(void **state)
{
    fixture_t *f = *state;
    char path[600];
    bool came[RECORDS];

    leave(f);
    off_t size = size_of(f, ".seg");
    const off_t places[] = {0, 3 * PAGE};
    for (int i = 0; i < 2; i++) {
        bad.suffix = ".seg";
        bad.from = places[i];
        bad.to = size;
        bad.error = ESTALE;
        kf_journal_t *j = fixture_open(f);
        assert_int_equal(kf_journal_adopt(j), 0);
        assert_int_equal(fixture_logged("KF0606"), 1);
        assert_true(kf_journal_leaves_alone(j));
        assert_int_equal(fetch_all(j, came), 0);
        assert_int_equal(size_of(f, ".seg"), size);
        /* It is looked at again when the file has changed. */
        bad.suffix = NULL;
        assert_int_equal(kf_journal_adopt(j), 0);
        find(f, ".seg", path);
        assert_int_equal(chmod(path, 0400 | (unsigned)(i + 1) << 7), 0);
        assert_int_equal(kf_journal_adopt(j), 1);
        assert_int_equal(fetch_all(j, came), 30);
        assert_false(kf_journal_leaves_alone(j));
        kf_journal_close(j);
    }
    assert_int_equal(fixture_logged("KF0603"), 0);
}

/* Without its head nothing in a segment can be told, but for a reader: it stays. */
static void test_the_head(void **state)
{
    fixture_t *f = *state;
    bool came[RECORDS];

    leave(f);
    off_t size = size_of(f, ".seg");
    bad.suffix = ".seg";
    bad.to = 1;
    bad.error = EIO;
    kf_journal_t *j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 0);
    assert_int_equal(fixture_logged("KF0606"), 1);
    assert_int_equal(fetch_all(j, came), 0);
    assert_int_equal(size_of(f, ".seg"), size);
    kf_journal_close(j);
}

/* Notes that can't be read cost repeats, never records. */
static void test_the_notes(void **state)
{
    fixture_t *f = *state;
    bool came[RECORDS];

    leave(f);
    off_t size = size_of(f, ".out");
    bad.suffix = ".out";
    bad.to = size;
    bad.error = EIO;
    kf_journal_t *j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fetch_all(j, came), RECORDS);
    kf_journal_close(j);
}

static void test_short_reads(void **state)
{
    fixture_t *f = *state;
    bool came[RECORDS];

    leave(f);
    bad.from = bad.to = -1;
    bad.most = 777;
    bad.suffix = ".seg";
    kf_journal_t *j = fixture_open(f);
    assert_int_equal(kf_journal_adopt(j), 1);
    assert_int_equal(fetch_all(j, came), 30);
    kf_journal_close(j);
    assert_int_equal(fixture_logged("KF0603") + fixture_logged("KF0606"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_notes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_reads, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("bad_disk", tests, NULL, NULL);
}
