/* SPDX-License-Identifier: Apache-2.0
 *
 * The store's folder: what is made, what is refused and what the refusal says, and the server's lock
 * with the processes that may hold it. Parts of it need root and are left out for others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <grp.h>
#include <signal.h>
#include "delivery/kf_store.h"
#include "temp_store.h"

#define NOBODY 65534

static char error[KF_STORE_ERROR_MAX];

static bool prepare(const char *path)
{
    return kf_store_prepare(path, geteuid(), getegid(), error);
}

static mode_t mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(lstat(path, &info), 0);
    return info.st_mode & 07777;
}

static void assert_says(const char *words)
{
    if (!strstr(error, words)) {
        print_message("\"%s\" does not say \"%s\"\n", error, words);
        fail();
    }
}

static void test_makes(void **state)
{
    char *top = temp_make(), text[60] = "";
    const char *store = temp_in(top, "store");
    mode_t before = umask(0);

    (void)state;
    assert_true(kf_store_check(store, geteuid(), error));
    assert_int_not_equal(access(store, F_OK), 0);
    assert_true(prepare(store));
    assert_int_equal(mode_of(store), 0700);
    assert_int_equal(mode_of(temp_in(store, "journal")), 0700);
    int fd = open(temp_in(store, "version"), O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    assert_string_equal(text, "mod_kinesis_forward store 1\n");
    assert_int_equal(mode_of(temp_in(store, "version")), 0600);
    /* Again: nothing changes. With a slash at its end, too. */
    assert_true(prepare(store));
    char slash[700];
    snprintf(slash, sizeof slash, "%s//", store);
    assert_true(prepare(slash));
    assert_true(kf_store_check(store, geteuid(), error));
    umask(geteuid() == 0 ? 0777 : 0077);
    assert_true(prepare(temp_in(top, "masked")));
    umask(before);
    assert_int_equal(mode_of(temp_in(top, "masked")), 0700);
    temp_done(top);
}

static void test_takes_an_empty_folder(void **state)
{
    char *top = temp_make();

    (void)state;
    mkdir(temp_in(top, "lost+found"), 0700);
    temp_write(temp_in(top, "version.new"), "mod_kine");
    assert_true(kf_store_check(top, geteuid(), error));
    assert_int_not_equal(access(temp_in(top, "version"), F_OK), 0);
    assert_true(prepare(top));
    assert_int_not_equal(access(temp_in(top, "version.new"), F_OK), 0);
    temp_done(top);
}

static void test_refuses(void **state)
{
    char *top = temp_make();
    const char *missing = temp_in(top, "a/b");

    (void)state;
    assert_false(prepare(missing));
    assert_says("because");
    assert_says("/a is not there");
    assert_false(kf_store_check(missing, geteuid(), error));
    assert_says("/a is not there");
    temp_write(temp_in(top, "file"), "x");
    assert_false(prepare(temp_in(top, "file")));
    assert_false(kf_store_check(temp_in(top, "file"), geteuid(), error));
    assert_says("is not a folder");
    /* What isn't a store is left as it is. */
    assert_false(prepare(top));
    assert_says("holds files, but no store");
    assert_false(kf_store_check(top, geteuid(), error));
    assert_says("holds files, but no store");
    assert_int_not_equal(access(temp_in(top, "journal"), F_OK), 0);
    temp_done(top);
}

static void test_modes(void **state)
{
    char *top = temp_make();

    (void)state;
    assert_true(prepare(top));
    chmod(top, 0750);
    assert_false(prepare(top));
    assert_says("chmod 700");
    assert_false(kf_store_check(top, geteuid(), error));
    chmod(top, 0701);
    assert_false(prepare(top));
    chmod(top, 0700);
    chmod(temp_in(top, "journal"), 0777);
    assert_false(prepare(top));
    assert_says("/journal");
    rmdir(temp_in(top, "journal"));
    assert_int_equal(symlink("/", temp_in(top, "journal")), 0);
    assert_false(prepare(top));
    assert_says("/journal");
    temp_done(top);
}

static void test_versions(void **state)
{
    char *top = temp_make();

    (void)state;
    assert_true(prepare(top));
    temp_write(temp_in(top, "version"), "mod_kinesis_forward store 2\n");
    assert_false(prepare(top));
    assert_says("newer version");
    assert_false(kf_store_check(top, geteuid(), error));
    assert_says("format 2, known is 1");
    const char *wrong[] = {"", "mod_kinesis_forward store\n", "mod_kinesis_forward store -1\n",
                           "something else"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        temp_write(temp_in(top, "version"), wrong[i]);
        assert_false(prepare(top));
        assert_says("not of this module");
    }
    unlink(temp_in(top, "version"));
    assert_false(prepare(top));
    assert_says("no store");
    temp_done(top);
}

static void test_owner(void **state)
{
    char *top = temp_make();
    const char *store = temp_in(top, "store");
    struct stat info;

    (void)state;
    if (geteuid() != 0) {
        /* cmocka's skip() counts as a failure in TAP. */
        print_message("# only root can give files away\n");
        temp_done(top);
        return;
    }
    assert_true(kf_store_prepare(store, NOBODY, NOBODY, error));
    const char *names[] = {store, temp_in(store, "journal"), temp_in(store, "version")};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat(names[i], &info), 0);
        assert_int_equal(info.st_uid, NOBODY);
        assert_int_equal(info.st_gid, NOBODY);
    }
    assert_false(prepare(store));
    assert_says("must belong to root");
    assert_says("chown -R root");
    assert_false(kf_store_check(store, 1, error));
    /* The lock belongs to it too. */
    kf_store_lock_t *locks = NULL;
    assert_true(kf_store_lock(store, &locks, error));
    assert_int_equal(stat(temp_in(store, "lock"), &info), 0);
    assert_int_equal(info.st_uid, NOBODY);
    kf_store_unlock(&locks);
    /* Whoever may not look is told nothing. */
    pid_t pid = fork();
    if (pid == 0) {
        char own[KF_STORE_ERROR_MAX];
        if (setgroups(0, NULL) != 0 || setgid(1) != 0 || setuid(1) != 0)
            _exit(9);
        bool top_closed = kf_store_check(store, NOBODY, own);
        bool no_right = !kf_store_prepare(store, 1, 1, own);
        _exit(top_closed && no_right ? 0 : 1);
    }
    assert_int_equal(temp_wait(pid), 0);
    temp_done(top);
}

static void test_lock(void **state)
{
    char *top = temp_make(), *other = temp_make(), text[30] = "", pid_text[30];
    kf_store_lock_t *locks = NULL;

    (void)state;
    assert_true(prepare(top));
    assert_true(kf_store_lock(top, &locks, error));
    int fd = open(temp_in(top, "lock"), O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    snprintf(pid_text, sizeof pid_text, "%ld\n", (long)getpid());
    assert_string_equal(text, pid_text);
    /* The same server again, as after a graceful restart; another store besides. */
    assert_true(kf_store_lock(top, &locks, error));
    assert_true(prepare(other));
    assert_true(kf_store_lock(other, &locks, error));
    assert_true(kf_store_lock(top, &locks, error));
    /* Another server: that it is a child here makes no difference, it has no part in the lock. */
    pid_t pid = fork();
    if (pid == 0) {
        kf_store_lock_t *own = NULL;
        bool got = kf_store_lock(top, &own, error);
        snprintf(pid_text, sizeof pid_text, "(pid %ld)", (long)getppid());
        _exit(!got && strstr(error, "another server") && strstr(error, pid_text) ? 0 : 1);
    }
    assert_int_equal(temp_wait(pid), 0);
    kf_store_unlock(&locks);
    assert_null(locks);
    assert_true(kf_store_lock(top, &locks, error));
    kf_store_unlock(&locks);
    assert_false(kf_store_lock(temp_in(top, "none"), &locks, error));
    assert_says("cannot be used");
    temp_done(top);
    temp_done(other);
}

/* A server whose parent is killed: its child holds the store until it ends. */
static void test_lock_outlives_the_parent(void **state)
{
    char *top = temp_make(), byte;
    kf_store_lock_t *locks = NULL;
    int ready[2], hold[2];

    (void)state;
    assert_true(prepare(top));
    assert_int_equal(pipe(ready) | pipe(hold), 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (!kf_store_lock(top, &locks, error))
            _exit(1);
        if (fork() == 0) {
            close(hold[1]);
            if (write(ready[1], "x", 1) != 1 || read(hold[0], &byte, 1) != 0)
                _exit(2);
            _exit(0);
        }
        for (;;)
            pause();
    }
    close(hold[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    assert_int_equal(temp_wait(parent), 1000 + SIGKILL);
    assert_false(kf_store_lock(top, &locks, error));
    assert_says("children of a server that is gone");
    /* One that is about to end is waited for. */
    pid_t closer = fork();
    if (closer == 0) {
        usleep(300000);
        _exit(0);
    }
    close(hold[1]);
    assert_true(kf_store_lock(top, &locks, error));
    assert_int_equal(temp_wait(closer), 0);
    kf_store_unlock(&locks);
    close(ready[0]);
    close(ready[1]);
    temp_done(top);
}

/* What a child may have put in the lock's place is not written to. */
static void test_lock_follows_nothing(void **state)
{
    char *top = temp_make();
    kf_store_lock_t *locks = NULL;

    (void)state;
    assert_true(prepare(top));
    temp_write(temp_in(top, "victim"), "precious");
    assert_int_equal(symlink("victim", temp_in(top, "lock")), 0);
    assert_false(kf_store_lock(top, &locks, error));
    unlink(temp_in(top, "lock"));
    assert_int_equal(link(temp_in(top, "victim"), temp_in(top, "lock")), 0);
    assert_false(kf_store_lock(top, &locks, error));
    unlink(temp_in(top, "lock"));
    assert_int_equal(mkfifo(temp_in(top, "lock"), 0600), 0);
    assert_false(kf_store_lock(top, &locks, error));
    unlink(temp_in(top, "lock"));
    struct stat info;
    assert_int_equal(stat(temp_in(top, "victim"), &info), 0);
    assert_int_equal(info.st_size, 8);
    assert_true(kf_store_lock(top, &locks, error));
    kf_store_unlock(&locks);
    temp_done(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_makes),
        cmocka_unit_test(test_takes_an_empty_folder),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_lock_outlives_the_parent),
        cmocka_unit_test(test_lock_follows_nothing),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
