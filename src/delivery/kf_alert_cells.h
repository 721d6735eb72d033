/* SPDX-License-Identifier: Apache-2.0
 *
 * The alerts of a server as its children share them: a cell for each connection and kind of alert, one
 * more row of cells for the server as a whole. What a cell says is an episode: from the first time, over
 * repeats, to the end; what comes again soon after its end continues it. Knows neither log nor index.
 *
 * Threads: any of any child. Whether an alert is raised, and its counts, are atomics; texts and times are
 * written under a robust lock between processes, held for a copy: a child that dies with it is noticed
 * by the next. Who does not get the lock within a moment (its owner is stopped) counts without a text.
 */
#ifndef KF_ALERT_CELLS_H
#define KF_ALERT_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"

#define KF_ALERT_TEXT_MAX 256
#define KF_ALERT_CODE_MAX 64
#define KF_ALERT_REQUEST_MAX 80

/* What is raised again so soon after its end continues; an event, so soon after the last one. */
#define KF_ALERT_AGAIN_US (30 * KF_SEC)
#define KF_ALERT_EVENT_US (3600 * KF_SEC)
/* A FAULT whose finder is gone, and which nobody meets again for so long, is over. */
#define KF_ALERT_DOUBT_US (60 * KF_SEC)

typedef struct kf_alert_cells_t kf_alert_cells_t;

/* An episode. Texts are UTF-8, cut at a character. */
typedef struct {
    bool is_raised;
    uint64_t count;
    int64_t first_us, last_us; /* wall clock; first_us tells episodes of a cell apart */
    int64_t cleared_us;        /* 0 while raised */
    int64_t id;                /* its row in the index; 0: none yet */
    char text[KF_ALERT_TEXT_MAX];
    char code[KF_ALERT_CODE_MAX];
    char request_id[KF_ALERT_REQUEST_MAX];
} kf_alert_state_t;

/* What is said of one occurrence. NULL is "". */
typedef struct {
    const char *text, *code, *request_id;
    uint64_t times; /* it took place; 0: once */
} kf_alert_words_t;

size_t kf_alert_cells_size(int connections);

/**
 * Makes memory of that size, all zero and on a boundary of 64 bytes, into cells.
 * @return NULL where the system has no locks for it
 */
kf_alert_cells_t *kf_alert_cells_init(void *memory, int connections);

/** The row of the server as a whole; connections' are their indexes. */
int kf_alert_cells_server(const kf_alert_cells_t *cells);

/* ---- who meets them ---- */

/** Raises an alert, or counts it again. @return true if it was not raised: the caller logs it */
bool kf_alert_cells_raise(kf_alert_cells_t *cells, int row, kf_msg_t msg,
                          const kf_alert_words_t *words);
/** Notes an event: over at once. @return true if it is a new episode */
bool kf_alert_cells_event(kf_alert_cells_t *cells, int row, kf_msg_t msg,
                          const kf_alert_words_t *words);
/** Ends an alert. @return true if it was raised; one load where it was not */
bool kf_alert_cells_clear(kf_alert_cells_t *cells, int row, kf_msg_t msg);

/** Whether it is raised. One load. */
bool kf_alert_cells_raised(const kf_alert_cells_t *cells, int row, kf_msg_t msg);
/** Whether any is. One load. */
bool kf_alert_cells_any(const kf_alert_cells_t *cells, int row);
/** Whether it is raised and the process that met it last is gone. @blocks for a system call */
bool kf_alert_cells_orphaned(const kf_alert_cells_t *cells, int row, kf_msg_t msg);

/* ---- who looks after them ---- */

/** The latest episode. @return false if there has been none */
bool kf_alert_cells_read(kf_alert_cells_t *cells, int row, kf_msg_t msg, kf_alert_state_t *state);

/** Goes up with every change of any cell. */
uint64_t kf_alert_cells_changes(const kf_alert_cells_t *cells);
/** As read, for a cell that changed since kf_alert_cells_saved; *change is for that. */
bool kf_alert_cells_changed(kf_alert_cells_t *cells, int row, kf_msg_t msg, kf_alert_state_t *state,
                            uint32_t *change);
/** What changed up to there is in the index, in the row state->id. */
void kf_alert_cells_saved(kf_alert_cells_t *cells, int row, kf_msg_t msg, uint32_t change,
                          const kf_alert_state_t *state);

/**
 * Takes over an episode that an earlier start left in the index. What was raised meanwhile continues
 * it. Any child may do it, any number of times.
 * @param is_told  whether the operator's command has been run
 */
void kf_alert_cells_restore(kf_alert_cells_t *cells, int row, kf_msg_t msg,
                            const kf_alert_state_t *state, bool is_told);

/** Whether nobody has met a raised FAULT for long, though somebody would have. One leader at a time. */
bool kf_alert_cells_doubtful(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t mono_us);

/** Claims the hourly reminder of a raised alert. @return whether it is the caller's */
bool kf_alert_cells_remind(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t period_us);

/**
 * Claims the telling of an episode to the operator's command, for as long as this process lives.
 * @return whether it is the caller's: not told yet, and nobody who lives is at it
 */
bool kf_alert_cells_claim(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t first_us);
/** The episode is told (or given up); or is to be told by another. */
void kf_alert_cells_told(kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t first_us,
                         bool is_told);
bool kf_alert_cells_is_told(const kf_alert_cells_t *cells, int row, kf_msg_t msg, int64_t first_us);

#endif
