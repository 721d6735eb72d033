/* SPDX-License-Identifier: Apache-2.0
 *
 * The user that httpd's children run as, asked before they exist. Configuration time; changes nothing
 * in this process.
 */
#ifndef KF_RUNAS_H
#define KF_RUNAS_H

#include <apr_pools.h>
#include <stdbool.h>

/**
 * Whether the run-as user can read a file.
 * @return NULL, or why not: a sentence's end in pool, "cannot be read by user www-data: ..."
 */
const char *kf_runas_cannot_read(apr_pool_t *pool, const char *path);

/* Most that a look brings back. */
#define KF_RUNAS_LOOK_MAX 2048

/** Looks at something, whose answer it writes to out. Runs in a process of its own, where it may do what it
 * likes but log. */
typedef void kf_runas_look_fn(const void *context, void *out);

/**
 * Looks as the run-as user.
 * @param out   filled on success; of a type without pointers
 * @param size  of it, at most KF_RUNAS_LOOK_MAX
 * @return false if it could not be done
 */
bool kf_runas_look(kf_runas_look_fn *look, const void *context, void *out, size_t size);

/** Looks at something: writes at most size bytes of what is wrong into error. @return whether all is well.
 * Runs in a process of its own, where it may do what it likes but log. */
typedef bool kf_runas_check_fn(const void *context, char *error, size_t size);

/**
 * Runs a check as the run-as user.
 * @return NULL, or what it found to be wrong, in pool
 */
const char *kf_runas_check(apr_pool_t *pool, kf_runas_check_fn *check, const void *context);
/** The same for running it: "cannot be run by user www-data: ...". */
const char *kf_runas_cannot_run(apr_pool_t *pool, const char *path);

#endif
