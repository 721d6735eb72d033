/* SPDX-License-Identifier: Apache-2.0
 *
 * The snapshot as a section of mod_status' page and as its lines (kf_render.h). Must not know HTTP.
 */
#include "status/kf_render.h"

#include "status/kf_state.h"
#include "status/kf_text.h"

/* What both show of a connection. */
typedef struct {
    const char *title, *key;
    int gauge; /* kf_gauge_id_t; -1: */
    int count; /* kf_count_t */
} column_t;

static const column_t columns[] = {
    {"Accepted", "Accepted", -1, KF_COUNT_ACCEPTED},
    {"Delivered", "Delivered", -1, KF_COUNT_DELIVERED},
    {"Backlog", "Backlog", KF_GAUGE_BACKLOG_RECORDS, 0},
    {"Oldest", "OldestSeconds", KF_GAUGE_OLDEST_RECORD, 0},
    {"In flight", "InFlight", KF_GAUGE_IN_FLIGHT_RECORDS, 0},
    {"Windows", "Windows", KF_GAUGE_WINDOWS, 0},
    {"Dead letters", "DeadLetters", KF_GAUGE_DEAD_LETTERS, 0},
};
#define COLUMNS (sizeof columns / sizeof *columns)

static kf_unit_t unit_of(const column_t *column)
{
    return column->gauge < 0 ? KF_UNIT_NUMBER : kf_gauge_info((kf_gauge_id_t)column->gauge)->unit;
}

static int64_t value_of(const column_t *column, const kf_snapshot_connection_t *c)
{
    return column->gauge < 0 ? (int64_t)c->numbers.count[column->count]
                             : c->numbers.gauge[column->gauge];
}

static kf_state_t put_state(kf_buf_t *out, kf_text_kind_t kind, const kf_snapshot_t *s)
{
    kf_state_t state;
    kf_buf_t why;

    kf_buf_init(&why, 4096);
    state = kf_state_overall(s, &why);
    kf_buf_put_str(out, kf_str_of(kf_state_text(state)));
    kf_buf_put_str(out, kind == KF_TEXT_HTML ? KF_STR(": ") : KF_STR("\nKinesisForwardSummary: "));
    kf_text_put(out, kind, kf_buf_str(&why));
    kf_buf_free(&why);
    return state;
}

static void put_row(kf_buf_t *out, const kf_snapshot_connection_t *c, bool tables)
{
    const char *words;

    kf_state_of(c, &words);
    kf_buf_put_str(out, tables ? KF_STR("<tr><th scope=\"row\" align=\"left\">") : KF_STR("<dt>"));
    kf_text_puts(out, KF_TEXT_HTML, c->name);
    kf_buf_put_str(out, tables ? KF_STR("</th><td>") : KF_STR("</dt><dd>"));
    kf_text_puts(out, KF_TEXT_HTML, words);
    for (size_t i = 0; i < COLUMNS; i++) {
        if (tables)
            kf_buf_put_str(out, KF_STR("</td><td align=\"right\">"));
        else
            kf_buf_printf(out, "; %s ", columns[i].title);
        kf_text_value(out, unit_of(&columns[i]), value_of(&columns[i], c));
    }
    kf_buf_put_str(out, tables ? KF_STR("</td></tr>\n") : KF_STR("</dd>\n"));
}

void kf_render_section(kf_buf_t *out, const kf_snapshot_t *s, bool tables)
{
    kf_buf_put_str(out, KF_STR("<hr />\n<h2>Kinesis forwarding</h2>\n<p>"));
    put_state(out, KF_TEXT_HTML, s);
    kf_buf_put_str(out, KF_STR("</p>\n"));
    if (s->connection_count == 0)
        return;
    kf_buf_put_str(out, tables ? KF_STR("<table border=\"0\"><tr><th>Connection</th><th>State</th>")
                               : KF_STR("<dl>\n"));
    for (size_t i = 0; tables && i < COLUMNS; i++)
        kf_buf_printf(out, "<th>%s</th>", columns[i].title);
    kf_buf_put_str(out, tables ? KF_STR("</tr>\n") : KF_STR(""));
    for (int i = 0; i < s->connection_count; i++)
        put_row(out, &s->connections[i], tables);
    kf_buf_put_str(out, tables ? KF_STR("</table>\n") : KF_STR("</dl>\n"));
}

void kf_render_lines(kf_buf_t *out, const kf_snapshot_t *s)
{
    kf_buf_put_str(out, KF_STR("KinesisForwardState: "));
    put_state(out, KF_TEXT_PLAIN, s);
    kf_buf_putc(out, '\n');
    for (int i = 0; i < s->connection_count; i++) {
        const kf_snapshot_connection_t *c = &s->connections[i];
        const char *words;

        kf_state_of(c, &words);
        for (size_t k = 0; k <= COLUMNS; k++) {
            kf_buf_put_str(out, KF_STR("KinesisConnection-"));
            kf_text_puts(out, KF_TEXT_PLAIN, c->name);
            kf_buf_printf(out, "-%s: ", k < COLUMNS ? columns[k].key : "State");
            if (k < COLUMNS)
                kf_text_number(out, unit_of(&columns[k]), value_of(&columns[k], c));
            else
                kf_buf_put_str(out, kf_str_of(words));
            kf_buf_putc(out, '\n');
        }
    }
}
