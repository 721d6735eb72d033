/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters: settings to a plan once, then the order of work for each item.
 */
#include "events/kf_filter.h"

#include <apr_strings.h>
#include "base/kf_limits.h"
#include "events/kf_members.h"
#include "events/kf_split.h"
#include "events/kf_window_note.h"
#include "events/kf_window_text.h"

bool kf_filter_knows_identity(kf_str_t name)
{
    return kf_identity_find(name) != KF_I_COUNT;
}

/* ---- compiling ---- */

static uint32_t forwarded_types(const kf_settings_t *s)
{
    uint32_t types = UINT32_C(1) << KF_E_opt_out;
#define KF_EVENT_TYPE(id, name, setting) types |= (s->setting ? UINT32_C(1) : 0) << KF_E_##id;
#include "events/kf_event_types.def"
#undef KF_EVENT_TYPE
    return types | (s->send_other_events ? UINT32_C(1) : 0) << KF_E_other;
}

static void compile_removals(apr_pool_t *pool, kf_filter_t *f, const kf_settings_t *s)
{
    const struct {
        bool off;
        const char *path;
    } removals[] = {{true, "api_key"},
                    {true, "api_keys"},
                    {!s->include_metadata, "application_info"},
                    {!s->include_metadata, "device_info"},
                    {!s->include_metadata, "source_info"},
                    {!s->include_user_identities, "user_identities"},
                    {!s->include_user_identities, "partner_identities"},
                    {!s->include_user_identities, "partner_identity"},
                    {!s->include_consent_state, "consent_state"},
                    {!s->include_mp_device_id, "mp_deviceid"},
                    {!s->include_location || !s->include_event_batch_location, "context.location"}};
    for (size_t i = 0; i < sizeof(removals) / sizeof(removals[0]); i++) {
        if (removals[i].off) {
            kf_rules_add_path(pool, &f->rules, removals[i].path);
        }
    }
    for (int i = 0; i < s->exclude_fields.n; i++) {
        kf_rules_add_path(pool, &f->rules, s->exclude_fields.v[i]);
    }
}

static void exclude_identity(apr_pool_t *pool, kf_filter_t *f, kf_identity_t id)
{
    const kf_identity_info_t *info = &kf_identities[id];
    f->identities |= (kf_identity_set_t)1 << id;
    if (id == KF_I_mp_deviceid) {
        kf_rules_add(pool, &f->rules, info->name)->remove = true;
        return;
    }
    kf_rule_t *in = kf_rules_add(pool, &f->rules,
                                 info->device ? KF_STR("device_info") : KF_STR("user_identities"));
    kf_rules_add(pool, in, info->name)->remove = true;
    for (const kf_str_t *alias = kf_customer_id_aliases; id == KF_I_customer_id && alias->n;
         alias++) {
        kf_rules_add(pool, in, *alias)->remove = true;
    }
}

/* Sorts the rules of batch-level members by number, and notes who needs a look. */
static bool index_rules(kf_filter_t *f)
{
    f->touched = UINT32_C(1) << KF_B_events;
    for (const kf_rule_t *r = f->rules.child; r; r = r->next) {
        kf_batch_member_t id = kf_member_find(r->name);
        if (id != KF_B_COUNT) {
            f->rule[id] = r;
            f->touched |= UINT32_C(1) << id;
        } else if (f->other_count < KF_OTHER_RULES_MAX) {
            f->other[f->other_count++] = r;
        } else {
            return false;
        }
    }
    if (f->outbound) {
        f->touched |= UINT32_C(1) << KF_B_user_identities | UINT32_C(1) << KF_B_message_id |
                      UINT32_C(1) << KF_B_message_type | UINT32_C(1) << KF_B_schema_version |
                      UINT32_C(1) << KF_B_timestamp_unixtime_ms;
    }
    if (f->unique_id.n) {
        f->touched |= UINT32_C(1) << KF_B_unique_id;
    }
    f->adds_nothing = !f->outbound && f->unique_id.n == 0 && f->other_count == 0 && !f->one_line;
    return true;
}

static bool compile_unique_id(apr_pool_t *pool, kf_filter_t *f, const char *unique_id)
{
    kf_buf_t token;
    if (!unique_id) {
        return true;
    }
    kf_buf_init(&token, 6 * strlen(unique_id) + 2);
    kf_buf_put_json(&token, kf_str_of(unique_id));
    char *copy = token.failed ? NULL : apr_pmemdup(pool, token.p, token.n);
    f->unique_id = (kf_str_t){copy, copy ? token.n : 0};
    kf_buf_free(&token);
    return copy != NULL;
}

static void compile_key(kf_filter_t *f, const char *text)
{
    static const struct {
        const char *word;
        kf_key_kind_t kind;
    } words[] = {{"auto", KF_KEY_AUTO},
                 {"mpid", KF_KEY_MPID},
                 {"device", KF_KEY_DEVICE},
                 {"random", KF_KEY_RANDOM}};
    f->key = text ? KF_KEY_FIELD : KF_KEY_AUTO;
    f->key_field = kf_str_of(text);
    for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i].word) == 0) {
            f->key = words[i].kind;
        }
    }
}

static kf_window_kind_t window_kind(const kf_settings_t *s)
{
    return s->wait_for_complete_batch                ? KF_WINDOW_SESSION
           : s->send_as_batch && s->batch_window > 0 ? KF_WINDOW_BATCH
                                                     : KF_WINDOW_KIND_NONE;
}

const kf_filter_t *kf_filter_compile(apr_pool_t *pool, const kf_settings_t *settings,
                                     uint16_t connection)
{
    kf_filter_t *f = apr_pcalloc(pool, sizeof(*f));
    bool firehose = settings->service == KF_SERVICE_FIREHOSE;
    f->settings = settings;
    f->connection = connection;
    f->window = window_kind(settings);
    f->outbound = settings->record_format == KF_FORMAT_OUTBOUND;
    f->single = !settings->send_as_batch && !settings->wait_for_complete_batch;
    f->newline = settings->record_delimiter == KF_DELIMITER_NEWLINE;
    f->one_line = f->newline || (firehose && settings->join_records);
    f->keyed = !firehose;
    f->strip_location = !settings->include_location;
    f->limit = firehose ? KF_FIREHOSE_RECORD_BYTES_MAX : KF_STREAMS_RECORD_BYTES_MAX;
    f->types = forwarded_types(settings);
    compile_key(f, settings->partition_key);
    compile_removals(pool, f, settings);
    for (int i = 0; i < settings->exclude_identities.n; i++) {
        kf_identity_t id = kf_identity_find(kf_str_of(settings->exclude_identities.v[i]));
        if (id != KF_I_COUNT) {
            exclude_identity(pool, f, id);
        }
    }
    return compile_unique_id(pool, f, settings->unique_id) && index_rules(f) ? f : NULL;
}

/* ---- applying ---- */

static uint32_t count_dropped(const kf_filter_t *filter, const kf_item_t *item,
                              kf_filter_stats_t *stats)
{
    const kf_json_t *json = item->json;
    uint32_t events = item->member[KF_B_events], dropped = 0;
    uint32_t end = json->v[events].next;
    for (uint32_t e = kf_json_first(json, events); e < end; e = json->v[e].next) {
        kf_event_type_t type = kf_event_type(json, e);
        if (!(filter->types >> type & 1)) {
            stats->types[type]++;
            dropped++;
        }
    }
    return dropped;
}

/* Records of a batch that has been found worth forwarding. */
static bool split_batch(kf_split_t *s, uint32_t kept)
{
    kf_marks_t marks;
    if (s->filter->single && kept > 1) {
        return kf_split_events(s, true);
    }
    bool all_kept = kept == s->item->event_count;
    size_t limit = s->filter->limit;
    kf_str_t came = kf_json_token(s->item->json, s->item->node);
    if (kf_envelope_as_it_came(s->filter, s->item, all_kept) &&
        kf_split_record_bytes(s, came.n) <= limit) {
        return kf_split_one(s, came, KF_RECORD_EVENTS, kept);
    }
    kf_envelope_whole(s->filter, s->item, s->received_us, s->message_id, all_kept, &s->w, &marks);
    size_t others = s->w.n - (marks.hole_end - marks.hole);
    /* splitting helps no batch whose other members are too large already */
    if (kept < 2 || kf_split_record_bytes(s, s->w.n) <= limit ||
        kf_split_record_bytes(s, others) > limit) {
        return kf_split_one(s, kf_writer_text(&s->w), KF_RECORD_EVENTS, kept);
    }
    return kf_split_events(s, false);
}

static bool apply_batch(kf_split_t *s)
{
    const kf_settings_t *settings = s->filter->settings;
    uint64_t *dropped = s->stats->dropped;
    uint32_t kept = s->item->event_count;
    if (!settings->send_anonymous_users && kf_identity_batch_anonymous(s->item)) {
        dropped[KF_DROP_ANONYMOUS]++;
        return true;
    }
    if (kept == 0 && !settings->send_batches_without_events) {
        dropped[KF_DROP_NO_EVENTS]++;
        return true;
    }
    if (kept > 0) {
        uint32_t types = count_dropped(s->filter, s->item, s->stats);
        dropped[KF_DROP_TYPE] += types;
        kept -= types;
        if (kept == 0) {
            dropped[KF_DROP_EMPTIED]++;
            return true;
        }
    }
    return kf_partition_key(s->filter, s->item, &s->key) && split_batch(s, kept);
}

static bool apply_audience(kf_split_t *s)
{
    if (!s->filter->settings->send_anonymous_users && kf_identity_audience_anonymous(s->item)) {
        s->stats->dropped[KF_DROP_ANONYMOUS]++;
        return true;
    }
    if (!kf_partition_key(s->filter, s->item, &s->key)) {
        return false;
    }
    kf_envelope_audience(s->filter, s->item, &s->w);
    return kf_split_one(s, kf_writer_text(&s->w), KF_RECORD_AUDIENCE, 0);
}

bool kf_filter_close(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                     kf_str_t message_id, kf_record_list_t *out, kf_filter_stats_t *stats)
{
    kf_split_t s;
    s.filter = filter;
    s.item = item;
    s.received_us = received_us;
    s.message_id = message_id;
    s.out = out;
    s.stats = stats;
    kf_writer_init(&s.w, item->json, filter->one_line);
    bool ok = item->kind == KF_ITEM_AUDIENCE ? apply_audience(&s) : apply_batch(&s);
    kf_writer_free(&s.w);
    return ok;
}

/* A long note is of many events, or of long ids: such uploads are rare. */
#define NOTE_BYTES_MAX 4096

static bool keep_upload(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                        kf_record_list_t *out)
{
    kf_split_t s;
    kf_buf_t note;
    s.filter = filter;
    s.item = item;
    s.received_us = received_us;
    s.out = out;
    kf_writer_init(&s.w, item->json, false);
    kf_window_text(item, &s.w);
    kf_buf_init(&note, s.w.n < NOTE_BYTES_MAX ? s.w.n : NOTE_BYTES_MAX);
    kf_window_note_put(item, filter->window, &note);
    bool ok = kf_split_upload(&s, note.failed ? KF_STR("") : kf_buf_str(&note));
    kf_buf_free(&note);
    kf_writer_free(&s.w);
    return ok;
}

bool kf_filter_apply(const kf_filter_t *filter, const kf_item_t *item, int64_t received_us,
                     kf_record_list_t *out, kf_filter_stats_t *stats)
{
    if (filter->window != KF_WINDOW_KIND_NONE && item->kind == KF_ITEM_BATCH) {
        return keep_upload(filter, item, received_us, out);
    }
    return kf_filter_close(filter, item, received_us, KF_STR(""), out, stats);
}

kf_window_kind_t kf_filter_window_kind(const kf_filter_t *filter)
{
    return filter->window;
}
