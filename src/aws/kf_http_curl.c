/* SPDX-License-Identifier: Apache-2.0
 *
 * kf_http.h by libcurl's multi interface. Must not know AWS, beyond what kf_http_head.c picks out of
 * the headers, nor log. Everything runs on the thread that polls, but for wake.
 */
#include "aws/kf_http.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include "aws/kf_http_head.h"
#include "base/kf_clock.h"

/* curl_multi_poll and curl_multi_wakeup work as needed from here on. */
#define VERSION_MIN 0x074400 /* 7.68.0 */
/* Kept-alive connections of one kf_http_t; twice the most that one connection has in flight. */
#define CONNECTIONS_MAX 512L
/* AWS closes connections that are idle for a minute; its names' answers are good for about as long. */
static const kf_http_curl_ages_t usual_ages = {.idle_s = 50, .lifetime_s = 300, .names_s = 30};
/* All header lines of a reply. */
#define HEAD_MAX ((size_t)64 * 1024)
/* What a finished transfer may keep for the next one: itself, and its reply's memory. */
#define IDLE_TRANSFERS_MAX 64
#define IDLE_BODY_MAX ((size_t)256 * 1024)
/* Room for a secret reply, so that growing leaves no copies behind. */
#define SECRET_BODY ((size_t)64 * 1024)
/* For replies that have come when everything is given up. */
#define LAST_LOOK_US (200 * KF_MS)

typedef struct transfer_t transfer_t;

typedef struct {
    kf_http_t base;
    CURLM *multi;
    transfer_t *first, *last; /* running, in the order of their start */
    transfer_t *idle;         /* finished well, to be used again; linked by next */
    int running_count, idle_count;
    kf_http_curl_ages_t ages;
} multi_t;

struct transfer_t {
    transfer_t *prev, *next;
    CURL *easy;
    struct curl_slist *lines;
    kf_http_done_fn *done;
    void *context;
    kf_http_request_t request;
    kf_http_head_t head;
    size_t head_bytes;
    bool head_whole; /* its empty line has come */
    kf_buf_t body;
    bool too_long;      /* the reply is longer than asked for */
    bool given_up;      /* abort_all has begun to end it */
    int64_t started_us; /* monotonic, as is the next */
    int64_t moved_us;   /* when a byte last moved, or the connection came to be; 0: not yet */
    curl_off_t moved;   /* bytes so far, both ways */
    char error[CURL_ERROR_SIZE];
};

/* How a transfer ended. */
typedef enum { END_BY_CURL, END_BY_STALL, END_BY_ABORT } end_t;

/* ------------------------------------------------------------ libcurl's callbacks */

static size_t take_head(char *p, size_t size, size_t count, void *context)
{
    transfer_t *t = context;
    size_t n = size * count;

    t->moved_us = kf_mono_us();
    t->head_bytes += n;
    if (t->head_bytes > HEAD_MAX) {
        t->too_long = true;
        return 0;
    }
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
        t->head_whole = false;
        kf_http_head_start(&t->head);
    } else if (n > 0 && (p[0] == '\r' || p[0] == '\n')) {
        t->head_whole = true;
    } else {
        kf_http_head_line(&t->head, (kf_str_t){p, n});
    }
    return n;
}

static size_t take_body(char *p, size_t size, size_t count, void *context)
{
    transfer_t *t = context;
    size_t n = size * count;

    if (n > t->request.reply_max - t->body.n) {
        t->too_long = true;
        return 0;
    }
    kf_buf_put(&t->body, p, n);
    return t->body.failed ? 0 : n;
}

static int note_progress(void *context, curl_off_t to_come, curl_off_t came, curl_off_t to_go,
                         curl_off_t went)
{
    transfer_t *t = context;

    (void)to_come;
    (void)to_go;
    if (came + went != t->moved) {
        t->moved = came + went;
        t->moved_us = kf_mono_us();
    }
    return 0;
}

/* ------------------------------------------------------------ options */

static long rounded_ms(int64_t us)
{
    int64_t ms = (us + KF_MS - 1) / KF_MS;

    return ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (long)ms;
}

/* What every transfer has. */
static bool set_constants(CURL *easy)
{
    bool ok = true;

    ok &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
    ok &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    ok &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)) ==
          CURLE_OK;
#endif
    ok &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "mod_kinesis_forward") == CURLE_OK;
    /* Signed headers are for the service, not for a proxy; and a proxy's answer to CONNECT is not
     * the service's. */
    ok &= curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Without this, giving up on a name waits until its resolver thread has given up too, and all
     * other transfers with it. The thread is left to end by itself. */
    ok &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#endif
    return ok;
}

static bool set_ages(CURL *easy, const kf_http_curl_ages_t *ages)
{
    bool ok = true;

    ok &= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, ages->idle_s) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075000
    ok &= curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, ages->lifetime_s) == CURLE_OK;
#endif
    ok &= curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, ages->names_s) == CURLE_OK;
    return ok;
}

static bool set_callbacks(transfer_t *t)
{
    CURL *easy = t->easy;
    bool ok = true;

    ok &= curl_easy_setopt(easy, CURLOPT_PRIVATE, t) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_HEADERDATA, t) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, note_progress) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_XFERINFODATA, t) == CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
    return ok;
}

static bool add_line(transfer_t *t, const char *line)
{
    struct curl_slist *lines = curl_slist_append(t->lines, line);

    if (!lines)
        return false;
    t->lines = lines;
    return true;
}

static bool set_lines(transfer_t *t, const kf_http_request_t *request)
{
    /* libcurl would ask for a 100 Continue, and name a form's type where no other is given. */
    bool ok = add_line(t, "Expect:");
    bool typed = false;

    for (int i = 0; ok && i < request->header_count; i++) {
        typed = typed || curl_strnequal(request->headers[i], "Content-Type:", 13);
        ok = add_line(t, request->headers[i]);
    }
    if (ok && !typed)
        ok = add_line(t, "Content-Type:");
    return ok && curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->lines) == CURLE_OK;
}

static bool set_method(CURL *easy, const kf_http_request_t *request)
{
    if (strcmp(request->method, "GET") == 0)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.n ? request->body.p : "") ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
                            strcmp(request->method, "POST") == 0 ? NULL : request->method) ==
               CURLE_OK;
}

static bool set_request(transfer_t *t, const kf_http_request_t *request)
{
    CURL *easy = t->easy;
    bool ok = true;

    ok &= curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK;
    /* An empty one keeps the environment's away. */
    ok &= curl_easy_setopt(easy, CURLOPT_PROXY, request->proxy ? request->proxy : "") == CURLE_OK;
    if (request->ca_file) {
        ok &= curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file) == CURLE_OK;
        ok &= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
    }
    ok &= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, rounded_ms(request->connect_us)) ==
          CURLE_OK;
    ok &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, rounded_ms(request->total_us)) == CURLE_OK;
    return ok && set_method(easy, request) && set_lines(t, request);
}

/* ------------------------------------------------------------ transfers */

static void link_last(multi_t *m, transfer_t *t)
{
    t->next = NULL;
    t->prev = m->last;
    if (m->last)
        m->last->next = t;
    else
        m->first = t;
    m->last = t;
    m->running_count++;
}

static void unlink_running(multi_t *m, transfer_t *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        m->first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        m->last = t->prev;
    m->running_count--;
}

/* They hold session tokens. */
static void lines_free(transfer_t *t)
{
    for (struct curl_slist *line = t->lines; line; line = line->next)
        OPENSSL_cleanse(line->data, strlen(line->data));
    curl_slist_free_all(t->lines);
    t->lines = NULL;
}

static void transfer_free(transfer_t *t)
{
    if (t->easy)
        curl_easy_cleanup(t->easy);
    lines_free(t);
    if (t->request.is_secret && t->body.p)
        OPENSSL_cleanse(t->body.p, t->body.cap);
    kf_buf_free(&t->body);
    free(t);
}

static transfer_t *transfer_take(multi_t *m)
{
    transfer_t *t = m->idle;

    if (t) {
        m->idle = t->next;
        m->idle_count--;
        curl_easy_reset(t->easy);
        return t;
    }
    t = calloc(1, sizeof *t);
    if (t)
        t->easy = curl_easy_init();
    if (t && !t->easy) {
        free(t);
        t = NULL;
    }
    return t;
}

/* After a reply it may serve again: its handle holds a TLS session. After an error it may not: who
 * knows what state it is in. */
static void transfer_give_back(multi_t *m, transfer_t *t, bool good)
{
    if (!good || t->request.is_secret || m->idle_count >= IDLE_TRANSFERS_MAX) {
        transfer_free(t);
        return;
    }
    lines_free(t);
    if (t->body.cap > IDLE_BODY_MAX)
        kf_buf_free(&t->body);
    t->next = m->idle;
    m->idle = t;
    m->idle_count++;
}

static bool multi_start(kf_http_t *http, const kf_http_request_t *request, kf_http_done_fn *done,
                        void *context)
{
    multi_t *m = (multi_t *)http;
    transfer_t *t = transfer_take(m);

    if (!t)
        return false;
    t->done = done;
    t->context = context;
    t->request = *request;
    t->head_bytes = 0;
    t->head_whole = false;
    t->too_long = false;
    t->given_up = false;
    t->started_us = kf_mono_us();
    t->moved_us = 0;
    t->moved = 0;
    t->error[0] = '\0';
    kf_http_head_start(&t->head);
    kf_buf_clear(&t->body);
    t->body.max = SIZE_MAX - 1;
    if (request->is_secret)
        (void)kf_buf_room(&t->body, SECRET_BODY);
    if (!set_constants(t->easy) || !set_ages(t->easy, &m->ages) || !set_callbacks(t) ||
        !set_request(t, request) || curl_multi_add_handle(m->multi, t->easy) != CURLM_OK) {
        transfer_free(t);
        return false;
    }
    link_last(m, t);
    return true;
}

/* ------------------------------------------------------------ the end of a transfer */

/* Whether a connection was there to send by: then AWS may have the request. */
static bool was_connected(const transfer_t *t)
{
    curl_off_t us = 0;

    return curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us > 0;
}

/* What the proxy said to CONNECT; 0: nothing, or there is none. */
static long proxy_status(const transfer_t *t)
{
    long status = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status;
}

static const char *error_text(transfer_t *t, CURLcode result, end_t end)
{
    long refusal = proxy_status(t);

    if (end == END_BY_ABORT)
        return "given up on while stopping";
    if (end == END_BY_STALL)
        return "no byte moved for too long";
    if (t->too_long)
        return "the reply is too long";
    if (result == CURLE_OK)
        return "the reply's head is cut short";
    if (refusal >= 300) {
        snprintf(t->error, sizeof t->error, "the proxy answered %ld to CONNECT", refusal);
        return t->error;
    }
    /* libcurl may quote a proxy's URL, user and password included. */
    if (t->error[0] && !(t->request.proxy && strchr(t->request.proxy, '@')))
        return t->error;
    return curl_easy_strerror(result);
}

/* "HOST: text", in printable ASCII. */
static void set_error(const transfer_t *t, const char *text, kf_http_reply_t *reply)
{
    const char *host = strstr(t->request.url, "://");
    int n;

    host = host ? host + 3 : t->request.url;
    n = (int)strcspn(host, "/?");
    snprintf(reply->error, sizeof reply->error, "%.*s: %.95s", n < 100 ? n : 100, host, text);
    for (char *c = reply->error; *c; c++) {
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
}

static void set_reply(const transfer_t *t, kf_http_reply_t *reply)
{
    long status = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    reply->outcome = KF_HTTP_REPLIED;
    reply->status = (int)status;
    reply->body = kf_buf_str(&t->body);
    kf_http_head_finish(&t->head, kf_wall_us(), reply);
}

static void finish(multi_t *m, transfer_t *t, CURLcode result, end_t end)
{
    /* libcurl takes a head without its end for a reply. */
    bool good = end == END_BY_CURL && result == CURLE_OK && t->head_whole;
    kf_http_reply_t reply = {.retry_after_us = -1};

    reply.took_us = kf_mono_us() - t->started_us;
    if (good) {
        set_reply(t, &reply);
    } else {
        reply.outcome = end == END_BY_ABORT ? KF_HTTP_ABORTED
                        : was_connected(t)  ? KF_HTTP_LOST
                                            : KF_HTTP_NOT_SENT;
        reply.timed_out = end == END_BY_STALL || result == CURLE_OPERATION_TIMEDOUT;
        set_error(t, error_text(t, result, end), &reply);
    }
    unlink_running(m, t);
    curl_multi_remove_handle(m->multi, t->easy);
    t->done(t->context, &reply);
    transfer_give_back(m, t, good);
}

/* ------------------------------------------------------------ polling */

static int reap(multi_t *m)
{
    int ended = 0;
    int left;
    CURLMsg *message;

    while ((message = curl_multi_info_read(m->multi, &left)) != NULL) {
        CURLcode result = message->data.result;
        char *t = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        finish(m, (transfer_t *)(void *)t, result, END_BY_CURL);
        ended++;
    }
    return ended;
}

/* When the transfer must have moved again; INT64_MAX while it connects, which has its own limit. */
static int64_t stalls_at(transfer_t *t)
{
    if (t->moved_us == 0) {
        if (!was_connected(t))
            return INT64_MAX;
        t->moved_us = kf_mono_us();
    }
    return t->moved_us + t->request.stall_us;
}

/* Ends what stalled. libcurl's own limit is an average over seconds, too blunt for this. */
static int end_stalled(multi_t *m)
{
    int64_t now = kf_mono_us();
    int ended = 0;
    transfer_t *t = m->first;

    while (t) {
        if (stalls_at(t) > now) {
            t = t->next;
            continue;
        }
        finish(m, t, CURLE_OK, END_BY_STALL);
        ended++;
        /* done may have changed the list. */
        t = m->first;
    }
    return ended;
}

static int drive(multi_t *m)
{
    int running;

    (void)curl_multi_perform(m->multi, &running);
    return reap(m) + end_stalled(m);
}

static void multi_poll(kf_http_t *http, int64_t timeout_us)
{
    multi_t *m = (multi_t *)http;
    int64_t wait = timeout_us > 0 ? timeout_us : 0;
    int64_t now;

    if (drive(m) > 0)
        return;
    now = kf_mono_us();
    for (transfer_t *t = m->first; t; t = t->next) {
        int64_t at = stalls_at(t);

        if (at < INT64_MAX && at - now < wait)
            wait = at > now ? at - now : 0;
    }
    (void)curl_multi_poll(m->multi, NULL, 0, wait ? (int)rounded_ms(wait) : 0, NULL);
    (void)drive(m);
}

static void multi_wake(kf_http_t *http)
{
    (void)curl_multi_wakeup(((multi_t *)http)->multi);
}

static bool is_sent(const transfer_t *t)
{
    curl_off_t sent = 0;

    return was_connected(t) &&
           curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent) == CURLE_OK &&
           sent >= (curl_off_t)t->request.body.n;
}

/* The first of those that are given up: of all, or of what the service cannot have taken yet. */
static transfer_t *find_given_up(const multi_t *m, bool unsent)
{
    transfer_t *t = m->first;

    while (t && (!t->given_up || (unsent && is_sent(t))))
        t = t->next;
    return t;
}

/* Takes what has come of replies, which one look at each does not read to its end. */
static void read_what_came(multi_t *m)
{
    int64_t until_us = kf_mono_us() + LAST_LOOK_US;
    int ready, running;

    do {
        ready = 0;
        (void)curl_multi_perform(m->multi, &running);
        (void)reap(m);
        (void)curl_multi_poll(m->multi, NULL, 0, 0, &ready);
    } while (ready > 0 && find_given_up(m, false) && kf_mono_us() < until_us);
}

/* Those that done starts meanwhile live. */
static void multi_abort_all(kf_http_t *http)
{
    multi_t *m = (multi_t *)http;
    transfer_t *t;

    for (t = m->first; t; t = t->next)
        t->given_up = true;
    while ((t = find_given_up(m, true)) != NULL)
        finish(m, t, CURLE_OK, END_BY_ABORT);
    if (m->first)
        read_what_came(m);
    while ((t = find_given_up(m, false)) != NULL)
        finish(m, t, CURLE_OK, END_BY_ABORT);
}

static void multi_destroy(kf_http_t *http)
{
    multi_t *m = (multi_t *)http;

    while (m->first) {
        transfer_t *t = m->first;

        unlink_running(m, t);
        curl_multi_remove_handle(m->multi, t->easy);
        transfer_free(t);
    }
    while (m->idle) {
        transfer_t *t = m->idle;

        m->idle = t->next;
        transfer_free(t);
    }
    curl_multi_cleanup(m->multi);
    free(m);
}

/* ------------------------------------------------------------ creation */

static const kf_http_ops_t ops = {multi_start, multi_poll, multi_wake, multi_abort_all,
                                  multi_destroy};

kf_http_t *kf_http_curl_create(void *ages)
{
    multi_t *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->base.ops = &ops;
    m->ages = ages ? *(const kf_http_curl_ages_t *)ages : usual_ages;
    m->multi = curl_multi_init();
    if (!m->multi) {
        free(m);
        return NULL;
    }
    curl_multi_setopt(m->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
    curl_multi_setopt(m->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return &m->base;
}

/* What is wrong with this libcurl; NULL if nothing. */
static const char *find_fault(const curl_version_info_data *info)
{
    CURL *easy;
    bool ok;

    if (info->version_num < VERSION_MIN)
        return "libcurl is older than 7.68";
    if (!(info->features & CURL_VERSION_SSL) || !info->ssl_version)
        return "libcurl has no TLS";
    if (!(info->features & CURL_VERSION_ASYNCHDNS))
        return "libcurl resolves names without threads or c-ares, and would block";
    if (strstr(info->ssl_version, "OpenSSL/0.") || strstr(info->ssl_version, "OpenSSL/1.0."))
        return "libcurl uses an OpenSSL older than 1.1, which is not thread-safe by itself";
    easy = curl_easy_init();
    if (!easy)
        return "libcurl cannot make a handle";
    ok = set_constants(easy) && set_ages(easy, &usual_ages);
    curl_easy_cleanup(easy);
    return ok ? NULL : "libcurl is older than the one that the module was built with";
}

bool kf_http_curl_setup(const char **error)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        *error = "libcurl cannot be initialised";
        return false;
    }
    *error = find_fault(curl_version_info(CURLVERSION_NOW));
    if (*error)
        curl_global_cleanup();
    return !*error;
}

void kf_http_curl_cleanup(void)
{
    curl_global_cleanup();
}
