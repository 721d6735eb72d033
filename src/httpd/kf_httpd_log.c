/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages into httpd's error log (kf_httpd_log.h). Must not know what they mean. Any thread.
 */
#include "httpd/kf_httpd_log.h"

#include <apr_strings.h>
#include <http_main.h>
#include <stdarg.h>
#include "httpd/kf_module.h"

static int level_of(kf_level_t level)
{
    switch (level) {
    case KF_ERROR:
        return APLOG_ERR;
    case KF_WARNING:
        return APLOG_WARNING;
    case KF_NOTICE:
        return APLOG_NOTICE;
    case KF_INFO:
        return APLOG_INFO;
    default:
        return APLOG_DEBUG;
    }
}

void kf_httpd_log(kf_level_t level, const char *line)
{
    ap_log_error(APLOG_MARK, level_of(level), 0, ap_server_conf, "%s", line);
}

void kf_httpd_log_startup(kf_level_t level, const char *line)
{
    ap_log_error(APLOG_MARK, APLOG_STARTUP | level_of(level), 0, NULL, "%s", line);
}

void kf_httpd_log_request(request_rec *r, kf_msg_t msg, const char *format, ...)
{
    const kf_msg_info_t *info = kf_msg_info(msg);
    int level = level_of(info->level);
    const char *text;
    va_list args;

    if (!APLOG_R_IS_LEVEL(r, level) && info->alert == KF_ALERT_LOG)
        return;
    va_start(args, format);
    text = apr_pvsprintf(r->pool, format, args);
    va_end(args);
    if (!kf_log_tell(msg, text))
        return;
    ap_log_rerror(APLOG_MARK, level, 0, r, "%s: %s%s%s", info->id, text, *info->advice ? "; " : "",
                  info->advice);
}
