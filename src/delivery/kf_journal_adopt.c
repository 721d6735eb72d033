/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking over what dead children left in the journal's folder. Locks: kf_journal_int.h.
 */
#include "delivery/kf_journal_int.h"

#include "base/kf_clock.h"
#include "base/kf_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a call may take, about: the leader has more to do. */
#define BUDGET_US (500 * KF_MS)

/* A connection's name in a head is at most 255 bytes long. */
typedef struct {
    char name[256];
    uint64_t records;
} unknown_t;

typedef struct {
    kf_journal_t *j;
    char **files; /* names in the folder, sorted */
    size_t count, cap;
    uint64_t bytes; /* of all of them */
    unknown_t *unknown;
    size_t unknown_count;
} sweep_t;

/* ---- the folder ---- */

static bool add_name(sweep_t *w, const char *name)
{
    if (w->count == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 64;
        char **p = realloc(w->files, cap * sizeof(*p));
        if (!p) {
            return false;
        }
        w->files = p;
        w->cap = cap;
    }
    w->files[w->count] = strdup(name);
    return w->files[w->count] && ++w->count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists and measures the folder. @return false where it can't be read */
static bool look_around(sweep_t *w)
{
    struct stat st;
    int fd = openat(w->j->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    bool whole = true;

    if (!folder) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    for (struct dirent *e = readdir(folder); e && whole; e = readdir(folder)) {
        if (fstatat(w->j->folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            !S_ISDIR(st.st_mode)) {
            w->bytes += (uint64_t)st.st_size;
            whole = add_name(w, e->d_name);
        }
    }
    closedir(folder);
    if (w->count > 0) {
        qsort(w->files, w->count, sizeof(*w->files), by_name);
    }
    return whole;
}

static void free_sweep(sweep_t *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free(w->files[i]);
    }
    free(w->files);
    free(w->unknown);
}

/* ---- files that are left alone ---- */

static kf_left_alone_t **find_left_alone(kf_journal_t *j, const char *file)
{
    kf_left_alone_t **p = &j->left_alone;

    while (*p && strcmp((*p)->file, file) != 0) {
        p = &(*p)->next;
    }
    return p;
}

static void forget_left_alone(kf_left_alone_t **p)
{
    kf_left_alone_t *left = *p;

    *p = left->next;
    free(left);
}

/* Whether it was looked at in vain, and has not changed since. */
static bool is_left_alone(kf_journal_t *j, const char *file)
{
    struct stat st;
    kf_left_alone_t **p = find_left_alone(j, file), *left = *p;

    if (!left || left->is_tried_again) {
        return false;
    }
    if (fstatat(j->folder, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == left->size &&
        st.st_ctim.tv_sec == left->changed.tv_sec && st.st_ctim.tv_nsec == left->changed.tv_nsec) {
        return true;
    }
    forget_left_alone(p);
    return false;
}

static void leave_alone(kf_journal_t *j, const char *file, const char *why, bool try_again)
{
    struct stat st;
    size_t n = strlen(file) + 1;

    if (*find_left_alone(j, file) || fstatat(j->folder, file, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return; /* said already, or gone meanwhile */
    }
    kf_log(KF0606, "%s/%s: %s", j->config.directory, file, why);
    kf_left_alone_t *left = malloc(sizeof(*left) + n);
    if (left) {
        left->is_tried_again = try_again;
        left->changed = st.st_ctim;
        left->size = st.st_size;
        memcpy(left->file, file, n);
        left->next = j->left_alone;
        j->left_alone = left;
    }
}

/* What is gone needs nobody any more. */
static void forget_gone(kf_journal_t *j)
{
    struct stat st;

    for (kf_left_alone_t **p = &j->left_alone; *p;) {
        if (fstatat(j->folder, (*p)->file, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
            forget_left_alone(p);
        } else {
            p = &(*p)->next;
        }
    }
}

bool kf_journal_leaves_alone(kf_journal_t *j)
{
    pthread_mutex_lock(&j->adopt_lock);
    bool any = j->left_alone != NULL;
    pthread_mutex_unlock(&j->adopt_lock);
    return any;
}

static bool is_passing(int error)
{
    return kf_journal_is_short(error) || error == ENOENT;
}

/* ---- one segment ---- */

uint16_t kf_journal_index_of(const kf_journal_t *j, kf_str_t name)
{
    for (int i = 0; i < j->config.connection_count; i++) {
        if (kf_str_eq(kf_str_of(j->config.connections[i]), name)) {
            return (uint16_t)i;
        }
    }
    return KF_SEGMENT_UNKNOWN;
}

static uint16_t index_of(void *context, kf_str_t name)
{
    return kf_journal_index_of(((sweep_t *)context)->j, name);
}

static void note_unknown(void *context, kf_str_t name, uint32_t records)
{
    sweep_t *w = context;
    size_t i = 0;

    while (i < w->unknown_count && !kf_str_eq(kf_str_of(w->unknown[i].name), name)) {
        i++;
    }
    if (i == w->unknown_count) {
        unknown_t *p = realloc(w->unknown, (i + 1) * sizeof(*p));
        if (!p) {
            return;
        }
        w->unknown = p;
        w->unknown[i] = (unknown_t){.records = 0};
        memcpy(w->unknown[i].name, name.p, name.n);
        w->unknown_count++;
    }
    w->unknown[i].records += records;
}

/* Opens and locks a file whose owner is dead. @return 0 and *fd; EWOULDBLOCK where he lives; errno */
static int lock_orphan(const kf_journal_t *j, const char *file, int *fd)
{
    struct stat st, named;
    int rc = 0;

    *fd = openat(j->folder, file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0) {
        return errno;
    }
    if (fstat(*fd, &st) != 0) {
        rc = errno;
    } else if (!S_ISREG(st.st_mode)) {
        rc = EINVAL;
    } else if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno;
    } else if (fstatat(j->folder, file, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
               named.st_ino != st.st_ino) {
        rc = ENOENT; /* removed or renamed in the moment between: it is nobody's any more */
    }
    if (rc != 0) {
        close(*fd);
    }
    return rc;
}

static void report_load(const kf_journal_t *j, const kf_segment_t *s, const kf_segment_load_t *load)
{
    if (load->damaged_bytes > 0) {
        kf_log(KF0603, "%s/%s.seg: %llu bytes", j->config.directory, s->name,
               (unsigned long long)load->damaged_bytes);
    }
    if (load->torn_bytes > 0) {
        kf_log(KF0604, "%s/%s.seg: %llu bytes", j->config.directory, s->name,
               (unsigned long long)load->torn_bytes);
    }
    if (load->damaged_notes > 0) {
        kf_log(KF0603, "%s/%s.out: %llu bytes; records of this segment may be delivered again",
               j->config.directory, s->name, (unsigned long long)load->damaged_notes);
    }
}

/* Under the lock: nobody has fetched of it yet. */
static void count_adopted(const kf_journal_t *j, const kf_segment_t *s)
{
    for (int c = 0; j->config.metrics && c < j->config.connection_count; c++) {
        kf_metrics_add(j->config.metrics, c, KF_COUNT_ADOPTED, s->share[c].waiting);
    }
}

/* Puts it on the list, or away where nothing is left to do. @return whether it is the journal's or gone */
static bool settle(kf_journal_t *j, kf_segment_t *s, const char *file)
{
    if (s->outstanding > 0) {
        pthread_mutex_lock(&j->lock);
        bool admitted = kf_journal_admit(j, s);
        if (admitted) {
            count_adopted(j, s);
        }
        pthread_mutex_unlock(&j->lock);
        kf_journal_cool(j);
        return admitted;
    }
    int rc = kf_segment_remove(s, j->folder, j->files);
    if (rc != 0) {
        leave_alone(j, file, strerror(rc), false);
        return false;
    }
    kf_usage_add_files(j->config.usage, KF_USAGE_JOURNAL, -(int64_t)kf_segment_file_bytes(s));
    kf_segment_destroy(s);
    return true;
}

/*
 * Looks after outcomes that are not as they should be: what is wrong is said of their file, which is not written
 * over. @return whether the segment can be used
 */
static bool keep_outcomes(kf_journal_t *j, kf_segment_t *s, const kf_segment_load_t *load)
{
    char file[KF_SEGMENT_FILE_MAX];
    int rc = load->outcomes_error;

    if (rc == 0 && load->damaged_notes > 0) {
        rc = kf_segment_keep_outcomes(s, j->folder, j->files);
    }
    kf_segment_file(s->name, "out", file);
    if (rc != 0 && !is_passing(rc)) {
        leave_alone(j, file, strerror(rc), true);
    }
    kf_left_alone_t **left = find_left_alone(j, file);
    if (rc == 0 && *left) {
        forget_left_alone(left);
    }
    return rc == 0;
}

/* A segment that is locked by us now: reads it. */
static bool take_over(sweep_t *w, kf_segment_t *s, const char *file)
{
    kf_journal_t *j = w->j;
    kf_segment_load_t load;
    kf_segment_names_t names = {index_of, note_unknown, w};
    int rc = kf_segment_load(s, j->folder, &names, &load);

    if ((rc == 0 || load.outcomes_error != 0) && !keep_outcomes(j, s, &load)) {
        return false;
    }
    if (rc != 0 || load.foreign) {
        if (!is_passing(rc)) {
            leave_alone(j, file, rc ? strerror(rc) : "no journal segment of this version", false);
        }
        return false;
    }
    report_load(j, s, &load);
    return settle(j, s, file);
}

static bool adopt_file(sweep_t *w, const char *file, size_t stem)
{
    kf_journal_t *j = w->j;
    int fd;

    if (is_left_alone(j, file)) {
        return false;
    }
    if (stem >= KF_SEGMENT_NAME_MAX) {
        leave_alone(j, file, "no name of a journal segment", false);
        return false;
    }
    int rc = lock_orphan(j, file, &fd);
    if (rc != 0) {
        if (rc != EWOULDBLOCK && !is_passing(rc)) {
            leave_alone(j, file, strerror(rc), true);
        }
        return false;
    }
    kf_left_alone_t **left = find_left_alone(j, file);
    if (*left) {
        forget_left_alone(left);
    }
    kf_segment_t *s = kf_segment_create(j->config.connection_count);
    if (!s) {
        close(fd);
        return false;
    }
    s->fd = fd;
    s->adopted = true;
    memcpy(s->name, file, stem);
    if (!take_over(w, s, file)) {
        kf_segment_destroy(s);
        return false;
    }
    return true;
}

/* ---- all of them ---- */

/* It was measured with the folder. */
static void remove_left_over(kf_journal_t *j, const char *file)
{
    struct stat st;
    bool known = fstatat(j->folder, file, &st, AT_SYMLINK_NOFOLLOW) == 0;

    if (j->files->remove(j->folder, file) == 0 && known) {
        kf_usage_add_files(j->config.usage, KF_USAGE_JOURNAL, -(int64_t)st.st_size);
    }
}

/* A file that its maker did not live to rename holds nothing that was answered for. */
static void remove_unfinished(kf_journal_t *j, const char *file)
{
    int fd;

    if (lock_orphan(j, file, &fd) == 0) {
        remove_left_over(j, file);
        close(fd);
    }
}

/* Outcomes of a segment that is gone: its owner died between the two. */
static void remove_widow(kf_journal_t *j, const char *file, size_t stem)
{
    char name[KF_SEGMENT_NAME_MAX], segment[KF_SEGMENT_FILE_MAX];
    struct stat st;

    memcpy(name, file, stem);
    name[stem] = 0;
    kf_segment_file(name, "seg", segment);
    if (fstatat(j->folder, segment, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
        remove_left_over(j, file);
    }
}

static bool has_suffix(const char *file, size_t n, const char *suffix)
{
    return n > 4 && strcmp(file + n - 4, suffix) == 0;
}

/* Names of this journal's segments, in order: what needs no second look. @return NULL when out of memory */
static char (*own_names(kf_journal_t *j, size_t *count))[KF_SEGMENT_NAME_MAX]
{
    pthread_mutex_lock(&j->lock);
    char(*names)[KF_SEGMENT_NAME_MAX] = malloc(((size_t)j->segment_count + 1) * sizeof(*names));
    *count = 0;
    for (const kf_segment_t *s = names ? j->segments : NULL; s; s = s->next) {
        memcpy(names[(*count)++], s->name, sizeof(s->name));
    }
    pthread_mutex_unlock(&j->lock);
    return names;
}

static bool has_room(kf_journal_t *j)
{
    pthread_mutex_lock(&j->lock);
    bool room = j->segment_count < j->segments_max;
    pthread_mutex_unlock(&j->lock);
    return room;
}

static int sweep(sweep_t *w)
{
    const int64_t end = kf_mono_us() + BUDGET_US;
    size_t own_count, own = 0;
    int adopted = 0;
    char(*names)[KF_SEGMENT_NAME_MAX] = own_names(w->j, &own_count);

    for (size_t i = 0; i < w->count && names; i++) {
        const char *file = w->files[i];
        size_t n = strlen(file), stem = n - 4;
        if (has_suffix(file, n, ".new") && kf_segment_is_name(file, stem)) {
            remove_unfinished(w->j, file);
        } else if (has_suffix(file, n, ".out") && kf_segment_is_name(file, stem)) {
            remove_widow(w->j, file, stem);
        } else if (has_suffix(file, n, ".seg") && kf_mono_us() < end) {
            while (own < own_count && strncmp(names[own], file, stem) < 0) {
                own++;
            }
            bool ours = own < own_count && strlen(names[own]) == stem &&
                        memcmp(names[own], file, stem) == 0;
            adopted += !ours && has_room(w->j) && adopt_file(w, file, stem);
        }
    }
    free(names);
    return adopted;
}

int kf_journal_adopt(kf_journal_t *j)
{
    sweep_t w = {.j = j};
    int adopted = 0;

    pthread_mutex_lock(&j->adopt_lock);
    kf_usage_settle(j->config.usage);
    if (look_around(&w)) {
        kf_usage_set_files(j->config.usage, KF_USAGE_JOURNAL, w.bytes);
        adopted = sweep(&w);
    }
    forget_gone(j);
    pthread_mutex_unlock(&j->adopt_lock);
    for (size_t i = 0; i < w.unknown_count; i++) {
        kf_log(KF0605, "%s: %llu records of connection \"%s\"", j->config.directory,
               (unsigned long long)w.unknown[i].records, w.unknown[i].name);
    }
    free_sweep(&w);
    return adopted;
}
