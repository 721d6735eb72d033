/* SPDX-License-Identifier: Apache-2.0
 *
 * What the index gives back when its rows hold anything, of any type: dead letters listed, marked, sent
 * again and discarded, windows read, merged, filtered and removed. The database itself is sound: SQLite
 * is tested elsewhere.
 *
 * Input: rows, 0x1e between them; a row is a letter (d: dead letter, u: upload, w: window) and its
 * columns, 0x1f between them; a column is a letter (i: integer, r: real, t: text, else a blob) and its
 * value.
 */
#include <apr_general.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_closing_batch.h"
#include "delivery/kf_deadletters.h"
#include "fuzz_check.h"

#define CONNECTIONS 2
#define COLUMNS_MAX 16
#define LETTERS_MAX 64
#define WINDOWS_MAX 16
#define QUEUE_BYTES (INT64_C(8) << 20)

enum { LETTER, UPLOAD, WINDOW, CLEAN_FIRST, CLEAN_LAST = CLEAN_FIRST + 4, STATEMENTS };
static const char *const sql[STATEMENTS] = {
    [LETTER] = "INSERT OR IGNORE INTO dead_letter (connection, replay, reason, code, message,"
               " request_id, attempts, accepted_us, failed_us, kind, events, key, data)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [UPLOAD] = "INSERT OR IGNORE INTO upload (id, previous, text) VALUES (?1, ?2, ?3)",
    [WINDOW] = "INSERT OR IGNORE INTO window (id, connection, digest, due_us, kind, opened_us,"
               " last_us, over_us, began, began_us, bytes, uploads, events, last_upload,"
               " message_id, pieces, ids) VALUES (?1, ?2, NULL, ?3, ?4, ?5, ?6, 0, 0, 0,"
               " ?7, ?8, ?9, ?10, ?11, ?12, x'')",
    [CLEAN_FIRST] = "DELETE FROM dead_letter",
    [CLEAN_FIRST + 1] = "DELETE FROM dead_letter_total",
    [CLEAN_FIRST + 2] = "DELETE FROM upload",
    [CLEAN_FIRST + 3] = "DELETE FROM window",
    [CLEAN_LAST] = "DELETE FROM window_total"};

static const char *const names[CONNECTIONS] = {"a", "b"};
static const char *const formats[CONNECTIONS] = {"received", "outbound"};
static char folder[64];
static sqlite3 *db; /* by the side of the index's own */
static sqlite3_stmt *statements[STATEMENTS];
static kf_keeper_config_t config;
static kf_process_settings_t process = {.queue_bytes = QUEUE_BYTES};

static void no_log(kf_level_t level, const char *line)
{
    (void)level;
    (void)line;
}

static void remove_folder(void)
{
    static const char *const files[] = {"index.db", "index.db-wal", "index.db-shm"};
    char path[128];

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* ---- an index that stays, and a connection of our own to put rows into it ---- */

static void open_index(void)
{
    static kf_window_rules_t rules[CONNECTIONS];
    static const kf_windows_config_t windows = {names, rules, CONNECTIONS};
    static kf_index_config_t index = {.durability = KF_DURABILITY_MEMORY, .directory = folder};
    char error[KF_INDEX_ERROR_MAX];

    config.index = kf_index_open(&index, error);
    CHECK(config.index);
    config.windows = kf_windows_open(config.index, &windows);
    config.letters = kf_deadletters_open(config.index, names, CONNECTIONS);
    CHECK(config.windows && config.letters);
}

static void open_side(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/index.db", folder);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL) == SQLITE_OK);
    for (int i = 0; i < STATEMENTS; i++) {
        CHECK(sqlite3_prepare_v2(db, sql[i], -1, &statements[i], NULL) == SQLITE_OK);
    }
}

static void configure(void)
{
    static kf_connection_t connections[CONNECTIONS];
    static const kf_filter_t *filters[CONNECTIONS];
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    for (int c = 0; c < CONNECTIONS; c++) {
        void *settings = kf_settings_create(pool, KF_SCOPE_CONN);
        const kf_directive_t *format = kf_directive_find("KinesisRecordFormat");

        CHECK(kf_setting_set(pool, settings, format, 1, &formats[c]) == NULL);
        connections[c].name = names[c];
        connections[c].settings = kf_settings_finish(pool, KF_SCOPE_CONN, settings);
        filters[c] = kf_filter_compile(pool, connections[c].settings, (uint16_t)c);
    }
    config = (kf_keeper_config_t){.directory = folder,
                                  .connections = connections,
                                  .filters = filters,
                                  .connection_count = CONNECTIONS,
                                  .process = &process};
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)argc;
    (void)argv;
    snprintf(folder, sizeof(folder), "%s/kf-fuzz-XXXXXX", base);
    CHECK(mkdtemp(folder) != NULL);
    atexit(remove_folder);
    kf_log_set_sink(no_log);
    configure();
    open_index();
    open_side();
    return 0;
}

/* ---- rows ---- */

static const char *cut(const char **p, const char *end, char separator)
{
    const char *start = *p;
    const char *stop = start < end ? memchr(start, separator, (size_t)(end - start)) : NULL;

    stop = stop ? stop : end;
    *p = stop < end ? stop + 1 : end;
    return stop;
}

static void bind_column(sqlite3_stmt *s, int at, const char *p, const char *end)
{
    char number[32] = "";
    int n = (int)(end - p) - 1;

    if (n < 0) {
        sqlite3_bind_int(s, at, 0);
        return;
    }
    snprintf(number, sizeof(number), "%.*s", n < 31 ? n : 31, p + 1);
    if (*p == 'i') {
        sqlite3_bind_int64(s, at, strtoll(number, NULL, 10));
    } else if (*p == 'r') {
        sqlite3_bind_double(s, at, strtod(number, NULL));
    } else if (*p == 't') {
        sqlite3_bind_text(s, at, p + 1, n, SQLITE_STATIC);
    } else {
        sqlite3_bind_blob(s, at, n ? p + 1 : "", n, SQLITE_STATIC);
    }
}

static void put_row(const char *p, const char *end)
{
    sqlite3_stmt *s = statements[*p == 'd' ? LETTER : *p == 'u' ? UPLOAD : WINDOW];

    p++;
    for (int at = 1; at <= sqlite3_bind_parameter_count(s); at++) {
        const char *start = p;
        const char *stop = cut(&p, end, 0x1f);

        bind_column(s, at, start, stop);
    }
    int rc = sqlite3_step(s);
    CHECK(rc == SQLITE_DONE || rc == SQLITE_MISMATCH || rc == SQLITE_CONSTRAINT);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

static void put_rows(const char *p, const char *end)
{
    CHECK(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK);
    for (int i = CLEAN_FIRST; i <= CLEAN_LAST; i++) {
        CHECK(sqlite3_step(statements[i]) == SQLITE_DONE);
        sqlite3_reset(statements[i]);
    }
    for (int rows = 0; p < end && rows < LETTERS_MAX; rows++) {
        const char *start = p;
        const char *stop = cut(&p, end, 0x1e);

        if (stop > start) {
            put_row(start, stop);
        }
    }
    CHECK(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
}

/* ---- dead letters ---- */

typedef struct {
    int64_t ids[LETTERS_MAX];
    uint32_t n;
    uint64_t bytes;
} seen_t;

static uint64_t sum(const char *p, size_t n)
{
    uint64_t all = 0;

    for (size_t i = 0; i < n; i++) {
        all += (unsigned char)p[i];
    }
    return all;
}

static bool see(void *context, const kf_dead_letter_t *letter)
{
    seen_t *seen = context;
    const char *const texts[] = {letter->connection, letter->reason, letter->code, letter->message,
                                 letter->request_id};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CHECK(texts[i]);
        seen->bytes += sum(texts[i], strlen(texts[i]));
    }
    seen->bytes += sum(letter->key.p, letter->key.n) + sum(letter->data.p, letter->data.n);
    CHECK(seen->n < LETTERS_MAX);
    seen->ids[seen->n++] = letter->id;
    return true;
}

static bool keep(void *context, kf_record_list_t *records)
{
    uint64_t *bytes = context;

    for (const kf_record_t *r = records->first; r; r = r->next) {
        CHECK(r->connection < CONNECTIONS);
        *bytes += sum(kf_record_key(r).p, kf_record_key(r).n) +
                  sum(kf_record_data(r).p, kf_record_data(r).n);
    }
    return true;
}

static void total(void *context, const kf_dead_totals_t *totals)
{
    uint64_t *bytes = context;

    *bytes += sum(totals->connection, strlen(totals->connection));
}

static void try_letters(void)
{
    kf_dead_filter_t filter = {.with_data = true};
    kf_dead_selection_t all = {.all = true};
    seen_t up = {.n = 0}, down = {.n = 0}, one = {.n = 0}, left = {.n = 0};
    uint64_t count, sums = 0;
    uint32_t replayed;

    CHECK(kf_deadletters_list(config.letters, &filter, see, &up) == KF_INDEX_OK);
    filter.newest_first = true;
    CHECK(kf_deadletters_list(config.letters, &filter, see, &down) == KF_INDEX_OK);
    CHECK(up.n == down.n && up.bytes == down.bytes);
    for (uint32_t i = 0; i < up.n; i++) {
        CHECK(up.ids[i] == down.ids[up.n - 1 - i]);
        one.n = 0;
        CHECK(kf_deadletters_get(config.letters, up.ids[i], see, &one) == KF_INDEX_OK);
    }
    CHECK(one.bytes == up.bytes);
    CHECK(kf_deadletters_totals(config.letters, total, &sums) == KF_INDEX_OK);
    (void)kf_deadletters_bytes(config.letters);
    CHECK(kf_deadletters_mark(config.letters, &all, &count) == KF_INDEX_OK && count >= up.n);
    CHECK(kf_deadletters_replay(config.letters, LETTERS_MAX, UINT64_MAX, keep, &sums, &replayed) ==
          KF_INDEX_OK);
    CHECK(replayed == up.n);
    CHECK(kf_deadletters_discard(config.letters, &all, &count) == KF_INDEX_OK);
    CHECK(kf_deadletters_list(config.letters, &filter, see, &left) == KF_INDEX_OK && left.n == 0);
}

/* ---- windows ---- */

static void close_due(kf_closing_batch_t *work, uint16_t connection)
{
    static kf_window_t list[WINDOWS_MAX];
    kf_record_list_t records = {.count = 0};
    kf_filter_stats_t stats = {.records = 0};

    if (kf_windows_begin(config.windows) != KF_INDEX_OK) {
        return;
    }
    uint32_t n = kf_windows_due(config.windows, connection, INT64_MAX, list, WINDOWS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        kf_closed_t closed =
            kf_closing_batch(work, &list[i], INT64_C(1700000000000000), &records, &stats);
        CHECK(closed != KF_CLOSED_MEMORY);
        if (closed == KF_CLOSED_OK) {
            kf_windows_remove(config.windows, &list[i], 1);
        }
    }
    for (const kf_record_t *r = records.first; r; r = r->next) {
        CHECK(r->connection == connection);
        CHECK(r->kind != KF_RECORD_WINDOW || r->too_large);
    }
    kf_record_list_clear(&records);
    (void)kf_windows_commit(config.windows);
}

static void window_total(void *context, const kf_window_totals_t *totals)
{
    uint64_t *bytes = context;

    CHECK(totals->connection >= -1 && totals->connection < CONNECTIONS && totals->name);
    *bytes += totals->bytes;
}

static void try_windows(void)
{
    kf_closing_batch_t work;
    uint64_t bytes = 0;

    kf_closing_batch_init(&work, &config);
    for (uint16_t c = 0; c < CONNECTIONS; c++) {
        close_due(&work, c);
    }
    CHECK(kf_windows_totals(config.windows, window_total, &bytes) == KF_INDEX_OK);
    kf_closing_batch_free(&work);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    put_rows((const char *)data, (const char *)data + size);
    try_letters();
    try_windows();
    return 0;
}
