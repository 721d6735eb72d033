/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps windows in memory by the rules of kf_window_due.h, for the comparison with the model
 * (window_model.py). Reads runs on standard input: a line "KIND WINDOW_US TIMEOUT_US GRACE_US IDS
 * COUNT" (KIND is B or S; IDS 1: records get message ids), then for each post "TIME_US BYTES" and its
 * bytes, in the order of the times. Answers a run with one line of JSON: what left, in its order, as
 * {"at","window","text"}. One thread.
 */
#include <apr_general.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "events/kf_merge.h"
#include "events/kf_window_cut.h"
#include "events/kf_window_due.h"

#define WINDOWS_MAX 1024
#define UPLOADS_MAX 512

typedef struct {
    char key[KF_WINDOW_KEY_MAX];
    size_t key_bytes, scope_bytes, device_bytes;
    kf_window_times_t times;
    kf_window_began_t began;
    unsigned serial;
    kf_buf_t texts[UPLOADS_MAX], requests[UPLOADS_MAX];
    uint32_t n;
} window_t;

typedef struct {
    kf_window_kind_t kind;
    kf_window_limits_t limits;
    bool ids;
    window_t *windows[WINDOWS_MAX]; /* in the order in which they opened */
    uint32_t n;
    unsigned opened, split; /* serial numbers, of which ids are made */
    kf_buf_t out;
    const char *sep;
} run_t;

static void die(const char *what)
{
    fprintf(stderr, "kf_windows: %s\n", what);
    exit(2);
}

static kf_str_t make_id(const run_t *run, char kind, unsigned serial, char id[40])
{
    int n = snprintf(id, 40, "%c0000000-0000-4000-8000-%012u", kind, serial);
    return (kf_str_t){id, run->ids ? (size_t)n : 0};
}

static void leave(run_t *run, int64_t at, bool window, kf_str_t text)
{
    kf_buf_printf(&run->out, "%s{\"at\":%" PRId64 ",\"window\":%s,\"text\":\"", run->sep, at,
                  window ? "true" : "false");
    kf_buf_put_base64(&run->out, text.p, text.n);
    kf_buf_put_str(&run->out, KF_STR("\"}"));
    run->sep = ",";
}

static int64_t due(const run_t *run, const window_t *w)
{
    return kf_window_due(run->kind, &w->times, &run->limits);
}

static void close_window(run_t *run, uint32_t i)
{
    window_t *w = run->windows[i];
    kf_str_t uploads[UPLOADS_MAX];
    kf_buf_t text;
    char id[40];
    uint32_t damaged = 0;
    kf_buf_init(&text, SIZE_MAX / 4);
    for (uint32_t u = 0; u < w->n; u++) {
        uploads[u] = kf_buf_str(&w->texts[u]);
    }
    if (kf_merge(uploads, w->n, make_id(run, 'a', w->serial, id), &text, &damaged) != KF_MERGE_OK) {
        die("a merge failed");
    }
    leave(run, due(run, w), true, kf_buf_str(&text));
    kf_buf_free(&text);
    for (uint32_t u = 0; u < w->n; u++) {
        kf_buf_free(&w->texts[u]);
        kf_buf_free(&w->requests[u]);
    }
    free(w);
    run->n--;
    memmove(&run->windows[i], &run->windows[i + 1], (run->n - i) * sizeof(run->windows[0]));
}

/* Closes what is due by then, the earliest first, of those the one that opened first. */
static void close_due(run_t *run, int64_t now)
{
    for (;;) {
        uint32_t first = run->n;
        for (uint32_t i = 0; i < run->n; i++) {
            if (due(run, run->windows[i]) <= now &&
                (first == run->n || due(run, run->windows[i]) < due(run, run->windows[first]))) {
                first = i;
            }
        }
        if (first == run->n) {
            return;
        }
        close_window(run, first);
    }
}

static bool starts_with(const window_t *w, kf_str_t prefix)
{
    return w->key_bytes >= prefix.n && memcmp(w->key, prefix.p, prefix.n) == 0;
}

static window_t *open_window(run_t *run, const kf_window_plan_t *plan, const kf_window_part_t *part,
                             int64_t now)
{
    window_t *w = calloc(1, sizeof(*w));
    if (!w || run->n == WINDOWS_MAX) {
        die("too many windows");
    }
    memcpy(w->key, part->key, part->key_bytes);
    w->key_bytes = part->key_bytes;
    w->scope_bytes = part->scope_bytes;
    w->device_bytes = plan->device_bytes;
    w->times.opened_us = now;
    w->serial = ++run->opened;
    for (uint32_t i = 0; i < run->n && run->kind == KF_WINDOW_SESSION; i++) {
        int64_t over = run->windows[i]->times.over_us;
        if (starts_with(run->windows[i], kf_window_part_scope(part)) && over > 0 &&
            (w->times.over_us == 0 || over < w->times.over_us)) {
            w->times.over_us = over;
        }
    }
    run->windows[run->n++] = w;
    return w;
}

static window_t *window_of(run_t *run, const kf_window_plan_t *plan, const kf_window_part_t *part,
                           int64_t now)
{
    kf_str_t key = kf_window_part_key(part);
    for (uint32_t i = 0; i < run->n; i++) {
        if (run->windows[i]->key_bytes == key.n && starts_with(run->windows[i], key)) {
            return run->windows[i];
        }
    }
    return open_window(run, plan, part, now);
}

static bool is_repeat(const window_t *w, const kf_window_plan_t *plan)
{
    for (uint32_t u = 0; u < w->n && plan->request_id.n > 0; u++) {
        if (kf_str_eq(kf_buf_str(&w->requests[u]), plan->request_id)) {
            return true;
        }
    }
    return false;
}

static void say_over(run_t *run, const kf_window_plan_t *plan, const kf_window_part_t *part,
                     int64_t now)
{
    for (uint32_t i = 0; i < run->n; i++) {
        window_t *w = run->windows[i];
        bool same = starts_with(w, kf_window_part_scope(part));
        bool older = !same && starts_with(w, kf_window_part_device(plan, part)) &&
                     kf_window_is_older(&w->began, part);
        if (w->times.over_us == 0 && ((part->ends && same) || (part->starts && older))) {
            w->times.over_us = now;
        }
    }
}

static void file_part(run_t *run, const kf_window_plan_t *plan, uint32_t p, int64_t now)
{
    const kf_window_part_t *part = &plan->parts[p];
    char id[40];
    kf_buf_t text;
    kf_buf_init(&text, SIZE_MAX / 4);
    if (!kf_window_cut(plan, p, make_id(run, 'b', ++run->split, id), &text)) {
        die("a cut failed");
    }
    if (part->at_once) {
        leave(run, now, false, kf_buf_str(&text));
        kf_buf_free(&text);
        return;
    }
    window_t *w = window_of(run, plan, part, now);
    if (is_repeat(w, plan)) {
        kf_buf_free(&text);
        return;
    }
    if (w->n == UPLOADS_MAX) {
        die("too many uploads");
    }
    kf_buf_init(&w->requests[w->n], SIZE_MAX / 4);
    kf_buf_put_str(&w->requests[w->n], plan->request_id);
    w->texts[w->n++] = text;
    w->times.last_us = now;
    kf_window_began(&w->began, part);
    if (run->kind == KF_WINDOW_SESSION) {
        say_over(run, plan, part, now);
    }
}

static void take_post(run_t *run, const char *body, size_t n, int64_t now)
{
    kf_fault_t fault;
    kf_window_plan_t plan;
    kf_post_t *post = kf_post_parse(body, n, &fault);
    kf_window_plan_init(&plan);
    for (uint32_t i = 0; post && i < kf_post_count(post); i++) {
        if (kf_post_item(post, i)->kind != KF_ITEM_BATCH) {
            continue;
        }
        if (!kf_window_plan(&plan, kf_post_item(post, i), run->kind)) {
            die("a plan failed");
        }
        for (uint32_t p = 0; p < plan.part_count; p++) {
            close_due(run, now);
            file_part(run, &plan, p, now);
        }
    }
    kf_window_plan_free(&plan);
    kf_post_free(post);
}

static void take_run(run_t *run, unsigned count)
{
    char line[80];
    kf_buf_init(&run->out, SIZE_MAX / 4);
    kf_buf_putc(&run->out, '[');
    for (unsigned i = 0; i < count; i++) {
        char *end;
        if (!fgets(line, sizeof(line), stdin)) {
            die("a run is cut off");
        }
        int64_t now = strtoll(line, &end, 10);
        size_t n = strtoul(end, NULL, 10);
        char *body = malloc(n + 1);
        if (!body || fread(body, 1, n, stdin) != n) {
            die("a run is cut off");
        }
        take_post(run, body, n, now);
        free(body);
    }
    close_due(run, INT64_MAX);
    kf_buf_put_str(&run->out, KF_STR("]\n"));
    if (run->out.failed) {
        die("out of memory");
    }
    fwrite(run->out.p, 1, run->out.n, stdout);
    fflush(stdout);
    kf_buf_free(&run->out);
}

int main(void)
{
    char line[160];
    apr_initialize();
    while (fgets(line, sizeof(line), stdin)) {
        run_t *run = calloc(1, sizeof(*run));
        char *p = line + 1;
        if (!run) {
            die("out of memory");
        }
        run->sep = "";
        run->kind = line[0] == 'B' ? KF_WINDOW_BATCH : KF_WINDOW_SESSION;
        run->limits.window_us = strtoll(p, &p, 10);
        run->limits.timeout_us = strtoll(p, &p, 10);
        run->limits.grace_us = strtoll(p, &p, 10);
        run->ids = strtoul(p, &p, 10) > 0;
        take_run(run, (unsigned)strtoul(p, NULL, 10));
        free(run);
    }
    apr_terminate();
    return 0;
}
