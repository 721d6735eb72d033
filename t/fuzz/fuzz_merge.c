/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes what windows do with uploads: any bytes, bodies separated by 0x1e, planned for both kinds of
 * windows, cut and merged. Every event must be in one part; each cut must be a batch again, with the
 * tokens that came; each merge must be one, and hold every event once, in the order of their times.
 */
#include "events/kf_event_fields.h"
#include "events/kf_merge.h"
#include "events/kf_scalar.h"
#include "events/kf_window_cut.h"
#include "fuzz_check.h"

#define CUTS_MAX 192
#define EVENTS_MAX 400

/* A part of an upload as a window keeps it, read again. */
typedef struct {
    kf_buf_t text;
    kf_post_t *post;
    const kf_item_t *item;
    char key[KF_WINDOW_KEY_MAX];
    size_t key_bytes; /* 0: it leaves at once */
} cut_t;

typedef struct {
    cut_t v[CUTS_MAX];
    uint32_t n;
} cuts_t;

/* An event as it should come out. */
typedef struct {
    kf_str_t token;
    int64_t time_us;
    kf_str_t id; /* malloc'ed; n == 0: none */
} event_t;

static kf_buf_t scratch;

static kf_str_t copy_text(const kf_json_t *json, uint32_t value)
{
    kf_str_t text;
    if (!kf_scalar_text(json, value, &scratch, &text)) {
        return KF_STR("");
    }
    char *copy = malloc(text.n);
    CHECK(copy);
    memcpy(copy, text.p, text.n);
    return (kf_str_t){copy, text.n};
}

static void free_text(kf_str_t text)
{
    if (text.n > 0) {
        free((char *)(uintptr_t)text.p);
    }
}

static const kf_item_t *read_batch(const kf_buf_t *text, kf_post_t **post)
{
    kf_fault_t fault;
    *post = kf_post_parse(text->p, text->n, &fault);
    if (!*post) {
        fprintf(stderr, "%s: %.*s\n", fault.message, (int)text->n, text->p);
    }
    CHECK(*post && kf_post_count(*post) == 1);
    CHECK(kf_post_item(*post, 0)->kind == KF_ITEM_BATCH);
    return kf_post_item(*post, 0);
}

static uint32_t first_event(const kf_item_t *item)
{
    return item->event_count ? kf_json_first(item->json, item->member[KF_B_events]) : 0;
}

/* Each event is in one part, and each part's events are in the upload's order. */
static void check_parts(const kf_window_plan_t *plan)
{
    uint32_t seen = 0;
    CHECK(plan->part_count >= 1 && plan->event_count == plan->item->event_count);
    for (uint32_t p = 0; p < plan->part_count; p++) {
        const kf_window_part_t *part = &plan->parts[p];
        uint32_t n = 0, before = 0;
        for (uint32_t i = part->first; i != KF_WINDOW_NONE; i = plan->events[i].next) {
            CHECK(plan->events[i].part == p && (n == 0 || i > before));
            before = i;
            n++;
        }
        CHECK(n == part->event_count && (n > 0 || plan->event_count == 0));
        CHECK(part->at_once || (plan->device_bytes > 0 && part->scope_bytes >= plan->device_bytes));
        CHECK(part->scope_bytes <= part->key_bytes && part->key_bytes <= KF_WINDOW_KEY_MAX);
        seen += n;
    }
    CHECK(seen == plan->event_count);
}

/* A cut holds its part's events and every other member but credentials, token by token. */
static void check_cut(const kf_window_plan_t *plan, uint32_t p, const kf_item_t *cut)
{
    const kf_item_t *from = plan->item;
    uint32_t to = first_event(cut), k2 = kf_json_first(cut->json, cut->node);
    CHECK(cut->event_count == plan->parts[p].event_count);
    for (uint32_t i = plan->parts[p].first; i != KF_WINDOW_NONE; i = plan->events[i].next) {
        CHECK(kf_str_eq(kf_json_token(from->json, plan->events[i].node),
                        kf_json_token(cut->json, to)));
        to = cut->json->v[to].next;
    }
    for (uint32_t k = kf_json_first(from->json, from->node); k < from->json->v[from->node].next;
         k = from->json->v[k + 1].next) {
        if (k + 1 == from->member[KF_B_api_key] || k + 1 == from->member[KF_B_api_keys]) {
            continue;
        }
        CHECK(k2 < cut->json->v[cut->node].next);
        CHECK(kf_str_eq(kf_json_token(from->json, k), kf_json_token(cut->json, k2)));
        CHECK(k + 1 == from->member[KF_B_events] ||
              kf_str_eq(kf_json_token(from->json, k + 1), kf_json_token(cut->json, k2 + 1)));
        k2 = cut->json->v[k2 + 1].next;
    }
    CHECK(k2 == cut->json->v[cut->node].next);
}

static void cut_item(cuts_t *cuts, kf_window_plan_t *plan, const kf_item_t *item,
                     kf_window_kind_t kind)
{
    CHECK(kf_window_plan(plan, item, kind));
    check_parts(plan);
    for (uint32_t p = 0; p < plan->part_count && cuts->n < CUTS_MAX; p++) {
        cut_t *cut = &cuts->v[cuts->n++];
        kf_buf_init(&cut->text, SIZE_MAX / 4);
        CHECK(kf_window_cut(plan, p, KF_STR(""), &cut->text));
        cut->item = read_batch(&cut->text, &cut->post);
        check_cut(plan, p, cut->item);
        cut->key_bytes = plan->parts[p].at_once ? 0 : plan->parts[p].key_bytes;
        memcpy(cut->key, plan->parts[p].key, cut->key_bytes);
    }
}

/* What should be in the merge, by looking at each pair. @return how many uploads are no repeats */
static uint32_t expect_events(cut_t *const *cuts, uint32_t n, event_t *events, uint32_t *count)
{
    kf_str_t requests[CUTS_MAX];
    uint32_t kept = 0;
    *count = 0;
    for (uint32_t c = 0; c < n; c++) {
        const kf_item_t *item = cuts[c]->item;
        bool repeat = false;
        requests[c] = copy_text(item->json, item->member[KF_B_source_request_id]);
        for (uint32_t b = 0; b < c && requests[c].n > 0; b++) {
            repeat |= kf_str_eq(requests[b], requests[c]);
        }
        kept += !repeat;
        uint32_t e = first_event(item);
        for (uint32_t i = 0; i < item->event_count && !repeat; i++, e = item->json->v[e].next) {
            kf_event_fields_t fields;
            bool again = false;
            kf_event_fields(item->json, e, &fields);
            event_t event = {
                kf_json_token(item->json, e),
                kf_scalar_time_us(item->json, fields.node[KF_F_timestamp_unixtime_ms], &scratch),
                copy_text(item->json, fields.node[KF_F_source_message_id])};
            for (uint32_t b = 0; b < *count && event.id.n > 0; b++) {
                again |= kf_str_eq(events[b].id, event.id);
            }
            if (again) {
                free_text(event.id);
            } else {
                events[(*count)++] = event;
            }
        }
    }
    for (uint32_t c = 0; c < n; c++) {
        free_text(requests[c]);
    }
    return kept;
}

/* By insertion, which is stable. */
static void sort_events(event_t *events, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (events[i].time_us == 0) {
            return;
        }
    }
    for (uint32_t i = 1; i < n; i++) {
        event_t event = events[i];
        uint32_t to = i;
        for (; to > 0 && events[to - 1].time_us > event.time_us; to--) {
            events[to] = events[to - 1];
        }
        events[to] = event;
    }
}

static void check_merge(cut_t *const *cuts, uint32_t n, kf_str_t message_id)
{
    static event_t events[EVENTS_MAX];
    kf_str_t texts[CUTS_MAX];
    kf_buf_t out;
    kf_post_t *post;
    uint32_t count, total = 0, damaged;
    for (uint32_t c = 0; c < n; c++) {
        texts[c] = kf_buf_str(&cuts[c]->text);
        total += cuts[c]->item->event_count;
    }
    if (total > EVENTS_MAX || n == 0) {
        return;
    }
    kf_buf_init(&out, SIZE_MAX / 4);
    CHECK(kf_merge(texts, n, message_id, &out, &damaged) == KF_MERGE_OK);
    const kf_item_t *merged = read_batch(&out, &post);
    CHECK(!merged->member[KF_B_api_key] && !merged->member[KF_B_api_keys]);
    CHECK(message_id.n == 0 || merged->member[KF_B_message_id]);
    if (expect_events(cuts, n, events, &count) > 1) {
        sort_events(events, count);
    }
    CHECK(merged->event_count == count);
    uint32_t e = first_event(merged);
    for (uint32_t i = 0; i < count; i++, e = merged->json->v[e].next) {
        CHECK(kf_str_eq(kf_json_token(merged->json, e), events[i].token));
        free_text(events[i].id);
    }
    kf_post_free(post);
    kf_buf_free(&out);
}

/* Merges each alone, those of each window, and (whatever their keys) all. */
static void check_merges(cuts_t *cuts)
{
    cut_t *some[CUTS_MAX];
    for (uint32_t c = 0; c < cuts->n; c++) {
        const cut_t *cut = &cuts->v[c];
        uint32_t n = 0;
        some[0] = &cuts->v[c];
        check_merge(some, 1, KF_STR(""));
        for (uint32_t b = 0; b < cuts->n && cut->key_bytes > 0; b++) {
            if (kf_str_eq((kf_str_t){cuts->v[b].key, cuts->v[b].key_bytes},
                          (kf_str_t){cut->key, cut->key_bytes})) {
                some[n++] = &cuts->v[b];
            }
        }
        if (n > 1 && some[0] == cut) {
            check_merge(some, n, KF_STR("0a0a0a0a-0000-4000-8000-000000000000"));
        }
    }
    for (uint32_t c = 0; c < cuts->n; c++) {
        some[c] = &cuts->v[c];
    }
    check_merge(some, cuts->n, KF_STR(""));
}

static void try_kind(kf_post_t *const *posts, uint32_t n, kf_window_kind_t kind)
{
    static cuts_t cuts;
    kf_window_plan_t plan;
    kf_window_plan_init(&plan);
    cuts.n = 0;
    for (uint32_t p = 0; p < n; p++) {
        for (uint32_t i = 0; i < kf_post_count(posts[p]); i++) {
            const kf_item_t *item = kf_post_item(posts[p], i);
            if (item->kind == KF_ITEM_BATCH) {
                cut_item(&cuts, &plan, item, kind);
            }
        }
    }
    kf_window_plan_free(&plan);
    check_merges(&cuts);
    for (uint32_t c = 0; c < cuts.n; c++) {
        kf_post_free(cuts.v[c].post);
        kf_buf_free(&cuts.v[c].text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kf_post_t *posts[16] = {NULL};
    uint32_t n = 0;
    const char *p = (const char *)data, *end = p + size;
    kf_fault_t fault;
    while (p < end && n < sizeof(posts) / sizeof(posts[0])) {
        const char *stop = memchr(p, 0x1e, (size_t)(end - p));
        stop = stop ? stop : end;
        posts[n] = kf_post_parse(p, (size_t)(stop - p), &fault);
        n += posts[n] != NULL;
        p = stop < end ? stop + 1 : end;
    }
    kf_buf_init(&scratch, SIZE_MAX / 4);
    try_kind(posts, n, KF_WINDOW_BATCH);
    try_kind(posts, n, KF_WINDOW_SESSION);
    for (uint32_t i = 0; i < n; i++) {
        kf_post_free(posts[i]);
    }
    kf_buf_free(&scratch);
    return 0;
}
