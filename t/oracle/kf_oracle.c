/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers questions about signatures and endpoints, so that t/oracle can compare the answers with
 * botocore's. With an argument it reads a JSON array of questions from standard input and writes the
 * array of answers; without one it is a test that asks itself a single question.
 */
#include <apr_general.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "aws/kf_endpoint.h"
#include "aws/kf_region.h"
#include "aws/kf_sigv4.h"
#include "aws/kf_target.h"

#define HEADERS_MAX 32

static const char *text_of(json_t *question, const char *name)
{
    return json_string_value(json_object_get(question, name));
}

static kf_str_t str_of(json_t *value)
{
    return (kf_str_t){json_string_value(value), json_string_length(value)};
}

static json_t *json_of(const kf_buf_t *b)
{
    return json_stringn(b->p ? b->p : "", b->n);
}

static json_t *sign(json_t *q)
{
    kf_sigv4_keys_t keys = {text_of(q, "id"), text_of(q, "secret"), text_of(q, "token")};
    json_t *pairs = json_object_get(q, "headers");
    kf_sigv4_header_t headers[HEADERS_MAX];
    kf_sigv4_cache_t cache = {.valid = false};
    kf_sigv4_request_t request = {
        .method = text_of(q, "method"),
        .path = str_of(json_object_get(q, "path")),
        .query = str_of(json_object_get(q, "query")),
        .headers = headers,
        .header_count = (int)json_array_size(pairs),
        .body = str_of(json_object_get(q, "body")),
        .normalize_path = true,
    };
    kf_buf_t out[3];
    json_t *answer;

    for (int i = 0; i < request.header_count && i < HEADERS_MAX; i++) {
        json_t *pair = json_array_get(pairs, (size_t)i);

        headers[i] =
            (kf_sigv4_header_t){str_of(json_array_get(pair, 0)), str_of(json_array_get(pair, 1))};
    }
    for (int i = 0; i < 3; i++)
        kf_buf_init(&out[i], SIZE_MAX);
    if (!kf_sigv4_sign(&cache, &keys, text_of(q, "region"), text_of(q, "service"),
                       text_of(q, "date"), &request, &out[0], &out[1], &out[2]))
        return json_pack("{s:s}", "error", "signing failed");
    answer = json_pack("{s:o, s:o, s:o}", "authorization", json_of(&out[0]), "canonical",
                       json_of(&out[1]), "to_sign", json_of(&out[2]));
    for (int i = 0; i < 3; i++)
        kf_buf_free(&out[i]);
    return answer;
}

static json_t *endpoint(json_t *q)
{
    kf_settings_t settings = {
        .service = strcmp(text_of(q, "service"), "kinesis") == 0 ? KF_SERVICE_STREAMS
                                                                 : KF_SERVICE_FIREHOSE,
        .region = text_of(q, "region"),
        .stream_name = text_of(q, "arn") ? NULL : "stream",
        .stream_arn = text_of(q, "arn"),
        .use_fips = json_is_true(json_object_get(q, "fips")),
        .use_dual_stack = json_is_true(json_object_get(q, "dual_stack")),
    };
    const char *error = NULL;
    const kf_target_t *target;
    apr_pool_t *pool;
    json_t *answer;

    apr_pool_create(&pool, NULL);
    target = kf_target_resolve(pool, &settings, &error);
    answer = target ? json_pack("{s:s, s:s}", "url", target->url, "host", target->host)
                    : json_pack("{s:s}", "error", error);
    apr_pool_destroy(pool);
    return answer;
}

/* The endpoint of a service without streams. */
static json_t *host(json_t *q)
{
    apr_pool_t *pool;
    const char *found;
    json_t *answer;

    apr_pool_create(&pool, NULL);
    found = kf_endpoint_host(
        pool, text_of(q, "service"), text_of(q, "region"), json_is_true(json_object_get(q, "fips")),
        json_is_true(json_object_get(q, "dual_stack")), str_of(json_object_get(q, "account")));
    answer = found ? json_pack("{s:s}", "host", found) : json_pack("{s:n}", "host");
    apr_pool_destroy(pool);
    return answer;
}

static json_t *partition(json_t *q)
{
    const kf_partition_t *p = kf_region_partition(str_of(json_object_get(q, "region")));

    if (!p)
        return json_pack("{s:n}", "id");
    return json_pack("{s:s, s:s, s:s}", "id", p->id, "dns", p->dns_suffix, "dual_stack",
                     p->dual_stack_suffix);
}

static json_t *answer_of(json_t *question)
{
    const char *what = text_of(question, "ask");

    if (strcmp(what, "sign") == 0)
        return sign(question);
    if (strcmp(what, "endpoint") == 0)
        return endpoint(question);
    if (strcmp(what, "host") == 0)
        return host(question);
    return partition(question);
}

static int serve(void)
{
    json_error_t error;
    json_t *questions = json_loadf(stdin, JSON_ALLOW_NUL, &error);
    json_t *answers = json_array();
    json_t *question;
    size_t i;

    if (!questions) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    json_array_foreach(questions, i, question) json_array_append_new(answers, answer_of(question));
    json_dumpf(answers, stdout, JSON_COMPACT);
    json_decref(answers);
    json_decref(questions);
    return 0;
}

static int ask_itself(void)
{
    json_t *question = json_pack("{s:s, s:s}", "ask", "partition", "region", "cn-north-1");
    json_t *answer = answer_of(question);
    const char *id = text_of(answer, "id");

    printf("1..1\n%s 1 - answers a question\n", id && strcmp(id, "aws-cn") == 0 ? "ok" : "not ok");
    json_decref(answer);
    json_decref(question);
    return 0;
}

int main(int argc, char **argv)
{
    int status;

    (void)argv;
    apr_initialize();
    status = argc > 1 ? serve() : ask_itself();
    apr_terminate();
    return status;
}
