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
    kf_journal_want_t *wants;
    size_t n;
    kf_segment_t *s; /* what is read */
    uint32_t frame;
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

static bool is_before(const kf_segment_t *a, const kf_segment_t *b)
{
    return strcmp(a->name, b->name) < 0;
}

/* Whether it has something for the connection; then its cursor, unless it is cold, is at the frame. Lock held. */
static bool has_next(kf_segment_t *s, uint16_t connection)
{
    if (s->compacting) {
        return false;
    }
    return s->cold ? s->share[connection].waiting > 0 : kf_segment_seek(s, connection);
}

/* The segment that the connection's next record is in. Lock held. */
static kf_segment_t *next_of(fetch_t *f, uint16_t connection)
{
    kf_segment_t *s = kf_journal_first_waiting(f->j, connection);

    while (s && !has_next(s, connection)) {
        s = s->next;
    }
    return s;
}

/* Finds the first frame that holds something for anyone who has room. Lock held. */
static bool find_frame(fetch_t *f)
{
    kf_segment_t *first = NULL;
    uint32_t frame = 0;

    for (size_t i = 0; i < f->n; i++) {
        uint16_t connection = f->wants[i].connection;
        kf_segment_t *s = f->wants[i].records > 0 ? next_of(f, connection) : NULL;
        uint32_t at = s && !s->cold ? s->share[connection].cursor : 0;

        if (s && (!first || (s == first ? at < frame : is_before(s, first)))) {
            first = s;
            frame = at;
        }
    }
    if (first != f->s) {
        f->window_n = 0;
    }
    if (first && first != f->s) {
        first->read_at = ++f->j->turns;
    }
    f->s = first;
    f->frame = frame;
    return first != NULL;
}

/* What a connection may be given of this frame; NULL: nothing, or something older of it waits. Looked for from
 * *at on: frames and wants have much the same order. Lock held. */
static kf_journal_want_t *want_of(fetch_t *f, uint16_t connection, size_t *at)
{
    for (size_t i = 0; i < f->n; i++, ++*at) {
        kf_journal_want_t *want = &f->wants[*at % f->n];

        if (want->connection == connection) {
            bool is_next =
                next_of(f, connection) == f->s && f->s->share[connection].cursor == f->frame;

            return is_next ? want : NULL;
        }
    }
    return NULL;
}

/* @return false when out of memory. Lock held */
static bool take(fetch_t *f, kf_journal_want_t *want, uint32_t ordinal, const kf_frame_record_t *r)
{
    uint64_t bytes = (uint64_t)r->key_bytes + r->data_bytes;
    kf_record_t *record;

    if (want->found.count > 0 && bytes > want->bytes) {
        want->records = 0;
        return true;
    }
    record = kf_journal_record(r, want->connection);
    if (!record) {
        return false;
    }
    record->mark = kf_mark_make(f->s, ordinal);
    kf_journal_set(f->j, f->s, ordinal, KF_STATE_MEMORY, bytes);
    kf_record_list_add(&want->found, record);
    want->records--;
    want->bytes -= bytes < want->bytes ? bytes : want->bytes;
    return true;
}

/* Takes what waits in one sound frame. Lock held: states change with what is handed out. */
static void take_waiting(fetch_t *f, kf_str_t text, const kf_frame_t *frame)
{
    kf_journal_want_t *want = NULL;
    uint32_t at = kf_frame_first();
    size_t guess = 0;

    for (uint32_t i = 0; i < frame->count && !f->stop; i++) {
        uint32_t ordinal = frame->first + i;
        uint16_t connection = kf_segment_connection(f->s, ordinal);
        kf_frame_record_t r;

        at = kf_frame_next(text.p, at, &r);
        /* One after the other where there are many: looked for once. */
        if (i == 0 || connection != kf_segment_connection(f->s, ordinal - 1)) {
            want = want_of(f, connection, &guess);
        }
        if (want && want->records > 0 && kf_segment_state(f->s, ordinal) == KF_STATE_WAITING) {
            f->stop = !take(f, want, ordinal, &r);
        }
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

/* The frame that was found. Lock held, given up while reading. */
static void fetch_frame(fetch_t *f)
{
    kf_journal_t *j = f->j;
    uint32_t i = f->frame;
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

void kf_journal_fetch_all(kf_journal_t *j, kf_journal_want_t *wants, size_t n)
{
    fetch_t f = {.j = j, .wants = wants, .n = n};

    pthread_mutex_lock(&j->fetch_lock);
    pthread_mutex_lock(&j->lock);
    /* Segments leave the list under fetch_lock only, which is held. */
    while (!f.stop && find_frame(&f)) {
        if (f.s->cold) {
            f.stop = !kf_journal_warm(j, f.s);
        } else {
            fetch_frame(&f);
        }
    }
    pthread_mutex_unlock(&j->lock);
    give_back_window(j);
    pthread_mutex_unlock(&j->fetch_lock);
}

uint32_t kf_journal_fetch(kf_journal_t *j, uint16_t connection, uint32_t max_records,
                          uint64_t max_bytes, kf_record_list_t *out)
{
    kf_journal_want_t want = {.connection = connection, .records = max_records, .bytes = max_bytes};

    kf_journal_fetch_all(j, &want, 1);
    uint32_t n = want.found.count;
    kf_record_list_append(out, &want.found);
    return n;
}
