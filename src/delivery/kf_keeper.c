/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread: what wakes it, and in which turn it does its work.
 */
#include "delivery/kf_keeper.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "base/kf_clock.h"
#include "delivery/kf_closing_first.h"
#include "delivery/kf_filing.h"
#include "delivery/kf_hold_keeping.h"
#include "delivery/kf_leader.h"

struct kf_keeper_t {
    kf_keeper_config_t config;
    kf_keeper_timing_t timing;
    pthread_t thread;
    atomic_bool retired;

    pthread_mutex_t lock; /* guards what follows, up to the blank line */
    pthread_cond_t wake;
    kf_record_list_t inbox;
    int64_t since_us; /* of the first in the inbox */
    bool poked, stopping;

    kf_filing_t *filing; /* the thread's own from here */
    kf_closing_first_t *closing_first;
    kf_leader_t *leader;
    kf_hold_keeping_t *holds;
    int64_t tick_us, compact_us; /* when it is time again */
    int64_t recall_us, recall_pause_us;
};

/* ---- the inbox ---- */

void kf_keeper_file(void *context, kf_record_list_t *records)
{
    kf_keeper_t *keeper = context;

    pthread_mutex_lock(&keeper->lock);
    bool stopping = keeper->stopping;
    if (!stopping) {
        bool first = keeper->inbox.count == 0;
        bool few = keeper->inbox.count < keeper->timing.batch_records;
        if (first) {
            keeper->since_us = kf_mono_us();
        }
        kf_record_list_append(&keeper->inbox, records);
        if (first || (few && keeper->inbox.count >= keeper->timing.batch_records)) {
            pthread_cond_signal(&keeper->wake);
        }
    }
    pthread_mutex_unlock(&keeper->lock);
    if (stopping && records->count > 0) {
        keeper->config.calls->unfiled(keeper->config.engine, records);
    }
}

void kf_keeper_poke(kf_keeper_t *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->poked = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}

void kf_keeper_retire(kf_keeper_t *keeper)
{
    atomic_store(&keeper->retired, true);
}

/* When there is something to do, as things are; now if there is already. */
static int64_t next_us(const kf_keeper_t *keeper)
{
    if (keeper->stopping || keeper->poked || keeper->inbox.count >= keeper->timing.batch_records) {
        return 0;
    }
    int64_t filing_us = keeper->since_us + keeper->timing.linger_us;
    return keeper->inbox.count > 0 && filing_us < keeper->tick_us ? filing_us : keeper->tick_us;
}

/* Waits for something to do and takes the inbox. @return false: it is time to stop */
static bool receive(kf_keeper_t *keeper, bool busy, kf_record_list_t *records)
{
    pthread_mutex_lock(&keeper->lock);
    while (!busy) {
        int64_t us = next_us(keeper);
        if (us <= kf_mono_us()) {
            break;
        }
        struct timespec until = {.tv_sec = us / KF_SEC, .tv_nsec = us % KF_SEC * 1000};
        pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until);
    }
    kf_record_list_append(records, &keeper->inbox);
    if (keeper->poked) {
        keeper->poked = false;
        keeper->tick_us = 0;
    }
    bool going = !keeper->stopping;
    pthread_mutex_unlock(&keeper->lock);
    return going;
}

/* ---- the thread ---- */

static void look_after_journal(kf_keeper_t *keeper, int64_t now_us)
{
    if (!keeper->config.journal) {
        return;
    }
    kf_journal_prepare(keeper->config.journal);
    if (now_us >= keeper->compact_us) {
        /* Whoever looked while segments were copied passed them over. */
        if (kf_journal_compact(keeper->config.journal) != 0) {
            keeper->config.calls->look_behind(keeper->config.engine);
        }
        keeper->compact_us = now_us + keeper->timing.compact_us;
    }
}

/* What was set aside comes back once the index works. Where that helps little, it is not read over and
 * over. */
static void recall(kf_keeper_t *keeper, int64_t now_us)
{
    const kf_keeper_config_t *config = &keeper->config;
    const kf_keeper_timing_t *timing = &keeper->timing;
    bool works = !config->index || kf_index_mend(config->index);

    if (!config->journal || now_us < keeper->recall_us) {
        return;
    }
    if (kf_journal_aside(config->journal) == 0) {
        keeper->recall_pause_us = timing->pause_us;
    } else if (works) {
        kf_filing_unstick(keeper->filing);
        config->calls->recall(config->engine);
        keeper->recall_us = now_us + keeper->recall_pause_us;
        keeper->recall_pause_us = keeper->recall_pause_us < timing->pause_cap_us / 2
                                      ? keeper->recall_pause_us * 2
                                      : timing->pause_cap_us;
    }
}

static void tick(kf_keeper_t *keeper)
{
    int64_t now_us = kf_mono_us();
    bool more = false;

    keeper->config.calls->tell(keeper->config.engine);
    recall(keeper, now_us);
    kf_hold_keeping_tick(keeper->holds);
    kf_filing_retry(keeper->filing);
    look_after_journal(keeper, now_us);
    if (atomic_load(&keeper->retired)) {
        kf_leader_resign(keeper->leader);
    } else {
        more = kf_leader_tick(keeper->leader);
    }
    keeper->tick_us = more ? 0 : now_us + keeper->timing.tick_us;
}

static void *run(void *context)
{
    kf_keeper_t *keeper = context;
    kf_record_list_t records = {.count = 0};
    bool busy = false;

    while (receive(keeper, busy, &records)) {
        kf_filing_add(keeper->filing, &records);
        busy = !kf_closing_first(keeper->closing_first) && kf_filing_run(keeper->filing);
        if (kf_mono_us() >= keeper->tick_us) {
            tick(keeper);
            busy = true;
        }
    }
    kf_filing_add(keeper->filing, &records);
    kf_filing_give_back(keeper->filing);
    kf_hold_keeping_end(keeper->holds);
    return NULL;
}

/* ---- start, stop ---- */

static bool start_thread(kf_keeper_t *keeper)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool ok = (keeper->config.thread_stack_bytes == 0 ||
               pthread_attr_setstacksize(&attributes, keeper->config.thread_stack_bytes) == 0) &&
              pthread_create(&keeper->thread, &attributes, run, keeper) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return ok;
}

static void make_locks(kf_keeper_t *keeper)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

kf_keeper_t *kf_keeper_start(const kf_keeper_config_t *config, const char **error)
{
    static const kf_keeper_timing_t usual = KF_KEEPER_TIMING_DEFAULT;
    kf_keeper_t *keeper = calloc(1, sizeof(*keeper));

    if (!keeper) {
        *error = "out of memory";
        return NULL;
    }
    keeper->config = *config;
    keeper->timing = config->timing ? *config->timing : usual;
    keeper->config.timing = &keeper->timing;
    if (!config->calls) {
        keeper->config.calls = &kf_keeper_engine_calls;
    }
    keeper->compact_us = kf_mono_us() + keeper->timing.compact_us;
    keeper->recall_pause_us = keeper->timing.pause_us;
    make_locks(keeper);
    keeper->filing = kf_filing_create(&keeper->config);
    keeper->closing_first = kf_closing_first_create(&keeper->config);
    keeper->leader = kf_leader_create(&keeper->config);
    keeper->holds = kf_hold_keeping_create(&keeper->config);
    *error = "out of memory";
    if (keeper->filing && keeper->closing_first && keeper->leader && keeper->holds) {
        if (start_thread(keeper)) {
            return keeper;
        }
        *error = "the background thread could not be started";
    }
    kf_keeper_free(keeper);
    return NULL;
}

void kf_keeper_stop(kf_keeper_t *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    kf_leader_resign(keeper->leader);
}

void kf_keeper_free(kf_keeper_t *keeper)
{
    if (!keeper) {
        return;
    }
    kf_filing_free(keeper->filing);
    kf_closing_first_free(keeper->closing_first);
    kf_leader_free(keeper->leader);
    kf_hold_keeping_free(keeper->holds);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}
