/* SPDX-License-Identifier: Apache-2.0
 *
 * The page's stylesheet, script and icon, part of the module: made from src/status/assets when it is
 * built (build-aux/assets.sh). Read-only; any thread.
 */
#ifndef KF_ASSETS_H
#define KF_ASSETS_H

#include <stddef.h>

typedef struct {
    const char *name;    /* "style.css" */
    const char *type;    /* its content type */
    const char *version; /* another one when its bytes are others */
    const unsigned char *bytes;
    size_t n;
} kf_asset_t;

/** NULL if there is none of this name. */
const kf_asset_t *kf_asset_find(const char *name);

#endif
