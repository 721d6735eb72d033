/* SPDX-License-Identifier: Apache-2.0
 *
 * The index from the inside, for what keeps its rows there: transactions and statements. The first
 * error of a transaction stays: what follows does nothing, and the commit becomes a rollback. Not for
 * other layers.
 */
#ifndef KF_INDEX_INT_H
#define KF_INDEX_INT_H

#include <sqlite3.h>
#include "base/kf_str.h"
#include "delivery/kf_index.h"

/** NULL while it is closed. */
sqlite3 *kf_index_db(kf_index_t *index);

/**
 * Prepares n statements that live as long as their owner.
 * @return false: none is prepared, logged
 */
bool kf_index_prepare(kf_index_t *index, const char *const *sql, int n, sqlite3_stmt **statements);
void kf_index_finalize(sqlite3_stmt **statements, int n);

/* Who keeps rows in the index: each time it is opened the statements are prepared, and the numbers found
 * that stand for connections' names there. While it is closed all statements are NULL. */
typedef struct kf_index_user_t kf_index_user_t;
struct kf_index_user_t {
    kf_index_user_t *next; /* the index's */
    const char *const *sql;
    sqlite3_stmt **statements;
    int count;
    const char *const *names;
    int64_t *ids; /* by name */
    int name_count;
};

/** @return false, and it is not attached: it could not be made ready, logged; never if patient */
bool kf_index_attach(kf_index_t *index, kf_index_user_t *user);
void kf_index_detach(kf_index_t *index, kf_index_user_t *user);

/** Takes the index for reading, until leave. */
void kf_index_enter(kf_index_t *index);
kf_index_result_t kf_index_leave(kf_index_t *index);

/** Takes the index and the right to write, until commit or rollback. On failure nothing is taken. */
kf_index_result_t kf_index_begin(kf_index_t *index);
/** Commits, with durability disk onto the disk; rolls back where anything failed. Gives all back. */
kf_index_result_t kf_index_commit(kf_index_t *index);
void kf_index_rollback(kf_index_t *index);

/** Whether nothing failed since enter or begin. */
bool kf_index_good(const kf_index_t *index);
/** Makes the transaction fail for want of memory. */
void kf_index_fail_memory(kf_index_t *index);

/** Runs a statement that gives no rows. @return kf_index_good */
bool kf_index_run(kf_index_t *index, sqlite3_stmt *statement);
/** The next row. @return false after the last and after an error; the statement can then be used again */
bool kf_index_row(kf_index_t *index, sqlite3_stmt *statement);
/** Ends reading rows early. */
void kf_index_end(sqlite3_stmt *statement);

/** Binds bytes that stay as they are until the statement has run; n == 0 is an empty one, not NULL. */
void kf_index_bind_blob(sqlite3_stmt *statement, int at, kf_str_t bytes);
/** The bytes of a column; good until the next step. */
kf_str_t kf_index_blob(sqlite3_stmt *statement, int column);

/**
 * The numbers that stand for connections' names in the index, given out where there is none yet. Takes
 * the index itself.
 */
kf_index_result_t kf_index_connections(kf_index_t *index, const char *const *names, int n,
                                       int64_t *ids);

#endif
