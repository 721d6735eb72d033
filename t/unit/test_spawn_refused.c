/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that cannot be run are told of at once, and leave nothing behind. A program of its own, because
 * memcheck cannot run it: valgrind makes posix_spawn's child by a plain fork, whose failing exec the parent
 * does not see.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "base/kf_spawn.h"

static int error_of(const char *program)
{
    const char *const argv[] = {program, NULL};
    kf_spawn_config_t config = {.argv = argv, .limit_us = 60 * KF_SEC, .grace_us = KF_SEC};
    int error = 0;

    assert_null(kf_spawn_start(&config, &error));
    return error;
}

static void test_cannot_be_run(void **state)
{
    char path[] = "/tmp/kf-spawn-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(error_of(path), EACCES);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(error_of(path), ENOEXEC);
    unlink(path);
    assert_int_equal(error_of(path), ENOENT);
    assert_int_equal(error_of("/"), EACCES);
    assert_int_equal(error_of("no-such-program-here"), ENOENT);
    /* Nothing is left to be reaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cannot_be_run)};

    return cmocka_run_group_tests_name("spawn_refused", tests, NULL, NULL);
}
