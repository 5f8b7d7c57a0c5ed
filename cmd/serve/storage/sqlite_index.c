/* The index of entries: the database remembers which devices each entry lists, and which file that was read from. */
#include "serve/storage/sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/cli.h"
#include "serve/entry_parse.h"

enum imsg_status entry_file_path(const struct storage *storage, const uint8_t hash[static 32], char **path,
                                 struct imsg_error *err)
{
    char hex[65], name[128];
    imsg_hex(hash, 32, hex);
    snprintf(name, sizeof name, IMSG_ENTRY_FOLDER "/%.2s/%s.json", hex, hex);
    return imsg_path_join(storage->directory, name, path, err);
}

/* ---- inside a transaction ---- */

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
        sqlite_bind_bytes(storage, SQL_DEVICE_ADD, 4, imsg_view_of(index->account, 32));
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

/* What holds for a token now; where no entry lists it any more, since when. */
static enum imsg_status update_token(struct storage *storage, struct touched *touched, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    struct imsg_view token = imsg_view_of(touched->token, IMSG_TOKEN);
    sqlite3_stmt *row = storage->statements[SQL_DEVICE_LISTED];
    sqlite_bind_bytes(storage, SQL_DEVICE_LISTED, 1, token);
    touched->limit = 0;
    memset(touched->account, 0, sizeof touched->account);
    if (sqlite_row(storage, SQL_DEVICE_LISTED, &status, err) && sqlite_column_hash(row, 1, touched->account))
        touched->limit = (uint32_t)sqlite3_column_int64(row, 0);
    sqlite_reset_statement(storage, SQL_DEVICE_LISTED);
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
        mailbox_set_listed(index->operation.storage, &index->touched[i], (int64_t)imsg_now() * 1000);
}

enum imsg_status entry_index_write(struct storage *storage, struct entry_index *index, struct imsg_error *err)
{
    return sqlite_submit_wait(storage, &index->operation, entry_index_run, entry_index_done,
                              "the index of entries cannot be written", err);
}

/* ---- from a file ---- */

static enum imsg_status entry_file_parse(int fd, const uint8_t hash[static 32],
                                         struct listed out[static IMSG_DEVICES_MAX], size_t *count,
                                         uint8_t account[static 32], struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    struct imsg_entry entry = {0};
    char *handle = NULL;
    *count = 0;
    enum imsg_status status = imsg_read_some(fd, IMSG_ENTRY_MAX, &bytes, err);
    if (status == IMSG_OK)
        status = entry_handle(imsg_buf_view(&bytes), &handle, err);
    if (status == IMSG_OK)
        status = imsg_entry_parse(imsg_buf_view(&bytes), handle, 0, &entry, err);
    if (status == IMSG_OK && !entry_is_named(handle, hash))
        status = imsg_fail(err, IMSG_MALFORMED, "it is the entry of another handle");
    if (status == IMSG_OK)
        status = entry_account(&entry, account, err);
    if (status == IMSG_OK)
        *count = entry_listed(&entry, out);
    imsg_entry_free(&entry);
    imsg_buf_free(&bytes);
    free(handle);
    return status;
}

enum imsg_status entry_index_file(struct storage *storage, const uint8_t hash[static 32], const char *path,
                                  const uint8_t *given_back, struct imsg_error *err)
{
    struct listed listed[IMSG_DEVICES_MAX];
    struct stat file;
    struct imsg_error reason = {0};
    uint8_t account[32];
    struct entry_index index = {.hash = hash, .listed = listed, .account = account, .given_back = given_back};
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
        index.file = &file;
        if (entry_file_parse(fd, hash, listed, &index.count, account, &reason) != IMSG_OK)
            cli_note(storage->setup.cli, "entry \"%s\": %s; the devices that it lists have no mailbox here",
                     strrchr(path, '/') + 1, reason.text);
    }
    if (fd >= 0)
        close(fd);
    return entry_index_write(storage, &index, err);
}
