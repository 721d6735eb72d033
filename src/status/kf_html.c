/* SPDX-License-Identifier: Apache-2.0
 *
 * What the dashboard is written with (kf_html.h).
 */
#include "status/kf_html.h"

#include <time.h>
#include "base/kf_clock.h"

void kf_html_text(kf_buf_t *out, const char *text)
{
    kf_text_puts(out, KF_TEXT_HTML, text);
}

void kf_html_field(kf_buf_t *out, const char *tag, const char *class, const char *field,
                   const char *text)
{
    kf_buf_printf(out, "<%s", tag);
    if (class[0])
        kf_buf_printf(out, " class=\"%s\"", class);
    kf_buf_printf(out, " data-f=\"%s\">", field);
    kf_html_text(out, text);
    kf_buf_printf(out, "</%s>", tag);
}

static const char *unit_name(kf_unit_t unit)
{
    static const char *const names[] = {
        [KF_UNIT_NUMBER] = "count", [KF_UNIT_BYTES] = "bytes", [KF_UNIT_SECONDS] = "duration",
        [KF_UNIT_AGE] = "age",      [KF_UNIT_TIME] = "time",   [KF_UNIT_STATE] = "text",
        [KF_UNIT_PUT_MODE] = "text"};

    return names[unit];
}

void kf_html_number(kf_buf_t *out, const char *field, kf_unit_t unit, int64_t value)
{
    kf_buf_printf(out, "<span class=\"n\" data-f=\"%s\" data-u=\"%s\">", field, unit_name(unit));
    kf_text_value(out, unit, value);
    KF_HTML(out, "</span>");
}

void kf_html_time(kf_buf_t *out, const char *field, int64_t us)
{
    time_t seconds = (time_t)(us / KF_SEC);
    struct tm utc;
    char text[40];

    kf_buf_printf(out, "<time data-f=\"%s\" data-u=\"time\" datetime=\"", field);
    if (us != 0 && gmtime_r(&seconds, &utc)) {
        kf_text_time(out, us);
        KF_HTML(out, "\">");
        kf_buf_put(out, text, strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc));
    } else {
        KF_HTML(out, "\">");
    }
    KF_HTML(out, "</time>");
}

void kf_html_mark(kf_buf_t *out, kf_state_t state)
{
    static const char *const marks[] = {"\xE2\x9C\x93", "!", "\xE2\x9C\x95"};

    kf_buf_printf(out, "<span class=\"mark\" aria-hidden=\"true\">%s</span> ", marks[state]);
}

void kf_html_badge(kf_buf_t *out, kf_state_t state, const char *words)
{
    kf_buf_printf(out, "<span class=\"badge %s\">", kf_state_text(state));
    kf_html_mark(out, state);
    kf_html_field(out, "span", "", "state_text", words);
    KF_HTML(out, "</span>");
}

void kf_html_form(kf_buf_t *out, const kf_page_t *page, const char *label)
{
    KF_HTML(out, "<form method=\"post\" action=\"");
    kf_html_text(out, page->path);
    KF_HTML(out, "\" aria-label=\"");
    kf_html_text(out, label);
    KF_HTML(out, "\"><input type=\"hidden\" name=\"token\" value=\"");
    kf_html_text(out, page->token);
    KF_HTML(out, "\">");
}
