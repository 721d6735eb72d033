/* SPDX-License-Identifier: Apache-2.0
 *
 * The alerts that a server's children share.
 */
#include "delivery/kf_alert_cells.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Longest wait for the lock. */
#define LOCK_US (100 * KF_MS)
/* The words of what is raised already are written anew at most so often. */
#define WORDS_US KF_SEC

/* Each message that is an alert has a place in a row: S_n for the message n, where E_n - S_n says whether
 * there is one. */
enum {
    BEFORE = -1,
#define KF_MSG(number, level, alert, text, advice) \
    S_##number, E_##number = (KF_ALERT_##alert) == KF_ALERT_LOG ? S_##number - 1 : S_##number,
#include "base/kf_messages.def"
#undef KF_MSG
    PLACES
};
static const signed char places[KF_MSG_COUNT] = {
#define KF_MSG(number, level, alert, text, advice) \
    [KF##number] = (KF_ALERT_##alert) == KF_ALERT_LOG ? -1 : S_##number,
#include "base/kf_messages.def"
#undef KF_MSG
};
_Static_assert((int)PLACES <= 64, "a row's flags are one word");

typedef struct {
    _Atomic int32_t pid;     /* who met it last; 0: nobody who lives */
    _Atomic uint32_t change; /* goes up with each, */
    _Atomic uint32_t saved;  /* and what of it the index has */
    _Atomic uint64_t count;
    _Atomic int64_t last_us;
    _Atomic int64_t id;
    _Atomic int64_t told_us;   /* first_us of the episode that is told */
    _Atomic int32_t claimer;   /* process that is telling it; 0: none */
    _Atomic int64_t remind_us; /* when it was logged last; wall clock */
    _Atomic int64_t doubt_us;  /* since when it is in doubt, monotonic; 0: it is not */
    /* Under the lock, but for who didn't get it in time. */
    _Atomic int64_t first_us, cleared_us;
    char text[KF_ALERT_TEXT_MAX];
    char code[KF_ALERT_CODE_MAX];
    char request_id[KF_ALERT_REQUEST_MAX];
} cell_t;

typedef struct {
    _Alignas(64) _Atomic uint64_t raised; /* a bit a place */
    cell_t cells[PLACES];
} row_t;

struct kf_alert_cells_t {
    _Alignas(64) pthread_mutex_t lock;
    int rows;
    _Alignas(64) _Atomic uint64_t changes;
    row_t row[];
};

size_t kf_alert_cells_size(int connections)
{
    return sizeof(kf_alert_cells_t) + (size_t)(connections + 1) * sizeof(row_t);
}

kf_alert_cells_t *kf_alert_cells_init(void *memory, int connections)
{
    kf_alert_cells_t *cells = memory;
    pthread_mutexattr_t how;
    int rc = pthread_mutexattr_init(&how);

    if (rc != 0)
        return NULL;
    rc = pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    if (rc == 0)
        rc = pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    if (rc == 0)
        rc = pthread_mutex_init(&cells->lock, &how);
    pthread_mutexattr_destroy(&how);
    cells->rows = connections + 1;
    return rc == 0 ? cells : NULL;
}

int kf_alert_cells_server(const kf_alert_cells_t *cells)
{
    return cells->rows - 1;
}

static cell_t *cell_of(kf_alert_cells_t *cells, int row, kf_msg_t msg)
{
    return &cells->row[row].cells[places[msg]];
}

static uint64_t bit_of(kf_msg_t msg)
{
    return UINT64_C(1) << (unsigned)places[msg];
}

/* ---- texts ---- */

/* Bytes of the character at p, with n left; 0: it is none. */
static size_t character(const unsigned char *p, size_t n)
{
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (length == 0 || length > n || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than need be, surrogates, beyond the last. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

static void put_text(char *to, size_t size, const char *from)
{
    size_t n = from ? strlen(from) : 0, at = 0;

    for (size_t i = 0; i < n;) {
        size_t length = character((const unsigned char *)from + i, n - i);
        bool is_harmless = length > 1 || (length == 1 && from[i] >= 0x20 && from[i] != 0x7f);

        if (at + (length ? length : 1) >= size)
            break;
        if (is_harmless)
            memcpy(to + at, from + i, length);
        else
            to[at] = '?';
        at += is_harmless ? length : 1;
        i += length ? length : 1;
    }
    to[at] = '\0';
}

static void put_words(cell_t *cell, const kf_alert_words_t *words)
{
    put_text(cell->text, sizeof cell->text, words->text);
    put_text(cell->code, sizeof cell->code, words->code);
    put_text(cell->request_id, sizeof cell->request_id, words->request_id);
}

/* ---- the lock ---- */

static void mend(char *text, size_t size)
{
    char copy[KF_ALERT_TEXT_MAX];

    memcpy(copy, text, size);
    copy[size - 1] = '\0';
    put_text(text, size, copy);
}

/* Its owner died in the middle of a copy, perhaps: texts are texts again. */
static void mend_all(kf_alert_cells_t *cells)
{
    for (int r = 0; r < cells->rows; r++)
        for (int p = 0; p < PLACES; p++) {
            cell_t *cell = &cells->row[r].cells[p];

            mend(cell->text, sizeof cell->text);
            mend(cell->code, sizeof cell->code);
            mend(cell->request_id, sizeof cell->request_id);
        }
}

static bool lock(kf_alert_cells_t *cells)
{
    struct timespec until;
    int rc = pthread_mutex_trylock(&cells->lock);

    if (rc == EBUSY) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(LOCK_US * 1000);
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        rc = pthread_mutex_timedlock(&cells->lock, &until);
    }
    if (rc == EOWNERDEAD) {
        mend_all(cells);
        rc = pthread_mutex_consistent(&cells->lock);
    }
    return rc == 0;
}

static void unlock(kf_alert_cells_t *cells, bool is_locked)
{
    if (is_locked)
        pthread_mutex_unlock(&cells->lock);
}

static void changed(kf_alert_cells_t *cells, cell_t *cell)
{
    atomic_fetch_add(&cell->change, 1);
    atomic_fetch_add(&cells->changes, 1);
}

/* ---- who meets them ---- */

bool kf_alert_cells_raised(const kf_alert_cells_t *cells, int row, kf_msg_t msg)
{
    return places[msg] >= 0 && (atomic_load(&cells->row[row].raised) & bit_of(msg));
}

bool kf_alert_cells_any(const kf_alert_cells_t *cells, int row)
{
    return atomic_load_explicit(&cells->row[row].raised, memory_order_relaxed) != 0;
}

static uint64_t times_of(const kf_alert_words_t *words)
{
    return words->times > 0 ? words->times : 1;
}

/* An episode begins, or goes on where the last one has hardly ended. Under the lock. */
static bool begin(cell_t *cell, const kf_alert_words_t *words, int64_t now_us, int64_t since_us,
                  int64_t again_us)
{
    bool goes_on = cell->first_us != 0 && now_us >= since_us && now_us - since_us < again_us;

    if (goes_on) {
        atomic_fetch_add(&cell->count, times_of(words));
    } else {
        /* Never the same as the one before: it tells them apart. */
        cell->first_us = now_us != cell->first_us ? now_us : now_us + 1;
        atomic_store(&cell->id, 0);
        atomic_store(&cell->count, times_of(words));
    }
    return !goes_on;
}

static void met(cell_t *cell, int64_t now_us)
{
    atomic_store(&cell->pid, (int32_t)getpid());
    atomic_store(&cell->doubt_us, 0);
    atomic_store(&cell->last_us, now_us);
}

/* It is raised already. */
static void repeat(kf_alert_cells_t *cells, cell_t *cell, const kf_alert_words_t *words,
                   int64_t now_us)
{
    int64_t last_us = atomic_load(&cell->last_us);

    met(cell, now_us);
    atomic_fetch_add(&cell->count, times_of(words));
    if (now_us - last_us >= WORDS_US && lock(cells)) {
        put_words(cell, words);
        unlock(cells, true);
    }
    changed(cells, cell);
}

/* The flag comes last, so that nobody repeats what has not begun. Without the lock the episode goes on,
 * whichever it is. @return whether it was not raised */
static bool set_raised(kf_alert_cells_t *cells, int row, kf_msg_t msg,
                       const kf_alert_words_t *words, int64_t now_us, bool is_locked)
{
    cell_t *cell = cell_of(cells, row, msg);
    bool is_new;

    if (kf_alert_cells_raised(cells, row, msg))
        return false;
    if (is_locked) {
        begin(cell, words, now_us, cell->cleared_us, KF_ALERT_AGAIN_US);
        put_words(cell, words);
    } else {
        int64_t none = 0;

        atomic_fetch_add(&cell->count, times_of(words));
        atomic_compare_exchange_strong(&cell->first_us, &none, now_us);
    }
    cell->cleared_us = 0;
    atomic_store(&cell->remind_us, now_us);
    met(cell, now_us);
    is_new = !(atomic_fetch_or(&cells->row[row].raised, bit_of(msg)) & bit_of(msg));
    changed(cells, cell);
    return is_new;
}

bool kf_alert_cells_raise(kf_alert_cells_t *cells, int row, kf_msg_t msg,
                          const kf_alert_words_t *words)
{
    int64_t now_us = kf_wall_us();
    bool is_new = false;

    if (places[msg] < 0)
        return true;
    if (!kf_alert_cells_raised(cells, row, msg)) {
        bool is_locked = lock(cells);

        is_new = set_raised(cells, row, msg, words, now_us, is_locked);
        unlock(cells, is_locked);
    }
    if (!is_new)
        repeat(cells, cell_of(cells, row, msg), words, now_us);
    return is_new;
}

bool kf_alert_cells_event(kf_alert_cells_t *cells, int row, kf_msg_t msg,
                          const kf_alert_words_t *words)
{
    cell_t *cell;
    int64_t now_us = kf_wall_us();
    bool is_locked, is_new;

    if (places[msg] < 0)
        return true;
    cell = cell_of(cells, row, msg);
    is_locked = lock(cells);
    is_new = begin(cell, words, now_us, atomic_load(&cell->last_us), KF_ALERT_EVENT_US);
    met(cell, now_us);
    cell->cleared_us = now_us;
    if (is_locked)
        put_words(cell, words);
    changed(cells, cell);
    unlock(cells, is_locked);
    return is_new;
}

bool kf_alert_cells_clear(kf_alert_cells_t *cells, int row, kf_msg_t msg)
{
    cell_t *cell;
    bool is_locked, was;

    if (!kf_alert_cells_raised(cells, row, msg))
        return false;
    cell = cell_of(cells, row, msg);
    is_locked = lock(cells);
    was = atomic_fetch_and(&cells->row[row].raised, ~bit_of(msg)) & bit_of(msg);
    if (was) {
        cell->cleared_us = kf_wall_us();
        changed(cells, cell);
    }
    unlock(cells, is_locked);
    return was;
}

static bool is_gone(int32_t pid)
{
    return pid == 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

bool kf_alert_cells_orphaned(const kf_alert_cells_t *cells, int row, kf_msg_t msg)
{
    return kf_alert_cells_raised(cells, row, msg) &&
           is_gone(atomic_load(&cells->row[row].cells[places[msg]].pid));
}

/* ---- who looks after them ---- */

bool kf_alert_cells_read(kf_alert_cells_t *cells, int row, kf_msg_t msg, kf_alert_state_t *state)
{
    cell_t *cell;
    bool is_locked;

    if (places[msg] < 0)
        return false;
    cell = cell_of(cells, row, msg);
    if (atomic_load(&cell->change) == 0)
        return false;
    is_locked = lock(cells);
    *state = (kf_alert_state_t){.is_raised = kf_alert_cells_raised(cells, row, msg),
                                .count = atomic_load(&cell->count),
                                .first_us = cell->first_us,
                                .last_us = atomic_load(&cell->last_us),
                                .cleared_us = cell->cleared_us,
                                .id = atomic_load(&cell->id)};
    /* Without the lock they may be half written; they are texts all the same. */
    put_text(state->text, sizeof state->text, cell->text);
    put_text(state->code, sizeof state->code, cell->code);
    put_text(state->request_id, sizeof state->request_id, cell->request_id);
    unlock(cells, is_locked);
    return true;
}

uint64_t kf_alert_cells_changes(const kf_alert_cells_t *cells)
{
    return atomic_load(&cells->changes);
}

bool kf_alert_cells_changed(kf_alert_cells_t *cells, int row, kf_msg_t msg, kf_alert_state_t *state,
                            uint32_t *change)
{
    cell_t *cell;

    if (places[msg] < 0)
        return false;
    cell = cell_of(cells, row, msg);
    *change = atomic_load(&cell->change);
    return *change != atomic_load(&cell->saved) && kf_alert_cells_read(cells, row, msg, state);
}

void kf_alert_cells_saved(kf_alert_cells_t *cells, int row, kf_msg_t msg, uint32_t change,
                          const kf_alert_state_t *state)
{
    cell_t *cell = cell_of(cells, row, msg);
    bool is_locked = lock(cells);

    if (cell->first_us == state->first_us)
        atomic_store(&cell->id, state->id);
    unlock(cells, is_locked);
    atomic_store(&cell->saved, change);
}

/* Nothing of it was here. Under the lock. */
static void fill(kf_alert_cells_t *cells, int row, kf_msg_t msg, const kf_alert_state_t *state)
{
    cell_t *cell = cell_of(cells, row, msg);

    cell->first_us = state->first_us;
    cell->cleared_us = state->cleared_us;
    atomic_store(&cell->count, state->count);
    atomic_store(&cell->last_us, state->last_us);
    atomic_store(&cell->remind_us, kf_wall_us());
    put_words(cell, &(kf_alert_words_t){
                        .text = state->text, .code = state->code, .request_id = state->request_id});
    /* The index has it. */
    atomic_store(&cell->saved, atomic_fetch_add(&cell->change, 1) + 1);
    if (state->is_raised)
        atomic_fetch_or(&cells->row[row].raised, bit_of(msg));
}

/* Raised anew while the index still has it as raised: it never ended. Under the lock. */
static void join(kf_alert_cells_t *cells, cell_t *cell, const kf_alert_state_t *state)
{
    cell->first_us = state->first_us;
    atomic_fetch_add(&cell->count, state->count);
    changed(cells, cell);
}

void kf_alert_cells_restore(kf_alert_cells_t *cells, int row, kf_msg_t msg,
                            const kf_alert_state_t *state, bool is_told)
{
    cell_t *cell;
    bool is_locked, is_taken;

    if (places[msg] < 0)
        return;
    cell = cell_of(cells, row, msg);
    is_locked = lock(cells);
    is_taken = cell->first_us == 0;
    if (is_taken) {
        fill(cells, row, msg, state);
    } else if (state->is_raised && kf_alert_cells_raised(cells, row, msg) &&
               cell->first_us > state->last_us) {
        join(cells, cell, state);
        is_taken = true;
    }
    if (is_taken) {
        atomic_store(&cell->id, state->id);
        atomic_store(&cell->told_us, is_told ? state->first_us : 0);
    }
    unlock(cells, is_locked);
}

bool kf_alert_cells_doubtful(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t mono_us)
{
    cell_t *cell;
    int64_t since_us;

    if (!kf_alert_cells_orphaned(cells, row, msg))
        return false;
    cell = cell_of(cells, row, msg);
    since_us = atomic_load(&cell->doubt_us);
    if (since_us == 0)
        atomic_store(&cell->doubt_us, mono_us);
    return since_us != 0 && mono_us - since_us >= KF_ALERT_DOUBT_US;
}

bool kf_alert_cells_remind(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t period_us)
{
    cell_t *cell;
    int64_t last_us, now_us = kf_wall_us();

    if (!kf_alert_cells_raised(cells, row, msg))
        return false;
    cell = cell_of(cells, row, msg);
    last_us = atomic_load(&cell->remind_us);
    return now_us - last_us >= period_us &&
           atomic_compare_exchange_strong(&cell->remind_us, &last_us, now_us);
}

bool kf_alert_cells_is_told(const kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t first_us)
{
    return atomic_load(&cells->row[row].cells[places[msg]].told_us) == first_us;
}

bool kf_alert_cells_claim(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t first_us)
{
    cell_t *cell = cell_of(cells, row, msg);
    int32_t claimer = atomic_load(&cell->claimer);

    return atomic_load(&cell->told_us) != first_us && is_gone(claimer) &&
           atomic_compare_exchange_strong(&cell->claimer, &claimer, (int32_t)getpid());
}

void kf_alert_cells_told(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t first_us,
                         bool is_told)
{
    cell_t *cell = cell_of(cells, row, msg);

    if (is_told) {
        atomic_store(&cell->told_us, first_us);
        changed(cells, cell);
    }
    atomic_store(&cell->claimer, 0);
}
