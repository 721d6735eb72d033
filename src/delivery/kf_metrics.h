/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of the whole server (kf_metrics.def), in memory that its children share. Each child
 * counts in a place of its own, so that children don't slow each other; what a reader sees is the sum.
 * A place outlives its child: the next one goes on counting there, so that sums stay exact whatever
 * ends a child. The memory outlives the configuration, and the module's code: numbers of a connection
 * go on under its name over any reload, also after one without it. Knows no httpd, engine or store.
 *
 * What counts and what does not stands with each number in the list. An addition is one atomic
 * addition: a child that is killed has made it or not. So is each gauge; a gauge whose child is dead,
 * or silent for KF_METRICS_SILENT_US, is left out of sums.
 */
#ifndef KF_METRICS_H
#define KF_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/kf_clock.h"
#include "delivery/kf_metrics_list.h"

#define KF_METRICS_SILENT_US (3 * KF_SEC)

typedef struct kf_metrics_t kf_metrics_t;

/* ---- the parent ---- */

/**
 * The numbers of n connections: those kept so far with what is missing, or new ones.
 * @param[in,out] kept  what the parent keeps between configurations: NULL at first, then as this left
 *        it. Memory of another layout (a newer module) is given up, and counting begins anew
 * @param children  most that live at once, those that end included; more share one place. What was
 *        said first holds
 * @return NULL when there is no memory; *kept stays good
 * @thread the parent's main thread, before children are forked
 */
kf_metrics_t *kf_metrics_open(void **kept, const char *const *names, int n, int children);
/** Frees what is this process's; the memory stays. NULL does nothing. */
void kf_metrics_close(kf_metrics_t *metrics);
/** Gives the memory up: for tests. */
void kf_metrics_discard(void **kept);

/* ---- a child ---- */

/**
 * Takes a place, for as long as the calling thread lives or until leave: until then, and where none is
 * free, it is counted in a place that all such children share, and gauges are not told.
 * @return whether a place was free
 * @thread the child's main thread; that thread must live as long as the child
 */
bool kf_metrics_join(kf_metrics_t *metrics);
/** Gives the place to the next child. Counting may go on, in the place that is shared. @thread the same */
void kf_metrics_leave(kf_metrics_t *metrics);

/** Counts. @thread any; an atomic addition */
void kf_metrics_add(kf_metrics_t *metrics, int connection, kf_count_t count, uint64_t n);

/** Counts n observations of a value. @thread any; two atomic additions */
void kf_metrics_observe(kf_metrics_t *metrics, int connection, kf_histogram_id_t histogram,
                        int64_t value, uint64_t n);

/** Sets what this child (scope CHILD) or the leader (LEADER) says. Of unit AGE: the wall clock of its
 * beginning, 0 for nothing. @thread any */
void kf_metrics_set(kf_metrics_t *metrics, int connection, kf_gauge_id_t gauge, int64_t value);
void kf_metrics_set_server(kf_metrics_t *metrics, kf_server_gauge_t gauge, int64_t value);

/** This child lives, and its gauges say what is. At least twice a second. @thread any */
void kf_metrics_beat(kf_metrics_t *metrics);

/* The last error that a connection met. */
typedef struct {
    int64_t at_us; /* wall clock; 0: none so far */
    int status;    /* of HTTP; 0: no answer */
    char code[64]; /* AWS's, or as kf_verdict_t says */
    char message[192];
    char request_id[80]; /* "" if there is none */
} kf_last_error_t;

/** @thread any, one at a time for a connection in this child */
void kf_metrics_set_error(kf_metrics_t *metrics, int connection, const kf_last_error_t *error);

/** Gauges of dead children count no more at once. The leader's, before it takes over what they left. */
void kf_metrics_reap(kf_metrics_t *metrics);

/* ---- readers; any thread of any process that has the metrics ---- */

typedef struct {
    uint64_t
        bucket[KF_BUCKETS_MAX]; /* above the bound before, up to its own; the one behind the last
                                        bound has what is above it. Not cumulative */
    uint64_t count;             /* sum of the buckets */
    uint64_t sum;               /* of the values: microseconds, or records */
} kf_histogram_t;

typedef struct {
    uint64_t count[KF_COUNT_MAX];
    int64_t gauge[KF_GAUGE_COUNT]; /* AGE: microseconds until now, 0 for nothing */
    kf_histogram_t histogram[KF_HISTOGRAM_COUNT];
    kf_last_error_t error; /* the latest of all children's */
} kf_connection_metrics_t;

int kf_metrics_connections(const kf_metrics_t *metrics);
/** A configured connection's name, by index. Good as long as the metrics. */
const char *kf_metrics_name(const kf_metrics_t *metrics, int connection);

/** All numbers of a connection, each consistent by itself. */
void kf_metrics_read(const kf_metrics_t *metrics, int connection, kf_connection_metrics_t *out);

/** One counter. */
uint64_t kf_metrics_count(const kf_metrics_t *metrics, int connection, kf_count_t count);

/** The sum of a family's counters. */
uint64_t kf_metrics_family(const kf_metrics_t *metrics, int connection, kf_metric_family_t family);

/** One of the server's. CHILDREN counts those that live. */
int64_t kf_metrics_server(const kf_metrics_t *metrics, kf_server_gauge_t gauge);

/**
 * Where a part of what a histogram saw lies, interpolated within its bucket; at most the last bound.
 * @param part  0 to 1
 * @return -1 if it saw nothing
 */
int64_t kf_histogram_quantile(kf_histogram_id_t id, const kf_histogram_t *histogram, double part);

/* ---- the last hour ---- */

/* A connection's history, in the same memory. */
typedef struct kf_history_ring_t kf_history_ring_t;
kf_history_ring_t *kf_metrics_history(const kf_metrics_t *metrics, int connection);

#endif
