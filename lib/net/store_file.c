/* A store in a folder: BASE/<sha256 of the ciphertext>. A descriptor names the hash and never a path. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "base/url.h"
#include "net/backend.h"
#include "net/folder.h"

#define URI_PREFIX "imsg-store:"
#define TEMP_PREFIX ".tmp-"
#define PIECE 262144 /* bytes per read */

struct state {
    struct imsg_folder folder; /* first: most functions use only this */
    bool swept;
};

static void file_close(void *opaque)
{
    struct imsg_folder *folder = opaque;
    if (!folder)
        return;
    imsg_folder_free(folder);
    free(folder);
}

static enum imsg_status file_open(const char *location, struct imsg_net *net, void **out, struct imsg_error *err)
{
    (void)net;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    struct imsg_folder *folder = &state->folder;
    enum imsg_status status = imsg_folder_set(folder, "store", location, err);
    if (status != IMSG_OK) {
        file_close(state);
        return status;
    }
    *out = state;
    return IMSG_OK;
}

static enum imsg_status file_begin(void *opaque, struct imsg_store_put *put, struct imsg_error *err)
{
    struct state *state = opaque;
    struct imsg_folder *folder = &state->folder;
    struct imsg_folder_temp temp;
    enum imsg_status status = imsg_folder_make_base(folder, err);
    if (status == IMSG_OK && !state->swept)
        imsg_folder_sweep(open(folder->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC), TEMP_PREFIX);
    state->swept = true;
    if (status == IMSG_OK)
        status = imsg_folder_temp(folder, folder->base, TEMP_PREFIX, &temp, err);
    if (status == IMSG_OK) {
        put->fd = temp.fd;
        put->temp = temp.path;
    }
    return status;
}

static enum imsg_status file_commit(void *opaque, struct imsg_store_put *put, const char *sha256, char **uri,
                                    struct imsg_error *err)
{
    struct imsg_folder *folder = opaque;
    char *full = NULL;
    struct imsg_buf name = {0};
    bool placed = false;
    enum imsg_status status = imsg_path_join(folder->base, sha256, &full, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_buf_text(&name, URI_PREFIX, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&name, sha256, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_folder_sync_file(folder, put->temp, put->fd, err);
    if (status != IMSG_OK)
        goto out;
    if (rename(put->temp, full) != 0) {
        status = imsg_folder_fail(folder, full, errno, err);
        goto out;
    }
    placed = true;
    status = imsg_folder_sync_of(folder, full, err);
    if (status != IMSG_OK)
        goto out;
    *uri = (char *)name.ptr;
    name = (struct imsg_buf){0};
out:
    if (!placed)
        unlink(put->temp);
    imsg_buf_free(&name);
    free(full);
    return status;
}

static void file_discard(void *opaque, struct imsg_store_put *put)
{
    (void)opaque;
    unlink(put->temp);
}

static enum imsg_status check_uri(const struct imsg_folder *folder, const char *uri, const char **name,
                                  struct imsg_error *err)
{
    const size_t prefix = sizeof URI_PREFIX - 1;
    if (strncmp(uri, URI_PREFIX, prefix) != 0) {
        char scheme[16];
        imsg_url_scheme(uri, scheme);
        return imsg_fail(err, IMSG_REFUSED, "store folder \"%s\" has only " URI_PREFIX " objects, this one is \"%s\"",
                         folder->base, scheme);
    }
    if (!imsg_name_is_hash(uri + prefix))
        return imsg_fail(err, IMSG_REFUSED, "what follows " URI_PREFIX " is not 64 lower-case hex digits");
    *name = uri + prefix;
    return IMSG_OK;
}

static enum imsg_status file_open_object(void *opaque, const char *uri, int *fd, struct imsg_error *err)
{
    const struct imsg_folder *folder = opaque;
    const char *name = NULL;
    char *path = NULL;
    bool found = false;
    enum imsg_status status = check_uri(folder, uri, &name, err);
    if (status == IMSG_OK)
        status = imsg_path_join(folder->base, name, &path, err);
    if (status == IMSG_OK)
        status = imsg_folder_open(folder, path, fd, &found, err);
    if (status == IMSG_OK && !found)
        status = imsg_fail(err, IMSG_UNAVAILABLE, "store folder \"%s\" has no object %.8s…", folder->base, name);
    free(path);
    return status;
}

static enum imsg_status pass_pieces(const struct imsg_folder *folder, int fd, imsg_sink *sink, void *context,
                                    struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    size_t got = PIECE;
    uint8_t *piece = malloc(PIECE);
    if (!piece)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    while (status == IMSG_OK && got == PIECE) {
        status = imsg_folder_transfer(folder, imsg_read_into(fd, piece, PIECE, &got, err), err);
        if (status == IMSG_OK && got > 0)
            status = sink(context, imsg_view_of(piece, got), err);
    }
    free(piece);
    return status;
}

static enum imsg_status file_get(void *opaque, const struct imsg_store_read *read, struct imsg_error *err)
{
    const struct imsg_folder *folder = opaque;
    int fd = -1;
    struct stat st;
    enum imsg_status status = file_open_object(opaque, read->uri, &fd, err);
    if (status != IMSG_OK)
        return status;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size > read->max)
        status = imsg_fail(err, IMSG_PROTOCOL, "store folder \"%s\": an object of %lld bytes, expected at most %llu",
                           folder->base, (long long)st.st_size, (unsigned long long)read->max);
    else if (read->from > 0 && lseek(fd, (off_t)read->from, SEEK_SET) < 0)
        status = imsg_folder_fail_read(folder, read->uri, errno, err);
    if (status == IMSG_OK)
        status = pass_pieces(folder, fd, read->sink, read->context, err);
    close(fd);
    return status;
}

const struct store_backend imsg_store_file = {
    .scheme = "file",
    .open = file_open,
    .begin = file_begin,
    .commit = file_commit,
    .discard = file_discard,
    .open_object = file_open_object,
    .get = file_get,
    .close = file_close,
};
