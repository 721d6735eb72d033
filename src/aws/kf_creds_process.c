/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials that a program prints (credential_process). Must not know where its line stands. The
 * thread of a search, which waits for the program.
 *
 * Nothing is forked here: a child has threads, and a fork of it could do nothing but hang on a lock that
 * another thread held. kf_spawn.h says how the program is started instead. It runs as httpd's children
 * do, with what kf_spawn.h leaves of the environment.
 *
 * Source: SDK reference guide "Process credential provider" (2026): JSON of Version 1 on the standard
 * output, none of it logged. The SDKs know no limit of time; after a minute a program hangs.
 */
#include "aws/kf_creds_providers.h"

#include <apr_strings.h>
#include <time.h>

#include "aws/kf_creds_reply.h"
#include "base/kf_clock.h"
#include "base/kf_spawn.h"

#define PROVIDER "credential_process"
#define LIMIT_US (60 * KF_SEC)
#define LOOK_NS (20 * 1000 * 1000)

static kf_creds_result_t note_end(kf_creds_flight_t *flight, const char *program,
                                  const kf_spawn_result_t *result)
{
    switch (result->end) {
    case KF_SPAWN_EXITED:
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER,
                             "%s ended with status %d; run it as the "
                             "server's user to see why",
                             program, result->status);
    case KF_SPAWN_KILLED:
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s was ended by signal %d",
                             program, result->status);
    case KF_SPAWN_LATE:
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s did not end within %d s",
                             program, (int)(LIMIT_US / KF_SEC));
    default:
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "how %s ended is not known",
                             program);
    }
}

static kf_creds_result_t read_output(kf_creds_flight_t *flight, const char *program,
                                     const kf_spawn_result_t *result, kf_creds_found_t *found)
{
    char why[200];

    if (result->end != KF_SPAWN_EXITED || result->status != 0)
        return note_end(flight, program, result);
    if (result->output_cut)
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s prints more than %d bytes",
                             program, (int)KF_CREDS_REPLY_MAX);
    *found = (kf_creds_found_t){.provider = PROVIDER};
    if (!kf_creds_read_json(result->output, KF_CREDS_JSON_PROCESS, kf_wall_us(), found, why,
                            sizeof why))
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s: %s", program, why);
    return KF_CREDS_FOUND;
}

/* @return whether it ended; else the search is to end */
static bool wait_for(const kf_creds_flight_t *flight, kf_spawn_t *run)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};

    while (!kf_spawn_poll(run)) {
        if (kf_creds_stopping(flight))
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

kf_creds_result_t kf_creds_from_process(kf_creds_flight_t *flight, const char *command,
                                        kf_creds_found_t *found)
{
    kf_spawn_config_t config = {
        .output_max = KF_CREDS_REPLY_MAX, .limit_us = LIMIT_US, .grace_us = KF_SEC};
    kf_creds_result_t result;
    kf_spawn_t *run;
    char **words, text[200];
    int error;

    if (apr_tokenize_to_argv(command, &words, flight->pool) != APR_SUCCESS || !words[0])
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "is empty");
    config.argv = (const char *const *)words;
    run = kf_spawn_start(&config, &error);
    if (!run)
        return kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "%s: %s", words[0],
                             apr_strerror(error, text, sizeof text));
    if (wait_for(flight, run))
        result = read_output(flight, words[0], kf_spawn_result(run), found);
    else
        result = kf_creds_note(flight, KF_CREDS_FAILED, PROVIDER, "given up");
    kf_spawn_free(run);
    return result;
}
