/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts to numbers: open addressing under a hash whose key the sender does not know.
 */
#include "events/kf_text_map.h"

#include <stdlib.h>
#include "events/kf_text_hash.h"

#define FIRST_CAP 64

/* In the order of their coming: what is only entered is written one after the other. */
typedef struct kf_text_map_entry_t {
    const kf_json_t *json;
    uint32_t node;
    uint32_t number;
} entry_t;

typedef struct kf_text_map_slot_t {
    uint32_t hash;
    uint32_t entry; /* 1 + its index; 0: free */
} slot_t;

static bool is_text(const entry_t *entry, kf_str_t text)
{
    return entry->json->v[entry->node].type == KF_JSON_STRING
               ? kf_json_string_is(entry->json, entry->node, text)
               : kf_str_eq(kf_json_token(entry->json, entry->node), text);
}

/* Its slot, or the free one where it belongs. */
static slot_t *look(const kf_text_map_t *map, uint32_t hash, kf_str_t text)
{
    uint32_t mask = map->cap - 1, i = kf_text_hash_place(hash, mask);
    for (; map->slots[i].entry; i = (i + 1) & mask) {
        if (map->slots[i].hash == hash && is_text(&map->entries[map->slots[i].entry - 1], text)) {
            break;
        }
    }
    return &map->slots[i];
}

/* @param cap  a power of two, more than there are slots; else it is out of memory */
static bool grow(kf_text_map_t *map, uint32_t cap)
{
    entry_t *entries =
        cap > map->cap ? realloc(map->entries, cap / 2 * sizeof(*map->entries)) : NULL;
    if (!entries) {
        return false;
    }
    map->entries = entries;
    slot_t *slots = calloc(cap, sizeof(*slots));
    if (!slots) {
        return false;
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->slots[i].entry) {
            uint32_t to = kf_text_hash_place(map->slots[i].hash, cap - 1);
            while (slots[to].entry) {
                to = (to + 1) & (cap - 1);
            }
            slots[to] = map->slots[i];
        }
    }
    free(map->slots);
    map->slots = slots;
    map->cap = cap;
    if (map->key == 0) {
        map->key = kf_text_hash_key();
    }
    return true;
}

bool kf_text_map_reserve(kf_text_map_t *map, uint32_t n)
{
    uint32_t cap = map->cap ? map->cap : FIRST_CAP;
    while (cap / 2 < map->n + n && cap < UINT32_C(1) << 31) {
        cap *= 2;
    }
    return cap == map->cap || grow(map, cap);
}

uint32_t *kf_text_map_enter(kf_text_map_t *map, const kf_json_t *json, uint32_t node, kf_str_t text)
{
    if (map->n >= map->cap / 2 && !grow(map, map->cap ? map->cap * 2 : FIRST_CAP)) {
        return NULL;
    }
    uint32_t hash = kf_text_hash(map->key, text);
    slot_t *slot = look(map, hash, text);
    if (!slot->entry) {
        map->entries[map->n++] = (entry_t){json, node, KF_TEXT_MAP_NEW};
        *slot = (slot_t){hash, map->n};
    }
    return &map->entries[slot->entry - 1].number;
}

uint32_t *kf_text_map_find(const kf_text_map_t *map, kf_str_t text)
{
    if (map->n == 0) {
        return NULL;
    }
    slot_t *slot = look(map, kf_text_hash(map->key, text), text);
    return slot->entry ? &map->entries[slot->entry - 1].number : NULL;
}

void kf_text_map_free(kf_text_map_t *map)
{
    free(map->slots);
    free(map->entries);
    memset(map, 0, sizeof(*map));
}
