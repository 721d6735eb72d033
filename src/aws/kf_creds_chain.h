/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which sources of credentials are asked (docs/credentials.md). Must not know how any of
 * them works.
 */
#ifndef KF_CREDS_CHAIN_H
#define KF_CREDS_CHAIN_H

#include "aws/kf_creds_flight.h"

/**
 * The keys that need no search: those of the directives, or of the environment, where no role is to be
 * assumed.
 * @return false if a search is needed; true with *keys, NULL with *why when they can't be made
 */
bool kf_creds_static(const kf_settings_t *settings, const kf_creds_env_t *env, kf_keys_t **keys,
                     const char **why);

/**
 * Searches: directives, environment, web identity, shared files, container, instance; then the role of
 * KinesisRoleArn, if there is one. A directive's word is final: with KinesisAccessKeyId or one of
 * KinesisProfile, KinesisCredentialsFile, KinesisConfigFile nothing else is asked.
 * @return whether credentials were found; if not, flight->report says why
 * @blocks about a minute at most; ends soon when the search is to end
 */
bool kf_creds_search(kf_creds_flight_t *flight, kf_creds_found_t *found);

#endif
