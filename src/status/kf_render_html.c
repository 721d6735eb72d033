/* SPDX-License-Identifier: Apache-2.0
 *
 * The dashboard (kf_render.h): the page around connections, alerts and dead letters. Must not know HTTP.
 */
#include "status/kf_render.h"

#include <stdio.h>
#include "status/kf_html.h"

static void put_head(kf_buf_t *out, const kf_snapshot_t *s, const kf_page_t *page, kf_state_t state)
{
    KF_HTML(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    kf_html_text(out, kf_state_text(state));
    KF_HTML(out, ": Kinesis forwarding on ");
    kf_html_text(out, s->host);
    KF_HTML(out, "</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                 "<meta name=\"color-scheme\" content=\"light dark\">"
                 "<meta name=\"robots\" content=\"noindex\"><link rel=\"stylesheet\" href=\"");
    kf_html_text(out, page->styles);
    KF_HTML(out, "\"><link rel=\"icon\" type=\"image/svg+xml\" href=\"");
    kf_html_text(out, page->icon);
    KF_HTML(out, "\"><script src=\"");
    kf_html_text(out, page->script);
    KF_HTML(out, "\" defer></script></head>\n");
}

static void put_header(kf_buf_t *out, const kf_snapshot_t *s)
{
    KF_HTML(out, "<a class=\"skip\" href=\"#main\">Skip to the contents</a>"
                 "<header class=\"top\"><h1>Kinesis forwarding <small>on ");
    kf_html_text(out, s->host);
    KF_HTML(out,
            "</small></h1><nav aria-label=\"Sections\"><a href=\"#connections\">Connections</a> "
            "<a href=\"#alerts\">Alerts</a> <a href=\"#letters\">Dead letters</a></nav>"
            "<p id=\"live\" class=\"dim\">As of ");
    kf_html_time(out, "time", s->at_us);
    KF_HTML(out, " UTC</p></header>");
}

static void put_overall(kf_buf_t *out, kf_state_t state, const kf_buf_t *why)
{
    kf_buf_printf(out, "<p id=\"overall\" class=\"overall %s\" role=\"status\">",
                  kf_state_text(state));
    kf_html_mark(out, state);
    kf_html_field(out, "strong", "", "state", kf_state_text(state));
    KF_HTML(out, ": <span data-f=\"summary\">");
    kf_text_put(out, KF_TEXT_HTML, kf_buf_str(why));
    KF_HTML(out, "</span></p>");
}

static int64_t sum_of(const kf_snapshot_t *s, kf_gauge_id_t gauge)
{
    int64_t sum = 0;

    for (int i = 0; i < s->connection_count; i++)
        sum += s->connections[i].numbers.gauge[gauge];
    return sum;
}

static void put_sum(kf_buf_t *out, const kf_snapshot_t *s, const char *title, kf_gauge_id_t gauge)
{
    const kf_gauge_info_t *info = kf_gauge_info(gauge);
    char field[80];

    kf_buf_printf(out, "<div><dt>%s</dt><dd>", title);
    snprintf(field, sizeof field, "sums.%s", info->json);
    kf_html_number(out, field, info->unit, sum_of(s, gauge));
    KF_HTML(out, "</dd></div>");
}

static void put_store(kf_buf_t *out, const kf_snapshot_t *s)
{
    int64_t used = s->server[KF_SERVER_STORE_BYTES], limit = s->server[KF_SERVER_STORE_LIMIT];

    KF_HTML(out, "<div class=\"wide\"><dt>Store</dt><dd>");
    kf_html_number(out, "server.store_bytes", KF_UNIT_BYTES, used);
    KF_HTML(out, " <small>of ");
    kf_html_number(out, "server.store_limit_bytes", KF_UNIT_BYTES, limit);
    kf_buf_printf(out,
                  "</small> <meter aria-label=\"Store in use\" min=\"0\" max=\"100\" high=\"90\" "
                  "value=\"%d\" data-f=\"store_percent\" data-u=\"meter\"></meter></dd></div>",
                  limit > 0 ? (int)((double)used * 100 / (double)limit) : 0);
}

static void put_server(kf_buf_t *out, const kf_snapshot_t *s)
{
    KF_HTML(out, "<dl class=\"figures server\">");
    put_sum(out, s, "Backlog", KF_GAUGE_BACKLOG_RECORDS);
    put_sum(out, s, "In flight", KF_GAUGE_IN_FLIGHT_RECORDS);
    put_sum(out, s, "Open windows", KF_GAUGE_WINDOWS);
    put_sum(out, s, "Dead letters", KF_GAUGE_DEAD_LETTERS);
    put_store(out, s);
    KF_HTML(out, "<div><dt>Children</dt><dd>");
    kf_html_number(out, "server.children", KF_UNIT_NUMBER, s->server[KF_SERVER_CHILDREN]);
    KF_HTML(out, "</dd></div><div class=\"wide\"><dt>Counting since</dt><dd>");
    kf_html_time(out, "server.start_time", s->server[KF_SERVER_START_TIME]);
    KF_HTML(out, "</dd></div></dl>");
}

static void put_notice(kf_buf_t *out, const kf_page_t *page)
{
    kf_buf_printf(out, "<p id=\"notice\" role=\"status\" class=\"notice%s\"%s>",
                  page->notice_bad ? " bad" : "", page->notice ? "" : " hidden");
    kf_html_text(out, page->notice);
    KF_HTML(out, "</p>");
}

static void put_connections(kf_buf_t *out, const kf_snapshot_t *s)
{
    KF_HTML(out, "<section id=\"connections\" aria-labelledby=\"connections-title\">"
                 "<h2 id=\"connections-title\">Connections</h2>");
    if (s->connection_count == 0)
        KF_HTML(out, "<p class=\"none\">None is configured: see the directive "
                     "&lt;KinesisConnection&gt;.</p>");
    for (int i = 0; i < s->connection_count; i++)
        kf_html_connection(out, s, &s->connections[i]);
    KF_HTML(out, "</section>");
}

static void put_footer(kf_buf_t *out, const kf_snapshot_t *s)
{
    KF_HTML(out, "<footer><p>The same as <a href=\"?format=json\">JSON</a>, for "
                 "<a href=\"?format=prometheus\">Prometheus</a>, for <a href=\"?health\">load "
                 "balancers</a>. mod_kinesis_forward ");
    kf_html_text(out, s->version);
    KF_HTML(out, ", MPM ");
    kf_html_text(out, s->mpm);
    KF_HTML(out, ", durability ");
    kf_html_text(out, s->durability);
    KF_HTML(out, ", store ");
    kf_html_text(out, s->directory);
    KF_HTML(out, "</p></footer>");
}

void kf_render_html(kf_buf_t *out, const kf_snapshot_t *s, const kf_page_t *page)
{
    kf_state_t state;
    kf_buf_t why;

    kf_buf_init(&why, 4096);
    state = kf_state_overall(s, &why);
    put_head(out, s, page, state);
    KF_HTML(out, "<body data-path=\"");
    kf_html_text(out, page->path);
    kf_buf_printf(out, "\" data-generation=\"%lld\">", (long long)s->server[KF_SERVER_GENERATION]);
    put_header(out, s);
    KF_HTML(out, "<main id=\"main\">");
    put_overall(out, state, &why);
    put_notice(out, page);
    if (s->connection_count > 0)
        put_server(out, s);
    put_connections(out, s);
    kf_html_alerts(out, s, page);
    kf_html_letters(out, s, page);
    KF_HTML(out, "</main>");
    put_footer(out, s);
    KF_HTML(out, "</body></html>\n");
    kf_buf_free(&why);
}
