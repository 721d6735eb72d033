/* SPDX-License-Identifier: Apache-2.0
 *
 * Holds in the index: few rows a connection, read and written together.
 */
#include "delivery/kf_hold_rows.h"

#include <stdlib.h>
#include "base/kf_log.h"
#include "delivery/kf_index_int.h"

enum { READ, CLEAR, ADD, STATEMENTS };
static const char *const sql[STATEMENTS] = {
    [READ] = "SELECT begin_us, end_us, is_open FROM hold WHERE connection = ?1 ORDER BY begin_us",
    [CLEAR] = "DELETE FROM hold WHERE connection = ?1",
    [ADD] = "INSERT INTO hold (connection, begin_us, end_us, is_open) VALUES (?1, ?2, ?3, ?4)",
};

struct kf_hold_rows_t {
    kf_index_t *index;
    kf_index_user_t user;
    sqlite3_stmt *s[STATEMENTS];
    int64_t *ids; /* the index's numbers of the connections */
};

kf_hold_rows_t *kf_hold_rows_open(kf_index_t *index, const char *const *names, int n)
{
    kf_hold_rows_t *rows = calloc(1, sizeof(*rows));
    int64_t *ids = calloc((size_t)n + 1, sizeof(*ids));

    if (!rows || !ids) {
        kf_log(KF0611, "out of memory");
        free(rows);
        free(ids);
        return NULL;
    }
    *rows = (kf_hold_rows_t){.index = index, .ids = ids};
    rows->user = (kf_index_user_t){.sql = sql,
                                   .statements = rows->s,
                                   .count = STATEMENTS,
                                   .names = names,
                                   .ids = ids,
                                   .name_count = n};
    if (!kf_index_attach(index, &rows->user)) {
        kf_hold_rows_close(rows);
        return NULL;
    }
    return rows;
}

void kf_hold_rows_close(kf_hold_rows_t *rows)
{
    if (!rows) {
        return;
    }
    kf_index_detach(rows->index, &rows->user);
    free(rows->ids);
    free(rows);
}

/* The index is taken. */
static void read_rows(kf_hold_rows_t *rows, int connection, kf_hold_known_t *known)
{
    sqlite3_stmt *s = rows->s[READ];

    *known = (kf_hold_known_t){.open_since_us = 0};
    sqlite3_bind_int64(s, 1, rows->ids[connection]);
    while (kf_index_row(rows->index, s)) {
        int64_t begin_us = sqlite3_column_int64(s, 0);
        kf_hold_spans_add(&known->past, begin_us, sqlite3_column_int64(s, 1));
        if (sqlite3_column_int(s, 2)) {
            known->open_since_us = begin_us;
        }
    }
}

kf_index_result_t kf_hold_rows_read(kf_hold_rows_t *rows, int connection, kf_hold_known_t *known)
{
    kf_index_enter(rows->index);
    read_rows(rows, connection, known);
    kf_index_result_t result = kf_index_leave(rows->index);
    if (result != KF_INDEX_OK) {
        *known = (kf_hold_known_t){.open_since_us = 0};
    }
    return result;
}

static void write_rows(kf_hold_rows_t *rows, int connection, const kf_hold_spans_t *spans,
                       bool is_open)
{
    sqlite3_stmt *s = rows->s[CLEAR];

    sqlite3_bind_int64(s, 1, rows->ids[connection]);
    kf_index_run(rows->index, s);
    s = rows->s[ADD];
    for (int i = 0; i < spans->count; i++) {
        sqlite3_bind_int64(s, 1, rows->ids[connection]);
        sqlite3_bind_int64(s, 2, spans->span[i].begin_us);
        sqlite3_bind_int64(s, 3, spans->span[i].end_us);
        sqlite3_bind_int(s, 4, is_open && i == spans->count - 1);
        kf_index_run(rows->index, s);
    }
}

kf_index_result_t kf_hold_rows_write(kf_hold_rows_t *rows, int connection,
                                     const kf_hold_news_t *news, int64_t now_us, int64_t max_age_us)
{
    kf_index_result_t result = kf_index_begin(rows->index);
    kf_hold_known_t known;

    if (result != KF_INDEX_OK) {
        return result;
    }
    read_rows(rows, connection, &known);
    /* What was open went on until now, or until it ended. */
    if (known.open_since_us != 0) {
        kf_hold_spans_add(&known.past, known.open_since_us,
                          news->since_us != 0 ? now_us : news->ended.end_us);
    }
    kf_hold_spans_add(&known.past, news->ended.begin_us, news->ended.end_us);
    if (news->since_us != 0) {
        /* One that has just begun has a length too. */
        kf_hold_spans_add(&known.past, news->since_us,
                          now_us > news->since_us ? now_us : news->since_us + 1);
    }
    kf_hold_spans_forget(&known.past, now_us, max_age_us);
    write_rows(rows, connection, &known.past, news->since_us != 0);
    return kf_index_commit(rows->index);
}
