/* SPDX-License-Identifier: Apache-2.0
 *
 * Header lines of a reply, whatever they are, and Date by itself. A date that is taken must be the one
 * that the C library writes for that time; the way back must lead to the same time.
 */
#include <string.h>
#include <time.h>
#include "aws/kf_http_head.h"
#include "base/kf_clock.h"
#include "fuzz_check.h"

#define NOW_US (INT64_C(1795362330) * 1000000)
#define DAY_US (INT64_C(86400) * 1000000)
#define DATE_BYTES 29
/* 31 December 9999, 23:59:59: four digits hold no later year. */
#define LAST_S INT64_C(253402300799)

static void write_date(int64_t at_s, char out[DATE_BYTES + 1])
{
    time_t at = (time_t)at_s;
    struct tm tm;

    CHECK(gmtime_r(&at, &tm) != NULL);
    CHECK(strftime(out, DATE_BYTES + 1, "%a, %d %b %Y %H:%M:%S GMT", &tm) == DATE_BYTES);
}

/* The weekday is not looked at; a leap second is the next minute's first. */
static void check_date(kf_str_t text)
{
    int64_t at = kf_http_date_us(text);
    char written[DATE_BYTES + 1];

    CHECK(at >= 0 && at % KF_SEC == 0 && at / KF_SEC <= LAST_S + 1);
    if (at == 0)
        return;
    CHECK(text.n == DATE_BYTES);
    if (memcmp(text.p + 23, "60", 2) == 0) {
        write_date(at / KF_SEC - 1, written);
        memcpy(written + 23, "60", 2);
    } else {
        write_date(at / KF_SEC, written);
    }
    CHECK(memcmp(written + 3, text.p + 3, DATE_BYTES - 3) == 0);
}

/* A time to a date and back. */
static void check_time(const uint8_t *data, size_t size)
{
    char written[DATE_BYTES + 1];
    uint64_t any = 0;

    for (size_t i = 0; i < size && i < 6; i++)
        any = any << 8 | data[i];
    any = 1 + any % LAST_S;
    write_date((int64_t)any, written);
    CHECK(kf_http_date_us((kf_str_t){written, DATE_BYTES}) == (int64_t)any * KF_SEC);
}

static void check_text(const char *text, size_t size)
{
    CHECK(memchr(text, '\0', size));
    for (; *text; text++)
        CHECK(*text >= ' ' && *text <= '~');
}

/* Lines, each with its line break; an empty one begins a further head. */
static void check_lines(kf_str_t text)
{
    kf_http_reply_t reply = {.outcome = KF_HTTP_REPLIED};
    kf_http_head_t head;

    kf_http_head_start(&head);
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) + 1 : text.n;

        if (n == 1 && *text.p == '\n')
            kf_http_head_start(&head);
        else
            kf_http_head_line(&head, (kf_str_t){text.p, n});
        text = (kf_str_t){text.p + n, text.n - n};
    }
    kf_http_head_finish(&head, NOW_US, &reply);
    check_text(reply.request_id, sizeof reply.request_id);
    check_text(reply.error_type, sizeof reply.error_type);
    CHECK(reply.date_us >= 0);
    CHECK(reply.retry_after_us >= -1 && reply.retry_after_us <= DAY_US);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kf_str_t text = {(const char *)data, size};

    check_date(text);
    check_time(data, size);
    check_lines(text);
    return 0;
}
