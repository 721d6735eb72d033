/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads credentials from files and variables (kf_secret.h). Must not know connections. Configuration
 * time only.
 */
#include "httpd/kf_secret.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/kf_syntax.h"

/* Far above the longest session token. */
#define SECRET_MAX 65536

static bool is_file(const char *value)
{
    return strncmp(value, "file:", 5) == 0;
}

static bool is_variable(const char *value)
{
    return strncmp(value, "env:", 4) == 0;
}

static const char *cannot(apr_pool_t *pool, const char *path, int error)
{
    char text[200];

    return apr_psprintf(pool, "file:%s cannot be read: %s", path,
                        apr_strerror(error, text, sizeof text));
}

/* Bytes of fd into buffer, at most size. @return how many, -1 on error */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(fd, buffer + n, size - n);

        if (got == 0)
            break;
        if (got > 0)
            n += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)n;
}

static const char *read_open(apr_pool_t *pool, const char *path, int fd, bool is_secret,
                             const char **value)
{
    char *text = apr_palloc(pool, SECRET_MAX + 1);
    struct stat info;
    ssize_t n;

    if (fstat(fd, &info) != 0)
        return cannot(pool, path, errno);
    /* Reading a pipe would take from it what the next reading of the configuration needs. */
    if (!S_ISREG(info.st_mode))
        return apr_psprintf(pool, "file:%s is no regular file", path);
    if (is_secret && (info.st_mode & S_IROTH))
        return apr_psprintf(pool, "file:%s is readable by all users (chmod 600 or 640)", path);
    n = read_all(fd, text, SECRET_MAX + 1);
    if (n < 0)
        return cannot(pool, path, errno);
    if (n > SECRET_MAX)
        return apr_psprintf(pool, "file:%s is longer than %d bytes", path, SECRET_MAX);
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (n > 0 && text[n - 1] == '\r' && text[n] == '\n')
        n--;
    text[n] = '\0';
    if (strlen(text) != (size_t)n)
        return apr_psprintf(pool, "file:%s holds a NUL byte", path);
    *value = text;
    return NULL;
}

static const char *read_file(apr_pool_t *pool, const char *path, bool is_secret, const char **value)
{
    /* Not to wait for the writer of a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *error;

    if (fd < 0)
        return cannot(pool, path, errno);
    error = read_open(pool, path, fd, is_secret, value);
    close(fd);
    return error;
}

/* A value that is hardly a credential: what it is a reference to, with a mistake in it. It is not shown. */
static const char *mistaken(const char *value)
{
    if (strncasecmp(value, "file:", 5) == 0 || strncasecmp(value, "env:", 4) == 0)
        return "file: and env: are written in small letters";
    if (value[0] == '/' && access(value, F_OK) == 0)
        return "the value is the name of a file: to have it read, write file: before the name";
    return NULL;
}

const char *kf_secret_resolve(apr_pool_t *pool, kf_check_t check, const char **value)
{
    const char *reference = *value;
    const char *allowed = check == KF_CHECK_ACCESS_KEY ? "1 to 128 letters, digits and '_'"
                                                       : "printable ASCII without blanks";

    if (is_file(reference)) {
        /* An access key id is no secret: it is part of every signature. */
        const char *error = read_file(pool, reference + 5, check != KF_CHECK_ACCESS_KEY, value);

        if (error)
            return error;
    } else if (is_variable(reference)) {
        *value = getenv(reference + 4);
        if (!*value)
            return apr_pstrcat(pool, reference, " is not set", NULL);
        *value = apr_pstrdup(pool, *value);
    } else {
        return mistaken(reference);
    }
    if (!**value)
        return apr_pstrcat(pool, reference, " is empty", NULL);
    if (is_file(*value) || is_variable(*value) || !kf_syntax_fits(check, kf_str_of(*value)))
        return apr_psprintf(pool, "what %s holds must be %s", reference, allowed);
    return NULL;
}
