/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading back a segment that somebody else wrote, perhaps to half. Trusts no byte of it.
 */
#include "delivery/kf_segment.h"
#include "delivery/kf_segment_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES (256u * 1024)
#define PAGE_BYTES 4096u
/* What a disk writes whole or not at all. */
#define SECTOR_BYTES 512u
#define HEAD_BYTES_MAX (8u * 1024 * 1024)
#define OUTCOME_BYTES_MAX (256u * 1024 * 1024)

typedef struct {
    kf_segment_t *s;
    kf_segment_load_t *report;
    uint64_t file_bytes;
    uint64_t at; /* where the next frame is looked for */
    uint64_t frames_end;
    char *window; /* bytes of the file */
    uint64_t window_at;
    size_t window_n, window_cap;
    uint16_t *map;     /* by connection of the head: its index now */
    uint32_t *unknown; /* by connection of the head: records of it that have no index */
    uint16_t map_n;
    uint8_t *done; /* a bit an ordinal */
    uint64_t ordinals_max;
    uint64_t skipped;     /* bytes since the last sound frame in which none could be read */
    uint64_t skipped_end; /* where they end: behind are zeros */
    bool torn;            /* they begin with a frame that the file's end cuts off, */
    bool holed;           /* or of which whole sectors were never written */
    bool after_zeros;     /* the word before is zero */
    int error;
} loader_t;

/* ---- bytes of the file ---- */

static bool is_media_error(int error)
{
    return error == EIO || error == EUCLEAN || error == EBADMSG;
}

/* What the disk can't read is damage, and what stands around it is still served. */
static void read_by_pages(loader_t *l, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        size_t step = PAGE_BYTES - (size_t)((at + done) % PAGE_BYTES);
        step = step < n - done ? step : n - done;
        if (kf_file_read_at(l->s->fd, l->window + done, step, at + done) < 0) {
            memset(l->window + done, 0xff, step);
        }
        done += step;
    }
}

static bool fill_window(loader_t *l, size_t n, uint64_t at)
{
    if (n > l->window_cap) {
        char *p = realloc(l->window, n);
        if (!p) {
            l->error = ENOMEM;
            return false;
        }
        l->window = p;
        l->window_cap = n;
    }
    ssize_t got = kf_file_read_at(l->s->fd, l->window, n, at);
    if (got < 0 && !is_media_error(errno)) {
        l->error = errno;
        return false;
    }
    if (got < 0) {
        l->report->unreadable = true;
        read_by_pages(l, n, at);
        got = (ssize_t)n;
    }
    l->window_at = at;
    l->window_n = (size_t)got;
    return true;
}

/* The bytes at an offset: at least as many as wanted, but for the file's end. */
static kf_str_t look(loader_t *l, uint64_t at, uint64_t want)
{
    uint64_t left = l->file_bytes - at;

    want = want < left ? want : left;
    if (at < l->window_at || at + want > l->window_at + l->window_n) {
        uint64_t n = want > READ_BYTES ? want : left < READ_BYTES ? left : READ_BYTES;
        if (!fill_window(l, (size_t)n, at)) {
            return (kf_str_t){NULL, 0};
        }
    }
    return (kf_str_t){l->window + (at - l->window_at), l->window_n - (size_t)(at - l->window_at)};
}

/* ---- frames ---- */

static bool all_zero(kf_str_t text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Ordinals are given out in order, so one that goes back, or beyond what the bytes can hold, is wrong. */
static bool ordinals_plausible(const loader_t *l, const kf_frame_t *frame)
{
    return frame->first >= l->s->records &&
           (uint64_t)frame->first + frame->count <= l->ordinals_max;
}

static void take_record(loader_t *l, const kf_frame_record_t *r)
{
    bool done = l->done[l->s->records / 8] >> (l->s->records % 8) & 1;
    bool mapped = r->connection < l->map_n;
    uint16_t connection = mapped ? l->map[r->connection] : KF_SEGMENT_UNKNOWN;

    kf_segment_add_record(l->s, connection, done ? KF_STATE_DONE : KF_STATE_WAITING,
                          (uint64_t)r->key_bytes + r->data_bytes);
    if (!done && mapped && connection == KF_SEGMENT_UNKNOWN) {
        l->unknown[r->connection]++;
    }
}

static bool take_frame(loader_t *l, kf_str_t text, const kf_frame_t *frame)
{
    kf_segment_t *s = l->s;
    kf_frame_record_t r;
    uint32_t at = kf_frame_first();

    if (!kf_segment_room(s, (uint64_t)frame->first + frame->count)) {
        l->error = ENOMEM;
        return false;
    }
    while (s->records < frame->first) {
        kf_segment_add_record(s, KF_SEGMENT_UNKNOWN, KF_STATE_DONE, 0);
    }
    kf_frame_next(text.p, at, &r);
    kf_segment_add_frame(s, l->at, r.accepted_us);
    for (uint32_t i = 0; i < frame->count; i++) {
        at = kf_frame_next(text.p, at, &r);
        take_record(l, &r);
    }
    return true;
}

/*
 * Whether a sector's part of what would be a frame here holds zeros only. That is how a power cut leaves a frame
 * over bytes that were zeros before; a frame has none such of its own.
 */
static bool has_hole(const loader_t *l, kf_str_t text, const kf_frame_t *frame)
{
    size_t n = frame->bytes < text.n ? frame->bytes : text.n;

    if (l->after_zeros && l->at % SECTOR_BYTES == 0) {
        return true;
    }
    for (size_t done = 0; done < n;) {
        size_t step = SECTOR_BYTES - (size_t)((l->at + done) % SECTOR_BYTES);
        step = step < n - done ? step : n - done;
        if (step >= KF_FRAME_ALIGN && all_zero((kf_str_t){text.p + done, step})) {
            return true;
        }
        done += step;
    }
    return false;
}

static void skip_word(loader_t *l, kf_str_t text, kf_frame_result_t why, const kf_frame_t *frame)
{
    kf_str_t word = {text.p, KF_FRAME_ALIGN < text.n ? KF_FRAME_ALIGN : text.n};
    bool zeros = all_zero(word);

    /* Zeros are room that was reserved and never written: its writer got no answer out. */
    if (!zeros) {
        if (l->skipped == 0) {
            l->torn = why == KF_FRAME_SHORT;
            l->holed = has_hole(l, text, frame);
        }
        l->skipped += word.n;
        l->skipped_end = l->at + word.n;
    }
    l->after_zeros = zeros;
    l->at += KF_FRAME_ALIGN;
}

/*
 * A last frame that was never written to its end was never answered for; anything else was sound once. In a
 * segment that was made with zeros ahead the file's end tells nothing of that, but the zeros do.
 */
static void count_skipped(loader_t *l, bool at_end)
{
    bool holed = l->holed && l->file_bytes >= l->skipped_end + SECTOR_BYTES;

    if (at_end && (l->torn || holed)) {
        l->report->torn_bytes += l->skipped;
    } else {
        l->report->damaged_bytes += l->skipped;
    }
    l->skipped = 0;
}

static void pass_frame(loader_t *l, const kf_frame_t *frame)
{
    count_skipped(l, false);
    l->at += frame->bytes;
    l->frames_end = l->at;
    l->after_zeros = false;
}

static void load_frames(loader_t *l)
{
    kf_frame_t frame;

    while (l->at < l->file_bytes && l->error == 0) {
        kf_str_t text = look(l, l->at, KF_FRAME_HEAD_BYTES);
        if (l->error || text.n == 0) {
            break;
        }
        kf_frame_result_t rc = kf_frame_read(text, l->s->id, &frame);
        if (rc == KF_FRAME_SHORT && l->at + frame.bytes <= l->file_bytes) {
            text = look(l, l->at, frame.bytes);
            if (l->error) {
                break;
            }
            rc = kf_frame_read(text, l->s->id, &frame);
        }
        if (rc == KF_FRAME_OK && ordinals_plausible(l, &frame)) {
            if (!take_frame(l, text, &frame)) {
                break;
            }
            pass_frame(l, &frame);
        } else if (rc == KF_FRAME_VOID) {
            pass_frame(l, &frame);
        } else {
            skip_word(l, text, rc, &frame);
        }
    }
    count_skipped(l, true);
}

/* ---- head ---- */

static int load_head(loader_t *l, const kf_segment_names_t *names)
{
    kf_segment_head_t head;
    kf_str_t text = look(l, 0, READ_BYTES);

    if (!l->error && !kf_frame_read_head(text, &head)) {
        text = look(l, 0, HEAD_BYTES_MAX);
    }
    if (l->error) {
        return l->error;
    }
    if (!kf_frame_read_head(text, &head)) {
        l->report->foreign = true;
        return 0;
    }
    l->map = calloc((size_t)head.connection_count + 1, sizeof(*l->map));
    l->unknown = calloc((size_t)head.connection_count + 1, sizeof(*l->unknown));
    if (!l->map || !l->unknown) {
        return ENOMEM;
    }
    l->map_n = head.connection_count;
    for (int i = 0; i < head.connection_count; i++) {
        l->map[i] = names->map(names->context, kf_frame_head_name(text, &head, i));
    }
    l->s->created_us = head.created_us;
    l->s->id = head.id;
    l->at = head.bytes;
    return 0;
}

/* Says which names without an index have records. The head is read again: nobody kept it meanwhile. */
static void report_unknown(loader_t *l, const kf_segment_names_t *names)
{
    kf_segment_head_t head;
    kf_str_t text = look(l, 0, HEAD_BYTES_MAX);

    if (l->error || !kf_frame_read_head(text, &head)) {
        return;
    }
    for (int i = 0; i < l->map_n && i < head.connection_count; i++) {
        if (l->unknown[i] > 0) {
            names->unknown(names->context, kf_frame_head_name(text, &head, i), l->unknown[i]);
        }
    }
}

/* ---- outcomes ---- */

static void set_done(void *context, uint32_t ordinal)
{
    loader_t *l = context;

    if (ordinal < l->ordinals_max) {
        l->done[ordinal / 8] = (uint8_t)(l->done[ordinal / 8] | 1u << (ordinal % 8));
    }
}

/* A crash leaves a note that the file's end cuts off, or zeros. Anything else was sound once, or is no note. */
static bool crash_explains(const loader_t *l, kf_str_t rest)
{
    if (rest.n < KF_FRAME_NOTE_HEAD_BYTES || all_zero(rest)) {
        return true;
    }
    uint64_t count = kf_frame_note_count(rest.p);
    return count > 0 && count <= l->ordinals_max && KF_FRAME_NOTE_HEAD_BYTES + 4 * count > rest.n;
}

static void take_notes(loader_t *l, int fd, kf_str_t notes)
{
    size_t sound = kf_frame_read_outcomes(notes, l->s->id, set_done, l);
    kf_str_t rest = {notes.p + sound, notes.n - sound};

    /* Later notes go over what follows the last sound one: behind it nobody would read them. */
    l->s->outcome_bytes = sound;
    if (!crash_explains(l, rest)) {
        l->report->damaged_notes = rest.n;
    } else if (rest.n > 0 && ftruncate(fd, (off_t)sound) != 0) {
        /* What a shorter note leaves of it may later be taken for damage, which costs no more than a message. */
    }
}

static int read_outcomes(loader_t *l, int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return l->report->outcomes_error = EINVAL;
    }
    size_t size = st.st_size < OUTCOME_BYTES_MAX ? (size_t)st.st_size : OUTCOME_BYTES_MAX;
    char *text = malloc(size + 1);
    if (!text) {
        return ENOMEM;
    }
    /* Notes that can't be read cost a repeat; the records must go on all the same. */
    ssize_t n = kf_file_read_at(fd, text, size, 0);
    if (n > 0) {
        take_notes(l, fd, (kf_str_t){text, (size_t)n});
    }
    free(text);
    return 0;
}

static int load_outcomes(loader_t *l, int folder)
{
    char file[KF_SEGMENT_FILE_MAX];

    kf_segment_file(l->s->name, "out", file);
    int fd = openat(folder, file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) {
        l->report->outcomes_error = errno;
    }
    if (fd < 0) {
        return l->report->outcomes_error;
    }
    int rc = read_outcomes(l, fd);
    close(fd);
    return rc;
}

/* ---- all of it ---- */

static int load(loader_t *l, int folder, const kf_segment_names_t *names)
{
    int rc = load_head(l, names);
    if (rc != 0 || l->report->foreign) {
        return rc;
    }
    l->ordinals_max = l->file_bytes / KF_FRAME_RECORD_BYTES + 1;
    l->done = calloc(l->ordinals_max / 8 + 1, 1);
    if (!l->done) {
        return ENOMEM;
    }
    rc = load_outcomes(l, folder);
    if (rc == 0) {
        load_frames(l);
        rc = l->error;
    }
    if (rc == 0 && l->s->unknown > 0) {
        report_unknown(l, names);
    }
    return rc;
}

int kf_segment_load(kf_segment_t *s, int folder, const kf_segment_names_t *names,
                    kf_segment_load_t *report)
{
    struct stat st;
    loader_t l = {.s = s, .report = report};
    int rc = 0;

    *report = (kf_segment_load_t){0};
    if (fstat(s->fd, &st) != 0) {
        return errno;
    }
    l.file_bytes = (uint64_t)st.st_size;
    /* Made by a writer that synced nothing, and a power cut took the rest. */
    bool empty = st.st_size == 0 && kf_segment_is_name(s->name, strlen(s->name));
    if (l.file_bytes > KF_SEGMENT_BYTES_MAX) {
        report->foreign = true;
    } else if (!empty) {
        rc = load(&l, folder, names);
    }
    s->size = l.frames_end;
    s->filled = l.file_bytes;
    s->damaged = report->damaged_bytes > 0;
    kf_segment_seal(s);
    free(l.window);
    free(l.map);
    free(l.unknown);
    free(l.done);
    return rc;
}
