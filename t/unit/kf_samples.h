/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches for unit programs: a written sample or a text, parsed.
 */
#ifndef KF_SAMPLES_H
#define KF_SAMPLES_H

#include <stdio.h>
#include <stdlib.h>
#include "events/kf_post.h"

/* Allocated; ends the program where the file can't be read. */
static inline kf_str_t kf_sample_read(const char *name)
{
    char path[4096];
    const char *data = getenv("KF_TEST_DATA");
    snprintf(path, sizeof(path), "%s/data/samples/written/%s.json", data ? data : "t", name);
    FILE *file = fopen(path, "rb");
    size_t cap = 1 << 20;
    char *text = malloc(cap);
    if (!file || !text) {
        fail_msg("can't read %s", path);
    }
    size_t n = fread(text, 1, cap, file);
    fclose(file);
    return (kf_str_t){text, n};
}

/* The post of a text, which must stay. */
static inline kf_post_t *kf_sample_post(kf_str_t text)
{
    kf_fault_t fault = {.message = ""};
    kf_post_t *post = kf_post_parse(text.p, text.n, &fault);
    if (!post) {
        fail_msg("%s: %.*s", fault.message, (int)text.n, text.p);
    }
    return post;
}

#endif
