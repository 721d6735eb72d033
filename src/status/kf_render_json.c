/* SPDX-License-Identifier: Apache-2.0
 *
 * The snapshot as JSON (kf_render.h, docs/status.md). Must not know HTTP.
 */
#include "status/kf_render.h"

#include "status/kf_state.h"
#include "status/kf_text.h"

#define FORMAT_VERSION 1

typedef struct {
    kf_buf_t *out;
    bool first; /* of the object or array that is open */
} json_t;

static void comma(json_t *j)
{
    if (!j->first)
        kf_buf_putc(j->out, ',');
    j->first = false;
}

static void put_string(json_t *j, const char *text)
{
    if (!text) {
        kf_buf_put_str(j->out, KF_STR("null"));
        return;
    }
    kf_buf_putc(j->out, '"');
    kf_text_puts(j->out, KF_TEXT_JSON, text);
    kf_buf_putc(j->out, '"');
}

static void name(json_t *j, const char *member)
{
    comma(j);
    put_string(j, member);
    kf_buf_putc(j->out, ':');
}

static void open_as(json_t *j, const char *member, char bracket)
{
    if (member)
        name(j, member);
    else
        comma(j);
    kf_buf_putc(j->out, bracket);
    j->first = true;
}

static void shut(json_t *j, char bracket)
{
    kf_buf_putc(j->out, bracket);
    j->first = false;
}

static void string(json_t *j, const char *member, const char *text)
{
    name(j, member);
    put_string(j, text);
}

static void flag(json_t *j, const char *member, bool value)
{
    name(j, member);
    kf_buf_put_str(j->out, value ? KF_STR("true") : KF_STR("false"));
}

static void number(json_t *j, const char *member, kf_unit_t unit, int64_t value)
{
    name(j, member);
    kf_text_number(j->out, unit, value);
}

static void integer(json_t *j, const char *member, uint64_t value)
{
    number(j, member, KF_UNIT_NUMBER, (int64_t)value);
}

/* A moment, null for none. */
static void moment(json_t *j, const char *member, int64_t us)
{
    if (us != 0)
        number(j, member, KF_UNIT_TIME, us);
    else
        string(j, member, NULL);
}

/* ---- a connection ---- */

static void counters(json_t *j, const kf_snapshot_connection_t *c)
{
    int n = 0;

    open_as(j, "counters", '{');
    for (int f = 0; f < KF_FAMILY_COUNT; f++) {
        const kf_family_info_t *family = kf_family_info((kf_metric_family_t)f);

        if (!family->label[0]) {
            integer(j, family->json, c->numbers.count[n++]);
            continue;
        }
        open_as(j, family->json, '{');
        for (; n < KF_COUNT_MAX && kf_count_info((kf_count_t)n)->family == (kf_metric_family_t)f;
             n++)
            integer(j, kf_count_info((kf_count_t)n)->value, c->numbers.count[n]);
        shut(j, '}');
    }
    shut(j, '}');
}

static void gauges(json_t *j, const kf_snapshot_connection_t *c)
{
    open_as(j, "gauges", '{');
    for (int i = 0; i < KF_GAUGE_COUNT; i++) {
        const kf_gauge_info_t *info = kf_gauge_info((kf_gauge_id_t)i);

        if (info->unit == KF_UNIT_STATE)
            string(j, info->json, kf_delivery_state_text((kf_delivery_state_t)c->numbers.gauge[i]));
        else if (info->unit == KF_UNIT_PUT_MODE)
            string(j, info->json, c->numbers.gauge[i] == 0 ? "batch" : "single");
        else
            number(j, info->json, info->unit, c->numbers.gauge[i]);
    }
    shut(j, '}');
}

static void quantile(json_t *j, const char *member, const kf_histogram_t *h, kf_histogram_id_t id,
                     double p)
{
    int64_t value = kf_histogram_quantile(id, h, p);

    if (value < 0)
        string(j, member, NULL);
    else
        number(j, member, kf_histogram_info(id)->unit, value);
}

static void histograms(json_t *j, const kf_snapshot_connection_t *c)
{
    open_as(j, "histograms", '{');
    for (int i = 0; i < KF_HISTOGRAM_COUNT; i++) {
        kf_histogram_id_t id = (kf_histogram_id_t)i;
        const kf_histogram_info_t *info = kf_histogram_info(id);
        const kf_histogram_t *h = &c->numbers.histogram[i];

        open_as(j, info->json, '{');
        integer(j, "count", h->count);
        number(j, "sum", info->unit, (int64_t)h->sum);
        quantile(j, "p50", h, id, 0.5);
        quantile(j, "p99", h, id, 0.99);
        open_as(j, "bounds", '[');
        for (int b = 0; b < info->bound_count; b++) {
            comma(j);
            kf_text_number(j->out, info->unit, info->bounds[b]);
        }
        shut(j, ']');
        open_as(j, "buckets", '[');
        for (int b = 0; b <= info->bound_count; b++) {
            comma(j);
            kf_buf_put_i64(j->out, (long long)h->bucket[b]);
        }
        shut(j, ']');
        shut(j, '}');
    }
    shut(j, '}');
}

static void last_error(json_t *j, const kf_last_error_t *e)
{
    if (e->at_us == 0) {
        string(j, "last_error", NULL);
        return;
    }
    open_as(j, "last_error", '{');
    moment(j, "time", e->at_us);
    integer(j, "status", (uint64_t)e->status);
    string(j, "code", e->code);
    string(j, "message", e->message);
    string(j, "request_id", e->request_id);
    shut(j, '}');
}

static void trouble(json_t *j, const kf_snapshot_connection_t *c)
{
    kf_msg_t msg = c->trouble;

    if (msg == KF_MSG_COUNT) {
        string(j, "trouble", NULL);
        return;
    }
    open_as(j, "trouble", '{');
    string(j, "id", kf_msg_info(msg)->id);
    string(j, "text", kf_msg_info(msg)->text);
    string(j, "advice", kf_state_advice(c));
    shut(j, '}');
}

/* The first value after a moment. */
static int first_after(const kf_snapshot_t *s, int64_t since_us)
{
    int64_t newer;

    if (since_us <= 0 || s->history_step_us <= 0)
        return 0;
    newer = (s->history_end_us - since_us + s->history_step_us - 1) / s->history_step_us;
    if (newer <= 0)
        return s->history_count;
    return newer >= s->history_count ? 0 : s->history_count - (int)newer;
}

static void history(json_t *j, const kf_snapshot_connection_t *c, int from, int count)
{
    open_as(j, "history", '{');
    for (int f = 0; f < KF_HISTORY_COUNT; f++) {
        const kf_history_info_t *info = kf_history_info((kf_history_id_t)f);

        open_as(j, info->json, '[');
        for (int i = from; c->history[f] && i < count; i++) {
            comma(j);
            if (c->history[f][i] < 0)
                kf_buf_put_str(j->out, KF_STR("null"));
            else
                kf_text_number(j->out, info->unit, c->history[f][i]);
        }
        shut(j, ']');
    }
    shut(j, '}');
}

static void connection(json_t *j, const kf_snapshot_t *s, const kf_snapshot_connection_t *c,
                       int from)
{
    const char *words;
    kf_state_t state = kf_state_of(c, &words);

    open_as(j, NULL, '{');
    string(j, "name", c->name);
    string(j, "state", kf_state_text(state));
    string(j, "state_text", words);
    string(j, "service", c->service);
    string(j, "region", c->region);
    string(j, "stream", c->stream);
    string(j, "endpoint", c->endpoint);
    string(j, "put_mode", c->put_mode);
    flag(j, "windowed", c->windowed);
    open_as(j, "settings", '{');
    for (int i = 0; i < c->setting_count; i++)
        string(j, c->settings[i].name, c->settings[i].value);
    shut(j, '}');
    trouble(j, c);
    last_error(j, &c->numbers.error);
    gauges(j, c);
    counters(j, c);
    histograms(j, c);
    history(j, c, from, s->history_count);
    shut(j, '}');
}

/* ---- the index ---- */

static void alert(json_t *j, const kf_snapshot_alert_t *a)
{
    open_as(j, NULL, '{');
    integer(j, "alert", (uint64_t)a->id);
    string(j, "id", a->msg);
    string(j, "level", a->level);
    string(j, "connection", a->connection);
    string(j, "text", a->text);
    string(j, "advice", a->advice);
    string(j, "code", a->code);
    string(j, "message", a->message);
    string(j, "request_id", a->request_id);
    moment(j, "first_time", a->first_us);
    moment(j, "last_time", a->last_us);
    integer(j, "count", a->count);
    flag(j, "active", a->active);
    flag(j, "acknowledged", a->acknowledged);
    string(j, "acknowledged_by", a->acknowledged_by);
    shut(j, '}');
}

static void letter(json_t *j, const kf_snapshot_letter_t *l)
{
    open_as(j, NULL, '{');
    integer(j, "letter", (uint64_t)l->id);
    string(j, "connection", l->connection);
    string(j, "reason", l->reason);
    string(j, "code", l->code);
    string(j, "message", l->message);
    string(j, "request_id", l->request_id);
    integer(j, "attempts", l->attempts);
    integer(j, "events", l->events);
    integer(j, "bytes", l->bytes);
    moment(j, "accepted_time", l->accepted_us);
    moment(j, "failed_time", l->failed_us);
    flag(j, "replay", l->marked);
    shut(j, '}');
}

static void letters(json_t *j, const kf_snapshot_index_t *x)
{
    uint64_t total = 0;

    for (int i = 0; i < x->total_count; i++)
        total += x->totals[i].letters;
    open_as(j, "dead_letters", '{');
    string(j, "error", x->error);
    integer(j, "total", total);
    open_as(j, "connections", '[');
    for (int i = 0; i < x->total_count; i++) {
        open_as(j, NULL, '{');
        string(j, "name", x->totals[i].connection);
        integer(j, "letters", x->totals[i].letters);
        integer(j, "replay", x->totals[i].marked);
        integer(j, "bytes", x->totals[i].bytes);
        moment(j, "oldest_time", x->totals[i].oldest_us);
        shut(j, '}');
    }
    shut(j, ']');
    open_as(j, "page", '[');
    for (int i = 0; i < x->letter_count; i++)
        letter(j, &x->letters[i]);
    shut(j, ']');
    string(j, "page_of", x->letters_of);
    integer(j, "before", (uint64_t)x->before);
    integer(j, "next_before", (uint64_t)x->next_before);
    shut(j, '}');
}

/* ---- the whole ---- */

static void server(json_t *j, const kf_snapshot_t *s)
{
    open_as(j, "server", '{');
    string(j, "version", s->version);
    string(j, "host", s->host);
    string(j, "mpm", s->mpm);
    string(j, "store_directory", s->directory);
    string(j, "durability", s->durability);
    flag(j, "delivering", s->delivering);
    for (int i = 0; i < KF_SERVER_COUNT; i++) {
        const kf_server_info_t *info = kf_server_info((kf_server_gauge_t)i);

        number(j, info->json, info->unit, s->server[i]);
    }
    shut(j, '}');
}

static void overall(json_t *j, const kf_snapshot_t *s)
{
    kf_buf_t why;

    kf_buf_init(&why, 4096);
    string(j, "state", kf_state_text(kf_state_overall(s, &why)));
    name(j, "summary");
    kf_buf_putc(j->out, '"');
    kf_text_put(j->out, KF_TEXT_JSON, kf_buf_str(&why));
    kf_buf_putc(j->out, '"');
    kf_buf_free(&why);
    flag(j, "accepting", !s->closed);
    string(j, "closed", s->closed);
}

void kf_render_json(kf_buf_t *out, const kf_snapshot_t *s, int64_t since_us)
{
    json_t j = {.out = out, .first = true};
    int from = first_after(s, since_us);

    open_as(&j, NULL, '{');
    integer(&j, "format", FORMAT_VERSION);
    number(&j, "time", KF_UNIT_TIME, s->at_us);
    overall(&j, s);
    server(&j, s);
    open_as(&j, "history", '{');
    number(&j, "step_seconds", KF_UNIT_SECONDS, s->history_step_us);
    moment(&j, "end_time", s->history_end_us);
    integer(&j, "points", (uint64_t)(s->history_count - from));
    integer(&j, "window", (uint64_t)s->history_count);
    shut(&j, '}');
    open_as(&j, "connections", '[');
    for (int i = 0; i < s->connection_count; i++)
        connection(&j, s, &s->connections[i], from);
    shut(&j, ']');
    if (s->has_index) {
        open_as(&j, "alerts", '{');
        string(&j, "error", s->index.error);
        flag(&j, "more", s->index.alerts_more);
        open_as(&j, "list", '[');
        for (int i = 0; i < s->index.alert_count; i++)
            alert(&j, &s->index.alerts[i]);
        shut(&j, ']');
        shut(&j, '}');
        letters(&j, &s->index);
    }
    shut(&j, '}');
    kf_buf_putc(out, '\n');
}
