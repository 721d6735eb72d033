/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of credentials: an environment with nothing of AWS in it, a folder for files, and fakes of
 * STS, the instance metadata service and the container endpoint behind a fake_http.h. Single-threaded
 * but for what the fakes count.
 */
#ifndef CREDS_FIXTURE_H
#define CREDS_FIXTURE_H

#include <stdatomic.h>

#include "aws/kf_creds_flight.h"
#include "fake_http.h"

#define FIXTURE_URL "http://127.0.0.1:1"
/* In every secret that the fakes hand out and the fixtures write. */
#define FIXTURE_MARK "SeCrEt"

typedef struct {
    fake_world_t world;
    char *folder; /* also HOME */
    kf_settings_t settings;
    /* what the fakes say */
    int64_t ttl_us;    /* of keys that are handed out from now on */
    atomic_int serial; /* keys differ by it: ASIA<n> */
    atomic_int broken; /* nobody answers */
    atomic_int hung;   /* answers never come */
    int status;        /* 0: all is well */
    const char *body;  /* with it, instead of the one that fits */
    atomic_int asked;  /* STS */
    atomic_int probed; /* metadata: session tokens */
    char form[4096];   /* the last one that STS got */
    char lines[4096];  /* the last request's header lines */
    char url[300];
} creds_fixture_t;

extern creds_fixture_t creds_fixture;

/** Before and after each test. The simulated clock is not in force. */
int creds_set_up(void **state);
int creds_tear_down(void **state);

/** Simulated time, for kf_clock.h, from here on; moves by hand. */
void creds_simulate(void);
void creds_pass(int64_t us);

/** Sets a variable, taken away again by tear_down. */
void creds_setenv(const char *name, const char *value);
/** Writes a file of the folder. @return its path, freed by tear_down */
const char *creds_file(const char *name, const char *text, unsigned mode);

#endif
