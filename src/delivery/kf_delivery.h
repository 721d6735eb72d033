/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything of a child behind its requests, put together: journal, index, engine, keeper, in the order
 * in which they start and stop. Knows no httpd, and of the parts only their life.
 */
#ifndef KF_DELIVERY_H
#define KF_DELIVERY_H

#include "delivery/kf_alert_table.h"
#include "delivery/kf_engine.h"
#include "events/kf_filter.h"

/* What the server's children share beside kf_shared_t; made before they are forked. */
typedef struct kf_common_t kf_common_t;

/** @param children  most that live at once, those that end included */
size_t kf_common_size(int connections, int children);

/**
 * Makes memory of that size, all zero, into it.
 * @return NULL if the system has no process-shared locks
 */
kf_common_t *kf_common_init(void *memory, const kf_process_settings_t *process,
                            const kf_connection_t *connections, int n, int children);

typedef struct {
    kf_engine_config_t engine; /* journal and letters are filled in here */
    const char *directory;     /* the store, prepared and locked by the parent */
    kf_common_t *common;
    const kf_filter_t *const *filters; /* by connection */
} kf_delivery_config_t;

typedef struct kf_delivery_t kf_delivery_t;

/**
 * Opens the store and starts the threads.
 * @return NULL with *error set (static text) when it cannot
 * @thread the child's main thread, before requests
 */
kf_delivery_t *kf_delivery_start(const kf_delivery_config_t *config, const char **error);

kf_engine_t *kf_delivery_engine(kf_delivery_t *delivery);

/** The System Alerts, for pages. @thread any */
kf_alert_table_t *kf_delivery_alerts(kf_delivery_t *delivery);

/** The child ends when its last request has (kf_engine_drain); another child leads. @thread any, signal
 * context too */
void kf_delivery_drain(kf_delivery_t *delivery);

/** Stops the threads (kf_engine_stop), closes the store. @thread the child's main thread, once */
void kf_delivery_stop(kf_delivery_t *delivery, int64_t timeout_us);

#endif
