/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the JSON scanner: any bytes, compared with jansson (verdict and values), and the index
 * checked against its promises.
 */
#include <stdint.h>
#include <stdio.h>
#include "../unit/test_json_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kf_json_t json; /* reused, as a server's thread does */
    const char *wrong = oracle_compare(&json, (const char *)data, size);

    if (wrong) {
        fprintf(stderr, "%s\n", wrong);
        abort();
    }
    return 0;
}
