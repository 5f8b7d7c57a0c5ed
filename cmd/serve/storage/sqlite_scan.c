/* Which tokens the entries list. The entry files are the truth: an operator may remove one, or put a folder of them
 * here; the database only remembers what stood in each, so that a start need not verify them all again. */
#include "serve/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "format/jws.h"

struct index_job {
    struct job job;
    uint8_t hash[HANDLE_HASH];
    const struct listed *listed;
    size_t count;
    bool present;
    int64_t size, changed, inode;
    /* Tokens that were listed or are, and their limit after the change. */
    struct listed touched[2 * IMSG_DEVICES_MAX];
    size_t touched_count;
};

static void touch(struct index_job *index, const uint8_t *token)
{
    for (size_t i = 0; i < index->touched_count; i++)
        if (memcmp(index->touched[i].token, token, IMSG_TOKEN) == 0)
            return;
    if (index->touched_count < 2 * IMSG_DEVICES_MAX)
        memcpy(index->touched[index->touched_count++].token, token, IMSG_TOKEN);
}

static enum imsg_status old_tokens(struct database *db, struct index_job *index, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    database_blob(db, SQL_ENTRY_TOKENS, 1, imsg_view_of(index->hash, HANDLE_HASH));
    while (database_row(db, SQL_ENTRY_TOKENS, &status, err)) {
        sqlite3_stmt *row = db->statements[SQL_ENTRY_TOKENS];
        if (sqlite3_column_bytes(row, 0) == IMSG_TOKEN)
            touch(index, sqlite3_column_blob(row, 0));
    }
    database_reset(db, SQL_ENTRY_TOKENS);
    return status;
}

static enum imsg_status new_tokens(struct database *db, struct index_job *index, struct imsg_error *err)
{
    database_blob(db, SQL_DEVICE_DROP, 1, imsg_view_of(index->hash, HANDLE_HASH));
    enum imsg_status status = database_run(db, SQL_DEVICE_DROP, err);
    for (size_t i = 0; i < index->count && status == IMSG_OK; i++) {
        touch(index, index->listed[i].token);
        database_blob(db, SQL_DEVICE_ADD, 1, imsg_view_of(index->hash, HANDLE_HASH));
        database_blob(db, SQL_DEVICE_ADD, 2, imsg_view_of(index->listed[i].token, IMSG_TOKEN));
        database_number(db, SQL_DEVICE_ADD, 3, index->listed[i].limit);
        status = database_run(db, SQL_DEVICE_ADD, err);
    }
    return status;
}

static enum imsg_status set_entry(struct database *db, const struct index_job *index, struct imsg_error *err)
{
    enum statement which = index->present ? SQL_ENTRY_SET : SQL_ENTRY_DROP;
    database_blob(db, which, 1, imsg_view_of(index->hash, HANDLE_HASH));
    if (index->present) {
        database_number(db, which, 2, index->size);
        database_number(db, which, 3, index->changed);
        database_number(db, which, 4, index->inode);
    }
    return database_run(db, which, err);
}

/* The largest limit of all entries that list it; where none does any more, since when. */
static enum imsg_status settle_token(struct database *db, struct listed *touched, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    struct imsg_view token = imsg_view_of(touched->token, IMSG_TOKEN);
    database_blob(db, SQL_DEVICE_LIMIT, 1, token);
    touched->limit = 0;
    if (database_row(db, SQL_DEVICE_LIMIT, &status, err))
        touched->limit = (uint32_t)sqlite3_column_int64(db->statements[SQL_DEVICE_LIMIT], 0);
    database_reset(db, SQL_DEVICE_LIMIT);
    enum statement which = touched->limit ? SQL_GONE_DROP : SQL_GONE_SET;
    database_blob(db, which, 1, token);
    if (!touched->limit)
        database_number(db, which, 2, (int64_t)imsg_now() * 1000);
    return status == IMSG_OK ? database_run(db, which, err) : status;
}

static enum imsg_status index_run(struct serve *serve, struct job *job, struct imsg_error *err)
{
    struct index_job *index = (struct index_job *)job;
    index->touched_count = 0;
    enum imsg_status status = old_tokens(&serve->db, index, err);
    if (status == IMSG_OK)
        status = new_tokens(&serve->db, index, err);
    if (status == IMSG_OK)
        status = set_entry(&serve->db, index, err);
    for (size_t i = 0; i < index->touched_count && status == IMSG_OK; i++)
        status = settle_token(&serve->db, &index->touched[i], err);
    return status;
}

static void index_done(struct serve *serve, struct job *job, enum imsg_status status)
{
    struct index_job *index = (struct index_job *)job;
    struct boxes *boxes = &serve->boxes;
    if (status != IMSG_OK)
        return;
    pthread_mutex_lock(&boxes->lock);
    for (size_t i = 0; i < index->touched_count; i++) {
        struct box *box = box_find(boxes, index->touched[i].token, true);
        if (!box)
            continue; /* no memory: not reachable until the next start */
        boxes->devices += (index->touched[i].limit > 0) - (uint64_t)(box->limit > 0);
        box->limit = index->touched[i].limit;
        box->gone = box->limit ? 0 : (int64_t)imsg_now() * 1000;
        if (!box->limit)
            box_wake_all(boxes, box);
    }
    pthread_mutex_unlock(&boxes->lock);
}

enum imsg_status index_entry(struct serve *serve, const uint8_t hash[static HANDLE_HASH], const struct listed *listed,
                             size_t count, const struct stat *file, struct imsg_error *err)
{
    struct index_job index = {.job = {.run = index_run, .done = index_done}, .listed = listed, .count = count};
    memcpy(index.hash, hash, HANDLE_HASH);
    if (file) {
        index.present = true;
        index.size = file->st_size;
        index.changed = (int64_t)file->st_mtim.tv_sec * 1000000000 + file->st_mtim.tv_nsec;
        index.inode = (int64_t)file->st_ino;
    }
    enum imsg_status status = queue_wait(&serve->writer, &index.job);
    return status == IMSG_OK ? IMSG_OK : imsg_fail(err, status, "the index of entries cannot be written");
}

/* ---- the start ---- */

static enum imsg_status load_device(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct boxes *boxes = &((struct serve *)context)->boxes;
    const uint8_t *token = sqlite3_column_blob(row, 0);
    if (!token || sqlite3_column_bytes(row, 0) != IMSG_TOKEN)
        return IMSG_OK;
    struct box *box = box_find(boxes, token, true);
    if (!box)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    uint64_t count = (uint64_t)sqlite3_column_int64(row, 1), bytes = (uint64_t)sqlite3_column_int64(row, 2);
    switch (sqlite3_column_int(row, 3)) {
    case 0:
        box->limit = (uint32_t)count;
        boxes->devices++;
        break;
    case 1:
        box->gone = (int64_t)count;
        break;
    case 2:
        box->count = count;
        box->bytes = bytes;
        boxes->messages += count;
        boxes->bytes += bytes;
        break;
    default:
        box->stored = bytes;
        break;
    }
    return IMSG_OK;
}

enum imsg_status index_start(struct serve *serve, struct imsg_error *err)
{
    return database_each(&serve->db,
                         "SELECT token, max(bytes), 0, 0 FROM device GROUP BY token UNION ALL "
                         "SELECT token, since, 0, 1 FROM gone UNION ALL "
                         "SELECT token, count(*), sum(size), 2 FROM message GROUP BY token UNION ALL "
                         "SELECT token, 0, sum(size), 3 FROM blob GROUP BY token",
                         load_device, serve, err);
}

/* What one entry lists, whoever signed it: it was checked when it came in, or the operator put it there. */
static enum imsg_status read_listed(struct serve *serve, int fd, const char *name, const struct stat *file,
                                    struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    struct imsg_entry entry = {0};
    struct listed listed[IMSG_DEVICES_MAX];
    uint8_t hash[HANDLE_HASH];
    char *handle = NULL;
    enum imsg_status status = imsg_read_some(fd, ENTRY_BODY_MAX, &bytes, err);
    if (status == IMSG_OK)
        status = entry_handle(imsg_buf_view(&bytes), &handle, err);
    if (status == IMSG_OK)
        status = imsg_entry_parse(imsg_buf_view(&bytes), handle, 0, &entry, err);
    if (status == IMSG_OK && !(route_hash(name, hash) && entry_is_named(handle, hash)))
        status = imsg_fail(err, IMSG_MALFORMED, "it is the entry of another handle");
    size_t count = status == IMSG_OK ? entry_listed(&entry, listed) : 0;
    if (status != IMSG_OK) {
        cli_note(serve->cli, "entry \"%s\": %s; nobody it lists has a mailbox here", name, err->text);
        status = IMSG_OK;
    }
    if (route_hash(name, hash))
        status = index_entry(serve, hash, listed, count, file, err);
    imsg_entry_free(&entry);
    imsg_buf_free(&bytes);
    free(handle);
    return status;
}

struct seen { /* an entry the index has */
    uint8_t hash[HANDLE_HASH];
    int64_t size, changed, inode;
    bool met;
};
struct scan {
    struct serve *serve;
    struct seen *seen;
    size_t count, cap;
};

static enum imsg_status remember(void *context, sqlite3_stmt *row, struct imsg_error *err)
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
    if (sqlite3_column_bytes(row, 0) == HANDLE_HASH) {
        memcpy(seen->hash, sqlite3_column_blob(row, 0), HANDLE_HASH);
        scan->count++;
    }
    return IMSG_OK;
}

static int by_hash(const void *key, const void *element)
{
    return memcmp(key, ((const struct seen *)element)->hash, HANDLE_HASH);
}

/* .HASH.json. and 16 hex digits: an entry that was being written when the last server was killed (imsg_file_create).
 * Nobody writes one now: the scan holds `entries`. */
static bool is_left_over(const char *name)
{
    uint8_t hash[HANDLE_HASH];
    return name[0] == '.' && route_hash(name + 1, hash) && strncmp(name + 65, ".json.", 6) == 0 &&
           strspn(name + 71, "0123456789abcdef") == 16 && !name[87];
}

static enum imsg_status scan_file(struct scan *scan, int folder, const char *name, struct imsg_error *err)
{
    uint8_t hash[HANDLE_HASH];
    struct stat file;
    enum imsg_status status = IMSG_OK;
    if (is_left_over(name))
        unlinkat(folder, name, 0);
    if (!route_hash(name, hash) || strcmp(name + 64, ".json") != 0)
        return IMSG_OK;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        if (fd >= 0)
            close(fd);
        return IMSG_OK; /* gone meanwhile, or nothing of ours */
    }
    struct seen *seen = scan->count ? bsearch(hash, scan->seen, scan->count, sizeof *seen, by_hash) : NULL;
    if (seen)
        seen->met = true;
    if (!seen || seen->size != file.st_size || seen->inode != (int64_t)file.st_ino ||
        seen->changed != (int64_t)file.st_mtim.tv_sec * 1000000000 + file.st_mtim.tv_nsec)
        status = read_listed(scan->serve, fd, name, &file, err);
    close(fd);
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

enum imsg_status index_scan(struct serve *serve, struct imsg_error *err)
{
    struct scan scan = {.serve = serve};
    char *path = NULL;
    pthread_mutex_lock(&serve->entries);
    enum imsg_status status = database_each(
        &serve->db, "SELECT handle, size, changed, inode FROM entry ORDER BY handle", remember, &scan, err);
    for (unsigned i = 0; i < 256 && status == IMSG_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "imsg/v1/h/%02x", i);
        status = imsg_path_join(serve->directory, name, &path, err);
        if (status == IMSG_OK)
            status = scan_folder(&scan, path, err);
        free(path);
        path = NULL;
    }
    for (size_t i = 0; i < scan.count && status == IMSG_OK; i++)
        if (!scan.seen[i].met)
            status = index_entry(serve, scan.seen[i].hash, NULL, 0, NULL, err);
    pthread_mutex_unlock(&serve->entries);
    free(scan.seen);
    return status;
}
