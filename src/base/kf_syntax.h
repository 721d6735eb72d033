/* SPDX-License-Identifier: Apache-2.0
 *
 * What the text of a setting must look like: one predicate for each word of kf_check_t that asks
 * something of a TEXT, a SECRET or an element of a LIST. Syntax only: whether a region, identity or
 * file exists is found out above. Pure; any thread.
 */
#ifndef KF_SYNTAX_H
#define KF_SYNTAX_H

#include "base/kf_settings.h"

/** Whether text has the look that check asks for. */
bool kf_syntax_fits(kf_check_t check, kf_str_t text);

/** What kf_syntax_fits takes, for an error: "1 to 128 letters, digits, ...". */
const char *kf_syntax_allowed(kf_check_t check);

/** Whether text is valid UTF-8 without control characters (U+0000 to U+001F, U+007F to U+009F). */
bool kf_syntax_is_utf8(kf_str_t text);

#endif
