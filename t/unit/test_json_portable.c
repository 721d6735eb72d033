/* SPDX-License-Identifier: Apache-2.0
 *
 * The tests of test_json.c with the scanner's portable steps, as built where there is no SSE2.
 */
#define KF_JSON_PORTABLE
#include "events/kf_json.c"
#include "test_json.c"
