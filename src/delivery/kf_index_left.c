/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of changes that a stop or a crash left beside the database, before SQLite reads it: one that damage
 * ends early is copied aside, and said to be. What such a log looks like is kf_index_wal.h's business. The thread
 * that opens the index.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "delivery/kf_file.h"
#include "delivery/kf_index_own.h"
#include "delivery/kf_index_wal.h"

/* Of each server that meets damage again and again: a log is 16 to 64 MiB. */
#define KEPT_MAX 4
#define COPY_BYTES (256u * 1024)

#define NAME_BYTES (KF_INDEX_PATH_BYTES + 24)

static void name_log(const kf_index_t *x, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s-wal", x->path);
}

static void name_kept(const kf_index_t *x, int n, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s-wal.%d.damaged", x->path, n);
}

uint64_t kf_index_kept_bytes(const kf_index_t *x)
{
    char name[NAME_BYTES];
    struct stat info;
    uint64_t bytes = 0;

    for (int n = 1; n <= KEPT_MAX; n++) {
        name_kept(x, n, name);
        bytes += stat(name, &info) == 0 ? (uint64_t)info.st_size : 0;
    }
    return bytes;
}

/* ---- alone with it ---- */

/* The database's file as SQLite has it open. Another descriptor of it, closed, would take SQLite's locks away. */
static sqlite3_file *file_of(const kf_index_t *x)
{
    sqlite3_file *file = NULL;

    if (sqlite3_file_control(x->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) {
        return NULL;
    }
    return file && file->pMethods ? file : NULL;
}

/* Whoever uses a database with such a log, in whichever process, has its file locked for reading. */
static bool take_alone(sqlite3_file *file)
{
    if (!file || file->pMethods->xLock(file, SQLITE_LOCK_SHARED) != SQLITE_OK) {
        return false;
    }
    if (file->pMethods->xLock(file, SQLITE_LOCK_EXCLUSIVE) != SQLITE_OK) {
        file->pMethods->xUnlock(file, SQLITE_LOCK_NONE);
        return false;
    }
    return true;
}

/* Else SQLite fills up sectors with repeats of a commit's frame, which look like another's. */
static bool writes_frames_once(sqlite3_file *file)
{
    return file->pMethods->xDeviceCharacteristics(file) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- keeping it ---- */

static int copy(int from, int to)
{
    char *p = malloc(COPY_BYTES);
    ssize_t got = 0;
    int rc = p ? 0 : ENOMEM;

    for (uint64_t at = 0; rc == 0; at += (uint64_t)got) {
        got = kf_file_read_at(from, p, COPY_BYTES, at);
        if (got <= 0) {
            rc = got < 0 ? errno : 0;
            break;
        }
        rc = kf_file_system.write_at(to, p, (size_t)got, at);
    }
    free(p);
    return rc == 0 ? kf_file_system.sync_data(to) : rc;
}

/* A new file, of whom the log is. @return -1 and errno */
static int make_kept(const kf_index_t *x, int log, char name[NAME_BYTES])
{
    struct stat info;
    int fd = -1;

    errno = EEXIST;
    for (int n = 1; fd < 0 && errno == EEXIST && n <= KEPT_MAX; n++) {
        name_kept(x, n, name);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    if (fd >= 0 && geteuid() == 0 && fstat(log, &info) == 0 &&
        fchown(fd, info.st_uid, info.st_gid) != 0) {
        /* It stays root's, who can read it. */
    }
    return fd;
}

/* So that the name is there after a power cut: the log itself will be cut. */
static int sync_store(const kf_index_t *x)
{
    int folder = open(x->config.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = folder < 0 ? errno : kf_file_system.sync_folder(folder);

    if (folder >= 0) {
        close(folder);
    }
    return rc;
}

static int keep(const kf_index_t *x, int log, char name[NAME_BYTES])
{
    int fd = make_kept(x, log, name);
    int rc = fd < 0 ? errno : copy(log, fd);

    if (fd < 0) {
        return rc;
    }
    close(fd);
    if (rc == 0) {
        rc = sync_store(x);
    }
    if (rc != 0) {
        unlink(name);
    }
    return rc;
}

static const char *why(int rc)
{
    return rc == EEXIST ? "there are copies enough already, move them away" : strerror(rc);
}

static bool keep_and_say(const kf_index_t *x, int log, const kf_wal_t *wal)
{
    char name[NAME_BYTES] = "";
    int rc = keep(x, log, name);

    kf_log(KF0615, "%s-wal: after %llu pages, about %llu transactions (%llu pages) lost; %s %s",
           x->path, (unsigned long long)wal->kept, (unsigned long long)wal->lost_commits,
           (unsigned long long)wal->lost,
           rc == 0 ? "kept as" : "it could not be kept:", rc == 0 ? name : why(rc));
    return rc == 0;
}

static bool check(const kf_index_t *x, int log)
{
    sqlite3_file *file = file_of(x);
    kf_wal_t wal;
    bool kept = false;

    if (!take_alone(file)) {
        return false;
    }
    /* What can't be read here SQLite can't read either, and says so. */
    if (writes_frames_once(file) && kf_wal_read(log, &wal) == 0 && wal.damaged) {
        kept = keep_and_say(x, log, &wal);
    }
    file->pMethods->xUnlock(file, SQLITE_LOCK_NONE);
    return kept;
}

bool kf_index_check_log(kf_index_t *x)
{
    char name[NAME_BYTES];
    struct stat info;

    name_log(x, name);
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool kept = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 && check(x, fd);
    close(fd);
    return kept;
}
