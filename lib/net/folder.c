#include "net/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"

#define LEFTOVER_AGE (36 * 3600) /* seconds */
#define LOCK_WAIT 30             /* seconds */

enum imsg_status imsg_folder_set(struct imsg_folder *folder, const char *role, const char *location,
                                 struct imsg_error *err)
{
    if (location[0] == '\0')
        return imsg_fail(err, IMSG_CONFIG, "%s location is empty", role);
    if (strncasecmp(location, "file:", 5) == 0) {
        enum imsg_status status =
            imsg_fail(err, IMSG_CONFIG, "%s \"%s\": a folder is named by its path", role, location);
        imsg_error_suggest(err, IMSG_HINT_FOLDER, NULL);
        return status;
    }
    folder->role = role;
    return imsg_strdup(location, &folder->base, err);
}

void imsg_folder_free(struct imsg_folder *folder)
{
    free(folder->base);
    folder->base = NULL;
}

static enum imsg_status fail_as(const struct imsg_folder *folder, const char *path, int number, enum imsg_status denied,
                                struct imsg_error *err)
{
    enum imsg_status status = number == EACCES || number == EPERM ? denied
                              : number == ENOMEM                  ? IMSG_NO_MEMORY
                                                                  : IMSG_TEMPORARY;
    return imsg_fail_errno(err, status, number, "%s folder \"%s\": \"%s\"", folder->role, folder->base, path);
}

enum imsg_status imsg_folder_fail(const struct imsg_folder *folder, const char *path, int number,
                                  struct imsg_error *err)
{
    return fail_as(folder, path, number, IMSG_UNAVAILABLE, err);
}

enum imsg_status imsg_folder_fail_read(const struct imsg_folder *folder, const char *path, int number,
                                       struct imsg_error *err)
{
    return fail_as(folder, path, number, IMSG_TEMPORARY, err);
}

enum imsg_status imsg_folder_check(const struct imsg_folder *folder, struct imsg_error *err)
{
    struct stat st;
    bool there = stat(folder->base, &st) == 0;
    if (!there && errno != ENOENT && errno != ENOTDIR)
        return imsg_folder_fail_read(folder, folder->base, errno, err);
    if (!there || !S_ISDIR(st.st_mode))
        return imsg_fail(err, IMSG_TEMPORARY, "%s folder \"%s\" is not there", folder->role, folder->base);
    return IMSG_OK;
}

enum imsg_status imsg_folder_transfer(const struct imsg_folder *folder, enum imsg_status status, struct imsg_error *err)
{
    if (status == IMSG_OK)
        return IMSG_OK;
    imsg_error_prefix(err, "%s folder \"%s\"", folder->role, folder->base);
    if (status != IMSG_NO_MEMORY)
        status = IMSG_TEMPORARY;
    if (err)
        err->status = status;
    return status;
}

enum imsg_status imsg_folder_make_base(const struct imsg_folder *folder, struct imsg_error *err)
{
    enum imsg_status status = imsg_make_folders(folder->base, 0777, err);
    if (status == IMSG_IO)
        return imsg_folder_transfer(folder, status, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s folder", folder->role);
    return status;
}

enum imsg_status imsg_folder_make(const struct imsg_folder *folder, const char *path, struct imsg_error *err)
{
    struct stat st;
    if (mkdir(path, 0777) != 0) {
        int number = errno;
        /* Of a folder that is there, some file systems say EROFS or EACCES before EEXIST. */
        if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
            return imsg_folder_fail(folder, path, number, err);
    }
    /* Also when it was there: whoever made it a moment ago may not have synced it yet. */
    return imsg_folder_sync_of(folder, path, err);
}

static enum imsg_status fail_not_regular(const struct imsg_folder *folder, const char *path, struct imsg_error *err)
{
    return imsg_fail(err, IMSG_PROTOCOL, "%s folder \"%s\": \"%s\" is not a regular file", folder->role, folder->base,
                     path);
}

enum imsg_status imsg_folder_open(const struct imsg_folder *folder, const char *path, int *fd, bool *found,
                                  struct imsg_error *err)
{
    enum imsg_status status = IMSG_INTERNAL;
    struct stat st;
    /* O_NONBLOCK: opening a FIFO would wait for its other end. */
    int opened;
    do {
        opened = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (opened < 0 && errno == EINTR);
    if (opened < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        status = imsg_folder_check(folder, err);
        if (status == IMSG_OK)
            *found = false;
        goto out;
    }
    if (opened < 0) {
        bool odd = errno == ELOOP || errno == ENXIO; /* a link; a socket */
        status = odd ? fail_not_regular(folder, path, err) : imsg_folder_fail_read(folder, path, errno, err);
        goto out;
    }
    if (fstat(opened, &st) != 0) {
        status = imsg_folder_fail_read(folder, path, errno, err);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        status = fail_not_regular(folder, path, err);
        goto out;
    }
    *fd = opened;
    *found = true;
    return IMSG_OK;
out:
    if (opened >= 0)
        close(opened);
    return status;
}

enum imsg_status imsg_folder_read(const struct imsg_folder *folder, const char *path, size_t max, struct imsg_buf *out,
                                  bool *found, struct imsg_error *err)
{
    int fd = -1;
    bool there = false;
    enum imsg_status status = imsg_folder_open(folder, path, &fd, &there, err);
    if (status == IMSG_OK && there) {
        status = imsg_read_all(fd, max, out, err);
        if (status == IMSG_TOO_LONG)
            status = imsg_fail(err, IMSG_PROTOCOL, "%s folder \"%s\": \"%s\" is over %zu bytes", folder->role,
                               folder->base, path, max);
        else
            status = imsg_folder_transfer(folder, status, err);
    }
    if (fd >= 0)
        close(fd);
    if (status == IMSG_OK)
        *found = there;
    return status;
}

enum imsg_status imsg_folder_temp(const struct imsg_folder *folder, const char *parent, const char *prefix,
                                  struct imsg_folder_temp *out, struct imsg_error *err)
{
    uint8_t random[16];
    char name[64], digits[2 * sizeof random + 1];
    char *joined = NULL;
    *out = (struct imsg_folder_temp){.fd = -1};
    enum imsg_status status = imsg_random(random, sizeof random, err);
    if (status != IMSG_OK)
        goto out;
    imsg_hex(random, sizeof random, digits);
    snprintf(name, sizeof name, "%s%s", prefix, digits);
    status = imsg_path_join(parent, name, &joined, err);
    if (status != IMSG_OK)
        goto out;
    do {
        out->fd = open(joined, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    } while (out->fd < 0 && errno == EINTR);
    if (out->fd < 0) {
        out->number = errno;
        status = imsg_folder_fail(folder, parent, out->number, err);
        goto out;
    }
    out->path = joined;
    joined = NULL;
out:
    free(joined);
    return status;
}

/* Does imsg_folder_temp make such a name? */
static bool is_temp(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(name, prefix, len) == 0 && strspn(name + len, "0123456789abcdef") == 32 && !name[len + 32];
}

void imsg_folder_sweep(int fd, const char *prefix)
{
    struct stat st;
    time_t now = imsg_now();
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if ((!prefix || is_temp(entry->d_name, prefix)) && fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtim.tv_sec < now - LEFTOVER_AGE)
            unlinkat(fd, entry->d_name, 0);
    closedir(folder);
}

enum imsg_status imsg_folder_sync_file(const struct imsg_folder *folder, const char *path, int fd,
                                       struct imsg_error *err)
{
    int result;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? IMSG_OK : imsg_folder_fail(folder, path, errno, err);
}

enum imsg_status imsg_folder_write(const struct imsg_folder *folder, const char *path, int fd, struct imsg_view bytes,
                                   struct imsg_error *err)
{
    enum imsg_status status = imsg_folder_transfer(folder, imsg_write_all(fd, bytes, err), err);
    return status == IMSG_OK ? imsg_folder_sync_file(folder, path, fd, err) : status;
}

enum imsg_status imsg_folder_sync_of(const struct imsg_folder *folder, const char *path, struct imsg_error *err)
{
    return imsg_folder_transfer(folder, imsg_sync_folder_of(path, err), err);
}

/* flock has no time limit of its own. 0, or what errno would be. */
static int lock_for(int fd, unsigned seconds)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    uint64_t until = imsg_monotonic() + (uint64_t)seconds * 1000;
    for (;;) {
        int number = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
        bool wait = number == EINTR || (number == EWOULDBLOCK && imsg_monotonic() < until);
        if (!wait)
            return number;
        nanosleep(&pause, NULL);
    }
}

enum imsg_status imsg_folder_lock(const struct imsg_folder *folder, const char *path, int *fd, struct imsg_error *err)
{
    /* Others may only write to it, by the umask: reading a file is enough to lock it. */
    int opened = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0622);
    if (opened < 0)
        return imsg_folder_fail(folder, path, errno, err);
    enum imsg_status status = IMSG_OK;
    int number = lock_for(opened, LOCK_WAIT);
    if (number == EWOULDBLOCK)
        status = imsg_fail(err, IMSG_TEMPORARY, "%s folder \"%s\": \"%s\" has been locked for %d seconds", folder->role,
                           folder->base, path, LOCK_WAIT);
    else if (number != 0)
        status = imsg_folder_fail(folder, path, number, err);
    if (status == IMSG_OK)
        *fd = opened;
    else
        close(opened);
    return status;
}
