/* SPDX-License-Identifier: Apache-2.0
 *
 * What is left out of a batch, as a tree of member names: settings that remove members, excluded
 * fields and excluded identities are all paths in it. Paths go through objects only. Built at
 * configuration time, then read by any thread.
 */
#ifndef KF_RULES_H
#define KF_RULES_H

#include <apr_pools.h>
#include "events/kf_writer.h"

typedef struct kf_rule_t kf_rule_t;
struct kf_rule_t {
    kf_str_t name;
    bool remove;      /* the member itself, with all inside */
    kf_rule_t *child; /* rules for the members inside it */
    kf_rule_t *next;  /* sibling */
};

/** Adds a dotted path; the text must live as long as the tree. */
void kf_rules_add_path(apr_pool_t *pool, kf_rule_t *root, const char *path);

/** The child of that name, made when there is none. */
kf_rule_t *kf_rules_add(apr_pool_t *pool, kf_rule_t *parent, kf_str_t name);

/** The child of that name, NULL if there is none. A NULL parent has no children. */
const kf_rule_t *kf_rules_find(const kf_rule_t *parent, kf_str_t name);

/** The child that a member's key names, compared unescaped; NULL if there is none. */
const kf_rule_t *kf_rules_match(const kf_rule_t *parent, const kf_json_t *json, uint32_t key);

/**
 * Copies up to and through the parts that the rule's children name inside a value; what follows the
 * last of them is left to the caller. A value that is no object is not touched.
 */
void kf_rules_strip(const kf_rule_t *rule, kf_writer_t *w, uint32_t value);

#endif
