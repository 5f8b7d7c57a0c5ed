/* An operator may add, replace or remove files of entries. The scan compares each file with what the database
 * remembers of it, so that only those that changed are read and verified. */
#include "serve/storage/sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

struct seen { /* what the database remembers of an entry */
    uint8_t hash[32];
    int64_t size, changed, inode;
    bool met;
};
struct scan {
    struct storage *storage;
    struct seen *seen;
    size_t count, cap;
};

static enum imsg_status remember_row(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct scan *scan = context;
    if (scan->count == scan->cap) {
        size_t cap = scan->cap ? 2 * scan->cap : 256;
        struct seen *larger = realloc(scan->seen, cap * sizeof *larger);
        if (!larger)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        scan->seen = larger;
        scan->cap = cap;
    }
    struct seen *seen = &scan->seen[scan->count];
    *seen = (struct seen){.size = sqlite3_column_int64(row, 1),
                          .changed = sqlite3_column_int64(row, 2),
                          .inode = sqlite3_column_int64(row, 3)};
    scan->count += sqlite_column_hash(row, 0, seen->hash);
    return IMSG_OK;
}

static int compare_hash(const void *key, const void *element)
{
    return memcmp(key, ((const struct seen *)element)->hash, 32);
}

/* HASH and then `rest`. */
static bool name_hash(const char *name, const char *rest, uint8_t hash[static 32])
{
    return strnlen(name, 64) == 64 && strcmp(name + 64, rest) == 0 &&
           imsg_hex_decode(imsg_view_of(name, 64), hash, 32, NULL) == IMSG_OK;
}

/* .HASH.json. and 16 hex digits: the temporary file of an entry that was being written when a server was killed
 * (imsg_file_create). Nobody writes one now: the scan holds `entries`. */
static bool is_left_over(const char *name)
{
    uint8_t hash[32];
    return name[0] == '.' && strnlen(name + 1, 64) == 64 &&
           imsg_hex_decode(imsg_view_of(name + 1, 64), hash, 32, NULL) == IMSG_OK &&
           strncmp(name + 65, ".json.", 6) == 0 && strspn(name + 71, "0123456789abcdef") == 16 && !name[87];
}

static enum imsg_status scan_file(struct scan *scan, int folder, const char *name, struct imsg_error *err)
{
    uint8_t hash[32];
    struct stat file;
    char *path = NULL;
    if (is_left_over(name))
        unlinkat(folder, name, 0);
    if (!name_hash(name, ".json", hash) || fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(file.st_mode))
        return IMSG_OK; /* gone meanwhile, or no entry */
    struct seen *seen = scan->count ? bsearch(hash, scan->seen, scan->count, sizeof *seen, compare_hash) : NULL;
    if (seen)
        seen->met = true;
    if (seen && seen->size == file.st_size && seen->inode == (int64_t)file.st_ino &&
        seen->changed == (int64_t)file.st_mtim.tv_sec * 1000000000 + file.st_mtim.tv_nsec)
        return IMSG_OK;
    enum imsg_status status = entry_file_path(scan->storage, hash, &path, err);
    if (status == IMSG_OK)
        status = entry_index_file(scan->storage, hash, path, NULL, err);
    free(path);
    return status;
}

static enum imsg_status scan_folder(struct scan *scan, const char *path, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? IMSG_OK : imsg_fail(err, IMSG_IO, "\"%s\": %s", path, strerror(errno));
    struct dirent *item;
    while (status == IMSG_OK && (item = readdir(folder)) != NULL)
        status = scan_file(scan, dirfd(folder), item->d_name, err);
    closedir(folder);
    return status;
}

enum imsg_status storage_scan_entries(struct storage *storage, struct imsg_error *err)
{
    struct scan scan = {.storage = storage};
    pthread_mutex_lock(&storage->entries);
    enum imsg_status status = sqlite_each(storage, "SELECT handle, size, changed, inode FROM entry ORDER BY handle",
                                          remember_row, &scan, err);
    for (unsigned i = 0; i < 256 && status == IMSG_OK; i++) {
        char name[32], *path = NULL;
        snprintf(name, sizeof name, IMSG_ENTRY_FOLDER "/%02x", i);
        status = imsg_path_join(storage->directory, name, &path, err);
        if (status == IMSG_OK)
            status = scan_folder(&scan, path, err);
        free(path);
    }
    for (size_t i = 0; i < scan.count && status == IMSG_OK; i++)
        if (!scan.seen[i].met)
            status = entry_index_file(storage, scan.seen[i].hash, NULL, NULL, err);
    pthread_mutex_unlock(&storage->entries);
    free(scan.seen);
    return status;
}

enum imsg_status storage_load(struct storage *storage, struct imsg_error *err)
{
    enum imsg_status status = mailboxes_load(storage, err);
    return status == IMSG_OK ? storage_scan_entries(storage, err) : status;
}
