/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes one batch as a connection wants it: members removed, events kept by type, identities in
 * their outbound form, envelope members added. Knows no record and no limit. Any thread.
 */
#ifndef KF_ENVELOPE_H
#define KF_ENVELOPE_H

#include "events/kf_plan.h"

/* Places in what was written. */
typedef struct {
    size_t hole, hole_end; /* between the brackets of events; 0: no events array */
    size_t id_at;          /* the 36 characters of a fresh message_id; 0: none was written */
} kf_marks_t;

/** Whether the filter has nothing to do with any member of the batch: writing it would copy it. */
bool kf_envelope_as_it_came(const kf_filter_t *filter, const kf_item_t *item, bool all_kept);

/**
 * Writes the batch with its kept events.
 * @param message_id  the one to write where one is to be added; n == 0: a random one
 * @param all_kept    no event is dropped by its type
 */
void kf_envelope_whole(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                       kf_str_t message_id, bool all_kept, kf_writer_t *w, kf_marks_t *marks);

/** Writes the batch with empty events and, in outbound form, a fresh message_id to be overwritten. */
void kf_envelope_empty(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                       kf_writer_t *w, kf_marks_t *marks);

/** Writes one event, less what is left out of it. */
void kf_envelope_event(const kf_filter_t *filter, kf_writer_t *w, uint32_t event);

/** Writes an audience message, less excluded identities and credentials. */
void kf_envelope_audience(const kf_filter_t *filter, const kf_item_t *item, kf_writer_t *w);

#endif
