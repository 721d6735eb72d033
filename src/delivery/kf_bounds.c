/* SPDX-License-Identifier: Apache-2.0
 *
 * Reservations of kf_bounds.h. Must not know queue or workers. Any thread. A word is only raised when
 * the sum stays within its bound, so that a request which does not fit never shuts out one that does,
 * but for the moment in which a part of it is reserved and given back.
 */
#include "delivery/kf_bounds.h"

#include <stdlib.h>

bool kf_bounds_init(kf_bounds_t *bounds, uint64_t records_max, uint64_t bytes_max, int connections)
{
    size_t n = (size_t)(connections > 0 ? connections : 1);

    *bounds = (kf_bounds_t){
        .records_max = records_max, .bytes_max = bytes_max, .connection_count = connections};
    bounds->each = aligned_alloc(_Alignof(kf_gauge_t), n * sizeof *bounds->each);
    if (!bounds->each)
        return false;
    for (size_t i = 0; i < n; i++) {
        atomic_init(&bounds->each[i].records, 0);
        atomic_init(&bounds->each[i].bytes, 0);
    }
    return true;
}

void kf_bounds_free(kf_bounds_t *bounds)
{
    free(bounds->each);
    bounds->each = NULL;
}

static bool raise_word(_Atomic uint64_t *word, uint64_t n, uint64_t max)
{
    uint64_t now = atomic_load_explicit(word, memory_order_relaxed);

    do {
        if (n > max || now > max - n)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(word, &now, now + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void lower_word(_Atomic uint64_t *word, uint64_t n)
{
    atomic_fetch_sub_explicit(word, n, memory_order_relaxed);
}

/* A connection's word and that of all. What it holds then is no more than what is free then. */
static bool raise_both(_Atomic uint64_t *own, _Atomic uint64_t *all, uint64_t n, uint64_t max)
{
    uint64_t now;

    if (!raise_word(own, n, max / 2))
        return false;
    now = atomic_load_explicit(own, memory_order_relaxed);
    if (now <= max && raise_word(all, n, max - now))
        return true;
    lower_word(own, n);
    return false;
}

static bool reserve(kf_bounds_t *bounds, int connection, uint64_t records, uint64_t bytes)
{
    kf_gauge_t *own = &bounds->each[connection], *all = &bounds->all;

    if (!raise_both(&own->records, &all->records, records, bounds->records_max))
        return false;
    if (raise_both(&own->bytes, &all->bytes, bytes, bounds->bytes_max))
        return true;
    lower_word(&own->records, records);
    lower_word(&all->records, records);
    return false;
}

static void lower_gauge(kf_gauge_t *gauge, uint64_t records, uint64_t bytes)
{
    lower_word(&gauge->records, records);
    lower_word(&gauge->bytes, bytes);
}

/* The records from `first` on that belong to its connection; returns the first of another. */
static const kf_record_t *run_of(const kf_record_t *first, uint64_t *records, uint64_t *bytes)
{
    const kf_record_t *r = first;

    *records = *bytes = 0;
    for (; r && r->connection == first->connection; r = r->next) {
        *records += 1;
        *bytes += kf_charge(r);
    }
    return r;
}

int kf_bounds_reserve(kf_bounds_t *bounds, const kf_record_list_t *list)
{
    const kf_record_t *run, *next;
    uint64_t records, bytes;

    for (run = list->first; run; run = next) {
        next = run_of(run, &records, &bytes);
        if (!reserve(bounds, run->connection, records, bytes))
            break;
    }
    if (!run)
        return -1;
    for (const kf_record_t *undo = list->first; undo != run; undo = next) {
        next = run_of(undo, &records, &bytes);
        kf_bounds_release(bounds, undo->connection, records, bytes);
    }
    return run->connection;
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Whether more of a connection's would fit in parts/8 of the bounds. */
static bool below(const kf_bounds_t *bounds, int connection, uint64_t parts)
{
    const kf_gauge_t *own = &bounds->each[connection];

    return load(&own->records) + load(&bounds->all.records) + 1 < bounds->records_max * parts / 8 &&
           load(&own->bytes) + load(&bounds->all.bytes) + 1 < bounds->bytes_max * parts / 8;
}

bool kf_bounds_room(const kf_bounds_t *bounds, int connection)
{
    return below(bounds, connection, 8);
}

/* What is reserved counts twice: as the connection's, and as not free any more. */
static uint64_t left_of(const _Atomic uint64_t *own, const _Atomic uint64_t *all, uint64_t max)
{
    uint64_t now = load(own) + load(all);

    return now < max ? (max - now) / 2 : 0;
}

void kf_bounds_left(const kf_bounds_t *bounds, int connection, uint64_t *records, uint64_t *bytes)
{
    const kf_gauge_t *own = &bounds->each[connection];

    *records = left_of(&own->records, &bounds->all.records, bounds->records_max);
    *bytes = left_of(&own->bytes, &bounds->all.bytes, bounds->bytes_max);
}

uint64_t kf_bounds_held(const kf_bounds_t *bounds, int connection)
{
    return load(&bounds->each[connection].records);
}

uint64_t kf_bounds_bytes(const kf_bounds_t *bounds, int connection)
{
    return load(&bounds->each[connection].bytes);
}

bool kf_bounds_relaxed(const kf_bounds_t *bounds, int connection)
{
    return below(bounds, connection, 6);
}

void kf_bounds_release(kf_bounds_t *bounds, int connection, uint64_t records, uint64_t bytes)
{
    lower_gauge(&bounds->each[connection], records, bytes);
    lower_gauge(&bounds->all, records, bytes);
}

uint64_t kf_bounds_records(const kf_bounds_t *bounds)
{
    return load(&bounds->all.records);
}
