/* SPDX-License-Identifier: Apache-2.0
 *
 * A compiled filter from the inside, for the parts that apply it: envelope, splitting, audience
 * messages, partition keys. Not for other layers. Read-only once compiled; any thread.
 */
#ifndef KF_PLAN_H
#define KF_PLAN_H

#include "events/kf_event.h"
#include "events/kf_filter.h"
#include "events/kf_identity.h"
#include "events/kf_rules.h"

/* Excluded fields whose first name is not in kf_batch_members.def; KinesisExcludeFields takes 64. */
#define KF_OTHER_RULES_MAX 64

/* What the partition key is made of (KinesisPartitionKey). */
typedef enum { KF_KEY_AUTO, KF_KEY_MPID, KF_KEY_DEVICE, KF_KEY_RANDOM, KF_KEY_FIELD } kf_key_kind_t;

struct kf_filter_t {
    const kf_settings_t *settings;
    uint16_t connection;
    kf_window_kind_t window; /* KF_WINDOW_KIND_NONE: batches are forwarded as they come */
    bool outbound;           /* record format */
    bool single;             /* each event a record */
    bool newline;            /* delimiter */
    bool one_line;           /* a record is a line: line breaks between tokens are dropped */
    bool keyed;              /* records carry a partition key */
    bool strip_location;
    bool
        adds_nothing; /* neither members nor a form: only members that came are left out or replaced */
    kf_key_kind_t key;
    kf_str_t key_field;           /* KF_KEY_FIELD */
    size_t limit;                 /* bytes of a record, key and delimiter included */
    uint32_t types;               /* forwarded: bit 1 << kf_event_type_t */
    kf_identity_set_t identities; /* excluded */
    kf_str_t unique_id;           /* a JSON string token; n == 0: none */
    kf_rule_t rules;              /* what is left out of batches */
    const kf_rule_t *rule[KF_B_COUNT];
    const kf_rule_t *other[KF_OTHER_RULES_MAX];
    unsigned other_count;
    uint32_t touched; /* members that need a look: bit 1 << kf_batch_member_t */
};

_Static_assert(KF_B_COUNT <= 32 && KF_I_COUNT <= 64 && KF_E_COUNT <= 32, "sets are bit masks");

static inline bool kf_plan_removes(const kf_filter_t *filter, kf_batch_member_t id)
{
    return filter->rule[id] && filter->rule[id]->remove;
}

static inline bool kf_plan_excludes(const kf_filter_t *filter, kf_identity_t id)
{
    return id != KF_I_COUNT && (filter->identities >> id & 1);
}

static inline bool kf_plan_keeps_event(const kf_filter_t *filter, const kf_json_t *json,
                                       uint32_t event)
{
    return filter->types >> kf_event_type(json, event) & 1;
}

#endif
