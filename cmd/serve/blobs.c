/* The files of the store as a whole: what is there at the start, and what has been there long enough. */
#include "serve/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define OLD_MAX 100 /* blobs deleted in one transaction */

struct known_blob {
    uint8_t hash[32];
    bool met;
};
struct blob_scan {
    struct known_blob *known;
    size_t count, cap;
};

static enum imsg_status remember(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct blob_scan *scan = context;
    if (sqlite3_column_bytes(row, 0) != 32)
        return IMSG_OK;
    if (scan->count == scan->cap) {
        size_t cap = scan->cap ? 2 * scan->cap : 256;
        struct known_blob *larger = realloc(scan->known, cap * sizeof *larger);
        if (!larger)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        scan->known = larger;
        scan->cap = cap;
    }
    scan->known[scan->count].met = false;
    memcpy(scan->known[scan->count++].hash, sqlite3_column_blob(row, 0), 32);
    return IMSG_OK;
}

struct orphan {
    struct job job;
    const uint8_t *hash;
    int64_t size, stored;
    bool there;
};

static enum imsg_status orphan_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    static const uint8_t nobody[IMSG_TOKEN];
    const struct orphan *orphan = (struct orphan *)job;
    enum statement which = orphan->there ? SQL_BLOB_SET : SQL_BLOB_DROP;
    database_blob(&serve->db, which, 1, imsg_view_of(orphan->hash, 32));
    if (orphan->there) {
        database_blob(&serve->db, which, 2, imsg_view_of(nobody, sizeof nobody));
        database_number(&serve->db, which, 3, orphan->size);
        database_number(&serve->db, which, 4, orphan->stored);
    }
    return database_run(&serve->db, which, err);
}

static int by_hash(const void *key, const void *element)
{
    return memcmp(key, ((const struct known_blob *)element)->hash, 32);
}

/* A file that no row tells of came in just before the end of the last server: it belongs to nobody's quota. */
static enum imsg_status scan_blob(struct serve *serve, struct blob_scan *scan, int folder, const char *name,
                                  struct imsg_error *err)
{
    uint8_t hash[32];
    struct stat file;
    if (!route_hash(name, hash) || name[64] || fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW) != 0)
        return IMSG_OK;
    serve->store.used += (uint64_t)file.st_size;
    struct known_blob *known = scan->count ? bsearch(hash, scan->known, scan->count, sizeof *known, by_hash) : NULL;
    if (known) {
        known->met = true;
        return IMSG_OK;
    }
    struct orphan orphan = {
        .job = {.run = orphan_run}, .hash = hash, .size = file.st_size, .stored = file.st_mtim.tv_sec, .there = true};
    enum imsg_status status = queue_wait(&serve->writer, &orphan.job);
    return status == IMSG_OK ? IMSG_OK : imsg_fail(err, status, "the store cannot be recorded");
}

static enum imsg_status scan_folder(struct serve *serve, struct blob_scan *scan, const char *path,
                                    struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    DIR *folder = opendir(path);
    struct dirent *item;
    if (!folder)
        return errno == ENOENT ? IMSG_OK : imsg_fail(err, IMSG_IO, "\"%s\": %s", path, strerror(errno));
    while (status == IMSG_OK && (item = readdir(folder)) != NULL)
        status = scan_blob(serve, scan, dirfd(folder), item->d_name, err);
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

enum imsg_status store_start(struct serve *serve, struct imsg_error *err)
{
    struct blob_scan scan = {0};
    pthread_mutex_init(&serve->store.lock, NULL);
    clear_partial(serve);
    enum imsg_status status = database_each(&serve->db, "SELECT hash FROM blob ORDER BY hash", remember, &scan, err);
    for (unsigned i = 0; i < 256 && status == IMSG_OK; i++) {
        char name[8], *path = NULL;
        snprintf(name, sizeof name, "%02x", i);
        status = imsg_path_join(serve->blobs, name, &path, err);
        if (status == IMSG_OK)
            status = scan_folder(serve, &scan, path, err);
        free(path);
    }
    for (size_t i = 0; i < scan.count && status == IMSG_OK; i++) {
        struct orphan row = {.job = {.run = orphan_run}, .hash = scan.known[i].hash};
        if (!scan.known[i].met)
            status = queue_wait(&serve->writer, &row.job);
    }
    free(scan.known);
    return status;
}

/* ---- age ---- */

struct old {
    struct job job;
    struct {
        uint8_t hash[32], token[IMSG_TOKEN];
        uint64_t size;
    } items[OLD_MAX];
    size_t count;
};

/* The file goes before its row: a kill between the two leaves a row without a file, which the next start drops. */
static enum imsg_status old_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct old *old = (struct old *)job;
    enum imsg_status status = IMSG_OK;
    old->count = 0;
    database_number(&serve->db, SQL_BLOB_OLD, 1, (int64_t)imsg_now() - (int64_t)serve->days * DAY_SECONDS);
    while (old->count < OLD_MAX && database_row(&serve->db, SQL_BLOB_OLD, &status, err)) {
        sqlite3_stmt *row = serve->db.statements[SQL_BLOB_OLD];
        if (sqlite3_column_bytes(row, 0) != 32 || sqlite3_column_bytes(row, 1) != IMSG_TOKEN)
            continue;
        memcpy(old->items[old->count].hash, sqlite3_column_blob(row, 0), 32);
        memcpy(old->items[old->count].token, sqlite3_column_blob(row, 1), IMSG_TOKEN);
        old->items[old->count++].size = (uint64_t)sqlite3_column_int64(row, 2);
    }
    database_reset(&serve->db, SQL_BLOB_OLD);
    for (size_t i = 0; i < old->count && status == IMSG_OK; i++) {
        char hex[65], name[80], *path = NULL;
        imsg_hex(old->items[i].hash, 32, hex);
        snprintf(name, sizeof name, "%.2s/%s", hex, hex);
        status = imsg_path_join(serve->blobs, name, &path, err);
        if (status == IMSG_OK && unlink(path) != 0 && errno != ENOENT)
            status = imsg_fail(err, IMSG_IO, "\"%s\": %s", path, strerror(errno));
        free(path);
        database_blob(&serve->db, SQL_BLOB_DROP, 1, imsg_view_of(old->items[i].hash, 32));
        if (status == IMSG_OK)
            status = database_run(&serve->db, SQL_BLOB_DROP, err);
    }
    return status;
}

static void old_done(struct serve *serve, struct job *job, enum imsg_status status)
{
    struct old *old = (struct old *)job;
    for (size_t i = 0; i < old->count && status == IMSG_OK; i++) {
        pthread_mutex_lock(&serve->store.lock);
        serve->store.used -= old->items[i].size < serve->store.used ? old->items[i].size : serve->store.used;
        pthread_mutex_unlock(&serve->store.lock);
        pthread_mutex_lock(&serve->boxes.lock);
        struct box *box = box_find(&serve->boxes, old->items[i].token, false);
        if (box)
            box->stored -= old->items[i].size < box->stored ? old->items[i].size : box->stored;
        pthread_mutex_unlock(&serve->boxes.lock);
    }
}

void store_expire(struct serve *serve)
{
    struct old old = {.job = {.run = old_run, .done = old_done}};
    do {
        if (queue_wait(&serve->writer, &old.job) != IMSG_OK)
            break;
    } while (old.count == OLD_MAX);
}
