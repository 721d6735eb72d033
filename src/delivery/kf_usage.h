/* SPDX-License-Identifier: Apache-2.0
 *
 * How full the store is: bytes on disk of the whole server and of each connection, in memory that its
 * children share (made before they are forked). Decides whether more fits under KinesisStoreLimit and
 * KinesisStoreShare.
 *
 * Children count what they do; what can't be counted so that a death at any point leaves it right is
 * measured again and again: bytes of files by whoever looks at the folder, bytes of records by
 * forgetting what a dead child had counted (who takes over its records counts them anew). Atomics; any
 * thread, any child, but join and leave: the same thread of the child, which must live as long.
 */
#ifndef KF_USAGE_H
#define KF_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kf_usage_t kf_usage_t;

/** The parts of the store; each is measured by itself. */
typedef enum { KF_USAGE_JOURNAL, KF_USAGE_INDEX, KF_USAGE_PARTS } kf_usage_part_t;

/** @param children  most that live at once, those that end included; beyond it counts may drift */
size_t kf_usage_size(int connections, int children);

/**
 * @param limit   KinesisStoreLimit, bytes
 * @param share   percent of it that one connection may fill, by index
 * @return NULL where the system has no locks for it
 */
kf_usage_t *kf_usage_init(void *memory, int connections, int children, int64_t limit,
                          const int64_t *share);

/** A place for the counts of this child. */
int kf_usage_join(kf_usage_t *usage);
/** What it counted is forgotten: its records are nobody's until somebody takes them over. */
void kf_usage_leave(kf_usage_t *usage, int place);

/** Whether n more bytes fit now, for connection -1 at all, else into that one's share; takes nothing. */
bool kf_usage_fits(const kf_usage_t *usage, int connection, uint64_t n);
/** The same for records made of what the index holds, which are to take its place in the journal: they
 * fit as well where the journal has no more than a quarter of the limit, however large the index is. Else
 * a store that is full of windows could never close them. */
bool kf_usage_fits_moved(const kf_usage_t *usage, int connection, uint64_t n);

/** By how many bytes the store, or a connection (-1: the store), is above its limit less one of so many
 * parts of it; negative: below. */
int64_t kf_usage_above(const kf_usage_t *usage, int connection, int parts);

/** Counts n more (negative: fewer) bytes of files. */
void kf_usage_add_files(kf_usage_t *usage, kf_usage_part_t part, int64_t n);
/** Sets the bytes of files to what was measured. */
void kf_usage_set_files(kf_usage_t *usage, kf_usage_part_t part, uint64_t bytes);

/** Counts n more (negative: fewer) bytes of a connection's records in the journal. */
void kf_usage_add_records(kf_usage_t *usage, int place, int connection, int64_t n);
/** Sets the bytes that a connection has in the index to what was measured. */
void kf_usage_set_index(kf_usage_t *usage, int connection, uint64_t bytes);

/** Forgets what dead children counted, adds up anew what the living did. The leader's, at each tick. */
void kf_usage_settle(kf_usage_t *usage);

uint64_t kf_usage_total(const kf_usage_t *usage);
uint64_t kf_usage_of(const kf_usage_t *usage, int connection);

#endif
