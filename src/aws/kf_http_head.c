/* SPDX-License-Identifier: Apache-2.0
 *
 * The header reader of kf_http_head.h. Must not know transports or AWS's meaning of what it reads.
 * Pure; any thread.
 */
#include "aws/kf_http_head.h"

#include "base/kf_clock.h"
#include "base/kf_parse.h"

/* No hint is taken for more: delays are bounded anyway, and arithmetic stays far from overflow. */
#define HINT_MAX_US (86400 * KF_SEC)

void kf_http_head_start(kf_http_head_t *head)
{
    *head = (kf_http_head_t){.retry_us = -1, .retry_s_us = -1};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_named(kf_str_t name, const char *lower_name)
{
    if (name.n != strlen(lower_name))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (lower(name.p[i]) != lower_name[i])
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static kf_str_t trimmed(kf_str_t text)
{
    while (text.n > 0 && is_blank(text.p[text.n - 1]))
        text.n--;
    while (text.n > 0 && is_blank(*text.p)) {
        text.p++;
        text.n--;
    }
    return text;
}

/* Up to the first byte that cannot be printed. */
static void copy_printable(kf_str_t text, char *out, size_t size)
{
    size_t n = 0;

    while (n < text.n && n < size - 1 && text.p[n] >= ' ' && text.p[n] <= '~') {
        out[n] = text.p[n];
        n++;
    }
    out[n] = '\0';
}

/* ------------------------------------------------------------ dates */

/* Decimal digits at a fixed place; -1 if there are others. */
static int digits(const char *p, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

static int month_of(const char *p)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12; i++) {
        if (memcmp(p, names + 3 * i, 3) == 0)
            return i + 1;
    }
    return -1;
}

static int days_in_month(int year, int month)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 ? 28 + leap : 30 + (month + month / 8) % 2;
}

/* Days since the epoch of a date of the Gregorian calendar, by counting years from March. */
static int64_t days_of(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1;
    int m = month > 2 ? month - 3 : month + 9;

    return 365 * (int64_t)y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

int64_t kf_http_date_us(kf_str_t text)
{
    const char *p = text.p;
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int second;

    if (text.n != 29 || memcmp(p + 3, ", ", 2) != 0 || p[7] != ' ' || p[11] != ' ' ||
        p[16] != ' ' || p[19] != ':' || p[22] != ':' || memcmp(p + 25, " GMT", 4) != 0)
        return 0;
    day = digits(p + 5, 2);
    month = month_of(p + 8);
    year = digits(p + 12, 4);
    hour = digits(p + 17, 2);
    minute = digits(p + 20, 2);
    second = digits(p + 23, 2);
    /* A leap second is taken for the next minute's first. */
    if (year < 1970 || month < 1 || day < 1 || day > days_in_month(year, month) || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return 0;
    return (((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * KF_SEC;
}

/* ------------------------------------------------------------ lines */

/* A number of units; -1 if the text is none. */
static int64_t hint_of(kf_str_t text, int64_t unit_us)
{
    int64_t value;

    if (!kf_parse_i64(text, &value))
        return -1;
    return value < HINT_MAX_US / unit_us ? value * unit_us : HINT_MAX_US;
}

void kf_http_head_line(kf_http_head_t *head, kf_str_t line)
{
    const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
    kf_str_t name;
    kf_str_t value;

    if (!colon)
        return;
    name = (kf_str_t){line.p, (size_t)(colon - line.p)};
    value = trimmed((kf_str_t){colon + 1, line.n - name.n - 1});
    if (is_named(name, "x-amzn-requestid")) {
        copy_printable(value, head->request_id, sizeof head->request_id);
    } else if (is_named(name, "x-amzn-errortype")) {
        copy_printable(value, head->error_type, sizeof head->error_type);
    } else if (is_named(name, "date")) {
        head->date_us = kf_http_date_us(value);
    } else if (is_named(name, "age")) {
        head->aged = true;
    } else if (is_named(name, "x-amz-retry-after")) {
        head->retry_us = hint_of(value, KF_MS);
    } else if (is_named(name, "retry-after")) {
        head->retry_s_us = hint_of(value, KF_SEC);
        head->retry_at_us = kf_http_date_us(value);
    }
}

static int64_t retry_after(const kf_http_head_t *head, int64_t now_us)
{
    int64_t wait;

    if (head->retry_us >= 0)
        return head->retry_us;
    if (head->retry_s_us >= 0)
        return head->retry_s_us;
    if (head->retry_at_us == 0)
        return -1;
    /* Both by the server's clock, if it tells it. */
    wait = head->retry_at_us - (head->date_us && !head->aged ? head->date_us : now_us);
    if (wait < 0)
        return 0;
    return wait < HINT_MAX_US ? wait : HINT_MAX_US;
}

void kf_http_head_finish(const kf_http_head_t *head, int64_t now_us, kf_http_reply_t *out)
{
    memcpy(out->request_id, head->request_id, sizeof out->request_id);
    memcpy(out->error_type, head->error_type, sizeof out->error_type);
    out->date_us = head->aged ? 0 : head->date_us;
    out->retry_after_us = retry_after(head, now_us);
}
