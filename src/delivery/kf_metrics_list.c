/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of numbers as tables (kf_metrics_list.h).
 */
#include "delivery/kf_metrics_list.h"

#include <stddef.h>

#define MS(n) (INT64_C(1000) * (n))
#define S(n) (INT64_C(1000000) * (n))
#define COUNT_OF(a) (int)(sizeof(a) / sizeof((a)[0]))

static const int64_t bounds_SHORT[] = {500,    MS(1),   MS(2),   MS(5),   MS(10), MS(20),
                                       MS(50), MS(100), MS(200), MS(500), S(1),   S(2),
                                       S(5),   S(10),   S(30),   S(60)};
static const int64_t bounds_LONG[] = {
    MS(10), MS(25), MS(50), MS(100), MS(250), MS(500), S(1),     S(2),     S(5),     S(10),   S(30),
    S(60),  S(120), S(300), S(600),  S(1800), S(3600), S(10800), S(21600), S(43200), S(86400)};
static const int64_t bounds_RECORDS[] = {1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 500, 2000, 10000};

static const kf_family_info_t families[KF_FAMILY_COUNT] = {
#define KF_COUNTER_FAMILY(id, prometheus, json, label, help) {prometheus, json, label, help},
#include "delivery/kf_metrics.def"
};

static const kf_count_info_t counts[KF_COUNT_MAX] = {
#define KF_COUNTER(id, family, value, help) {KF_FAMILY_##family, value, help},
#include "delivery/kf_metrics.def"
};

static const kf_gauge_info_t gauges[KF_GAUGE_COUNT] = {
#define KF_GAUGE(id, scope, combine, unit, prometheus, json, help) \
    {KF_SCOPE_##scope, KF_COMBINE_##combine, KF_UNIT_##unit, prometheus, json, help},
#include "delivery/kf_metrics.def"
};

static const kf_server_info_t servers[KF_SERVER_COUNT] = {
#define KF_SERVER_GAUGE(id, unit, prometheus, json, help) {KF_UNIT_##unit, prometheus, json, help},
#include "delivery/kf_metrics.def"
};

static const kf_histogram_info_t histograms[KF_HISTOGRAM_COUNT] = {
#define KF_HISTOGRAM(id, bounds, unit, prometheus, json, help) \
    {bounds_##bounds, COUNT_OF(bounds_##bounds), KF_UNIT_##unit, prometheus, json, help},
#include "delivery/kf_metrics.def"
};

static const kf_history_info_t history[KF_HISTORY_COUNT] = {
#define KF_HISTORY(id, kind, unit, json, help) {KF_HISTORY_##kind, KF_UNIT_##unit, json, help},
#include "delivery/kf_metrics.def"
};

_Static_assert(COUNT_OF(bounds_SHORT) < KF_BUCKETS_MAX && COUNT_OF(bounds_LONG) < KF_BUCKETS_MAX &&
                   COUNT_OF(bounds_RECORDS) < KF_BUCKETS_MAX,
               "one bucket is above all bounds");

const char *kf_delivery_state_text(kf_delivery_state_t state)
{
    static const char *const texts[KF_DELIVERY_STATES] = {"idle", "delivering", "backing_off",
                                                          "hold"};

    return state < KF_DELIVERY_STATES ? texts[state] : "unknown";
}

const kf_family_info_t *kf_family_info(kf_metric_family_t family)
{
    return &families[family];
}

const kf_count_info_t *kf_count_info(kf_count_t count)
{
    return &counts[count];
}

const kf_gauge_info_t *kf_gauge_info(kf_gauge_id_t gauge)
{
    return &gauges[gauge];
}

const kf_server_info_t *kf_server_info(kf_server_gauge_t gauge)
{
    return &servers[gauge];
}

const kf_histogram_info_t *kf_histogram_info(kf_histogram_id_t histogram)
{
    return &histograms[histogram];
}

const kf_history_info_t *kf_history_info(kf_history_id_t field)
{
    return &history[field];
}

static uint64_t mix(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;

    /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t kf_metrics_layout(void)
{
    /* What numbers mean in memory goes by their order and bounds alone. */
    static const char names[] =
#define KF_COUNTER(id, family, value, help) #id " "
#include "delivery/kf_metrics.def"
#define KF_GAUGE(id, scope, combine, unit, prometheus, json, help) #id #scope #combine #unit " "
#include "delivery/kf_metrics.def"
#define KF_SERVER_GAUGE(id, unit, prometheus, json, help) #id #unit " "
#include "delivery/kf_metrics.def"
#define KF_HISTOGRAM(id, bounds, unit, prometheus, json, help) #id #bounds " "
#include "delivery/kf_metrics.def"
#define KF_HISTORY(id, kind, unit, json, help) #id #kind #unit " "
#include "delivery/kf_metrics.def"
        ;
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), names, sizeof names);

    hash = mix(hash, bounds_SHORT, sizeof bounds_SHORT);
    hash = mix(hash, bounds_LONG, sizeof bounds_LONG);
    return mix(hash, bounds_RECORDS, sizeof bounds_RECORDS);
}
