/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a profile of the shared files leads: static keys, a program, a role taken by a token or by the
 * keys of another profile or source. Must not know the files' form. The thread of a search.
 *
 * The order within a profile is that of botocore 1.43.67 (Aug 2026): role, web identity, IAM Identity
 * Center, keys of the credentials file, program, keys of the configuration file. What needs a person
 * (mfa_serial, IAM Identity Center, aws login) is refused: nobody is there to answer.
 */
#include "aws/kf_creds_providers.h"

#include <apr_strings.h>

#include "aws/kf_creds_shared.h"

/* More profiles on the way to keys are a mistake. */
#define CHAIN_MAX 8

typedef struct {
    kf_creds_flight_t *flight;
    kf_creds_files_t files;
    const char *visited[CHAIN_MAX]; /* names so far */
    int count;
} walk_t;

static kf_creds_result_t fail(walk_t *walk, const char *name, const char *what, const char *of)
{
    return kf_creds_note(walk->flight, KF_CREDS_FAILED, "shared files", "profile \"%s\": %s%s",
                         name, what, of);
}

/* For what is no secret: role, names, paths, a program's line. */
static const char *copy(const walk_t *walk, kf_str_t text)
{
    return text.n > 0 ? apr_pstrmemdup(walk->flight->pool, text.p, text.n) : NULL;
}

/* --------------------------------------------------------------- static keys */

static kf_creds_result_t take_keys(walk_t *walk, const char *name,
                                   const kf_creds_profile_t *profile, kf_creds_found_t *found)
{
    const char *why;

    if (profile->keys_in_config && walk->files.config.others_read)
        return fail(walk, name,
                    "its file holds a secret and is readable by all users (chmod 600 or "
                    "640): ",
                    walk->files.config.path);
    *found = (kf_creds_found_t){.ttl_us = KF_CREDS_FOREVER, .provider = "shared files"};
    found->keys = kf_keys_create(profile->access_key_id, profile->secret_access_key,
                                 profile->session_token, &why);
    return found->keys ? KF_CREDS_FOUND : fail(walk, name, why, "");
}

static bool has_keys(const kf_creds_profile_t *profile)
{
    return profile->access_key_id.n > 0 || profile->secret_access_key.n > 0;
}

/* --------------------------------------------------------------------- roles */

static kf_creds_result_t resolve(walk_t *walk, const char *name, bool as_source,
                                 kf_creds_found_t *found);

static kf_creds_result_t from_source(walk_t *walk, const char *name, kf_str_t source,
                                     kf_creds_found_t *found)
{
    kf_creds_result_t result;

    if (kf_str_eq(source, KF_STR("Environment")))
        result = kf_creds_from_environment(walk->flight, found);
    else if (kf_str_eq(source, KF_STR("EcsContainer")))
        result = kf_creds_from_container(walk->flight, found);
    else if (kf_str_eq(source, KF_STR("Ec2InstanceMetadata")))
        result = kf_creds_from_instance(walk->flight, found);
    else
        return fail(walk, name,
                    "its credential_source is none of Environment, EcsContainer and "
                    "Ec2InstanceMetadata",
                    "");
    if (result == KF_CREDS_NONE)
        return fail(walk, name, "its credential_source has nothing to give", "");
    return result;
}

static kf_creds_result_t assume(walk_t *walk, const char *name, const kf_creds_profile_t *profile,
                                kf_creds_found_t *found)
{
    kf_creds_role_t role = {.arn = copy(walk, profile->role_arn),
                            .session_name = copy(walk, profile->role_session_name),
                            .external_id = copy(walk, profile->external_id),
                            .duration = copy(walk, profile->duration_seconds)};
    bool has_profile = profile->source_profile.n > 0, has_source = profile->credential_source.n > 0;
    kf_creds_result_t result;

    if (profile->mfa_serial.n > 0)
        return fail(walk, name, "mfa_serial needs a person's code, which a server does not have",
                    "");
    if (has_profile == has_source)
        return fail(walk, name,
                    "role_arn needs exactly one of source_profile and credential_source", "");
    result = has_source ? from_source(walk, name, profile->credential_source, found)
                        : resolve(walk, copy(walk, profile->source_profile), true, found);
    return result == KF_CREDS_FOUND ? kf_creds_assume_role(walk->flight, &role, found) : result;
}

static kf_creds_result_t by_token(walk_t *walk, const char *name, const kf_creds_profile_t *profile,
                                  kf_creds_found_t *found)
{
    kf_creds_role_t role = {.arn = copy(walk, profile->role_arn),
                            .session_name = copy(walk, profile->role_session_name)};

    if (!role.arn)
        return fail(walk, name, "web_identity_token_file needs role_arn", "");
    return kf_creds_assume_by_token(walk->flight, &role,
                                    copy(walk, profile->web_identity_token_file), found);
}

/* ------------------------------------------------------------------ a profile */

static kf_creds_result_t visit(walk_t *walk, const char *name)
{
    for (int i = 0; i < walk->count; i++)
        if (strcmp(walk->visited[i], name) == 0)
            return fail(walk, name, "its source_profile leads back to itself", "");
    if (walk->count == CHAIN_MAX)
        return fail(walk, name, "too many profiles lead to it", "");
    walk->visited[walk->count++] = name;
    return KF_CREDS_FOUND;
}

static kf_creds_result_t lead(walk_t *walk, const char *name, const kf_creds_profile_t *profile,
                              kf_creds_found_t *found)
{
    if (profile->web_identity_token_file.n > 0)
        return by_token(walk, name, profile, found);
    if (profile->role_arn.n > 0)
        return assume(walk, name, profile, found);
    if (profile->sso.n > 0)
        return fail(walk, name,
                    "IAM Identity Center and aws login need a person to sign in; use a role "
                    "or keys",
                    "");
    if (has_keys(profile) && !profile->keys_in_config)
        return take_keys(walk, name, profile, found);
    if (profile->credential_process.n > 0)
        return kf_creds_from_process(walk->flight, copy(walk, profile->credential_process), found);
    if (has_keys(profile))
        return take_keys(walk, name, profile, found);
    return fail(walk, name, "says nothing of credentials", "");
}

static kf_creds_result_t resolve(walk_t *walk, const char *name, bool as_source,
                                 kf_creds_found_t *found)
{
    kf_creds_profile_t profile;
    kf_creds_result_t result;

    kf_creds_profile_read(&walk->files, kf_str_of(name), &profile);
    if (!profile.exists)
        return fail(walk, name, "is in none of the files", "");
    /* A profile may name itself, or one before it, where that has keys of its own. */
    if (as_source && has_keys(&profile))
        return take_keys(walk, name, &profile, found);
    result = visit(walk, name);
    return result == KF_CREDS_FOUND ? lead(walk, name, &profile, found) : result;
}

/* ------------------------------------------------------------------ the files */

static kf_creds_result_t nothing_there(walk_t *walk, const char *name)
{
    const kf_creds_files_t *files = &walk->files;

    if (!files->credentials.is_there && !files->config.is_there)
        return kf_creds_note(walk->flight, KF_CREDS_NONE, "shared files",
                             "neither %s nor %s is there",
                             files->credentials.path ? files->credentials.path : "credentials",
                             files->config.path ? files->config.path : "config");
    return kf_creds_note(walk->flight, KF_CREDS_NONE, "shared files", "there is no profile \"%s\"",
                         name);
}

static kf_creds_result_t walk_from(walk_t *walk, const char *name, bool is_named,
                                   kf_creds_found_t *found)
{
    kf_creds_profile_t profile;

    kf_creds_profile_read(&walk->files, kf_str_of(name), &profile);
    if (!profile.exists && !is_named)
        return nothing_there(walk, name);
    return resolve(walk, name, false, found);
}

kf_creds_result_t kf_creds_from_profile(kf_creds_flight_t *flight, kf_creds_found_t *found)
{
    kf_creds_choice_t choice = kf_creds_choose_profile(flight->settings, flight->env);
    walk_t walk = {.flight = flight};
    kf_creds_result_t result = kf_creds_open_files(flight, &walk.files);

    if (result != KF_CREDS_FAILED)
        result = walk_from(&walk, choice.profile, choice.is_named, found);
    kf_creds_close_files(&walk.files);
    return result;
}
