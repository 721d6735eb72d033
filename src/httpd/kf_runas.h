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

#endif
