/* SPDX-License-Identifier: Apache-2.0
 *
 * The destination's state machine, with a clock of its own and without threads: every class of error,
 * isolation, holds, put modes, lingering and the limits of a call. After each test every record must
 * have had exactly one end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/kf_limits.h"
#include "delivery/kf_destination.h"

static kf_destination_t d;
static kf_destination_config_t config;
static kf_now_t now;
static uint32_t made, delivered, dead, retried, random_number;
static char last_dead[128], events[1024];

static const kf_timing_t timing = KF_TIMING_DEFAULT;

/* ----------------------------------------------------------------------- the rig */

static int set_up(void **state)
{
    (void)state;
    config = (kf_destination_config_t){
        .linger_us = 100 * KF_MS,
        .max_age_us = 24 * 3600 * KF_SEC,
        .backoff_base_us = 50 * KF_MS,
        .backoff_cap_us = 20 * KF_SEC,
        .max_in_flight = 16,
        .retry_limit = 10,
        .put_mode = KF_PUT_AUTO,
        .fill = {.entries_max = 500,
                 .call_bytes_max = KF_STREAMS_CALL_BYTES_MAX,
                 .record_bytes_max = KF_STREAMS_RECORD_BYTES_MAX,
                 .join_max = 1},
        .fill_records = 500,
        .fill_bytes = KF_STREAMS_CALL_BYTES_MAX,
        .timing = timing,
    };
    now = (kf_now_t){.mono_us = 1000 * KF_SEC, .wall_us = INT64_C(1800000000) * KF_SEC};
    made = delivered = dead = retried = 0;
    random_number = UINT32_MAX;
    last_dead[0] = events[0] = '\0';
    kf_destination_init(&d, &config);
    return 0;
}

static int tear_down(void **state)
{
    kf_record_list_t left = {0};

    (void)state;
    kf_destination_clear(&d, now, &left);
    assert_int_equal(delivered + dead + left.count, made);
    assert_int_equal(d.in_flight, 0);
    kf_record_list_clear(&left);
    return 0;
}

static void pass(int64_t us)
{
    now.mono_us += us;
    now.wall_us += us;
}

/* What was not over for the destination when something was delivered last. */
static uint64_t own;

static void note(const kf_outcome_t *out)
{
    own = out->delivered.count > 0 ? out->own : own;
    for (int i = 0; i < out->notice_count; i++)
        snprintf(events + strlen(events), sizeof events - strlen(events), "%s%s ",
                 out->notices[i].begins ? "+" : "-", kf_msg_info(out->notices[i].msg)->id);
}

static void settle(kf_outcome_t *out)
{
    note(out);
    delivered += out->delivered.count;
    kf_record_list_clear(&out->delivered);
    retried += out->retried;
    while (out->dead) {
        kf_dead_t *next = out->dead->next;

        dead += out->dead->records.count;
        snprintf(last_dead, sizeof last_dead, "%s/%s", kf_dead_reason_text(out->dead->reason),
                 out->dead->code);
        kf_record_list_clear(&out->dead->records);
        free(out->dead);
        out->dead = next;
    }
    assert_int_equal(out->dead_bare.count, 0);
}

static void add_text(const char *data, uint32_t n)
{
    kf_record_list_t list = {0};
    kf_record_t *r = kf_record_create(0, KF_STR("k"), (kf_str_t){data, n});
    kf_outcome_t out = {0};

    r->accepted_us = now.wall_us;
    kf_record_list_add(&list, r);
    made++;
    kf_destination_add(&d, &list, now, &out);
    settle(&out);
}

/* A record that was accepted so long ago, and that the journal has just given back. */
static void add_old(int64_t age_us)
{
    kf_record_list_t list = {0};
    kf_record_t *r = kf_record_create(0, KF_STR("k"), KF_STR("old"));
    kf_outcome_t out = {0};

    r->accepted_us = now.wall_us - age_us;
    kf_record_list_add(&list, r);
    made++;
    kf_destination_add(&d, &list, now, &out);
    settle(&out);
}

/* Records of a number each. */
static void add(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char text[16];

        snprintf(text, sizeof text, "%u", made);
        add_text(text, (uint32_t)strlen(text));
    }
}

static void add_bytes(uint32_t n)
{
    char *data = calloc(1, n);

    add_text(data, n);
    free(data);
}

static kf_batch_t *take(void)
{
    return kf_destination_take(&d, now, false);
}

static kf_batch_t *take_flushing(void)
{
    return kf_destination_take(&d, now, true);
}

static kf_verdict_t verdict_of(kf_class_t class, const char *code)
{
    kf_verdict_t v = {.class = class, .retry_after_us = -1, .bad_entry = -1};

    snprintf(v.code, sizeof v.code, "%s", code);
    return v;
}

static kf_facts_t facts;

static void end(kf_batch_t *batch, const kf_verdict_t *verdict)
{
    kf_outcome_t out = {0};

    facts.random = random_number;
    facts.is_reached = verdict->class != KF_CLASS_TRANSIENT || facts.status != 0;
    kf_destination_apply(&d, batch, verdict, &facts, now, &out);
    assert_true(out.is_call);
    settle(&out);
    facts = (kf_facts_t){0};
}

static void end_with(kf_batch_t *batch, kf_class_t class, const char *code)
{
    kf_verdict_t v = verdict_of(class, code);

    end(batch, &v);
}

/* Taken, but for the entries whose class is given. */
static void end_partly(kf_batch_t *batch, const kf_class_t *classes)
{
    kf_verdict_t v = verdict_of(KF_CLASS_OK, "");

    v.entry_count = batch->entry_count;
    v.entries = calloc(v.entry_count, sizeof *v.entries);
    for (uint32_t i = 0; i < v.entry_count; i++) {
        v.entries[i].class = classes ? classes[i] : KF_CLASS_OK;
        if (v.entries[i].class != KF_CLASS_OK)
            snprintf(v.entries[i].code, sizeof v.entries[i].code, "EntryCode");
    }
    end(batch, &v);
    free(v.entries);
}

static void end_ok(kf_batch_t *batch)
{
    end_partly(batch, NULL);
}

static int64_t due_in(void)
{
    int64_t due = kf_destination_due(&d, now, false);

    return due == KF_NEVER_US ? -1 : due - now.mono_us;
}

static bool happened(const char *event)
{
    return strstr(events, event) != NULL;
}

static uint32_t times(const char *event)
{
    uint32_t n = 0;

    for (const char *p = events; (p = strstr(p, event)) != NULL; p++)
        n++;
    return n;
}

static int number_of(const kf_record_t *r)
{
    char text[16] = "";
    kf_str_t data = kf_record_data(r);

    memcpy(text, data.p, data.n < 15 ? data.n : 15);
    return (int)strtol(text, NULL, 10);
}

/* Sends everything; calls with a record that is_bad are refused. @return calls */
static int run_refusing(bool (*is_bad)(int), bool tells_index)
{
    kf_batch_t *batch;
    int calls = 0;

    while ((batch = take_flushing()) != NULL && ++calls < 5000) {
        kf_verdict_t v = verdict_of(KF_CLASS_REFUSED, "InvalidArgumentException");
        bool bad = false;

        for (uint32_t i = 0; i < batch->count && !bad; i++)
            if (is_bad(number_of(batch->records[i]))) {
                bad = true;
                v.bad_entry = tells_index ? (int64_t)i : -1;
            }
        if (bad)
            end(batch, &v);
        else
            end_ok(batch);
    }
    return calls;
}

/* ------------------------------------------------------------------ filling calls */

static void test_linger(void **state)
{
    kf_batch_t *batch;

    (void)state;
    assert_int_equal(due_in(), -1);
    add(1);
    assert_int_equal(due_in(), 100 * KF_MS);
    assert_null(take());
    pass(60 * KF_MS);
    add(2);
    pass(39 * KF_MS);
    assert_null(take());
    pass(KF_MS);
    assert_int_equal(due_in(), 0);
    batch = take();
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->op, KF_OP_PUT_BATCH);
    end_ok(batch);
    assert_int_equal(delivered, 3);
    assert_int_equal(due_in(), -1);
}

/* A record that was accepted a while ago by its own word. */
static void add_accepted_at(int64_t wall_us)
{
    kf_record_list_t list = {0};
    kf_record_t *r = kf_record_create(0, KF_STR("k"), KF_STR("x"));
    kf_outcome_t out = {0};

    made++;
    r->accepted_us = wall_us;
    kf_record_list_add(&list, r);
    kf_destination_add(&d, &list, now, &out);
    settle(&out);
}

static void test_linger_counts_from_acceptance(void **state)
{
    (void)state;
    add_accepted_at(now.wall_us - 70 * KF_MS); /* it was in the queue for that long */
    assert_int_equal(due_in(), 30 * KF_MS);
    end_ok(take_flushing());
    /* A clock that jumps neither holds records up nor matters beyond the linger. */
    add_accepted_at(now.wall_us + 3600 * KF_SEC);
    assert_int_equal(due_in(), 100 * KF_MS);
    end_ok(take_flushing());
    add_accepted_at(now.wall_us - 3600 * KF_SEC);
    assert_int_equal(due_in(), 0);
    end_ok(take());
}

static void test_full_by_records(void **state)
{
    kf_batch_t *batch;

    (void)state;
    add(499);
    assert_null(take());
    add(502);
    batch = take();
    assert_int_equal(batch->count, 500);
    assert_int_equal(number_of(batch->records[0]), 0);
    assert_int_equal(number_of(batch->records[499]), 499);
    end_ok(batch);
    batch = take();
    assert_int_equal(batch->count, 500);
    end_ok(batch);
    assert_null(take());
    assert_int_equal(due_in(), 100 * KF_MS);
    end_ok(take_flushing());
}

static void test_full_by_bytes(void **state)
{
    kf_batch_t *batch;

    (void)state;
    config.fill.call_bytes_max = 1000;
    config.fill_bytes = 1000;
    kf_destination_init(&d, &config);
    /* Keys of one byte count. */
    add_bytes(499);
    add_bytes(499);
    add_bytes(499);
    batch = take();
    assert_int_equal(batch->count, 2);
    end_ok(batch);
    assert_null(take());
    add_bytes(500);
    batch = take();
    assert_int_equal(batch->count, 1);
    end_ok(batch);
    end_ok(take_flushing());
    /* One that is larger than a call goes alone. */
    add_bytes(3000);
    add_bytes(1);
    batch = take();
    assert_int_equal(batch->count, 1);
    end_ok(batch);
    end_ok(take_flushing());
}

static void test_max_in_flight(void **state)
{
    kf_batch_t *batches[16];

    (void)state;
    add(500 * 17);
    for (int i = 0; i < 16; i++)
        batches[i] = take();
    assert_null(take());
    assert_int_equal(due_in(), -1);
    end_ok(batches[3]);
    assert_int_equal(due_in(), 0);
    batches[3] = take();
    assert_non_null(batches[3]);
    for (int i = 0; i < 16; i++)
        end_ok(batches[i]);
    assert_int_equal(delivered, 8500);
}

static void test_join(void **state)
{
    kf_batch_t *batch;

    (void)state;
    config.fill.join_max = 3;
    config.fill.record_bytes_max = 20;
    config.fill.entries_max = 4;
    kf_destination_init(&d, &config);
    for (int i = 0; i < 8; i++)
        add_text("x", 1); /* and a key of one byte: 2, joined 5, 8 */
    add_text("0123456789\n", 11);
    add_text("abcdef", 6); /* 12 + 7 = 19: no separator needed */
    add_text("y", 1);
    batch = take_flushing();
    assert_int_equal(batch->entry_count, 4);
    assert_int_equal(batch->entry_end[0], 3);
    assert_int_equal(batch->entry_end[1], 6);
    assert_int_equal(batch->entry_end[2], 9); /* 2 + 1+2 + 1+12 = 18 */
    assert_int_equal(batch->entry_end[3], 11);
    assert_int_equal(batch->count, 11);
    /* One entry fails: its records alone are sent again. */
    end_partly(batch, (kf_class_t[]){KF_CLASS_OK, KF_CLASS_THROTTLE, KF_CLASS_OK, KF_CLASS_OK});
    assert_int_equal(delivered, 8);
    assert_int_equal(retried, 3);
}

static void test_too_large_never_goes(void **state)
{
    kf_record_list_t list = {0};
    kf_record_t *r = kf_record_create(0, KF_STR("k"), KF_STR("x"));
    kf_outcome_t out = {0};

    (void)state;
    r->too_large = 1;
    made++;
    kf_record_list_add(&list, r);
    kf_destination_add(&d, &list, now, &out);
    settle(&out);
    assert_int_equal(dead, 1);
    assert_null(take_flushing());
}

/* ----------------------------------------------------------------------- backoff */

static void test_transient_backs_off(void **state)
{
    kf_batch_t *batch;

    (void)state;
    add(3);
    facts.status = 500;
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "InternalFailure");
    assert_true(happened("+KF0401"));
    assert_null(take_flushing());
    assert_in_range(due_in(), 49 * KF_MS, 50 * KF_MS);
    pass(50 * KF_MS);
    batch = take();
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->records[0]->attempts, 1);
    end_with(batch, KF_CLASS_TRANSIENT, "timeout");
    assert_true(happened("+KF0405"));
    assert_in_range(due_in(), 99 * KF_MS, 100 * KF_MS);
    pass(100 * KF_MS);
    end_ok(take());
    assert_int_equal(delivered, 3);
    /* Over when it has not been seen for a while. */
    assert_false(happened("-KF0401 -"));
    pass(timing.quiet_us);
    kf_outcome_t out = {0};

    assert_true(due_in() <= 0);
    kf_destination_tick(&d, now, &out);
    settle(&out);
    assert_true(happened("-KF0401 -KF0405"));
    assert_int_equal(due_in(), -1);
}

static void test_calls_that_fail_together_count_once(void **state)
{
    kf_batch_t *batches[4];

    (void)state;
    add(2000);
    for (int i = 0; i < 4; i++)
        batches[i] = take();
    for (int i = 0; i < 4; i++)
        end_with(batches[i], KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(d.failures, 1);
    assert_in_range(due_in(), 49 * KF_MS, 50 * KF_MS);
    pass(50 * KF_MS);
    /* One goes first. */
    batches[0] = take();
    assert_non_null(batches[0]);
    assert_null(take());
    end_ok(batches[0]);
    for (int i = 1; i < 4; i++)
        end_ok(take());
    assert_int_equal(delivered, 2000);
}

static void test_server_hint(void **state)
{
    kf_verdict_t v = verdict_of(KF_CLASS_TRANSIENT, "HTTP 503");

    (void)state;
    v.retry_after_us = 3 * KF_SEC;
    random_number = 0;
    add(1);
    end(take_flushing(), &v);
    assert_int_equal(due_in(), 3 * KF_SEC);
}

static void test_partial_failure(void **state)
{
    kf_class_t classes[5] = {KF_CLASS_OK, KF_CLASS_THROTTLE, KF_CLASS_OK, KF_CLASS_TRANSIENT,
                             KF_CLASS_OK};
    kf_batch_t *batch;

    (void)state;
    add(5);
    end_partly(take_flushing(), classes);
    assert_int_equal(delivered, 3);
    assert_true(happened("+KF0406"));
    /* The destination itself is not backing off. */
    add(1);
    batch = take_flushing();
    assert_int_equal(batch->count, 1);
    end_ok(batch);
    pass(50 * KF_MS);
    assert_null(take()); /* back, and waiting for company */
    pass(100 * KF_MS);
    batch = take();
    assert_int_equal(batch->count, 1);
    assert_int_equal(number_of(batch->records[0]), 3);
    end_ok(batch);
    pass(KF_SEC);
    batch = take_flushing();
    assert_int_equal(number_of(batch->records[0]), 1);
    assert_int_equal(batch->records[0]->attempts, 1);
    end_ok(batch);
    assert_int_equal(delivered, 6);
}

static void test_many_retry_moments(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        kf_class_t classes[2] = {KF_CLASS_OK, KF_CLASS_THROTTLE};
        kf_batch_t *batch;

        add(2);
        random_number = (uint32_t)i * 14000000u;
        batch = take_flushing();
        if (batch->count == 2)
            end_partly(batch, classes);
        else
            end_ok(batch);
    }
    assert_true(d.retry_count <= KF_RETRY_SLOTS);
    pass(2 * KF_SEC);
    for (kf_batch_t *batch; (batch = take_flushing()) != NULL;)
        end_ok(batch);
    assert_int_equal(delivered, made);
}

static void test_all_entries_throttled_is_a_throttled_call(void **state)
{
    kf_class_t classes[2] = {KF_CLASS_THROTTLE, KF_CLASS_THROTTLE};

    (void)state;
    add(2);
    end_partly(take_flushing(), classes);
    assert_int_equal(delivered, 0);
    assert_int_equal(d.failures, 1);
    assert_in_range(due_in(), 999 * KF_MS, 1000 * KF_MS);
}

static void test_retry_limit(void **state)
{
    (void)state;
    add(2);
    for (int i = 0; i < 9; i++) {
        end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
        pass(21 * KF_SEC);
    }
    assert_false(happened("+KF0305"));
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    pass(21 * KF_SEC);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    pass(21 * KF_SEC);
    assert_int_equal(times("+KF0305"), 1);
    end_ok(take_flushing());
    assert_int_equal(times("-KF0305"), 1);
    assert_int_equal(delivered, 2);
}

static void test_max_age(void **state)
{
    (void)state;
    add(1);
    pass(config.max_age_us - KF_SEC);
    add(1);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 0);
    pass(KF_SEC);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 1);
    assert_string_equal(last_dead, "too-old/reset");
    pass(KF_SEC);
    end_ok(take_flushing());
    assert_int_equal(delivered, 1);
}

/* -------------------------------------------------------------------------- hold */

static void test_hold_probes_slowly(void **state)
{
    int64_t interval = timing.hold_first_us;

    (void)state;
    add(700);
    end_with(take(), KF_CLASS_HOLD, "KMSDisabledException");
    assert_true(happened("+KF0306"));
    for (int i = 0; i < 6; i++) {
        kf_batch_t *probe;

        assert_int_equal(due_in(), interval);
        pass(interval - 1);
        assert_null(take_flushing());
        pass(1);
        probe = take();
        assert_int_equal(probe->count, 1);
        assert_null(take_flushing());
        end_with(probe, KF_CLASS_HOLD, "KMSDisabledException");
        interval = interval * 2 < timing.hold_cap_us ? interval * 2 : timing.hold_cap_us;
    }
    /* Each probe counts; that it is one alert is the alerts' business. */
    assert_int_equal(times("KF0306"), 7);
    pass(interval);
    end_ok(take());
    assert_int_equal(times("-KF0306"), 1);
    assert_true(d.check_wanted);
    assert_int_equal(d.failures, 0);
    for (kf_batch_t *batch; (batch = take_flushing()) != NULL;)
        end_ok(batch);
    assert_int_equal(delivered, 700);
}

/* The journal forgets what a record has waited through while it was not in memory. */
static void test_held_time_of_what_was_read_back(void **state)
{
    kf_record_list_t back = {0};
    kf_outcome_t out = {0};
    kf_record_t *old;

    (void)state;
    add(1);
    end_with(take_flushing(), KF_CLASS_HOLD, "ResourceNotFoundException");
    old = kf_record_create(0, KF_STR("key"), KF_STR("read back"));
    old->accepted_us = now.wall_us;
    made++;
    pass(2 * config.max_age_us);
    end_ok(take());
    kf_record_list_add(&back, old);
    kf_destination_add(&d, &back, now, &out);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 0);
    pass(config.max_age_us);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 1);
}

static void test_held_time_is_not_age(void **state)
{
    (void)state;
    add(1);
    end_with(take_flushing(), KF_CLASS_HOLD, "ResourceNotFoundException");
    pass(2 * config.max_age_us);
    add(1);
    end_ok(take());
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 0);
    pass(config.max_age_us);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 1);
}

#define HOUR (3600 * KF_SEC)

/* A hold of three days of an earlier life, which stopped while it lasted. */
static void test_hold_of_an_earlier_life_counts(void **state)
{
    kf_hold_known_t known = {.past = {.count = 1}, .open_since_us = now.wall_us - 72 * HOUR};
    kf_hold_news_t news;

    (void)state;
    known.past.span[0] = (kf_span_t){now.wall_us - 72 * HOUR, now.wall_us - 24 * HOUR};
    kf_destination_know_hold(&d, &known, now);
    add_old(80 * HOUR);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 0);
    /* It goes on until something is delivered. */
    pass(30 * HOUR);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 0);
    kf_destination_tell_hold(&d, &news);
    assert_int_equal(news.since_us + news.ended.end_us, 0);
    pass(HOUR);
    add(1);
    end_ok(take_flushing());
    assert_int_equal(delivered, 2);
    kf_destination_tell_hold(&d, &news);
    assert_int_equal(news.ended.end_us, now.wall_us);
    kf_destination_tell_hold(&d, &news);
    assert_int_equal(news.ended.end_us, 0);
    /* From here on time counts. */
    add_old(103 * HOUR + 9 * HOUR);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 0);
    pass(16 * HOUR);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 1);
}

static void test_hold_that_another_child_ended(void **state)
{
    kf_hold_known_t known = {.open_since_us = now.wall_us - HOUR};

    (void)state;
    kf_destination_know_hold(&d, &known, now);
    pass(10 * HOUR);
    assert_int_equal(kf_destination_held_us(&d, now), 10 * HOUR);
    known.open_since_us = 0;
    kf_destination_know_hold(&d, &known, now);
    pass(10 * HOUR);
    assert_int_equal(kf_destination_held_us(&d, now), 10 * HOUR);
    add_old(34 * HOUR);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 0);
    pass(config.backoff_cap_us);
    add_old(35 * HOUR + config.backoff_cap_us);
    end_with(take_flushing(), KF_CLASS_TRANSIENT, "reset");
    assert_int_equal(dead, 1);
}

static void test_hold_of_ones_own_is_told(void **state)
{
    kf_hold_news_t news;
    int64_t began_us = now.wall_us;

    (void)state;
    add(2);
    end_with(take_flushing(), KF_CLASS_HOLD, "KMSDisabledException");
    kf_destination_tell_hold(&d, &news);
    assert_int_equal(news.since_us, began_us);
    assert_int_equal(news.ended.end_us, 0);
    pass(timing.hold_first_us);
    end_ok(take());
    kf_destination_tell_hold(&d, &news);
    assert_int_equal(news.since_us, 0);
    assert_int_equal(news.ended.begin_us, began_us);
    assert_int_equal(news.ended.end_us, now.wall_us);
}

static void test_hold_and_calls_sent_before_it(void **state)
{
    kf_batch_t *first, *second, *third;

    (void)state;
    add(1500);
    first = take();
    second = take();
    third = take();
    end_with(first, KF_CLASS_HOLD, "KMSDisabledException");
    /* Neither lengthens nor ends it. */
    end_with(second, KF_CLASS_HOLD, "KMSDisabledException");
    assert_int_equal(due_in(), timing.hold_first_us);
    end_ok(third);
    assert_true(d.hold.on);
    assert_int_equal(delivered, 500);
    pass(timing.hold_first_us);
    end_ok(take());
    assert_false(d.hold.on);
}

/* --------------------------------------------------------------------- put modes */

static void test_denied_falls_back(void **state)
{
    kf_batch_t *batches[16];

    (void)state;
    add(20);
    end_with(take_flushing(), KF_CLASS_DENIED, "AccessDeniedException");
    assert_int_equal(times("+KF0402"), 1);
    assert_int_equal(kf_destination_linger(&d), 0);
    for (int i = 0; i < 16; i++) {
        batches[i] = take();
        assert_int_equal(batches[i]->op, KF_OP_PUT);
        assert_int_equal(batches[i]->count, 1);
    }
    assert_null(take());
    for (int i = 0; i < 16; i++)
        end_ok(batches[i]);
    for (int i = 0; i < 4; i++)
        end_ok(take());
    assert_int_equal(delivered, 20);
    assert_int_equal(own, KF_MSG_BIT(KF0402));
    /* Every hour one call asks again. */
    pass(timing.ask_batch_us);
    add(10);
    batches[0] = take();
    assert_int_equal(batches[0]->op, KF_OP_PUT_BATCH);
    assert_int_equal(batches[0]->count, 10);
    add(1);
    batches[1] = take();
    assert_int_equal(batches[1]->op, KF_OP_PUT);
    end_ok(batches[1]);
    end_with(batches[0], KF_CLASS_DENIED, "AccessDeniedException");
    assert_int_equal(times("+KF0402"), 1);
    for (int i = 0; i < 10; i++) {
        batches[0] = take();
        assert_int_equal(batches[0]->op, KF_OP_PUT);
        end_ok(batches[0]);
    }
    pass(timing.ask_batch_us);
    add(10);
    end_ok(take());
    assert_false(d.is_single);
    assert_true(happened("-KF0402"));
    assert_int_equal(own, 0);
    assert_int_equal(delivered, made);
}

static void test_denied_altogether(void **state)
{
    kf_batch_t *probe;

    (void)state;
    add(3);
    end_with(take_flushing(), KF_CLASS_DENIED, "AccessDeniedException");
    end_with(take(), KF_CLASS_DENIED, "AccessDeniedException");
    assert_true(d.hold.on);
    /* Either operation may be allowed first. */
    pass(due_in());
    probe = take();
    assert_int_equal(probe->op, KF_OP_PUT);
    end_with(probe, KF_CLASS_DENIED, "AccessDeniedException");
    pass(due_in());
    probe = take();
    assert_int_equal(probe->op, KF_OP_PUT_BATCH);
    end_ok(probe);
    assert_false(d.hold.on);
    assert_false(d.is_single);
    end_ok(take());
    assert_int_equal(delivered, 3);
}

static void test_denied_in_mode_batch(void **state)
{
    (void)state;
    config.put_mode = KF_PUT_BATCH;
    kf_destination_init(&d, &config);
    add(3);
    end_with(take_flushing(), KF_CLASS_DENIED, "AccessDeniedException");
    assert_true(d.hold.on);
    assert_false(d.is_single);
}

static void test_mode_single(void **state)
{
    kf_batch_t *batch;

    (void)state;
    config.put_mode = KF_PUT_SINGLE;
    kf_destination_init(&d, &config);
    add(2);
    batch = take();
    assert_int_equal(batch->op, KF_OP_PUT);
    assert_int_equal(batch->count, 1);
    end_with(batch, KF_CLASS_DENIED, "AccessDeniedException");
    assert_true(d.hold.on);
}

/* --------------------------------------------------------------------- isolation */

static bool is_250(int n)
{
    return n == 250;
}

static bool is_some(int n)
{
    return n == 0 || n == 77 || n == 78 || n == 499;
}

static bool is_any(int n)
{
    return n >= 0;
}

static bool is_low(int n)
{
    return n < 2;
}

static void test_poison_by_index(void **state)
{
    (void)state;
    add(500);
    assert_int_equal(run_refusing(is_250, true), 3);
    assert_int_equal(delivered, 499);
    assert_int_equal(dead, 1);
    assert_string_equal(last_dead, "refused/InvalidArgumentException");
}

static void test_poison_by_halving(void **state)
{
    (void)state;
    add(500);
    assert_in_range(run_refusing(is_250, false), 10, 20);
    assert_int_equal(delivered, 499);
    assert_int_equal(dead, 1);
    assert_false(d.hold.on);
}

static void test_several_poisons(void **state)
{
    for (int told = 0; told < 2; told++) {
        set_up(state);
        add(500);
        run_refusing(is_some, told);
        assert_int_equal(delivered, 496);
        assert_int_equal(dead, 4);
        assert_false(d.hold.on);
    }
}

static void test_every_record_refused_is_the_stream(void **state)
{
    for (int told = 0; told < 2; told++) {
        int calls;

        set_up(state);
        add(100);
        calls = run_refusing(is_any, told);
        assert_in_range(calls, 100, 220);
        assert_int_equal(dead, 0);
        assert_true(d.hold.on);
        assert_int_equal(d.suspects.count, 100);
        /* Later it takes them. */
        pass(timing.hold_first_us);
        end_ok(take());
        assert_false(d.hold.on);
        for (kf_batch_t *batch; (batch = take_flushing()) != NULL;)
            end_ok(batch);
        assert_int_equal(delivered, 100);
    }
}

static void test_suspects_that_are_at_fault(void **state)
{
    (void)state;
    add(2);
    run_refusing(is_low, false);
    assert_true(d.hold.on);
    /* A record that came later is asked for first, and tells. */
    pass(timing.hold_first_us);
    add(1);
    run_refusing(is_low, false);
    assert_false(d.hold.on);
    assert_int_equal(delivered, 1);
    assert_int_equal(dead, 2);
}

static void test_lone_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        add(1);
        end_with(take_flushing(), KF_CLASS_REFUSED, "InvalidArgumentException");
    }
    assert_int_equal(dead, 4);
    add(1);
    end_with(take_flushing(), KF_CLASS_REFUSED, "InvalidArgumentException");
    assert_int_equal(dead, 4);
    assert_true(d.hold.on);
    pass(timing.hold_first_us);
    add(1);
    end_ok(take());
    assert_false(d.hold.on);
}

static void test_isolation_goes_on_after_trouble(void **state)
{
    kf_batch_t *batch;

    (void)state;
    add(4);
    end_with(take_flushing(), KF_CLASS_REFUSED, "InvalidArgumentException");
    batch = take();
    assert_true(batch->is_part);
    assert_int_equal(batch->count, 2);
    end_with(batch, KF_CLASS_TRANSIENT, "reset");
    assert_null(take());
    pass(20 * KF_SEC);
    batch = take();
    assert_true(batch->is_part);
    assert_int_equal(batch->count, 2);
    end_ok(batch);
    run_refusing(is_any, false);
    assert_int_equal(dead, 2);
    assert_int_equal(delivered, 2);
}

static void test_hold_during_isolation(void **state)
{
    (void)state;
    add(4);
    end_with(take_flushing(), KF_CLASS_REFUSED, "InvalidArgumentException");
    end_with(take(), KF_CLASS_HOLD, "KMSDisabledException");
    assert_null(d.parts);
    assert_int_equal(d.pending.count, 4);
    pass(timing.hold_first_us);
    end_ok(take());
    end_ok(take_flushing());
    assert_int_equal(delivered, 4);
}

static void test_refused_joined_entry(void **state)
{
    kf_verdict_t v = verdict_of(KF_CLASS_REFUSED, "InvalidArgumentException");

    (void)state;
    config.fill.join_max = 4;
    kf_destination_init(&d, &config);
    add(12);
    v.bad_entry = 1;
    end(take_flushing(), &v);
    run_refusing(is_low, false);
    assert_int_equal(dead, 2);
    assert_int_equal(delivered, 10);
}

static void test_too_large_call(void **state)
{
    kf_batch_t *batch;
    int calls = 0;

    (void)state;
    add(9);
    while ((batch = take_flushing()) != NULL && ++calls < 100) {
        if (batch->count > 2 || number_of(batch->records[0]) == 4)
            end_with(batch, KF_CLASS_TOO_LARGE, "HTTP 413");
        else
            end_ok(batch);
    }
    assert_int_equal(dead, 1);
    assert_int_equal(delivered, 8);
    assert_string_equal(last_dead, "too-large/HTTP 413");
}

/* A proxy that finds everything too large says nothing of the records. */
static void test_every_call_is_too_large(void **state)
{
    kf_batch_t *batch;

    (void)state;
    add(9);
    while (!d.hold.on && (batch = take_flushing()) != NULL)
        end_with(batch, KF_CLASS_TOO_LARGE, "HTTP 413");
    assert_true(d.hold.on);
    assert_true(happened("+KF0306"));
    assert_int_equal(dead, 0);
    /* Nor does it while the destination is on hold. */
    pass(timing.hold_first_us);
    batch = take();
    assert_int_equal(batch->count, 1);
    end_with(batch, KF_CLASS_TOO_LARGE, "HTTP 413");
    assert_int_equal(dead, 0);
    pass(timing.hold_cap_us);
    end_ok(take());
    while ((batch = take_flushing()) != NULL)
        end_ok(batch);
    assert_int_equal(delivered, 9);
}

static void test_lone_too_large(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        add(1);
        end_with(take_flushing(), KF_CLASS_TOO_LARGE, "HTTP 413");
    }
    assert_int_equal(dead, 4);
    assert_string_equal(last_dead, "too-large/HTTP 413");
    assert_true(d.hold.on);
}

static void test_entry_refused_among_others(void **state)
{
    kf_class_t classes[3] = {KF_CLASS_OK, KF_CLASS_REFUSED, KF_CLASS_OK};

    (void)state;
    add(3);
    end_partly(take_flushing(), classes);
    assert_int_equal(delivered, 2);
    assert_int_equal(dead, 1);
    assert_string_equal(last_dead, "refused/EntryCode");
}

/* ------------------------------------------------------------------- clock, keys */

static void test_clock(void **state)
{
    kf_batch_t *batch;

    (void)state;
    add(1);
    batch = take_flushing();
    facts.has_offset = true;
    facts.offset_us = 600 * KF_SEC;
    end_with(batch, KF_CLASS_CLOCK, "RequestTimeTooSkewed");
    assert_true(happened("+KF0404"));
    batch = take();
    assert_int_equal(batch->offset_us, 600 * KF_SEC);
    /* The same again, though corrected. */
    facts.has_offset = true;
    facts.offset_us = 601 * KF_SEC;
    end_with(batch, KF_CLASS_CLOCK, "RequestTimeTooSkewed");
    assert_true(d.hold.on);
    pass(timing.hold_first_us);
    batch = take();
    facts.has_offset = true;
    facts.offset_us = 0;
    end_ok(batch);
    assert_int_equal(d.offset_us, 0);
    assert_true(happened("-KF0404"));
}

static void test_clock_from_any_reply(void **state)
{
    (void)state;
    add(1);
    facts.has_offset = true;
    facts.offset_us = -239 * KF_SEC;
    end_ok(take_flushing());
    assert_int_equal(d.offset_us, 0);
    add(1);
    facts.has_offset = true;
    facts.offset_us = -KF_CLOCK_SKEW_US;
    end_ok(take_flushing());
    assert_int_equal(d.offset_us, -KF_CLOCK_SKEW_US);
    assert_true(happened("+KF0404"));
}

static void test_clock_that_jumps_about(void **state)
{
    (void)state;
    add(1);
    for (int i = 1; i <= 3; i++) {
        facts.has_offset = true;
        facts.offset_us = i * 3600 * KF_SEC;
        end_with(take_flushing(), KF_CLASS_CLOCK, "RequestTimeTooSkewed");
        assert_false(d.hold.on);
    }
    facts.has_offset = true;
    facts.offset_us = 0;
    end_with(take_flushing(), KF_CLASS_CLOCK, "RequestTimeTooSkewed");
    assert_true(d.hold.on);
}

static void test_expired_keys(void **state)
{
    kf_batch_t *first, *second;

    (void)state;
    add(1000);
    first = take();
    second = take();
    facts.is_refreshed = true;
    end_with(first, KF_CLASS_EXPIRED, "ExpiredTokenException");
    facts.is_refreshed = true;
    end_with(second, KF_CLASS_EXPIRED, "ExpiredTokenException");
    assert_false(d.hold.on);
    first = take();
    assert_non_null(first);
    facts.is_refreshed = true;
    end_with(first, KF_CLASS_EXPIRED, "ExpiredTokenException");
    assert_true(d.hold.on);
    pass(timing.hold_first_us);
    end_ok(take());
    assert_false(d.creds_tried);
}

static void test_static_keys_hold(void **state)
{
    (void)state;
    add(1);
    end_with(take_flushing(), KF_CLASS_CREDENTIALS, "UnrecognizedClientException");
    assert_true(d.hold.on);
}

static void test_returned_calls(void **state)
{
    kf_batch_t *batch;

    (void)state;
    add(4);
    batch = take_flushing();
    kf_destination_return(&d, batch, now);
    batch = take();
    assert_int_equal(batch->count, 4);
    assert_int_equal(batch->records[0]->attempts, 0);
    end_with(batch, KF_CLASS_REFUSED, "InvalidArgumentException");
    batch = take();
    end_with(batch, KF_CLASS_REFUSED, "InvalidArgumentException");
    batch = take();
    end_with(batch, KF_CLASS_REFUSED, "InvalidArgumentException"); /* a culprit is kept aside */
    kf_destination_return(&d, take(), now);
}

static void test_configure(void **state)
{
    kf_settings_t settings = {.service = KF_SERVICE_STREAMS, .join_records = 1, .max_in_flight = 7};

    (void)state;
    kf_destination_configure(&config, &settings, KF_STREAMS_RECORD_BYTES_MAX,
                             KF_STREAMS_CALL_BYTES_MAX, 4096, 16u << 20, &timing);
    assert_int_equal(config.fill_records, 500);
    assert_int_equal(config.fill_bytes, 2u << 20);
    assert_int_equal(config.fill.join_max, 1);
    assert_int_equal(config.max_in_flight, 7);
    /* A small queue must not wait for more than it holds. */
    kf_destination_configure(&config, &settings, KF_STREAMS_RECORD_BYTES_MAX,
                             KF_STREAMS_CALL_BYTES_MAX, 8, 4u << 20, &timing);
    assert_int_equal(config.fill_records, 2);
    settings.service = KF_SERVICE_FIREHOSE;
    kf_destination_configure(&config, &settings, KF_FIREHOSE_RECORD_BYTES_MAX,
                             KF_FIREHOSE_CALL_BYTES_MAX, 4096, 16u << 20, &timing);
    assert_int_equal(config.fill.join_max, KF_FIREHOSE_JOIN_LINES_MAX);
    assert_int_equal(config.fill_records, 1024);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_linger),
        T(test_linger_counts_from_acceptance),
        T(test_full_by_records),
        T(test_full_by_bytes),
        T(test_max_in_flight),
        T(test_join),
        T(test_too_large_never_goes),
        T(test_transient_backs_off),
        T(test_calls_that_fail_together_count_once),
        T(test_server_hint),
        T(test_partial_failure),
        T(test_many_retry_moments),
        T(test_all_entries_throttled_is_a_throttled_call),
        T(test_retry_limit),
        T(test_max_age),
        T(test_hold_probes_slowly),
        T(test_held_time_is_not_age),
        T(test_held_time_of_what_was_read_back),
        T(test_hold_of_an_earlier_life_counts),
        T(test_hold_that_another_child_ended),
        T(test_hold_of_ones_own_is_told),
        T(test_hold_and_calls_sent_before_it),
        T(test_denied_falls_back),
        T(test_denied_altogether),
        T(test_denied_in_mode_batch),
        T(test_mode_single),
        T(test_poison_by_index),
        T(test_poison_by_halving),
        T(test_several_poisons),
        T(test_every_record_refused_is_the_stream),
        T(test_suspects_that_are_at_fault),
        T(test_lone_refused),
        T(test_isolation_goes_on_after_trouble),
        T(test_hold_during_isolation),
        T(test_refused_joined_entry),
        T(test_too_large_call),
        T(test_every_call_is_too_large),
        T(test_lone_too_large),
        T(test_entry_refused_among_others),
        T(test_clock),
        T(test_clock_from_any_reply),
        T(test_clock_that_jumps_about),
        T(test_expired_keys),
        T(test_static_keys_hold),
        T(test_returned_calls),
        T(test_configure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
