/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for pages (kf_text.h). Must not know what it says. Any thread.
 */
#include "status/kf_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include "base/kf_clock.h"

#define REPLACEMENT 0xFFFDu

/* ---- characters ---- */

/* The length that a first byte announces, 0 if it can't be one. */
static size_t length_of(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

static bool is_well_formed(uint32_t c, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    return c >= least[length] && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
}

/* Takes the next character off; REPLACEMENT for a byte that belongs to none. */
static uint32_t next(kf_str_t *s)
{
    const unsigned char *p = (const unsigned char *)s->p;
    size_t length = length_of(p[0]);
    uint32_t c = length < 2 ? p[0] : p[0] & (0x7Fu >> length);

    for (size_t i = 1; i < length; i++) {
        if (i >= s->n || (p[i] & 0xC0) != 0x80)
            length = 0;
        else
            c = c << 6 | (p[i] & 0x3Fu);
    }
    if (length == 0 || !is_well_formed(c, length)) {
        c = REPLACEMENT;
        length = 1;
    }
    s->p += length;
    s->n -= length;
    return c;
}

static void put_utf8(kf_buf_t *out, uint32_t c)
{
    if (c < 0x80) {
        kf_buf_putc(out, (char)c);
    } else if (c < 0x800) {
        kf_buf_putc(out, (char)(0xC0 | c >> 6));
        kf_buf_putc(out, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        kf_buf_putc(out, (char)(0xE0 | c >> 12));
        kf_buf_putc(out, (char)(0x80 | (c >> 6 & 0x3F)));
        kf_buf_putc(out, (char)(0x80 | (c & 0x3F)));
    } else {
        kf_buf_putc(out, (char)(0xF0 | c >> 18));
        kf_buf_putc(out, (char)(0x80 | (c >> 12 & 0x3F)));
        kf_buf_putc(out, (char)(0x80 | (c >> 6 & 0x3F)));
        kf_buf_putc(out, (char)(0x80 | (c & 0x3F)));
    }
}

static bool misleads(uint32_t c)
{
    return (c >= 0x80 && c < 0xA0) || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
           c == 0x061C;
}

static void put_ascii(kf_buf_t *out, kf_text_kind_t kind, char c)
{
    const char *instead = NULL;

    if (kind == KF_TEXT_HTML)
        instead = c == '&'    ? "&amp;"
                  : c == '<'  ? "&lt;"
                  : c == '>'  ? "&gt;"
                  : c == '"'  ? "&quot;"
                  : c == '\'' ? "&#39;"
                              : NULL;
    else if (kind == KF_TEXT_JSON || kind == KF_TEXT_LABEL)
        instead = c == '\\' ? "\\\\" : c == '"' ? "\\\"" : NULL;
    if (instead)
        kf_buf_put_str(out, kf_str_of(instead));
    else
        kf_buf_putc(out, c);
}

static void put_character(kf_buf_t *out, kf_text_kind_t kind, uint32_t c)
{
    char name[16];

    if (c < 0x20 || c == 0x7F) {
        if (kind == KF_TEXT_LINES && (c == '\n' || c == '\t'))
            kf_buf_putc(out, (char)c);
        else
            put_utf8(out, c == 0x7F ? 0x2421 : 0x2400 + c);
    } else if (c < 0x80) {
        put_ascii(out, kind, (char)c);
    } else if (misleads(c)) {
        snprintf(name, sizeof name, "<U+%04" PRIX32 ">", c);
        for (const char *p = name; *p; p++)
            put_ascii(out, kind, *p);
    } else {
        put_utf8(out, c);
    }
}

static bool is_simple(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'' &&
           c != '\\';
}

void kf_text_put(kf_buf_t *out, kf_text_kind_t kind, kf_str_t text)
{
    while (text.n > 0) {
        size_t n = 0;

        while (n < text.n && is_simple((unsigned char)text.p[n]))
            n++;
        kf_buf_put(out, text.p, n);
        text.p += n;
        text.n -= n;
        if (text.n > 0)
            put_character(out, kind, next(&text));
    }
}

void kf_text_puts(kf_buf_t *out, kf_text_kind_t kind, const char *text)
{
    kf_text_put(out, kind, kf_str_of(text));
}

/* ---- numbers for people ---- */

/* Three digits, as the script's. */
static void put_digits(kf_buf_t *out, double n)
{
    int decimals = n >= 99.95 || n == floor(n) ? 0 : n >= 9.995 ? 1 : 2;
    char text[40];
    size_t length;

    snprintf(text, sizeof text, "%.*f", decimals, n);
    length = strlen(text);
    while (decimals > 0 && text[length - 1] == '0')
        length--;
    if (decimals > 0 && text[length - 1] == '.')
        length--;
    kf_buf_put(out, text, length);
}

static void put_scaled(kf_buf_t *out, double n, double base, const char *const *units, int count)
{
    int unit = 0;

    while (unit < count - 1 && n >= base * 0.9995) {
        n /= base;
        unit++;
    }
    put_digits(out, n);
    kf_buf_put_str(out, kf_str_of(units[unit]));
}

void kf_text_count(kf_buf_t *out, double n)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};

    if (n < 10000 && n == floor(n))
        kf_buf_put_i64(out, (long long)n);
    else
        put_scaled(out, n, 1000, units, 5);
}

void kf_text_bytes(kf_buf_t *out, double n)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};

    put_scaled(out, n, 1024, units, 5);
}

static void put_two(kf_buf_t *out, int64_t s, int64_t unit, const char *name, const char *rest)
{
    int64_t small = unit == 60 ? s % 60 : unit == 3600 ? s % 3600 / 60 : s % 86400 / 3600;

    kf_buf_put_i64(out, s / unit);
    kf_buf_put_str(out, kf_str_of(name));
    if (small > 0) {
        kf_buf_putc(out, ' ');
        kf_buf_put_i64(out, small);
        kf_buf_put_str(out, kf_str_of(rest));
    }
}

void kf_text_duration(kf_buf_t *out, double us)
{
    int64_t s;

    if (us < 999500) {
        put_digits(out, us < 10 ? 0 : us / 1000);
        kf_buf_put_str(out, KF_STR(" ms"));
        return;
    }
    if (us < 59.95e6) {
        put_digits(out, us / 1e6);
        kf_buf_put_str(out, KF_STR(" s"));
        return;
    }
    s = (int64_t)floor(us / 1e6 + 0.5);
    if (s < 3600)
        put_two(out, s, 60, " min", " s");
    else if (s < 86400)
        put_two(out, s, 3600, " h", " min");
    else
        put_two(out, s, 86400, " d", " h");
}

void kf_text_time(kf_buf_t *out, int64_t us)
{
    time_t seconds = (time_t)(us / KF_SEC);
    struct tm utc;
    char text[40];

    if (us == 0 || !gmtime_r(&seconds, &utc)) {
        kf_buf_put_str(out, KF_STR("never"));
        return;
    }
    kf_buf_put(out, text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

void kf_text_value(kf_buf_t *out, kf_unit_t unit, int64_t value)
{
    switch (unit) {
    case KF_UNIT_BYTES:
        kf_text_bytes(out, (double)value);
        break;
    case KF_UNIT_AGE:
        if (value <= 0)
            kf_buf_put_str(out, KF_STR("\xE2\x80\x93"));
        else
            kf_text_duration(out, (double)value);
        break;
    case KF_UNIT_SECONDS:
        kf_text_duration(out, (double)value);
        break;
    case KF_UNIT_TIME:
        kf_text_time(out, value);
        break;
    default:
        kf_text_count(out, (double)value);
    }
}

/* ---- numbers for machines ---- */

void kf_text_number(kf_buf_t *out, kf_unit_t unit, int64_t value)
{
    char digits[7];
    int64_t rest;
    int n = 6;

    if (unit != KF_UNIT_SECONDS && unit != KF_UNIT_AGE && unit != KF_UNIT_TIME) {
        kf_buf_put_i64(out, value);
        return;
    }
    if (value < 0) {
        kf_buf_putc(out, '-');
        value = -value;
    }
    kf_buf_put_i64(out, value / KF_SEC);
    rest = value % KF_SEC;
    if (rest == 0)
        return;
    for (int i = 5; i >= 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    while (digits[n - 1] == '0')
        n--;
    kf_buf_putc(out, '.');
    kf_buf_put(out, digits, (size_t)n);
}
