/* Paths, folders, locks and marks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

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

enum imsg_status imsg_sync_folder_of(const char *path, struct imsg_error *err)
{
    char *folder = NULL;
    enum imsg_status status = folder_of(path, &folder, err);
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
