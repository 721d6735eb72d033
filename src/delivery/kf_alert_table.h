/* SPDX-License-Identifier: Apache-2.0
 *
 * The System Alerts table: the cells that the children share, and the index, where episodes are kept
 * over restarts. An episode is one row; those that are over are kept up to KF_ALERT_HISTORY. Knows no
 * httpd; what alerts mean stands in base/kf_messages.def.
 *
 * Threads: any, at once. Where the index serves other work too a caller may wait for its transaction; a
 * page may open an index and a table of its own instead.
 */
#ifndef KF_ALERT_TABLE_H
#define KF_ALERT_TABLE_H

#include "delivery/kf_alert_cells.h"
#include "delivery/kf_index.h"

#define KF_ALERT_HISTORY 1000
#define KF_ALERT_NAME_MAX 65
#define KF_ALERT_WHO_MAX 128

typedef struct kf_alert_table_t kf_alert_table_t;

/* One episode. */
typedef struct {
    kf_msg_t msg; /* its catalogue row has level, meaning, advice: kf_msg_info */
    char connection[KF_ALERT_NAME_MAX]; /* "": the server as a whole */
    kf_alert_state_t state;             /* state.id 0: it cannot be acknowledged yet */
    int64_t acknowledged_us;            /* wall clock; 0: it is not */
    char acknowledged_by[KF_ALERT_WHO_MAX];
} kf_alert_entry_t;

/**
 * @param index  outlives the table; NULL: what the cells have is all there is
 * @param cells  likewise
 * @param names  of the connections, by row of the cells; they outlive the table
 * @return NULL when out of memory, or the index fails (logged)
 */
kf_alert_table_t *kf_alert_table_open(kf_index_t *index, kf_alert_cells_t *cells,
                                      const char *const *names, int n);
/** NULL does nothing. */
void kf_alert_table_close(kf_alert_table_t *table);

/** A connection's name, or "" for the server's row. */
const char *kf_alert_table_name(const kf_alert_table_t *table, int row);

/* ---- for the children and their leader ---- */

/**
 * Takes open alerts, and those that may continue, over from the index into the cells. Open ones of
 * connections that are not configured any more are over. Each child, before its threads start; where the
 * index cannot be read then, kf_alert_table_save does it once it can.
 */
kf_index_result_t kf_alert_table_load(kf_alert_table_t *table);

/**
 * Writes what changed in the cells, all or nothing; looks at one word where nothing did. Two leaders
 * may do it at once.
 * @param tells  whether there is a command to run; else no alert waits for one, later either
 */
kf_index_result_t kf_alert_table_save(kf_alert_table_t *table, bool tells);

/* ---- for pages ---- */

/**
 * The latest alerts, by the time of their last occurrence, newest first; counts and times as they are
 * now, not as they were last written.
 * @param limit     1 to KF_ALERT_HISTORY
 * @param[out] entries  for the caller to free(); NULL when there are none
 * @return another than OK: the index could not be read, and the entries are those of the cells
 */
kf_index_result_t kf_alert_table_list(kf_alert_table_t *table, uint32_t limit,
                                      kf_alert_entry_t **entries, uint32_t *n);

/**
 * Somebody has seen it. An event that takes place again is not acknowledged any more.
 * @param who  a name, UTF-8, cut; NULL or "": unknown
 * @return NONE if there is no such alert; OK also if it was acknowledged before, which stays
 */
kf_index_result_t kf_alert_table_acknowledge(kf_alert_table_t *table, int64_t id, const char *who);

/** How many are raised now, by kf_level_t. Loads alone. */
void kf_alert_table_count(const kf_alert_table_t *table, uint32_t count[KF_DEBUG + 1]);

#endif
