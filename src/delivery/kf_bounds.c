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

static bool raise_gauge(kf_gauge_t *gauge, uint64_t records, uint64_t bytes, uint64_t records_max,
                        uint64_t bytes_max)
{
    if (!raise_word(&gauge->records, records, records_max))
        return false;
    if (!raise_word(&gauge->bytes, bytes, bytes_max)) {
        lower_word(&gauge->records, records);
        return false;
    }
    return true;
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
        if (!raise_gauge(&bounds->each[run->connection], records, bytes, bounds->records_max / 2,
                         bounds->bytes_max / 2))
            break;
        if (!raise_gauge(&bounds->all, records, bytes, bounds->records_max, bounds->bytes_max)) {
            lower_gauge(&bounds->each[run->connection], records, bytes);
            break;
        }
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

/* Whether parts/8 of the bounds leave room. */
static bool below(const kf_bounds_t *bounds, int connection, uint64_t parts)
{
    const kf_gauge_t *own = &bounds->each[connection];

    return load(&own->records) < bounds->records_max / 2 * parts / 8 &&
           load(&own->bytes) < bounds->bytes_max / 2 * parts / 8 &&
           load(&bounds->all.records) < bounds->records_max * parts / 8 &&
           load(&bounds->all.bytes) < bounds->bytes_max * parts / 8;
}

bool kf_bounds_room(const kf_bounds_t *bounds, int connection)
{
    return below(bounds, connection, 8);
}

static uint64_t left_of(uint64_t max, const _Atomic uint64_t *word)
{
    uint64_t now = load(word);

    return now < max ? max - now : 0;
}

static uint64_t smaller_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void kf_bounds_left(const kf_bounds_t *bounds, int connection, uint64_t *records, uint64_t *bytes)
{
    const kf_gauge_t *own = &bounds->each[connection];

    *records = smaller_of(left_of(bounds->records_max / 2, &own->records),
                          left_of(bounds->records_max, &bounds->all.records));
    *bytes = smaller_of(left_of(bounds->bytes_max / 2, &own->bytes),
                        left_of(bounds->bytes_max, &bounds->all.bytes));
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
