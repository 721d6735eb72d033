/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler that the module is measured against: reads the body, answers 202. Knows nothing of the
 * module. Request threads.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <string.h>

static int handle(request_rec *r)
{
    apr_bucket_brigade *brigade;
    int is_last = 0;

    if (!r->handler || strcmp(r->handler, "bench-empty") != 0)
        return DECLINED;
    brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (!is_last) {
        apr_status_t rv =
            ap_get_brigade(r->input_filters, brigade, AP_MODE_READBYTES, APR_BLOCK_READ, 65536);

        if (rv != APR_SUCCESS)
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        for (apr_bucket *b = APR_BRIGADE_FIRST(brigade); b != APR_BRIGADE_SENTINEL(brigade);
             b = APR_BUCKET_NEXT(b)) {
            const char *data;
            apr_size_t n;

            if (APR_BUCKET_IS_EOS(b))
                is_last = 1;
            else if (!APR_BUCKET_IS_METADATA(b))
                apr_bucket_read(b, &data, &n, APR_BLOCK_READ);
        }
        apr_brigade_cleanup(brigade);
    }
    r->status = HTTP_ACCEPTED;
    ap_set_content_length(r, 0);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(bench_empty) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};
