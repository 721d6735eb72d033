/* SPDX-License-Identifier: Apache-2.0
 *
 * Merging: find which upload each member is taken from, then write.
 */
#include "events/kf_merge.h"

#include <stdlib.h>
#include "base/kf_limits.h"
#include "events/kf_members.h"
#include "events/kf_merge_events.h"
#include "events/kf_scalar.h"

/* A member of the merged batch. */
typedef struct {
    kf_batch_member_t id; /* KF_B_COUNT: one that the module does not look at */
    const kf_json_t *json;
    uint32_t key; /* where it first appeared */
    const kf_json_t *value_json;
    uint32_t value; /* the newest that is not null */
} member_t;

/* An attribute to be deleted. */
typedef struct {
    const kf_json_t *json;
    uint32_t node;
    bool revoked;
} deleted_t;

typedef struct {
    kf_json_t *uploads; /* without repeats */
    uint32_t n;
    member_t *members;
    uint32_t member_count, member_cap;
    uint32_t
        likely; /* the member that follows the one found last: uploads have theirs in one order */
    uint32_t known[KF_B_COUNT]; /* 1 + index in members; 0: not there */
    kf_text_map_t names;        /* of the others, to the index */
    kf_text_map_t requests;     /* of source_request_id */
    kf_buf_t scratch;
    kf_merge_result_t result; /* OK so far, or why not */
} merge_t;

static bool fail(merge_t *m)
{
    m->result = KF_MERGE_MEMORY;
    return false;
}

static bool is_null(const kf_json_t *json, uint32_t value)
{
    return json->v[value].type == KF_JSON_NULL;
}

/* Whether the upload was there before. */
static bool is_repeat(merge_t *m, const kf_json_t *json)
{
    kf_str_t id;
    uint32_t value = kf_json_member(json, 0, KF_STR("source_request_id"));
    if (!kf_scalar_text(json, value, &m->scratch, &id)) {
        if (m->scratch.failed) {
            fail(m);
        }
        return false;
    }
    uint32_t *seen = kf_text_map_enter(&m->requests, json, value, id);
    if (!seen) {
        fail(m);
        return false;
    }
    bool repeat = *seen != KF_TEXT_MAP_NEW;
    *seen = 0;
    return repeat;
}

/* Indexes the texts. m->uploads has room for all of them and never moves: maps point into it. */
static bool scan(merge_t *m, const kf_str_t *uploads, uint32_t n, uint32_t *damaged)
{
    for (uint32_t i = 0; i < n; i++) {
        kf_json_t *json = &m->uploads[m->n];
        kf_json_error_t error;
        if (!kf_json_scan(json, uploads[i].p, uploads[i].n, KF_JSON_DEPTH_MAX, &error) ||
            json->v[0].type != KF_JSON_OBJECT) {
            bool memory = error.result == KF_JSON_MEMORY;
            m->result = memory ? KF_MERGE_MEMORY : KF_MERGE_DAMAGED;
            *damaged = i;
            return false;
        }
        m->n += !is_repeat(m, json);
        if (m->result != KF_MERGE_OK) {
            return false;
        }
    }
    return true;
}

static member_t *add_member(merge_t *m, const kf_json_t *json, uint32_t key, kf_batch_member_t id)
{
    if (m->member_count == m->member_cap) {
        uint32_t cap = m->member_cap ? m->member_cap * 2 : 32;
        member_t *members =
            cap > m->member_cap ? realloc(m->members, cap * sizeof(*members)) : NULL;
        if (!members) {
            fail(m);
            return NULL;
        }
        m->members = members;
        m->member_cap = cap;
    }
    m->members[m->member_count] = (member_t){id, json, key, json, key + 1};
    return &m->members[m->member_count++];
}

static bool is_likely(const merge_t *m, const kf_json_t *json, uint32_t key)
{
    const member_t *likely = &m->members[m->likely];
    return m->likely < m->member_count &&
           kf_str_eq(kf_json_token(json, key), kf_json_token(likely->json, likely->key));
}

/* The merged batch's member of a name, made if there is none yet. */
static member_t *look_up(merge_t *m, const kf_json_t *json, uint32_t key)
{
    kf_batch_member_t id = kf_member_of_key(json, key);
    if (id != KF_B_COUNT) {
        if (m->known[id] > 0) {
            return &m->members[m->known[id] - 1];
        }
        m->known[id] = m->member_count + 1;
        return add_member(m, json, key, id);
    }
    if (m->n == 1) {
        /* No upload has a name twice. */
        return add_member(m, json, key, id);
    }
    kf_str_t name = kf_scalar_plain(json, key, &m->scratch);
    uint32_t *index = m->scratch.failed ? NULL : kf_text_map_enter(&m->names, json, key, name);
    if (!index) {
        fail(m);
        return NULL;
    }
    if (*index != KF_TEXT_MAP_NEW) {
        return &m->members[*index];
    }
    *index = m->member_count;
    return add_member(m, json, key, id);
}

static member_t *member_of(merge_t *m, const kf_json_t *json, uint32_t key)
{
    member_t *member = is_likely(m, json, key) ? &m->members[m->likely] : look_up(m, json, key);
    if (member) {
        m->likely = (uint32_t)(member - m->members) + 1;
    }
    return member;
}

/* Room for an upload's members at once: growing by doubling moves them all many times. */
static bool reserve(merge_t *m, const kf_json_t *json)
{
    uint32_t n = 0;
    for (uint32_t k = kf_json_first(json, 0); k < json->v[0].next; k = json->v[k + 1].next) {
        n++;
    }
    m->members = malloc((n + 1) * sizeof(*m->members));
    m->member_cap = n + 1;
    return m->members && (m->n == 1 || kf_text_map_reserve(&m->names, n));
}

static bool collect_members(merge_t *m)
{
    if (m->n > 0 && !reserve(m, &m->uploads[0])) {
        return fail(m);
    }
    for (uint32_t i = 0; i < m->n; i++) {
        const kf_json_t *json = &m->uploads[i];
        m->likely = 0;
        for (uint32_t k = kf_json_first(json, 0); k < json->v[0].next; k = json->v[k + 1].next) {
            member_t *member = member_of(m, json, k);
            if (!member) {
                return false;
            }
            if (!is_null(json, k + 1)) {
                member->value_json = json;
                member->value = k + 1;
            }
        }
    }
    return true;
}

/* An upload's array of that name; 0 if it has none. */
static uint32_t array_of(const kf_json_t *json, kf_str_t name)
{
    uint32_t value = kf_json_member(json, 0, name);
    return value && json->v[value].type == KF_JSON_ARRAY ? value : 0;
}

static bool put_events(merge_t *m, kf_buf_t *out)
{
    kf_merge_events_t events = {.scratch = &m->scratch};
    bool ok = true;
    for (uint32_t i = 0; i < m->n && ok; i++) {
        uint32_t array = array_of(&m->uploads[i], KF_STR("events"));
        ok = !array || kf_merge_events_add(&events, &m->uploads[i], array);
    }
    ok = ok && (m->n == 1 || kf_merge_events_sort(&events));
    if (ok) {
        kf_merge_events_put(&events, out);
    }
    kf_merge_events_free(&events);
    return ok || fail(m);
}

static void put_element(kf_buf_t *out, const kf_json_t *json, uint32_t node, char *sep)
{
    kf_buf_putc(out, *sep);
    kf_buf_put_str(out, kf_json_token(json, node));
    *sep = ',';
}

static void end_array(kf_buf_t *out, char sep)
{
    kf_buf_put(out, "[]", sep == '[' ? 1 : 0);
    kf_buf_putc(out, ']');
}

static void put_notifications(const merge_t *m, kf_buf_t *out)
{
    char sep = '[';
    for (uint32_t i = 0; i < m->n; i++) {
        const kf_json_t *json = &m->uploads[i];
        uint32_t array = array_of(json, KF_STR("system_notifications"));
        for (uint32_t e = array + 1; array && e < json->v[array].next; e = json->v[e].next) {
            put_element(out, json, e, &sep);
        }
    }
    end_array(out, sep);
}

/* The deleted attributes so far. */
typedef struct {
    deleted_t *v;
    uint32_t n, cap;
    kf_text_map_t names; /* to the index; NEW where it was revoked */
} deletions_t;

static bool add_deletion(merge_t *m, deletions_t *d, const kf_json_t *json, uint32_t node)
{
    if (json->v[node].type == KF_JSON_STRING) {
        kf_str_t name = kf_scalar_plain(json, node, &m->scratch);
        uint32_t *index = m->scratch.failed ? NULL : kf_text_map_enter(&d->names, json, node, name);
        if (!index) {
            return fail(m);
        }
        if (*index != KF_TEXT_MAP_NEW) {
            return true;
        }
        *index = d->n;
    }
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? d->cap * 2 : 16;
        deleted_t *v = cap > d->cap ? realloc(d->v, cap * sizeof(*v)) : NULL;
        if (!v) {
            return fail(m);
        }
        d->v = v;
        d->cap = cap;
    }
    d->v[d->n++] = (deleted_t){json, node, false};
    return true;
}

/* What an upload sets is no longer to be deleted. */
static bool revoke_deletions(merge_t *m, deletions_t *d, const kf_json_t *json)
{
    uint32_t set = d->n ? kf_json_member(json, 0, KF_STR("user_attributes")) : 0;
    if (set == 0 || json->v[set].type != KF_JSON_OBJECT) {
        return true;
    }
    for (uint32_t k = kf_json_first(json, set); k < json->v[set].next; k = json->v[k + 1].next) {
        if (is_null(json, k + 1)) {
            continue;
        }
        kf_str_t name = kf_scalar_plain(json, k, &m->scratch);
        if (m->scratch.failed) {
            return fail(m);
        }
        uint32_t *index = kf_text_map_find(&d->names, name);
        if (index && *index != KF_TEXT_MAP_NEW) {
            d->v[*index].revoked = true;
            *index = KF_TEXT_MAP_NEW;
        }
    }
    return true;
}

static bool put_deletions(merge_t *m, kf_buf_t *out)
{
    deletions_t d = {.v = NULL};
    bool ok = true;
    for (uint32_t i = 0; i < m->n && ok; i++) {
        const kf_json_t *json = &m->uploads[i];
        uint32_t array = array_of(json, KF_STR("deleted_user_attributes"));
        ok = revoke_deletions(m, &d, json);
        for (uint32_t e = array + 1; ok && array && e < json->v[array].next; e = json->v[e].next) {
            ok = add_deletion(m, &d, json, e);
        }
    }
    char sep = '[';
    for (uint32_t i = 0; i < d.n && ok; i++) {
        if (!d.v[i].revoked) {
            put_element(out, d.v[i].json, d.v[i].node, &sep);
        }
    }
    end_array(out, sep);
    free(d.v);
    kf_text_map_free(&d.names);
    return ok;
}

static bool put_value(merge_t *m, const member_t *member, kf_str_t message_id, kf_buf_t *out)
{
    bool array = member->value_json->v[member->value].type == KF_JSON_ARRAY;
    if (member->id == KF_B_message_id && message_id.n > 0) {
        kf_buf_put_json(out, message_id);
    } else if (member->id == KF_B_events && array) {
        return put_events(m, out);
    } else if (member->id == KF_B_system_notifications && array && m->n > 1) {
        put_notifications(m, out);
    } else if (member->id == KF_B_deleted_user_attributes && array && m->n > 1) {
        return put_deletions(m, out);
    } else {
        kf_buf_put_str(out, kf_json_token(member->value_json, member->value));
    }
    return true;
}

/* Whether the single upload has a message_id. */
static bool keeps_message_id(const merge_t *m)
{
    uint32_t known = m->known[KF_B_message_id];
    return m->n == 1 && known > 0 && !is_null(&m->uploads[0], m->members[known - 1].value);
}

static bool put_batch(merge_t *m, kf_str_t message_id, kf_buf_t *out)
{
    if (keeps_message_id(m)) {
        message_id.n = 0;
    }
    kf_buf_putc(out, '{');
    for (uint32_t i = 0; i < m->member_count; i++) {
        if (i > 0) {
            kf_buf_putc(out, ',');
        }
        kf_buf_put_str(out, kf_json_token(m->members[i].json, m->members[i].key));
        kf_buf_putc(out, ':');
        if (!put_value(m, &m->members[i], message_id, out)) {
            return false;
        }
    }
    if (message_id.n > 0 && m->known[KF_B_message_id] == 0) {
        kf_buf_put_str(out,
                       m->member_count ? KF_STR(",\"message_id\":") : KF_STR("\"message_id\":"));
        kf_buf_put_json(out, message_id);
    }
    kf_buf_putc(out, '}');
    return !out->failed || fail(m);
}

kf_merge_result_t kf_merge(const kf_str_t *uploads, uint32_t n, kf_str_t message_id, kf_buf_t *out,
                           uint32_t *damaged)
{
    merge_t m = {.uploads = calloc(n, sizeof(*m.uploads))};
    size_t before = out->n;
    kf_buf_init(&m.scratch, UINT32_MAX);
    if (!m.uploads) {
        fail(&m);
    } else if (scan(&m, uploads, n, damaged) && collect_members(&m)) {
        put_batch(&m, message_id, out);
    }
    for (uint32_t i = 0; m.uploads && i < n; i++) {
        kf_json_free(&m.uploads[i]);
    }
    free(m.uploads);
    free(m.members);
    kf_text_map_free(&m.names);
    kf_text_map_free(&m.requests);
    kf_buf_free(&m.scratch);
    if (m.result != KF_MERGE_OK) {
        out->n = before;
    }
    return m.result;
}
