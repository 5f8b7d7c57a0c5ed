/* The generic half of the directory: where an entry stands, and how large it may be. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/backend.h"
#include "net/remote.h"

static const struct directory_backend *const backends[] = {IMSG_DIRECTORY_ROWS, NULL};

struct imsg_directory {
    const struct directory_backend *backend;
    void *state;
    char *location;
};

enum imsg_status imsg_directory_open(const char *location, struct imsg_net *net, bool create,
                                     struct imsg_directory **out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    char scheme[16];
    size_t i = 0;
    struct imsg_directory *directory = calloc(1, sizeof *directory);
    if (!directory) {
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        goto out;
    }
    imsg_remote_scheme(location, scheme);
    while (backends[i] && strcmp(backends[i]->scheme, scheme) != 0)
        i++;
    if (!backends[i]) {
        status = imsg_fail(err, IMSG_CONFIG, "directory \"%s\": scheme \"%s\" is not supported", location, scheme);
        goto out;
    }
    status = imsg_strdup(location, &directory->location, err);
    if (status != IMSG_OK)
        goto out;
    status = backends[i]->open(location, net, create, &directory->state, err);
    if (status != IMSG_OK)
        goto out;
    directory->backend = backends[i];
    *out = directory;
    directory = NULL;
out:
    imsg_directory_close(directory);
    return status;
}

enum imsg_status imsg_directory_get(struct imsg_directory *directory, const char *handle, struct imsg_buf *out,
                                    struct imsg_error *err)
{
    struct imsg_buf path = {0}, entry = {0};
    bool found = false;
    enum imsg_status status = imsg_entry_path(handle, &path, err);
    if (status != IMSG_OK)
        goto out;
    status = directory->backend->get(directory->state, (const char *)path.ptr, IMSG_ENTRY_MAX, &entry, &found, err);
    if (status != IMSG_OK)
        goto out;
    if (!found)
        status =
            imsg_fail(err, IMSG_NO_ACCOUNT, "directory \"%s\" has no entry for \"%s\"", directory->location, handle);
    else if (entry.len == 0)
        status = imsg_fail(err, IMSG_PROTOCOL, "directory \"%s\": the entry for \"%s\" is empty", directory->location,
                           handle);
    else
        status = imsg_buf_append(out, entry.ptr, entry.len, err);
out:
    imsg_buf_free(&path);
    imsg_buf_free(&entry);
    return status;
}

enum imsg_status imsg_directory_put(struct imsg_directory *directory, const char *handle, struct imsg_view previous,
                                    struct imsg_view entry, struct imsg_error *err)
{
    struct imsg_buf path = {0};
    enum imsg_status status;
    if (entry.len == 0) {
        status = imsg_fail(err, IMSG_INTERNAL, "an empty directory entry was to be written");
        goto out;
    }
    if (entry.len > IMSG_ENTRY_MAX) {
        status = imsg_fail(err, IMSG_TOO_LONG, "the directory entry for \"%s\" is %zu bytes, at most %d are allowed",
                           handle, entry.len, IMSG_ENTRY_MAX);
        goto out;
    }
    status = imsg_entry_path(handle, &path, err);
    if (status != IMSG_OK)
        goto out;
    status = directory->backend->put(directory->state, (const char *)path.ptr, IMSG_ENTRY_MAX, previous, entry, err);
out:
    imsg_buf_free(&path);
    return status;
}

const char *imsg_directory_location(const struct imsg_directory *directory)
{
    return directory->location;
}

void imsg_directory_close(struct imsg_directory *directory)
{
    if (!directory)
        return;
    if (directory->backend)
        directory->backend->close(directory->state);
    free(directory->location);
    free(directory);
}
