/* The calls of SQLite that the parts of the engine share. */
#include "serve/storage/sqlite.h"

#include <string.h>

enum imsg_status sqlite_fail(sqlite3 *connection, const char *what, struct imsg_error *err)
{
    int code = connection ? sqlite3_errcode(connection) : SQLITE_NOMEM;
    bool passes = code == SQLITE_FULL || code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_NOMEM;
    return imsg_fail(err, passes ? IMSG_TEMPORARY : IMSG_IO, "%s: %s", what,
                     connection ? sqlite3_errmsg(connection) : "out of memory");
}

void sqlite_bind_bytes(struct storage *storage, enum statement which, int parameter, struct imsg_view bytes)
{
    sqlite3_bind_blob64(storage->statements[which], parameter, bytes.ptr, bytes.len, SQLITE_STATIC);
}

void sqlite_bind_number(struct storage *storage, enum statement which, int parameter, int64_t number)
{
    sqlite3_bind_int64(storage->statements[which], parameter, number);
}

void sqlite_reset_statement(struct storage *storage, enum statement which)
{
    sqlite3_reset(storage->statements[which]);
    sqlite3_clear_bindings(storage->statements[which]);
}

bool sqlite_row(struct storage *storage, enum statement which, enum imsg_status *status, struct imsg_error *err)
{
    int code = sqlite3_step(storage->statements[which]);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        *status = sqlite_fail(storage->writer, "cannot write", err);
    return code == SQLITE_ROW;
}

bool sqlite_column_hash(sqlite3_stmt *row, int column, uint8_t out[static 32])
{
    const void *bytes = sqlite3_column_blob(row, column);
    if (!bytes || sqlite3_column_bytes(row, column) != 32)
        return false;
    memcpy(out, bytes, 32);
    return true;
}

enum imsg_status sqlite_run(struct storage *storage, enum statement which, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (sqlite_row(storage, which, &status, err))
        status = imsg_fail(err, IMSG_INTERNAL, "a row where none belongs");
    sqlite_reset_statement(storage, which);
    return status;
}
