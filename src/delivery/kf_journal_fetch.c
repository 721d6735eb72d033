/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading back what waits in the journal. Locks: kf_journal_int.h.
 */
#include "delivery/kf_journal_int.h"

#include "base/kf_log.h"

#include <stdlib.h>

#define READ_BYTES (256u * 1024)
#define WINDOW_KEPT_BYTES (4u * 1024 * 1024)

typedef struct {
    kf_journal_t *j;
    uint16_t connection;
    uint32_t records_left;
    uint64_t bytes_left;
    kf_record_list_t *out;
    kf_segment_t *s;
    uint64_t window_at; /* what of the segment the journal's window holds */
    size_t window_n;
    bool stop;
} fetch_t;

typedef enum { FRAME_READ, FRAME_NO_MEMORY, FRAME_UNREADABLE } read_t;

/* The frame's bytes, read with what follows it. fetch_lock held. */
static read_t read_frame(fetch_t *f, uint64_t at, uint64_t bytes, kf_str_t *text)
{
    kf_journal_t *j = f->j;

    if (at < f->window_at || at + bytes > f->window_at + f->window_n) {
        size_t want = bytes > READ_BYTES ? (size_t)bytes : READ_BYTES;
        if (want > j->window_cap) {
            char *p = realloc(j->window, want);
            if (!p) {
                return FRAME_NO_MEMORY;
            }
            j->window = p;
            j->window_cap = want;
        }
        ssize_t n = kf_file_read_at(f->s->fd, j->window, want, at);
        if (n < 0) {
            /* What follows may be to blame. */
            n = kf_file_read_at(f->s->fd, j->window, (size_t)bytes, at);
        }
        f->window_at = at;
        f->window_n = n < 0 ? 0 : (size_t)n;
        if (n < 0) {
            return FRAME_UNREADABLE;
        }
    }
    size_t have = (size_t)(f->window_at + f->window_n - at);
    *text = (kf_str_t){j->window + (at - f->window_at), have < bytes ? have : (size_t)bytes};
    return FRAME_READ;
}

kf_record_t *kf_journal_record(const kf_frame_record_t *r, uint16_t connection)
{
    kf_str_t key = {r->bytes, r->key_bytes}, data = {r->bytes + r->key_bytes, r->data_bytes};
    kf_record_t *record = kf_record_create(connection, key, data);

    if (record) {
        record->accepted_us = r->accepted_us;
        record->held_us = r->held_us;
        record->attempts = r->attempts;
        record->events = r->events;
        record->kind = r->kind;
        record->too_large = r->too_large;
    }
    return record;
}

/* Takes what waits in one sound frame. Lock held: states change with what is handed out. */
static void take_waiting(fetch_t *f, kf_str_t text, const kf_frame_t *frame)
{
    uint32_t at = kf_frame_first();

    for (uint32_t i = 0; i < frame->count && !f->stop; i++) {
        kf_frame_record_t r;
        uint32_t ordinal = frame->first + i;
        at = kf_frame_next(text.p, at, &r);
        if (kf_segment_connection(f->s, ordinal) != f->connection ||
            kf_segment_state(f->s, ordinal) != KF_STATE_WAITING) {
            continue;
        }
        uint64_t bytes = (uint64_t)r.key_bytes + r.data_bytes;
        bool fits = f->out->count == 0 || bytes <= f->bytes_left;
        kf_record_t *record = fits ? kf_journal_record(&r, f->connection) : NULL;
        if (!record) {
            f->stop = true;
            break;
        }
        record->mark = kf_mark_make(f->s, ordinal);
        kf_journal_set(f->j, f->s, ordinal, KF_STATE_MEMORY, bytes);
        kf_record_list_add(f->out, record);
        f->records_left--;
        f->bytes_left -= bytes < f->bytes_left ? bytes : f->bytes_left;
        f->stop = f->records_left == 0;
    }
}

/* What waits in a frame that was sound when it was written, and is not any more. Lock held. */
static uint32_t give_up_frame(fetch_t *f, uint32_t i, kf_state_t state)
{
    uint32_t given_up = 0, end = kf_segment_frame_end(f->s, i);

    for (uint32_t o = f->s->frame[i].first; o < end; o++) {
        if (kf_segment_state(f->s, o) == KF_STATE_WAITING) {
            kf_journal_set(f->j, f->s, o, state, 0);
            given_up++;
        }
    }
    return given_up;
}

/* The disk may give it to another start. */
static void leave_unreadable(fetch_t *f, uint32_t i)
{
    uint32_t n = give_up_frame(f, i, KF_STATE_UNREADABLE);

    kf_log(KF0608, "%s/%s.seg at byte %llu: %u records", f->j->config.directory, f->s->name,
           (unsigned long long)kf_segment_frame_at(f->s, i), n);
}

static void give_up_damaged(fetch_t *f, uint32_t i)
{
    uint32_t n = give_up_frame(f, i, KF_STATE_DONE);

    f->s->damaged = true;
    kf_log(KF0603, "%s/%s.seg at byte %llu: %u records", f->j->config.directory, f->s->name,
           (unsigned long long)kf_segment_frame_at(f->s, i), n);
}

/* Whether the bytes at an offset are the frame that is expected there. */
static read_t read_sound(fetch_t *f, uint64_t at, uint64_t bytes, uint32_t first, kf_str_t *text,
                         kf_frame_t *frame, bool *sound)
{
    read_t rc = read_frame(f, at, bytes, text);

    *sound = rc == FRAME_READ && kf_frame_read(*text, f->s->id, frame) == KF_FRAME_OK &&
             frame->first == first;
    return rc;
}

/* The frame at the connection's cursor. Lock held, given up while reading. */
static void fetch_frame(fetch_t *f)
{
    kf_journal_t *j = f->j;
    uint32_t i = f->s->share[f->connection].cursor;
    uint32_t first = f->s->frame[i].first;
    uint64_t at = kf_segment_frame_at(f->s, i), bytes = kf_segment_frame_bytes(f->s, i);
    kf_str_t text = {NULL, 0};
    kf_frame_t frame;
    bool sound;

    pthread_mutex_unlock(&j->lock);
    read_t rc = read_sound(f, at, bytes, first, &text, &frame, &sound);
    if (rc == FRAME_READ && !sound && f->window_at != at) {
        /* Perhaps it was written after the window had been read. */
        f->window_n = 0;
        rc = read_sound(f, at, bytes, first, &text, &frame, &sound);
    }
    pthread_mutex_lock(&j->lock);
    if (f->s->compacting || rc == FRAME_NO_MEMORY) {
        f->stop = rc == FRAME_NO_MEMORY;
    } else if (rc == FRAME_UNREADABLE) {
        leave_unreadable(f, i);
    } else if (sound && first + frame.count <= kf_segment_frame_end(f->s, i)) {
        take_waiting(f, text, &frame);
    } else {
        give_up_damaged(f, i);
    }
}

static void give_back_window(kf_journal_t *j)
{
    if (j->window_cap > WINDOW_KEPT_BYTES) {
        free(j->window);
        j->window = NULL;
        j->window_cap = 0;
    }
}

uint32_t kf_journal_fetch(kf_journal_t *j, uint16_t connection, uint32_t max_records,
                          uint64_t max_bytes, kf_record_list_t *out)
{
    kf_record_list_t found = {0};
    fetch_t f = {.j = j,
                 .connection = connection,
                 .records_left = max_records,
                 .bytes_left = max_bytes,
                 .out = &found,
                 .stop = max_records == 0};

    pthread_mutex_lock(&j->fetch_lock);
    pthread_mutex_lock(&j->lock);
    /* Segments leave the list under fetch_lock only, which is held. */
    for (f.s = kf_journal_first_waiting(j, connection); f.s && !f.stop; f.s = f.s->next) {
        f.window_n = 0;
        while (!f.stop && !f.s->compacting && kf_segment_seek(f.s, connection)) {
            fetch_frame(&f);
        }
    }
    pthread_mutex_unlock(&j->lock);
    give_back_window(j);
    pthread_mutex_unlock(&j->fetch_lock);
    uint32_t n = found.count;
    kf_record_list_append(out, &found);
    return n;
}
