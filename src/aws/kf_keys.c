/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of kf_keys.h. Must not know providers. Any thread; references are counted atomically.
 */
#include "aws/kf_keys.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>

#define ID_MAX 128
#define SECRET_MAX 1024
#define TOKEN_MAX 32768

const char kf_keys_no_memory[] = "out of memory";

struct kf_keys_t {
    atomic_int references;
    kf_sigv4_keys_t view; /* into text */
    size_t text_bytes;
    char text[];
};

static const char *copied(char **to, kf_str_t text)
{
    char *copy = *to;

    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *to += text.n + 1;
    return copy;
}

static bool is_word(kf_str_t text, size_t most)
{
    if (text.n == 0 || text.n > most)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~')
            return false;
    return true;
}

static const char *find_fault(kf_str_t id, kf_str_t secret, kf_str_t token)
{
    if (id.n == 0 || secret.n == 0)
        return id.n ? "the secret access key is missing" : "the access key id is missing";
    if (!is_word(id, ID_MAX))
        return "the access key id is none";
    if (!is_word(secret, SECRET_MAX))
        return "the secret access key is none";
    if (token.n > 0 && !is_word(token, TOKEN_MAX))
        return "the session token is none";
    return NULL;
}

kf_keys_t *kf_keys_create(kf_str_t id, kf_str_t secret, kf_str_t token, const char **why)
{
    size_t bytes = id.n + secret.n + token.n + 3;
    kf_keys_t *keys;
    char *to;

    *why = find_fault(id, secret, token);
    if (*why)
        return NULL;
    *why = kf_keys_no_memory;
    keys = malloc(sizeof *keys + bytes);
    if (!keys)
        return NULL;
    atomic_init(&keys->references, 1);
    keys->text_bytes = bytes;
    to = keys->text;
    keys->view.access_key_id = copied(&to, id);
    keys->view.secret_access_key = copied(&to, secret);
    keys->view.session_token = token.n > 0 ? copied(&to, token) : NULL;
    return keys;
}

kf_keys_t *kf_keys_hold(kf_keys_t *keys)
{
    atomic_fetch_add(&keys->references, 1);
    return keys;
}

void kf_keys_release(kf_keys_t *keys)
{
    if (!keys || atomic_fetch_sub(&keys->references, 1) != 1)
        return;
    OPENSSL_cleanse(keys->text, keys->text_bytes);
    free(keys);
}

const kf_sigv4_keys_t *kf_keys_of(const kf_keys_t *keys)
{
    return &keys->view;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool kf_keys_same(const kf_keys_t *a, const kf_keys_t *b)
{
    return is_same(a->view.access_key_id, b->view.access_key_id) &&
           is_same(a->view.secret_access_key, b->view.secret_access_key) &&
           is_same(a->view.session_token, b->view.session_token);
}
