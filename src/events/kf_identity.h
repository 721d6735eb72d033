/* SPDX-License-Identifier: Apache-2.0
 *
 * The identities of users and devices: their names in batches and in audience messages, when a value
 * counts as one, and whether a batch or an audience message knows its user by more than the MPID.
 * Knows no connection. Pure; any thread.
 */
#ifndef KF_IDENTITY_H
#define KF_IDENTITY_H

#include "events/kf_post.h"

typedef enum {
#define KF_IDENTITY(id, name, audience, device, anonymous) KF_I_##id,
#include "events/kf_identities.def"
#undef KF_IDENTITY
    KF_I_COUNT
} kf_identity_t;

/* A set of identities: bit 1 << kf_identity_t. */
typedef uint64_t kf_identity_set_t;

typedef struct {
    kf_str_t name;
    kf_str_t audience; /* n == 0: not in audience messages */
    bool device;
    bool anonymous; /* does not make a user known */
} kf_identity_info_t;

extern const kf_identity_info_t kf_identities[KF_I_COUNT];

/** By its name, customer_id's aliases included; KF_I_COUNT if there is none. */
kf_identity_t kf_identity_find(kf_str_t name);

/** By a STRING of a text: a key of user_identities or an identity_type. KF_I_COUNT if none. */
kf_identity_t kf_identity_of(const kf_json_t *json, uint32_t string);

/** By a key of an audience message's UserIdentities, or by a batch's name. KF_I_COUNT if none. */
kf_identity_t kf_identity_of_audience(const kf_json_t *json, uint32_t key);

/** The user identities' names that customer_id also goes by, ended by n == 0. */
extern const kf_str_t kf_customer_id_aliases[];

/* The ids of device_info that make a device key, best first (format reference 3.4); mp_deviceid is
 * before them, the mpid and user identities are after them. */
#define KF_DEVICE_ORDER_COUNT 10
extern const kf_identity_t kf_device_order[KF_DEVICE_ORDER_COUNT];

/** Whether a value is neither null nor "". */
bool kf_identity_usable(const kf_json_t *json, uint32_t value);

/** Whether a value is a string that spells an all-zero GUID. */
bool kf_identity_zero_guid(const kf_json_t *json, uint32_t value);

/** Whether a batch knows its user by the MPID only (format reference 3.3, reading A). */
bool kf_identity_batch_anonymous(const kf_item_t *item);

/**
 * The same of an audience message. One without UserIdentities tells nothing of a user (an audience
 * was deleted) and is not anonymous.
 */
bool kf_identity_audience_anonymous(const kf_item_t *item);

#endif
