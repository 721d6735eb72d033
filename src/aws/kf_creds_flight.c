/* SPDX-License-Identifier: Apache-2.0
 *
 * What providers of credentials have in common (kf_creds_flight.h): report, requests, files. Must not
 * know any provider. The thread of the search.
 */
#include "aws/kf_creds_flight.h"

#include <apr_errno.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kf_clock.h"

kf_creds_result_t kf_creds_note(kf_creds_flight_t *flight, kf_creds_result_t result,
                                const char *provider, const char *format, ...)
{
    size_t n = strlen(flight->report);
    va_list args;

    n += (size_t)snprintf(flight->report + n, sizeof flight->report - n,
                          "%s%s: ", n > 0 ? "; " : "", provider);
    if (n < sizeof flight->report) {
        va_start(args, format);
        vsnprintf(flight->report + n, sizeof flight->report - n, format, args);
        va_end(args);
    }
    for (char *c = flight->report; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return result;
}

bool kf_creds_stopping(const kf_creds_flight_t *flight)
{
    return flight->is_stopping && atomic_load(flight->is_stopping);
}

void kf_creds_wipe(kf_buf_t *secret)
{
    if (secret->p)
        OPENSSL_cleanse(secret->p, secret->cap);
    kf_buf_free(secret);
}

/* ------------------------------------------------------------------ requests */

typedef struct {
    bool is_over;
    kf_creds_reply_t *reply;
} wait_t;

static void note_reply(void *context, const kf_http_reply_t *from)
{
    wait_t *wait = context;
    kf_creds_reply_t *to = wait->reply;

    wait->is_over = true;
    to->status = from->status;
    to->date_us = from->date_us;
    to->timed_out = from->timed_out;
    to->is_reply = from->outcome == KF_HTTP_REPLIED;
    snprintf(to->error, sizeof to->error, "%s",
             from->outcome == KF_HTTP_ABORTED ? "given up" : from->error);
    if (!to->is_reply)
        return;
    kf_buf_put_str(&to->body, from->body);
    if (to->body.failed) {
        to->is_reply = false;
        snprintf(to->error, sizeof to->error, "out of memory");
    }
}

bool kf_creds_fetch(kf_creds_flight_t *flight, kf_http_request_t *request, kf_creds_reply_t *reply)
{
    kf_http_t *http = flight->http;
    wait_t wait = {.reply = reply};

    *reply = (kf_creds_reply_t){0};
    kf_buf_init(&reply->body, KF_CREDS_REPLY_MAX);
    request->reply_max = KF_CREDS_REPLY_MAX;
    request->is_secret = true;
    if (!kf_buf_room(&reply->body, KF_CREDS_REPLY_MAX) ||
        !http->ops->start(http, request, note_reply, &wait)) {
        snprintf(reply->error, sizeof reply->error, "out of memory");
        return false;
    }
    while (!wait.is_over) {
        if (kf_creds_stopping(flight))
            http->ops->abort_all(http);
        else
            http->ops->poll(http, request->total_us);
    }
    return reply->is_reply;
}

void kf_creds_reply_free(kf_creds_reply_t *reply)
{
    kf_creds_wipe(&reply->body);
}

/* --------------------------------------------------------------------- files */

static const char *system_text(int error, char *text, size_t size)
{
    return apr_strerror(error, text, size);
}

static const char *read_open(int fd, size_t max, kf_buf_t *out, unsigned *mode, char *text,
                             size_t size)
{
    struct stat info;
    char *to;

    if (fstat(fd, &info) != 0)
        return system_text(errno, text, size);
    if (!S_ISREG(info.st_mode))
        return "is no regular file";
    if (mode)
        *mode = (unsigned)info.st_mode & 07777;
    kf_buf_init(out, max + 1);
    /* More than the file has now, in one piece: it may grow while it is read. */
    to = kf_buf_room(out, max + 1);
    if (!to)
        return "there is no memory to read it";
    while (out->n <= max) {
        ssize_t got = read(fd, to + out->n, max + 1 - out->n);

        if (got == 0)
            return NULL;
        if (got > 0)
            out->n += (size_t)got;
        else if (errno != EINTR)
            return system_text(errno, text, size);
    }
    snprintf(text, size, "is longer than %zu bytes", max);
    return text;
}

const char *kf_creds_read_file(const char *path, size_t max, kf_buf_t *out, unsigned *mode,
                               char *text, size_t size)
{
    /* Not to wait for the writer of a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *error;

    kf_buf_init(out, 0);
    if (fd < 0)
        return system_text(errno, text, size);
    error = read_open(fd, max, out, mode, text, size);
    close(fd);
    return error;
}
