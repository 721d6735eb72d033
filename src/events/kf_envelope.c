/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing batches. Only members that a setting has to do with are looked at (their nodes are known
 * since validation), in the order in which they stand; all between them is copied as it is.
 */
#include "events/kf_envelope.h"

#include "base/kf_clock.h"

#define UUID_BYTES 36
/* Longest timestamp of a batch that is repeated in its identities: a number or string beyond is no
 * time, and would let a small body ask for large output. */
#define TIMESTAMP_MAX 64
#define EDITS_MAX (KF_B_COUNT + KF_OTHER_RULES_MAX)

/* A member to look at. */
typedef struct {
    uint32_t value;       /* node */
    kf_batch_member_t id; /* KF_B_COUNT: by an excluded field's name only */
    const kf_rule_t *rule;
} edit_t;

typedef struct {
    const kf_filter_t *filter;
    const kf_item_t *item;
    kf_writer_t *w;
    kf_marks_t *marks;
    bool all_kept; /* no event goes */
    bool empty;    /* all do, and message_id is fresh */
    int64_t received_us;
    kf_str_t message_id;          /* n == 0: a random one is made */
    char now[KF_STR_DECIMAL_MAX]; /* time of receipt in ms, once asked for */
} job_t;

static size_t add_edit(edit_t *edits, size_t n, edit_t edit)
{
    size_t i = n;
    for (; i > 0 && edits[i - 1].value > edit.value; i--) {
        edits[i] = edits[i - 1];
    }
    edits[i] = edit;
    return n + 1;
}

/* The members to look at, in their order. */
static size_t collect_edits(const kf_filter_t *filter, const kf_item_t *item, edit_t *edits)
{
    size_t n = 0;
    for (uint32_t left = filter->touched & item->known; left; left &= left - 1) {
        kf_batch_member_t id = (kf_batch_member_t)__builtin_ctz(left);
        n = add_edit(edits, n, (edit_t){item->member[id], id, filter->rule[id]});
    }
    for (unsigned i = 0; i < filter->other_count; i++) {
        uint32_t value = kf_json_member(item->json, item->node, filter->other[i]->name);
        if (value) {
            n = add_edit(edits, n, (edit_t){value, KF_B_COUNT, filter->other[i]});
        }
    }
    return n;
}

/* The time of receipt, in ms. */
static kf_str_t now(job_t *job)
{
    int64_t ms = job->received_us / KF_MS;
    return (kf_str_t){job->now, kf_str_decimal(job->now, ms > 0 ? (uint64_t)ms : 0)};
}

/* ---- events ---- */

/* Leaves an object's location out; the name stands once in it. */
static void cut_location(kf_writer_t *w, uint32_t data)
{
    const kf_json_t *json = w->json;
    if (json->v[data].type == KF_JSON_OBJECT) {
        uint32_t location = kf_json_member(json, data, KF_STR("location"));
        uint32_t lead = kf_json_first(json, data);
        if (location) {
            kf_writer_cut_member(w, data, location - 1, &lead);
        }
    }
}

static void strip_breadcrumbs(kf_writer_t *w, uint32_t breadcrumbs)
{
    const kf_json_t *json = w->json;
    if (json->v[breadcrumbs].type != KF_JSON_ARRAY) {
        return;
    }
    uint32_t end = json->v[breadcrumbs].next;
    for (uint32_t e = kf_json_first(json, breadcrumbs); e < end; e = json->v[e].next) {
        if (json->v[e].type == KF_JSON_OBJECT) {
            uint32_t data = kf_json_member(json, e, KF_STR("data"));
            if (data) {
                cut_location(w, data);
            }
        }
    }
}

/* Where an event of any type has its location: mParticle's breadcrumbs stand in crash reports, but
 * whatever carries them carries places. */
static void strip_event(kf_writer_t *w, uint32_t event)
{
    const kf_json_t *json = w->json;
    uint32_t data = kf_json_member(json, event, KF_STR("data"));
    if (data == 0 || json->v[data].type != KF_JSON_OBJECT) {
        return;
    }
    uint32_t location = kf_json_member(json, data, KF_STR("location"));
    uint32_t breadcrumbs = kf_json_member(json, data, KF_STR("breadcrumbs"));
    if (breadcrumbs && breadcrumbs < location) {
        strip_breadcrumbs(w, breadcrumbs);
    }
    if (location) {
        cut_location(w, data);
    }
    if (breadcrumbs && breadcrumbs > location) {
        strip_breadcrumbs(w, breadcrumbs);
    }
}

void kf_envelope_event(const kf_filter_t *filter, kf_writer_t *w, uint32_t event)
{
    kf_writer_from(w, w->json->v[event].start);
    if (filter->strip_location) {
        strip_event(w, event);
    }
    kf_writer_to(w, w->json->v[event].end);
}

static void write_events(job_t *job, uint32_t events)
{
    const kf_filter_t *filter = job->filter;
    kf_writer_t *w = job->w;
    const kf_json_node_t *v = w->json->v;
    if (v[events].type != KF_JSON_ARRAY) {
        return;
    }
    kf_writer_to(w, v[events].start + 1);
    job->marks->hole = w->n;
    if (job->empty) {
        kf_writer_from(w, v[events].end - 1);
    } else if (!job->all_kept || filter->strip_location) {
        uint32_t lead = kf_json_first(w->json, events), end = v[events].next;
        for (uint32_t e = lead; e < end; e = v[e].next) {
            if (!job->all_kept && !kf_plan_keeps_event(filter, w->json, e)) {
                kf_writer_cut_element(w, events, e, &lead);
            } else if (filter->strip_location) {
                strip_event(w, e);
            }
        }
    }
    kf_writer_to(w, v[events].end - 1);
    job->marks->hole_end = w->n;
}

/* ---- user_identities ---- */

static void cut_identities(job_t *job, uint32_t array)
{
    kf_writer_t *w = job->w;
    const kf_json_t *json = w->json;
    uint32_t lead = kf_json_first(json, array), end = json->v[array].next;
    for (uint32_t e = lead; e < end; e = json->v[e].next) {
        uint32_t type = json->v[e].type == KF_JSON_OBJECT
                            ? kf_json_member(json, e, KF_STR("identity_type"))
                            : 0;
        if (type && json->v[type].type == KF_JSON_STRING) {
            kf_identity_t id = kf_identity_of(json, type);
            if (kf_plan_excludes(job->filter, id) && !kf_identities[id].device) {
                kf_writer_cut_element(w, array, e, &lead);
            }
        }
    }
}

/* The batch's own time as it came, else the one of receipt. */
static kf_str_t batch_time(job_t *job)
{
    const kf_json_t *json = job->item->json;
    uint32_t value = job->item->member[KF_B_timestamp_unixtime_ms];
    if (value && !kf_plan_removes(job->filter, KF_B_timestamp_unixtime_ms) &&
        (json->v[value].type == KF_JSON_NUMBER || json->v[value].type == KF_JSON_STRING)) {
        kf_str_t token = kf_json_token(json, value);
        if (token.n <= TIMESTAMP_MAX) {
            return token;
        }
    }
    return now(job);
}

static void convert_identities(job_t *job, const kf_rule_t *rule, uint32_t object)
{
    kf_writer_t *w = job->w;
    const kf_json_t *json = w->json;
    kf_str_t time = batch_time(job), sep = KF_STR("[{\"identity_type\":");
    bool any = false;
    kf_writer_to(w, json->v[object].start);
    uint32_t end = json->v[object].next;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        const kf_rule_t *child = kf_rules_match(rule, json, k);
        if ((child && child->remove) || !kf_identity_usable(json, k + 1)) {
            continue;
        }
        kf_writer_put_str(w, any ? KF_STR(",{\"identity_type\":") : sep);
        any = true;
        kf_writer_put_token(w, k);
        kf_writer_put_str(w, KF_STR(",\"identity\":"));
        kf_writer_from(w, json->v[k + 1].start);
        kf_rules_strip(child, w, k + 1);
        kf_writer_to(w, json->v[k + 1].end);
        kf_writer_put_str(w, KF_STR(",\"timestamp_unixtime_ms\":"));
        kf_writer_put_str(w, time);
        kf_writer_put_str(w, KF_STR("}"));
    }
    kf_writer_put_str(w, any ? KF_STR("]") : KF_STR("[]"));
    kf_writer_from(w, json->v[object].end);
}

static void write_identities(job_t *job, const edit_t *edit)
{
    kf_json_type_t type = (kf_json_type_t)job->w->json->v[edit->value].type;
    if (type == KF_JSON_OBJECT && job->filter->outbound) {
        convert_identities(job, edit->rule, edit->value);
    } else if (type == KF_JSON_ARRAY && job->filter->identities) {
        cut_identities(job, edit->value);
    } else {
        kf_rules_strip(edit->rule, job->w, edit->value);
    }
}

/* ---- members of the envelope ---- */

static void put_message_id(job_t *job)
{
    char token[UUID_BYTES + 2];
    token[0] = token[UUID_BYTES + 1] = '"';
    if (job->message_id.n == UUID_BYTES) {
        memcpy(token + 1, job->message_id.p, UUID_BYTES);
    } else {
        kf_uuid4(token + 1);
    }
    job->marks->id_at = job->w->n + 1;
    kf_writer_put(job->w, token, sizeof(token));
}

static void put_value(job_t *job, kf_batch_member_t id)
{
    switch (id) {
    case KF_B_message_id:
        put_message_id(job);
        break;
    case KF_B_message_type:
        kf_writer_put_str(job->w, KF_STR("\"events\""));
        break;
    case KF_B_schema_version:
        kf_writer_put_str(job->w, KF_STR("2"));
        break;
    case KF_B_timestamp_unixtime_ms:
        kf_writer_put_str(job->w, now(job));
        break;
    default:
        kf_writer_put_str(job->w, job->filter->unique_id);
        break;
    }
}

/* A member of the envelope that came: null means absent. */
static void write_envelope_member(job_t *job, const edit_t *edit)
{
    bool null = job->w->json->v[edit->value].type == KF_JSON_NULL;
    bool ours =
        edit->id == KF_B_unique_id
            ? job->filter->unique_id.n > 0
            : job->filter->outbound && (null || (job->empty && edit->id == KF_B_message_id));
    if (ours) {
        kf_writer_replace(job->w, edit->value);
        put_value(job, edit->id);
    } else {
        kf_rules_strip(edit->rule, job->w, edit->value);
    }
}

static void write_edit(job_t *job, const edit_t *edit)
{
    switch (edit->id) {
    case KF_B_events:
        write_events(job, edit->value);
        break;
    case KF_B_user_identities:
        write_identities(job, edit);
        break;
    case KF_B_message_id:
    case KF_B_message_type:
    case KF_B_schema_version:
    case KF_B_timestamp_unixtime_ms:
    case KF_B_unique_id:
        write_envelope_member(job, edit);
        break;
    default:
        kf_rules_strip(edit->rule, job->w, edit->value);
        break;
    }
}

/* Adds a member that did not come, before the closing bracket. */
static void add_member(job_t *job, kf_batch_member_t id, kf_str_t name, bool *first)
{
    const kf_json_t *json = job->item->json;
    if (job->item->member[id] && !kf_plan_removes(job->filter, id)) {
        return;
    }
    kf_writer_to(job->w, kf_writer_inner_end(json, job->item->node));
    kf_writer_from(job->w, json->v[job->item->node].end - 1);
    kf_writer_put(job->w, ",", *first ? 0 : 1);
    *first = false;
    kf_writer_put_str(job->w, name);
    put_value(job, id);
}

static void add_members(job_t *job, bool first)
{
    if (job->filter->outbound) {
        add_member(job, KF_B_message_id, KF_STR("\"message_id\":"), &first);
        add_member(job, KF_B_message_type, KF_STR("\"message_type\":"), &first);
        add_member(job, KF_B_schema_version, KF_STR("\"schema_version\":"), &first);
        add_member(job, KF_B_timestamp_unixtime_ms, KF_STR("\"timestamp_unixtime_ms\":"), &first);
    }
    if (job->filter->unique_id.n) {
        add_member(job, KF_B_unique_id, KF_STR("\"unique_id\":"), &first);
    }
}

static void write_batch(job_t *job)
{
    edit_t edits[EDITS_MAX];
    const kf_json_t *json = job->item->json;
    uint32_t node = job->item->node, lead = kf_json_first(json, node);
    size_t n = collect_edits(job->filter, job->item, edits);
    *job->marks = (kf_marks_t){0, 0, 0};
    kf_writer_from(job->w, json->v[node].start);
    for (size_t i = 0; i < n; i++) {
        if (edits[i].rule && edits[i].rule->remove) {
            kf_writer_cut_member(job->w, node, edits[i].value - 1, &lead);
        } else {
            write_edit(job, &edits[i]);
        }
    }
    add_members(job, lead == json->v[node].next);
    kf_writer_to(job->w, json->v[node].end);
}

bool kf_envelope_as_it_came(const kf_filter_t *filter, const kf_item_t *item, bool all_kept)
{
    uint32_t touched = filter->touched & item->known;
    if (all_kept && !filter->strip_location) {
        touched &= ~(UINT32_C(1) << KF_B_events);
    }
    return touched == 0 && filter->adds_nothing;
}

void kf_envelope_whole(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                       kf_str_t message_id, bool all_kept, kf_writer_t *w, kf_marks_t *marks)
{
    job_t job = {.filter = filter,
                 .item = item,
                 .w = w,
                 .marks = marks,
                 .all_kept = all_kept,
                 .received_us = received_us,
                 .message_id = message_id};
    write_batch(&job);
}

void kf_envelope_empty(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                       kf_writer_t *w, kf_marks_t *marks)
{
    job_t job = {.filter = filter,
                 .item = item,
                 .w = w,
                 .marks = marks,
                 .empty = true,
                 .received_us = received_us};
    write_batch(&job);
}

/* ---- audience messages ---- */

static void cut_audience_identities(const kf_filter_t *filter, kf_writer_t *w, uint32_t ids)
{
    const kf_json_t *json = w->json;
    if (filter->identities == 0 || json->v[ids].type != KF_JSON_OBJECT) {
        return;
    }
    uint32_t lead = kf_json_first(json, ids), end = json->v[ids].next;
    for (uint32_t k = lead; k < end; k = json->v[k + 1].next) {
        if (kf_plan_excludes(filter, kf_identity_of_audience(json, k))) {
            kf_writer_cut_member(w, ids, k, &lead);
        }
    }
}

void kf_envelope_audience(const kf_filter_t *filter, const kf_item_t *item, kf_writer_t *w)
{
    static const kf_batch_member_t looked_at[] = {KF_B_api_key, KF_B_api_keys, KF_B_UserIdentities};
    edit_t edits[sizeof(looked_at) / sizeof(looked_at[0])];
    const kf_json_t *json = item->json;
    uint32_t lead = kf_json_first(json, item->node);
    size_t n = 0;
    for (size_t i = 0; i < sizeof(looked_at) / sizeof(looked_at[0]); i++) {
        uint32_t value = item->member[looked_at[i]];
        if (value) {
            n = add_edit(edits, n, (edit_t){value, looked_at[i], NULL});
        }
    }
    kf_writer_from(w, json->v[item->node].start);
    for (size_t i = 0; i < n; i++) {
        if (edits[i].id == KF_B_UserIdentities) {
            cut_audience_identities(filter, w, edits[i].value);
        } else {
            kf_writer_cut_member(w, item->node, edits[i].value - 1, &lead);
        }
    }
    kf_writer_to(w, json->v[item->node].end);
}
