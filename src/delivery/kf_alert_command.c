/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's command.
 */
#include "delivery/kf_alert_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/kf_spawn.h"

#define GRACE_US (2 * KF_SEC)
#define STOP_US KF_SEC
#define STOP_LOOK_US (10 * KF_MS)
#define COMPLAINT_MAX 200
#define JSON_MAX 8192
#define NOT_YET UINT64_MAX

typedef struct {
    int row;
    kf_msg_t msg;
    kf_alert_state_t state;
} told_t;

typedef struct {
    kf_spawn_t *spawn; /* NULL: free */
    told_t what;
} run_t;

struct kf_alert_command_t {
    const char **argv;
    kf_alert_cells_t *cells;
    const kf_alert_table_t *table;
    int rows;
    uint64_t seen; /* changes of the cells, NOT_YET at first */
    run_t runs[KF_ALERT_RUNS_MAX];
    told_t waits[KF_ALERT_WAITS_MAX];
    int waiting;
};

kf_alert_command_t *kf_alert_command_create(const kf_list_t *command, kf_alert_cells_t *cells,
                                            const kf_alert_table_t *table, int rows)
{
    kf_alert_command_t *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->argv = calloc((size_t)command->n + 1, sizeof *c->argv);
    if (!c->argv) {
        free(c);
        return NULL;
    }
    for (int i = 0; i < command->n; i++)
        c->argv[i] = command->v[i];
    c->cells = cells;
    c->seen = NOT_YET;
    c->table = table;
    c->rows = rows;
    return c;
}

void kf_alert_command_free(kf_alert_command_t *c)
{
    if (!c)
        return;
    kf_alert_command_stop(c);
    free(c->argv);
    free(c);
}

/* ---- the alert as JSON ---- */

static void put_member(kf_buf_t *out, const char *name, const char *text)
{
    kf_buf_printf(out, ",\"%s\":", name);
    kf_buf_put_json(out, (kf_str_t){text, strlen(text)});
}

static void put_time(kf_buf_t *out, const char *name, int64_t us)
{
    time_t seconds = (time_t)(us / KF_SEC);
    char text[40];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    kf_buf_printf(out, ",\"%s\":\"%s.%03dZ\"", name, text, (int)(us % KF_SEC / KF_MS));
}

static const char *severity_of(kf_level_t level)
{
    return level == KF_ERROR ? "error" : level == KF_WARNING ? "warning" : "notice";
}

void kf_alert_put_json(kf_buf_t *out, kf_msg_t msg, const char *connection,
                       const kf_alert_state_t *state)
{
    const kf_msg_info_t *info = kf_msg_info(msg);
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    kf_buf_printf(out, "{\"id\":%lld", (long long)state->id);
    put_member(out, "alert", info->id);
    put_member(out, "severity", severity_of(info->level));
    put_member(out, "state", "raised");
    put_member(out, "connection", connection);
    put_member(out, "title", info->text);
    put_member(out, "text", state->text);
    put_member(out, "advice", info->advice);
    put_member(out, "code", state->code);
    put_member(out, "request_id", state->request_id);
    kf_buf_printf(out, ",\"count\":%llu", (unsigned long long)state->count);
    put_time(out, "first", state->first_us);
    put_time(out, "last", state->last_us);
    put_member(out, "host", host);
    kf_buf_put(out, "}\n", 2);
}

/* ---- what waits ---- */

static int oldest_first(const void *one, const void *other)
{
    const told_t *a = one, *b = other;

    return a->state.first_us < b->state.first_us ? -1 : a->state.first_us > b->state.first_us;
}

static void add(kf_alert_command_t *c, const told_t *what)
{
    const kf_msg_info_t *info = kf_msg_info(what->msg);

    if (!kf_alert_cells_claim(c->cells, what->row, what->msg, what->state.first_us))
        return;
    if (c->waiting < KF_ALERT_WAITS_MAX) {
        c->waits[c->waiting++] = *what;
        return;
    }
    kf_log(KF0522, "%s: %s", info->id, what->state.text);
    kf_alert_cells_told(c->cells, what->row, what->msg, what->state.first_us, true);
}

void kf_alert_command_find(kf_alert_command_t *c, bool unsaved_too)
{
    uint64_t changes = kf_alert_cells_changes(c->cells);
    int before = c->waiting;

    if (changes == c->seen)
        return;
    c->seen = changes;
    for (int row = 0; row < c->rows; row++)
        for (int m = 0; m < KF_MSG_COUNT; m++) {
            told_t what = {.row = row, .msg = (kf_msg_t)m};

            if (kf_alert_cells_read(c->cells, row, what.msg, &what.state) &&
                (what.state.id != 0 || unsaved_too) &&
                !kf_alert_cells_is_told(c->cells, row, what.msg, what.state.first_us))
                add(c, &what);
        }
    qsort(c->waits + before, (size_t)(c->waiting - before), sizeof c->waits[0], oldest_first);
}

/* ---- what runs ---- */

static void complain(const told_t *what, const kf_alert_command_t *c, const char *why, int number,
                     kf_str_t said)
{
    int n = (int)strcspn(said.p, "\r\n");

    kf_log(KF0521, "%s for %s%s%s: %s %d%s%.*s", c->argv[0], kf_msg_info(what->msg)->id,
           what->row < c->rows - 1 ? " of connection " : "",
           kf_alert_table_name(c->table, what->row), why, number, n > 0 ? ": " : "", n, said.p);
}

static void judge(const kf_alert_command_t *c, const run_t *run)
{
    const kf_spawn_result_t *result = kf_spawn_result(run->spawn);

    switch (result->end) {
    case KF_SPAWN_EXITED:
        if (result->status != 0)
            complain(&run->what, c, "exit status", result->status, result->error);
        break;
    case KF_SPAWN_KILLED:
        complain(&run->what, c, "killed by signal", result->status, result->error);
        break;
    case KF_SPAWN_LATE:
        complain(&run->what, c, "ended after seconds:", (int)(KF_ALERT_LIMIT_US / KF_SEC),
                 result->error);
        break;
    default: /* how it ended is not known */
        break;
    }
}

static void end_run(const kf_alert_command_t *c, run_t *run, bool is_told)
{
    kf_alert_cells_told(c->cells, run->what.row, run->what.msg, run->what.state.first_us, is_told);
    kf_spawn_free(run->spawn);
    run->spawn = NULL;
}

static void look_at(kf_alert_command_t *c, run_t *run)
{
    if (!run->spawn || !kf_spawn_poll(run->spawn))
        return;
    judge(c, run);
    end_run(c, run, true);
}

/* The count as it is now, if it is the same alert still. */
static void refresh(const kf_alert_command_t *c, told_t *what)
{
    kf_alert_state_t state;

    if (kf_alert_cells_read(c->cells, what->row, what->msg, &state) &&
        state.first_us == what->state.first_us)
        what->state = state;
}

static void start(kf_alert_command_t *c, run_t *run, const told_t *what)
{
    kf_spawn_config_t config = {.argv = c->argv,
                                .error_max = COMPLAINT_MAX,
                                .limit_us = KF_ALERT_LIMIT_US,
                                .grace_us = GRACE_US};
    kf_buf_t json;
    int error = 0;

    run->what = *what;
    refresh(c, &run->what);
    kf_buf_init(&json, JSON_MAX);
    kf_alert_put_json(&json, what->msg, kf_alert_table_name(c->table, what->row), &run->what.state);
    config.input = kf_buf_str(&json);
    if (!json.failed)
        run->spawn = kf_spawn_start(&config, &error);
    kf_buf_free(&json);
    if (run->spawn)
        return;
    kf_log(KF0521, "%s for %s: %s", c->argv[0], kf_msg_info(what->msg)->id,
           json.failed ? "out of memory" : strerror(error));
    kf_alert_cells_told(c->cells, what->row, what->msg, what->state.first_us, true);
}

static void start_some(kf_alert_command_t *c)
{
    int n = 0;

    for (int i = 0; i < KF_ALERT_RUNS_MAX && n < c->waiting; i++)
        if (!c->runs[i].spawn)
            start(c, &c->runs[i], &c->waits[n++]);
    c->waiting -= n;
    memmove(c->waits, c->waits + n, (size_t)c->waiting * sizeof c->waits[0]);
}

void kf_alert_command_look(kf_alert_command_t *c)
{
    for (int i = 0; i < KF_ALERT_RUNS_MAX; i++)
        look_at(c, &c->runs[i]);
    start_some(c);
}

static bool is_running(const kf_alert_command_t *c)
{
    for (int i = 0; i < KF_ALERT_RUNS_MAX; i++)
        if (c->runs[i].spawn)
            return true;
    return false;
}

void kf_alert_command_stop(kf_alert_command_t *c)
{
    int64_t until_us = kf_mono_us() + STOP_US;

    for (int i = 0; i < c->waiting; i++)
        kf_alert_cells_told(c->cells, c->waits[i].row, c->waits[i].msg, c->waits[i].state.first_us,
                            false);
    c->waiting = 0;
    while (is_running(c) && kf_mono_us() < until_us) {
        for (int i = 0; i < KF_ALERT_RUNS_MAX; i++)
            look_at(c, &c->runs[i]);
        if (is_running(c))
            usleep((useconds_t)STOP_LOOK_US);
    }
    for (int i = 0; i < KF_ALERT_RUNS_MAX; i++)
        if (c->runs[i].spawn)
            end_run(c, &c->runs[i], false);
    c->seen = NOT_YET;
}
