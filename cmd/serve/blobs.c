/* The files of the store are DATA/store/xx/SHA256; the storage has a row for each. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "serve/serve.h"

enum imsg_status blob_path(const struct serve *serve, const uint8_t hash[static 32], char **path,
                           struct imsg_error *err)
{
    char name[80], hex[65];
    imsg_hex(hash, 32, hex);
    snprintf(name, sizeof name, "%.2s/%s", hex, hex);
    return imsg_path_join(serve->blobs, name, path, err);
}

/* ---- the start ---- */

struct known_blob { /* a row */
    uint8_t hash[32];
    bool met;
};
struct blob_scan {
    struct serve *serve;
    struct known_blob *known;
    size_t count, cap;
};

static enum imsg_status remember_blob(void *context, const struct blob *blob, struct imsg_error *err)
{
    struct blob_scan *scan = context;
    if (scan->count == scan->cap) {
        size_t cap = scan->cap ? 2 * scan->cap : 256;
        struct known_blob *larger = realloc(scan->known, cap * sizeof *larger);
        if (!larger)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        scan->known = larger;
        scan->cap = cap;
    }
    struct known_blob *known = &scan->known[scan->count++];
    memcpy(known->hash, blob->hash, sizeof known->hash);
    known->met = false;
    return IMSG_OK;
}

static int compare_hash(const void *key, const void *element)
{
    return memcmp(key, ((const struct known_blob *)element)->hash, 32);
}

/* A file without a row came in just before the end of the last server: it counts against nobody's quota. */
static enum imsg_status scan_blob(struct blob_scan *scan, int folder, const char *name, struct imsg_error *err)
{
    struct blob blob = {0};
    struct stat file;
    if (!hash_decode(name, blob.hash) || name[64] || fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW) != 0)
        return IMSG_OK;
    quota_add_used(&scan->serve->quota, file.st_size);
    struct known_blob *known =
        scan->count ? bsearch(blob.hash, scan->known, scan->count, sizeof *known, compare_hash) : NULL;
    if (known) {
        known->met = true;
        return IMSG_OK;
    }
    blob.size = (uint64_t)file.st_size;
    blob.stored = file.st_mtim.tv_sec;
    return storage_record_blob(scan->serve->storage, &blob, err);
}

static enum imsg_status scan_blob_folder(struct blob_scan *scan, const char *path, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    DIR *folder = opendir(path);
    struct dirent *item;
    if (!folder)
        return errno == ENOENT ? IMSG_OK : imsg_fail(err, IMSG_IO, "\"%s\": %s", path, strerror(errno));
    while (status == IMSG_OK && (item = readdir(folder)) != NULL)
        status = scan_blob(scan, dirfd(folder), item->d_name, err);
    closedir(folder);
    return status;
}

/* Uploads that the end of the last server cut off. */
static void clear_partial(struct serve *serve)
{
    DIR *folder = opendir(serve->partial);
    struct dirent *item;
    while (folder && (item = readdir(folder)) != NULL)
        if (item->d_name[0] != '.')
            unlinkat(dirfd(folder), item->d_name, 0);
    if (folder)
        closedir(folder);
}

enum imsg_status blobs_start(struct serve *serve, struct imsg_error *err)
{
    struct blob_scan scan = {.serve = serve};
    clear_partial(serve);
    enum imsg_status status = storage_each_blob(serve->storage, remember_blob, &scan, err);
    for (unsigned i = 0; i < 256 && status == IMSG_OK; i++) {
        char name[8], *path = NULL;
        snprintf(name, sizeof name, "%02x", i);
        status = imsg_path_join(serve->blobs, name, &path, err);
        if (status == IMSG_OK)
            status = scan_blob_folder(&scan, path, err);
        free(path);
    }
    for (size_t i = 0; i < scan.count && status == IMSG_OK; i++)
        if (!scan.known[i].met)
            status = storage_forget_blob(serve->storage, scan.known[i].hash, err);
    free(scan.known);
    return status;
}

/* ---- age ---- */

static enum imsg_status erase_blob(void *context, const struct blob *blob, struct imsg_error *err)
{
    struct serve *serve = context;
    char *path = NULL;
    enum imsg_status status = blob_path(serve, blob->hash, &path, err);
    if (status == IMSG_OK && unlink(path) == 0)
        quota_add_used(&serve->quota, -(int64_t)blob->size);
    else if (status == IMSG_OK && errno != ENOENT)
        status = imsg_fail(err, IMSG_IO, "\"%s\": %s", path, strerror(errno));
    free(path);
    return status;
}

void blobs_expire(struct serve *serve)
{
    int64_t before = (int64_t)imsg_now() - (int64_t)serve->days * 86400;
    /* After a failure, which the storage has noted, the next call deletes them. */
    (void)!storage_expire_blobs(serve->storage, before, erase_blob, serve, NULL);
}
