/* Files that appear whole or not at all, locks, and folders. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* renameat2 */
#endif
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define TEMP_NAME_MAX 200 /* bytes of the name kept in a temporary one: the rest of NAME_MAX is for its tail */
#define TEMP_RANDOM 8
#define TEMP_TRIES 16
#define NO_FILE ((struct imsg_file){.fd = -1})

/* A full disk is no wrong name. */
static enum imsg_status create_status(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EIO ? IMSG_IO : IMSG_CANNOT_CREATE;
}

static enum imsg_status no_memory(struct imsg_error *err)
{
    return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

enum imsg_status imsg_path_join(const char *folder, const char *name, char **out, struct imsg_error *err)
{
    size_t len = strlen(folder), size = len + 1 + strlen(name) + 1;
    bool slash = len > 0 && folder[len - 1] != '/' && *name;
    char *path = malloc(size);
    if (!path)
        return no_memory(err);
    snprintf(path, size, "%s%s%s", folder, slash ? "/" : "", name);
    *out = path;
    return IMSG_OK;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder part of `path`, which may itself name a folder and end in slashes. */
static enum imsg_status folder_of(const char *path, char **out, struct imsg_error *err)
{
    size_t len = strlen(path);
    enum imsg_status status = imsg_strdup(len > 0 ? path : ".", out, err);
    if (status != IMSG_OK || len == 0)
        return status;
    char *folder = *out;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    while (len > 0 && folder[len - 1] != '/')
        len--;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    if (len == 0)
        folder[len++] = '.'; /* path holds at least one character */
    folder[len] = 0;
    return IMSG_OK;
}

static int open_again(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int fsync_again(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

enum imsg_status imsg_sync_folder_of(const char *path, struct imsg_error *err)
{
    char *folder = NULL;
    enum imsg_status status = folder_of(path, &folder, err);
    if (status != IMSG_OK)
        return status;
    int fd = open_again(folder, O_RDONLY | O_DIRECTORY, 0);
    /* Some file systems know no fsync of a folder: EINVAL is their word for it. */
    if (fd < 0 || (fsync_again(fd) != 0 && errno != EINVAL))
        status = imsg_fail_errno(err, IMSG_IO, errno, "folder \"%s\": cannot sync", folder);
    if (fd >= 0)
        close(fd);
    free(folder);
    return status;
}

/* ".NAME.RANDOM" beside path. Names that nobody can foresee, though O_EXCL alone keeps others out. */
static enum imsg_status temp_name(const char *path, char **out, struct imsg_error *err)
{
    uint8_t bytes[TEMP_RANDOM];
    char tail[2 * TEMP_RANDOM + 1];
    const char *name = last_name(path);
    int folder_len = (int)(name - path);
    size_t size = strlen(path) + sizeof tail + 3;
    ssize_t n;
    do
        n = getrandom(bytes, sizeof bytes, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof bytes)
        return imsg_fail(err, IMSG_INTERNAL, "the random source failed");
    imsg_hex(bytes, sizeof bytes, tail);
    char *temp = malloc(size);
    if (!temp)
        return no_memory(err);
    snprintf(temp, size, "%.*s.%.*s.%s", folder_len, path, TEMP_NAME_MAX, name, tail);
    *out = temp;
    return IMSG_OK;
}

/* rename would put a file in the place of a device, /dev/null for one, and only fails on a folder at the very end. */
static enum imsg_status check_target(const char *path, struct imsg_error *err)
{
    const char *name = last_name(path);
    struct stat st;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": not the name of a file", path);
    if (strlen(path) > INT32_MAX)
        return imsg_fail_errno(err, IMSG_CANNOT_CREATE, ENAMETOOLONG, "cannot create");
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": %s", path,
                         S_ISDIR(st.st_mode) ? "is a folder" : "is not a regular file");
    return IMSG_OK;
}

enum imsg_status imsg_file_create(struct imsg_file *file, const char *path, mode_t mode, struct imsg_error *err)
{
    struct imsg_file made = NO_FILE;
    enum imsg_status status = check_target(path, err);
    if (status == IMSG_OK)
        status = imsg_strdup(path, &made.path, err);
    for (int tries = 0; status == IMSG_OK && made.fd < 0; tries++) {
        free(made.temp);
        made.temp = NULL;
        status = temp_name(path, &made.temp, err);
        if (status != IMSG_OK)
            break;
        made.fd = open_again(made.temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        if (made.fd < 0 && (errno != EEXIST || tries == TEMP_TRIES))
            status = imsg_fail_errno(err, create_status(errno), errno, "\"%s\": cannot create", path);
    }
    if (status == IMSG_OK) {
        *file = made;
    } else {
        free(made.path);
        free(made.temp);
    }
    return status;
}

static int flock_again(int fd, int how)
{
    int result;
    do
        result = flock(fd, how);
    while (result != 0 && errno == EINTR);
    return result;
}

/* A file of ours that nobody else has open here; on true it is locked. It may have been another's when it was opened, and
 * moved away since. */
static bool is_ours(int fd, const char *path)
{
    struct stat st, named;
    return flock_again(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
           st.st_uid == geteuid() && lstat(path, &named) == 0 && named.st_ino == st.st_ino && named.st_dev == st.st_dev;
}

enum imsg_status imsg_file_resume(struct imsg_file *file, const char *path, mode_t mode, uint64_t max, uint64_t *kept,
                                  struct imsg_error *err)
{
    struct imsg_file made = NO_FILE;
    const char *name = last_name(path);
    size_t size = strlen(path) + sizeof "..part";
    struct stat st;
    enum imsg_status status = check_target(path, err);
    *kept = 0;
    if (status == IMSG_OK)
        status = imsg_strdup(path, &made.path, err);
    if (status != IMSG_OK)
        return status;
    made.temp = malloc(size);
    if (!made.temp) {
        free(made.path);
        return no_memory(err);
    }
    snprintf(made.temp, size, "%.*s.%.*s.part", (int)(name - path), path, TEMP_NAME_MAX, name);
    made.fd = open_again(made.temp, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode);
    made.kept = made.fd >= 0 && is_ours(made.fd, made.temp);
    if (!made.kept) {
        if (made.fd >= 0)
            close(made.fd);
        free(made.temp);
        free(made.path);
        return imsg_file_create(file, path, mode, err);
    }
    if (fstat(made.fd, &st) == 0 && (uint64_t)st.st_size <= max)
        *kept = (uint64_t)st.st_size;
    else if (ftruncate(made.fd, 0) != 0)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot truncate", made.temp);
    if (status != IMSG_OK)
        imsg_file_abort(&made);
    else
        *file = made;
    return status;
}

void imsg_file_keep(struct imsg_file *file)
{
    if (file->kept) {
        free(file->temp);
        file->temp = NULL;
    }
    imsg_file_abort(file);
}

void imsg_file_abort(struct imsg_file *file)
{
    if (file->temp)
        unlink(file->temp);
    if (file->fd >= 0)
        close(file->fd); /* and with it the lock of imsg_file_resume, after the name */
    free(file->path);
    free(file->temp);
    *file = NO_FILE;
}

/* Returns 0, or -1 with errno: EEXIST where the name is taken. */
static int move_without_replacing(const char *from, const char *to)
{
    if (link(from, to) == 0) {
        unlink(from);
        return 0;
    }
    /* What file systems without hard links answer. */
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return -1;
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

/* The bytes are on the disk; the file stays open, for with it goes the lock of imsg_file_resume. */
static enum imsg_status sync_file(struct imsg_file *file, struct imsg_error *err)
{
    if (fsync_again(file->fd) == 0)
        return IMSG_OK;
    return imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot write", file->path);
}

/* The bytes are on the disk and the file is closed. */
static enum imsg_status sync_and_close(struct imsg_file *file, struct imsg_error *err)
{
    enum imsg_status status = sync_file(file, err);
    int closed = close(file->fd);
    file->fd = -1;
    /* After EINTR the descriptor is closed all the same (Linux), and fsync has reported on the bytes. */
    if (status == IMSG_OK && closed != 0 && errno != EINTR)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot write", file->path);
    return status;
}

/* Its new name is durable, or taken back if it was new, so that a second try does not find it and call it done. */
static enum imsg_status settle(struct imsg_file *file, const char *path, bool taken_back, struct imsg_error *err)
{
    free(file->temp); /* nothing of that name is left to remove */
    file->temp = NULL;
    enum imsg_status status = imsg_sync_folder_of(path, err);
    if (status != IMSG_OK && taken_back)
        unlink(path);
    return status;
}

enum imsg_status imsg_file_commit(struct imsg_file *file, enum imsg_commit how, struct imsg_error *err)
{
    enum imsg_status status = IMSG_INTERNAL;
    if (file->fd < 0 || !file->temp) {
        imsg_fail(err, IMSG_INTERNAL, "no open file to commit");
        goto out;
    }
    status = sync_and_close(file, err);
    if (status != IMSG_OK)
        goto out;
    int moved = how == IMSG_REPLACE ? rename(file->temp, file->path) : move_without_replacing(file->temp, file->path);
    if (moved != 0) {
        status = how == IMSG_NO_REPLACE && errno == EEXIST ? IMSG_CONFLICT : create_status(errno);
        imsg_fail_errno(err, status, errno, "\"%s\": cannot create", file->path);
        goto out;
    }
    status = settle(file, file->path, how == IMSG_NO_REPLACE, err);
out:
    imsg_file_abort(file);
    return status;
}

enum imsg_status imsg_file_link(struct imsg_file *file, const char *path, struct imsg_error *err)
{
    if (!file->temp)
        return imsg_fail(err, IMSG_INTERNAL, "no file to link");
    /* Another process that opens the temporary name must find the lock until that name is gone: without it, it would
     * take the file for a part that was left, and write to it or remove it. */
    enum imsg_status status = sync_file(file, err);
    if (status == IMSG_OK && move_without_replacing(file->temp, path) != 0) {
        status = errno == EEXIST ? IMSG_CONFLICT : create_status(errno);
        imsg_fail_errno(err, status, errno, "\"%s\": cannot create", path);
    } else if (status == IMSG_OK) {
        status = settle(file, path, true, err);
    }
    if (status != IMSG_CONFLICT)
        imsg_file_abort(file);
    return status;
}

enum imsg_status imsg_write_file(const char *path, struct imsg_view bytes, mode_t mode, enum imsg_commit how,
                                 struct imsg_error *err)
{
    struct imsg_file file = NO_FILE;
    enum imsg_status status = imsg_file_create(&file, path, mode, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_write_all(file.fd, bytes, err);
    if (status == IMSG_OK)
        return imsg_file_commit(&file, how, err);
    imsg_error_prefix(err, "\"%s\"", path);
    imsg_file_abort(&file);
    return status;
}

enum imsg_status imsg_mark(const char *path, mode_t mode, struct imsg_error *err)
{
    int fd = open_again(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (fd < 0)
        return errno == EEXIST ? IMSG_OK
                               : imsg_fail_errno(err, create_status(errno), errno, "\"%s\": cannot create", path);
    close(fd); /* nothing was written to it */
    enum imsg_status status = imsg_sync_folder_of(path, err);
    if (status != IMSG_OK)
        unlink(path);
    return status;
}

/* One folder, whose parent is there. */
static enum imsg_status make_folder(const char *path, mode_t mode, struct imsg_error *err)
{
    struct stat st;
    if (mkdir(path, mode) == 0) {
        /* As well as can be: a parent that may be written but not read cannot be synced. */
        (void)!imsg_sync_folder_of(path, NULL);
        return IMSG_OK;
    }
    int number = errno;
    /* Of a folder that is there, some file systems say EROFS or EACCES before EEXIST. */
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return IMSG_OK;
        number = ENOTDIR;
    }
    return imsg_fail_errno(err, create_status(number), number, "\"%s\": cannot make the folder", path);
}

enum imsg_status imsg_make_folders(const char *path, mode_t mode, struct imsg_error *err)
{
    char *copy = NULL;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) /* as nearly always */
        return IMSG_OK;
    enum imsg_status status = imsg_strdup(path, &copy, err);
    if (status != IMSG_OK)
        return status;
    for (char *end = copy; status == IMSG_OK && *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char kept = *end;
        *end = 0;
        status = make_folder(copy, mode, err);
        *end = kept;
    }
    if (!*path)
        status = imsg_fail_errno(err, IMSG_CANNOT_CREATE, ENOENT, "\"\": cannot make the folder");
    free(copy);
    return status;
}

enum imsg_status imsg_lock(const char *path, mode_t mode, int *fd, struct imsg_error *err)
{
    int lock = open_again(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode & 0600);
    if (lock < 0)
        return imsg_fail_errno(err, create_status(errno), errno, "\"%s\": cannot open the lock file", path);
    if (flock_again(lock, LOCK_EX) != 0) {
        int number = errno;
        close(lock);
        return imsg_fail_errno(err, IMSG_IO, number, "\"%s\": cannot lock", path);
    }
    *fd = lock;
    return IMSG_OK;
}
