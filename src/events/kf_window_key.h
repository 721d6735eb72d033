/* SPDX-License-Identifier: Apache-2.0
 *
 * How parts of a key are put together: each with its length before it, so that no two lists of
 * parts give the same bytes, and long ones as a hash, so that keys are bounded. (Two long parts
 * with one hash would share a window; whoever could make them could as well send the same part.)
 * Knows no batches. Pure; any thread.
 */
#ifndef KF_WINDOW_KEY_H
#define KF_WINDOW_KEY_H

#include "base/kf_str.h"

/* Bytes that a part takes besides its own; cap is at most 9999 and at least 40. */
#define KF_WINDOW_KEY_PART_EXTRA 5

/**
 * Writes a part of a key.
 * @param to   room for cap + KF_WINDOW_KEY_PART_EXTRA bytes
 * @param cap  a part of more bytes is written as its hash and length
 * @return the bytes written
 */
size_t kf_window_key_part(char *to, kf_str_t part, size_t cap);

#endif
