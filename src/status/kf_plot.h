/* SPDX-License-Identifier: Apache-2.0
 *
 * One plot of the last hour as a figure of HTML with an SVG inside, no styles in it but classes. The
 * page's script draws into the same elements by the same rules. Pure; any thread.
 */
#ifndef KF_PLOT_H
#define KF_PLOT_H

#include "base/kf_buf.h"
#include "delivery/kf_snapshot.h"

typedef struct {
    kf_history_id_t field;
    const char *name; /* in the legend */
    bool dashed;
    bool filled; /* the area below it is */
} kf_plot_line_t;

typedef struct {
    const char *title;
    const char *kind; /* for the script: how values are shown: "rate", "duration", "count" */
    kf_plot_line_t line[2];
    int line_count;
    int marks; /* a kf_history_id_t whose values above 0 are marked; -1: none */
    const char *marks_name;
} kf_plot_t;

/** Throughput, latency, backlog. */
#define KF_PLOTS 3
extern const kf_plot_t kf_plots[KF_PLOTS];

void kf_plot_put(kf_buf_t *out, const kf_plot_t *plot, const kf_snapshot_t *snapshot,
                 const kf_snapshot_connection_t *connection);

#endif
