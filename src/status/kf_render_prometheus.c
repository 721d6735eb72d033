/* SPDX-License-Identifier: Apache-2.0
 *
 * The snapshot in Prometheus' text format (kf_render.h, docs/metrics.md). Must not know HTTP.
 */
#include "status/kf_render.h"

#include "status/kf_state.h"
#include "status/kf_text.h"

/* HELP and TYPE. A help text escapes the backslash and the line break alone; ours have neither. */
static void head(kf_buf_t *out, const char *metric, const char *type, const char *help)
{
    kf_buf_put_str(out, KF_STR("# HELP "));
    kf_buf_put_str(out, kf_str_of(metric));
    kf_buf_putc(out, ' ');
    kf_buf_put_str(out, kf_str_of(help));
    kf_buf_put_str(out, KF_STR("\n# TYPE "));
    kf_buf_put_str(out, kf_str_of(metric));
    kf_buf_putc(out, ' ');
    kf_buf_put_str(out, kf_str_of(type));
    kf_buf_putc(out, '\n');
}

static void label(kf_buf_t *out, char before, const char *name, const char *value)
{
    kf_buf_putc(out, before);
    kf_buf_put_str(out, kf_str_of(name));
    kf_buf_put_str(out, KF_STR("=\""));
    kf_text_puts(out, KF_TEXT_LABEL, value);
    kf_buf_putc(out, '"');
}

/* METRIC{connection="NAME" */
static void start(kf_buf_t *out, const char *metric, const char *suffix,
                  const kf_snapshot_connection_t *c)
{
    kf_buf_put_str(out, kf_str_of(metric));
    kf_buf_put_str(out, kf_str_of(suffix));
    label(out, '{', "connection", c->name);
}

static void finish(kf_buf_t *out, kf_unit_t unit, int64_t value)
{
    kf_buf_put_str(out, KF_STR("} "));
    kf_text_number(out, unit, value);
    kf_buf_putc(out, '\n');
}

static void plain(kf_buf_t *out, const char *metric, const char *help, kf_unit_t unit,
                  int64_t value)
{
    head(out, metric, "gauge", help);
    kf_buf_put_str(out, kf_str_of(metric));
    kf_buf_putc(out, ' ');
    kf_text_number(out, unit, value);
    kf_buf_putc(out, '\n');
}

/* ---- counters ---- */

/* @return the first counter of the next family */
static int family(kf_buf_t *out, const kf_snapshot_t *s, kf_metric_family_t id, int first)
{
    const kf_family_info_t *info = kf_family_info(id);
    int end = first;

    while (end < KF_COUNT_MAX && kf_count_info((kf_count_t)end)->family == id)
        end++;
    head(out, info->prometheus, "counter", info->help);
    for (int i = 0; i < s->connection_count; i++)
        for (int n = first; n < end; n++) {
            start(out, info->prometheus, "", &s->connections[i]);
            if (info->label[0])
                label(out, ',', info->label, kf_count_info((kf_count_t)n)->value);
            finish(out, KF_UNIT_NUMBER, (int64_t)s->connections[i].numbers.count[n]);
        }
    return end;
}

/* ---- gauges ---- */

/* What is one of several: a line for each, 1 for the one that it is. */
static void choice(kf_buf_t *out, const char *metric, const kf_snapshot_connection_t *c,
                   const char *name, const char *value, bool is)
{
    start(out, metric, "", c);
    label(out, ',', name, value);
    finish(out, KF_UNIT_NUMBER, is);
}

static void gauge_of(kf_buf_t *out, const kf_gauge_info_t *info, const kf_snapshot_connection_t *c,
                     int64_t value)
{
    switch (info->unit) {
    case KF_UNIT_STATE:
        for (int i = 0; i < KF_DELIVERY_STATES; i++)
            choice(out, info->prometheus, c, "state",
                   kf_delivery_state_text((kf_delivery_state_t)i), value == i);
        break;
    case KF_UNIT_PUT_MODE:
        choice(out, info->prometheus, c, "mode", "batch", value == 0);
        choice(out, info->prometheus, c, "mode", "single", value != 0);
        break;
    default:
        start(out, info->prometheus, "", c);
        finish(out, info->unit, value);
    }
}

static void gauges(kf_buf_t *out, const kf_snapshot_t *s)
{
    for (int g = 0; g < KF_GAUGE_COUNT; g++) {
        const kf_gauge_info_t *info = kf_gauge_info((kf_gauge_id_t)g);

        head(out, info->prometheus, "gauge", info->help);
        for (int i = 0; i < s->connection_count; i++)
            gauge_of(out, info, &s->connections[i], s->connections[i].numbers.gauge[g]);
    }
}

/* ---- histograms ---- */

static void histogram_of(kf_buf_t *out, const kf_histogram_info_t *info,
                         const kf_snapshot_connection_t *c, const kf_histogram_t *h)
{
    uint64_t below = 0;

    for (int b = 0; b < info->bound_count; b++) {
        below += h->bucket[b];
        start(out, info->prometheus, "_bucket", c);
        kf_buf_put_str(out, KF_STR(",le=\""));
        kf_text_number(out, info->unit, info->bounds[b]);
        kf_buf_putc(out, '"');
        finish(out, KF_UNIT_NUMBER, (int64_t)below);
    }
    below += h->bucket[info->bound_count];
    start(out, info->prometheus, "_bucket", c);
    label(out, ',', "le", "+Inf");
    finish(out, KF_UNIT_NUMBER, (int64_t)below);
    start(out, info->prometheus, "_sum", c);
    finish(out, info->unit, (int64_t)h->sum);
    start(out, info->prometheus, "_count", c);
    finish(out, KF_UNIT_NUMBER, (int64_t)below);
}

static void histograms(kf_buf_t *out, const kf_snapshot_t *s)
{
    for (int h = 0; h < KF_HISTOGRAM_COUNT; h++) {
        const kf_histogram_info_t *info = kf_histogram_info((kf_histogram_id_t)h);

        head(out, info->prometheus, "histogram", info->help);
        for (int i = 0; i < s->connection_count; i++)
            histogram_of(out, info, &s->connections[i], &s->connections[i].numbers.histogram[h]);
    }
}

/* ---- the server ---- */

static void alerts(kf_buf_t *out, const kf_snapshot_t *s)
{
    static const char metric[] = "kinesis_forward_alerts";
    static const char *const levels[] = {"error", "warning", "notice"};

    head(out, metric, "gauge", "Alerts that go on, acknowledged or not");
    for (int i = 0; i < 3; i++) {
        kf_buf_put_str(out, kf_str_of(metric));
        label(out, '{', "level", levels[i]);
        finish(out, KF_UNIT_NUMBER, s->raised[i]);
    }
}

static void server(kf_buf_t *out, const kf_snapshot_t *s)
{
    static const char info[] = "kinesis_forward_info";
    kf_buf_t why;

    head(out, info, "gauge", "Always 1; the labels tell which server it is");
    kf_buf_put_str(out, kf_str_of(info));
    label(out, '{', "version", s->version);
    label(out, ',', "mpm", s->mpm);
    label(out, ',', "durability", s->durability);
    finish(out, KF_UNIT_NUMBER, 1);
    plain(out, "kinesis_forward_accepting", "1 while posts are taken, as ?health says",
          KF_UNIT_NUMBER, !s->closed);
    alerts(out, s);
    kf_buf_init(&why, 4096);
    plain(out, "kinesis_forward_health",
          "0 healthy, 1 degraded, 2 failing; without regard to alerts", KF_UNIT_NUMBER,
          (int64_t)kf_state_overall(s, &why));
    kf_buf_free(&why);
    for (int i = 0; i < KF_SERVER_COUNT; i++) {
        const kf_server_info_t *gauge = kf_server_info((kf_server_gauge_t)i);

        plain(out, gauge->prometheus, gauge->help, gauge->unit, s->server[i]);
    }
}

void kf_render_prometheus(kf_buf_t *out, const kf_snapshot_t *s)
{
    int counter = 0;

    server(out, s);
    for (int f = 0; f < KF_FAMILY_COUNT; f++)
        counter = family(out, s, (kf_metric_family_t)f, counter);
    gauges(out, s);
    histograms(out, s);
}
