/* SPDX-License-Identifier: Apache-2.0
 *
 * File operations of the store when the system interrupts them, does a part of what it is asked for, or fails; and
 * the try whether the store can be written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include "delivery/kf_file.h"
#include "delivery/kf_probe.h"
#include "temp_store.h"

/* ---- a system that misbehaves ---- */

/* The next calls of an operation: a count of bytes at most, or an error (negative). 0 ends the list. */
#define STEPS 8
#define NOTHING 9999 /* a call that succeeds without having done anything */
typedef enum { OPEN, PREAD, PWRITE, SYNC, CALLS } call_t;
static int steps[CALLS][STEPS + 1];
static unsigned done[CALLS];

int __real_open(const char *path, int flags, ...);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

static void plan(call_t call, int a, int b, int c)
{
    memset(steps, 0, sizeof steps);
    memset(done, 0, sizeof done);
    steps[call][0] = a;
    steps[call][1] = b;
    steps[call][2] = c;
}

/* @return what is planned for this call; 0: as ever */
static int next(call_t call)
{
    int step = done[call] < STEPS ? steps[call][done[call]] : 0;

    done[call]++;
    if (step < 0)
        errno = -step;
    return step;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    unsigned mode = va_arg(args, unsigned);
    va_end(args);
    return next(OPEN) < 0 ? -1 : __real_open(path, flags, mode);
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    int step = next(PREAD);

    return step < 0 ? -1 : __real_pread(fd, p, step && (size_t)step < n ? (size_t)step : n, at);
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    int step = next(PWRITE);

    if (step == NOTHING)
        return 0;
    return step < 0 ? -1 : __real_pwrite(fd, p, step && (size_t)step < n ? (size_t)step : n, at);
}

int __wrap_fdatasync(int fd)
{
    (void)fd;
    return next(SYNC) < 0 ? -1 : 0;
}

int __wrap_fsync(int fd)
{
    (void)fd;
    return next(SYNC) < 0 ? -1 : 0;
}

/* ---- reading and writing ---- */

static int folder, file;
static char *top;

static int set_up(void **state)
{
    (void)state;
    memset(steps, 0, sizeof steps);
    top = temp_make();
    folder = open(top, O_RDONLY | O_DIRECTORY);
    return folder >= 0 && kf_file_system.create(folder, "file", &file) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    memset(steps, 0, sizeof steps);
    close(file);
    close(folder);
    temp_done(top);
    return 0;
}

static void assert_holds(const char *text)
{
    char got[40];
    ssize_t n = __real_pread(file, got, sizeof got, 0);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, (size_t)n);
}

static void test_writes_all(void **state)
{
    (void)state;
    plan(PWRITE, 3, -EINTR, 1);
    assert_int_equal(kf_file_system.write_at(file, "0123456789", 10, 0), 0);
    assert_int_equal(done[PWRITE], 4);
    assert_holds("0123456789");
    assert_int_equal(kf_file_system.write_at(file, "", 0, 5), 0);
    plan(PWRITE, -EINTR, 1, 0);
    assert_int_equal(kf_file_system.write_at(file, "xyz", 3, 4), 0);
    assert_holds("0123xyz789");
}

/* What is written stays, and the reason is the system's. */
static void test_writes_a_part(void **state)
{
    (void)state;
    plan(PWRITE, 4, -EIO, 0);
    assert_int_equal(kf_file_system.write_at(file, "0123456789", 10, 0), EIO);
    assert_holds("0123");
    plan(PWRITE, 2, NOTHING, 0);
    assert_int_equal(kf_file_system.write_at(file, "abcdef", 6, 4), ENOSPC);
    assert_holds("0123ab");
}

static void test_reads_all(void **state)
{
    char got[20];

    (void)state;
    assert_int_equal(kf_file_system.write_at(file, "0123456789", 10, 0), 0);
    plan(PREAD, 3, -EINTR, 2);
    assert_int_equal(kf_file_read_at(file, got, 8, 1), 8);
    assert_memory_equal(got, "12345678", 8);
    assert_int_equal(done[PREAD], 4);
    /* Less at the file's end only. */
    plan(PREAD, 2, 0, 0);
    assert_int_equal(kf_file_read_at(file, got, sizeof got, 5), 5);
    assert_memory_equal(got, "56789", 5);
    assert_int_equal(kf_file_read_at(file, got, sizeof got, 10), 0);
    assert_int_equal(kf_file_read_at(file, got, sizeof got, 1000), 0);
    /* A part is none. */
    plan(PREAD, 3, -EIO, 0);
    assert_int_equal(kf_file_read_at(file, got, 8, 0), -1);
    assert_int_equal(errno, EIO);
}

static void test_syncs(void **state)
{
    (void)state;
    plan(SYNC, -EINTR, -EINTR, 0);
    assert_int_equal(kf_file_system.sync_data(file), 0);
    assert_int_equal(done[SYNC], 3);
    plan(SYNC, -EINTR, 0, 0);
    assert_int_equal(kf_file_system.sync_folder(folder), 0);
    assert_int_equal(done[SYNC], 2);
    /* A sync that failed is not tried again: it would succeed, and nothing would be there. */
    plan(SYNC, -EIO, 0, 0);
    assert_int_equal(kf_file_system.sync_data(file), EIO);
    assert_int_equal(done[SYNC], 1);
    plan(SYNC, -EINTR, -EDQUOT, 0);
    assert_int_equal(kf_file_system.sync_folder(folder), EDQUOT);
    assert_int_equal(done[SYNC], 2);
}

static void test_names(void **state)
{
    struct stat info;
    int fd = -7;

    (void)state;
    assert_int_equal(fstat(file, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(fcntl(file, F_GETFD), FD_CLOEXEC);
    assert_int_equal(kf_file_system.create(folder, "file", &fd), EEXIST);
    assert_int_equal(fd, -1);
    assert_int_equal(symlink("elsewhere", temp_in(top, "link")), 0);
    assert_int_equal(kf_file_system.create(folder, "link", &fd), EEXIST);
    assert_int_not_equal(access(temp_in(top, "elsewhere"), F_OK), 0);
    assert_int_equal(kf_file_system.rename(folder, "none", "other"), ENOENT);
    assert_int_equal(kf_file_system.rename(folder, "file", "other"), 0);
    assert_int_equal(access(temp_in(top, "other"), F_OK), 0);
    assert_int_equal(kf_file_system.remove(folder, "file"), ENOENT);
    assert_int_equal(kf_file_system.remove(folder, "other"), 0);
    assert_int_not_equal(access(temp_in(top, "other"), F_OK), 0);
}

static void test_full(void **state)
{
    (void)state;
    assert_true(kf_file_is_full(ENOSPC) && kf_file_is_full(EDQUOT) && kf_file_is_full(EFBIG));
    assert_false(kf_file_is_full(0) || kf_file_is_full(EIO) || kf_file_is_full(EROFS) ||
                 kf_file_is_full(ENOMEM));
}

/* ---- the try ---- */

static unsigned files_in(const char *path)
{
    DIR *list = opendir(path);
    unsigned n = 0;

    assert_non_null(list);
    while (readdir(list))
        n++;
    closedir(list);
    return n - 2;
}

static void test_probe(void **state)
{
    char *journal = strdup(temp_in(top, "journal")), *path = calloc(1, 5000);

    (void)state;
    assert_int_equal(kf_probe_store(top), ENOENT);
    assert_int_equal(mkdir(journal, 0700), 0);
    assert_int_equal(kf_probe_store(top), 0);
    assert_int_equal(files_in(journal), 0);
    /* A full disk, a failing one, one that took a part. */
    plan(PWRITE, -ENOSPC, 0, 0);
    assert_int_equal(kf_probe_store(top), ENOSPC);
    plan(PWRITE, -EIO, 0, 0);
    assert_int_equal(kf_probe_store(top), EIO);
    plan(PWRITE, 100, NOTHING, 0);
    assert_int_equal(kf_probe_store(top), ENOSPC);
    plan(PWRITE, 100, -EINTR, 200);
    assert_int_equal(kf_probe_store(top), 0);
    plan(OPEN, -EROFS, 0, 0);
    assert_int_equal(kf_probe_store(top), EROFS);
    assert_int_equal(files_in(journal), 0);
    /* Where there are no files without a name nothing is known: that is not a fault. */
    const int unknown[] = {EOPNOTSUPP, EISDIR, EINVAL};
    for (int i = 0; i < 3; i++) {
        plan(OPEN, -unknown[i], 0, 0);
        assert_int_equal(kf_probe_store(top), 0);
    }
    memset(path, 'x', 4999);
    path[0] = '/';
    assert_int_equal(kf_probe_store(path), ENAMETOOLONG);
    free(path);
    free(journal);
}

static void test_probe_as_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        /* cmocka's skip() counts as a failure in TAP. */
        print_message("# only root can become another user\n");
        return;
    }
    mkdir(temp_in(top, "journal"), 0755);
    chmod(top, 0755);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            _exit(9);
        _exit(kf_probe_store(top) == EACCES ? 0 : 1);
    }
    assert_int_equal(temp_wait(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writes_a_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reads_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_syncs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test(test_full),
        cmocka_unit_test_setup_teardown(test_probe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_probe_as_another_user, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
