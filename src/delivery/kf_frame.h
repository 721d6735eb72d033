/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's bytes: how a segment's head, a frame of records, and a note of outcomes are written and
 * read. Version 1; every number little endian. Pure: no file, no thread. Reading trusts nothing.
 *
 *   segment  head, padded to 8; then frames, each starting at a multiple of 8
 *   head     "KFJS" version:u16 connections:u16 bytes:u32 crc:u32 id:u32 zero:u32 created_us:i64
 *            then for each connection  length:u8 name
 *   frame    "KFJF" crc:u32 bytes:u32 count:u32 first:u32 zero:u32, then `bytes` of records; padded
 *   void     "KFJV" crc:u32 and the rest of the head of a frame that was withdrawn: stands in its place
 *   record   data:u32 connection:u16 key:u16 events:u16 kind:u8 too_large:u8 attempts:u32
 *            accepted_us:i64 held_us:i64, then key and data
 *   outcome  crc:u32 count:u32, then count ordinals:u32
 *
 * crc is CRC-32C of all that follows it (of a void: of the rest of its head), begun with the segment's
 * id, so that bytes of another segment, or such as a sender made up, are no frames here. `first` is the
 * ordinal, within the segment, of the frame's first record; an outcome names records by ordinal.
 */
#ifndef KF_FRAME_H
#define KF_FRAME_H

#include "base/kf_buf.h"
#include "events/kf_record.h"

#define KF_FRAME_HEAD_BYTES 24
#define KF_FRAME_RECORD_BYTES 32
#define KF_FRAME_ALIGN 8
#define KF_FRAME_NOTE_HEAD_BYTES 8

typedef struct {
    uint32_t id;        /* random */
    int64_t created_us; /* wall clock */
    uint16_t connection_count;
    uint32_t bytes; /* of the head, padded: where the first frame starts */
    uint32_t names; /* offset of the first connection's length byte */
} kf_segment_head_t;

/** Appends a segment's head. Names are 1 to 255 bytes. */
void kf_frame_put_head(kf_buf_t *out, uint32_t id, int64_t created_us, const char *const *names,
                       int count);

/** @return false if text does not begin with a whole and sound head of a version known here */
bool kf_frame_read_head(kf_str_t text, kf_segment_head_t *head);

/** The name of connection i of a head that was read from text. */
kf_str_t kf_frame_head_name(kf_str_t text, const kf_segment_head_t *head, int i);

/** Bytes that a frame of these records takes, padding included. */
uint64_t kf_frame_size(const kf_record_list_t *records);

/** Appends a frame; its first record's ordinal is patched in later by kf_frame_seal. */
void kf_frame_put(kf_buf_t *out, const kf_record_list_t *records);

/** Writes `first` and the checksum into a frame that kf_frame_put appended. */
void kf_frame_seal(char *frame, uint32_t first, uint32_t id);

/**
 * Turns the head of a sealed frame, KF_FRAME_HEAD_BYTES, into a void's. Only its first 8 bytes change, so that a disk that
 * writes whole sectors leaves the one or the other.
 */
void kf_frame_void(char *head, uint32_t id);

typedef struct {
    uint32_t bytes; /* of the whole frame, padding included */
    uint32_t count; /* records */
    uint32_t first; /* ordinal of the first */
} kf_frame_t;

typedef enum {
    KF_FRAME_OK,
    KF_FRAME_VOID,   /* withdrawn: nothing in it, frame->bytes are skipped */
    KF_FRAME_SHORT,  /* text ends before the frame does: frame->bytes tells how much is wanted */
    KF_FRAME_DAMAGED /* no frame starts here, or its checksum or its contents are wrong */
} kf_frame_result_t;

/** Reads the frame at the start of text: head, checksum, and that its records fill it exactly. */
kf_frame_result_t kf_frame_read(kf_str_t text, uint32_t id, kf_frame_t *frame);

/** One record inside a frame that was found sound. */
typedef struct {
    uint16_t connection;
    uint16_t key_bytes;
    uint32_t data_bytes;
    uint16_t events;
    uint8_t kind, too_large;
    uint32_t attempts;
    int64_t accepted_us, held_us;
    const char *bytes; /* key, then data */
} kf_frame_record_t;

/** Offset in the frame of its first record; the reader returns the next one's. */
static inline uint32_t kf_frame_first(void)
{
    return KF_FRAME_HEAD_BYTES;
}
uint32_t kf_frame_next(const char *frame, uint32_t at, kf_frame_record_t *record);

/** Appends a note of outcomes. */
void kf_frame_put_outcome(kf_buf_t *out, uint32_t id, const uint32_t *ordinals, uint32_t n);

/** How many ordinals a note's head, of KF_FRAME_NOTE_HEAD_BYTES, says that follow it. Nothing is checked. */
uint32_t kf_frame_note_count(const char *head);

/**
 * Calls fn for each ordinal of the sound notes in text; stops at the first unsound one (a torn tail).
 * @return bytes that were sound
 */
size_t kf_frame_read_outcomes(kf_str_t text, uint32_t id,
                              void (*fn)(void *context, uint32_t ordinal), void *context);

#endif
