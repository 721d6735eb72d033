/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the store can be written at this moment, found out by writing: a file without a name that is gone at
 * once. What the journal last met says nothing of now where nobody posts any more. Any thread.
 */
#ifndef KF_PROBE_H
#define KF_PROBE_H

/**
 * @param directory  the store
 * @return 0, or the errno value of what failed
 * @blocks for system calls of the file system, without a sync
 */
int kf_probe_store(const char *directory);

#endif
