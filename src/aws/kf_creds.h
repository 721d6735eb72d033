/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials of the connections of one child: where signing gets its keys. Connections whose settings
 * say the same share one cache, which threads of its own fill and refresh ahead of the keys' end
 * (kf_creds_refresh.c); where every connection has fixed keys there is no such thread. Whoever asks for
 * keys never waits, and gets the old ones as long as they are of use.
 *
 * Life: kf_creds_set_create, kf_creds_create for each connection, kf_creds_set_start, ...,
 * kf_creds_set_stop, kf_creds_set_destroy: one thread. get, refuse and is_awaited: any thread; they take
 * a lock of the set for moments, and do no I/O.
 */
#ifndef KF_CREDS_H
#define KF_CREDS_H

#include <stdbool.h>
#include <stdint.h>
#include "aws/kf_http.h"
#include "aws/kf_keys.h"
#include "base/kf_settings.h"

typedef struct kf_creds_set_t kf_creds_set_t;
typedef struct kf_creds_t kf_creds_t; /* a connection's; belongs to its set */

/* How a search for credentials ended. */
typedef struct {
    bool found;
    bool changed;  /* other keys than before are there */
    bool is_grave; /* not found, and there are none, or so for a while */
    bool has_keys; /* keys of use are there, old or new */
    const char
        *report; /* not found: each source that was asked and why it did not serve; valid during
                           the call */
} kf_creds_news_t;

/** Told after each search, once for each connection that it was for. @thread the set's, without a lock */
typedef void kf_creds_told_fn(void *context, int connection, const kf_creds_news_t *news);

typedef struct {
    kf_http_factory_fn *http_factory; /* one for each thread */
    void *http_context;
    kf_creds_told_fn *told;
    void *told_context;
    size_t thread_stack_bytes; /* 0: the system's default */
} kf_creds_set_config_t;

/** Reads the environment. @return NULL when out of memory */
kf_creds_set_t *kf_creds_set_create(const kf_creds_set_config_t *config);

/**
 * @param settings    finished, secrets resolved; must outlive the set
 * @param connection  for `told`
 * @return the set's; NULL when out of memory
 */
kf_creds_t *kf_creds_create(kf_creds_set_t *set, const kf_settings_t *settings, int connection);

/** Starts the searches, if any are needed. @return false with *error (constant text) */
bool kf_creds_set_start(kf_creds_set_t *set, const char **error);

/** Ends searches that are under way and joins their threads. @blocks a moment */
void kf_creds_set_stop(kf_creds_set_t *set);

/** Stops, if that has not been done, and frees; keys that others hold live on. NULL does nothing. */
void kf_creds_set_destroy(kf_creds_set_t *set);

/** The keys in force, to be released; NULL with a text in why (printable, no secret) when there are none. */
kf_keys_t *kf_creds_get(kf_creds_t *creds, char *why, size_t size);

/** Whether a search is under way or due that has to end before asking for keys makes sense: the first one,
 * and one after a refusal. Lock-free. */
bool kf_creds_is_awaited(const kf_creds_t *creds);

/**
 * AWS said that these keys are expired or unknown: has others searched for.
 * @return whether others are or may become available; false with fixed keys, and for a while after a
 *         refusal before
 */
bool kf_creds_refuse(kf_creds_t *creds, const kf_keys_t *keys);

#endif
