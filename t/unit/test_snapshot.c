/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of a configuration and of the shared memory: settings without secrets, numbers, the history
 * on one grid.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/kf_clock.h"
#include "delivery/kf_history.h"
#include "delivery/kf_snapshot.h"

static apr_pool_t *pool;
static int64_t clock_us;

static int64_t fake_clock(void)
{
    return clock_us;
}

static void set(void *settings, const char *name, const char *value, const char *second)
{
    const char *argv[] = {value, second};

    assert_null(kf_setting_set(pool, settings, kf_directive_find(name), second ? 2 : 1, argv));
}

static const char *find(const kf_snapshot_setting_t *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].value;
    return NULL;
}

static void test_settings(void **state)
{
    void *raw = kf_settings_create(pool, KF_SCOPE_CONN);
    const kf_snapshot_setting_t *list;
    int n;

    (void)state;
    set(raw, "KinesisStreamName", "events", NULL);
    set(raw, "KinesisAccessKeyId", "AKIDEXAMPLE", NULL);
    set(raw, "KinesisSecretAccessKey", "wJalrXUtnFEMI", NULL);
    set(raw, "KinesisSessionToken", "token-of-a-session", NULL);
    set(raw, "KinesisExternalId", "external", NULL);
    set(raw, "KinesisProxy", "http://user:password@proxy.example:3128", NULL);
    set(raw, "KinesisSendScreenViews", "Off", NULL);
    set(raw, "KinesisSendCustomEvents", "On", NULL); /* the default */
    set(raw, "KinesisService", "firehose", NULL);
    set(raw, "KinesisPutMode", "single", NULL);
    set(raw, "KinesisBatchWindow", "90s", NULL);
    set(raw, "KinesisLinger", "250ms", NULL);
    set(raw, "KinesisRetryBackoff", "10ms", "2s");
    set(raw, "KinesisExcludeFields", "ip", "device_info.device");
    kf_snapshot_settings(pool, kf_settings_finish(pool, KF_SCOPE_CONN, raw), &list, &n);
    assert_string_equal(find(list, n, "KinesisStreamName"), "events");
    assert_string_equal(find(list, n, "KinesisAccessKeyId"), "set");
    assert_string_equal(find(list, n, "KinesisSecretAccessKey"), "set");
    assert_string_equal(find(list, n, "KinesisSessionToken"), "set");
    assert_string_equal(find(list, n, "KinesisExternalId"), "set");
    assert_string_equal(find(list, n, "KinesisProxy"), "set");
    assert_string_equal(find(list, n, "KinesisSendScreenViews"), "Off");
    assert_null(find(list, n, "KinesisSendCustomEvents"));
    assert_string_equal(find(list, n, "KinesisService"), "firehose");
    assert_string_equal(find(list, n, "KinesisPutMode"), "single");
    assert_string_equal(find(list, n, "KinesisBatchWindow"), "90s");
    assert_string_equal(find(list, n, "KinesisLinger"), "250ms");
    assert_string_equal(find(list, n, "KinesisRetryBackoff"), "10ms 2s");
    assert_string_equal(find(list, n, "KinesisExcludeFields"), "ip device_info.device");
    assert_int_equal(n, 13);
}

/* ---- with numbers ---- */

typedef struct {
    void *kept;
    kf_metrics_t *metrics;
    kf_shared_t *shared;
    void *memory;
    kf_connection_t connections[2];
    kf_process_settings_t process;
    const kf_snapshot_setting_t *settings[2];
    int setting_count[2];
} server_t;

static kf_settings_t *settings_of(const char *stream)
{
    void *raw = kf_settings_create(pool, KF_SCOPE_CONN);

    set(raw, "KinesisStreamName", stream, NULL);
    return kf_settings_finish(pool, KF_SCOPE_CONN, raw);
}

static void start(server_t *s)
{
    static const char *const names[] = {"one", "two"};

    *s = (server_t){.process = {.store_directory = "/store", .durability = KF_DURABILITY_PROCESS},
                    .connections = {{.name = "one", .settings = settings_of("a")},
                                    {.name = "two", .settings = settings_of("b")}}};
    s->metrics = kf_metrics_open(&s->kept, names, 2, 4);
    s->memory = calloc(1, kf_shared_size(2));
    s->shared = kf_shared_init(s->memory, 2);
    assert_non_null(s->metrics);
    assert_true(kf_metrics_join(s->metrics));
}

static void end(server_t *s)
{
    kf_metrics_leave(s->metrics);
    kf_metrics_close(s->metrics);
    kf_metrics_discard(&s->kept);
    free(s->memory);
}

static kf_snapshot_t take(const server_t *s)
{
    kf_snapshot_source_t source = {.process = &s->process,
                                   .connections = s->connections,
                                   .connection_count = 2,
                                   .settings = s->settings,
                                   .setting_count = s->setting_count,
                                   .metrics = s->metrics,
                                   .shared = s->shared,
                                   .want_history = true};
    kf_snapshot_t out;

    kf_snapshot_fill(pool, &source, &out);
    return out;
}

static void raise_alert(server_t *server, kf_msg_t msg)
{
    kf_alert_cells_raise(kf_shared_alerts(server->shared), 1, msg,
                         &(kf_alert_words_t){.text = "x"});
}

static void test_numbers_and_trouble(void **state)
{
    server_t server;
    kf_snapshot_t s;

    (void)state;
    start(&server);
    kf_metrics_add(server.metrics, 1, KF_COUNT_ACCEPTED, 12);
    kf_metrics_observe(server.metrics, 1, KF_HISTOGRAM_CALL, 3000, 2);
    raise_alert(&server, KF0406);
    s = take(&server);
    assert_int_equal(s.connection_count, 2);
    assert_string_equal(s.directory, "/store");
    assert_string_equal(s.durability, "process");
    assert_string_equal(s.connections[1].stream, "b");
    assert_true(s.connections[1].windowed);
    assert_int_equal(s.connections[0].numbers.count[KF_COUNT_ACCEPTED], 0);
    assert_int_equal(s.connections[1].numbers.count[KF_COUNT_ACCEPTED], 12);
    assert_int_equal(s.connections[1].numbers.histogram[KF_HISTOGRAM_CALL].count, 2);
    assert_int_equal(s.connections[0].trouble, KF_MSG_COUNT);
    assert_int_equal(s.connections[1].trouble, KF0406);
    raise_alert(&server, KF0304);
    raise_alert(&server, KF0601);
    assert_int_equal(take(&server).connections[1].trouble, KF0601);
    raise_alert(&server, KF0306);
    assert_int_equal(take(&server).connections[1].trouble, KF0306);
    end(&server);
}

static void test_without_memory(void **state)
{
    server_t server;
    kf_snapshot_t s;

    (void)state;
    start(&server);
    end(&server);
    server.metrics = NULL;
    server.shared = NULL;
    s = take(&server);
    assert_int_equal(s.history_count, 0);
    assert_null(s.connections[0].history[0]);
    assert_int_equal(s.connections[0].numbers.count[KF_COUNT_ACCEPTED], 0);
}

static void test_history_on_one_grid(void **state)
{
    static const kf_clock_source_t source = {.wall_us = fake_clock, .mono_us = fake_clock};
    const int64_t *accepted;
    server_t server;
    kf_sampler_t *sampler;
    kf_snapshot_t s;

    (void)state;
    clock_us = INT64_C(1700000000) * KF_SEC;
    kf_clock_set_source(&source);
    start(&server);
    sampler = kf_sampler_create(server.metrics);
    assert_int_equal(take(&server).history_count, 0);
    kf_sampler_tick(sampler);
    /* Three points; then nobody leads for 40 seconds, then one more. */
    for (int i = 1; i <= 4; i++) {
        clock_us += (i == 4 ? 40 : 10) * KF_SEC;
        kf_metrics_add(server.metrics, 0, KF_COUNT_ACCEPTED, i == 4 ? 42 : 10);
        kf_metrics_beat(server.metrics);
        kf_sampler_tick(sampler);
    }
    s = take(&server);
    assert_int_equal(s.history_count, 30);
    assert_true(s.history_end_us == clock_us);
    accepted = s.connections[0].history[KF_HISTORY_ACCEPTED];
    /* What nobody took is spread over the steps that it covers; the sum stays. */
    assert_int_equal(accepted[29], 11);
    assert_int_equal(accepted[28], 11);
    assert_int_equal(accepted[27], 10);
    assert_int_equal(accepted[26], 10);
    assert_int_equal(accepted[25], 10);
    assert_int_equal(accepted[24], 10);
    assert_int_equal(accepted[23], 10);
    assert_int_equal(accepted[10], -1);
    kf_sampler_free(sampler);
    end(&server);
    kf_clock_set_source(NULL);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_numbers_and_trouble),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_history_on_one_grid),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
