/* A directory in a folder: one file per entry, the tree that a web host can serve as it is. Writers take turns by a
 * lock in the base, so that reading what is there and replacing it is one step. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "net/backend.h"
#include "net/folder.h"

#define LOCK_NAME "imsg/v1/lock"

struct state {
    struct imsg_folder folder;
    bool create;
};

static void file_close(void *opaque)
{
    struct state *state = opaque;
    if (!state)
        return;
    imsg_folder_free(&state->folder);
    free(state);
}

static enum imsg_status file_open(const char *location, struct imsg_net *net, bool create, void **out,
                                  struct imsg_error *err)
{
    (void)net;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    enum imsg_status status = imsg_folder_set(&state->folder, "directory", location, err);
    if (status != IMSG_OK) {
        file_close(state);
        return status;
    }
    state->create = create;
    *out = state;
    return IMSG_OK;
}

static enum imsg_status file_get(void *opaque, const char *path, size_t max, struct imsg_buf *out, bool *found,
                                 struct imsg_error *err)
{
    struct state *state = opaque;
    char *full = NULL;
    /* A caller that may make the directory takes one that is not there yet for an empty one. */
    if (state->create && access(state->folder.base, F_OK) != 0 && errno == ENOENT) {
        *found = false;
        return IMSG_OK;
    }
    enum imsg_status status = imsg_path_join(state->folder.base, path, &full, err);
    if (status == IMSG_OK)
        status = imsg_folder_read(&state->folder, full, max, out, found, err);
    free(full);
    return status;
}

static enum imsg_status make_parents(const struct imsg_folder *folder, const char *path, struct imsg_error *err)
{
    char *full = NULL, *slash;
    enum imsg_status status = imsg_path_join(folder->base, path, &full, err);
    if (status != IMSG_OK)
        goto out;
    slash = full + strlen(full) - strlen(path);
    while (status == IMSG_OK && (slash = strchr(slash, '/')) != NULL) {
        *slash = '\0';
        status = imsg_folder_make(folder, full, err);
        *slash++ = '/';
    }
out:
    free(full);
    return status;
}

static enum imsg_status replace_entry(const struct imsg_folder *folder, const char *full, struct imsg_view entry,
                                      struct imsg_error *err)
{
    enum imsg_status status;
    struct imsg_folder_temp temp = {.fd = -1};
    bool placed = false;
    char *parent = strndup(full, (size_t)(strrchr(full, '/') - full));
    if (!parent) {
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        goto out;
    }
    status = imsg_folder_temp(folder, parent, ".tmp-", &temp, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_folder_write(folder, temp.path, temp.fd, entry, err);
    if (status != IMSG_OK)
        goto out;
    /* rename for a first entry too: the lock keeps others from making one, and not every file system has link. */
    if (rename(temp.path, full) != 0) {
        status = imsg_folder_fail(folder, full, errno, err);
        goto out;
    }
    placed = true;
    status = imsg_folder_sync_of(folder, full, err);
out:
    if (temp.fd >= 0)
        close(temp.fd);
    if (temp.path && !placed)
        unlink(temp.path);
    free(temp.path);
    free(parent);
    return status;
}

static enum imsg_status file_put(void *opaque, const char *path, size_t max, struct imsg_view previous,
                                 struct imsg_view entry, struct imsg_error *err)
{
    struct state *state = opaque;
    const struct imsg_folder *folder = &state->folder;
    char *full = NULL, *lock_path = NULL;
    struct imsg_buf current = {0};
    bool found = false;
    int lock = -1;
    enum imsg_status status = state->create ? imsg_folder_make_base(folder, err) : imsg_folder_check(folder, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_path_join(folder->base, path, &full, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_path_join(folder->base, LOCK_NAME, &lock_path, err);
    if (status != IMSG_OK)
        goto out;
    status = make_parents(folder, path, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_folder_lock(folder, lock_path, &lock, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_folder_read(folder, full, max, &current, &found, err);
    if (status != IMSG_OK)
        goto out;
    if (found != (previous.len > 0) || !imsg_view_equal(imsg_buf_view(&current), previous)) {
        status =
            imsg_fail(err, IMSG_CONFLICT, "directory folder \"%s\": the entry was changed meanwhile", folder->base);
        goto out;
    }
    status = replace_entry(folder, full, entry, err);
out:
    if (lock >= 0)
        close(lock);
    imsg_buf_free(&current);
    free(lock_path);
    free(full);
    return status;
}

const struct directory_backend imsg_directory_file = {
    .scheme = "file",
    .open = file_open,
    .get = file_get,
    .put = file_put,
    .close = file_close,
};
