/* SPDX-License-Identifier: Apache-2.0
 *
 * A record: the bytes that become one Kinesis or Firehose record, with what delivery needs to know.
 * One malloc'd block with one owner; handing it over hands over the duty to free it. Knows no
 * service and no thread. The links and counters at its head belong to whoever owns it.
 */
#ifndef KF_RECORD_H
#define KF_RECORD_H

#include <stdint.h>
#include "base/kf_str.h"

typedef enum {
    KF_RECORD_EVENTS = 0,   /* a batch, or a part of one */
    KF_RECORD_AUDIENCE = 1, /* an audience message */
    KF_RECORD_WINDOW = 2 /* an upload for windows: the batch unfiltered, its key a UUID of its own;
                               never goes to AWS as it is */
} kf_record_kind_t;

typedef struct kf_record_t kf_record_t;
struct kf_record_t {
    kf_record_t *next;   /* owner's list */
    int64_t accepted_us; /* wall clock at acceptance or the window's closing */
    int64_t held_us;     /* time spent on hold, not counted into its age */
    uint32_t data_bytes; /* data, delimiter included */
    uint32_t attempts;   /* calls it was part of whose outcome was a failure */
    uint16_t connection; /* index of its connection in the process's configuration */
    uint16_t key_bytes;  /* partition key; 0 for Firehose */
    uint16_t events;     /* events inside, capped at 65535 (for counters) */
    uint8_t kind;        /* kf_record_kind_t */
    uint8_t too_large;   /* 1: over the service's limit; goes to the dead letters, never to AWS */
    uint64_t mark;       /* delivery's own */
    uint32_t
        note_bytes; /* WINDOW: of its note (kf_window_note.h), never more than data_bytes; 0: none */
    char bytes[];   /* key, then data, then the note, which stays in memory */
};

/**
 * A record whose key and data are still to be written into bytes[], in this order; counters zero.
 * @return NULL when out of memory
 */
kf_record_t *kf_record_new(uint16_t connection, uint16_t key_bytes, uint32_t data_bytes);
/** The same with room for a note. */
kf_record_t *kf_record_new_noted(uint16_t connection, uint16_t key_bytes, uint32_t data_bytes,
                                 uint32_t note_bytes);

/**
 * A record that holds copies of key and data, counters zero.
 * @return NULL when out of memory, and for a key of 64 KiB or data of 4 GiB and more
 */
kf_record_t *kf_record_create(uint16_t connection, kf_str_t key, kf_str_t data);
void kf_record_free(kf_record_t *record);

static inline kf_str_t kf_record_key(const kf_record_t *r)
{
    return (kf_str_t){r->bytes, r->key_bytes};
}

static inline kf_str_t kf_record_data(const kf_record_t *r)
{
    return (kf_str_t){r->bytes + r->key_bytes, r->data_bytes};
}

static inline kf_str_t kf_record_note(const kf_record_t *r)
{
    return (kf_str_t){r->bytes + r->key_bytes + r->data_bytes, r->note_bytes};
}

/* A list of records, in order. Zero-initialise. */
typedef struct {
    kf_record_t *first, *last;
    uint32_t count;
    uint64_t bytes;     /* keys and data */
    uint64_t max_bytes; /* what kf_filter_apply may fill it to; 0: no bound */
    bool over;          /* kf_filter_apply stopped there */
} kf_record_list_t;

static inline void kf_record_list_add(kf_record_list_t *list, kf_record_t *record)
{
    record->next = NULL;
    if (list->last) {
        list->last->next = record;
    } else {
        list->first = record;
    }
    list->last = record;
    list->count++;
    list->bytes += record->key_bytes + (uint64_t)record->data_bytes;
}

/** Takes the first one off; NULL if there is none. */
kf_record_t *kf_record_list_take(kf_record_list_t *list);
/** Appends all of `from`, which is empty afterwards. */
void kf_record_list_append(kf_record_list_t *list, kf_record_list_t *from);
/** Frees all. */
void kf_record_list_clear(kf_record_list_t *list);

#endif
