/* SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot's renderings. Each appends to a buffer, which the caller looks at for want of memory at the
 * end. All text of others is made harmless (kf_text.h). Pure; any thread.
 */
#ifndef KF_RENDER_H
#define KF_RENDER_H

#include "base/kf_buf.h"
#include "delivery/kf_snapshot.h"

/* What the page says beside the snapshot. */
typedef struct {
    const char *path;   /* the page's own address, without query */
    const char *token;  /* goes with every change */
    const char *styles; /* queries of the assets: "?asset=..." */
    const char *script;
    const char *icon;
    const char *notice; /* what the last change came to; NULL: nothing */
    bool notice_bad;
} kf_page_t;

/** The dashboard. */
void kf_render_html(kf_buf_t *out, const kf_snapshot_t *snapshot, const kf_page_t *page);

/** One JSON object, as docs/status.md says. @param since_us  history after this moment only; 0: all */
void kf_render_json(kf_buf_t *out, const kf_snapshot_t *snapshot, int64_t since_us);

/** Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). */
void kf_render_prometheus(kf_buf_t *out, const kf_snapshot_t *snapshot);

/** A section for mod_status' page, and its lines for "?auto". */
void kf_render_section(kf_buf_t *out, const kf_snapshot_t *snapshot, bool tables);
void kf_render_lines(kf_buf_t *out, const kf_snapshot_t *snapshot);

#endif
