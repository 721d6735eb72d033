/* SPDX-License-Identifier: Apache-2.0
 *
 * How long scanning, filtering and writing one batch takes, beside jansson's parse and dump of the same
 * text, in turn. Prints both in nanoseconds as JSON, the median of the rounds. Usage: rewrite BATCH_FILE
 */
#include <apr_general.h>
#include <apr_pools.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/kf_clock.h"
#include "base/kf_settings.h"
#include "events/kf_filter.h"
#include "events/kf_post.h"

#define ROUNDS 31
#define TIMES_BYTES 2600000 /* of text, a round */

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static const kf_filter_t *compile(apr_pool_t *pool)
{
    static const char *const off = "Off", *const zero = "0";
    void *settings = kf_settings_create(pool, KF_SCOPE_CONN);

    /* Something to take away: an event and a few members. */
    kf_setting_set(pool, settings, kf_directive_find("KinesisSendScreenViews"), 1, &off);
    kf_setting_set(pool, settings, kf_directive_find("KinesisIncludeLocationInformation"), 1, &off);
    kf_setting_set(pool, settings, kf_directive_find("KinesisBatchWindow"), 1, &zero);
    return kf_filter_compile(pool, kf_settings_finish(pool, KF_SCOPE_CONN, settings), 0);
}

static void ours(const kf_filter_t *filter, const char *text, size_t n)
{
    kf_fault_t fault = {0};
    kf_record_list_t records = {0};
    kf_filter_stats_t stats = {0};
    kf_post_t *post = kf_post_parse(text, n, &fault);

    if (!post || !kf_filter_apply(filter, kf_post_item(post, 0), kf_wall_us(), &records, &stats) ||
        records.count != 1) {
        fprintf(stderr, "refused: %s\n", fault.message);
        exit(1);
    }
    kf_post_free(post);
    kf_record_list_clear(&records);
}

static void theirs(const char *text, size_t n)
{
    json_t *json = json_loadb(text, n, 0, NULL);
    char *dumped = json ? json_dumps(json, JSON_COMPACT) : NULL;

    if (!dumped)
        exit(1);
    free(dumped);
    json_decref(json);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *list)
{
    qsort(list, ROUNDS, sizeof *list, by_value);
    return list[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    static double our_ns[ROUNDS], their_ns[ROUNDS];
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    apr_pool_t *pool;
    const kf_filter_t *filter;
    int times;

    if (n == 0)
        return 2;
    times = (int)(TIMES_BYTES / n) + 1;
    fclose(file);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    filter = compile(pool);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = now_ns(), middle;

        for (int k = 0; k < times; k++)
            ours(filter, text, n);
        middle = now_ns();
        for (int k = 0; k < times; k++)
            theirs(text, n);
        our_ns[i] = (double)(middle - start) / times;
        their_ns[i] = (double)(now_ns() - middle) / times;
    }
    printf("{\"bytes\":%zu,\"ours_ns\":%.0f,\"jansson_ns\":%.0f}\n", n, median(our_ns),
           median(their_ns));
    apr_terminate();
    return 0;
}
