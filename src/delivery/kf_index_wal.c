/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading SQLite's log of changes (kf_index_wal.h).
 */
#include "delivery/kf_index_wal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "delivery/kf_file.h"

/* The format. All numbers are big-endian, but for the words that checksums add up. */
#define MAGIC UINT32_C(0x377f0682) /* the last bit: words are big-endian too */
#define VERSION 3007000
#define HEADER_BYTES 32
#define HEADER_SUMMED 24
#define FRAME_BYTES 24 /* before its page */
#define FRAME_SUMMED 8
#define PAGE_BYTES_LEAST 512
#define PAGE_BYTES_MOST 65536

#define READ_BYTES (256u * 1024)
/* What a disk writes whole or not at all. */
#define SECTOR_BYTES 512u

typedef struct {
    uint32_t salt[2], sum[2];
} mark_t;

typedef struct {
    uint32_t page;
    uint32_t size; /* of the database, in pages, after a commit; else 0 */
    mark_t mark;
} frame_t;

typedef struct {
    kf_wal_t *wal;
    size_t page_bytes;
    bool is_big;     /* words are big-endian */
    bool has_salts;  /* the log's are known; else those of the frame before are tried */
    bool is_chained; /* every frame so far continued the one before */
    bool has_last;   /* the frame before is of this log: last holds its checksum, */
    bool is_commit;  /* and it ended a transaction, for certain */
    mark_t last;
    uint64_t sound; /* frames, while chained */
} walk_t;

static uint32_t number(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t number_little(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static mark_t mark_at(const unsigned char *p)
{
    return (mark_t){{number(p), number(p + 4)}, {number(p + 8), number(p + 12)}};
}

/* ---- checksums ---- */

static void add_up(uint32_t sum[2], bool is_big, const unsigned char *p, size_t n)
{
    uint32_t a = sum[0], b = sum[1];

    if (is_big) {
        for (size_t i = 0; i < n; i += 8) {
            a += number(p + i) + b;
            b += number(p + i + 4) + a;
        }
    } else {
        for (size_t i = 0; i < n; i += 8) {
            a += number_little(p + i) + b;
            b += number_little(p + i + 4) + a;
        }
    }
    sum[0] = a;
    sum[1] = b;
}

static bool is_same(const uint32_t a[2], const uint32_t b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

/* Whether a frame was written behind the last one. */
static bool continues(const walk_t *w, const unsigned char *p, const frame_t *frame)
{
    uint32_t sum[2] = {w->last.sum[0], w->last.sum[1]};

    if (!w->has_last || frame->page == 0 || !is_same(frame->mark.salt, w->last.salt)) {
        return false;
    }
    add_up(sum, w->is_big, p, FRAME_SUMMED);
    add_up(sum, w->is_big, p + FRAME_BYTES, w->page_bytes);
    return is_same(sum, frame->mark.sum);
}

/* ---- frames ---- */

/* What stands behind the end of the chain. */
static void take_lost(walk_t *w, const frame_t *frame, bool continued, uint64_t at)
{
    bool in_a_sector = at % SECTOR_BYTES + FRAME_BYTES <= SECTOR_BYTES;
    bool is_ours = is_same(frame->mark.salt, w->last.salt);

    if (!w->has_salts && !is_ours) {
        w->wal->lost = w->wal->lost_commits = 0;
        w->last = frame->mark;
        is_ours = true;
    }
    w->has_salts |= continued;
    w->wal->damaged |= continued && w->is_commit;
    w->has_last = is_ours;
    if (is_ours) {
        w->wal->lost++;
        w->wal->lost_commits += frame->size != 0;
        w->last = frame->mark;
        /* A torn write leaves the mark and the checksum, of which the one may be old, unless they stand together. */
        w->is_commit = frame->size != 0 && (continued || in_a_sector);
    }
}

static void take_frame(walk_t *w, const unsigned char *p, uint64_t at)
{
    frame_t frame = {number(p), number(p + 4), mark_at(p + 8)};
    bool continued = continues(w, p, &frame);

    w->is_chained = w->is_chained && continued;
    if (!w->is_chained) {
        take_lost(w, &frame, continued, at);
        return;
    }
    w->last = frame.mark;
    w->sound++;
    if (frame.size != 0) {
        w->wal->kept = w->sound;
    }
}

static int walk_frames(walk_t *w, int fd, uint64_t file_bytes)
{
    size_t bytes = FRAME_BYTES + w->page_bytes, room = READ_BYTES / bytes * bytes;
    unsigned char *p = malloc(room);
    int rc = p ? 0 : ENOMEM;

    for (uint64_t at = HEADER_BYTES; rc == 0 && at + bytes <= file_bytes;) {
        ssize_t got = kf_file_read_at(fd, p, room, at);
        if (got < (ssize_t)bytes) {
            rc = got < 0 ? errno : 0;
            break;
        }
        for (size_t i = 0; i + bytes <= (size_t)got; i += bytes, at += bytes) {
            take_frame(w, p + i, at);
        }
    }
    free(p);
    return rc;
}

/* ---- the header ---- */

static bool is_page_size(uint32_t n)
{
    return n >= PAGE_BYTES_LEAST && n <= PAGE_BYTES_MOST && (n & (n - 1)) == 0;
}

/* What is known of a log without a sound header: its order of words is tried. */
static void take_broken_header(walk_t *w, const unsigned char *p, bool is_big)
{
    *w = (walk_t){.wal = w->wal, .is_big = is_big, .has_last = true, .last = mark_at(p + 16)};
    w->page_bytes = KF_WAL_PAGE_BYTES;
}

static bool take_header(walk_t *w, const unsigned char *p)
{
    uint32_t magic = number(p), sum[2] = {0, 0};

    w->is_big = magic & 1;
    w->page_bytes = number(p + 8);
    w->last = mark_at(p + 16);
    add_up(sum, w->is_big, p, HEADER_SUMMED);
    w->has_last = w->has_salts = w->is_chained =
        (magic & ~1u) == MAGIC && is_same(sum, w->last.sum);
    return w->is_chained;
}

/* The header is on the disk before the first frame is written: without it nothing of the log is reached. */
static int walk_without_header(walk_t *w, int fd, const unsigned char *header, uint64_t file_bytes)
{
    int rc = 0;

    for (int is_big = 0; rc == 0 && is_big < 2 && !w->has_salts; is_big++) {
        *w->wal = (kf_wal_t){0};
        take_broken_header(w, header, is_big);
        rc = walk_frames(w, fd, file_bytes);
    }
    if (!w->has_salts) {
        *w->wal = (kf_wal_t){0};
    }
    w->wal->damaged = w->wal->lost_commits > 0;
    return rc;
}

int kf_wal_read(int fd, kf_wal_t *wal)
{
    unsigned char header[HEADER_BYTES];
    walk_t w = {.wal = wal};
    struct stat info;

    *wal = (kf_wal_t){0};
    if (fstat(fd, &info) != 0) {
        return errno;
    }
    ssize_t got = kf_file_read_at(fd, header, sizeof(header), 0);
    if (got < (ssize_t)sizeof(header)) {
        return got < 0 ? errno : 0;
    }
    if (!take_header(&w, header)) {
        return walk_without_header(&w, fd, header, (uint64_t)info.st_size);
    }
    /* Else SQLite does not read it either. */
    if (number(header + 4) != VERSION || !is_page_size((uint32_t)w.page_bytes)) {
        return 0;
    }
    int rc = walk_frames(&w, fd, (uint64_t)info.st_size);
    wal->lost += w.sound - wal->kept;
    return rc;
}
