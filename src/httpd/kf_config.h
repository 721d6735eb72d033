/* SPDX-License-Identifier: Apache-2.0
 *
 * What was configured: the process's settings, the defaults of connections, the connections, and what
 * each location says; with the places where it stands, for messages. Filled by kf_commands.c, judged by
 * kf_check.c, made ready by kf_lifecycle.c; read-only from then on. Knows no directive by name.
 *
 * The process has one configuration, whatever the number of virtual hosts: connections are global.
 * Written while the server reads its configuration (one thread); read by any request thread.
 */
#ifndef KF_CONFIG_H
#define KF_CONFIG_H

#include <apr_hash.h>
#include <apr_tables.h>
#include <httpd.h>
#include <http_config.h>
#include "base/kf_log.h"
#include "base/kf_settings.h"
#include "delivery/kf_delivery.h"
#include "events/kf_filter.h"

typedef struct {
    const char *file; /* NULL: nowhere, a default */
    int line;
} kf_where_t;

/* Connection directives that stand together: those of a section, or of the main server. */
typedef struct {
    const char *name; /* NULL: the main server */
    kf_where_t where;
    kf_settings_t *set; /* as they stand, not finished */
    kf_where_t *at;     /* where each stands, by row of kf_directives */
} kf_section_t;

/* What a location's requests need, ready for use. */
typedef struct {
    const kf_location_settings_t *settings; /* finished */
    const uint16_t *connections;            /* indexes */
    int connection_count;
} kf_location_t;

/* What one <Location>, <Directory>, virtual host or the main server says. */
typedef struct {
    kf_location_settings_t *set; /* as it stands, not finished */
    bool empty;                  /* says nothing */
    const server_rec *server;    /* that it stands in */
    kf_where_t forward_at;
    const kf_location_t *ready; /* NULL: merged for a request, made ready on demand */
} kf_dir_t;

/* What the checks have to say of a configuration that can be used. */
typedef struct {
    kf_msg_t msg;
    const char *text;
} kf_note_t;

typedef struct {
    apr_pool_t *pool;
    kf_process_settings_t *process_set; /* as it stands */
    kf_section_t defaults;
    apr_array_header_t *sections; /* of kf_section_t *, in order */
    apr_hash_t *index;            /* name to const uint16_t *, the connection's index */
    apr_array_header_t *dirs;     /* of kf_dir_t *: those that say something */

    /* after the checks */
    const kf_process_settings_t *process; /* finished */
    kf_connection_t *connections;         /* by index; settings finished, secrets resolved */
    int connection_count;
    apr_array_header_t *notes; /* of kf_note_t: logged once the error log is open */

    /* after post_config */
    const kf_filter_t **filters;  /* by connection */
    const kf_location_t *nothing; /* of locations that say nothing */
    kf_shared_t *shared;          /* NULL: it could not be made, nothing is taken */
    kf_common_t *common;          /* likewise */
    kf_metrics_t *metrics;        /* likewise */
    bool has_store;               /* it is ready and ours; else nothing is taken */
    bool sealed;
} kf_config_t;

/** create_server_config: the main server's makes the configuration, virtual hosts share it. */
void *kf_config_create(apr_pool_t *pool, server_rec *server);

/** The process's configuration. */
kf_config_t *kf_config_current(void);

/** create_dir_config and merge_dir_config. */
void *kf_config_create_dir(apr_pool_t *pool, char *dir);
void *kf_config_merge_dir(apr_pool_t *pool, void *base, void *over);

/** Notes that a location says something: it is looked at by the checks and made ready. */
void kf_config_add_dir(kf_config_t *config, kf_dir_t *dir);

/**
 * Adds a section that nobody defined before.
 * @return it, with everything unset; NULL when there are as many as records can tell apart
 */
kf_section_t *kf_config_add_section(kf_config_t *config, const char *name, kf_where_t where);

/** The section of a name, NULL if there is none. */
kf_section_t *kf_config_section(const kf_config_t *config, const char *name);

/** Makes every noted location ready; the last step, all names are known to be good. */
void kf_config_seal(kf_config_t *config);

/** What the request's location says, finished. @thread any request thread */
const kf_location_t *kf_config_location(request_rec *r);

#endif
