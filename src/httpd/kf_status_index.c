/* SPDX-License-Identifier: Apache-2.0
 *
 * The page's handle on the index (kf_status_index.h).
 */
#include "httpd/kf_status_index.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/kf_clock.h"
#include "delivery/kf_alert_table.h"
#include "delivery/kf_deadletters.h"

#define WAIT_US (2 * KF_SEC)
/* What could not be opened is not tried again sooner. */
#define RETRY_US (5 * KF_SEC)
/* Ids that one transaction changes, and how long one call goes on. */
#define PIECE 500
#define CHANGE_US KF_SEC

static struct {
    pthread_mutex_t mutex; /* guards all */
    kf_index_t *index;     /* NULL: not open */
    kf_deadletters_t *letters;
    kf_alert_table_t *alerts;
    int64_t retry_us; /* monotonic; not before */
    char error[KF_INDEX_ERROR_MAX];
} own = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Of the child; read-only once there are requests. */
static kf_status_store_t store;
static kf_alert_table_t *raised_now; /* what the children share, without the index; NULL: nothing */

/* ---- the handle ---- */

static void close_handle(void)
{
    kf_alert_table_close(own.alerts);
    own.alerts = NULL;
    kf_deadletters_close(own.letters);
    kf_index_close(own.index);
    own.letters = NULL;
    own.index = NULL;
}

static bool open_tables(void)
{
    own.letters = kf_deadletters_open(own.index, NULL, 0);
    if (own.letters && store.shared)
        own.alerts = kf_alert_table_open(own.index, kf_shared_alerts(store.shared), store.names,
                                         store.connection_count);
    return own.letters && (own.alerts || !store.shared);
}

static void open_handle(void)
{
    kf_index_config_t config = {.directory = store.directory,
                                .durability = KF_DURABILITY_DISK,
                                .wait_us = WAIT_US,
                                .existing = true};

    if (own.index || kf_mono_us() < own.retry_us)
        return;
    own.index = kf_index_open(&config, own.error);
    if (own.index && !open_tables()) {
        snprintf(own.error, sizeof own.error,
                 "the index in %s cannot be used; the error log tells why", store.directory);
        close_handle();
    }
    if (!own.index)
        own.retry_us = kf_mono_us() + RETRY_US;
}

/* Takes the handle. @return NULL, or why there is none, of pool; nothing is taken then */
static const char *take(apr_pool_t *pool)
{
    const char *error = NULL;

    pthread_mutex_lock(&own.mutex);
    open_handle();
    if (!own.index) {
        error = apr_pstrdup(pool, own.error);
        pthread_mutex_unlock(&own.mutex);
    }
    return error;
}

/* Gives it back. @return NULL, or what went wrong */
static const char *give(kf_index_result_t result)
{
    const char *error = NULL;

    if (result == KF_INDEX_FULL)
        error = "there is no room for it; make room on the disk, then try again";
    else if (result == KF_INDEX_BUSY)
        error = "another process writes to the index for too long; try again";
    else if (result == KF_INDEX_FAILED)
        error = "the index cannot be used; the error log tells why (KF0611, KF0613)";
    if (result == KF_INDEX_FAILED) {
        snprintf(own.error, sizeof own.error, "%s", error);
        own.retry_us = kf_mono_us() + RETRY_US;
        close_handle();
    }
    pthread_mutex_unlock(&own.mutex);
    return error;
}

static apr_status_t close_at_end(void *unused)
{
    (void)unused;
    /* Held: on prefork a signal ended the child in the middle of its work. */
    if (pthread_mutex_trylock(&own.mutex) == 0) {
        close_handle();
        pthread_mutex_unlock(&own.mutex);
    }
    return APR_SUCCESS;
}

void kf_status_index_child(apr_pool_t *pchild, const kf_status_store_t *of)
{
    store = *of;
    if (store.shared)
        raised_now = kf_alert_table_open(NULL, kf_shared_alerts(store.shared), store.names,
                                         store.connection_count);
    apr_pool_cleanup_register(pchild, NULL, close_at_end, apr_pool_cleanup_null);
}

void kf_status_index_raised(uint32_t raised[KF_DEBUG + 1])
{
    memset(raised, 0, (KF_DEBUG + 1) * sizeof *raised);
    if (raised_now)
        kf_alert_table_count(raised_now, raised);
}

/* ---- reading ---- */

typedef struct {
    apr_pool_t *pool;
    apr_array_header_t *rows;
    kf_str_t bytes;
    size_t max;
} reader_t;

static void copy_letter(apr_pool_t *pool, const kf_dead_letter_t *l, kf_snapshot_letter_t *out)
{
    *out = (kf_snapshot_letter_t){.id = l->id,
                                  .connection = apr_pstrdup(pool, l->connection),
                                  .reason = apr_pstrdup(pool, l->reason),
                                  .code = apr_pstrdup(pool, l->code),
                                  .message = apr_pstrdup(pool, l->message),
                                  .request_id = apr_pstrdup(pool, l->request_id),
                                  .attempts = l->attempts,
                                  .events = l->events,
                                  .accepted_us = l->accepted_us,
                                  .failed_us = l->failed_us,
                                  .bytes = l->data_bytes,
                                  .marked = l->replay};
}

static bool add_letter(void *context, const kf_dead_letter_t *letter)
{
    reader_t *reader = context;

    copy_letter(reader->pool, letter, &APR_ARRAY_PUSH(reader->rows, kf_snapshot_letter_t));
    return true;
}

static void add_total(void *context, const kf_dead_totals_t *t)
{
    reader_t *reader = context;

    APR_ARRAY_PUSH(reader->rows, kf_snapshot_letters_of_t) = (kf_snapshot_letters_of_t){
        apr_pstrdup(reader->pool, t->connection), t->letters, t->marked, t->bytes, t->oldest_us};
}

static kf_index_result_t read_letters(apr_pool_t *pool, kf_snapshot_index_t *out)
{
    reader_t reader = {
        pool, apr_array_make(pool, KF_STATUS_LETTERS + 1, sizeof(kf_snapshot_letter_t)), {0}, 0};
    kf_dead_filter_t filter = {.connection = out->letters_of,
                               .before = out->before,
                               .limit = KF_STATUS_LETTERS + 1,
                               .newest_first = true};
    kf_index_result_t result = kf_deadletters_list(own.letters, &filter, add_letter, &reader);

    out->letters = (const kf_snapshot_letter_t *)(const void *)reader.rows->elts;
    out->letter_count = reader.rows->nelts;
    if (out->letter_count > KF_STATUS_LETTERS) {
        out->letter_count = KF_STATUS_LETTERS;
        out->next_before = out->letters[KF_STATUS_LETTERS - 1].id;
    }
    return result;
}

static kf_index_result_t read_totals(apr_pool_t *pool, kf_snapshot_index_t *out)
{
    reader_t reader = {pool, apr_array_make(pool, 8, sizeof(kf_snapshot_letters_of_t)), {0}, 0};
    kf_index_result_t result = kf_deadletters_totals(own.letters, add_total, &reader);

    out->totals = (const kf_snapshot_letters_of_t *)(const void *)reader.rows->elts;
    out->total_count = reader.rows->nelts;
    return result;
}

static const char *level_text(kf_level_t level)
{
    return level == KF_ERROR ? "error" : level == KF_WARNING ? "warning" : "notice";
}

static void copy_alert(apr_pool_t *pool, const kf_alert_entry_t *e, kf_snapshot_alert_t *out)
{
    const kf_msg_info_t *info = kf_msg_info(e->msg);

    *out = (kf_snapshot_alert_t){.id = e->state.id,
                                 .msg = info->id,
                                 .level = level_text(info->level),
                                 .connection = apr_pstrdup(pool, e->connection),
                                 .text = info->text,
                                 .advice = info->advice,
                                 .code = apr_pstrdup(pool, e->state.code),
                                 .message = apr_pstrdup(pool, e->state.text),
                                 .request_id = apr_pstrdup(pool, e->state.request_id),
                                 .first_us = e->state.first_us,
                                 .last_us = e->state.last_us,
                                 .count = e->state.count,
                                 .active = e->state.is_raised,
                                 .acknowledged = e->acknowledged_us != 0,
                                 .acknowledged_by = apr_pstrdup(pool, e->acknowledged_by)};
}

static kf_index_result_t read_alerts(apr_pool_t *pool, kf_alert_table_t *table,
                                     kf_snapshot_index_t *out)
{
    kf_alert_entry_t *entries = NULL;
    uint32_t n = 0;
    kf_index_result_t result = kf_alert_table_list(table, KF_STATUS_ALERTS + 1, &entries, &n);
    kf_snapshot_alert_t *alerts = apr_palloc(pool, (n + 1) * sizeof *alerts);

    for (uint32_t i = 0; i < n; i++)
        copy_alert(pool, &entries[i], &alerts[i]);
    free(entries);
    out->alerts = alerts;
    out->alert_count = n > KF_STATUS_ALERTS ? KF_STATUS_ALERTS : (int)n;
    out->alerts_more = n > KF_STATUS_ALERTS;
    return result;
}

void kf_status_index_page(apr_pool_t *pool, const char *of, int64_t before,
                          kf_snapshot_index_t *out)
{
    kf_index_result_t result;

    *out = (kf_snapshot_index_t){.letters_of = of, .before = before};
    out->error = take(pool);
    if (!out->error) {
        result = read_totals(pool, out);
        if (result == KF_INDEX_OK)
            result = read_letters(pool, out);
        if (result == KF_INDEX_OK && own.alerts)
            result = read_alerts(pool, own.alerts, out);
        out->error = give(result);
    }
    /* What goes on at the moment can be told without it. */
    if (out->error && raised_now)
        read_alerts(pool, raised_now, out);
}

static bool copy_bytes(void *context, const kf_dead_letter_t *letter)
{
    reader_t *reader = context;

    copy_letter(reader->pool, letter, &APR_ARRAY_PUSH(reader->rows, kf_snapshot_letter_t));
    reader->bytes.n = letter->data.n < reader->max ? letter->data.n : reader->max;
    reader->bytes.p = apr_pmemdup(reader->pool, letter->data.p, reader->bytes.n);
    return true;
}

kf_index_result_t kf_status_index_letter(apr_pool_t *pool, int64_t id, size_t max,
                                         kf_snapshot_letter_t *letter, kf_str_t *bytes,
                                         const char **error)
{
    reader_t reader = {pool, apr_array_make(pool, 1, sizeof(kf_snapshot_letter_t)), {0}, max};
    kf_index_result_t result;

    *error = take(pool);
    if (*error)
        return KF_INDEX_FAILED;
    result = kf_deadletters_get(own.letters, id, copy_bytes, &reader);
    *error = give(result);
    if (result == KF_INDEX_OK) {
        *letter = APR_ARRAY_IDX(reader.rows, 0, kf_snapshot_letter_t);
        *bytes = reader.bytes;
    }
    return result;
}

/* ---- changing ---- */

typedef struct {
    int64_t ids[PIECE];
    uint32_t n;
    int64_t last;
    bool skip_marked;
} piece_t;

static bool add_id(void *context, const kf_dead_letter_t *letter)
{
    piece_t *piece = context;

    piece->last = letter->id;
    if (!piece->skip_marked || !letter->replay)
        piece->ids[piece->n++] = letter->id;
    return true;
}

static kf_index_result_t change_letters(kf_change_t change, const int64_t *ids, uint32_t n,
                                        uint64_t *changed)
{
    kf_dead_selection_t selection = {.ids = ids, .id_count = n};
    uint64_t now = 0;
    kf_index_result_t result = change == KF_CHANGE_REPLAY
                                   ? kf_deadletters_mark(own.letters, &selection, &now)
                                   : kf_deadletters_discard(own.letters, &selection, &now);

    *changed += now;
    return result;
}

/* All of a connection, or as many as one call may change; the oldest first. */
static kf_index_result_t change_all(const kf_status_change_t *change, uint64_t *n, bool *more)
{
    kf_dead_filter_t filter = {.connection = change->connection, .limit = PIECE};
    int64_t until_us = kf_mono_us() + CHANGE_US;
    kf_index_result_t result = KF_INDEX_OK;

    *more = true;
    while (*more && result == KF_INDEX_OK && *n < KF_STATUS_CHANGED_MAX &&
           kf_mono_us() < until_us) {
        piece_t piece = {.skip_marked = change->change == KF_CHANGE_REPLAY, .last = filter.after};

        result = kf_deadletters_list(own.letters, &filter, add_id, &piece);
        if (result == KF_INDEX_OK && piece.n > 0)
            result = change_letters(change->change, piece.ids, piece.n, n);
        *more = piece.last != filter.after;
        filter.after = piece.last;
    }
    return result;
}

static kf_index_result_t acknowledge(const kf_status_change_t *change, uint64_t *n)
{
    kf_index_result_t result =
        own.alerts && change->id_count > 0
            ? kf_alert_table_acknowledge(own.alerts, change->ids[0], change->who)
            : KF_INDEX_NONE;

    *n = result == KF_INDEX_OK;
    return result;
}

kf_index_result_t kf_status_index_change(apr_pool_t *pool, const kf_status_change_t *change,
                                         uint64_t *n, bool *more, const char **error)
{
    kf_index_result_t result;

    *n = 0;
    *more = false;
    *error = take(pool);
    if (*error)
        return KF_INDEX_FAILED;
    if (change->change == KF_CHANGE_ACKNOWLEDGE)
        result = acknowledge(change, n);
    else if (change->id_count > 0)
        result = change_letters(change->change, change->ids, change->id_count, n);
    else
        result = change_all(change, n, more);
    *error = give(result);
    return result;
}
