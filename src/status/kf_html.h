/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the dashboard, and what they are written with. A figure that the script brings up to
 * date carries data-f, the member of the JSON object that it shows, and data-u, in what unit. Rows of
 * tables are written by the same function once more, empty, as the template that the script fills.
 * Not for other layers. Pure; any thread.
 */
#ifndef KF_HTML_H
#define KF_HTML_H

#include "status/kf_render.h"
#include "status/kf_state.h"
#include "status/kf_text.h"

/** A literal; text of others, made harmless. */
#define KF_HTML(out, literal) kf_buf_put_str((out), KF_STR(literal))
void kf_html_text(kf_buf_t *out, const char *text);

/** <TAG class="CLASS" data-f="FIELD" data-u="UNIT">VALUE</TAG> */
void kf_html_field(kf_buf_t *out, const char *tag, const char *class, const char *field,
                   const char *text);
void kf_html_number(kf_buf_t *out, const char *field, kf_unit_t unit, int64_t value);
void kf_html_time(kf_buf_t *out, const char *field, int64_t us);

/** A state's mark, for the eye alone. */
void kf_html_mark(kf_buf_t *out, kf_state_t state);

/** A mark and the word of a state. */
void kf_html_badge(kf_buf_t *out, kf_state_t state, const char *words);

/** <form ...> with the token. */
void kf_html_form(kf_buf_t *out, const kf_page_t *page, const char *label);

void kf_html_connection(kf_buf_t *out, const kf_snapshot_t *snapshot,
                        const kf_snapshot_connection_t *connection);
void kf_html_alerts(kf_buf_t *out, const kf_snapshot_t *snapshot, const kf_page_t *page);
void kf_html_letters(kf_buf_t *out, const kf_snapshot_t *snapshot, const kf_page_t *page);

#endif
