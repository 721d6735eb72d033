/* SPDX-License-Identifier: Apache-2.0
 *
 * Applies settings to bodies, for the comparison with the model (kf_model.py). Reads requests on
 * standard input: a line "SETTINGS_BYTES BODY_BYTES", then as many bytes of settings ("Directive
 * value..." lines) and of the body. Answers each with one line of JSON: {"fault":...} or the records
 * with key and data in base64. One thread.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/kf_settings.h"
#include "events/kf_filter.h"

/* What the model takes for the time of receipt. */
#define RECEIVED_US INT64_C(1700000000123456)
#define ARGS_MAX 70

static void die(const char *what)
{
    fprintf(stderr, "kf_apply: %s\n", what);
    exit(2);
}

static void set_line(apr_pool_t *pool, void *settings, char *line)
{
    const char *args[ARGS_MAX];
    int n = 0;
    char *state = NULL;
    const char *name = apr_strtok(line, " ", &state);
    for (char *word; n < ARGS_MAX && (word = apr_strtok(NULL, " ", &state));) {
        args[n++] = word;
    }
    const kf_directive_t *d = name ? kf_directive_find(name) : NULL;
    const char *error = d ? kf_setting_set(pool, settings, d, n, args) : "no such directive";
    if (error) {
        die(error);
    }
}

static const kf_filter_t *compile(apr_pool_t *pool, char *text)
{
    void *settings = kf_settings_create(pool, KF_SCOPE_CONN);
    char *state = NULL;
    for (char *line = apr_strtok(text, "\n", &state); line; line = apr_strtok(NULL, "\n", &state)) {
        set_line(pool, settings, line);
    }
    const kf_filter_t *filter =
        kf_filter_compile(pool, kf_settings_finish(pool, KF_SCOPE_CONN, settings), 7);
    if (!filter) {
        die("the settings do not compile");
    }
    return filter;
}

static void put_record(kf_buf_t *out, const kf_record_t *r)
{
    kf_str_t key = kf_record_key(r), data = kf_record_data(r);
    kf_buf_printf(out, "{\"kind\":%d,\"events\":%d,\"too_large\":%d,\"connection\":%d,\"key\":\"",
                  r->kind, r->events, r->too_large, r->connection);
    kf_buf_put_base64(out, key.p, key.n);
    kf_buf_printf(out, "\",\"accepted_us\":%" PRId64 ",\"data\":\"", r->accepted_us);
    kf_buf_put_base64(out, data.p, data.n);
    kf_buf_put_str(out, KF_STR("\"}"));
}

static void put_records(kf_buf_t *out, const kf_filter_t *filter, const kf_post_t *post)
{
    kf_record_list_t list = {0};
    kf_filter_stats_t stats = {0};
    for (uint32_t i = 0; i < kf_post_count(post); i++) {
        if (!kf_filter_close(filter, kf_post_item(post, i), RECEIVED_US, KF_STR(""), &list,
                             &stats)) {
            die("the filter failed");
        }
    }
    kf_buf_put_str(out, KF_STR("{\"records\":["));
    for (const kf_record_t *r = list.first; r; r = r->next) {
        put_record(out, r);
        kf_buf_put(out, ",", r->next ? 1 : 0);
    }
    kf_buf_printf(out, "],\"counted\":{\"records\":%" PRIu64 ",\"events\":%" PRIu64, stats.records,
                  stats.events);
    kf_buf_printf(out, "},\"dropped\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]}",
                  stats.dropped[KF_DROP_TYPE], stats.dropped[KF_DROP_ANONYMOUS],
                  stats.dropped[KF_DROP_NO_EVENTS], stats.dropped[KF_DROP_EMPTIED]);
    kf_record_list_clear(&list);
}

static char *read_bytes(size_t n)
{
    char *p = malloc(n + 1);
    if (!p || fread(p, 1, n, stdin) != n) {
        die("a request is cut off");
    }
    p[n] = '\0';
    return p;
}

static void answer(apr_pool_t *pool, char *settings, const char *body, size_t n)
{
    const kf_filter_t *filter = compile(pool, settings);
    kf_fault_t fault;
    kf_buf_t out;
    kf_buf_init(&out, SIZE_MAX / 2);
    kf_post_t *post = kf_post_parse(body, n, &fault);
    if (post) {
        put_records(&out, filter, post);
    } else {
        kf_buf_put_str(&out, KF_STR("{\"fault\":"));
        kf_buf_put_json(&out, kf_str_of(fault.message));
        kf_buf_putc(&out, '}');
    }
    kf_buf_putc(&out, '\n');
    if (out.failed) {
        die("out of memory");
    }
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    kf_buf_free(&out);
    kf_post_free(post);
}

int main(void)
{
    apr_pool_t *pool;
    char line[80];
    apr_initialize();
    apr_pool_create(&pool, NULL);
    while (fgets(line, sizeof(line), stdin)) {
        char *end;
        size_t settings_bytes = strtoul(line, &end, 10), body_bytes = strtoul(end, NULL, 10);
        char *settings = read_bytes(settings_bytes), *body = read_bytes(body_bytes);
        answer(pool, settings, body, body_bytes);
        free(settings);
        free(body);
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}
