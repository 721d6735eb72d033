/* SPDX-License-Identifier: Apache-2.0
 *
 * The log facade and the message catalogue (kf_log.h). Must not know the server: lines leave by the
 * installed sink. Any thread.
 */
#include "base/kf_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PARTICULARS_MAX 1024
#define LINE_MAX_BYTES (PARTICULARS_MAX + 512)

static const kf_msg_info_t catalogue[KF_MSG_COUNT] = {
#define KF_MSG(number, level, alert, text, advice) \
    [KF##number] = {"KF" #number, level, KF_ALERT_##alert, text, advice},
#include "base/kf_messages.def"
#undef KF_MSG
};

static void to_stderr(kf_level_t level, const char *line)
{
    (void)level;
    fprintf(stderr, "%s\n", line);
}

static kf_log_sink_fn *sink = to_stderr;
static kf_log_watch_fn *watch;

const kf_msg_info_t *kf_msg_info(kf_msg_t msg)
{
    return &catalogue[msg];
}

void kf_log_set_sink(kf_log_sink_fn *new_sink)
{
    sink = new_sink ? new_sink : to_stderr;
}

/* Ends a text that did not fit with "...", not in the middle of a character. */
static void mark_cut(char *text, size_t size)
{
    size_t n = size - sizeof "...";

    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(text + n, "...", sizeof "...");
}

static void make_harmless(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void kf_log_set_watch(kf_log_watch_fn *new_watch)
{
    watch = new_watch;
}

bool kf_log_tell(kf_msg_t msg, const char *particulars)
{
    return !watch || watch(msg, particulars);
}

static void format(char particulars[PARTICULARS_MAX], const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void format(char particulars[PARTICULARS_MAX], const char *fmt, va_list args)
{
    int length = vsnprintf(particulars, PARTICULARS_MAX, fmt, args);

    if (length < 0)
        particulars[0] = '\0';
    else if (length >= PARTICULARS_MAX)
        mark_cut(particulars, PARTICULARS_MAX);
    make_harmless(particulars);
}

static void write_line(const kf_msg_info_t *info, const char *particulars)
{
    char line[LINE_MAX_BYTES];

    snprintf(line, sizeof line, "%s: %s%s%s", info->id, particulars, *info->advice ? "; " : "",
             info->advice);
    sink(info->level, line);
}

void kf_log(kf_msg_t msg, const char *fmt, ...)
{
    char particulars[PARTICULARS_MAX];
    va_list args;

    va_start(args, fmt);
    format(particulars, fmt, args);
    va_end(args);
    if (kf_log_tell(msg, particulars))
        write_line(kf_msg_info(msg), particulars);
}

void kf_log_unwatched(kf_msg_t msg, const char *fmt, ...)
{
    char particulars[PARTICULARS_MAX];
    va_list args;

    va_start(args, fmt);
    format(particulars, fmt, args);
    va_end(args);
    write_line(kf_msg_info(msg), particulars);
}
