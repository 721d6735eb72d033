/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the journal share (journal_fixture.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/kf_clock.h"
#include "base/kf_log.h"

#define CHILDREN 16
#define ACCEPTED INT64_C(1700000000000000)

static const char *const names[FIXTURE_CONNECTIONS] = {"a", "b", "c"};
static const int64_t shares[FIXTURE_CONNECTIONS] = {100, 100, 100};

/* ---- log and clock ---- */

#define IDS 64
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char id[8];
    unsigned lines;
} logged[IDS];

static unsigned *lines_of(const char *id)
{
    int i = 0;

    while (i < IDS - 1 && logged[i].id[0] && strncmp(logged[i].id, id, 6) != 0) {
        i++;
    }
    memcpy(logged[i].id, id, 6);
    return &logged[i].lines;
}

static void sink(kf_level_t level, const char *line)
{
    (void)level;
    pthread_mutex_lock(&log_lock);
    ++*lines_of(line);
    pthread_mutex_unlock(&log_lock);
}

unsigned fixture_logged(const char *id)
{
    pthread_mutex_lock(&log_lock);
    unsigned *lines = lines_of(id);
    unsigned n = *lines;
    *lines = 0;
    pthread_mutex_unlock(&log_lock);
    return n;
}

static int64_t clock_us = KF_SEC;

static int64_t mono_us(void)
{
    return __atomic_load_n(&clock_us, __ATOMIC_RELAXED);
}

void fixture_pass(int64_t us)
{
    __atomic_fetch_add(&clock_us, us, __ATOMIC_RELAXED);
}

/* ---- journals ---- */

void fixture_make(fixture_t *f)
{
    static const kf_clock_source_t source = {.mono_us = mono_us};
    size_t bytes = kf_usage_size(FIXTURE_CONNECTIONS, CHILDREN);

    memset(f, 0, sizeof(*f));
    kf_log_set_sink(sink);
    memset(logged, 0, sizeof(logged));
    kf_clock_set_source(&source);
    fault_clear();
    fault_folder_make(f->folder);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    f->usage = kf_usage_init(memory, FIXTURE_CONNECTIONS, CHILDREN, FIXTURE_LIMIT, shares);
    assert_non_null(f->usage);
    f->config = (kf_journal_config_t){.directory = f->folder,
                                      .durability = KF_DURABILITY_PROCESS,
                                      .segment_bytes = 64 * 1024,
                                      .connections = names,
                                      .connection_count = FIXTURE_CONNECTIONS,
                                      .usage = f->usage};
}

void fixture_remove(fixture_t *f)
{
    munmap(f->usage, kf_usage_size(FIXTURE_CONNECTIONS, CHILDREN));
    fault_folder_remove(f->folder);
    kf_log_set_sink(NULL);
    kf_clock_set_source(NULL);
}

kf_journal_t *fixture_open(const fixture_t *f)
{
    const char *error = NULL;
    kf_journal_t *j = kf_journal_open(&f->config, &error);

    assert_null(error);
    assert_non_null(j);
    return j;
}

/* ---- records ---- */

static char byte_at(uint64_t number, uint32_t i)
{
    return (char)('a' + (number * 7 + i * 31 + (uint64_t)i * i) % 26);
}

kf_record_t *fixture_record(uint16_t connection, uint64_t number, uint32_t bytes)
{
    uint16_t key_bytes = (uint16_t)(number % 20);
    kf_record_t *r = kf_record_new(connection, key_bytes, bytes + 8);

    assert_non_null(r);
    memcpy(r->bytes + key_bytes, &number, 8);
    for (uint32_t i = 0; i < key_bytes; i++) {
        r->bytes[i] = byte_at(number, i);
    }
    for (uint32_t i = 0; i < bytes; i++) {
        r->bytes[key_bytes + 8 + i] = byte_at(number, i);
    }
    r->accepted_us = ACCEPTED + (int64_t)number * KF_SEC;
    r->held_us = (int64_t)number * 3;
    r->attempts = (uint32_t)number % 11;
    r->events = (uint16_t)(number % 500);
    r->kind = number % 2;
    r->too_large = number % 3 == 0;
    return r;
}

uint64_t fixture_number(const kf_record_t *r)
{
    uint64_t number;

    assert_true(r->data_bytes >= 8);
    memcpy(&number, kf_record_data(r).p, 8);
    kf_record_t *made = fixture_record(r->connection, number, r->data_bytes - 8);
    bool same = made->key_bytes == r->key_bytes && made->accepted_us == r->accepted_us &&
                made->held_us == r->held_us && made->attempts == r->attempts &&
                made->events == r->events && made->kind == r->kind &&
                made->too_large == r->too_large &&
                memcmp(made->bytes, r->bytes, (size_t)r->key_bytes + r->data_bytes) == 0;
    kf_record_free(made);
    assert_true(same);
    return number;
}

uint64_t fixture_append(kf_journal_t *j, uint16_t connection, uint64_t number, uint32_t bytes)
{
    kf_record_list_t list = {0};

    kf_record_list_add(&list, fixture_record(connection, number, bytes));
    uint64_t mark = kf_journal_append(j, &list) == KF_JOURNAL_OK ? list.first->mark : 0;
    kf_record_list_clear(&list);
    return mark;
}

void fixture_leave(kf_journal_t *j, uint16_t connection, uint64_t number, uint32_t bytes)
{
    kf_record_list_t list = {0};

    kf_record_list_add(&list, fixture_record(connection, number, bytes));
    assert_int_equal(kf_journal_append(j, &list), KF_JOURNAL_OK);
    kf_journal_release(j, list.first);
    kf_record_list_clear(&list);
}

void fixture_done(kf_journal_t *j, kf_record_list_t *list)
{
    const kf_record_t **records = calloc(list->count + 1, sizeof(*records));
    uint32_t n = 0;

    assert_non_null(records);
    for (const kf_record_t *r = list->first; r; r = r->next) {
        records[n++] = r;
    }
    kf_journal_done(j, records, n);
    free(records);
    kf_record_list_clear(list);
}
