/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64: published values, and the processor's wide instructions against the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/kf_base64.h"
#include "base/kf_clock.h"

#define LONGEST 600

typedef void encode_fn(char *to, const void *bytes, size_t n);

/* In blocks of exactly the size, so that a sanitizer or memcheck sees a byte read or written too far. */
static char *encode(encode_fn *fn, const unsigned char *bytes, size_t n)
{
    size_t length = kf_base64_length(n);
    unsigned char *from = malloc(n > 0 ? n : 1);
    char *to = malloc(length + 1);

    assert_non_null(from);
    assert_non_null(to);
    if (n > 0)
        memcpy(from, bytes, n);
    memset(to, '?', length + 1);
    fn(to, from, n);
    assert_int_equal(to[length], '?');
    to[length] = '\0';
    free(from);
    return to;
}

static void expect(const char *bytes, const char *text)
{
    char *wide = encode(kf_base64_encode, (const unsigned char *)bytes, strlen(bytes));
    char *narrow = encode(kf_base64_encode_portable, (const unsigned char *)bytes, strlen(bytes));

    assert_string_equal(wide, text);
    assert_string_equal(narrow, text);
    free(wide);
    free(narrow);
}

static void expect_same(const unsigned char *bytes, size_t n)
{
    char *wide = encode(kf_base64_encode, bytes, n);
    char *narrow = encode(kf_base64_encode_portable, bytes, n);

    assert_string_equal(wide, narrow);
    free(wide);
    free(narrow);
}

static void test_published_values(void **state)
{
    (void)state;
    /* RFC 4648, section 10. */
    expect("", "");
    expect("f", "Zg==");
    expect("fo", "Zm8=");
    expect("foo", "Zm9v");
    expect("foob", "Zm9vYg==");
    expect("fooba", "Zm9vYmE=");
    expect("foobar", "Zm9vYmFy");
    expect("The quick brown fox jumps over the lazy dog, and back.",
           "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5kIGJhY2su");
}

static void test_all_digits_in_all_places(void **state)
{
    unsigned char bytes[LONGEST];

    (void)state;
    /* Four equal digits are three bytes. */
    for (unsigned value = 0; value < 64; value++) {
        unsigned v = value << 18 | value << 12 | value << 6 | value;

        for (size_t i = 0; i < 96; i += 3) {
            bytes[i] = (unsigned char)(v >> 16);
            bytes[i + 1] = (unsigned char)(v >> 8);
            bytes[i + 2] = (unsigned char)v;
        }
        for (size_t n = 90; n <= 96; n++)
            expect_same(bytes, n);
    }
}

static void test_all_lengths(void **state)
{
    unsigned char bytes[LONGEST];

    (void)state;
    for (size_t n = 0; n <= 300; n++)
        for (int i = 0; i < 5; i++) {
            kf_random(bytes, LONGEST);
            expect_same(bytes + kf_random_u32() % 64, n);
        }
    for (int i = 0; i < 300; i++) {
        kf_random(bytes, LONGEST);
        expect_same(bytes, kf_random_u32() % LONGEST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_values),
        cmocka_unit_test(test_all_digits_in_all_places),
        cmocka_unit_test(test_all_lengths),
    };

    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
