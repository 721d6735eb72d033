/* SPDX-License-Identifier: Apache-2.0
 *
 * A credential_process that cannot be run. A program of its own, because memcheck cannot run it: see
 * test_spawn_refused.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <string.h>
#include "aws/kf_creds_providers.h"

static void test_program_that_is_not_there(void **state)
{
    kf_creds_flight_t flight = {0};
    kf_creds_found_t found = {0};

    (void)state;
    assert_int_equal(apr_pool_create_unmanaged_ex(&flight.pool, NULL, NULL), 0);
    assert_int_equal(kf_creds_from_process(&flight, "/nowhere/program x", &found), KF_CREDS_FAILED);
    assert_null(found.keys);
    assert_non_null(strstr(flight.report, "credential_process: /nowhere/program: No such file"));
    assert_null(strstr(flight.report, "program x"));
    apr_pool_destroy(flight.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_program_that_is_not_there)};

    apr_initialize();
    return cmocka_run_group_tests_name("creds_no_program", tests, NULL, NULL);
}
