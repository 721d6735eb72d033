/* SPDX-License-Identifier: Apache-2.0
 *
 * Text to bounded value: what configuration values, credential files and headers are read with. Each
 * function takes the whole text or refuses it: no trailing junk, no sign, no silent cut, no overflow.
 * Pure; any thread.
 */
#ifndef KF_PARSE_H
#define KF_PARSE_H

#include <stdint.h>
#include "base/kf_str.h"

/** Decimal digits only. @return false if empty, not all digits or above INT64_MAX */
bool kf_parse_i64(kf_str_t text, int64_t *out);

/**
 * httpd's notation of times: digits, then nothing (seconds) or ms, s, mi, min, h; any case as httpd
 * takes it. @param out microseconds  @return false on any other text or overflow
 */
bool kf_parse_time(kf_str_t text, int64_t *out);

/** Digits, then nothing (bytes) or K, M, G of 1024, any case. @return false otherwise or on overflow */
bool kf_parse_size(kf_str_t text, int64_t *out);

/** "On" or "Off", any case. */
bool kf_parse_flag(kf_str_t text, int *out);

#endif
