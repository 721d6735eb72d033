/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and profiles of kf_creds_profile.h. Must not know where credentials come from in the end. Any
 * thread.
 */
#include "aws/kf_creds_profile.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aws/kf_creds_flight.h"
#include "aws/kf_ini.h"

#define OTHERS_READ S_IROTH

/* ---------------------------------------------------------------------- files */

static void pass_over(void *context, const kf_ini_item_t *item)
{
    (void)context;
    (void)item;
}

/* /dev/null is how people say that there is to be none. */
static bool is_missing(const char *path)
{
    return strcmp(path, "/dev/null") == 0 ||
           (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR));
}

bool kf_creds_file_read(kf_creds_file_t *file, const char *path, bool is_config, bool must,
                        char *error, size_t size)
{
    char text[200];
    const char *fault;
    unsigned mode = 0;
    int line;

    *file = (kf_creds_file_t){.path = path, .is_config = is_config};
    if (!path || (!must && is_missing(path)))
        return true;
    fault = kf_creds_read_file(path, KF_CREDS_FILE_MAX, &file->text, &mode, text, sizeof text);
    if (fault) {
        snprintf(error, size, "%s: %s", path, fault);
        return false;
    }
    file->is_there = true;
    file->others_read = (mode & OTHERS_READ) != 0;
    if (file->others_read && !is_config) {
        snprintf(error, size, "%s: is readable by all users (chmod 600 or 640)", path);
        return false;
    }
    line = kf_ini_parse(kf_buf_str(&file->text), pass_over, NULL);
    if (line > 0)
        snprintf(error, size, "%s: line %d is no section, setting or comment", path, line);
    return line == 0;
}

void kf_creds_file_free(kf_creds_file_t *file)
{
    kf_creds_wipe(&file->text);
}

/* ------------------------------------------------------------------- profiles */

typedef struct {
    kf_str_t name;
    const kf_creds_file_t *file;
    kf_creds_profile_t *out;
} search_t;

static kf_str_t without_quotes(kf_str_t text)
{
    if (text.n >= 2 && (text.p[0] == '"' || text.p[0] == '\'') && text.p[text.n - 1] == text.p[0])
        return (kf_str_t){text.p + 1, text.n - 2};
    return text;
}

/* What follows the word in a section's head, "profile NAME"; n == 0: it is another section. */
static kf_str_t name_after(kf_str_t section, const char *word)
{
    size_t n = strlen(word);

    if (section.n <= n || memcmp(section.p, word, n) != 0 ||
        (section.p[n] != ' ' && section.p[n] != '\t'))
        return (kf_str_t){0};
    while (n < section.n && (section.p[n] == ' ' || section.p[n] == '\t'))
        n++;
    return without_quotes((kf_str_t){section.p + n, section.n - n});
}

/* The profile that a section of the configuration file is of; n == 0: none. */
static kf_str_t profile_of(kf_str_t section)
{
    return kf_str_eq(section, KF_STR("default")) ? section : name_after(section, "profile");
}

static void set(kf_creds_profile_t *out, const kf_ini_item_t *item, bool is_config)
{
    const struct {
        const char *name;
        kf_str_t *value;
    } settings[] = {
        {"aws_access_key_id", &out->access_key_id},
        {"aws_secret_access_key", &out->secret_access_key},
        {"aws_session_token", &out->session_token},
        {"role_arn", &out->role_arn},
        {"role_session_name", &out->role_session_name},
        {"external_id", &out->external_id},
        {"duration_seconds", &out->duration_seconds},
        {"mfa_serial", &out->mfa_serial},
        {"source_profile", &out->source_profile},
        {"credential_source", &out->credential_source},
        {"web_identity_token_file", &out->web_identity_token_file},
        {"credential_process", &out->credential_process},
        {"sso_session", &out->sso},
        {"sso_start_url", &out->sso},
        {"sso_account_id", &out->sso},
        {"login_session", &out->sso},
        {"services", &out->services},
        {"endpoint_url", &out->endpoint_url},
        {"ignore_configured_endpoint_urls", &out->ignore_configured_endpoint_urls},
        {"aws_account_id", &out->account_id},
        {"account_id_endpoint_mode", &out->account_id_endpoint_mode},
    };

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (kf_ini_is(item->name, settings[i].name))
            *settings[i].value = item->value;
    if (kf_ini_is(item->name, "aws_secret_access_key"))
        out->keys_in_config = is_config;
}

static void look_at(void *context, const kf_ini_item_t *item)
{
    search_t *search = context;
    kf_str_t name = search->file->is_config ? profile_of(item->section) : item->section;

    if (!kf_str_eq(name, search->name))
        return;
    search->out->exists = true;
    if (item->name.n > 0 && item->part_of.n == 0)
        set(search->out, item, search->file->is_config);
}

void kf_creds_profile_read(const kf_creds_files_t *files, kf_str_t name, kf_creds_profile_t *out)
{
    search_t config = {.name = name, .file = &files->config, .out = out};
    search_t credentials = {.name = name, .file = &files->credentials, .out = out};
    kf_creds_profile_t of_config;

    *out = (kf_creds_profile_t){0};
    (void)kf_ini_parse(kf_buf_str(&files->config.text), look_at, &config);
    of_config = *out;
    (void)kf_ini_parse(kf_buf_str(&files->credentials.text), look_at, &credentials);
    /* Keys belong together: a token of the one file is none for the secret of the other. */
    if (of_config.secret_access_key.n > 0 && !out->keys_in_config &&
        kf_str_eq(out->session_token, of_config.session_token))
        out->session_token = (kf_str_t){0};
}

/* ------------------------------------------------------------------ endpoints */

typedef struct {
    kf_str_t section; /* [services NAME] */
    const char *service;
    kf_str_t url;
} url_search_t;

static void look_at_service(void *context, const kf_ini_item_t *item)
{
    url_search_t *search = context;

    if (item->value.n > 0 && kf_str_eq(name_after(item->section, "services"), search->section) &&
        kf_ini_is(item->part_of, search->service) && kf_ini_is(item->name, "endpoint_url"))
        search->url = item->value;
}

kf_str_t kf_creds_profile_endpoint(const kf_creds_files_t *files, const kf_creds_profile_t *profile,
                                   const char *service)
{
    url_search_t search = {.section = profile->services, .service = service};

    if (kf_ini_is(profile->ignore_configured_endpoint_urls, "true"))
        return (kf_str_t){0};
    if (profile->services.n > 0)
        (void)kf_ini_parse(kf_buf_str(&files->config.text), look_at_service, &search);
    return search.url.n > 0 ? search.url : profile->endpoint_url;
}

/* ---------------------------------------------------------------------- check */

static bool check_profile(const kf_creds_files_t *files, const char *profile, char *error,
                          size_t size)
{
    kf_creds_profile_t found;

    if (!profile)
        return true;
    kf_creds_profile_read(files, kf_str_of(profile), &found);
    if (!found.exists) {
        snprintf(error, size, "there is no profile \"%s\" in %s%s%s", profile,
                 files->credentials.path ? files->credentials.path : "",
                 files->credentials.path && files->config.path ? " and " : "",
                 files->config.path ? files->config.path : "");
        return false;
    }
    if (found.secret_access_key.n > 0 && found.keys_in_config && files->config.others_read) {
        snprintf(error, size, "%s: holds a secret and is readable by all users (chmod 600 or 640)",
                 files->config.path);
        return false;
    }
    return true;
}

bool kf_creds_files_check(const char *credentials_file, const char *config_file,
                          const char *profile, char *error, size_t size)
{
    kf_creds_files_t files = {0};
    /* With only one of them named, the other is of the run-as user's home, which only he knows. */
    bool knows_all = credentials_file && config_file;
    bool ok;

    ok = kf_creds_file_read(&files.credentials, credentials_file, false, true, error, size) &&
         kf_creds_file_read(&files.config, config_file, true, true, error, size) &&
         (!knows_all || check_profile(&files, profile, error, size));
    kf_creds_file_free(&files.config);
    kf_creds_file_free(&files.credentials);
    return ok;
}
