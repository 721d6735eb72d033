/* SPDX-License-Identifier: Apache-2.0
 *
 * Running programs.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base/kf_spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/kf_clock.h"

/* Where nothing tells of a program's end, how often it is looked for. */
#define LOOK_MS 10
/* Read from one outlet in one look: a program that writes without end must not keep us. */
#define LOOK_BYTES (1024 * 1024)
/* For a killed program to be gone. */
#define GONE_US KF_SEC
/* The fallback closes so many beyond the highest that is open, for those opened meanwhile. */
#define CLOSE_MORE 256

extern char **environ;

/* One way out of the program. */
typedef struct {
    int fd; /* ours; -1: there is none, or no more comes */
    char *bytes;
    size_t n, max;
    bool cut;
} outlet_t;

struct kf_spawn_t {
    pid_t pid;                  /* 0: not started, or reaped */
    int64_t limit_us, grace_us; /* when */
    bool told, killed;          /* by us: SIGTERM, SIGKILL */
    outlet_t output, error;
    kf_spawn_result_t result;
};

/* ---- environment ---- */

static bool is_passed_on(const char *variable)
{
    static const char *const names[] = {"PATH", "HOME",     "USER", "LOGNAME", "SHELL",
                                        "LANG", "LANGUAGE", "TZ",   "TMPDIR"};
    size_t n = strcspn(variable, "=");

    if (strncmp(variable, "LC_", 3) == 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && memcmp(names[i], variable, n) == 0)
            return true;
    return false;
}

static bool has_name_of(const char *const *list, const char *variable)
{
    size_t n = strcspn(variable, "=") + 1;

    for (; list && *list; list++)
        if (strncmp(*list, variable, n) == 0)
            return true;
    return false;
}

/* An array of texts that live elsewhere; NULL when out of memory. */
static char **make_environment(const char *const *more)
{
    size_t n = 0, have = 0;
    char **all;

    while (environ && environ[have])
        have++;
    for (const char *const *m = more; m && *m; m++)
        n++;
    all = calloc(have + n + 1, sizeof *all);
    if (!all)
        return NULL;
    n = 0;
    for (size_t i = 0; i < have; i++)
        if (is_passed_on(environ[i]) && !has_name_of(more, environ[i]))
            all[n++] = environ[i];
    for (; more && *more; more++)
        all[n++] = (char *)(uintptr_t)*more;
    return all;
}

/* ---- descriptors ---- */

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A file in memory with the input, to be read from its start. */
static int open_input(kf_str_t input)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    size_t at = 0;

    while (fd >= 0 && at < input.n) {
        ssize_t n = write(fd, input.p + at, input.n - at);

        if (n >= 0) {
            at += (size_t)n;
        } else if (errno != EINTR) {
            int error = errno;

            shut(&fd);
            errno = error;
        }
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

/* @param[out] theirs  the end to write to, -1 where nothing is kept. @return 0, or an errno value */
static int open_outlet(outlet_t *outlet, size_t max, int *theirs)
{
    int fds[2];

    if (max == 0)
        return 0;
    outlet->bytes = malloc(max + 1);
    if (!outlet->bytes)
        return ENOMEM;
    outlet->max = max;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return errno;
    outlet->fd = fds[0];
    *theirs = fds[1];
    return fcntl(outlet->fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

#if defined(HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP) && !defined(KF_SPAWN_FALLBACK)
static int close_others(posix_spawn_file_actions_t *actions)
{
    return posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}
#else
/* glibc before 2.34. What another thread opens meanwhile is close-on-exec, as all is that APR, curl
 * and SQLite open; some more than there are now are closed all the same (one that is not open is no
 * error). */
static int close_others(posix_spawn_file_actions_t *actions)
{
    long most = sysconf(_SC_OPEN_MAX);
    DIR *folder = opendir("/proc/self/fd");
    int last = -1, rc = 0;

    for (struct dirent *e; folder && (e = readdir(folder)) != NULL;) {
        int fd = (int)strtol(e->d_name, NULL, 10);

        last = fd > last ? fd : last;
    }
    if (!folder)
        return errno;
    closedir(folder);
    last += CLOSE_MORE;
    if (most > 0 && last >= most)
        last = (int)most - 1;
    for (int fd = STDERR_FILENO + 1; rc == 0 && fd <= last; fd++)
        rc = posix_spawn_file_actions_addclose(actions, fd);
    return rc;
}
#endif

/* The program's descriptor `to` is `fd`, or nothing. */
static int place(posix_spawn_file_actions_t *actions, int fd, int to)
{
    if (fd >= 0)
        return posix_spawn_file_actions_adddup2(actions, fd, to);
    return posix_spawn_file_actions_addopen(actions, to, "/dev/null",
                                            to == STDIN_FILENO ? O_RDONLY : O_WRONLY, 0);
}

/* A descriptor that is none of the first three, which the program's are put on. */
static int lift(int *fd)
{
    int higher;

    if (*fd < 0 || *fd > STDERR_FILENO)
        return 0;
    higher = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (higher < 0)
        return errno;
    close(*fd);
    *fd = higher;
    return 0;
}

/* ---- starting ---- */

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                      POSIX_SPAWN_SETPGROUP);
    return rc;
}

static int set_actions(posix_spawn_file_actions_t *actions, const int fds[3])
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < 3; i++)
        rc = place(actions, fds[i], i);
    if (rc == 0)
        rc = close_others(actions);
    if (rc == 0)
        rc = posix_spawn_file_actions_addchdir_np(actions, "/");
    return rc;
}

static int launch(kf_spawn_t *run, const kf_spawn_config_t *config, const int fds[3])
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    char *const *argv = (char *const *)(uintptr_t)config->argv;
    char **environment = make_environment(config->environment);
    int rc;

    if (!environment)
        return ENOMEM;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    rc = set_attributes(&attributes);
    if (rc == 0)
        rc = set_actions(&actions, fds);
    if (rc == 0)
        rc = posix_spawnp(&run->pid, argv[0], &actions, &attributes, argv, environment);
    if (rc != 0)
        run->pid = 0;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(environment);
    return rc;
}

kf_spawn_t *kf_spawn_start(const kf_spawn_config_t *config, int *error)
{
    kf_spawn_t *run = calloc(1, sizeof *run);
    int fds[3] = {-1, -1, -1}, rc = 0;

    *error = ENOMEM;
    if (!run)
        return NULL;
    run->output.fd = run->error.fd = -1;
    if (config->input.n > 0) {
        fds[0] = open_input(config->input);
        rc = fds[0] < 0 ? errno : 0;
    }
    if (rc == 0)
        rc = open_outlet(&run->output, config->output_max, &fds[1]);
    if (rc == 0)
        rc = open_outlet(&run->error, config->error_max, &fds[2]);
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = lift(&fds[i]);
    if (rc == 0)
        rc = launch(run, config, fds);
    for (int i = 0; i < 3; i++)
        shut(&fds[i]);
    *error = rc;
    if (rc != 0) {
        kf_spawn_free(run);
        return NULL;
    }
    run->limit_us = kf_mono_us() + config->limit_us;
    run->grace_us = run->limit_us + config->grace_us;
    return run;
}

/* ---- while it runs ---- */

static void drain(outlet_t *outlet)
{
    char dropped[4096];
    size_t all = 0;

    while (outlet->fd >= 0 && all < LOOK_BYTES) {
        bool is_full = outlet->n == outlet->max;
        /* cppcheck-suppress legacyUninitvar ; read fills it */
        ssize_t n = read(outlet->fd, is_full ? dropped : outlet->bytes + outlet->n,
                         is_full ? sizeof dropped : outlet->max - outlet->n);

        all += n > 0 ? (size_t)n : 0;
        if (n > 0 && is_full)
            outlet->cut = true;
        else if (n > 0)
            outlet->n += (size_t)n;
        else if (n == 0 || (errno != EINTR && errno != EAGAIN))
            shut(&outlet->fd);
        else if (errno == EAGAIN)
            return;
    }
}

static void end_group(const kf_spawn_t *run, int signal)
{
    /* It is not reaped, so neither its number nor its group's can be another's. */
    kill(-run->pid, signal);
}

static kf_str_t text_of(const outlet_t *outlet)
{
    if (!outlet->bytes)
        return (kf_str_t){"", 0};
    outlet->bytes[outlet->n] = '\0';
    return (kf_str_t){outlet->bytes, outlet->n};
}

static bool finish(kf_spawn_t *run, kf_spawn_end_t end, int status)
{
    run->pid = 0;
    drain(&run->output);
    drain(&run->error);
    shut(&run->output.fd);
    shut(&run->error.fd);
    run->result = (kf_spawn_result_t){.end = run->told ? KF_SPAWN_LATE : end,
                                      .status = status,
                                      .output = text_of(&run->output),
                                      .error = text_of(&run->error),
                                      .output_cut = run->output.cut};
    return true;
}

/* It has ended; what it started is ended too where it was late. */
static bool reap(kf_spawn_t *run)
{
    int status = 0;

    if (run->told)
        end_group(run, SIGKILL);
    if (waitpid(run->pid, &status, 0) != run->pid)
        return finish(run, KF_SPAWN_LOST, 0);
    return WIFEXITED(status) ? finish(run, KF_SPAWN_EXITED, WEXITSTATUS(status))
                             : finish(run, KF_SPAWN_KILLED, WTERMSIG(status));
}

static void end_if_late(kf_spawn_t *run)
{
    int64_t now_us = kf_mono_us();

    if (!run->told && now_us >= run->limit_us) {
        run->told = true;
        end_group(run, SIGTERM);
    }
    if (!run->killed && now_us >= run->grace_us) {
        run->told = run->killed = true;
        end_group(run, SIGKILL);
    }
}

bool kf_spawn_poll(kf_spawn_t *run)
{
    siginfo_t info = {.si_pid = 0};

    if (run->pid == 0)
        return true;
    drain(&run->output);
    drain(&run->error);
    if (waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD)
        return finish(run, KF_SPAWN_LOST, 0);
    if (info.si_pid == run->pid)
        return reap(run);
    end_if_late(run);
    return false;
}

/* Until there is output, or a moment has passed. */
static void pause_for(const kf_spawn_t *run)
{
    struct pollfd fds[2] = {{.fd = run->output.fd, .events = POLLIN},
                            {.fd = run->error.fd, .events = POLLIN}};

    poll(fds, 2, LOOK_MS);
}

void kf_spawn_wait(kf_spawn_t *run)
{
    while (!kf_spawn_poll(run)) {
        if (kf_mono_us() >= run->grace_us + GONE_US) {
            finish(run, KF_SPAWN_LOST, 0);
            return;
        }
        pause_for(run);
    }
}

const kf_spawn_result_t *kf_spawn_result(const kf_spawn_t *run)
{
    return &run->result;
}

static void wipe(outlet_t *outlet)
{
    shut(&outlet->fd);
    if (outlet->bytes)
        explicit_bzero(outlet->bytes, outlet->max + 1);
    free(outlet->bytes);
}

void kf_spawn_free(kf_spawn_t *run)
{
    if (!run)
        return;
    if (run->pid != 0) {
        run->limit_us = run->grace_us = kf_mono_us();
        kf_spawn_wait(run);
    }
    wipe(&run->output);
    wipe(&run->error);
    free(run);
}
