/* SPDX-License-Identifier: Apache-2.0
 *
 * Batch-level names to numbers. Each name of a batch passes here, so a switch over the length leaves
 * at most four candidates.
 */
#include "events/kf_members.h"

/* Room for each of the names. */
union longest_name {
#define KF_BATCH_MEMBER(id, name) char id[sizeof(name)];
#include "events/kf_batch_members.def"
#undef KF_BATCH_MEMBER
};

#define TRY(id, name) \
    if (memcmp(s.p, (name), sizeof(name) - 1) == 0) \
    return KF_B_##id

static kf_batch_member_t find_long(kf_str_t s)
{
    switch (s.n) {
    case 14:
        TRY(schema_version, "schema_version");
        TRY(UserIdentities, "UserIdentities");
        break;
    case 15:
        TRY(user_identities, "user_identities");
        TRY(user_attributes, "user_attributes");
        break;
    case 16:
        TRY(application_info, "application_info");
        TRY(partner_identity, "partner_identity");
        break;
    case 17:
        TRY(source_request_id, "source_request_id");
        break;
    case 18:
        TRY(partner_identities, "partner_identities");
        break;
    case 20:
        TRY(system_notifications, "system_notifications");
        break;
    case 21:
        TRY(timestamp_unixtime_ms, "timestamp_unixtime_ms");
        break;
    case 23:
        TRY(deleted_user_attributes, "deleted_user_attributes");
        break;
    default:
        break;
    }
    return KF_B_COUNT;
}

kf_batch_member_t kf_member_find(kf_str_t s)
{
    switch (s.n) {
    case 2:
        TRY(ip, "ip");
        TRY(dt, "dt");
        break;
    case 4:
        TRY(mpid, "mpid");
        TRY(msgs, "msgs");
        break;
    case 6:
        TRY(events, "events");
        TRY(Record, "Record");
        break;
    case 7:
        TRY(context, "context");
        TRY(api_key, "api_key");
        break;
    case 8:
        TRY(batch_id, "batch_id");
        TRY(api_keys, "api_keys");
        break;
    case 9:
        TRY(unique_id, "unique_id");
        break;
    case 10:
        TRY(message_id, "message_id");
        TRY(AudienceId, "AudienceId");
        break;
    case 11:
        TRY(mp_deviceid, "mp_deviceid");
        TRY(device_info, "device_info");
        TRY(source_info, "source_info");
        TRY(environment, "environment");
        break;
    case 12:
        TRY(message_type, "message_type");
        break;
    case 13:
        TRY(consent_state, "consent_state");
        break;
    default:
        return find_long(s);
    }
    return KF_B_COUNT;
}

__attribute__((noinline)) static kf_batch_member_t of_escaped(const kf_json_t *json, uint32_t key)
{
    char plain[sizeof(union longest_name)];
    kf_str_t name;
    return kf_json_short_escaped(json, key, plain, sizeof(plain), &name) ? kf_member_find(name)
                                                                         : KF_B_COUNT;
}

kf_batch_member_t kf_member_of_key(const kf_json_t *json, uint32_t key)
{
    return json->v[key].escaped ? of_escaped(json, key) : kf_member_find(kf_json_inner(json, key));
}
