/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting and stopping (kf_lifecycle.h). Must not know requests or directives' meanings beyond the
 * process's. Parent: the thread that reads the configuration; child: its main thread, but for
 * child_stopping.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "httpd/kf_lifecycle.h"

#include <ap_mpm.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <apr_version.h>
#include <apu_version.h>
#include <curl/curl.h>
#include <http_core.h>
#include <http_main.h>
#include <jansson.h>
#include <mpm_common.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>
#include <unixd.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_alert.h"
#include "delivery/kf_store.h"
#include "httpd/kf_check.h"
#include "httpd/kf_config.h"
#include "httpd/kf_httpd_log.h"
#include "httpd/kf_module.h"

#ifndef KF_VERSION
#define KF_VERSION "unknown"
#endif

/* Where the parent keeps its lock on the store while the module is unloaded and loaded again. */
#define LOCKS_KEY "kf_store_locks"
/* Likewise, the memory of the server's numbers. */
#define METRICS_KEY "kf_metrics"

static bool is_threaded;

/* This child. */
static kf_delivery_t *delivery;
static atomic_bool hurried;       /* asked to end at once while it ends gracefully */
static _Atomic int64_t closed_us; /* when it was closed, monotonic; 0: it is not */

int kf_lifecycle_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)pconf;
    (void)plog;
    (void)ptemp;
    kf_log_set_sink(kf_httpd_log_startup);
    kf_alert_watch_log(NULL);
    return OK;
}

/* ---- the parent ---- */

static void log_notes(const kf_config_t *config)
{
    for (int i = 0; i < config->notes->nelts; i++) {
        const kf_note_t *note = &APR_ARRAY_IDX(config->notes, i, kf_note_t);

        kf_log(note->msg, "%s", note->text);
    }
}

static void log_versions(void)
{
    kf_log(KF0501,
           "mod_kinesis_forward " KF_VERSION
           ", %s, APR %s, APR-util %s, libcurl %s, %s, jansson " JANSSON_VERSION ", MPM %s",
           ap_get_server_description(), apr_version_string(), apu_version_string(),
           curl_version_info(CURLVERSION_NOW)->version, OpenSSL_version(OPENSSL_VERSION),
           ap_show_mpm());
}

/* Children at once: two generations of as many as the MPM may have. */
static int most_children(void)
{
    int most = 0;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &most) != APR_SUCCESS || most < 1)
        most = 1;
    return 2 * most;
}

static apr_status_t close_metrics(void *metrics)
{
    kf_metrics_close(metrics);
    return APR_SUCCESS;
}

/* Numbers go on over any reload. */
static bool keep_metrics(kf_config_t *config, int children)
{
    static const char key[] = METRICS_KEY;
    const char **names = apr_palloc(config->pool, (size_t)config->connection_count * sizeof *names);
    void **kept = ap_retained_data_get(key);

    if (!kept)
        kept = ap_retained_data_create(key, sizeof *kept);
    for (int i = 0; i < config->connection_count; i++)
        names[i] = config->connections[i].name;
    config->metrics = kf_metrics_open(kept, names, config->connection_count, children);
    if (!config->metrics) {
        kf_log(KF0504, "no memory for the counters");
        return false;
    }
    apr_pool_cleanup_register(config->pool, config->metrics, close_metrics, apr_pool_cleanup_null);
    return true;
}

static bool share_memory(kf_config_t *config)
{
    apr_shm_t *shm;
    int children = most_children();
    size_t first = (kf_shared_size(config->connection_count) + 63) / 64 * 64;
    apr_status_t rv = apr_shm_create(
        &shm, first + kf_common_size(config->connection_count, children), NULL, config->pool);
    char text[200], *base;

    if (rv != APR_SUCCESS) {
        kf_log(KF0504, "%s", apr_strerror(rv, text, sizeof text));
        return false;
    }
    base = apr_shm_baseaddr_get(shm);
    memset(base, 0, apr_shm_size_get(shm));
    config->shared = kf_shared_init(base, config->connection_count);
    if (config->shared)
        kf_alert_watch_log(config->shared);
    config->common = kf_common_init(base + first, config->process, config->connections,
                                    config->connection_count, children);
    if (!config->shared || !config->common)
        kf_log(KF0504, "no process-shared locks");
    return config->shared && config->common && keep_metrics(config, children);
}

/* The store, ready for children and ours alone. */
static bool take_store(kf_config_t *config)
{
    static const char key[] = LOCKS_KEY;
    const char *path = config->process->store_directory;
    bool is_root = geteuid() == 0;
    uid_t uid = is_root ? ap_unixd_config.user_id : geteuid();
    gid_t gid = is_root ? ap_unixd_config.group_id : getegid();
    char error[KF_STORE_ERROR_MAX];
    kf_store_lock_t **locks = ap_retained_data_get(key);

    if (!locks)
        locks = ap_retained_data_create(key, sizeof *locks);
    if (!kf_store_prepare(path, uid, gid, error) || !kf_store_lock(path, locks, error)) {
        kf_log(KF0505, "%s", error);
        return false;
    }
    return true;
}

static void compile_filters(kf_config_t *config)
{
    config->filters =
        apr_pcalloc(config->pool, (size_t)config->connection_count * sizeof *config->filters);
    for (int i = 0; i < config->connection_count; i++)
        config->filters[i] =
            kf_filter_compile(config->pool, config->connections[i].settings, (uint16_t)i);
}

int kf_lifecycle_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                             server_rec *server)
{
    kf_config_t *config = kf_config_current();
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    (void)pconf;
    (void)plog;
    (void)ptemp;
    (void)server;
    /* The first of two times at a start: everything made here would be thrown away. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    kf_log_set_sink(kf_httpd_log);
    log_versions();
    is_threaded = ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS &&
                  threaded != AP_MPMQ_NOT_SUPPORTED;
    kf_config_seal(config);
    if (config->connection_count == 0) {
        log_notes(config);
        return OK;
    }
    compile_filters(config);
    config->has_store = share_memory(config);
    log_notes(config);
    config->has_store = config->has_store && take_store(config);
    /* A running server goes on without: its locations answer 503. */
    if (!config->has_store && !kf_check_restarting())
        return HTTP_INTERNAL_SERVER_ERROR;
    if (config->process->durability == KF_DURABILITY_MEMORY)
        kf_log(KF0503, "%s", kf_msg_info(KF0503)->text);
    return OK;
}

/* ---- a child ---- */

/* Time for delivering, from the first word of the end; httpd kills 9 seconds after a stop. */
static int64_t time_left(void)
{
    int64_t timeout_us = kf_config_current()->process->shutdown_timeout;
    int64_t since_us = atomic_load(&closed_us);

    if (since_us == 0)
        return timeout_us;
    since_us = kf_mono_us() - since_us;
    return since_us < timeout_us ? timeout_us - since_us : 0;
}

/* Of another process: the MPM's threads wake their own main thread so. */
static void on_terminate(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (info->si_pid != getpid())
        atomic_store(&hurried, true);
}

/*
 * Whether the end is a graceful one, during which an end at once may be asked for. prefork says "at once"
 * of both; there an end at once is a signal's handler, SIGTERM's at a stop, SIGHUP's at a restart, in which
 * that signal is blocked.
 */
static bool is_graceful(void)
{
    sigset_t blocked;

    if (is_threaded)
        return atomic_load(&closed_us) == 0;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    return !sigismember(&blocked, SIGTERM) && !sigismember(&blocked, SIGHUP);
}

/* The MPMs ignore the signal from here on. While its other threads are gone it comes to this one. */
static void stop_heeding_signals(kf_delivery_t *stopping)
{
    struct sigaction action = {.sa_sigaction = on_terminate, .sa_flags = SA_SIGINFO}, before;
    bool graceful = is_graceful();

    sigemptyset(&action.sa_mask);
    if (graceful)
        sigaction(SIGTERM, &action, &before);
    kf_delivery_stop(stopping, time_left());
    if (graceful)
        sigaction(SIGTERM, &before, NULL);
}

/* A pre-cleanup: pools that are its children still exist. */
static apr_status_t stop_delivery(void *unused)
{
    kf_delivery_t *stopping = delivery;

    (void)unused;
    delivery = NULL;
    stop_heeding_signals(stopping);
    kf_http_curl_cleanup();
    kf_metrics_leave(kf_config_current()->metrics);
    return APR_SUCCESS;
}

static kf_delivery_t *start_delivery(kf_config_t *config, const char **error)
{
    kf_delivery_config_t wanted = {
        .engine = {.process = config->process,
                   .connections = config->connections,
                   .connection_count = config->connection_count,
                   .shared = config->shared,
                   .metrics = config->metrics,
                   .hurry = &hurried,
                   .threaded = is_threaded,
                   .http_factory = kf_http_curl_create,
                   .thread_stack_bytes = ap_thread_stacksize},
        .directory = config->process->store_directory,
        .common = config->common,
        .filters = config->filters,
    };
    kf_delivery_t *started;

    if (!config->has_store) {
        *error = "there is no store";
        return NULL;
    }
    if (!kf_http_curl_setup(error)) {
        kf_log(KF0407, "%s", *error);
        return NULL;
    }
    started = kf_delivery_start(&wanted, error);
    if (!started)
        kf_http_curl_cleanup();
    return started;
}

void kf_lifecycle_child_init(apr_pool_t *pchild, server_rec *server)
{
    kf_config_t *config = kf_config_current();
    const char *error = "";
    sigset_t ending, before;

    (void)server;
    kf_random_forked();
    if (config->connection_count == 0)
        return;
    /* jansson draws its hash's seed at the first use, which threads would race for. */
    json_object_seed(0);
    if (config->metrics)
        kf_metrics_join(config->metrics);
    /* prefork ends a child out of a signal's handler, whatever that interrupts: an allocation, here. */
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ending, &before);
    delivery = start_delivery(config, &error);
    if (delivery)
        apr_pool_pre_cleanup_register(pchild, NULL, stop_delivery);
    else
        kf_log(KF0502, "%s", error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void kf_lifecycle_child_stopping(apr_pool_t *pchild, int graceful)
{
    int64_t not_closed = 0;

    (void)pchild;
    if (!delivery) {
        if (!graceful)
            atomic_store(&hurried, true);
        return;
    }
    if (graceful) {
        kf_delivery_drain(delivery);
    } else {
        atomic_compare_exchange_strong(&closed_us, &not_closed, kf_mono_us());
        kf_engine_close(kf_delivery_engine(delivery));
    }
}

kf_engine_t *kf_lifecycle_engine(void)
{
    return delivery ? kf_delivery_engine(delivery) : NULL;
}

bool kf_lifecycle_is_threaded(void)
{
    return is_threaded;
}
