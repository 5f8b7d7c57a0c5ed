/* DATA/mail.db: its tables and its connections. WAL with synchronous=FULL: a commit that returned is on disk. The
 * writer's statements are prepared once; each thread that reads has a connection of its own, and never waits for the
 * writer. */
#include "serve/storage/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/cli.h"

#define BUSY_MS 10000     /* another process writes only invites */
#define WRITER_PAGES 2000 /* of 4 KiB: the page cache */
#define READER_PAGES 64
#define CHECKPOINT_PAGES 4000
#define SCHEMA 1

static const char schema[] =
    /* size: bytes of line; stranger: 1 where no entry listed the sender, else 0; expires, received: Unix seconds.
     * line is the last column, so that reading another one does not read its pages. */
    "CREATE TABLE message(id INTEGER PRIMARY KEY AUTOINCREMENT, token BLOB NOT NULL, hash BLOB NOT NULL,"
    " size INTEGER NOT NULL, stranger INTEGER NOT NULL, received INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " line BLOB NOT NULL);"
    "CREATE UNIQUE INDEX message_name ON message(token, hash);"
    "CREATE INDEX message_order ON message(token, id, size);"
    "CREATE INDEX message_expires ON message(expires);"
    /* size, changed, inode: of the file that was read, to see whether it is another one now. */
    "CREATE TABLE entry(handle BLOB PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL,"
    " inode INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE device(handle BLOB NOT NULL, token BLOB NOT NULL, bytes INTEGER NOT NULL,"
    " account BLOB NOT NULL, PRIMARY KEY(handle, token)) WITHOUT ROWID;"
    "CREATE INDEX device_token ON device(token, bytes);"
    /* since: Unix milliseconds. Accounts are thumbprints of account keys, 32 bytes. */
    "CREATE TABLE gone(token BLOB PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;"
    /* left: entries that may still be made; account: of the key that used it first. */
    "CREATE TABLE invite(hash BLOB PRIMARY KEY, account BLOB, left INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE blob(hash BLOB PRIMARY KEY, account BLOB NOT NULL, size INTEGER NOT NULL, stored INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX blob_stored ON blob(stored);"
    "PRAGMA user_version=1;";

static const char *const sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_POST] = "INSERT OR IGNORE INTO message(token, hash, size, stranger, received, expires, line)"
                 " VALUES(?1, ?2, length(?5), ?6, ?3, ?4, ?5)",
    [SQL_EXTEND] = "UPDATE message SET expires=max(expires, ?3) WHERE token=?1 AND hash=?2",
    [SQL_ACKNOWLEDGE] = "DELETE FROM message WHERE token=?1 AND hash=?2 RETURNING size, stranger",
    [SQL_EXPIRE] = "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE expires<=?1 LIMIT 500)"
                   " RETURNING token, size, stranger",
    [SQL_ENTRY_DROP] = "DELETE FROM entry WHERE handle=?1",
    [SQL_ENTRY_SET] = "INSERT OR REPLACE INTO entry VALUES(?1, ?2, ?3, ?4)",
    [SQL_ENTRY_TOKENS] = "SELECT token FROM device WHERE handle=?1",
    [SQL_DEVICE_DROP] = "DELETE FROM device WHERE handle=?1",
    [SQL_DEVICE_ADD] = "INSERT OR REPLACE INTO device VALUES(?1, ?2, ?3, ?4)",
    [SQL_DEVICE_LISTED] = "SELECT bytes, account FROM device WHERE token=?1 ORDER BY bytes DESC, handle LIMIT 1",
    [SQL_GONE_SET] = "INSERT OR REPLACE INTO gone VALUES(?1, ?2)",
    [SQL_GONE_DROP] = "DELETE FROM gone WHERE token=?1",
    [SQL_INVITE_ADD] = "INSERT INTO invite VALUES(?1, NULL, ?2)",
    [SQL_INVITE_GET] = "SELECT account, left FROM invite WHERE hash=?1",
    [SQL_INVITE_USE] = "UPDATE invite SET account=?2, left=left-1 WHERE hash=?1",
    [SQL_INVITE_RETURN] = "UPDATE invite SET left=left+1 WHERE hash=?1",
    [SQL_BLOB_SET] = "INSERT INTO blob VALUES(?1, ?2, ?3, ?4)",
    [SQL_BLOB_AGAIN] = "UPDATE blob SET stored=?2 WHERE hash=?1",
    [SQL_BLOB_DROP] = "DELETE FROM blob WHERE hash=?1 RETURNING account, size",
    [SQL_BLOB_OLD] = "SELECT hash, account, size FROM blob WHERE stored<=?1 LIMIT 100",
};

static enum imsg_status set_pragmas(sqlite3 *connection, int pages, struct imsg_error *err)
{
    char text[256];
    /* secure_delete=FAST: deleted messages are overwritten where that writes no additional page. */
    snprintf(text, sizeof text,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=FAST; PRAGMA cache_size=%d;"
             "PRAGMA wal_autocheckpoint=%d; PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY;",
             pages, CHECKPOINT_PAGES);
    sqlite3_busy_timeout(connection, BUSY_MS);
    return sqlite3_exec(connection, text, NULL, NULL, NULL) == SQLITE_OK ? IMSG_OK
                                                                         : sqlite_fail(connection, "cannot open", err);
}

static enum imsg_status check_schema(sqlite3 *connection, struct imsg_error *err)
{
    sqlite3_stmt *statement = NULL;
    int version = -1;
    /* Two processes may come here at once (the server, and imsg-serve invite). */
    if (sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_fail(connection, "cannot open", err);
    if (sqlite3_prepare_v2(connection, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    bool good = version == SCHEMA || (version == 0 && sqlite3_exec(connection, schema, NULL, NULL, NULL) == SQLITE_OK);
    enum imsg_status status = IMSG_OK;
    if (version > SCHEMA)
        status = imsg_fail(err, IMSG_CONFIG, "made by a later version (schema %d)", version);
    else if (!good)
        status = sqlite_fail(connection, "cannot make the tables", err);
    if (sqlite3_exec(connection, status == IMSG_OK ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK &&
        status == IMSG_OK)
        status = sqlite_fail(connection, "cannot make the tables", err);
    return status;
}

static void close_reader(void *connection)
{
    sqlite3_close_v2(connection);
}

static enum imsg_status connect_writer(struct storage *storage, struct imsg_error *err)
{
    mode_t before = umask(077); /* envelopes tell who writes to whom */
    int code = sqlite3_open_v2(storage->path, &storage->writer,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    enum imsg_status status = code == SQLITE_OK ? set_pragmas(storage->writer, WRITER_PAGES, err)
                                                : sqlite_fail(storage->writer, "cannot open", err);
    if (status == IMSG_OK)
        status = check_schema(storage->writer, err);
    umask(before);
    for (size_t i = 0; i < SQL_COUNT && status == IMSG_OK; i++)
        if (sqlite3_prepare_v3(storage->writer, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &storage->statements[i], NULL) !=
            SQLITE_OK)
            status = sqlite_fail(storage->writer, "cannot prepare", err);
    if (status == IMSG_OK && pthread_key_create(&storage->reader, close_reader) != 0)
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    storage->has_key = status == IMSG_OK;
    if (status != IMSG_OK)
        imsg_error_prefix(err, "\"%s\"", storage->path);
    return status;
}

enum imsg_status storage_open(const struct storage_setup *setup, struct storage **out, struct imsg_error *err)
{
    struct storage *storage = calloc(1, sizeof *storage);
    *out = NULL;
    if (!storage)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    storage->setup = *setup;
    pthread_mutex_init(&storage->entries, NULL);
    pthread_mutex_init(&storage->mailboxes.lock, NULL);
    enum imsg_status status = tokens_start(&storage->mailboxes.tokens, err);
    if (status == IMSG_OK)
        status = tokens_start(&storage->mailboxes.accounts, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->folder, "mail.db", &storage->path, err);
    if (status == IMSG_OK)
        status = imsg_path_join(setup->folder, "directory", &storage->directory, err);
    if (status == IMSG_OK && setup->create)
        status = imsg_make_folders(storage->directory, 0755, err);
    if (status == IMSG_OK && !setup->create && access(storage->path, F_OK) != 0) {
        status = imsg_fail_errno(err, IMSG_NO_INPUT, errno, "\"%s\"", storage->path);
        cli_error_hint(err, "imsg-serve makes it when it starts");
    }
    if (status == IMSG_OK)
        status = connect_writer(storage, err);
    if (status == IMSG_OK)
        status = queue_start(&storage->queue, storage, 1, sqlite_writer_loop, err);
    if (status == IMSG_OK)
        *out = storage;
    else
        storage_close(storage);
    return status;
}

void storage_stop(struct storage *storage)
{
    if (storage)
        queue_stop(&storage->queue);
}

void storage_close(struct storage *storage)
{
    if (!storage)
        return;
    queue_stop(&storage->queue);
    if (storage->has_key) {
        close_reader(pthread_getspecific(storage->reader)); /* of this thread; the others' were closed at their end */
        pthread_key_delete(storage->reader);
    }
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(storage->statements[i]);
    sqlite3_close_v2(storage->writer);
    tokens_free(&storage->mailboxes.tokens);
    tokens_free(&storage->mailboxes.accounts);
    free(storage->path);
    free(storage->directory);
    free(storage);
}

enum imsg_status sqlite_reader(struct storage *storage, sqlite3 **out, struct imsg_error *err)
{
    sqlite3 *connection = pthread_getspecific(storage->reader);
    if (!connection) {
        int code = sqlite3_open_v2(storage->path, &connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
        enum imsg_status status = code == SQLITE_OK ? set_pragmas(connection, READER_PAGES, err)
                                                    : sqlite_fail(connection, "cannot open", err);
        if (status == IMSG_OK && pthread_setspecific(storage->reader, connection) != 0)
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        if (status != IMSG_OK) {
            sqlite3_close_v2(connection);
            return status;
        }
    }
    *out = connection;
    return IMSG_OK;
}

enum imsg_status sqlite_each(struct storage *storage, const char *query,
                             enum imsg_status (*row)(void *context, sqlite3_stmt *statement, struct imsg_error *err),
                             void *context, struct imsg_error *err)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *statement = NULL;
    int code = SQLITE_DONE;
    enum imsg_status status = sqlite_reader(storage, &connection, err);
    if (status == IMSG_OK && sqlite3_prepare_v2(connection, query, -1, &statement, NULL) != SQLITE_OK)
        status = sqlite_fail(connection, "cannot read", err);
    while (status == IMSG_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = row(context, statement, err);
    if (status == IMSG_OK && code != SQLITE_DONE)
        status = sqlite_fail(connection, "cannot read", err);
    sqlite3_finalize(statement);
    return status;
}
