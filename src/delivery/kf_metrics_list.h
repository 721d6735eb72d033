/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of numbers (kf_metrics.def) as types and tables: what there is, what it is called, what it
 * means. Knows no memory. Values only; any thread.
 */
#ifndef KF_METRICS_LIST_H
#define KF_METRICS_LIST_H

#include <stdint.h>

/* What a number is in. Times and ages are in microseconds wherever they are numbers in memory;
 * renderings show seconds. */
typedef enum {
    KF_UNIT_NUMBER,
    KF_UNIT_BYTES,
    KF_UNIT_SECONDS, /* a duration */
    KF_UNIT_AGE,     /* a duration until now; 0: there is nothing that has an age */
    KF_UNIT_TIME,    /* wall clock */
    KF_UNIT_STATE,   /* kf_delivery_state_t */
    KF_UNIT_PUT_MODE /* 0: batch, 1: single */
} kf_unit_t;

/* What delivery does. Worse is more. */
typedef enum {
    KF_DELIVERY_IDLE,
    KF_DELIVERY_DELIVERING,
    KF_DELIVERY_BACKING_OFF,
    KF_DELIVERY_HOLD,
    KF_DELIVERY_STATES
} kf_delivery_state_t;
/** "idle", "delivering", "backing_off", "hold". */
const char *kf_delivery_state_text(kf_delivery_state_t state);

typedef enum {
#define KF_COUNTER_FAMILY(id, prometheus, json, label, help) KF_FAMILY_##id,
#include "delivery/kf_metrics.def"
    KF_FAMILY_COUNT
} kf_metric_family_t;

typedef enum {
#define KF_COUNTER(id, family, value, help) KF_COUNT_##id,
#include "delivery/kf_metrics.def"
    KF_COUNT_MAX
} kf_count_t;

typedef enum {
#define KF_GAUGE(id, scope, combine, unit, prometheus, json, help) KF_GAUGE_##id,
#include "delivery/kf_metrics.def"
    KF_GAUGE_COUNT
} kf_gauge_id_t;

typedef enum {
#define KF_SERVER_GAUGE(id, unit, prometheus, json, help) KF_SERVER_##id,
#include "delivery/kf_metrics.def"
    KF_SERVER_COUNT
} kf_server_gauge_t;

typedef enum {
#define KF_HISTOGRAM(id, bounds, unit, prometheus, json, help) KF_HISTOGRAM_##id,
#include "delivery/kf_metrics.def"
    KF_HISTOGRAM_COUNT
} kf_histogram_id_t;

typedef enum {
#define KF_HISTORY(id, kind, unit, json, help) KF_HISTORY_##id,
#include "delivery/kf_metrics.def"
    KF_HISTORY_COUNT
} kf_history_id_t;

/* Counters of one family follow each other in kf_count_t. */
typedef struct {
    const char *prometheus, *json;
    const char *label; /* "": the family is one counter, without label and value */
    const char *help;
} kf_family_info_t;
const kf_family_info_t *kf_family_info(kf_metric_family_t family);

typedef struct {
    kf_metric_family_t family;
    const char *value; /* of the family's label */
    const char *help;  /* "": the family's says all */
} kf_count_info_t;
const kf_count_info_t *kf_count_info(kf_count_t count);

typedef enum { KF_SCOPE_CHILD, KF_SCOPE_LEADER } kf_gauge_scope_t;
typedef enum { KF_COMBINE_SUM, KF_COMBINE_MAX, KF_COMBINE_OLDEST } kf_combine_t;
typedef struct {
    kf_gauge_scope_t scope;
    kf_combine_t combine;
    kf_unit_t unit;
    const char *prometheus, *json, *help;
} kf_gauge_info_t;
const kf_gauge_info_t *kf_gauge_info(kf_gauge_id_t gauge);

typedef struct {
    kf_unit_t unit;
    const char *prometheus, *json, *help;
} kf_server_info_t;
const kf_server_info_t *kf_server_info(kf_server_gauge_t gauge);

/* Bounds that a histogram may have, and one bucket above all of them. */
#define KF_BUCKETS_MAX 24

typedef struct {
    const int64_t *bounds; /* upper ones, included, ascending */
    int bound_count;       /* less than KF_BUCKETS_MAX */
    kf_unit_t unit;
    const char *prometheus, *json, *help;
} kf_histogram_info_t;
const kf_histogram_info_t *kf_histogram_info(kf_histogram_id_t histogram);

typedef enum { KF_HISTORY_RATE, KF_HISTORY_LEVEL } kf_history_kind_t;
typedef struct {
    kf_history_kind_t kind;
    kf_unit_t unit;
    const char *json, *help;
} kf_history_info_t;
const kf_history_info_t *kf_history_info(kf_history_id_t field);

/** Tells lists apart that differ in any number, order or bound: a hash. */
uint64_t kf_metrics_layout(void);

#endif
