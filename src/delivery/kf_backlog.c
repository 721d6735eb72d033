/* SPDX-License-Identifier: Apache-2.0
 *
 * Between memory and journal: what memory has no room for waits in the journal, and is read back in
 * order when there is: of connections that hold little first. A connection that is on hold or keeps
 * failing has little in memory, so that it takes no room from others. Uploads for windows go to who files them. Must not know calls. Request
 * threads, workers and the keeper run this.
 */
#include <stdlib.h>

#include "delivery/kf_engine_int.h"

/* Records and bytes read back in one go, so that a worker gets on with its transfers. */
#define REFILL_RECORDS 1024
#define REFILL_BYTES (UINT64_C(4) * 1024 * 1024)
/* Bytes of charge for a byte of data, as kf_charge counts them, generously. */
#define CHARGE_FACTOR 3
/* So many calls failed in a row: the stream is in trouble, not only slow. */
#define STUCK_FAILURES 4

kf_record_list_t kf_backlog_take_run(kf_record_list_t *records)
{
    kf_record_list_t run = {0};
    uint16_t connection = records->first->connection;
    uint8_t kind = records->first->kind;

    while (records->first && records->first->connection == connection &&
           (records->first->kind == KF_RECORD_WINDOW) == (kind == KF_RECORD_WINDOW))
        kf_record_list_add(&run, kf_record_list_take(records));
    return run;
}

/* ------------------------------------------------------------------- out of memory */

/* Under durability memory some may have come from the journal and some not. */
static bool all_in_journal(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_record_list_t stored = {0}, others = {0};
    bool safe = true;

    while (records->first) {
        kf_record_t *r = kf_record_list_take(records);

        kf_record_list_add(r->mark != 0 ? &stored : &others, r);
    }
    if (others.count > 0)
        safe = kf_journal_append(engine->config.journal, &others) == KF_JOURNAL_OK;
    kf_record_list_append(records, &stored);
    kf_record_list_append(records, &others);
    return safe;
}

bool kf_backlog_leave(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_lane_t *lane;

    if (records->count == 0)
        return true;
    lane = &engine->lanes[records->first->connection];
    if (!all_in_journal(engine, records))
        return false;
    for (const kf_record_t *r = records->first; r; r = r->next)
        kf_journal_release(engine->config.journal, r);
    kf_record_list_clear(records);
    /* After the release: a refill that missed it comes again. */
    atomic_store(&lane->is_behind, true);
    kf_wake_one(&engine->wake);
    return true;
}

static bool set_aside(kf_engine_t *engine, kf_record_list_t *records)
{
    if (!all_in_journal(engine, records))
        return false;
    for (const kf_record_t *r = records->first; r; r = r->next)
        kf_journal_set_aside(engine->config.journal, r);
    kf_record_list_clear(records);
    return true;
}

/* Away by leave or set_aside, and what they were charged with is given back. */
static bool away(kf_engine_t *engine, kf_record_list_t *records,
                 bool (*how)(kf_engine_t *, kf_record_list_t *))
{
    uint64_t bytes = 0, count = records->count;
    int connection;

    if (!records->first)
        return true;
    connection = records->first->connection;
    for (const kf_record_t *r = records->first; r; r = r->next)
        bytes += kf_charge(r);
    if (!how(engine, records))
        return false;
    kf_bounds_release(&engine->bounds, connection, count, bytes);
    return true;
}

bool kf_backlog_leave_charged(kf_engine_t *engine, kf_record_list_t *records)
{
    return away(engine, records, kf_backlog_leave);
}

bool kf_backlog_set_aside(kf_engine_t *engine, kf_record_list_t *records)
{
    return engine->config.journal && away(engine, records, set_aside);
}

/* --------------------------------------------------------------------- and back in */

void kf_engine_look_behind(kf_engine_t *engine)
{
    for (int i = 0; i < engine->lane_count; i++) {
        kf_backlog_t backlog;

        kf_journal_backlog(engine->config.journal, (uint16_t)i, &backlog);
        if (backlog.records > 0)
            atomic_store(&engine->lanes[i].is_behind, true);
    }
    kf_wake_one(&engine->wake);
}

static uint64_t smaller_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool kf_backlog_may_file(const kf_engine_t *engine, const kf_lane_t *lane)
{
    return (uint64_t)atomic_load(&lane->uploads) < engine->bounds.records_max / 4;
}

/* What may be read now of connections' backlogs, as it is given out to one after the other. */
typedef struct {
    size_t waiting;                    /* connections that have a backlog and are not stuck */
    uint64_t part_records, part_bytes; /* of what memory holds, that each may have */
    uint64_t records, bytes;           /* promised so far; bytes of charge */
} refill_t;

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* How much of a connection's backlog may be read now. */
static bool room_of(const kf_engine_t *engine, int connection, const refill_t *refill,
                    uint64_t *records, uint64_t *bytes)
{
    uint64_t held = kf_bounds_held(&engine->bounds, connection);
    uint64_t held_bytes = kf_bounds_bytes(&engine->bounds, connection);

    if (!kf_backlog_may_file(engine, &engine->lanes[connection]))
        return false;
    kf_bounds_left(&engine->bounds, connection, records, bytes);
    /* Half of what was promised, as kf_bounds_left gives half of what is free. */
    *records =
        smaller_of(less(*records, (refill->records + 1) / 2), less(refill->part_records, held));
    *bytes =
        smaller_of(less(*bytes, (refill->bytes + 1) / 2), less(refill->part_bytes, held_bytes));
    if (atomic_load(&engine->lanes[connection].is_stuck)) {
        if (held > engine->few_records / 2)
            return false;
        *records = smaller_of(*records, engine->few_records - held);
        *bytes = smaller_of(*bytes, engine->few_bytes);
    }
    return *records > 0;
}

/* Not for a few each time, but for a good part of what it may hold. Where several wait they mostly wait in
 * the same frames: the more of them come along, the better. */
static bool is_worth_it(const kf_engine_t *engine, uint64_t held, uint64_t room,
                        const refill_t *refill)
{
    uint64_t least = refill->waiting > 1 ? refill->part_records / 2 : (held + room) / 4;

    return room >= smaller_of(engine->bounds.records_max / 16, least) || held == 0;
}

/* What is just being copied forward, or cannot be read now, is looked for again. */
static void look_again(kf_engine_t *engine, kf_lane_t *lane)
{
    kf_backlog_t backlog;

    kf_journal_backlog(engine->config.journal, (uint16_t)lane->at.connection, &backlog);
    if (backlog.records > 0)
        atomic_store(&lane->is_behind, true);
}

static int compare_behind(const void *a, const void *b)
{
    const kf_behind_t *one = a, *other = b;

    if (one->held != other->held)
        return one->held < other->held ? -1 : 1;
    return one->connection - other->connection;
}

static bool is_behind(const kf_engine_t *engine, int connection)
{
    return engine->lanes[connection].target && atomic_load(&engine->lanes[connection].is_behind);
}

/* Each may have as much as all could have: as many parts as wait, and one more (kf_bounds.h). */
static refill_t share_out(const kf_engine_t *engine, size_t waiting)
{
    uint64_t records = engine->bounds.records_max / (waiting + 1);
    uint64_t bytes = engine->bounds.bytes_max / (waiting + 1);

    return (refill_t){
        .waiting = waiting, .part_records = records > 0 ? records : 1, .part_bytes = bytes};
}

/* The connections whose backlog may be read, those that hold least first; none if it is not worth it. */
static size_t behind_of(kf_worker_t *worker, refill_t *refill)
{
    const kf_engine_t *engine = worker->engine;
    size_t n = 0, waiting = 0;
    bool worth = false;

    for (int i = 0; i < engine->lane_count; i++)
        waiting += is_behind(engine, i) && !atomic_load(&engine->lanes[i].is_stuck);
    *refill = share_out(engine, waiting);
    for (int i = 0; i < engine->lane_count; i++) {
        uint64_t held = kf_bounds_held(&engine->bounds, i), records, bytes;

        if (!is_behind(engine, i) || !room_of(engine, i, refill, &records, &bytes))
            continue;
        worth = worth || atomic_load(&engine->lanes[i].is_stuck) ||
                is_worth_it(engine, held, records, refill);
        worker->behind[n++] = (kf_behind_t){i, held};
    }
    qsort(worker->behind, n, sizeof *worker->behind, compare_behind);
    return worth ? n : 0;
}

/* What each of them is to be given. The first is given one record at least. */
static size_t wants_of(kf_worker_t *worker, size_t n, refill_t *refill)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        int connection = worker->behind[i].connection;
        uint64_t records, bytes;

        if (!room_of(worker->engine, connection, refill, &records, &bytes) ||
            (bytes == 0 && count > 0))
            continue;
        records = smaller_of(records, REFILL_RECORDS);
        bytes = smaller_of(bytes / CHARGE_FACTOR, REFILL_BYTES);
        refill->records += records;
        refill->bytes += bytes * CHARGE_FACTOR;
        worker->wants[count++] = (kf_journal_want_t){
            .connection = (uint16_t)connection, .records = (uint32_t)records, .bytes = bytes};
    }
    return count;
}

/* What was read for a connection is in memory from here on, or goes back where newcomers were quicker.
 * @return false if there is no room even for one record */
static bool take_in(kf_engine_t *engine, kf_journal_want_t *want, kf_record_list_t *records)
{
    kf_lane_t *lane = &engine->lanes[want->connection];
    bool is_one = want->found.count == 1;

    if (want->found.count == 0) {
        look_again(engine, lane);
        return true;
    }
    if (kf_bounds_reserve(&engine->bounds, &want->found) >= 0) {
        kf_backlog_leave(engine, &want->found);
        return !is_one;
    }
    kf_record_list_append(records, &want->found);
    atomic_store(&lane->is_behind, true);
    return true;
}

static void give_back(kf_engine_t *engine, kf_journal_want_t *want)
{
    if (want->found.count > 0)
        kf_backlog_leave(engine, &want->found);
    else
        look_again(engine, &engine->lanes[want->connection]);
}

static void read_back(kf_worker_t *worker, kf_record_list_t *records)
{
    kf_engine_t *engine = worker->engine;
    refill_t refill;
    size_t n = behind_of(worker, &refill), i = 0;

    n = wants_of(worker, n, &refill);
    if (n == 0)
        return;
    for (size_t k = 0; k < n; k++)
        atomic_store(&engine->lanes[worker->wants[k].connection].is_behind, false);
    kf_journal_fetch_all(engine->config.journal, worker->wants, n);
    while (i < n && take_in(engine, &worker->wants[i], records))
        i++;
    /* Room that is too little for the one whose turn it is isn't given to those behind it, or a large
     * record would wait for ever. */
    for (; i < n; i++)
        give_back(engine, &worker->wants[i]);
}

void kf_backlog_refill(kf_worker_t *worker, kf_record_list_t *records)
{
    kf_record_list_t found = {0};

    /* One at a time: two would promise the same room twice. Who comes meanwhile looks again before long. */
    if (!kf_backlog_waits(worker->engine) || atomic_exchange(&worker->engine->is_refilling, true))
        return;
    read_back(worker, &found);
    atomic_store(&worker->engine->is_refilling, false);
    while (found.first) {
        kf_record_list_t run = kf_backlog_take_run(&found);

        if (run.first->kind == KF_RECORD_WINDOW)
            kf_backlog_file(worker->engine, &run);
        else
            kf_record_list_append(records, &run);
    }
}

bool kf_backlog_waits(const kf_engine_t *engine)
{
    if (!engine->config.journal || atomic_load(&engine->state) >= KF_STATE_CLOSED)
        return false;
    for (int i = 0; i < engine->lane_count; i++)
        if (is_behind(engine, i))
            return true;
    return false;
}

/* -------------------------------------------------------------- connections in trouble */

void kf_backlog_spill(kf_engine_t *engine, kf_lane_t *lane, kf_now_t now, kf_record_list_t *spilt)
{
    kf_destination_t *d = &lane->destination;
    bool stuck = d->hold.on || d->failures >= STUCK_FAILURES;

    if (!engine->config.journal)
        return;
    atomic_store(&lane->is_stuck, stuck);
    if (stuck && d->pending.count > 2 * engine->few_records)
        kf_destination_spill(d, now, (uint32_t)engine->few_records, spilt);
}

void kf_backlog_spilt(kf_engine_t *engine, kf_record_list_t *spilt)
{
    kf_lane_t *lane = spilt->first ? &engine->lanes[spilt->first->connection] : NULL;

    if (kf_backlog_leave_charged(engine, spilt))
        return;
    pthread_mutex_lock(&engine->lock);
    kf_destination_unspill(&lane->destination, spilt, kf_now());
    pthread_mutex_unlock(&engine->lock);
}

/* ------------------------------------------------------------------ uploads for windows */

void kf_engine_set_filer(kf_engine_t *engine, kf_file_window_fn *fn, void *context)
{
    engine->filer_context = context;
    atomic_store(&engine->filer, fn);
}

void kf_backlog_file(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_file_window_fn *filer = atomic_load(&engine->filer);

    if (!filer) {
        kf_backlog_leave_charged(engine, records);
        return;
    }
    atomic_fetch_add(&engine->lanes[records->first->connection].uploads, records->count);
    filer(engine->filer_context, records);
}

/* A run of uploads that come back from who files them. */
static kf_record_list_t take_filed(kf_engine_t *engine, kf_record_list_t *records)
{
    kf_record_list_t run = kf_backlog_take_run(records);

    atomic_fetch_sub(&engine->lanes[run.first->connection].uploads, run.count);
    return run;
}

void kf_engine_filed(kf_engine_t *engine, kf_record_list_t *records)
{
    while (records->first) {
        kf_record_list_t run = take_filed(engine, records);

        kf_settle_let_go(engine, &run);
    }
    /* Workers may all be asleep: what makes room here is none of theirs. */
    if (kf_backlog_waits(engine))
        kf_wake_one(&engine->wake);
}

void kf_engine_unfiled(kf_engine_t *engine, kf_record_list_t *records)
{
    while (records->first) {
        kf_record_list_t run = take_filed(engine, records);

        kf_backlog_set_aside(engine, &run);
    }
}

void kf_engine_recall(kf_engine_t *engine)
{
    kf_journal_recall(engine->config.journal);
    kf_engine_look_behind(engine);
}
