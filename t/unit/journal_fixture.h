/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the journal share: a folder, usage memory that forked children share, journals over
 * them, and records that know who they are. Any thread, but for making and removing.
 */
#ifndef JOURNAL_FIXTURE_H
#define JOURNAL_FIXTURE_H

#include "delivery/kf_journal.h"
#include "fault_files.h"

#define FIXTURE_CONNECTIONS 3
#define FIXTURE_LIMIT (INT64_C(1) << 30)

typedef struct {
    char folder[256];
    kf_usage_t *usage;
    kf_journal_config_t config;
} fixture_t;

/** Three connections "a", "b", "c", durability process, segments of 64 KiB, real files. */
void fixture_make(fixture_t *fixture);
void fixture_remove(fixture_t *fixture);

kf_journal_t *fixture_open(const fixture_t *fixture);

/** A record whose bytes follow from its number and size. */
kf_record_t *fixture_record(uint16_t connection, uint64_t number, uint32_t bytes);
/** Its number; fails the test where anything of it is not as it was made. */
uint64_t fixture_number(const kf_record_t *record);

/** Appends one record, frees it. @return its mark, 0 where it was not taken */
uint64_t fixture_append(kf_journal_t *journal, uint16_t connection, uint64_t number,
                        uint32_t bytes);
/** The same, and releases it: it waits. */
void fixture_leave(kf_journal_t *journal, uint16_t connection, uint64_t number, uint32_t bytes);

/** Notes all records of a list as done and frees them. */
void fixture_done(kf_journal_t *journal, kf_record_list_t *list);

/** Log lines of a message since the last call of this for it. */
unsigned fixture_logged(const char *id);

/** Steps the monotonic clock, which otherwise stands. */
void fixture_pass(int64_t us);

#endif
