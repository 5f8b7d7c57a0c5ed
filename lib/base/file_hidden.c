/* Files that nobody else can read before they are complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/os.h"
#include "base/text.h"

#define NAME_TRIES 16

enum imsg_status imsg_hidden_create(struct imsg_file *file, const char *path, struct imsg_error *err)
{
    struct imsg_file made = {.fd = -1};
    char *folder = NULL;
    enum imsg_status status = imsg_check_target(path, err);
    if (status == IMSG_OK)
        status = imsg_folder_of(path, &folder, err);
    if (status != IMSG_OK)
        return status;
    made.fd = imsg_os_open_unnamed(folder, 0600);
    free(folder);
    if (made.fd < 0)
        return imsg_file_create(file, path, 0600, err);
    status = imsg_strdup(path, &made.path, err);
    if (status == IMSG_OK)
        *file = made;
    else
        close(made.fd);
    return status;
}

/* A temporary name. The descriptor is opened anew: where a file cannot get a name, its copy has it. */
static enum imsg_status give_name(struct imsg_file *file, struct imsg_error *err)
{
    enum imsg_status status = IMSG_CONFLICT;
    for (int tries = 0; status == IMSG_CONFLICT && tries < NAME_TRIES; tries++) {
        free(file->temp);
        file->temp = NULL;
        status = imsg_temp_name(file->path, &file->temp, err);
        if (status == IMSG_OK)
            status = imsg_unnamed_name(file->fd, file->temp, err);
    }
    if (status != IMSG_OK)
        return status;
    close(file->fd);
    file->fd = imsg_open_fd(file->temp, O_RDONLY | O_NOFOLLOW, 0);
    return file->fd >= 0 ? IMSG_OK : imsg_fail_errno(err, IMSG_IO, errno, "\"%s\": cannot read", file->path);
}

enum imsg_status imsg_hidden_commit(struct imsg_file *file, mode_t mode, struct imsg_error *err)
{
    enum imsg_status status = IMSG_INTERNAL;
    if (file->fd < 0 || !file->path) {
        imsg_fail(err, IMSG_INTERNAL, "no open file to commit");
        goto out;
    }
    status = imsg_sync_file(file->fd, file->path, err);
    if (status == IMSG_OK && !file->temp)
        status = give_name(file, err);
    if (status != IMSG_OK)
        goto out;
    if (rename(file->temp, file->path) != 0) {
        status = imsg_create_status(errno);
        imsg_fail_errno(err, status, errno, "\"%s\": cannot create", file->path);
        goto out;
    }
    free(file->temp); /* nothing of that name is left to remove */
    file->temp = NULL;
    /* Only now: a temporary name that a killed process leaves is never one that others can read. A file system without
     * modes refuses; there is nothing to set there. */
    (void)!fchmod(file->fd, mode);
    status = imsg_sync_folder_of(file->path, err);
out:
    imsg_file_abort(file);
    return status;
}
