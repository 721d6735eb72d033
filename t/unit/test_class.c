/* SPDX-License-Identifier: Apache-2.0
 *
 * Every error code that AWS is known to send, and what is done about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aws/kf_class.h"

typedef struct {
    const char *code;
    int status;
    kf_class_t class;
} row_t;

static const row_t known[] = {
    {"ProvisionedThroughputExceededException", 400, KF_CLASS_THROTTLE},
    {"LimitExceededException", 400, KF_CLASS_THROTTLE},
    {"ThrottlingException", 400, KF_CLASS_THROTTLE},
    {"Throttling", 400, KF_CLASS_THROTTLE},
    {"ThrottledException", 400, KF_CLASS_THROTTLE},
    {"RequestThrottled", 400, KF_CLASS_THROTTLE},
    {"RequestThrottledException", 400, KF_CLASS_THROTTLE},
    {"TooManyRequestsException", 429, KF_CLASS_THROTTLE},
    {"RequestLimitExceeded", 503, KF_CLASS_THROTTLE},
    {"BandwidthLimitExceeded", 509, KF_CLASS_THROTTLE},
    {"SlowDown", 503, KF_CLASS_THROTTLE},
    {"PriorRequestNotComplete", 400, KF_CLASS_THROTTLE},
    {"TransactionInProgressException", 400, KF_CLASS_THROTTLE},
    {"EC2ThrottledException", 400, KF_CLASS_THROTTLE},
    {"KMSThrottlingException", 400, KF_CLASS_THROTTLE},
    {"ServiceUnavailableException", 500, KF_CLASS_THROTTLE},
    {"ServiceUnavailable", 503, KF_CLASS_THROTTLE},
    {"ResourceInUseException", 400, KF_CLASS_THROTTLE},
    {"InternalFailure", 500, KF_CLASS_TRANSIENT},
    {"InternalFailureException", 500, KF_CLASS_TRANSIENT},
    {"InternalServerError", 500, KF_CLASS_TRANSIENT},
    {"RequestTimeout", 400, KF_CLASS_TRANSIENT},
    {"RequestTimeoutException", 408, KF_CLASS_TRANSIENT},
    {"ResourceNotFoundException", 400, KF_CLASS_HOLD},
    {"SerializationException", 400, KF_CLASS_HOLD},
    {"UnknownOperationException", 400, KF_CLASS_HOLD},
    {"MissingAuthenticationTokenException", 403, KF_CLASS_HOLD},
    {"IncompleteSignature", 400, KF_CLASS_HOLD},
    {"IncompleteSignatureException", 403, KF_CLASS_HOLD},
    {"MissingParameter", 400, KF_CLASS_HOLD},
    {"AccessDeniedException", 400, KF_CLASS_DENIED},
    {"AccessDeniedException", 403, KF_CLASS_DENIED},
    {"AccessDenied", 403, KF_CLASS_DENIED},
    {"KMSAccessDeniedException", 400, KF_CLASS_HOLD},
    {"KMSDisabledException", 400, KF_CLASS_HOLD},
    {"KMSInvalidStateException", 400, KF_CLASS_HOLD},
    {"KMSNotFoundException", 400, KF_CLASS_HOLD},
    {"KMSOptInRequired", 400, KF_CLASS_HOLD},
    {"InvalidKMSResourceException", 400, KF_CLASS_HOLD},
    {"InvalidSourceException", 400, KF_CLASS_HOLD},
    {"ExpiredTokenException", 400, KF_CLASS_EXPIRED},
    {"ExpiredToken", 403, KF_CLASS_EXPIRED},
    {"UnrecognizedClientException", 400, KF_CLASS_CREDENTIALS},
    {"InvalidClientTokenId", 403, KF_CLASS_CREDENTIALS},
    {"InvalidSignatureException", 400, KF_CLASS_HOLD},
    {"SignatureDoesNotMatch", 403, KF_CLASS_HOLD},
    {"RequestExpired", 400, KF_CLASS_CLOCK},
    {"RequestTimeTooSkewed", 403, KF_CLASS_CLOCK},
    {"RequestInTheFuture", 403, KF_CLASS_CLOCK},
    {"AuthFailure", 403, KF_CLASS_CLOCK},
    {"OptInRequired", 403, KF_CLASS_HOLD},
    {"NotAuthorized", 401, KF_CLASS_HOLD},
    {"InvalidArgumentException", 400, KF_CLASS_REFUSED},
    {"ValidationException", 400, KF_CLASS_REFUSED},
    {"RequestEntityTooLargeException", 413, KF_CLASS_TOO_LARGE},
    {"DryRunOperationException", 400, KF_CLASS_OK},
};

static void test_known_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        kf_class_t c = kf_class_of(kf_str_of(known[i].code), KF_STR(""), known[i].status);

        if (c != known[i].class)
            fail_msg("%s is %s instead of %s", known[i].code, kf_class_name(c),
                     kf_class_name(known[i].class));
    }
}

static void test_code_goes_before_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_int_equal(kf_class_of(kf_str_of(known[i].code), KF_STR(""), 400), known[i].class);
        assert_int_equal(kf_class_of(kf_str_of(known[i].code), KF_STR(""), 500), known[i].class);
    }
}

static void test_unknown_codes_by_status(void **state)
{
    static const struct {
        int status;
        kf_class_t class;
    } rows[] = {
        {0, KF_CLASS_TRANSIENT},   {200, KF_CLASS_TRANSIENT}, {301, KF_CLASS_HOLD},
        {307, KF_CLASS_HOLD},      {400, KF_CLASS_HOLD},      {401, KF_CLASS_HOLD},
        {403, KF_CLASS_HOLD},      {404, KF_CLASS_HOLD},      {407, KF_CLASS_HOLD},
        {408, KF_CLASS_TRANSIENT}, {413, KF_CLASS_TOO_LARGE}, {429, KF_CLASS_THROTTLE},
        {499, KF_CLASS_HOLD},      {500, KF_CLASS_TRANSIENT}, {502, KF_CLASS_TRANSIENT},
        {503, KF_CLASS_TRANSIENT}, {504, KF_CLASS_TRANSIENT}, {599, KF_CLASS_TRANSIENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(kf_class_of(KF_STR(""), KF_STR(""), rows[i].status), rows[i].class);
        assert_int_equal(kf_class_of(KF_STR("NeverHeardOfException"), KF_STR(""), rows[i].status),
                         rows[i].class);
    }
}

static void test_nearly_known_codes(void **state)
{
    (void)state;
    assert_int_equal(kf_class_of(KF_STR("accessdeniedexception"), KF_STR(""), 400), KF_CLASS_HOLD);
    assert_int_equal(kf_class_of(KF_STR("AccessDeniedExceptio"), KF_STR(""), 400), KF_CLASS_HOLD);
    assert_int_equal(kf_class_of(KF_STR("AccessDeniedExceptionX"), KF_STR(""), 400), KF_CLASS_HOLD);
}

typedef struct {
    const char *code, *message;
    kf_class_t class;
} worded_t;

static void test_messages_that_count(void **state)
{
    static const worded_t rows[] = {
        {"InvalidSignatureException",
         "Signature expired: 20261122T150000Z is now earlier than 20261122T154000Z",
         KF_CLASS_CLOCK},
        {"InvalidSignatureException",
         "Signature not yet current: 20261122T170000Z is still later than 20261122T154000Z",
         KF_CLASS_CLOCK},
        {"SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2", KF_CLASS_CLOCK},
        {"InvalidSignatureException",
         "The request signature we calculated does not match the signature you provided.",
         KF_CLASS_HOLD},
        {"InvalidArgumentException",
         "This operation is not permitted on KinesisStreamAsSource delivery stream type.",
         KF_CLASS_HOLD},
        {"InvalidArgumentException", "The stream is not of type DirectPut", KF_CLASS_HOLD},
        {"ValidationException",
         "1 validation error detected: Value at 'deliveryStreamName' failed to satisfy constraint",
         KF_CLASS_HOLD},
        {"ValidationException",
         "1 validation error detected: Value at 'streamName' failed to satisfy constraint",
         KF_CLASS_HOLD},
        {"InvalidArgumentException", "Records size exceeds 5 MB limit", KF_CLASS_TOO_LARGE},
        {"ValidationException",
         "1 validation error detected: Value at 'records.3.member.data' failed to satisfy "
         "constraint",
         KF_CLASS_REFUSED},
        {"ResourceNotFoundException", "Signature expired", KF_CLASS_HOLD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kf_class_t c = kf_class_of(kf_str_of(rows[i].code), kf_str_of(rows[i].message), 400);

        if (c != rows[i].class)
            fail_msg("%s: %s is %s", rows[i].code, rows[i].message, kf_class_name(c));
    }
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < KF_CLASS_COUNT; i++) {
        assert_string_not_equal(kf_class_name((kf_class_t)i), "unknown");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(kf_class_name((kf_class_t)i), kf_class_name((kf_class_t)j));
    }
    assert_string_equal(kf_class_name(KF_CLASS_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_codes),
        cmocka_unit_test(test_code_goes_before_status),
        cmocka_unit_test(test_unknown_codes_by_status),
        cmocka_unit_test(test_nearly_known_codes),
        cmocka_unit_test(test_messages_that_count),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("class", tests, NULL, NULL);
}
