/* SPDX-License-Identifier: Apache-2.0
 *
 * When and where searches for credentials run: ahead of the keys' end, soon again after a failure, at
 * once after a refusal; one at a time for each source, on threads of the set's own, so that neither
 * workers nor the leader ever wait. Must not know how sources are searched.
 *
 * The threads fork nothing (kf_creds_process.c), take no signal and end within a moment when told to.
 *
 * Times as the SDKs have them: botocore 1.43.67 (Aug 2026) tries from 15 minutes before the end; keys of
 * the instance and of containers are used past their end while no others can be had, and asked for again
 * in 5 to 10 minutes (AWS SDK for JavaScript v3, Sep 2026).
 */
#include "aws/kf_creds_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "aws/kf_creds_chain.h"

#define MINUTE_US (60 * KF_SEC)
#define AHEAD_US (15 * MINUTE_US)
/* Children of one server, and servers of one fleet, are not to ask at the same moment. */
#define JITTER_US MINUTE_US
#define SOON_US KF_SEC
#define OUTLIVED_US (5 * MINUTE_US)
#define FAILED_FIRST_US KF_SEC
#define FAILED_CAP_US MINUTE_US
/* With keys that are still good, so many failures in a row are a matter for an alert. */
#define FAILURES_GRAVE 3
/* A thread looks at the clock at least so often. */
#define WAIT_MAX_US MINUTE_US
#define STACK_LEAST ((size_t)256 * 1024)

/* --------------------------------------------------------------------- schedule */

static int64_t some_of(int64_t us)
{
    return (int64_t)(kf_random_u32() / 4294967296.0 * (double)us);
}

/* The wait after keys that are good for ttl_us. */
static int64_t after_success(int64_t ttl_us)
{
    int64_t wait_us;

    if (ttl_us <= 0)
        return OUTLIVED_US + some_of(OUTLIVED_US);
    wait_us = ttl_us > 2 * AHEAD_US ? ttl_us - AHEAD_US - some_of(JITTER_US) : ttl_us / 2;
    return wait_us > SOON_US ? wait_us : SOON_US;
}

/* Doubling; the half of it is by chance. */
static int64_t after_failure(uint32_t failures)
{
    int64_t wait_us = FAILED_FIRST_US;

    for (uint32_t i = 1; i < failures && wait_us < FAILED_CAP_US; i++)
        wait_us *= 2;
    if (wait_us > FAILED_CAP_US)
        wait_us = FAILED_CAP_US;
    return wait_us / 2 + some_of(wait_us / 2);
}

bool kf_creds_source_serves(const kf_creds_source_t *source, int64_t now_us)
{
    return source->keys && (source->outlives || now_us < source->expires_us);
}

void kf_creds_source_hurry(kf_creds_set_t *set, kf_creds_source_t *source, int64_t now_us)
{
    atomic_store(&source->is_awaited, true);
    source->was_refused = true;
    source->refused_us = now_us;
    if (source->is_flying)
        return;
    source->due_us = now_us;
    pthread_cond_signal(&set->changed);
}

/* ----------------------------------------------------------------------- a search */

static kf_creds_source_t *take_due(kf_creds_set_t *set)
{
    int64_t now_us = kf_mono_us();
    kf_creds_source_t *first = NULL;

    pthread_mutex_lock(&set->lock);
    for (kf_creds_source_t *s = set->sources; s; s = s->next)
        if (!s->is_flying && s->due_us <= now_us && (!first || s->due_us < first->due_us))
            first = s;
    if (first)
        first->is_flying = true;
    pthread_mutex_unlock(&set->lock);
    return first;
}

/* Under the lock. @return whether they are others than before */
static bool take_keys(kf_creds_source_t *source, const kf_creds_found_t *found, int64_t now_us)
{
    bool changed = !source->keys || !kf_keys_same(source->keys, found->keys);

    /* Who holds the old ones can tell by the pointer that there are new ones. */
    if (changed) {
        kf_keys_release(source->keys);
        source->keys = kf_keys_hold(found->keys);
    }
    source->expires_us =
        found->ttl_us == KF_CREDS_FOREVER ? KF_CREDS_NEVER_US : now_us + found->ttl_us;
    source->outlives = found->outlives;
    source->failures = 0;
    source->due_us = found->ttl_us == KF_CREDS_FOREVER ? KF_CREDS_NEVER_US
                                                       : now_us + after_success(found->ttl_us);
    return changed;
}

static void land(kf_creds_set_t *set, kf_creds_source_t *source, const kf_creds_found_t *found,
                 const char *report, kf_creds_news_t *news)
{
    int64_t now_us = kf_mono_us();

    pthread_mutex_lock(&set->lock);
    if (news->found) {
        news->changed = take_keys(source, found, now_us);
    } else {
        source->failures++;
        source->due_us = now_us + after_failure(source->failures);
        snprintf(source->report, sizeof source->report, "%s", report);
    }
    source->is_flying = false;
    atomic_store(&source->is_awaited, false);
    news->has_keys = kf_creds_source_serves(source, now_us);
    news->is_grave = !news->found && (!news->has_keys || source->failures >= FAILURES_GRAVE);
    pthread_mutex_unlock(&set->lock);
}

static bool search(kf_creds_set_t *set, kf_http_t *http, const kf_creds_source_t *source,
                   kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    bool ok;

    *flight = (kf_creds_flight_t){.settings = source->settings,
                                  .env = &set->env,
                                  .http = http,
                                  .is_stopping = &set->is_stopping};
    /* With an allocator of its own: no other thread's pool is touched, and all of it is given back. */
    if (apr_pool_create_unmanaged_ex(&flight->pool, NULL, NULL) != APR_SUCCESS) {
        snprintf(flight->report, sizeof flight->report, "out of memory");
        return false;
    }
    ok = kf_creds_search(flight, found);
    apr_pool_destroy(flight->pool);
    if (ok && found->ttl_us <= 0 && !found->outlives) {
        kf_creds_note(flight, KF_CREDS_FAILED, found->provider,
                      "what it gives has expired already");
        kf_keys_release(found->keys);
        ok = false;
    }
    return ok;
}

bool kf_creds_run_due(kf_creds_set_t *set, kf_http_t *http)
{
    kf_creds_source_t *source = take_due(set);
    kf_creds_found_t found = {0};
    kf_creds_news_t news = {0};
    kf_creds_flight_t flight;

    if (!source)
        return false;
    news.found = search(set, http, source, &flight, &found);
    news.report = flight.report;
    land(set, source, &found, flight.report, &news);
    if (news.found)
        kf_keys_release(found.keys);
    for (const kf_creds_t *user = source->users; user; user = user->next_user)
        if (set->config.told && !atomic_load(&set->is_stopping))
            set->config.told(set->config.told_context, user->connection, &news);
    return true;
}

int64_t kf_creds_next_due(kf_creds_set_t *set)
{
    int64_t due_us = KF_CREDS_NEVER_US;

    pthread_mutex_lock(&set->lock);
    for (const kf_creds_source_t *s = set->sources; s; s = s->next)
        if (!s->is_flying && s->due_us < due_us)
            due_us = s->due_us;
    pthread_mutex_unlock(&set->lock);
    return due_us;
}

/* ------------------------------------------------------------------------ threads */

static struct timespec moment_in(int64_t us)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += us / KF_SEC;
    at.tv_nsec += us % KF_SEC * 1000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Waits until a search is due, or the end. A search that became due since is seen under the lock. */
static void await_due(kf_creds_set_t *set)
{
    int64_t now_us = kf_mono_us(), wait_us = WAIT_MAX_US;
    struct timespec until;

    pthread_mutex_lock(&set->lock);
    for (const kf_creds_source_t *s = set->sources; s; s = s->next)
        if (!s->is_flying && s->due_us < now_us + wait_us)
            wait_us = s->due_us > now_us ? s->due_us - now_us : 0;
    until = moment_in(wait_us);
    if (wait_us > 0 && !atomic_load(&set->is_stopping))
        (void)pthread_cond_timedwait(&set->changed, &set->lock, &until);
    pthread_mutex_unlock(&set->lock);
}

static void *main_of_thread(void *context)
{
    kf_creds_thread_t *self = context;

    while (!atomic_load(&self->set->is_stopping))
        if (!kf_creds_run_due(self->set, self->http))
            await_due(self->set);
    return NULL;
}

static bool start_one(kf_creds_thread_t *t, const pthread_attr_t *attributes)
{
    sigset_t all, before;

    t->http = t->set->config.http_factory(t->set->config.http_context);
    if (!t->http)
        return false;
    /* Signals stay with the server's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    t->is_started = pthread_create(&t->thread, attributes, main_of_thread, t) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return t->is_started;
}

bool kf_creds_set_start(kf_creds_set_t *set, const char **error)
{
    int wanted =
        set->source_count < KF_CREDS_THREADS_MAX ? set->source_count : KF_CREDS_THREADS_MAX;
    size_t stack = set->config.thread_stack_bytes;
    pthread_attr_t attributes;
    bool ok = true;

    if (wanted == 0)
        return true;
    *error = "a thread for credentials could not be started";
    if (pthread_attr_init(&attributes) != 0)
        return false;
    if (stack > 0)
        ok = pthread_attr_setstacksize(&attributes, stack > STACK_LEAST ? stack : STACK_LEAST) == 0;
    for (int i = 0; i < wanted && ok; i++) {
        set->threads[i].set = set;
        ok = start_one(&set->threads[i], &attributes);
    }
    pthread_attr_destroy(&attributes);
    return ok;
}

void kf_creds_set_stop(kf_creds_set_t *set)
{
    atomic_store(&set->is_stopping, true);
    pthread_mutex_lock(&set->lock);
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
    for (int i = 0; i < KF_CREDS_THREADS_MAX; i++) {
        kf_creds_thread_t *t = &set->threads[i];

        if (t->is_started) {
            t->http->ops->wake(t->http);
            pthread_join(t->thread, NULL);
        }
        if (t->http)
            t->http->ops->destroy(t->http);
        *t = (kf_creds_thread_t){0};
    }
}
