/* SPDX-License-Identifier: Apache-2.0
 *
 * File operations that fail on demand and are recorded (fault_files.h).
 */
#include "fault_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define NAME_BYTES 96
#define YIELDS 8

typedef struct {
    fault_op_t op;
    int rc;
    uint64_t begin, end;
    uint32_t file; /* create, write, sync */
    uint64_t offset;
    size_t n;
    char *bytes;
    char name[NAME_BYTES], to[NAME_BYTES];
} entry_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    unsigned skip, count;
    int error;
} orders[FAULT_OPS];
static unsigned calls[FAULT_OPS];
static bool recording;
static uint64_t now;
static entry_t *entry;
static size_t entries, entries_cap;
static ino_t *file; /* inode numbers */
static uint32_t file_count, file_cap;

static void check(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

/* ---- failing ---- */

void fault_fail(fault_op_t op, unsigned skip, unsigned count, int error)
{
    pthread_mutex_lock(&lock);
    orders[op].skip = skip;
    orders[op].count = count;
    orders[op].error = error;
    pthread_mutex_unlock(&lock);
}

void fault_clear(void)
{
    for (int i = 0; i < FAULT_OPS; i++) {
        fault_fail((fault_op_t)i, 0, 0, 0);
    }
}

unsigned fault_calls(fault_op_t op)
{
    pthread_mutex_lock(&lock);
    unsigned n = calls[op];
    pthread_mutex_unlock(&lock);
    return n;
}

/* What the order says for this call. Lock held. */
static int ordered(fault_op_t op)
{
    calls[op]++;
    if (orders[op].count == 0) {
        return 0;
    }
    if (orders[op].skip > 0) {
        orders[op].skip--;
        return 0;
    }
    orders[op].count--;
    return orders[op].error;
}

/* ---- recording ---- */

static uint32_t file_of(int fd)
{
    struct stat st;

    check(fstat(fd, &st) == 0, "fstat");
    /* The last one with that number: numbers are used again, after the file is gone. */
    for (uint32_t i = file_count; i > 0; i--) {
        if (file[i - 1] == st.st_ino) {
            return i - 1;
        }
    }
    abort();
}

static uint32_t add_file(int fd)
{
    struct stat st;

    check(fstat(fd, &st) == 0, "fstat");
    if (file_count == file_cap) {
        file_cap = file_cap ? 2 * file_cap : 64;
        file = realloc(file, file_cap * sizeof(*file));
        check(file != NULL, "realloc");
    }
    file[file_count] = st.st_ino;
    return file_count++;
}

/* Notes the begin of an operation, and what is ordered for it. @return its entry, or -1 */
static ssize_t begin(fault_op_t op, int *error)
{
    ssize_t i = -1;

    pthread_mutex_lock(&lock);
    *error = ordered(op);
    if (recording) {
        if (entries == entries_cap) {
            entries_cap = entries_cap ? 2 * entries_cap : 1024;
            entry = realloc(entry, entries_cap * sizeof(*entry));
            check(entry != NULL, "realloc");
        }
        i = (ssize_t)entries++;
        entry[i] = (entry_t){.op = op, .begin = ++now, .end = UINT64_MAX, .file = UINT32_MAX};
    }
    pthread_mutex_unlock(&lock);
    return i;
}

static void set_file(ssize_t i, int fd)
{
    if (i >= 0) {
        pthread_mutex_lock(&lock);
        entry[i].file = entry[i].op == FAULT_CREATE ? add_file(fd) : file_of(fd);
        pthread_mutex_unlock(&lock);
    }
}

static void set_names(ssize_t i, const char *name, const char *to)
{
    if (i >= 0) {
        pthread_mutex_lock(&lock);
        snprintf(entry[i].name, NAME_BYTES, "%s", name);
        snprintf(entry[i].to, NAME_BYTES, "%s", to);
        pthread_mutex_unlock(&lock);
    }
}

static void set_bytes(ssize_t i, const void *bytes, size_t n, uint64_t offset)
{
    if (i >= 0) {
        char *copy = malloc(n);
        check(copy != NULL, "malloc");
        memcpy(copy, bytes, n);
        pthread_mutex_lock(&lock);
        entry[i].bytes = copy;
        entry[i].n = n;
        entry[i].offset = offset;
        pthread_mutex_unlock(&lock);
    }
}

static int end(ssize_t i, int rc)
{
    if (i >= 0) {
        pthread_mutex_lock(&lock);
        entry[i].rc = rc;
        entry[i].end = ++now;
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

static int create(int folder, const char *name, int *fd)
{
    int error;
    ssize_t i = begin(FAULT_CREATE, &error);

    set_names(i, name, "");
    int rc = error ? error : kf_file_system.create(folder, name, fd);
    if (rc == 0) {
        set_file(i, *fd);
    }
    return end(i, rc);
}

static int write_at(int fd, const void *bytes, size_t n, uint64_t offset)
{
    int error;
    ssize_t i = begin(FAULT_WRITE, &error);
    size_t part = error ? n / 2 : n;

    set_file(i, fd);
    set_bytes(i, bytes, part, offset);
    int rc = kf_file_system.write_at(fd, bytes, part, offset);
    return end(i, error ? error : rc);
}

static int sync_data(int fd)
{
    int error;
    ssize_t i = begin(FAULT_SYNC, &error);

    set_file(i, fd);
    /* The disk is played later, so the real one need not be waited for; others may write meanwhile. */
    for (int k = 0; k < YIELDS; k++) {
        sched_yield();
    }
    return end(i, error);
}

static int sync_folder(int folder)
{
    int error;
    ssize_t i = begin(FAULT_SYNC_FOLDER, &error);

    (void)folder;
    return end(i, error);
}

static int rename_in(int folder, const char *from, const char *to)
{
    int error;
    ssize_t i = begin(FAULT_RENAME, &error);

    set_names(i, from, to);
    return end(i, error ? error : kf_file_system.rename(folder, from, to));
}

static int remove_from(int folder, const char *name)
{
    int error;
    ssize_t i = begin(FAULT_REMOVE, &error);

    set_names(i, name, "");
    return end(i, error ? error : kf_file_system.remove(folder, name));
}

const kf_file_ops_t fault_files = {create,      write_at,  sync_data,
                                   sync_folder, rename_in, remove_from};

void fault_record_start(void)
{
    fault_record_free();
    recording = true;
}

void fault_record_stop(void)
{
    recording = false;
}

void fault_record_free(void)
{
    for (size_t i = 0; i < entries; i++) {
        free(entry[i].bytes);
    }
    free(entry);
    free(file);
    entry = NULL;
    file = NULL;
    entries = entries_cap = 0;
    file_count = file_cap = 0;
    now = 0;
    recording = false;
}

uint64_t fault_now(void)
{
    pthread_mutex_lock(&lock);
    uint64_t moment = ++now;
    pthread_mutex_unlock(&lock);
    return moment;
}

/* ---- the power cut ---- */

static uint64_t next_random(uint64_t *seed)
{
    *seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/*
 * Whether a write or a change of names is on the disk for certain: a sync that began after it ended was
 * over before the cut. One that failed lets the kernel forget what it should have written.
 */
static bool is_safe(const entry_t *e, uint64_t moment)
{
    bool of_names = e->op != FAULT_WRITE;

    for (const entry_t *s = e + 1; s < entry + entries; s++) {
        bool covers =
            of_names ? s->op == FAULT_SYNC_FOLDER : s->op == FAULT_SYNC && s->file == e->file;
        if (!covers || s->begin < e->end) {
            continue;
        }
        if (s->begin > moment || (s->rc != 0 && s->end <= moment)) {
            return false;
        }
        if (s->end <= moment) {
            return true;
        }
    }
    return false;
}

typedef struct {
    char name[NAME_BYTES];
    uint32_t file;
} name_t;

typedef struct {
    name_t *name;
    size_t count;
} names_t;

static name_t *find_name(names_t *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->name[i].name, name) == 0) {
            return &names->name[i];
        }
    }
    return NULL;
}

static void drop_name(names_t *names, name_t *name)
{
    if (name) {
        *name = names->name[--names->count];
    }
}

static void change_names(names_t *names, const entry_t *e)
{
    name_t *at = find_name(names, e->name);

    if (e->op == FAULT_CREATE) {
        name_t *added = &names->name[names->count++];
        memcpy(added->name, e->name, NAME_BYTES);
        added->file = e->file;
    } else if (e->op == FAULT_REMOVE) {
        drop_name(names, at);
    } else if (at) {
        drop_name(names, find_name(names, e->to));
        at = find_name(names, e->name);
        memcpy(at->name, e->to, NAME_BYTES);
    }
}

/* A journaling file system keeps the order of changes of names; others need not. */
static void play_names(names_t *names, uint64_t moment, uint64_t *seed)
{
    bool ordered_disk = next_random(seed) % 2;
    bool stopped = false;

    for (size_t i = 0; i < entries; i++) {
        const entry_t *e = &entry[i];
        bool of_names = e->op == FAULT_CREATE || e->op == FAULT_RENAME || e->op == FAULT_REMOVE;
        if (!of_names || e->rc != 0 || e->begin > moment) {
            continue;
        }
        bool lost = next_random(seed) % 4 == 0;
        if (is_safe(e, moment) || (ordered_disk ? !stopped && !lost : next_random(seed) % 2)) {
            change_names(names, e);
        } else {
            stopped = true;
        }
    }
}

static void play_write(int fd, const entry_t *e, bool safe, uint64_t *seed)
{
    uint64_t way = safe ? 0 : next_random(seed) % 3; /* all of it, nothing, some sectors */

    for (size_t done = 0; done < e->n;) {
        size_t step = SECTOR - (size_t)((e->offset + done) % SECTOR);
        step = step < e->n - done ? step : e->n - done;
        if (way == 0 || (way == 2 && next_random(seed) % 2)) {
            ssize_t w = pwrite(fd, e->bytes + done, step, (off_t)(e->offset + done));
            check(w == (ssize_t)step, "pwrite");
        }
        done += step;
    }
}

static void play_file(int folder, const name_t *name, uint64_t moment, uint64_t *seed)
{
    int fd = openat(folder, name->name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    check(fd >= 0, name->name);
    for (size_t i = 0; i < entries; i++) {
        const entry_t *e = &entry[i];
        if (e->op == FAULT_WRITE && e->file == name->file && e->begin <= moment) {
            play_write(fd, e, is_safe(e, moment), seed);
        }
    }
    close(fd);
}

void fault_power_cut(int folder, uint64_t moment, uint64_t seed)
{
    names_t names = {calloc(entries + 1, sizeof(name_t)), 0};

    check(names.name != NULL, "calloc");
    play_names(&names, moment, &seed);
    for (size_t i = 0; i < names.count; i++) {
        play_file(folder, &names.name[i], moment, &seed);
    }
    free(names.name);
}

/* ---- folders ---- */

void fault_folder_make(char *path)
{
    const char *base = getenv("TMPDIR");

    snprintf(path, 256, "%s/kf-test-XXXXXX", base && strlen(base) < 200 ? base : "/tmp");
    check(mkdtemp(path) != NULL, "mkdtemp");
}

static void each_file(const char *path, void (*fn)(int folder, const char *name, void *context),
                      void *context)
{
    DIR *folder = opendir(path);

    check(folder != NULL, path);
    for (struct dirent *e = readdir(folder); e; e = readdir(folder)) {
        if (e->d_name[0] != '.') {
            fn(dirfd(folder), e->d_name, context);
        }
    }
    closedir(folder);
}

static void remove_one(int folder, const char *name, void *context)
{
    (void)context;
    check(unlinkat(folder, name, 0) == 0, name);
}

void fault_folder_remove(const char *path)
{
    each_file(path, remove_one, NULL);
    check(rmdir(path) == 0, path);
}

typedef struct {
    const char *suffix;
    unsigned count;
    uint64_t bytes;
} sum_t;

static void add_up(int folder, const char *name, void *context)
{
    sum_t *sum = context;
    struct stat st;
    size_t n = strlen(name), m = strlen(sum->suffix);

    if (n >= m && strcmp(name + n - m, sum->suffix) == 0) {
        check(fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0, name);
        sum->count++;
        sum->bytes += (uint64_t)st.st_size;
    }
}

unsigned fault_folder_count(const char *path, const char *suffix)
{
    sum_t sum = {.suffix = suffix};

    each_file(path, add_up, &sum);
    return sum.count;
}

uint64_t fault_folder_bytes(const char *path)
{
    sum_t sum = {.suffix = ""};

    each_file(path, add_up, &sum);
    return sum.bytes;
}
