/* Paths, folders, locks and marks. */
#define _DEFAULT_SOURCE /* S_ISVTX */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define LINKS_MAX 40 /* one after the other, as Linux has it */

int imsg_open_fd(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int imsg_sync_fd(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

enum imsg_status imsg_sync_file(int fd, const char *path, struct imsg_error *err)
{
    return imsg_sync_fd(fd) == 0 ? IMSG_OK : imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot write", path);
}

enum imsg_status imsg_create_status(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EIO ? IMSG_IO : IMSG_CANNOT_CREATE;
}

enum imsg_status imsg_path_join(const char *folder, const char *name, char **out, struct imsg_error *err)
{
    size_t len = strlen(folder), size = len + 1 + strlen(name) + 1;
    bool slash = len > 0 && folder[len - 1] != '/' && *name;
    char *path = malloc(size);
    if (!path)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    snprintf(path, size, "%s%s%s", folder, slash ? "/" : "", name);
    *out = path;
    return IMSG_OK;
}

const char *imsg_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum imsg_status imsg_folder_of(const char *path, char **out, struct imsg_error *err)
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

static bool may_follow(const struct stat *link, const char *folder)
{
    const mode_t shared = S_ISVTX | S_IWOTH;
    struct stat st;
    if (link->st_uid == geteuid() || stat(folder, &st) != 0)
        return true;
    return (st.st_mode & shared) != shared || st.st_uid == link->st_uid;
}

/* What the link at `path` names, as a path. */
static enum imsg_status read_link(const char *path, const char *folder, char **out, struct imsg_error *err)
{
    char target[PATH_MAX];
    ssize_t len = readlink(path, target, sizeof target);
    if (len < 0 || (size_t)len == sizeof target)
        return imsg_fail_errno(err, IMSG_CANNOT_CREATE, len < 0 ? errno : ENAMETOOLONG, "\"%s\": cannot follow", path);
    target[len] = 0;
    return target[0] == '/' ? imsg_strdup(target, out, err) : imsg_path_join(folder, target, out, err);
}

enum imsg_status imsg_follow_links(const char *path, char **out, struct imsg_error *err)
{
    char *at = NULL, *folder = NULL, *next = NULL;
    struct stat st, named;
    int links = 0;
    enum imsg_status status = imsg_strdup(path, &at, err);
    while (status == IMSG_OK && lstat(at, &st) == 0 && S_ISLNK(st.st_mode)) {
        next = NULL;
        status = imsg_folder_of(at, &folder, err);
        if (status != IMSG_OK)
            break;
        if (++links > LINKS_MAX)
            status = imsg_fail_errno(err, IMSG_CANNOT_CREATE, ELOOP, "\"%s\": cannot follow", path);
        else if (!may_follow(&st, folder))
            status = imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": a link of another user in a folder for everybody", at);
        else
            status = read_link(at, folder, &next, err);
        free(folder);
        /* In /proc a link to a pipe has a text that names nothing. */
        if (status == IMSG_OK && stat(at, &st) == 0 && lstat(next, &named) != 0) {
            free(next);
            break;
        }
        if (status == IMSG_OK) {
            free(at);
            at = next;
        }
    }
    if (status == IMSG_OK)
        *out = at;
    else
        free(at);
    return status;
}

enum imsg_status imsg_sync_folder_of(const char *path, struct imsg_error *err)
{
    char *folder = NULL;
    enum imsg_status status = imsg_folder_of(path, &folder, err);
    if (status != IMSG_OK)
        return status;
    int fd = imsg_open_fd(folder, O_RDONLY | O_DIRECTORY, 0);
    /* File systems that cannot sync a folder answer EINVAL. */
    if (fd < 0 || (imsg_sync_fd(fd) != 0 && errno != EINVAL))
        status = imsg_fail_errno(err, IMSG_IO, errno, "folder \"%s\": cannot sync", folder);
    if (fd >= 0)
        close(fd);
    free(folder);
    return status;
}

enum imsg_status imsg_mark(const char *path, mode_t mode, struct imsg_error *err)
{
    int fd = imsg_open_fd(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (fd < 0)
        return errno == EEXIST ? IMSG_OK
                               : imsg_fail_errno(err, imsg_create_status(errno), errno, "\"%s\": cannot create", path);
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
        /* A failure is ignored: a parent that may be written but not read cannot be synced. */
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
    return imsg_fail_errno(err, imsg_create_status(number), number, "\"%s\": cannot make the folder", path);
}

enum imsg_status imsg_make_folders(const char *path, mode_t mode, struct imsg_error *err)
{
    char *copy = NULL;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) /* the usual case */
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
    int lock = imsg_open_fd(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode & 0600);
    if (lock < 0)
        return imsg_fail_errno(err, imsg_create_status(errno), errno, "\"%s\": cannot open the lock file", path);
    int result;
    do
        result = flock(lock, LOCK_EX);
    while (result != 0 && errno == EINTR);
    if (result != 0) {
        int number = errno;
        close(lock);
        return imsg_fail_errno(err, IMSG_IO, number, "\"%s\": cannot lock", path);
    }
    *fd = lock;
    return IMSG_OK;
}
