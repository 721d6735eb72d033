/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's phases in httpd's processes: what is made in the parent for all children, what starts
 * and stops in a child. The only place that knows them.
 *
 * INIT -> RUNNING -> DRAINING -> CLOSED -> STOPPED in a child; a child whose engine cannot start stays
 * without one, and its locations answer 503.
 */
#ifndef KF_LIFECYCLE_H
#define KF_LIFECYCLE_H

#include <httpd.h>
#include <stdbool.h>
#include "delivery/kf_engine.h"

/** pre_config hook: messages go to where httpd's own errors of starting go. */
int kf_lifecycle_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

/** post_config hook: filters, and the memory that children share. The parent, before any child. */
int kf_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                             server_rec *server);

/** child_init hook: the engine. The child's main thread, before requests. */
void kf_lifecycle_child_init(apr_pool_t *pchild, server_rec *server);

/**
 * child_stopping hook: any number of times, on any thread; on prefork in the middle of a request, as a
 * signal handler. Takes no lock.
 */
void kf_lifecycle_child_stopping(apr_pool_t *pchild, int graceful);

/** This child's engine, NULL if there is none. @thread any */
kf_engine_t *kf_lifecycle_engine(void);

/** Whether the MPM serves requests on threads: all but prefork. @thread any, after post_config */
bool kf_lifecycle_is_threaded(void);

#endif
