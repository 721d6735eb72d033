/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and values of a query or of a form's body (application/x-www-form-urlencoded, as the URL
 * standard has it; url.spec.whatwg.org, looked up 2026-11). Pure; any thread.
 */
#ifndef KF_FORM_H
#define KF_FORM_H

#include <apr_pools.h>
#include "base/kf_str.h"

/* More names than these are left out. */
#define KF_FORM_MAX 1200

typedef struct {
    const char *name, *value; /* decoded; cut at a NUL */
} kf_form_field_t;

typedef struct {
    kf_form_field_t *fields;
    int n;
} kf_form_t;

/** Splits and decodes; everything is the pool's. What can't be decoded stays as it is. */
void kf_form_parse(apr_pool_t *pool, kf_str_t text, kf_form_t *form);

/** The first value of a name, NULL if it isn't there. */
const char *kf_form_get(const kf_form_t *form, const char *name);

/** A positive number. @return false for anything else */
bool kf_form_number(const char *text, int64_t *number);

#endif
