/* Files that appear whole or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/os.h"
#include "base/text.h"

#define TEMP_RANDOM 8
#define TEMP_TRIES 16
#define NO_FILE ((struct imsg_file){.fd = -1})

/* ".NAME.RANDOM" beside path. Names that nobody can foresee, though O_EXCL alone keeps others out. */
enum imsg_status imsg_temp_name(const char *path, char **out, struct imsg_error *err)
{
    uint8_t bytes[TEMP_RANDOM];
    char tail[2 * TEMP_RANDOM + 1];
    const char *name = imsg_path_name(path);
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
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    snprintf(temp, size, "%.*s.%.*s.%s", folder_len, path, TEMP_NAME_MAX, name, tail);
    *out = temp;
    return IMSG_OK;
}

/* rename would put a file in the place of a device, /dev/null for one, and only fails on a folder at the very end. */
enum imsg_status imsg_check_target(const char *path, struct imsg_error *err)
{
    const char *name = imsg_path_name(path);
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

/* Open a new file beside made->path. */
static enum imsg_status create_temp(struct imsg_file *made, mode_t mode, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (int tries = 0; status == IMSG_OK && made->fd < 0; tries++) {
        free(made->temp);
        made->temp = NULL;
        status = imsg_temp_name(made->path, &made->temp, err);
        if (status != IMSG_OK)
            break;
        made->fd = imsg_open_fd(made->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        if (made->fd < 0 && (errno != EEXIST || tries == TEMP_TRIES))
            status = imsg_fail_errno(err, imsg_create_status(errno), errno, "\"%s\": cannot create", made->path);
    }
    return status;
}

enum imsg_status imsg_file_create(struct imsg_file *file, const char *path, mode_t mode, struct imsg_error *err)
{
    struct imsg_file made = NO_FILE;
    enum imsg_status status = imsg_check_target(path, err);
    if (status == IMSG_OK)
        status = imsg_strdup(path, &made.path, err);
    if (status == IMSG_OK)
        status = create_temp(&made, mode, err);
    if (status == IMSG_OK) {
        *file = made;
    } else {
        free(made.path);
        free(made.temp);
    }
    return status;
}

void imsg_file_abort(struct imsg_file *file)
{
    if (file->temp)
        unlink(file->temp);
    if (file->fd >= 0)
        close(file->fd);
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
    return imsg_os_rename_new(from, to);
}

/* The bytes are on the disk and the file is closed. */
static enum imsg_status sync_and_close(struct imsg_file *file, struct imsg_error *err)
{
    enum imsg_status status = imsg_sync_file(file->fd, file->path, err);
    int closed = close(file->fd);
    file->fd = -1;
    /* After EINTR the descriptor is closed all the same (Linux), and fsync has reported on the bytes. */
    if (status == IMSG_OK && closed != 0 && errno != EINTR)
        status = imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot write", file->path);
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
        status = how == IMSG_NO_REPLACE && errno == EEXIST ? IMSG_CONFLICT : imsg_create_status(errno);
        imsg_fail_errno(err, status, errno, "\"%s\": cannot create", file->path);
        goto out;
    }
    free(file->temp); /* nothing of that name is left to remove */
    file->temp = NULL;
    /* A new name that may not be durable is taken back, or a second try would find it and call it done. */
    status = imsg_sync_folder_of(file->path, err);
    if (status != IMSG_OK && how == IMSG_NO_REPLACE)
        unlink(file->path);
out:
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
