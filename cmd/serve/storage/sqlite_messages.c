/* Messages: rows of one table, numbered in the order they came. Only the writer thread changes a mailbox's numbers, so
 * it reads them without the lock. */
#include "serve/storage/sqlite.h"

#define EXPIRE_MAX 500 /* messages deleted in one transaction; as in SQL_EXPIRE */

static void bind_message(struct storage *storage, enum statement which, const uint8_t *token, const uint8_t *name)
{
    sqlite_bind_bytes(storage, which, 1, imsg_view_of(token, IMSG_TOKEN));
    sqlite_bind_bytes(storage, which, 2, imsg_view_of(name, 32));
}

/* ---- put ---- */

static enum imsg_status message_insert(struct storage *storage, const struct message_put *put, bool stranger,
                                       bool *stored, struct imsg_error *err)
{
    bind_message(storage, SQL_POST, put->token, put->name);
    sqlite_bind_number(storage, SQL_POST, 3, imsg_now());
    sqlite_bind_number(storage, SQL_POST, 4, put->expires);
    sqlite_bind_bytes(storage, SQL_POST, 5, put->line);
    sqlite_bind_number(storage, SQL_POST, 6, stranger);
    enum imsg_status status = sqlite_run(storage, SQL_POST, err);
    *stored = status == IMSG_OK && sqlite3_changes(storage->writer) > 0;
    return status;
}

/* Keep it until the later of both dates. The earlier one may be past, and the message not deleted yet. */
static enum imsg_status message_extend(struct storage *storage, const struct message_put *put, bool *held,
                                       struct imsg_error *err)
{
    bind_message(storage, SQL_EXTEND, put->token, put->name);
    sqlite_bind_number(storage, SQL_EXTEND, 3, put->expires);
    enum imsg_status status = sqlite_run(storage, SQL_EXTEND, err);
    *held = status == IMSG_OK && sqlite3_changes(storage->writer) > 0;
    return status;
}

static bool has_room(uint64_t now, int64_t change, uint64_t more, uint64_t max)
{
    return now + (uint64_t)change + more <= max;
}

/* Strangers cost nothing and can be as many as somebody likes, so all of them share a quarter of the mailbox. */
static bool mailbox_has_room(const struct mailbox_item *mailbox, const struct message_put *put, bool stranger)
{
    const struct mailbox *now = &mailbox->numbers;
    const struct mailbox_change *change = &mailbox->change;
    uint64_t len = put->line.len;
    return has_room(now->count, change->count, 1, put->max_count) &&
           has_room(now->bytes, change->bytes, len, put->max_bytes) &&
           (!stranger || (has_room(now->stranger_count, change->stranger_count, 1, put->max_count / 4) &&
                          has_room(now->stranger_bytes, change->stranger_bytes, len, put->max_bytes / 4)));
}

static enum imsg_status message_put_run(struct job *job, struct imsg_error *err)
{
    struct message_put *put = (struct message_put *)job;
    struct storage *storage = put->operation.storage;
    struct mailbox_item *mailbox = put->operation.mailbox = mailbox_find(storage, put->token, false);
    put->result = MESSAGE_UNREGISTERED;
    if (!mailbox || mailbox->numbers.limit == 0)
        return IMSG_OK;
    const struct mailbox_item *sender = mailbox_find(storage, put->from, false);
    bool stranger = !sender || sender->numbers.limit == 0, stored = false, held = false;
    enum imsg_status status = IMSG_OK;
    if (mailbox_has_room(mailbox, put, stranger))
        status = message_insert(storage, put, stranger, &stored, err);
    if (status == IMSG_OK && !stored)
        status = message_extend(storage, put, &held, err);
    put->result = stored ? MESSAGE_STORED : held ? MESSAGE_DUPLICATE : MESSAGE_MAILBOX_FULL;
    if (stored)
        mailbox_add_message(mailbox, (int64_t)put->line.len, stranger);
    mailbox->change.arrival |= stored || held;
    return status;
}

/* Also of an operation that was not run because an earlier one of its batch failed. */
static void message_done(struct job *job, enum imsg_status status)
{
    struct operation *operation = (struct operation *)job;
    if (operation->mailbox)
        mailbox_settle(operation->storage, operation->mailbox, status == IMSG_OK);
    operation->done(operation, status);
}

bool storage_put_message(struct storage *storage, struct message_put *put)
{
    return sqlite_submit(storage, &put->operation, message_put_run, message_done);
}

/* ---- delete ---- */

static enum imsg_status message_delete_one(struct message_delete *delete, struct mailbox_item *mailbox,
                                           const uint8_t *name, struct imsg_error *err)
{
    struct storage *storage = delete->operation.storage;
    enum imsg_status status = IMSG_OK;
    bind_message(storage, SQL_ACKNOWLEDGE, delete->token, name);
    if (sqlite_row(storage, SQL_ACKNOWLEDGE, &status, err)) {
        sqlite3_stmt *row = storage->statements[SQL_ACKNOWLEDGE];
        mailbox_remove_message(mailbox, sqlite3_column_int64(row, 0), sqlite3_column_int(row, 1) != 0);
        delete->deleted++;
        sqlite_row(storage, SQL_ACKNOWLEDGE, &status, err); /* to its end */
    }
    sqlite_reset_statement(storage, SQL_ACKNOWLEDGE);
    return status;
}

static enum imsg_status message_delete_run(struct job *job, struct imsg_error *err)
{
    struct message_delete *delete = (struct message_delete *)job;
    struct mailbox_item *mailbox = mailbox_find(delete->operation.storage, delete->token, false);
    delete->operation.mailbox = mailbox;
    enum imsg_status status = IMSG_OK;
    delete->deleted = 0;
    for (size_t i = 0; mailbox && i < delete->count && status == IMSG_OK; i++)
        status = message_delete_one(delete, mailbox, delete->names + 32 * i, err);
    return status;
}

bool storage_delete_messages(struct storage *storage, struct message_delete *delete)
{
    return sqlite_submit(storage, &delete->operation, message_delete_run, message_done);
}

/* ---- read ---- */

enum imsg_status storage_read_messages(struct storage *storage, struct message_read *read, struct imsg_error *err)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *statement = NULL;
    int code = SQLITE_ROW;
    enum imsg_status status = sqlite_reader(storage, &connection, err);
    /* Prepared each time and finalized below: a statement that stayed open would hold a read transaction. */
    if (status == IMSG_OK &&
        sqlite3_prepare_v2(connection,
                           "SELECT id, line FROM message WHERE token=?1 AND id>?2 AND expires>?3 ORDER BY id", -1,
                           &statement, NULL) != SQLITE_OK)
        status = sqlite_fail(connection, "cannot read", err);
    if (status == IMSG_OK) {
        sqlite3_bind_blob(statement, 1, read->token, IMSG_TOKEN, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, read->after);
        sqlite3_bind_int64(statement, 3, imsg_now());
    }
    while (status == IMSG_OK && read->out.len < read->enough && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        status = imsg_buf_append(&read->out, sqlite3_column_blob(statement, 1),
                                 (size_t)sqlite3_column_bytes(statement, 1), err);
        read->after = sqlite3_column_int64(statement, 0);
    }
    if (status == IMSG_OK && code != SQLITE_ROW && code != SQLITE_DONE)
        status = sqlite_fail(connection, "cannot read", err);
    sqlite3_finalize(statement);
    read->more = code == SQLITE_ROW;
    return status;
}

/* ---- expiry ---- */

struct expiry {
    struct operation operation;
    struct mailbox_item *mailboxes[EXPIRE_MAX];
    size_t count;
};

static enum imsg_status expiry_run(struct job *job, struct imsg_error *err)
{
    struct expiry *expiry = (struct expiry *)job;
    struct storage *storage = expiry->operation.storage;
    sqlite3_stmt *row = storage->statements[SQL_EXPIRE];
    enum imsg_status status = IMSG_OK;
    expiry->count = 0;
    sqlite_bind_number(storage, SQL_EXPIRE, 1, imsg_now());
    while (expiry->count < EXPIRE_MAX && sqlite_row(storage, SQL_EXPIRE, &status, err)) {
        uint8_t token[IMSG_TOKEN];
        struct mailbox_item *mailbox = sqlite_column_hash(row, 0, token) ? mailbox_find(storage, token, false) : NULL;
        if (!mailbox)
            continue;
        mailbox_remove_message(mailbox, sqlite3_column_int64(row, 1), sqlite3_column_int(row, 2) != 0);
        expiry->mailboxes[expiry->count++] = mailbox;
    }
    sqlite_reset_statement(storage, SQL_EXPIRE);
    return status;
}

static void expiry_done(struct job *job, enum imsg_status status)
{
    struct expiry *expiry = (struct expiry *)job;
    for (size_t i = 0; i < expiry->count; i++)
        mailbox_settle(expiry->operation.storage, expiry->mailboxes[i], status == IMSG_OK);
}

enum imsg_status storage_expire_messages(struct storage *storage, uint64_t *count, struct imsg_error *err)
{
    struct expiry expiry = {.count = EXPIRE_MAX};
    enum imsg_status status = IMSG_OK;
    while (status == IMSG_OK && expiry.count == EXPIRE_MAX) {
        status = sqlite_submit_wait(storage, &expiry.operation, expiry_run, expiry_done,
                                    "old messages cannot be deleted", err);
        *count += status == IMSG_OK ? expiry.count : 0;
    }
    return status;
}
