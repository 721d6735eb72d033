/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading SQLite's log of changes (index.db-wal) by its published format (version 3007000, since SQLite
 * 3.7.0; https://www.sqlite.org/fileformat2.html#walformat, November 2026): where its chain of checksums
 * ends, and whether anything that was committed lies behind. SQLite ends the log there, as after a crash,
 * and says nothing.
 *
 * What is told apart: who commits writes the frames of a transaction, the last of them marked, and syncs
 * them before anybody else writes. So a power cut leaves frames of one transaction behind the last sound
 * one, and nothing that was written after its mark. A frame that continues the checksum of a marked one,
 * but is not reached from the beginning, was written when that transaction was there: something before it
 * has been lost since. Remains of what was rolled back, of writers that were killed while they synced, or of
 * the log before it was begun anew (other salts) have none such.
 *
 * Not to be told: damage in the last transaction, or from somewhere to the end; and a log whose commits were not
 * synced (KinesisDurability process, memory) looks the same after a crash of the machine.
 *
 * Reads a file that nobody writes meanwhile, changes nothing, logs nothing; knows neither locks nor tables.
 * Any thread.
 */
#ifndef KF_INDEX_WAL_H
#define KF_INDEX_WAL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t kept;         /* frames up to the last sound commit: what SQLite takes */
    uint64_t lost;         /* frames of this log behind, */
    uint64_t lost_commits; /* of them those that are marked as commits */
    bool damaged;          /* something that was committed is lost */
} kf_wal_t;

/* The log's frames are pages; of SQLite's default size where the header can't tell. */
#define KF_WAL_PAGE_BYTES 4096

/**
 * Reads the log once, in pieces of 256 KiB.
 * @param[out] wal  all zero for what is no log: empty, cut within the header, of another version
 * @return 0, or the errno value of what kept it from being read
 */
int kf_wal_read(int fd, kf_wal_t *wal);

#endif
