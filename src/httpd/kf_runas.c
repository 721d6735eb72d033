/* SPDX-License-Identifier: Apache-2.0
 *
 * Tries files as the run-as user (kf_runas.h): in a process of its own, so that whatever grants or
 * denies access has its say and this process's rights stay as they are. Configuration time only, when
 * there are no threads.
 */
#include "httpd/kf_runas.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unixd.h>

#define GROUPS_MAX 1024
#define ERROR_MAX 400

/* Both: @return 0, or an errno value; async-signal-safe */
typedef int try_fn(const char *path);

static int try_program(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return errno;
    if (!S_ISREG(info.st_mode))
        return S_ISDIR(info.st_mode) ? EISDIR : EACCES;
    /* The process's real user is the one asked about. */
    return access(path, X_OK) == 0 ? 0 : errno;
}

static int try_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int result = 0;
    struct stat info;

    if (fd < 0)
        return errno;
    if (fstat(fd, &info) != 0)
        result = errno;
    else if (S_ISDIR(info.st_mode))
        result = EISDIR;
    close(fd);
    return result;
}

/* The groups that httpd gives its children: as mod_unixd, by the user's name. */
static int find_groups(gid_t *groups)
{
    const char *name = ap_unixd_config.user_name;
    int n = GROUPS_MAX;

    if (name && name[0] == '#') {
        const struct passwd *user = getpwuid(ap_unixd_config.user_id);

        name = user ? user->pw_name : NULL;
    }
    groups[0] = ap_unixd_config.group_id;
    if (!name || getgrouplist(name, ap_unixd_config.group_id, groups, &n) < 0)
        return 1;
    return n;
}

/* In the new process. @return whether it is the user now */
static bool become_user(const gid_t *groups, int n)
{
    return setgroups((size_t)n, groups) == 0 && setgid(ap_unixd_config.group_id) == 0 &&
           setuid(ap_unixd_config.user_id) == 0;
}

static int await_end(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int try_as_user(try_fn *try, const char *path)
{
    gid_t groups[GROUPS_MAX];
    int n = find_groups(groups);
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(become_user(groups, n) ? try(path) : EPERM);
    return await_end(pid);
}

/* Whether httpd will change its user: only root can, and an unset User is httpd's own error. */
static bool changes_user(void)
{
    return geteuid() == 0 && ap_unixd_config.user_id != 0 && ap_unixd_config.user_id != (uid_t)-1;
}

static const char *cannot(apr_pool_t *pool, const char *what, try_fn *try, const char *path)
{
    bool as_user = changes_user();
    int result = as_user ? try_as_user(try, path) : try(path);
    char text[200];

    if (result == 0)
        return NULL;
    return apr_psprintf(pool, "cannot be %s%s%s: %s", what, as_user ? " by user " : "",
                        as_user ? ap_unixd_config.user_name : "",
                        apr_strerror(result, text, sizeof text));
}

const char *kf_runas_cannot_read(apr_pool_t *pool, const char *path)
{
    return cannot(pool, "read", try_file, path);
}

const char *kf_runas_cannot_run(apr_pool_t *pool, const char *path)
{
    return cannot(pool, "run", try_program, path);
}

/* The other end of a look. A pipe takes what it says at once. */
static void __attribute__((noreturn))
run_look(kf_runas_look_fn *look, const void *context, int to, size_t size)
{
    char out[KF_RUNAS_LOOK_MAX] = "";
    gid_t groups[GROUPS_MAX];
    int n = find_groups(groups);

    if (!become_user(groups, n))
        _exit(1);
    look(context, out);
    _exit(write(to, out, size) != (ssize_t)size);
}

static bool look_as_user(kf_runas_look_fn *look, const void *context, void *out, size_t size)
{
    int ends[2];
    ssize_t got;
    pid_t pid;

    if (pipe(ends) != 0)
        return false;
    pid = fork();
    if (pid == 0)
        run_look(look, context, ends[1], size);
    close(ends[1]);
    while ((got = read(ends[0], out, size)) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    return pid > 0 && await_end(pid) == 0 && got == (ssize_t)size;
}

bool kf_runas_look(kf_runas_look_fn *look, const void *context, void *out, size_t size)
{
    if (changes_user())
        return look_as_user(look, context, out, size);
    look(context, out);
    return true;
}

typedef struct {
    kf_runas_check_fn *check;
    const void *context;
} checking_t;

static void look_for_faults(const void *context, void *out)
{
    const checking_t *checking = context;
    char *error = out;

    if (checking->check(checking->context, error, ERROR_MAX))
        error[0] = '\0';
}

const char *kf_runas_check(apr_pool_t *pool, kf_runas_check_fn *check, const void *context)
{
    checking_t checking = {check, context};
    char error[ERROR_MAX] = "";

    if (!kf_runas_look(look_for_faults, &checking, error, sizeof error))
        return "it could not be looked at as the run-as user";
    return error[0] ? apr_pstrdup(pool, error) : NULL;
}
