/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials of kf_creds.h: the static keys of the directives. Must not know requests or replies, and
 * logs nothing. Any thread; what is counted is counted under the lock or atomically.
 */
#include "aws/kf_creds.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct kf_keys_t {
    atomic_int references;
    kf_sigv4_keys_t view; /* into text */
    size_t text_bytes;
    char text[];
};

struct kf_creds_t {
    pthread_mutex_t lock;
    kf_keys_t *keys; /* NULL: none */
};

static const char *copied(char **to, const char *text)
{
    size_t n = strlen(text) + 1;
    const char *copy = memcpy(*to, text, n);

    *to += n;
    return copy;
}

static kf_keys_t *keys_create(const char *id, const char *secret, const char *token)
{
    size_t bytes = strlen(id) + strlen(secret) + 2 + (token ? strlen(token) + 1 : 0);
    kf_keys_t *keys = malloc(sizeof *keys + bytes);
    char *to;

    if (!keys)
        return NULL;
    atomic_init(&keys->references, 1);
    keys->text_bytes = bytes;
    to = keys->text;
    keys->view.access_key_id = copied(&to, id);
    keys->view.secret_access_key = copied(&to, secret);
    keys->view.session_token = token ? copied(&to, token) : NULL;
    return keys;
}

kf_creds_t *kf_creds_create(const kf_settings_t *settings)
{
    kf_creds_t *creds = calloc(1, sizeof *creds);

    if (!creds)
        return NULL;
    if (pthread_mutex_init(&creds->lock, NULL) != 0) {
        free(creds);
        return NULL;
    }
    if (!settings->access_key_id || !settings->secret_access_key)
        return creds;
    creds->keys =
        keys_create(settings->access_key_id, settings->secret_access_key, settings->session_token);
    if (!creds->keys) {
        kf_creds_destroy(creds);
        return NULL;
    }
    return creds;
}

void kf_creds_destroy(kf_creds_t *creds)
{
    if (!creds)
        return;
    kf_keys_release(creds->keys);
    pthread_mutex_destroy(&creds->lock);
    free(creds);
}

kf_keys_t *kf_creds_get(kf_creds_t *creds, const char **why)
{
    kf_keys_t *keys;

    pthread_mutex_lock(&creds->lock);
    keys = creds->keys;
    if (keys)
        atomic_fetch_add(&keys->references, 1);
    pthread_mutex_unlock(&creds->lock);
    if (!keys)
        *why = "no credentials: set KinesisAccessKeyId and KinesisSecretAccessKey";
    return keys;
}

const kf_sigv4_keys_t *kf_keys_of(const kf_keys_t *keys)
{
    return &keys->view;
}

void kf_keys_release(kf_keys_t *keys)
{
    if (!keys || atomic_fetch_sub(&keys->references, 1) != 1)
        return;
    OPENSSL_cleanse(keys->text, keys->text_bytes);
    free(keys);
}

bool kf_creds_refuse(kf_creds_t *creds, const kf_keys_t *keys)
{
    (void)creds;
    (void)keys;
    /* What the configuration says stays what it is until the next restart. */
    return false;
}
