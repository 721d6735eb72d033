/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps what was configured (kf_config.h). Must not know what single directives mean. Everything but
 * kf_config_location and kf_config_merge_dir runs while the configuration is read.
 */
#include "httpd/kf_config.h"

#include <apr_strings.h>
#include "httpd/kf_module.h"

/* A reload loads the module anew, or has it make a new configuration: never two at a time. */
static kf_config_t *current;

static void init_section(apr_pool_t *pool, kf_section_t *section, const char *name,
                         kf_where_t where)
{
    section->name = name;
    section->where = where;
    section->set = kf_settings_create(pool, KF_SCOPE_CONN);
    section->at = apr_pcalloc(pool, (size_t)kf_directive_count * sizeof *section->at);
}

void *kf_config_create(apr_pool_t *pool, server_rec *server)
{
    if (server->is_virtual)
        return current;
    current = apr_pcalloc(pool, sizeof *current);
    current->pool = pool;
    current->process_set = kf_settings_create(pool, KF_SCOPE_SERVER);
    init_section(pool, &current->defaults, NULL, (kf_where_t){NULL, 0});
    current->sections = apr_array_make(pool, 8, sizeof(kf_section_t *));
    current->index = apr_hash_make(pool);
    current->dirs = apr_array_make(pool, 8, sizeof(kf_dir_t *));
    current->notes = apr_array_make(pool, 1, sizeof(kf_note_t));
    return current;
}

kf_config_t *kf_config_current(void)
{
    return current;
}

kf_section_t *kf_config_add_section(kf_config_t *config, const char *name, kf_where_t where)
{
    kf_section_t *section = apr_pcalloc(config->pool, sizeof *section);
    uint16_t *index;

    if (config->sections->nelts > UINT16_MAX)
        return NULL;
    index = apr_palloc(config->pool, sizeof *index);
    *index = (uint16_t)config->sections->nelts;
    init_section(config->pool, section, apr_pstrdup(config->pool, name), where);
    APR_ARRAY_PUSH(config->sections, kf_section_t *) = section;
    apr_hash_set(config->index, section->name, APR_HASH_KEY_STRING, index);
    return section;
}

kf_section_t *kf_config_section(const kf_config_t *config, const char *name)
{
    const uint16_t *index = apr_hash_get(config->index, name, APR_HASH_KEY_STRING);

    return index ? APR_ARRAY_IDX(config->sections, *index, kf_section_t *) : NULL;
}

void *kf_config_create_dir(apr_pool_t *pool, char *name)
{
    kf_dir_t *dir = apr_pcalloc(pool, sizeof *dir);

    (void)name;
    dir->set = kf_settings_create(pool, KF_SCOPE_LOCATION);
    dir->empty = true;
    return dir;
}

void kf_config_add_dir(kf_config_t *config, kf_dir_t *dir)
{
    APR_ARRAY_PUSH(config->dirs, kf_dir_t *) = dir;
}

/* Runs for every request of a location inside another: where one side says nothing no memory is used. */
void *kf_config_merge_dir(apr_pool_t *pool, void *base_config, void *over_config)
{
    kf_dir_t *base = base_config;
    kf_dir_t *over = over_config;
    kf_dir_t *merged;

    if (over->empty)
        return base;
    if (base->empty)
        return over;
    merged = apr_pmemdup(pool, over, sizeof *over);
    merged->set = kf_settings_merge(pool, KF_SCOPE_LOCATION, base->set, over->set);
    merged->ready = NULL;
    if (!current->sealed)
        kf_config_add_dir(current, merged);
    return merged;
}

static const kf_location_t *make_ready(const kf_config_t *config, apr_pool_t *pool,
                                       const kf_dir_t *dir)
{
    kf_location_t *location = apr_pcalloc(pool, sizeof *location);
    const kf_location_settings_t *settings = kf_settings_finish(pool, KF_SCOPE_LOCATION, dir->set);
    uint16_t *indexes = apr_palloc(pool, (size_t)settings->forward.n * sizeof *indexes + 1);

    for (int i = 0; i < settings->forward.n; i++) {
        const uint16_t *index =
            apr_hash_get(config->index, settings->forward.v[i], APR_HASH_KEY_STRING);

        if (index)
            indexes[location->connection_count++] = *index;
    }
    location->settings = settings;
    location->connections = indexes;
    return location;
}

void kf_config_seal(kf_config_t *config)
{
    config->nothing = make_ready(config, config->pool, kf_config_create_dir(config->pool, NULL));
    for (int i = 0; i < config->dirs->nelts; i++) {
        kf_dir_t *dir = APR_ARRAY_IDX(config->dirs, i, kf_dir_t *);

        dir->ready = make_ready(config, config->pool, dir);
    }
    config->sealed = true;
}

const kf_location_t *kf_config_location(request_rec *r)
{
    const kf_dir_t *dir = ap_get_module_config(r->per_dir_config, &kinesis_forward_module);

    if (dir->empty)
        return current->nothing;
    return dir->ready ? dir->ready : make_ready(current, r->pool, dir);
}
