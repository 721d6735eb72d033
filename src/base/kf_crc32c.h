/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli), the checksum of what the store writes; by the processor's instruction where it
 * has one. Pure; any thread.
 */
#ifndef KF_CRC32C_H
#define KF_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/**
 * @param crc  0, or the result for the bytes before, to go on
 * @return the checksum of all bytes so far
 */
uint32_t kf_crc32c(uint32_t crc, const void *bytes, size_t n);

/** The same without the instruction; tests compare the two. */
uint32_t kf_crc32c_portable(uint32_t crc, const void *bytes, size_t n);

#endif
