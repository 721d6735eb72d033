/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of the background work share (keeper_fixture.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "keeper_fixture.h"

#include <sys/mman.h>
#include "base/kf_log.h"
#include "delivery/kf_store.h"
#include "kf_samples.h"
#include "temp_store.h"

#define CHILDREN 8
#define LIMIT (INT64_C(1) << 30)

static const char *const names[CONNECTIONS] = {"batch", "session", "plain"};
static const int64_t shares[CONNECTIONS] = {50, 50, 50};
static const char *const standard[CONNECTIONS][3] = {
    [BATCH] = {"KinesisSendAsBatch", "On", NULL},
    [SESSION] = {"KinesisWaitForCompleteBatch", "On", NULL},
    [PLAIN] = {"KinesisBatchWindow", "0", NULL}};

static int64_t passed_us;
static char lines[64][8];
static unsigned line_count;

static int64_t wall(void)
{
    return INT64_C(1700000000000000) + passed_us;
}

static int64_t mono(void)
{
    return KF_SEC + passed_us;
}

static void sink(kf_level_t level, const char *line)
{
    (void)level;
    memcpy(lines[line_count++ % 64], line, 6);
}

unsigned keeper_logged(const char *id)
{
    unsigned n = 0;
    for (unsigned i = 0; i < line_count && i < 64; i++) {
        n += strncmp(lines[i], id, 6) == 0;
    }
    return n;
}

void keeper_pass(int64_t us)
{
    passed_us += us;
}

/* ---- the engine ---- */

static kf_admission_t put(kf_engine_t *engine, kf_record_list_t *records)
{
    keeper_fixture_t *f = (keeper_fixture_t *)(void *)engine;
    if (records->count == 0) {
        return KF_ACCEPTED;
    }
    if (f->answer != KF_ACCEPTED || records->first->connection == f->refused) {
        return KF_FULL;
    }
    assert_int_equal(kf_journal_append(f->config.journal, records), KF_JOURNAL_OK);
    if (f->dies) {
        _exit(KEEPER_DIED);
    }
    uint32_t n = records->count;
    kf_record_list_append(&f->out, records);
    __atomic_add_fetch(&f->put, n, __ATOMIC_RELEASE);
    return KF_ACCEPTED;
}

static void filed(kf_engine_t *engine, kf_record_list_t *records)
{
    keeper_fixture_t *f = (keeper_fixture_t *)(void *)engine;
    if (f->dies_unnoted) {
        _exit(KEEPER_DIED);
    }
    f->filed += records->count;
    for (kf_record_t *r = kf_record_list_take(records); r; r = kf_record_list_take(records)) {
        const kf_record_t *done = r;
        kf_journal_done(f->config.journal, &done, 1);
        kf_record_free(r);
    }
}

static void unfiled(kf_engine_t *engine, kf_record_list_t *records)
{
    keeper_fixture_t *f = (keeper_fixture_t *)(void *)engine;
    kf_record_list_append(&f->given_back, records);
}

static void look_behind(kf_engine_t *engine)
{
    keeper_fixture_t *f = (keeper_fixture_t *)(void *)engine;
    f->looked++;
}

static void tell(kf_engine_t *engine)
{
    keeper_fixture_t *f = (keeper_fixture_t *)(void *)engine;
    f->told++;
}

static void recall(kf_engine_t *engine)
{
    keeper_fixture_t *f = (keeper_fixture_t *)(void *)engine;
    f->recalled++;
}

static const kf_keeper_calls_t calls = {put, filed, unfiled, look_behind, tell, recall, NULL, NULL};

/* ---- settings ---- */

static void finish(keeper_fixture_t *f, int c, void *settings)
{
    const kf_settings_t *s = kf_settings_finish(f->pool, KF_SCOPE_CONN, settings);
    f->connections[c] = (kf_connection_t){.name = names[c], .settings = s};
    f->filters[c] = kf_filter_compile(f->pool, s, (uint16_t)c);
    assert_non_null(f->filters[c]);
    f->rules[c] = (kf_window_rules_t){.limits = {.window_us = s->batch_window,
                                                 .timeout_us = s->session_timeout,
                                                 .grace_us = s->session_grace},
                                      .max_bytes = 900000,
                                      .max_events = 10000};
}

static void set(keeper_fixture_t *f, void *settings, const char *name, const char *value)
{
    const char *error = kf_setting_set(f->pool, settings, kf_directive_find(name), 1, &value);
    assert_null(error);
}

static void configure(keeper_fixture_t *f, int c, const char *const *more)
{
    void *settings = kf_settings_create(f->pool, KF_SCOPE_CONN);
    set(f, settings, standard[c][0], standard[c][1]);
    for (; more && more[0]; more += 2) {
        set(f, settings, more[0], more[1]);
    }
    finish(f, c, settings);
}

void keeper_set(keeper_fixture_t *f, int connection, const char *name, const char *value)
{
    const char *const more[] = {name, value, NULL};
    configure(f, connection, more);
}

/* ---- life ---- */

void keeper_make(keeper_fixture_t *f, const char *const *const *settings)
{
    static const kf_clock_source_t source = {.wall_us = wall, .mono_us = mono};
    size_t bytes = kf_usage_size(CONNECTIONS, CHILDREN);

    *f = (keeper_fixture_t){.folder = temp_make(), .answer = KF_ACCEPTED, .refused = -1};
    f->timing = (kf_keeper_timing_t)KF_KEEPER_TIMING_DEFAULT;
    kf_log_set_sink(sink);
    line_count = 0;
    passed_us = 0;
    kf_clock_set_source(&source);
    apr_pool_create(&f->pool, NULL);
    f->process =
        kf_settings_finish(f->pool, KF_SCOPE_SERVER, kf_settings_create(f->pool, KF_SCOPE_SERVER));
    for (int c = 0; c < CONNECTIONS; c++) {
        configure(f, c, settings ? settings[c] : NULL);
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    f->usage = kf_usage_init(memory, CONNECTIONS, CHILDREN, LIMIT, shares);
    f->shared = calloc(1, kf_shared_size(CONNECTIONS));
    f->config.shared = kf_shared_init(f->shared, CONNECTIONS);
    f->config.metrics = kf_metrics_open(&f->kept, names, CONNECTIONS, CHILDREN);
    assert_non_null(f->config.metrics);
    assert_int_equal(mkdir(temp_in(f->folder, KF_STORE_JOURNAL), 0700), 0);
    keeper_open(f);
}

void keeper_open(keeper_fixture_t *f)
{
    const char *error = NULL;
    char index_error[KF_INDEX_ERROR_MAX];
    kf_journal_config_t journal = {.directory = temp_in(f->folder, KF_STORE_JOURNAL),
                                   .durability = KF_DURABILITY_PROCESS,
                                   .segment_bytes = 1 << 20,
                                   .connections = names,
                                   .connection_count = CONNECTIONS,
                                   .usage = f->usage};
    kf_index_config_t index = {.directory = f->folder, .durability = KF_DURABILITY_PROCESS};
    kf_windows_config_t windows = {names, f->rules, CONNECTIONS};
    f->config = (kf_keeper_config_t){.directory = f->folder,
                                     .connections = f->connections,
                                     .filters = f->filters,
                                     .connection_count = CONNECTIONS,
                                     .process = f->process,
                                     .engine = (kf_engine_t *)(void *)f,
                                     .calls = &calls,
                                     .usage = f->usage,
                                     .shared = f->config.shared,
                                     .metrics = f->config.metrics,
                                     .timing = &f->timing};
    f->config.journal = kf_journal_open(&journal, &error);
    f->config.index = kf_index_open(&index, index_error);
    assert_non_null(f->config.journal);
    assert_non_null(f->config.index);
    f->config.windows = kf_windows_open(f->config.index, &windows);
    f->config.letters = kf_deadletters_open(f->config.index, names, CONNECTIONS);
    assert_non_null(f->config.windows);
    assert_non_null(f->config.letters);
    f->filing = kf_filing_create(&f->config);
    f->leader = kf_leader_create(&f->config);
}

void keeper_close(keeper_fixture_t *f)
{
    kf_filing_give_back(f->filing);
    kf_filing_free(f->filing);
    kf_leader_free(f->leader);
    kf_windows_close(f->config.windows);
    kf_deadletters_close(f->config.letters);
    kf_index_close(f->config.index);
    kf_journal_close(f->config.journal);
}

void keeper_remove(keeper_fixture_t *f)
{
    kf_record_list_clear(&f->out);
    kf_record_list_clear(&f->given_back);
    free(f->shared);
    kf_metrics_close(f->config.metrics);
    kf_metrics_discard(&f->kept);
    munmap(f->usage, kf_usage_size(CONNECTIONS, CHILDREN));
    temp_done(f->folder);
    apr_pool_destroy(f->pool);
    kf_log_set_sink(NULL);
    kf_clock_set_source(NULL);
}

void keeper_accept(keeper_fixture_t *f, int connection, kf_str_t body, kf_record_list_t *records)
{
    kf_filter_stats_t stats = {.records = 0};
    kf_record_list_t made = {.count = 0};
    kf_post_t *post = kf_sample_post(body);
    for (uint32_t i = 0; i < kf_post_count(post); i++) {
        assert_true(kf_filter_apply(f->filters[connection], kf_post_item(post, i), kf_wall_us(),
                                    &made, &stats));
    }
    kf_post_free(post);
    assert_int_equal(kf_journal_append(f->config.journal, &made), KF_JOURNAL_OK);
    kf_record_list_append(records, &made);
}

void keeper_post(keeper_fixture_t *f, int connection, kf_str_t body)
{
    kf_record_list_t records = {.count = 0};
    keeper_accept(f, connection, body, &records);
    kf_filing_add(f->filing, &records);
    while (kf_filing_run(f->filing)) {
    }
}

void keeper_lead(keeper_fixture_t *f)
{
    while (kf_leader_tick(f->leader)) {
    }
}
