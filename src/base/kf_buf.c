/* SPDX-License-Identifier: Apache-2.0
 *
 * The growing buffer of kf_buf.h. Must not know any format beyond JSON string tokens and base64.
 * Any thread, one at a time.
 */
#include "base/kf_buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/kf_base64.h"

#define FIRST_CAP 256

void kf_buf_init(kf_buf_t *b, size_t max)
{
    /* One byte more than cap is allocated, see grow. */
    *b = (kf_buf_t){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void kf_buf_free(kf_buf_t *b)
{
    free(b->p);
    kf_buf_init(b, b->max);
}

void kf_buf_clear(kf_buf_t *b)
{
    b->n = 0;
    b->failed = false;
}

static bool grow(kf_buf_t *b, size_t n)
{
    size_t cap = b->cap < FIRST_CAP / 2 ? FIRST_CAP : b->cap > b->max / 2 ? b->max : b->cap * 2;
    char *p;

    if (n > b->max - b->n)
        return false;
    if (cap < b->n + n)
        cap = b->n + n;
    if (cap > b->max)
        cap = b->max;
    /* The byte beyond cap is for the terminator that vsnprintf insists on. */
    p = realloc(b->p, cap + 1);
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

char *kf_buf_room(kf_buf_t *b, size_t n)
{
    if (b->failed)
        return NULL;
    if ((!b->p || n > b->cap - b->n) && !grow(b, n)) {
        b->failed = true;
        return NULL;
    }
    return b->p + b->n;
}

void kf_buf_put(kf_buf_t *b, const void *bytes, size_t n)
{
    char *to;

    if (n == 0)
        return;
    to = kf_buf_room(b, n);
    if (to) {
        memcpy(to, bytes, n);
        b->n += n;
    }
}

void kf_buf_put_str(kf_buf_t *b, kf_str_t s)
{
    kf_buf_put(b, s.p, s.n);
}

void kf_buf_putc(kf_buf_t *b, char c)
{
    char *to = kf_buf_room(b, 1);

    if (to) {
        *to = c;
        b->n++;
    }
}

void kf_buf_printf(kf_buf_t *b, const char *fmt, ...)
{
    va_list args;
    int length;

    if (!kf_buf_room(b, 0))
        return;
    va_start(args, fmt);
    length = vsnprintf(b->p + b->n, b->cap - b->n + 1, fmt, args);
    va_end(args);
    if (length >= 0 && (size_t)length > b->cap - b->n && kf_buf_room(b, (size_t)length)) {
        va_start(args, fmt);
        length = vsnprintf(b->p + b->n, b->cap - b->n + 1, fmt, args);
        va_end(args);
    }
    if (length < 0)
        b->failed = true;
    if (!b->failed)
        b->n += (size_t)length;
}

void kf_buf_put_i64(kf_buf_t *b, long long v)
{
    char digits[1 + KF_STR_DECIMAL_MAX];
    unsigned long long rest = v < 0 ? 0 - (unsigned long long)v : (unsigned long long)v;

    digits[0] = '-';
    kf_buf_put(b, v < 0 ? digits : digits + 1, (v < 0) + kf_str_decimal(digits + 1, rest));
}

/* The token of one byte that cannot stand in a string as it is. */
static void put_escape(kf_buf_t *b, unsigned char c)
{
    static const char letters[] = "btn_fr"; /* of 0x08 to 0x0d */
    static const char hex[] = "0123456789abcdef";

    if (c == '"' || c == '\\') {
        kf_buf_put(b, (char[]){'\\', (char)c}, 2);
    } else if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
        kf_buf_put(b, (char[]){'\\', letters[c - 0x08]}, 2);
    } else {
        kf_buf_put(b, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    }
}

void kf_buf_put_json(kf_buf_t *b, kf_str_t s)
{
    size_t from = 0;
    size_t n = b->n;

    kf_buf_putc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        kf_buf_put(b, s.p + from, i - from);
        put_escape(b, c);
        from = i + 1;
    }
    if (from < s.n)
        kf_buf_put(b, s.p + from, s.n - from);
    kf_buf_putc(b, '"');
    if (b->failed)
        b->n = n;
}

void kf_buf_put_base64(kf_buf_t *b, const void *bytes, size_t n)
{
    char *to;

    if (n == 0)
        return;
    if (n / 3 >= SIZE_MAX / 4 || !(to = kf_buf_room(b, kf_base64_length(n)))) {
        b->failed = true;
        return;
    }
    kf_base64_encode(to, bytes, n);
    b->n += kf_base64_length(n);
}

/* 1 + the value of a base64 digit, 0 of another byte. */
static const unsigned char base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64};

/* The bits of one to four digits, the last in the lowest place. @return false if one is none */
static inline bool take_digits(const unsigned char *p, size_t n, uint32_t *bits)
{
    bool ok = true;

    *bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t value = base64_values[p[i]];

        ok &= value > 0;
        *bits = *bits << 6 | ((value - 1) & 63);
    }
    return ok;
}

bool kf_buf_put_unbase64(kf_buf_t *b, kf_str_t text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t digits = text.n;
    uint32_t bits;
    bool ok = true;
    char *to;

    if (text.n % 4 != 0)
        return false;
    while (digits > 0 && text.n - digits < 2 && text.p[digits - 1] == '=')
        digits--;
    to = kf_buf_room(b, digits / 4 * 3 + (digits % 4 ? digits % 4 - 1 : 0));
    if (!to)
        return true;
    for (size_t i = 0; i < digits / 4; i++, p += 4) {
        ok &= take_digits(p, 4, &bits);
        *to++ = (char)(bits >> 16);
        *to++ = (char)(bits >> 8);
        *to++ = (char)bits;
    }
    if (digits % 4) {
        ok &= take_digits(p, digits % 4, &bits);
        bits <<= 6 * (4 - digits % 4);
        *to++ = (char)(bits >> 16);
        if (digits % 4 == 3)
            *to++ = (char)(bits >> 8);
    }
    if (ok)
        b->n = (size_t)(to - b->p);
    return ok;
}
