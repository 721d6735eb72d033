/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials of connections: fixed keys, sharing, and the schedule of searches over hours of simulated
 * time: refreshed ahead, kept while sources fail, searched for at once after a refusal; and the threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "aws/kf_creds_int.h"
#include "creds_fixture.h"
#include "patience.h"

#define F creds_fixture
#define ROLE "arn:aws:iam::123456789012:role/r"
#define MINUTE (60 * KF_SEC)
#define CONNECTIONS 4

static struct {
    kf_creds_set_t *set;
    kf_http_t *http; /* for searches by hand */
    kf_settings_t settings[CONNECTIONS];
    kf_creds_t *creds[CONNECTIONS];
    kf_creds_news_t news[CONNECTIONS];
    atomic_int told[CONNECTIONS];
    char report[KF_CREDS_REPORT_MAX];
} rig;

/* On the threads of the set. */
static void told(void *context, int connection, const kf_creds_news_t *news)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    assert_ptr_equal(context, &rig);
    pthread_mutex_lock(&lock);
    rig.news[connection] = *news;
    if (!news->found)
        snprintf(rig.report, sizeof rig.report, "%s", news->report);
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(&rig.told[connection], 1);
}

static void make_set(void)
{
    kf_creds_set_config_t config = {.http_factory = fake_http_create,
                                    .http_context = &F.world,
                                    .told = told,
                                    .told_context = &rig};

    rig.set = kf_creds_set_create(&config);
    assert_non_null(rig.set);
}

static kf_creds_t *add(int connection)
{
    rig.creds[connection] = kf_creds_create(rig.set, &rig.settings[connection], connection);
    assert_non_null(rig.creds[connection]);
    return rig.creds[connection];
}

/* A connection with keys that take a role. */
static void with_role(int connection)
{
    rig.settings[connection].access_key_id = "AKIADIR";
    rig.settings[connection].secret_access_key = FIXTURE_MARK;
    rig.settings[connection].role_arn = ROLE;
}

static int set_up(void **state)
{
    creds_set_up(state);
    memset(&rig, 0, sizeof rig);
    for (int i = 0; i < CONNECTIONS; i++)
        rig.settings[i] = F.settings;
    return 0;
}

static int tear_down(void **state)
{
    if (rig.http)
        rig.http->ops->destroy(rig.http);
    kf_creds_set_destroy(rig.set);
    return creds_tear_down(state);
}

/* The id of the keys in force; "" if there are none. */
static const char *id_of(kf_creds_t *creds)
{
    static char id[64];
    char why[300];
    kf_keys_t *keys = kf_creds_get(creds, why, sizeof why);

    snprintf(id, sizeof id, "%s", keys ? kf_keys_of(keys)->access_key_id : "");
    kf_keys_release(keys);
    return id;
}

static int run_all(void)
{
    int n = 0;

    while (kf_creds_run_due(rig.set, rig.http))
        n++;
    return n;
}

/* Lets time pass second by second, searching as the threads would; connection 0 must have keys always. */
static int pass(int64_t us, bool must_serve)
{
    int searches = 0;

    for (int64_t at = 0; at < us; at += KF_SEC) {
        creds_pass(KF_SEC);
        searches += run_all();
        if (must_serve && id_of(rig.creds[0])[0] == '\0')
            fail_msg("no keys after %lld s", (long long)(at / KF_SEC));
    }
    return searches;
}

static void simulated(void)
{
    creds_simulate();
    make_set();
    rig.http = fake_http_create(&F.world);
}

/* ----------------------------------------------------------------- fixed keys */

static void test_fixed_keys(void **state)
{
    char secret[] = "wJalrXUtnFEMI", why[200];
    kf_creds_t *creds;
    const char *error;
    kf_keys_t *keys, *again;

    (void)state;
    make_set();
    rig.settings[0].access_key_id = "AKIDEXAMPLE";
    rig.settings[0].secret_access_key = secret;
    creds = add(0);
    /* Copied: the caller may wipe its own. */
    memset(secret, 'x', sizeof secret - 1);
    assert_true(kf_creds_set_start(rig.set, &error));
    assert_int_equal(atomic_load(&F.world.instances), 0);
    keys = kf_creds_get(creds, why, sizeof why);
    again = kf_creds_get(creds, why, sizeof why);
    assert_ptr_equal(keys, again);
    kf_keys_release(again);
    assert_string_equal(kf_keys_of(keys)->secret_access_key, "wJalrXUtnFEMI");
    assert_null(kf_keys_of(keys)->session_token);
    assert_false(kf_creds_is_awaited(creds));
    assert_false(kf_creds_refuse(creds, keys));
    kf_creds_set_destroy(rig.set);
    rig.set = NULL;
    assert_string_equal(kf_keys_of(keys)->access_key_id, "AKIDEXAMPLE");
    kf_keys_release(keys);
    kf_creds_set_destroy(NULL);
    kf_keys_release(NULL);
}

static void test_keys_that_are_none(void **state)
{
    char why[200];

    (void)state;
    make_set();
    rig.settings[0].access_key_id = "A";
    assert_null(kf_creds_get(add(0), why, sizeof why));
    assert_string_equal(why, "the secret access key is missing");
}

static void *get_and_release(void *context)
{
    char why[200];

    for (int i = 0; i < 20000; i++)
        kf_keys_release(kf_creds_get(context, why, sizeof why));
    return NULL;
}

static void test_threads_share_keys(void **state)
{
    pthread_t threads[4];

    (void)state;
    make_set();
    rig.settings[0].access_key_id = "A";
    rig.settings[0].secret_access_key = "S";
    add(0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_release, rig.creds[0]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_string_equal(id_of(rig.creds[0]), "A");
}

/* -------------------------------------------------------------------- sharing */

static void test_equal_settings_share(void **state)
{
    (void)state;
    simulated();
    for (int i = 0; i < 3; i++) {
        with_role(i);
        add(i);
    }
    with_role(3);
    rig.settings[3].external_id = "other";
    add(3);
    assert_int_equal(rig.set->source_count, 2);
    assert_int_equal(run_all(), 2);
    assert_int_equal(atomic_load(&F.asked), 2);
    for (int i = 0; i < CONNECTIONS; i++)
        assert_int_equal(atomic_load(&rig.told[i]), 1);
    assert_ptr_equal(rig.creds[0]->source, rig.creds[2]->source);
    assert_string_not_equal(id_of(rig.creds[3]), "");
}

/* ------------------------------------------------------------------- schedule */

static void test_waits_for_the_first_search(void **state)
{
    char why[200];

    (void)state;
    simulated();
    with_role(0);
    assert_true(kf_creds_is_awaited(add(0)));
    assert_null(kf_creds_get(rig.creds[0], why, sizeof why));
    assert_string_equal(why, "they are being searched for");
    assert_int_equal(run_all(), 1);
    assert_false(kf_creds_is_awaited(rig.creds[0]));
    assert_string_equal(id_of(rig.creds[0]), "ASIA1");
    assert_true(rig.news[0].found && rig.news[0].changed && rig.news[0].has_keys);
}

static void test_refreshes_ahead(void **state)
{
    (void)state;
    simulated();
    with_role(0);
    add(0);
    run_all();
    assert_int_equal(pass(43 * MINUTE, true), 0);
    assert_int_equal(pass(3 * MINUTE, true), 1);
    assert_string_equal(id_of(rig.creds[0]), "ASIA2");
    /* A day: an hour's keys are renewed about every 44 minutes. */
    assert_in_range(pass(24 * 60 * MINUTE, true), 30, 34);
}

static void test_short_lives(void **state)
{
    (void)state;
    F.ttl_us = 4 * KF_SEC;
    simulated();
    with_role(0);
    add(0);
    run_all();
    assert_in_range(pass(5 * MINUTE, true), 100, 300);
}

/* Every source whose keys end: it fails for the last hour that they are good for, and for an hour more
 * where they outlive their end. */
static void fails_for_an_hour(const char *name, bool outlives)
{
    int searches;

    /* Six hours, as the instance's are. */
    F.ttl_us = 360 * MINUTE;
    simulated();
    add(0);
    run_all();
    pass(300 * MINUTE, true);
    atomic_store(&F.broken, 1);
    searches = pass(59 * MINUTE, true);
    assert_string_equal(id_of(rig.creds[0]), "ASIA1");
    /* About one a minute, for the quarter of an hour that was left of the time ahead. */
    assert_in_range(searches, 10, 40);
    assert_true(!rig.news[0].found && rig.news[0].is_grave && rig.news[0].has_keys);
    assert_non_null(strstr(rig.report, name));
    if (outlives)
        pass(60 * MINUTE, true);
    atomic_store(&F.broken, 0);
    pass(2 * MINUTE, false);
    assert_string_equal(id_of(rig.creds[0]), "ASIA2");
    assert_true(rig.news[0].found && rig.news[0].changed);
}

static void test_instance_fails_for_an_hour(void **state)
{
    (void)state;
    fails_for_an_hour("instance metadata: ", true);
}

static void test_container_fails_for_an_hour(void **state)
{
    (void)state;
    creds_setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", FIXTURE_URL "/v1/credentials");
    fails_for_an_hour("container: ", true);
}

static void test_role_fails_for_an_hour(void **state)
{
    (void)state;
    with_role(0);
    fails_for_an_hour("STS: AssumeRole of ", false);
}

static void test_web_identity_fails_for_an_hour(void **state)
{
    (void)state;
    creds_setenv("AWS_WEB_IDENTITY_TOKEN_FILE", creds_file("token", "t", 0644));
    creds_setenv("AWS_ROLE_ARN", ROLE);
    fails_for_an_hour("STS: AssumeRoleWithWebIdentity of ", false);
}

static void test_instance_keys_outlive_their_end(void **state)
{
    (void)state;
    F.ttl_us = 30 * MINUTE;
    simulated();
    add(0);
    run_all();
    atomic_store(&F.broken, 1);
    pass(90 * MINUTE, true);
    assert_string_equal(id_of(rig.creds[0]), "ASIA1");
    /* Or the service itself hands out what is past its end: asked again in 5 to 10 minutes. */
    atomic_store(&F.broken, 0);
    F.ttl_us = -5 * MINUTE;
    pass(2 * MINUTE, true);
    assert_string_equal(id_of(rig.creds[0]), "ASIA2");
    assert_in_range(pass(30 * MINUTE, true), 2, 7);
}

static void test_role_keys_end(void **state)
{
    char why[400];

    (void)state;
    simulated();
    with_role(0);
    add(0);
    run_all();
    pass(40 * MINUTE, true);
    atomic_store(&F.broken, 1);
    pass(19 * MINUTE, true);
    pass(2 * MINUTE, false);
    assert_null(kf_creds_get(rig.creds[0], why, sizeof why));
    assert_non_null(strstr(why, "the credentials have expired: STS: AssumeRole of " ROLE));
    assert_null(strstr(why, FIXTURE_MARK));
    atomic_store(&F.broken, 0);
    pass(2 * MINUTE, false);
    assert_string_equal(id_of(rig.creds[0]), "ASIA2");
}

static void test_few_failures_with_good_keys_are_not_grave(void **state)
{
    (void)state;
    simulated();
    with_role(0);
    add(0);
    run_all();
    atomic_store(&F.broken, 1);
    while (atomic_load(&rig.told[0]) < 2)
        pass(KF_SEC, true);
    assert_false(rig.news[0].found);
    assert_false(rig.news[0].is_grave);
    while (atomic_load(&rig.told[0]) < 4)
        pass(KF_SEC, true);
    assert_true(rig.news[0].is_grave);
}

static void test_nothing_found_is_tried_again(void **state)
{
    (void)state;
    atomic_store(&F.broken, 1);
    simulated();
    add(0);
    assert_int_equal(run_all(), 1);
    assert_false(kf_creds_is_awaited(rig.creds[0]));
    assert_true(rig.news[0].is_grave);
    assert_false(rig.news[0].has_keys);
    /* Doubling to a minute, half of it by chance. */
    assert_in_range(pass(60 * MINUTE, false), 55, 140);
    atomic_store(&F.broken, 0);
    pass(MINUTE, false);
    assert_string_equal(id_of(rig.creds[0]), "ASIA1");
}

static void test_expired_when_handed_out(void **state)
{
    (void)state;
    F.ttl_us = -KF_SEC;
    simulated();
    with_role(0);
    add(0);
    run_all();
    assert_string_equal(id_of(rig.creds[0]), "");
    assert_non_null(strstr(rig.report, "STS: what it gives has expired already"));
}

/* -------------------------------------------------------------------- refusal */

static void test_refusal(void **state)
{
    char why[200];
    kf_keys_t *keys;

    (void)state;
    simulated();
    with_role(0);
    add(0);
    run_all();
    keys = kf_creds_get(rig.creds[0], why, sizeof why);
    assert_true(kf_creds_refuse(rig.creds[0], keys));
    assert_true(kf_creds_refuse(rig.creds[0], keys));
    assert_true(kf_creds_is_awaited(rig.creds[0]));
    assert_int_equal(run_all(), 1);
    assert_false(kf_creds_is_awaited(rig.creds[0]));
    assert_string_equal(id_of(rig.creds[0]), "ASIA2");
    /* There are others already. */
    assert_true(kf_creds_refuse(rig.creds[0], keys));
    assert_false(kf_creds_is_awaited(rig.creds[0]));
    assert_int_equal(run_all(), 0);
    kf_keys_release(keys);
    /* The new ones are refused too: further ones would be no better, for a while. */
    keys = kf_creds_get(rig.creds[0], why, sizeof why);
    assert_false(kf_creds_refuse(rig.creds[0], keys));
    assert_false(kf_creds_is_awaited(rig.creds[0]));
    pass(11 * KF_SEC, true);
    assert_true(kf_creds_refuse(rig.creds[0], keys));
    kf_keys_release(keys);
}

/* Keys of a file don't end, but may be replaced there. */
static void test_refusal_reads_the_file_again(void **state)
{
    char why[200];
    kf_keys_t *keys;

    (void)state;
    creds_file(".aws/credentials", "[default]\naws_access_key_id=AKIA1\naws_secret_access_key=x\n",
               0600);
    simulated();
    add(0);
    run_all();
    assert_string_equal(id_of(rig.creds[0]), "AKIA1");
    assert_int_equal(pass(60 * MINUTE, true), 0);
    keys = kf_creds_get(rig.creds[0], why, sizeof why);
    assert_true(kf_creds_refuse(rig.creds[0], keys));
    run_all();
    assert_true(rig.news[0].found && !rig.news[0].changed);
    assert_false(kf_creds_refuse(rig.creds[0], keys));
    creds_file(".aws/credentials", "[default]\naws_access_key_id=AKIA2\naws_secret_access_key=x\n",
               0600);
    pass(11 * KF_SEC, true);
    assert_true(kf_creds_refuse(rig.creds[0], keys));
    run_all();
    assert_string_equal(id_of(rig.creds[0]), "AKIA2");
    kf_keys_release(keys);
}

/* -------------------------------------------------------------------- threads */

/* Polls with a deadline. */
static void await(atomic_int *what, int least)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int64_t until_us = kf_mono_us() + patient(30 * KF_SEC);

    while (atomic_load(what) < least) {
        assert_true(kf_mono_us() < until_us);
        nanosleep(&pause, NULL);
    }
}

static void test_threads_search(void **state)
{
    const char *error;

    (void)state;
    F.ttl_us = 2 * KF_SEC;
    make_set();
    with_role(0);
    with_role(1);
    with_role(2);
    rig.settings[2].external_id = "x";
    for (int i = 0; i < 3; i++)
        add(i);
    assert_true(kf_creds_set_start(rig.set, &error));
    assert_int_equal(atomic_load(&F.world.instances), 2);
    for (int i = 0; i < 3; i++)
        await(&rig.told[i], 2);
    kf_creds_set_stop(rig.set);
    assert_int_equal(atomic_load(&F.world.instances), 0);
    kf_creds_set_stop(rig.set);
}

static void test_stop_does_not_wait(void **state)
{
    const char *error;
    int64_t began_us;

    (void)state;
    atomic_store(&F.hung, 1);
    make_set();
    with_role(0);
    add(0);
    assert_true(kf_creds_set_start(rig.set, &error));
    await(&F.asked, 1);
    began_us = kf_mono_us();
    kf_creds_set_stop(rig.set);
    /* The call would take 20 seconds. */
    assert_true(kf_mono_us() - began_us < patient(10 * KF_SEC));
    assert_int_equal(atomic_load(&rig.told[0]), 0);
}

static void test_stop_does_not_wait_for_a_program(void **state)
{
    const char *error;
    char text[600];
    int64_t began_us;

    (void)state;
    snprintf(text, sizeof text,
             "[default]\ncredential_process=/bin/sh -c 'echo > %s/began; sleep 50'\n", F.folder);
    creds_file(".aws/config", text, 0600);
    snprintf(text, sizeof text, "%s/began", F.folder);
    make_set();
    add(0);
    assert_true(kf_creds_set_start(rig.set, &error));
    began_us = kf_mono_us();
    while (access(text, F_OK) != 0) {
        const struct timespec pause = {.tv_nsec = 5000000};

        assert_true(kf_mono_us() - began_us < 30 * KF_SEC);
        nanosleep(&pause, NULL);
    }
    kf_creds_set_stop(rig.set);
    assert_true(kf_mono_us() - began_us < 45 * KF_SEC);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_fixed_keys),
        T(test_keys_that_are_none),
        T(test_threads_share_keys),
        T(test_equal_settings_share),
        T(test_waits_for_the_first_search),
        T(test_refreshes_ahead),
        T(test_short_lives),
        T(test_instance_fails_for_an_hour),
        T(test_container_fails_for_an_hour),
        T(test_role_fails_for_an_hour),
        T(test_web_identity_fails_for_an_hour),
        T(test_instance_keys_outlive_their_end),
        T(test_role_keys_end),
        T(test_few_failures_with_good_keys_are_not_grave),
        T(test_nothing_found_is_tried_again),
        T(test_expired_when_handed_out),
        T(test_refusal),
        T(test_refusal_reads_the_file_again),
        T(test_threads_search),
        T(test_stop_does_not_wait),
        T(test_stop_does_not_wait_for_a_program),
    };

    return cmocka_run_group_tests_name("creds", tests, NULL, NULL);
}
