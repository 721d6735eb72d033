/* SPDX-License-Identifier: Apache-2.0
 *
 * File operations for tests of the store: they fail on demand, and are recorded, so that the disk can be
 * made as a power cut could have left it at any moment of a recorded run. Nothing is really synced.
 * Knows nothing of what is written. Any thread, but for starting and ending a record.
 */
#ifndef FAULT_FILES_H
#define FAULT_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include "delivery/kf_file.h"

typedef enum {
    FAULT_CREATE,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_SYNC_FOLDER,
    FAULT_RENAME,
    FAULT_REMOVE,
    FAULT_OPS
} fault_op_t;

extern const kf_file_ops_t fault_files;

/**
 * After `skip` more calls, `count` calls of an operation fail (a write: when half of it is written).
 * One order an operation; count 0 takes it back.
 */
void fault_fail(fault_op_t op, unsigned skip, unsigned count, int error);
/** Takes all orders back. */
void fault_clear(void);
/** Calls of an operation so far. */
unsigned fault_calls(fault_op_t op);

/** Begins a record; the folder that is written to is empty. */
void fault_record_start(void);
/** Ends it: nothing more is recorded. */
void fault_record_stop(void);
/** The moment: begins and ends of operations, and calls of this, have one each, counted from 1. */
uint64_t fault_now(void);
/**
 * Fills an empty folder with what a power cut at a moment can leave: what was synced before, and of what
 * was written after that a part chosen by the seed.
 */
void fault_power_cut(int folder, uint64_t moment, uint64_t seed);
/** Forgets the record. */
void fault_record_free(void);

/** Makes a folder for a test, its path into path (of at least 256 bytes). */
void fault_folder_make(char *path);
/** Removes a folder and the files in it. */
void fault_folder_remove(const char *path);
/** Files in it whose names end so. */
unsigned fault_folder_count(const char *path, const char *suffix);
/** Bytes of all files in it. */
uint64_t fault_folder_bytes(const char *path);

#endif
