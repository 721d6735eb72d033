/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts to numbers: open addressing under a polynomial modulo 2^31-1 at a random point. Two texts
 * of n bytes share a hash for at most n/3 of the 2^31 points, whatever their sender chose.
 */
#include "events/kf_text_map.h"

#include <stdlib.h>
#include "base/kf_clock.h"

#define PRIME 0x7fffffffu
#define FIRST_CAP 64

typedef struct kf_text_map_slot_t {
    const kf_json_t *json; /* NULL: free */
    uint32_t node;
    uint32_t hash;
    uint32_t number;
} slot_t;

static uint32_t step(uint64_t hash, uint32_t base, uint32_t word)
{
    uint64_t h = hash * base + word;
    h = (h & PRIME) + (h >> 31);
    return (uint32_t)((h & PRIME) + (h >> 31));
}

/* Three bytes a step; the length goes in last, so that zeros at the end count. */
static uint32_t hash_text(uint32_t base, kf_str_t s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t h = 1;
    size_t left = s.n;
    for (; left >= 3; left -= 3, p += 3) {
        h = step(h, base, (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16);
    }
    if (left > 0) {
        h = step(h, base, (uint32_t)p[0] | (left > 1 ? (uint32_t)p[1] << 8 : 0));
    }
    h = step(h, base, (uint32_t)(s.n & 0xffffff));
    return h >= PRIME ? h - PRIME : h;
}

/* Spread over the table: a polynomial gives neighbouring hashes to neighbouring texts. */
static uint32_t place(const kf_text_map_t *map, uint32_t hash)
{
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (map->cap - 1);
}

static bool is_text(const slot_t *slot, kf_str_t text)
{
    return slot->json->v[slot->node].type == KF_JSON_STRING
               ? kf_json_string_is(slot->json, slot->node, text)
               : kf_str_eq(kf_json_token(slot->json, slot->node), text);
}

/* Its slot, or the free one where it belongs. */
static slot_t *look(const kf_text_map_t *map, uint32_t hash, kf_str_t text)
{
    uint32_t i = place(map, hash);
    for (; map->slots[i].json; i = (i + 1) & (map->cap - 1)) {
        if (map->slots[i].hash == hash && is_text(&map->slots[i], text)) {
            break;
        }
    }
    return &map->slots[i];
}

static bool grow(kf_text_map_t *map)
{
    kf_text_map_t more = {.cap = map->cap ? map->cap * 2 : FIRST_CAP, .base = map->base};
    more.slots = more.cap > map->cap ? calloc(more.cap, sizeof(*more.slots)) : NULL;
    if (!more.slots) {
        return false;
    }
    while (more.base < 256) {
        more.base = kf_random_u32() % PRIME;
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->slots[i].json) {
            uint32_t to = place(&more, map->slots[i].hash);
            while (more.slots[to].json) {
                to = (to + 1) & (more.cap - 1);
            }
            more.slots[to] = map->slots[i];
        }
    }
    more.n = map->n;
    free(map->slots);
    *map = more;
    return true;
}

uint32_t *kf_text_map_enter(kf_text_map_t *map, const kf_json_t *json, uint32_t node, kf_str_t text)
{
    if (map->n >= map->cap / 2 && !grow(map)) {
        return NULL;
    }
    uint32_t hash = hash_text(map->base, text);
    slot_t *slot = look(map, hash, text);
    if (!slot->json) {
        *slot = (slot_t){json, node, hash, KF_TEXT_MAP_NEW};
        map->n++;
    }
    return &slot->number;
}

uint32_t *kf_text_map_find(const kf_text_map_t *map, kf_str_t text)
{
    if (map->n == 0) {
        return NULL;
    }
    slot_t *slot = look(map, hash_text(map->base, text), text);
    return slot->json ? &slot->number : NULL;
}

void kf_text_map_free(kf_text_map_t *map)
{
    free(map->slots);
    memset(map, 0, sizeof(*map));
}
