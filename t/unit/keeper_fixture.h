/* SPDX-License-Identifier: Apache-2.0
 *
 * A store with real journal, index and windows for tests of the background work, and an engine that
 * only keeps what it is told. Three connections: "batch" (Send as Batch, 600 s), "session" (Wait for
 * Complete Batch) and "plain" (window 0). The clocks stand but for what pass adds. One thread at a time.
 */
#ifndef KEEPER_FIXTURE_H
#define KEEPER_FIXTURE_H

#include <apr_pools.h>
#include "base/kf_clock.h"
#include "delivery/kf_filing.h"
#include "delivery/kf_keeper_config.h"
#include "delivery/kf_leader.h"

/* How a process that dies ends. */
#define KEEPER_DIED 9

enum { BATCH, SESSION, PLAIN, CONNECTIONS };

typedef struct {
    apr_pool_t *pool;
    char *folder;
    void *shared; /* memory of config.shared */
    void *kept;   /* and of config.metrics */
    kf_usage_t *usage;
    kf_process_settings_t *process;
    kf_connection_t connections[CONNECTIONS];
    const kf_filter_t *filters[CONNECTIONS];
    kf_window_rules_t rules[CONNECTIONS];
    kf_keeper_timing_t timing;
    kf_keeper_config_t config;
    kf_filing_t *filing; /* the child's that is open */
    kf_leader_t *leader;
    kf_record_list_t out; /* put, in order; of all lives */
    kf_record_list_t given_back;
    kf_admission_t answer;  /* of put */
    int refused;            /* connection whose puts are refused; -1: none */
    bool dies;              /* the process, at the next put that the journal took, */
    bool dies_unnoted;      /* or before the journal has a note of what it filed */
    unsigned filed, looked; /* records; calls */
    unsigned recalled;      /* calls */
    unsigned put;           /* records */
    unsigned told;          /* calls */
} keeper_fixture_t;

/** @param settings  by connection: name and value in turn, added to those above; may be NULL */
void keeper_make(keeper_fixture_t *f, const char *const *const *settings);
void keeper_remove(keeper_fixture_t *f);

/** Opens journal, index and what is in it, with filing and leader, as a child does; the last one's may have
 * been dropped. */
void keeper_open(keeper_fixture_t *f);
/** Gives back what is not filed, and closes. */
void keeper_close(keeper_fixture_t *f);

/** Other settings from now on, as after a reload; closed. */
void keeper_set(keeper_fixture_t *f, int connection, const char *name, const char *value);

/** Time passes. */
void keeper_pass(int64_t us);

/** A body as it is accepted: in the journal; for the caller to file. */
void keeper_accept(keeper_fixture_t *f, int connection, kf_str_t body, kf_record_list_t *records);

/** A body accepted and filed. */
void keeper_post(keeper_fixture_t *f, int connection, kf_str_t body);

/** Leads until there is nothing left to do. */
void keeper_lead(keeper_fixture_t *f);

/** Log lines of a message so far. */
unsigned keeper_logged(const char *id);

#endif
