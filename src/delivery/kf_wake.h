/* SPDX-License-Identifier: Apache-2.0
 *
 * Who sleeps, and when a producer wakes somebody: at most one worker, and only when what waits in the
 * queue is worth it. Knows neither queue nor transfers. No lock: any thread, signal context too.
 *
 * A producer raises `waiting`, then looks at `armed`; a worker that lies down sets `armed` and its bit,
 * then looks at `waiting`. All four are sequentially consistent, so that one of the two sees the other:
 * a wake-up is not lost. Whoever claims the threshold takes it away, so that only one producer wakes.
 */
#ifndef KF_WAKE_H
#define KF_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define KF_WAKE_NEVER INT64_MAX
#define KF_WORKERS_MAX 64

typedef struct {
    _Alignas(64) _Atomic int64_t waiting;    /* weight of what was pushed and not popped */
    _Atomic int64_t armed;                   /* weight at which a producer wakes a worker */
    _Atomic uint64_t sleeping;               /* a bit a worker */
    void (*wake)(void *context, int worker); /* safe where kf_wake_one is called */
    void *context;
} kf_wake_t;

void kf_wake_init(kf_wake_t *wake, void (*fn)(void *context, int worker), void *context);

/** After a push. @thread producers */
void kf_wake_pushed(kf_wake_t *wake, int64_t weight);
/** After a pop. @thread workers */
void kf_wake_popped(kf_wake_t *wake, int64_t weight);

/** Sets the threshold, while at least one worker is awake. @locks the engine's */
void kf_wake_arm(kf_wake_t *wake, int64_t threshold);

/**
 * A worker is about to sleep.
 * @return false if enough waits already: it must not sleep
 * @locks the engine's
 */
bool kf_wake_lie_down(kf_wake_t *wake, int worker, int64_t threshold);

/** It is up, for whatever reason. @thread that worker */
void kf_wake_get_up(kf_wake_t *wake, int worker);

/** Wakes one sleeping worker, if there is any. @return whether there was */
bool kf_wake_one(kf_wake_t *wake);

#endif
