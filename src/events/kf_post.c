/* SPDX-License-Identifier: Apache-2.0
 *
 * A body to items: scan, walk the top level, take wrappers off, and let each object be checked.
 */
#include "events/kf_post.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/kf_limits.h"
#include "events/kf_validate.h"

/* A base64 wrapper's text and index; items point to it, so it never moves. */
typedef struct kf_wrapped_t kf_wrapped_t;
struct kf_wrapped_t {
    kf_wrapped_t *next;
    kf_buf_t text;
    kf_json_t json;
};

struct kf_post_t {
    kf_json_t json;
    kf_wrapped_t *wrapped;
    kf_item_t *items; /* `one` for the first, which is most often the only one */
    uint32_t n, cap;
    kf_item_t one;
};

void kf_post_free(kf_post_t *post)
{
    if (!post) {
        return;
    }
    for (kf_wrapped_t *w = post->wrapped, *next; w; w = next) {
        next = w->next;
        kf_json_free(&w->json);
        kf_buf_free(&w->text);
        free(w);
    }
    if (post->items != &post->one) {
        free(post->items);
    }
    kf_json_free(&post->json);
    free(post);
}

uint32_t kf_post_count(const kf_post_t *post)
{
    return post->n;
}

const kf_item_t *kf_post_item(const kf_post_t *post, uint32_t i)
{
    return &post->items[i];
}

static kf_item_t *add_item(kf_post_t *post)
{
    if (post->n == post->cap) {
        uint32_t cap = post->cap * 4;
        kf_item_t *items =
            realloc(post->items == &post->one ? NULL : post->items, cap * sizeof(*items));
        if (!items) {
            return NULL;
        }
        if (post->items == &post->one) {
            items[0] = post->one;
        }
        post->items = items;
        post->cap = cap;
    }
    return &post->items[post->n++];
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

/* The bytes that a wrapper's string stands for; NULL with the fault set. */
static kf_wrapped_t *decode(kf_post_t *post, kf_validator_t *v, const kf_json_t *json,
                            uint32_t node)
{
    kf_str_t text = kf_json_inner(json, node);
    kf_wrapped_t *w = calloc(1, sizeof(*w));
    kf_buf_t plain;
    kf_buf_init(&plain, text.n + 1);
    if (!w) {
        kf_validate_no_memory(v);
        return NULL;
    }
    kf_buf_init(&w->text, text.n + 1);
    w->next = post->wrapped;
    post->wrapped = w;
    if (json->v[node].escaped) {
        kf_json_unescape(json, node, &plain);
        text = kf_buf_str(&plain);
    }
    bool failed = plain.failed;
    bool ok = !failed && kf_buf_put_unbase64(&w->text, text);
    failed |= w->text.failed;
    kf_buf_free(&plain);
    if (failed) {
        kf_validate_no_memory(v);
    } else if (!ok) {
        kf_validate_fail(v, "Record.Data is no base64", json->v[node].start);
    }
    return ok && !failed ? w : NULL;
}

static bool add_object(kf_post_t *post, kf_validator_t *v, const kf_json_t *json, uint32_t node,
                       kf_shape_t shape, kf_item_t *found)
{
    size_t at = json->v[node].start;
    switch (shape) {
    case KF_SHAPE_BATCH:
    case KF_SHAPE_AUDIENCE:
        break;
    case KF_SHAPE_NATIVE:
        return kf_validate_fail(v,
                                "this is mParticle's native SDK format (dt \"h\" with msgs), "
                                "not the Events API's",
                                at);
    default:
        return kf_validate_fail(v, "neither an event batch nor an audience message", at);
    }
    if (!kf_validate_item(v, found)) {
        return false;
    }
    kf_item_t *item = add_item(post);
    if (!item) {
        return kf_validate_no_memory(v);
    }
    *item = *found;
    return true;
}

/* What stands in a wrapper, which is not a wrapper again. */
static bool add_inner(kf_post_t *post, kf_validator_t *v, const kf_json_t *json, uint32_t node)
{
    if (json->v[node].type != KF_JSON_OBJECT) {
        return kf_validate_fail(v, "Record.Data must hold an object", json->v[node].start);
    }
    kf_item_t found;
    kf_shape_t shape = kf_validate_shape(json, node, &found);
    return add_object(post, v, json, node, shape, &found);
}

static bool add_decoded(kf_post_t *post, kf_validator_t *v, const kf_json_t *json, uint32_t data)
{
    kf_wrapped_t *w = decode(post, v, json, data);
    if (!w) {
        return false;
    }
    kf_json_error_t error = {KF_JSON_OK, 0, NULL};
    v->place.decoded = true;
    bool ok =
        kf_json_scan(&w->json, w->text.n ? w->text.p : "", w->text.n, KF_JSON_DEPTH_MAX, &error)
            ? add_inner(post, v, &w->json, 0)
            : scan_fault(v, &error);
    v->place.decoded = false;
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
    if (!stands_once(v, json, object, KF_STR("Record")) ||
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
    kf_item_t found;
    kf_shape_t shape = kf_validate_shape(json, node, &found);
    if (shape == KF_SHAPE_WRAPPER) {
        return add_wrapped(post, v, json, node, found.member[KF_B_Record]);
    }
    return add_object(post, v, json, node, shape, &found);
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
    kf_validator_t v = {.place = {-1, -1, -1, -1, false}, .fault = fault};
    kf_post_t *post = malloc(sizeof(*post));
    if (!post) {
        kf_validate_no_memory(&v);
        return NULL;
    }
    memset(post, 0, offsetof(kf_post_t, one));
    post->items = &post->one;
    post->cap = 1;
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
