/* SPDX-License-Identifier: Apache-2.0
 *
 * Many HTTP transfers at once on one thread: a table of functions, of which libcurl's multi interface is
 * one implementation and a test's fake another. Knows no AWS beyond the few header names it keeps.
 * Each kf_http_t belongs to one thread, but for wake(), which any thread may call.
 */
#ifndef KF_HTTP_H
#define KF_HTTP_H

#include <stdint.h>
#include "base/kf_buf.h"

typedef enum {
    KF_HTTP_REPLIED,  /* status, headers and the whole body are there */
    KF_HTTP_NOT_SENT, /* name, connect, proxy or TLS failed: nothing reached the service */
    KF_HTTP_LOST,     /* reset, time-out, cut short, too long a reply: the outcome is unknown */
    KF_HTTP_ABORTED   /* by abort_all */
} kf_http_outcome_t;

#define KF_HTTP_HEADERS_MAX 12

/* Copied by start; everything it points to must stay until done is called. */
typedef struct {
    const char *url;
    const char *method;                       /* "POST", "GET", "PUT" */
    const char *headers[KF_HTTP_HEADERS_MAX]; /* "Name: value" */
    int header_count;
    kf_str_t body;
    const char *ca_file; /* or NULL: the system's */
    const char *proxy;   /* or NULL: none, the environment's neither */
    int64_t connect_us;  /* time-outs: connecting, */
    int64_t stall_us;    /* no byte moving, */
    int64_t total_us;    /* the whole transfer */
    size_t reply_max;    /* longest body taken */
    bool is_secret;      /* the reply is wiped afterwards; 64 KiB are set aside for it at once */
} kf_http_request_t;

typedef struct {
    kf_http_outcome_t outcome;
    int status;             /* REPLIED */
    kf_str_t body;          /* REPLIED */
    char request_id[80];    /* x-amzn-RequestId, printable part; "" if absent */
    char error_type[128];   /* x-amzn-ErrorType; "" */
    int64_t date_us;        /* Date as wall clock; 0 if absent, unreadable, or Age is present */
    int64_t retry_after_us; /* x-amz-retry-after (ms) or Retry-After (seconds or date); -1 */
    int64_t took_us;
    bool timed_out;  /* NOT_SENT, LOST: by one of the request's time-outs */
    char error[200]; /* other outcomes: what failed, for the operator */
} kf_http_reply_t;

/** Runs on the thread that polls. reply is valid during the call only. May start further transfers. */
typedef void kf_http_done_fn(void *context, const kf_http_reply_t *reply);

typedef struct kf_http_t kf_http_t;
typedef struct {
    /** Begins a transfer. @return false when out of memory; done is then never called */
    bool (*start)(kf_http_t *http, const kf_http_request_t *request, kf_http_done_fn *done,
                  void *context);
    /** Moves transfers, calls done for those that ended; waits at most timeout_us, or until woken. */
    void (*poll)(kf_http_t *http, int64_t timeout_us);
    /** Makes a poll that is waiting, or the next one, return soon. Any thread. */
    void (*wake)(kf_http_t *http);
    /** Ends every transfer; done is called for each, with KF_HTTP_ABORTED unless its reply has come already.
     * @blocks a fifth of a second at most */
    void (*abort_all)(kf_http_t *http);
    /** Frees all. Transfers that still run end without done being called: abort_all comes first. */
    void (*destroy)(kf_http_t *http);
} kf_http_ops_t;

/* Implementations begin with this. */
struct kf_http_t {
    const kf_http_ops_t *ops;
};

/** Makes one: real or fake. @return NULL when it cannot be */
typedef kf_http_t *kf_http_factory_fn(void *context);

/* How long libcurl remembers, in whole seconds. */
typedef struct {
    long idle_s; /* a connection unused for longer is not used again: the other side may be about
                      * to close it */
    long lifetime_s; /* nor one that is older, so that what the name service says now is followed;
                      * with libcurl 7.80 or newer, older ones know the limit of idle time only */
    long names_s;    /* what the name service said */
} kf_http_curl_ages_t;

/**
 * libcurl: HTTP/1.1 keep-alive, TLS 1.2 or newer, certificate and name always verified, http and https
 * only, no redirects, cookies, netrc or signals, no environment proxies, no Expect header. Of a name's
 * addresses new connections take any, and the next where one does not answer. Needs a process that
 * ignores SIGPIPE, as httpd does. Giving up on a name that is being resolved does not block with libcurl
 * 7.87 or newer; the resolver's thread then outlives the transfer.
 *
 * Not HTTP/2: AWS' own producers use many HTTP/1.1 connections (KPL) or one HTTP/2 stream a connection
 * (SDK for JavaScript 3, Oct 2026), a large call would hold up the others on its connection, and one
 * reset would lose them all.
 * @param ages  const kf_http_curl_ages_t *, copied; NULL: the usual ones
 */
kf_http_t *kf_http_curl_create(void *ages);

/** curl_global_init and its checks, once in a child before threads; @return false and *error */
bool kf_http_curl_setup(const char **error);
void kf_http_curl_cleanup(void);

#endif
