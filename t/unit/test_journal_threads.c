/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal with many threads at once on a disk that fails now and then, and after a power cut at every
 * moment of such a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/kf_clock.h"

#define NEVER UINT64_MAX
#define APPENDERS_MAX 8

/* What became of a number. Each is appended by one thread, and held by one at a time afterwards. */
typedef struct {
    uint64_t begin, end; /* of its append */
    uint64_t done;       /* before it was noted */
    bool taken;
    unsigned served;
} fate_t;

typedef struct {
    fixture_t f;
    kf_journal_t *journal;
    fate_t *fate;
    uint64_t numbers;
    _Atomic uint64_t next; /* number to append */
    _Atomic int appending; /* threads */
    bool adopts;           /* journals come and go */
    atomic_uint_fast64_t adopted;
} run_t;

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* ---- threads ---- */

/* A journal that is about to close notes nothing: a note that fails would rightly be a repeat. */
static void give_back(run_t *r, kf_journal_t *j, kf_record_list_t *list, uint64_t *seed)
{
    kf_record_list_t done = {0};

    for (kf_record_t *x = kf_record_list_take(list); x; x = kf_record_list_take(list)) {
        if (j != r->journal || next_random(seed) % 3 == 0) {
            kf_journal_release(j, x);
            kf_record_free(x);
        } else {
            r->fate[fixture_number(x)].served++;
            r->fate[fixture_number(x)].done = fault_now();
            kf_record_list_add(&done, x);
        }
    }
    fixture_done(j, &done);
}

/* Appends 1 to 3 records of up to 3 connections as one frame. @return false: no numbers left */
static bool append_some(run_t *r, kf_journal_t *j, uint64_t *seed)
{
    uint64_t count = 1 + next_random(seed) % 3;
    uint64_t first = atomic_fetch_add(&r->next, count);
    kf_record_list_t list = {0};

    if (first + count > r->numbers) {
        return false;
    }
    for (uint64_t i = first; i < first + count; i++) {
        uint32_t bytes = (uint32_t)(next_random(seed) % (next_random(seed) % 8 ? 600 : 9000));
        kf_record_list_add(&list, fixture_record((uint16_t)(i % 3), i, bytes));
    }
    uint64_t begin = fault_now();
    bool taken = kf_journal_append(j, &list) == KF_JOURNAL_OK;
    uint64_t end = fault_now();
    for (uint64_t i = first; i < first + count; i++) {
        r->fate[i] = (fate_t){begin, end, NEVER, taken, 0};
    }
    if (taken) {
        give_back(r, j, &list, seed);
    } else {
        fixture_pass(60 * KF_MS);
        kf_record_list_clear(&list);
    }
    return true;
}

static void *append(void *context)
{
    run_t *r = context;
    uint64_t seed = (uintptr_t)&seed ^ fault_now();

    while (append_some(r, r->journal, &seed)) {
    }
    atomic_fetch_sub(&r->appending, 1);
    return NULL;
}

static void *deliver(void *context)
{
    run_t *r = context;
    uint64_t seed = (uintptr_t)&seed ^ fault_now();

    while (atomic_load(&r->appending) > 0) {
        kf_record_list_t list = {0};
        uint16_t connection = (uint16_t)(next_random(&seed) % 3);
        kf_backlog_t b;
        kf_journal_backlog(r->journal, connection, &b);
        kf_journal_fetch(r->journal, connection, (uint32_t)(1 + next_random(&seed) % 40), 20000,
                         &list);
        give_back(r, r->journal, &list, &seed);
        sched_yield();
    }
    return NULL;
}

/* Lets the disk fail, joins segments, and takes over what another journal leaves behind. */
static void *maintain(void *context)
{
    run_t *r = context;
    uint64_t seed = (uintptr_t)&seed ^ fault_now();

    while (atomic_load(&r->appending) > 0) {
        fault_op_t op = next_random(&seed) % 2 ? FAULT_WRITE : FAULT_SYNC;
        fault_fail(op, (unsigned)(next_random(&seed) % 60), 1,
                   next_random(&seed) % 2 ? EIO : ENOSPC);
        if (r->adopts) {
            kf_journal_t *other = fixture_open(&r->f);
            append_some(r, other, &seed);
            kf_journal_close(other);
            atomic_fetch_add(&r->adopted, (uint64_t)kf_journal_adopt(r->journal));
        }
        kf_journal_prepare(r->journal);
        kf_journal_compact(r->journal);
        sched_yield();
    }
    fault_clear();
    return NULL;
}

static void run_start(run_t *r, uint64_t numbers)
{
    memset(r, 0, sizeof(*r));
    fixture_make(&r->f);
    r->f.config.files = &fault_files;
    r->f.config.durability = KF_DURABILITY_DISK;
    r->f.config.segment_bytes = 32 * 1024;
    r->f.config.warm_bytes = 256; /* most segments are cold, most of the time */
    r->numbers = numbers;
    r->fate = calloc(numbers, sizeof(*r->fate));
    assert_non_null(r->fate);
}

static void run_threads(run_t *r, int appenders, int deliverers)
{
    pthread_t threads[APPENDERS_MAX + 4];
    int n = 0;

    r->journal = fixture_open(&r->f);
    r->appending = appenders;
    for (int i = 0; i < appenders; i++) {
        assert_int_equal(pthread_create(&threads[n++], NULL, append, r), 0);
    }
    for (int i = 0; i < deliverers; i++) {
        assert_int_equal(pthread_create(&threads[n++], NULL, deliver, r), 0);
    }
    assert_int_equal(pthread_create(&threads[n++], NULL, maintain, r), 0);
    while (n > 0) {
        pthread_join(threads[--n], NULL);
    }
}

static void run_end(run_t *r)
{
    free(r->fate);
    fixture_remove(&r->f);
}

static void test_many_threads(void **state)
{
    run_t r;

    (void)state;
    run_start(&r, 12000);
    r.adopts = true;
    run_threads(&r, 8, 2);
    assert_true(r.adopted > 0);
    kf_journal_adopt(r.journal);
    for (uint16_t c = 0; c < 3; c++) {
        kf_record_list_t list = {0};
        kf_journal_fetch(r.journal, c, UINT32_MAX, UINT64_MAX, &list);
        for (const kf_record_t *x = list.first; x; x = x->next) {
            r.fate[fixture_number(x)].served++;
        }
        fixture_done(r.journal, &list);
        kf_backlog_t b;
        kf_journal_backlog(r.journal, c, &b);
        assert_int_equal(b.records, 0);
        assert_int_equal(b.bytes, 0);
        assert_int_equal(kf_usage_of(r.f.usage, c), 0);
    }
    uint64_t taken = 0;
    for (uint64_t i = 0; i < r.numbers; i++) {
        taken += r.fate[i].taken;
        assert_int_equal(r.fate[i].served, r.fate[i].taken);
    }
    assert_true(taken > r.numbers / 2);
    assert_int_equal(fixture_logged("KF0603"), 0);
    kf_journal_close(r.journal);
    assert_int_equal(fault_folder_count(r.f.folder, ""), 0);
    run_end(&r);
}

/* ---- the power cut ---- */

static void count_served(run_t *r, kf_journal_t *j)
{
    for (uint64_t i = 0; i < r->numbers; i++) {
        r->fate[i].served = 0;
    }
    for (uint16_t c = 0; c < 3; c++) {
        kf_record_list_t list = {0};
        kf_journal_fetch(j, c, UINT32_MAX, UINT64_MAX, &list);
        for (const kf_record_t *x = list.first; x; x = x->next) {
            r->fate[fixture_number(x)].served++;
        }
        kf_record_list_clear(&list);
    }
}

static void expect_promises(const run_t *r, uint64_t moment, uint64_t seed)
{
    for (uint64_t i = 0; i < r->numbers; i++) {
        const fate_t *fate = &r->fate[i];
        bool ended = fate->end != 0 && fate->end <= moment;
        bool kept = !ended || !fate->taken || fate->done <= moment || fate->served > 0;
        bool clean = !ended || fate->taken || fate->served == 0;
        if (!kept || !clean) {
            fail_msg("power cut at %llu, seed %llu: number %llu %s", (unsigned long long)moment,
                     (unsigned long long)seed, (unsigned long long)i,
                     kept ? "was refused and is served" : "is lost");
        }
    }
}

static void cut_power(run_t *r, uint64_t moment, uint64_t seed)
{
    fixture_t after = r->f;

    after.config.files = NULL;
    after.config.durability = KF_DURABILITY_PROCESS;
    fault_folder_make(after.folder);
    after.config.directory = after.folder;
    int folder = open(after.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    fault_power_cut(folder, moment, seed);
    close(folder);
    kf_journal_t *j = fixture_open(&after);
    kf_journal_adopt(j);
    count_served(r, j);
    expect_promises(r, moment, seed);
    assert_int_equal(fixture_logged("KF0606"), 0);
    kf_journal_close(j);
    fault_folder_remove(after.folder);
}

static void test_power_cut_at_every_moment(void **state)
{
    const char *wanted = getenv("KF_TEST_SEED");
    uint64_t seed = wanted ? strtoull(wanted, NULL, 10) : kf_random_u32();
    run_t r;

    (void)state;
    run_start(&r, 300);
    fault_record_start();
    run_threads(&r, 4, 1);
    kf_journal_close(r.journal);
    fault_record_stop();
    uint64_t moments = fault_now();
    uint64_t taken = 0;
    for (uint64_t i = 0; i < r.numbers; i++) {
        taken += r.fate[i].taken;
    }
    assert_true(taken > 100);
    for (uint64_t moment = 1; moment <= moments; moment++) {
        cut_power(&r, moment, seed + moment);
    }
    fault_record_free();
    run_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_power_cut_at_every_moment),
    };

    return cmocka_run_group_tests_name("journal_threads", tests, NULL, NULL);
}
