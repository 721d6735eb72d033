/* SPDX-License-Identifier: Apache-2.0
 *
 * What is due tells by itself how closing gets on: the first one changes.
 */
#include "delivery/kf_closing_first.h"

#include <stdlib.h>
#include "base/kf_clock.h"

struct kf_closing_first_t {
    const kf_keeper_config_t *config;
    int64_t
        *next; /* by connection: the window to be closed next when there were too many; 0: never */
};

kf_closing_first_t *kf_closing_first_create(const kf_keeper_config_t *config)
{
    kf_closing_first_t *first = calloc(1, sizeof(*first));

    if (!first) {
        return NULL;
    }
    first->config = config;
    first->next = calloc((size_t)config->connection_count + 1, sizeof(*first->next));
    if (!first->next) {
        free(first);
        return NULL;
    }
    return first;
}

void kf_closing_first_free(kf_closing_first_t *first)
{
    if (first) {
        free(first->next);
        free(first);
    }
}

bool kf_closing_first(kf_closing_first_t *first)
{
    const kf_keeper_config_t *config = first->config;
    bool behind = false;

    for (int c = 0; config->windows && c < config->connection_count; c++) {
        int64_t next =
            kf_windows_next(config->windows, (uint16_t)c, kf_wall_us(), config->timing->due_max);
        behind |= next != 0 && next != first->next[c];
        first->next[c] = next;
    }
    return behind;
}
