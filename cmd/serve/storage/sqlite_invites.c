/* Invites: a code is for one person, that is for the first account key that comes with it, and for as many handles as a
 * person has. Only its hash is kept. */
#include "serve/storage/sqlite.h"

#include <string.h>

struct invite_add {
    struct operation operation;
    const uint8_t *hash;
    unsigned entries;
};

static enum imsg_status invite_add_run(struct job *job, struct imsg_error *err)
{
    const struct invite_add *add = (struct invite_add *)job;
    sqlite_bind_bytes(add->operation.storage, SQL_INVITE_ADD, 1, imsg_view_of(add->hash, 32));
    sqlite_bind_number(add->operation.storage, SQL_INVITE_ADD, 2, add->entries);
    return sqlite_run(add->operation.storage, SQL_INVITE_ADD, err);
}

enum imsg_status storage_add_invite(struct storage *storage, const uint8_t hash[static 32], unsigned entries,
                                    struct imsg_error *err)
{
    struct invite_add add = {.hash = hash, .entries = entries};
    return sqlite_submit_wait(storage, &add.operation, invite_add_run, NULL, "the invite cannot be written", err);
}

enum imsg_status invite_use(struct storage *storage, const uint8_t hash[static 32], const uint8_t account[static 32],
                            bool *refused, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    *refused = true;
    sqlite_bind_bytes(storage, SQL_INVITE_GET, 1, imsg_view_of(hash, 32));
    if (sqlite_row(storage, SQL_INVITE_GET, &status, err)) {
        sqlite3_stmt *row = storage->statements[SQL_INVITE_GET];
        uint8_t owner[32];
        bool owned = sqlite_column_hash(row, 0, owner);
        *refused = sqlite3_column_int(row, 1) <= 0 || (owned && memcmp(owner, account, sizeof owner) != 0);
    }
    sqlite_reset_statement(storage, SQL_INVITE_GET);
    if (status != IMSG_OK || *refused)
        return status;
    sqlite_bind_bytes(storage, SQL_INVITE_USE, 1, imsg_view_of(hash, 32));
    sqlite_bind_bytes(storage, SQL_INVITE_USE, 2, imsg_view_of(account, 32));
    return sqlite_run(storage, SQL_INVITE_USE, err);
}

enum imsg_status invite_give_back(struct storage *storage, const uint8_t hash[static 32], struct imsg_error *err)
{
    sqlite_bind_bytes(storage, SQL_INVITE_RETURN, 1, imsg_view_of(hash, 32));
    return sqlite_run(storage, SQL_INVITE_RETURN, err);
}

static enum imsg_status read_bool(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    (void)err;
    *(bool *)context = sqlite3_column_int(row, 0) != 0;
    return IMSG_OK;
}

enum imsg_status storage_is_in_use(struct storage *storage, bool *in_use, struct imsg_error *err)
{
    return sqlite_each(storage, "SELECT EXISTS(SELECT 1 FROM invite) OR EXISTS(SELECT 1 FROM entry)", read_bool, in_use,
                       err);
}
