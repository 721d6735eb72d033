/* SPDX-License-Identifier: Apache-2.0
 *
 * The windows in the index.
 *
 * A window is found by a digest of its key, which begins, for sessions, with digests of the device and
 * of the session, so that a range of the index holds all windows of either. Nobody needs the key itself
 * again. Totals are summed up in memory and written once a transaction.
 */
#include "delivery/kf_windows.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_filed.h"
#include "delivery/kf_index_int.h"
#include "delivery/kf_seen.h"

#define HASH_BYTES 32
#define GROUP_BYTES 8 /* of the digest: the device's, then the session's */
#define KEY_BYTES 16
#define DIGEST_BYTES_MAX (2 * GROUP_BYTES + KEY_BYTES)
/* Uploads of a window, and so pieces of what was seen in it, which are numbered within the window. */
#define PIECE_BITS 20
#define UPLOADS_MAX ((1u << PIECE_BITS) - 1)
/* What was seen stands in the window's row up to here: the row is written at each filing. */
#define IDS_BYTES_MAX 1000

enum {
    FIND,
    OPEN,
    EXTEND,
    EXTEND_DUE,
    SEAL,
    ADD_UPLOAD,
    ADD_SEEN,
    READ_SEEN,
    SCOPE_OVER,
    OTHERS,
    END,
    DUE,
    DUE_AT,
    PREVIOUS,
    RECEIVED,
    READ,
    REMOVE,
    REMOVE_UPLOAD,
    REMOVE_SEEN,
    OLDEST,
    ADD_TOTAL,
    ONE_TOTAL,
    TOTALS,
    UNTIL,
    SET_UNTIL,
    STATEMENTS
};

/* SQLite writes a column's index anew whenever the column is among them, changed or not. */
#define EXTENDED \
    "last_us = ?2, over_us = ?3, began = ?4, began_us = ?5, bytes = ?6, uploads = ?7, events = " \
    "?8," \
    " last_upload = ?9, pieces = ?10, ids = ?11"

/* A plus keeps SQLite from choosing that column's index: a connection has a million windows, a digest's
 * range few. */
static const char *const sql[STATEMENTS] = {
    [FIND] = "SELECT id, opened_us, over_us, began, began_us, due_us, bytes, uploads, events,"
             " last_upload, pieces, ids FROM window WHERE digest = ?1",
    [OPEN] = "INSERT INTO window (connection, digest, due_us, kind, opened_us, last_us, over_us,"
             " began, began_us, bytes, uploads, events, last_upload, pieces, ids, message_id)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?11, ?12, ?13, ?14)",
    [EXTEND] = "UPDATE window SET " EXTENDED " WHERE id = ?1",
    [EXTEND_DUE] = "UPDATE window SET due_us = ?12, " EXTENDED " WHERE id = ?1",
    [SEAL] = "UPDATE window SET digest = NULL, due_us = 0 WHERE id = ?1",
    [ADD_UPLOAD] = "INSERT INTO upload (previous, text, received_us) VALUES (?1, ?2, ?3)",
    [ADD_SEEN] = "INSERT INTO seen (id, ids) VALUES (?1, ?2)",
    [READ_SEEN] = "SELECT ids FROM seen WHERE id BETWEEN ?1 AND ?2",
    [SCOPE_OVER] = "SELECT max(over_us) FROM (SELECT over_us FROM window"
                   " WHERE digest BETWEEN ?1 AND ?2 AND due_us > ?3 AND +connection = ?4 LIMIT ?5)",
    [OTHERS] = "SELECT id, opened_us, last_us, began, began_us, over_us, digest FROM window"
               " WHERE digest BETWEEN ?1 AND ?2 AND due_us > ?3 AND +connection = ?4 LIMIT ?5",
    [END] = "UPDATE window SET over_us = ?2, due_us = ?3 WHERE id = ?1",
    [DUE] = "SELECT id, kind, message_id, opened_us, last_us, due_us, bytes, uploads, events,"
            " last_upload, pieces FROM window WHERE connection = ?1 AND due_us <= ?2"
            " ORDER BY due_us LIMIT ?3",
    [DUE_AT] = "SELECT id FROM window WHERE connection = ?1 AND due_us <= ?2"
               " ORDER BY due_us LIMIT 1 OFFSET ?3",
    [PREVIOUS] = "SELECT previous FROM upload WHERE id = ?1",
    [RECEIVED] = "SELECT received_us FROM upload WHERE id = ?1",
    [READ] = "SELECT text FROM upload WHERE id = ?1",
    [REMOVE] = "DELETE FROM window WHERE id = ?1",
    [REMOVE_UPLOAD] = "DELETE FROM upload WHERE id = ?1",
    [REMOVE_SEEN] = "DELETE FROM seen WHERE id BETWEEN ?1 AND ?2",
    [OLDEST] = "SELECT id, bytes, uploads, opened_us FROM window"
               " WHERE connection = ?1 AND digest IS NOT NULL ORDER BY id LIMIT 1",
    [ADD_TOTAL] = "INSERT INTO window_total VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                  " ON CONFLICT (connection) DO UPDATE SET windows = windows + ?2,"
                  " uploads = uploads + ?3, bytes = bytes + ?4, sealed = sealed + ?5,"
                  " sealed_bytes = sealed_bytes + ?6",
    [ONE_TOTAL] = "SELECT bytes - sealed_bytes FROM window_total WHERE connection = ?1",
    [TOTALS] = "SELECT connection.id, name, windows, sealed, uploads, bytes, sealed_bytes"
               " FROM window_total JOIN connection ON connection.id = connection",
    [UNTIL] = "SELECT until_us FROM closing WHERE connection = ?1",
    [SET_UNTIL] = "INSERT OR REPLACE INTO closing VALUES (?1, ?2)",
};

/* Not looked up in this transaction. */
#define UNTIL_UNKNOWN (-1)

/* What a transaction adds to a connection's totals. */
typedef struct {
    int64_t windows, uploads, bytes, sealed, sealed_bytes;
} delta_t;

/* The window that look found for a filing. */
typedef struct {
    const kf_window_filing_t *filing;
    char digest[DIGEST_BYTES_MAX];
    size_t digest_bytes;
    int64_t id; /* 0: to be opened */
    int64_t due_us;
    kf_window_times_t times;
    kf_window_began_t began;
    uint64_t bytes;
    uint32_t uploads, events;
    int64_t last_upload;
    uint32_t pieces; /* of what was seen; what is after them is in the windows' list */
} place_t;

/* An upload of a window. */
typedef struct {
    int64_t id, received_us;
} link_t;

struct kf_windows_t {
    kf_index_t *index;
    kf_windows_config_t config;
    kf_index_user_t user;
    sqlite3_stmt *s[STATEMENTS];
    kf_filed_t *filed;
    EVP_MD *hash;
    EVP_MD_CTX *hasher;
    int64_t *ids;   /* the index's numbers of the connections */
    delta_t *delta; /* by connection */
    int64_t *until; /* by connection: windows due by then take no more */
    place_t place;
    kf_seen_set_t set; /* of the filing */
    kf_buf_t list;     /* what the place's window has seen after its pieces */
    link_t *chain;     /* uploads of one window, in their order */
    uint32_t chain_cap;
};

/* ---- open, close ---- */

kf_windows_t *kf_windows_open(kf_index_t *index, const kf_windows_config_t *config)
{
    size_t n = (size_t)config->connection_count + 1;
    kf_windows_t *w = calloc(1, sizeof(*w));

    if (!w) {
        return NULL;
    }
    w->index = index;
    w->config = *config;
    kf_buf_init(&w->list, UINT32_MAX);
    w->ids = calloc(n, sizeof(*w->ids));
    w->delta = calloc(n, sizeof(*w->delta));
    w->until = calloc(n, sizeof(*w->until));
    w->hash = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    w->hasher = EVP_MD_CTX_new();
    if (!w->ids || !w->delta || !w->until || !w->hash || !w->hasher) {
        kf_log(KF0611, "out of memory");
        kf_windows_close(w);
        return NULL;
    }
    w->user = (kf_index_user_t){.sql = sql,
                                .statements = w->s,
                                .count = STATEMENTS,
                                .names = config->connections,
                                .ids = w->ids,
                                .name_count = config->connection_count};
    if (!kf_index_attach(index, &w->user)) {
        kf_windows_close(w);
        return NULL;
    }
    w->filed = kf_filed_open(index);
    if (!w->filed) {
        kf_windows_close(w);
        return NULL;
    }
    return w;
}

void kf_windows_close(kf_windows_t *w)
{
    if (!w) {
        return;
    }
    kf_filed_close(w->filed);
    kf_index_detach(w->index, &w->user);
    EVP_MD_CTX_free(w->hasher);
    EVP_MD_free(w->hash);
    kf_seen_free(&w->set);
    kf_buf_free(&w->list);
    free(w->chain);
    free(w->delta);
    free(w->until);
    free(w->ids);
    free(w);
}

/* ---- transactions ---- */

static void forget(kf_windows_t *w)
{
    memset(w->delta, 0, (size_t)w->config.connection_count * sizeof(*w->delta));
    for (int i = 0; i < w->config.connection_count; i++) {
        w->until[i] = UNTIL_UNKNOWN;
    }
    w->place.filing = NULL;
}

kf_index_result_t kf_windows_begin(kf_windows_t *w)
{
    kf_index_result_t result = kf_index_begin(w->index);

    if (result == KF_INDEX_OK) {
        forget(w);
        kf_filed_begin(w->filed);
    }
    return result;
}

kf_index_result_t kf_windows_commit(kf_windows_t *w)
{
    static const delta_t none;
    sqlite3_stmt *s = w->s[ADD_TOTAL];

    for (int i = 0; i < w->config.connection_count; i++) {
        const delta_t *d = &w->delta[i];
        if (memcmp(d, &none, sizeof(none)) != 0) {
            sqlite3_bind_int64(s, 1, w->ids[i]);
            sqlite3_bind_int64(s, 2, d->windows);
            sqlite3_bind_int64(s, 3, d->uploads);
            sqlite3_bind_int64(s, 4, d->bytes);
            sqlite3_bind_int64(s, 5, d->sealed);
            sqlite3_bind_int64(s, 6, d->sealed_bytes);
            kf_index_run(w->index, s);
        }
    }
    kf_filed_write(w->filed);
    kf_index_result_t result = kf_index_commit(w->index);
    if (result == KF_INDEX_OK) {
        kf_filed_committed(w->filed);
    }
    return result;
}

void kf_windows_rollback(kf_windows_t *w)
{
    kf_index_rollback(w->index);
}

bool kf_windows_was_filed(kf_windows_t *w, kf_str_t key)
{
    return kf_filed_by_another(w->filed, key);
}

void kf_windows_filed(kf_windows_t *w, kf_str_t key)
{
    kf_filed_add(w->filed, key);
}

void kf_windows_noted(kf_windows_t *w)
{
    kf_filed_noted(w->filed);
}

/* ---- what may have left ---- */

int64_t kf_windows_sealed_until(kf_windows_t *w, uint16_t connection)
{
    sqlite3_stmt *s = w->s[UNTIL];

    if (w->until[connection] == UNTIL_UNKNOWN) {
        sqlite3_bind_int64(s, 1, w->ids[connection]);
        w->until[connection] = 0;
        if (kf_index_row(w->index, s)) {
            w->until[connection] = sqlite3_column_int64(s, 0);
            kf_index_end(s);
        }
    }
    return w->until[connection];
}

void kf_windows_seal_until(kf_windows_t *w, uint16_t connection, int64_t until_us)
{
    sqlite3_stmt *s = w->s[SET_UNTIL];

    sqlite3_bind_int64(s, 1, w->ids[connection]);
    sqlite3_bind_int64(s, 2, until_us);
    kf_index_run(w->index, s);
    w->until[connection] = until_us;
}

/* Windows of the filing's connection that are due by then take no more. */
static int64_t closed_by(kf_windows_t *w, const kf_window_filing_t *f)
{
    int64_t until_us = kf_windows_sealed_until(w, f->connection);

    return until_us > f->received_us ? until_us : f->received_us;
}

/* ---- keys ---- */

/* The first n bytes of the hash of a connection's name for it and a text. */
static bool digest(kf_windows_t *w, uint16_t connection, kf_str_t text, char *out, size_t n)
{
    unsigned char hash[HASH_BYTES];
    const int64_t *id = &w->ids[connection];

    if (EVP_DigestInit_ex2(w->hasher, w->hash, NULL) != 1 ||
        EVP_DigestUpdate(w->hasher, id, sizeof(*id)) != 1 ||
        EVP_DigestUpdate(w->hasher, text.p, text.n) != 1 ||
        EVP_DigestFinal_ex(w->hasher, hash, NULL) != 1) {
        kf_index_fail_memory(w->index);
        return false;
    }
    memcpy(out, hash, n);
    return true;
}

static bool digest_key(kf_windows_t *w, const kf_window_filing_t *f, place_t *place)
{
    uint16_t connection = f->connection;
    char *to = place->digest;

    if (f->kind == KF_WINDOW_SESSION) {
        if (!digest(w, connection, f->device, to, GROUP_BYTES) ||
            !digest(w, connection, kf_window_part_scope(f->part), to + GROUP_BYTES, GROUP_BYTES)) {
            return false;
        }
        to += (size_t)2 * GROUP_BYTES;
    }
    place->digest_bytes = (size_t)(to - place->digest) + KEY_BYTES;
    return digest(w, connection, kf_window_part_key(f->part), to, KEY_BYTES);
}

/* Binds the range of digests that begin as the place's, and what OTHERS and SCOPE_OVER ask besides. */
static void bind_group(kf_windows_t *w, sqlite3_stmt *s, const place_t *place, size_t prefix,
                       char last[DIGEST_BYTES_MAX])
{
    memcpy(last, place->digest, prefix);
    memset(last + prefix, 0xff, DIGEST_BYTES_MAX - prefix);
    kf_index_bind_blob(s, 1, (kf_str_t){place->digest, prefix});
    kf_index_bind_blob(s, 2, (kf_str_t){last, DIGEST_BYTES_MAX});
    sqlite3_bind_int64(s, 3, closed_by(w, place->filing));
    sqlite3_bind_int64(s, 4, w->ids[place->filing->connection]);
    sqlite3_bind_int(s, 5, KF_WINDOW_OTHERS_MAX);
}

static int64_t piece_id(int64_t window, uint32_t n)
{
    return (int64_t)((uint64_t)window << PIECE_BITS) + n;
}

static void bind_pieces(sqlite3_stmt *s, int64_t window)
{
    sqlite3_bind_int64(s, 1, piece_id(window, 0));
    sqlite3_bind_int64(s, 2, piece_id(window, UPLOADS_MAX));
}

/* ---- sealing ---- */

static int64_t weight(uint64_t bytes, uint32_t uploads)
{
    return (int64_t)bytes + KF_WINDOW_EXTRA + (int64_t)uploads * KF_WINDOW_UPLOAD_EXTRA;
}

static void seal(kf_windows_t *w, uint16_t connection, int64_t id, int64_t bytes)
{
    sqlite3_bind_int64(w->s[SEAL], 1, id);
    kf_index_run(w->index, w->s[SEAL]);
    w->delta[connection].sealed++;
    w->delta[connection].sealed_bytes += bytes;
}

/* ---- look ---- */

static void find(kf_windows_t *w, const kf_window_filing_t *f)
{
    place_t *place = &w->place;
    sqlite3_stmt *s = w->s[FIND];

    *place = (place_t){.filing = f};
    kf_buf_clear(&w->list);
    if (!digest_key(w, f, place)) {
        return;
    }
    kf_index_bind_blob(s, 1, (kf_str_t){place->digest, place->digest_bytes});
    if (!kf_index_row(w->index, s)) {
        return;
    }
    int64_t id = sqlite3_column_int64(s, 0);
    place->due_us = sqlite3_column_int64(s, 5);
    place->times.opened_us = sqlite3_column_int64(s, 1);
    place->times.over_us = sqlite3_column_int64(s, 2);
    place->began.began = (uint8_t)sqlite3_column_int(s, 3);
    place->began.began_us = sqlite3_column_int64(s, 4);
    place->bytes = (uint64_t)sqlite3_column_int64(s, 6);
    place->uploads = (uint32_t)sqlite3_column_int64(s, 7);
    place->events = (uint32_t)sqlite3_column_int64(s, 8);
    place->last_upload = sqlite3_column_int64(s, 9);
    place->pieces = (uint32_t)sqlite3_column_int64(s, 10);
    if (place->due_us > closed_by(w, f)) {
        place->id = id;
        kf_buf_put_str(&w->list, kf_index_blob(s, 11));
    }
    kf_index_end(s);
    if (!place->id) {
        seal(w, f->connection, id, weight(place->bytes, place->uploads));
        place->times = (kf_window_times_t){0};
        place->began = (kf_window_began_t){0};
    }
}

bool kf_windows_look(kf_windows_t *w, const kf_window_filing_t *f, bool *repeated)
{
    bool request = false;

    find(w, f);
    if (!kf_seen_set(&w->set, f->request_id, f->event_ids, f->event_count, repeated)) {
        kf_index_fail_memory(w->index);
    }
    if (w->place.id && w->set.n > 0) {
        request = kf_seen_mark(&w->set, kf_buf_str(&w->list), repeated);
    }
    if (w->place.pieces > 0 && w->place.id && w->set.n > 0) {
        sqlite3_stmt *s = w->s[READ_SEEN];
        bind_pieces(s, w->place.id);
        while (kf_index_row(w->index, s)) {
            request |= kf_seen_mark(&w->set, kf_index_blob(s, 0), repeated);
        }
    }
    return kf_index_good(w->index) && !request;
}

/* ---- put ---- */

/* When the other windows of the session that opens another one were said to be over. */
static int64_t scope_over(kf_windows_t *w)
{
    char last[DIGEST_BYTES_MAX];
    sqlite3_stmt *s = w->s[SCOPE_OVER];
    int64_t over = 0;

    bind_group(w, s, &w->place, (size_t)2 * GROUP_BYTES, last);
    if (kf_index_row(w->index, s)) {
        over = sqlite3_column_int64(s, 0);
        kf_index_end(s);
    }
    return over;
}

static void open_window(kf_windows_t *w, size_t text_bytes, uint32_t events)
{
    place_t *place = &w->place;
    const kf_window_filing_t *f = place->filing;
    const kf_window_limits_t *limits = &w->config.rules[f->connection].limits;
    char message_id[KF_WINDOW_MESSAGE_ID_BYTES];
    sqlite3_stmt *s = w->s[OPEN];

    if (f->kind == KF_WINDOW_SESSION && place->times.over_us == 0) {
        place->times.over_us = f->part->ends ? f->received_us : scope_over(w);
    }
    place->times.opened_us = place->times.last_us = f->received_us;
    kf_window_began(&place->began, f->part);
    kf_uuid4(message_id);
    sqlite3_bind_int64(s, 1, w->ids[f->connection]);
    kf_index_bind_blob(s, 2, (kf_str_t){place->digest, place->digest_bytes});
    sqlite3_bind_int64(s, 3, kf_window_due(f->kind, &place->times, limits));
    sqlite3_bind_int(s, 4, (int)f->kind);
    sqlite3_bind_int64(s, 5, f->received_us);
    sqlite3_bind_int64(s, 6, place->times.over_us);
    sqlite3_bind_int(s, 7, place->began.began);
    sqlite3_bind_int64(s, 8, place->began.began_us);
    sqlite3_bind_int64(s, 9, (int64_t)text_bytes);
    sqlite3_bind_int64(s, 10, events);
    sqlite3_bind_int64(s, 11, place->last_upload);
    sqlite3_bind_int64(s, 12, place->pieces);
    kf_index_bind_blob(s, 13, kf_buf_str(&w->list));
    sqlite3_bind_text(s, 14, message_id, sizeof(message_id), SQLITE_STATIC);
    kf_index_run(w->index, s);
    place->id = sqlite3_last_insert_rowid(kf_index_db(w->index));
    place->bytes = text_bytes;
    place->events = events;
    place->uploads = 1;
    w->delta[f->connection].windows++;
    w->delta[f->connection].bytes += KF_WINDOW_EXTRA;
}

static void extend_window(kf_windows_t *w, size_t text_bytes, uint32_t events)
{
    place_t *place = &w->place;
    const kf_window_filing_t *f = place->filing;

    if (f->kind == KF_WINDOW_SESSION && f->part->ends && place->times.over_us == 0) {
        place->times.over_us = f->received_us;
    }
    place->times.last_us = f->received_us;
    place->bytes += text_bytes;
    place->events += events;
    place->uploads++;
    kf_window_began(&place->began, f->part);
    int64_t due_us = kf_window_due(f->kind, &place->times, &w->config.rules[f->connection].limits);
    sqlite3_stmt *s = w->s[due_us == place->due_us ? EXTEND : EXTEND_DUE];
    sqlite3_bind_int64(s, 1, place->id);
    sqlite3_bind_int64(s, 2, f->received_us);
    sqlite3_bind_int64(s, 3, place->times.over_us);
    sqlite3_bind_int(s, 4, place->began.began);
    sqlite3_bind_int64(s, 5, place->began.began_us);
    sqlite3_bind_int64(s, 6, (int64_t)place->bytes);
    sqlite3_bind_int64(s, 7, place->uploads);
    sqlite3_bind_int64(s, 8, place->events);
    sqlite3_bind_int64(s, 9, place->last_upload);
    sqlite3_bind_int64(s, 10, place->pieces);
    kf_index_bind_blob(s, 11, kf_buf_str(&w->list));
    if (due_us != place->due_us) {
        sqlite3_bind_int64(s, 12, due_us);
    }
    kf_index_run(w->index, s);
}

static void add_upload(kf_windows_t *w, kf_str_t text)
{
    place_t *place = &w->place;
    sqlite3_stmt *s = w->s[ADD_UPLOAD];

    sqlite3_bind_int64(s, 1, place->last_upload);
    kf_index_bind_blob(s, 2, text);
    sqlite3_bind_int64(s, 3, place->filing->received_us);
    kf_index_run(w->index, s);
    place->last_upload = sqlite3_last_insert_rowid(kf_index_db(w->index));
    w->delta[place->filing->connection].uploads++;
    w->delta[place->filing->connection].bytes += (int64_t)text.n + KF_WINDOW_UPLOAD_EXTRA;
}

/* Adds the filing's ids to what the window has seen. */
static void add_seen(kf_windows_t *w, const bool *repeated)
{
    const kf_window_filing_t *f = w->place.filing;

    if (f->request_id.n > 0) {
        kf_seen_put(&w->list, KF_SEEN_REQUEST, f->request_id);
    }
    for (uint32_t i = 0; i < f->event_count; i++) {
        if (f->event_ids[i].n > 0 && !repeated[i]) {
            kf_seen_put(&w->list, KF_SEEN_EVENT, f->event_ids[i]);
        }
    }
    if (w->list.failed) {
        kf_index_fail_memory(w->index);
    }
}

/* What was seen goes into a piece of its own when it is long. The window is there. */
static void spill_seen(kf_windows_t *w)
{
    sqlite3_stmt *s = w->s[ADD_SEEN];

    sqlite3_bind_int64(s, 1, piece_id(w->place.id, w->place.pieces++));
    kf_index_bind_blob(s, 2, kf_buf_str(&w->list));
    kf_index_run(w->index, s);
    kf_buf_clear(&w->list);
}

static void end_window(kf_windows_t *w, int64_t id, const kf_window_times_t *times)
{
    const kf_window_filing_t *f = w->place.filing;
    sqlite3_stmt *s = w->s[END];

    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, times->over_us);
    sqlite3_bind_int64(
        s, 3, kf_window_due(KF_WINDOW_SESSION, times, &w->config.rules[f->connection].limits));
    kf_index_run(w->index, s);
}

/* Applies a session's end to its other windows, or its start to those of older sessions. */
static void end_others(kf_windows_t *w, bool own_scope)
{
    const place_t *place = &w->place;
    const kf_window_filing_t *f = place->filing;
    const size_t scope = (size_t)2 * GROUP_BYTES;
    char last[DIGEST_BYTES_MAX];
    sqlite3_stmt *s = w->s[OTHERS];

    bind_group(w, s, place, own_scope ? scope : GROUP_BYTES, last);
    while (kf_index_row(w->index, s)) {
        kf_window_times_t times = {.opened_us = sqlite3_column_int64(s, 1),
                                   .last_us = sqlite3_column_int64(s, 2),
                                   .over_us = f->received_us};
        kf_window_began_t began = {.began = (uint8_t)sqlite3_column_int(s, 3),
                                   .began_us = sqlite3_column_int64(s, 4)};
        kf_str_t key = kf_index_blob(s, 6);
        bool over = sqlite3_column_int64(s, 5) > 0;
        bool same = key.n >= scope && memcmp(key.p, place->digest, scope) == 0;
        if (!over && same == own_scope && (own_scope || kf_window_is_older(&began, f->part))) {
            end_window(w, sqlite3_column_int64(s, 0), &times);
        }
    }
}

void kf_windows_put(kf_windows_t *w, const kf_window_filing_t *f, kf_str_t text,
                    const bool *repeated, uint32_t events)
{
    const kf_window_rules_t *rules = &w->config.rules[f->connection];
    place_t *place = &w->place;

    if (!kf_index_good(w->index) || place->filing != f) {
        return;
    }
    if (place->id &&
        (place->bytes + text.n > rules->max_bytes ||
         (uint64_t)place->events + events > rules->max_events || place->uploads == UPLOADS_MAX)) {
        seal(w, f->connection, place->id, weight(place->bytes, place->uploads));
        place->id = 0;
    }
    if (!place->id) {
        place->last_upload = 0;
        place->pieces = 0;
        kf_buf_clear(&w->list);
    }
    add_seen(w, repeated);
    add_upload(w, text);
    if (place->id) {
        if (w->list.n > IDS_BYTES_MAX) {
            spill_seen(w);
        }
        extend_window(w, text.n, events);
    } else {
        open_window(w, text.n, events);
    }
    if (f->kind == KF_WINDOW_SESSION && f->part->ends) {
        end_others(w, true);
    }
    if (f->kind == KF_WINDOW_SESSION && f->part->starts) {
        end_others(w, false);
    }
    if (place->bytes >= rules->max_bytes || place->events >= rules->max_events) {
        seal(w, f->connection, place->id, weight(place->bytes, place->uploads));
    }
    place->filing = NULL;
}

/* ---- closing ---- */

/* None if the number is damaged: memory is asked for so many. */
static uint32_t uploads_of(sqlite3_stmt *s, int column)
{
    int64_t uploads = sqlite3_column_int64(s, column);

    return uploads >= 0 && uploads <= UPLOADS_MAX ? (uint32_t)uploads : 0;
}

uint32_t kf_windows_due(kf_windows_t *w, uint16_t connection, int64_t now_us, kf_window_t *out,
                        uint32_t max)
{
    sqlite3_stmt *s = w->s[DUE];
    uint32_t n = 0;

    sqlite3_bind_int64(s, 1, w->ids[connection]);
    sqlite3_bind_int64(s, 2, now_us);
    sqlite3_bind_int64(s, 3, max);
    while (n < max && kf_index_row(w->index, s)) {
        kf_window_t *window = &out[n++];
        *window = (kf_window_t){.id = sqlite3_column_int64(s, 0),
                                .connection = connection,
                                .kind = (kf_window_kind_t)sqlite3_column_int(s, 1),
                                .opened_us = sqlite3_column_int64(s, 3),
                                .last_us = sqlite3_column_int64(s, 4),
                                .due_us = sqlite3_column_int64(s, 5),
                                .bytes = (uint64_t)sqlite3_column_int64(s, 6),
                                .uploads = uploads_of(s, 7),
                                .events = (uint32_t)sqlite3_column_int64(s, 8),
                                .last_upload = sqlite3_column_int64(s, 9),
                                .pieces = (uint32_t)sqlite3_column_int64(s, 10)};
        kf_str_t id = kf_index_blob(s, 2);
        if (id.n == KF_WINDOW_MESSAGE_ID_BYTES) {
            memcpy(window->message_id, id.p, id.n);
        }
        window->sealed = window->due_us == 0;
    }
    kf_index_end(s);
    return kf_index_good(w->index) ? n : 0;
}

static int64_t due_at(kf_windows_t *w, uint16_t connection, int64_t now_us, uint32_t place)
{
    sqlite3_stmt *s = w->s[DUE_AT];
    int64_t id = 0;

    sqlite3_bind_int64(s, 1, w->ids[connection]);
    sqlite3_bind_int64(s, 2, now_us);
    sqlite3_bind_int64(s, 3, place);
    if (kf_index_row(w->index, s)) {
        id = sqlite3_column_int64(s, 0);
        kf_index_end(s);
    }
    return id;
}

int64_t kf_windows_next(kf_windows_t *w, uint16_t connection, int64_t now_us, uint32_t more_than)
{
    kf_index_enter(w->index);
    int64_t id = due_at(w, connection, now_us, more_than);
    if (id != 0) {
        id = due_at(w, connection, now_us, 0);
    }
    return kf_index_leave(w->index) == KF_INDEX_OK ? id : 0;
}

/* The uploads of a window, in the order of their filing. @return false after an error */
static bool read_chain(kf_windows_t *w, const kf_window_t *window)
{
    sqlite3_stmt *s = w->s[PREVIOUS];
    int64_t id = window->last_upload;

    if (window->uploads > w->chain_cap) {
        link_t *grown = realloc(w->chain, window->uploads * sizeof(*grown));
        if (!grown) {
            kf_index_fail_memory(w->index);
            return false;
        }
        w->chain = grown;
        w->chain_cap = window->uploads;
    }
    for (uint32_t i = window->uploads; i-- > 0;) {
        w->chain[i] = (link_t){.id = id, .received_us = 0};
        sqlite3_bind_int64(s, 1, id);
        if (i > 0 && kf_index_row(w->index, s)) {
            id = sqlite3_column_int64(s, 0);
            kf_index_end(s);
        }
    }
    return kf_index_good(w->index);
}

static int compare_links(const void *a, const void *b)
{
    const link_t *x = a, *y = b;

    if (x->received_us != y->received_us) {
        return x->received_us < y->received_us ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Filing is in the order of coming only within a child. @return false after an error */
static bool order_chain(kf_windows_t *w, uint32_t n)
{
    sqlite3_stmt *s = w->s[RECEIVED];

    for (uint32_t i = 0; i < n; i++) {
        sqlite3_bind_int64(s, 1, w->chain[i].id);
        if (kf_index_row(w->index, s)) {
            w->chain[i].received_us = sqlite3_column_int64(s, 0);
            kf_index_end(s);
        }
    }
    qsort(w->chain, n, sizeof(*w->chain), compare_links);
    return kf_index_good(w->index);
}

uint32_t kf_windows_read(kf_windows_t *w, const kf_window_t *window, kf_buf_t *texts, size_t *ends)
{
    sqlite3_stmt *s = w->s[READ];

    if (!read_chain(w, window) || (window->uploads > 1 && !order_chain(w, window->uploads))) {
        return 0;
    }
    for (uint32_t i = 0; i < window->uploads; i++) {
        sqlite3_bind_int64(s, 1, w->chain[i].id);
        if (!kf_index_row(w->index, s)) {
            return 0;
        }
        kf_buf_put_str(texts, kf_index_blob(s, 0));
        kf_index_end(s);
        ends[i] = texts->n;
    }
    return texts->failed ? 0 : window->uploads;
}

static void remove_rows(kf_windows_t *w, const kf_window_t *window)
{
    sqlite3_bind_int64(w->s[REMOVE], 1, window->id);
    kf_index_run(w->index, w->s[REMOVE]);
    if (read_chain(w, window)) {
        for (uint32_t i = 0; i < window->uploads; i++) {
            sqlite3_bind_int64(w->s[REMOVE_UPLOAD], 1, w->chain[i].id);
            kf_index_run(w->index, w->s[REMOVE_UPLOAD]);
        }
    }
    if (window->pieces > 0) {
        bind_pieces(w->s[REMOVE_SEEN], window->id);
        kf_index_run(w->index, w->s[REMOVE_SEEN]);
    }
}

void kf_windows_remove(kf_windows_t *w, const kf_window_t *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const kf_window_t *window = &list[i];
        delta_t *d = &w->delta[window->connection];
        int64_t bytes = weight(window->bytes, window->uploads);
        remove_rows(w, window);
        d->windows--;
        d->uploads -= window->uploads;
        d->bytes -= bytes;
        if (window->sealed) {
            d->sealed--;
            d->sealed_bytes -= bytes;
        }
    }
}

uint32_t kf_windows_shed(kf_windows_t *w, uint16_t connection, uint64_t max_bytes, uint32_t n)
{
    const delta_t *d = &w->delta[connection];
    sqlite3_stmt *s = w->s[ONE_TOTAL];
    int64_t before = 0;
    uint32_t count = 0;

    sqlite3_bind_int64(s, 1, w->ids[connection]);
    if (kf_index_row(w->index, s)) {
        before = sqlite3_column_int64(s, 0);
        kf_index_end(s);
    }
    s = w->s[OLDEST];
    sqlite3_bind_int64(s, 1, w->ids[connection]);
    while (count < n && before + d->bytes - d->sealed_bytes > (int64_t)max_bytes &&
           kf_index_row(w->index, s)) {
        int64_t id = sqlite3_column_int64(s, 0);
        int64_t bytes =
            weight((uint64_t)sqlite3_column_int64(s, 1), (uint32_t)sqlite3_column_int64(s, 2));
        kf_index_end(s);
        seal(w, connection, id, bytes);
        count++;
    }
    return count;
}

/* ---- totals ---- */

static int index_of(const kf_windows_t *w, int64_t id)
{
    for (int i = 0; i < w->config.connection_count; i++) {
        if (w->ids[i] == id) {
            return i;
        }
    }
    return -1;
}

kf_index_result_t kf_windows_totals(kf_windows_t *w, kf_window_totals_fn *fn, void *context)
{
    kf_index_enter(w->index);
    sqlite3_stmt *s = w->s[TOTALS], *oldest = w->s[OLDEST];
    while (kf_index_row(w->index, s)) {
        int64_t id = sqlite3_column_int64(s, 0);
        kf_window_totals_t totals = {.name = (const char *)sqlite3_column_text(s, 1),
                                     .connection = index_of(w, id),
                                     .windows = (uint64_t)sqlite3_column_int64(s, 2),
                                     .sealed = (uint64_t)sqlite3_column_int64(s, 3),
                                     .uploads = (uint64_t)sqlite3_column_int64(s, 4),
                                     .bytes = (uint64_t)sqlite3_column_int64(s, 5)};
        totals.open_bytes = totals.bytes - (uint64_t)sqlite3_column_int64(s, 6);
        sqlite3_bind_int64(oldest, 1, id);
        if (kf_index_row(w->index, oldest)) {
            totals.oldest_us = sqlite3_column_int64(oldest, 3);
            kf_index_end(oldest);
        }
        fn(context, &totals);
    }
    return kf_index_leave(w->index);
}
