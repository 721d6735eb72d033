/* SPDX-License-Identifier: Apache-2.0
 *
 * The chain of kf_creds_chain.h, and the two sources that are texts already: directives, environment. The
 * thread of a search, but for kf_creds_static.
 */
#include "aws/kf_creds_chain.h"

#include "aws/kf_creds_providers.h"

#define DIRECTIVES "directives"
#define ENVIRONMENT "environment"

static kf_keys_t *keys_of_directives(const kf_settings_t *s, const char **why)
{
    return kf_keys_create(kf_str_of(s->access_key_id), kf_str_of(s->secret_access_key),
                          kf_str_of(s->session_token), why);
}

static kf_keys_t *keys_of_environment(const kf_creds_env_t *env, const char **why)
{
    const char *token = env->value[KF_ENV_AWS_SESSION_TOKEN];

    if (!token)
        token = env->value[KF_ENV_AWS_SECURITY_TOKEN];
    return kf_keys_create(kf_str_of(env->value[KF_ENV_AWS_ACCESS_KEY_ID]),
                          kf_str_of(env->value[KF_ENV_AWS_SECRET_ACCESS_KEY]), kf_str_of(token),
                          why);
}

static bool has_directives(const kf_settings_t *s)
{
    return s->access_key_id || s->secret_access_key;
}

static bool has_profile(const kf_settings_t *s)
{
    return s->profile || s->credentials_file || s->config_file;
}

bool kf_creds_static(const kf_settings_t *settings, const kf_creds_env_t *env, kf_keys_t **keys,
                     const char **why)
{
    if (settings->role_arn)
        return false;
    if (has_directives(settings)) {
        *keys = keys_of_directives(settings, why);
        return true;
    }
    if (has_profile(settings) || !env->value[KF_ENV_AWS_ACCESS_KEY_ID] ||
        !env->value[KF_ENV_AWS_SECRET_ACCESS_KEY])
        return false;
    *keys = keys_of_environment(env, why);
    return true;
}

static kf_creds_result_t from_directives(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    const char *why;

    *found = (kf_creds_found_t){.ttl_us = KF_CREDS_FOREVER, .provider = DIRECTIVES};
    found->keys = keys_of_directives(flight->settings, &why);
    return found->keys ? KF_CREDS_FOUND
                       : kf_creds_note(flight, KF_CREDS_FAILED, DIRECTIVES, "%s", why);
}

kf_creds_result_t kf_creds_from_environment(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    const char *why;

    if (!flight->env->value[KF_ENV_AWS_ACCESS_KEY_ID] &&
        !flight->env->value[KF_ENV_AWS_SECRET_ACCESS_KEY])
        return kf_creds_note(flight, KF_CREDS_NONE, ENVIRONMENT, "AWS_ACCESS_KEY_ID is not set");
    *found = (kf_creds_found_t){.ttl_us = KF_CREDS_FOREVER, .provider = ENVIRONMENT};
    found->keys = keys_of_environment(flight->env, &why);
    return found->keys ? KF_CREDS_FOUND
                       : kf_creds_note(flight, KF_CREDS_FAILED, ENVIRONMENT, "%s", why);
}

static kf_creds_result_t ask_all(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    static kf_creds_result_t (*const providers[])(kf_creds_flight_t *, kf_creds_found_t *) = {
        kf_creds_from_environment, kf_creds_from_web_identity, kf_creds_from_profile,
        kf_creds_from_container, kf_creds_from_instance};
    kf_creds_result_t result = KF_CREDS_NONE;

    if (has_directives(flight->settings))
        return from_directives(flight, found);
    if (has_profile(flight->settings))
        return kf_creds_from_profile(flight, found);
    for (size_t i = 0; i < sizeof providers / sizeof providers[0] && result == KF_CREDS_NONE; i++)
        if (!kf_creds_stopping(flight))
            result = providers[i](flight, found);
    return result;
}

bool kf_creds_search(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    const kf_settings_t *s = flight->settings;
    kf_creds_role_t role = {
        .arn = s->role_arn, .session_name = s->role_session_name, .external_id = s->external_id};
    kf_creds_result_t result;

    flight->report[0] = '\0';
    *found = (kf_creds_found_t){0};
    result = ask_all(flight, found);
    if (result == KF_CREDS_FOUND && role.arn)
        result = kf_creds_assume_role(flight, &role, found);
    return result == KF_CREDS_FOUND;
}
