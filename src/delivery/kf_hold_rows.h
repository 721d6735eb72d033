/* SPDX-License-Identifier: Apache-2.0
 *
 * When connections were on hold, in the index, so that the time counts after a restart too. Knows
 * nobody who is on hold. Threads: any (kf_index.h).
 *
 * A hold that nobody noted the end of goes on until some child delivers: also while httpd is stopped.
 */
#ifndef KF_HOLD_ROWS_H
#define KF_HOLD_ROWS_H

#include "delivery/kf_hold_spans.h"
#include "delivery/kf_index.h"

typedef struct kf_hold_rows_t kf_hold_rows_t;

/** @param names  of the connections, by index; must outlive it @return NULL: logged */
kf_hold_rows_t *kf_hold_rows_open(kf_index_t *index, const char *const *names, int n);
/** NULL does nothing. */
void kf_hold_rows_close(kf_hold_rows_t *rows);

/** What is known of a connection. @param[out] known  nothing after an error */
kf_index_result_t kf_hold_rows_read(kf_hold_rows_t *rows, int connection, kf_hold_known_t *known);

/**
 * Adds what a child has to tell at now_us (wall clock); forgets what matters no more, as
 * kf_hold_spans_forget does.
 */
kf_index_result_t kf_hold_rows_write(kf_hold_rows_t *rows, int connection,
                                     const kf_hold_news_t *news, int64_t now_us,
                                     int64_t max_age_us);

#endif
