/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of what is left out.
 */
#include "events/kf_rules.h"

kf_rule_t *kf_rules_add(apr_pool_t *pool, kf_rule_t *parent, kf_str_t name)
{
    kf_rule_t **at = &parent->child;
    for (; *at; at = &(*at)->next) {
        if (kf_str_eq((*at)->name, name)) {
            return *at;
        }
    }
    *at = apr_pcalloc(pool, sizeof(**at));
    (*at)->name = name;
    return *at;
}

void kf_rules_add_path(apr_pool_t *pool, kf_rule_t *root, const char *path)
{
    kf_rule_t *rule = root;
    for (;;) {
        size_t n = strcspn(path, ".");
        rule = kf_rules_add(pool, rule, (kf_str_t){path, n});
        if (path[n] == '\0') {
            rule->remove = true;
            return;
        }
        path += n + 1;
    }
}

const kf_rule_t *kf_rules_find(const kf_rule_t *parent, kf_str_t name)
{
    for (const kf_rule_t *r = parent ? parent->child : NULL; r; r = r->next) {
        if (kf_str_eq(r->name, name)) {
            return r;
        }
    }
    return NULL;
}

const kf_rule_t *kf_rules_match(const kf_rule_t *parent, const kf_json_t *json, uint32_t key)
{
    for (const kf_rule_t *r = parent ? parent->child : NULL; r; r = r->next) {
        if (kf_json_string_is(json, key, r->name)) {
            return r;
        }
    }
    return NULL;
}

/* As deep as a path has parts, and no deeper than a scanned text has brackets. */
void kf_rules_strip(const kf_rule_t *rule, kf_writer_t *w, uint32_t value)
{
    const kf_json_t *json = w->json;
    if (!rule || !rule->child || json->v[value].type != KF_JSON_OBJECT) {
        return;
    }
    uint32_t lead = kf_json_first(json, value), end = json->v[value].next;
    for (uint32_t k = lead; k < end; k = json->v[k + 1].next) {
        const kf_rule_t *child = kf_rules_match(rule, json, k);
        if (child && child->remove) {
            kf_writer_cut_member(w, value, k, &lead);
        } else if (child) {
            kf_rules_strip(child, w, k + 1);
        }
    }
}
