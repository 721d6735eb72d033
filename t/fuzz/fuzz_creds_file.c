/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared AWS files that may hold anything: an input is a configuration file, then a line of dashes, then
 * a credentials file. What comes out must be views into the files.
 */
#include <stdint.h>
#include <stdlib.h>
#include "aws/kf_creds_profile.h"
#include "aws/kf_ini.h"

static const char divider[] = "\n----\n";

typedef struct {
    kf_str_t text;
    size_t items;
} seen_t;

static void within(kf_str_t outer, kf_str_t inner)
{
    if (inner.n > 0 && (inner.p < outer.p || inner.p + inner.n > outer.p + outer.n))
        abort();
}

static void look(void *context, const kf_ini_item_t *item)
{
    seen_t *seen = context;

    within(seen->text, item->section);
    within(seen->text, item->part_of);
    within(seen->text, item->name);
    within(seen->text, item->value);
    if (item->section.n == 0 || memchr(item->value.p ? item->value.p : "", '\n', item->value.n))
        abort();
    seen->items++;
}

static void put(kf_creds_file_t *file, bool is_config, kf_str_t text)
{
    seen_t seen = {.text = text};

    *file = (kf_creds_file_t){.is_config = is_config, .is_there = true};
    kf_buf_init(&file->text, text.n + 1);
    kf_buf_put_str(&file->text, text);
    seen.text = kf_buf_str(&file->text);
    (void)kf_ini_parse(seen.text, look, &seen);
}

static void check(const kf_creds_files_t *files, const kf_creds_profile_t *p)
{
    kf_str_t config = kf_buf_str(&files->config.text);
    kf_str_t credentials = kf_buf_str(&files->credentials.text);
    const kf_str_t *values[] = {&p->access_key_id,  &p->secret_access_key,  &p->role_arn,
                                &p->source_profile, &p->credential_process, &p->sso,
                                &p->services,       &p->endpoint_url,       &p->account_id};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        kf_str_t value = *values[i];
        bool is_config = value.n > 0 && value.p >= config.p && value.p < config.p + config.n;

        within(is_config ? config : credentials, value);
        if (value.n > 0 && !p->exists)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kf_str_t config = {(const char *)data, size}, credentials = {0};
    const char *at = size ? memmem(data, size, divider, sizeof divider - 1) : NULL;
    kf_creds_files_t files;
    kf_creds_profile_t profile;

    if (at) {
        config.n = (size_t)(at - config.p) + 1;
        credentials.p = at + sizeof divider - 1;
        credentials.n = size - (size_t)(credentials.p - config.p);
    }
    put(&files.config, true, config);
    put(&files.credentials, false, credentials);
    kf_creds_profile_read(&files, KF_STR("default"), &profile);
    check(&files, &profile);
    kf_creds_profile_read(&files, KF_STR("p"), &profile);
    check(&files, &profile);
    kf_creds_file_free(&files.config);
    kf_creds_file_free(&files.credentials);
    return 0;
}
