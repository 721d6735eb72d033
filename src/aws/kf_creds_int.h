/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of kf_creds.h, for kf_creds.c (connections, sharing, asking), kf_creds_refresh.c (when and
 * where searches run) and their tests. `lock` guards what is said to change; it is held for moments.
 */
#ifndef KF_CREDS_INT_H
#define KF_CREDS_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "aws/kf_creds.h"
#include "aws/kf_creds_flight.h"
#include "base/kf_clock.h"

#define KF_CREDS_NEVER_US INT64_MAX
/* Threads of a set: so many sources that hang don't keep others waiting. */
#define KF_CREDS_THREADS_MAX 4

/* Settings that say the same, and what is known for them. */
typedef struct kf_creds_source_t {
    struct kf_creds_source_t *next;
    const kf_settings_t *settings;
    kf_creds_t *users;
    atomic_bool is_awaited; /* see kf_creds_is_awaited; changes under the lock */
    /* under the lock; times are monotonic */
    kf_keys_t *keys;    /* NULL: none yet */
    int64_t expires_us; /* or never */
    bool outlives;
    bool is_flying; /* a thread searches */
    int64_t due_us; /* the next search, if none flies */
    bool was_refused;
    int64_t refused_us; /* when a refusal last led to a search */
    uint32_t failures;  /* in a row */
    char report[KF_CREDS_REPORT_MAX];
} kf_creds_source_t;

struct kf_creds_t {
    kf_creds_t *next;      /* of the set */
    kf_creds_t *next_user; /* of the source */
    kf_creds_set_t *set;
    int connection;
    kf_creds_source_t *source; /* NULL: fixed keys, */
    kf_keys_t *keys;           /* or, if they could not be made, why */
    const char *why;
};

typedef struct {
    kf_creds_set_t *set;
    kf_http_t *http;
    pthread_t thread;
    bool is_started;
} kf_creds_thread_t;

struct kf_creds_set_t {
    kf_creds_set_config_t config;
    kf_creds_env_t env;
    kf_creds_t *all;
    kf_creds_source_t *sources;
    int source_count;
    kf_creds_thread_t threads[KF_CREDS_THREADS_MAX];
    atomic_bool is_stopping;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something became due, or the end */
};

/* kf_creds_refresh.c */
/** Whether its keys are of use. @locks the set's is held */
bool kf_creds_source_serves(const kf_creds_source_t *source, int64_t now_us);
/** Keys were refused: a search is wanted now. @locks the set's is held */
void kf_creds_source_hurry(kf_creds_set_t *set, kf_creds_source_t *source, int64_t now_us);
/** Makes the search that has been due for longest. @return whether one was due. @thread any, without lock */
bool kf_creds_run_due(kf_creds_set_t *set, kf_http_t *http);
/** When the next search is due; never if all are under way or none is needed. */
int64_t kf_creds_next_due(kf_creds_set_t *set);

#endif
