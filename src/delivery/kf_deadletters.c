/* SPDX-License-Identifier: Apache-2.0
 *
 * The dead letters in the index. Totals are kept by triggers (kf_index_schema.h).
 */
#include "delivery/kf_deadletters.h"

#include <stdlib.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_index_int.h"

/* Letters that one transaction marks or discards. */
#define PIECE 500

enum {
    ADD,
    LIST_UP,
    LIST_DOWN = LIST_UP + 1,
    LIST_OF_UP,
    LIST_OF_DOWN = LIST_OF_UP + 1,
    GET,
    HIGHEST,
    PICK,
    PICK_OF,
    MARK,
    DISCARD,
    MARKED,
    TOTALS,
    OLDEST,
    BYTES,
    STATEMENTS
};

/* Of data that isn't asked for only the length is looked up, which touches none of its pages. */
#define LETTER \
    "SELECT dead_letter.id, name, reason, code, message, request_id, attempts, accepted_us," \
    " failed_us, kind, events, replay, length(data), key, CASE WHEN ?5 THEN data END" \
    " FROM dead_letter JOIN connection ON connection.id = connection "
#define BETWEEN "dead_letter.id > ?2 AND dead_letter.id < ?3 ORDER BY dead_letter.id "
#define OF_NAME "connection = (SELECT id FROM connection WHERE name = ?1) AND "

static const char *const sql[STATEMENTS] = {
    [ADD] = "INSERT INTO dead_letter (connection, reason, code, message, request_id, attempts,"
            " accepted_us, failed_us, kind, events, key, data)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [LIST_UP] = LETTER "WHERE " BETWEEN "LIMIT ?4",
    [LIST_DOWN] = LETTER "WHERE " BETWEEN "DESC LIMIT ?4",
    [LIST_OF_UP] = LETTER "WHERE " OF_NAME BETWEEN "LIMIT ?4",
    [LIST_OF_DOWN] = LETTER "WHERE " OF_NAME BETWEEN "DESC LIMIT ?4",
    [GET] = LETTER "WHERE dead_letter.id = ?1",
    [HIGHEST] = "SELECT ifnull(max(id), 0) FROM dead_letter",
    [PICK] = "SELECT id FROM dead_letter WHERE " BETWEEN "LIMIT ?4",
    [PICK_OF] = "SELECT id FROM dead_letter WHERE " OF_NAME BETWEEN "LIMIT ?4",
    [MARK] = "UPDATE dead_letter SET replay = 1 WHERE id = ?1",
    [DISCARD] = "DELETE FROM dead_letter WHERE id = ?1",
    [MARKED] = "SELECT id, kind, events, reason, key, data FROM dead_letter"
               " WHERE connection = ?1 AND replay AND id > ?2 ORDER BY id LIMIT ?3",
    [TOTALS] = "SELECT connection.id, name, letters, marked, bytes"
               " FROM dead_letter_total JOIN connection ON connection.id = connection",
    [OLDEST] = "SELECT failed_us FROM dead_letter WHERE connection = ?1 ORDER BY id LIMIT 1",
    [BYTES] = "SELECT ifnull(sum(bytes), 0) FROM dead_letter_total",
};

struct kf_deadletters_t {
    kf_index_t *index;
    kf_index_user_t user;
    sqlite3_stmt *s[STATEMENTS];
    int connections;
    int64_t *ids; /* the index's numbers of the connections */
};

static const char *const reasons[] = {
    [KF_DEAD_TOO_LARGE] = "too-large",
    [KF_DEAD_REFUSED] = "refused",
    [KF_DEAD_TOO_OLD] = "too-old",
};

const char *kf_dead_reason_text(kf_dead_reason_t reason)
{
    return reasons[reason];
}

kf_deadletters_t *kf_deadletters_open(kf_index_t *index, const char *const *names, int n)
{
    kf_deadletters_t *l = calloc(1, sizeof(*l));
    int64_t *ids = calloc((size_t)n + 1, sizeof(*ids));

    if (!l || !ids) {
        kf_log(KF0611, "out of memory");
        free(l);
        free(ids);
        return NULL;
    }
    *l = (kf_deadletters_t){.index = index, .connections = n, .ids = ids};
    l->user = (kf_index_user_t){.sql = sql,
                                .statements = l->s,
                                .count = STATEMENTS,
                                .names = names,
                                .ids = ids,
                                .name_count = n};
    if (!kf_index_attach(index, &l->user)) {
        kf_deadletters_close(l);
        return NULL;
    }
    return l;
}

void kf_deadletters_close(kf_deadletters_t *l)
{
    if (!l) {
        return;
    }
    kf_index_detach(l->index, &l->user);
    free(l->ids);
    free(l);
}

/* ---- add ---- */

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text ? text : "", -1, SQLITE_STATIC);
}

static void add(kf_deadletters_t *l, const kf_dead_entry_t *entry)
{
    const kf_record_t *r = entry->record;
    sqlite3_stmt *s = l->s[ADD];

    sqlite3_bind_int64(s, 1, l->ids[r->connection]);
    bind_text(s, 2, kf_dead_reason_text(entry->reason));
    bind_text(s, 3, entry->code);
    bind_text(s, 4, entry->message);
    bind_text(s, 5, entry->request_id);
    sqlite3_bind_int64(s, 6, r->attempts);
    sqlite3_bind_int64(s, 7, r->accepted_us);
    sqlite3_bind_int64(s, 8, entry->failed_us);
    sqlite3_bind_int(s, 9, r->kind);
    sqlite3_bind_int(s, 10, r->events);
    kf_index_bind_blob(s, 11, kf_record_key(r));
    kf_index_bind_blob(s, 12, kf_record_data(r));
    kf_index_run(l->index, s);
}

kf_index_result_t kf_deadletters_add(kf_deadletters_t *l, const kf_dead_entry_t *entries,
                                     uint32_t n)
{
    kf_index_result_t result = kf_index_begin(l->index);

    if (result != KF_INDEX_OK) {
        return result;
    }
    for (uint32_t i = 0; i < n; i++) {
        add(l, &entries[i]);
    }
    return kf_index_commit(l->index);
}

/* ---- read ---- */

static const char *text_of(sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);

    return text ? (const char *)text : "";
}

static void read_letter(sqlite3_stmt *s, kf_dead_letter_t *letter)
{
    *letter = (kf_dead_letter_t){.id = sqlite3_column_int64(s, 0),
                                 .connection = text_of(s, 1),
                                 .reason = text_of(s, 2),
                                 .code = text_of(s, 3),
                                 .message = text_of(s, 4),
                                 .request_id = text_of(s, 5),
                                 .attempts = (uint32_t)sqlite3_column_int64(s, 6),
                                 .accepted_us = sqlite3_column_int64(s, 7),
                                 .failed_us = sqlite3_column_int64(s, 8),
                                 .kind = (kf_record_kind_t)sqlite3_column_int(s, 9),
                                 .events = (uint32_t)sqlite3_column_int64(s, 10),
                                 .replay = sqlite3_column_int(s, 11) != 0,
                                 .data_bytes = (uint64_t)sqlite3_column_int64(s, 12),
                                 .key = kf_index_blob(s, 13),
                                 .data = kf_index_blob(s, 14)};
}

kf_index_result_t kf_deadletters_list(kf_deadletters_t *l, const kf_dead_filter_t *filter,
                                      kf_dead_letter_fn *fn, void *context)
{
    bool more = true;

    kf_index_enter(l->index);
    sqlite3_stmt *s =
        l->s[(filter->connection ? LIST_OF_UP : LIST_UP) + (filter->newest_first ? 1 : 0)];
    if (filter->connection) {
        bind_text(s, 1, filter->connection);
    }
    sqlite3_bind_int64(s, 2, filter->after);
    sqlite3_bind_int64(s, 3, filter->before > 0 ? filter->before : INT64_MAX);
    sqlite3_bind_int64(s, 4, filter->limit > 0 ? (int64_t)filter->limit : -1);
    sqlite3_bind_int(s, 5, filter->with_data);
    while (more && kf_index_row(l->index, s)) {
        kf_dead_letter_t letter;
        read_letter(s, &letter);
        more = fn(context, &letter);
    }
    kf_index_end(s);
    return kf_index_leave(l->index);
}

kf_index_result_t kf_deadletters_get(kf_deadletters_t *l, int64_t id, kf_dead_letter_fn *fn,
                                     void *context)
{
    bool found = false;

    kf_index_enter(l->index);
    sqlite3_stmt *s = l->s[GET];
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int(s, 5, 1);
    if (kf_index_row(l->index, s)) {
        kf_dead_letter_t letter;
        read_letter(s, &letter);
        found = true;
        fn(context, &letter);
    }
    kf_index_end(s);
    kf_index_result_t result = kf_index_leave(l->index);
    return result == KF_INDEX_OK && !found ? KF_INDEX_NONE : result;
}

/* ---- mark, discard ---- */

static kf_index_result_t change_ids(kf_deadletters_t *l, sqlite3_stmt *s, const int64_t *ids,
                                    uint32_t n, uint64_t *count)
{
    uint64_t changed = 0;
    kf_index_result_t result = kf_index_begin(l->index);

    if (result != KF_INDEX_OK) {
        return result;
    }
    for (uint32_t i = 0; i < n; i++) {
        sqlite3_bind_int64(s, 1, ids[i]);
        if (kf_index_run(l->index, s)) {
            changed += (uint64_t)sqlite3_changes(kf_index_db(l->index));
        }
    }
    result = kf_index_commit(l->index);
    *count += result == KF_INDEX_OK ? changed : 0;
    return result;
}

/* The next ids of a connection, or of all. */
static kf_index_result_t pick(kf_deadletters_t *l, const char *connection, int64_t after,
                              int64_t highest, int64_t *ids, uint32_t *n)
{
    *n = 0;
    kf_index_enter(l->index);
    sqlite3_stmt *s = l->s[connection ? PICK_OF : PICK];
    if (connection) {
        bind_text(s, 1, connection);
    }
    sqlite3_bind_int64(s, 2, after);
    sqlite3_bind_int64(s, 3, highest + 1);
    sqlite3_bind_int(s, 4, PIECE);
    while (*n < PIECE && kf_index_row(l->index, s)) {
        ids[(*n)++] = sqlite3_column_int64(s, 0);
    }
    kf_index_end(s);
    return kf_index_leave(l->index);
}

static kf_index_result_t highest_id(kf_deadletters_t *l, int64_t *id)
{
    *id = 0;
    kf_index_enter(l->index);
    if (kf_index_row(l->index, l->s[HIGHEST])) {
        *id = sqlite3_column_int64(l->s[HIGHEST], 0);
        kf_index_end(l->s[HIGHEST]);
    }
    return kf_index_leave(l->index);
}

/* In pieces, so that nobody waits long; up to what is there now, so that it ends. */
static kf_index_result_t change(kf_deadletters_t *l, int statement,
                                const kf_dead_selection_t *selection, uint64_t *count)
{
    int64_t ids[PIECE], after = 0, highest;
    uint32_t n = 0;

    *count = 0;
    if (selection->id_count > 0) {
        return change_ids(l, l->s[statement], selection->ids, selection->id_count, count);
    }
    if (!selection->connection && !selection->all) {
        return KF_INDEX_OK;
    }
    kf_index_result_t result = highest_id(l, &highest);
    do {
        if (result == KF_INDEX_OK) {
            result = pick(l, selection->connection, after, highest, ids, &n);
        }
        if (result == KF_INDEX_OK && n > 0) {
            result = change_ids(l, l->s[statement], ids, n, count);
            after = ids[n - 1];
        }
    } while (result == KF_INDEX_OK && n == PIECE);
    return result;
}

kf_index_result_t kf_deadletters_mark(kf_deadletters_t *l, const kf_dead_selection_t *selection,
                                      uint64_t *n)
{
    return change(l, MARK, selection, n);
}

kf_index_result_t kf_deadletters_discard(kf_deadletters_t *l, const kf_dead_selection_t *selection,
                                         uint64_t *n)
{
    return change(l, DISCARD, selection, n);
}

/* ---- replay ---- */

typedef struct {
    kf_record_list_t records;
    int64_t *ids;
    uint32_t n, max;
    uint64_t max_bytes;
} replay_t;

static void take(kf_deadletters_t *l, uint16_t connection, sqlite3_stmt *s, replay_t *r)
{
    kf_record_t *record = kf_record_create(connection, kf_index_blob(s, 4), kf_index_blob(s, 5));

    if (!record) {
        kf_index_fail_memory(l->index);
        return;
    }
    record->kind = (uint8_t)sqlite3_column_int(s, 1);
    record->events = (uint16_t)sqlite3_column_int(s, 2);
    record->accepted_us = kf_wall_us();
    record->too_large = strcmp(text_of(s, 3), reasons[KF_DEAD_TOO_LARGE]) == 0;
    r->ids[r->n++] = sqlite3_column_int64(s, 0);
    kf_record_list_add(&r->records, record);
}

static bool has_room(const replay_t *r)
{
    return r->n < r->max && (r->n == 0 || r->records.bytes < r->max_bytes);
}

static void take_marked(kf_deadletters_t *l, replay_t *r)
{
    sqlite3_stmt *s = l->s[MARKED];

    for (int c = 0; c < l->connections && has_room(r); c++) {
        sqlite3_bind_int64(s, 1, l->ids[c]);
        sqlite3_bind_int64(s, 2, 0);
        sqlite3_bind_int64(s, 3, r->max);
        while (has_room(r) && kf_index_row(l->index, s)) {
            take(l, (uint16_t)c, s, r);
        }
        kf_index_end(s);
    }
}

/* Between begin and the end of the transaction. */
static kf_index_result_t hand_on(kf_deadletters_t *l, replay_t *r, kf_dead_replay_fn *fn,
                                 void *context)
{
    take_marked(l, r);
    if (!kf_index_good(l->index)) {
        return kf_index_commit(l->index);
    }
    if (r->n == 0 || !fn(context, &r->records)) {
        kf_index_rollback(l->index);
        r->n = 0;
        return KF_INDEX_OK;
    }
    for (uint32_t i = 0; i < r->n; i++) {
        sqlite3_bind_int64(l->s[DISCARD], 1, r->ids[i]);
        kf_index_run(l->index, l->s[DISCARD]);
    }
    return kf_index_commit(l->index);
}

kf_index_result_t kf_deadletters_replay(kf_deadletters_t *l, uint32_t max_records,
                                        uint64_t max_bytes, kf_dead_replay_fn *fn, void *context,
                                        uint32_t *n)
{
    replay_t r = {.max = max_records, .max_bytes = max_bytes};

    *n = 0;
    r.ids = malloc(max_records * sizeof(*r.ids));
    if (!r.ids) {
        return KF_INDEX_FULL;
    }
    kf_index_result_t result = kf_index_begin(l->index);
    if (result == KF_INDEX_OK) {
        result = hand_on(l, &r, fn, context);
    }
    *n = result == KF_INDEX_OK ? r.n : 0;
    kf_record_list_clear(&r.records);
    free(r.ids);
    return result;
}

/* ---- totals ---- */

kf_index_result_t kf_deadletters_totals(kf_deadletters_t *l, kf_dead_totals_fn *fn, void *context)
{
    kf_index_enter(l->index);
    sqlite3_stmt *s = l->s[TOTALS], *oldest = l->s[OLDEST];
    while (kf_index_row(l->index, s)) {
        kf_dead_totals_t totals = {.connection = text_of(s, 1),
                                   .letters = (uint64_t)sqlite3_column_int64(s, 2),
                                   .marked = (uint64_t)sqlite3_column_int64(s, 3),
                                   .bytes = (uint64_t)sqlite3_column_int64(s, 4)};
        sqlite3_bind_int64(oldest, 1, sqlite3_column_int64(s, 0));
        if (kf_index_row(l->index, oldest)) {
            totals.oldest_us = sqlite3_column_int64(oldest, 0);
            kf_index_end(oldest);
        }
        fn(context, &totals);
    }
    return kf_index_leave(l->index);
}

uint64_t kf_deadletters_bytes(kf_deadletters_t *l)
{
    uint64_t bytes = 0;

    kf_index_enter(l->index);
    if (kf_index_row(l->index, l->s[BYTES])) {
        bytes = (uint64_t)sqlite3_column_int64(l->s[BYTES], 0);
        kf_index_end(l->s[BYTES]);
    }
    kf_index_leave(l->index);
    return bytes;
}
