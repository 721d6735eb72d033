/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts and dead letters on the dashboard (kf_html.h).
 */
#include "status/kf_html.h"

#include <inttypes.h>

static void put_column(kf_buf_t *out, const char *title)
{
    kf_buf_printf(out, "<th scope=\"col\">%s</th>", title);
}

/* A cell with its column's title, for screens on which a row is a list. */
static void open_cell(kf_buf_t *out, const char *class, const char *title)
{
    kf_buf_printf(out, "<td class=\"%s\" data-label=\"%s\">", class, title);
}

static void put_id(kf_buf_t *out, const char *attribute, int64_t id)
{
    kf_buf_printf(out, " %s=\"%" PRId64 "\" data-id=\"%s\"", attribute, id, attribute);
}

static void put_error(kf_buf_t *out, const char *index_error)
{
    kf_buf_printf(out, "<p class=\"trouble\" data-if=\"error\"%s><b>The index cannot be read.</b> ",
                  index_error ? "" : " hidden");
    kf_html_field(out, "span", "", "error", index_error ? index_error : "");
    KF_HTML(out, "</p>");
}

/* ---- alerts ---- */

/* For the stylesheet: words of ours alone. */
static const char *level_class(const char *level)
{
    return strcmp(level, "error") == 0     ? " level-error"
           : strcmp(level, "warning") == 0 ? " level-warning"
                                           : "";
}

/* What it says: the message's text, what was told besides, what to do. */
static void put_alert_message(kf_buf_t *out, const kf_snapshot_alert_t *a)
{
    open_cell(out, "message", "Message");
    kf_html_field(out, "b", "", "text", a->text);
    KF_HTML(out, " ");
    kf_html_field(out, "span", "dim", "id", a->msg);
    KF_HTML(out, " ");
    kf_html_field(out, "span", "said", "message", a->message);
    KF_HTML(out, " ");
    kf_html_field(out, "span", "advice", "advice", a->advice);
    KF_HTML(out, "</td>");
}

static void put_alert_actions(kf_buf_t *out, const kf_snapshot_alert_t *a)
{
    KF_HTML(out, "<td class=\"actions\">");
    kf_buf_printf(out, "<button name=\"acknowledge\" data-if=\"unacknowledged\"%s",
                  a->acknowledged || a->id == 0 ? " hidden" : "");
    put_id(out, "value", a->id);
    KF_HTML(out, ">Acknowledge</button><small class=\"dim\" data-if=\"acknowledged\"");
    kf_buf_printf(out, "%s>acknowledged ", a->acknowledged ? "" : " hidden");
    kf_html_field(out, "span", "", "acknowledged_by", a->acknowledged_by);
    KF_HTML(out, "</small></td>");
}

static void put_alert(kf_buf_t *out, const kf_snapshot_alert_t *a)
{
    kf_buf_printf(out, "<tr class=\"%s%s%s\"", a->active ? "active" : "over", level_class(a->level),
                  a->acknowledged ? " acknowledged" : "");
    put_id(out, "data-row", a->id);
    KF_HTML(out, "><td class=\"level\" data-label=\"Level\">");
    kf_html_field(out, "span", "", "level", a->level);
    KF_HTML(out, " <small class=\"dim\" data-f=\"active_text\">");
    kf_html_text(out, a->active ? "goes on" : "over");
    KF_HTML(out, "</small></td>");
    open_cell(out, "time", "Seen");
    kf_html_time(out, "last_time", a->last_us);
    KF_HTML(out, "<small class=\"dim\"> first ");
    kf_html_time(out, "first_time", a->first_us);
    KF_HTML(out, "</small></td>");
    open_cell(out, "count", "Times");
    kf_html_number(out, "count", KF_UNIT_NUMBER, (int64_t)a->count);
    KF_HTML(out, "</td>");
    kf_html_field(out, "td", "name", "connection", a->connection);
    put_alert_message(out, a);
    open_cell(out, "code", "Code");
    kf_html_field(out, "span", "", "code", a->code);
    KF_HTML(out, "</td>");
    open_cell(out, "code request", "Request id");
    kf_html_field(out, "code", "", "request_id", a->request_id);
    KF_HTML(out, "</td>");
    put_alert_actions(out, a);
    KF_HTML(out, "</tr>");
}

static void put_alert_template(kf_buf_t *out)
{
    static const kf_snapshot_alert_t nothing = {.msg = "",
                                                .level = "",
                                                .connection = "",
                                                .text = "",
                                                .advice = "",
                                                .code = "",
                                                .message = "",
                                                .request_id = "",
                                                .acknowledged_by = ""};

    KF_HTML(out, "<template>");
    put_alert(out, &nothing);
    KF_HTML(out, "</template>");
}

void kf_html_alerts(kf_buf_t *out, const kf_snapshot_t *s, const kf_page_t *page)
{
    const kf_snapshot_index_t *x = &s->index;

    KF_HTML(out, "<section id=\"alerts\" aria-labelledby=\"alerts-title\">"
                 "<h2 id=\"alerts-title\">System alerts</h2>");
    put_error(out, x->error);
    kf_buf_printf(out, "<p class=\"none\" data-if=\"empty\"%s>None.</p>",
                  x->alert_count == 0 && !x->error ? "" : " hidden");
    kf_html_form(out, page, "System alerts");
    kf_buf_printf(out,
                  "<table data-if=\"any\"%s><caption>Newest first; times are UTC%s</caption>"
                  "<thead><tr>",
                  x->alert_count > 0 ? "" : " hidden",
                  x->alerts_more ? "; older ones are not shown" : "");
    put_column(out, "Level");
    put_column(out, "Last seen, first seen");
    put_column(out, "Times");
    put_column(out, "Connection");
    put_column(out, "Message");
    put_column(out, "Code");
    put_column(out, "Request id");
    put_column(out, "<span class=\"hidden\">Actions</span>");
    KF_HTML(out, "</tr></thead><tbody>");
    for (int i = 0; i < x->alert_count; i++)
        put_alert(out, &x->alerts[i]);
    KF_HTML(out, "</tbody></table></form>");
    put_alert_template(out);
    KF_HTML(out, "</section>");
}

/* ---- dead letters ---- */

static void put_links(kf_buf_t *out, int64_t id)
{
    kf_buf_printf(out,
                  "<a href=\"?preview=%" PRId64 "\" data-id=\"href\" data-link=\"?preview=\">"
                  "Preview</a> "
                  "<a href=\"?letter=%" PRId64 "\" data-id=\"href\" data-link=\"?letter=\" "
                  "download>Download</a> ",
                  id, id);
}

static void put_letter(kf_buf_t *out, const kf_snapshot_letter_t *l)
{
    KF_HTML(out, "<tr");
    put_id(out, "data-row", l->id);
    KF_HTML(out, "><td class=\"pick\"><input type=\"checkbox\" name=\"letter\"");
    put_id(out, "value", l->id);
    kf_buf_printf(out, " aria-label=\"Select letter %" PRId64 "\"></td>", l->id);
    KF_HTML(out, "<td class=\"count\" data-label=\"Letter\">");
    kf_buf_printf(out, "<span data-f=\"letter\">%" PRId64 "</span></td>", l->id);
    open_cell(out, "time", "Given up");
    kf_html_time(out, "failed_time", l->failed_us);
    KF_HTML(out, "</td>");
    kf_html_field(out, "td", "name", "connection", l->connection);
    open_cell(out, "message", "Reason");
    kf_html_field(out, "b", "", "reason", l->reason);
    KF_HTML(out, " ");
    kf_html_field(out, "span", "", "code", l->code);
    KF_HTML(out, " ");
    kf_html_field(out, "span", "said", "message", l->message);
    KF_HTML(out, " ");
    kf_html_field(out, "code", "", "request_id", l->request_id);
    KF_HTML(out, "</td>");
    open_cell(out, "count", "Attempts");
    kf_html_number(out, "attempts", KF_UNIT_NUMBER, l->attempts);
    KF_HTML(out, "</td>");
    open_cell(out, "count", "Size");
    kf_html_number(out, "bytes", KF_UNIT_BYTES, (int64_t)l->bytes);
    KF_HTML(out, "</td><td class=\"actions\">");
    put_links(out, l->id);
    kf_buf_printf(out, "<button name=\"replay\" data-if=\"unmarked\"%s",
                  l->marked ? " hidden" : "");
    put_id(out, "value", l->id);
    KF_HTML(out, ">Replay</button>");
    kf_buf_printf(out, "<small class=\"dim\" data-if=\"replay\"%s>will be sent again</small>",
                  l->marked ? "" : " hidden");
    KF_HTML(out, "<details class=\"sure\"><summary>Discard</summary><button name=\"discard\"");
    put_id(out, "value", l->id);
    KF_HTML(out, " class=\"danger\">Discard for good</button></details></td></tr>");
}

static void put_letter_template(kf_buf_t *out)
{
    static const kf_snapshot_letter_t nothing = {
        .connection = "", .reason = "", .code = "", .message = "", .request_id = ""};

    KF_HTML(out, "<template>");
    put_letter(out, &nothing);
    KF_HTML(out, "</template>");
}

/* "?letters=NAME&before=ID": a page of them. Connection names of older configurations may hold anything:
 * what is no plain character is escaped. */
static void put_page_query(kf_buf_t *out, const char *connection, int64_t before)
{
    const char *between = "?";

    if (connection) {
        KF_HTML(out, "?letters=");
        between = "&amp;";
        for (const char *p = connection; *p; p++)
            if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                *p == '.' || *p == '_' || *p == '-')
                kf_buf_putc(out, *p);
            else
                kf_buf_printf(out, "%%%02X", (unsigned char)*p);
    }
    if (before > 0)
        kf_buf_printf(out, "%sbefore=%" PRId64, between, before);
    else if (!connection)
        KF_HTML(out, "?");
    KF_HTML(out, "#letters");
}

static void put_total(kf_buf_t *out, const kf_snapshot_letters_of_t *t)
{
    KF_HTML(out, "<li data-name=\"");
    kf_html_text(out, t->connection);
    KF_HTML(out, "\"><a data-f=\"name\" href=\"");
    put_page_query(out, t->connection, 0);
    KF_HTML(out, "\">");
    kf_html_text(out, t->connection);
    KF_HTML(out, "</a> ");
    kf_html_number(out, "letters", KF_UNIT_NUMBER, (int64_t)t->letters);
    KF_HTML(out, " <small class=\"dim\">");
    kf_html_number(out, "bytes", KF_UNIT_BYTES, (int64_t)t->bytes);
    KF_HTML(out, "</small> <button name=\"replay-all\" value=\"");
    kf_html_text(out, t->connection);
    KF_HTML(out, "\">Replay all</button><details class=\"sure\"><summary>Discard all</summary>"
                 "<button name=\"discard-all\" class=\"danger\" value=\"");
    kf_html_text(out, t->connection);
    KF_HTML(out, "\">Discard all for good</button></details></li>");
}

static void put_totals(kf_buf_t *out, const kf_snapshot_t *s, const kf_page_t *page)
{
    kf_html_form(out, page, "All dead letters of a connection");
    KF_HTML(out, "<ul class=\"totals\">");
    for (int i = 0; i < s->index.total_count; i++)
        if (s->index.totals[i].letters > 0)
            put_total(out, &s->index.totals[i]);
    KF_HTML(out, "</ul></form><template class=\"total\">");
    put_total(out, &(kf_snapshot_letters_of_t){.connection = ""});
    KF_HTML(out, "</template>");
}

static void put_pager(kf_buf_t *out, const kf_snapshot_index_t *x)
{
    KF_HTML(out, "<nav aria-label=\"Pages of dead letters\" class=\"pager\">");
    if (x->before > 0 || x->letters_of) {
        KF_HTML(out, "<a href=\"");
        put_page_query(out, NULL, 0);
        KF_HTML(out, "\">Newest, of all connections</a> ");
    }
    kf_buf_printf(out, "<a data-if=\"more\"%s href=\"", x->next_before > 0 ? "" : " hidden");
    put_page_query(out, x->letters_of, x->next_before);
    KF_HTML(out, "\">Older</a></nav>");
}

static void put_letter_table(kf_buf_t *out, const kf_snapshot_index_t *x)
{
    kf_buf_printf(out, "<table data-if=\"any\"%s><caption>Newest first",
                  x->letter_count > 0 ? "" : " hidden");
    if (x->letters_of) {
        KF_HTML(out, ", of connection ");
        kf_html_text(out, x->letters_of);
    }
    KF_HTML(out, "; times are UTC</caption><thead><tr>");
    put_column(out, "<span class=\"hidden\">Select</span>");
    put_column(out, "Letter");
    put_column(out, "Given up");
    put_column(out, "Connection");
    put_column(out, "Reason");
    put_column(out, "Attempts");
    put_column(out, "Size");
    put_column(out, "<span class=\"hidden\">Actions</span>");
    KF_HTML(out, "</tr></thead><tbody>");
    for (int i = 0; i < x->letter_count; i++)
        put_letter(out, &x->letters[i]);
    KF_HTML(out, "</tbody></table>");
}

void kf_html_letters(kf_buf_t *out, const kf_snapshot_t *s, const kf_page_t *page)
{
    const kf_snapshot_index_t *x = &s->index;

    KF_HTML(out,
            "<section id=\"letters\" aria-labelledby=\"letters-title\">"
            "<h2 id=\"letters-title\">Dead letters</h2>"
            "<p class=\"dim\">Records that were given up on. They are kept until somebody replays "
            "or discards them.</p>");
    put_error(out, x->error);
    kf_buf_printf(out, "<p class=\"none\" data-if=\"empty\"%s>None.</p>",
                  x->letter_count == 0 && !x->error ? "" : " hidden");
    put_totals(out, s, page);
    kf_html_form(out, page, "Dead letters");
    put_letter_table(out, x);
    kf_buf_printf(
        out,
        "<div class=\"bulk\" data-if=\"any\"%s>Selected: "
        "<button name=\"selected\" value=\"replay\">Replay</button> "
        "<details class=\"sure\"><summary>Discard</summary><button name=\"selected\" "
        "value=\"discard\" class=\"danger\">Discard for good</button></details></div></form>",
        x->letter_count > 0 ? "" : " hidden");
    put_pager(out, x);
    put_letter_template(out);
    KF_HTML(out, "</section>");
}
