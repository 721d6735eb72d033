/* SPDX-License-Identifier: Apache-2.0
 *
 * What each child filed into windows last, kept with the windows until the journal has a note of it. A
 * child that is killed between the two leaves it there, so that who takes its uploads over files none of
 * them again, though their windows may be closed by then. Knows the keys of uploads only. One thread, in
 * transactions of the windows (kf_windows.h), but for open and close.
 */
#ifndef KF_FILED_H
#define KF_FILED_H

#include "delivery/kf_index.h"
#include "base/kf_str.h"

/* Keys of uploads are UUIDs. */
#define KF_FILED_KEY_BYTES 36

typedef struct kf_filed_t kf_filed_t;

/** Forgets what children left a week ago. @blocks for the index @return NULL: logged */
kf_filed_t *kf_filed_open(kf_index_t *index);
/** Leaves nothing behind that is noted. NULL does nothing. @blocks for the index */
void kf_filed_close(kf_filed_t *filed);

/** A transaction begins; what the one before it added and did not commit is forgotten. */
void kf_filed_begin(kf_filed_t *filed);

/**
 * Whether another child has filed an upload. Only to be asked about uploads of dead ones.
 * @return false after an error too, which the commit will tell
 */
bool kf_filed_by_another(kf_filed_t *filed, kf_str_t key);

/** The transaction files an upload. */
void kf_filed_add(kf_filed_t *filed, kf_str_t key);

/** Puts what was added into the index, before the commit. */
void kf_filed_write(kf_filed_t *filed);
/** The transaction was committed. */
void kf_filed_committed(kf_filed_t *filed);
/** The journal has a note of all that was committed. */
void kf_filed_noted(kf_filed_t *filed);

#endif
