/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection on the dashboard (kf_html.h).
 */
#include "status/kf_html.h"

#include <stdio.h>
#include "status/kf_plot.h"

/* A figure of the card: what it is called, and which numbers stand there. */
typedef struct {
    const char *title;
    int gauge;          /* kf_gauge_id_t */
    const char *before; /* the other one: words around it, */
    int second;
    const char *after;
} figure_t;

static const figure_t figures[] = {
    {"Backlog", KF_GAUGE_BACKLOG_RECORDS, "oldest ", KF_GAUGE_OLDEST_RECORD, ""},
    {"In flight", KF_GAUGE_IN_FLIGHT_RECORDS, "in ", KF_GAUGE_IN_FLIGHT_CALLS, " calls"},
    {"In memory", KF_GAUGE_MEMORY_RECORDS, "", KF_GAUGE_MEMORY_BYTES, ""},
    {"In the journal", KF_GAUGE_JOURNAL_RECORDS, "", KF_GAUGE_JOURNAL_BYTES, ""},
    {"Open windows", KF_GAUGE_WINDOWS, "oldest ", KF_GAUGE_OLDEST_WINDOW, ""},
    {"Dead letters", KF_GAUGE_DEAD_LETTERS, "oldest ", KF_GAUGE_OLDEST_DEAD_LETTER, ""},
};

typedef struct {
    const char *title;
    kf_count_t count;
    const char *field;
} total_t;

static const total_t totals[] = {
    {"Accepted", KF_COUNT_ACCEPTED, "counters.accepted_records"},
    {"Delivered", KF_COUNT_DELIVERED, "counters.delivered_records"},
    {"Sent again", KF_COUNT_RETRIED, "counters.retried_records"},
    {"Throttled", KF_COUNT_THROTTLED, "counters.throttled_records"},
};

static void gauge(kf_buf_t *out, const kf_snapshot_connection_t *c, int id)
{
    const kf_gauge_info_t *info = kf_gauge_info((kf_gauge_id_t)id);
    char field[80];

    snprintf(field, sizeof field, "gauges.%s", info->json);
    kf_html_number(out, field, info->unit, c->numbers.gauge[id]);
}

static void put_figures(kf_buf_t *out, const kf_snapshot_connection_t *c)
{
    KF_HTML(out, "<dl class=\"figures\">");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        kf_buf_printf(out, "<div><dt>%s</dt><dd>", figures[i].title);
        gauge(out, c, figures[i].gauge);
        kf_buf_printf(out, " <small>%s", figures[i].before);
        gauge(out, c, figures[i].second);
        kf_buf_printf(out, "%s</small></dd></div>", figures[i].after);
    }
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        kf_buf_printf(out, "<div><dt>%s</dt><dd>", totals[i].title);
        kf_html_number(out, totals[i].field, KF_UNIT_NUMBER,
                       (int64_t)c->numbers.count[totals[i].count]);
        KF_HTML(out, "</dd></div>");
    }
    KF_HTML(out, "</dl>");
}

/* "Kinesis stream NAME in REGION, batch calls". */
static void put_destination(kf_buf_t *out, const kf_snapshot_connection_t *c)
{
    KF_HTML(out, "<p class=\"destination\">");
    kf_html_text(out, strcmp(c->service, "firehose") == 0 ? "Firehose" : "Kinesis stream");
    KF_HTML(out, " <b>");
    kf_html_text(out, c->stream);
    KF_HTML(out, "</b>, ");
    kf_html_text(out, c->region);
    if (c->endpoint) {
        KF_HTML(out, ", ");
        kf_html_text(out, c->endpoint);
    }
    KF_HTML(out, " <span class=\"dim\">");
    kf_html_field(out, "span", "", "gauges.put_mode",
                  c->numbers.gauge[KF_GAUGE_PUT_MODE] == 0 ? "batch" : "single");
    kf_buf_printf(out, " puts%s</span></p>", c->windowed ? ", windowed" : "");
}

/* Both stand there always, so that the script can show them; hidden where there is nothing. */
static void put_trouble(kf_buf_t *out, const kf_snapshot_connection_t *c)
{
    bool any = c->trouble != KF_MSG_COUNT;
    const kf_last_error_t *e = &c->numbers.error;

    kf_buf_printf(out, "<p class=\"trouble\" data-if=\"trouble\"%s>", any ? "" : " hidden");
    kf_html_field(out, "b", "", "trouble.text", any ? kf_msg_info(c->trouble)->text : "");
    KF_HTML(out, " <span class=\"dim\">");
    kf_html_field(out, "span", "", "trouble.id", any ? kf_msg_info(c->trouble)->id : "");
    KF_HTML(out, "</span> <span class=\"advice\">What to do: ");
    kf_html_field(out, "span", "", "trouble.advice", any ? kf_state_advice(c) : "");
    KF_HTML(out, "</span></p>");
    kf_buf_printf(out, "<p class=\"error\" data-if=\"last_error\"%s>Last error ",
                  e->at_us != 0 ? "" : " hidden");
    kf_html_time(out, "last_error.time", e->at_us);
    KF_HTML(out, " ");
    kf_html_field(out, "b", "", "last_error.code", e->code);
    KF_HTML(out, " ");
    kf_html_field(out, "span", "", "last_error.message", e->message);
    KF_HTML(out, " ");
    kf_html_field(out, "code", "", "last_error.request_id", e->request_id);
    KF_HTML(out, "</p>");
}

static void put_settings(kf_buf_t *out, const kf_snapshot_connection_t *c)
{
    if (c->setting_count == 0)
        return;
    kf_buf_printf(out,
                  "<details><summary>Settings that differ from the defaults (%d)</summary>"
                  "<dl class=\"settings\">",
                  c->setting_count);
    for (int i = 0; i < c->setting_count; i++) {
        KF_HTML(out, "<div><dt>");
        kf_html_text(out, c->settings[i].name);
        KF_HTML(out, "</dt><dd>");
        kf_html_text(out, c->settings[i].value);
        KF_HTML(out, "</dd></div>");
    }
    KF_HTML(out, "</dl></details>");
}

void kf_html_connection(kf_buf_t *out, const kf_snapshot_t *s, const kf_snapshot_connection_t *c)
{
    const char *words;
    kf_state_t state = kf_state_of(c, &words);

    KF_HTML(out, "<article data-connection=\"");
    kf_html_text(out, c->name);
    kf_buf_printf(out, "\" class=\"connection %s\"><header><h3>", kf_state_text(state));
    kf_html_text(out, c->name);
    KF_HTML(out, "</h3> ");
    kf_html_badge(out, state, words);
    put_destination(out, c);
    KF_HTML(out, "</header>");
    put_trouble(out, c);
    KF_HTML(out, "<div class=\"plots\">");
    for (int i = 0; i < KF_PLOTS; i++)
        kf_plot_put(out, &kf_plots[i], s, c);
    KF_HTML(out, "</div>");
    put_figures(out, c);
    put_settings(out, c);
    KF_HTML(out, "</article>");
}
