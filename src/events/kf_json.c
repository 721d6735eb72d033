/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner (kf_json.h). Must not know batches, nor build values: it finds tokens and checks
 * them. Pure; any thread.
 */
#include "events/kf_json.h"

#include <stdlib.h>
#if defined(__SSE2__) && !defined(KF_JSON_PORTABLE)
#include <emmintrin.h>
#define STEP 16
#else
#define STEP 8
#endif

/* What stands in the place of the container around the outermost value. */
#define NO_NODE UINT32_MAX
#define FIRST_NODES 16

_Static_assert('}' - '{' == ']' - '[', "brackets close alike");

typedef const unsigned char *bytes_t;

/* One scan: what its parts have in common, and where a fault is noted. Functions that are not inlined take
 * a copy: no pointer to it leaves the scan, so that it stays in registers. */
typedef struct {
    bytes_t text;
    bytes_t end;
    kf_json_error_t *error;
} scan_t;

/* ---- faults ---- */

__attribute__((cold, noinline)) static void *note(scan_t s, bytes_t at, kf_json_result_t result,
                                                  const char *what)
{
    *s.error = (kf_json_error_t){result, (size_t)(at - s.text), what};
    return NULL;
}

static inline void *fail(const scan_t *s, bytes_t at, kf_json_result_t result, const char *what)
{
    return note(*s, at, result, what);
}

/* The byte at `at` is not what had to follow; or there is none. */
static inline void *unexpected(const scan_t *s, bytes_t at, const char *what)
{
    return fail(s, at, KF_JSON_SYNTAX, at < s->end ? what : "the text ends before the value does");
}

/* ---- tokens: each takes the token's first byte, and gives the byte after it or NULL ---- */

static inline bool is_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(unsigned char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* At least one digit. */
static inline bytes_t scan_digits(const scan_t *s, bytes_t p)
{
    if (p == s->end || !is_digit(*p))
        return unexpected(s, p, "a digit was expected");
    do
        p++;
    while (p < s->end && is_digit(*p));
    return p;
}

/* A number from the point, or from the letter of its exponent. */
__attribute__((noinline)) static bytes_t scan_fraction(scan_t s, bytes_t p)
{
    if (*p == '.')
        p = scan_digits(&s, p + 1);
    if (p && p < s.end && (*p | 0x20) == 'e') {
        p++;
        if (p < s.end && (*p == '+' || *p == '-'))
            p++;
        p = scan_digits(&s, p);
    }
    return p;
}

static inline bytes_t scan_number(const scan_t *s, bytes_t p)
{
    if (*p == '-')
        p++;
    if (p < s->end && *p == '0') {
        p++;
        if (p < s->end && is_digit(*p))
            return fail(s, p, KF_JSON_SYNTAX, "a number has a leading zero");
    } else {
        p = scan_digits(s, p);
    }
    if (p && p < s->end && (*p == '.' || (*p | 0x20) == 'e'))
        return scan_fraction(*s, p);
    return p;
}

static inline bytes_t scan_word(const scan_t *s, bytes_t p, const char *word, size_t n)
{
    if ((size_t)(s->end - p) < n || memcmp(p, word, n) != 0)
        return fail(s, p, KF_JSON_SYNTAX, "a value was expected");
    return p + n;
}

/* The length of the valid UTF-8 sequence of two to four bytes at p, 0 if there is none. */
static inline size_t utf8_length(bytes_t p, bytes_t end)
{
    size_t left = (size_t)(end - p);
    unsigned char c = p[0];
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    size_t n = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

    if (n == 0 || n > left || p[1] < low || p[1] > high)
        return 0;
    if ((n > 2 && (p[2] & 0xc0) != 0x80) || (n > 3 && (p[3] & 0xc0) != 0x80))
        return 0;
    return n;
}

/* 1 + the value of a hexadecimal digit, 0 of another byte. */
static const unsigned char hex_digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

/* What a letter after a backslash stands for, 0 where JSON has no such escape; 'u' is not among them. */
static const unsigned char escapes[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                           ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

/* The number that four hexadecimal digits make. */
static inline unsigned hex4(bytes_t p)
{
    return (hex_digits[p[0]] - 1u) << 12 | (hex_digits[p[1]] - 1u) << 8 |
           (hex_digits[p[2]] - 1u) << 4 | (hex_digits[p[3]] - 1u);
}

/* The four digits of a \u escape; p is after the u. */
static inline bytes_t scan_hex4(const scan_t *s, bytes_t p, unsigned *code)
{
    if (s->end - p >= 4 && hex_digits[p[0]] && hex_digits[p[1]] && hex_digits[p[2]] &&
        hex_digits[p[3]]) {
        *code = hex4(p);
        return p + 4;
    }
    while (p < s->end && hex_digits[*p])
        p++;
    return unexpected(s, p, "four hexadecimal digits were expected after \\u");
}

/* A \u escape, both when it is a surrogate's. */
static inline bytes_t scan_unicode(const scan_t *s, bytes_t start)
{
    static const char lone[] = "a \\u escape is half a surrogate pair";
    unsigned code = 0;
    bytes_t p = scan_hex4(s, start + 2, &code);

    if (!p || code < 0xd800 || code > 0xdfff)
        return p;
    if (code > 0xdbff)
        return fail(s, start, KF_JSON_SYNTAX, lone);
    if (p == s->end || (*p == '\\' && p + 1 == s->end))
        return unexpected(s, s->end, lone);
    if (p[0] != '\\' || p[1] != 'u')
        return fail(s, start, KF_JSON_SYNTAX, lone);
    p = scan_hex4(s, p + 2, &code);
    if (p && (code < 0xdc00 || code > 0xdfff))
        return fail(s, start, KF_JSON_SYNTAX, lone);
    return p;
}

static inline bytes_t scan_escape(const scan_t *s, bytes_t p)
{
    if (p + 1 == s->end)
        return unexpected(s, s->end, NULL);
    if (p[1] == 'u')
        return scan_unicode(s, p);
    if (!escapes[p[1]])
        return fail(s, p, KF_JSON_SYNTAX, "an escape that JSON does not have");
    return p + 2;
}

static inline bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* The first bit set stands for the first of STEP bytes that is not plain; no bit: all are. */
static inline uint64_t find_special(bytes_t p)
{
#if STEP == 16
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    /* As signed numbers bytes from 0x80 are below the blank too. */
    __m128i other = _mm_cmplt_epi8(v, _mm_set1_epi8(' '));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), other));
#else
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    /* A borrow can only spoil the bytes after one that is marked rightly. */
    return (v | (v - ones * ' ') | ((v ^ ones * '"') - ones) | ((v ^ ones * '\\') - ones)) &
           ones * 0x80;
#endif
}

static inline bytes_t skip_plain(const scan_t *s, bytes_t p)
{
    while (s->end - p >= STEP) {
        uint64_t special = find_special(p);

        if (special)
            return p + __builtin_ctzll(special) / (STEP == 16 ? 1 : 8);
        p += STEP;
    }
    while (p < s->end && is_plain(*p))
        p++;
    return p;
}

/* A string from its first byte that is not plain. */
static inline bytes_t scan_rest(const scan_t *s, bytes_t p, uint8_t *escaped)
{
    for (;;) {
        if (p == s->end)
            return unexpected(s, p, NULL);
        if (*p == '"')
            return p + 1;
        if (*p == '\\') {
            *escaped = 1;
            do {
                p = scan_escape(s, p);
                if (!p)
                    return NULL;
            } while (p < s->end && *p == '\\');
        } else if (*p < ' ') {
            return fail(s, p, KF_JSON_SYNTAX, "a control character in a string is not escaped");
        }
        while (p < s->end && *p >= 0x80) {
            size_t n = utf8_length(p, s->end);

            if (n == 0)
                return fail(s, p, KF_JSON_SYNTAX, "invalid UTF-8");
            p += n;
        }
        p = skip_plain(s, p);
    }
}

/* Where a string ends (NULL: it is none), and whether it holds escapes. */
typedef struct {
    bytes_t end;
    uint8_t escaped;
} string_t;

__attribute__((noinline)) static string_t scan_string_rest(scan_t s, bytes_t p)
{
    string_t string = {NULL, 0};

    string.end = scan_rest(&s, p, &string.escaped);
    return string;
}

static inline string_t scan_string(const scan_t *s, bytes_t p)
{
    p = skip_plain(s, p + 1);
    if (p < s->end && *p == '"')
        return (string_t){p + 1, 0};
    return scan_string_rest(*s, p);
}

/* A value that is neither a container nor a string; *type is its node's. */
static inline bytes_t scan_scalar(const scan_t *s, bytes_t p, uint8_t *type)
{
    if (is_digit(*p) || *p == '-') {
        *type = KF_JSON_NUMBER;
        return scan_number(s, p);
    }
    *type = KF_JSON_NULL;
    if (*p == 't') {
        *type = KF_JSON_TRUE;
        return scan_word(s, p, "true", 4);
    }
    if (*p == 'f') {
        *type = KF_JSON_FALSE;
        return scan_word(s, p, "false", 5);
    }
    return scan_word(s, p, "null", 4);
}

/* ---- the index ---- */

/* Room for at least n nodes. */
__attribute__((noinline)) static bool reserve(kf_json_t *json, size_t n)
{
    size_t cap = n > 2 * (size_t)json->cap ? n : 2 * (size_t)json->cap;
    kf_json_node_t *v;

    if (cap > UINT32_MAX)
        cap = UINT32_MAX;
    if (cap > SIZE_MAX / sizeof *v)
        return false;
    v = realloc(json->v, cap * sizeof *v);
    if (!v)
        return false;
    json->v = v;
    json->cap = (uint32_t)cap;
    return true;
}

static inline bool start(kf_json_t *json, const scan_t *s, bytes_t from)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t n = (size_t)(s->end - from);
    size_t nodes = json->n + n / 8 + FIRST_NODES;
    bool long_text = (size_t)(s->end - s->text) > UINT32_MAX;

    if (long_text || (nodes > json->cap && !reserve(json, nodes)))
        return fail(s, from, KF_JSON_MEMORY,
                    long_text ? "a text of 4 GiB or more" : "out of memory");
    if (n >= 3 && memcmp(from, mark, 3) == 0)
        return fail(s, from, KF_JSON_SYNTAX, "a byte order mark");
    return true;
}

/* Where in the tree the scan is, and the index as it is known to be. */
typedef struct {
    kf_json_node_t *v;
    uint32_t n, cap; /* nodes so far, and room */
    uint32_t
        open; /* the innermost open container; until it is closed its `next` is the one around it */
    int depth;
    bool in_object;
    int next; /* the byte that the scan has come to, behind white space; -1 at the text's end */
} place_t;

/* The next byte that is no white space; it is at->next too. */
static inline bytes_t skip_space(place_t *at, const scan_t *s, bytes_t p)
{
    for (; p < s->end; p++) {
        at->next = *p;
        if (at->next > ' ' || !is_space(*p))
            return p;
    }
    at->next = -1;
    return p;
}

static inline void put_node(place_t *at, const scan_t *s, bytes_t from, bytes_t to, uint8_t type,
                            uint8_t escaped)
{
    kf_json_node_t *node = &at->v[at->n++];

    node->start = (uint32_t)(from - s->text);
    node->end = (uint32_t)(to - s->text);
    node->next = at->n;
    node->type = type;
    node->escaped = escaped;
}

static inline bytes_t take_string(place_t *at, const scan_t *s, bytes_t p)
{
    string_t string = scan_string(s, p);

    if (string.end)
        put_node(at, s, p, string.end, KF_JSON_STRING, string.escaped);
    return string.end;
}

/* A member's name and the colon; gives where the value starts. */
static inline bytes_t take_key(place_t *at, const scan_t *s, bytes_t p)
{
    if (at->next != '"')
        return unexpected(s, p, "a member's name was expected");
    p = take_string(at, s, p);
    if (!p)
        return NULL;
    p = skip_space(at, s, p);
    if (at->next != ':')
        return unexpected(s, p, "a colon was expected after a member's name");
    return skip_space(at, s, p + 1);
}

static inline bytes_t take_scalar(place_t *at, const scan_t *s, bytes_t p)
{
    uint8_t type;
    bytes_t end = scan_scalar(s, p, &type);

    if (end)
        put_node(at, s, p, end, type, 0);
    return end;
}

static inline bytes_t open_container(place_t *at, const scan_t *s, bytes_t p, int max_depth)
{
    uint32_t outer = at->open;

    if (at->depth >= max_depth)
        return fail(s, p, KF_JSON_DEPTH, "too many open brackets");
    at->depth++;
    at->in_object = at->next == '{';
    at->open = at->n;
    put_node(at, s, p, p, at->in_object ? KF_JSON_OBJECT : KF_JSON_ARRAY, 0);
    at->v[at->open].next = outer;
    return skip_space(at, s, p + 1);
}

static inline void close_container(place_t *at, const scan_t *s, bytes_t p)
{
    kf_json_node_t *node = &at->v[at->open];

    at->depth--;
    at->open = node->next;
    at->in_object = at->open != NO_NODE && at->v[at->open].type == KF_JSON_OBJECT;
    node->end = (uint32_t)(p + 1 - s->text);
    node->next = at->n;
}

static inline bool is_closing(const place_t *at)
{
    return at->next == (at->in_object ? '}' : ']');
}

/*
 * Closes what ends at p, and takes the comma after it.
 * @return where the next member or element starts, or the text's end when the outermost value is
 *         complete (at->open is NO_NODE then)
 */
static inline bytes_t end_value(place_t *at, const scan_t *s, bytes_t p)
{
    p = skip_space(at, s, p);
    while (at->open != NO_NODE) {
        if (at->next == ',')
            return skip_space(at, s, p + 1);
        if (!is_closing(at))
            return unexpected(
                s, p, at->in_object ? "a comma or } was expected" : "a comma or ] was expected");
        close_container(at, s, p);
        p = skip_space(at, s, p + 1);
    }
    return p == s->end ? p : fail(s, p, KF_JSON_SYNTAX, "bytes after the value");
}

/* Whether the bracket at p is closed by the next byte. */
static inline bool is_empty(const place_t *at, const scan_t *s, bytes_t p)
{
    return s->end - p > 1 && p[1] == at->next + ('}' - '{');
}

/* Whether an array begins with another one, for which there is room, as there has to be for what follows. */
static inline bool opens_next(const place_t *at, const scan_t *s, bytes_t p)
{
    return at->next == '[' && !at->in_object && at->cap - at->n > 2 && !is_empty(at, s, p);
}

/* Room for a member's two nodes. */
__attribute__((noinline)) static kf_json_node_t *more_room(kf_json_t *json, uint32_t n)
{
    return reserve(json, (size_t)n + 2) ? json->v : NULL;
}

/* The value at p, or its beginning when it holds something. @return as end_value */
static inline bytes_t take_value(place_t *at, const scan_t *s, bytes_t p, int max_depth)
{
    if (at->next == '"') {
        p = take_string(at, s, p);
    } else if (at->next == '{' || at->next == '[') {
        if (!is_empty(at, s, p) || at->depth >= max_depth) {
            do
                p = open_container(at, s, p, max_depth);
            while (p && opens_next(at, s, p));
            if (!p || !is_closing(at))
                return p;
        } else {
            put_node(at, s, p, p + 2, at->next == '{' ? KF_JSON_OBJECT : KF_JSON_ARRAY, 0);
            p += 2;
        }
    } else if (p == s->end) {
        return unexpected(s, p, NULL);
    } else {
        p = take_scalar(at, s, p);
    }
    return p ? end_value(at, s, p) : NULL;
}

static inline bool scan_text(kf_json_t *json, const scan_t *s, bytes_t from, int max_depth)
{
    place_t at = {.v = json->v, .n = json->n, .cap = json->cap, .open = NO_NODE};
    bytes_t p = skip_space(&at, s, from);

    if (p == s->end)
        return fail(s, p, KF_JSON_EMPTY, "the text is empty");
    do {
        if (at.cap - at.n < 2) {
            at.v = more_room(json, at.n);
            at.cap = json->cap;
            if (!at.v)
                return fail(s, p, KF_JSON_MEMORY, "out of memory");
        }
        if (at.in_object)
            p = take_key(&at, s, p);
        if (p)
            p = take_value(&at, s, p, max_depth);
    } while (p && at.open != NO_NODE);
    json->n = at.n;
    return p != NULL;
}

bool kf_json_scan_more(kf_json_t *json, const char *text, size_t from, size_t end, int max_depth,
                       kf_json_error_t *error)
{
    bytes_t bytes = (bytes_t)(end > 0 ? text : "");
    scan_t s = {bytes, bytes + end, error};

    *error = (kf_json_error_t){.result = KF_JSON_OK, .what = ""};
    json->text = text;
    return start(json, &s, bytes + from) && scan_text(json, &s, bytes + from, max_depth);
}

bool kf_json_scan(kf_json_t *json, const char *text, size_t n, int max_depth,
                  kf_json_error_t *error)
{
    json->n = 0;
    return kf_json_scan_more(json, text, 0, n, max_depth, error);
}

void kf_json_free(kf_json_t *json)
{
    free(json->v);
    *json = (kf_json_t){0};
}

/* ---- strings ---- */

static inline size_t put_utf8(char out[4], unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Takes one byte or one escape off a string's inner bytes. @return how many bytes it stands for */
static inline size_t take_unit(kf_str_t *rest, char out[4])
{
    bytes_t p = (bytes_t)rest->p;
    size_t used = 2;
    size_t n = 1;

    if (p[0] != '\\') {
        out[0] = rest->p[0];
        used = 1;
    } else if (p[1] == 'u') {
        unsigned code = hex4(p + 2);

        used = 6;
        if (code >= 0xd800 && code <= 0xdfff) {
            code = 0x10000 + ((code - 0xd800) << 10) + (hex4(p + 8) - 0xdc00);
            used = 12;
        }
        n = put_utf8(out, code);
    } else {
        out[0] = (char)escapes[p[1]];
    }
    *rest = (kf_str_t){rest->p + used, rest->n - used};
    return n;
}

bool kf_json_escaped_is(const kf_json_t *json, uint32_t node, kf_str_t s)
{
    kf_str_t rest = kf_json_inner(json, node);

    /* A byte is written in one to six. */
    if (rest.n < s.n || rest.n > 6 * s.n)
        return false;
    while (rest.n > 0) {
        char unit[4];
        size_t n = take_unit(&rest, unit);

        if (n > s.n || unit[0] != s.p[0] || (n > 1 && memcmp(unit, s.p, n) != 0))
            return false;
        s = (kf_str_t){s.p + n, s.n - n};
    }
    return s.n == 0;
}

/* A string's bytes, unescaped one after the other. */
typedef struct {
    kf_str_t rest;
    char unit[4];
    size_t used, n; /* of unit */
} reader_t;

/* The next byte, or -1. */
static int read_byte(reader_t *r)
{
    if (r->used == r->n) {
        if (r->rest.n == 0)
            return -1;
        r->n = take_unit(&r->rest, r->unit);
        r->used = 0;
    }
    return (unsigned char)r->unit[r->used++];
}

bool kf_json_strings_equal(const kf_json_t *json, uint32_t a, uint32_t b)
{
    reader_t left = {.rest = kf_json_inner(json, a)};
    reader_t right = {.rest = kf_json_inner(json, b)};
    int byte;

    if (!json->v[a].escaped)
        return kf_json_string_is(json, b, left.rest);
    if (!json->v[b].escaped)
        return kf_json_string_is(json, a, right.rest);
    do {
        byte = read_byte(&left);
        if (byte != read_byte(&right))
            return false;
    } while (byte >= 0);
    return true;
}

void kf_json_unescape(const kf_json_t *json, uint32_t node, kf_buf_t *out)
{
    kf_str_t rest = kf_json_inner(json, node);
    char *to;

    if (!json->v[node].escaped) {
        kf_buf_put_str(out, rest);
        return;
    }
    to = kf_buf_room(out, rest.n);
    while (to && rest.n > 0) {
        const char *escape;
        size_t n;

        while (rest.n > 0 && *rest.p == '\\')
            to += take_unit(&rest, to);
        escape = rest.n > 0 ? memchr(rest.p, '\\', rest.n) : NULL;
        n = escape ? (size_t)(escape - rest.p) : rest.n;
        memcpy(to, rest.p, n);
        to += n;
        rest = (kf_str_t){rest.p + n, rest.n - n};
    }
    if (to)
        out->n = (size_t)(to - out->p);
}

/* The byte that stands at p as it is, or in an escape. @return how many bytes that takes, 0 if it is no
 * escape of one byte */
static inline size_t take_byte(bytes_t p, char *out)
{
    if (p[0] != '\\') {
        *out = (char)p[0];
        return 1;
    }
    if (p[1] != 'u') {
        *out = (char)escapes[p[1]];
        return 2;
    }
    if (p[2] != '0' || p[3] != '0' || p[4] > '7')
        return 0;
    *out = (char)((p[4] - '0') << 4 | (hex_digits[p[5]] - 1));
    return 6;
}

bool kf_json_short_escaped(const kf_json_t *json, uint32_t node, char *buffer, size_t size,
                           kf_str_t *out)
{
    kf_str_t rest = kf_json_inner(json, node);
    size_t n = 0;

    if (rest.n > 6 * size)
        return false;
    while (rest.n > 0 && n < size) {
        size_t used = take_byte((bytes_t)rest.p, &buffer[n]);

        if (used > 0) {
            rest = (kf_str_t){rest.p + used, rest.n - used};
            n++;
        } else {
            char unit[4];
            size_t bytes = take_unit(&rest, unit);

            if (bytes > size - n)
                return false;
            memcpy(buffer + n, unit, bytes);
            n += bytes;
        }
    }
    *out = (kf_str_t){buffer, n};
    return rest.n == 0;
}

uint32_t kf_json_member(const kf_json_t *json, uint32_t object, kf_str_t name)
{
    uint32_t end = json->v[object].next;

    for (uint32_t k = kf_json_first(json, object); k < end; k = json->v[k + 1].next)
        if (kf_json_string_is(json, k, name))
            return k + 1;
    return 0;
}
