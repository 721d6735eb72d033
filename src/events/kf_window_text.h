/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of an upload for a windowed connection until its window closes: the batch unfiltered,
 * less the credentials in it. Knows neither windows nor settings. Pure; any thread.
 */
#ifndef KF_WINDOW_TEXT_H
#define KF_WINDOW_TEXT_H

#include "events/kf_post.h"
#include "events/kf_writer.h"

/** Writes a batch less api_key and api_keys; bytes between tokens may go with them. */
void kf_window_text(const kf_item_t *batch, kf_writer_t *w);

#endif
