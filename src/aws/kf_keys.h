/* SPDX-License-Identifier: Apache-2.0
 *
 * One set of keys that calls are signed with: immutable, reference-counted, wiped when the last user
 * lets go. Knows not where keys come from. Any thread.
 */
#ifndef KF_KEYS_H
#define KF_KEYS_H

#include "aws/kf_sigv4.h"

typedef struct kf_keys_t kf_keys_t;

/** What kf_keys_create says when it is not the text's fault. */
extern const char kf_keys_no_memory[];

/**
 * Copies them. They go into header lines: printable ASCII without blanks, and not longer than any that
 * AWS makes (id 128, secret 1024, token 32768 bytes).
 * @param token  n == 0: none
 * @return with one reference; NULL with *why (constant text, without what was wrong) when they can't be
 *         keys, or kf_keys_no_memory
 */
kf_keys_t *kf_keys_create(kf_str_t id, kf_str_t secret, kf_str_t token, const char **why);

/** One more reference. @return keys */
kf_keys_t *kf_keys_hold(kf_keys_t *keys);
void kf_keys_release(kf_keys_t *keys);

const kf_sigv4_keys_t *kf_keys_of(const kf_keys_t *keys);

/** Whether two are the same by value. */
bool kf_keys_same(const kf_keys_t *a, const kf_keys_t *b);

#endif
