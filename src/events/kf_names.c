/* SPDX-License-Identifier: Apache-2.0
 *
 * Names twice. Nearly all objects have few members: for those a cheap hash and a bitmap say "new" at
 * once. Whoever makes that hash collide, or sends more members, gets a table under a keyed hash: names are
 * compared only where theirs is the same, which no sender can bring about.
 */
#include "events/kf_names.h"

#include <stdlib.h>
#include "events/kf_text_hash.h"

#define SMALL 32

/* So many names are looked for at once, that one's way from memory is the others' time. */
#define AHEAD 16

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

__attribute__((noinline)) static kf_str_t unescaped(kf_names_t *names, const kf_json_t *json,
                                                    uint32_t key)
{
    kf_str_t name;
    if (kf_json_short_escaped(json, key, names->shorter, sizeof(names->shorter), &name)) {
        return name;
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

/* The name unescaped; valid until the next call. */
static inline kf_str_t plain_name(kf_names_t *names, const kf_json_t *json, uint32_t key)
{
    return json->v[key].escaped ? unescaped(names, json, key) : kf_json_inner(json, key);
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
        free(names->keys);
        names->keys = malloc(cap * sizeof(*names->keys));
        names->cap = names->keys ? cap : 0;
    }
    if (!names->keys) {
        names->failed = true;
        return 0;
    }
    memset(names->keys, 0, cap * sizeof(*names->keys));
    if (names->hash_key == 0) {
        names->hash_key = kf_text_hash_key();
    }
    return cap;
}

/* The bits that the nodes of an index need. */
static uint32_t node_bits(const kf_json_t *json)
{
    return UINT32_MAX >> __builtin_clz(json->n | 1);
}

/* @param slot  the key's node and bits of its hash. @return whether the name is in the table already;
 *              else it is now */
static bool enter(kf_names_t *names, const kf_json_t *json, uint32_t slot, uint32_t at,
                  uint32_t mask)
{
    uint32_t nodes = node_bits(json);
    for (; names->keys[at]; at = (at + 1) & mask) {
        if (((names->keys[at] ^ slot) & ~nodes) == 0 &&
            same_name(json, names->keys[at] & nodes, slot & nodes)) {
            return true;
        }
    }
    names->keys[at] = slot;
    return false;
}

static uint32_t find_in_table(kf_names_t *names, const kf_json_t *json, uint32_t object)
{
    uint32_t end = json->v[object].next, members = 0;
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        members++;
    }
    uint32_t cap = clear_table(names, members), nodes = node_bits(json);
    uint32_t slots[AHEAD], places[AHEAD];
    if (cap == 0) {
        return 0;
    }
    for (uint32_t k = kf_json_first(json, object); k < end;) {
        uint32_t n = 0;
        for (; n < AHEAD && k < end; k = json->v[k + 1].next) {
            uint32_t hash = kf_text_hash(names->hash_key, plain_name(names, json, k));
            slots[n] = k | (kf_text_hash_tag(hash) & ~nodes);
            places[n] = kf_text_hash_place(hash, cap - 1);
            __builtin_prefetch(&names->keys[places[n++]], 1);
        }
        for (uint32_t i = 0; i < n; i++) {
            if (enter(names, json, slots[i], places[i], cap - 1)) {
                return slots[i] & nodes;
            }
        }
    }
    return 0;
}

uint32_t kf_names_repeated_of(kf_names_t *names, const kf_json_t *json, uint32_t object)
{
    uint32_t hashes[SMALL], n = 0, end = json->v[object].next;
    uint64_t seen[4] = {0, 0, 0, 0};
    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next) {
        if (n == SMALL) {
            return find_in_table(names, json, object);
        }
        uint32_t hash = quick_hash(plain_name(names, json, k));
        uint64_t bit = UINT64_C(1) << (hash & 63);
        uint64_t *word = &seen[hash >> 30];
        if (*word & bit) {
            for (uint32_t i = 0; i < n; i++) {
                if (hashes[i] == hash) {
                    return find_in_table(names, json, object);
                }
            }
        }
        *word |= bit;
        hashes[n++] = hash;
    }
    return 0;
}

void kf_names_free(kf_names_t *names)
{
    free(names->keys);
    if (names->plain_ready) {
        kf_buf_free(&names->plain);
    }
    memset(names, 0, sizeof(*names));
}
