/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials that stand somewhere else: "file:PATH" and "env:NAME" to their values. Configuration time,
 * with the rights that httpd was started with; nothing is changed. Errors never show a value.
 */
#ifndef KF_SECRET_H
#define KF_SECRET_H

#include <apr_pools.h>
#include "base/kf_settings.h"

/**
 * Replaces a reference by what it refers to; any other value stays.
 * @param check  what the value must look like (KF_CHECK_ACCESS_KEY, KF_CHECK_SECRET)
 * @param[in,out] value  not NULL
 * @return NULL, or why it cannot be used: a sentence's end in pool, "file:/x cannot be read: ..."
 */
const char *kf_secret_resolve(apr_pool_t *pool, kf_check_t check, const char **value);

#endif
