/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a program: its input given, its output kept up to a bound, its time limited. Knows nothing of
 * what the program is for.
 *
 * It is safe in a process with threads because nothing of this process runs in the new one: a fork
 * would leave the child a copy of every lock as other threads held it at that moment (malloc's among
 * them), and up to its exec it may call nothing but async-signal-safe functions. posix_spawn is made
 * for this: glibc (2.24 and newer) starts the child with CLONE_VM and CLONE_VFORK, all signals blocked
 * and on a stack of its own, runs only system calls there, and comes back when the program runs or
 * could not be run, with that error. It copies no page table, so that the size of httpd does not count.
 *
 * The program has: its input (a file in memory, so that nobody has to feed it), /dev/null or pipes as
 * its output, no other descriptor, no signal blocked or ignored, "/" as its directory, a process group
 * of its own, and of the environment PATH, HOME, USER, LOGNAME, SHELL, LANG, LANGUAGE, LC_*, TZ and
 * TMPDIR, where they are set, and what the caller adds; so no secret that httpd was started with.
 *
 * Only the program's own end is waited for, by its pid: other waits of the process are not disturbed.
 * Programs that it started and left behind are let be, unless its time ran out.
 *
 * Threads: any; one run belongs to one thread at a time. Nothing here is for signal handlers.
 */
#ifndef KF_SPAWN_H
#define KF_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/kf_str.h"

typedef struct {
    /* Ended by NULL. The first is an absolute path, or a name to be looked up in PATH. No shell: who
     * wants one says {"/bin/sh", "-c", TEXT, NULL}. */
    const char *const *argv;
    kf_str_t input;                 /* copied; none: /dev/null */
    const char *const *environment; /* NAME=VALUE, ended by NULL; added; NULL: nothing is */
    size_t output_max; /* bytes kept of its output, the rest is read and dropped; 0: none */
    size_t error_max;  /* the same for what it says on standard error */
    int64_t limit_us;  /* after this it and its group get SIGTERM, */
    int64_t grace_us;  /* and so long after that SIGKILL */
} kf_spawn_config_t;

typedef enum {
    KF_SPAWN_EXITED, /* by itself; status is its exit status */
    KF_SPAWN_KILLED, /* by a signal that did not come from here; status is its number */
    KF_SPAWN_LATE,   /* its time ran out: it was ended */
    KF_SPAWN_LOST /* it is over, but how it ended cannot be known: the process ignores SIGCHLD; or
                        it did not even end by SIGKILL */
} kf_spawn_end_t;

typedef struct {
    kf_spawn_end_t end;
    int status;
    kf_str_t output, error; /* followed by a NUL; live as long as the run */
    bool output_cut;        /* there was more than output_max */
} kf_spawn_result_t;

typedef struct kf_spawn_t kf_spawn_t;

/**
 * Starts a program.
 * @param[out] error  an errno value where NULL is returned: ENOENT, EACCES, ENOEXEC of the program;
 *                    EAGAIN, ENOMEM, EMFILE of the system
 * @return the run, for kf_spawn_free
 * @blocks until the program is loaded
 */
kf_spawn_t *kf_spawn_start(const kf_spawn_config_t *config, int *error);

/**
 * Looks: reads output, ends what is late. Never waits. To be called some times a second, or the
 * program waits for its output to be read.
 * @return whether the program is over; then kf_spawn_result is good
 */
bool kf_spawn_poll(kf_spawn_t *run);

/** @blocks until the program is over: limit_us and grace_us and a second at most. */
void kf_spawn_wait(kf_spawn_t *run);

/** How it ended. After kf_spawn_poll said so, or kf_spawn_wait. */
const kf_spawn_result_t *kf_spawn_result(const kf_spawn_t *run);

/**
 * Frees; the output is wiped. A program that still runs is killed with its group, and a moment is
 * waited for its end. NULL does nothing.
 */
void kf_spawn_free(kf_spawn_t *run);

#endif
