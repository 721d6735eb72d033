/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's numbers: names, sums over children that die at any point, reloads, gauges, the last
 * error, histograms, the last hour.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "delivery/kf_history.h"
#include "delivery/kf_metrics.h"

static const char *const two[] = {"game", "shop"};

static int64_t now_us;

static int64_t at_now(void)
{
    return now_us;
}

static void set_clock(int64_t us)
{
    static const kf_clock_source_t source = {.wall_us = at_now, .mono_us = at_now};

    now_us = us;
    kf_clock_set_source(&source);
}

static int reset_clock(void **state)
{
    static const kf_clock_source_t real = {.wall_us = NULL};

    (void)state;
    kf_clock_set_source(&real);
    return 0;
}

/* -------------------------------------------------------------------------- the list */

static bool ends(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

static const char *names[256];
static int name_count;

static void check_name(const char *name)
{
    for (int i = 0; i < name_count; i++)
        assert_string_not_equal(names[i], name);
    names[name_count++] = name;
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(name));
}

static void check_prometheus(const char *name, kf_unit_t unit, bool is_counter)
{
    const char *bytes = is_counter ? "_bytes_total" : "_bytes";

    check_name(name);
    assert_int_equal(strncmp(name, "kinesis_forward_", 16), 0);
    assert_int_equal(ends(name, "_total"), is_counter);
    assert_int_equal(ends(name, "_seconds"),
                     unit == KF_UNIT_SECONDS || unit == KF_UNIT_AGE || unit == KF_UNIT_TIME);
    if (!is_counter)
        assert_int_equal(ends(name, bytes), unit == KF_UNIT_BYTES);
}

static void test_names(void **state)
{
    (void)state;
    name_count = 0;
    for (int f = 0; f < KF_FAMILY_COUNT; f++)
        check_prometheus(kf_family_info((kf_metric_family_t)f)->prometheus, KF_UNIT_NUMBER, true);
    for (int g = 0; g < KF_GAUGE_COUNT; g++)
        check_prometheus(kf_gauge_info((kf_gauge_id_t)g)->prometheus,
                         kf_gauge_info((kf_gauge_id_t)g)->unit, false);
    for (int g = 0; g < KF_SERVER_COUNT; g++)
        check_prometheus(kf_server_info((kf_server_gauge_t)g)->prometheus,
                         kf_server_info((kf_server_gauge_t)g)->unit, false);
    for (int h = 0; h < KF_HISTOGRAM_COUNT; h++)
        check_prometheus(kf_histogram_info((kf_histogram_id_t)h)->prometheus,
                         kf_histogram_info((kf_histogram_id_t)h)->unit, false);
    name_count = 0;
    for (int f = 0; f < KF_FAMILY_COUNT; f++)
        check_name(kf_family_info((kf_metric_family_t)f)->json);
    for (int g = 0; g < KF_GAUGE_COUNT; g++)
        check_name(kf_gauge_info((kf_gauge_id_t)g)->json);
    for (int h = 0; h < KF_HISTOGRAM_COUNT; h++)
        check_name(kf_histogram_info((kf_histogram_id_t)h)->json);
}

/* A renderer may go through the counters and begin a family where it changes. */
static void test_families(void **state)
{
    int family = -1, of[KF_FAMILY_COUNT] = {0};

    (void)state;
    for (int i = 0; i < KF_COUNT_MAX; i++) {
        const kf_count_info_t *info = kf_count_info((kf_count_t)i);
        bool has_label = kf_family_info(info->family)->label[0] != '\0';

        if ((int)info->family != family)
            assert_int_equal(of[info->family], 0);
        family = (int)info->family;
        of[family]++;
        assert_int_equal(info->value[0] != '\0', has_label);
        assert_true(info->help[0] != '\0' || !has_label);
        assert_true(has_label || of[family] == 1);
    }
    for (int f = 0; f < KF_FAMILY_COUNT; f++)
        assert_true(of[f] > 0 && kf_family_info((kf_metric_family_t)f)->help[0] != '\0');
}

static void test_bounds_ascend(void **state)
{
    (void)state;
    for (int h = 0; h < KF_HISTOGRAM_COUNT; h++) {
        const kf_histogram_info_t *info = kf_histogram_info((kf_histogram_id_t)h);

        assert_true(info->bound_count > 0 && info->bound_count < KF_BUCKETS_MAX);
        for (int i = 1; i < info->bound_count; i++)
            assert_true(info->bounds[i] > info->bounds[i - 1]);
    }
}

/* --------------------------------------------------------------------------- counting */

static void test_every_counter(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 3);

    (void)state;
    assert_true(kf_metrics_join(m));
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < KF_COUNT_MAX; i++) {
            assert_int_equal(kf_metrics_count(m, c, (kf_count_t)i), 0);
            kf_metrics_add(m, c, (kf_count_t)i, (uint64_t)(c * 1000 + i));
            kf_metrics_add(m, c, (kf_count_t)i, UINT64_C(1) << 40);
        }
    for (int c = 0; c < 2; c++) {
        kf_connection_metrics_t read;

        kf_metrics_read(m, c, &read);
        assert_string_equal(kf_metrics_name(m, c), two[c]);
        for (int i = 0; i < KF_COUNT_MAX; i++) {
            assert_int_equal(read.count[i], (UINT64_C(1) << 40) + (uint64_t)(c * 1000 + i));
            assert_int_equal(kf_metrics_count(m, c, (kf_count_t)i), read.count[i]);
        }
    }
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* What children tell the test without the metrics. */
typedef struct {
    _Atomic uint64_t counted, began;
    atomic_int joined;
} tally_t;

static tally_t *share_tally(void)
{
    tally_t *tally =
        mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(tally != MAP_FAILED);
    return tally;
}

/* Counts until it is killed. Each addition is told before it is made and after. */
static void count_for_ever(kf_metrics_t *m, tally_t *tally)
{
    if (kf_metrics_join(m))
        atomic_fetch_add(&tally->joined, 1);
    for (;;) {
        atomic_fetch_add(&tally->began, 1);
        kf_metrics_add(m, 1, KF_COUNT_DELIVERED, 1);
        atomic_fetch_add(&tally->counted, 1);
    }
}

/* A child that is killed as it counts: it had made its last addition or not. */
static void kill_one(kf_metrics_t *m, tally_t *tally)
{
    uint64_t before = atomic_load(&tally->counted);
    pid_t child = fork();
    int status;

    if (child == 0)
        count_for_ever(m, tally);
    while (atomic_load(&tally->counted) < before + 1000)
        sched_yield();
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_killed_children(void **state)
{
    enum { CHILDREN = 20 };
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 2);
    tally_t *tally = share_tally();

    (void)state;
    for (int i = 0; i < CHILDREN; i++)
        kill_one(m, tally);
    assert_in_range(kf_metrics_count(m, 1, KF_COUNT_DELIVERED), tally->counted, tally->began);
    assert_true(tally->began - tally->counted <= CHILDREN);
    assert_int_equal(kf_metrics_count(m, 0, KF_COUNT_DELIVERED), 0);
    /* There are two places: the dead one's was taken over each time. */
    assert_int_equal(tally->joined, CHILDREN);
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
    munmap(tally, sizeof *tally);
}

enum { MANY = 6, EACH = 20000 };

static void *count_many(void *metrics)
{
    for (int i = 0; i < EACH; i++) {
        kf_metrics_add(metrics, 0, KF_COUNT_ACCEPTED, 1);
        kf_metrics_observe(metrics, 0, KF_HISTOGRAM_CALL, 3000, 2);
    }
    return NULL;
}

/* More children than places, two threads each: all of them are exact. */
static void test_shared_place(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 2);
    kf_connection_metrics_t read;
    pid_t child[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            pthread_t thread;

            kf_metrics_join(m);
            pthread_create(&thread, NULL, count_many, m);
            count_many(m);
            pthread_join(thread, NULL);
            _exit(0);
        }
    }
    for (int i = 0; i < MANY; i++)
        waitpid(child[i], NULL, 0);
    kf_metrics_read(m, 0, &read);
    assert_int_equal(read.count[KF_COUNT_ACCEPTED], 2 * MANY * EACH);
    assert_int_equal(read.histogram[KF_HISTOGRAM_CALL].count, 4 * MANY * EACH);
    assert_int_equal(read.histogram[KF_HISTOGRAM_CALL].sum, UINT64_C(12000) * MANY * EACH);
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* ---------------------------------------------------------------------------- reloads */

static uint64_t counted(kf_metrics_t *m, int connection)
{
    return kf_metrics_count(m, connection, KF_COUNT_ACCEPTED);
}

static void test_reload(void **state)
{
    static const char *const other[] = {"shop", "news", "game"};
    static const char *const less[] = {"news"};
    void *kept = NULL;
    kf_metrics_t *first = kf_metrics_open(&kept, two, 2, 2), *second, *third;
    int64_t began = kf_metrics_server(first, KF_SERVER_START_TIME);

    (void)state;
    kf_metrics_add(first, 0, KF_COUNT_ACCEPTED, 7);
    kf_metrics_add(first, 1, KF_COUNT_ACCEPTED, 9);
    second = kf_metrics_open(&kept, other, 3, 2);
    assert_int_equal(counted(second, 0), 9);
    assert_int_equal(counted(second, 1), 0);
    assert_int_equal(counted(second, 2), 7);
    /* A child of the old generation goes on. */
    kf_metrics_add(first, 0, KF_COUNT_ACCEPTED, 1);
    kf_metrics_add(second, 2, KF_COUNT_ACCEPTED, 1);
    assert_int_equal(counted(second, 2), 9);
    third = kf_metrics_open(&kept, less, 1, 2);
    kf_metrics_add(third, 0, KF_COUNT_ACCEPTED, 5);
    kf_metrics_close(third);
    third = kf_metrics_open(&kept, two, 2, 2);
    assert_int_equal(counted(third, 0), 9);
    assert_int_equal(counted(third, 1), 9);
    assert_int_equal(counted(second, 1), 5);
    assert_int_equal(kf_metrics_server(third, KF_SERVER_GENERATION), 4);
    assert_int_equal(kf_metrics_server(third, KF_SERVER_START_TIME), began);
    kf_metrics_close(first);
    kf_metrics_close(second);
    kf_metrics_close(third);
    kf_metrics_discard(&kept);
}

static void test_rows_grow(void **state)
{
    enum { MOST = 300 };
    static char text[MOST][8];
    const char *all[MOST];
    void *kept = NULL;
    kf_metrics_t *m = NULL;
    int loads = 0;

    (void)state;
    for (int i = 0; i < MOST; i++) {
        snprintf(text[i], sizeof text[i], "c%d", i);
        all[i] = text[i];
    }
    for (int n = 1; n <= MOST; n += 13, loads++) {
        kf_metrics_close(m);
        m = kf_metrics_open(&kept, all, n, 3);
        assert_non_null(m);
        assert_true(kf_metrics_join(m));
        for (int c = 0; c < n; c++)
            kf_metrics_add(m, c, KF_COUNT_ACCEPTED, (uint64_t)c);
        kf_metrics_leave(m);
    }
    for (int c = 0; c < kf_metrics_connections(m); c++) {
        assert_string_equal(kf_metrics_name(m, c), all[c]);
        /* Of the reloads, those that had it. */
        assert_int_equal(counted(m, c), c * (loads - (c + 12) / 13));
    }
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* Another version of the module: its memory says another layout. */
static void test_another_layout(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 2);

    (void)state;
    kf_metrics_add(m, 0, KF_COUNT_ACCEPTED, 7);
    kf_metrics_close(m);
    *(uint64_t *)kept ^= 1;
    m = kf_metrics_open(&kept, two, 2, 2);
    assert_int_equal(counted(m, 0), 0);
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* ----------------------------------------------------------------------------- gauges */

static int64_t gauge(kf_metrics_t *m, kf_gauge_id_t id)
{
    kf_connection_metrics_t read;

    kf_metrics_read(m, 0, &read);
    return read.gauge[id];
}

/* Says what it is told to say, and lives until it is killed. */
static pid_t child_saying(kf_metrics_t *m, int64_t records, int64_t since_us,
                          kf_delivery_state_t does)
{
    int ready[2];
    pid_t child;
    char byte;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        kf_metrics_join(m);
        kf_metrics_set(m, 0, KF_GAUGE_BACKLOG_RECORDS, records);
        kf_metrics_set(m, 0, KF_GAUGE_OLDEST_RECORD, since_us);
        kf_metrics_set(m, 0, KF_GAUGE_STATE, does);
        kf_metrics_beat(m);
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void test_gauges(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 4);
    int64_t t = 1000 * KF_SEC;
    pid_t a, b;

    (void)state;
    set_clock(t);
    a = child_saying(m, 10, t - 3 * KF_SEC, KF_DELIVERY_DELIVERING);
    b = child_saying(m, 5, t - 8 * KF_SEC, KF_DELIVERY_HOLD);
    assert_int_equal(gauge(m, KF_GAUGE_BACKLOG_RECORDS), 15);
    assert_int_equal(gauge(m, KF_GAUGE_OLDEST_RECORD), 8 * KF_SEC);
    assert_int_equal(gauge(m, KF_GAUGE_STATE), KF_DELIVERY_HOLD);
    assert_int_equal(kf_metrics_server(m, KF_SERVER_CHILDREN), 2);
    kf_metrics_reap(m);
    assert_int_equal(gauge(m, KF_GAUGE_BACKLOG_RECORDS), 15);
    /* Whoever leads notices a death at once. */
    end(b);
    kf_metrics_reap(m);
    assert_int_equal(gauge(m, KF_GAUGE_BACKLOG_RECORDS), 10);
    assert_int_equal(gauge(m, KF_GAUGE_OLDEST_RECORD), 3 * KF_SEC);
    assert_int_equal(gauge(m, KF_GAUGE_STATE), KF_DELIVERY_DELIVERING);
    assert_int_equal(kf_metrics_server(m, KF_SERVER_CHILDREN), 1);
    /* And where nobody leads, silence tells. */
    set_clock(t + KF_METRICS_SILENT_US);
    assert_int_equal(gauge(m, KF_GAUGE_BACKLOG_RECORDS), 0);
    assert_int_equal(gauge(m, KF_GAUGE_OLDEST_RECORD), 0);
    assert_int_equal(kf_metrics_server(m, KF_SERVER_CHILDREN), 0);
    end(a);
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* Gauges of a place's earlier child are not the later one's. */
static void test_gauges_of_a_reload(void **state)
{
    static const char *const shop[] = {"shop"};
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 1), *later;

    (void)state;
    set_clock(1000 * KF_SEC);
    end(child_saying(m, 10, 0, KF_DELIVERY_HOLD));
    later = kf_metrics_open(&kept, shop, 1, 1);
    assert_true(kf_metrics_join(later));
    set_clock(1000 * KF_SEC + KF_METRICS_SILENT_US);
    kf_metrics_beat(later);
    assert_int_equal(gauge(m, KF_GAUGE_BACKLOG_RECORDS), 0);
    kf_metrics_leave(later);
    kf_metrics_close(m);
    kf_metrics_close(later);
    kf_metrics_discard(&kept);
}

static void test_leaders_gauges(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 4);

    (void)state;
    set_clock(1000 * KF_SEC);
    for (int i = 0; i < 2; i++) {
        kf_metrics_set(m, 0, KF_GAUGE_DEAD_LETTERS, 4);
        kf_metrics_set(m, 0, KF_GAUGE_OLDEST_WINDOW, 990 * KF_SEC);
        kf_metrics_set_server(m, KF_SERVER_STORE_BYTES, 77);
    }
    assert_int_equal(gauge(m, KF_GAUGE_DEAD_LETTERS), 4);
    assert_int_equal(gauge(m, KF_GAUGE_OLDEST_WINDOW), 10 * KF_SEC);
    assert_int_equal(gauge(m, KF_GAUGE_WINDOWS), 0);
    assert_int_equal(kf_metrics_server(m, KF_SERVER_STORE_BYTES), 77);
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* ------------------------------------------------------------------------- last error */

static void fill(kf_last_error_t *error, char c, int64_t at_us)
{
    *error = (kf_last_error_t){.at_us = at_us, .status = c};
    memset(error->code, c, sizeof error->code - 1);
    memset(error->message, c, sizeof error->message - 1);
    memset(error->request_id, c, sizeof error->request_id - 1);
}

static void assert_whole(const kf_last_error_t *error)
{
    char c = (char)error->status;

    assert_int_equal(strspn(error->code, (char[]){c, 0}), sizeof error->code - 1);
    assert_int_equal(strspn(error->message, (char[]){c, 0}), sizeof error->message - 1);
    assert_int_equal(strspn(error->request_id, (char[]){c, 0}), sizeof error->request_id - 1);
}

static void test_latest_error(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 4);
    kf_connection_metrics_t read;
    kf_last_error_t error;

    (void)state;
    kf_metrics_read(m, 0, &read);
    assert_int_equal(read.error.at_us, 0);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();

        if (child == 0) {
            kf_metrics_join(m);
            fill(&error, (char)('a' + i), i == 1 ? 500 : 400 + i);
            kf_metrics_set_error(m, 0, &error);
            for (;;)
                pause();
        }
        do {
            kf_metrics_read(m, 0, &read);
            sched_yield();
        } while (read.error.at_us == 0 || (i == 1 && read.error.at_us != 500));
        if (i == 2)
            end(child);
        else
            kill(child, SIGKILL);
    }
    /* It outlives who met it. */
    assert_int_equal(read.error.status, 'b');
    assert_whole(&read.error);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* Writers that are killed as they write: a reader has a whole text, or none. */
static void test_error_while_written(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 1);
    kf_connection_metrics_t read;
    kf_last_error_t error;

    (void)state;
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        int seen = 0;

        if (child == 0) {
            kf_metrics_join(m);
            for (int64_t k = 1;; k++) {
                fill(&error, (char)('a' + k % 26), i * INT64_C(1000000000) + k);
                kf_metrics_set_error(m, 0, &error);
            }
        }
        while (seen < 200) {
            kf_metrics_read(m, 0, &read);
            if (read.error.at_us > i * INT64_C(1000000000)) {
                assert_whole(&read.error);
                seen++;
            } else {
                sched_yield();
            }
        }
        end(child);
    }
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* ------------------------------------------------------------------------- histograms */

static void test_buckets(void **state)
{
    for (int h = 0; h < KF_HISTOGRAM_COUNT; h++) {
        const kf_histogram_info_t *info = kf_histogram_info((kf_histogram_id_t)h);
        void *kept = NULL;
        kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 1);
        kf_connection_metrics_t read;
        uint64_t sum = 0;

        (void)state;
        kf_metrics_observe(m, 1, (kf_histogram_id_t)h, -5, 1);
        for (int i = 0; i < info->bound_count; i++) {
            kf_metrics_observe(m, 1, (kf_histogram_id_t)h, info->bounds[i], 1);
            kf_metrics_observe(m, 1, (kf_histogram_id_t)h, info->bounds[i] + 1, 10);
            sum += (uint64_t)info->bounds[i] * 11 + 10;
        }
        kf_metrics_read(m, 1, &read);
        assert_int_equal(read.histogram[h].bucket[0], 2);
        for (int i = 1; i < info->bound_count; i++)
            assert_int_equal(read.histogram[h].bucket[i], 11);
        assert_int_equal(read.histogram[h].bucket[info->bound_count], 10);
        assert_int_equal(read.histogram[h].count, 11 * info->bound_count + 1);
        assert_int_equal(read.histogram[h].sum, sum);
        kf_metrics_close(m);
        kf_metrics_discard(&kept);
    }
}

static void test_quantiles(void **state)
{
    kf_histogram_t h = {.count = 0};
    const kf_histogram_info_t *info = kf_histogram_info(KF_HISTOGRAM_CALL);

    (void)state;
    assert_int_equal(kf_histogram_quantile(KF_HISTOGRAM_CALL, &h, 0.5), -1);
    h.bucket[3] = 100; /* 2 to 5 ms */
    h.count = 100;
    assert_int_equal(kf_histogram_quantile(KF_HISTOGRAM_CALL, &h, 0.5), 3500);
    assert_int_equal(kf_histogram_quantile(KF_HISTOGRAM_CALL, &h, 1), 5000);
    h.bucket[info->bound_count] = 900;
    h.count = 1000;
    assert_int_equal(kf_histogram_quantile(KF_HISTOGRAM_CALL, &h, 0.99),
                     info->bounds[info->bound_count - 1]);
}

/* ------------------------------------------------------------------------ the last hour */

static kf_history_point_t points[KF_HISTORY_POINTS];

static void test_history(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 1);
    kf_sampler_t *a = kf_sampler_create(m), *b = kf_sampler_create(m);
    int64_t t = 1000 * KF_SEC;

    (void)state;
    for (int i = 0; i < 5; i++) {
        set_clock(t + i * KF_HISTORY_STEP_US);
        kf_metrics_add(m, 0, KF_COUNT_ACCEPTED, (uint64_t)(10 + i));
        kf_metrics_add(m, 0, KF_COUNT_DEAD_TOO_OLD, 2);
        kf_metrics_add(m, 0, KF_COUNT_CALLS_SERVER, 3);
        kf_metrics_add(m, 0, KF_COUNT_CALLS_PARTIAL, 1);
        if (i == 3)
            kf_metrics_observe(m, 0, KF_HISTOGRAM_CALL, 4000, 100);
        /* Two lead for a moment. */
        kf_sampler_tick(a);
        kf_sampler_tick(b);
        set_clock(t + i * KF_HISTORY_STEP_US + KF_HISTORY_STEP_US / 2);
        kf_sampler_tick(b);
    }
    assert_int_equal(kf_history_read(m, 0, points, KF_HISTORY_POINTS), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(points[i].at_us, t + (i + 1) * KF_HISTORY_STEP_US);
        assert_int_equal(points[i].span_us, KF_HISTORY_STEP_US);
        assert_int_equal(points[i].value[KF_HISTORY_ACCEPTED], 11 + i);
        assert_int_equal(points[i].value[KF_HISTORY_DEAD], 2);
        assert_int_equal(points[i].value[KF_HISTORY_FAILED_CALLS], 3);
        assert_int_equal(points[i].value[KF_HISTORY_CALL_P50], i == 2 ? 3500 : -1);
        assert_int_equal(points[i].value[KF_HISTORY_DELIVERY_P99], -1);
    }
    assert_int_equal(kf_history_read(m, 1, points, KF_HISTORY_POINTS), 4);
    assert_int_equal(points[3].value[KF_HISTORY_ACCEPTED], 0);
    kf_sampler_free(a);
    kf_sampler_free(b);
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

/* Points that nobody took count into the next; the oldest go; a reload keeps all. */
static void test_history_goes_on(void **state)
{
    void *kept = NULL;
    kf_metrics_t *m = kf_metrics_open(&kept, two, 2, 1);
    kf_sampler_t *sampler = kf_sampler_create(m);
    int64_t t = 5000 * KF_SEC;
    uint32_t n;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        set_clock(t + i * KF_HISTORY_STEP_US);
        kf_metrics_add(m, 0, KF_COUNT_DELIVERED, 1);
        if (i == 500) {
            kf_sampler_free(sampler);
            kf_metrics_close(m);
            m = kf_metrics_open(&kept, two, 2, 1);
            sampler = kf_sampler_create(m);
        }
        if (i != 990 && i != 991)
            kf_sampler_tick(sampler);
    }
    n = kf_history_read(m, 0, points, KF_HISTORY_POINTS);
    assert_int_equal(n, KF_HISTORY_POINTS - 2);
    for (uint32_t i = 0; i < n; i++) {
        int64_t steps = i > 0 && points[i].at_us == t + 992 * KF_HISTORY_STEP_US ? 3 : 1;

        assert_int_equal(points[i].value[KF_HISTORY_DELIVERED], steps);
        assert_int_equal(points[i].span_us, steps * KF_HISTORY_STEP_US);
    }
    assert_int_equal(points[n - 1].at_us, t + 999 * KF_HISTORY_STEP_US);
    /* An hour later there is nothing of the last hour. */
    set_clock(t + 2000 * KF_HISTORY_STEP_US);
    assert_int_equal(kf_history_read(m, 0, points, KF_HISTORY_POINTS), 0);
    kf_sampler_free(sampler);
    kf_metrics_close(m);
    kf_metrics_discard(&kept);
}

#define T(test) cmocka_unit_test_teardown(test, reset_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_names),
        T(test_families),
        T(test_bounds_ascend),
        T(test_every_counter),
        T(test_killed_children),
        T(test_shared_place),
        T(test_reload),
        T(test_rows_grow),
        T(test_another_layout),
        T(test_gauges),
        T(test_gauges_of_a_reload),
        T(test_leaders_gauges),
        T(test_latest_error),
        T(test_error_while_written),
        T(test_buckets),
        T(test_quantiles),
        T(test_history),
        T(test_history_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
