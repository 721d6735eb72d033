/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections and what they share (kf_creds.h). Must not know sources of credentials, nor when they are
 * asked; logs nothing. Asking: any thread; making and freeing: the child's main thread.
 */
#include "aws/kf_creds_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "aws/kf_creds_chain.h"

/* A refusal so soon after the last one's search is no matter of age: another would not help either. */
#define REFUSED_AGAIN_US (10 * KF_SEC)

/* ---------------------------------------------------------------------- making */

static bool make_locks(kf_creds_set_t *set)
{
    pthread_condattr_t monotonic;
    bool ok;

    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    ok = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&set->changed, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    if (ok && pthread_mutex_init(&set->lock, NULL) != 0) {
        pthread_cond_destroy(&set->changed);
        ok = false;
    }
    return ok;
}

kf_creds_set_t *kf_creds_set_create(const kf_creds_set_config_t *config)
{
    kf_creds_set_t *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->config = *config;
    if (!make_locks(set)) {
        free(set);
        return NULL;
    }
    if (!kf_creds_env_read(&set->env)) {
        kf_creds_set_destroy(set);
        return NULL;
    }
    return set;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* All that a search looks at. */
static bool is_same(const kf_settings_t *a, const kf_settings_t *b)
{
    return is_same_text(a->access_key_id, b->access_key_id) &&
           is_same_text(a->secret_access_key, b->secret_access_key) &&
           is_same_text(a->session_token, b->session_token) &&
           is_same_text(a->profile, b->profile) &&
           is_same_text(a->credentials_file, b->credentials_file) &&
           is_same_text(a->config_file, b->config_file) && is_same_text(a->role_arn, b->role_arn) &&
           is_same_text(a->external_id, b->external_id) &&
           is_same_text(a->role_session_name, b->role_session_name) &&
           is_same_text(a->region, b->region) && is_same_text(a->ca_file, b->ca_file) &&
           is_same_text(a->proxy, b->proxy) && a->use_fips == b->use_fips &&
           a->use_dual_stack == b->use_dual_stack &&
           a->allow_insecure_endpoint == b->allow_insecure_endpoint;
}

static kf_creds_source_t *source_of(kf_creds_set_t *set, const kf_settings_t *settings)
{
    kf_creds_source_t *source = set->sources;

    while (source && !is_same(source->settings, settings))
        source = source->next;
    if (source)
        return source;
    source = calloc(1, sizeof *source);
    if (!source)
        return NULL;
    source->settings = settings;
    source->due_us = kf_mono_us();
    atomic_init(&source->is_awaited, true);
    snprintf(source->report, sizeof source->report, "they are being searched for");
    source->next = set->sources;
    set->sources = source;
    set->source_count++;
    return source;
}

/* Fixed keys, or a source. @return false when out of memory */
static bool find_keys(kf_creds_t *creds, const kf_settings_t *settings)
{
    if (kf_creds_static(settings, &creds->set->env, &creds->keys, &creds->why))
        return creds->keys || creds->why != kf_keys_no_memory;
    creds->source = source_of(creds->set, settings);
    if (!creds->source)
        return false;
    creds->next_user = creds->source->users;
    creds->source->users = creds;
    return true;
}

kf_creds_t *kf_creds_create(kf_creds_set_t *set, const kf_settings_t *settings, int connection)
{
    kf_creds_t *creds = calloc(1, sizeof *creds);

    if (!creds)
        return NULL;
    creds->set = set;
    creds->connection = connection;
    if (!find_keys(creds, settings)) {
        free(creds);
        return NULL;
    }
    creds->next = set->all;
    set->all = creds;
    return creds;
}

static void free_sources(kf_creds_set_t *set)
{
    while (set->sources) {
        kf_creds_source_t *source = set->sources;

        set->sources = source->next;
        kf_keys_release(source->keys);
        free(source);
    }
}

void kf_creds_set_destroy(kf_creds_set_t *set)
{
    if (!set)
        return;
    kf_creds_set_stop(set);
    free_sources(set);
    while (set->all) {
        kf_creds_t *creds = set->all;

        set->all = creds->next;
        kf_keys_release(creds->keys);
        free(creds);
    }
    kf_creds_env_free(&set->env);
    pthread_cond_destroy(&set->changed);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

/* ---------------------------------------------------------------------- asking */

kf_keys_t *kf_creds_get(kf_creds_t *creds, char *why, size_t size)
{
    kf_creds_source_t *source = creds->source;
    kf_keys_t *keys = NULL;

    if (!source) {
        if (creds->keys)
            return kf_keys_hold(creds->keys);
        snprintf(why, size, "%s", creds->why);
        return NULL;
    }
    pthread_mutex_lock(&creds->set->lock);
    if (kf_creds_source_serves(source, kf_mono_us()))
        keys = kf_keys_hold(source->keys);
    else
        snprintf(why, size, "%s%s", source->keys ? "the credentials have expired: " : "",
                 source->report);
    pthread_mutex_unlock(&creds->set->lock);
    return keys;
}

bool kf_creds_is_awaited(const kf_creds_t *creds)
{
    return creds->source && atomic_load(&creds->source->is_awaited);
}

bool kf_creds_refuse(kf_creds_t *creds, const kf_keys_t *keys)
{
    kf_creds_source_t *source = creds->source;
    int64_t now_us = kf_mono_us();
    bool may_come = true;

    if (!source)
        return false;
    pthread_mutex_lock(&creds->set->lock);
    if (source->keys == keys && !atomic_load(&source->is_awaited)) {
        may_come = !source->was_refused || now_us - source->refused_us >= REFUSED_AGAIN_US;
        if (may_come)
            kf_creds_source_hurry(creds->set, source, now_us);
    }
    pthread_mutex_unlock(&creds->set->lock);
    return may_come;
}
