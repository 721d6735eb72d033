/* SPDX-License-Identifier: Apache-2.0
 *
 * What filing asks of an upload, noted while the upload is parsed anyhow, at its acceptance, so that it
 * need not be parsed again. Only of uploads that go into one window as they are. A note stays in the
 * memory of the process that made it. Knows no windows. Pure; any thread.
 */
#ifndef KF_WINDOW_NOTE_H
#define KF_WINDOW_NOTE_H

#include "events/kf_window_plan.h"

typedef struct {
    kf_window_kind_t kind;
    kf_window_part_t
        part;            /* not at_once; key, sessions and the number of events: which ones, and the
                              session by itself, it does not say */
    kf_str_t device;     /* kf_window_part_device */
    kf_str_t request_id; /* source_request_id; n == 0: none that says something */
    kf_str_t event_ids;  /* of all events, as they are noted */
} kf_window_note_t;

/**
 * Notes an upload.
 * @param[out] note  appended to; nothing, if the upload is to be parsed again. What doesn't fit into it
 *                   makes it fail: there is no note then
 */
void kf_window_note_put(const kf_item_t *batch, kf_window_kind_t kind, kf_buf_t *note);

/** Whether there is a note, and of windows of this kind. */
bool kf_window_note_is(kf_str_t note, kf_window_kind_t kind);

/** Reads a note. @param[out] out  valid as long as the note */
void kf_window_note_read(kf_str_t note, kf_window_note_t *out);

/** The source_message_id of each event. @param[out] ids  out->part.event_count; n == 0: none */
void kf_window_note_ids(const kf_window_note_t *out, kf_str_t *ids);

#endif
