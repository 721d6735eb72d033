/* SPDX-License-Identifier: Apache-2.0
 *
 * One segment of the journal: making, writing, noting, removing; kf_segment_load.c reads it back.
 */
#include "delivery/kf_segment.h"

#include "base/kf_clock.h"
#include "delivery/kf_segment_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES_MAX (8u * 1024 * 1024) /* 16382 connections of 255 characters fit */
#define OUTCOME_BYTES_MAX (256u * 1024 * 1024)
#define NAME_ATTEMPTS 5

kf_segment_t *kf_segment_create(int connections)
{
    kf_segment_t *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->share = calloc((size_t)connections + 1, sizeof(*s->share));
    if (!s->share) {
        free(s);
        return NULL;
    }
    s->connections = connections;
    s->fd = s->outcome_fd = -1;
    kf_group_sync_init(&s->group_sync);
    pthread_mutex_init(&s->note_lock, NULL);
    return s;
}

void kf_segment_destroy(kf_segment_t *s)
{
    if (s->outcome_fd >= 0) {
        close(s->outcome_fd);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    kf_group_sync_destroy(&s->group_sync);
    pthread_mutex_destroy(&s->note_lock);
    free(s->share);
    free(s->state);
    free(s->frame);
    free(s);
}

/* ---- files ---- */

void kf_segment_file(const char *name, const char *suffix, char *out)
{
    snprintf(out, KF_SEGMENT_FILE_MAX, "%s.%s", name, suffix);
}

/* Names sort by time of making, so that the oldest is read back first whoever wrote it. */
static void new_name(kf_segment_t *s)
{
    snprintf(s->name, sizeof(s->name), "%016llx-%08x", (unsigned long long)s->created_us,
             kf_random_u32());
}

bool kf_segment_is_name(const char *name, size_t n)
{
    if (n != 25 || name[16] != '-') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool digit = (name[i] >= '0' && name[i] <= '9') || (name[i] >= 'a' && name[i] <= 'f');
        if (i != 16 && !digit) {
            return false;
        }
    }
    return true;
}

static int write_head(kf_segment_t *s, const kf_file_ops_t *files, const char *const *names)
{
    kf_buf_t head;

    kf_buf_init(&head, HEAD_BYTES_MAX);
    kf_frame_put_head(&head, s->id, s->created_us, names, s->connections);
    int rc = head.failed ? ENOMEM : files->write_at(s->fd, head.p, head.n, 0);
    s->size = head.n;
    kf_buf_free(&head);
    return rc;
}

static void close_file(kf_segment_t *s)
{
    close(s->fd);
    s->fd = -1;
}

/* An adopter can be quicker: it locks what it takes for a left-over, removes it and is gone. */
static bool lock_new(int fd)
{
    struct stat st;

    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

int kf_segment_start(kf_segment_t *s, int folder, const kf_file_ops_t *files, int64_t created_us,
                     const char *const *names)
{
    char file[KF_SEGMENT_FILE_MAX];
    int rc = EEXIST;

    s->created_us = created_us;
    s->id = kf_random_u32();
    for (int attempt = 0; attempt < NAME_ATTEMPTS && rc == EEXIST; attempt++) {
        new_name(s);
        kf_segment_file(s->name, "new", file);
        rc = files->create(folder, file, &s->fd);
        if (rc == 0 && !lock_new(s->fd)) {
            close_file(s);
            rc = EEXIST;
        }
    }
    if (rc != 0) {
        return rc;
    }
    rc = write_head(s, files, names);
    if (rc != 0) {
        files->remove(folder, file);
        close_file(s);
    }
    return rc;
}

void kf_segment_abandon(const kf_segment_t *s, int folder, const kf_file_ops_t *files)
{
    char file[KF_SEGMENT_FILE_MAX];

    kf_segment_file(s->name, "new", file);
    files->remove(folder, file);
}

int kf_segment_publish(kf_segment_t *s, int folder, const kf_file_ops_t *files, bool sync)
{
    char from[KF_SEGMENT_FILE_MAX], to[KF_SEGMENT_FILE_MAX];

    kf_segment_file(s->name, "new", from);
    kf_segment_file(s->name, "seg", to);
    int rc = sync ? files->sync_data(s->fd) : 0;
    if (rc == 0) {
        rc = files->rename(folder, from, to);
    }
    if (rc != 0) {
        files->remove(folder, from);
    } else if (sync) {
        rc = files->sync_folder(folder);
        if (rc != 0) {
            files->remove(folder, to);
        }
    }
    if (rc != 0) {
        close_file(s);
    }
    return rc;
}

int kf_segment_remove(kf_segment_t *s, int folder, const kf_file_ops_t *files)
{
    char segment[KF_SEGMENT_FILE_MAX], other[KF_SEGMENT_FILE_MAX];

    kf_segment_file(s->name, "seg", segment);
    /* Records first: outcomes without records mean nothing, records without outcomes would go again. */
    int rc;
    if (s->damaged) {
        kf_segment_file(s->name, "damaged", other);
        rc = files->rename(folder, segment, other);
    } else {
        rc = files->remove(folder, segment);
    }
    if (rc == 0) {
        kf_segment_file(s->name, "out", other);
        files->remove(folder, other);
    }
    return rc;
}

int kf_segment_keep_outcomes(kf_segment_t *s, int folder, const kf_file_ops_t *files)
{
    char outcomes[KF_SEGMENT_FILE_MAX], kept[KF_SEGMENT_FILE_MAX];

    kf_segment_file(s->name, "out", outcomes);
    kf_segment_file(s->name, "out.damaged", kept);
    int rc = files->rename(folder, outcomes, kept);
    if (rc == 0) {
        s->outcome_bytes = 0;
    }
    return rc;
}

/* ---- what is known in memory ---- */

static bool grow(void **array, uint32_t *cap, uint64_t want, size_t element)
{
    if (want <= *cap) {
        return true;
    }
    uint64_t cap_new = *cap ? *cap : 64;
    while (cap_new < want) {
        cap_new += cap_new / 2;
    }
    void *p = cap_new > UINT32_MAX ? NULL : realloc(*array, (size_t)cap_new * element);
    if (!p) {
        return false;
    }
    *array = p;
    *cap = (uint32_t)cap_new;
    return true;
}

static void trim(void **array, uint32_t *cap, uint32_t used, size_t element)
{
    void *p = used > 0 && used < *cap ? realloc(*array, used * element) : NULL;

    if (p) {
        *array = p;
        *cap = used;
    }
}

static bool known(const kf_segment_t *s, uint16_t connection)
{
    return connection < s->connections;
}

static void enter(kf_segment_t *s, uint16_t connection, kf_state_t state, uint64_t bytes)
{
    if (state == KF_STATE_DONE) {
        return;
    }
    s->outstanding++;
    s->memory += state == KF_STATE_MEMORY;
    if (!known(s, connection)) {
        s->unknown++;
        return;
    }
    kf_segment_share_t *share = &s->share[connection];
    share->live++;
    share->live_bytes += bytes;
    if (state == KF_STATE_WAITING) {
        share->waiting++;
        share->waiting_bytes += bytes;
    } else if (state == KF_STATE_ASIDE) {
        share->aside++;
        share->aside_bytes += bytes;
    }
}

static void take_off(uint32_t *count, uint64_t *sum, uint64_t bytes)
{
    --*count;
    *sum = *count == 0 ? 0 : *sum - (bytes < *sum ? bytes : *sum);
}

static void leave(kf_segment_t *s, uint16_t connection, kf_state_t state, uint64_t bytes)
{
    if (state == KF_STATE_DONE) {
        return;
    }
    s->outstanding--;
    s->memory -= state == KF_STATE_MEMORY;
    if (!known(s, connection)) {
        s->unknown--;
        return;
    }
    kf_segment_share_t *share = &s->share[connection];
    take_off(&share->live, &share->live_bytes, bytes);
    if (state == KF_STATE_WAITING) {
        take_off(&share->waiting, &share->waiting_bytes, bytes);
    } else if (state == KF_STATE_ASIDE) {
        take_off(&share->aside, &share->aside_bytes, bytes);
    }
}

static uint16_t state_word(kf_state_t state, uint16_t connection)
{
    return (uint16_t)((unsigned)state << KF_SEGMENT_STATE_SHIFT | connection);
}

bool kf_segment_room(kf_segment_t *s, uint64_t records)
{
    return s->size <= KF_SEGMENT_BYTES_MAX &&
           grow((void **)&s->state, &s->records_cap, records, sizeof(*s->state)) &&
           grow((void **)&s->frame, &s->frames_cap, (uint64_t)s->frames + 1, sizeof(*s->frame));
}

void kf_segment_add_frame(kf_segment_t *s, uint64_t offset, int64_t accepted_us)
{
    int64_t accepted = accepted_us / KF_SEC;

    s->frame[s->frames++] = (kf_frame_place_t){
        .at8 = (uint32_t)(offset / KF_FRAME_ALIGN),
        .first = s->records,
        .accepted = accepted < 0            ? 0
                    : accepted > UINT32_MAX ? UINT32_MAX
                                            : (uint32_t)accepted,
    };
}

void kf_segment_add_record(kf_segment_t *s, uint16_t connection, kf_state_t state, uint64_t bytes)
{
    s->state[s->records++] = state_word(state, connection);
    enter(s, connection, state, bytes);
}

bool kf_segment_reserve(kf_segment_t *s, const kf_record_list_t *records, uint64_t frame_bytes,
                        uint64_t *offset, uint32_t *first)
{
    if (!kf_segment_room(s, (uint64_t)s->records + records->count)) {
        return false;
    }
    *offset = s->size;
    *first = s->records;
    kf_segment_add_frame(s, s->size, records->first->accepted_us);
    for (const kf_record_t *r = records->first; r; r = r->next) {
        kf_segment_add_record(s, r->connection, KF_STATE_MEMORY,
                              (uint64_t)r->key_bytes + r->data_bytes);
    }
    s->size += frame_bytes;
    return true;
}

void kf_segment_seal(kf_segment_t *s)
{
    s->sealed = true;
    trim((void **)&s->state, &s->records_cap, s->records, sizeof(*s->state));
    trim((void **)&s->frame, &s->frames_cap, s->frames, sizeof(*s->frame));
}

static uint32_t frame_of(const kf_segment_t *s, uint32_t ordinal)
{
    uint32_t low = 0, high = s->frames;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (s->frame[middle].first <= ordinal) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void kf_segment_set(kf_segment_t *s, uint32_t ordinal, kf_state_t state, uint64_t bytes)
{
    uint16_t connection = kf_segment_connection(s, ordinal);
    kf_state_t before = kf_segment_state(s, ordinal);

    if (before == state) {
        return;
    }
    if (state == KF_STATE_WAITING && known(s, connection)) {
        kf_segment_share_t *share = &s->share[connection];
        uint32_t frame = frame_of(s, ordinal);
        share->cursor = share->waiting == 0 || frame < share->cursor ? frame : share->cursor;
    }
    leave(s, connection, before, bytes);
    enter(s, connection, state, bytes);
    s->state[ordinal] = state_word(state, connection);
}

void kf_segment_recall(kf_segment_t *s)
{
    bool any = false;

    for (int i = 0; i < s->connections; i++) {
        kf_segment_share_t *share = &s->share[i];
        if (share->aside > 0) {
            any = true;
            share->waiting += share->aside;
            share->waiting_bytes += share->aside_bytes;
            share->aside = 0;
            share->aside_bytes = 0;
            share->cursor = 0;
        }
    }
    for (uint32_t o = 0; o < s->records && any; o++) {
        if (kf_segment_state(s, o) == KF_STATE_ASIDE) {
            s->state[o] = state_word(KF_STATE_WAITING, kf_segment_connection(s, o));
        }
    }
}

uint64_t kf_segment_frame_bytes(const kf_segment_t *s, uint32_t i)
{
    uint64_t end = i + 1 < s->frames ? kf_segment_frame_at(s, i + 1) : s->size;
    return end - kf_segment_frame_at(s, i);
}

uint32_t kf_segment_frame_end(const kf_segment_t *s, uint32_t i)
{
    return i + 1 < s->frames ? s->frame[i + 1].first : s->records;
}

bool kf_segment_seek(kf_segment_t *s, uint16_t connection)
{
    const uint16_t wanted = state_word(KF_STATE_WAITING, connection);
    kf_segment_share_t *share = &s->share[connection];

    for (; share->waiting > 0 && share->cursor < s->frames; share->cursor++) {
        uint32_t end = kf_segment_frame_end(s, share->cursor);
        for (uint32_t o = s->frame[share->cursor].first; o < end; o++) {
            if (s->state[o] == wanted) {
                return true;
            }
        }
    }
    return false;
}

int kf_segment_sync(kf_segment_t *s, const kf_file_ops_t *files)
{
    return kf_group_sync(&s->group_sync, files, s->fd);
}

/* ---- outcomes ---- */

static int open_outcomes(kf_segment_t *s, int folder, const kf_file_ops_t *files)
{
    char file[KF_SEGMENT_FILE_MAX];

    if (s->outcome_fd >= 0) {
        return 0;
    }
    kf_segment_file(s->name, "out", file);
    s->outcome_fd = openat(folder, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (s->outcome_fd >= 0) {
        return 0;
    }
    return errno == ENOENT ? files->create(folder, file, &s->outcome_fd) : errno;
}

static int write_note(kf_segment_t *s, int folder, const kf_file_ops_t *files,
                      const uint32_t *ordinals, uint32_t n, bool sync)
{
    kf_buf_t note;

    kf_buf_init(&note, OUTCOME_BYTES_MAX);
    kf_frame_put_outcome(&note, s->id, ordinals, n);
    pthread_mutex_lock(&s->note_lock);
    int rc = note.failed ? ENOMEM : open_outcomes(s, folder, files);
    if (rc == 0) {
        /* Not appended: what a failed note left behind would hide all later ones. */
        rc = files->write_at(s->outcome_fd, note.p, note.n, s->outcome_bytes);
    }
    if (rc != 0 && s->outcome_fd >= 0 && ftruncate(s->outcome_fd, (off_t)s->outcome_bytes) != 0) {
        /* Its bytes may later be taken for damage, which costs no more than a message. */
    }
    if (rc == 0) {
        s->outcome_bytes += note.n;
        if (sync) {
            rc = files->sync_data(s->outcome_fd);
        }
    }
    pthread_mutex_unlock(&s->note_lock);
    kf_buf_free(&note);
    return rc;
}

int kf_segment_note(kf_segment_t *s, int folder, const kf_file_ops_t *files,
                    const uint32_t *ordinals, uint32_t n)
{
    return write_note(s, folder, files, ordinals, n, false);
}

/* ---- withdrawing ---- */

static void note_withdrawn(kf_segment_t *s, int folder, const kf_file_ops_t *files, uint32_t first,
                           uint32_t count)
{
    uint32_t *ordinals = calloc(count, sizeof(*ordinals));

    if (!ordinals) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        ordinals[i] = first + i;
    }
    if (write_note(s, folder, files, ordinals, count, true) == 0) {
        files->sync_folder(folder);
    }
    free(ordinals);
}

/*
 * Writes and syncs while nobody else syncs: a sync that fails may drop what others have written, and the
 * next one, which knows nothing of it, would tell them that all is well.
 */
static int write_alone(kf_segment_t *s, const kf_file_ops_t *files, const void *bytes, size_t n,
                       uint64_t offset)
{
    kf_group_sync_begin_alone(&s->group_sync);
    int rc = files->write_at(s->fd, bytes, n, offset);
    int synced = rc == 0 ? files->sync_data(s->fd) : 0;
    kf_group_sync_end_alone(&s->group_sync, synced);
    return rc != 0 ? rc : synced;
}

void kf_segment_withdraw(kf_segment_t *s, int folder, const kf_file_ops_t *files, char *head,
                         uint64_t offset, uint32_t first, uint32_t count)
{
    kf_frame_void(head, s->id);
    if (write_alone(s, files, head, KF_FRAME_HEAD_BYTES, offset) != 0 &&
        write_alone(s, files, head, KF_FRAME_HEAD_BYTES, offset) != 0) {
        note_withdrawn(s, folder, files, first, count);
    }
}
