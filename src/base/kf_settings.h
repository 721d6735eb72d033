/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings: structs generated from kf_directives.def, setting one value from its arguments,
 * merging, and defaults. Knows values and syntax, not httpd's contexts nor what belongs together;
 * files are not opened here (src/httpd/kf_check.c does). Configuration time only; afterwards the
 * structs are read by any thread and never written.
 */
#ifndef KF_SETTINGS_H
#define KF_SETTINGS_H

#include <apr_pools.h>
#include <stdint.h>
#include "base/kf_str.h"

typedef enum { KF_SCOPE_CONN, KF_SCOPE_CONN1, KF_SCOPE_SERVER, KF_SCOPE_LOCATION } kf_scope_t;

typedef enum {
    KF_KIND_FLAG,   /* int */
    KF_KIND_TEXT,   /* const char *, NULL: none */
    KF_KIND_SECRET, /* const char *, NULL: none; never printed */
    KF_KIND_LIST,   /* kf_list_t, n == 0: none */
    KF_KIND_TIME,   /* int64_t, microseconds */
    KF_KIND_TIMES,  /* kf_times_t: BASE CAP, BASE <= CAP */
    KF_KIND_SIZE,   /* int64_t, bytes */
    KF_KIND_COUNT,  /* int64_t */
    KF_KIND_CHOICE  /* int: index into the choices of the syntax, in its order */
} kf_kind_t;

/* What the text of a value must look like; the words in kf_directives.def. */
typedef enum {
    KF_CHECK_NONE,
    KF_CHECK_ACCESS_KEY,  /* 1 to 128 of letters, digits, '_' ; or file: / env: */
    KF_CHECK_SECRET,      /* printable without blanks; or file: / env: */
    KF_CHECK_STREAM_NAME, /* 1..128 [a-zA-Z0-9_.-]; 64 for Firehose, checked with the service */
    KF_CHECK_REGION,      /* checked against the partitions, above this layer */
    KF_CHECK_UTF8,
    KF_CHECK_STREAM_ARN, /* arn:aws...:kinesis:REGION:12 digits:stream/NAME */
    KF_CHECK_ENDPOINT,   /* http(s)://host[:port][/], no user, query or fragment */
    KF_CHECK_RUN_FILE,   /* absolute path, readable as the run-as user at start */
    KF_CHECK_ROLE_ARN,
    KF_CHECK_EXTERNAL_ID,
    KF_CHECK_ROLE_SESSION,
    KF_CHECK_PROXY,         /* http://[user:password@]host:port */
    KF_CHECK_PARTITION_KEY, /* auto, mpid, device, random or a member's name */
    KF_CHECK_EXCLUDE_PATH,  /* dotted path, no empty part, not into events */
    KF_CHECK_IDENTITY,      /* known identity name (events layer's list, checked above) */
    KF_CHECK_PERCENT,       /* 1..100 */
    KF_CHECK_STORE_DIR,     /* absolute path, or relative to ServerRoot */
    KF_CHECK_PROGRAM,
    KF_CHECK_CONNECTION, /* 1..64 [A-Za-z0-9._-]; none twice */
    KF_CHECK_ORIGIN,     /* '*' alone, or scheme://host[:port] without path */
    KF_CHECK_SERVICE,
    KF_CHECK_PUT_MODE,
    KF_CHECK_RECORD_FORMAT,
    KF_CHECK_RECORD_DELIMITER,
    KF_CHECK_DURABILITY,
    KF_CHECK_INVALID_BATCH
} kf_check_t;

/* Indexes of the choices. */
enum { KF_SERVICE_STREAMS, KF_SERVICE_FIREHOSE };
enum { KF_PUT_AUTO, KF_PUT_BATCH, KF_PUT_SINGLE };
enum { KF_FORMAT_OUTBOUND, KF_FORMAT_RECEIVED };
enum { KF_DELIMITER_NONE, KF_DELIMITER_NEWLINE };
enum { KF_DURABILITY_DISK, KF_DURABILITY_PROCESS, KF_DURABILITY_MEMORY };
enum { KF_INVALID_REJECT, KF_INVALID_DISCARD };

typedef struct {
    int n;
    const char *const *v; /* n terminated strings, read-only */
} kf_list_t;

typedef struct {
    int64_t base;
    int64_t cap;
} kf_times_t;

/* Struct members by kind. */
#define KF_MEMBER_FLAG(m) int m;
#define KF_MEMBER_TEXT(m) const char *m;
#define KF_MEMBER_SECRET(m) const char *m;
#define KF_MEMBER_LIST(m) kf_list_t m;
#define KF_MEMBER_TIME(m) int64_t m;
#define KF_MEMBER_TIMES(m) kf_times_t m;
#define KF_MEMBER_SIZE(m) int64_t m;
#define KF_MEMBER_COUNT(m) int64_t m;
#define KF_MEMBER_CHOICE(m) int m;

/* One struct a scope; CONN and CONN1 share one. The macros below select rows by scope. */
#define KF_IF_CONN_CONN(x) x
#define KF_IF_CONN_CONN1(x) x
#define KF_IF_CONN_SERVER(x)
#define KF_IF_CONN_LOCATION(x)
#define KF_IF_SERVER_CONN(x)
#define KF_IF_SERVER_CONN1(x)
#define KF_IF_SERVER_SERVER(x) x
#define KF_IF_SERVER_LOCATION(x)
#define KF_IF_LOCATION_CONN(x)
#define KF_IF_LOCATION_CONN1(x)
#define KF_IF_LOCATION_SERVER(x)
#define KF_IF_LOCATION_LOCATION(x) x

/* A connection's settings (sections 3.1 and 3.2 of the design). */
typedef struct {
#define KF_DIRECTIVE(scope, kind, member, name, deflt, min, max, check, syntax, help) \
    KF_IF_CONN_##scope(KF_MEMBER_##kind(member))
#include "base/kf_directives.def"
#undef KF_DIRECTIVE
    /* Of no directive: the account whose endpoint is called; "": no account's; NULL: that of the stream's
     * ARN, if it has one. */
    const char *endpoint_account;
} kf_settings_t;

/* The process's settings. */
typedef struct {
#define KF_DIRECTIVE(scope, kind, member, name, deflt, min, max, check, syntax, help) \
    KF_IF_SERVER_##scope(KF_MEMBER_##kind(member))
#include "base/kf_directives.def"
#undef KF_DIRECTIVE
} kf_process_settings_t;

/* A location's settings. */
typedef struct {
#define KF_DIRECTIVE(scope, kind, member, name, deflt, min, max, check, syntax, help) \
    KF_IF_LOCATION_##scope(KF_MEMBER_##kind(member))
#include "base/kf_directives.def"
#undef KF_DIRECTIVE
} kf_location_settings_t;

/* One row of the list. */
typedef struct {
    const char *name;
    kf_scope_t scope;
    kf_kind_t kind;
    size_t offset; /* of the member in its scope's struct */
    const char *deflt;
    int64_t min, max;
    kf_check_t check;
    const char *syntax;
    const char *help;
} kf_directive_t;

extern const kf_directive_t kf_directives[];
extern const int kf_directive_count;

/** The row of a directive by its name, any case; NULL if there is none. */
const kf_directive_t *kf_directive_find(const char *name);

/** The struct's size of a scope. */
size_t kf_scope_size(kf_scope_t scope);

/** A settings struct of the scope with everything unset (a state of its own: no value, no default). */
void *kf_settings_create(apr_pool_t *pool, kf_scope_t scope);

/**
 * Sets one directive from its arguments: count, syntax, range, and the look that `check` asks for as
 * far as this layer knows (regions, identities and files are checked above).
 * `none` (any case) for TEXT, SECRET and LIST means "no value", which replaces an inherited one; a
 * row with another default (KinesisRegion, ...) refuses it. In a LIST it stands alone. Words are
 * taken in any case and kept in lower case (KinesisPartitionKey's too).
 * @param settings  of the row's scope
 * @return NULL, or an error of pool naming the directive, the value (never a SECRET's) and what is
 *         allowed; nor is the value of a URL with user and password shown
 */
const char *kf_setting_set(apr_pool_t *pool, void *settings, const kf_directive_t *d, int argc,
                           const char *const *argv);

/** Whether the directive has been given a value (`none` included). */
bool kf_setting_is_set(const void *settings, const kf_directive_t *d);

/** A new struct: what `over` sets, else what `base` sets. Lists are replaced, not extended. */
void *kf_settings_merge(apr_pool_t *pool, kf_scope_t scope, const void *base, const void *over);

/**
 * A new struct with every unset member at its default and `none` turned into NULL or an empty list:
 * the only form that other layers may read. KinesisStoreShare stays 0 when unset, its default depends
 * on the number of connections.
 */
void *kf_settings_finish(apr_pool_t *pool, kf_scope_t scope, const void *settings);

#endif
