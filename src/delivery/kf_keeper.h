/* SPDX-License-Identifier: Apache-2.0
 *
 * The background thread of a child: it files uploads into windows, looks after the child's journal, and
 * leads where no other child does (kf_leader.h). Knows no httpd and no network. When it waits, nothing
 * is lost: what it has not filed stays in the journal.
 *
 * Life: kf_keeper_start in the child, after the engine -> kf_engine_set_filer(engine, kf_keeper_file,
 * keeper) -> kf_keeper_retire when the child ends gracefully -> kf_engine_set_filer(engine, NULL, NULL),
 * kf_keeper_stop -> kf_engine_stop -> kf_keeper_free, then what it worked with may be closed.
 */
#ifndef KF_KEEPER_H
#define KF_KEEPER_H

#include "delivery/kf_keeper_config.h"

typedef struct kf_keeper_t kf_keeper_t;

/**
 * Starts the thread, with all signals blocked.
 * @param config  copied; what it points to must outlive the keeper
 * @return NULL with *error set (static text)
 * @thread the child's main thread
 */
kf_keeper_t *kf_keeper_start(const kf_keeper_config_t *config, const char **error);

/**
 * Takes uploads over (a kf_file_window_fn): the list is empty afterwards. After the stop they are given
 * back as unfiled.
 * @thread any but signal context; O(1)
 */
void kf_keeper_file(void *keeper, kf_record_list_t *records);

/** Something may be due: look now. @thread any but signal context */
void kf_keeper_poke(kf_keeper_t *keeper);

/** The child ends gracefully: it goes on filing, and lets another one lead. @thread any, signal context
 * too */
void kf_keeper_retire(kf_keeper_t *keeper);

/**
 * Joins the thread; uploads that are not filed yet go back as unfiled.
 * @thread the child's main thread, once; @blocks until the transaction under way is over
 */
void kf_keeper_stop(kf_keeper_t *keeper);

/** After kf_keeper_stop, when nobody calls kf_keeper_file any more. NULL does nothing. */
void kf_keeper_free(kf_keeper_t *keeper);

#endif
