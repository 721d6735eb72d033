/* SPDX-License-Identifier: Apache-2.0
 *
 * Running programs: what they get, what is kept of what they say, that they end in time with all they
 * started, and that this process notices nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "base/kf_spawn.h"
#include "patience.h"

static kf_spawn_config_t shell(const char *const *argv)
{
    return (kf_spawn_config_t){.argv = argv,
                               .output_max = 4000,
                               .error_max = 1000,
                               .limit_us = 60 * KF_SEC,
                               .grace_us = KF_SEC};
}

#define SHELL(name, text) \
    const char *const name##_argv[] = {"/bin/sh", "-c", text, NULL}; \
    kf_spawn_config_t name = shell(name##_argv)

static kf_spawn_t *run_to_end(const kf_spawn_config_t *config)
{
    int error = 0;
    kf_spawn_t *run = kf_spawn_start(config, &error);

    assert_non_null(run);
    assert_int_equal(error, 0);
    kf_spawn_wait(run);
    assert_true(kf_spawn_poll(run));
    return run;
}

static void test_output_and_status(void **state)
{
    SHELL(config, "echo out; echo err >&2; exit 3");
    kf_spawn_t *run = run_to_end(&config);
    const kf_spawn_result_t *result = kf_spawn_result(run);

    (void)state;
    assert_int_equal(result->end, KF_SPAWN_EXITED);
    assert_int_equal(result->status, 3);
    assert_string_equal(result->output.p, "out\n");
    assert_string_equal(result->error.p, "err\n");
    assert_false(result->output_cut);
    kf_spawn_free(run);
}

static void test_nothing_kept(void **state)
{
    SHELL(config, "test -c /dev/fd/1 && test -c /dev/fd/2 && test -c /dev/fd/0");
    config.output_max = config.error_max = 0;
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_EXITED);
    assert_int_equal(kf_spawn_result(run)->status, 0);
    assert_int_equal(kf_spawn_result(run)->output.n, 0);
    kf_spawn_free(run);
}

static void test_output_is_bounded(void **state)
{
    SHELL(config, "head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2");
    config.output_max = 1000;
    kf_spawn_t *run = run_to_end(&config);
    const kf_spawn_result_t *result = kf_spawn_result(run);

    (void)state;
    assert_int_equal(result->end, KF_SPAWN_EXITED);
    assert_int_equal(result->output.n, 1000);
    assert_int_equal(strspn(result->output.p, "x"), 1000);
    assert_true(result->output_cut);
    assert_string_equal(result->error.p, "done\n");
    kf_spawn_free(run);
}

/* As much as there is room for is not too much. */
static void test_output_that_just_fits(void **state)
{
    SHELL(config, "printf 12345");
    config.output_max = 5;
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_string_equal(kf_spawn_result(run)->output.p, "12345");
    assert_false(kf_spawn_result(run)->output_cut);
    kf_spawn_free(run);
}

static void test_large_input(void **state)
{
    enum { BYTES = 9000000 };
    SHELL(config, "wc -c");
    char *bytes = malloc(BYTES);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', BYTES);
    config.input = (kf_str_t){bytes, BYTES};
    kf_spawn_t *run = run_to_end(&config);
    assert_int_equal(strtol(kf_spawn_result(run)->output.p, NULL, 10), BYTES);
    kf_spawn_free(run);
    free(bytes);
}

/* Nor does it matter who does not read it. */
static void test_input_unread(void **state)
{
    SHELL(config, "exit 0");
    char *bytes = calloc(1, 1000000);

    (void)state;
    config.input = (kf_str_t){bytes, 1000000};
    kf_spawn_t *run = run_to_end(&config);
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_EXITED);
    assert_int_equal(kf_spawn_result(run)->status, 0);
    kf_spawn_free(run);
    free(bytes);
}

static void test_found_by_name(void **state)
{
    const char *const argv[] = {"sh", "-c", "echo \"$1\"", "sh", "a  b", NULL};
    kf_spawn_config_t config = shell(argv);
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_string_equal(kf_spawn_result(run)->output.p, "a  b\n");
    kf_spawn_free(run);
}

static void test_killed_by_another(void **state)
{
    SHELL(config, "kill -USR1 $$");
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_KILLED);
    assert_int_equal(kf_spawn_result(run)->status, SIGUSR1);
    kf_spawn_free(run);
}

/* ---- time ---- */

/* A zombie is gone too: whoever has to reap it is not of this test. */
static bool is_gone(long pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");

    if (!file)
        return true;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return !end || end[2] == 'Z' || end[2] == 'X';
}

static void wait_until_gone(long pid)
{
    int64_t deadline = kf_mono_us() + patient(20 * KF_SEC);

    assert_true(pid > 1);
    while (!is_gone(pid)) {
        assert_true(kf_mono_us() < deadline);
        usleep(5000);
    }
}

static void test_late_with_what_it_started(void **state)
{
    /* Neither it nor what it started ends when asked to. */
    SHELL(config, "trap '' TERM; sleep 600 & echo $!; echo $$; while :; do wait; done");
    config.limit_us = patient(KF_SEC);
    config.grace_us = 100 * KF_MS;
    int error = 0;
    kf_spawn_t *run = kf_spawn_start(&config, &error);
    char *end;

    (void)state;
    assert_non_null(run);
    assert_false(kf_spawn_poll(run));
    kf_spawn_wait(run);
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_LATE);
    long grandchild = strtol(kf_spawn_result(run)->output.p, &end, 10);
    long child = strtol(end, NULL, 10);
    wait_until_gone(grandchild);
    wait_until_gone(child);
    kf_spawn_free(run);
}

/* It ends when asked; a program of its group that does not is ended all the same. */
static void test_late_and_obedient(void **state)
{
    SHELL(config, "(trap '' TERM; exec sleep 600) & echo $!; trap 'exit 0' TERM; wait");
    config.limit_us = patient(KF_SEC);
    config.grace_us = 60 * KF_SEC;
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_LATE);
    wait_until_gone(strtol(kf_spawn_result(run)->output.p, NULL, 10));
    kf_spawn_free(run);
}

/* What it leaves behind by intent is let be, and not waited for, though it holds the output. */
static void test_leaves_something_behind(void **state)
{
    SHELL(config, "sleep 600 & echo $!");
    kf_spawn_t *run = run_to_end(&config);
    long left = strtol(kf_spawn_result(run)->output.p, NULL, 10);

    (void)state;
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_EXITED);
    assert_false(is_gone(left));
    kill((pid_t)left, SIGKILL);
    wait_until_gone(left);
    kf_spawn_free(run);
}

static void test_freed_while_it_runs(void **state)
{
    SHELL(config, "exec sleep 600");
    int error = 0;
    kf_spawn_t *run = kf_spawn_start(&config, &error);

    (void)state;
    assert_non_null(run);
    assert_false(kf_spawn_poll(run));
    kf_spawn_free(run);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* A program that never stops writing is no reason to stay in a look at it. */
static void test_endless_output(void **state)
{
    SHELL(config, "exec cat /dev/zero");
    /* Time for more than is kept, on a slow machine too. */
    config.output_max = 10;
    config.limit_us = patient(KF_SEC);
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_LATE);
    assert_true(kf_spawn_result(run)->output_cut);
    kf_spawn_free(run);
}

/* ---- what it inherits ---- */

static void test_no_descriptors(void **state)
{
    SHELL(config, "exec ls /proc/self/fd");
    int fds[40];

    (void)state;
    for (int i = 0; i < 40; i++)
        fds[i] = open("/dev/null", O_RDONLY);
    int far = fcntl(fds[0], F_DUPFD, 500);
    assert_true(far >= 500);
    config.input = (kf_str_t){"x", 1};
    kf_spawn_t *run = run_to_end(&config);
    /* The fourth is ls's own, of the folder. */
    assert_string_equal(kf_spawn_result(run)->output.p, "0\n1\n2\n3\n");
    kf_spawn_free(run);
    close(far);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
}

static void test_no_signals(void **state)
{
    SHELL(config, "exec grep -E '^Sig(Blk|Ign):' /proc/self/status");
    sigset_t all, before;

    (void)state;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
    void (*usr1_before)(int) = signal(SIGUSR1, SIG_IGN);
    kf_spawn_t *run = run_to_end(&config);
    const char *text = kf_spawn_result(run)->output.p;
    assert_memory_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t", 33);
    /* But for two that are glibc's own, numbers 32 and 33. */
    assert_int_equal(strtoull(text + 33, NULL, 16) & ~(UINT64_C(3) << 31), 0);
    kf_spawn_free(run);
    signal(SIGPIPE, pipe_before);
    signal(SIGUSR1, usr1_before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void test_environment(void **state)
{
    static const char *const more[] = {"AWS_PROFILE=other", "TZ=Asia/Tokyo", NULL};
    SHELL(config, "exec env");

    (void)state;
    setenv("AWS_SECRET_ACCESS_KEY", "hidden", 1);
    setenv("AWS_SESSION_TOKEN", "hidden", 1);
    setenv("OUR_OWN", "hidden", 1);
    setenv("PATHOLOGY", "hidden", 1);
    setenv("TZ", "Europe/Paris", 1);
    setenv("LC_TIME", "C", 1);
    config.environment = more;
    kf_spawn_t *run = run_to_end(&config);
    const char *text = kf_spawn_result(run)->output.p;
    assert_null(strstr(text, "hidden"));
    assert_null(strstr(text, "Paris"));
    assert_non_null(strstr(text, "TZ=Asia/Tokyo\n"));
    assert_non_null(strstr(text, "AWS_PROFILE=other\n"));
    assert_non_null(strstr(text, "LC_TIME=C\n"));
    assert_non_null(strstr(text, "PATH="));
    kf_spawn_free(run);
}

static void test_folder_and_group(void **state)
{
    /* Its process, group and session ids are fields 1, 5 and 6. */
    SHELL(config, "pwd; set -- $(cat /proc/$$/stat); test $1 = $5 && echo own group");
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_string_equal(kf_spawn_result(run)->output.p, "/\nown group\n");
    kf_spawn_free(run);
}

/* httpd may run without the first three descriptors. */
static void test_without_standard_descriptors(void **state)
{
    SHELL(config, "cat; echo err >&2");
    int status = -1;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        int error = 0;

        for (int fd = 0; fd < 3; fd++)
            close(fd);
        config.input = (kf_str_t){"in", 2};
        kf_spawn_t *run = kf_spawn_start(&config, &error);
        if (!run)
            _exit(10);
        kf_spawn_wait(run);
        _exit(strcmp(kf_spawn_result(run)->output.p, "in") != 0     ? 11
              : strcmp(kf_spawn_result(run)->error.p, "err\n") != 0 ? 12
                                                                    : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the process around it ---- */

static int open_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_other_children_are_let_be(void **state)
{
    SHELL(config, "exit 0");
    int before = open_descriptors(), status = 0;
    pid_t other = fork();

    (void)state;
    if (other == 0)
        _exit(42);
    for (int i = 0; i < 5; i++)
        kf_spawn_free(run_to_end(&config));
    assert_int_equal(waitpid(-1, &status, 0), other);
    assert_int_equal(WEXITSTATUS(status), 42);
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
    assert_int_equal(open_descriptors(), before);
}

static void test_ends_unseen(void **state)
{
    SHELL(config, "echo out");
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    kf_spawn_t *run = run_to_end(&config);

    (void)state;
    assert_int_equal(kf_spawn_result(run)->end, KF_SPAWN_LOST);
    assert_string_equal(kf_spawn_result(run)->output.p, "out\n");
    kf_spawn_free(run);
    signal(SIGCHLD, before);
}

static void *run_many(void *context)
{
    int number = *(int *)context;
    uintptr_t bad = 0;

    for (int i = 0; i < 10; i++) {
        SHELL(config, "cat; cat /proc/self/fd/0; ls /proc/self/fd | wc -l");
        char input[40], wanted[120];
        int error;

        snprintf(input, sizeof input, "%d %d\n", number, i);
        snprintf(wanted, sizeof wanted, "%s%s4\n", input, input);
        config.input = (kf_str_t){input, strlen(input)};
        kf_spawn_t *run = kf_spawn_start(&config, &error);
        if (!run) {
            bad++;
            continue;
        }
        kf_spawn_wait(run);
        bad += strcmp(kf_spawn_result(run)->output.p, wanted) != 0;
        kf_spawn_free(run);
    }
    return (void *)bad;
}

static void test_many_at_once(void **state)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    int numbers[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *bad;

        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_status),
        cmocka_unit_test(test_nothing_kept),
        cmocka_unit_test(test_output_is_bounded),
        cmocka_unit_test(test_output_that_just_fits),
        cmocka_unit_test(test_large_input),
        cmocka_unit_test(test_input_unread),
        cmocka_unit_test(test_found_by_name),
        cmocka_unit_test(test_killed_by_another),
        cmocka_unit_test(test_late_with_what_it_started),
        cmocka_unit_test(test_late_and_obedient),
        cmocka_unit_test(test_leaves_something_behind),
        cmocka_unit_test(test_freed_while_it_runs),
        cmocka_unit_test(test_endless_output),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_no_signals),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_folder_and_group),
        cmocka_unit_test(test_without_standard_descriptors),
        cmocka_unit_test(test_other_children_are_let_be),
        cmocka_unit_test(test_ends_unseen),
        cmocka_unit_test(test_many_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
