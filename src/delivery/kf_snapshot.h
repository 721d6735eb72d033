/* SPDX-License-Identifier: Apache-2.0
 *
 * All that an operator may see of the server at one moment, as plain data: what every rendering of the
 * status page is made from. Here: the types, and filling in what the configuration and the memory of
 * the server's children say; alerts and dead letters, which are in the index, are added by who has it
 * open. Knows no httpd and no rendering.
 *
 * Times are wall clock in microseconds, 0 for none; texts may hold anything that AWS, a sender or an
 * older configuration put there, and are made harmless by whoever shows them. Everything is the pool's.
 * Request threads; a snapshot is one thread's.
 */
#ifndef KF_SNAPSHOT_H
#define KF_SNAPSHOT_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_engine.h"
#include "delivery/kf_metrics.h"
#include "delivery/kf_shared.h"

/* A directive that has another value than its default. */
typedef struct {
    const char *name;
    const char *value; /* "set" for a secret */
} kf_snapshot_setting_t;

typedef struct {
    const char *name;
    const char *service; /* "streams", "firehose" */
    const char *region;
    const char *stream;   /* name or ARN */
    const char *endpoint; /* NULL: follows from the region */
    const char *put_mode; /* as configured: "auto", "batch", "single" */
    bool unusable;        /* its secret could not be read */
    bool windowed;        /* events wait in windows */
    const kf_snapshot_setting_t *settings;
    int setting_count;
    kf_connection_metrics_t numbers;
    kf_msg_t trouble; /* what is wrong at the moment; KF_MSG_COUNT: nothing */
    /* By field, history_count values each, the oldest first; NULL: there is no history. A RATE is how
     * much it was in one step. -1 in a gap, and of a level when there was nothing to tell. */
    const int64_t *history[KF_HISTORY_COUNT];
} kf_snapshot_connection_t;

typedef struct {
    int64_t id;             /* 0: it cannot be acknowledged yet */
    const char *msg;        /* "KF0306" */
    const char *level;      /* "error", "warning", "notice" */
    const char *connection; /* "": the server's */
    const char *text;       /* what it means */
    const char *advice;     /* what to do, "" if nothing */
    const char *code, *message, *request_id;
    int64_t first_us, last_us;
    uint64_t count;
    bool active;
    bool acknowledged;
    const char *acknowledged_by; /* "": nobody, or nobody knows */
} kf_snapshot_alert_t;

typedef struct {
    int64_t id;
    const char *connection;
    const char *reason, *code, *message, *request_id;
    uint32_t attempts;
    uint32_t events;
    int64_t accepted_us, failed_us;
    uint64_t bytes;
    bool marked; /* will be sent again */
} kf_snapshot_letter_t;

typedef struct {
    const char *connection;
    uint64_t letters, marked, bytes;
    int64_t oldest_us;
} kf_snapshot_letters_of_t;

/* One page of what is in the index. */
typedef struct {
    const char *error; /* why it cannot be read; NULL: it can */
    const kf_snapshot_alert_t *alerts;
    int alert_count;
    bool alerts_more; /* there are older ones */
    const kf_snapshot_letter_t *letters;
    int letter_count;
    const char *letters_of; /* the page is of this connection alone; NULL: of all */
    int64_t before;         /* the page is of ids below; 0: the newest */
    int64_t next_before;    /* 0: there are no older ones */
    const kf_snapshot_letters_of_t *totals;
    int total_count;
} kf_snapshot_index_t;

typedef struct {
    int64_t at_us;
    const char *version;
    const char *host;
    const char *mpm;
    const char *directory;  /* the store */
    const char *durability; /* "disk", "process", "memory" */
    bool delivering;        /* this child has an engine */
    const char *closed;     /* why nothing is taken, a sentence's rest; NULL: posts are taken */
    int64_t server[KF_SERVER_COUNT];
    int64_t history_step_us; /* between values of the history */
    int64_t history_end_us;  /* of the last one */
    int history_count;       /* of an hour, of less where counting began later; 0: there is none */
    const kf_snapshot_connection_t *connections;
    int connection_count;
    uint32_t raised[KF_DEBUG + 1]; /* alerts that last, by kf_level_t */
    bool has_index;                /* it was looked into */
    kf_snapshot_index_t index;
} kf_snapshot_t;

/**
 * The directives that have another value than their default, for a connection's summary. Of secrets
 * only that they are set; so of everything that may hold one.
 * @thread configuration time
 */
void kf_snapshot_settings(apr_pool_t *pool, const kf_settings_t *settings,
                          const kf_snapshot_setting_t **list, int *n);

typedef struct {
    const kf_process_settings_t *process;
    const kf_connection_t *connections;
    int connection_count;
    const kf_snapshot_setting_t *const *settings; /* by connection */
    const int *setting_count;
    kf_metrics_t *metrics; /* NULL: there is none, numbers are 0 */
    kf_shared_t *shared;   /* likewise */
    bool want_history;
} kf_snapshot_source_t;

/** What configuration and shared memory say; the rest of the snapshot stays zero. */
void kf_snapshot_fill(apr_pool_t *pool, const kf_snapshot_source_t *source, kf_snapshot_t *out);

#endif
