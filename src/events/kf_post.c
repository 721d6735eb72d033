/* SPDX-License-Identifier: Apache-2.0
 *
 * A body to items: scan, walk the top level, take wrappers off, and let each object be checked.
 */
#include "events/kf_post.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/kf_limits.h"
#include "events/kf_validate.h"

/* What is kept of each of several items. Bodies may hold nothing but the smallest: spread out, each
 * would be a dozen times as long as what came. */
typedef struct {
    const kf_json_t *json;
    uint32_t node;
    uint32_t known : 31;
    uint32_t audience : 1;
    uint32_t values; /* where in post->values those of the known members begin */
    uint32_t event_count;
} small_t;

struct kf_post_t {
    kf_json_t json;
    kf_buf_t wrapped;    /* what stands in base64 wrappers, one after the other; does not move */
    kf_json_t unwrapped; /* its index */
    kf_buf_t plain;      /* a wrapper's base64, where it came with escapes */
    small_t *small;      /* of several items */
    uint32_t small_cap;
    uint32_t *values; /* of their members */
    uint32_t value_count, value_cap;
    uint32_t n;     /* items */
    bool several;   /* there may be more than one */
    uint32_t shown; /* the one that is spread out */
    kf_item_t item; /* that; the only one, most often */
};

void kf_post_free(kf_post_t *post)
{
    if (!post) {
        return;
    }
    kf_json_free(&post->json);
    kf_json_free(&post->unwrapped);
    kf_buf_free(&post->wrapped);
    kf_buf_free(&post->plain);
    free(post->small);
    free(post->values);
    free(post);
}

uint32_t kf_post_count(const kf_post_t *post)
{
    return post->n;
}

/* Spreads an item out in the place of the one that was. */
static void spread(kf_post_t *post, uint32_t i)
{
    const small_t *small = &post->small[i];
    const uint32_t *value = post->values + small->values;
    kf_item_t *item = &post->item;
    for (uint32_t left = item->known & ~small->known; left; left &= left - 1) {
        item->member[__builtin_ctz(left)] = 0;
    }
    for (uint32_t left = small->known; left; left &= left - 1) {
        item->member[__builtin_ctz(left)] = *value++;
    }
    item->kind = small->audience ? KF_ITEM_AUDIENCE : KF_ITEM_BATCH;
    item->json = small->json;
    item->node = small->node;
    item->known = small->known;
    item->event_count = small->event_count;
    post->shown = i;
}

const kf_item_t *kf_post_item(const kf_post_t *post, uint32_t i)
{
    if (i != post->shown) {
        /* What is spread out is none of what the post says. */
        spread((kf_post_t *)post, i);
    }
    return &post->item;
}

/* An array of so many elements made longer. */
static void *longer(void *p, uint32_t *cap, size_t size)
{
    uint32_t to = *cap ? *cap * 2 : 64;
    void *grown = to > *cap ? realloc(p, to * size) : NULL;
    if (grown) {
        *cap = to;
    }
    return grown;
}

/* Room for one more small item. @return false when out of memory */
__attribute__((noinline)) static bool grow_small(kf_post_t *post)
{
    if (post->n == post->small_cap) {
        small_t *small = longer(post->small, &post->small_cap, sizeof(*small));
        if (!small) {
            return false;
        }
        post->small = small;
    }
    if (post->value_cap - post->value_count < KF_B_COUNT) {
        uint32_t *values = longer(post->values, &post->value_cap, sizeof(*values));
        if (!values) {
            return false;
        }
        post->values = values;
    }
    return true;
}

/* Keeps what post->item holds as one of several. */
static inline bool keep_small(kf_post_t *post)
{
    const kf_item_t *item = &post->item;
    if ((post->n == post->small_cap || post->value_cap - post->value_count < KF_B_COUNT) &&
        !grow_small(post)) {
        return false;
    }
    uint32_t *value = post->values + post->value_count;
    post->small[post->n] = (small_t){.json = item->json,
                                     .node = item->node,
                                     .known = item->known & INT32_MAX,
                                     .audience = item->kind == KF_ITEM_AUDIENCE,
                                     .values = post->value_count,
                                     .event_count = item->event_count};
    for (uint32_t left = item->known; left; left &= left - 1) {
        *value++ = item->member[__builtin_ctz(left)];
    }
    post->value_count = (uint32_t)(value - post->values);
    return true;
}

static bool scan_fault(kf_validator_t *v, const kf_json_error_t *error)
{
    char what[160];
    switch (error->result) {
    case KF_JSON_MEMORY:
        return kf_validate_no_memory(v);
    case KF_JSON_EMPTY:
        return kf_validate_fail(v, v->place.decoded ? "empty" : "the body is empty", error->offset);
    case KF_JSON_DEPTH:
        snprintf(what, sizeof(what), "more than %d brackets open at once", KF_JSON_DEPTH_MAX);
        return kf_validate_fail(v, what, error->offset);
    default:
        snprintf(what, sizeof(what), "not JSON: %s", error->what ? error->what : "bad syntax");
        return kf_validate_fail(v, what, error->offset);
    }
}

/* Room for all that may stand in this wrapper and those after it. */
static bool reserve_wrapped(kf_post_t *post, const kf_json_t *json, uint32_t node)
{
    if (post->wrapped.p == NULL) {
        size_t most = (json->v[0].end - json->v[node].start) / 4 * 3;
        kf_buf_init(&post->wrapped, most);
        kf_buf_room(&post->wrapped, most);
        kf_buf_init(&post->plain, most / 3 * 4);
    }
    return !post->wrapped.failed;
}

/* Appends the bytes that a wrapper's string stands for; false with the fault set. */
static bool decode(kf_post_t *post, kf_validator_t *v, const kf_json_t *json, uint32_t node)
{
    kf_str_t text = kf_json_inner(json, node);
    if (!reserve_wrapped(post, json, node)) {
        return kf_validate_no_memory(v);
    }
    if (json->v[node].escaped) {
        kf_buf_clear(&post->plain);
        kf_json_unescape(json, node, &post->plain);
        text = kf_buf_str(&post->plain);
    }
    bool ok = !post->plain.failed && kf_buf_put_unbase64(&post->wrapped, text);
    if (post->plain.failed || post->wrapped.failed) {
        return kf_validate_no_memory(v);
    }
    return ok || kf_validate_fail(v, "Record.Data is no base64", json->v[node].start);
}

static bool refuse_shape(kf_validator_t *v, kf_shape_t shape, size_t at)
{
    return kf_validate_fail(v,
                            shape == KF_SHAPE_NATIVE
                                ? "this is mParticle's native SDK format (dt \"h\" with msgs), "
                                  "not the Events API's"
                                : "neither an event batch nor an audience message",
                            at);
}

/* Keeps the object whose shape was told last, if it is one to keep. */
static bool add_object(kf_post_t *post, kf_validator_t *v, kf_shape_t shape)
{
    if (shape != KF_SHAPE_BATCH && shape != KF_SHAPE_AUDIENCE) {
        return refuse_shape(v, shape, post->item.json->v[post->item.node].start);
    }
    if (!kf_validate_item(v, &post->item)) {
        return false;
    }
    if (post->several && !keep_small(post)) {
        return kf_validate_no_memory(v);
    }
    post->shown = post->n++;
    return true;
}

/* What stands in a wrapper, which is not a wrapper again. */
static bool add_inner(kf_post_t *post, kf_validator_t *v, const kf_json_t *json, uint32_t node)
{
    if (json->v[node].type != KF_JSON_OBJECT) {
        return kf_validate_fail(v, "Record.Data must hold an object", json->v[node].start);
    }
    return add_object(post, v, kf_validate_shape(v, json, node, &post->item));
}

static bool add_decoded(kf_post_t *post, kf_validator_t *v, const kf_json_t *json, uint32_t data)
{
    size_t from = post->wrapped.n;
    uint32_t node = post->unwrapped.n;
    if (!decode(post, v, json, data)) {
        return false;
    }
    kf_json_error_t error = {KF_JSON_OK, 0, NULL};
    v->place.decoded = true;
    v->place.base = from;
    bool ok = kf_json_scan_more(&post->unwrapped, post->wrapped.p, from, post->wrapped.n,
                                KF_JSON_DEPTH_MAX, &error)
                  ? add_inner(post, v, &post->unwrapped, node)
                  : scan_fault(v, &error);
    v->place.decoded = false;
    v->place.base = 0;
    return ok;
}

/* A name twice is no fault in a wrapper, but one that would hide a whole batch is. */
static bool stands_once(kf_validator_t *v, const kf_json_t *json, uint32_t object, kf_str_t name)
{
    int seen = 0;
    uint32_t end = json->v[object].next;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        if (kf_json_string_is(json, k, name) && ++seen > 1) {
            return kf_validate_fail(v, "a member name twice in the PutRecord wrapper",
                                    json->v[k].start);
        }
    }
    return true;
}

static bool add_wrapped(kf_post_t *post, kf_validator_t *v, const kf_json_t *json, uint32_t object,
                        uint32_t record)
{
    uint32_t data = kf_json_member(json, record, KF_STR("Data"));
    if ((v->unsure && !stands_once(v, json, object, KF_STR("Record"))) ||
        !stands_once(v, json, record, KF_STR("Data"))) {
        return false;
    }
    if (data && json->v[data].type == KF_JSON_OBJECT) {
        return add_inner(post, v, json, data);
    }
    if (data && json->v[data].type == KF_JSON_STRING) {
        return add_decoded(post, v, json, data);
    }
    return kf_validate_fail(v, "Record.Data must be an object or a base64 string",
                            json->v[data ? data : record].start);
}

static bool add_posted(kf_post_t *post, kf_validator_t *v, uint32_t node)
{
    const kf_json_t *json = &post->json;
    if (json->v[node].type != KF_JSON_OBJECT) {
        return kf_validate_fail(v,
                                v->place.batch < 0 ? "the body must be an object or an array"
                                                   : "a batch must be an object",
                                json->v[node].start);
    }
    kf_shape_t shape = kf_validate_shape(v, json, node, &post->item);
    if (shape == KF_SHAPE_WRAPPER) {
        return add_wrapped(post, v, json, node, post->item.member[KF_B_Record]);
    }
    return add_object(post, v, shape);
}

static bool add_all(kf_post_t *post, kf_validator_t *v)
{
    const kf_json_t *json = &post->json;
    if (json->v[0].type != KF_JSON_ARRAY) {
        return add_posted(post, v, 0);
    }
    uint32_t end = json->v[0].next;
    if (kf_json_first(json, 0) == end) {
        return kf_validate_fail(v, "an empty array holds no batch", json->v[0].start);
    }
    post->several = json->v[kf_json_first(json, 0)].next < end;
    for (uint32_t e = kf_json_first(json, 0); e < end; e = json->v[e].next) {
        v->place.batch++;
        if (!add_posted(post, v, e)) {
            return false;
        }
    }
    return true;
}

kf_post_t *kf_post_parse(const char *body, size_t n, kf_fault_t *fault)
{
    kf_validator_t v = {.place = {-1, -1, -1, -1, false, 0}, .fault = fault};
    kf_post_t *post = malloc(sizeof(*post));
    if (!post) {
        kf_validate_no_memory(&v);
        return NULL;
    }
    memset(post, 0, sizeof(*post));
    kf_json_error_t error = {KF_JSON_OK, 0, NULL};
    bool ok = kf_json_scan(&post->json, body, n, KF_JSON_DEPTH_MAX, &error)
                  ? add_all(post, &v)
                  : scan_fault(&v, &error);
    kf_names_free(&v.names);
    if (!ok) {
        kf_post_free(post);
        return NULL;
    }
    return post;
}
