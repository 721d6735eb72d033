/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking as the user that httpd's children run as: what that user may do decides, this process stays what it
 * is, and where it cannot be asked nothing is taken for granted. Started as root it becomes "nobody" in its
 * children; else there is nobody but the user who runs it, which the tests tell apart by `root`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <unixd.h>
#include "httpd/kf_runas.h"
#include "temp_store.h"

/* httpd's. */
unixd_config_rec ap_unixd_config;

static bool root;
static bool pretend_root, no_more_processes;
static apr_pool_t *pool;
static char *folder;
static struct passwd nobody;

uid_t __real_geteuid(void);
uid_t __wrap_geteuid(void);
uid_t __wrap_geteuid(void)
{
    return pretend_root ? 0 : __real_geteuid();
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    if (no_more_processes) {
        errno = EAGAIN;
        return -1;
    }
    return __real_fork();
}

static int set_up(void **state)
{
    (void)state;
    pretend_root = no_more_processes = false;
    ap_unixd_config.user_name = "nobody";
    ap_unixd_config.user_id = nobody.pw_uid;
    ap_unixd_config.group_id = nobody.pw_gid;
    folder = temp_make();
    return chmod(folder, 0711) != 0 || apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    temp_done(folder);
    return 0;
}

/* A file of the folder that the run-as user owns. */
static const char *file_of(const char *name, mode_t mode)
{
    const char *path = temp_in(folder, name);

    temp_write(path, "#!/bin/sh\n");
    assert_int_equal(chmod(path, mode), 0);
    if (root)
        assert_int_equal(chown(path, nobody.pw_uid, nobody.pw_gid), 0);
    return path;
}

/* What is said of something that did not work. */
static const char *because(const char *what, int error)
{
    return apr_psprintf(pool, "cannot be %s%s: %s", what, root ? " by user nobody" : "",
                        strerror(error));
}

static int open_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* -------------------------------------------------------------- files and programs */

static void test_files(void **state)
{
    const char *path = file_of("file", 0400);

    (void)state;
    assert_null(kf_runas_cannot_read(pool, path));
    assert_int_equal(chmod(path, 0), 0);
    assert_string_equal(kf_runas_cannot_read(pool, path), because("read", EACCES));
    assert_string_equal(kf_runas_cannot_read(pool, temp_in(folder, "missing")),
                        because("read", ENOENT));
    assert_int_equal(mkdir(temp_in(folder, "inner"), 0777), 0);
    assert_string_equal(kf_runas_cannot_read(pool, temp_in(folder, "inner")),
                        because("read", EISDIR));
}

static void test_programs(void **state)
{
    const char *path = file_of("program", 0500);

    (void)state;
    assert_null(kf_runas_cannot_run(pool, path));
    assert_int_equal(chmod(path, 0400), 0);
    assert_string_equal(kf_runas_cannot_run(pool, path), because("run", EACCES));
    assert_string_equal(kf_runas_cannot_run(pool, temp_in(folder, "missing")),
                        because("run", ENOENT));
    assert_string_equal(kf_runas_cannot_run(pool, folder), because("run", EISDIR));
    assert_int_equal(mkfifo(temp_in(folder, "pipe"), 0777), 0);
    assert_string_equal(kf_runas_cannot_run(pool, temp_in(folder, "pipe")), because("run", EACCES));
}

/* What root could read is not what counts. */
static void test_a_file_of_root(void **state)
{
    const char *path = file_of("file", 0600);

    (void)state;
    if (root)
        assert_int_equal(chown(path, 0, 0), 0);
    else
        assert_int_equal(chmod(path, 0), 0);
    assert_string_equal(kf_runas_cannot_read(pool, path), because("read", EACCES));
    /* An httpd that stays root is root. */
    ap_unixd_config.user_id = 0;
    assert_int_equal(kf_runas_cannot_read(pool, path) == NULL, root);
    /* Without User httpd does not start; what this process can read is all there is to say. */
    ap_unixd_config.user_id = (uid_t)-1;
    assert_int_equal(kf_runas_cannot_read(pool, path) == NULL, root);
}

/* ------------------------------------------------------------------------- looks */

typedef struct {
    uid_t uid, euid;
    gid_t gid;
    int groups;
    gid_t first;
    int context;
} who_t;

static void look_who(const void *context, void *out)
{
    gid_t groups[1024];
    who_t who = {.uid = getuid(), .euid = __real_geteuid(), .gid = getgid()};

    who.groups = getgroups(1024, groups);
    who.first = who.groups > 0 ? groups[0] : 0;
    who.context = *(const int *)context;
    memcpy(out, &who, sizeof who);
}

static void assert_is_nobody(void)
{
    const int context = 42;
    uid_t uid = getuid();
    who_t who;

    assert_true(kf_runas_look(look_who, &context, &who, sizeof who));
    assert_int_equal(who.context, 42);
    assert_int_equal(who.uid, root ? nobody.pw_uid : uid);
    assert_int_equal(who.euid, who.uid);
    if (root) {
        assert_int_equal(who.gid, ap_unixd_config.group_id);
        /* None of root's. */
        assert_int_equal(who.groups, 1);
        assert_int_equal(who.first, ap_unixd_config.group_id);
    }
    assert_int_equal(getuid(), uid);
}

/* By name, by number, and a number that has no name. */
static void test_who_looks(void **state)
{
    int before = open_descriptors();
    char number[20];

    (void)state;
    assert_is_nobody();
    snprintf(number, sizeof number, "#%u", (unsigned)nobody.pw_uid);
    ap_unixd_config.user_name = number;
    assert_is_nobody();
    ap_unixd_config.user_name = NULL;
    assert_is_nobody();
    ap_unixd_config.group_id = 4000000;
    assert_is_nobody();
    assert_int_equal(open_descriptors(), before);
}

static void test_a_user_without_a_name(void **state)
{
    const int context = 1;
    who_t who;

    (void)state;
    ap_unixd_config.user_name = "#4000001";
    ap_unixd_config.user_id = 4000001;
    assert_true(kf_runas_look(look_who, &context, &who, sizeof who));
    assert_int_equal(who.uid, root ? 4000001 : getuid());
    assert_int_equal(who.groups >= 1, root || who.groups >= 1);
}

static bool passes_if_set(const void *context, char *error, size_t size)
{
    snprintf(error, size, "it is not set");
    return *(const int *)context;
}

static void test_checks(void **state)
{
    int is_set = 1;

    (void)state;
    assert_null(kf_runas_check(pool, passes_if_set, &is_set));
    is_set = 0;
    assert_string_equal(kf_runas_check(pool, passes_if_set, &is_set), "it is not set");
}

/* ------------------------------------------------------- where it cannot be asked */

static const char not_looked_at[] = "it could not be looked at as the run-as user";

static bool dies(const void *context, char *error, size_t size)
{
    (void)context;
    snprintf(error, size, "half a word");
    raise(SIGKILL);
    return true;
}

/* Whoever may not change its user does not even come to it. */
static void test_a_look_that_dies(void **state)
{
    (void)state;
    pretend_root = true;
    assert_string_equal(kf_runas_check(pool, dies, NULL), not_looked_at);
}

/* A container's root may not be allowed to. The user "nobody" cannot become another one. */
static void test_who_may_not_change_user(void **state)
{
    const char *path = file_of("file", 0444);
    int status, set = 1;
    pid_t pid = __real_fork();

    (void)state;
    if (pid == 0) {
        const char *said;

        if (root &&
            (setgroups(0, NULL) != 0 || setgid(nobody.pw_gid) != 0 || setuid(nobody.pw_uid) != 0))
            _exit(1);
        pretend_root = true;
        ap_unixd_config.user_id = 12345;
        said = kf_runas_cannot_read(pool, path);
        if (!said || strcmp(said, "cannot be read by user nobody: Operation not permitted") != 0)
            _exit(2);
        said = kf_runas_check(pool, passes_if_set, &set);
        _exit(said && strcmp(said, not_looked_at) == 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_no_process(void **state)
{
    const char *path = file_of("file", 0444);
    int before = open_descriptors(), set = 1;

    (void)state;
    pretend_root = no_more_processes = true;
    assert_string_equal(kf_runas_cannot_read(pool, path),
                        "cannot be read by user nobody: Resource temporarily unavailable");
    assert_string_equal(kf_runas_check(pool, passes_if_set, &set), not_looked_at);
    assert_int_equal(open_descriptors(), before);
}

static void test_no_descriptors(void **state)
{
    struct rlimit limit, none;
    const char *said;
    int set = 1;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    pretend_root = true;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    said = kf_runas_check(pool, passes_if_set, &set);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_string_equal(said, not_looked_at);
}

/* Nor is an end that nobody told of a good one. */
static void test_end_unseen(void **state)
{
    const char *path = file_of("file", 0444), *read, *checked;
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    int set = 1;

    (void)state;
    pretend_root = true;
    read = kf_runas_cannot_read(pool, path);
    checked = kf_runas_check(pool, passes_if_set, &set);
    signal(SIGCHLD, before);
    assert_string_equal(read, "cannot be read by user nobody: No child processes");
    assert_string_equal(checked, not_looked_at);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_files),
        T(test_programs),
        T(test_a_file_of_root),
        T(test_who_looks),
        T(test_a_user_without_a_name),
        T(test_checks),
        T(test_a_look_that_dies),
        T(test_who_may_not_change_user),
        T(test_no_process),
        T(test_no_descriptors),
        T(test_end_unseen),
    };
    const struct passwd *found = getpwnam("nobody");

    apr_initialize();
    root = geteuid() == 0;
    if (!found)
        return 99;
    nobody = *found;
    return cmocka_run_group_tests_name("runas", tests, NULL, NULL);
}
