/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C: published values, the instruction against the table, and in pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/kf_clock.h"
#include "base/kf_crc32c.h"

static void expect(const void *bytes, size_t n, uint32_t crc)
{
    assert_int_equal(kf_crc32c(0, bytes, n), crc);
    assert_int_equal(kf_crc32c_portable(0, bytes, n), crc);
}

static void test_published_values(void **state)
{
    unsigned char bytes[32];

    (void)state;
    expect("", 0, 0);
    expect("123456789", 9, 0xe3069283);
    /* RFC 3720, appendix B.4. */
    memset(bytes, 0, sizeof(bytes));
    expect(bytes, sizeof(bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    expect(bytes, sizeof(bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)i;
    }
    expect(bytes, sizeof(bytes), 0x46dd794e);
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(31 - i);
    }
    expect(bytes, sizeof(bytes), 0x113fdb5c);
}

static void test_pieces_and_alignment(void **state)
{
    unsigned char bytes[300];

    (void)state;
    kf_random(bytes, sizeof(bytes));
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; from + n <= sizeof(bytes); n += 7) {
            uint32_t whole = kf_crc32c(0, bytes + from, n);
            assert_int_equal(kf_crc32c_portable(0, bytes + from, n), whole);
            for (size_t cut = 0; cut <= n; cut += 13) {
                uint32_t first = kf_crc32c(0, bytes + from, cut);
                assert_int_equal(kf_crc32c(first, bytes + from + cut, n - cut), whole);
                assert_int_equal(kf_crc32c_portable(first, bytes + from + cut, n - cut), whole);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_values),
        cmocka_unit_test(test_pieces_and_alignment),
    };

    return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
