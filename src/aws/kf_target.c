/* SPDX-License-Identifier: Apache-2.0
 *
 * The services' table and the endpoint rules of kf_target.h. Must not know requests, nor look at the
 * environment or files. Configuration time; what it returns is read by any thread.
 *
 * Sources: the endpoint rules and service models of botocore 1.43.67 (Aug 2026), @aws-sdk/core 3.981.0
 * (Oct 2026) for partitions.
 */
#include "aws/kf_target.h"

#include <apr_strings.h>
#include "aws/kf_endpoint.h"
#include "aws/kf_region.h"
#include "base/kf_limits.h"
#include "base/kf_parse.h"
#include "base/kf_syntax.h"

/* Firehose: longest name of a delivery stream (botocore 1.43.67). */
#define FIREHOSE_NAME_MAX 64

/* By the choices of KinesisService. */
static const kf_service_t services[] = {
    [KF_SERVICE_STREAMS] =
        {
            .name = "kinesis",
            .action = {"Kinesis_20131202.PutRecord", "Kinesis_20131202.PutRecords", NULL},
            .stream_member = "StreamName",
            .id_member = "SequenceNumber",
            .results_member = "Records",
            .has_key = true,
            .record_bytes_max = KF_STREAMS_RECORD_BYTES_MAX,
            .call_bytes_max = KF_STREAMS_CALL_BYTES_MAX,
        },
    [KF_SERVICE_FIREHOSE] =
        {
            .name = "firehose",
            .action = {"Firehose_20150804.PutRecord", "Firehose_20150804.PutRecordBatch",
                       "Firehose_20150804.DescribeDeliveryStream"},
            .stream_member = "DeliveryStreamName",
            .id_member = "RecordId",
            .results_member = "RequestResponses",
            .has_key = false,
            .record_bytes_max = KF_FIREHOSE_RECORD_BYTES_MAX,
            .call_bytes_max = KF_FIREHOSE_CALL_BYTES_MAX,
        },
};

/* arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME */
typedef struct {
    kf_str_t partition, region, account;
} arn_t;

static kf_str_t part_of_arn(const char **at)
{
    kf_str_t part = {*at, strcspn(*at, ":")};

    *at += part.n;
    if (**at == ':')
        ++*at;
    return part;
}

static arn_t arn_of(const char *text)
{
    arn_t arn;
    const char *at = text;

    (void)part_of_arn(&at); /* "arn" */
    arn.partition = part_of_arn(&at);
    (void)part_of_arn(&at); /* "kinesis" */
    arn.region = part_of_arn(&at);
    arn.account = part_of_arn(&at);
    return arn;
}

static const char *stream_error(apr_pool_t *pool, const kf_settings_t *s,
                                const kf_partition_t *partition)
{
    arn_t arn;

    if (!s->stream_name == !s->stream_arn)
        return "exactly one of KinesisStreamName and KinesisStreamArn must be set";
    if (s->stream_name) {
        if (s->service == KF_SERVICE_FIREHOSE && strlen(s->stream_name) > FIREHOSE_NAME_MAX)
            return apr_psprintf(pool,
                                "KinesisStreamName %s: a Firehose stream's name has at most %d "
                                "characters",
                                s->stream_name, FIREHOSE_NAME_MAX);
        return NULL;
    }
    if (s->service == KF_SERVICE_FIREHOSE)
        return apr_psprintf(pool,
                            "KinesisStreamArn %s: Firehose takes no ARN, use KinesisStreamName",
                            s->stream_arn);
    if (!kf_syntax_fits(KF_CHECK_STREAM_ARN, kf_str_of(s->stream_arn)))
        return apr_psprintf(pool, "KinesisStreamArn %s: must be %s", s->stream_arn,
                            kf_syntax_allowed(KF_CHECK_STREAM_ARN));
    arn = arn_of(s->stream_arn);
    if (!kf_str_eq(arn.region, kf_str_of(s->region)))
        return apr_psprintf(pool, "KinesisStreamArn %s: is of another region than KinesisRegion %s",
                            s->stream_arn, s->region);
    if (!kf_str_eq(arn.partition, kf_str_of(partition->id)))
        return apr_psprintf(pool, "KinesisStreamArn %s: region %s belongs to partition %s",
                            s->stream_arn, s->region, partition->id);
    return NULL;
}

/* The region's own endpoint, or an account's: the ARN's unless another choice has been made. */
static const char *own_host(apr_pool_t *pool, const kf_settings_t *s, const kf_service_t *service)
{
    kf_str_t account = {"", 0};

    if (s->endpoint_account)
        account = kf_str_of(s->endpoint_account);
    else if (s->stream_arn)
        account = arn_of(s->stream_arn).account;
    return kf_endpoint_host(pool, service->name, s->region, s->use_fips, s->use_dual_stack,
                            account);
}

static char *lower_case(apr_pool_t *pool, const char *text, size_t n)
{
    char *copy = apr_pstrmemdup(pool, text, n);

    for (char *c = copy; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    }
    return copy;
}

/* A custom endpoint, in parts. */
typedef struct {
    bool tls;
    const char *host; /* lower case, brackets included */
    int64_t port;     /* -1: none given */
} endpoint_t;

static bool endpoint_parse(apr_pool_t *pool, const char *url, endpoint_t *out)
{
    const char *host;
    const char *end;

    if (!kf_syntax_fits(KF_CHECK_ENDPOINT, kf_str_of(url)))
        return false;
    out->tls = url[4] == 's' || url[4] == 'S';
    host = strstr(url, "://") + 3;
    end = host + strcspn(host, *host == '[' ? "]" : ":/");
    if (*host == '[')
        end++;
    out->host = lower_case(pool, host, (size_t)(end - host));
    out->port = -1;
    return *end != ':' || kf_parse_i64((kf_str_t){end + 1, strcspn(end + 1, "/")}, &out->port);
}

/* As written: a name that only resolves to a loopback address is not enough. */
static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* What comes from the environment may hold a password where none belongs. */
static const char *shown(const char *url)
{
    return strchr(url, '@') ? "(with a user, not shown)" : url;
}

static const char *custom_endpoint(apr_pool_t *pool, const kf_settings_t *s, kf_target_t *target)
{
    endpoint_t e;

    if (s->use_fips || s->use_dual_stack)
        return apr_psprintf(pool,
                            "KinesisEndpoint %s: cannot be combined with %s, which chooses among "
                            "the region's own endpoints",
                            shown(s->endpoint),
                            s->use_fips ? "KinesisUseFIPS" : "KinesisUseDualStack");
    if (!endpoint_parse(pool, s->endpoint, &e))
        return apr_psprintf(pool, "KinesisEndpoint %s: must be %s", shown(s->endpoint),
                            kf_syntax_allowed(KF_CHECK_ENDPOINT));
    if (!e.tls && !s->allow_insecure_endpoint && !is_loopback(e.host))
        return apr_psprintf(pool,
                            "KinesisEndpoint %s: plain http is for localhost, 127.0.0.0/8 and "
                            "[::1] only, unless KinesisAllowInsecureEndpoint is On",
                            s->endpoint);
    target->host = e.host;
    if (e.port >= 0 && e.port != (e.tls ? 443 : 80))
        target->host = apr_psprintf(pool, "%s:%d", e.host, (int)e.port);
    target->url = apr_pstrcat(pool, e.tls ? "https://" : "http://", target->host, "/", NULL);
    return NULL;
}

const kf_target_t *kf_target_resolve(apr_pool_t *pool, const kf_settings_t *settings,
                                     const char **error)
{
    kf_target_t *target = apr_pcalloc(pool, sizeof *target);
    const kf_partition_t *partition = kf_region_partition(kf_str_of(settings->region));

    if (!partition) {
        *error = apr_psprintf(pool,
                              "KinesisRegion %s: is no region's name; allowed are names such as "
                              "us-east-1",
                              settings->region);
        return NULL;
    }
    *error = stream_error(pool, settings, partition);
    if (*error)
        return NULL;
    target->service = &services[settings->service];
    target->stream_name = settings->stream_name;
    target->stream_arn = settings->stream_arn;
    target->region = settings->region;
    target->ca_file = settings->ca_file;
    target->proxy = settings->proxy;
    if (settings->endpoint) {
        *error = custom_endpoint(pool, settings, target);
        return *error ? NULL : target;
    }
    target->host = own_host(pool, settings, target->service);
    target->url = apr_pstrcat(pool, "https://", target->host, "/", NULL);
    return target;
}
