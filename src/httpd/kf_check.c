/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks across directives (kf_check.h). Must not know httpd's contexts (kf_commands.c) nor
 * requests. Configuration time, one thread.
 */
#include "httpd/kf_check.h"

#include <apr_strings.h>
#include <http_core.h>
#include <pwd.h>
#include <unistd.h>
#include <unixd.h>
#include <http_main.h>
#include <stdarg.h>
#include "aws/kf_creds_profile.h"
#include "aws/kf_endpoint.h"
#include "aws/kf_target.h"
#include "base/kf_log.h"
#include "httpd/kf_config.h"
#include "httpd/kf_module.h"
#include "delivery/kf_store.h"
#include "httpd/kf_runas.h"
#include "httpd/kf_secret.h"

#define NAMES_SHOWN 10

typedef struct {
    kf_config_t *config;
    apr_pool_t *temp;
    bool restarting;
    bool testing; /* nothing will start: what there is to say is said now */
    int errors;
    kf_creds_endpoint_t profile; /* what was read last, and for which settings */
    const kf_settings_t *profile_of;
} check_t;

/* One connection under inspection. */
typedef struct {
    check_t *check;
    const kf_section_t *section;
    const kf_settings_t *set;    /* section over defaults, not finished */
    kf_settings_t *settings;     /* finished */
    kf_endpoint_origin_t origin; /* what of them the environment says */
    bool unusable;
} subject_t;

bool kf_check_restarting(void)
{
    return ap_state_query(AP_SQ_CONFIG_GEN) > 1;
}

/* ---- naming things ---- */

/* Where the value in force stands; without a file where it is the default. */
static const kf_where_t *where(const subject_t *s, const kf_directive_t *d)
{
    const kf_where_t *at = &s->section->at[d - kf_directives];

    return at->file ? at : &s->check->config->defaults.at[d - kf_directives];
}

/* "KinesisRegion (/etc/httpd.conf:12)", or "KinesisRegion (default)". */
static const char *named(const subject_t *s, const char *directive)
{
    const kf_directive_t *d = kf_directive_find(directive);
    const kf_where_t *at = where(s, d);

    if (!at->file)
        return apr_psprintf(s->check->temp, "%s (default)", d->name);
    return apr_psprintf(s->check->temp, "%s (%s:%d)", d->name, at->file, at->line);
}

static bool is_set(const subject_t *s, const char *directive)
{
    return kf_setting_is_set(s->set, kf_directive_find(directive));
}

/* Says something of the connection: at once if httpd does not start, else when its log is open. */
static void __attribute__((format(printf, 3, 4)))
say(const subject_t *s, kf_msg_t msg, const char *format, ...)
{
    const kf_section_t *section = s->section;
    kf_config_t *config = s->check->config;
    const char *text;
    va_list args;

    va_start(args, format);
    text = apr_pvsprintf(config->pool, format, args);
    va_end(args);
    text = apr_psprintf(config->pool, "connection \"%s\" (%s:%d): %s", section->name,
                        section->where.file, section->where.line, text);
    if (msg == KF0104)
        s->check->errors++;
    if (msg == KF0104 || s->check->testing)
        kf_log(msg, "%s", text);
    else
        APR_ARRAY_PUSH(config->notes, kf_note_t) = (kf_note_t){msg, text};
}

/* What may be right tomorrow without a change of the configuration. */
static void blame_environment(subject_t *s, const char *directive, const char *what)
{
    s->unusable = true;
    say(s, s->check->restarting ? KF0103 : KF0104, "%s: %s", named(s, directive), what);
}

/* ---- one connection ---- */

/* For a message: which of the settings of the endpoint come from elsewhere. */
static const char *from_elsewhere(const subject_t *s)
{
    const struct {
        const char *directive, *origin;
    } rows[] = {{"KinesisEndpoint", s->origin.endpoint},
                {"KinesisUseFIPS", s->origin.fips},
                {"KinesisUseDualStack", s->origin.dual_stack}};
    const char *text = "";

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].origin)
            text = apr_psprintf(s->check->temp, "%s; %s comes from %s", text, rows[i].directive,
                                rows[i].origin);
    }
    return text;
}

/*
 * Region and endpoint, stream and ARN: what AWS's rules for a destination say, with the place of the
 * directive that the message begins with.
 */
static void check_destination(subject_t *s)
{
    const kf_settings_t *settings = s->settings;
    const kf_directive_t *d;
    const kf_where_t *at;
    const char *error;
    kf_msg_t msg;

    if (s->origin.error) {
        s->unusable = true;
        say(s, s->check->restarting ? KF0103 : KF0104, "%s", s->origin.error);
        return;
    }
    if (settings->stream_name && settings->stream_arn) {
        say(s, KF0104, "%s \"%s\" and %s \"%s\": must be only one of them",
            named(s, "KinesisStreamName"), settings->stream_name, named(s, "KinesisStreamArn"),
            settings->stream_arn);
        return;
    }
    if (kf_target_resolve(s->check->temp, settings, &error)) {
        if (s->origin.endpoint || s->origin.fips || s->origin.dual_stack)
            say(s, KF0105, "%s%s", settings->endpoint ? settings->endpoint : "the region's own",
                from_elsewhere(s));
        return;
    }
    /* Files may have changed since httpd started, and must not end it. */
    msg = s->origin.is_of_file && s->check->restarting ? KF0103 : KF0104;
    s->unusable = true;
    d = kf_directive_find(apr_pstrmemdup(s->check->temp, error, strcspn(error, " ")));
    at = d ? where(s, d) : NULL;
    if (strstr(error, " KinesisRegion ") && !where(s, kf_directive_find("KinesisRegion"))->file)
        error = apr_pstrcat(s->check->temp, error, ", the default: set KinesisRegion", NULL);
    if (at && at->file)
        say(s, msg, "%s; it stands at %s:%d%s", error, at->file, at->line, from_elsewhere(s));
    else
        say(s, msg, "%s%s", error, from_elsewhere(s));
}

static void check_keys(subject_t *s)
{
    const kf_settings_t *settings = s->settings;

    if (settings->access_key_id && !settings->secret_access_key)
        say(s, KF0104, "%s is set, KinesisSecretAccessKey is not: must be both or none",
            named(s, "KinesisAccessKeyId"));
    if (!settings->access_key_id && settings->secret_access_key)
        say(s, KF0104, "%s is set, KinesisAccessKeyId is not: must be both or none",
            named(s, "KinesisSecretAccessKey"));
    if (settings->session_token && !(settings->access_key_id && settings->secret_access_key))
        say(s, KF0104,
            "%s is set without KinesisAccessKeyId and KinesisSecretAccessKey: must be with both",
            named(s, "KinesisSessionToken"));
}

static void check_contradictions(subject_t *s)
{
    const kf_settings_t *settings = s->settings;
    const char *files = settings->profile            ? "KinesisProfile"
                        : settings->credentials_file ? "KinesisCredentialsFile"
                        : settings->config_file      ? "KinesisConfigFile"
                                                     : NULL;

    if (files && settings->access_key_id)
        say(s, KF0102, "%s and %s: %s is ignored for keys", named(s, "KinesisAccessKeyId"),
            named(s, files), files);
    if (!settings->include_user_identities && settings->include_user_identity_changes)
        say(s, KF0102,
            "%s Off, but %s On: identities are left out of batches and forwarded in events",
            named(s, "KinesisIncludeUserIdentities"),
            named(s, "KinesisIncludeUserIdentityChangeEvents"));
    if (settings->wait_for_complete_batch && settings->send_as_batch &&
        is_set(s, "KinesisSendAsBatch"))
        say(s, KF0102, "%s On and %s On: KinesisSendAsBatch is ignored",
            named(s, "KinesisSendAsBatch"), named(s, "KinesisWaitForCompleteBatch"));
}

/* The value of a text of the finished settings. */
static const char **text_of(kf_settings_t *settings, const kf_directive_t *d)
{
    return (const char **)(void *)((char *)settings + d->offset);
}

/* What is read from outside the configuration: secrets now, as root; other files later, as the user. */
static void check_files(subject_t *s)
{
    for (int i = 0; i < kf_directive_count; i++) {
        const kf_directive_t *d = &kf_directives[i];
        const char *error = NULL;
        const char **text;

        if (d->kind != KF_KIND_SECRET && d->check != KF_CHECK_RUN_FILE)
            continue;
        text = text_of(s->settings, d);
        if (!*text)
            continue;
        if (d->kind == KF_KIND_SECRET)
            error = kf_secret_resolve(s->check->config->pool, d->check, text);
        else if ((error = kf_runas_cannot_read(s->check->temp, *text)) != NULL)
            error = apr_psprintf(s->check->temp, "%s %s", *text, error);
        if (error)
            blame_environment(s, d->name, error);
    }
}

static bool look_into_files(const void *context, char *error, size_t size)
{
    const kf_settings_t *settings = context;

    return kf_creds_files_check(settings->credentials_file, settings->config_file,
                                settings->profile, error, size);
}

/* What the shared AWS files hold, as the children will read it. */
static void check_profile(subject_t *s)
{
    const kf_settings_t *settings = s->settings;
    const char *error;

    if (s->unusable || !(settings->credentials_file || settings->config_file))
        return;
    error = kf_runas_check(s->check->temp, look_into_files, settings);
    if (error)
        blame_environment(
            s, settings->credentials_file ? "KinesisCredentialsFile" : "KinesisConfigFile", error);
}

_Static_assert(sizeof(kf_creds_endpoint_t) <= KF_RUNAS_LOOK_MAX, "a look brings it back");

static void look_for_endpoint(const void *context, void *out)
{
    kf_creds_look_for_endpoint(context, out);
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* What the children's profile says of endpoints; read once for connections in a row that have the same. */
static const kf_creds_endpoint_t *profile_of(subject_t *s)
{
    check_t *check = s->check;
    const kf_settings_t *settings = s->settings, *last = check->profile_of;
    kf_creds_endpoint_t *profile = &check->profile;

    if (last && last->service == settings->service && is_same(last->profile, settings->profile) &&
        is_same(last->credentials_file, settings->credentials_file) &&
        is_same(last->config_file, settings->config_file))
        return profile;
    if (!kf_runas_look(look_for_endpoint, settings, profile, sizeof *profile))
        *profile = (kf_creds_endpoint_t){.error = "it could not be looked at as the run-as user"};
    check->profile_of = settings;
    /* Files that directives name are looked at on their own. */
    if (profile->error[0] && !settings->credentials_file && !settings->config_file)
        say(s, KF0105, "what the shared AWS files say of it is not known: %s", profile->error);
    return profile;
}

static void check_section(check_t *check, const kf_section_t *section, kf_connection_t *connection)
{
    apr_pool_t *pool = check->config->pool;
    subject_t s = {.check = check, .section = section};

    s.set = kf_settings_merge(pool, KF_SCOPE_CONN, check->config->defaults.set, section->set);
    s.settings = kf_settings_finish(pool, KF_SCOPE_CONN, s.set);
    s.origin = kf_endpoint_apply(pool, s.set, profile_of(&s), s.settings);
    check_destination(&s);
    check_keys(&s);
    check_files(&s);
    check_profile(&s);
    check_contradictions(&s);
    connection->name = section->name;
    connection->settings = s.settings;
    connection->unusable = s.unusable;
}

/* ---- locations ---- */

static const char *known_names(const check_t *check)
{
    const apr_array_header_t *sections = check->config->sections;
    const char *text = "";

    if (sections->nelts == 0)
        return "no connection is defined";
    for (int i = 0; i < sections->nelts && i < NAMES_SHOWN; i++)
        text = apr_psprintf(check->temp, "%s%s\"%s\"", text, i ? ", " : "",
                            APR_ARRAY_IDX(sections, i, kf_section_t *)->name);
    return apr_psprintf(check->temp, "must be one of %s%s", text,
                        sections->nelts > NAMES_SHOWN ? ", ..." : "");
}

static void check_dir(check_t *check, const kf_dir_t *dir)
{
    for (int i = 0; i < dir->set->forward.n; i++) {
        const char *name = dir->set->forward.v[i];
        const char *host = dir->server->server_hostname;

        if (kf_config_section(check->config, name))
            continue;
        kf_log(KF0104, "KinesisForward \"%s\" (%s:%d, %s %s): is no connection; %s", name,
               dir->forward_at.file, dir->forward_at.line,
               dir->server->is_virtual ? "virtual host" : "main server", host ? host : "",
               known_names(check));
        check->errors++;
    }
}

/* ---- the store ---- */

/* Whether the children can come to the store: no folder above it may be closed to them. */
static bool reach_store(const void *context, char *error, size_t size)
{
    const char *path = context;
    char folder[KF_STORE_ERROR_MAX];
    const struct passwd *user;

    for (const char *end = strchr(path + 1, '/'); end; end = strchr(end + 1, '/')) {
        apr_snprintf(folder, sizeof folder, "%.*s", (int)(end - path), path);
        if (access(folder, X_OK) == 0)
            continue;
        user = getpwuid(geteuid());
        apr_snprintf(
            error, size,
            "%s cannot be entered by user %s, which httpd's children run as: \"chmod o+x %s\", "
            "or name another folder",
            folder, user ? user->pw_name : "of httpd", folder);
        return false;
    }
    return true;
}

/* Where it is, and whether it can be made or used; at a restart what is wrong is found by post_config. */
static void check_store(check_t *check, kf_process_settings_t *process)
{
    uid_t uid = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    char error[KF_STORE_ERROR_MAX];
    const char *why = error;

    process->store_directory =
        ap_server_root_relative(check->config->pool, process->store_directory);
    if (check->restarting)
        return;
    if (kf_store_check(process->store_directory, uid, error)) {
        why = kf_runas_check(check->temp, reach_store, process->store_directory);
        if (!why)
            return;
        why = apr_pstrcat(check->temp, "KinesisStoreDirectory: ", why, NULL);
    }
    kf_log(KF0104, "%s", why);
    check->errors++;
}

/* ---- the operator's program ---- */

/* At a restart it is no reason to end: what it fails at is logged when it is run. */
static void check_command(check_t *check, const kf_process_settings_t *process)
{
    const char *why;

    if (process->alert_command.n == 0)
        return;
    why = kf_runas_cannot_run(check->temp, process->alert_command.v[0]);
    if (!why)
        return;
    why = apr_psprintf(check->config->pool, "KinesisAlertCommand \"%s\": %s",
                       process->alert_command.v[0], why);
    if (check->restarting) {
        APR_ARRAY_PUSH(check->config->notes, kf_note_t) = (kf_note_t){KF0103, why};
        return;
    }
    kf_log(KF0104, "%s", why);
    check->errors++;
}

int kf_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *server)
{
    kf_config_t *config = kf_config_current();
    const apr_array_header_t *sections = config->sections;
    check_t check = {.config = config, .temp = ptemp, .restarting = kf_check_restarting()};
    kf_process_settings_t *process;

    (void)plog;
    (void)server;
    check.testing = ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_NORMAL;
    process = kf_settings_finish(pconf, KF_SCOPE_SERVER, config->process_set);
    config->process = process;
    config->connections =
        apr_pcalloc(pconf, (size_t)sections->nelts * sizeof *config->connections + 1);
    config->connection_count = sections->nelts;
    for (int i = 0; i < sections->nelts; i++)
        check_section(&check, APR_ARRAY_IDX(sections, i, kf_section_t *), &config->connections[i]);
    for (int i = 0; i < config->dirs->nelts; i++)
        check_dir(&check, APR_ARRAY_IDX(config->dirs, i, kf_dir_t *));
    check_command(&check, process);
    if (config->connection_count > 0)
        check_store(&check, process);
    return check.errors == 0 ? OK : HTTP_INTERNAL_SERVER_ERROR;
}
