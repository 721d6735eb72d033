/* SPDX-License-Identifier: Apache-2.0
 *
 * How full the store is. A child's place is a robust mutex that it holds as long as it lives, and
 * counters; the kernel tells who tries the mutex afterwards that its holder died.
 */
#include "delivery/kf_usage.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Beyond a limit the journal may take what is moved up to one of so many parts of it. */
#define MOVED_PARTS 4

typedef struct {
    int64_t limit;
    int64_t journal; /* sum of all children's, and what was added since it was taken */
    int64_t index;
} share_t;

struct kf_usage_t {
    int64_t limit;
    int64_t files[KF_USAGE_PARTS];
    int connections, children;
    share_t of[];
    /* then children + 1 places; the last one is shared by whoever found none */
};

typedef struct {
    pthread_mutex_t alive;
    int64_t used[];
} place_t;

static size_t place_size(int connections)
{
    return sizeof(place_t) + (size_t)connections * sizeof(int64_t);
}

static place_t *place_at(const kf_usage_t *u, int i)
{
    char *first = (char *)(uintptr_t)(u->of + u->connections);
    return (place_t *)(void *)(first + (size_t)i * place_size(u->connections));
}

size_t kf_usage_size(int connections, int children)
{
    return sizeof(kf_usage_t) + (size_t)connections * sizeof(share_t) +
           ((size_t)children + 1) * place_size(connections);
}

kf_usage_t *kf_usage_init(void *memory, int connections, int children, int64_t limit,
                          const int64_t *share)
{
    kf_usage_t *u = memory;
    pthread_mutexattr_t robust;

    memset(memory, 0, kf_usage_size(connections, children));
    u->limit = limit;
    u->connections = connections;
    u->children = children;
    for (int i = 0; i < connections; i++) {
        u->of[i].limit = limit / 100 * share[i];
    }
    if (pthread_mutexattr_init(&robust) != 0) {
        return NULL;
    }
    int rc = pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    rc = rc ? rc : pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    for (int i = 0; i < children && rc == 0; i++) {
        rc = pthread_mutex_init(&place_at(u, i)->alive, &robust);
    }
    pthread_mutexattr_destroy(&robust);
    return rc == 0 ? u : NULL;
}

static int64_t load(const int64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store(int64_t *p, int64_t n)
{
    __atomic_store_n(p, n, __ATOMIC_RELAXED);
}

static void add(int64_t *p, int64_t n)
{
    __atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}

/* ---- places ---- */

/* Whether nobody alive holds the place; then it is the caller's. */
static bool take_place(kf_usage_t *u, place_t *place)
{
    int rc = pthread_mutex_trylock(&place->alive);

    if (rc == EOWNERDEAD) {
        for (int c = 0; c < u->connections; c++) {
            store(&place->used[c], 0);
        }
        pthread_mutex_consistent(&place->alive);
    }
    return rc == 0 || rc == EOWNERDEAD;
}

int kf_usage_join(kf_usage_t *u)
{
    for (int i = 0; i < u->children; i++) {
        if (take_place(u, place_at(u, i))) {
            return i;
        }
    }
    return u->children;
}

void kf_usage_leave(kf_usage_t *u, int i)
{
    place_t *place = place_at(u, i);

    if (i == u->children) {
        return;
    }
    for (int c = 0; c < u->connections; c++) {
        add(&u->of[c].journal, -load(&place->used[c]));
        store(&place->used[c], 0);
    }
    pthread_mutex_unlock(&place->alive);
}

void kf_usage_settle(kf_usage_t *u)
{
    for (int i = 0; i < u->children; i++) {
        place_t *place = place_at(u, i);
        if (take_place(u, place)) {
            pthread_mutex_unlock(&place->alive);
        }
    }
    for (int c = 0; c < u->connections; c++) {
        int64_t sum = 0;
        for (int i = 0; i <= u->children; i++) {
            sum += load(&place_at(u, i)->used[c]);
        }
        store(&u->of[c].journal, sum);
    }
}

/* ---- counts ---- */

static int64_t total(const kf_usage_t *u)
{
    int64_t sum = 0;

    for (int i = 0; i < KF_USAGE_PARTS; i++) {
        sum += load(&u->files[i]);
    }
    return sum;
}

static int64_t used(const kf_usage_t *u, int connection)
{
    return load(&u->of[connection].journal) + load(&u->of[connection].index);
}

static int64_t limit_of(const kf_usage_t *u, int connection)
{
    return connection < 0 ? u->limit : u->of[connection].limit;
}

bool kf_usage_fits(const kf_usage_t *u, int connection, uint64_t n)
{
    int64_t limit = limit_of(u, connection);
    int64_t now = connection < 0 ? total(u) : used(u, connection);

    return n <= (uint64_t)limit && now <= limit - (int64_t)n;
}

bool kf_usage_fits_moved(const kf_usage_t *u, int connection, uint64_t n)
{
    int64_t most = limit_of(u, connection) / MOVED_PARTS;
    int64_t journal =
        load(connection < 0 ? &u->files[KF_USAGE_JOURNAL] : &u->of[connection].journal);

    return kf_usage_fits(u, connection, n) || (n <= (uint64_t)most && journal <= most - (int64_t)n);
}

int64_t kf_usage_above(const kf_usage_t *u, int connection, int parts)
{
    int64_t limit = limit_of(u, connection);

    return (connection < 0 ? total(u) : used(u, connection)) - (limit - limit / parts);
}

void kf_usage_add_files(kf_usage_t *u, kf_usage_part_t part, int64_t n)
{
    add(&u->files[part], n);
}

void kf_usage_set_files(kf_usage_t *u, kf_usage_part_t part, uint64_t bytes)
{
    store(&u->files[part], (int64_t)bytes);
}

void kf_usage_add_records(kf_usage_t *u, int place, int connection, int64_t n)
{
    add(&place_at(u, place)->used[connection], n);
    add(&u->of[connection].journal, n);
}

void kf_usage_set_index(kf_usage_t *u, int connection, uint64_t bytes)
{
    store(&u->of[connection].index, (int64_t)bytes);
}

/* Between a sum and what is added meanwhile a count can be off for a moment, below zero even. */
static uint64_t not_below_zero(int64_t n)
{
    return n < 0 ? 0 : (uint64_t)n;
}

uint64_t kf_usage_total(const kf_usage_t *u)
{
    return not_below_zero(total(u));
}

uint64_t kf_usage_of(const kf_usage_t *u, int connection)
{
    return not_below_zero(used(u, connection));
}
