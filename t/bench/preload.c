/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaves a backlog in a journal folder as a child that died would: segments, written by the journal's own
 * code without syncs, of records that nobody has delivered, a frame each as posts of one batch make them,
 * which is what costs most memory. Each is the batch of a file with a number of
 * its own behind `{"source_request_id":"`, twelve digits, so that the receiver can count them. For a bench
 * that needs millions of records without posting them. One thread; knows no AWS and no httpd. Prints
 * records, bytes and seconds as JSON. Usage: preload FOLDER CONNECTION BATCH_FILE RECORDS FIRST_NUMBER
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/kf_clock.h"
#include "delivery/kf_journal.h"

#define SEGMENT_BYTES (32 << 20)
#define NUMBER_AT 22 /* behind {"source_request_id":" */
#define CHILDREN 2
#define STORE_BYTES INT64_MAX

static char text[1 << 20];
static size_t text_bytes;

static void fail(const char *what)
{
    fprintf(stderr, "preload: %s\n", what);
    exit(1);
}

static void read_batch(const char *path)
{
    FILE *file = fopen(path, "r");

    text_bytes = file ? fread(text, 1, sizeof text, file) : 0;
    while (text_bytes > 0 && text[text_bytes - 1] == '\n')
        text_bytes--;
    if (text_bytes < NUMBER_AT + 12 || strncmp(text, "{\"source_request_id\":\"", NUMBER_AT) != 0)
        fail("no batch, or none with a number");
    fclose(file);
}

static kf_journal_t *open_journal(const char *folder, const char *const *name)
{
    static const int64_t share = 100;
    size_t bytes = kf_usage_size(1, CHILDREN);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    kf_journal_config_t config = {.directory = folder,
                                  .durability = KF_DURABILITY_PROCESS,
                                  .segment_bytes = SEGMENT_BYTES,
                                  .connections = name,
                                  .connection_count = 1};
    const char *error = NULL;
    kf_journal_t *journal;

    if (memory == MAP_FAILED)
        fail("no memory");
    config.usage = kf_usage_init(memory, 1, CHILDREN, STORE_BYTES, &share);
    journal = config.usage ? kf_journal_open(&config, &error) : NULL;
    if (!journal)
        fail(error ? error : "the journal can't be opened");
    return journal;
}

static void leave_record(kf_journal_t *journal, uint64_t number)
{
    char digits[24];
    kf_record_list_t list = {0};
    kf_record_t *record;

    snprintf(digits, sizeof digits, "%012llu", (unsigned long long)number);
    memcpy(text + NUMBER_AT, digits, 12);
    record = kf_record_create(0, (kf_str_t){digits, 12}, (kf_str_t){text, text_bytes});
    if (!record)
        fail("no memory");
    record->accepted_us = kf_wall_us();
    record->events = 1;
    kf_record_list_add(&list, record);
    if (kf_journal_append(journal, &list) != KF_JOURNAL_OK)
        fail("the journal took no more");
    kf_journal_release(journal, record);
    kf_record_list_clear(&list);
}

int main(int argc, char **argv)
{
    uint64_t records, first;
    int64_t begun = kf_mono_us();
    kf_journal_t *journal;

    if (argc != 6)
        fail("usage: preload FOLDER CONNECTION BATCH_FILE RECORDS FIRST_NUMBER");
    read_batch(argv[3]);
    records = strtoull(argv[4], NULL, 10);
    first = strtoull(argv[5], NULL, 10);
    journal = open_journal(argv[1], (const char *const *)&argv[2]);
    for (uint64_t i = 0; i < records; i++)
        leave_record(journal, first + i);
    kf_journal_close(journal);
    printf("{\"records\":%llu,\"bytes\":%llu,\"seconds\":%.3f}\n", (unsigned long long)records,
           (unsigned long long)(records * text_bytes), (double)(kf_mono_us() - begun) / 1e6);
    return 0;
}
