/* SPDX-License-Identifier: Apache-2.0
 *
 * The copy of the environment of kf_creds_env.h. Must not know providers. The child's main thread.
 */
#include "aws/kf_creds_env.h"

#include <openssl/crypto.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const names[KF_ENV_COUNT] = {
#define KF_CREDS_VARIABLE(name) #name,
    KF_CREDS_VARIABLES(KF_CREDS_VARIABLE)
#undef KF_CREDS_VARIABLE
};

static const char *home_of_user(void)
{
    const struct passwd *user = getpwuid(geteuid());

    return user ? user->pw_dir : NULL;
}

static char *copy(const char *text)
{
    size_t n = strlen(text) + 1;
    char *to = malloc(n);

    return to ? memcpy(to, text, n) : NULL;
}

bool kf_creds_env_read(kf_creds_env_t *env)
{
    memset(env, 0, sizeof *env);
    for (int i = 0; i < KF_ENV_COUNT; i++) {
        const char *value = getenv(names[i]);

        if (i == KF_ENV_HOME && (!value || !*value))
            value = home_of_user();
        if (!value || !*value)
            continue;
        env->value[i] = copy(value);
        if (!env->value[i])
            return false;
    }
    return true;
}

void kf_creds_env_free(kf_creds_env_t *env)
{
    for (int i = 0; i < KF_ENV_COUNT; i++) {
        if (env->value[i])
            OPENSSL_cleanse(env->value[i], strlen(env->value[i]));
        free(env->value[i]);
        env->value[i] = NULL;
    }
}

bool kf_creds_env_is_true(const kf_creds_env_t *env, kf_creds_variable_t variable)
{
    return env->value[variable] && strcasecmp(env->value[variable], "true") == 0;
}
