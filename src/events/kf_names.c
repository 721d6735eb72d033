/* SPDX-License-Identifier: Apache-2.0
 *
 * Names twice. Nearly all objects have few members: for those a cheap hash and a bitmap say "new" at
 * once, and whoever makes them collide costs us 32 comparisons a name. Larger objects get a table
 * and a polynomial hash modulo 2^31-1 at a random point: two names of length n collide for at most
 * n of the 2^31 points, whatever the sender chooses.
 */
#include "events/kf_names.h"

#include <stdlib.h>
#include "base/kf_clock.h"

#define SMALL 32
#define PRIME 0x7fffffffu

struct kf_name_slot_t {
    uint32_t hash;
    uint32_t key; /* 0: free; node 0 is never a key */
};

static uint64_t load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t load32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Looks at 16 bytes at most: it need only be cheap. */
static uint32_t quick_hash(kf_str_t s)
{
    uint64_t a = 0, b = 0;
    if (s.n >= 8) {
        a = load64(s.p);
        b = load64(s.p + s.n - 8);
    } else if (s.n >= 4) {
        a = load32(s.p);
        b = load32(s.p + s.n - 4);
    } else if (s.n > 0) {
        a = (uint64_t)(unsigned char)s.p[0] << 8 | (unsigned char)s.p[s.n - 1];
        b = (unsigned char)s.p[s.n / 2];
    }
    a = (a ^ s.n << 56) * UINT64_C(0x9e3779b97f4a7c15);
    b = (b ^ a >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)((a ^ b) >> 32);
}

static uint32_t keyed_hash(uint32_t base, kf_str_t s)
{
    uint64_t h = 1;
    for (size_t i = 0; i < s.n; i++) {
        h = (h * base + (unsigned char)s.p[i]) % PRIME;
    }
    return (uint32_t)h;
}

/* The name unescaped; valid until the next call. */
static kf_str_t plain_name(kf_names_t *names, const kf_json_t *json, uint32_t key)
{
    if (!json->v[key].escaped) {
        return kf_json_inner(json, key);
    }
    if (!names->plain_ready) {
        kf_buf_init(&names->plain, UINT32_MAX);
        names->plain_ready = true;
    }
    kf_buf_clear(&names->plain);
    kf_json_unescape(json, key, &names->plain);
    names->failed |= names->plain.failed;
    return kf_buf_str(&names->plain);
}

static bool same_name(const kf_json_t *json, uint32_t a, uint32_t b)
{
    if (!json->v[a].escaped && !json->v[b].escaped) {
        return kf_str_eq(kf_json_inner(json, a), kf_json_inner(json, b));
    }
    return kf_json_strings_equal(json, a, b);
}

/* An empty table of at least twice as many slots. @return its size, 0 when out of memory */
static uint32_t clear_table(kf_names_t *names, uint32_t members)
{
    uint32_t cap = 4 * SMALL;
    while (cap / 2 < members && cap < UINT32_C(1) << 31) {
        cap *= 2;
    }
    if (cap > names->cap) {
        free(names->slots);
        names->slots = malloc(cap * sizeof(*names->slots));
        names->cap = names->slots ? cap : 0;
    }
    if (!names->slots) {
        names->failed = true;
        return 0;
    }
    memset(names->slots, 0, cap * sizeof(*names->slots));
    while (names->base < 256) {
        names->base = kf_random_u32() % PRIME;
    }
    return cap;
}

static uint32_t repeated_among_many(kf_names_t *names, const kf_json_t *json, uint32_t object)
{
    uint32_t end = json->v[object].next, members = 0;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        members++;
    }
    uint32_t cap = clear_table(names, members);
    if (cap == 0) {
        return 0;
    }
    uint32_t mask = cap - 1;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        uint32_t hash = keyed_hash(names->base, plain_name(names, json, k));
        /* neighbouring hashes, which a polynomial gives to neighbouring names, are spread */
        uint32_t i = (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
        for (; names->slots[i].key; i = (i + 1) & mask) {
            if (names->slots[i].hash == hash && same_name(json, names->slots[i].key, k)) {
                return k;
            }
        }
        names->slots[i].hash = hash;
        names->slots[i].key = k;
    }
    return 0;
}

uint32_t kf_names_repeated(kf_names_t *names, const kf_json_t *json, uint32_t object)
{
    uint32_t hashes[SMALL], keys[SMALL], n = 0, end = json->v[object].next;
    uint64_t seen[4] = {0, 0, 0, 0};
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        if (n == SMALL) {
            return repeated_among_many(names, json, object);
        }
        uint32_t hash = quick_hash(plain_name(names, json, k));
        uint64_t bit = UINT64_C(1) << (hash & 63);
        uint64_t *word = &seen[hash >> 30];
        if (*word & bit) {
            for (uint32_t i = 0; i < n; i++) {
                if (hashes[i] == hash && same_name(json, keys[i], k)) {
                    return k;
                }
            }
        }
        *word |= bit;
        hashes[n] = hash;
        keys[n++] = k;
    }
    return 0;
}

void kf_names_free(kf_names_t *names)
{
    free(names->slots);
    if (names->plain_ready) {
        kf_buf_free(&names->plain);
    }
    memset(names, 0, sizeof(*names));
}
