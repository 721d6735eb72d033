/* SPDX-License-Identifier: Apache-2.0
 *
 * What to do about an error of AWS: a table of codes (aws-facts section 2) to classes. Pure; any thread.
 */
#ifndef KF_CLASS_H
#define KF_CLASS_H

#include "base/kf_str.h"

typedef enum {
    KF_CLASS_OK,
    KF_CLASS_TRANSIENT, /* retry with the short backoff */
    KF_CLASS_THROTTLE,  /* retry with the long backoff */
    KF_CLASS_HOLD,      /* an operator must act: alert, slow probe, nothing dropped */
    KF_CLASS_DENIED,    /* AccessDenied: HOLD, but a batch call in put mode auto falls back first */
    KF_CLASS_REFUSED,   /* the call is refused for (at least) one of its records: isolate */
    KF_CLASS_TOO_LARGE, /* the call is too large: halve; a single record is refused */
    KF_CLASS_CLOCK,     /* correct the clock and send again at once; same again: HOLD */
    KF_CLASS_EXPIRED,   /* refresh credentials and send again at once; same again: HOLD */
    KF_CLASS_CREDENTIALS, /* refresh credentials once; same again: HOLD */
    KF_CLASS_COUNT
} kf_class_t;

/**
 * @param code     the error's name without namespace or suffix, may be empty
 * @param message  its text, for the few codes that need it (signature expired; Direct PUT)
 * @param status   HTTP status, decides where the code is unknown or empty
 */
kf_class_t kf_class_of(kf_str_t code, kf_str_t message, int status);

/** "transient", "throttle", ...: for logs and counters. */
const char *kf_class_name(kf_class_t c);

#endif
