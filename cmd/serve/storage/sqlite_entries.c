/* Entries are files, the same as a folder directory or a static web host has; they are the truth. */
#include "serve/storage/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define ENTRY_MODE 0644 /* before the umask: anybody may read an entry */

static enum imsg_status entry_file_read(const char *path, struct imsg_buf *out, bool *found, struct imsg_error *err)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? IMSG_OK
                                                   : imsg_fail(err, IMSG_IO, "\"%s\": %s", path, strerror(errno));
    enum imsg_status status = IMSG_OK;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size > IMSG_ENTRY_MAX)
        status = imsg_fail(err, IMSG_IO, "\"%s\": is no entry", path);
    if (status == IMSG_OK)
        status = imsg_read_some(fd, IMSG_ENTRY_MAX, out, err);
    close(fd);
    return status;
}

enum imsg_status storage_read_entry(struct storage *storage, const uint8_t hash[static 32], struct imsg_buf *out,
                                    bool *found, struct imsg_error *err)
{
    char *path = NULL;
    enum imsg_status status = entry_file_path(storage, hash, &path, err);
    if (status == IMSG_OK)
        status = entry_file_read(path, out, found, err);
    free(path);
    return status;
}

static bool entry_file_is(const char *path, struct imsg_view bytes, bool *found)
{
    struct imsg_buf now = {0};
    bool same =
        entry_file_read(path, &now, found, NULL) == IMSG_OK && *found && imsg_view_equal(imsg_buf_view(&now), bytes);
    imsg_buf_free(&now);
    return same;
}

/* A failure of the disk is most often a full one. */
static enum imsg_status as_temporary(enum imsg_status status)
{
    return status == IMSG_IO ? IMSG_TEMPORARY : status;
}

static enum imsg_status entry_file_create(const struct entry_put *put, char *path, struct imsg_file *file,
                                          struct stat *made, struct imsg_error *err)
{
    char *slash = strrchr(path, '/');
    *slash = 0;
    enum imsg_status status = imsg_make_folders(path, 0755, err);
    *slash = '/';
    if (status == IMSG_OK)
        status = imsg_file_create(file, path, ENTRY_MODE, err);
    if (status == IMSG_OK)
        status = imsg_write_all(file->fd, put->bytes, err);
    if (status == IMSG_OK && fstat(file->fd, made) != 0)
        status = imsg_fail(err, IMSG_IO, "%s", strerror(errno));
    return as_temporary(status);
}

/* The index first, so that nobody is sent to a mailbox that is not there. */
static enum imsg_status entry_write(struct storage *storage, struct entry_put *put, char *path, struct imsg_error *err)
{
    struct imsg_file file = {.fd = -1};
    struct stat made;
    struct entry_index index = {.hash = put->hash,
                                .listed = put->listed,
                                .count = put->count,
                                .file = &made,
                                .invite = put->invite,
                                .account = put->account};
    enum imsg_status status = entry_file_create(put, path, &file, &made, err);
    if (status == IMSG_OK)
        status = entry_index_write(storage, &index, err);
    if (status == IMSG_OK && index.refused) {
        put->result = ENTRY_INVITE_REFUSED;
    } else if (status == IMSG_OK) {
        bool found = false;
        status = as_temporary(imsg_file_commit(&file, IMSG_REPLACE, err));
        /* Where only the sync of the folder failed, the entry is there. Else the index must say what is there. */
        if (status != IMSG_OK && !entry_file_is(path, put->bytes, &found) &&
            entry_index_file(storage, put->hash, found ? path : NULL, put->invite, NULL) != IMSG_OK)
            storage->sick = true;
    }
    imsg_file_abort(&file);
    return status;
}

enum imsg_status storage_put_entry(struct storage *storage, struct entry_put *put, struct imsg_error *err)
{
    struct imsg_buf now = {0};
    char *path = NULL;
    bool found = false;
    put->result = ENTRY_WRITTEN;
    pthread_mutex_lock(&storage->entries);
    enum imsg_status status = entry_file_path(storage, put->hash, &path, err);
    if (status == IMSG_OK)
        status = entry_file_read(path, &now, &found, err);
    if (status != IMSG_OK)
        goto out;
    if (found != (put->before.ptr != NULL) || (found && !imsg_view_equal(imsg_buf_view(&now), put->before)))
        put->result = ENTRY_CHANGED;
    else if (found && imsg_view_equal(put->bytes, put->before)) /* the sync may be what failed before */
        status = imsg_sync_folder_of(path, err);
    else
        status = entry_write(storage, put, path, err);
out:
    pthread_mutex_unlock(&storage->entries);
    imsg_buf_free(&now);
    free(path);
    return status;
}
