/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials of a connection: where signing gets its keys. For now the static keys of the directives;
 * further providers go behind the same functions. Thread-safe: get and refresh take a lock of their
 * own, held for moments only; nothing here does I/O.
 */
#ifndef KF_CREDS_H
#define KF_CREDS_H

#include <stdbool.h>
#include <stdint.h>
#include "aws/kf_sigv4.h"
#include "base/kf_settings.h"

typedef struct kf_creds_t kf_creds_t;

/** One set of keys; reference-counted, immutable. */
typedef struct kf_keys_t kf_keys_t;

/**
 * @param settings  finished; file: and env: already resolved to values
 * @return NULL when out of memory
 */
kf_creds_t *kf_creds_create(const kf_settings_t *settings);
void kf_creds_destroy(kf_creds_t *creds);

/** The keys in force, to be released; NULL with *why (constant text) when there are none. */
kf_keys_t *kf_creds_get(kf_creds_t *creds, const char **why);
const kf_sigv4_keys_t *kf_keys_of(const kf_keys_t *keys);
void kf_keys_release(kf_keys_t *keys);

/**
 * AWS said that these keys are expired or unknown: asks for others.
 * @return whether others are or may become available (false with static keys: hold)
 */
bool kf_creds_refuse(kf_creds_t *creds, const kf_keys_t *keys);

#endif
