/* SPDX-License-Identifier: Apache-2.0
 *
 * A row a child, with the keys one after the other.
 */
#include "delivery/kf_filed.h"

#include <stdlib.h>
#include <unistd.h>
#include "base/kf_buf.h"
#include "base/kf_clock.h"
#include "base/kf_log.h"
#include "delivery/kf_index_int.h"

/* Nobody takes uploads over later than this, unless the server was off for so long. */
#define KEPT_US (7 * 24 * 3600 * KF_SEC)
#define KEYS_BYTES_MAX ((size_t)64 * 1024 * 1024)

enum { WRITE, OTHERS, REMOVE, OLD, REMOVE_OLD, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [WRITE] = "INSERT OR REPLACE INTO filed (child, filed_us, keys) VALUES (?1, ?2, ?3)",
    [OTHERS] = "SELECT keys FROM filed WHERE child <> ?1",
    [REMOVE] = "DELETE FROM filed WHERE child = ?1",
    [OLD] = "SELECT 1 FROM filed WHERE filed_us < ?1 LIMIT 1",
    [REMOVE_OLD] = "DELETE FROM filed WHERE filed_us < ?1",
};

struct kf_filed_t {
    kf_index_t *index;
    kf_index_user_t user;
    sqlite3_stmt *s[STATEMENTS];
    int64_t child;    /* names its row, in whichever index there is */
    kf_buf_t own;     /* keys that may have no note yet, */
    size_t committed; /* of them, those of transactions before this one */
    bool is_written;  /* there is a row of this child, or was */
    kf_buf_t others;  /* of this transaction, once they were asked for: sorted */
    bool is_loaded;
};

static void remove_old(kf_filed_t *f)
{
    int64_t before_us = kf_wall_us() - KEPT_US;

    kf_index_enter(f->index);
    sqlite3_bind_int64(f->s[OLD], 1, before_us);
    bool any = kf_index_row(f->index, f->s[OLD]);
    if (any) {
        kf_index_end(f->s[OLD]);
    }
    if (kf_index_leave(f->index) != KF_INDEX_OK || !any ||
        kf_index_begin(f->index) != KF_INDEX_OK) {
        return;
    }
    sqlite3_bind_int64(f->s[REMOVE_OLD], 1, before_us);
    kf_index_run(f->index, f->s[REMOVE_OLD]);
    kf_index_commit(f->index);
}

kf_filed_t *kf_filed_open(kf_index_t *index)
{
    kf_filed_t *f = calloc(1, sizeof(*f));

    if (!f) {
        kf_log(KF0611, "out of memory");
        return NULL;
    }
    f->user = (kf_index_user_t){.sql = sql, .statements = f->s, .count = STATEMENTS};
    if (!kf_index_attach(index, &f->user)) {
        free(f);
        return NULL;
    }
    f->index = index;
    kf_random(&f->child, sizeof(f->child));
    f->child ^= getpid();
    kf_buf_init(&f->own, KEYS_BYTES_MAX);
    kf_buf_init(&f->others, KEYS_BYTES_MAX);
    remove_old(f);
    return f;
}

void kf_filed_close(kf_filed_t *f)
{
    if (!f) {
        return;
    }
    if (f->is_written && f->committed == 0 && kf_index_begin(f->index) == KF_INDEX_OK) {
        sqlite3_bind_int64(f->s[REMOVE], 1, f->child);
        kf_index_run(f->index, f->s[REMOVE]);
        kf_index_commit(f->index);
    }
    kf_index_detach(f->index, &f->user);
    kf_buf_free(&f->own);
    kf_buf_free(&f->others);
    free(f);
}

void kf_filed_begin(kf_filed_t *f)
{
    f->own.n = f->committed;
    f->own.failed = false;
    f->is_loaded = false;
}

/* ---- others ---- */

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, KF_FILED_KEY_BYTES);
}

static void load(kf_filed_t *f)
{
    kf_buf_clear(&f->others);
    sqlite3_bind_int64(f->s[OTHERS], 1, f->child);
    while (kf_index_row(f->index, f->s[OTHERS])) {
        kf_str_t keys = kf_index_blob(f->s[OTHERS], 0);
        if (keys.n % KF_FILED_KEY_BYTES == 0) {
            kf_buf_put_str(&f->others, keys);
        }
    }
    if (f->others.failed) {
        kf_index_fail_memory(f->index);
        kf_buf_clear(&f->others);
    }
    if (f->others.n > 0) {
        qsort(f->others.p, f->others.n / KF_FILED_KEY_BYTES, KF_FILED_KEY_BYTES, compare);
    }
    f->is_loaded = true;
}

bool kf_filed_by_another(kf_filed_t *f, kf_str_t key)
{
    if (key.n != KF_FILED_KEY_BYTES) {
        return false;
    }
    if (!f->is_loaded) {
        load(f);
    }
    return f->others.n > 0 && bsearch(key.p, f->others.p, f->others.n / KF_FILED_KEY_BYTES,
                                      KF_FILED_KEY_BYTES, compare) != NULL;
}

/* ---- own ---- */

void kf_filed_add(kf_filed_t *f, kf_str_t key)
{
    if (key.n == KF_FILED_KEY_BYTES) {
        kf_buf_put_str(&f->own, key);
    }
    if (f->own.failed) {
        kf_index_fail_memory(f->index);
    }
}

void kf_filed_write(kf_filed_t *f)
{
    sqlite3_stmt *s = f->s[WRITE];

    if (f->own.n == f->committed) {
        return;
    }
    sqlite3_bind_int64(s, 1, f->child);
    sqlite3_bind_int64(s, 2, kf_wall_us());
    kf_index_bind_blob(s, 3, kf_buf_str(&f->own));
    kf_index_run(f->index, s);
}

void kf_filed_committed(kf_filed_t *f)
{
    f->is_written |= f->own.n > f->committed;
    f->committed = f->own.n;
}

void kf_filed_noted(kf_filed_t *f)
{
    kf_buf_clear(&f->own);
    f->committed = 0;
}
