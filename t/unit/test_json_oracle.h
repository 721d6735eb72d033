/* SPDX-License-Identifier: Apache-2.0
 *
 * The scanner against jansson, and an index against what kf_json.h promises of it: shared by the unit
 * test and the fuzz target. Each function gives NULL, or what is wrong.
 */
#ifndef TEST_JSON_ORACLE_H
#define TEST_JSON_ORACLE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/kf_limits.h"
#include "events/kf_json.h"

/* Above this many members an object with a name twice is not compared: it would take quadratic time. */
#define ORACLE_QUADRATIC_MAX 300

static char oracle_complaint[256];

#define ORACLE_WRONG(...) \
    (snprintf(oracle_complaint, sizeof oracle_complaint, __VA_ARGS__), \
     (const char *)oracle_complaint)

static bool oracle_is_container(const kf_json_node_t *node)
{
    return node->type == KF_JSON_OBJECT || node->type == KF_JSON_ARRAY;
}

static const char *oracle_check_span(const kf_json_t *json, uint32_t i, uint32_t from, uint32_t to)
{
    static const char *const first[] = {"n", "f", "t", "-0123456789", "\"", "{", "["};
    static const char *const last[] = {"l", "e", "e", "0123456789", "\"", "}", "]"};
    const kf_json_node_t *node = &json->v[i];

    if (node->type > KF_JSON_ARRAY)
        return ORACLE_WRONG("node %u: no type", i);
    if (node->start < from || node->end > to || node->start >= node->end)
        return ORACLE_WRONG("node %u: its span is not inside its parent's", i);
    if (!memchr(first[node->type], json->text[node->start], strlen(first[node->type])) ||
        !memchr(last[node->type], json->text[node->end - 1], strlen(last[node->type])))
        return ORACLE_WRONG("node %u: its span does not start and end as its type does", i);
    if (node->escaped != (node->type == KF_JSON_STRING &&
                          memchr(json->text + node->start, '\\', node->end - node->start) != NULL))
        return ORACLE_WRONG("node %u: escaped is wrong", i);
    if (!oracle_is_container(node) && node->next != i + 1)
        return ORACLE_WRONG("node %u: next of a scalar", i);
    return NULL;
}

/* Checks node i and all inside it; spans must lie in [from, to). */
static const char *oracle_check_node(const kf_json_t *json, uint32_t i, uint32_t from, uint32_t to)
{
    const kf_json_node_t *node = &json->v[i];
    const char *wrong = oracle_check_span(json, i, from, to);
    bool key = node->type == KF_JSON_OBJECT;

    if (wrong || !oracle_is_container(node))
        return wrong;
    if (node->next <= i || node->next > json->n)
        return ORACLE_WRONG("node %u: next is out of range", i);
    from = node->start + 1;
    for (uint32_t k = i + 1; k < node->next; k = json->v[k].next) {
        wrong = oracle_check_node(json, k, from, node->end - 1);
        if (wrong)
            return wrong;
        if (key && json->v[k].type != KF_JSON_STRING)
            return ORACLE_WRONG("node %u: a name that is no string", k);
        from = json->v[k].end + 1; /* a comma or colon is between */
        if (json->v[k].next > node->next)
            return ORACLE_WRONG("node %u: next leaves its parent", k);
        key = node->type == KF_JSON_OBJECT && !key;
    }
    if (node->type == KF_JSON_OBJECT && !key)
        return ORACLE_WRONG("node %u: a name without value", i);
    return NULL;
}

/* What an index must be, whatever the text. */
static const char *oracle_check_index(const kf_json_t *json, size_t n)
{
    if (json->n == 0 || json->n > json->cap || json->v[0].next != json->n)
        return ORACLE_WRONG("the index is not one value");
    return oracle_check_node(json, 0, 0, (uint32_t)n);
}

static const char *oracle_compare_value(const kf_json_t *json, uint32_t i, const json_t *other);

static const char *oracle_compare_string(const kf_json_t *json, uint32_t i, kf_str_t other)
{
    const char *wrong = NULL;
    kf_buf_t buf;

    kf_buf_init(&buf, SIZE_MAX);
    kf_json_unescape(json, i, &buf);
    if (buf.failed || !kf_str_eq(kf_buf_str(&buf), other))
        wrong = ORACLE_WRONG("node %u: unescaped it is another string", i);
    else if (!kf_json_string_is(json, i, other) || !kf_json_strings_equal(json, i, i))
        wrong = ORACLE_WRONG("node %u: it does not equal itself", i);
    else if (other.n > 0 && kf_json_string_is(json, i, (kf_str_t){other.p, other.n - 1}))
        wrong = ORACLE_WRONG("node %u: it equals less than itself", i);
    kf_buf_free(&buf);
    return wrong;
}

static const char *oracle_compare_number(const kf_json_t *json, uint32_t i, const json_t *other)
{
    kf_str_t token = kf_json_token(json, i);
    char *terminated = malloc(token.n + 1);
    bool equal;

    if (!terminated)
        abort();
    memcpy(terminated, token.p, token.n);
    terminated[token.n] = '\0';
    if (json_is_integer(other))
        equal = strtoll(terminated, NULL, 10) == json_integer_value(other);
    else
        equal = !(strtod(terminated, NULL) < json_real_value(other)) &&
                !(strtod(terminated, NULL) > json_real_value(other));
    free(terminated);
    return equal ? NULL : ORACLE_WRONG("node %u: another number", i);
}

static const char *oracle_compare_array(const kf_json_t *json, uint32_t i, const json_t *other)
{
    size_t count = 0;

    for (uint32_t e = kf_json_first(json, i); e < json->v[i].next; e = json->v[e].next) {
        const json_t *element = json_array_get(other, count++);
        const char *wrong =
            element ? oracle_compare_value(json, e, element) : ORACLE_WRONG("node %u: excess", e);

        if (wrong)
            return wrong;
    }
    return count == json_array_size(other) ? NULL : ORACLE_WRONG("node %u: too short", i);
}

/* Whether the object's member at k has the same name as one after it. */
static bool oracle_is_replaced(const kf_json_t *json, uint32_t object, uint32_t k)
{
    for (uint32_t m = json->v[k + 1].next; m < json->v[object].next; m = json->v[m + 1].next)
        if (kf_json_strings_equal(json, k, m))
            return true;
    return false;
}

static const char *oracle_compare_member(const kf_json_t *json, uint32_t k, const json_t *object)
{
    const char *wrong = NULL;
    const json_t *value;
    kf_buf_t name;

    kf_buf_init(&name, SIZE_MAX);
    kf_json_unescape(json, k, &name);
    kf_buf_putc(&name, '\0');
    value = name.failed ? NULL : json_object_get(object, name.p);
    if (value)
        wrong = oracle_compare_value(json, k + 1, value);
    else
        wrong = ORACLE_WRONG("node %u: a name too many", k);
    kf_buf_free(&name);
    return wrong;
}

/* jansson keeps the last of the members of one name. */
static const char *oracle_compare_object(const kf_json_t *json, uint32_t i, const json_t *other)
{
    size_t members = 0;
    size_t names = 0;
    const char *wrong = NULL;
    uint32_t k;

    for (k = kf_json_first(json, i); k < json->v[i].next; k = json->v[k + 1].next)
        members++;
    if (members != json_object_size(other) && members > ORACLE_QUADRATIC_MAX)
        return NULL;
    for (k = kf_json_first(json, i); !wrong && k < json->v[i].next; k = json->v[k + 1].next) {
        if (members != json_object_size(other) && oracle_is_replaced(json, i, k))
            continue;
        names++;
        wrong = oracle_compare_member(json, k, other);
    }
    if (!wrong && names != json_object_size(other))
        wrong = ORACLE_WRONG("node %u: another number of names", i);
    return wrong;
}

static const char *oracle_compare_value(const kf_json_t *json, uint32_t i, const json_t *other)
{
    static const json_type types[] = {JSON_NULL,   JSON_FALSE,  JSON_TRUE, JSON_REAL,
                                      JSON_STRING, JSON_OBJECT, JSON_ARRAY};
    uint8_t type = json->v[i].type;

    if (type == KF_JSON_NUMBER && json_is_number(other))
        return oracle_compare_number(json, i, other);
    if (types[type] != json_typeof(other))
        return ORACLE_WRONG("node %u: another type", i);
    if (type == KF_JSON_STRING)
        return oracle_compare_string(
            json, i, (kf_str_t){json_string_value(other), json_string_length(other)});
    if (type == KF_JSON_ARRAY)
        return oracle_compare_array(json, i, other);
    return type == KF_JSON_OBJECT ? oracle_compare_object(json, i, other) : NULL;
}

/* Whether jansson refuses what RFC 8259 allows: its own limits of numbers, names and depth. */
static bool oracle_has_no_say(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           code == json_error_stack_overflow;
}

/* Scans text and compares: same verdict, same values, a sound index or a sound error. */
static inline const char *oracle_compare(kf_json_t *json, const char *text, size_t n)
{
    kf_json_error_t error;
    json_error_t other_error;
    bool good = kf_json_scan(json, text, n, KF_JSON_DEPTH_MAX, &error);
    json_t *other = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &other_error);
    const char *wrong = good ? oracle_check_index(json, n) : NULL;
    /* Never allowed; jansson loses one that follows a number. */
    bool has_nul = n > 0 && memchr(text, '\0', n);

    if (good && has_nul)
        wrong = "a NUL byte was accepted";
    else if (good != (error.result == KF_JSON_OK) || error.offset > n || !error.what)
        wrong = "the error does not fit the result";
    else if (!wrong && good && other)
        wrong = oracle_compare_value(json, 0, other);
    else if (!wrong && good && !oracle_has_no_say(&other_error))
        wrong = ORACLE_WRONG("accepted, jansson: %s", other_error.text);
    else if (!good && other && error.result != KF_JSON_DEPTH && !has_nul)
        wrong = ORACLE_WRONG("refused at %zu: %s", error.offset, error.what);
    json_decref(other);
    return wrong;
}

#endif
