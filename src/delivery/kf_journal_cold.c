/* SPDX-License-Identifier: Apache-2.0
 *
 * What keeps a long backlog out of memory. Where more is known of sealed segments than config.warm_bytes, some go
 * cold: only their counts by connection are kept. Fetch, when it comes to one, makes it warm again from its files,
 * which therefore must tell all: so what is in memory, aside, unreadable, of an unknown connection, damaged, not
 * noted, being copied, or about to be, keeps a segment warm. No mark refers to a cold one, since marks are of records
 * in memory.
 *
 * Which: the newest that is nobody's next to read, for fetch goes from the oldest on. Where all are somebody's
 * next, because connections stand at very different places, twice as much may be warm before the one that was
 * read the longest ago goes cold: else each turn would load all of them again.
 *
 * Arrays come and go under both locks. Locks: kf_journal_int.h.
 */
#include "delivery/kf_journal_int.h"

#include "base/kf_log.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- cooling ---- */

static uint64_t warm_bytes(const kf_segment_t *s)
{
    return (uint64_t)s->records_cap * sizeof(*s->state) +
           (uint64_t)s->frames_cap * sizeof(*s->frame);
}

/* Of sealed segments. Lock held. */
static uint64_t all_warm_bytes(const kf_journal_t *j)
{
    uint64_t bytes = 0;

    for (const kf_segment_t *s = j->segments; s; s = s->next) {
        bytes += s->sealed ? warm_bytes(s) : 0;
    }
    return bytes;
}

/* Whether its files tell all of it. Lock held. */
static bool may_cool(const kf_journal_t *j, const kf_segment_t *s)
{
    uint32_t waiting = 0;

    if (!s->sealed || s->cold || s->compacting || s->pinned || s->damaged || s->unnoted ||
        kf_journal_is_worth_copying(j, s)) {
        return false;
    }
    for (int i = 0; i < s->connections; i++) {
        waiting += s->share[i].waiting;
    }
    return waiting > 0 && waiting == s->outstanding;
}

/* Whether a connection's next record is in it. Lock held. */
static bool is_next(kf_journal_t *j, const kf_segment_t *s)
{
    for (int i = 0; i < j->config.connection_count; i++) {
        if (s->share[i].waiting > 0 && kf_journal_first_waiting(j, (uint16_t)i) == s) {
            return true;
        }
    }
    return false;
}

/* @param reading  is not chosen; may be NULL. Lock held */
static kf_segment_t *choose(kf_journal_t *j, const kf_segment_t *reading, bool much)
{
    kf_segment_t *newest = NULL, *unread = NULL;

    for (kf_segment_t *s = j->segments; s; s = s->next) {
        if (s == reading || !may_cool(j, s)) {
            continue;
        }
        if (!is_next(j, s)) {
            newest = s;
        } else if (!unread || s->read_at < unread->read_at) {
            unread = s;
        }
    }
    return newest || !much ? newest : unread;
}

/* For each connection when the first that waits was accepted. In one pass, whatever their number. */
static void note_oldest(kf_segment_t *s)
{
    for (int i = 0; i < s->connections; i++) {
        s->share[i].cursor = s->frames;
    }
    for (uint32_t i = 0; i < s->frames; i++) {
        uint32_t end = kf_segment_frame_end(s, i);
        for (uint32_t o = s->frame[i].first; o < end; o++) {
            kf_segment_share_t *share =
                &s->share[kf_segment_state(s, o) == KF_STATE_WAITING ? kf_segment_connection(s, o)
                                                                     : s->connections];
            if (share->cursor == s->frames) {
                share->cursor = i;
                share->oldest = s->frame[i].accepted;
            }
        }
    }
}

/* Both locks held. */
static void make_cold(kf_segment_t *s)
{
    note_oldest(s);
    free(s->state);
    free(s->frame);
    s->state = NULL;
    s->frame = NULL;
    s->records = s->records_cap = s->frames = s->frames_cap = 0;
    s->cold = true;
    /* Nothing is noted of what is not in memory. */
    if (s->outcome_fd >= 0) {
        close(s->outcome_fd);
        s->outcome_fd = -1;
    }
}

/* Both locks held. */
static void cool(kf_journal_t *j, const kf_segment_t *reading)
{
    uint64_t bytes = all_warm_bytes(j);

    while (bytes > j->config.warm_bytes) {
        kf_segment_t *s = choose(j, reading, bytes / 2 > j->config.warm_bytes);
        if (!s) {
            break;
        }
        bytes -= warm_bytes(s);
        make_cold(s);
    }
}

void kf_journal_cool(kf_journal_t *j)
{
    pthread_mutex_lock(&j->lock);
    bool much = all_warm_bytes(j) > j->config.warm_bytes;
    pthread_mutex_unlock(&j->lock);
    if (much) {
        pthread_mutex_lock(&j->fetch_lock);
        pthread_mutex_lock(&j->lock);
        cool(j, NULL);
        pthread_mutex_unlock(&j->lock);
        pthread_mutex_unlock(&j->fetch_lock);
    }
}

/* ---- warming ---- */

static uint16_t index_of(void *context, kf_str_t name)
{
    return kf_journal_index_of(context, name);
}

/* Cold segments have no records of others; a file that was changed may have, which stay where they are. */
static void pass_over(void *context, kf_str_t name, uint32_t records)
{
    (void)context;
    (void)name;
    (void)records;
}

/* Records of which one knew, and the other does not. */
static uint32_t count_missing(const kf_segment_t *one, const kf_segment_t *other)
{
    uint32_t missing = 0;

    for (int i = 0; i < one->connections; i++) {
        uint32_t n = one->share[i].waiting, m = other->share[i].waiting;
        missing += n > m ? n - m : 0;
    }
    return missing;
}

/* Puts them at the end as what the disk refused to give. There is room for them. */
static void add_unreadable(const kf_segment_t *s, kf_segment_t *found)
{
    for (int i = 0; i < s->connections; i++) {
        const kf_segment_share_t *before = &s->share[i], *now = &found->share[i];
        uint32_t n = before->waiting > now->waiting ? before->waiting - now->waiting : 0;
        uint64_t bytes =
            before->live_bytes > now->live_bytes ? before->live_bytes - now->live_bytes : 0;

        for (uint32_t k = 0; k < n; k++) {
            kf_segment_add_record(found, (uint16_t)i, KF_STATE_UNREADABLE, k == 0 ? bytes : 0);
        }
    }
}

/* Says what is not as it was, and settles what becomes of it. @return false: no memory */
static bool settle(kf_journal_t *j, kf_segment_t *s, kf_segment_t *found,
                   const kf_segment_load_t *load, bool unreadable)
{
    uint32_t missing = count_missing(s, found);

    if (missing > 0 && unreadable) {
        if (!kf_segment_room(found, (uint64_t)found->records + missing)) {
            return false;
        }
        add_unreadable(s, found);
        kf_log(KF0608, "%s/%s.seg: %u records", j->config.directory, s->name, missing);
    } else if (missing > 0 || (load->damaged_bytes > 0 && !unreadable)) {
        found->damaged = true;
        kf_log(KF0603, "%s/%s.seg: %llu bytes, %u records", j->config.directory, s->name,
               (unsigned long long)load->damaged_bytes, missing);
    }
    /* Its notes tell less than they did. */
    uint32_t again = count_missing(found, s);
    if (load->damaged_notes > 0) {
        kf_segment_keep_outcomes(found, j->folder, j->files);
    }
    if (load->damaged_notes > 0 || again > 0) {
        kf_log(KF0603, "%s/%s.out: %llu bytes; %u records of this segment may be delivered again",
               j->config.directory, s->name, (unsigned long long)load->damaged_notes, again);
    }
    return true;
}

/* Moves what was found into the segment, and what it had into found. Both locks held. */
static void exchange(kf_journal_t *j, kf_segment_t *s, kf_segment_t *found)
{
    kf_segment_share_t *before = s->share;

    kf_journal_recount(j, s, found->share);
    found->share = before;
    s->filled = kf_segment_file_bytes(s);
    s->size = found->size;
    s->damaged = found->damaged;
    s->outstanding = found->outstanding;
    s->unknown = found->unknown;
    s->records = found->records;
    s->records_cap = found->records_cap;
    s->state = found->state;
    s->frames = found->frames;
    s->frames_cap = found->frames_cap;
    s->frame = found->frame;
    s->outcome_bytes = found->outcome_bytes;
    s->cold = false;
    found->state = NULL;
    found->frame = NULL;
}

/* @return what its files hold, read by nobody else; NULL: not now */
static kf_segment_t *load(kf_journal_t *j, kf_segment_t *s)
{
    kf_segment_load_t report;
    kf_segment_names_t names = {index_of, pass_over, j};
    kf_segment_t *found = kf_segment_create(s->connections);

    if (!found) {
        return NULL;
    }
    found->fd = s->fd;
    memcpy(found->name, s->name, sizeof(found->name));
    int rc = kf_segment_load(found, j->folder, &names, &report);
    bool unreadable = rc != 0 || report.foreign || report.unreadable;
    found->damaged = false;
    found->fd = -1;
    if (kf_journal_is_short(rc) || !settle(j, s, found, &report, unreadable)) {
        kf_segment_destroy(found);
        return NULL;
    }
    return found;
}

bool kf_journal_warm(kf_journal_t *j, kf_segment_t *s)
{
    /* Under fetch_lock a cold segment stays what it is. */
    pthread_mutex_unlock(&j->lock);
    kf_segment_t *found = load(j, s);
    pthread_mutex_lock(&j->lock);
    if (!found) {
        return false;
    }
    exchange(j, s, found);
    kf_segment_destroy(found);
    cool(j, s);
    return true;
}
