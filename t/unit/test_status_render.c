/* SPDX-License-Identifier: Apache-2.0
 *
 * The renderings of snapshots made here: that what is in them can be read back, that text of others
 * shows as text, and what makes a server healthy, degraded or failing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/kf_clock.h"
#include "status/kf_assets.h"
#include "status/kf_render.h"
#include "status/kf_state.h"

/* Everything that could be more than text, in one. */
#define NASTY "</td><script>alert('x')</script>\"\\\n\x1b[2J{}$\xFF\xE2\x80\xAE"
#define POINTS 360
#define NOW_US INT64_C(1795383795000000)

static int64_t values[POINTS], gaps[POINTS];
static kf_snapshot_connection_t connections[2];
static kf_snapshot_alert_t alerts[2];
static kf_snapshot_letter_t letters[2];
static kf_snapshot_letters_of_t totals[2];
static const kf_snapshot_setting_t settings[] = {{"KinesisStreamName", NASTY},
                                                 {"KinesisSecretAccessKey", "set"}};
static kf_buf_t out;

static kf_snapshot_connection_t connection(const char *name)
{
    kf_snapshot_connection_t c = {.name = name,
                                  .service = "streams",
                                  .region = "us-east-1",
                                  .stream = "events",
                                  .put_mode = "auto",
                                  .settings = settings,
                                  .setting_count = 2,
                                  .trouble = KF_MSG_COUNT};

    for (int i = 0; i < KF_COUNT_MAX; i++)
        c.numbers.count[i] = (uint64_t)i + 1;
    for (int i = 0; i < KF_HISTORY_COUNT; i++)
        c.history[i] = values;
    c.history[KF_HISTORY_DELIVERY_P50] = gaps;
    return c;
}

static kf_snapshot_t healthy(void)
{
    kf_snapshot_t s = {.at_us = NOW_US,
                       .version = "1.2.3",
                       .host = "host.example",
                       .mpm = "event",
                       .directory = "/var/lib/store",
                       .durability = "disk",
                       .delivering = true,
                       .history_step_us = 10 * KF_SEC,
                       .history_end_us = NOW_US - KF_SEC,
                       .history_count = POINTS,
                       .connections = connections,
                       .connection_count = 2,
                       .has_index = true};

    for (int i = 0; i < POINTS; i++) {
        values[i] = i;
        gaps[i] = i % 5 == 0 ? -1 : 2500 * i;
    }
    connections[0] = connection("one");
    connections[1] = connection("two");
    s.server[KF_SERVER_STORE_LIMIT] = INT64_C(1) << 32;
    s.server[KF_SERVER_START_TIME] = NOW_US - 3600 * KF_SEC;
    return s;
}

/* A snapshot in which every text is nasty. */
static kf_snapshot_t nasty(void)
{
    kf_snapshot_t s = healthy();

    s.version = s.host = s.mpm = s.directory = s.durability = s.closed = NASTY;
    connections[0] = connection(NASTY);
    connections[0].service = connections[0].region = connections[0].stream = NASTY;
    connections[0].endpoint = connections[0].put_mode = NASTY;
    connections[0].trouble = KF0306;
    connections[0].numbers.error.at_us = NOW_US;
    snprintf(connections[0].numbers.error.code, sizeof connections[0].numbers.error.code, "%s",
             NASTY);
    snprintf(connections[0].numbers.error.message, sizeof connections[0].numbers.error.message,
             "%s", NASTY);
    snprintf(connections[0].numbers.error.request_id,
             sizeof connections[0].numbers.error.request_id, "%s", NASTY);
    alerts[0] = (kf_snapshot_alert_t){7,     NASTY, NASTY, NASTY,  NASTY, NASTY, NASTY, NASTY,
                                      NASTY, 1,     2,     300000, true,  true,  NASTY};
    alerts[1] = alerts[0];
    letters[0] = (kf_snapshot_letter_t){.id = 41,
                                        .connection = NASTY,
                                        .reason = NASTY,
                                        .code = NASTY,
                                        .message = NASTY,
                                        .request_id = NASTY,
                                        .attempts = 3,
                                        .events = 2,
                                        .accepted_us = 1,
                                        .failed_us = NOW_US,
                                        .bytes = 5000};
    letters[1] = letters[0];
    letters[1].id = 40;
    letters[1].marked = true;
    totals[0] = (kf_snapshot_letters_of_t){NASTY, 2, 1, 10000, NOW_US};
    s.index = (kf_snapshot_index_t){.error = NASTY,
                                    .alerts = alerts,
                                    .alert_count = 2,
                                    .alerts_more = true,
                                    .letters = letters,
                                    .letter_count = 2,
                                    .letters_of = NASTY,
                                    .before = 42,
                                    .next_before = 40,
                                    .totals = totals,
                                    .total_count = 1};
    return s;
}

static const char *finish(void)
{
    kf_buf_putc(&out, '\0');
    assert_false(out.failed);
    return out.p;
}

static const char *html(const kf_snapshot_t *s)
{
    kf_page_t page = {.path = "/status",
                      .token = "0123",
                      .styles = "?asset=style.css&v=1",
                      .script = "?asset=script.js&v=1",
                      .icon = "?asset=icon.svg&v=1",
                      .notice = NASTY};

    kf_buf_clear(&out);
    kf_render_html(&out, s, &page);
    return finish();
}

static json_t *json(const kf_snapshot_t *s, int64_t since_us)
{
    json_error_t error;
    json_t *value;

    kf_buf_clear(&out);
    kf_render_json(&out, s, since_us);
    value = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        fail_msg("%s at %d", error.text, error.position);
    return value;
}

static const char *text_at(json_t *value, const char *a, const char *b)
{
    return json_string_value(json_object_get(json_object_get(value, a), b));
}

/* ---- JSON ---- */

static void test_json_says_what_is(void **state)
{
    kf_snapshot_t s = healthy();
    json_t *all = json(&s, 0), *one;

    (void)state;
    assert_string_equal(json_string_value(json_object_get(all, "state")), "healthy");
    assert_true(json_is_true(json_object_get(all, "accepting")));
    assert_true(json_real_value(json_object_get(all, "time")) == 0 &&
                json_integer_value(json_object_get(all, "time")) == NOW_US / KF_SEC);
    assert_string_equal(text_at(all, "server", "version"), "1.2.3");
    assert_int_equal(json_array_size(json_object_get(all, "connections")), 2);
    one = json_array_get(json_object_get(all, "connections"), 0);
    assert_string_equal(json_string_value(json_object_get(one, "name")), "one");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(one, "counters"), "accepted_records")),
        KF_COUNT_ACCEPTED + 1);
    assert_int_equal(
        json_integer_value(json_object_get(
            json_object_get(json_object_get(one, "counters"), "rejected_requests"), "413")),
        KF_COUNT_REJECTED_413 + 1);
    assert_string_equal(text_at(one, "settings", "KinesisSecretAccessKey"), "set");
    assert_true(json_is_null(json_object_get(one, "last_error")));
    assert_true(json_is_null(json_object_get(one, "trouble")));
    json_decref(all);
}

static json_t *series(json_t *all, const char *field)
{
    json_t *one = json_array_get(json_object_get(all, "connections"), 0);

    return json_object_get(json_object_get(one, "history"), field);
}

static void test_json_history(void **state)
{
    kf_snapshot_t s = healthy();
    json_t *all = json(&s, 0);

    (void)state;
    assert_int_equal(json_array_size(series(all, "delivered_records")), POINTS);
    assert_int_equal(json_integer_value(json_array_get(series(all, "delivered_records"), 359)),
                     359);
    assert_true(json_is_null(json_array_get(series(all, "delivery_p50_seconds"), 5)));
    assert_true(json_real_value(json_array_get(series(all, "delivery_p50_seconds"), 1)) == 0.0025);
    json_decref(all);
    /* What is newer than a moment. */
    all = json(&s, s.history_end_us - 25 * KF_SEC);
    assert_int_equal(json_array_size(series(all, "delivered_records")), 3);
    assert_int_equal(json_integer_value(json_array_get(series(all, "delivered_records"), 0)), 357);
    json_decref(all);
    all = json(&s, s.history_end_us);
    assert_int_equal(json_array_size(series(all, "delivered_records")), 0);
    json_decref(all);
    all = json(&s, s.history_end_us + 100 * KF_SEC);
    assert_int_equal(json_array_size(series(all, "delivered_records")), 0);
    json_decref(all);
    all = json(&s, 1);
    assert_int_equal(json_array_size(series(all, "delivered_records")), POINTS);
    json_decref(all);
    s.history_count = 0;
    s.history_step_us = s.history_end_us = 0;
    all = json(&s, 1);
    assert_int_equal(json_array_size(series(all, "delivered_records")), 0);
    json_decref(all);
}

static void test_json_of_nasty_text(void **state)
{
    kf_snapshot_t s = nasty();
    json_t *all = json(&s, 0);
    json_t *alert = json_array_get(json_object_get(json_object_get(all, "alerts"), "list"), 0);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(alert, "message")),
                        "</td><script>alert('x')</script>\"\\\xE2\x90\x8A\xE2\x90\x9B[2J{}$"
                        "\xEF\xBF\xBD<U+202E>");
    json_decref(all);
}

/* ---- HTML ---- */

static void test_html_shows_text_as_text(void **state)
{
    kf_snapshot_t s = nasty();
    const char *page = html(&s), *script;

    (void)state;
    assert_null(strstr(page, "alert('x')"));
    assert_null(strstr(page, "\x1b"));
    assert_null(strstr(page, "\xE2\x80\xAE"));
    assert_null(strstr(page, "\xFF"));
    assert_non_null(strstr(page, "&lt;/td&gt;&lt;script&gt;"));
    /* One script, from a file; nothing else that runs. */
    script = strstr(page, "<script");
    assert_non_null(script);
    assert_null(strstr(script + 1, "<script"));
    assert_null(strstr(page, " style="));
    assert_null(strstr(page, " onclick"));
    assert_null(strstr(page, "javascript:"));
}

/* Elements that are opened are closed, in order; attributes are quoted. */
static void test_html_is_well_formed(void **state)
{
    static const char *const empty[] = {"meta", "link", "input", "!DOCTYPE", "path"};
    kf_snapshot_t s = nasty();
    const char *at = html(&s);
    char open[64][24];
    int depth = 0;

    (void)state;
    while ((at = strchr(at, '<')) != NULL) {
        bool closes = at[1] == '/';
        const char *name = at + 1 + closes, *end = strchr(at, '>');
        size_t n = strcspn(name, " >/");
        bool is_empty = false;
        int quotes = 0;

        assert_non_null(end);
        for (const char *p = at; p < end; p++)
            quotes += *p == '"';
        assert_int_equal(quotes % 2, 0);
        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
            is_empty = is_empty || (strlen(empty[i]) == n && strncmp(name, empty[i], n) == 0);
        if (closes) {
            assert_true(depth > 0);
            depth--;
            if (strlen(open[depth]) != n || strncmp(open[depth], name, n) != 0)
                fail_msg("<%s> is closed by %.40s", open[depth], at);
        } else if (!is_empty) {
            assert_true(depth < 64 && n < 24);
            snprintf(open[depth++], 24, "%.*s", (int)n, name);
        }
        at = end;
    }
    assert_int_equal(depth, 0);
}

static void test_html_shows_no_bytes_of_letters_and_has_the_token(void **state)
{
    kf_snapshot_t s = nasty();
    const char *page = html(&s);

    (void)state;
    assert_non_null(strstr(page, "name=\"token\" value=\"0123\""));
    assert_non_null(strstr(page, "href=\"?letter=41\""));
    assert_non_null(strstr(page, "href=\"?preview=41\""));
    assert_non_null(strstr(page, "lang=\"en\""));
    assert_non_null(strstr(page, "<main"));
    assert_non_null(strstr(page, "scope=\"col\""));
}

static void test_html_without_anything(void **state)
{
    kf_snapshot_t s = {.at_us = NOW_US,
                       .version = "1",
                       .host = "h",
                       .mpm = "event",
                       .directory = "/d",
                       .durability = "disk",
                       .closed = "no connection is configured"};
    const char *page = html(&s);

    (void)state;
    assert_non_null(strstr(page, "None is configured"));
    assert_non_null(strstr(page, "</html>"));
}

/* ---- Prometheus ---- */

/* A line that is no comment: NAME{LABELS} VALUE, labels quoted. */
static void check_sample(const char *line, size_t n)
{
    size_t i = strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789");

    assert_true(i > 0 && strncmp(line, "kinesis_forward_", 16) == 0);
    if (line[i] == '{') {
        do {
            i++;
            i += strspn(line + i, "abcdefghijklmnopqrstuvwxyz_");
            assert_true(line[i] == '=' && line[i + 1] == '"');
            for (i += 2; line[i] != '"'; i++) {
                assert_true(i < n && (unsigned char)line[i] >= 0x20);
                if (line[i] == '\\') {
                    i++;
                    assert_non_null(strchr("\\\"n", line[i]));
                }
            }
            i++;
        } while (line[i] == ',');
        assert_int_equal(line[i], '}');
        i++;
    }
    assert_int_equal(line[i], ' ');
    assert_int_equal(strspn(line + i + 1, "-0123456789."), n - i - 1);
    assert_true(n > i + 1);
}

static void test_prometheus_is_well_formed(void **state)
{
    kf_snapshot_t s = nasty();
    const char *line;

    (void)state;
    connections[0].numbers.histogram[0].bucket[3] = 5;
    kf_buf_clear(&out);
    kf_render_prometheus(&out, &s);
    for (line = finish(); *line;) {
        const char *end = strchr(line, '\n');

        assert_non_null(end);
        if (line[0] != '#')
            check_sample(line, (size_t)(end - line));
        else
            assert_true(strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0);
        line = end + 1;
    }
}

static double sample(const char *start)
{
    const char *at = strstr(out.p, start);

    if (!at)
        fail_msg("there is no %s", start);
    return strtod(at + strlen(start), NULL);
}

static void test_prometheus_histograms_add_up(void **state)
{
    kf_snapshot_t s = healthy();
    kf_histogram_t *h = &connections[0].numbers.histogram[KF_HISTOGRAM_CALL];

    (void)state;
    h->bucket[0] = 1;
    h->bucket[1] = 2;
    h->bucket[kf_histogram_info(KF_HISTOGRAM_CALL)->bound_count] = 4;
    h->count = 7;
    h->sum = 123456789;
    kf_buf_clear(&out);
    kf_render_prometheus(&out, &s);
    finish();
    assert_true(sample("kinesis_forward_call_seconds_bucket{connection=\"one\",le=\"0.0005\"} ") ==
                1);
    assert_true(sample("kinesis_forward_call_seconds_bucket{connection=\"one\",le=\"0.001\"} ") ==
                3);
    assert_true(sample("kinesis_forward_call_seconds_bucket{connection=\"one\",le=\"+Inf\"} ") ==
                7);
    assert_true(sample("kinesis_forward_call_seconds_count{connection=\"one\"} ") == 7);
    assert_true(sample("kinesis_forward_call_seconds_sum{connection=\"one\"} ") == 123.456789);
    assert_true(sample("kinesis_forward_state{connection=\"one\",state=\"idle\"} ") == 1);
    assert_true(sample("kinesis_forward_state{connection=\"one\",state=\"hold\"} ") == 0);
    assert_true(sample("kinesis_forward_health ") == 0);
    assert_true(sample("kinesis_forward_accepting ") == 1);
}

/* ---- mod_status ---- */

static void test_section_and_lines(void **state)
{
    kf_snapshot_t s = nasty();

    (void)state;
    for (int tables = 0; tables < 2; tables++) {
        kf_buf_clear(&out);
        kf_render_section(&out, &s, tables);
        assert_null(strstr(finish(), "<script"));
        assert_int_equal(strstr(out.p, "<table") != NULL, tables);
    }
    kf_buf_clear(&out);
    kf_render_lines(&out, &s);
    for (const char *line = finish(); *line; line = strchr(line, '\n') + 1) {
        assert_non_null(strchr(line, '\n'));
        assert_int_equal(strncmp(line, "Kinesis", 7), 0);
        assert_non_null(strstr(line, ": "));
    }
}

/* ---- states ---- */

static kf_state_t overall(const kf_snapshot_t *s)
{
    kf_state_t state;

    kf_buf_clear(&out);
    state = kf_state_overall(s, &out);
    finish();
    return state;
}

static void test_states(void **state)
{
    kf_snapshot_t s = healthy();

    (void)state;
    assert_int_equal(overall(&s), KF_STATE_HEALTHY);
    assert_string_equal(out.p, "posts are taken, all connections deliver");
    connections[0].numbers.gauge[KF_GAUGE_DEAD_LETTERS] = 1;
    assert_int_equal(overall(&s), KF_STATE_HEALTHY);
    assert_non_null(strstr(out.p, "1 dead letter waits for a decision"));
    connections[0].numbers.gauge[KF_GAUGE_OLDEST_RECORD] = 61 * KF_SEC;
    assert_int_equal(overall(&s), KF_STATE_DEGRADED);
    assert_non_null(strstr(out.p, "connection one is backing off or falling behind"));
    connections[1].numbers.gauge[KF_GAUGE_STATE] = KF_DELIVERY_BACKING_OFF;
    assert_int_equal(overall(&s), KF_STATE_DEGRADED);
    assert_non_null(strstr(out.p, "2 connections are backing off"));
    connections[1].numbers.gauge[KF_GAUGE_STATE] = KF_DELIVERY_HOLD;
    assert_int_equal(overall(&s), KF_STATE_DEGRADED);
    assert_non_null(strstr(out.p, "connection two is on hold"));
    s.closed = "the store is full";
    assert_int_equal(overall(&s), KF_STATE_FAILING);
    assert_int_equal(strncmp(out.p, "the store is full; ", 19), 0);
}

static void test_store_and_index_degrade(void **state)
{
    kf_snapshot_t s = healthy();

    (void)state;
    s.server[KF_SERVER_STORE_BYTES] = s.server[KF_SERVER_STORE_LIMIT] / 100 * 89;
    assert_int_equal(overall(&s), KF_STATE_HEALTHY);
    s.server[KF_SERVER_STORE_BYTES] = s.server[KF_SERVER_STORE_LIMIT] / 100 * 95;
    assert_int_equal(overall(&s), KF_STATE_DEGRADED);
    assert_non_null(strstr(out.p, "% full"));
    s = healthy();
    s.index.error = "gone";
    assert_int_equal(overall(&s), KF_STATE_DEGRADED);
}

static void test_alerts_degrade_until_acknowledged(void **state)
{
    kf_snapshot_t s = healthy();
    kf_snapshot_alert_t alert = {
        .level = "warning", .text = "AWS is throttling", .connection = "one", .active = true};

    (void)state;
    s.index.alerts = &alert;
    s.index.alert_count = 1;
    assert_int_equal(overall(&s), KF_STATE_DEGRADED);
    assert_string_equal(out.p, "AWS is throttling (one)");
    alert.acknowledged = true;
    assert_int_equal(overall(&s), KF_STATE_HEALTHY);
    alert.acknowledged = false;
    alert.active = false;
    assert_int_equal(overall(&s), KF_STATE_HEALTHY);
    alert.active = true;
    alert.level = "notice";
    assert_int_equal(overall(&s), KF_STATE_HEALTHY);
}

static void test_advice(void **state)
{
    kf_snapshot_connection_t c = connection("one");

    (void)state;
    assert_string_equal(kf_state_advice(&c), "");
    c.trouble = KF0406;
    assert_string_equal(kf_state_advice(&c), kf_msg_info(KF0406)->advice);
    c.trouble = KF0306;
    assert_string_equal(kf_state_advice(&c), kf_msg_info(KF0306)->advice);
    snprintf(c.numbers.error.code, sizeof c.numbers.error.code, "ResourceNotFoundException");
    assert_non_null(strstr(kf_state_advice(&c), "create the stream"));
}

static void test_assets(void **state)
{
    static const char *const names[] = {"style.css", "script.js", "icon.svg"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const kf_asset_t *asset = kf_asset_find(names[i]);

        assert_non_null(asset);
        assert_true(asset->n > 100);
        assert_true(strlen(asset->version) > 0);
    }
    assert_null(kf_asset_find("other.css"));
    assert_null(kf_asset_find(""));
}

static int set_up(void **state)
{
    (void)state;
    kf_buf_init(&out, 16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kf_buf_free(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_says_what_is),
        cmocka_unit_test(test_json_history),
        cmocka_unit_test(test_json_of_nasty_text),
        cmocka_unit_test(test_html_shows_text_as_text),
        cmocka_unit_test(test_html_is_well_formed),
        cmocka_unit_test(test_html_shows_no_bytes_of_letters_and_has_the_token),
        cmocka_unit_test(test_html_without_anything),
        cmocka_unit_test(test_prometheus_is_well_formed),
        cmocka_unit_test(test_prometheus_histograms_add_up),
        cmocka_unit_test(test_section_and_lines),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_store_and_index_degrade),
        cmocka_unit_test(test_alerts_degrade_until_acknowledged),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_assets),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
