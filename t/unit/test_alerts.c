/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts: what children share of them, what the index keeps, what pages see, what the leader does for
 * them, and the operator's command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/kf_clock.h"
#include "delivery/kf_alert.h"
#include "delivery/kf_alert_command.h"
#include "delivery/kf_alert_lead.h"
#include "temp_store.h"

enum { GAME, SHOP, NAMES, SERVER = NAMES };
static const char *const names[NAMES] = {"game", "shop"};

static int64_t wall_us, mono_us;
static char *folder;
static void *memory;
static kf_shared_t *shared;
static kf_alert_cells_t *cells;
static kf_index_t *kept;
static kf_alert_table_t *table;
static char log_text[20000];

static int64_t stand_wall(void)
{
    return wall_us;
}

/* Every look takes a while: for what waits. */
static bool flows;

static int64_t stand_mono(void)
{
    mono_us += flows ? 10 * KF_MS : 0;
    return mono_us;
}

static const kf_clock_source_t stand = {.wall_us = stand_wall, .mono_us = stand_mono};

static void pass(int64_t us)
{
    wall_us += us;
    mono_us += us;
}

static void keep_line(kf_level_t level, const char *line)
{
    size_t n = strlen(log_text);

    (void)level;
    snprintf(log_text + n, sizeof log_text - n, "%s\n", line);
}

static unsigned logged(const char *words)
{
    unsigned n = 0;

    for (const char *p = log_text; (p = strstr(p, words)) != NULL; p++)
        n++;
    return n;
}

/* Memory as a start makes it, index and table as a child opens them. */
static void open_all(void)
{
    static char error[KF_INDEX_ERROR_MAX];
    size_t size = kf_shared_size(NAMES);

    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    shared = kf_shared_init(memory, NAMES);
    assert_non_null(shared);
    cells = kf_shared_alerts(shared);
    kept = kf_index_open(&(kf_index_config_t){.directory = folder, .durability = 2}, error);
    assert_non_null(kept);
    table = kf_alert_table_open(kept, cells, names, NAMES);
    assert_non_null(table);
    assert_int_equal(kf_alert_table_load(table), KF_INDEX_OK);
}

static void close_all(void)
{
    kf_alert_table_close(table);
    kf_index_close(kept);
    munmap(memory, kf_shared_size(NAMES));
}

static void restart(void)
{
    close_all();
    open_all();
}

static int make(void **state)
{
    (void)state;
    wall_us = 1700000000 * KF_SEC + 123456;
    mono_us = 5000 * KF_SEC;
    kf_clock_set_source(&stand);
    kf_log_set_sink(keep_line);
    log_text[0] = '\0';
    folder = temp_make();
    open_all();
    return 0;
}

static int unmake(void **state)
{
    static const kf_clock_source_t real = {0};

    (void)state;
    close_all();
    temp_done(folder);
    kf_alert_watch_log(NULL);
    kf_log_set_sink(NULL);
    kf_clock_set_source(&real);
    return 0;
}

static kf_alert_at_t at(int connection)
{
    return (kf_alert_at_t){shared, connection, names[connection]};
}

static kf_alert_state_t state_of(int row, kf_msg_t msg)
{
    kf_alert_state_t state;

    assert_true(kf_alert_cells_read(cells, row, msg, &state));
    return state;
}

/* The entries of a page; good until the next call. */
static kf_alert_entry_t *entries;
static uint32_t list(uint32_t limit)
{
    uint32_t n;

    free(entries);
    assert_int_equal(kf_alert_table_list(table, limit, &entries, &n), KF_INDEX_OK);
    return n;
}

static void save(void)
{
    assert_int_equal(kf_alert_table_save(table, true), KF_INDEX_OK);
}

/* ---- cells ---- */

static void test_an_episode(void **unused)
{
    kf_alert_at_t game = at(GAME);
    int64_t first_us = wall_us;

    (void)unused;
    assert_false(kf_alert_raised(&game, KF0306));
    kf_alert_begin_of(&game, KF0306,
                      &(kf_alert_words_t){.code = "AccessDenied", .request_id = "r-1"}, "%s",
                      "no key");
    assert_true(kf_alert_raised(&game, KF0306));
    assert_false(kf_alert_cells_raised(cells, SHOP, KF0306));
    pass(2 * KF_SEC);
    kf_alert_begin_of(&game, KF0306,
                      &(kf_alert_words_t){.code = "ExpiredToken", .request_id = "r-2", .times = 3},
                      "%s", "old key");
    kf_alert_state_t s = state_of(GAME, KF0306);
    assert_true(s.is_raised);
    assert_int_equal(s.count, 4);
    assert_int_equal(s.first_us, first_us);
    assert_int_equal(s.last_us, first_us + 2 * KF_SEC);
    assert_string_equal(s.text, "old key");
    assert_string_equal(s.code, "ExpiredToken");
    assert_string_equal(s.request_id, "r-2");
    pass(KF_SEC);
    kf_alert_end(&game, KF0306, KF0307);
    kf_alert_end(&game, KF0306, KF0307);
    s = state_of(GAME, KF0306);
    assert_false(s.is_raised);
    assert_int_equal(s.cleared_us, wall_us);
    assert_int_equal(logged("KF0306: connection game: "), 1);
    assert_int_equal(logged("KF0307: connection game: "), 1);
}

static void test_what_comes_again_soon_goes_on(void **unused)
{
    kf_alert_at_t game = at(GAME);
    int64_t first_us = wall_us;

    (void)unused;
    for (int i = 0; i < 5; i++) {
        kf_alert_begin(&game, KF0202, "%s", "");
        pass(KF_SEC);
        kf_alert_end(&game, KF0202, KF0203);
        pass(KF_ALERT_AGAIN_US - KF_SEC);
    }
    assert_int_equal(state_of(GAME, KF0202).count, 5);
    assert_int_equal(state_of(GAME, KF0202).first_us, first_us);
    pass(2 * KF_SEC);
    kf_alert_begin(&game, KF0202, "%s", "");
    assert_int_equal(state_of(GAME, KF0202).count, 1);
    assert_int_equal(state_of(GAME, KF0202).first_us, wall_us);
}

static void test_events(void **unused)
{
    kf_alert_at_t game = at(GAME);
    int64_t first_us = wall_us;

    (void)unused;
    kf_alert_event(&game, KF0652, "%s", "damaged");
    assert_false(kf_alert_raised(&game, KF0652));
    pass(KF_ALERT_EVENT_US - 1);
    kf_alert_event(&game, KF0652, "%s", "too many");
    assert_int_equal(state_of(GAME, KF0652).count, 2);
    assert_int_equal(state_of(GAME, KF0652).first_us, first_us);
    assert_string_equal(state_of(GAME, KF0652).text, "too many");
    pass(KF_ALERT_EVENT_US);
    kf_alert_event(&game, KF0652, "%s", "later");
    assert_int_equal(state_of(GAME, KF0652).count, 1);
    assert_int_equal(logged("KF0652: connection game: "), 3);
}

static void assert_text(const char *given, const char *wanted)
{
    kf_alert_cells_event(cells, GAME, KF0652, &(kf_alert_words_t){.text = given});
    assert_string_equal(state_of(GAME, KF0652).text, wanted);
}

static void test_texts(void **unused)
{
    char given[600], wanted[300];

    (void)unused;
    assert_text("a\tb\nc\x7f", "a?b?c?");
    assert_text("\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80", "\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80");
    assert_text("\xff\xc3(\xed\xa0\x80\xc0\xaf\xf5", "?\?(?????\?");
    /* Cut at a character. */
    memset(given, 'x', sizeof given);
    memcpy(given + 253, "\xe2\x82\xac", 3);
    given[400] = '\0';
    memset(wanted, 'x', sizeof wanted);
    wanted[253] = '\0';
    assert_text(given, wanted);
    assert_text("\xe2\x82", "??");
}

static bool is_torn(void)
{
    kf_alert_state_t s;

    return kf_alert_cells_read(cells, GAME, KF0405, &s) &&
           strspn(s.text, (char[]){s.text[0], '\0'}) != strlen(s.text);
}

static void *contend(void *context)
{
    long changes = 0;

    for (int i = 0; i < 3000; i++) {
        char text[KF_ALERT_TEXT_MAX];

        memset(text, 'a' + i % 26, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        changes += kf_alert_cells_raise(cells, GAME, KF0405, &(kf_alert_words_t){.text = text});
        changes += is_torn() ? 1000000 : 0;
        changes -= kf_alert_cells_clear(cells, GAME, KF0405);
    }
    (void)context;
    return (void *)(intptr_t)changes;
}

static void test_many_at_once(void **unused)
{
    pthread_t threads[4];
    long open = 0;

    (void)unused;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, contend, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *changes;

        pthread_join(threads[i], &changes);
        open += (long)(intptr_t)changes;
    }
    assert_int_equal(open, kf_alert_cells_raised(cells, GAME, KF0405));
    assert_int_equal(state_of(GAME, KF0405).count, 12000);
}

/* A child is killed wherever it may be. */
static void test_children_die(void **unused)
{
    (void)unused;
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();

        if (pid == 0)
            for (;;)
                contend(NULL);
        usleep(1000 + (useconds_t)i * 150);
        kill(pid, SIGKILL);
        assert_int_equal(temp_wait(pid), 1000 + SIGKILL);
        kf_alert_cells_raise(cells, GAME, KF0405, &(kf_alert_words_t){.text = "mine"});
        assert_true(kf_alert_cells_raised(cells, GAME, KF0405));
        pass(2 * KF_SEC);
        kf_alert_cells_raise(cells, GAME, KF0405, &(kf_alert_words_t){.text = "mine again"});
        assert_string_equal(state_of(GAME, KF0405).text, "mine again");
        assert_true(kf_alert_cells_clear(cells, GAME, KF0405));
    }
}

/* ---- the log as a source ---- */

static void test_messages_of_the_server(void **unused)
{
    (void)unused;
    kf_alert_watch_log(shared);
    kf_log(KF0601, "%s", "/store: no space");
    kf_log(KF0601, "%s", "/store: no space");
    assert_int_equal(logged("KF0601"), 1);
    kf_log(KF0601, "%s", "/store: another fault");
    assert_int_equal(logged("KF0601"), 2);
    assert_int_equal(state_of(SERVER, KF0601).count, 3);
    kf_log(KF0602, "%s", "/store");
    kf_log(KF0602, "%s", "/store");
    assert_int_equal(logged("KF0602"), 1);
    assert_false(kf_alert_cells_raised(cells, SERVER, KF0601));
    kf_log(KF0613, "%s", "index.db");
    kf_log(KF0611, "%s", "index.db");
    kf_log(KF0612, "%s", "index.db");
    assert_false(kf_alert_cells_any(cells, SERVER));
    kf_log(KF0603, "%s", "a.seg");
    kf_log(KF0603, "%s", "a.seg");
    assert_int_equal(logged("KF0603"), 2);
    assert_int_equal(state_of(SERVER, KF0603).count, 2);
    kf_log(KF0301, "%s", "is none");
    assert_int_equal(logged("KF0301"), 1);
    assert_int_equal(list(100), 4);
}

/* ---- the index ---- */

static void test_kept_over_restarts(void **unused)
{
    kf_alert_at_t game = at(GAME);
    int64_t first_us = wall_us;

    (void)unused;
    kf_alert_begin_of(&game, KF0306, &(kf_alert_words_t){.code = "C", .request_id = "R"}, "%s",
                      "text");
    kf_alert_begin(&game, KF0406, "%s", "slow");
    pass(KF_SEC);
    kf_alert_end(&game, KF0406, KF0307);
    kf_alert_event(&game, KF0652, "%s", "once");
    save();
    restart();
    game = at(GAME);
    assert_true(kf_alert_raised(&game, KF0306));
    assert_false(kf_alert_raised(&game, KF0406));
    kf_alert_state_t s = state_of(GAME, KF0306);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.first_us, first_us);
    assert_string_equal(s.text, "text");
    assert_string_equal(s.code, "C");
    assert_string_equal(s.request_id, "R");
    assert_true(s.id > 0);
    assert_int_equal(list(100), 3);
    /* It goes on, and so does the event. */
    pass(60 * KF_SEC);
    log_text[0] = '\0';
    kf_alert_begin(&game, KF0306, "%s", "text");
    assert_int_equal(logged("KF0306"), 0);
    kf_alert_event(&game, KF0652, "%s", "twice");
    save();
    assert_int_equal(list(100), 3);
    assert_int_equal(entries[0].state.count + entries[1].state.count, 4);
    /* And over once more its end is known. */
    kf_alert_end(&game, KF0306, KF0307);
    save();
    restart();
    assert_false(kf_alert_cells_any(cells, GAME));
    assert_int_equal(list(100), 3);
}

/* Raised before the index was read: it is the same alert still. */
static void test_raised_before_it_is_loaded(void **unused)
{
    kf_alert_at_t game = at(GAME);
    int64_t first_us = wall_us;

    (void)unused;
    kf_alert_begin(&game, KF0405, "%s", "away");
    save();
    kf_alert_table_close(table);
    munmap(memory, kf_shared_size(NAMES));
    memory = mmap(NULL, kf_shared_size(NAMES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    shared = kf_shared_init(memory, NAMES);
    cells = kf_shared_alerts(shared);
    pass(5 * KF_SEC);
    game = at(GAME);
    kf_alert_begin(&game, KF0405, "%s", "away still");
    table = kf_alert_table_open(kept, cells, names, NAMES);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kf_alert_table_load(table), KF_INDEX_OK);
    assert_int_equal(state_of(GAME, KF0405).count, 2);
    assert_int_equal(state_of(GAME, KF0405).first_us, first_us);
    save();
    assert_int_equal(list(10), 1);
    assert_int_equal(entries[0].state.count, 2);
}

static void test_of_a_connection_that_is_gone(void **unused)
{
    static const char *const fewer[] = {"shop"};
    kf_alert_at_t game = at(GAME);

    (void)unused;
    kf_alert_begin(&game, KF0306, "%s", "");
    save();
    kf_alert_table_close(table);
    munmap(memory, kf_shared_size(NAMES));
    memory = mmap(NULL, kf_shared_size(NAMES), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    shared = kf_shared_init(memory, 1);
    cells = kf_shared_alerts(shared);
    table = kf_alert_table_open(kept, cells, fewer, 1);
    assert_int_equal(kf_alert_table_load(table), KF_INDEX_OK);
    assert_false(kf_alert_cells_any(cells, 0));
    assert_int_equal(list(10), 1);
    assert_string_equal(entries[0].connection, "game");
    assert_true(entries[0].state.cleared_us > 0);
}

static void test_nothing_changed_nothing_written(void **unused)
{
    kf_alert_at_t game = at(GAME);

    (void)unused;
    kf_alert_begin(&game, KF0306, "%s", "");
    save();
    uint64_t bytes = kf_index_bytes(kept);
    for (int i = 0; i < 20; i++) {
        pass(KF_SEC);
        save();
    }
    assert_int_equal(kf_index_bytes(kept), bytes);
}

static void test_two_leaders(void **unused)
{
    kf_alert_table_t *other = kf_alert_table_open(kept, cells, names, NAMES);
    kf_alert_at_t game = at(GAME);

    (void)unused;
    for (int i = 0; i < 3; i++) {
        kf_alert_begin(&game, KF0306, "%s", "");
        save();
        assert_int_equal(kf_alert_table_save(other, true), KF_INDEX_OK);
        pass(2 * KF_SEC);
    }
    assert_int_equal(list(10), 1);
    assert_int_equal(entries[0].state.count, 3);
    kf_alert_table_close(other);
}

static void test_history_is_bounded(void **unused)
{
    kf_alert_at_t game = at(GAME), shop = at(SHOP);

    (void)unused;
    kf_alert_begin(&shop, KF0306, "%s", "open for long");
    for (int i = 0; i < KF_ALERT_HISTORY + 20; i++) {
        kf_alert_begin(&game, KF0406, "%d", i);
        save();
        pass(KF_SEC);
        kf_alert_end(&game, KF0406, KF0307);
        save();
        pass(KF_ALERT_AGAIN_US + KF_SEC);
    }
    uint32_t n = list(5 * KF_ALERT_HISTORY);
    assert_in_range(n, KF_ALERT_HISTORY, KF_ALERT_HISTORY + 3);
    assert_string_equal(entries[n - 1].connection, "shop");
    assert_true(entries[n - 1].state.is_raised);
    for (uint32_t i = 1; i < n; i++)
        assert_true(entries[i - 1].state.last_us >= entries[i].state.last_us);
    assert_int_equal(list(7), 7);
}

/* ---- pages ---- */

static void test_list_is_as_of_now(void **unused)
{
    kf_alert_at_t game = at(GAME), shop = at(SHOP);

    (void)unused;
    kf_alert_begin(&game, KF0306, "%s", "first");
    save();
    pass(KF_SEC);
    kf_alert_begin(&shop, KF0406, "%s", "unwritten");
    assert_int_equal(list(10), 2);
    assert_string_equal(entries[0].connection, "shop");
    assert_int_equal(entries[0].state.id, 0);
    assert_int_equal(entries[0].msg, KF0406);
    assert_true(entries[1].state.id > 0);
    pass(KF_SEC);
    kf_alert_begin(&game, KF0306, "%s", "now");
    assert_int_equal(list(10), 2);
    assert_string_equal(entries[0].connection, "game");
    assert_int_equal(entries[0].state.count, 2);
    assert_string_equal(entries[0].state.text, "now");
    uint32_t count[KF_DEBUG + 1];
    kf_alert_table_count(table, count);
    assert_int_equal(count[KF_WARNING], 2);
    assert_int_equal(count[KF_ERROR], 0);
    /* Without an index there is what the cells have. */
    kf_alert_table_t *bare = kf_alert_table_open(NULL, cells, names, NAMES);
    uint32_t n;
    free(entries);
    assert_int_equal(kf_alert_table_list(bare, 10, &entries, &n), KF_INDEX_NONE);
    assert_int_equal(n, 2);
    assert_int_equal(kf_alert_table_acknowledge(bare, 1, "x"), KF_INDEX_NONE);
    kf_alert_table_close(bare);
}

static void test_acknowledge(void **unused)
{
    kf_alert_at_t game = at(GAME);

    (void)unused;
    kf_alert_begin(&game, KF0306, "%s", "");
    kf_alert_event(&game, KF0652, "%s", "");
    save();
    assert_int_equal(list(10), 2);
    int64_t one = entries[0].state.id, other = entries[1].state.id;
    assert_int_equal(kf_alert_table_acknowledge(table, one + other, "x"), KF_INDEX_NONE);
    assert_int_equal(kf_alert_table_acknowledge(table, one, "alice"), KF_INDEX_OK);
    assert_int_equal(kf_alert_table_acknowledge(table, other, NULL), KF_INDEX_OK);
    int64_t acknowledged_us = wall_us;
    pass(KF_SEC);
    assert_int_equal(kf_alert_table_acknowledge(table, one, "bob"), KF_INDEX_OK);
    list(10);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(entries[i].acknowledged_us, acknowledged_us);
        assert_string_equal(entries[i].acknowledged_by, entries[i].state.id == one ? "alice" : "");
    }
    /* One that lasts stays acknowledged, an event that takes place again does not. */
    pass(KF_SEC);
    kf_alert_begin(&game, KF0306, "%s", "");
    kf_alert_event(&game, KF0652, "%s", "");
    save();
    list(10);
    for (int i = 0; i < 2; i++)
        assert_int_equal(entries[i].acknowledged_us,
                         entries[i].msg == KF0306 ? acknowledged_us : 0);
}

/* ---- the leader ---- */

static kf_process_settings_t process;
static kf_connection_t connections[NAMES];
static kf_keeper_config_t config;

/* SHOP's is Firehose. */
static kf_alert_lead_t *lead_with(const kf_list_t *command)
{
    static const kf_settings_t settings[NAMES] = {
        [GAME] = {.service = KF_SERVICE_STREAMS}, [SHOP] = {.service = KF_SERVICE_FIREHOSE}};

    process = (kf_process_settings_t){.store_limit = 1 << 20};
    if (command)
        process.alert_command = *command;
    for (int i = 0; i < NAMES; i++)
        connections[i] = (kf_connection_t){.name = names[i], .settings = &settings[i]};
    config = (kf_keeper_config_t){.directory = folder,
                                  .connections = connections,
                                  .connection_count = NAMES,
                                  .process = &process,
                                  .index = kept,
                                  .shared = shared,
                                  .alerts = table};
    kf_alert_lead_t *lead = kf_alert_lead_create(&config);
    assert_non_null(lead);
    return lead;
}

/* A child that raises an alert and ends. */
static void raise_and_die(int row, kf_msg_t msg)
{
    pid_t pid = fork();

    if (pid == 0) {
        kf_alert_cells_raise(cells, row, msg, &(kf_alert_words_t){.text = "of a child"});
        _exit(0);
    }
    assert_int_equal(temp_wait(pid), 0);
}

static void tick(kf_alert_lead_t *lead, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        pass(KF_SEC);
        kf_alert_lead_tick(lead);
    }
}

static void test_faults_of_the_dead_are_forgotten(void **unused)
{
    kf_alert_lead_t *lead = lead_with(NULL);

    (void)unused;
    raise_and_die(SERVER, KF0601);
    raise_and_die(SERVER, KF0611);
    raise_and_die(GAME, KF0306);
    kf_alert_cells_raise(cells, SERVER, KF0651, &(kf_alert_words_t){.text = "mine"});
    tick(lead, 40);
    /* Met again. */
    kf_alert_cells_raise(cells, SERVER, KF0611, &(kf_alert_words_t){.text = "mine"});
    tick(lead, 40);
    assert_false(kf_alert_cells_raised(cells, SERVER, KF0601));
    assert_true(kf_alert_cells_raised(cells, SERVER, KF0611));
    assert_true(kf_alert_cells_raised(cells, SERVER, KF0651));
    assert_true(kf_alert_cells_raised(cells, GAME, KF0306));
    assert_int_equal(logged("KF0523: "), 1);
    kf_alert_lead_free(lead);
    /* After a restart nobody that lives has raised any. */
    restart();
    assert_true(kf_alert_cells_raised(cells, SERVER, KF0611));
    lead = lead_with(NULL);
    tick(lead, 62);
    assert_false(kf_alert_cells_any(cells, SERVER));
    assert_true(kf_alert_cells_raised(cells, GAME, KF0306));
    kf_alert_lead_free(lead);
}

static void test_delivery_ends_what_the_dead_have_raised(void **unused)
{
    kf_alert_at_t game = at(GAME), shop = at(SHOP);

    (void)unused;
    kf_alert_delivers(&game, 0);
    raise_and_die(GAME, KF0306);
    raise_and_die(GAME, KF0402);
    raise_and_die(SHOP, KF0306);
    kf_alert_begin(&game, KF0406, "%s", "of one that lives");
    log_text[0] = '\0';
    kf_alert_delivers(&game, 0);
    assert_false(kf_alert_raised(&game, KF0306));
    assert_false(kf_alert_raised(&game, KF0402));
    assert_true(kf_alert_raised(&game, KF0406));
    assert_true(kf_alert_raised(&shop, KF0306));
    assert_int_equal(logged("KF0307"), 1);
}

/* Who met it last is gone, and who delivers now is in the same trouble: single calls, say. */
static void test_delivery_ends_nothing_that_goes_on(void **unused)
{
    kf_alert_at_t game = at(GAME);

    (void)unused;
    raise_and_die(GAME, KF0402);
    raise_and_die(GAME, KF0404);
    kf_alert_delivers(&game, KF_MSG_BIT(KF0402));
    assert_true(kf_alert_raised(&game, KF0402));
    assert_false(kf_alert_raised(&game, KF0404));
    kf_alert_delivers(&game, 0);
    assert_false(kf_alert_raised(&game, KF0402));
}

/* A connection that was to Firehose, and is to Kinesis now, is checked no more. */
static void test_a_check_that_is_made_no_more(void **unused)
{
    kf_alert_lead_t *lead = lead_with(NULL);

    (void)unused;
    raise_and_die(GAME, KF0403);
    raise_and_die(SHOP, KF0403);
    tick(lead, 2);
    assert_false(kf_alert_cells_raised(cells, GAME, KF0403));
    assert_true(kf_alert_cells_raised(cells, SHOP, KF0403));
    tick(lead, 70);
    assert_true(kf_alert_cells_raised(cells, SHOP, KF0403));
    assert_int_equal(logged("KF0523: connection game: "), 1);
    kf_alert_lead_free(lead);
}

static void test_reminders(void **unused)
{
    kf_alert_lead_t *lead = lead_with(NULL);
    kf_alert_at_t game = at(GAME);

    (void)unused;
    kf_alert_begin(&game, KF0405, "%s", "no route");
    kf_alert_begin(&game, KF0405, "%s", "no route");
    tick(lead, 3598);
    assert_int_equal(logged("KF0405"), 1);
    tick(lead, 3700);
    assert_int_equal(logged("KF0405"), 3);
    assert_int_equal(logged("connection game: AWS cannot be reached: still so after 60 minutes, "
                            "2 times: no route"),
                     1);
    kf_alert_lead_free(lead);
}

static void test_dead_letters_alert_until_they_are_gone(void **unused)
{
    static const kf_dead_entry_t none = {0};
    kf_deadletters_t *letters = kf_deadletters_open(kept, names, NAMES);
    kf_alert_lead_t *lead = lead_with(NULL);
    kf_alert_at_t game = at(GAME), shop = at(SHOP);
    kf_dead_entry_t entry = none;
    uint64_t n;

    (void)unused;
    config.letters = letters;
    entry.record = kf_record_create(GAME, (kf_str_t){"k", 1}, (kf_str_t){"data", 4});
    entry.failed_us = wall_us;
    assert_int_equal(kf_deadletters_add(letters, &entry, 1), KF_INDEX_OK);
    kf_alert_begin(&game, KF0304, "%s", "refused");
    kf_alert_begin(&shop, KF0304, "%s", "refused");
    tick(lead, 2);
    assert_true(kf_alert_raised(&game, KF0304));
    assert_false(kf_alert_raised(&shop, KF0304));
    assert_int_equal(kf_deadletters_discard(letters, &(kf_dead_selection_t){.all = true}, &n),
                     KF_INDEX_OK);
    assert_int_equal(n, 1);
    tick(lead, 2);
    assert_false(kf_alert_raised(&game, KF0304));
    kf_record_free((kf_record_t *)(uintptr_t)entry.record);
    kf_alert_lead_free(lead);
    kf_deadletters_close(letters);
}

/* ---- the command ---- */

static char *read_text(const char *path)
{
    static char text[8000];
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;

    if (file)
        fclose(file);
    text[n] = '\0';
    return text;
}

/* Looks, in real time, until a file has so many lines. */
static void look_until(kf_alert_lead_t *lead, const char *path, unsigned lines)
{
    for (int i = 0; i < 4000; i++) {
        unsigned n = 0;

        pass(10 * KF_MS);
        kf_alert_lead_tick(lead);
        for (const char *p = read_text(path); (p = strchr(p, '\n')) != NULL; p++)
            n++;
        if (n >= lines)
            return;
        usleep(5000);
    }
    fail_msg("%s has: %s", path, read_text(path));
}

static void look_until_logged(kf_alert_lead_t *lead, const char *words)
{
    for (int i = 0; i < 4000 && logged(words) == 0; i++) {
        pass(10 * KF_MS);
        kf_alert_lead_tick(lead);
        usleep(5000);
    }
    assert_true(logged(words) > 0);
}

/* Until its run has been seen to end: time may jump then. */
static void look_until_told(kf_alert_lead_t *lead, int row, kf_msg_t msg)
{
    for (int i = 0; i < 4000; i++) {
        if (kf_alert_cells_is_told(cells, row, msg, state_of(row, msg).first_us))
            return;
        pass(KF_MS);
        kf_alert_lead_tick(lead);
        usleep(5000);
    }
    fail_msg("the command does not end");
}

static void test_command(void **unused)
{
    const char *out = temp_in(folder, "out");
    char path[600], script[1000];
    snprintf(path, sizeof path, "%s", out);
    snprintf(script, sizeof script, "cat >> '%s'", path);
    const char *const argv[] = {"/bin/sh", "-c", script};
    kf_alert_lead_t *lead = lead_with(&(kf_list_t){3, argv});
    kf_alert_at_t game = at(GAME);

    (void)unused;
    kf_alert_begin_of(&game, KF0306, &(kf_alert_words_t){.code = "KMS", .request_id = "r\"1"}, "%s",
                      "say \"no\"");
    look_until(lead, path, 1);
    const char *text = read_text(path);
    assert_non_null(strstr(text,
                           "\"alert\":\"KF0306\",\"severity\":\"warning\",\"state\":\"raised\","
                           "\"connection\":\"game\",\"title\":\"a connection is on hold\""));
    assert_non_null(strstr(text, "\"text\":\"say \\\"no\\\"\""));
    assert_non_null(strstr(text, "\"code\":\"KMS\",\"request_id\":\"r\\\"1\",\"count\":1"));
    assert_non_null(strstr(text, "\"first\":\"2023-11-14T22:13:20.123Z\""));
    assert_null(strstr(text, "\"id\":0,"));
    look_until_told(lead, GAME, KF0306);
    /* Not at repeats, nor again after its end, unless that is long ago. */
    kf_alert_begin(&game, KF0306, "%s", "again");
    kf_alert_end(&game, KF0306, KF0307);
    kf_alert_begin(&game, KF0306, "%s", "again");
    tick(lead, 3);
    kf_alert_end(&game, KF0306, KF0307);
    pass(KF_ALERT_AGAIN_US + KF_SEC);
    kf_alert_event(&game, KF0652, "%s", "event");
    look_until(lead, path, 2);
    assert_non_null(strstr(read_text(path), "KF0652"));
    kf_alert_begin(&game, KF0306, "%s", "new");
    look_until(lead, path, 3);
    look_until_told(lead, GAME, KF0306);
    look_until_told(lead, GAME, KF0652);
    /* Another leader, another start: all are told. */
    kf_alert_lead_resign(lead);
    kf_alert_lead_free(lead);
    restart();
    lead = lead_with(&(kf_list_t){3, argv});
    tick(lead, 3);
    game = at(SHOP);
    kf_alert_begin(&game, KF0403, "%s", "last");
    look_until(lead, path, 4);
    assert_non_null(strstr(read_text(path), "last"));
    assert_int_equal(logged("KF0521"), 0);
    kf_alert_lead_free(lead);
}

/* What was not told when the leader ended is told by the next, over a restart too. */
static void test_command_at_least_once(void **unused)
{
    char path[600], script[1000];
    snprintf(path, sizeof path, "%s", temp_in(folder, "out"));
    snprintf(script, sizeof script, "echo begun >> '%s'; exec sleep 60", path);
    const char *const slow[] = {"/bin/sh", "-c", script};
    kf_alert_lead_t *lead = lead_with(&(kf_list_t){3, slow});
    kf_alert_at_t game = at(GAME);

    (void)unused;
    kf_alert_begin(&game, KF0306, "%s", "untold");
    look_until(lead, path, 1);
    flows = true;
    kf_alert_lead_resign(lead);
    flows = false;
    kf_alert_lead_free(lead);
    restart();
    snprintf(script, sizeof script, "cat >> '%s'", path);
    lead = lead_with(&(kf_list_t){3, slow});
    look_until(lead, path, 2);
    assert_non_null(strstr(read_text(path), "untold"));
    kf_alert_lead_free(lead);
}

static void test_command_failures(void **unused)
{
    const char *const failing[] = {"/bin/sh", "-c", "echo no pager >&2; echo more >&2; exit 7"};
    const char *const missing[] = {"/no/such/program"};
    kf_alert_lead_t *lead = lead_with(&(kf_list_t){3, failing});
    kf_alert_at_t game = at(GAME);

    (void)unused;
    kf_alert_begin(&game, KF0306, "%s", "");
    look_until_logged(lead, "KF0521");
    assert_int_equal(
        logged("KF0521: /bin/sh for KF0306 of connection game: exit status 7: no pager;"), 1);
    tick(lead, 5);
    assert_int_equal(logged("KF0521"), 1);
    kf_alert_lead_free(lead);
    lead = lead_with(&(kf_list_t){1, missing});
    kf_alert_begin(&game, KF0405, "%s", "");
    look_until_logged(lead, "KF0521: /no/such/program for KF0405: No such file or directory");
    tick(lead, 5);
    assert_int_equal(logged("KF0521"), 2);
    kf_alert_lead_free(lead);
}

/* Four at once, the others in their order. */
static void test_command_queue(void **unused)
{
    char path[600], go[700], script[2000];
    snprintf(path, sizeof path, "%s", temp_in(folder, "out"));
    snprintf(go, sizeof go, "%s.go", path);
    snprintf(script, sizeof script,
             "a=$(sed 's/.*\"alert\":\"\\([^\"]*\\)\".*/\\1/'); echo \"$a\" >> '%s';"
             "while ! test -e '%s.go'; do sleep 0.05; done; echo + >> '%s'",
             path, path, path);
    const char *const argv[] = {"/bin/sh", "-c", script};
    static const kf_msg_t msgs[] = {KF0306, KF0401, KF0402, KF0403, KF0404, KF0405, KF0406};
    static const char *const numbers[] = {"KF0306", "KF0401", "KF0402", "KF0403",
                                          "KF0404", "KF0405", "KF0406"};
    kf_alert_lead_t *lead = lead_with(&(kf_list_t){3, argv});

    (void)unused;
    for (int i = 0; i < 7; i++) {
        kf_alert_cells_raise(cells, GAME, msgs[6 - i], &(kf_alert_words_t){.text = ""});
        pass(KF_MS);
    }
    look_until(lead, path, 4);
    tick(lead, 3);
    /* The oldest were raised last in the list; who waits has not been started. */
    const char *text = read_text(path);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(strstr(text, numbers[i]) != NULL, i >= 3);
    }
    temp_write(go, "");
    look_until(lead, path, 14);
    text = read_text(path);
    for (int i = 0; i < 3; i++) {
        assert_non_null(strstr(text, numbers[i]));
    }
    kf_alert_lead_free(lead);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        TEST(test_an_episode),
        TEST(test_what_comes_again_soon_goes_on),
        TEST(test_events),
        TEST(test_texts),
        TEST(test_many_at_once),
        TEST(test_children_die),
        TEST(test_messages_of_the_server),
        TEST(test_kept_over_restarts),
        TEST(test_raised_before_it_is_loaded),
        TEST(test_of_a_connection_that_is_gone),
        TEST(test_nothing_changed_nothing_written),
        TEST(test_two_leaders),
        TEST(test_history_is_bounded),
        TEST(test_list_is_as_of_now),
        TEST(test_acknowledge),
        TEST(test_faults_of_the_dead_are_forgotten),
        TEST(test_delivery_ends_what_the_dead_have_raised),
        TEST(test_delivery_ends_nothing_that_goes_on),
        TEST(test_a_check_that_is_made_no_more),
        TEST(test_reminders),
        TEST(test_dead_letters_alert_until_they_are_gone),
        TEST(test_command),
        TEST(test_command_at_least_once),
        TEST(test_command_failures),
        TEST(test_command_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
