/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading SQLite's log of changes: logs of SQLite's own making, whose sound part SQLite itself is asked for, and
 * logs written here, frame by frame, as crashes, power cuts and damage leave them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include "delivery/kf_index_wal.h"
#include "temp_store.h"

#define PAGE 4096
#define FRAME (24 + PAGE)
#define FRAMES_MAX 64
#define LOG_MAX (32 + FRAMES_MAX * FRAME)

typedef struct {
    unsigned char bytes[LOG_MAX];
    size_t n;
    bool big;
    uint32_t salt[2], sum[2];
} log_t;

static log_t built, changed;

/* ---- what is read ---- */

static kf_wal_t read_bytes(const unsigned char *bytes, size_t n)
{
    char path[] = "/tmp/kf-wal.XXXXXX";
    int fd = mkstemp(path);
    kf_wal_t wal;

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, bytes, n), n);
    memset(&wal, 0xff, sizeof wal);
    assert_int_equal(kf_wal_read(fd, &wal), 0);
    close(fd);
    return wal;
}

static kf_wal_t read_log(const log_t *log)
{
    return read_bytes(log->bytes, log->n);
}

static void assert_nothing(kf_wal_t wal)
{
    assert_int_equal(wal.kept, 0);
    assert_int_equal(wal.lost, 0);
    assert_int_equal(wal.lost_commits, 0);
    assert_false(wal.damaged);
}

/* ---- logs written here ---- */

static void put(unsigned char *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(n >> (24 - 8 * i));
}

static uint32_t word(const unsigned char *p, bool big)
{
    uint32_t n = 0;

    for (int i = 0; i < 4; i++)
        n |= (uint32_t)p[i] << (big ? 24 - 8 * i : 8 * i);
    return n;
}

static void sum_up(log_t *log, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        log->sum[0] += word(p + i, log->big) + log->sum[1];
        log->sum[1] += word(p + i + 4, log->big) + log->sum[0];
    }
}

/* A header, as of a log that is begun anew: what follows stays as it is. */
static void begin_log(log_t *log, bool big, uint32_t version, uint32_t page, uint32_t salt)
{
    unsigned char *p = log->bytes;

    log->big = big;
    log->salt[0] = salt;
    log->salt[1] = salt * 77;
    log->sum[0] = log->sum[1] = 0;
    put(p, 0x377f0682 | big);
    put(p + 4, version);
    put(p + 8, page);
    put(p + 12, salt);
    put(p + 16, log->salt[0]);
    put(p + 20, log->salt[1]);
    sum_up(log, p, 24);
    put(p + 24, log->sum[0]);
    put(p + 28, log->sum[1]);
    log->n = 32;
}

static void put_frame(log_t *log, uint32_t page, uint32_t size)
{
    unsigned char *p = log->bytes + log->n;

    assert_true(log->n + FRAME <= LOG_MAX);
    put(p, page);
    put(p + 4, size);
    put(p + 8, log->salt[0]);
    put(p + 12, log->salt[1]);
    for (int i = 0; i < PAGE; i++)
        p[24 + i] = (unsigned char)(rand() >> 8);
    sum_up(log, p, 8);
    sum_up(log, p + 24, PAGE);
    put(p + 16, log->sum[0]);
    put(p + 20, log->sum[1]);
    log->n += FRAME;
}

static void put_transaction(log_t *log, int frames)
{
    for (int i = 1; i <= frames; i++)
        put_frame(log, (uint32_t)i + 1, i == frames ? 100 : 0);
}

/* Six transactions of 1, 2, 3, 4, 1 and 4 frames. */
#define TRANSACTIONS 6
static const int frames_of[TRANSACTIONS] = {1, 2, 3, 4, 1, 4};

static void put_all(log_t *log, bool big, uint32_t salt)
{
    begin_log(log, big, 3007000, PAGE, salt);
    for (int i = 0; i < TRANSACTIONS; i++)
        put_transaction(log, frames_of[i]);
}

/* The transaction that a byte of such a log is in; where it begins. */
static int transaction_at(size_t at, size_t *start)
{
    int t = 0;

    *start = 32;
    while (t + 1 < TRANSACTIONS && at >= *start + (size_t)frames_of[t] * FRAME) {
        *start += (size_t)frames_of[t] * FRAME;
        t++;
    }
    return t;
}

static size_t frames_before(size_t start)
{
    return (start - 32) / FRAME;
}

static void test_sound(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        put_all(&built, big, 5);
        kf_wal_t wal = read_log(&built);
        assert_int_equal(wal.kept, 15);
        assert_int_equal(wal.lost, 0);
        assert_int_equal(wal.lost_commits, 0);
        assert_false(wal.damaged);
        /* What somebody had only begun to write. */
        put_frame(&built, 9, 0);
        wal = read_log(&built);
        assert_int_equal(wal.kept, 15);
        assert_int_equal(wal.lost, 1);
        assert_int_equal(wal.lost_commits, 0);
        assert_false(wal.damaged);
    }
}

static void test_no_log(void **state)
{
    static unsigned char zeros[300000];

    (void)state;
    put_all(&built, false, 5);
    for (size_t n = 0; n <= 32; n++)
        assert_nothing(read_bytes(built.bytes, n));
    assert_nothing(read_bytes(zeros, sizeof zeros));
    for (int i = 0; i < 300000; i++)
        zeros[i] = (unsigned char)(rand() >> 8);
    kf_wal_t wal = read_bytes(zeros, sizeof zeros);
    assert_int_equal(wal.kept, 0);
    assert_false(wal.damaged);
}

/* What SQLite refuses, or takes for none, though it is as it was written. */
static void test_another_format(void **state)
{
    static const struct {
        uint32_t version, page;
    } other[] = {{3007001, PAGE}, {0, PAGE},         {3007000, 0},
                 {3007000, 256},  {3007000, 131072}, {3007000, PAGE + 8}};

    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        begin_log(&built, false, other[i].version, other[i].page, 5);
        for (int t = 0; t < TRANSACTIONS; t++)
            put_transaction(&built, frames_of[t]);
        built.bytes[32 + FRAME + 100] ^= 1;
        assert_nothing(read_log(&built));
    }
}

/* ---- power cuts ---- */

/* Cut off anywhere: the last transaction was never answered for. */
static void test_cut_in_the_last_transaction(void **state)
{
    size_t start;

    (void)state;
    put_all(&built, false, 5);
    transaction_at(built.n - 1, &start);
    for (size_t n = start; n < built.n; n += n % FRAME < 90 ? 1 : 131) {
        kf_wal_t wal = read_bytes(built.bytes, n);
        assert_int_equal(wal.kept, 11);
        assert_int_equal(wal.lost, (n - start) / FRAME);
        assert_int_equal(wal.lost_commits, 0);
        assert_false(wal.damaged);
    }
}

/* Of the sectors of the last transaction any may be missing: they are as they were before. */
static void test_torn_last_transaction(void **state)
{
    size_t start;

    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        srand(seed);
        put_all(&changed, seed & 1, 4);
        memset(changed.bytes + changed.n, seed & 2 ? 0 : 0x7b, LOG_MAX - changed.n);
        if (seed & 4)
            memset(changed.bytes, 0, LOG_MAX);
        built = changed;
        put_all(&built, seed & 1, 5);
        transaction_at(built.n - 1, &start);
        bool torn = false;
        for (size_t at = start; at < built.n; at += 512 - at % 512) {
            size_t n = 512 - at % 512;
            n = n < built.n - at ? n : built.n - at;
            if (rand() % 4 == 0 || (seed & 8 && at % 512 != 0)) {
                memcpy(built.bytes + at, changed.bytes + at, n);
                torn = true;
            }
        }
        kf_wal_t wal = read_log(&built);
        assert_int_equal(wal.kept, torn ? 11 : 15);
        assert_true(wal.lost_commits <= 1);
        assert_false(wal.damaged);
    }
}

/* The end of a sector cuts a frame's mark from its checksum, and only the second was written: what looks like a
 * mark is what stood there before. */
static void test_torn_head(void **state)
{
    (void)state;
    begin_log(&built, false, 3007000, PAGE, 5);
    while (built.n % 512 != 504)
        put_transaction(&built, 1);
    size_t at = built.n;
    put_transaction(&built, 4);
    assert_int_equal(read_log(&built).lost, 0);
    memset(built.bytes + at, 0x7b, 8);
    kf_wal_t wal = read_log(&built);
    assert_int_equal(wal.lost, 4);
    assert_false(wal.damaged);
}

/* ---- damage ---- */

/* What was committed behind a damaged byte is missed, wherever it is. */
static void assert_found(size_t at, unsigned char flip)
{
    size_t start, end_of_frame;
    int t = transaction_at(at, &start);

    built.bytes[at] ^= flip;
    kf_wal_t wal = read_log(&built);
    built.bytes[at] ^= flip;
    if (at < 32) {
        assert_int_equal(wal.kept, 0);
        assert_int_equal(wal.lost, 15);
        assert_int_equal(wal.lost_commits, TRANSACTIONS);
        assert_true(wal.damaged);
        return;
    }
    size_t in_frame = (at - 32) % FRAME;
    end_of_frame = at - in_frame + FRAME;
    bool of_commit = end_of_frame == start + (size_t)frames_of[t] * FRAME;
    bool of_head = in_frame < 24;
    assert_int_equal(wal.kept, frames_before(start));
    assert_true(wal.lost == 15 - wal.kept || (of_head && wal.lost == 14 - wal.kept));
    if (!of_head)
        assert_int_equal(wal.lost_commits, TRANSACTIONS - t);
    assert_true(wal.lost_commits + 1 >= (uint64_t)(TRANSACTIONS - t));
    assert_true(wal.lost_commits <= (uint64_t)(TRANSACTIONS - t) + 1);
    /* The last transaction may be torn, unless what no power cut writes is in it: a mark within; and so may two
     * be whose boundary can't be read. */
    bool is_mark = in_frame >= 4 && in_frame < 8 && !of_commit;
    if (t == TRANSACTIONS - 1)
        assert_int_equal(wal.damaged, is_mark);
    else if (t < TRANSACTIONS - 2 || !of_commit || !of_head)
        assert_true(wal.damaged);
}

static void test_damage_anywhere(void **state)
{
    (void)state;
    srand(1);
    for (int big = 0; big < 2; big++) {
        put_all(&built, big, 5);
        for (size_t at = 0; at < built.n; at++) {
            bool near_head = at < 32 || (at - 32) % FRAME < 40 || (at - 32) % FRAME > FRAME - 4;
            if (near_head || at % 997 == 0)
                assert_found(at, (unsigned char)(1u << (rand() % 8)));
        }
    }
}

/* A block that a disk returns as zeros, or as another one's. */
static void test_damaged_blocks(void **state)
{
    (void)state;
    put_all(&built, false, 5);
    put_all(&changed, false, 6);
    for (size_t at = 0; at < (size_t)9 * FRAME; at += 4096) {
        for (int other = 0; other < 2; other++) {
            log_t *log = malloc(sizeof *log);
            *log = built;
            if (other)
                memcpy(log->bytes + at, changed.bytes + at + 4096, 4096);
            else
                memset(log->bytes + at, 0, 4096);
            kf_wal_t wal = read_log(log);
            assert_true(wal.damaged);
            assert_true(wal.kept <= at / FRAME);
            assert_true(wal.lost_commits >= 2);
            free(log);
        }
    }
}

/* One transaction alone is missed when what is before the first frame is damaged: that is synced first. */
static void test_damaged_header_of_one_transaction(void **state)
{
    (void)state;
    begin_log(&built, false, 3007000, PAGE, 5);
    put_transaction(&built, 3);
    built.bytes[2] ^= 4;
    kf_wal_t wal = read_log(&built);
    assert_true(wal.damaged);
    assert_int_equal(wal.lost_commits, 1);
    assert_int_equal(wal.lost, 3);
}

/* ---- what is left of other times ---- */

static void test_old_frames_behind(void **state)
{
    (void)state;
    for (int transactions = 0; transactions <= 3; transactions++) {
        put_all(&built, false, 5);
        size_t n = built.n;
        begin_log(&built, false, 3007000, PAGE, 6);
        for (int t = 0; t < transactions; t++)
            put_transaction(&built, 2);
        size_t end = built.n;
        built.n = n;
        kf_wal_t wal = read_log(&built);
        assert_int_equal(wal.kept, 2 * transactions);
        assert_int_equal(wal.lost, 0);
        assert_false(wal.damaged);
        /* The same, the last transaction torn; and then the first damaged. */
        if (transactions > 0) {
            built.bytes[end - FRAME - 7] ^= 1;
            wal = read_log(&built);
            assert_int_equal(wal.kept, 2 * transactions - 2);
            assert_int_equal(wal.lost_commits, 1);
            assert_false(wal.damaged);
            built.bytes[end - FRAME - 7] ^= 1;
            built.bytes[32 + 99] ^= 1;
            wal = read_log(&built);
            assert_int_equal(wal.kept, 0);
            assert_int_equal(wal.lost, 2 * transactions);
            assert_int_equal(wal.lost_commits, transactions);
            assert_int_equal(wal.damaged, transactions > 1);
        }
    }
}

/* Writers that are killed while they sync have written all, and the next one goes over it. */
static void test_remains_of_killed_writers(void **state)
{
    (void)state;
    put_all(&built, false, 5);
    log_t *before = malloc(sizeof *before);
    *before = built;
    for (int frames = 6; frames >= 2; frames--) {
        built.n = before->n;
        memcpy(built.sum, before->sum, sizeof built.sum);
        put_transaction(&built, frames);
    }
    built.n = before->n + 6 * FRAME;
    kf_wal_t wal = read_log(&built);
    assert_int_equal(wal.kept, 17);
    assert_int_equal(wal.lost, 4);
    assert_int_equal(wal.lost_commits, 4);
    assert_false(wal.damaged);
    /* A power cut tears the last one too. */
    built.bytes[before->n + 300] ^= 1;
    wal = read_log(&built);
    assert_int_equal(wal.kept, 15);
    assert_int_equal(wal.lost_commits, 5);
    assert_false(wal.damaged);
    free(before);
}

/* ---- SQLite's own ---- */

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
}

static sqlite3 *open_db(const char *folder)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(temp_in(folder, "db"), &db), SQLITE_OK);
    run(db, "PRAGMA synchronous=OFF");
    return db;
}

static unsigned char *read_file(const char *path, size_t *n)
{
    struct stat info;
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    unsigned char *p = malloc((size_t)info.st_size + 1);
    *n = (size_t)info.st_size;
    assert_int_equal(read(fd, p, *n), *n);
    close(fd);
    return p;
}

static void write_file(const char *path, const unsigned char *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

/* How many frames SQLite takes. */
static int frames_taken(const char *folder)
{
    sqlite3 *db = open_db(folder);
    int frames = 0, copied;

    run(db, "SELECT count(*) FROM sqlite_schema");
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied),
        SQLITE_OK);
    sqlite3_close(db);
    return frames < 0 ? 0 : frames;
}

typedef struct {
    unsigned char *db, *log;
    size_t db_n, log_n;
} pair_t;

/* A database and its log as a kill leaves them, of 40 transactions; `again`: over a longer log, copied by then. */
static pair_t killed(int page_bytes, bool again)
{
    char *folder = temp_make(), text[200];
    pair_t pair;

    pid_t pid = fork();
    if (pid == 0) {
        sqlite3 *db = open_db(folder);
        snprintf(text, sizeof text, "PRAGMA page_size=%d", page_bytes);
        run(db, text);
        run(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0;"
                "CREATE TABLE t (id INTEGER PRIMARY KEY, x); PRAGMA wal_checkpoint(TRUNCATE)");
        for (int i = 0; again && i < 100; i++)
            run(db, "INSERT INTO t (x) VALUES (randomblob(900))");
        run(db, again ? "PRAGMA wal_checkpoint(RESTART)" : "SELECT 1");
        for (int i = 0; i < 40; i++)
            run(db, "INSERT INTO t (x) VALUES (randomblob(900))");
        _exit(0);
    }
    assert_int_equal(temp_wait(pid), 0);
    pair.db = read_file(temp_in(folder, "db"), &pair.db_n);
    pair.log = read_file(temp_in(folder, "db-wal"), &pair.log_n);
    temp_done(folder);
    return pair;
}

static kf_wal_t assert_as_sqlite(const pair_t *pair, const char *folder)
{
    kf_wal_t wal = read_bytes(pair->log, pair->log_n);

    write_file(temp_in(folder, "db"), pair->db, pair->db_n);
    write_file(temp_in(folder, "db-wal"), pair->log, pair->log_n);
    unlink(temp_in(folder, "db-shm"));
    assert_int_equal(wal.kept, frames_taken(folder));
    return wal;
}

static void test_as_sqlite_reads_it(void **state)
{
    static const int pages[] = {512, 4096, 65536};

    (void)state;
    for (int i = 0; i < 6; i++) {
        pair_t pair = killed(pages[i / 2], i % 2);
        char *folder = temp_make();
        size_t n = pair.log_n;

        kf_wal_t whole = assert_as_sqlite(&pair, folder);
        assert_true(whole.kept >= 40);
        assert_false(whole.damaged);
        /* Damaged in its first half; each place is put right again. */
        size_t used = 32 + whole.kept * (24 + (size_t)pages[i / 2]);
        for (int k = 1; k < 20; k++) {
            size_t at = 32 + used / 40 * (size_t)k;
            pair.log[at] ^= 0x10;
            kf_wal_t wal = assert_as_sqlite(&pair, folder);
            assert_true(wal.damaged);
            assert_true(wal.kept < whole.kept && wal.lost_commits >= 15 && wal.lost_commits <= 40);
            assert_true(wal.kept + wal.lost + 1 >= whole.kept);
            assert_true(wal.kept + wal.lost <= whole.kept);
            pair.log[at] ^= 0x10;
        }
        for (int k = 1; k < 20; k++) {
            pair.log_n = used / 20 * (size_t)k;
            assert_false(assert_as_sqlite(&pair, folder).damaged);
        }
        pair.log_n = n;
        free(pair.db);
        free(pair.log);
        temp_done(folder);
    }
}

/* Pages that don't fit the cache are written before the commit, and rolled back. */
static void test_rolled_back(void **state)
{
    char *folder = temp_make();
    size_t n;

    (void)state;
    sqlite3 *db = open_db(folder);
    run(db,
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=5;"
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x); INSERT INTO t (x) VALUES (randomblob(9000))");
    for (int i = 0; i < 3; i++)
        run(db,
            "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
            " INSERT INTO t (x) SELECT randomblob(3000) FROM n; ROLLBACK;"
            "INSERT INTO t (x) VALUES (1)");
    unsigned char *log = read_file(temp_in(folder, "db-wal"), &n);
    kf_wal_t wal = read_bytes(log, n);
    assert_true(wal.lost > 20);
    assert_int_equal(wal.lost_commits, 0);
    assert_false(wal.damaged);
    free(log);
    sqlite3_close(db);
    temp_done(folder);
}

/* ---- what can't be read ---- */

static void test_cannot_be_read(void **state)
{
    char *folder = temp_make();
    kf_wal_t wal;

    (void)state;
    put_all(&built, false, 5);
    write_file(temp_in(folder, "log"), built.bytes, built.n);
    int fd = open(temp_in(folder, "log"), O_WRONLY);
    assert_int_equal(kf_wal_read(fd, &wal), EBADF);
    assert_nothing(wal);
    close(fd);
    fd = open(folder, O_RDONLY);
    assert_int_equal(kf_wal_read(fd, &wal), EISDIR);
    close(fd);
    assert_int_equal(kf_wal_read(-1, &wal), EBADF);
    temp_done(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_no_log),
        cmocka_unit_test(test_another_format),
        cmocka_unit_test(test_cut_in_the_last_transaction),
        cmocka_unit_test(test_torn_last_transaction),
        cmocka_unit_test(test_torn_head),
        cmocka_unit_test(test_damage_anywhere),
        cmocka_unit_test(test_damaged_blocks),
        cmocka_unit_test(test_damaged_header_of_one_transaction),
        cmocka_unit_test(test_old_frames_behind),
        cmocka_unit_test(test_remains_of_killed_writers),
        cmocka_unit_test(test_as_sqlite_reads_it),
        cmocka_unit_test(test_rolled_back),
        cmocka_unit_test(test_cannot_be_read),
    };

    return cmocka_run_group_tests_name("index_wal", tests, NULL, NULL);
}
