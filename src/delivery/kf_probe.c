/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing to the store for the try's sake (kf_probe.h).
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "delivery/kf_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include "delivery/kf_file.h"
#include "delivery/kf_store.h"

/* A block. */
#define PROBE_BYTES 4096

int kf_probe_store(const char *directory)
{
    static const char block[PROBE_BYTES];
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/" KF_STORE_JOURNAL, directory);
    int fd, failed;

    if (n < 0 || (size_t)n >= sizeof path)
        return ENAMETOOLONG;
    fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    /* File systems that know no such files can't be tried so. */
    if (fd < 0)
        return errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ? 0 : errno;
    failed = kf_file_system.write_at(fd, block, sizeof block, 0);
    close(fd);
    return failed;
}
