/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4 of kf_sigv4.h, on OpenSSL's EVP. Must not know services, calls or clocks.
 * A cache belongs to one thread at a time; nothing else is shared.
 *
 * Source: "Signature Version 4 signing process" of the AWS General Reference, and awslabs' published
 * test vectors (aws-c-auth 495329c, Aug 2026) where its words leave a choice.
 */
#include "aws/kf_sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <time.h>

#define DIGEST 32
/* Paths, queries and headers of a request: far beyond any server's limit. */
#define CANONICAL_MAX ((size_t)1 << 20)

typedef struct {
    const char *date; /* 8 digits used */
    const char *region;
    const char *service;
} scope_t;

void kf_sigv4_forget(kf_sigv4_cache_t *cache)
{
    OPENSSL_cleanse(cache, sizeof *cache);
    cache->valid = false;
}

void kf_sigv4_date(int64_t wall_us, char out[17])
{
    time_t seconds = (time_t)(wall_us / 1000000 - (wall_us % 1000000 < 0));
    struct tm t;

    if (!gmtime_r(&seconds, &t) || strftime(out, 17, "%Y%m%dT%H%M%SZ", &t) != 16)
        memcpy(out, "19700101T000000Z", 17);
}

static bool sha256(const void *p, size_t n, unsigned char out[DIGEST])
{
    return EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) == 1;
}

static bool hmac(const void *key, size_t key_n, const void *p, size_t n, unsigned char out[DIGEST])
{
    return HMAC(EVP_sha256(), key, (int)key_n, p, n, out, NULL) != NULL;
}

static void put_hex(kf_buf_t *b, const unsigned char digest[DIGEST])
{
    static const char digits[] = "0123456789abcdef";
    char hex[2 * DIGEST];

    for (int i = 0; i < DIGEST; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    kf_buf_put(b, hex, sizeof hex);
}

/* ------------------------------------------------------------ the canonical request */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void put_encoded(kf_buf_t *b, kf_str_t text, const char *kept)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (is_unreserved(c) || (c && strchr(kept, c)))
            kf_buf_putc(b, (char)c);
        else
            kf_buf_put(b, (char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}

/* The path without empty, "." and ".." segments. */
static void put_normalized(kf_buf_t *b, kf_str_t path)
{
    size_t start = b->n;
    size_t i = 0;

    while (i < path.n) {
        const char *slash = memchr(path.p + i, '/', path.n - i);
        size_t end = slash ? (size_t)(slash - path.p) : path.n;
        kf_str_t segment = {path.p + i, end - i};

        if (kf_str_eq(segment, KF_STR(".."))) {
            while (b->n > start && b->p[--b->n] != '/')
                continue;
        } else if (segment.n > 0 && !kf_str_eq(segment, KF_STR("."))) {
            kf_buf_putc(b, '/');
            kf_buf_put_str(b, segment);
        }
        i = end + 1;
    }
    if (b->n == start || path.p[path.n - 1] == '/')
        kf_buf_putc(b, '/');
}

static void put_path(kf_buf_t *b, const kf_sigv4_request_t *request)
{
    kf_buf_t normal;

    if (request->path.n == 0) {
        kf_buf_putc(b, '/');
        return;
    }
    if (!request->normalize_path) {
        /* A percent sign stays: this form signs the path as it is on the wire. */
        put_encoded(b, request->path, "/%");
        return;
    }
    kf_buf_init(&normal, CANONICAL_MAX);
    put_normalized(&normal, request->path);
    if (normal.failed)
        b->failed = true;
    else
        put_encoded(b, kf_buf_str(&normal), "/");
    kf_buf_free(&normal);
}

/* One parameter, encoded, as spans of a scratch buffer. */
typedef struct {
    const char *base;
    size_t name, name_n, value, value_n;
} parameter_t;

static int compare(const char *a, size_t a_n, const char *b, size_t b_n)
{
    size_t n = a_n < b_n ? a_n : b_n;
    int order = n ? memcmp(a, b, n) : 0;

    return order ? order : (a_n > b_n) - (a_n < b_n);
}

static int by_name_then_value(const void *left, const void *right)
{
    const parameter_t *a = left;
    const parameter_t *b = right;
    int order = compare(a->base + a->name, a->name_n, b->base + b->name, b->name_n);

    return order ? order : compare(a->base + a->value, a->value_n, b->base + b->value, b->value_n);
}

/* Cuts the query at its ampersands. @return how many parameters there are */
static size_t split_query(kf_str_t query, kf_buf_t *scratch, parameter_t *out)
{
    size_t count = 0;

    for (size_t i = 0; i <= query.n;) {
        const char *mark = memchr(query.p + i, '&', query.n - i);
        size_t end = mark ? (size_t)(mark - query.p) : query.n;
        const char *equals = memchr(query.p + i, '=', end - i);
        size_t name_end = equals ? (size_t)(equals - query.p) : end;
        parameter_t *p = &out[count];

        if (end > i) {
            p->name = scratch->n;
            put_encoded(scratch, (kf_str_t){query.p + i, name_end - i}, "%");
            p->value = scratch->n;
            p->name_n = p->value - p->name;
            if (equals)
                put_encoded(scratch, (kf_str_t){equals + 1, end - name_end - 1}, "%");
            p->value_n = scratch->n - p->value;
            count++;
        }
        i = end + 1;
    }
    return count;
}

static void put_query(kf_buf_t *b, kf_str_t query)
{
    kf_buf_t scratch;
    parameter_t *parameters;
    size_t count = 1;

    if (query.n == 0)
        return;
    for (size_t i = 0; i < query.n; i++)
        count += query.p[i] == '&';
    kf_buf_init(&scratch, CANONICAL_MAX);
    parameters = calloc(count, sizeof *parameters);
    if (!parameters) {
        b->failed = true;
        return;
    }
    count = split_query(query, &scratch, parameters);
    if (scratch.failed) {
        b->failed = true;
        count = 0;
    }
    for (size_t i = 0; i < count; i++)
        parameters[i].base = scratch.p;
    qsort(parameters, count, sizeof *parameters, by_name_then_value);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            kf_buf_putc(b, '&');
        kf_buf_put(b, scratch.p + parameters[i].name, parameters[i].name_n);
        kf_buf_putc(b, '=');
        kf_buf_put(b, scratch.p + parameters[i].value, parameters[i].value_n);
    }
    free(parameters);
    kf_buf_free(&scratch);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static int compare_names(kf_str_t a, kf_str_t b)
{
    size_t n = a.n < b.n ? a.n : b.n;

    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)lower(a.p[i]);
        unsigned char y = (unsigned char)lower(b.p[i]);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a.n > b.n) - (a.n < b.n);
}

/* Order of the headers, by name; those of one name stay in the order they came in. */
static void sort_headers(const kf_sigv4_request_t *request, unsigned char *order)
{
    for (int i = 0; i < request->header_count; i++) {
        int at = i;

        while (at > 0 &&
               compare_names(request->headers[order[at - 1]].name, request->headers[i].name) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = (unsigned char)i;
    }
}

static void put_lower(kf_buf_t *b, kf_str_t name)
{
    for (size_t i = 0; i < name.n; i++)
        kf_buf_putc(b, lower(name.p[i]));
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Trimmed, with one space for each run of blanks inside. */
static void put_value(kf_buf_t *b, kf_str_t value)
{
    size_t start = b->n;

    for (size_t i = 0; i < value.n; i++) {
        if (!is_blank(value.p[i]))
            kf_buf_putc(b, value.p[i]);
        else if (b->n > start && i + 1 < value.n && !is_blank(value.p[i + 1]))
            kf_buf_putc(b, ' ');
    }
}

/* The lines of the headers, and the list of their names. */
static void put_headers(kf_buf_t *b, kf_buf_t *names, const kf_sigv4_request_t *request)
{
    unsigned char order[KF_SIGV4_HEADERS_MAX];

    sort_headers(request, order);
    for (int i = 0; i < request->header_count; i++) {
        const kf_sigv4_header_t *h = &request->headers[order[i]];
        bool again = i > 0 && compare_names(request->headers[order[i - 1]].name, h->name) == 0;

        if (again) {
            kf_buf_putc(b, ',');
        } else {
            if (i > 0) {
                kf_buf_putc(b, '\n');
                kf_buf_putc(names, ';');
            }
            put_lower(names, h->name);
            put_lower(b, h->name);
            kf_buf_putc(b, ':');
        }
        put_value(b, h->value);
    }
    if (request->header_count > 0)
        kf_buf_putc(b, '\n');
}

static bool put_canonical(kf_buf_t *b, kf_buf_t *names, const kf_sigv4_request_t *request)
{
    unsigned char digest[DIGEST];

    if (!sha256(request->body.p, request->body.n, digest))
        return false;
    kf_buf_put_str(b, kf_str_of(request->method));
    kf_buf_putc(b, '\n');
    put_path(b, request);
    kf_buf_putc(b, '\n');
    put_query(b, request->query);
    kf_buf_putc(b, '\n');
    put_headers(b, names, request);
    kf_buf_putc(b, '\n');
    kf_buf_put_str(b, kf_buf_str(names));
    kf_buf_putc(b, '\n');
    put_hex(b, digest);
    return !b->failed && !names->failed;
}

/* ------------------------------------------------------------ key and signature */

static void put_scope(kf_buf_t *b, const scope_t *scope)
{
    kf_buf_put(b, scope->date, 8);
    kf_buf_putc(b, '/');
    kf_buf_put_str(b, kf_str_of(scope->region));
    kf_buf_putc(b, '/');
    kf_buf_put_str(b, kf_str_of(scope->service));
    kf_buf_put_str(b, KF_STR("/aws4_request"));
}

static bool derive(kf_sigv4_cache_t *cache, kf_str_t start, const scope_t *scope)
{
    unsigned char *k = cache->key;

    return hmac(start.p, start.n, scope->date, 8, k) &&
           hmac(k, DIGEST, scope->region, strlen(scope->region), k) &&
           hmac(k, DIGEST, scope->service, strlen(scope->service), k) &&
           hmac(k, DIGEST, "aws4_request", 12, k);
}

/* Has the cache hold the key of secret and scope, known by a digest of both. */
static bool find_key(kf_sigv4_cache_t *cache, const char *secret, const scope_t *scope)
{
    size_t secret_n = strlen(secret);
    size_t region_n = strlen(scope->region);
    size_t service_n = strlen(scope->service);
    unsigned char id[DIGEST];
    kf_buf_t text;
    bool ok;

    /* "AWS4", secret, terminator, date, region, terminator, service: room for all at once, so that
     * no copy of the secret is left behind by growing. */
    kf_buf_init(&text, 4 + secret_n + 1 + 8 + region_n + 1 + service_n);
    if (!kf_buf_room(&text, text.max))
        return false;
    kf_buf_put(&text, "AWS4", 4);
    kf_buf_put(&text, secret, secret_n + 1);
    kf_buf_put(&text, scope->date, 8);
    kf_buf_put(&text, scope->region, region_n + 1);
    kf_buf_put(&text, scope->service, service_n);
    ok = sha256(text.p, text.n, id);
    if (ok && !(cache->valid && CRYPTO_memcmp(cache->id, id, sizeof id) == 0)) {
        ok = derive(cache, (kf_str_t){text.p, 4 + secret_n}, scope);
        memcpy(cache->id, id, sizeof id);
        cache->valid = ok;
    }
    OPENSSL_cleanse(text.p, text.n);
    kf_buf_free(&text);
    return ok;
}

static bool put_to_sign(kf_buf_t *b, const char *amz_date, const scope_t *scope, kf_str_t canonical)
{
    unsigned char digest[DIGEST];

    if (!sha256(canonical.p, canonical.n, digest))
        return false;
    kf_buf_put_str(b, KF_STR("AWS4-HMAC-SHA256\n"));
    kf_buf_put(b, amz_date, 16);
    kf_buf_putc(b, '\n');
    put_scope(b, scope);
    kf_buf_putc(b, '\n');
    put_hex(b, digest);
    return !b->failed;
}

static void put_authorization(kf_buf_t *b, const char *access_key_id, const scope_t *scope,
                              kf_str_t names, const unsigned char signature[DIGEST])
{
    kf_buf_put_str(b, KF_STR("AWS4-HMAC-SHA256 Credential="));
    kf_buf_put_str(b, kf_str_of(access_key_id));
    kf_buf_putc(b, '/');
    put_scope(b, scope);
    kf_buf_put_str(b, KF_STR(", SignedHeaders="));
    kf_buf_put_str(b, names);
    kf_buf_put_str(b, KF_STR(", Signature="));
    put_hex(b, signature);
}

/* What is made on the way to the signature. */
typedef struct {
    kf_buf_t canonical, names, to_sign;
} parts_t;

static void parts_free(parts_t *parts)
{
    /* The canonical request holds the session token. */
    if (parts->canonical.p)
        OPENSSL_cleanse(parts->canonical.p, parts->canonical.n);
    kf_buf_free(&parts->canonical);
    kf_buf_free(&parts->names);
    kf_buf_free(&parts->to_sign);
}

static bool append(kf_buf_t *to, const kf_buf_t *from)
{
    if (to)
        kf_buf_put_str(to, kf_buf_str(from));
    return !to || !to->failed;
}

bool kf_sigv4_sign(kf_sigv4_cache_t *cache, const kf_sigv4_keys_t *keys, const char *region,
                   const char *service, const char amz_date[17], const kf_sigv4_request_t *request,
                   kf_buf_t *authorization, kf_buf_t *canonical, kf_buf_t *to_sign)
{
    scope_t scope = {amz_date, region, service};
    unsigned char signature[DIGEST];
    parts_t parts;
    bool ok;

    if (request->header_count < 0 || request->header_count > KF_SIGV4_HEADERS_MAX)
        return false;
    kf_buf_init(&parts.canonical, CANONICAL_MAX);
    kf_buf_init(&parts.names, CANONICAL_MAX);
    kf_buf_init(&parts.to_sign, CANONICAL_MAX);
    /* Room at once: growing would leave copies of the session token behind. */
    (void)kf_buf_room(&parts.canonical, 4096);
    ok = put_canonical(&parts.canonical, &parts.names, request) &&
         put_to_sign(&parts.to_sign, amz_date, &scope, kf_buf_str(&parts.canonical)) &&
         find_key(cache, keys->secret_access_key, &scope) &&
         hmac(cache->key, DIGEST, parts.to_sign.p, parts.to_sign.n, signature) &&
         append(canonical, &parts.canonical) && append(to_sign, &parts.to_sign);
    if (ok && authorization) {
        put_authorization(authorization, keys->access_key_id, &scope, kf_buf_str(&parts.names),
                          signature);
        ok = !authorization->failed;
    }
    parts_free(&parts);
    return ok;
}
