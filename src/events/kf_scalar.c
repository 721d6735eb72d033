/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as text and as times.
 */
#include "events/kf_scalar.h"

#include "events/kf_identity.h"

/* Digits that int64_t holds whatever they are. */
#define DIGITS_MAX INT64_C(100000000000000000)
#define EXPONENT_MAX 9999
/* 10^11 milliseconds: a smaller timestamp is one in seconds. */
#define SECONDS_BELOW_US INT64_C(100000000000000)

kf_str_t kf_scalar_plain(const kf_json_t *json, uint32_t value, kf_buf_t *scratch)
{
    if (json->v[value].type != KF_JSON_STRING) {
        return kf_json_token(json, value);
    }
    if (!json->v[value].escaped) {
        return kf_json_inner(json, value);
    }
    scratch->n = 0;
    kf_json_unescape(json, value, scratch);
    return kf_buf_str(scratch);
}

/* 0, -0, 0.0, 0e9: whatever the exponent, only zeros before it. */
static bool is_zero(kf_str_t number)
{
    for (size_t i = 0; i < number.n && (number.p[i] | 0x20) != 'e'; i++) {
        if (number.p[i] >= '1' && number.p[i] <= '9') {
            return false;
        }
    }
    return true;
}

bool kf_scalar_text(const kf_json_t *json, uint32_t value, kf_buf_t *scratch, kf_str_t *text)
{
    kf_str_t plain;
    if (value == 0) {
        return false;
    }
    switch (json->v[value].type) {
    case KF_JSON_NUMBER:
        plain = kf_json_token(json, value);
        break;
    case KF_JSON_STRING:
        if (!kf_identity_usable(json, value) || kf_json_string_is(json, value, KF_STR("0")) ||
            kf_identity_zero_guid(json, value)) {
            return false;
        }
        plain = kf_scalar_plain(json, value, scratch);
        break;
    default:
        return false;
    }
    if (scratch->failed || (json->v[value].type == KF_JSON_NUMBER && is_zero(plain))) {
        return false;
    }
    *text = plain;
    return true;
}

/* digits * 10^scale */
typedef struct {
    int64_t digits;
    int scale;
} decimal_t;

/* What follows an 'e'. @return false if it is no exponent */
static bool read_exponent(const char *p, const char *end, int *exponent)
{
    bool minus = p < end && *p == '-';
    int value = 0;
    if (p < end && (*p == '-' || *p == '+')) {
        p++;
    }
    if (p == end) {
        return false;
    }
    for (; p < end; p++) {
        if (*p < '0' || *p > '9') {
            return false;
        }
        if (value < EXPONENT_MAX) {
            value = value * 10 + (*p - '0');
        }
    }
    *exponent = minus ? -value : value;
    return true;
}

/* A number without a sign; digits beyond the eighteenth don't count. */
static bool read_decimal(kf_str_t s, decimal_t *d)
{
    bool point = false, any = false;
    const char *p = s.p, *end = s.p + s.n;
    *d = (decimal_t){0, 0};
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.' && !point) {
            point = true;
        } else if (*p < '0' || *p > '9') {
            return false;
        } else {
            any = true;
            if (d->digits < DIGITS_MAX) {
                d->digits = d->digits * 10 + (*p - '0');
                d->scale -= point;
            } else if (!point && d->scale < EXPONENT_MAX) {
                d->scale++;
            }
        }
    }
    int exponent = 0;
    if (!any || (p < end && !read_exponent(p + 1, end, &exponent))) {
        return false;
    }
    d->scale += exponent;
    return true;
}

/* digits * 10^(scale + shift), cut to an integer. */
static int64_t scaled(decimal_t d, int shift)
{
    int64_t v = d.digits;
    int e = d.scale + shift;
    for (; e > 0 && v > 0; e--) {
        if (v > INT64_MAX / 10) {
            return INT64_MAX;
        }
        v *= 10;
    }
    for (; e < 0 && v > 0; e++) {
        v /= 10;
    }
    return v;
}

int64_t kf_scalar_time_us(const kf_json_t *json, uint32_t value, kf_buf_t *scratch)
{
    kf_str_t text;
    decimal_t d;
    if (!kf_scalar_text(json, value, scratch, &text) || !read_decimal(text, &d)) {
        return 0;
    }
    int64_t us = scaled(d, 3);
    return us < SECONDS_BELOW_US ? scaled(d, 6) : us;
}
