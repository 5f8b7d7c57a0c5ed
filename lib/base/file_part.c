/* Files that have no name until they are complete, and parts of files that a later run goes on with. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/os.h"

#define COPY_PIECE ((size_t)64 << 10)
#define NO_PART ((struct imsg_part){.fd = -1})

/* ---- without a name ---- */

/* A file that is removed as soon as it is made: where the system has no others without a name. */
static enum imsg_status open_removed(const char *folder, mode_t mode, int *fd, struct imsg_error *err)
{
    struct imsg_file file = {.fd = -1};
    char *path = NULL;
    enum imsg_status status = imsg_path_join(folder, "unnamed", &path, err);
    if (status == IMSG_OK)
        status = imsg_file_create(&file, path, mode, err);
    if (status == IMSG_OK) {
        *fd = file.fd;
        file.fd = -1;
    }
    imsg_file_abort(&file);
    free(path);
    return status;
}

enum imsg_status imsg_unnamed_create(const char *folder, mode_t mode, int *fd, struct imsg_error *err)
{
    *fd = imsg_os_open_unnamed(folder, mode);
    return *fd >= 0 ? IMSG_OK : open_removed(folder, mode, fd, err);
}

static enum imsg_status copy_bytes(int from, int to, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    size_t got = COPY_PIECE;
    uint8_t *piece = malloc(COPY_PIECE);
    if (!piece)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (uint64_t at = 0; status == IMSG_OK && got == COPY_PIECE; at += got) {
        status = imsg_read_at(from, at, piece, COPY_PIECE, &got, err);
        if (status == IMSG_OK)
            status = imsg_write_all(to, imsg_view_of(piece, got), err);
    }
    free(piece);
    return status;
}

/* What cannot get a name is copied into what has one. */
static enum imsg_status name_copy(int fd, const char *path, struct imsg_error *err)
{
    struct imsg_file file = {.fd = -1};
    struct stat st;
    if (lstat(path, &st) == 0) /* before all is copied for nothing */
        return imsg_fail_errno(err, IMSG_CONFLICT, EEXIST, "\"%s\": cannot create", path);
    if (fstat(fd, &st) != 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot read", path);
    enum imsg_status status = imsg_file_create(&file, path, st.st_mode & 0777, err);
    if (status != IMSG_OK)
        return status;
    status = copy_bytes(fd, file.fd, err);
    if (status == IMSG_OK) {
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
        (void)!futimens(file.fd, times);
        return imsg_file_commit(&file, IMSG_NO_REPLACE, err);
    }
    imsg_error_prefix(err, "\"%s\"", path);
    imsg_file_abort(&file);
    return status;
}

enum imsg_status imsg_unnamed_name(int fd, const char *path, struct imsg_error *err)
{
    if (imsg_os_name(fd, path) == 0)
        return IMSG_OK;
    if (errno == EEXIST)
        return imsg_fail_errno(err, IMSG_CONFLICT, errno, "\"%s\": cannot create", path);
    return name_copy(fd, path, err);
}

/* ---- parts ---- */

static int lock_now(int fd)
{
    int result;
    do
        result = flock(fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    return result;
}

/* A file of this user's that no other process uses, and on true it is locked. The name is looked at again: another
 * process may have finished with the part and removed it since it was opened here. */
static bool lock_part(const struct imsg_part *part)
{
    struct stat st, named;
    return lock_now(part->fd) == 0 && fstat(part->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
           st.st_uid == geteuid() && lstat(part->path, &named) == 0 && named.st_ino == st.st_ino &&
           named.st_dev == st.st_dev;
}

static enum imsg_status measure_part(struct imsg_part *part, uint64_t max, struct imsg_error *err)
{
    struct stat st;
    if (fstat(part->fd, &st) == 0 && (uint64_t)st.st_size <= max)
        part->size = (uint64_t)st.st_size;
    else if (ftruncate(part->fd, 0) != 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot truncate", part->path);
    return IMSG_OK;
}

enum imsg_status imsg_part_open(struct imsg_part *part, const char *path, bool create, uint64_t max,
                                struct imsg_error *err)
{
    struct imsg_part opened = NO_PART;
    const char *name = imsg_path_name(path);
    size_t size = strlen(path) + sizeof "..part";
    enum imsg_status status = IMSG_OK;
    *part = NO_PART;
    opened.path = malloc(size);
    if (!opened.path)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    snprintf(opened.path, size, "%.*s.%.*s.part", (int)(name - path), path, TEMP_NAME_MAX, name);
    /* O_NONBLOCK: opening a FIFO would wait for its other end. */
    opened.fd = imsg_open_fd(opened.path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0), 0666);
    bool usable = opened.fd >= 0 && lock_part(&opened);
    if (usable)
        status = measure_part(&opened, max, err);
    if (usable && status == IMSG_OK)
        *part = opened;
    else
        imsg_part_keep(&opened);
    return status;
}

void imsg_part_keep(struct imsg_part *part)
{
    if (part->fd >= 0)
        close(part->fd);
    free(part->path);
    *part = NO_PART;
}

void imsg_part_remove(struct imsg_part *part)
{
    /* Another process that opens it must find the lock until the name is gone. */
    if (part->fd >= 0)
        unlink(part->path);
    imsg_part_keep(part);
}
