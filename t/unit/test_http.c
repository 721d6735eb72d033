/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client against a small server on loopback, which does by path what a test asks for, and the
 * reader of headers by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "aws/kf_http_head.h"
#include "base/kf_clock.h"
#include "patience.h"

/* ------------------------------------------------------------ names that hang, or have many addresses */

static sem_t slow_name; /* posted once for each look-up that may end */

static const char *addresses[5]; /* of many.invalid, to the first NULL */

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* In place of the C library's, for libcurl too, and so visible to it. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out)
{
    lookup_fn *real;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strcmp(node, "slow.invalid") == 0) {
        sem_wait(&slow_name);
        return EAI_NONAME;
    }
    if (node && strcmp(node, "many.invalid") == 0) {
        struct addrinfo **end = out;

        for (int i = 0; addresses[i]; i++) {
            int status = real(addresses[i], service, hints, end);

            if (status != 0)
                return status;
            while (*end)
                end = &(*end)->ai_next;
        }
        return 0;
    }
    return real(node, service, hints, out);
}

/* ------------------------------------------------------------ the server */

/* More than libcurl reads in one go, and less than the sockets hold. */
#define LATE_BYTES 60000

typedef struct {
    int fd;
    int port;
    SSL_CTX *tls; /* NULL: plain */
    pthread_t thread;
    atomic_int accepted, requests, open;
    sem_t go;         /* what "/late" waits for before it answers; */
    atomic_bool said; /* it has */
} server_t;

typedef struct {
    server_t *server;
    int fd;
    SSL *tls;
    size_t have;
    size_t body_at;
    char text[131072]; /* one request */
} peer_t;

static ssize_t peer_read(peer_t *p, char *to, size_t n)
{
    return p->tls ? SSL_read(p->tls, to, (int)n) : recv(p->fd, to, n, 0);
}

static void peer_write(peer_t *p, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t wrote =
            p->tls ? SSL_write(p->tls, text, (int)n) : send(p->fd, text, n, MSG_NOSIGNAL);

        if (wrote <= 0)
            return;
        text += wrote;
        n -= (size_t)wrote;
    }
}

static void say(peer_t *p, const char *text)
{
    peer_write(p, text, strlen(text));
}

static void answer(peer_t *p, const char *head, const char *body, size_t n)
{
    char start[4096];

    snprintf(start, sizeof start, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n", head, n);
    say(p, start);
    peer_write(p, body, n);
}

static void wait_for_close(peer_t *p)
{
    char byte;

    while (peer_read(p, &byte, 1) > 0)
        continue;
}

/* Reads one request into p->text. @return false at the end of the connection */
static bool take_request(peer_t *p)
{
    p->have = 0;
    p->body_at = 0;
    for (;;) {
        ssize_t got;
        size_t length = 0;
        char *field;

        p->text[p->have] = '\0';
        if (!p->body_at && strstr(p->text, "\r\n\r\n"))
            p->body_at = (size_t)(strstr(p->text, "\r\n\r\n") - p->text) + 4;
        if (p->body_at) {
            field = strstr(p->text, "Content-Length: ");
            length = field ? strtoul(field + 16, NULL, 10) : 0;
            if (p->have >= p->body_at + length)
                return true;
        }
        got = peer_read(p, p->text + p->have, sizeof p->text - 1 - p->have);
        if (got <= 0)
            return false;
        p->have += (size_t)got;
    }
}

static bool asks_for(const peer_t *p, const char *path)
{
    char with_blank[64];
    const char *end = strstr(p->text, "\r\n");
    const char *found;

    snprintf(with_blank, sizeof with_blank, "%s ", path);
    found = strstr(p->text, with_blank);
    return found && found < end;
}

static void reset(peer_t *p)
{
    struct linger now = {1, 0};

    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static const char meta[] = "HTTP/1.1 503 Busy\r\nx-amzn-RequestId: req-1\r\n"
                           "X-AMZN-ERRORTYPE: ns#Slow:http://x\r\n"
                           "Date: Sun, 22 Nov 2026 15:45:30 GMT\r\nx-amz-retry-after: 1500\r\n"
                           "Retry-After: 7\r\nContent-Length: 4\r\n\r\nbusy";

static void send_endless_head(peer_t *p)
{
    static char line[1026];

    memset(line, 'x', 1024);
    memcpy(line, "X-Junk: ", 8);
    line[1024] = '\n';
    say(p, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 80; i++)
        peer_write(p, line, 1025);
    say(p, "Content-Length: 0\r\n\r\n");
}

/* @return whether the connection goes on */
static bool serve(peer_t *p)
{
    static char big[10000], late[LATE_BYTES];

    if (asks_for(p, "/head"))
        answer(p, "", p->text, p->body_at);
    else if (asks_for(p, "/echo"))
        answer(p, "", p->text + p->body_at, p->have - p->body_at);
    else if (asks_for(p, "/big"))
        answer(p, "", big, sizeof big);
    else if (asks_for(p, "/late")) {
        sem_wait(&p->server->go);
        answer(p, "", late, sizeof late);
        atomic_store(&p->server->said, true);
    } else if (asks_for(p, "/meta"))
        say(p, meta);
    else if (asks_for(p, "/redirect"))
        say(p, "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
    else if (asks_for(p, "/continue"))
        say(p, "HTTP/1.1 100 Continue\r\nx-amzn-RequestId: early\r\n\r\n"
               "HTTP/1.1 204 No Content\r\nAge: 3\r\nDate: Sun, 22 Nov 2026 15:45:30 GMT\r\n\r\n");
    else if (asks_for(p, "/endless-head"))
        send_endless_head(p);
    else if (asks_for(p, "/stall"))
        wait_for_close(p);
    else if (asks_for(p, "/stall-in-body"))
        say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), wait_for_close(p);
    else if (asks_for(p, "/cut"))
        return say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), false;
    else if (asks_for(p, "/cut-head"))
        return say(p, "HTTP/1.1 200 OK\r\nContent-"), false;
    else if (asks_for(p, "/reset"))
        return reset(p), false;
    else if (strncmp(p->text, "CONNECT ", 8) == 0)
        return say(p, "HTTP/1.1 407 Who\r\nx-amzn-RequestId: proxy\r\nContent-Length: 0\r\n\r\n"),
               false;
    else
        return false;
    return true;
}

static void *talk(void *context)
{
    peer_t *p = context;

    if (p->server->tls) {
        p->tls = SSL_new(p->server->tls);
        SSL_set_fd(p->tls, p->fd);
    }
    if (!p->tls || SSL_accept(p->tls) == 1) {
        while (take_request(p)) {
            atomic_fetch_add(&p->server->requests, 1);
            if (!serve(p))
                break;
        }
    }
    SSL_free(p->tls);
    close(p->fd);
    atomic_fetch_sub(&p->server->open, 1);
    free(p);
    return NULL;
}

static void *accept_all(void *context)
{
    server_t *s = context;
    int fd;

    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        peer_t *p = calloc(1, sizeof *p);
        pthread_t thread;

        p->server = s;
        p->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        atomic_fetch_add(&s->accepted, 1);
        atomic_fetch_add(&s->open, 1);
        if (pthread_create(&thread, NULL, talk, p) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

/* On an address of this machine; port 0 takes a free one. */
static void server_start_at(server_t *s, SSL_CTX *tls, uint32_t host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;

    memset(s, 0, sizeof *s);
    sem_init(&s->go, 0, 0);
    s->tls = tls;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    address.sin_addr.s_addr = htonl(host);
    address.sin_port = htons((uint16_t)port);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &size), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, accept_all, s), 0);
}

static void server_start(server_t *s, SSL_CTX *tls)
{
    server_start_at(s, tls, INADDR_LOOPBACK, 0);
}

/* After the clients: their ends end the peers. */
static void server_stop(server_t *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    while (atomic_load(&s->open) > 0)
        sched_yield();
    SSL_CTX_free(s->tls);
    sem_destroy(&s->go);
}

/* ------------------------------------------------------------ the client */

typedef struct {
    kf_http_t *http;
    server_t server;
    char url[160], url2[160];
} fixture_t;

/* What became of one request. */
typedef struct {
    kf_http_request_t request;
    kf_http_reply_t reply;
    char body[LATE_BYTES + 1];
    bool done;
    kf_http_t *again; /* start once more when done */
} call_t;

static void note_done(void *context, const kf_http_reply_t *reply)
{
    call_t *c = context;

    assert_false(c->done);
    c->done = true;
    c->reply = *reply;
    assert_true(reply->body.n < sizeof c->body);
    if (reply->body.n > 0)
        memcpy(c->body, reply->body.p, reply->body.n);
    c->body[reply->body.n] = '\0';
    if (c->again) {
        kf_http_t *http = c->again;

        c->again = NULL;
        c->done = false;
        assert_true(http->ops->start(http, &c->request, note_done, c));
    }
}

static void call_init(call_t *c, const char *url)
{
    *c = (call_t){.request = {.url = url,
                              .method = "POST",
                              .connect_us = patient(10 * KF_SEC),
                              .stall_us = patient(10 * KF_SEC),
                              .total_us = patient(20 * KF_SEC),
                              .reply_max = 8192}};
    c->request.headers[0] = "Content-Type: application/x-amz-json-1.1";
    c->request.header_count = 1;
    c->request.body = KF_STR("{\"a\":1}");
}

static void start(kf_http_t *http, call_t *c)
{
    assert_true(http->ops->start(http, &c->request, note_done, c));
}

static void wait_for(kf_http_t *http, const call_t *c)
{
    int64_t limit = kf_mono_us() + patient(30 * KF_SEC);

    while (!c->done) {
        if (kf_mono_us() > limit)
            fail_msg("%s does not end", c->request.url);
        http->ops->poll(http, KF_SEC);
    }
}

static char *url_of(fixture_t *f, const char *path)
{
    snprintf(f->url, sizeof f->url, "http%s://127.0.0.1:%d%s", f->server.tls ? "s" : "",
             f->server.port, path);
    return f->url;
}

static void get(fixture_t *f, const char *path, call_t *c)
{
    call_init(c, url_of(f, path));
    start(f->http, c);
    wait_for(f->http, c);
}

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);

    server_start(&f->server, NULL);
    f->http = kf_http_curl_create(NULL);
    *state = f;
    return f->http ? 0 : -1;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;

    f->http->ops->destroy(f->http);
    server_stop(&f->server);
    free(f);
    return 0;
}

static void assert_outcome(const call_t *c, kf_http_outcome_t outcome, const char *words)
{
    if (c->reply.outcome != outcome)
        fail_msg("%s: outcome %d, %s", c->request.url, c->reply.outcome, c->reply.error);
    if (!strstr(c->reply.error, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", c->request.url, c->reply.error, words);
    if (outcome != KF_HTTP_REPLIED) {
        assert_int_equal(c->reply.status, 0);
        assert_int_equal(c->reply.body.n, 0);
        assert_int_equal(c->reply.retry_after_us, -1);
    }
}

/* ------------------------------------------------------------ tests */

static void test_what_is_sent(void **state)
{
    fixture_t *f = *state;
    call_t c;

    call_init(&c, url_of(f, "/head"));
    c.request.headers[1] = "Host: signed.example";
    c.request.header_count = 2;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
    assert_int_equal(c.reply.status, 200);
    assert_non_null(strstr(c.body, "POST /head HTTP/1.1\r\n"));
    assert_non_null(strstr(c.body, "\r\nHost: signed.example\r\n"));
    assert_non_null(strstr(c.body, "\r\nContent-Type: application/x-amz-json-1.1\r\n"));
    assert_non_null(strstr(c.body, "\r\nContent-Length: 7\r\n"));
    assert_null(strstr(c.body, "Expect"));
    assert_null(strstr(c.body, "127.0.0.1"));
    assert_true(c.reply.took_us > 0);
}

static void test_methods(void **state)
{
    fixture_t *f = *state;
    call_t c;

    call_init(&c, url_of(f, "/head"));
    c.request.method = "GET";
    c.request.body = KF_STR("");
    c.request.header_count = 0;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_non_null(strstr(c.body, "GET /head HTTP/1.1\r\n"));
    assert_null(strstr(c.body, "Content-"));
    c.done = false;
    c.request.method = "PUT";
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_non_null(strstr(c.body, "PUT /head HTTP/1.1\r\n"));
    assert_non_null(strstr(c.body, "Content-Length: 0\r\n"));
    assert_null(strstr(c.body, "Content-Type"));
    c.done = false;
    c.request.method = "POST";
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_non_null(strstr(c.body, "POST /head HTTP/1.1\r\n"));
}

static void test_bodies(void **state)
{
    fixture_t *f = *state;
    static char large[120000];
    call_t c;

    call_init(&c, url_of(f, "/echo"));
    c.request.body = KF_STR("a\0b");
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_int_equal(c.reply.body.n, 3);
    assert_memory_equal(c.body, "a\0b", 3);
    memset(large, 'x', sizeof large);
    c.done = false;
    c.request.url = url_of(f, "/big");
    c.request.body = (kf_str_t){large, sizeof large};
    c.request.reply_max = 10000;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
    assert_int_equal(c.reply.body.n, 10000);
}

static void test_connections_are_kept(void **state)
{
    fixture_t *f = *state;
    call_t calls[8];

    for (int i = 0; i < 5; i++) {
        get(f, "/echo", &calls[0]);
        assert_outcome(&calls[0], KF_HTTP_REPLIED, "");
    }
    assert_int_equal(atomic_load(&f->server.accepted), 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            call_init(&calls[i], url_of(f, "/echo"));
            start(f->http, &calls[i]);
        }
        for (int i = 0; i < 8; i++)
            wait_for(f->http, &calls[i]);
    }
    assert_in_range(atomic_load(&f->server.accepted), 1, 8);
    assert_int_equal(atomic_load(&f->server.requests), 5 + 24);
}

static void test_headers_of_replies(void **state)
{
    fixture_t *f = *state;
    call_t c;

    get(f, "/meta", &c);
    assert_int_equal(c.reply.status, 503);
    assert_string_equal(c.body, "busy");
    assert_string_equal(c.reply.request_id, "req-1");
    assert_string_equal(c.reply.error_type, "ns#Slow:http://x");
    assert_int_equal(c.reply.date_us, INT64_C(1795362330) * KF_SEC);
    assert_int_equal(c.reply.retry_after_us, 1500 * KF_MS);
    /* The next reply knows nothing of it. */
    get(f, "/echo", &c);
    assert_string_equal(c.reply.request_id, "");
    assert_int_equal(c.reply.date_us, 0);
    assert_int_equal(c.reply.retry_after_us, -1);
    get(f, "/continue", &c);
    assert_int_equal(c.reply.status, 204);
    assert_string_equal(c.reply.request_id, "");
    assert_int_equal(c.reply.date_us, 0);
}

static void test_no_redirects(void **state)
{
    fixture_t *f = *state;
    call_t c;

    get(f, "/redirect", &c);
    assert_int_equal(c.reply.status, 302);
    assert_int_equal(atomic_load(&f->server.requests), 1);
}

static void test_lost_replies(void **state)
{
    static const char *const paths[] = {"/nothing", "/cut", "/cut-head", "/reset"};
    fixture_t *f = *state;
    call_t c;

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        get(f, paths[i], &c);
        assert_outcome(&c, KF_HTTP_LOST, "127.0.0.1:");
        assert_false(c.reply.timed_out);
        /* And what comes after is not harmed. */
        get(f, "/echo", &c);
        assert_outcome(&c, KF_HTTP_REPLIED, "");
    }
}

static void test_long_replies(void **state)
{
    fixture_t *f = *state;
    call_t c;

    get(f, "/big", &c);
    assert_outcome(&c, KF_HTTP_LOST, "too long");
    get(f, "/endless-head", &c);
    assert_outcome(&c, KF_HTTP_LOST, "too long");
    get(f, "/echo", &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
}

static void test_stall(void **state)
{
    fixture_t *f = *state;
    int64_t before = kf_mono_us();
    call_t c;

    call_init(&c, url_of(f, "/stall"));
    c.request.stall_us = 150 * KF_MS;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_LOST, "no byte moved");
    assert_true(c.reply.timed_out);
    assert_in_range(kf_mono_us() - before, 150 * KF_MS, patient(10 * KF_SEC));
    c.done = false;
    c.request.url = url_of(f, "/stall-in-body");
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_LOST, "no byte moved");
}

static void test_total_time(void **state)
{
    fixture_t *f = *state;
    call_t c;

    call_init(&c, url_of(f, "/stall"));
    c.request.total_us = 150 * KF_MS;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_LOST, "127.0.0.1");
    assert_true(c.reply.timed_out);
}

static void test_not_sent(void **state)
{
    fixture_t *f = *state;
    server_t gone;
    call_t c;

    server_start(&gone, NULL);
    server_stop(&gone);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/echo", gone.port);
    call_init(&c, f->url);
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "127.0.0.1:");
    /* A plain server where TLS is spoken. */
    snprintf(f->url, sizeof f->url, "https://127.0.0.1:%d/echo", f->server.port);
    call_init(&c, f->url);
    c.request.connect_us = 200 * KF_MS;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "127.0.0.1:");
    assert_true(c.reply.timed_out);
    assert_int_equal(atomic_load(&f->server.requests), 0);
}

/* A name that takes for ever delays nobody, neither by a time-out nor by abort_all. */
static void test_slow_names(void **state)
{
    fixture_t *f = *state;
    int64_t before = kf_mono_us();
    call_t slow;
    call_t c;

#if LIBCURL_VERSION_NUM < 0x075700
    skip();
#endif
    call_init(&slow, "http://slow.invalid/");
    slow.request.connect_us = 150 * KF_MS;
    start(f->http, &slow);
    get(f, "/echo", &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
    wait_for(f->http, &slow);
    assert_outcome(&slow, KF_HTTP_NOT_SENT, "slow.invalid");
    assert_true(slow.reply.timed_out);
    call_init(&slow, "http://slow.invalid/");
    start(f->http, &slow);
    f->http->ops->poll(f->http, 0);
    f->http->ops->abort_all(f->http);
    assert_outcome(&slow, KF_HTTP_ABORTED, "slow.invalid");
    assert_true(kf_mono_us() - before < patient(10 * KF_SEC));
    sem_post(&slow_name);
    sem_post(&slow_name);
}

static void new_client(fixture_t *f, kf_http_curl_ages_t *ages)
{
    f->http->ops->destroy(f->http);
    f->http = kf_http_curl_create(ages);
    assert_non_null(f->http);
}

static void ask_for_name(fixture_t *f, const server_t *server)
{
    call_t c;

    snprintf(f->url2, sizeof f->url2, "http://many.invalid:%d/echo", server->port);
    call_init(&c, f->url2);
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
}

/* Every address of a name is used, whichever comes first; one that does not answer is passed over. */
static void test_many_addresses(void **state)
{
    static const char *const both[] = {"127.0.0.1", "127.0.0.2", NULL};
    fixture_t *f = *state;
    server_t other;

    memcpy(addresses, both, sizeof both);
    server_start_at(&other, NULL, INADDR_LOOPBACK + 1, f->server.port);
    for (int i = 0; i < 64; i++) {
        ask_for_name(f, &f->server);
        new_client(f, NULL);
    }
    assert_true(atomic_load(&f->server.accepted) > 0 && atomic_load(&other.accepted) > 0);
    server_stop(&other);
    for (int i = 0; i < 8; i++) {
        ask_for_name(f, &f->server);
        new_client(f, NULL);
    }
}

/* A connection in steady use is left after a while, and the name service asked anew. */
static void test_names_that_move(void **state)
{
    kf_http_curl_ages_t brief = {.idle_s = 50, .lifetime_s = 1, .names_s = 1};
    int64_t limit = kf_mono_us() + patient(20 * KF_SEC);
    fixture_t *f = *state;
    server_t other;

#if LIBCURL_VERSION_NUM < 0x075000
    skip();
#endif
    addresses[0] = "127.0.0.1";
    addresses[1] = NULL;
    server_start_at(&other, NULL, INADDR_LOOPBACK + 1, f->server.port);
    new_client(f, &brief);
    for (int i = 0; i < 3; i++)
        ask_for_name(f, &f->server);
    assert_int_equal(atomic_load(&f->server.accepted), 1);
    addresses[0] = "127.0.0.2";
    while (atomic_load(&other.accepted) == 0) {
        if (kf_mono_us() > limit)
            fail_msg("the old address is still used after %d requests",
                     atomic_load(&f->server.requests));
        ask_for_name(f, &f->server);
        f->http->ops->poll(f->http, 10 * KF_MS);
    }
    assert_in_range(atomic_load(&f->server.accepted), 1, 3);
    new_client(f, NULL);
    server_stop(&other);
}

static void test_environment_is_ignored(void **state)
{
    fixture_t *f = *state;
    call_t c;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    get(f, "/echo", &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
    /* A proxy that is given is used, whatever no_proxy says. */
    setenv("no_proxy", "*", 1);
    call_init(&c, "http://nowhere.invalid/head");
    snprintf(f->url2, sizeof f->url2, "http://127.0.0.1:%d", f->server.port);
    c.request.proxy = f->url2;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
    assert_non_null(strstr(c.body, "POST http://nowhere.invalid/head HTTP/1.1\r\n"));
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("no_proxy");
}

static void test_proxy_refuses(void **state)
{
    fixture_t *f = *state;
    call_t c;

    call_init(&c, "https://nowhere.invalid/head");
    snprintf(f->url2, sizeof f->url2, "http://user:pass%%40word@127.0.0.1:%d", f->server.port);
    c.request.proxy = f->url2;
    c.request.headers[1] = "Authorization: secret";
    c.request.header_count = 2;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "nowhere.invalid: the proxy answered 407 to CONNECT");
    assert_null(strstr(c.reply.error, "word"));
    assert_string_equal(c.reply.request_id, "");
    call_init(&c, "https://nowhere.invalid/head");
    c.request.proxy = "http://user:password@[::zz]:1";
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "nowhere.invalid");
    assert_null(strstr(c.reply.error, "password"));
}

static void test_bad_urls(void **state)
{
    static const char *const urls[] = {"", "file:///etc/passwd", "ftp://127.0.0.1/",
                                       "http://[::zz]/"};
    fixture_t *f = *state;
    call_t c;

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        call_init(&c, urls[i]);
        start(f->http, &c);
        wait_for(f->http, &c);
        assert_outcome(&c, KF_HTTP_NOT_SENT, "");
    }
}

/* ------------------------------------------------------------ waking and aborting */

static void *wake(void *context)
{
    kf_http_t *http = context;

    http->ops->wake(http);
    return NULL;
}

static void test_wake(void **state)
{
    fixture_t *f = *state;
    int64_t before = kf_mono_us();
    pthread_t thread;

    /* Before the poll, and (most likely) during one. */
    f->http->ops->wake(f->http);
    f->http->ops->poll(f->http, patient(60 * KF_SEC));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pthread_create(&thread, NULL, wake, f->http), 0);
        f->http->ops->poll(f->http, patient(60 * KF_SEC));
        pthread_join(thread, NULL);
    }
    assert_true(kf_mono_us() - before < patient(30 * KF_SEC));
}

static void test_poll_waits(void **state)
{
    fixture_t *f = *state;
    int64_t before = kf_mono_us();

    f->http->ops->poll(f->http, 0);
    f->http->ops->poll(f->http, 30 * KF_MS);
    assert_in_range(kf_mono_us() - before, 29 * KF_MS, patient(10 * KF_SEC));
}

static void test_abort_all(void **state)
{
    fixture_t *f = *state;
    call_t calls[5];
    call_t again;

    for (int i = 0; i < 5; i++) {
        call_init(&calls[i], url_of(f, "/stall"));
        start(f->http, &calls[i]);
    }
    while (atomic_load(&f->server.requests) < 5)
        f->http->ops->poll(f->http, 10 * KF_MS);
    calls[2].again = f->http;
    f->http->ops->abort_all(f->http);
    for (int i = 0; i < 5; i++) {
        if (i != 2)
            assert_true(calls[i].done);
        assert_outcome(&calls[i], KF_HTTP_ABORTED, "stopping");
    }
    /* The one that was started anew lives on, and can be aborted in its turn. */
    assert_false(calls[2].done);
    f->http->ops->abort_all(f->http);
    assert_true(calls[2].done);
    f->http->ops->abort_all(f->http);
    get(f, "/echo", &again);
    assert_outcome(&again, KF_HTTP_REPLIED, "");
}

/* A reply that lies there, longer than what one look reads, while this thread had no turn. */
static void test_abort_all_takes_what_has_come(void **state)
{
    fixture_t *f = *state;
    call_t unread, stalled;

    snprintf(f->url2, sizeof f->url2, "http://127.0.0.1:%d/stall", f->server.port);
    call_init(&unread, url_of(f, "/late"));
    call_init(&stalled, f->url2);
    unread.request.reply_max = LATE_BYTES;
    start(f->http, &unread);
    start(f->http, &stalled);
    while (atomic_load(&f->server.requests) < 2)
        f->http->ops->poll(f->http, KF_MS);
    sem_post(&f->server.go);
    while (!atomic_load(&f->server.said))
        sched_yield();
    f->http->ops->abort_all(f->http);
    assert_outcome(&unread, KF_HTTP_REPLIED, "");
    assert_int_equal(unread.reply.body.n, LATE_BYTES);
    assert_outcome(&stalled, KF_HTTP_ABORTED, "stopping");
}

static void test_start_from_done(void **state)
{
    fixture_t *f = *state;
    call_t c;

    call_init(&c, url_of(f, "/echo"));
    c.again = f->http;
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_int_equal(atomic_load(&f->server.requests), 2);
    assert_int_equal(atomic_load(&f->server.accepted), 1);
}

static void test_destroy_while_running(void **state)
{
    fixture_t *f = *state;
    call_t c;

    call_init(&c, url_of(f, "/stall"));
    start(f->http, &c);
    while (atomic_load(&f->server.requests) < 1)
        f->http->ops->poll(f->http, 10 * KF_MS);
    f->http->ops->destroy(f->http);
    assert_false(c.done);
    f->http = kf_http_curl_create(NULL);
}

/* ------------------------------------------------------------ TLS */

static EVP_PKEY *tls_key;

static X509 *make_certificate(const char *names, long days)
{
    X509 *x = X509_new();
    X509_EXTENSION *e;
    X509V3_CTX context;

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -172800);
    X509_gmtime_adj(X509_getm_notAfter(x), days * 86400);
    X509_set_pubkey(x, tls_key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    e = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    assert_true(X509_sign(x, tls_key, EVP_sha256()) > 0);
    return x;
}

static void write_certificate(X509 *x, char *path)
{
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    fclose(f);
}

/* One request to a server with this certificate, which the client is told to trust or not. */
static void tls_call(fixture_t *f, const char *names, long days, int version, bool trusted,
                     call_t *c)
{
    char path[] = "/tmp/kf_test_http_XXXXXX";
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    X509 *x = make_certificate(names, days);
    fixture_t secure = {.http = f->http};

    SSL_CTX_use_certificate(tls, x);
    SSL_CTX_use_PrivateKey(tls, tls_key);
    SSL_CTX_set_security_level(tls, 0);
    if (version)
        SSL_CTX_set_max_proto_version(tls, version);
    write_certificate(x, path);
    server_start(&secure.server, tls);
    for (int i = 0; i < 3; i++) {
        call_init(c, url_of(&secure, "/echo"));
        if (trusted)
            c->request.ca_file = path;
        start(f->http, c);
        wait_for(f->http, c);
        c->request.url = "";
        c->request.ca_file = NULL;
    }
    if (c->reply.outcome == KF_HTTP_REPLIED)
        assert_int_equal(atomic_load(&secure.server.accepted), 1);
    else
        assert_int_equal(atomic_load(&secure.server.requests), 0);
    /* The kept connection must go before its server. */
    f->http->ops->destroy(f->http);
    f->http = kf_http_curl_create(NULL);
    server_stop(&secure.server);
    X509_free(x);
    unlink(path);
}

static void test_tls(void **state)
{
    static const char here[] = "IP:127.0.0.1,DNS:localhost";
    fixture_t *f = *state;
    call_t c;

    tls_call(f, here, 10, 0, true, &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
    tls_call(f, here, 10, TLS1_2_VERSION, true, &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
    tls_call(f, here, 10, 0, false, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "certificate");
    tls_call(f, "DNS:other.example", 10, 0, true, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "subject name");
    tls_call(f, here, -1, 0, true, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "expired");
    tls_call(f, here, 10, TLS1_1_VERSION, true, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "protocol");
}

static void test_missing_ca_file(void **state)
{
    fixture_t *f = *state;
    call_t c;

    call_init(&c, "https://127.0.0.1:1/");
    snprintf(f->url2, sizeof f->url2, "https://127.0.0.1:%d/", f->server.port);
    c.request.url = f->url2;
    c.request.ca_file = "/nonexistent/ca.pem";
    start(f->http, &c);
    wait_for(f->http, &c);
    assert_outcome(&c, KF_HTTP_NOT_SENT, "127.0.0.1");
    /* The next one is free of it. */
    get(f, "/echo", &c);
    assert_outcome(&c, KF_HTTP_REPLIED, "");
}

/* ------------------------------------------------------------ headers by themselves */

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Thu, 01 Jan 1970 00:00:01 GMT", 1},
        {"Sun, 22 Nov 2026 15:45:30 GMT", 1795362330},
        {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Fri, 31 Dec 1999 23:59:59 UTC", 0},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 0},
        {"Sun Nov  6 08:49:37 1994", 0},
        {"Sun, 06 Nov 1969 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 24:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:60:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:61 GMT", 0},
        {"Sun, 32 Nov 1994 08:49:37 GMT", 0},
        {"Thu, 31 Nov 1994 08:49:37 GMT", 0},
        {"Wed, 29 Feb 2023 08:49:37 GMT", 0},
        {"Mon, 29 Feb 2100 08:49:37 GMT", 0},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Sun, 00 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 ovD 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 19-4 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(kf_http_date_us(kf_str_of(rows[i].text)), rows[i].seconds * KF_SEC);
}

static kf_http_reply_t head_of(const char *first, const char *second)
{
    kf_http_head_t head;
    kf_http_reply_t reply = {0};

    kf_http_head_start(&head);
    kf_http_head_line(&head, kf_str_of(first));
    kf_http_head_line(&head, kf_str_of(second));
    kf_http_head_finish(&head, INT64_C(1795362300) * KF_SEC, &reply);
    return reply;
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *first, *second;
        int64_t us;
    } rows[] = {
        {"Retry-After: 3", "", 3 * KF_SEC},
        {"retry-after:0\r\n", "", 0},
        {"Retry-After: 3", "x-amz-retry-after: 200", 200 * KF_MS},
        {"Retry-After: 99999999999999999999", "", -1},
        {"Retry-After: 9223372036854775807", "", 86400 * KF_SEC},
        {"x-amz-retry-after: 9223372036854775807", "", 86400 * KF_SEC},
        {"Retry-After: -3", "", -1},
        {"Retry-After: 3.5", "", -1},
        {"Retry-After: soon", "", -1},
        {"Retry-After:", "", -1},
        {"Retry-After", "", -1},
        /* By the reply's own clock, or else by this machine's, which shows 15:45:00. */
        {"Retry-After: Sun, 22 Nov 2026 15:45:40 GMT", "", 40 * KF_SEC},
        {"Retry-After: Sun, 22 Nov 2026 15:45:40 GMT", "Date: Sun, 22 Nov 2026 15:45:30 GMT",
         10 * KF_SEC},
        {"Retry-After: Sun, 22 Nov 2026 15:45:40 GMT", "Date: Sun, 22 Nov 2026 15:45:50 GMT", 0},
        {"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", "", 86400 * KF_SEC},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(head_of(rows[i].first, rows[i].second).retry_after_us, rows[i].us);
}

static void test_header_values(void **state)
{
    kf_http_reply_t r = head_of("X-AmZN-requestID: \t ab c \t\r\n", "");
    char line[400];

    (void)state;
    assert_string_equal(r.request_id, "ab c");
    assert_string_equal(head_of("x-amzn-requestid: a\tb", "").request_id, "a");
    assert_string_equal(head_of("x-amzn-requestid: \xc3\xa9", "").request_id, "");
    assert_string_equal(head_of(" x-amzn-requestid: a", "").request_id, "");
    assert_string_equal(head_of("x-amzn-requestid", "").request_id, "");
    snprintf(line, sizeof line, "x-amzn-requestid: %0300d", 1);
    assert_int_equal(strlen(head_of(line, "").request_id), 79);
    snprintf(line, sizeof line, "x-amzn-errortype: %0300d", 1);
    assert_int_equal(strlen(head_of(line, "").error_type), 127);
    r = head_of("Date: Sun, 22 Nov 2026 15:45:30 GMT", "Age: 0");
    assert_int_equal(r.date_us, 0);
    assert_int_equal(head_of("Date: Sun, 22 Nov 2026 15:45:30 GMT", "").date_us,
                     INT64_C(1795362330) * KF_SEC);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_what_is_sent),
        WITH_SERVER(test_methods),
        WITH_SERVER(test_bodies),
        WITH_SERVER(test_connections_are_kept),
        WITH_SERVER(test_headers_of_replies),
        WITH_SERVER(test_no_redirects),
        WITH_SERVER(test_lost_replies),
        WITH_SERVER(test_long_replies),
        WITH_SERVER(test_stall),
        WITH_SERVER(test_total_time),
        WITH_SERVER(test_not_sent),
        WITH_SERVER(test_slow_names),
        WITH_SERVER(test_many_addresses),
        WITH_SERVER(test_names_that_move),
        WITH_SERVER(test_environment_is_ignored),
        WITH_SERVER(test_proxy_refuses),
        WITH_SERVER(test_bad_urls),
        WITH_SERVER(test_wake),
        WITH_SERVER(test_poll_waits),
        WITH_SERVER(test_abort_all),
        WITH_SERVER(test_abort_all_takes_what_has_come),
        WITH_SERVER(test_start_from_done),
        WITH_SERVER(test_destroy_while_running),
        WITH_SERVER(test_tls),
        WITH_SERVER(test_missing_ca_file),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_header_values),
    };
    const char *error;
    int failed;

    signal(SIGPIPE, SIG_IGN);
    sem_init(&slow_name, 0, 0);
    if (!kf_http_curl_setup(&error)) {
        printf("Bail out! %s\n", error);
        return 1;
    }
    tls_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    failed = cmocka_run_group_tests_name("http", tests, NULL, NULL);
    EVP_PKEY_free(tls_key);
    kf_http_curl_cleanup();
    return failed;
}
