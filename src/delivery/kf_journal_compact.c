/* SPDX-License-Identifier: Apache-2.0
 *
 * Copying forward what few records pin. The copy is a segment of its own, named after the oldest of its
 * sources, so that the order in which records are read back stays. Locks: kf_journal_int.h.
 */
#include "delivery/kf_journal_int.h"

#include <errno.h>
#include <stdlib.h>

/* A segment of which less than this part waits is worth copying... */
#define LIVE_PART 8
/* ...when that saves half a segment's bytes, or this many files. */
#define FILES_WORTH 8
#define FRAME_BYTES (64u * 1024)
#define RECORD_OVERHEAD (KF_FRAME_RECORD_BYTES + KF_FRAME_HEAD_BYTES + KF_FRAME_ALIGN)

typedef struct {
    kf_journal_t *j;
    kf_segment_t **source;
    uint32_t sources;
    kf_segment_t *target;
    kf_record_list_t records; /* of the next frame */
    char *window;
    size_t window_cap;
} compaction_t;

/* ---- what is worth it ---- */

/* Bytes that a copy of what waits takes. */
static uint64_t live_bytes(const kf_segment_t *s)
{
    uint64_t bytes = (uint64_t)s->outstanding * RECORD_OVERHEAD;

    for (int i = 0; i < s->connections; i++) {
        bytes += s->share[i].live_bytes;
    }
    return bytes;
}

/* Nothing of it in memory, of an unknown connection, or unreadable. */
static bool only_waits(const kf_segment_t *s)
{
    uint32_t waiting = 0;

    for (int i = 0; i < s->connections; i++) {
        waiting += s->share[i].waiting + s->share[i].aside;
    }
    return s->outstanding > 0 && waiting == s->outstanding;
}

bool kf_journal_is_worth_copying(const kf_journal_t *j, const kf_segment_t *s)
{
    uint64_t size = s->size > j->config.segment_bytes ? s->size : j->config.segment_bytes;

    return s->sealed && !s->compacting && !s->pinned && !s->cold && s->memory == 0 &&
           only_waits(s) && live_bytes(s) < size / LIVE_PART;
}

/* Chooses sources, oldest first, until the target is well filled. Lock held. */
static bool choose(compaction_t *c)
{
    kf_journal_t *j = c->j;
    uint64_t live = 0, size = 0;

    c->source = calloc((size_t)j->segment_count + 1, sizeof(*c->source));
    if (!c->source) {
        return false;
    }
    for (kf_segment_t *s = j->segments; s && live < j->config.segment_bytes / 2; s = s->next) {
        if (kf_journal_is_worth_copying(j, s)) {
            c->source[c->sources++] = s;
            live += live_bytes(s);
            size += s->size;
        }
    }
    bool worth =
        c->sources >= FILES_WORTH || (c->sources > 0 && size >= live + j->config.segment_bytes / 2);
    for (uint32_t i = 0; i < c->sources && worth; i++) {
        c->source[i]->compacting = true;
    }
    return worth;
}

/* ---- copying: nobody else changes a source, and nobody else knows the target ---- */

static int write_frame(compaction_t *c)
{
    kf_segment_t *t = c->target;
    uint64_t bytes = kf_frame_size(&c->records);
    kf_buf_t frame;

    if (c->records.count == 0) {
        return 0;
    }
    if (!kf_segment_room(t, (uint64_t)t->records + c->records.count)) {
        return ENOMEM;
    }
    kf_buf_init(&frame, UINT32_MAX);
    kf_frame_put(&frame, &c->records);
    if (!frame.failed) {
        kf_frame_seal(frame.p, t->records, t->id);
    }
    int rc = frame.failed ? ENOMEM : c->j->files->write_at(t->fd, frame.p, frame.n, t->size);
    kf_buf_free(&frame);
    if (rc == 0) {
        kf_segment_add_frame(t, t->size, c->records.first->accepted_us);
        for (const kf_record_t *r = c->records.first; r; r = r->next) {
            kf_segment_add_record(t, r->connection,
                                  r->mark != 0 ? KF_STATE_ASIDE : KF_STATE_WAITING,
                                  kf_record_bytes(r));
        }
        t->size += bytes;
        kf_record_list_clear(&c->records);
    }
    return rc;
}

/* Until it is written a record's mark tells whether it is set aside. */
static int take_record(compaction_t *c, const kf_frame_record_t *r, uint16_t connection, bool aside)
{
    kf_record_t *record = kf_journal_record(r, connection);
    if (!record) {
        return ENOMEM;
    }
    record->mark = aside;
    if (c->records.count > 0 && c->records.bytes + kf_record_bytes(record) > FRAME_BYTES) {
        int rc = write_frame(c);
        if (rc != 0) {
            kf_record_free(record);
            return rc;
        }
    }
    kf_record_list_add(&c->records, record);
    return 0;
}

static int read_frame(compaction_t *c, const kf_segment_t *s, uint32_t i, kf_frame_t *frame)
{
    size_t bytes = (size_t)kf_segment_frame_bytes(s, i);

    if (bytes > c->window_cap) {
        char *p = realloc(c->window, bytes);
        if (!p) {
            return ENOMEM;
        }
        c->window = p;
        c->window_cap = bytes;
    }
    ssize_t n = kf_file_read_at(s->fd, c->window, bytes, kf_segment_frame_at(s, i));
    if (n < 0) {
        return errno;
    }
    kf_str_t text = {c->window, (size_t)n};
    bool sound = kf_frame_read(text, s->id, frame) == KF_FRAME_OK &&
                 frame->first == s->frame[i].first &&
                 frame->first + frame->count <= kf_segment_frame_end(s, i);
    return sound ? 0 : EIO;
}

static bool is_wanted(const kf_segment_t *s, uint32_t ordinal)
{
    kf_state_t state = kf_segment_state(s, ordinal);

    return state == KF_STATE_WAITING || state == KF_STATE_ASIDE;
}

static bool has_waiting(const kf_segment_t *s, uint32_t i)
{
    uint32_t end = kf_segment_frame_end(s, i);

    for (uint32_t o = s->frame[i].first; o < end; o++) {
        if (is_wanted(s, o)) {
            return true;
        }
    }
    return false;
}

static int copy_frame(compaction_t *c, const kf_segment_t *s, uint32_t i)
{
    kf_frame_t frame;
    int rc = read_frame(c, s, i, &frame);
    uint32_t at = kf_frame_first();

    for (uint32_t k = 0; rc == 0 && k < frame.count; k++) {
        kf_frame_record_t r;
        uint32_t ordinal = frame.first + k;
        at = kf_frame_next(c->window, at, &r);
        if (is_wanted(s, ordinal)) {
            rc = take_record(c, &r, kf_segment_connection(s, ordinal),
                             kf_segment_state(s, ordinal) == KF_STATE_ASIDE);
        }
    }
    return rc;
}

static int copy_source(compaction_t *c, kf_segment_t *s)
{
    int rc = 0;

    for (uint32_t i = 0; i < s->frames && rc == 0; i++) {
        if (has_waiting(s, i)) {
            rc = copy_frame(c, s, i);
        }
    }
    if (rc == EIO) {
        s->pinned = true; /* reading back will find out what is wrong, and say so */
    }
    return rc;
}

/* Makes the target: on disk, under its name, when this returns 0. */
static int copy_all(compaction_t *c)
{
    kf_journal_t *j = c->j;
    int rc = kf_segment_start(c->target, j->folder, j->files, c->source[0]->created_us,
                              j->config.connections);
    if (rc != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < c->sources && rc == 0; i++) {
        rc = copy_source(c, c->source[i]);
    }
    if (rc == 0) {
        rc = write_frame(c);
    }
    if (rc == 0) {
        /* With any durability: the sources may have come to rest on the disk long ago. */
        rc = kf_segment_publish(c->target, j->folder, j->files, true);
    } else {
        kf_segment_abandon(c->target, j->folder, j->files);
    }
    kf_segment_seal(c->target);
    return rc;
}

/* ---- afterwards ---- */

static bool replace(compaction_t *c)
{
    kf_journal_t *j = c->j;
    kf_segment_t *gone = NULL;

    pthread_mutex_lock(&j->fetch_lock);
    pthread_mutex_lock(&j->lock);
    bool admitted = kf_journal_admit(j, c->target);
    for (uint32_t i = 0; i < c->sources && admitted; i++) {
        kf_journal_expel(j, c->source[i]);
        c->source[i]->next = gone;
        gone = c->source[i];
    }
    pthread_mutex_unlock(&j->lock);
    pthread_mutex_unlock(&j->fetch_lock);
    if (admitted) {
        kf_usage_add_files(j->config.usage, KF_USAGE_JOURNAL, (int64_t)c->target->size);
    }
    kf_journal_dispose(j, gone);
    return admitted;
}

static void let_go(compaction_t *c)
{
    pthread_mutex_lock(&c->j->lock);
    for (uint32_t i = 0; i < c->sources; i++) {
        c->source[i]->compacting = false;
    }
    pthread_mutex_unlock(&c->j->lock);
}

/* @return whether the sources are gone */
static bool compact(compaction_t *c)
{
    kf_journal_t *j = c->j;

    c->target = kf_segment_create(j->config.connection_count);
    if (c->target) {
        c->target->adopted = true; /* where it makes no difference, it costs a look */
    }
    if (c->target && copy_all(c) == 0) {
        if (replace(c)) {
            return true;
        }
        kf_segment_remove(c->target, j->folder, j->files);
    }
    if (c->target) {
        kf_segment_destroy(c->target);
    }
    let_go(c);
    return false;
}

int kf_journal_compact(kf_journal_t *j)
{
    compaction_t c = {.j = j};
    int removed = 0;

    pthread_mutex_lock(&j->lock);
    bool worth = choose(&c);
    pthread_mutex_unlock(&j->lock);
    if (worth) {
        removed = compact(&c) ? (int)c.sources : -1;
    }
    kf_record_list_clear(&c.records);
    free(c.source);
    free(c.window);
    return removed;
}
