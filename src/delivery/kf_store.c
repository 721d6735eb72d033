/* SPDX-License-Identifier: Apache-2.0
 *
 * The store's folder.
 */
#include "delivery/kf_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/kf_clock.h"
#include "delivery/kf_file.h"

#define VERSION_FILE "version"
#define VERSION_NEW "version.new"
#define VERSION_WORDS "mod_kinesis_forward store "
#define LOCK_FILE "lock"
#define LOCK_WAIT_US (2 * KF_SEC)
#define LOCK_POLL_US 20000
#define NAME_BYTES 64
#define TEXT_BYTES 64

typedef struct {
    const char *path;
    int folder;
    uid_t uid;
    gid_t gid;
    char *error;
} store_t;

static bool fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(char *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, KF_STORE_ERROR_MAX, format, args);
    va_end(args);
    return false;
}

/* A user as people and chown name it. */
static const char *user_name(uid_t uid, char name[NAME_BYTES])
{
    char space[1024];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(uid, &entry, space, sizeof(space), &found) == 0 && found) {
        snprintf(name, NAME_BYTES, "%s", entry.pw_name);
    } else {
        snprintf(name, NAME_BYTES, "%lu", (unsigned long)uid);
    }
    return name;
}

/* ---- the folder ---- */

/* Owner and mode of a folder of the store. */
static bool is_right(const char *path, const struct stat *info, uid_t uid, char *error)
{
    char is[NAME_BYTES], should[NAME_BYTES];

    if (!S_ISDIR(info->st_mode)) {
        return fail(error, "KinesisStoreDirectory: %s is not a folder", path);
    }
    if (info->st_uid != uid) {
        user_name(uid, should);
        return fail(error,
                    "KinesisStoreDirectory: %s belongs to user %s, but must belong to %s, which "
                    "httpd's children run as: \"chown -R %s %s\", or name another folder",
                    path, user_name(info->st_uid, is), should, should, path);
    }
    if (info->st_mode & (S_IRWXG | S_IRWXO)) {
        return fail(error,
                    "KinesisStoreDirectory: %s is open to other users (mode %04o), but it holds "
                    "what was posted: \"chmod 700 %s\"",
                    path, (unsigned)(info->st_mode & 07777), path);
    }
    if ((info->st_mode & S_IRWXU) != S_IRWXU) {
        return fail(error,
                    "KinesisStoreDirectory: %s is closed to its own user (mode %04o): "
                    "\"chmod 700 %s\"",
                    path, (unsigned)(info->st_mode & 07777), path);
    }
    return true;
}

/* The folder that a path is in. */
static void parent_of(const char *path, char *parent, size_t size)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    while (n > 1 && path[n - 1] != '/') {
        n--;
    }
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    snprintf(parent, size, "%.*s", (int)n, path);
}

/* Why a path can't be reached: mostly its parent is not there. */
static bool fail_path(const char *path, int rc, char *error)
{
    char parent[KF_STORE_ERROR_MAX / 3];
    struct stat info;

    parent_of(path, parent, sizeof(parent));
    if (rc == ENOENT && stat(parent, &info) != 0) {
        return fail(error,
                    "KinesisStoreDirectory: %s cannot be made, because %s is not there: make that "
                    "folder, or name another one",
                    path, parent);
    }
    return fail(error, "KinesisStoreDirectory: %s cannot be used: %s", path, strerror(rc));
}

/* Gives a folder just made to its user. */
static int hand_over(int folder, uid_t uid, gid_t gid)
{
    if (fchmod(folder, 0700) != 0) {
        return errno;
    }
    return geteuid() == 0 && fchown(folder, uid, gid) != 0 ? errno : 0;
}

/* So that a name just made is there after a power cut. */
static void sync_parent(const char *path)
{
    char parent[KF_STORE_ERROR_MAX];

    parent_of(path, parent, sizeof(parent));
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        kf_file_system.sync_folder(fd);
        close(fd);
    }
}

static bool open_folder(store_t *s)
{
    bool made = mkdir(s->path, 0700) == 0;
    int rc = made || errno == EEXIST ? 0 : errno;
    struct stat info;

    s->folder = rc == 0 ? open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == 0 && s->folder < 0) {
        rc = errno;
    }
    if (rc == 0 && made) {
        rc = hand_over(s->folder, s->uid, s->gid);
        sync_parent(s->path);
    }
    if (rc == 0 && fstat(s->folder, &info) != 0) {
        rc = errno;
    }
    return rc == 0 ? is_right(s->path, &info, s->uid, s->error) : fail_path(s->path, rc, s->error);
}

static bool open_journal(store_t *s)
{
    char path[KF_STORE_ERROR_MAX / 3];
    struct stat info;

    snprintf(path, sizeof(path), "%s/" KF_STORE_JOURNAL, s->path);
    bool made = mkdirat(s->folder, KF_STORE_JOURNAL, 0700) == 0;
    int rc = made || errno == EEXIST ? 0 : errno;
    int fd = -1;
    if (rc == 0) {
        fd = openat(s->folder, KF_STORE_JOURNAL, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = fd < 0 ? errno : 0;
    }
    if (rc == 0 && made) {
        rc = hand_over(fd, s->uid, s->gid);
        if (rc == 0) {
            rc = kf_file_system.sync_folder(s->folder);
        }
    }
    if (rc == 0 && fstat(fd, &info) != 0) {
        rc = errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc == 0 ? is_right(path, &info, s->uid, s->error) : fail_path(path, rc, s->error);
}

/* ---- the version ---- */

/* What a store may hold before it has a version: nothing but traces of its own making, and what file
 * systems put into their topmost folder. */
static int is_fresh(int folder, bool *fresh)
{
    static const char *const known[] = {".", "..", "lost+found", VERSION_NEW};
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);

    if (!list) {
        int rc = errno;
        if (copy >= 0) {
            close(copy);
        }
        return rc;
    }
    *fresh = true;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            is_known = is_known || strcmp(entry->d_name, known[i]) == 0;
        }
        *fresh = *fresh && is_known;
    }
    int rc = errno;
    closedir(list);
    return rc;
}

static int write_version(store_t *s)
{
    char text[TEXT_BYTES];
    int n = snprintf(text, sizeof(text), VERSION_WORDS "%d\n", KF_STORE_VERSION);

    if (unlinkat(s->folder, VERSION_NEW, 0) != 0 && errno != ENOENT) {
        return errno;
    }
    int fd =
        openat(s->folder, VERSION_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    int rc = geteuid() == 0 && fchown(fd, s->uid, s->gid) != 0 ? errno : 0;
    if (rc == 0) {
        rc = kf_file_system.write_at(fd, text, (size_t)n, 0);
    }
    if (rc == 0) {
        rc = kf_file_system.sync_data(fd);
    }
    close(fd);
    if (rc == 0 && renameat(s->folder, VERSION_NEW, s->folder, VERSION_FILE) != 0) {
        rc = errno;
    }
    if (rc != 0) {
        unlinkat(s->folder, VERSION_NEW, 0);
        return rc;
    }
    return kf_file_system.sync_folder(s->folder);
}

/* @return 0 and the version (0: the file is none of ours), or errno */
static int read_version(int folder, long *version)
{
    char text[TEXT_BYTES] = "";
    int fd = openat(folder, VERSION_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return errno;
    }
    ssize_t n = kf_file_read_at(fd, text, sizeof(text) - 1, 0);
    int rc = n < 0 ? errno : 0;
    close(fd);
    size_t words = sizeof(VERSION_WORDS) - 1;
    *version = strncmp(text, VERSION_WORDS, words) == 0 ? strtol(text + words, NULL, 10) : 0;
    return rc;
}

static bool judge_version(const char *path, long version, char *error)
{
    if (version > KF_STORE_VERSION) {
        return fail(error,
                    "KinesisStoreDirectory: %s was written by a newer version of this module "
                    "(format %ld, known is %d): install that version, or name another folder",
                    path, version, KF_STORE_VERSION);
    }
    if (version < 1) {
        return fail(error,
                    "KinesisStoreDirectory: %s/" VERSION_FILE
                    " is not of this module, or damaged: name another folder, or restore the file "
                    "(\"" VERSION_WORDS "%d\")",
                    path, KF_STORE_VERSION);
    }
    return true;
}

static bool fail_version(const char *path, int rc, char *error)
{
    return fail(error, "KinesisStoreDirectory: %s/" VERSION_FILE " cannot be used: %s", path,
                strerror(rc));
}

static bool fail_foreign(const char *path, char *error)
{
    return fail(error,
                "KinesisStoreDirectory: %s holds files, but no store (there is no file \"version\" "
                "in it): name an empty folder or one that is not there yet",
                path);
}

static bool check_version(store_t *s, bool make)
{
    long version = 0;
    bool fresh = true;
    int rc = read_version(s->folder, &version);

    if (rc == 0) {
        return judge_version(s->path, version, s->error);
    }
    if (rc == ENOENT) {
        rc = is_fresh(s->folder, &fresh);
        if (rc == 0 && !fresh) {
            return fail_foreign(s->path, s->error);
        }
        if (rc == 0 && make) {
            rc = write_version(s);
        }
    }
    return rc == 0 ? true : fail_version(s->path, rc, s->error);
}

bool kf_store_prepare(const char *path, uid_t uid, gid_t gid, char error[KF_STORE_ERROR_MAX])
{
    store_t s = {.path = path, .folder = -1, .uid = uid, .gid = gid, .error = error};

    error[0] = '\0';
    bool ok = open_folder(&s) && check_version(&s, true) && open_journal(&s);
    if (s.folder >= 0) {
        close(s.folder);
    }
    return ok;
}

bool kf_store_check(const char *path, uid_t uid, char error[KF_STORE_ERROR_MAX])
{
    store_t s = {.path = path, .uid = uid, .error = error};
    char parent[KF_STORE_ERROR_MAX];
    struct stat info;

    error[0] = '\0';
    if (stat(path, &info) != 0) {
        int rc = errno;
        parent_of(path, parent, sizeof(parent));
        if (rc == ENOENT && stat(parent, &info) == 0 && S_ISDIR(info.st_mode)) {
            return true;
        }
        /* Who may not look can't tell. */
        return rc == EACCES && geteuid() != 0 ? true : fail_path(path, rc, error);
    }
    if (!is_right(path, &info, uid, error)) {
        return false;
    }
    s.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s.folder < 0) {
        return errno == EACCES && geteuid() != uid ? true : fail_path(path, errno, error);
    }
    bool ok = check_version(&s, false);
    close(s.folder);
    return ok;
}

/* ---- the server's lock ---- */

struct kf_store_lock_t {
    kf_store_lock_t *next;
    int fd;
    dev_t device;
    ino_t inode;
};

/* Notes who we are, for people: a lock without it works as well. */
static void write_pid(int fd)
{
    char text[TEXT_BYTES];
    int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) == 0) {
        kf_file_system.write_at(fd, text, (size_t)n, 0);
    }
}

static long read_pid(int fd)
{
    char text[TEXT_BYTES] = "";

    return kf_file_read_at(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static bool is_gone(long pid)
{
    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Waits a moment when whoever wrote its pid is dead already: its children are about to follow. */
static int try_lock(int fd)
{
    int64_t deadline = kf_mono_us() + LOCK_WAIT_US;

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return errno;
        }
        if (!is_gone(read_pid(fd)) || kf_mono_us() >= deadline) {
            return EWOULDBLOCK;
        }
        usleep(LOCK_POLL_US);
    }
    return 0;
}

static bool fail_locked(const char *path, long pid, char *error)
{
    if (is_gone(pid)) {
        return fail(error,
                    "KinesisStoreDirectory: %s is in use by children of a server that is gone "
                    "(its pid was %ld): end them (\"fuser %s/" LOCK_FILE "\" lists them)",
                    path, pid, path);
    }
    return fail(error,
                "KinesisStoreDirectory: %s is in use by another server (pid %ld): one store serves "
                "one server, name another folder",
                path, pid);
}

/* The lock file, made if it is not there, with the folder's owner as its own. */
static int open_lock(const char *path, int *fd, struct stat *info)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    struct stat owner = {0};
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *info = owner;
    if (folder < 0) {
        return errno;
    }
    *fd = openat(folder, LOCK_FILE, flags | O_CREAT | O_EXCL, 0600);
    bool made = *fd >= 0;
    if (!made && errno == EEXIST) {
        *fd = openat(folder, LOCK_FILE, flags);
    }
    int rc = *fd < 0 || fstat(*fd, info) != 0 || fstat(folder, &owner) != 0 ? errno : 0;
    close(folder);
    if (rc == 0 && made && geteuid() == 0) {
        rc = fchown(*fd, owner.st_uid, owner.st_gid) != 0 ? errno : 0;
    }
    if (rc == 0 && (!S_ISREG(info->st_mode) || info->st_nlink != 1)) {
        rc = EINVAL;
    }
    if (rc != 0 && *fd >= 0) {
        close(*fd);
    }
    return rc;
}

bool kf_store_lock(const char *path, kf_store_lock_t **locks, char error[KF_STORE_ERROR_MAX])
{
    struct stat info;
    int fd = -1;
    int rc = open_lock(path, &fd, &info);

    error[0] = '\0';
    if (rc != 0) {
        return fail(error, "KinesisStoreDirectory: %s/" LOCK_FILE " cannot be used: %s", path,
                    strerror(rc));
    }
    for (kf_store_lock_t *l = *locks; l; l = l->next) {
        if (l->device == info.st_dev && l->inode == info.st_ino) {
            close(fd);
            write_pid(l->fd);
            return true;
        }
    }
    kf_store_lock_t *lock = malloc(sizeof(*lock));
    rc = lock ? try_lock(fd) : ENOMEM;
    if (rc != 0) {
        long pid = read_pid(fd);
        free(lock);
        close(fd);
        return rc == EWOULDBLOCK ? fail_locked(path, pid, error)
                                 : fail(error,
                                        "KinesisStoreDirectory: %s/" LOCK_FILE
                                        " cannot be locked: %s; the store must be on a local file "
                                        "system",
                                        path, strerror(rc));
    }
    write_pid(fd);
    *lock =
        (kf_store_lock_t){.next = *locks, .fd = fd, .device = info.st_dev, .inode = info.st_ino};
    *locks = lock;
    return true;
}

void kf_store_unlock(kf_store_lock_t **locks)
{
    while (*locks) {
        kf_store_lock_t *lock = *locks;
        *locks = lock->next;
        close(lock->fd);
        free(lock);
    }
}
