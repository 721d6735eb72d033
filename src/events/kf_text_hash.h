/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash of texts that a sender can't make collide: a polynomial modulo 2^31-1 at a random point, three
 * bytes a step. Two texts of n bytes share a hash for at most n/3 + 1 of the 2^31 points, whatever their
 * sender chose. Knows no table. Pure but for the random key; any thread.
 */
#ifndef KF_TEXT_HASH_H
#define KF_TEXT_HASH_H

#include "base/kf_clock.h"
#include "base/kf_str.h"

#define KF_TEXT_HASH_PRIME 0x7fffffffu

/** A point: never 0. */
static inline uint32_t kf_text_hash_key(void)
{
    uint32_t key;
    do {
        key = kf_random_u32() % KF_TEXT_HASH_PRIME;
    } while (key < 256);
    return key;
}

static inline uint32_t kf_text_hash_step(uint64_t hash, uint32_t key, uint32_t word)
{
    uint64_t h = hash * key + word;
    h = (h & KF_TEXT_HASH_PRIME) + (h >> 31);
    return (uint32_t)((h & KF_TEXT_HASH_PRIME) + (h >> 31));
}

/** @return below KF_TEXT_HASH_PRIME */
static inline uint32_t kf_text_hash(uint32_t key, kf_str_t s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t h = 1;
    size_t left = s.n;
    for (; left >= 3; left -= 3, p += 3) {
        h = kf_text_hash_step(h, key, (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16);
    }
    if (left > 0) {
        h = kf_text_hash_step(h, key, (uint32_t)p[0] | (left > 1 ? (uint32_t)p[1] << 8 : 0));
    }
    /* The length goes in last, so that zeros at the end count. */
    h = kf_text_hash_step(h, key, (uint32_t)(s.n & 0xffffff));
    return h >= KF_TEXT_HASH_PRIME ? h - KF_TEXT_HASH_PRIME : h;
}

/** Bits, the highest first, that tell hashes of one place apart. */
static inline uint32_t kf_text_hash_tag(uint32_t hash)
{
    return (uint32_t)(hash * UINT64_C(0xc2b2ae3d27d4eb4f) >> 32);
}

/** The place in a table of `mask` + 1 slots: neighbouring texts have neighbouring hashes, which are spread. */
static inline uint32_t kf_text_hash_place(uint32_t hash, uint32_t mask)
{
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
}

#endif
