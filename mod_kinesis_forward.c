/* SPDX-License-Identifier: Apache-2.0
 *
 * The module record and its hooks, nothing more. Must not know what they do.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_status.h>
#include <mpm_common.h>
#include "httpd/kf_check.h"
#include "httpd/kf_commands.h"
#include "httpd/kf_config.h"
#include "httpd/kf_handler.h"
#include "httpd/kf_lifecycle.h"
#include "httpd/kf_status.h"

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_pre_config(kf_lifecycle_pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(kf_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(kf_lifecycle_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(kf_status_post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_child_init(kf_lifecycle_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(kf_status_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(kf_lifecycle_child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(kf_handler_trace, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_header_parser(kf_handler_cors, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_insert_error_filter(kf_handler_cors_again, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(kf_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(kf_status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(kf_handler_missing, NULL, NULL, APR_HOOK_LAST);
    APR_OPTIONAL_HOOK(ap, status_hook, kf_status_section, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(kinesis_forward) = {
    STANDARD20_MODULE_STUFF,
    .create_dir_config = kf_config_create_dir,
    .merge_dir_config = kf_config_merge_dir,
    .create_server_config = kf_config_create,
    .cmds = kf_commands,
    .register_hooks = register_hooks,
};
