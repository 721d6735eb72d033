/* SPDX-License-Identifier: Apache-2.0
 *
 * Plots (kf_plot.h). assets/script.js draws them again: what changes here changes there.
 */
#include "status/kf_plot.h"

#include <math.h>
#include "base/kf_clock.h"
#include "status/kf_text.h"

#define WIDTH 720
#define HEIGHT 100
/* Of the height, what the highest value takes at most. */
#define TOP 4
#define MARK 7

const kf_plot_t kf_plots[KF_PLOTS] = {
    {.title = "Throughput",
     .kind = "rate",
     .line = {{KF_HISTORY_DELIVERED, "delivered", false, true},
              {KF_HISTORY_ACCEPTED, "accepted", true, false}},
     .line_count = 2,
     .marks = KF_HISTORY_FAILED_CALLS,
     .marks_name = "failed"},
    {.title = "Latency",
     .kind = "duration",
     .line = {{KF_HISTORY_DELIVERY_P50, "median", false, false},
              {KF_HISTORY_DELIVERY_P99, "99 %", true, false}},
     .line_count = 2,
     .marks = -1},
    {.title = "Backlog",
     .kind = "count",
     .line = {{KF_HISTORY_BACKLOG, "records", false, true}},
     .line_count = 1,
     .marks = -1},
};

/* ---- values ---- */

/* A round number not below this one. */
static double round_up(double value)
{
    static const double steps[] = {1, 2, 5, 10};
    double power;

    if (value <= 0)
        return 1;
    power = pow(10, floor(log10(value)));
    for (int i = 0; i < 3; i++)
        if (value <= steps[i] * power * 1.000001)
            return steps[i] * power;
    return steps[3] * power;
}

/* In the unit that the plot shows: a second's, seconds, or a number. */
static double scale_of(const kf_plot_t *plot, const kf_snapshot_t *s)
{
    if (plot->kind[0] == 'r')
        return s->history_step_us > 0 ? (double)KF_SEC / (double)s->history_step_us : 1;
    return plot->kind[0] == 'd' ? 1e-6 : 1;
}

static double highest(const kf_plot_t *plot, const kf_snapshot_t *s,
                      const kf_snapshot_connection_t *c)
{
    double most = 0, scale = scale_of(plot, s);

    for (int l = 0; l < plot->line_count; l++) {
        const int64_t *v = c->history[plot->line[l].field];

        for (int i = 0; v && i < s->history_count; i++)
            if ((double)v[i] * scale > most)
                most = (double)v[i] * scale;
    }
    return round_up(most);
}

static void put_value(kf_buf_t *out, const kf_plot_t *plot, double value)
{
    if (plot->kind[0] == 'd')
        kf_text_duration(out, value * 1e6);
    else
        kf_text_count(out, value);
    if (plot->kind[0] == 'r')
        kf_buf_put_str(out, KF_STR("/s"));
}

/* ---- paths ---- */

/* Tenths are enough for a screen. */
static void put_tenths(kf_buf_t *out, int64_t tenths)
{
    kf_buf_put_i64(out, tenths / 10);
    if (tenths % 10 != 0) {
        kf_buf_putc(out, '.');
        kf_buf_putc(out, (char)('0' + tenths % 10));
    }
}

static void put_point(kf_buf_t *out, char command, int64_t x, int64_t y)
{
    kf_buf_putc(out, command);
    put_tenths(out, x);
    kf_buf_putc(out, ' ');
    put_tenths(out, y);
}

static int64_t x_of(int i, int count)
{
    return count > 1 ? (int64_t)floor((double)i * WIDTH * 10 / (count - 1) + 0.5) : 0;
}

/* -1 in a gap. */
static int64_t y_of(double value, double most)
{
    return value < 0 ? -1 : (int64_t)floor((HEIGHT - value / most * (HEIGHT - TOP)) * 10 + 0.5);
}

typedef struct {
    const int64_t *v;
    int count;
    double scale, most;
} series_t;

static int64_t y_at(const series_t *s, int i)
{
    return i < 0 || i >= s->count ? -1 : y_of((double)s->v[i] * s->scale, s->most);
}

/* Points between equals are left out. */
static void put_line(kf_buf_t *out, const series_t *s)
{
    for (int i = 0; i < s->count; i++) {
        int64_t before = y_at(s, i - 1), y = y_at(s, i), after = y_at(s, i + 1);

        if (y < 0 || (y == before && y == after))
            continue;
        put_point(out, before < 0 ? 'M' : 'L', x_of(i, s->count), y);
        /* A point between gaps still shows. */
        if (before < 0 && after < 0)
            kf_buf_put_str(out, KF_STR("h1"));
    }
}

static void put_area(kf_buf_t *out, const series_t *s)
{
    int start = 0;

    for (int i = 0; i <= s->count; i++) {
        int64_t before = y_at(s, i - 1), y = y_at(s, i);

        if (y >= 0 && before < 0)
            start = i;
        if (y < 0 && before >= 0) {
            put_point(out, 'M', x_of(start, s->count), HEIGHT * 10);
            for (int k = start; k < i; k++)
                if (k == start || k == i - 1 || y_at(s, k) != y_at(s, k - 1) ||
                    y_at(s, k) != y_at(s, k + 1))
                    put_point(out, 'L', x_of(k, s->count), y_at(s, k));
            put_point(out, 'L', x_of(i - 1, s->count), HEIGHT * 10);
            kf_buf_putc(out, 'Z');
        }
    }
}

static void put_marks(kf_buf_t *out, const int64_t *v, int count)
{
    for (int i = 0; v && i < count; i++)
        if (v[i] > 0) {
            put_point(out, 'M', x_of(i, count), 0);
            kf_buf_printf(out, "v%d", MARK);
        }
}

/* ---- the figure ---- */

static void put_path(kf_buf_t *out, const char *class)
{
    kf_buf_printf(out, "<path class=\"%s\" d=\"", class);
}

static void put_lines(kf_buf_t *out, const kf_plot_t *plot, const kf_snapshot_t *s,
                      const kf_snapshot_connection_t *c, double most)
{
    for (int l = plot->line_count - 1; l >= 0; l--) {
        series_t series = {c->history[plot->line[l].field], s->history_count, scale_of(plot, s),
                           most};

        if (!series.v)
            series.count = 0;
        if (plot->line[l].filled) {
            put_path(out, "area");
            put_area(out, &series);
            kf_buf_put_str(out, KF_STR("\"/>"));
        }
        put_path(out, plot->line[l].dashed ? "line second" : "line first");
        put_line(out, &series);
        kf_buf_put_str(out, KF_STR("\"/>"));
    }
    if (plot->marks >= 0) {
        put_path(out, "marks");
        put_marks(out, c->history[plot->marks], s->history_count);
        kf_buf_put_str(out, KF_STR("\"/>"));
    }
}

static void put_key(kf_buf_t *out, const char *class, const char *name)
{
    kf_buf_printf(out,
                  "<span class=\"key\"><svg class=\"swatch\" viewBox=\"0 0 24 8\" "
                  "aria-hidden=\"true\"><path class=\"%s\" d=\"%s\"/></svg>%s</span> ",
                  class, class[0] == 'm' ? "M12 0v8" : "M0 4H24", name);
}

/* Lines, then marks: the names of the history's fields, for the script. */
static void put_fields(kf_buf_t *out, const kf_plot_t *plot)
{
    kf_buf_printf(out, " data-kind=\"%s\" data-first=\"%s\"", plot->kind,
                  kf_history_info(plot->line[0].field)->json);
    if (plot->line_count > 1)
        kf_buf_printf(out, " data-second=\"%s\"", kf_history_info(plot->line[1].field)->json);
    if (plot->marks >= 0)
        kf_buf_printf(out, " data-marks=\"%s\"",
                      kf_history_info((kf_history_id_t)plot->marks)->json);
}

static void put_caption(kf_buf_t *out, const kf_plot_t *plot)
{
    kf_buf_printf(out, "<figcaption><b>%s</b> ", plot->title);
    for (int l = 0; l < plot->line_count; l++)
        put_key(out, plot->line[l].dashed ? "line second" : "line first", plot->line[l].name);
    if (plot->marks >= 0)
        put_key(out, "marks", plot->marks_name);
    kf_buf_put_str(out, KF_STR("</figcaption>"));
}

/* What a listener gets to know: the latest and the highest value of each line. */
static void put_description(kf_buf_t *out, const kf_plot_t *plot, const kf_snapshot_t *s,
                            const kf_snapshot_connection_t *c)
{
    kf_buf_printf(out, "%s over the last hour.", plot->title);
    for (int l = 0; l < plot->line_count; l++) {
        const int64_t *v = c->history[plot->line[l].field];
        double most = -1, scale = scale_of(plot, s);

        for (int i = 0; v && i < s->history_count; i++)
            if ((double)v[i] > most)
                most = (double)v[i];
        kf_buf_printf(out, " %s: ", plot->line[l].name);
        if (most < 0) {
            kf_buf_put_str(out, KF_STR("nothing."));
            continue;
        }
        kf_buf_put_str(out, KF_STR("highest "));
        put_value(out, plot, most * scale);
        if (v[s->history_count - 1] >= 0) {
            kf_buf_put_str(out, KF_STR(", now "));
            put_value(out, plot, (double)v[s->history_count - 1] * scale);
        }
        kf_buf_putc(out, '.');
    }
}

void kf_plot_put(kf_buf_t *out, const kf_plot_t *plot, const kf_snapshot_t *s,
                 const kf_snapshot_connection_t *c)
{
    double most = highest(plot, s, c);

    kf_buf_put_str(out, KF_STR("<figure class=\"plot\""));
    put_fields(out, plot);
    kf_buf_putc(out, '>');
    put_caption(out, plot);
    kf_buf_put_str(out, KF_STR("<div class=\"canvas\" tabindex=\"0\" role=\"img\" aria-label=\""));
    put_description(out, plot, s, c);
    kf_buf_printf(out,
                  "\"><svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" aria-hidden=\"true\" "
                  "focusable=\"false\">"
                  "<path class=\"grid\" d=\"M0 4H720M0 52H720M0 99.5H720\"/>",
                  WIDTH, HEIGHT);
    put_lines(out, plot, s, c, most);
    kf_buf_put_str(out, KF_STR("<path class=\"cursor\" d=\"\"/></svg><span class=\"most\">"));
    put_value(out, plot, most);
    kf_buf_put_str(out, KF_STR("</span><span class=\"from\">"));
    if (s->history_count > 0) {
        kf_text_duration(out, (double)s->history_step_us * s->history_count);
        kf_buf_put_str(out, KF_STR(" ago"));
    }
    kf_buf_put_str(out, KF_STR("</span><span class=\"to\">now</span>"
                               "<output class=\"reading\"></output></div></figure>"));
}
