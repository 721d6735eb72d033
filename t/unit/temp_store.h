/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of what is kept on disk: a folder that goes again, children that do something and end.
 */
#ifndef KF_TEMP_STORE_H
#define KF_TEMP_STORE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A new folder, mode 0700. */
static inline char *temp_make(void)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(300);

    snprintf(path, 300, "%s/kf-store.XXXXXX", base && strlen(base) < 200 ? base : "/tmp");
    if (!mkdtemp(path)) {
        perror(path);
        exit(1);
    }
    return path;
}

/* Removes a file or a folder with all in it. */
static inline void temp_remove(const char *path)
{
    DIR *list = opendir(path);

    if (list) {
        for (struct dirent *e; (e = readdir(list)) != NULL;) {
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
                size_t n = strlen(path) + strlen(e->d_name) + 2;
                char *inner = malloc(n);
                struct stat info;

                snprintf(inner, n, "%s/%s", path, e->d_name);
                if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode))
                    temp_remove(inner);
                else
                    unlink(inner);
                free(inner);
            }
        }
        closedir(list);
    }
    if (rmdir(path) != 0)
        unlink(path);
}

static inline void temp_done(char *path)
{
    temp_remove(path);
    free(path);
}

static inline const char *temp_in(const char *folder, const char *name)
{
    static char paths[4][600];
    static unsigned next;
    char text[600];

    snprintf(text, sizeof text, "%s/%s", folder, name);
    return memcpy(paths[next++ % 4], text, sizeof text);
}

static inline void temp_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

/* How a child ended: its exit code, or 1000 and the signal. */
static inline int temp_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

#endif
