/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers of kf_creds_reply.h. Must not know how texts were come by. Any thread.
 */
#include "aws/kf_creds_reply.h"

#include <apr_time.h>
#include <apr_xml.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "base/kf_clock.h"
#include "events/kf_json.h"

#define DEPTH_MAX 16

/* ---------------------------------------------------------------------- time */

static bool take_number(kf_str_t *text, size_t digits, int *out)
{
    *out = 0;
    if (text->n < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text->p[i] < '0' || text->p[i] > '9')
            return false;
        *out = *out * 10 + (text->p[i] - '0');
    }
    text->p += digits;
    text->n -= digits;
    return true;
}

static bool take(kf_str_t *text, const char *any_of)
{
    if (text->n == 0 || !strchr(any_of, text->p[0]) || text->p[0] == '\0')
        return false;
    text->p++;
    text->n--;
    return true;
}

static bool take_offset(kf_str_t *text, int *offset_s)
{
    char sign = text->n ? text->p[0] : '\0';
    int hours, minutes;

    *offset_s = 0;
    if (take(text, "Zz"))
        return text->n == 0;
    if (!take(text, "+-") || !take_number(text, 2, &hours))
        return false;
    take(text, ":");
    if (!take_number(text, 2, &minutes) || text->n > 0 || hours > 23 || minutes > 59)
        return false;
    *offset_s = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

bool kf_creds_read_time(kf_str_t text, int64_t *wall_us)
{
    apr_time_exp_t at = {0};
    apr_time_t seconds;
    int ignored;

    if (!take_number(&text, 4, &at.tm_year) || !take(&text, "-") ||
        !take_number(&text, 2, &at.tm_mon) || !take(&text, "-") ||
        !take_number(&text, 2, &at.tm_mday) || !take(&text, "Tt ") ||
        !take_number(&text, 2, &at.tm_hour) || !take(&text, ":") ||
        !take_number(&text, 2, &at.tm_min) || !take(&text, ":") ||
        !take_number(&text, 2, &at.tm_sec))
        return false;
    if (take(&text, "."))
        while (take_number(&text, 1, &ignored))
            ;
    if (at.tm_year < 1970 || at.tm_mon < 1 || at.tm_mon > 12 || at.tm_mday < 1 || at.tm_mday > 31 ||
        at.tm_hour > 23 || at.tm_min > 59 || at.tm_sec > 60)
        return false;
    at.tm_year -= 1900;
    at.tm_mon--;
    if (!take_offset(&text, &at.tm_gmtoff) || apr_time_exp_gmt_get(&seconds, &at) != APR_SUCCESS)
        return false;
    *wall_us = (int64_t)seconds;
    return true;
}

/* ---------------------------------------------------------------------- JSON */

static kf_str_t text_of(const kf_json_t *json, const char *name)
{
    uint32_t value = kf_json_member(json, 0, kf_str_of(name));

    if (!value || json->v[value].type != KF_JSON_STRING)
        return (kf_str_t){0};
    return kf_json_inner(json, value);
}

/* The member's text. Escapes ("\/" in a base64 text, of some encoders) are undone into `room`, which has
 * enough. */
static kf_str_t member(const kf_json_t *json, const char *name, kf_buf_t *room)
{
    uint32_t value = kf_json_member(json, 0, kf_str_of(name));
    size_t from = room->n;

    if (!value || json->v[value].type != KF_JSON_STRING)
        return (kf_str_t){0};
    if (!json->v[value].escaped)
        return kf_json_inner(json, value);
    kf_json_unescape(json, value, room);
    return (kf_str_t){room->p + from, room->n - from};
}

static void show(kf_str_t from, char *to, size_t size)
{
    size_t n = 0;

    for (; n < from.n && n + 1 < size; n++)
        to[n] = from.p[n];
    to[n] = '\0';
    for (char *c = to; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

/* What a source says in place of credentials. @return whether it says something */
static bool find_refusal(const kf_json_t *json, kf_creds_json_t form, char *why, size_t size)
{
    kf_str_t code = form == KF_CREDS_JSON_CONTAINER ? text_of(json, "code") : text_of(json, "Code");
    char shown[64];

    if (form == KF_CREDS_JSON_PROCESS || code.n == 0 || kf_str_eq(code, KF_STR("Success")))
        return false;
    show(code, shown, sizeof shown);
    snprintf(why, size, "it answers %s", shown);
    return true;
}

static bool has_version(const kf_json_t *json)
{
    uint32_t value = kf_json_member(json, 0, KF_STR("Version"));

    return value && json->v[value].type == KF_JSON_NUMBER &&
           kf_str_eq(kf_json_token(json, value), KF_STR("1"));
}

static bool read_expiration(kf_str_t text, bool may_miss, int64_t now_us, int64_t *ttl_us)
{
    int64_t at_us;

    *ttl_us = KF_CREDS_FOREVER;
    if (text.n == 0)
        return may_miss;
    if (!kf_creds_read_time(text, &at_us))
        return false;
    *ttl_us = at_us - now_us;
    return true;
}

static bool read_object(const kf_json_t *json, kf_creds_json_t form, int64_t now_us,
                        kf_creds_found_t *out, kf_buf_t *room, char *why, size_t size)
{
    bool is_process = form == KF_CREDS_JSON_PROCESS;
    const char *fault;

    if (find_refusal(json, form, why, size))
        return false;
    if (is_process && !has_version(json)) {
        snprintf(why, size, "its Version is not 1");
        return false;
    }
    if (!read_expiration(member(json, "Expiration", room), is_process, now_us, &out->ttl_us)) {
        snprintf(why, size, "its Expiration is no time");
        return false;
    }
    out->keys =
        kf_keys_create(member(json, "AccessKeyId", room), member(json, "SecretAccessKey", room),
                       member(json, is_process ? "SessionToken" : "Token", room), &fault);
    if (!out->keys)
        snprintf(why, size, "%s", fault);
    return out->keys != NULL;
}

bool kf_creds_read_json(kf_str_t text, kf_creds_json_t form, int64_t now_us, kf_creds_found_t *out,
                        char *why, size_t size)
{
    kf_json_t json = {0};
    kf_json_error_t error;
    kf_buf_t room;
    bool ok = false;

    kf_buf_init(&room, text.n + 1);
    if (!kf_json_scan(&json, text.p, text.n, DEPTH_MAX, &error) || json.v[0].type != KF_JSON_OBJECT)
        snprintf(why, size, "what it gives is no JSON object");
    else if (!kf_buf_room(&room, text.n + 1))
        snprintf(why, size, "out of memory");
    else
        ok = read_object(&json, form, now_us, out, &room, why, size);
    if (room.p)
        OPENSSL_cleanse(room.p, room.cap);
    kf_buf_free(&room);
    kf_json_free(&json);
    return ok;
}

/* ----------------------------------------------------------------------- XML */

static const apr_xml_elem *child(const apr_xml_elem *of, const char *name)
{
    const apr_xml_elem *at = of ? of->first_child : NULL;

    while (at && strcmp(at->name, name) != 0)
        at = at->next;
    return at;
}

/* The text of an element, in one piece; the parser's pieces are wiped. */
static kf_str_t text_within(apr_pool_t *pool, const apr_xml_elem *element)
{
    size_t n = 0;
    char *whole;

    for (const apr_text *t = element ? element->first_cdata.first : NULL; t; t = t->next)
        n += strlen(t->text);
    whole = apr_palloc(pool, n + 1);
    n = 0;
    for (apr_text *t = element ? element->first_cdata.first : NULL; t; t = t->next) {
        size_t piece = strlen(t->text);

        memcpy(whole + n, t->text, piece);
        n += piece;
        OPENSSL_cleanse((char *)(uintptr_t)t->text, piece);
    }
    return (kf_str_t){whole, n};
}

static void wipe(kf_str_t text)
{
    OPENSSL_cleanse((char *)(uintptr_t)text.p, text.n);
}

static bool read_credentials(apr_pool_t *pool, const apr_xml_elem *of, int64_t now_us,
                             kf_creds_found_t *out, kf_creds_sts_error_t *error)
{
    kf_str_t id = text_within(pool, child(of, "AccessKeyId"));
    kf_str_t secret = text_within(pool, child(of, "SecretAccessKey"));
    kf_str_t token = text_within(pool, child(of, "SessionToken"));
    kf_str_t expiration = text_within(pool, child(of, "Expiration"));
    const char *fault = "its Expiration is no time";

    if (read_expiration(expiration, false, now_us, &out->ttl_us))
        out->keys = kf_keys_create(id, secret, token, &fault);
    if (!out->keys)
        snprintf(error->message, sizeof error->message, "%s", fault);
    wipe(secret);
    wipe(token);
    return out->keys != NULL;
}

/* Some errors quote what was signed, with the session token, below their first line. */
static void read_error(apr_pool_t *pool, const apr_xml_elem *of, kf_creds_sts_error_t *error)
{
    kf_str_t message = text_within(pool, child(of, "Message"));
    const char *end = message.n ? memchr(message.p, '\n', message.n) : NULL;

    if (end)
        message.n = (size_t)(end - message.p);
    show(text_within(pool, child(of, "Code")), error->code, sizeof error->code);
    show(message, error->message, sizeof error->message);
}

/* The whole answer stands below ACTIONResponse/ACTIONResult/Credentials, or ErrorResponse/Error. */
static bool read_document(apr_pool_t *pool, const apr_xml_elem *root, int64_t now_us,
                          kf_creds_found_t *out, kf_creds_sts_error_t *error)
{
    const apr_xml_elem *credentials = NULL;

    for (const apr_xml_elem *at = root->first_child; at && !credentials; at = at->next)
        credentials = child(at, "Credentials");
    if (credentials)
        return read_credentials(pool, credentials, now_us, out, error);
    if (child(root, "Error"))
        read_error(pool, child(root, "Error"), error);
    return false;
}

bool kf_creds_read_sts(apr_pool_t *pool, kf_str_t text, int64_t now_us, kf_creds_found_t *out,
                       kf_creds_sts_error_t *error)
{
    apr_xml_parser *parser = apr_xml_parser_create(pool);
    apr_xml_doc *document = NULL;

    *error = (kf_creds_sts_error_t){.message = "what it answers cannot be read"};
    if (!parser)
        return false;
    if (apr_xml_parser_feed(parser, text.p, text.n) != APR_SUCCESS) {
        (void)apr_xml_parser_done(parser, NULL);
        return false;
    }
    if (apr_xml_parser_done(parser, &document) != APR_SUCCESS || !document || !document->root)
        return false;
    return read_document(pool, document->root, now_us, out, error);
}
