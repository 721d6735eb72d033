/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads to windows, batch by batch. What leaves at once is in the journal before the transaction of
 * the others begins: it is repeated neither when the index fails nor under other ids after a crash.
 */
#include "delivery/kf_filing.h"

#include <stdlib.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_dropped.h"
#include "delivery/kf_filing_part.h"

typedef enum {
    TRY,   /* not done yet */
    FILED, /* in its windows */
    LATER, /* failed: again when asked to */
    ASIDE  /* failed with the index: given back, but for one whose first parts have left */
} state_t;

typedef struct upload_t upload_t;
struct upload_t {
    upload_t *next;
    kf_record_t *record;
    kf_post_t *post; /* NULL: not parsed yet, or need not be */
    kf_filing_shape_t shape;
    enum { STAYING, LEAVING, LEFT } leave; /* of the parts that leave at once */
    state_t state;
};

typedef struct {
    upload_t *first, **end;
} uploads_t;

struct kf_filing_t {
    const kf_keeper_config_t *config;
    kf_filing_part_t work;
    kf_record_list_t fresh;
    uploads_t again;  /* to be tried before fresh ones */
    uploads_t failed; /* to be tried when asked to */
    upload_t **batch;
    uint32_t n;
    kf_record_list_t filed; /* of this batch */
    kf_record_list_t aside; /* to be given back after it */
    bool *stuck;            /* by connection: filing failed, and nobody said that it may work */
};

static void add(uploads_t *list, upload_t *upload)
{
    upload->next = NULL;
    *list->end = upload;
    list->end = &upload->next;
}

static upload_t *take(uploads_t *list)
{
    upload_t *upload = list->first;

    if (upload) {
        list->first = upload->next;
        if (!list->first) {
            list->end = &list->first;
        }
    }
    return upload;
}

kf_filing_t *kf_filing_create(const kf_keeper_config_t *config)
{
    kf_filing_t *filing = calloc(1, sizeof(*filing));

    if (!filing) {
        return NULL;
    }
    filing->config = config;
    filing->again.end = &filing->again.first;
    filing->failed.end = &filing->failed.first;
    filing->batch = calloc(config->timing->batch_records, sizeof(*filing->batch));
    filing->stuck = calloc((size_t)config->connection_count + 1, sizeof(*filing->stuck));
    if (!kf_filing_part_init(&filing->work, config) || !filing->batch || !filing->stuck) {
        kf_filing_free(filing);
        return NULL;
    }
    return filing;
}

void kf_filing_free(kf_filing_t *filing)
{
    if (filing) {
        kf_filing_part_free(&filing->work);
        free(filing->batch);
        free(filing->stuck);
        free(filing);
    }
}

void kf_filing_add(kf_filing_t *filing, kf_record_list_t *records)
{
    kf_record_list_append(&filing->fresh, records);
}

static kf_record_t *unwrap(upload_t *upload)
{
    kf_record_t *record = upload->record;

    kf_post_free(upload->post);
    free(upload);
    return record;
}

static void finish(kf_filing_t *filing, uint32_t i)
{
    kf_record_list_add(&filing->filed, unwrap(filing->batch[i]));
    filing->batch[i] = NULL;
}

/* ---- a batch ---- */

static upload_t *take_fresh(kf_filing_t *filing)
{
    upload_t *upload = NULL;

    while (!upload && filing->fresh.first) {
        if (filing->stuck[filing->fresh.first->connection]) {
            kf_record_list_add(&filing->aside, kf_record_list_take(&filing->fresh));
            continue;
        }
        upload = calloc(1, sizeof(*upload));
        if (upload) {
            upload->record = kf_record_list_take(&filing->fresh);
        } else {
            kf_record_list_append(&filing->aside, &filing->fresh);
        }
    }
    return upload;
}

/* Those that failed go by themselves: others are not drawn into what may fail again. */
static void collect(kf_filing_t *filing)
{
    const kf_keeper_timing_t *timing = filing->config->timing;
    bool again = filing->again.first != NULL;
    uint64_t bytes = 0;

    filing->n = 0;
    while (filing->n < timing->batch_records && bytes < timing->batch_bytes) {
        upload_t *upload = again ? take(&filing->again) : take_fresh(filing);
        if (!upload) {
            return;
        }
        upload->state = TRY;
        bytes += upload->record->data_bytes;
        filing->batch[filing->n++] = upload;
    }
}

/* Keeps what can't be filed as a dead letter; what has no place for them is only logged. */
static void give_up(kf_filing_t *filing, uint32_t i, kf_dead_reason_t reason, const char *why)
{
    kf_record_t *record = filing->batch[i]->record;
    kf_dead_entry_t entry = {
        .record = record, .reason = reason, .message = why, .failed_us = kf_wall_us()};

    if (filing->config->letters &&
        kf_deadletters_add(filing->config->letters, &entry, 1) != KF_INDEX_OK) {
        filing->batch[i]->state = ASIDE;
        return;
    }
    kf_alert_at_t at = kf_keeper_at(filing->config, record->connection);

    kf_alert_event(&at, KF0652, "%s", why);
    kf_metrics_add(filing->config->metrics, record->connection, KF_COUNT_DEAD_UNREADABLE, 1);
    finish(filing, i);
}

static void parse(kf_filing_t *filing, uint32_t i)
{
    upload_t *upload = filing->batch[i];
    kf_str_t text = kf_record_data(upload->record);
    kf_fault_t fault = {.out_of_memory = false};

    if (upload->post) {
        return;
    }
    if (kf_filing_is_noted(&filing->work, upload->record)) {
        upload->shape = (kf_filing_shape_t){.stays = true};
        return;
    }
    upload->post = kf_post_parse(text.p, text.n, &fault);
    if (!upload->post && fault.out_of_memory) {
        upload->state = LATER;
    } else if (!upload->post) {
        give_up(filing, i, KF_DEAD_REFUSED, fault.message);
    } else if (upload->record->too_large) {
        give_up(filing, i, KF_DEAD_TOO_LARGE, "the records made of it would be too many");
    } else if (kf_post_count(upload->post) != 1 ||
               kf_post_item(upload->post, 0)->kind != KF_ITEM_BATCH) {
        give_up(filing, i, KF_DEAD_REFUSED, "it is not one batch");
    } else if (!kf_filing_shape(&filing->work, upload->record, kf_post_item(upload->post, 0),
                                &upload->shape)) {
        upload->state = LATER;
    }
}

/* ---- what leaves at once ---- */

static bool is_leaving(const upload_t *upload)
{
    return upload && upload->state == TRY && upload->shape.leaves && upload->leave == STAYING;
}

/* Makes the records of upload i. */
static void make(kf_filing_t *filing, uint32_t i, kf_record_list_t *out, kf_filter_stats_t *stats)
{
    upload_t *upload = filing->batch[i];
    kf_record_list_t made = {.max_bytes = (uint64_t)filing->config->process->queue_bytes};
    kf_filter_stats_t own = {.records = 0};

    if (kf_filing_leave(&filing->work, upload->record, kf_post_item(upload->post, 0), &made,
                        &own)) {
        kf_record_list_append(out, &made);
        kf_dropped_add(stats, &own);
        upload->leave = LEAVING;
        return;
    }
    kf_record_list_clear(&made);
    if (made.over) {
        give_up(filing, i, KF_DEAD_TOO_LARGE, "the records made of it would be too many");
    } else {
        upload->state = LATER;
    }
}

/* All of one connection from upload i on. */
static void leave_connection(kf_filing_t *filing, uint32_t i)
{
    uint16_t connection = filing->batch[i]->record->connection;
    kf_record_list_t out = {.count = 0};
    kf_filter_stats_t stats = {.records = 0};

    for (uint32_t k = i; k < filing->n; k++) {
        upload_t *upload = filing->batch[k];
        if (is_leaving(upload) && upload->record->connection == connection) {
            make(filing, k, &out, &stats);
        }
    }
    bool taken = filing->config->calls->put(filing->config->engine, &out) == KF_ACCEPTED;
    for (uint32_t k = i; k < filing->n; k++) {
        upload_t *upload = filing->batch[k];
        if (upload && upload->leave == LEAVING) {
            upload->leave = taken ? LEFT : STAYING;
            upload->state = taken ? TRY : LATER;
        }
    }
    if (taken) {
        kf_dropped_count(filing->config->metrics, connection, &stats);
    }
    kf_record_list_clear(&out);
}

/* ---- what goes into windows ---- */

#define ALL (-1)

/* Whether an upload of the batch is to be filed, and is the connection's. */
static bool is_staying(const upload_t *upload, int connection)
{
    return upload && upload->state == TRY && upload->shape.stays &&
           (connection == ALL || upload->record->connection == connection);
}

static void set_all(kf_filing_t *filing, int connection, state_t state)
{
    for (uint32_t i = 0; i < filing->n; i++) {
        upload_t *upload = filing->batch[i];
        if (is_staying(upload, connection)) {
            upload->state = state;
            filing->stuck[upload->record->connection] |= state == ASIDE;
        }
    }
}

static bool stay_all(kf_filing_t *filing, int connection)
{
    for (uint32_t i = 0; i < filing->n; i++) {
        upload_t *upload = filing->batch[i];
        if (is_staying(upload, connection) &&
            !kf_filing_stay(&filing->work, upload->record,
                            upload->post ? kf_post_item(upload->post, 0) : NULL)) {
            return false;
        }
    }
    return true;
}

/* One transaction. @return false where it was begun and failed */
static bool file(kf_filing_t *filing, int connection)
{
    kf_windows_t *windows = filing->config->windows;

    if (kf_windows_begin(windows) != KF_INDEX_OK) {
        set_all(filing, ALL, ASIDE);
        return true;
    }
    bool filed = stay_all(filing, connection);
    if (filed) {
        filed = kf_windows_commit(windows) == KF_INDEX_OK;
    } else {
        kf_windows_rollback(windows);
    }
    kf_filing_part_ended(&filing->work, filed);
    if (filed) {
        set_all(filing, connection, FILED);
    }
    return filed;
}

/* What fails may be to blame on the windows of one connection. */
static void file_each(kf_filing_t *filing)
{
    for (uint32_t i = 0; i < filing->n; i++) {
        const upload_t *upload = filing->batch[i];
        if (is_staying(upload, ALL) && !file(filing, upload->record->connection)) {
            set_all(filing, upload->record->connection, ASIDE);
        }
    }
}

static bool stays_any(const kf_filing_t *filing)
{
    for (uint32_t i = 0; i < filing->n; i++) {
        if (is_staying(filing->batch[i], ALL)) {
            return true;
        }
    }
    return false;
}

/* What becomes of an upload of the batch that is not given up already. */
static void settle(kf_filing_t *filing, uint32_t i)
{
    upload_t *upload = filing->batch[i];

    if (upload->state == FILED || (upload->state == TRY && !upload->shape.stays)) {
        finish(filing, i);
        return;
    }
    if (upload->state == ASIDE && upload->leave != LEFT) {
        kf_record_list_add(&filing->aside, unwrap(upload));
        return;
    }
    kf_post_free(upload->post);
    upload->post = NULL;
    add(&filing->failed, upload);
}

bool kf_filing_run(kf_filing_t *filing)
{
    collect(filing);
    for (uint32_t i = 0; i < filing->n; i++) {
        parse(filing, i);
    }
    for (uint32_t i = 0; i < filing->n; i++) {
        if (is_leaving(filing->batch[i])) {
            leave_connection(filing, i);
        }
    }
    if (stays_any(filing) && !file(filing, ALL)) {
        file_each(filing);
    }
    for (uint32_t i = 0; i < filing->n; i++) {
        if (filing->batch[i]) {
            settle(filing, i);
        }
    }
    if (filing->filed.count > 0) {
        filing->config->calls->filed(filing->config->engine, &filing->filed);
        if (filing->config->windows) {
            kf_windows_noted(filing->config->windows);
        }
    }
    if (filing->aside.count > 0) {
        filing->config->calls->unfiled(filing->config->engine, &filing->aside);
    }
    return filing->again.first || filing->fresh.first;
}

void kf_filing_retry(kf_filing_t *filing)
{
    if (filing->failed.first) {
        *filing->failed.end = filing->again.first;
        if (!filing->again.first) {
            filing->again.end = filing->failed.end;
        }
        filing->again.first = filing->failed.first;
        filing->failed.first = NULL;
        filing->failed.end = &filing->failed.first;
    }
}

void kf_filing_unstick(kf_filing_t *filing)
{
    memset(filing->stuck, 0, (size_t)filing->config->connection_count * sizeof(*filing->stuck));
}

void kf_filing_give_back(kf_filing_t *filing)
{
    kf_record_list_t back = {.count = 0};

    kf_filing_retry(filing);
    for (upload_t *upload = take(&filing->again); upload; upload = take(&filing->again)) {
        kf_record_list_add(&back, unwrap(upload));
    }
    kf_record_list_append(&back, &filing->fresh);
    if (back.count > 0) {
        filing->config->calls->unfiled(filing->config->engine, &back);
    }
}
