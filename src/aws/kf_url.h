/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs of the environment taken apart, by libcurl, so that what is checked is what is asked. No I/O, no
 * look at the name service. Any thread.
 */
#ifndef KF_URL_H
#define KF_URL_H

#include <apr_pools.h>
#include <stdbool.h>

typedef struct {
    bool tls;
    const char *host; /* lower case; an IPv6 address in brackets */
    const char *at;   /* the Host header: with the port if it is not the scheme's */
    const char *base; /* "https://host[:port]", without a path */
    const char *path; /* with the query; at least "/" */
} kf_url_t;

/**
 * @return false unless the text is an http or https URL in ASCII, without user, password and fragment;
 *         *out is of the pool
 */
bool kf_url_parse(apr_pool_t *pool, const char *text, kf_url_t *out);

/** Whether the host, as written, is this machine: localhost, 127.0.0.0/8, [::1]. */
bool kf_url_is_loopback(const kf_url_t *url);

#endif
