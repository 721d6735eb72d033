/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts (kf_alert.h). Must not know what they are about. Any thread.
 */
#include "delivery/kf_alert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PARTICULARS_MAX 768

/* What a connection that delivers has left behind, and whether that is worth a line. */
static const struct {
    kf_msg_t msg;
    bool is_said;
} of_delivery[] = {{KF0305, true},  {KF0306, true}, {KF0401, true}, {KF0402, false},
                   {KF0404, false}, {KF0405, true}, {KF0406, true}};

static kf_alert_cells_t *cells_of(const kf_alert_at_t *at)
{
    return kf_shared_alerts(at->shared);
}

static void put_in_log(const kf_alert_at_t *at, kf_msg_t msg, const char *particulars)
{
    kf_log_unwatched(msg, "connection %s: %s%s%s", at->name, kf_msg_info(msg)->text,
                     particulars[0] ? ": " : "", particulars);
}

void kf_alert_begin(const kf_alert_at_t *at, kf_msg_t msg, const char *fmt, ...)
{
    char particulars[PARTICULARS_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(particulars, sizeof particulars, fmt, args);
    va_end(args);
    if (kf_alert_cells_raise(cells_of(at), at->connection, msg,
                             &(kf_alert_words_t){.text = particulars}))
        put_in_log(at, msg, particulars);
}

void kf_alert_begin_of(const kf_alert_at_t *at, kf_msg_t msg, const kf_alert_words_t *words,
                       const char *fmt, ...)
{
    char particulars[PARTICULARS_MAX];
    kf_alert_words_t all = *words;
    va_list args;

    va_start(args, fmt);
    vsnprintf(particulars, sizeof particulars, fmt, args);
    va_end(args);
    all.text = particulars;
    if (kf_alert_cells_raise(cells_of(at), at->connection, msg, &all))
        put_in_log(at, msg, particulars);
}

void kf_alert_event(const kf_alert_at_t *at, kf_msg_t msg, const char *fmt, ...)
{
    char particulars[PARTICULARS_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(particulars, sizeof particulars, fmt, args);
    va_end(args);
    kf_alert_cells_event(cells_of(at), at->connection, msg,
                         &(kf_alert_words_t){.text = particulars});
    put_in_log(at, msg, particulars);
}

void kf_alert_end(const kf_alert_at_t *at, kf_msg_t msg, kf_msg_t said)
{
    if (kf_alert_cells_clear(cells_of(at), at->connection, msg))
        kf_log_unwatched(said, "connection %s: %s; over: %s", at->name, kf_msg_info(said)->text,
                         kf_msg_info(msg)->text);
}

void kf_alert_forget(const kf_alert_at_t *at, kf_msg_t msg)
{
    kf_alert_cells_clear(cells_of(at), at->connection, msg);
}

bool kf_alert_raised(const kf_alert_at_t *at, kf_msg_t msg)
{
    return kf_alert_cells_raised(cells_of(at), at->connection, msg);
}

void kf_alert_delivers(const kf_alert_at_t *at, uint64_t own)
{
    kf_alert_cells_t *cells = cells_of(at);

    if (!kf_alert_cells_any(cells, at->connection))
        return;
    for (size_t i = 0; i < sizeof of_delivery / sizeof of_delivery[0]; i++) {
        kf_msg_t msg = of_delivery[i].msg;

        if ((own & KF_MSG_BIT(msg)) || !kf_alert_cells_orphaned(cells, at->connection, msg))
            continue;
        if (of_delivery[i].is_said)
            kf_alert_end(at, msg, KF0307);
        else
            kf_alert_forget(at, msg);
    }
}

/* ---- the log ---- */

static kf_shared_t *watched;

static bool clear_server(kf_msg_t msg)
{
    kf_alert_cells_t *cells = kf_shared_alerts(watched);

    return kf_alert_cells_clear(cells, kf_alert_cells_server(cells), msg);
}

/* A child that meets what another has met already says nothing new; another file's trouble is new. */
static bool is_said(kf_alert_cells_t *cells, int row, kf_msg_t msg, const char *particulars)
{
    kf_alert_state_t state;
    size_t n = sizeof state.text / 2;

    return kf_alert_cells_raised(cells, row, msg) && kf_alert_cells_read(cells, row, msg, &state) &&
           strncmp(state.text, particulars, n) == 0;
}

static bool watch(kf_msg_t msg, const char *particulars)
{
    kf_alert_cells_t *cells = kf_shared_alerts(watched);
    int row = kf_alert_cells_server(cells);
    kf_alert_words_t words = {.text = particulars};
    bool was_said;

    if (msg == KF0602)
        return clear_server(KF0601);
    if (msg == KF0612) {
        bool was_damaged = clear_server(KF0613);

        return clear_server(KF0611) || was_damaged;
    }
    if (kf_msg_info(msg)->alert == KF_ALERT_LOG)
        return true;
    was_said = is_said(cells, row, msg, particulars);
    if (kf_msg_info(msg)->alert == KF_ALERT_EVENT)
        kf_alert_cells_event(cells, row, msg, &words);
    else
        kf_alert_cells_raise(cells, row, msg, &words);
    return !was_said;
}

void kf_alert_watch_log(kf_shared_t *shared)
{
    watched = shared;
    kf_log_set_watch(shared ? watch : NULL);
}

void kf_alert_forget_server(kf_shared_t *shared, kf_msg_t msg)
{
    kf_alert_cells_t *cells = kf_shared_alerts(shared);

    kf_alert_cells_clear(cells, kf_alert_cells_server(cells), msg);
}
