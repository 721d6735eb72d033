/* SPDX-License-Identifier: Apache-2.0
 *
 * The System Alerts table.
 */
#include "delivery/kf_alert_table.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "delivery/kf_index_int.h"

#define COLUMNS \
    "id, connection, message, code, text, request_id, count, first_us, last_us, cleared_us," \
    " acknowledged_us, acknowledged_by, notified"

enum { LATEST, ADD, CHANGE, CLOSE, CLOSE_OTHERS, TRIM, KEPT, LIST, FIND, ACKNOWLEDGE, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [LATEST] = "SELECT id, first_us FROM alerts WHERE connection = ?1 AND message = ?2"
               " ORDER BY id DESC LIMIT 1",
    [ADD] = "INSERT INTO alerts (connection, message, code, text, request_id, count, first_us,"
            " last_us, cleared_us, notified) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    /* ?12: an event, which was seen only as far as it had come. */
    [CHANGE] = "UPDATE alerts SET code = ?3, text = ?4, request_id = ?5,"
               " acknowledged_us = acknowledged_us * (NOT ?12 OR count >= ?6),"
               " count = ?6, last_us = ?8, cleared_us = ?9, notified = max(notified, ?10)"
               " WHERE id = ?11",
    [CLOSE] = "UPDATE alerts SET cleared_us = ?2 WHERE id = ?1 AND cleared_us = 0",
    [CLOSE_OTHERS] = "UPDATE alerts SET cleared_us = last_us"
                     " WHERE connection = ?1 AND message = ?2 AND id <> ?3 AND cleared_us = 0",
    [TRIM] = "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE cleared_us > 0"
             " ORDER BY cleared_us DESC LIMIT -1 OFFSET ?1)",
    [KEPT] = "SELECT " COLUMNS " FROM alerts WHERE cleared_us = 0 OR cleared_us > ?1"
             " ORDER BY id DESC",
    [LIST] = "SELECT " COLUMNS " FROM alerts ORDER BY last_us DESC, id DESC LIMIT ?1",
    [FIND] = "SELECT 1 FROM alerts WHERE id = ?1",
    [ACKNOWLEDGE] = "UPDATE alerts SET acknowledged_us = ?2, acknowledged_by = ?3"
                    " WHERE id = ?1 AND acknowledged_us = 0",
};

struct kf_alert_table_t {
    kf_index_t *index; /* NULL: none */
    kf_alert_cells_t *cells;
    const char *const *names;
    int rows;
    sqlite3_stmt *s[STATEMENTS];
    kf_index_user_t user;
    atomic_bool is_loaded;
    _Atomic uint64_t saved; /* changes up to here are in the index */
};

/* A cell to be written. */
typedef struct {
    int row;
    kf_msg_t msg;
    uint32_t change;
    kf_alert_state_t state;
} change_t;

kf_alert_table_t *kf_alert_table_open(kf_index_t *index, kf_alert_cells_t *cells,
                                      const char *const *names, int n)
{
    kf_alert_table_t *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->index = index;
    t->cells = cells;
    t->names = names;
    t->rows = n + 1;
    t->user = (kf_index_user_t){.sql = sql, .statements = t->s, .count = STATEMENTS};
    if (index && !kf_index_attach(index, &t->user)) {
        free(t);
        return NULL;
    }
    return t;
}

void kf_alert_table_close(kf_alert_table_t *t)
{
    if (!t)
        return;
    if (t->index)
        kf_index_detach(t->index, &t->user);
    free(t);
}

const char *kf_alert_table_name(const kf_alert_table_t *t, int row)
{
    return row < t->rows - 1 ? t->names[row] : "";
}

/* ---- rows ---- */

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static void copy_text(char *to, size_t size, sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);

    snprintf(to, size, "%s", text ? (const char *)text : "");
}

/* @return false: a message that this version does not have */
static bool find_message(const char *id, kf_msg_t *msg)
{
    for (int m = 0; m < KF_MSG_COUNT; m++)
        if (strcmp(kf_msg_info((kf_msg_t)m)->id, id) == 0) {
            *msg = (kf_msg_t)m;
            return true;
        }
    return false;
}

static bool read_entry(sqlite3_stmt *s, kf_alert_entry_t *entry)
{
    char message[16];

    *entry = (kf_alert_entry_t){.state = {.id = sqlite3_column_int64(s, 0),
                                          .count = (uint64_t)sqlite3_column_int64(s, 6),
                                          .first_us = sqlite3_column_int64(s, 7),
                                          .last_us = sqlite3_column_int64(s, 8),
                                          .cleared_us = sqlite3_column_int64(s, 9)},
                                .acknowledged_us = sqlite3_column_int64(s, 10)};
    copy_text(entry->connection, sizeof entry->connection, s, 1);
    copy_text(message, sizeof message, s, 2);
    copy_text(entry->state.code, sizeof entry->state.code, s, 3);
    copy_text(entry->state.text, sizeof entry->state.text, s, 4);
    copy_text(entry->state.request_id, sizeof entry->state.request_id, s, 5);
    copy_text(entry->acknowledged_by, sizeof entry->acknowledged_by, s, 11);
    entry->state.is_raised = entry->state.cleared_us == 0;
    return find_message(message, &entry->msg);
}

/* Lists that grow. @return false when out of memory */
static bool add_entry(kf_alert_entry_t **list, uint32_t *n, uint32_t *room,
                      const kf_alert_entry_t *entry)
{
    if (*n == *room) {
        uint32_t more = *room ? *room * 2 : 32;
        kf_alert_entry_t *grown = realloc(*list, more * sizeof *grown);

        if (!grown)
            return false;
        *list = grown;
        *room = more;
    }
    (*list)[(*n)++] = *entry;
    return true;
}

/* ---- load ---- */

static int row_of(const kf_alert_table_t *t, const char *name)
{
    for (int r = 0; r < t->rows; r++)
        if (strcmp(kf_alert_table_name(t, r), name) == 0)
            return r;
    return -1;
}

/* Of connections that are gone, or messages: nobody can end them. */
static kf_index_result_t close_strays(kf_alert_table_t *t, const int64_t *ids, uint32_t n)
{
    kf_index_result_t result = kf_index_begin(t->index);

    if (result != KF_INDEX_OK)
        return result;
    for (uint32_t i = 0; i < n; i++) {
        sqlite3_bind_int64(t->s[CLOSE], 1, ids[i]);
        sqlite3_bind_int64(t->s[CLOSE], 2, kf_wall_us());
        kf_index_run(t->index, t->s[CLOSE]);
    }
    return kf_index_commit(t->index);
}

kf_index_result_t kf_alert_table_load(kf_alert_table_t *t)
{
    enum { STRAYS_MAX = 256 };
    int64_t strays[STRAYS_MAX];
    uint32_t n = 0;
    kf_index_result_t result;

    if (!t->index)
        return KF_INDEX_NONE;
    kf_index_enter(t->index);
    sqlite3_bind_int64(t->s[KEPT], 1, kf_wall_us() - KF_ALERT_EVENT_US);
    while (kf_index_row(t->index, t->s[KEPT])) {
        kf_alert_entry_t entry;
        bool is_known = read_entry(t->s[KEPT], &entry);
        int row = row_of(t, entry.connection);

        if (is_known && row >= 0 && kf_msg_info(entry.msg)->alert != KF_ALERT_LOG)
            kf_alert_cells_restore(t->cells, row, entry.msg, &entry.state,
                                   sqlite3_column_int(t->s[KEPT], 12) != 0);
        else if (entry.state.is_raised && n < STRAYS_MAX)
            strays[n++] = entry.state.id;
    }
    result = kf_index_leave(t->index);
    if (result == KF_INDEX_OK && n > 0)
        result = close_strays(t, strays, n);
    if (result == KF_INDEX_OK)
        atomic_store(&t->is_loaded, true);
    return result;
}

/* ---- save ---- */

/* @return how many; 0 with *list NULL: none. -1: out of memory */
static int collect(kf_alert_table_t *t, change_t **list)
{
    int n = 0, room = 0;

    *list = NULL;
    for (int row = 0; row < t->rows; row++)
        for (int m = 0; m < KF_MSG_COUNT; m++) {
            change_t change = {.row = row, .msg = (kf_msg_t)m};

            if (!kf_alert_cells_changed(t->cells, row, change.msg, &change.state, &change.change))
                continue;
            if (n == room) {
                change_t *grown = realloc(*list, (size_t)(room += 16) * sizeof *grown);

                if (!grown)
                    return -1;
                *list = grown;
            }
            (*list)[n++] = change;
        }
    return n;
}

static void bind_names(sqlite3_stmt *s, const kf_alert_table_t *t, const change_t *change)
{
    bind_text(s, 1, kf_alert_table_name(t, change->row));
    bind_text(s, 2, kf_msg_info(change->msg)->id);
}

static void bind_state(sqlite3_stmt *s, const change_t *change, bool is_told)
{
    const kf_alert_state_t *state = &change->state;

    bind_text(s, 3, state->code);
    bind_text(s, 4, state->text);
    bind_text(s, 5, state->request_id);
    sqlite3_bind_int64(s, 6, (int64_t)state->count);
    sqlite3_bind_int64(s, 8, state->last_us);
    sqlite3_bind_int64(s, 9, state->is_raised ? 0 : state->cleared_us);
    sqlite3_bind_int(s, 10, is_told);
}

/* The row of the same episode; 0: there is none. */
static int64_t find_row(kf_alert_table_t *t, const change_t *change)
{
    int64_t id = 0;

    bind_names(t->s[LATEST], t, change);
    if (kf_index_row(t->index, t->s[LATEST])) {
        if (sqlite3_column_int64(t->s[LATEST], 1) == change->state.first_us)
            id = sqlite3_column_int64(t->s[LATEST], 0);
        kf_index_end(t->s[LATEST]);
    }
    return id;
}

static void write_row(kf_alert_table_t *t, change_t *change, bool tells)
{
    bool is_told = !tells || kf_alert_cells_is_told(t->cells, change->row, change->msg,
                                                    change->state.first_us);
    sqlite3_stmt *s;

    change->state.id = find_row(t, change);
    s = t->s[change->state.id ? CHANGE : ADD];
    bind_state(s, change, is_told);
    if (change->state.id) {
        sqlite3_bind_int64(s, 11, change->state.id);
        sqlite3_bind_int(s, 12, kf_msg_info(change->msg)->alert == KF_ALERT_EVENT);
    } else {
        bind_names(s, t, change);
        sqlite3_bind_int64(s, 7, change->state.first_us);
    }
    if (kf_index_run(t->index, s) && !change->state.id) {
        change->state.id = sqlite3_last_insert_rowid(kf_index_db(t->index));
        s = t->s[CLOSE_OTHERS];
        bind_names(s, t, change);
        sqlite3_bind_int64(s, 3, change->state.id);
        kf_index_run(t->index, s);
        sqlite3_bind_int64(t->s[TRIM], 1, KF_ALERT_HISTORY);
        kf_index_run(t->index, t->s[TRIM]);
    }
}

static kf_index_result_t write_rows(kf_alert_table_t *t, change_t *list, int n, bool tells)
{
    kf_index_result_t result = kf_index_begin(t->index);

    if (result != KF_INDEX_OK)
        return result;
    for (int i = 0; i < n; i++)
        write_row(t, &list[i], tells);
    result = kf_index_commit(t->index);
    for (int i = 0; result == KF_INDEX_OK && i < n; i++)
        kf_alert_cells_saved(t->cells, list[i].row, list[i].msg, list[i].change, &list[i].state);
    return result;
}

kf_index_result_t kf_alert_table_save(kf_alert_table_t *t, bool tells)
{
    uint64_t changes = kf_alert_cells_changes(t->cells);
    kf_index_result_t result = KF_INDEX_OK;
    change_t *list;
    int n;

    if (!t->index)
        return KF_INDEX_NONE;
    if (!atomic_load(&t->is_loaded) && (result = kf_alert_table_load(t)) != KF_INDEX_OK)
        return result;
    if (changes == atomic_load(&t->saved))
        return KF_INDEX_OK;
    n = collect(t, &list);
    if (n < 0)
        result = KF_INDEX_FULL;
    else if (n > 0)
        result = write_rows(t, list, n, tells);
    free(list);
    if (result == KF_INDEX_OK)
        atomic_store(&t->saved, changes);
    return result;
}

/* ---- pages ---- */

/* What the cell of an entry says now; or another entry. @return false when out of memory */
static bool merge(kf_alert_table_t *t, int row, kf_msg_t msg, kf_alert_entry_t **list, uint32_t *n,
                  uint32_t *room)
{
    kf_alert_entry_t entry = {.msg = msg};

    if (!kf_alert_cells_read(t->cells, row, msg, &entry.state))
        return true;
    snprintf(entry.connection, sizeof entry.connection, "%s", kf_alert_table_name(t, row));
    for (uint32_t i = 0; i < *n; i++) {
        kf_alert_entry_t *e = &(*list)[i];

        if (e->msg == msg && e->state.first_us == entry.state.first_us &&
            strcmp(e->connection, entry.connection) == 0) {
            int64_t id = e->state.id;

            e->state = entry.state;
            e->state.id = id;
            return true;
        }
    }
    return add_entry(list, n, room, &entry);
}

static int newest_first(const void *one, const void *other)
{
    const kf_alert_entry_t *a = one, *b = other;

    if (a->state.last_us != b->state.last_us)
        return a->state.last_us < b->state.last_us ? 1 : -1;
    return a->state.id < b->state.id ? 1 : a->state.id > b->state.id ? -1 : 0;
}

static kf_index_result_t read_rows(kf_alert_table_t *t, uint32_t limit, kf_alert_entry_t **list,
                                   uint32_t *n, uint32_t *room)
{
    kf_alert_entry_t entry;

    if (!t->index)
        return KF_INDEX_NONE;
    kf_index_enter(t->index);
    sqlite3_bind_int64(t->s[LIST], 1, limit);
    while (kf_index_row(t->index, t->s[LIST]))
        if (read_entry(t->s[LIST], &entry) && !add_entry(list, n, room, &entry))
            kf_index_fail_memory(t->index);
    return kf_index_leave(t->index);
}

kf_index_result_t kf_alert_table_list(kf_alert_table_t *t, uint32_t limit,
                                      kf_alert_entry_t **entries, uint32_t *n)
{
    kf_index_result_t result;
    uint32_t room = 0;

    *entries = NULL;
    *n = 0;
    result = read_rows(t, limit, entries, n, &room);
    for (int row = 0; row < t->rows; row++)
        for (int m = 0; m < KF_MSG_COUNT; m++)
            if (!merge(t, row, (kf_msg_t)m, entries, n, &room))
                result = KF_INDEX_FULL;
    if (*n > 0)
        qsort(*entries, *n, sizeof **entries, newest_first);
    if (*n > limit)
        *n = limit;
    return result;
}

kf_index_result_t kf_alert_table_acknowledge(kf_alert_table_t *t, int64_t id, const char *who)
{
    kf_index_result_t result = t->index ? kf_index_begin(t->index) : KF_INDEX_NONE;
    char name[KF_ALERT_WHO_MAX];
    bool is_there;

    if (result != KF_INDEX_OK)
        return result;
    snprintf(name, sizeof name, "%s", who ? who : "");
    sqlite3_bind_int64(t->s[FIND], 1, id);
    is_there = kf_index_row(t->index, t->s[FIND]);
    kf_index_end(t->s[FIND]);
    sqlite3_bind_int64(t->s[ACKNOWLEDGE], 1, id);
    sqlite3_bind_int64(t->s[ACKNOWLEDGE], 2, kf_wall_us());
    bind_text(t->s[ACKNOWLEDGE], 3, name);
    kf_index_run(t->index, t->s[ACKNOWLEDGE]);
    result = kf_index_commit(t->index);
    return result == KF_INDEX_OK && !is_there ? KF_INDEX_NONE : result;
}

void kf_alert_table_count(const kf_alert_table_t *t, uint32_t count[KF_DEBUG + 1])
{
    memset(count, 0, sizeof *count * (KF_DEBUG + 1));
    for (int row = 0; row < t->rows; row++)
        for (int m = 0; kf_alert_cells_any(t->cells, row) && m < KF_MSG_COUNT; m++)
            count[kf_msg_info((kf_msg_t)m)->level] +=
                kf_alert_cells_raised(t->cells, row, (kf_msg_t)m);
}
