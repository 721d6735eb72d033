/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixture of creds_fixture.h.
 */
#include "creds_fixture.h"

#include <apr_general.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/kf_clock.h"
#include "temp_store.h"

#define FILES_MAX 16

creds_fixture_t creds_fixture;

/* Of what the fakes note: threads may search at once. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char *paths[FILES_MAX];
static int path_count;
static _Atomic int64_t passed_us;

/* ----------------------------------------------------------------- the clock */

static int64_t simulated_mono(void)
{
    return INT64_C(1000000) * KF_SEC + atomic_load(&passed_us);
}

static int64_t simulated_wall(void)
{
    /* 22 Nov 2026, 15:45:30 */
    return INT64_C(1795362330) * KF_SEC + atomic_load(&passed_us);
}

void creds_simulate(void)
{
    static const kf_clock_source_t source = {.wall_us = simulated_wall, .mono_us = simulated_mono};

    atomic_store(&passed_us, 0);
    kf_clock_set_source(&source);
}

void creds_pass(int64_t us)
{
    atomic_fetch_add(&passed_us, us);
}

/* ----------------------------------------------------------------- the fakes */

static void write_time(char *out, size_t size)
{
    time_t at = (time_t)((kf_wall_us() + creds_fixture.ttl_us) / KF_SEC);
    struct tm parts;

    gmtime_r(&at, &parts);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* Lives until the handler's caller has copied it. */
static const char *sts_reply(void)
{
    static _Thread_local char text[1024];
    char until[40];
    int n = atomic_fetch_add(&creds_fixture.serial, 1) + 1;

    write_time(until, sizeof until);
    snprintf(
        text, sizeof text,
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"
        "<Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>" FIXTURE_MARK
        "%d</SecretAccessKey><SessionToken>" FIXTURE_MARK "Token%d</SessionToken>"
        "<Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        n, n, n, until);
    return text;
}

static const char *json_reply(bool is_instance)
{
    static _Thread_local char text[1024];
    char until[40];
    int n = atomic_fetch_add(&creds_fixture.serial, 1) + 1;

    write_time(until, sizeof until);
    snprintf(text, sizeof text,
             "{%s\"AccessKeyId\":\"ASIA%d\",\"SecretAccessKey\":\"" FIXTURE_MARK
             "%d\",\"Token\":\"" FIXTURE_MARK "Token\\/%d\",\"Expiration\":\"%s\"}",
             is_instance ? "\"Code\":\"Success\"," : "", n, n, n, until);
    return text;
}

static void note(const kf_http_request_t *request)
{
    creds_fixture_t *f = &creds_fixture;
    size_t n = 0;

    pthread_mutex_lock(&lock);
    snprintf(f->url, sizeof f->url, "%s", request->url);
    f->lines[0] = '\0';
    for (int i = 0; i < request->header_count && n < sizeof f->lines; i++)
        n += (size_t)snprintf(f->lines + n, sizeof f->lines - n, "%s\n", request->headers[i]);
    if (request->body.n > 0)
        snprintf(f->form, sizeof f->form, "%.*s", (int)request->body.n, request->body.p);
    pthread_mutex_unlock(&lock);
}

static void answer_all(void *unused, const fake_call_t *call, fake_answer_t *answer)
{
    creds_fixture_t *f = &creds_fixture;
    const kf_http_request_t *request = call->request;

    (void)unused;
    if (request->body.n > 0 && strncmp(request->body.p, "Action=", 7) != 0)
        return; /* Kinesis */
    note(request);
    answer->never = atomic_load(&f->hung);
    answer->date_us = kf_wall_us();
    if (request->body.n > 0)
        atomic_fetch_add(&f->asked, 1);
    if (atomic_load(&f->broken)) {
        answer->outcome = KF_HTTP_NOT_SENT;
    } else if (f->status) {
        answer->status = f->status;
        answer->body = f->body ? f->body : "";
    } else if (request->body.n > 0) {
        answer->body = sts_reply();
    } else if (strstr(request->url, "/latest/api/token")) {
        atomic_fetch_add(&f->probed, 1);
        answer->body = "session-token";
    } else if (strstr(request->url, "/iam/security-credentials/role")) {
        answer->body = json_reply(true);
    } else if (strstr(request->url, "/iam/security-credentials/")) {
        answer->body = "role\n";
    } else {
        answer->body = json_reply(false);
    }
}

/* ------------------------------------------------------------------- the rig */

static const char *const variables[] = {
#define KF_CREDS_VARIABLE(name) #name,
    KF_CREDS_VARIABLES(KF_CREDS_VARIABLE)
#undef KF_CREDS_VARIABLE
};

int creds_set_up(void **state)
{
    creds_fixture_t *f = &creds_fixture;

    (void)state;
    apr_initialize();
    memset(f, 0, sizeof *f);
    f->folder = temp_make();
    f->world.handler = answer_all;
    f->ttl_us = 3600 * KF_SEC;
    f->settings = (kf_settings_t){.region = "us-east-1"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    setenv("HOME", f->folder, 1);
    setenv("AWS_ENDPOINT_URL_STS", FIXTURE_URL, 1);
    return 0;
}

int creds_tear_down(void **state)
{
    static const kf_clock_source_t real = {0};

    (void)state;
    kf_clock_set_source(&real);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    while (path_count > 0)
        free(paths[--path_count]);
    temp_done(creds_fixture.folder);
    if (atomic_load(&creds_fixture.world.instances) != 0)
        abort();
    return 0;
}

void creds_setenv(const char *name, const char *value)
{
    setenv(name, value, 1);
}

const char *creds_file(const char *name, const char *text, unsigned mode)
{
    size_t n = strlen(creds_fixture.folder) + strlen(name) + 2;
    char *path = malloc(n);
    char *slash;
    FILE *file;

    snprintf(path, n, "%s/%s", creds_fixture.folder, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
    file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, mode) != 0 ||
        path_count == FILES_MAX)
        abort();
    paths[path_count++] = path;
    return path;
}
