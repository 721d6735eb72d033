/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes what the journal reads back: any bytes as a segment and its outcomes. What is fetched must lie
 * within the file, and once noted as done never come again.
 *
 * Input: a byte of flags (1: right the head's checksum, 2: the frames', 4: the notes'), 2 bytes length of
 * the outcomes, the outcomes, the segment.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/kf_crc32c.h"
#include "base/kf_log.h"
#include "delivery/kf_frame.h"
#include "delivery/kf_journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME "0000000000000001-00000001"
#define CONNECTIONS 2
#define MAX_BYTES 65536

static char folder[64];

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void no_log(kf_level_t level, const char *line)
{
    (void)level;
    (void)line;
}

static void remove_folder(void)
{
    rmdir(folder);
}

static void make_folder(void)
{
    /* In memory where the system has such a folder: a file system's speed is no test. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(folder, sizeof(folder), "%s/kf-fuzz-XXXXXX", base);
    check(mkdtemp(folder) != NULL, "mkdtemp");
    atexit(remove_folder);
    kf_log_set_sink(no_log);
}

/* ---- making checksums right, so that what is behind them is reached ---- */

static uint32_t get_u32(const char *p)
{
    uint32_t v = 0;

    for (int i = 3; i >= 0; i--) {
        v = v << 8 | (unsigned char)p[i];
    }
    return v;
}

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * i));
    }
}

/* Writes CRC-32C of from..to, begun with seed, to p. */
static void right(char *p, uint32_t seed, const char *from, const char *to)
{
    put_u32(p, kf_crc32c(seed, from, (size_t)(to - from)));
}

static uint32_t right_head(char *p, size_t n, bool wanted)
{
    if (n < 32) {
        return 0;
    }
    uint32_t bytes = get_u32(p + 8);
    if (wanted && bytes >= 32 && bytes <= n) {
        uint32_t crc = kf_crc32c(kf_crc32c(0, p, 12), p + 16, bytes - 16);
        put_u32(p + 12, crc);
    }
    return bytes;
}

static void right_frames(char *p, size_t n, size_t at, uint32_t id)
{
    while (at < n && n - at >= KF_FRAME_HEAD_BYTES) {
        char *frame = p + at;
        uint64_t bytes = ((uint64_t)KF_FRAME_HEAD_BYTES + get_u32(frame + 8) + 7) / 8 * 8;
        if (memcmp(frame, "KFJV", 4) == 0) {
            right(frame + 4, id, frame + 8, frame + KF_FRAME_HEAD_BYTES);
        } else if (memcmp(frame, "KFJF", 4) == 0 && bytes <= n - at) {
            right(frame + 4, id, frame + 8, frame + bytes);
        } else {
            bytes = 8;
        }
        at += bytes < n - at ? (size_t)bytes : n - at;
    }
}

static void right_notes(char *p, size_t n, uint32_t id)
{
    for (size_t at = 0; n - at >= 8;) {
        uint64_t bytes = 8 + 4 * (uint64_t)get_u32(p + at + 4);
        if (bytes > n - at) {
            break;
        }
        right(p + at, id, p + at + 4, p + at + bytes);
        at += (size_t)bytes;
    }
}

/* ---- the journal over it ---- */

static void path_of(const char *suffix, char *path)
{
    snprintf(path, 128, "%s/" NAME ".%s", folder, suffix);
}

static void put_file(const char *suffix, const char *text, size_t n)
{
    char path[128];

    path_of(suffix, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, text, n) == (ssize_t)n, "write");
    close(fd);
}

static uint32_t fetch_all(kf_journal_t *j, kf_record_list_t *list, size_t limit)
{
    for (uint16_t c = 0; c < CONNECTIONS; c++) {
        kf_backlog_t before, after;
        kf_journal_backlog(j, c, &before);
        uint32_t n = kf_journal_fetch(j, c, UINT32_MAX, UINT64_MAX, list);
        kf_journal_backlog(j, c, &after);
        check(n == before.records && after.records == 0 && after.bytes == 0, "backlog");
    }
    check(list->bytes <= limit, "more bytes than the file has");
    return list->count;
}

static void note_done(kf_journal_t *j, kf_record_list_t *list)
{
    const kf_record_t **records = calloc(list->count + 1, sizeof(*records));
    uint32_t n = 0;

    check(records != NULL, "calloc");
    for (const kf_record_t *r = list->first; r; r = r->next) {
        records[n++] = r;
    }
    kf_journal_done(j, records, n);
    free(records);
    kf_record_list_clear(list);
}

/* A start on the files: fetches all, notes the first `done` of it. @return how many it fetched */
static uint32_t start(size_t limit, uint32_t done)
{
    static const char *const names[CONNECTIONS] = {"a", "b"};
    static const int64_t shares[CONNECTIONS] = {100, 100};
    static uint64_t memory[256];
    const char *error = NULL;
    kf_record_list_t list = {0}, first = {0};

    check(kf_usage_size(CONNECTIONS, 1) <= sizeof(memory), "usage");
    kf_journal_config_t config = {.directory = folder,
                                  .durability = KF_DURABILITY_PROCESS,
                                  .segment_bytes = MAX_BYTES,
                                  .connections = names,
                                  .connection_count = CONNECTIONS,
                                  .usage = kf_usage_init(memory, CONNECTIONS, 1, 1 << 30, shares)};
    kf_journal_t *j = kf_journal_open(&config, &error);
    check(j != NULL, "open");
    kf_journal_adopt(j);
    uint32_t n = fetch_all(j, &list, limit);
    while (first.count < done && list.first) {
        kf_record_list_add(&first, kf_record_list_take(&list));
    }
    note_done(j, &first);
    kf_record_list_clear(&list);
    kf_journal_close(j);
    check(kf_usage_of(config.usage, 0) == 0 && kf_usage_of(config.usage, 1) == 0, "usage");
    return n;
}

static void run(char *seg, size_t seg_n, char *out, size_t out_n, uint8_t flags)
{
    static const char *const suffixes[] = {"seg", "out", "damaged"};
    uint32_t id = seg_n >= 20 ? get_u32(seg + 16) : 0;
    uint32_t head = right_head(seg, seg_n, flags & 1);
    char path[128];

    if (flags & 2) {
        right_frames(seg, seg_n, head, id);
    }
    if (flags & 4) {
        right_notes(out, out_n, id);
    }
    put_file("seg", seg, seg_n);
    put_file("out", out, out_n);
    uint32_t n = start(seg_n, 1);
    uint32_t left = start(seg_n, UINT32_MAX);
    check(left == (n > 0 ? n - 1 : 0), "what was done comes again, or more is lost");
    check(start(seg_n, 0) == 0, "what was done comes again");
    for (int i = 0; i < 3; i++) {
        path_of(suffixes[i], path);
        unlink(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (folder[0] == 0) {
        make_folder();
    }
    if (size < 3 || size > MAX_BYTES) {
        return 0;
    }
    size_t out_n = (size_t)data[1] | (size_t)data[2] << 8;
    if (out_n > size - 3) {
        out_n = size - 3;
    }
    char *bytes = malloc(size);
    check(bytes != NULL, "malloc");
    memcpy(bytes, data, size);
    run(bytes + 3 + out_n, size - 3 - out_n, bytes + 3, out_n, data[0]);
    free(bytes);
    return 0;
}
