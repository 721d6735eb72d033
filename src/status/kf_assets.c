/* SPDX-License-Identifier: Apache-2.0
 *
 * The page's files (kf_assets.h).
 */
#include "status/kf_assets.h"

#include <string.h>

/* files[], of kf_asset_t. */
#include "status/kf_assets.inc"

const kf_asset_t *kf_asset_find(const char *name)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}
