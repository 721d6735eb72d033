/* SPDX-License-Identifier: Apache-2.0
 *
 * Tries a file as the run-as user (kf_runas.h): in a process of its own, so that whatever grants or
 * denies access has its say and this process's rights stay as they are. Configuration time only.
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

/* @return 0, or an errno value; async-signal-safe */
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

static int try_as_user(const char *path)
{
    gid_t groups[GROUPS_MAX];
    int n = find_groups(groups);
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return errno;
    if (pid == 0) {
        if (setgroups((size_t)n, groups) != 0 || setgid(ap_unixd_config.group_id) != 0 ||
            setuid(ap_unixd_config.user_id) != 0)
            _exit(EPERM);
        _exit(try_file(path));
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* Whether httpd will change its user: only root can, and an unset User is httpd's own error. */
static bool changes_user(void)
{
    return geteuid() == 0 && ap_unixd_config.user_id != 0 && ap_unixd_config.user_id != (uid_t)-1;
}

const char *kf_runas_cannot_read(apr_pool_t *pool, const char *path)
{
    bool as_user = changes_user();
    int result = as_user ? try_as_user(path) : try_file(path);
    char text[200];

    if (result == 0)
        return NULL;
    return apr_psprintf(pool, "cannot be read%s%s: %s", as_user ? " by user " : "",
                        as_user ? ap_unixd_config.user_name : "",
                        apr_strerror(result, text, sizeof text));
}
