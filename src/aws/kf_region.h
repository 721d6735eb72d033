/* SPDX-License-Identifier: Apache-2.0
 *
 * Partitions and regions: which partition a region belongs to, and its DNS suffixes. A table, with its
 * source. Pure; any thread.
 */
#ifndef KF_REGION_H
#define KF_REGION_H

#include <stdbool.h>
#include "base/kf_str.h"

typedef struct {
    const char *id;                /* "aws", "aws-cn", ... */
    const char *dns_suffix;        /* "amazonaws.com" */
    const char *dual_stack_suffix; /* "api.aws" */
} kf_partition_t;

/** The partition whose pattern the region matches (known or future region); NULL if none does. */
const kf_partition_t *kf_region_partition(kf_str_t region);

#endif
