/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies of an endpoint that may be anything: status, headers and body into kf_call_read and
 * kf_describe_read.
 *
 * An input is one byte for operation and service, one for the number of entries, three digits of the
 * status, then header lines up to an empty line, then the body.
 */
#include <apr_general.h>
#include <stdint.h>
#include <stdlib.h>
#include "aws/kf_call.h"
#include "aws/kf_http_head.h"

static const kf_target_t *targets[2];

static void make_targets(void)
{
    apr_pool_t *pool;
    const char *error;
    kf_settings_t settings = {.region = "us-east-1", .stream_name = "s"};

    if (targets[0])
        return;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    for (int service = 0; service < 2; service++) {
        settings.service = service;
        targets[service] = kf_target_resolve(pool, &settings, &error);
        if (!targets[service])
            abort();
    }
}

static void check_text(const char *text, size_t size)
{
    if (!memchr(text, '\0', size))
        abort();
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            abort();
    }
}

/* What kf_call.h promises, whatever came. */
static void check(const kf_verdict_t *v, uint32_t count)
{
    check_text(v->code, sizeof v->code);
    check_text(v->message, sizeof v->message);
    check_text(v->request_id, sizeof v->request_id);
    if ((unsigned)v->class >= KF_CLASS_COUNT || v->entry_count != count || v->retry_after_us < -1 ||
        v->bad_entry < -1 || v->bad_entry >= (int64_t)count || kf_class_name(v->class)[0] == 'u')
        abort();
    if (v->outcome_unknown && v->class != KF_CLASS_TRANSIENT)
        abort();
    if (v->bad_entry >= 0 && v->class != KF_CLASS_REFUSED)
        abort();
    if ((v->class == KF_CLASS_OK) != (v->code[0] == '\0'))
        abort();
    for (uint32_t i = 0; v->entries && i < count; i++) {
        check_text(v->entries[i].code, sizeof v->entries[i].code);
        if ((v->entries[i].class == KF_CLASS_OK) != (v->entries[i].code[0] == '\0'))
            abort();
    }
}

static void read_all(kf_op_t op, const kf_target_t *target, uint32_t count,
                     const kf_http_reply_t *reply)
{
    kf_verdict_t v;
    kf_describe_t d;

    if (op == KF_OP_DESCRIBE) {
        if (!kf_describe_read(reply, &v, &d))
            abort();
        check(&v, 0);
        if (v.class == KF_CLASS_OK) {
            check_text(d.status, sizeof d.status);
            check_text(d.type, sizeof d.type);
        }
    } else {
        if (!kf_call_read(target, op, count, reply, &v))
            abort();
        check(&v, count);
        if ((v.class == KF_CLASS_OK) != (v.entries != NULL))
            abort();
    }
    kf_verdict_free(&v);
}

/* Takes the header lines off the front of the text. */
static void read_head(kf_str_t *text, kf_http_reply_t *reply)
{
    kf_http_head_t head;

    kf_http_head_start(&head);
    while (text->n > 0) {
        const char *end = memchr(text->p, '\n', text->n);
        size_t n = end ? (size_t)(end - text->p) + 1 : text->n;
        kf_str_t line = {text->p, n};

        text->p += n;
        text->n -= n;
        if (line.n <= 2)
            break;
        kf_http_head_line(&head, line);
    }
    kf_http_head_finish(&head, INT64_C(1795362330000000), reply);
    if (reply->date_us < 0 || reply->retry_after_us < -1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kf_http_reply_t reply = {.outcome = KF_HTTP_REPLIED};
    kf_str_t text = {(const char *)data + 5, size - 5};
    kf_op_t op;
    uint32_t count;

    if (size < 5)
        return 0;
    make_targets();
    op = (kf_op_t)(data[0] % 3);
    count = op == KF_OP_PUT ? 1 : data[1] % 4u + 1;
    for (int i = 2; i < 5; i++)
        reply.status = reply.status * 10 + data[i] % 10;
    read_head(&text, &reply);
    reply.body = text;
    read_all(op, targets[data[0] / 3 % 2], count, &reply);
    return 0;
}
