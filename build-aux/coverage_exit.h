/* SPDX-License-Identifier: Apache-2.0
 *
 * For builds that count what is reached (--enable-coverage), included before all else: _exit, which ends a
 * process without its handlers, notes the counts first as exit does.
 */
#ifndef KF_COVERAGE_EXIT_H
#define KF_COVERAGE_EXIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <gcov.h>
#include <unistd.h>

#define _exit(status) (__gcov_dump(), _exit(status))

#endif
