/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child may hold in memory: records and bytes of all connections together, and of each no more
 * than what is then still free. So one by itself fills half at most, n that are busy a part of n + 1 each,
 * and another one always finds as much; what the others hold above that they give back as they deliver,
 * and reserve no more before. Counts everything between acceptance and the end: queued, pending, in
 * flight, waiting to be sent again. Atomics only, no lock: any thread.
 */
#ifndef KF_BOUNDS_H
#define KF_BOUNDS_H

#include <stdatomic.h>
#include <stdint.h>
#include "events/kf_record.h"

typedef struct {
    _Alignas(64) _Atomic uint64_t records;
    _Atomic uint64_t bytes;
} kf_gauge_t;

typedef struct {
    uint64_t records_max, bytes_max; /* of the child */
    int connection_count;
    kf_gauge_t all;
    kf_gauge_t *each; /* by connection; owned */
} kf_bounds_t;

/* An entry of a body beside key and data: its JSON, and the pointers that a call keeps. */
#define KF_ENTRY_OVERHEAD 64

/**
 * The bytes that a record is charged with: its block, and its encoded form at the time it is sent.
 */
static inline uint64_t kf_charge(const kf_record_t *r)
{
    return sizeof *r + 2 * (uint64_t)r->key_bytes + r->data_bytes +
           ((uint64_t)r->data_bytes + 2) / 3 * 4 + KF_ENTRY_OVERHEAD;
}

/** @return false when out of memory */
bool kf_bounds_init(kf_bounds_t *bounds, uint64_t records_max, uint64_t bytes_max, int connections);
void kf_bounds_free(kf_bounds_t *bounds);

/**
 * Reserves room for all records of a list, or none of it.
 * @param records  grouped by connection (one that appears twice is reserved for twice)
 * @return -1 when reserved; else the connection for which there was no room
 */
int kf_bounds_reserve(kf_bounds_t *bounds, const kf_record_list_t *records);

/** Whether a record of the connection may fit now; reserves nothing. */
bool kf_bounds_room(const kf_bounds_t *bounds, int connection);

/** What a connection may still reserve, at this moment. */
void kf_bounds_left(const kf_bounds_t *bounds, int connection, uint64_t *records, uint64_t *bytes);

/** Records that a connection holds. */
uint64_t kf_bounds_held(const kf_bounds_t *bounds, int connection);

/** Bytes that they are charged with. */
uint64_t kf_bounds_bytes(const kf_bounds_t *bounds, int connection);

/** Whether the connection and the child are well below their bounds again. */
bool kf_bounds_relaxed(const kf_bounds_t *bounds, int connection);

/** Gives back what records of one connection were charged with. */
void kf_bounds_release(kf_bounds_t *bounds, int connection, uint64_t records, uint64_t bytes);

/** Records held, of all connections. */
uint64_t kf_bounds_records(const kf_bounds_t *bounds);

#endif
