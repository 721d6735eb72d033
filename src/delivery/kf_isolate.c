/* SPDX-License-Identifier: Apache-2.0
 *
 * Isolation: a call was refused for at least one of its records; find it, send the others. Parts of the
 * call are sent on their own, by the index that the message names, else by halving, until single records
 * are refused. All parts of one call are a family, which keeps the culprits aside until the last part is
 * done: when every record of the call turns out a culprit for the same reason and the stream takes
 * nothing else either, then it is the stream and not the records. Must not know threads. Runs under the
 * engine's lock.
 */
#include "delivery/kf_destination_int.h"

#include <stdlib.h>

#include "base/kf_limits.h"

/* After so many culprits named one by one, and nothing accepted, halving gets further. */
#define NAMED_MAX 8
/* Calls of one record that were all refused for one reason, nothing accepted between: the stream. */
#define LONE_MAX 5

struct kf_family_t {
    uint32_t parts;    /* not done with */
    uint32_t total;    /* records of the first call */
    uint32_t culprits; /* kept aside */
    uint32_t named;    /* splits by index */
    bool is_mixed;     /* for different reasons */
    bool is_proven;    /* it is not the stream */
    uint64_t accepted; /* the destination's count when it began */
    kf_dead_t *dead;   /* the culprits */
};

static kf_family_t *family_create(const kf_destination_t *d, uint32_t total)
{
    kf_family_t *family = calloc(1, sizeof *family);

    if (family) {
        family->total = total;
        family->accepted = d->accepted;
    }
    return family;
}

static bool is_stream(const kf_destination_t *d, const kf_family_t *family)
{
    return !family->is_proven && !family->is_mixed && family->total > 1 &&
           family->culprits == family->total && family->accepted == d->accepted;
}

static void suspect(kf_destination_t *d, kf_dead_t *dead)
{
    while (dead) {
        kf_dead_t *next = dead->next;

        kf_record_list_append(&d->suspects, &dead->records);
        free(dead);
        dead = next;
    }
}

static void bury(kf_destination_t *d, kf_dead_t *dead, const kf_end_t *end)
{
    while (dead) {
        kf_dead_t *next = dead->next;

        for (kf_record_t *r = dead->records.first; r; r = r->next)
            kf_destination_leave(d, r, end->now, end->out);
        dead->next = end->out->dead;
        end->out->dead = dead;
        dead = next;
    }
}

static void part_done(kf_destination_t *d, kf_family_t *family, const kf_batch_t *batch,
                      const kf_end_t *end)
{
    if (--family->parts > 0)
        return;
    if (is_stream(d, family)) {
        suspect(d, family->dead);
        kf_hold_on(d, batch, true, end);
    } else {
        bury(d, family->dead, end);
    }
    free(family);
}

void kf_family_release(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    kf_family_t *family = batch->family;

    batch->family = NULL;
    batch->is_part = false;
    if (family)
        part_done(d, family, batch, end);
}

/* Makes records a part; without memory they are pending like others, and refused again later. */
static void add_part(kf_destination_t *d, kf_family_t *family, kf_record_t **records,
                     uint32_t count, int64_t now_us)
{
    kf_batch_t *part = kf_batch_of(records, count);

    if (!part) {
        kf_record_list_t list = {0};

        for (uint32_t i = 0; i < count; i++)
            kf_record_list_add(&list, records[i]);
        kf_destination_requeue(d, &list, now_us + d->config.linger_us);
        return;
    }
    part->family = family;
    if (family)
        family->parts++;
    part->next = d->parts;
    d->parts = part;
}

/* Parts are not joined, and hold no more records than a call takes entries. */
static void add_parts(kf_destination_t *d, kf_family_t *family, kf_record_t **records,
                      uint32_t count, int64_t now_us)
{
    uint32_t most = kf_destination_single(d) ? 1 : d->config.fill.entries_max;

    for (uint32_t i = 0; i < count; i += most)
        add_part(d, family, records + i, count - i < most ? count - i : most, now_us);
}

static void reverse(kf_record_t **records, uint32_t count)
{
    for (uint32_t i = 0; i < count / 2; i++) {
        kf_record_t *r = records[i];

        records[i] = records[count - 1 - i];
        records[count - 1 - i] = r;
    }
}

/* The records of an entry go to the end, the others stay in order. @return how many others */
static uint32_t move_to_end(kf_batch_t *batch, uint32_t entry)
{
    uint32_t begin = kf_batch_entry_begin(batch, entry);
    uint32_t n = batch->entry_end[entry] - begin;

    reverse(batch->records + begin, n);
    reverse(batch->records + begin + n, batch->count - begin - n);
    reverse(batch->records + begin, batch->count - begin);
    return batch->count - n;
}

/* Where to cut the refused call in two. */
static uint32_t cut_of(const kf_destination_t *d, kf_batch_t *batch, kf_family_t *family,
                       int64_t bad_entry)
{
    bool gets_further = family->named < NAMED_MAX || family->accepted != d->accepted;

    if (bad_entry >= 0 && bad_entry < batch->entry_count && batch->entry_count > 1 &&
        gets_further) {
        family->named++;
        return move_to_end(batch, (uint32_t)bad_entry);
    }
    return batch->count / 2;
}

/* Later parts first onto the stack. */
static void split(kf_destination_t *d, kf_batch_t *batch, uint32_t cut, kf_family_t *family,
                  int64_t now_us)
{
    add_parts(d, family, batch->records + cut, batch->count - cut, now_us);
    add_parts(d, family, batch->records, cut, now_us);
}

static kf_dead_reason_t reason_of(const kf_end_t *end)
{
    return end->verdict->class == KF_CLASS_TOO_LARGE ? KF_DEAD_TOO_LARGE : KF_DEAD_REFUSED;
}

static void lone_refused(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    const char *code = end->verdict->code;

    if (d->lone_refused == 0 || d->lone_accepted != d->accepted ||
        strcmp(d->lone_code, code) != 0) {
        d->lone_refused = 0;
        d->lone_accepted = d->accepted;
        memcpy(d->lone_code, code, sizeof d->lone_code);
    }
    if (++d->lone_refused < LONE_MAX) {
        kf_destination_give_up(d, batch->records[0], reason_of(end), code, end);
    } else {
        kf_record_list_add(&d->suspects, batch->records[0]);
        kf_hold_on(d, batch, true, end);
    }
    kf_batch_free(batch);
}

static void keep_culprit(kf_destination_t *d, kf_family_t *family, kf_record_t *record,
                         const kf_end_t *end)
{
    kf_dead_t *dead = kf_dead_create(reason_of(end), end->verdict->code, end->verdict);

    if (!dead) {
        kf_destination_retry_at(d, end->now.mono_us + d->config.backoff_cap_us, record);
        return;
    }
    if (family->dead && strcmp(family->dead->code, dead->code) != 0)
        family->is_mixed = true;
    kf_record_list_add(&dead->records, record);
    dead->next = family->dead;
    family->dead = dead;
    family->culprits++;
}

void kf_isolate(kf_destination_t *d, kf_batch_t *batch, const kf_end_t *end)
{
    kf_family_t *family = batch->family;

    if (batch->count == 1 && !family) {
        lone_refused(d, batch, end);
        return;
    }
    if (batch->count == 1) {
        keep_culprit(d, family, batch->records[0], end);
    } else {
        if (!family) {
            family = family_create(d, batch->count);
            if (family)
                family->parts = 1;
            batch->family = family;
        }
        if (family)
            split(d, batch, cut_of(d, batch, family, end->verdict->bad_entry), family,
                  end->now.mono_us);
        else
            split(d, batch, batch->count / 2, NULL, end->now.mono_us);
    }
    kf_family_release(d, batch, end);
    kf_batch_free(batch);
}

void kf_isolate_suspects(kf_destination_t *d, int64_t now_us)
{
    kf_fill_t fill = d->config.fill;
    kf_family_t *family = d->suspects.count > 0 ? family_create(d, d->suspects.count) : NULL;
    kf_batch_t *batch;

    if (kf_destination_single(d))
        fill.entries_max = 1;
    fill.join_max = 1;
    while (family && (batch = kf_batch_take(&d->suspects, &fill)) != NULL) {
        batch->is_part = true;
        batch->family = family;
        batch->next = d->parts;
        d->parts = batch;
        family->parts++;
    }
    if (family && family->parts == 0)
        free(family);
    else if (family)
        family->is_proven = true;
    kf_destination_requeue(d, &d->suspects, now_us);
}

void kf_isolate_dissolve(kf_destination_t *d, const kf_end_t *end)
{
    kf_batch_t *part;

    while ((part = d->parts) != NULL) {
        kf_record_list_t records = {0};

        d->parts = part->next;
        kf_batch_put_back(part, &records);
        kf_destination_requeue(d, &records, end->now.mono_us);
        kf_family_release(d, part, end);
        kf_batch_free(part);
    }
}

void kf_isolate_clear(kf_destination_t *d, kf_record_list_t *out)
{
    kf_batch_t *part;

    while ((part = d->parts) != NULL) {
        kf_family_t *family = part->family;
        kf_record_list_t records = {0};

        d->parts = part->next;
        kf_batch_put_back(part, &records);
        kf_record_list_append(out, &records);
        kf_batch_free(part);
        if (family && --family->parts == 0) {
            suspect(d, family->dead);
            free(family);
        }
    }
    kf_record_list_append(out, &d->suspects);
}
