/* Entries are files, the same as a folder directory or a static web host has; they are the truth. The database only
 * remembers which devices each of them lists, and which file that was read from. */
#include "serve/storage/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define ENTRY_MODE 0644 /* before the umask: anybody may read an entry */

enum imsg_status entry_file_path(const struct storage *storage, const uint8_t hash[static 32], char **path,
                                 struct imsg_error *err)
{
    char hex[65], name[128];
    imsg_hex(hash, 32, hex);
    snprintf(name, sizeof name, IMSG_ENTRY_FOLDER "/%.2s/%s.json", hex, hex);
    return imsg_path_join(storage->directory, name, path, err);
}

/* ---- the index: inside a transaction ---- */

static void touch(struct entry_index *index, const uint8_t *token)
{
    for (size_t i = 0; i < index->touched_count; i++)
        if (memcmp(index->touched[i].token, token, IMSG_TOKEN) == 0)
            return;
    if (index->touched_count < 2 * IMSG_DEVICES_MAX)
        memcpy(index->touched[index->touched_count++].token, token, IMSG_TOKEN);
}

static enum imsg_status touch_old_devices(struct entry_index *index, struct imsg_error *err)
{
    struct storage *storage = index->operation.storage;
    enum imsg_status status = IMSG_OK;
    uint8_t token[IMSG_TOKEN];
    sqlite_bind_bytes(storage, SQL_ENTRY_TOKENS, 1, imsg_view_of(index->hash, 32));
    while (sqlite_row(storage, SQL_ENTRY_TOKENS, &status, err))
        if (sqlite_column_hash(storage->statements[SQL_ENTRY_TOKENS], 0, token))
            touch(index, token);
    sqlite_reset_statement(storage, SQL_ENTRY_TOKENS);
    return status;
}

static enum imsg_status replace_devices(struct entry_index *index, struct imsg_error *err)
{
    struct storage *storage = index->operation.storage;
    sqlite_bind_bytes(storage, SQL_DEVICE_DROP, 1, imsg_view_of(index->hash, 32));
    enum imsg_status status = sqlite_run(storage, SQL_DEVICE_DROP, err);
    for (size_t i = 0; i < index->count && status == IMSG_OK; i++) {
        touch(index, index->listed[i].token);
        sqlite_bind_bytes(storage, SQL_DEVICE_ADD, 1, imsg_view_of(index->hash, 32));
        sqlite_bind_bytes(storage, SQL_DEVICE_ADD, 2, imsg_view_of(index->listed[i].token, IMSG_TOKEN));
        sqlite_bind_number(storage, SQL_DEVICE_ADD, 3, index->listed[i].limit);
        status = sqlite_run(storage, SQL_DEVICE_ADD, err);
    }
    return status;
}

static int64_t changed_at(const struct stat *file)
{
    return (int64_t)file->st_mtim.tv_sec * 1000000000 + file->st_mtim.tv_nsec;
}

static enum imsg_status set_entry(struct entry_index *index, struct imsg_error *err)
{
    struct storage *storage = index->operation.storage;
    enum statement which = index->file ? SQL_ENTRY_SET : SQL_ENTRY_DROP;
    sqlite_bind_bytes(storage, which, 1, imsg_view_of(index->hash, 32));
    if (index->file) {
        sqlite_bind_number(storage, which, 2, index->file->st_size);
        sqlite_bind_number(storage, which, 3, changed_at(index->file));
        sqlite_bind_number(storage, which, 4, (int64_t)index->file->st_ino);
    }
    return sqlite_run(storage, which, err);
}

/* The largest limit of all entries that list it; where none does any more, since when. */
static enum imsg_status update_token(struct storage *storage, struct listed *touched, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    struct imsg_view token = imsg_view_of(touched->token, IMSG_TOKEN);
    sqlite_bind_bytes(storage, SQL_DEVICE_LIMIT, 1, token);
    touched->limit = 0;
    if (sqlite_row(storage, SQL_DEVICE_LIMIT, &status, err))
        touched->limit = (uint32_t)sqlite3_column_int64(storage->statements[SQL_DEVICE_LIMIT], 0);
    sqlite_reset_statement(storage, SQL_DEVICE_LIMIT);
    enum statement which = touched->limit ? SQL_GONE_DROP : SQL_GONE_SET;
    sqlite_bind_bytes(storage, which, 1, token);
    if (!touched->limit)
        sqlite_bind_number(storage, which, 2, (int64_t)imsg_now() * 1000);
    return status == IMSG_OK ? sqlite_run(storage, which, err) : status;
}

static enum imsg_status entry_index_run(struct job *job, struct imsg_error *err)
{
    struct entry_index *index = (struct entry_index *)job;
    struct storage *storage = index->operation.storage;
    enum imsg_status status = IMSG_OK;
    index->touched_count = 0;
    index->refused = false;
    if (index->invite)
        status = invite_use(storage, index->invite, index->account, &index->refused, err);
    if (status != IMSG_OK || index->refused)
        return status;
    if (index->given_back)
        status = invite_give_back(storage, index->given_back, err);
    if (status == IMSG_OK)
        status = touch_old_devices(index, err);
    if (status == IMSG_OK)
        status = replace_devices(index, err);
    if (status == IMSG_OK)
        status = set_entry(index, err);
    for (size_t i = 0; i < index->touched_count && status == IMSG_OK; i++)
        status = update_token(storage, &index->touched[i], err);
    return status;
}

static void entry_index_done(struct job *job, enum imsg_status status)
{
    const struct entry_index *index = (struct entry_index *)job;
    for (size_t i = 0; i < index->touched_count && status == IMSG_OK; i++)
        mailbox_set_limit(index->operation.storage, index->touched[i].token, index->touched[i].limit,
                          (int64_t)imsg_now() * 1000);
}

enum imsg_status entry_index_write(struct storage *storage, struct entry_index *index, struct imsg_error *err)
{
    return sqlite_submit_wait(storage, &index->operation, entry_index_run, entry_index_done,
                              "the index of entries cannot be written", err);
}

/* ---- files ---- */

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
