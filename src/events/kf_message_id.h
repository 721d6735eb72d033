/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids that follow from another one, so that what is made twice from the same (after a crash) is made
 * under the same ids. Knows neither records nor windows. Pure; any thread.
 */
#ifndef KF_MESSAGE_ID_H
#define KF_MESSAGE_ID_H

#include <stdint.h>
#include "base/kf_str.h"

#define KF_MESSAGE_ID_BYTES 36

/**
 * Writes the UUID that an id and a number give, in the form of a UUIDv4. Ids of one base differ by their
 * numbers, and an id derived from a derived one differs from both.
 * @param base  a UUID; of another text its hexadecimal digits count
 * @param out   36 characters, no terminator
 */
void kf_message_id_derive(kf_str_t base, uint32_t number, char out[KF_MESSAGE_ID_BYTES]);

#endif
