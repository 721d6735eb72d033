/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer against AWS's published vectors and those of t/aws_vectors, and its key cache.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include "aws/kf_sigv4.h"

#define HEADERS 16

typedef struct {
    char *text;
    kf_str_t method, path, query, body;
    kf_sigv4_header_t headers[HEADERS];
    int header_count;
} raw_request_t;

static char *folder(void)
{
    static char path[4096];
    const char *data = getenv("KF_TEST_DATA");

    snprintf(path, sizeof path, "%s/aws_vectors", data ? data : "t");
    return path;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 65536);

    if (!f || !text)
        fail_msg("cannot read %s", path);
    (void)!fread(text, 1, 65535, f);
    fclose(f);
    return text;
}

static char *read_part(const char *name, const char *part)
{
    char path[8192];

    snprintf(path, sizeof path, "%s/v4/%s/%s", folder(), name, part);
    return read_file(path);
}

static void add_header(raw_request_t *r, kf_str_t name, kf_str_t value)
{
    assert_true(r->header_count < HEADERS);
    r->headers[r->header_count++] = (kf_sigv4_header_t){name, value};
}

/* The method, path and query of "GET /path?query HTTP/1.1"; the path may hold blanks. */
static char *parse_first_line(raw_request_t *r, char *line)
{
    char *end = strchr(line, '\n');
    char *target = strchr(line, ' ') + 1;
    char *last = end - strlen(" HTTP/1.1");
    char *mark = memchr(target, '?', (size_t)(last - target));

    target[-1] = '\0';
    r->method = kf_str_of(line);
    r->path = (kf_str_t){target, (size_t)((mark ? mark : last) - target)};
    if (mark)
        r->query = (kf_str_t){mark + 1, (size_t)(last - mark - 1)};
    return end + 1;
}

static void parse_request(raw_request_t *r, char *text)
{
    char *line;

    *r = (raw_request_t){.text = text};
    line = parse_first_line(r, text);
    while (*line && *line != '\n') {
        char *end = strchr(line, '\n');
        char *colon = strchr(line, ':');

        if (!end)
            end = line + strlen(line);
        /* A line that begins with a blank goes on with the value of the one before. */
        while (*end && (end[1] == ' ' || end[1] == '\t')) {
            char *next = strchr(end + 1, '\n');
            end = next ? next : end + strlen(end);
        }
        add_header(r, (kf_str_t){line, (size_t)(colon - line)},
                   (kf_str_t){colon + 1, (size_t)(end - colon - 1)});
        line = *end ? end + 1 : end;
    }
    r->body = kf_str_of(*line ? line + 1 : "");
}

static void hex_sha256(kf_str_t text, char out[65])
{
    unsigned char digest[32];

    assert_int_equal(EVP_Digest(text.p, text.n, digest, NULL, EVP_sha256(), NULL), 1);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void assert_text(const char *what, const char *name, const kf_buf_t *got, const char *want)
{
    if (got->n != strlen(want) || memcmp(got->p, want, got->n) != 0)
        fail_msg("%s of %s:\n%.*s\ninstead of\n%s", what, name, (int)got->n, got->p, want);
}

typedef struct {
    kf_buf_t authorization, canonical, to_sign;
} signed_t;

static void signed_init(signed_t *s)
{
    kf_buf_init(&s->authorization, 65536);
    kf_buf_init(&s->canonical, 65536);
    kf_buf_init(&s->to_sign, 65536);
}

static void signed_free(signed_t *s)
{
    kf_buf_free(&s->authorization);
    kf_buf_free(&s->canonical);
    kf_buf_free(&s->to_sign);
}

/* "2015-08-30T12:36:00Z" as X-Amz-Date. */
static void compact_date(const char *timestamp, char out[17])
{
    size_t n = 0;

    for (; *timestamp && n < 16; timestamp++) {
        if (*timestamp != '-' && *timestamp != ':')
            out[n++] = *timestamp;
    }
    out[n] = '\0';
}

static const char *member(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void check_signature(const char *name, const kf_buf_t *authorization, const char *want)
{
    char *text = calloc(1, authorization->n + 1);
    const char *got;

    memcpy(text, authorization->p, authorization->n);
    got = strstr(text, "Signature=");
    assert_non_null(got);
    if (strcmp(got + 10, want) != 0)
        fail_msg("signature of %s: %s instead of %s", name, got + 10, want);
    free(text);
}

static void check_outputs(const char *name, const signed_t *s)
{
    char *canonical = read_part(name, "header-canonical-request.txt");
    char *to_sign = read_part(name, "header-string-to-sign.txt");
    char *signature = read_part(name, "header-signature.txt");

    assert_text("canonical request", name, &s->canonical, canonical);
    assert_text("string to sign", name, &s->to_sign, to_sign);
    check_signature(name, &s->authorization, signature);
    free(canonical);
    free(to_sign);
    free(signature);
}

static void check_case(const char *name)
{
    char *context = read_part(name, "context.json");
    json_t *json = json_loads(context, 0, NULL);
    json_t *credentials = json_object_get(json, "credentials");
    kf_sigv4_keys_t keys = {member(credentials, "access_key_id"),
                            member(credentials, "secret_access_key"), member(credentials, "token")};
    kf_sigv4_cache_t cache = {.valid = false};
    kf_sigv4_request_t request;
    raw_request_t raw;
    signed_t s;
    char date[17];
    char hash[65];

    parse_request(&raw, read_part(name, "request.txt"));
    compact_date(member(json, "timestamp"), date);
    add_header(&raw, KF_STR("X-Amz-Date"), kf_str_of(date));
    if (keys.session_token && !json_is_true(json_object_get(json, "omit_session_token")))
        add_header(&raw, KF_STR("X-Amz-Security-Token"), kf_str_of(keys.session_token));
    if (json_is_true(json_object_get(json, "sign_body"))) {
        hex_sha256(raw.body, hash);
        add_header(&raw, KF_STR("x-amz-content-sha256"), kf_str_of(hash));
    }
    request = (kf_sigv4_request_t){raw.method.p,
                                   raw.path,
                                   raw.query,
                                   raw.headers,
                                   raw.header_count,
                                   raw.body,
                                   json_is_true(json_object_get(json, "normalize"))};
    signed_init(&s);
    assert_true(kf_sigv4_sign(&cache, &keys, member(json, "region"), member(json, "service"), date,
                              &request, &s.authorization, &s.canonical, &s.to_sign));
    check_outputs(name, &s);
    signed_free(&s);
    free(raw.text);
    free(context);
    json_decref(json);
}

static void test_published_vectors(void **state)
{
    char path[8192];
    DIR *dir;
    struct dirent *entry;
    int cases = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/v4", folder());
    dir = opendir(path);
    if (!dir)
        fail_msg("cannot open %s", path);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            check_case(entry->d_name);
            cases++;
        }
    }
    closedir(dir);
    assert_int_equal(cases, 38);
}

static void check_own_case(json_t *v)
{
    kf_sigv4_keys_t keys = {member(v, "access_key_id"), member(v, "secret_access_key"),
                            member(v, "session_token")};
    json_t *headers = json_object_get(v, "headers");
    kf_sigv4_cache_t cache = {.valid = false};
    raw_request_t raw = {.path = kf_str_of(member(v, "path")),
                         .body = kf_str_of(member(v, "body"))};
    kf_sigv4_request_t request;
    const char *name;
    json_t *value;
    signed_t s;
    char key[65];

    json_object_foreach(headers, name, value)
        add_header(&raw, kf_str_of(name), kf_str_of(json_string_value(value)));
    add_header(&raw, KF_STR("Host"), kf_str_of(member(v, "host")));
    add_header(&raw, KF_STR("X-Amz-Date"), kf_str_of(member(v, "amz_date")));
    if (keys.session_token)
        add_header(&raw, KF_STR("X-Amz-Security-Token"), kf_str_of(keys.session_token));
    request = (kf_sigv4_request_t){member(v, "method"), raw.path, raw.query, raw.headers,
                                   raw.header_count,    raw.body, true};
    signed_init(&s);
    assert_true(kf_sigv4_sign(&cache, &keys, member(v, "region"), member(v, "service"),
                              member(v, "amz_date"), &request, &s.authorization, &s.canonical,
                              &s.to_sign));
    assert_text("canonical request", member(v, "name"), &s.canonical,
                member(v, "canonical_request"));
    assert_text("string to sign", member(v, "name"), &s.to_sign, member(v, "string_to_sign"));
    assert_text("authorization", member(v, "name"), &s.authorization, member(v, "authorization"));
    for (int i = 0; i < 32; i++)
        snprintf(key + 2 * i, 3, "%02x", cache.key[i]);
    assert_string_equal(key, member(v, "signing_key_hex"));
    signed_free(&s);
}

static void test_own_vectors(void **state)
{
    char path[8192];
    char *text;
    json_t *json;
    json_t *v;
    size_t i;

    (void)state;
    snprintf(path, sizeof path, "%s/kinesis-firehose-vectors.json", folder());
    text = read_file(path);
    json = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "vectors")), 6);
    json_array_foreach(json_object_get(json, "vectors"), i, v) check_own_case(v);
    json_decref(json);
    free(text);
}

/* The signature of a fixed request. */
static void sign_with(kf_sigv4_cache_t *cache, const char *secret, const char *region,
                      const char *service, const char *date, char out[65])
{
    kf_sigv4_keys_t keys = {"AKIDEXAMPLE", secret, NULL};
    kf_sigv4_header_t header = {KF_STR("Host"), KF_STR("example.amazonaws.com")};
    kf_sigv4_request_t request = {
        .method = "POST", .path = KF_STR("/"), .headers = &header, .header_count = 1};
    kf_buf_t authorization;

    kf_buf_init(&authorization, 4096);
    assert_true(
        kf_sigv4_sign(cache, &keys, region, service, date, &request, &authorization, NULL, NULL));
    memcpy(out, authorization.p + authorization.n - 64, 64);
    out[64] = '\0';
    kf_buf_free(&authorization);
}

static void test_cache_follows_its_inputs(void **state)
{
    static const char *const inputs[][4] = {
        {"secret", "us-east-1", "kinesis", "20261122T154530Z"},
        {"secret", "us-east-1", "kinesis", "20261122T235959Z"},
        {"secret", "us-east-1", "kinesis", "20261123T000000Z"},
        {"secret", "us-east-1", "firehose", "20261123T000000Z"},
        {"secret", "us-east-2", "firehose", "20261123T000000Z"},
        {"secre", "us-east-2", "firehose", "20261123T000000Z"},
        {"secret", "us-east-1", "kinesis", "20261122T154530Z"},
    };
    kf_sigv4_cache_t cache = {.valid = false};
    char before[65] = "";

    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        kf_sigv4_cache_t fresh = {.valid = false};
        char cached[65];
        char derived[65];

        sign_with(&cache, inputs[i][0], inputs[i][1], inputs[i][2], inputs[i][3], cached);
        sign_with(&fresh, inputs[i][0], inputs[i][1], inputs[i][2], inputs[i][3], derived);
        assert_string_equal(cached, derived);
        assert_string_not_equal(cached, before);
        memcpy(before, cached, sizeof before);
    }
}

static void test_cached_key_is_used(void **state)
{
    kf_sigv4_cache_t cache = {.valid = false};
    char first[65];
    char second[65];

    (void)state;
    sign_with(&cache, "secret", "us-east-1", "kinesis", "20261122T154530Z", first);
    /* A key put in by hand shows whether it is derived again. */
    memset(cache.key, 7, sizeof cache.key);
    sign_with(&cache, "secret", "us-east-1", "kinesis", "20261122T154530Z", second);
    assert_string_not_equal(first, second);
    kf_sigv4_forget(&cache);
    assert_false(cache.valid);
    for (size_t i = 0; i < sizeof cache.key; i++)
        assert_int_equal(cache.key[i], 0);
    sign_with(&cache, "secret", "us-east-1", "kinesis", "20261122T154530Z", second);
    assert_string_equal(first, second);
}

static void test_dates(void **state)
{
    char out[17];

    (void)state;
    kf_sigv4_date(0, out);
    assert_string_equal(out, "19700101T000000Z");
    kf_sigv4_date(INT64_C(1795362330) * 1000000 + 999999, out);
    assert_string_equal(out, "20261122T154530Z");
    kf_sigv4_date(-1, out);
    assert_string_equal(out, "19691231T235959Z");
    kf_sigv4_date(INT64_MAX, out);
    assert_int_equal(strlen(out), 16);
    kf_sigv4_date(INT64_MIN, out);
    assert_int_equal(strlen(out), 16);
}

static void test_too_many_headers(void **state)
{
    kf_sigv4_header_t headers[KF_SIGV4_HEADERS_MAX + 1];
    kf_sigv4_keys_t keys = {"A", "S", NULL};
    kf_sigv4_cache_t cache = {.valid = false};
    kf_sigv4_request_t request = {.method = "GET", .path = KF_STR("/"), .headers = headers};

    (void)state;
    for (int i = 0; i <= KF_SIGV4_HEADERS_MAX; i++)
        headers[i] = (kf_sigv4_header_t){KF_STR("a"), KF_STR("b")};
    request.header_count = KF_SIGV4_HEADERS_MAX;
    assert_true(
        kf_sigv4_sign(&cache, &keys, "r", "s", "20261122T154530Z", &request, NULL, NULL, NULL));
    request.header_count++;
    assert_false(
        kf_sigv4_sign(&cache, &keys, "r", "s", "20261122T154530Z", &request, NULL, NULL, NULL));
}

static void test_output_without_room(void **state)
{
    kf_sigv4_keys_t keys = {"A", "S", NULL};
    kf_sigv4_cache_t cache = {.valid = false};
    kf_sigv4_request_t request = {.method = "GET", .path = KF_STR("/")};
    kf_buf_t small;

    (void)state;
    kf_buf_init(&small, 8);
    assert_false(
        kf_sigv4_sign(&cache, &keys, "r", "s", "20261122T154530Z", &request, &small, NULL, NULL));
    kf_buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_own_vectors),
        cmocka_unit_test(test_cache_follows_its_inputs),
        cmocka_unit_test(test_cached_key_is_used),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_too_many_headers),
        cmocka_unit_test(test_output_without_room),
    };

    return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
