/* SPDX-License-Identifier: Apache-2.0
 *
 * The look of settings' texts (kf_syntax.h). Must not know directives, defaults or files. Pure; any
 * thread.
 */
#include "base/kf_syntax.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include "base/kf_limits.h"
#include "base/kf_parse.h"

#define ARN_MAX 2048
#define DNS_NAME_MAX 253
#define DNS_LABEL_MAX 63
#define UTF8_TEXT_MAX 1024

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

/* Whether text has min to max bytes, each a letter, a digit or one of more. */
static bool made_of(kf_str_t text, const char *more, size_t min, size_t max)
{
    if (text.n < min || text.n > max)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (!is_alnum(text.p[i]) && !memchr(more, text.p[i], strlen(more)))
            return false;
    return true;
}

/* Whether text is one byte or more, all of printable ASCII without the blank. */
static bool is_graphic(kf_str_t text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~')
            return false;
    return text.n > 0;
}

static kf_str_t after(kf_str_t text, size_t n)
{
    return (kf_str_t){text.p + n, text.n - n};
}

/* Takes prefix off the start of *text. */
static bool take(kf_str_t *text, const char *prefix)
{
    size_t n = strlen(prefix);

    if (text->n < n || memcmp(text->p, prefix, n) != 0)
        return false;
    *text = after(*text, n);
    return true;
}

/* As take, letters of any case; prefix in lower case. */
static bool take_any_case(kf_str_t *text, const char *prefix)
{
    size_t n = strlen(prefix);

    if (text->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text->p[i];

        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != prefix[i])
            return false;
    }
    *text = after(*text, n);
    return true;
}

/* Takes what stands before the first c off *text, and c; @return false if there is no c */
static bool take_until(kf_str_t *text, char c, kf_str_t *part)
{
    const char *end = text->n ? memchr(text->p, c, text->n) : NULL;

    if (!end)
        return false;
    *part = (kf_str_t){text->p, (size_t)(end - text->p)};
    *text = after(*text, part->n + 1);
    return true;
}

/* The length of the UTF-8 sequence at the start of text, and its code point; 0 if it is none. */
static size_t utf8_sequence(kf_str_t text, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = (unsigned char)text.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;

    if (n == 0 || n > text.n)
        return 0;
    *code = n == 1 ? c : c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char more = (unsigned char)text.p[i];

        if ((more & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (more & 0x3f);
    }
    if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return 0;
    return n;
}

bool kf_syntax_is_utf8(kf_str_t text)
{
    while (text.n > 0) {
        uint32_t code;
        size_t n = utf8_sequence(text, &code);

        if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
        text = after(text, n);
    }
    return true;
}

static bool is_text(kf_str_t text, size_t max)
{
    return text.n > 0 && text.n <= max && kf_syntax_is_utf8(text);
}

/* The forms in which a credential may stand somewhere else. */
static bool is_reference(kf_str_t text)
{
    if (take(&text, "file:"))
        return text.n > 1 && text.p[0] == '/' && kf_syntax_is_utf8(text);
    return take(&text, "env:") && made_of(text, "_", 1, SIZE_MAX) && !is_digit(text.p[0]);
}

/* Whether text starts as a reference does, so that it cannot be meant as the value itself. */
static bool names_reference(kf_str_t text)
{
    return take(&text, "file:") || take(&text, "env:");
}

static bool is_access_key(kf_str_t text)
{
    return is_reference(text) || made_of(text, "_", 1, 128);
}

static bool is_secret(kf_str_t text)
{
    return is_reference(text) || (!names_reference(text) && is_graphic(text));
}

/* "arn:aws[-a-z]*:" and the service. */
static bool take_arn(kf_str_t *text, const char *service)
{
    kf_str_t part;

    if (text->n > ARN_MAX || !take(text, "arn:aws") || !take_until(text, ':', &part))
        return false;
    for (size_t i = 0; i < part.n; i++)
        if (!is_lower(part.p[i]) && part.p[i] != '-')
            return false;
    return take(text, service) && take(text, ":");
}

static bool take_account(kf_str_t *text)
{
    kf_str_t part;
    int64_t number;

    return take_until(text, ':', &part) && part.n == 12 && kf_parse_i64(part, &number);
}

static bool is_region(kf_str_t text)
{
    return made_of(text, "-_", 1, DNS_LABEL_MAX);
}

static bool is_stream_name(kf_str_t text)
{
    return made_of(text, "_.-", 1, 128);
}

static bool is_stream_arn(kf_str_t text)
{
    kf_str_t region;

    return take_arn(&text, "kinesis") && take_until(&text, ':', &region) && is_region(region) &&
           take_account(&text) && take(&text, "stream/") && is_stream_name(text);
}

static bool is_role_arn(kf_str_t text)
{
    return take_arn(&text, "iam") && take(&text, ":") && take_account(&text) &&
           take(&text, "role/") && is_graphic(text) && text.p[text.n - 1] != '/';
}

/* Whether text is an address of the family, as inet_pton takes it. */
static bool is_address(kf_str_t text, int family)
{
    char terminated[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (text.n >= sizeof terminated || memchr(text.p, '\0', text.n))
        return false;
    memcpy(terminated, text.p, text.n);
    terminated[text.n] = '\0';
    return inet_pton(family, terminated, &address) == 1;
}

static bool is_label(kf_str_t text)
{
    return made_of(text, "-_", 1, DNS_LABEL_MAX) && text.p[0] != '-' && text.p[text.n - 1] != '-';
}

/* A name, or an IPv4 address: what ends in a number must be a whole one. */
static bool is_host(kf_str_t text)
{
    kf_str_t rest = text;
    kf_str_t label;
    int64_t number;

    if (text.n > DNS_NAME_MAX)
        return false;
    while (take_until(&rest, '.', &label))
        if (!is_label(label))
            return false;
    if (!is_label(rest))
        return false;
    return !kf_parse_i64(rest, &number) || is_address(text, AF_INET);
}

static bool is_port(kf_str_t text)
{
    int64_t port;

    return text.n <= 5 && kf_parse_i64(text, &port) && port >= 1 && port <= 65535;
}

/* host, IPv4 or [IPv6], then a port as asked for. */
static bool is_authority(kf_str_t text, bool port_required)
{
    kf_str_t host;

    if (take(&text, "[")) {
        if (!take_until(&text, ']', &host) || !is_address(host, AF_INET6))
            return false;
        if (text.n == 0)
            return !port_required;
        return take(&text, ":") && is_port(text);
    }
    if (take_until(&text, ':', &host))
        return is_host(host) && is_port(text);
    return !port_required && is_host(text);
}

static kf_str_t without_slash(kf_str_t text)
{
    if (text.n > 0 && text.p[text.n - 1] == '/')
        text.n--;
    return text;
}

static bool is_endpoint(kf_str_t text)
{
    if (!take_any_case(&text, "https://") && !take_any_case(&text, "http://"))
        return false;
    return is_authority(without_slash(text), false);
}

/* USER:PASSWORD of a URL, percent-encoded where it must be. */
static bool is_userinfo(kf_str_t text)
{
    kf_str_t user;

    for (size_t i = 0; i < text.n; i++)
        if (memchr("/?#@", text.p[i], 4))
            return false;
    return is_graphic(text) && take_until(&text, ':', &user) && user.n > 0;
}

static bool is_proxy(kf_str_t text)
{
    kf_str_t userinfo;

    if (!take_any_case(&text, "http://"))
        return false;
    if (take_until(&text, '@', &userinfo) && !is_userinfo(userinfo))
        return false;
    return is_authority(without_slash(text), true);
}

static bool is_origin(kf_str_t text)
{
    kf_str_t scheme;

    if (text.n == 1 && text.p[0] == '*')
        return true;
    return take_until(&text, ':', &scheme) && made_of(scheme, "+.-", 1, SIZE_MAX) &&
           !is_digit(scheme.p[0]) && is_alnum(scheme.p[0]) && take(&text, "//") &&
           is_authority(text, false);
}

static bool is_exclude_path(kf_str_t text)
{
    kf_str_t part;
    bool first = true;

    if (!is_text(text, SIZE_MAX))
        return false;
    while (take_until(&text, '.', &part)) {
        if (part.n == 0 || (first && kf_str_eq(part, KF_STR("events"))))
            return false;
        first = false;
    }
    return text.n > 0 && !(first && kf_str_eq(text, KF_STR("events")));
}

/* The word by which a location unsets its list. */
static bool is_none(kf_str_t text)
{
    return take_any_case(&text, "none") && text.n == 0;
}

bool kf_syntax_fits(kf_check_t check, kf_str_t text)
{
    switch (check) {
    case KF_CHECK_ACCESS_KEY:
        return is_access_key(text);
    case KF_CHECK_SECRET:
        return is_secret(text);
    case KF_CHECK_STREAM_NAME:
        return is_stream_name(text);
    case KF_CHECK_REGION:
        return is_region(text);
    case KF_CHECK_UTF8:
        return is_text(text, UTF8_TEXT_MAX);
    case KF_CHECK_STREAM_ARN:
        return is_stream_arn(text);
    case KF_CHECK_ENDPOINT:
        return is_endpoint(text);
    case KF_CHECK_RUN_FILE:
        return is_text(text, SIZE_MAX) && text.n > 1 && text.p[0] == '/';
    case KF_CHECK_ROLE_ARN:
        return is_role_arn(text);
    case KF_CHECK_EXTERNAL_ID:
        return made_of(text, "_+=,.@:/-", 2, 1224);
    case KF_CHECK_ROLE_SESSION:
        return made_of(text, "_+=,.@-", 2, 64);
    case KF_CHECK_PROXY:
        return is_proxy(text);
    case KF_CHECK_PARTITION_KEY:
        return is_text(text, KF_PARTITION_KEY_CHARS_MAX);
    case KF_CHECK_EXCLUDE_PATH:
        return is_exclude_path(text);
    case KF_CHECK_IDENTITY:
        return made_of(text, "_", 1, 64);
    case KF_CHECK_CONNECTION:
        return made_of(text, "._-", 1, KF_CONNECTION_NAME_MAX) && !is_none(text);
    case KF_CHECK_ORIGIN:
        return is_origin(text);
    default:
        return is_text(text, SIZE_MAX);
    }
}

const char *kf_syntax_allowed(kf_check_t check)
{
    switch (check) {
    case KF_CHECK_ACCESS_KEY:
        return "1 to 128 letters, digits and '_', or file:/ABSOLUTE/PATH, or env:NAME";
    case KF_CHECK_SECRET:
        return "printable ASCII without blanks, or file:/ABSOLUTE/PATH, or env:NAME";
    case KF_CHECK_STREAM_NAME:
        return "1 to 128 letters, digits, '_', '.' and '-' (an ARN belongs in KinesisStreamArn)";
    case KF_CHECK_REGION:
        return "an AWS region such as us-east-1";
    case KF_CHECK_UTF8:
        return "1 to 1024 bytes of UTF-8 without control characters";
    case KF_CHECK_STREAM_ARN:
        return "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME with an account of 12 digits";
    case KF_CHECK_ENDPOINT:
        return "https://HOST[:PORT] or http://HOST[:PORT] without user, path, query or fragment";
    case KF_CHECK_RUN_FILE:
        return "an absolute path";
    case KF_CHECK_ROLE_ARN:
        return "arn:aws:iam::ACCOUNT:role/NAME with an account of 12 digits";
    case KF_CHECK_EXTERNAL_ID:
        return "2 to 1224 letters, digits and characters of _+=,.@:/-";
    case KF_CHECK_ROLE_SESSION:
        return "2 to 64 letters, digits and characters of _+=,.@-";
    case KF_CHECK_PROXY:
        return "http://[USER:PASSWORD@]HOST:PORT";
    case KF_CHECK_PARTITION_KEY:
        return "auto, mpid, device, random or a member's name of 1 to 256 bytes of UTF-8";
    case KF_CHECK_EXCLUDE_PATH:
        return "member names joined by dots, the first of them not events";
    case KF_CHECK_IDENTITY:
        return "the name of an identity type such as email";
    case KF_CHECK_CONNECTION:
        return "1 to 64 letters, digits, '.', '_' and '-', but not none";
    case KF_CHECK_ORIGIN:
        return "* or SCHEME://HOST[:PORT] without path";
    default:
        return "text without control characters, not empty";
    }
}
