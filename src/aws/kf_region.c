/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of partitions and the matcher for region names of kf_region.h. Must not know services or
 * endpoints. Pure; any thread.
 *
 * Source: the partitions of @aws-sdk/core 3.981.0 (Oct 2026). Each row stands for the regular
 * expression ^PREFIX-\w+-\d+$, \w being [A-Za-z0-9_]; the prefixes of one partition are the
 * alternatives of its expression. No two rows can match the same region: \w holds no dash.
 */
#include "aws/kf_region.h"

typedef enum { AWS, CN, EUSC, ISO, ISO_B, ISO_E, ISO_F, US_GOV } partition_t;

static const kf_partition_t partitions[] = {
    [AWS] = {"aws", "amazonaws.com", "api.aws"},
    [CN] = {"aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    [EUSC] = {"aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"},
    [ISO] = {"aws-iso", "c2s.ic.gov", "api.aws.ic.gov"},
    [ISO_B] = {"aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"},
    [ISO_E] = {"aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
    [ISO_F] = {"aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
    [US_GOV] = {"aws-us-gov", "amazonaws.com", "api.aws"},
};

static const struct {
    const char *prefix;
    partition_t partition;
} patterns[] = {
    {"us", AWS},        {"eu", AWS},        {"ap", AWS},        {"sa", AWS},
    {"ca", AWS},        {"me", AWS},        {"af", AWS},        {"il", AWS},
    {"mx", AWS},        {"cn", CN},         {"eusc-de", EUSC},  {"us-iso", ISO},
    {"us-isob", ISO_B}, {"eu-isoe", ISO_E}, {"us-isof", ISO_F}, {"us-gov", US_GOV},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

/* Whether the region is PREFIX-\w+-\d+ and no more. */
static bool matches(kf_str_t region, kf_str_t prefix)
{
    size_t i = prefix.n + 1;
    size_t word = i;
    size_t number;

    if (region.n <= i || memcmp(region.p, prefix.p, prefix.n) != 0 || region.p[prefix.n] != '-')
        return false;
    while (i < region.n && is_word(region.p[i]))
        i++;
    if (i == word || i == region.n || region.p[i] != '-')
        return false;
    number = ++i;
    while (i < region.n && is_digit(region.p[i]))
        i++;
    return i > number && i == region.n;
}

const kf_partition_t *kf_region_partition(kf_str_t region)
{
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        if (matches(region, kf_str_of(patterns[i].prefix)))
            return &partitions[patterns[i].partition];
    }
    return NULL;
}
