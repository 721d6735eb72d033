/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of uploads. An upload's plan is made anew each time it is asked for: it is cheaper than keeping
 * those of a whole batch.
 */
#include "delivery/kf_filing_part.h"

#include <stdlib.h>
#include "events/kf_message_id.h"
#include "events/kf_window_cut.h"

bool kf_filing_part_init(kf_filing_part_t *work, const kf_keeper_config_t *config)
{
    memset(work, 0, sizeof(*work));
    work->config = config;
    kf_window_plan_init(&work->plan);
    kf_buf_init(&work->text, UINT32_MAX);
    kf_buf_init(&work->scratch, UINT32_MAX);
    kf_buf_init(&work->ids, UINT32_MAX);
    work->repeats = calloc((size_t)config->connection_count + 1, sizeof(*work->repeats));
    return work->repeats != NULL;
}

void kf_filing_part_free(kf_filing_part_t *work)
{
    kf_window_plan_free(&work->plan);
    kf_buf_free(&work->text);
    kf_buf_free(&work->scratch);
    kf_buf_free(&work->ids);
    free(work->event_ids);
    free(work->repeated);
    free(work->repeats);
}

static kf_window_kind_t kind_of(const kf_filing_part_t *work, const kf_record_t *upload)
{
    return kf_filter_window_kind(work->config->filters[upload->connection]);
}

/* Whether the upload goes into no window at all: its connection is not windowed any more. */
static bool is_free(const kf_filing_part_t *work, const kf_record_t *upload)
{
    return !work->config->windows || kind_of(work, upload) == KF_WINDOW_KIND_NONE;
}

bool kf_filing_is_noted(const kf_filing_part_t *work, const kf_record_t *upload)
{
    return !is_free(work, upload) && !upload->too_large &&
           kf_window_note_is(kf_record_note(upload), kind_of(work, upload));
}

bool kf_filing_shape(kf_filing_part_t *work, const kf_record_t *upload, const kf_item_t *item,
                     kf_filing_shape_t *shape)
{
    *shape = (kf_filing_shape_t){.leaves = false};
    if (is_free(work, upload)) {
        shape->leaves = true;
        return true;
    }
    if (!kf_window_plan(&work->plan, item, kind_of(work, upload))) {
        return false;
    }
    for (uint32_t p = 0; p < work->plan.part_count; p++) {
        *(work->plan.parts[p].at_once ? &shape->leaves : &shape->stays) = true;
    }
    return true;
}

/* The id of an upload's part; of the form `received` none is asked for. */
static kf_str_t part_id(const kf_record_t *upload, uint32_t part, char id[KF_MESSAGE_ID_BYTES])
{
    kf_message_id_derive(kf_record_key(upload), part, id);
    return (kf_str_t){id, KF_MESSAGE_ID_BYTES};
}

/* The text of a part in work->text. @return false when out of memory */
static bool cut(kf_filing_part_t *work, const kf_record_t *upload, uint32_t part)
{
    char id[KF_MESSAGE_ID_BYTES];
    kf_str_t message_id = KF_STR("");

    if (work->plan.part_count > 1 && kf_keeper_outbound(work->config, upload->connection)) {
        message_id = part_id(upload, part, id);
    }
    kf_buf_clear(&work->text);
    return kf_window_cut(&work->plan, part, message_id, &work->text);
}

static bool leave_item(kf_filing_part_t *work, const kf_record_t *upload, uint32_t part,
                       const kf_item_t *item, kf_record_list_t *out, kf_filter_stats_t *stats)
{
    char id[KF_MESSAGE_ID_BYTES];

    return kf_filter_close(work->config->filters[upload->connection], item, upload->accepted_us,
                           part_id(upload, part, id), out, stats);
}

static bool leave_part(kf_filing_part_t *work, const kf_record_t *upload, uint32_t part,
                       kf_record_list_t *out, kf_filter_stats_t *stats)
{
    kf_fault_t fault;

    if (work->plan.part_count == 1) {
        return leave_item(work, upload, part, work->plan.item, out, stats);
    }
    if (!cut(work, upload, part)) {
        return false;
    }
    kf_post_t *post = kf_post_parse(work->text.p, work->text.n, &fault);
    bool ok = post && leave_item(work, upload, part, kf_post_item(post, 0), out, stats);
    kf_post_free(post);
    return ok;
}

bool kf_filing_leave(kf_filing_part_t *work, const kf_record_t *upload, const kf_item_t *item,
                     kf_record_list_t *out, kf_filter_stats_t *stats)
{
    if (is_free(work, upload)) {
        return leave_item(work, upload, 0, item, out, stats);
    }
    if (!kf_window_plan(&work->plan, item, kind_of(work, upload))) {
        return false;
    }
    for (uint32_t p = 0; p < work->plan.part_count; p++) {
        if (work->plan.parts[p].at_once && !leave_part(work, upload, p, out, stats)) {
            return false;
        }
    }
    return true;
}

static bool make_room(kf_filing_part_t *work, uint32_t n)
{
    if (n <= work->event_cap) {
        return true;
    }
    void *ids = realloc(work->event_ids, n * sizeof(*work->event_ids));
    if (ids) {
        work->event_ids = ids;
    }
    void *flags = realloc(work->repeated, n * sizeof(*work->repeated));
    if (flags) {
        work->repeated = flags;
    }
    if (!ids || !flags) {
        return false;
    }
    work->event_cap = n;
    return true;
}

/* The ids of a part's events, all in one buffer: what had to be unescaped doesn't stay. */
static bool collect_ids(kf_filing_part_t *work, const kf_window_part_t *part)
{
    const kf_window_plan_t *plan = &work->plan;
    uint32_t n = 0;
    size_t at = 0;

    kf_buf_clear(&work->ids);
    if (!make_room(work, part->event_count)) {
        return false;
    }
    for (uint32_t i = part->first; i != KF_WINDOW_NONE; i = plan->events[i].next) {
        kf_str_t id = KF_STR("");
        kf_buf_clear(&work->scratch);
        if (!kf_window_event_id(plan, i, &work->scratch, &id)) {
            id = KF_STR("");
        }
        kf_buf_put_str(&work->ids, id);
        work->event_ids[n++].n = id.n;
        if (work->scratch.failed || work->ids.failed) {
            return false;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        work->event_ids[i].p = work->event_ids[i].n > 0 ? work->ids.p + at : NULL;
        at += work->event_ids[i].n;
    }
    return true;
}

/* Takes the events that repeat others out of their part. */
static void drop_repeated(kf_filing_part_t *work, kf_window_part_t *part, kf_repeats_t *repeats)
{
    kf_window_plan_t *plan = &work->plan;
    uint32_t n = 0, *link = &part->first;

    part->last = KF_WINDOW_NONE;
    for (uint32_t i = part->first; i != KF_WINDOW_NONE; i = plan->events[i].next) {
        if (work->repeated[n++]) {
            repeats->events++;
            *link = plan->events[i].next;
            part->event_count--;
        } else {
            link = &plan->events[i].next;
            part->last = i;
        }
    }
}

/* The filing of a part whose events' ids are collected. */
static kf_window_filing_t filing_of(const kf_filing_part_t *work, const kf_record_t *upload,
                                    const kf_window_part_t *part, kf_str_t device,
                                    kf_str_t request_id)
{
    return (kf_window_filing_t){.connection = upload->connection,
                                .kind = kind_of(work, upload),
                                .part = part,
                                .device = device,
                                .request_id = request_id.n > 0 ? request_id : kf_record_key(upload),
                                .event_ids = work->event_ids,
                                .event_count = part->event_count,
                                .received_us = upload->accepted_us};
}

static bool stay_part(kf_filing_part_t *work, const kf_record_t *upload, uint32_t p)
{
    kf_window_part_t *part = &work->plan.parts[p];
    kf_windows_t *windows = work->config->windows;

    if (!collect_ids(work, part)) {
        return false;
    }
    kf_window_filing_t filing = filing_of(
        work, upload, part, kf_window_part_device(&work->plan, part), work->plan.request_id);
    if (!kf_windows_look(windows, &filing, work->repeated)) {
        work->repeats[upload->connection].batches++;
        return true;
    }
    drop_repeated(work, part, &work->repeats[upload->connection]);
    if (!cut(work, upload, p)) {
        return false;
    }
    kf_windows_put(windows, &filing, kf_buf_str(&work->text), work->repeated, part->event_count);
    return true;
}

void kf_filing_part_ended(kf_filing_part_t *work, bool took_place)
{
    const kf_keeper_config_t *config = work->config;

    for (int c = 0; c < config->connection_count; c++) {
        if (took_place) {
            kf_metrics_add(config->metrics, c, KF_COUNT_REPEATED_BATCHES, work->repeats[c].batches);
            kf_metrics_add(config->metrics, c, KF_COUNT_REPEATED_EVENTS, work->repeats[c].events);
        }
        work->repeats[c] = (kf_repeats_t){.batches = 0};
    }
}

/* Its writer may have died after the transaction that filed it, before the journal had a note of it. */
static bool was_filed(kf_filing_part_t *work, const kf_record_t *upload)
{
    const kf_keeper_config_t *config = work->config;

    return config->journal && kf_journal_is_adopted(config->journal, upload) &&
           kf_windows_was_filed(config->windows, kf_record_key(upload));
}

static bool stay_parts(kf_filing_part_t *work, const kf_record_t *upload, const kf_item_t *item)
{
    if (!kf_window_plan(&work->plan, item, kind_of(work, upload))) {
        return false;
    }
    for (uint32_t p = 0; p < work->plan.part_count; p++) {
        if (!work->plan.parts[p].at_once && !stay_part(work, upload, p)) {
            return false;
        }
    }
    return true;
}

static bool any(const bool *flags, uint32_t n)
{
    return n > 0 && memchr(flags, true, n) != NULL;
}

/* What is noted was parsed once: it is an upload. */
static bool stay_parsed(kf_filing_part_t *work, const kf_record_t *upload)
{
    kf_str_t text = kf_record_data(upload);
    kf_fault_t fault;
    kf_post_t *post = kf_post_parse(text.p, text.n, &fault);
    bool ok = post && stay_parts(work, upload, kf_post_item(post, 0));

    kf_post_free(post);
    return ok;
}

/* By its note; parsed only where some of its events are repeats and have to be cut out. */
static bool stay_noted(kf_filing_part_t *work, const kf_record_t *upload)
{
    kf_window_note_t *note = &work->note;
    kf_windows_t *windows = work->config->windows;

    kf_window_note_read(kf_record_note(upload), note);
    uint32_t n = note->part.event_count;
    if (!make_room(work, n)) {
        return false;
    }
    kf_window_note_ids(note, work->event_ids);
    kf_window_filing_t filing =
        filing_of(work, upload, &note->part, note->device, note->request_id);
    if (!kf_windows_look(windows, &filing, work->repeated)) {
        work->repeats[upload->connection].batches++;
        return true;
    }
    if (any(work->repeated, n)) {
        return stay_parsed(work, upload);
    }
    kf_windows_put(windows, &filing, kf_record_data(upload), work->repeated, n);
    return true;
}

bool kf_filing_stay(kf_filing_part_t *work, const kf_record_t *upload, const kf_item_t *item)
{
    if (was_filed(work, upload)) {
        return true;
    }
    if (!(item ? stay_parts(work, upload, item) : stay_noted(work, upload))) {
        return false;
    }
    kf_windows_filed(work->config->windows, kf_record_key(upload));
    return true;
}
