/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as text and as times: when a value counts as present, the text that makes a number and a
 * string of it equal, timestamps for decisions. Knows no member names. Pure; any thread.
 */
#ifndef KF_SCALAR_H
#define KF_SCALAR_H

#include "events/kf_json.h"

/**
 * A STRING unescaped, another value's token.
 * @param scratch  holds what had to be unescaped, in the place of what it held; failed when out of
 *                 memory, and stays so
 * @return valid as long as the index and the next use of scratch
 */
kf_str_t kf_scalar_plain(const kf_json_t *json, uint32_t value, kf_buf_t *scratch);

/**
 * The text of a value that is present by the format reference's rules 7 and 8: a NUMBER that is not
 * zero, or a STRING that is not empty, "0" or an all-zero GUID.
 * @param value  may be 0: absent
 * @param[out] text  set only if it is present
 * @return false for an absent one, and when out of memory (scratch->failed)
 */
bool kf_scalar_text(const kf_json_t *json, uint32_t value, kf_buf_t *scratch, kf_str_t *text);

/**
 * A timestamp in milliseconds (a NUMBER, or a STRING that holds one), as microseconds; below 10^11
 * it is taken for seconds (format reference 1.9). Beyond the range it is INT64_MAX.
 * @return 0 when the value is absent, no decimal number, zero or negative
 */
int64_t kf_scalar_time_us(const kf_json_t *json, uint32_t value, kf_buf_t *scratch);

#endif
