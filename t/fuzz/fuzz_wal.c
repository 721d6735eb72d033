/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading SQLite's log of changes when its bytes are anything. Input: the log.
 */
#include <unistd.h>
#include "delivery/kf_index_wal.h"
#include "fuzz_check.h"

static FILE *file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    file = tmpfile();
    CHECK(file);
    return 0;
}

static kf_wal_t read_part(const uint8_t *data, size_t size)
{
    kf_wal_t wal;

    CHECK(ftruncate(fileno(file), 0) == 0);
    CHECK(pwrite(fileno(file), data, size, 0) == (ssize_t)size);
    CHECK(kf_wal_read(fileno(file), &wal) == 0);
    return wal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kf_wal_t wal = read_part(data, size), half = read_part(data, size / 2);

    /* Frames are at least 536 bytes long, after a header of 32. */
    CHECK((wal.kept + wal.lost) * 536 + 32 <= size || wal.kept + wal.lost == 0);
    CHECK(wal.lost_commits <= wal.lost);
    CHECK(!wal.damaged || wal.lost_commits > 0);
    /* A log that is cut keeps no more than it did. */
    CHECK(half.kept <= wal.kept);
    return 0;
}
