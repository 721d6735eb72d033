/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal: a list of segments, of which one takes frames. Here: opening, appending, noting what is
 * done. Locks: kf_journal_int.h.
 */
#include "delivery/kf_journal_int.h"

#include "base/kf_clock.h"
#include "base/kf_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define FRAME_BYTES_MAX UINT32_MAX
#define SEGMENT_BYTES_MAX (UINT64_C(16) << 30)
#define SEGMENTS_MIN 16
#define NOTES_MAX 512
/* A disk that is full, or a folder that can't be written, is asked this often, not by every request. */
#define RETRY_US (100 * KF_MS)
/* Whoever would fill half a segment within this time gets the next one with zeros ahead; they go when nothing
 * has come for so long. */
#define FILL_WITHIN_US (10 * KF_SEC)
/* Looked at from this part of a segment on. */
#define FILL_EARLY 8
/* The store has room for so many such. */
#define FILL_ROOM 8
#define FILL_MOST_US KF_SEC

static kf_segment_t *segment_of(const kf_journal_t *j, uint64_t mark)
{
    return mark ? j->slot[(mark >> 32) - 1] : NULL;
}

/* ---- open, close ---- */

/* Files that segments keep open come out of what the server has for connections. */
static uint32_t most_segments(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY ||
        files.rlim_cur / 4 > KF_JOURNAL_SLOTS / 2) {
        return KF_JOURNAL_SLOTS / 2;
    }
    return files.rlim_cur / 4 < SEGMENTS_MIN ? SEGMENTS_MIN : (uint32_t)(files.rlim_cur / 4);
}

static kf_journal_t *allocate(const kf_journal_config_t *config)
{
    kf_journal_t *j = calloc(1, sizeof(*j));
    kf_journal_share_t *share = calloc((size_t)config->connection_count + 1, sizeof(*share));

    if (!j || !share) {
        free(j);
        free(share);
        return NULL;
    }
    j->share = share;
    j->config = *config;
    j->files = config->files ? config->files : &kf_file_system;
    if (j->config.warm_bytes == 0) {
        j->config.warm_bytes = KF_JOURNAL_WARM_BYTES;
    }
    if (j->config.segment_bytes > SEGMENT_BYTES_MAX) {
        j->config.segment_bytes = SEGMENT_BYTES_MAX;
    }
    j->segments_max = most_segments();
    return j;
}

kf_journal_t *kf_journal_open(const kf_journal_config_t *config, const char **error)
{
    if (config->connection_count > KF_SEGMENT_CONNECTIONS_MAX) {
        *error = "more connections than a journal can name";
        return NULL;
    }
    kf_journal_t *j = allocate(config);
    if (!j) {
        *error = "out of memory";
        return NULL;
    }
    j->folder = open(config->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->folder < 0) {
        *error = "the journal's folder cannot be opened";
        free(j->share);
        free(j);
        return NULL;
    }
    j->place = kf_usage_join(config->usage);
    pthread_mutex_init(&j->adopt_lock, NULL);
    pthread_mutex_init(&j->fetch_lock, NULL);
    pthread_mutex_init(&j->lock, NULL);
    return j;
}

void kf_journal_close(kf_journal_t *j)
{
    while (j->segments) {
        kf_segment_t *s = j->segments;
        kf_journal_expel(j, s);
        if (s->outstanding == 0) {
            s->next = NULL;
            kf_journal_dispose(j, s);
        } else {
            kf_segment_destroy(s);
        }
    }
    if (j->spare) {
        kf_journal_dispose(j, j->spare);
    }
    kf_usage_leave(j->config.usage, j->place);
    while (j->left_alone) {
        kf_left_alone_t *left = j->left_alone;
        j->left_alone = left->next;
        free(left);
    }
    pthread_mutex_destroy(&j->adopt_lock);
    pthread_mutex_destroy(&j->fetch_lock);
    pthread_mutex_destroy(&j->lock);
    close(j->folder);
    free(j->window);
    free(j->share);
    free(j);
}

/* ---- counts ---- */

static bool is_before(const kf_segment_t *a, const kf_segment_t *b)
{
    return strcmp(a->name, b->name) < 0;
}

static void lower_hint(kf_journal_share_t *share, kf_segment_t *s)
{
    if (!share->hint || is_before(s, share->hint)) {
        share->hint = s;
    }
}

void kf_journal_set(kf_journal_t *j, kf_segment_t *s, uint32_t ordinal, kf_state_t state,
                    uint64_t bytes)
{
    if (s->cold) {
        return; /* none of its records is in memory: whoever names one has given it back before */
    }
    uint16_t connection = kf_segment_connection(s, ordinal);
    bool known = connection < j->config.connection_count;
    kf_segment_share_t before = known ? s->share[connection] : (kf_segment_share_t){0};

    kf_segment_set(s, ordinal, state, bytes);
    if (!known) {
        return;
    }
    const kf_segment_share_t *after = &s->share[connection];
    kf_journal_share_t *share = &j->share[connection];
    share->records += after->waiting;
    share->records -= before.waiting;
    share->bytes += after->waiting_bytes;
    share->bytes -= before.waiting_bytes;
    share->aside += after->aside;
    share->aside -= before.aside;
    share->aside_bytes += after->aside_bytes;
    share->aside_bytes -= before.aside_bytes;
    if (state == KF_STATE_WAITING) {
        lower_hint(share, s);
    }
    if (after->live_bytes != before.live_bytes) {
        kf_usage_add_records(j->config.usage, j->place, connection,
                             (int64_t)(after->live_bytes - before.live_bytes));
    }
}

/* Counts all that a segment holds, or takes it off. */
static void count_all(kf_journal_t *j, const kf_segment_t *s, bool add)
{
    for (int i = 0; i < j->config.connection_count; i++) {
        const kf_segment_share_t *of = &s->share[i];
        kf_journal_share_t *share = &j->share[i];
        share->records = add ? share->records + of->waiting : share->records - of->waiting;
        share->bytes = add ? share->bytes + of->waiting_bytes : share->bytes - of->waiting_bytes;
        share->aside = add ? share->aside + of->aside : share->aside - of->aside;
        share->aside_bytes =
            add ? share->aside_bytes + of->aside_bytes : share->aside_bytes - of->aside_bytes;
        if (of->live_bytes > 0) {
            int64_t bytes = (int64_t)of->live_bytes;
            kf_usage_add_records(j->config.usage, j->place, i, add ? bytes : -bytes);
        }
    }
}

static void lower_hints(kf_journal_t *j, kf_segment_t *s)
{
    for (int i = 0; i < j->config.connection_count; i++) {
        if (s->share[i].waiting > 0) {
            lower_hint(&j->share[i], s);
        }
    }
}

void kf_journal_recount(kf_journal_t *j, kf_segment_t *s, kf_segment_share_t *share)
{
    count_all(j, s, false);
    s->share = share;
    count_all(j, s, true);
    lower_hints(j, s);
}

bool kf_journal_admit(kf_journal_t *j, kf_segment_t *s)
{
    if (j->segment_count == KF_JOURNAL_SLOTS) {
        return false;
    }
    while (j->slot[j->next_slot]) {
        j->next_slot++;
    }
    s->slot = j->next_slot++;
    j->slot[s->slot] = s;
    kf_segment_t **p = &j->segments;
    while (*p && is_before(*p, s)) {
        p = &(*p)->next;
    }
    s->next = *p;
    *p = s;
    j->segment_count++;
    count_all(j, s, true);
    lower_hints(j, s);
    return true;
}

void kf_journal_expel(kf_journal_t *j, kf_segment_t *s)
{
    kf_segment_t **p = &j->segments;

    while (*p != s) {
        p = &(*p)->next;
    }
    *p = s->next;
    j->segment_count--;
    j->slot[s->slot] = NULL;
    if (j->current == s) {
        j->current = NULL;
    }
    count_all(j, s, false);
    for (int i = 0; i < j->config.connection_count; i++) {
        if (j->share[i].hint == s) {
            j->share[i].hint = s->next;
        }
    }
}

kf_segment_t *kf_journal_first_waiting(kf_journal_t *j, uint16_t connection)
{
    kf_journal_share_t *share = &j->share[connection];

    while (share->hint && share->hint->share[connection].waiting == 0) {
        share->hint = share->hint->next;
    }
    return share->hint;
}

void kf_journal_backlog(kf_journal_t *j, uint16_t connection, kf_backlog_t *out)
{
    pthread_mutex_lock(&j->lock);
    out->records = j->share[connection].records;
    out->bytes = j->share[connection].bytes;
    out->aside = j->share[connection].aside;
    out->aside_bytes = j->share[connection].aside_bytes;
    out->oldest_us = 0;
    kf_segment_t *s = kf_journal_first_waiting(j, connection);
    if (s && s->cold) {
        out->oldest_us = s->share[connection].oldest * KF_SEC;
    } else if (s && kf_segment_seek(s, connection)) {
        out->oldest_us = s->frame[s->share[connection].cursor].accepted * KF_SEC;
    }
    pthread_mutex_unlock(&j->lock);
}

/* ---- segments ---- */

/* @param fill  with zeros ahead */
static int make_segment(kf_journal_t *j, bool fill, kf_segment_t **out)
{
    kf_segment_t *s = kf_segment_create(j->config.connection_count);
    if (!s) {
        return ENOMEM;
    }
    int rc = kf_segment_start(s, j->folder, j->files, kf_wall_us(), j->config.connections);
    if (rc == 0 && fill) {
        rc = kf_segment_fill(s, j->files, j->config.segment_bytes, FILL_MOST_US);
        if (rc != 0) {
            kf_segment_abandon(s, j->folder, j->files);
        }
    }
    if (rc == 0) {
        rc = kf_segment_publish(s, j->folder, j->files, j->config.durability == KF_DURABILITY_DISK);
    }
    if (rc != 0) {
        kf_segment_destroy(s);
        return rc;
    }
    kf_usage_add_files(j->config.usage, KF_USAGE_JOURNAL, (int64_t)kf_segment_file_bytes(s));
    *out = s;
    return 0;
}

static void wait_before_retry(kf_journal_t *j, int error)
{
    j->retry_error = error;
    j->retry_us = kf_mono_us() + RETRY_US;
}

/* The segment to write to, made when there is none. Lock held: the others would have to wait anyway. */
static int current_segment(kf_journal_t *j, kf_segment_t **out)
{
    kf_segment_t *s = j->spare;

    if (!j->current) {
        if (j->retry_error && kf_mono_us() < j->retry_us) {
            return j->retry_error;
        }
        int rc = s ? 0 : make_segment(j, false, &s);
        j->spare = NULL;
        if (rc == 0 && !kf_journal_admit(j, s)) {
            kf_journal_dispose(j, s);
            rc = EMFILE;
        }
        if (rc != 0) {
            wait_before_retry(j, rc);
            return rc;
        }
        j->retry_error = 0;
        j->current = s;
    }
    *out = j->current;
    return 0;
}

static void seal(kf_journal_t *j, kf_segment_t *s)
{
    kf_segment_seal(s);
    if (j->current == s) {
        j->current = NULL;
    }
}

/* Only where syncs matter, and senders are quick: a slow child's next segment may wait for hours. Lock held. */
static bool is_worth_filling(const kf_journal_t *j)
{
    int64_t took_us = kf_wall_us() - j->current->created_us;
    uint64_t within_us = FILL_WITHIN_US * j->current->size / (j->config.segment_bytes / 2 + 1);

    return j->config.durability == KF_DURABILITY_DISK && took_us >= 0 &&
           (uint64_t)took_us < within_us &&
           kf_usage_fits(j->config.usage, -1, FILL_ROOM * j->config.segment_bytes);
}

/* Whether a next segment is wanted; *fill: with zeros ahead, then early, as long as the current one has none. */
static bool is_spare_wanted(kf_journal_t *j, bool *fill)
{
    const kf_segment_t *s;
    bool wanted = false;

    pthread_mutex_lock(&j->lock);
    s = j->spare ? NULL : j->current;
    if (s && s->size >= j->config.segment_bytes / (s->filled ? 2 : FILL_EARLY)) {
        *fill = is_worth_filling(j);
        wanted = *fill || s->size >= j->config.segment_bytes / 2;
    }
    pthread_mutex_unlock(&j->lock);
    return wanted;
}

/* Whether no frame has come for long enough to give zeros back. Lock held. */
static bool is_idle(kf_journal_t *j)
{
    if (j->idle_at != j->appended) {
        j->idle_at = j->appended;
        j->idle_us = kf_mono_us();
    }
    return kf_mono_us() - j->idle_us >= FILL_WITHIN_US;
}

/* The room that zeros take goes back when nobody needs it. */
static void give_zeros_back(kf_journal_t *j)
{
    kf_segment_t *spare = NULL;
    bool left = false;

    pthread_mutex_lock(&j->lock);
    if (is_idle(j)) {
        left = j->current && j->current->filled;
        if (left) {
            seal(j, j->current);
        }
        if (j->spare && j->spare->filled) {
            spare = j->spare;
            j->spare = NULL;
        }
    }
    pthread_mutex_unlock(&j->lock);
    kf_journal_dispose(j, spare);
    if (left) {
        kf_journal_remove_finished(j);
    }
}

void kf_journal_prepare(kf_journal_t *j)
{
    kf_segment_t *s = NULL;
    bool fill = false, left = false;

    give_zeros_back(j);
    kf_journal_cool(j);
    if (!is_spare_wanted(j, &fill) || make_segment(j, fill, &s) != 0) {
        return;
    }
    pthread_mutex_lock(&j->lock);
    if (!j->spare) {
        j->spare = s;
        s = NULL;
        left = j->current && j->spare->filled && !j->current->filled;
        if (left) {
            seal(j, j->current);
        }
    }
    pthread_mutex_unlock(&j->lock);
    if (s) {
        kf_journal_dispose(j, s);
    }
    if (left) {
        kf_journal_remove_finished(j);
    }
}

static bool is_finished(const kf_segment_t *s)
{
    return s->sealed && s->outstanding == 0;
}

void kf_journal_dispose(kf_journal_t *j, kf_segment_t *list)
{
    while (list) {
        kf_segment_t *s = list;
        list = s->next;
        kf_usage_add_files(j->config.usage, KF_USAGE_JOURNAL, -(int64_t)kf_segment_file_bytes(s));
        int rc = kf_segment_remove(s, j->folder, j->files);
        if (rc != 0) {
            kf_log(KF0609, "%s/%s.seg: %s", j->config.directory, s->name, strerror(rc));
        }
        kf_segment_destroy(s);
    }
}

void kf_journal_remove_finished(kf_journal_t *j)
{
    kf_segment_t *finished = NULL;

    pthread_mutex_lock(&j->fetch_lock);
    pthread_mutex_lock(&j->lock);
    for (kf_segment_t *s = j->segments, *next; s; s = next) {
        next = s->next;
        if (is_finished(s)) {
            kf_journal_expel(j, s);
            s->next = finished;
            finished = s;
        }
    }
    pthread_mutex_unlock(&j->lock);
    pthread_mutex_unlock(&j->fetch_lock);
    kf_journal_dispose(j, finished);
}

/* ---- append ---- */

typedef struct {
    kf_segment_t *s;
    uint64_t offset;
    uint32_t first;
} place_t;

/* Counts the records of a list, by connection. */
static void count_records(kf_journal_t *j, const kf_record_list_t *records)
{
    for (const kf_record_t *r = records->first; r;) {
        uint16_t connection = r->connection;
        uint64_t bytes = 0;
        for (; r && r->connection == connection; r = r->next) {
            bytes += kf_record_bytes(r);
        }
        kf_usage_add_records(j->config.usage, j->place, connection, (int64_t)bytes);
    }
}

static int reserve(kf_journal_t *j, const kf_record_list_t *records, uint64_t bytes, place_t *place)
{
    uint64_t grown = 0;

    pthread_mutex_lock(&j->lock);
    int rc = current_segment(j, &place->s);
    uint64_t before = rc == 0 ? kf_segment_file_bytes(place->s) : 0;
    if (rc == 0 && !kf_segment_reserve(place->s, records, bytes, &place->offset, &place->first)) {
        rc = ENOMEM;
    }
    if (rc == 0) {
        j->appended++;
        grown = kf_segment_file_bytes(place->s) - before;
    }
    if (rc == 0 && place->s->size >= j->config.segment_bytes) {
        seal(j, place->s);
    }
    pthread_mutex_unlock(&j->lock);
    if (rc == 0) {
        count_records(j, records);
        kf_usage_add_files(j->config.usage, KF_USAGE_JOURNAL, (int64_t)grown);
    }
    return rc;
}

/* What could not be written or synced was not accepted, and must never be served. */
static void withdraw(kf_journal_t *j, char *head, const place_t *place,
                     const kf_record_list_t *records, int error)
{
    kf_segment_withdraw(place->s, j->folder, j->files, head, place->offset, place->first,
                        records->count);
    pthread_mutex_lock(&j->lock);
    uint32_t ordinal = place->first;
    for (const kf_record_t *r = records->first; r; r = r->next) {
        kf_journal_set(j, place->s, ordinal++, KF_STATE_DONE, kf_record_bytes(r));
    }
    place->s->unnoted = true;
    seal(j, place->s);
    wait_before_retry(j, error);
    pthread_mutex_unlock(&j->lock);
    kf_journal_remove_finished(j);
}

/* What is withdrawn later needs the frame's head only: the rest is not kept while others are synced with it. */
static int write_frame(kf_journal_t *j, kf_buf_t *frame, const place_t *place, char *head)
{
    kf_frame_seal(frame->p, place->first, place->s->id);
    memcpy(head, frame->p, KF_FRAME_HEAD_BYTES);
    int rc = j->files->write_at(place->s->fd, frame->p, frame->n, place->offset);
    kf_buf_free(frame);
    if (rc == 0 && j->config.durability == KF_DURABILITY_DISK) {
        rc = kf_segment_sync(place->s, j->files);
    }
    return rc;
}

static void set_marks(const place_t *place, const kf_record_list_t *records)
{
    uint32_t ordinal = place->first;

    for (kf_record_t *r = records->first; r; r = r->next) {
        r->mark = kf_mark_make(place->s, ordinal++);
    }
}

const kf_usage_t *kf_journal_usage(const kf_journal_t *j)
{
    return j->config.usage;
}

bool kf_journal_room(const kf_journal_t *j, int connection)
{
    return kf_usage_fits(j->config.usage, -1, 1) && kf_usage_fits(j->config.usage, connection, 1);
}

typedef bool fits_fn(const kf_usage_t *usage, int connection, uint64_t n);

static bool has_room(const kf_journal_t *j, const kf_record_list_t *records, uint64_t frame_bytes,
                     fits_fn *fits)
{
    if (frame_bytes > FRAME_BYTES_MAX || !fits(j->config.usage, -1, frame_bytes)) {
        return false;
    }
    for (const kf_record_t *r = records->first; r;) {
        uint16_t connection = r->connection;
        uint64_t bytes = 0;
        for (; r && r->connection == connection; r = r->next) {
            bytes += kf_record_bytes(r);
        }
        if (!fits(j->config.usage, connection, bytes)) {
            return false;
        }
    }
    return true;
}

/* Says once that writing fails, and once that it works again. */
static kf_journal_result_t outcome_of(kf_journal_t *j, int rc)
{
    bool failing = rc != 0;

    if (__atomic_load_n(&j->failing, __ATOMIC_RELAXED) != failing &&
        __atomic_exchange_n(&j->failing, failing, __ATOMIC_RELAXED) != failing) {
        if (failing) {
            kf_log(KF0601, "%s: %s", j->config.directory, strerror(rc));
        } else {
            kf_log(KF0602, "%s", j->config.directory);
        }
    }
    if (kf_file_is_full(rc)) {
        return KF_JOURNAL_FULL;
    }
    return rc == 0 ? KF_JOURNAL_OK : KF_JOURNAL_FAILED;
}

static kf_journal_result_t append(kf_journal_t *j, const kf_record_list_t *records, fits_fn *fits)
{
    uint64_t bytes = kf_frame_size(records);
    char head[KF_FRAME_HEAD_BYTES];
    place_t place;
    kf_buf_t frame;

    if (records->count == 0) {
        return KF_JOURNAL_OK;
    }
    if (!has_room(j, records, bytes, fits)) {
        return KF_JOURNAL_FULL;
    }
    kf_buf_init(&frame, FRAME_BYTES_MAX);
    kf_buf_room(&frame, (size_t)bytes);
    kf_frame_put(&frame, records);
    int rc = frame.failed ? ENOMEM : reserve(j, records, bytes, &place);
    if (rc == 0) {
        rc = write_frame(j, &frame, &place, head);
        if (rc == 0) {
            set_marks(&place, records);
        } else {
            withdraw(j, head, &place, records, rc);
        }
    }
    kf_buf_free(&frame);
    return outcome_of(j, rc);
}

kf_journal_result_t kf_journal_append(kf_journal_t *j, const kf_record_list_t *records)
{
    return append(j, records, kf_usage_fits);
}

kf_journal_result_t kf_journal_append_moved(kf_journal_t *j, const kf_record_list_t *records)
{
    return append(j, records, kf_usage_fits_moved);
}

/* ---- done, release ---- */

/* A note that cannot be written costs a repeat after a crash, no loss: delivery must go on. */
static bool note(kf_journal_t *j, kf_segment_t *s, const uint32_t *ordinals, uint32_t n)
{
    int rc = kf_segment_note(s, j->folder, j->files, ordinals, n);
    bool failing = rc != 0;

    if (__atomic_load_n(&j->note_failing, __ATOMIC_RELAXED) != failing &&
        __atomic_exchange_n(&j->note_failing, failing, __ATOMIC_RELAXED) != failing && failing) {
        kf_log(KF0607, "%s/%s.out: %s", j->config.directory, s->name, strerror(rc));
    }
    return rc == 0;
}

/* Notes up to NOTES_MAX records of one mark's segment, from record i on. @return whether that finished it */
static bool finish_some(kf_journal_t *j, uint64_t mark, const kf_record_t *const *records,
                        uint32_t n, uint32_t *i)
{
    kf_segment_t *s = segment_of(j, mark);
    uint32_t ordinals[NOTES_MAX];
    uint64_t bytes[NOTES_MAX];
    uint32_t count = 0;

    for (; *i < n && count < NOTES_MAX; ++*i) {
        if (records[*i]->mark >> 32 == mark >> 32) {
            ordinals[count] = (uint32_t)records[*i]->mark;
            bytes[count++] = kf_record_bytes(records[*i]);
        }
    }
    if (!s || count == 0) {
        return false;
    }
    bool noted = note(j, s, ordinals, count);
    pthread_mutex_lock(&j->lock);
    s->unnoted |= !noted;
    for (uint32_t k = 0; k < count; k++) {
        kf_journal_set(j, s, ordinals[k], KF_STATE_DONE, bytes[k]);
    }
    bool finished = is_finished(s);
    pthread_mutex_unlock(&j->lock);
    return finished;
}

/* Whether no record before i is of the same segment. */
static bool is_first_of_segment(const kf_record_t *const *records, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        if (records[k]->mark >> 32 == records[i]->mark >> 32) {
            return false;
        }
    }
    return true;
}

void kf_journal_done(kf_journal_t *j, const kf_record_t *const *records, uint32_t n)
{
    bool finished = false;

    for (uint32_t i = 0; i < n; i++) {
        if (records[i]->mark && is_first_of_segment(records, i)) {
            for (uint32_t k = i; k < n;) {
                finished |= finish_some(j, records[i]->mark, records, n, &k);
            }
        }
    }
    if (finished) {
        kf_journal_remove_finished(j);
    }
}

bool kf_journal_is_adopted(const kf_journal_t *j, const kf_record_t *record)
{
    const kf_segment_t *s = segment_of(j, record->mark);

    return s && s->adopted;
}

static void leave_memory(kf_journal_t *j, const kf_record_t *record, kf_state_t state)
{
    kf_segment_t *s = segment_of(j, record->mark);

    if (s) {
        pthread_mutex_lock(&j->lock);
        kf_journal_set(j, s, (uint32_t)record->mark, state, kf_record_bytes(record));
        pthread_mutex_unlock(&j->lock);
    }
}

void kf_journal_release(kf_journal_t *j, const kf_record_t *record)
{
    leave_memory(j, record, KF_STATE_WAITING);
}

/* ---- set aside ---- */

void kf_journal_set_aside(kf_journal_t *j, const kf_record_t *record)
{
    leave_memory(j, record, KF_STATE_ASIDE);
}

uint64_t kf_journal_aside(kf_journal_t *j)
{
    uint64_t records = 0;

    pthread_mutex_lock(&j->lock);
    for (int i = 0; i < j->config.connection_count; i++) {
        records += j->share[i].aside;
    }
    pthread_mutex_unlock(&j->lock);
    return records;
}

/* Lock held. */
static void recall_segment(kf_journal_t *j, kf_segment_t *s)
{
    for (int i = 0; i < j->config.connection_count; i++) {
        const kf_segment_share_t *of = &s->share[i];
        kf_journal_share_t *share = &j->share[i];
        share->records += of->aside;
        share->bytes += of->aside_bytes;
        share->aside -= of->aside;
        share->aside_bytes -= of->aside_bytes;
        if (of->aside > 0) {
            lower_hint(share, s);
        }
    }
    kf_segment_recall(s);
}

void kf_journal_recall(kf_journal_t *j)
{
    pthread_mutex_lock(&j->lock);
    for (kf_segment_t *s = j->segments; s; s = s->next) {
        /* Not while it is copied: the copy takes what is aside as such. */
        if (!s->compacting) {
            recall_segment(j, s);
        }
    }
    pthread_mutex_unlock(&j->lock);
}
