/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiving half of kf_call.h: what a reply means for a call and each of its entries. Must not
 * trust a reply: it may come from anything that answers at an endpoint. No I/O; any thread.
 *
 * Replies are read with the scanner of the events layer: a tree of 500 results costs jansson about
 * 3 microseconds an entry, the scan a twentieth of a microsecond.
 */
#include "aws/kf_call.h"

#include <stdio.h>
#include <stdlib.h>
#include "events/kf_json.h"

/* AWS's own replies nest three deep, DescribeDeliveryStream's less than twenty. */
#define REPLY_DEPTH_MAX 64
#define NOT_FOUND SIZE_MAX

/* ------------------------------------------------------------ text */

/* What can be shown of text: one line of ASCII, cut. */
static void show(kf_str_t text, char *out, size_t size)
{
    size_t n = text.n < size - 1 ? text.n : size - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = text.p[i] >= ' ' && text.p[i] <= '~' ? text.p[i] : '?';
    out[n] = '\0';
}

static size_t find(kf_str_t text, size_t from, size_t to, kf_str_t what)
{
    for (size_t at = from; at + what.n <= to; at++) {
        if (memcmp(text.p + at, what.p, what.n) == 0)
            return at;
    }
    return NOT_FOUND;
}

static size_t find_last(kf_str_t text, size_t from, size_t to, kf_str_t what)
{
    size_t last = NOT_FOUND;
    size_t at = find(text, from, to, what);

    while (at != NOT_FOUND) {
        last = at;
        at = find(text, at + 1, to, what);
    }
    return last;
}

/*
 * Takes the values out of "Value 'x' at 'records.3.member.partitionKey' failed to satisfy constraint":
 * they are the senders' data, which belongs in no log, and could imitate what is looked for in messages.
 */
static void hide_values(kf_buf_t *message)
{
    kf_str_t text = kf_buf_str(message);
    size_t kept = 0;
    size_t at = 0;

    for (;;) {
        size_t value = find(text, at, text.n, KF_STR("Value '"));
        size_t end;
        size_t path;

        if (value == NOT_FOUND)
            break;
        end = find(text, value, text.n, KF_STR("failed to satisfy constraint"));
        if (end == NOT_FOUND)
            end = text.n;
        path = find_last(text, value, end, KF_STR("' at '"));
        value += sizeof "Value" - 1;
        memmove(message->p + kept, text.p + at, value - at);
        kept += value - at;
        at = path == NOT_FOUND ? end : path + 1;
    }
    if (text.n > at)
        memmove(message->p + kept, text.p + at, text.n - at);
    message->n = kept + (text.n - at);
}

/* ------------------------------------------------------------ members */

static uint32_t member_of_type(const kf_json_t *json, uint32_t object, const char *name,
                               kf_json_type_t type)
{
    uint32_t value;

    if (json->v[object].type != KF_JSON_OBJECT)
        return 0;
    value = kf_json_member(json, object, kf_str_of(name));
    return value && json->v[value].type == type ? value : 0;
}

/* Appends the first of the members that is a string and not empty. @return whether there is one */
static bool put_text(const kf_json_t *json, uint32_t object, const char *name, kf_buf_t *out)
{
    uint32_t value = member_of_type(json, object, name, KF_JSON_STRING);

    if (!value || kf_json_inner(json, value).n == 0)
        return false;
    kf_json_unescape(json, value, out);
    return !out->failed;
}

/* "namespace#Code:http://..." is Code. */
static kf_str_t bare_code(kf_str_t text)
{
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    const char *hash;

    if (colon)
        text.n = (size_t)(colon - text.p);
    hash = text.n ? memchr(text.p, '#', text.n) : NULL;
    if (hash) {
        text.n -= (size_t)(hash + 1 - text.p);
        text.p = hash + 1;
    }
    return text;
}

/* ------------------------------------------------------------ errors */

/* "at 'records.3.member.data'" names the third entry. @return its index from 0, or -1 */
static int64_t entry_named(kf_str_t message, uint32_t entry_count)
{
    size_t at = find_last(message, 0, message.n, KF_STR("at 'records."));
    int64_t number = 0;

    if (at == NOT_FOUND)
        return -1;
    at += sizeof "at 'records." - 1;
    for (; at < message.n && message.p[at] >= '0' && message.p[at] <= '9'; at++) {
        number = number * 10 + (message.p[at] - '0');
        if (number > entry_count)
            return -1;
    }
    if (number == 0 || find(message, at, message.n, KF_STR(".member")) != at)
        return -1;
    return number - 1;
}

static void set_error(kf_verdict_t *verdict, kf_str_t code, kf_str_t message, int status)
{
    verdict->class = kf_class_of(code, message, status);
    /* Nobody asks for a dry run, so nothing was written and nobody knows why. */
    if (verdict->class == KF_CLASS_OK)
        verdict->class = KF_CLASS_HOLD;
    verdict->outcome_unknown = verdict->class == KF_CLASS_TRANSIENT;
    show(message, verdict->message, sizeof verdict->message);
    if (code.n > 0)
        show(code, verdict->code, sizeof verdict->code);
    else
        snprintf(verdict->code, sizeof verdict->code, "HTTP %d", status);
    if (verdict->class == KF_CLASS_REFUSED)
        verdict->bad_entry =
            verdict->entry_count == 1 ? 0 : entry_named(message, verdict->entry_count);
}

static bool read_error(const kf_http_reply_t *reply, kf_verdict_t *verdict)
{
    kf_json_t json = {0};
    kf_json_error_t error;
    kf_buf_t code;
    kf_buf_t message;
    bool enough = true;

    kf_buf_init(&code, reply->body.n + 1);
    kf_buf_init(&message, reply->body.n + 1);
    if (kf_json_scan(&json, reply->body.p, reply->body.n, REPLY_DEPTH_MAX, &error)) {
        (void)put_text(&json, 0, "__type", &code);
        if (!put_text(&json, 0, "message", &message))
            (void)put_text(&json, 0, "Message", &message);
    } else {
        enough = error.result != KF_JSON_MEMORY;
    }
    hide_values(&message);
    set_error(verdict, bare_code(code.n ? kf_buf_str(&code) : kf_str_of(reply->error_type)),
              kf_buf_str(&message), reply->status);
    enough = enough && !code.failed && !message.failed;
    kf_buf_free(&message);
    kf_buf_free(&code);
    kf_json_free(&json);
    return enough;
}

/* No reply: by how far the request came. */
static void read_failure(const kf_http_reply_t *reply, kf_verdict_t *verdict)
{
    const char *code = reply->outcome == KF_HTTP_NOT_SENT  ? "not sent"
                       : reply->outcome == KF_HTTP_ABORTED ? "aborted"
                       : reply->timed_out                  ? "timeout"
                                                           : "lost";

    verdict->class = KF_CLASS_TRANSIENT;
    verdict->outcome_unknown = reply->outcome != KF_HTTP_NOT_SENT;
    show(kf_str_of(code), verdict->code, sizeof verdict->code);
    show(kf_str_of(reply->error), verdict->message, sizeof verdict->message);
}

static void set_unreadable(kf_verdict_t *verdict, const char *why)
{
    verdict->class = KF_CLASS_TRANSIENT;
    verdict->outcome_unknown = true;
    show(kf_str_of("unreadable reply"), verdict->code, sizeof verdict->code);
    show(kf_str_of(why), verdict->message, sizeof verdict->message);
}

static void verdict_init(kf_verdict_t *verdict, uint32_t entry_count, const kf_http_reply_t *reply)
{
    *verdict = (kf_verdict_t){.class = KF_CLASS_TRANSIENT,
                              .outcome_unknown = true,
                              .retry_after_us = -1,
                              .bad_entry = -1,
                              .entry_count = entry_count};
    if (reply->outcome == KF_HTTP_REPLIED) {
        verdict->retry_after_us = reply->retry_after_us;
        show(kf_str_of(reply->request_id), verdict->request_id, sizeof verdict->request_id);
    }
}

/* Whether there is a reply of success, scanned. Else the verdict is made; *enough is false where memory
 * was short. */
static bool scan_success(const kf_http_reply_t *reply, kf_verdict_t *verdict, kf_json_t *json,
                         bool *enough)
{
    kf_json_error_t error;

    *enough = true;
    if (reply->outcome != KF_HTTP_REPLIED) {
        read_failure(reply, verdict);
        return false;
    }
    if (reply->status < 200 || reply->status > 299) {
        *enough = read_error(reply, verdict);
        return false;
    }
    if (!kf_json_scan(json, reply->body.p, reply->body.n, REPLY_DEPTH_MAX, &error)) {
        *enough = error.result != KF_JSON_MEMORY;
        set_unreadable(verdict, error.result == KF_JSON_EMPTY ? "the body is empty"
                                                              : "the body is not JSON");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------ results */

/* One entry's result: the id of what was written, or an error, whose message is the verdict's if it has
 * none yet. */
static bool read_entry(const kf_json_t *json, uint32_t node, const char *id_member,
                       kf_entry_result_t *out, kf_verdict_t *verdict)
{
    uint32_t id = member_of_type(json, node, id_member, KF_JSON_STRING);
    kf_buf_t code;
    kf_buf_t message;
    kf_str_t bare;
    bool enough;

    if (id && kf_json_inner(json, id).n > 0) {
        out->class = KF_CLASS_OK;
        return true;
    }
    kf_buf_init(&code, SIZE_MAX);
    kf_buf_init(&message, SIZE_MAX);
    (void)put_text(json, node, "ErrorCode", &code);
    (void)put_text(json, node, "ErrorMessage", &message);
    hide_values(&message);
    enough = !code.failed && !message.failed;
    bare = bare_code(kf_buf_str(&code));
    /* As if with 500: a code that nobody knows is tried again. */
    out->class = kf_class_of(bare, kf_buf_str(&message), 500);
    if (out->class == KF_CLASS_OK)
        out->class = KF_CLASS_TRANSIENT;
    show(bare.n > 0 ? bare : KF_STR("no result"), out->code, sizeof out->code);
    if (kf_verdict_code(verdict) == out->code)
        show(kf_buf_str(&message), verdict->message, sizeof verdict->message);
    kf_buf_free(&message);
    kf_buf_free(&code);
    return enough;
}

static uint32_t count_elements(const kf_json_t *json, uint32_t array)
{
    uint32_t count = 0;

    for (uint32_t e = kf_json_first(json, array); e < json->v[array].next; e = json->v[e].next)
        count++;
    return count;
}

static bool read_results(const kf_service_t *service, kf_op_t op, const kf_json_t *json,
                         kf_verdict_t *verdict)
{
    uint32_t list = 0;
    uint32_t at = 0;

    if (op == KF_OP_PUT_BATCH) {
        list = member_of_type(json, 0, service->results_member, KF_JSON_ARRAY);
        if (!list || count_elements(json, list) != verdict->entry_count) {
            set_unreadable(verdict, "it does not have one result for each record");
            return true;
        }
        at = kf_json_first(json, list);
    }
    verdict->entries = calloc(verdict->entry_count, sizeof *verdict->entries);
    if (!verdict->entries)
        return false;
    verdict->class = KF_CLASS_OK;
    for (uint32_t i = 0; i < verdict->entry_count; i++) {
        if (!read_entry(json, at, service->id_member, &verdict->entries[i], verdict))
            return false;
        at = json->v[at].next;
    }
    verdict->outcome_unknown = false;
    return true;
}

bool kf_call_read(const kf_target_t *target, kf_op_t op, uint32_t entry_count,
                  const kf_http_reply_t *reply, kf_verdict_t *out)
{
    kf_json_t json = {0};
    bool enough;

    verdict_init(out, entry_count, reply);
    if (scan_success(reply, out, &json, &enough))
        enough = read_results(target->service, op, &json, out);
    kf_json_free(&json);
    if (!enough) {
        kf_verdict_free(out);
        verdict_init(out, entry_count, reply);
        show(kf_str_of("out of memory"), out->code, sizeof out->code);
    }
    return enough;
}

void kf_verdict_free(kf_verdict_t *verdict)
{
    free(verdict->entries);
    verdict->entries = NULL;
}

const char *kf_verdict_code(const kf_verdict_t *verdict)
{
    for (uint32_t e = 0; verdict->class == KF_CLASS_OK && e < verdict->entry_count; e++)
        if (verdict->entries[e].class != KF_CLASS_OK)
            return verdict->entries[e].code;
    return verdict->code;
}

const char *kf_verdict_message(const kf_verdict_t *verdict, const char *code)
{
    return strcmp(kf_verdict_code(verdict), code) == 0 ? verdict->message : "";
}

/* ------------------------------------------------------------ DescribeDeliveryStream */

static void show_text(const kf_json_t *json, uint32_t object, const char *name, char *out,
                      size_t size)
{
    uint32_t value = member_of_type(json, object, name, KF_JSON_STRING);

    show(value ? kf_json_inner(json, value) : KF_STR(""), out, size);
}

static bool has_delimiter_processor(const kf_json_t *json, uint32_t processing)
{
    uint32_t list = member_of_type(json, processing, "Processors", KF_JSON_ARRAY);

    if (!list || !member_of_type(json, processing, "Enabled", KF_JSON_TRUE))
        return false;
    for (uint32_t e = kf_json_first(json, list); e < json->v[list].next; e = json->v[e].next) {
        uint32_t type = member_of_type(json, e, "Type", KF_JSON_STRING);

        if (type && kf_json_string_is(json, type, KF_STR("AppendDelimiterToRecord")))
            return true;
    }
    return false;
}

/* A destination's processing stands in the one member that describes its kind. */
static bool destination_appends(const kf_json_t *json, uint32_t destination)
{
    if (json->v[destination].type != KF_JSON_OBJECT)
        return false;
    for (uint32_t k = kf_json_first(json, destination); k < json->v[destination].next;
         k = json->v[k + 1].next) {
        uint32_t processing =
            member_of_type(json, k + 1, "ProcessingConfiguration", KF_JSON_OBJECT);

        if (processing && has_delimiter_processor(json, processing))
            return true;
    }
    return false;
}

static bool read_description(const kf_json_t *json, kf_describe_t *out)
{
    uint32_t description = member_of_type(json, 0, "DeliveryStreamDescription", KF_JSON_OBJECT);
    uint32_t list;

    *out = (kf_describe_t){.appends_delimiter = false};
    if (!description)
        return false;
    show_text(json, description, "DeliveryStreamStatus", out->status, sizeof out->status);
    show_text(json, description, "DeliveryStreamType", out->type, sizeof out->type);
    list = member_of_type(json, description, "Destinations", KF_JSON_ARRAY);
    if (list) {
        for (uint32_t e = kf_json_first(json, list); e < json->v[list].next; e = json->v[e].next) {
            if (destination_appends(json, e))
                out->appends_delimiter = true;
        }
    }
    return out->status[0] != '\0';
}

bool kf_describe_read(const kf_http_reply_t *reply, kf_verdict_t *verdict, kf_describe_t *out)
{
    kf_json_t json = {0};
    bool enough;

    verdict_init(verdict, 0, reply);
    if (scan_success(reply, verdict, &json, &enough)) {
        if (read_description(&json, out)) {
            verdict->class = KF_CLASS_OK;
            verdict->outcome_unknown = false;
        } else {
            set_unreadable(verdict, "it does not describe a delivery stream");
        }
    }
    kf_json_free(&json);
    return enough;
}
