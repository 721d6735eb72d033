/* SPDX-License-Identifier: Apache-2.0
 *
 * How a segment's two sources fill what is known of it in memory. Not for others; threads as there.
 */
#ifndef KF_SEGMENT_INT_H
#define KF_SEGMENT_INT_H

#include "delivery/kf_segment.h"

/** Makes room for one more frame, and records up to that number. @return false when there is none */
bool kf_segment_room(kf_segment_t *segment, uint64_t records);

/** The frame at offset begins with the next record that is added. */
void kf_segment_add_frame(kf_segment_t *segment, uint64_t offset, int64_t accepted_us);

/** Gives the next ordinal out. */
void kf_segment_add_record(kf_segment_t *segment, uint16_t connection, kf_state_t state,
                           uint64_t bytes);

#endif
