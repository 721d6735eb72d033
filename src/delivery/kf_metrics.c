/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers in memory (kf_metrics.h). Must not know what they mean, beyond the list. The parent opens
 * before children are forked; children count and read; nothing here waits for a lock.
 *
 * The memory is anonymous mappings, chained: first the root with the children's places, then chunks of
 * rows, one row a connection that ever was, each with a cell for each place. Pages that nobody touches
 * cost nothing. A child knows the mappings that were there when it was forked, and no others are of
 * connections that it has. That a place's child is dead is told by a robust mutex that it holds.
 */
#include "delivery/kf_metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/kf_limits.h"
#include "delivery/kf_history.h"

/* A chunk has rows for so many connections at least, and for as many as there are already. */
#define ROWS_MIN 16
/* A reader that meets a writer tries again so often. */
#define READ_TRIES 8
/* The place that is shared by children without one. */
#define SPARE 0

/* At the beginning of each mapping, the same in all versions: who gives memory of another layout up
 * reads it. Addresses are the parent's, and those of children forked after they were set. */
typedef struct head_t head_t;
struct head_t {
    uint64_t layout;
    uint64_t bytes;
    head_t *next;
};

typedef struct {
    _Alignas(64) pthread_mutex_t alive;
    _Atomic int64_t beat_us; /* monotonic; 0: nobody */
} place_t;

typedef struct {
    head_t head;
    int places;       /* children's; the spare one comes before them */
    _Atomic int used; /* places that ever were used, the spare one included */
    _Atomic int64_t server[KF_SERVER_COUNT];
    place_t place[];
} root_t;

typedef struct {
    char name[KF_CONNECTION_NAME_MAX + 1];
    _Atomic int64_t leader[KF_GAUGE_COUNT]; /* those of scope LEADER */
    kf_history_ring_t history;
} row_t;

#define ERROR_WORDS ((sizeof(kf_last_error_t) + 7) / 8)

/* A connection's numbers by one child; whole cache lines, in pairs as processors fetch them. */
typedef struct {
    _Alignas(128) _Atomic uint64_t count[KF_COUNT_MAX];
    struct {
        _Atomic uint64_t sum, bucket[KF_BUCKETS_MAX];
    } histogram[KF_HISTOGRAM_COUNT];
    _Atomic int64_t beat_us; /* when the gauges were right; 0: they say nothing */
    _Atomic int64_t gauge[KF_GAUGE_COUNT];
    _Atomic uint64_t error_turn; /* odd: being written, perhaps by one that died of it */
    _Atomic uint64_t error[ERROR_WORDS];
} cell_t;

typedef struct {
    head_t head;
    int rows, named;
    row_t row[];
    /* then the cells: all rows' of the first place, of the second, ... */
} chunk_t;

typedef struct {
    row_t *row;
    cell_t *first;   /* the spare place's */
    ptrdiff_t apart; /* cells from place to place */
} mine_t;

struct kf_metrics_t {
    root_t *root;
    int place; /* this child's */
    bool is_joined;
    int connections;
    mine_t mine[];
};

/* ------------------------------------------------------------------------ memory */

static size_t aligned(size_t n)
{
    return (n + _Alignof(cell_t) - 1) / _Alignof(cell_t) * _Alignof(cell_t);
}

static size_t cells_at(int rows)
{
    return aligned(sizeof(chunk_t) + (size_t)rows * sizeof(row_t));
}

static cell_t *cells_of(chunk_t *chunk)
{
    return (cell_t *)(void *)((char *)chunk + cells_at(chunk->rows));
}

static void *map(size_t bytes)
{
    head_t *head = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (head == MAP_FAILED)
        return NULL;
    head->layout = kf_metrics_layout();
    head->bytes = bytes;
    return head;
}

void kf_metrics_discard(void **kept)
{
    head_t *head = *kept;

    while (head) {
        head_t *next = head->next;

        munmap(head, head->bytes);
        head = next;
    }
    *kept = NULL;
}

static bool make_places(root_t *root)
{
    pthread_mutexattr_t robust;
    int rc = pthread_mutexattr_init(&robust);

    if (rc != 0)
        return false;
    rc = pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    rc = rc ? rc : pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    for (int i = 0; i <= root->places && rc == 0; i++)
        rc = pthread_mutex_init(&root->place[i].alive, &robust);
    pthread_mutexattr_destroy(&robust);
    return rc == 0;
}

static root_t *make_root(int children)
{
    size_t places = (size_t)(children > 0 ? children : 1) + 1;
    root_t *root = map(sizeof(root_t) + places * sizeof(place_t));
    void *given_up = root;

    if (!root)
        return NULL;
    root->places = (int)places - 1;
    atomic_store(&root->used, 1);
    atomic_store(&root->server[KF_SERVER_START_TIME], kf_wall_us());
    if (make_places(root))
        return root;
    kf_metrics_discard(&given_up);
    return NULL;
}

static chunk_t *make_chunk(root_t *root, int rows)
{
    size_t cells = (size_t)rows * (size_t)(root->places + 1);
    chunk_t *chunk = map(cells_at(rows) + cells * sizeof(cell_t));

    if (chunk) {
        chunk->rows = rows;
        chunk->head.next = root->head.next;
        root->head.next = &chunk->head;
    }
    return chunk;
}

/* -------------------------------------------------------------------------- rows */

static mine_t mine_of(chunk_t *chunk, int row)
{
    return (mine_t){&chunk->row[row], cells_of(chunk) + row, chunk->rows};
}

/* @return whether the name has a row */
static bool find(const root_t *root, const char *name, mine_t *mine)
{
    for (head_t *head = root->head.next; head; head = head->next) {
        chunk_t *chunk = (chunk_t *)(void *)head;

        for (int i = 0; i < chunk->named; i++)
            if (strncmp(chunk->row[i].name, name, KF_CONNECTION_NAME_MAX) == 0) {
                *mine = mine_of(chunk, i);
                return true;
            }
    }
    return false;
}

/* Rows are given out in the chunk that was made last; the others are full, or nearly. */
static void name_row(root_t *root, const char *name, mine_t *mine)
{
    chunk_t *chunk = (chunk_t *)(void *)root->head.next;

    strncpy(chunk->row[chunk->named].name, name, KF_CONNECTION_NAME_MAX);
    *mine = mine_of(chunk, chunk->named++);
}

/* Makes sure that the newest chunk has so many rows left. */
static bool make_room(root_t *root, int wanted)
{
    chunk_t *newest = (chunk_t *)(void *)root->head.next;
    int rows = wanted > ROWS_MIN ? wanted : ROWS_MIN;

    if (newest && newest->rows - newest->named >= wanted)
        return true;
    if (newest && rows < newest->rows)
        rows = newest->rows;
    return make_chunk(root, rows) != NULL;
}

static bool find_rows(kf_metrics_t *m, const char *const *names)
{
    int missing = 0;

    for (int c = 0; c < m->connections; c++)
        missing += !find(m->root, names[c], &m->mine[c]);
    if (missing > 0 && !make_room(m->root, missing))
        return false;
    for (int c = 0; c < m->connections && missing > 0; c++)
        if (!m->mine[c].row)
            name_row(m->root, names[c], &m->mine[c]);
    return true;
}

kf_metrics_t *kf_metrics_open(void **kept, const char *const *names, int n, int children)
{
    kf_metrics_t *m = calloc(1, sizeof *m + (size_t)n * sizeof m->mine[0]);

    if (!m)
        return NULL;
    if (*kept && ((head_t *)*kept)->layout != kf_metrics_layout())
        kf_metrics_discard(kept);
    if (!*kept)
        *kept = make_root(children);
    m->root = *kept;
    m->connections = n;
    m->place = SPARE;
    if (!m->root || !find_rows(m, names)) {
        free(m);
        return NULL;
    }
    atomic_fetch_add(&m->root->server[KF_SERVER_GENERATION], 1);
    return m;
}

void kf_metrics_close(kf_metrics_t *metrics)
{
    free(metrics);
}

/* ------------------------------------------------------------------------ places */

static cell_t *cell_at(const kf_metrics_t *m, int connection, int place)
{
    return m->mine[connection].first + place * m->mine[connection].apart;
}

static cell_t *cell_of(const kf_metrics_t *m, int connection)
{
    return cell_at(m, connection, m->place);
}

/* The gauges there say nothing any more. */
static void silence(kf_metrics_t *m, int place)
{
    if (atomic_exchange(&m->root->place[place].beat_us, 0) == 0)
        return;
    for (int c = 0; c < m->connections; c++)
        atomic_store(&cell_at(m, c, place)->beat_us, 0);
}

/* @return whether nobody alive has the place; then it is the caller's */
static bool take_place(kf_metrics_t *m, int place)
{
    pthread_mutex_t *alive = &m->root->place[place].alive;
    int rc = pthread_mutex_trylock(alive);

    if (rc == EOWNERDEAD)
        pthread_mutex_consistent(alive);
    if (rc != 0 && rc != EOWNERDEAD)
        return false;
    silence(m, place);
    return true;
}

bool kf_metrics_join(kf_metrics_t *m)
{
    for (int i = SPARE + 1; i <= m->root->places && !m->is_joined; i++) {
        int used = atomic_load(&m->root->used);

        if (!take_place(m, i))
            continue;
        while (used <= i && !atomic_compare_exchange_weak(&m->root->used, &used, i + 1))
            ;
        m->place = i;
        m->is_joined = true;
    }
    return m->is_joined;
}

void kf_metrics_leave(kf_metrics_t *m)
{
    if (!m->is_joined)
        return;
    m->is_joined = false;
    silence(m, m->place);
    pthread_mutex_unlock(&m->root->place[m->place].alive);
}

void kf_metrics_reap(kf_metrics_t *m)
{
    int used = atomic_load(&m->root->used);

    for (int i = SPARE + 1; i < used; i++)
        if (take_place(m, i))
            pthread_mutex_unlock(&m->root->place[i].alive);
}

/* ---------------------------------------------------------------------- counting */

void kf_metrics_add(kf_metrics_t *m, int connection, kf_count_t count, uint64_t n)
{
    if (n > 0)
        atomic_fetch_add_explicit(&cell_of(m, connection)->count[count], n, memory_order_relaxed);
}

static int bucket_of(kf_histogram_id_t histogram, int64_t value)
{
    const kf_histogram_info_t *info = kf_histogram_info(histogram);
    int i = 0;

    while (i < info->bound_count && value > info->bounds[i])
        i++;
    return i;
}

void kf_metrics_observe(kf_metrics_t *m, int connection, kf_histogram_id_t histogram, int64_t value,
                        uint64_t n)
{
    cell_t *cell = cell_of(m, connection);
    int bucket = bucket_of(histogram, value);

    if (n == 0)
        return;
    atomic_fetch_add_explicit(&cell->histogram[histogram].bucket[bucket], n, memory_order_relaxed);
    if (value > 0)
        atomic_fetch_add_explicit(&cell->histogram[histogram].sum, n * (uint64_t)value,
                                  memory_order_relaxed);
}

void kf_metrics_set(kf_metrics_t *m, int connection, kf_gauge_id_t gauge, int64_t value)
{
    if (kf_gauge_info(gauge)->scope == KF_SCOPE_LEADER)
        atomic_store_explicit(&m->mine[connection].row->leader[gauge], value, memory_order_relaxed);
    else if (m->is_joined)
        atomic_store_explicit(&cell_of(m, connection)->gauge[gauge], value, memory_order_relaxed);
}

void kf_metrics_set_server(kf_metrics_t *m, kf_server_gauge_t gauge, int64_t value)
{
    atomic_store_explicit(&m->root->server[gauge], value, memory_order_relaxed);
}

void kf_metrics_beat(kf_metrics_t *m)
{
    int64_t now_us = kf_mono_us();

    if (!m->is_joined)
        return;
    atomic_store(&m->root->place[m->place].beat_us, now_us);
    for (int c = 0; c < m->connections; c++)
        atomic_store_explicit(&cell_of(m, c)->beat_us, now_us, memory_order_release);
}

/* ------------------------------------------------------------------------ errors */

/* Words are stored with release and read with acquire: who sees one of a later text also sees that the
 * turn has gone on. */
void kf_metrics_set_error(kf_metrics_t *m, int connection, const kf_last_error_t *error)
{
    uint64_t words[ERROR_WORDS] = {0}, turn;
    cell_t *cell = cell_of(m, connection);

    if (!m->is_joined)
        return;
    memcpy(words, error, sizeof *error);
    turn = atomic_load_explicit(&cell->error_turn, memory_order_relaxed) | 1;
    atomic_store_explicit(&cell->error_turn, turn, memory_order_relaxed);
    for (size_t i = 0; i < ERROR_WORDS; i++)
        atomic_store_explicit(&cell->error[i], words[i], memory_order_release);
    atomic_store_explicit(&cell->error_turn, turn + 1, memory_order_release);
}

/* @return false if there is none, or it is being written */
static bool read_error(cell_t *cell, kf_last_error_t *error)
{
    uint64_t words[ERROR_WORDS];

    for (int tries = 0; tries < READ_TRIES; tries++) {
        uint64_t turn = atomic_load_explicit(&cell->error_turn, memory_order_acquire);

        if (turn == 0)
            return false;
        for (size_t i = 0; i < ERROR_WORDS; i++)
            words[i] = atomic_load_explicit(&cell->error[i], memory_order_acquire);
        if (turn % 2 == 0 &&
            turn == atomic_load_explicit(&cell->error_turn, memory_order_relaxed)) {
            memcpy(error, words, sizeof *error);
            return true;
        }
    }
    return false;
}

/* ----------------------------------------------------------------------- reading */

int kf_metrics_connections(const kf_metrics_t *metrics)
{
    return metrics->connections;
}

const char *kf_metrics_name(const kf_metrics_t *metrics, int connection)
{
    return metrics->mine[connection].row->name;
}

kf_history_ring_t *kf_metrics_history(const kf_metrics_t *metrics, int connection)
{
    return &metrics->mine[connection].row->history;
}

static uint64_t load(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

uint64_t kf_metrics_count(const kf_metrics_t *m, int connection, kf_count_t count)
{
    int used = atomic_load(&m->root->used);
    uint64_t sum = 0;

    for (int i = 0; i < used; i++)
        sum += load(&cell_at(m, connection, i)->count[count]);
    return sum;
}

uint64_t kf_metrics_family(const kf_metrics_t *m, int connection, kf_metric_family_t family)
{
    uint64_t sum = 0;

    for (int i = 0; i < KF_COUNT_MAX; i++)
        if (kf_count_info((kf_count_t)i)->family == family)
            sum += kf_metrics_count(m, connection, (kf_count_t)i);
    return sum;
}

static bool is_heard(int64_t beat_us, int64_t now_us)
{
    return beat_us != 0 && now_us - beat_us < KF_METRICS_SILENT_US;
}

int64_t kf_metrics_server(const kf_metrics_t *m, kf_server_gauge_t gauge)
{
    int used = atomic_load(&m->root->used);
    int64_t now_us = kf_mono_us(), living = 0;

    if (gauge != KF_SERVER_CHILDREN)
        return atomic_load_explicit(&m->root->server[gauge], memory_order_relaxed);
    for (int i = 0; i < used; i++)
        living += is_heard(atomic_load(&m->root->place[i].beat_us), now_us);
    return living;
}

static void add_cell(cell_t *cell, kf_connection_metrics_t *out)
{
    kf_last_error_t error;

    for (int i = 0; i < KF_COUNT_MAX; i++)
        out->count[i] += load(&cell->count[i]);
    for (int h = 0; h < KF_HISTOGRAM_COUNT; h++) {
        out->histogram[h].sum += load(&cell->histogram[h].sum);
        for (int b = 0; b < KF_BUCKETS_MAX; b++) {
            uint64_t n = load(&cell->histogram[h].bucket[b]);

            out->histogram[h].bucket[b] += n;
            out->histogram[h].count += n;
        }
    }
    if (read_error(cell, &error) && error.at_us > out->error.at_us)
        out->error = error;
}

static void add_gauges(cell_t *cell, int64_t now_us, int64_t gauge[])
{
    if (!is_heard(atomic_load_explicit(&cell->beat_us, memory_order_acquire), now_us))
        return;
    for (int g = 0; g < KF_GAUGE_COUNT; g++) {
        int64_t value = atomic_load_explicit(&cell->gauge[g], memory_order_relaxed);
        kf_combine_t combine = kf_gauge_info((kf_gauge_id_t)g)->combine;

        if (combine == KF_COMBINE_SUM)
            gauge[g] += value;
        else if (combine == KF_COMBINE_MAX && value > gauge[g])
            gauge[g] = value;
        else if (combine == KF_COMBINE_OLDEST && value != 0 && (gauge[g] == 0 || value < gauge[g]))
            gauge[g] = value;
    }
}

/* What has an age is a microsecond old at least: 0 means that there is nothing. */
static void finish_gauges(const row_t *row, int64_t gauge[])
{
    int64_t wall_us = kf_wall_us();

    for (int g = 0; g < KF_GAUGE_COUNT; g++) {
        const kf_gauge_info_t *info = kf_gauge_info((kf_gauge_id_t)g);

        if (info->scope == KF_SCOPE_LEADER)
            gauge[g] = atomic_load_explicit(&row->leader[g], memory_order_relaxed);
        if (info->unit == KF_UNIT_AGE && gauge[g] != 0)
            gauge[g] = wall_us > gauge[g] ? wall_us - gauge[g] : 1;
    }
}

void kf_metrics_read(const kf_metrics_t *m, int connection, kf_connection_metrics_t *out)
{
    int used = atomic_load(&m->root->used);
    int64_t now_us = kf_mono_us();

    memset(out, 0, sizeof *out);
    for (int i = 0; i < used; i++) {
        add_cell(cell_at(m, connection, i), out);
        add_gauges(cell_at(m, connection, i), now_us, out->gauge);
    }
    finish_gauges(m->mine[connection].row, out->gauge);
}

int64_t kf_histogram_quantile(kf_histogram_id_t id, const kf_histogram_t *histogram, double part)
{
    const kf_histogram_info_t *info = kf_histogram_info(id);
    double wanted = part * (double)histogram->count, before = 0;

    if (histogram->count == 0)
        return -1;
    for (int i = 0; i < info->bound_count; i++) {
        double n = (double)histogram->bucket[i];
        int64_t low = i > 0 ? info->bounds[i - 1] : 0;

        if (n > 0 && before + n >= wanted)
            return low + (int64_t)((double)(info->bounds[i] - low) * (wanted - before) / n);
        before += n;
    }
    return info->bounds[info->bound_count - 1];
}
