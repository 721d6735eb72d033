/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of error codes of kf_class.h. Must not know calls, records or replies. Pure; any thread.
 *
 * Sources: the service models and retry tables of botocore 1.43.67 (Aug 2026), @aws-sdk/core 3.981.0
 * (Sep 2026), and the common error pages of both services. What none of them names is decided by its
 * status, and held rather than refused: a held record is still there when somebody knows better.
 */
#include "aws/kf_class.h"

/* A code that means one thing whatever its message says. */
typedef struct {
    const char *code;
    kf_class_t class;
} row_t;

static const row_t rows[] = {
    {"ProvisionedThroughputExceededException", KF_CLASS_THROTTLE},
    {"ProvisionedThroughputExceeded", KF_CLASS_THROTTLE},
    {"LimitExceededException", KF_CLASS_THROTTLE},
    {"ThrottlingException", KF_CLASS_THROTTLE},
    {"Throttling", KF_CLASS_THROTTLE},
    {"ThrottledException", KF_CLASS_THROTTLE},
    {"RequestThrottled", KF_CLASS_THROTTLE},
    {"RequestThrottledException", KF_CLASS_THROTTLE},
    {"TooManyRequestsException", KF_CLASS_THROTTLE},
    {"RequestLimitExceeded", KF_CLASS_THROTTLE},
    {"BandwidthLimitExceeded", KF_CLASS_THROTTLE},
    {"SlowDown", KF_CLASS_THROTTLE},
    {"PriorRequestNotComplete", KF_CLASS_THROTTLE},
    {"TransactionInProgressException", KF_CLASS_THROTTLE},
    {"EC2ThrottledException", KF_CLASS_THROTTLE},
    {"KMSThrottlingException", KF_CLASS_THROTTLE},
    /* Firehose: "back off; throughput limits may have been exceeded". */
    {"ServiceUnavailableException", KF_CLASS_THROTTLE},
    {"ServiceUnavailable", KF_CLASS_THROTTLE},
    /* The stream is being created or changed, which ends by itself but not in milliseconds. */
    {"ResourceInUseException", KF_CLASS_THROTTLE},

    {"InternalFailure", KF_CLASS_TRANSIENT},
    {"InternalFailureException", KF_CLASS_TRANSIENT},
    {"InternalServerError", KF_CLASS_TRANSIENT},
    {"InternalServerException", KF_CLASS_TRANSIENT},
    {"RequestTimeout", KF_CLASS_TRANSIENT},
    {"RequestTimeoutException", KF_CLASS_TRANSIENT},

    {"ResourceNotFoundException", KF_CLASS_HOLD},
    {"KMSAccessDeniedException", KF_CLASS_HOLD},
    {"KMSDisabledException", KF_CLASS_HOLD},
    {"KMSInvalidStateException", KF_CLASS_HOLD},
    {"KMSNotFoundException", KF_CLASS_HOLD},
    {"KMSOptInRequired", KF_CLASS_HOLD},
    {"InvalidKMSResourceException", KF_CLASS_HOLD},
    {"InvalidSourceException", KF_CLASS_HOLD},
    {"OptInRequired", KF_CLASS_HOLD},
    {"NotAuthorized", KF_CLASS_HOLD},

    /* A bug on this side: no data is at fault, so none may be given up on. */
    {"SerializationException", KF_CLASS_HOLD},
    {"UnknownOperationException", KF_CLASS_HOLD},
    {"MissingAuthenticationToken", KF_CLASS_HOLD},
    {"MissingAuthenticationTokenException", KF_CLASS_HOLD},
    {"IncompleteSignature", KF_CLASS_HOLD},
    {"IncompleteSignatureException", KF_CLASS_HOLD},
    {"MissingParameter", KF_CLASS_HOLD},
    {"MissingAction", KF_CLASS_HOLD},
    {"InvalidAction", KF_CLASS_HOLD},

    {"AccessDeniedException", KF_CLASS_DENIED},
    {"AccessDenied", KF_CLASS_DENIED},

    {"RequestEntityTooLargeException", KF_CLASS_TOO_LARGE},
    {"RequestEntityTooLarge", KF_CLASS_TOO_LARGE},

    {"RequestExpired", KF_CLASS_CLOCK},
    {"RequestTimeTooSkewed", KF_CLASS_CLOCK},
    {"RequestInTheFuture", KF_CLASS_CLOCK},
    {"AuthFailure", KF_CLASS_CLOCK},

    {"ExpiredTokenException", KF_CLASS_EXPIRED},
    {"ExpiredToken", KF_CLASS_EXPIRED},

    {"UnrecognizedClientException", KF_CLASS_CREDENTIALS},
    {"InvalidClientTokenId", KF_CLASS_CREDENTIALS},

    {"DryRunOperationException", KF_CLASS_OK},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Whether text holds the words, any case. */
static bool holds(kf_str_t text, const char *words)
{
    size_t n = strlen(words);

    for (size_t at = 0; at + n <= text.n; at++) {
        size_t i = 0;

        while (i < n && lower(text.p[at + i]) == lower(words[i]))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static bool holds_any(kf_str_t text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (holds(text, words[i]))
            return true;
    }
    return false;
}

/* A wrong secret and a wrong clock share their codes. */
static kf_class_t of_signature(kf_str_t message)
{
    static const char *const clock[] = {"signature expired", "not yet current"};

    return holds_any(message, clock, 2) ? KF_CLASS_CLOCK : KF_CLASS_HOLD;
}

/* Refused arguments: the call's size, the stream as it is set up, or a record. */
static kf_class_t of_argument(kf_str_t message)
{
    static const char *const stream[] = {"delivery stream type",
                                         "not permitted on",
                                         "directput",
                                         "direct put",
                                         "at 'streamname'",
                                         "at 'streamarn'",
                                         "at 'deliverystreamname'",
                                         "streamarn"};

    if (holds(message, "records size exceeds"))
        return KF_CLASS_TOO_LARGE;
    if (holds_any(message, stream, sizeof stream / sizeof stream[0]))
        return KF_CLASS_HOLD;
    return KF_CLASS_REFUSED;
}

static kf_class_t of_status(int status)
{
    if (status == 429)
        return KF_CLASS_THROTTLE;
    if (status == 413)
        return KF_CLASS_TOO_LARGE;
    if (status == 408 || status < 300 || status >= 500)
        return KF_CLASS_TRANSIENT;
    return KF_CLASS_HOLD;
}

kf_class_t kf_class_of(kf_str_t code, kf_str_t message, int status)
{
    if (kf_str_eq(code, KF_STR("InvalidArgumentException")) ||
        kf_str_eq(code, KF_STR("ValidationException")))
        return of_argument(message);
    if (kf_str_eq(code, KF_STR("InvalidSignatureException")) ||
        kf_str_eq(code, KF_STR("SignatureDoesNotMatch")))
        return of_signature(message);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (kf_str_eq(code, kf_str_of(rows[i].code)))
            return rows[i].class;
    }
    return of_status(status);
}

const char *kf_class_name(kf_class_t c)
{
    static const char *const names[KF_CLASS_COUNT] = {
        [KF_CLASS_OK] = "ok",
        [KF_CLASS_TRANSIENT] = "transient",
        [KF_CLASS_THROTTLE] = "throttle",
        [KF_CLASS_HOLD] = "hold",
        [KF_CLASS_DENIED] = "denied",
        [KF_CLASS_REFUSED] = "refused",
        [KF_CLASS_TOO_LARGE] = "too-large",
        [KF_CLASS_CLOCK] = "clock",
        [KF_CLASS_EXPIRED] = "expired",
        [KF_CLASS_CREDENTIALS] = "credentials",
    };

    return (unsigned)c < KF_CLASS_COUNT ? names[c] : "unknown";
}
