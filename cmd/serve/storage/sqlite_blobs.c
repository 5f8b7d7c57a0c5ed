/* A row for each blob of the store: whose quota it counts against, and how old it is. */
#include "serve/storage/sqlite.h"

#define EXPIRE_MAX 100 /* blobs deleted in one transaction; as in SQL_BLOB_OLD */

struct blob_record {
    struct operation operation;
    const struct blob *blob;
    bool new_row;
};

static enum imsg_status blob_record_run(struct job *job, struct imsg_error *err)
{
    struct blob_record *record = (struct blob_record *)job;
    struct storage *storage = record->operation.storage;
    const struct blob *blob = record->blob;
    sqlite_bind_bytes(storage, SQL_BLOB_AGAIN, 1, imsg_view_of(blob->hash, 32));
    sqlite_bind_number(storage, SQL_BLOB_AGAIN, 2, blob->stored);
    enum imsg_status status = sqlite_run(storage, SQL_BLOB_AGAIN, err);
    record->new_row = status == IMSG_OK && sqlite3_changes(storage->writer) == 0;
    if (!record->new_row)
        return status;
    sqlite_bind_bytes(storage, SQL_BLOB_SET, 1, imsg_view_of(blob->hash, 32));
    sqlite_bind_bytes(storage, SQL_BLOB_SET, 2, imsg_view_of(blob->account, 32));
    sqlite_bind_number(storage, SQL_BLOB_SET, 3, (int64_t)blob->size);
    sqlite_bind_number(storage, SQL_BLOB_SET, 4, blob->stored);
    return sqlite_run(storage, SQL_BLOB_SET, err);
}

static void blob_record_done(struct job *job, enum imsg_status status)
{
    struct blob_record *record = (struct blob_record *)job;
    if (status == IMSG_OK && record->new_row)
        account_add_blob_bytes(record->operation.storage, record->blob->account, (int64_t)record->blob->size);
}

enum imsg_status storage_record_blob(struct storage *storage, const struct blob *blob, struct imsg_error *err)
{
    struct blob_record record = {.blob = blob};
    return sqlite_submit_wait(storage, &record.operation, blob_record_run, blob_record_done,
                              "the blob cannot be recorded", err);
}

/* ---- deletion ---- */

/* In the transaction; *dropped is the row that was there, or all zero. */
static enum imsg_status drop_row(struct storage *storage, const uint8_t hash[static 32], struct blob *dropped,
                                 struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    sqlite3_stmt *row = storage->statements[SQL_BLOB_DROP];
    *dropped = (struct blob){0};
    sqlite_bind_bytes(storage, SQL_BLOB_DROP, 1, imsg_view_of(hash, 32));
    if (sqlite_row(storage, SQL_BLOB_DROP, &status, err)) {
        if (sqlite_column_hash(row, 0, dropped->account))
            dropped->size = (uint64_t)sqlite3_column_int64(row, 1);
        sqlite_row(storage, SQL_BLOB_DROP, &status, err); /* to its end */
    }
    sqlite_reset_statement(storage, SQL_BLOB_DROP);
    return status;
}

struct blob_forget {
    struct operation operation;
    const uint8_t *hash;
    struct blob dropped;
};

static enum imsg_status blob_forget_run(struct job *job, struct imsg_error *err)
{
    struct blob_forget *forget = (struct blob_forget *)job;
    return drop_row(forget->operation.storage, forget->hash, &forget->dropped, err);
}

static void blob_forget_done(struct job *job, enum imsg_status status)
{
    const struct blob_forget *forget = (struct blob_forget *)job;
    if (status == IMSG_OK)
        account_add_blob_bytes(forget->operation.storage, forget->dropped.account, -(int64_t)forget->dropped.size);
}

enum imsg_status storage_forget_blob(struct storage *storage, const uint8_t hash[static 32], struct imsg_error *err)
{
    struct blob_forget forget = {.hash = hash};
    return sqlite_submit_wait(storage, &forget.operation, blob_forget_run, blob_forget_done,
                              "the row of a blob cannot be deleted", err);
}

struct blob_expiry {
    struct operation operation;
    int64_t before;
    enum imsg_status (*erase)(void *context, const struct blob *blob, struct imsg_error *err);
    void *context;
    struct blob blobs[EXPIRE_MAX];
    size_t count;
};

/* The bytes are erased before the row: a kill between the two leaves a row without bytes, which the next start
 * deletes. */
static enum imsg_status blob_expiry_run(struct job *job, struct imsg_error *err)
{
    struct blob_expiry *expiry = (struct blob_expiry *)job;
    struct storage *storage = expiry->operation.storage;
    sqlite3_stmt *row = storage->statements[SQL_BLOB_OLD];
    enum imsg_status status = IMSG_OK;
    expiry->count = 0;
    sqlite_bind_number(storage, SQL_BLOB_OLD, 1, expiry->before);
    while (expiry->count < EXPIRE_MAX && sqlite_row(storage, SQL_BLOB_OLD, &status, err)) {
        struct blob *blob = &expiry->blobs[expiry->count];
        if (!sqlite_column_hash(row, 0, blob->hash) || !sqlite_column_hash(row, 1, blob->account))
            continue;
        blob->size = (uint64_t)sqlite3_column_int64(row, 2);
        expiry->count++;
    }
    sqlite_reset_statement(storage, SQL_BLOB_OLD);
    for (size_t i = 0; i < expiry->count && status == IMSG_OK; i++) {
        struct blob dropped;
        status = expiry->erase(expiry->context, &expiry->blobs[i], err);
        if (status == IMSG_OK)
            status = drop_row(storage, expiry->blobs[i].hash, &dropped, err);
    }
    return status;
}

static void blob_expiry_done(struct job *job, enum imsg_status status)
{
    const struct blob_expiry *expiry = (struct blob_expiry *)job;
    for (size_t i = 0; i < expiry->count && status == IMSG_OK; i++)
        account_add_blob_bytes(expiry->operation.storage, expiry->blobs[i].account, -(int64_t)expiry->blobs[i].size);
}

enum imsg_status storage_expire_blobs(struct storage *storage, int64_t before,
                                      enum imsg_status (*erase)(void *context, const struct blob *blob,
                                                                struct imsg_error *err),
                                      void *context, struct imsg_error *err)
{
    struct blob_expiry expiry = {.before = before, .erase = erase, .context = context, .count = EXPIRE_MAX};
    enum imsg_status status = IMSG_OK;
    while (status == IMSG_OK && expiry.count == EXPIRE_MAX)
        status = sqlite_submit_wait(storage, &expiry.operation, blob_expiry_run, blob_expiry_done,
                                    "old blobs cannot be deleted", err);
    return status;
}

/* ---- read ---- */

struct blob_each {
    enum imsg_status (*each)(void *context, const struct blob *blob, struct imsg_error *err);
    void *context;
};

static enum imsg_status read_row(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    const struct blob_each *each = context;
    struct blob blob = {.size = (uint64_t)sqlite3_column_int64(row, 2), .stored = sqlite3_column_int64(row, 3)};
    if (!sqlite_column_hash(row, 0, blob.hash) || !sqlite_column_hash(row, 1, blob.account))
        return IMSG_OK;
    return each->each(each->context, &blob, err);
}

enum imsg_status storage_each_blob(struct storage *storage,
                                   enum imsg_status (*each)(void *context, const struct blob *blob,
                                                            struct imsg_error *err),
                                   void *context, struct imsg_error *err)
{
    struct blob_each query = {each, context};
    return sqlite_each(storage, "SELECT hash, account, size, stored FROM blob ORDER BY hash", read_row, &query, err);
}
