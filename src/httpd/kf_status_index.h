/* SPDX-License-Identifier: Apache-2.0
 *
 * What the status page has to do with the index: a handle of its own, opened when it is first needed and
 * kept, so that the page works also in a child without an engine. Each call does a bounded amount of
 * work. Reading changes nothing. Knows no request.
 *
 * Threads: any of a child; one call at a time, others wait. @blocks for the disk, and up to 2 seconds
 * for another writer
 */
#ifndef KF_STATUS_INDEX_H
#define KF_STATUS_INDEX_H

#include <apr_pools.h>
#include "base/kf_str.h"
#include "delivery/kf_index.h"
#include "delivery/kf_snapshot.h"

/* Rows of a page. */
#define KF_STATUS_LETTERS 50
#define KF_STATUS_ALERTS 100
/* Letters that one change is made to; there may be more. */
#define KF_STATUS_CHANGED_MAX 5000

typedef struct {
    const char *directory; /* the store */
    kf_shared_t *shared;   /* NULL: there are no alerts */
    const char *const *names;
    int connection_count;
} kf_status_store_t;

/**
 * What the child's calls are about; the handle is closed when the child ends.
 * @param store  copied; what it points to outlives the child
 * @thread the child's main thread, before requests
 */
void kf_status_index_child(apr_pool_t *pchild, const kf_status_store_t *store);

/** How many alerts are raised, by level. @thread any; loads alone, waits for nobody */
void kf_status_index_raised(uint32_t raised[KF_DEBUG + 1]);

/**
 * A page of alerts and letters. What can't be read leaves out->error.
 * @param of      letters of this connection; NULL: of all
 * @param before  of ids below this one; 0: the newest
 */
void kf_status_index_page(apr_pool_t *pool, const char *of, int64_t before,
                          kf_snapshot_index_t *out);

/** A letter, and its first max bytes. @return KF_INDEX_NONE if there is none; *error on failure */
kf_index_result_t kf_status_index_letter(apr_pool_t *pool, int64_t id, size_t max,
                                         kf_snapshot_letter_t *letter, kf_str_t *bytes,
                                         const char **error);

typedef enum { KF_CHANGE_REPLAY, KF_CHANGE_DISCARD, KF_CHANGE_ACKNOWLEDGE } kf_change_t;

typedef struct {
    kf_change_t change;
    const int64_t *ids; /* letters', or an alert's; or else: */
    uint32_t id_count;
    const char *connection; /* all letters of this one */
    const char *who;        /* acknowledges; NULL: unknown */
} kf_status_change_t;

/**
 * Makes a change. Replaying marks letters; the leading child sends them.
 * @param[out] n     to how many
 * @param[out] more  there are more of the connection's
 * @return anything but KF_INDEX_OK: *error is a sentence; *n is right all the same
 */
kf_index_result_t kf_status_index_change(apr_pool_t *pool, const kf_status_change_t *change,
                                         uint64_t *n, bool *more, const char **error);

#endif
