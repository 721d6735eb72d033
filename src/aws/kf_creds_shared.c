/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of files and profile of kf_creds_shared.h. Must not know where a profile leads. Any thread.
 */
#include "aws/kf_creds_shared.h"

#include <apr_strings.h>
#include <stdio.h>

typedef struct {
    const char *path;
    bool must;     /* a directive names it: it is there */
    bool is_named; /* or a variable: what is there can be read */
} place_t;

static place_t place_of(const kf_creds_flight_t *flight, const char *directive,
                        kf_creds_variable_t variable, const char *usual)
{
    const char *home = flight->env->value[KF_ENV_HOME];

    if (directive)
        return (place_t){directive, true, true};
    if (flight->env->value[variable])
        return (place_t){flight->env->value[variable], false, true};
    return (place_t){home ? apr_pstrcat(flight->pool, home, usual, NULL) : NULL, false, false};
}

/* A file of ~/.aws that cannot be read is another user's: it is passed over, with a note. */
static kf_creds_result_t read_file(kf_creds_flight_t *flight, kf_creds_file_t *file, place_t place,
                                   bool is_config)
{
    char error[400];

    if (kf_creds_file_read(file, place.path, is_config, place.must, error, sizeof error))
        return KF_CREDS_FOUND;
    return kf_creds_note(flight, file->is_there || place.is_named ? KF_CREDS_FAILED : KF_CREDS_NONE,
                         "shared files", "%s", error);
}

kf_creds_choice_t kf_creds_choose_profile(const kf_settings_t *settings, const kf_creds_env_t *env)
{
    const char *profile = settings->profile                ? settings->profile
                          : env->value[KF_ENV_AWS_PROFILE] ? env->value[KF_ENV_AWS_PROFILE]
                                                           : env->value[KF_ENV_AWS_DEFAULT_PROFILE];

    return (kf_creds_choice_t){.profile = profile ? profile : "default",
                               .is_named =
                                   profile || settings->credentials_file || settings->config_file};
}

kf_creds_result_t kf_creds_open_files(kf_creds_flight_t *flight, kf_creds_files_t *files)
{
    const kf_settings_t *s = flight->settings;
    kf_creds_result_t result;

    *files = (kf_creds_files_t){0};
    result = read_file(flight, &files->credentials,
                       place_of(flight, s->credentials_file, KF_ENV_AWS_SHARED_CREDENTIALS_FILE,
                                "/.aws/credentials"),
                       false);
    if (result == KF_CREDS_FAILED)
        return result;
    return read_file(flight, &files->config,
                     place_of(flight, s->config_file, KF_ENV_AWS_CONFIG_FILE, "/.aws/config"),
                     true);
}

void kf_creds_close_files(kf_creds_files_t *files)
{
    kf_creds_file_free(&files->config);
    kf_creds_file_free(&files->credentials);
}

/* ------------------------------------------------------------------ endpoints */

/* @return whether it fits */
static bool put(char *out, size_t size, kf_str_t text)
{
    return snprintf(out, size, "%.*s", (int)text.n, text.n ? text.p : "") < (int)size;
}

static bool read_profile(const kf_creds_files_t *files, const char *service,
                         kf_creds_endpoint_t *out)
{
    kf_creds_profile_t profile;

    kf_creds_profile_read(files, kf_str_of(out->profile), &profile);
    return put(out->url, sizeof out->url, kf_creds_profile_endpoint(files, &profile, service)) &&
           put(out->account_mode, sizeof out->account_mode, profile.account_id_endpoint_mode) &&
           put(out->account, sizeof out->account, profile.account_id);
}

void kf_creds_read_endpoint(kf_creds_flight_t *flight, const char *service,
                            kf_creds_endpoint_t *out)
{
    const char *profile = kf_creds_choose_profile(flight->settings, flight->env).profile;
    kf_creds_files_t files;

    *out = (kf_creds_endpoint_t){.url = ""};
    if (kf_creds_open_files(flight, &files) == KF_CREDS_FAILED)
        snprintf(out->error, sizeof out->error, "%.*s", (int)sizeof out->error - 1, flight->report);
    else if (!put(out->profile, sizeof out->profile, kf_str_of(profile)) ||
             !read_profile(&files, service, out))
        *out = (kf_creds_endpoint_t){
            .error = "shared files: the profile's name, endpoint or account is too long"};
    kf_creds_close_files(&files);
}

void kf_creds_look_for_endpoint(const kf_settings_t *settings, kf_creds_endpoint_t *out)
{
    kf_creds_env_t env;
    kf_creds_flight_t flight = {.settings = settings, .env = &env};

    *out = (kf_creds_endpoint_t){.error = "out of memory"};
    if (kf_creds_env_read(&env) && apr_pool_create(&flight.pool, NULL) == APR_SUCCESS) {
        kf_creds_read_endpoint(
            &flight, settings->service == KF_SERVICE_FIREHOSE ? "firehose" : "kinesis", out);
        apr_pool_destroy(flight.pool);
    }
    kf_creds_env_free(&env);
}
