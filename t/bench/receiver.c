/* SPDX-License-Identifier: Apache-2.0
 *
 * The stand-in for AWS that the bench measures with: takes Kinesis' PutRecords over plain HTTP/1.1, answers
 * each call after a fixed time, counts. It must never be the limit, so it looks at nothing but the number
 * of each record, which the bench's load puts behind `{"source_request_id":"`, twelve digits. One thread,
 * loopback only. GET /report tells the counts as JSON, GET /reset begins anew, GET /refuse?1 answers every
 * call 503 from then on, GET /refuse?0 none. Usage: receiver PORT ANSWER_MS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096
#define HEAD_MAX 16384
#define IDS_MAX (UINT64_C(1) << 28)
#define RECORDS_MAX 500
#define ENTRY \
    "{\"SequenceNumber\":\"49590338271490256608559692538361571095921575989136588898\"," \
    "\"ShardId\":\"shardId-000000000000\"}"

typedef struct {
    char *data;
    size_t used, room, need; /* need: of the whole request; 0: its head is not there yet */
    size_t head;             /* bytes of the head */
    int64_t due_us;          /* when it is to be answered; 0: nothing to answer */
    unsigned records;        /* of the call to be answered */
    bool is_call;
    int next; /* in the queue of answers */
} client_t;

static client_t *clients[CONNECTIONS_MAX]; /* by descriptor */
static int queue_first = -1, queue_last = -1;
static int64_t answer_us;
static bool refuses;
static uint64_t calls, refused, records, bytes, unique, repeated, unnumbered, calls_full;
static uint8_t *seen;
static char entries[RECORDS_MAX * sizeof ENTRY];

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- counting ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes 21 to 35 of the record: a quotation mark, the digits, two more. */
static void count_number(const char *data, size_t n)
{
    char text[16];
    uint64_t id = 0;

    if (n < 48) {
        unnumbered++;
        return;
    }
    for (int i = 0; i < 5; i++) {
        int v = 0;

        for (int k = 0; k < 4; k++)
            v = v << 6 | base64_value(data[28 + 4 * i + k]);
        text[3 * i] = (char)(v >> 16);
        text[3 * i + 1] = (char)(v >> 8);
        text[3 * i + 2] = (char)v;
    }
    for (int i = 1; i <= 12; i++) {
        if (text[i] < '0' || text[i] > '9') {
            unnumbered++;
            return;
        }
        id = id * 10 + (uint64_t)(text[i] - '0');
    }
    if (id >= IDS_MAX) {
        unnumbered++;
    } else if (seen[id / 8] & 1 << id % 8) {
        repeated++;
    } else {
        seen[id / 8] |= (uint8_t)(1 << id % 8);
        unique++;
    }
}

static unsigned count_records(const char *body, size_t n)
{
    static const char mark[] = "\"Data\":\"";
    const char *p = body, *end = body + n;
    unsigned found = 0;

    while ((p = memmem(p, (size_t)(end - p), mark, sizeof mark - 1)) != NULL) {
        const char *data = p + sizeof mark - 1;
        const char *quote = memchr(data, '"', (size_t)(end - data));

        if (!quote)
            break;
        count_number(data, (size_t)(quote - data));
        bytes += (uint64_t)(quote - data) * 3 / 4;
        found++;
        p = quote;
    }
    return found;
}

/* ---- answering ---- */

static void send_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            usleep(100);
            continue;
        }
        if (sent < 0)
            return;
        text += sent;
        n -= (size_t)sent;
    }
}

static void answer(int fd, const char *status, const char *body, size_t n)
{
    char *text = malloc(n + 256);
    int head = snprintf(text, 256,
                        "HTTP/1.1 %s\r\nContent-Type: application/x-amz-json-1.1\r\n"
                        "x-amzn-RequestId: bench\r\nContent-Length: %zu\r\n\r\n",
                        status, n);

    memcpy(text + head, body, n);
    send_all(fd, text, (size_t)head + n);
    free(text);
}

static void answer_call(int fd, unsigned n)
{
    static const char head[] = "{\"FailedRecordCount\":0,\"Records\":[";
    static const char no[] = "{\"__type\":\"ServiceUnavailable\",\"message\":\"bench\"}";
    static char body[sizeof head + sizeof entries + 2];
    size_t entry = sizeof ENTRY; /* with its comma */
    size_t used = sizeof head - 1;

    if (refuses) {
        answer(fd, "503 Service Unavailable", no, sizeof no - 1);
        return;
    }
    memcpy(body, head, used);
    if (n > RECORDS_MAX)
        n = RECORDS_MAX;
    memcpy(body + used, entries, n * entry);
    used += n > 0 ? n * entry - 1 : 0;
    memcpy(body + used, "]}", 2);
    answer(fd, "200 OK", body, used + 2);
}

static void report(int fd)
{
    char text[512];
    int n = snprintf(
        text, sizeof text,
        "{\"calls\":%llu,\"refused\":%llu,\"records\":%llu,\"bytes\":%llu,\"unique\":%llu,"
        "\"repeated\":%llu,\"unnumbered\":%llu,\"calls_of_400\":%llu}",
        (unsigned long long)calls, (unsigned long long)refused, (unsigned long long)records,
        (unsigned long long)bytes, (unsigned long long)unique, (unsigned long long)repeated,
        (unsigned long long)unnumbered, (unsigned long long)calls_full);

    answer(fd, "200 OK", text, (size_t)n);
}

static void reset(void)
{
    calls = refused = records = bytes = unique = repeated = unnumbered = calls_full = 0;
    free(seen);
    seen = calloc(IDS_MAX / 8, 1); /* untouched pages cost nothing */
    if (!seen)
        fail("calloc");
}

static void serve_control(int fd, const char *line)
{
    if (strncmp(line, "GET /report", 11) == 0) {
        report(fd);
        return;
    }
    if (strncmp(line, "GET /reset", 10) == 0)
        reset();
    else if (strncmp(line, "GET /refuse?", 12) == 0)
        refuses = line[12] == '1';
    answer(fd, "200 OK", "{}", 2);
}

static void enqueue(int fd)
{
    clients[fd]->next = -1;
    if (queue_last >= 0)
        clients[queue_last]->next = fd;
    else
        queue_first = fd;
    queue_last = fd;
}

/* ---- reading ---- */

static size_t content_length(const char *head, size_t n)
{
    const char *p = head, *end = head + n;

    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        p++;
        if ((size_t)(end - p) > 15 && strncasecmp(p, "content-length:", 15) == 0)
            return (size_t)strtoull(p + 15, NULL, 10);
    }
    return 0;
}

static void take_request(int fd, client_t *c)
{
    if (strncmp(c->data, "GET ", 4) == 0) {
        serve_control(fd, c->data);
    } else {
        c->records = 0;
        if (refuses) {
            refused++;
        } else {
            c->records = count_records(c->data + c->head, c->need - c->head);
            records += c->records;
            calls++;
            calls_full += c->records >= 400;
        }
        c->due_us = now_us() + answer_us;
        enqueue(fd);
    }
    memmove(c->data, c->data + c->need, c->used - c->need);
    c->used -= c->need;
    c->need = 0;
}

static void look(int fd, client_t *c)
{
    if (c->need == 0 && c->used > 0) {
        char *end = memmem(c->data, c->used, "\r\n\r\n", 4);

        if (!end)
            return;
        c->head = (size_t)(end - c->data) + 4;
        c->need = c->head + content_length(c->data, c->head);
        if (c->need > c->room) {
            c->room = c->need + HEAD_MAX;
            c->data = realloc(c->data, c->room);
            if (!c->data)
                fail("realloc");
        }
        if (memmem(c->data, c->head, "100-continue", 12))
            send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    if (c->need > 0 && c->used >= c->need)
        take_request(fd, c);
}

static void forget(int fd)
{
    client_t *c = clients[fd];

    /* Its place in the queue stays until its turn. */
    if (c->due_us != 0) {
        int before = -1;

        for (int at = queue_first; at >= 0 && at != fd; at = clients[at]->next)
            before = at;
        if (before >= 0)
            clients[before]->next = c->next;
        else
            queue_first = c->next;
        if (queue_last == fd)
            queue_last = before;
    }
    clients[fd] = NULL;
    free(c->data);
    free(c);
    close(fd);
}

static void receive(int fd)
{
    client_t *c = clients[fd];

    for (;;) {
        ssize_t n = recv(fd, c->data + c->used, c->room - c->used, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            forget(fd);
            return;
        }
        c->used += (size_t)n;
        look(fd, c);
        if (c->used == c->room && c->need == 0)
            fail("a head without an end");
    }
}

static void admit(int listener, int poll)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    if (fd < 0)
        return;
    if (fd >= CONNECTIONS_MAX) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    clients[fd] = calloc(1, sizeof(client_t));
    if (!clients[fd])
        fail("calloc");
    clients[fd]->room = 1024 * 1024;
    clients[fd]->data = malloc(clients[fd]->room);
    if (!clients[fd]->data)
        fail("malloc");
    event.data.fd = fd;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

/* @return milliseconds until the next answer is due, -1: none is */
static int answer_due(void)
{
    while (queue_first >= 0) {
        int fd = queue_first;
        int64_t left_us = clients[fd]->due_us - now_us();

        if (left_us > 0)
            return (int)((left_us + 999) / 1000);
        queue_first = clients[fd]->next;
        if (queue_first < 0)
            queue_last = -1;
        clients[fd]->due_us = 0;
        answer_call(fd, clients[fd]->records);
    }
    return -1;
}

static int listen_at(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1024) != 0)
        fail("listen");
    return fd;
}

int main(int argc, char **argv)
{
    struct epoll_event events[64], event = {.events = EPOLLIN};
    int listener, poll = epoll_create1(EPOLL_CLOEXEC);

    if (argc != 3 || poll < 0) {
        fprintf(stderr, "usage: receiver PORT ANSWER_MS\n");
        return 2;
    }
    for (int i = 0; i < RECORDS_MAX; i++)
        memcpy(entries + (size_t)i * sizeof ENTRY, ENTRY ",", sizeof ENTRY);
    reset();
    answer_us = (int64_t)(strtod(argv[2], NULL) * 1000);
    listener = listen_at((int)strtol(argv[1], NULL, 10));
    event.data.fd = listener;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) != 0)
        fail("epoll_ctl");
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poll, events, 64, answer_due());

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                admit(listener, poll);
            else if (clients[events[i].data.fd])
                receive(events[i].data.fd);
        }
    }
}
