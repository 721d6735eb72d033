/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a request's Content-Type and Content-Encoding are ones that the module takes. Looks at
 * headers and at the request's filters, reads nothing. The request's thread.
 */
#ifndef KF_CONTENT_H
#define KF_CONTENT_H

#include <httpd.h>
#include <stdbool.h>

/**
 * application/json and text/plain, without charset or with UTF-8 or US-ASCII; and no type at all.
 * @param type  the header's value, or NULL
 * @return NULL, or what is wrong with it: a constant sentence
 */
const char *kf_content_type_fault(const char *type);

/** Whether the body, as it is now read, is in a coding other than identity. */
bool kf_content_is_encoded(const request_rec *r);

/**
 * Whether it stays encoded however much is read: no input filter of the location can remove the coding.
 * Asked before the first read, when filters have not touched the header yet.
 */
bool kf_content_stays_encoded(const request_rec *r);

#endif
