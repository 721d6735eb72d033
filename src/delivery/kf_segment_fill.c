/* SPDX-License-Identifier: Apache-2.0
 *
 * Zeros ahead of what a segment will hold (kf_segment.h: fill). The keeper's thread.
 *
 * Frames that go over bytes which are on the disk already change nothing of the file but its bytes: their
 * sync need not wait for the file system's own journal. Measured on ext4 (2026-11): half of the CPU of a
 * sync, and a third of its time. Room that is only reserved (fallocate) gains nothing, its first write is
 * noted in the file system's journal too.
 */
#include "base/kf_clock.h"
#include "delivery/kf_segment.h"

#include <stdlib.h>

/* Little at a time, as whoever syncs meanwhile may wait for it. */
#define STEP_BYTES ((size_t)1024 * 1024)

int kf_segment_fill(kf_segment_t *s, const kf_file_ops_t *files, uint64_t until, int64_t most_us)
{
    int64_t end_us = kf_mono_us() + most_us;
    char *zeros = calloc(1, STEP_BYTES);
    uint64_t at = s->size;
    int rc = 0;

    while (zeros && rc == 0 && at < until && kf_mono_us() < end_us) {
        size_t n = until - at < STEP_BYTES ? (size_t)(until - at) : STEP_BYTES;

        rc = files->write_at(s->fd, zeros, n, at);
        /* Frames will find that out, if it is so still. */
        if (kf_file_is_full(rc)) {
            rc = 0;
            break;
        }
        /* What fails here fails whatever it says: the head may be gone with it. */
        if (rc == 0)
            rc = files->sync_data(s->fd);
        if (rc == 0)
            s->filled = at += n;
    }
    free(zeros);
    return rc;
}
