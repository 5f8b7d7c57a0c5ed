/* The numbers of each mailbox, in memory: to count a mailbox's rows for each message would cost more than to store it.
 * They are loaded at the start, and follow each commit. */
#include "serve/storage/sqlite.h"

#include <string.h>

struct mailbox_item *mailbox_find(struct storage *storage, const uint8_t token[static 32], bool make)
{
    pthread_mutex_lock(&storage->mailboxes.lock);
    struct mailbox_item *mailbox =
        tokens_find(&storage->mailboxes.tokens, token, make ? sizeof(struct mailbox_item) : 0);
    pthread_mutex_unlock(&storage->mailboxes.lock);
    return mailbox;
}

enum imsg_status storage_read_mailbox(struct storage *storage, const uint8_t token[static 32], struct mailbox *out,
                                      struct imsg_error *err)
{
    (void)err; /* memory does not fail; a database might */
    pthread_mutex_lock(&storage->mailboxes.lock);
    const struct mailbox_item *mailbox = tokens_find(&storage->mailboxes.tokens, token, 0);
    *out = mailbox ? mailbox->numbers : (struct mailbox){0};
    const struct account_item *account = tokens_find(&storage->mailboxes.accounts, out->account, 0);
    out->blob_bytes = account ? account->blob_bytes : 0;
    pthread_mutex_unlock(&storage->mailboxes.lock);
    return IMSG_OK;
}

static void tell_changed(struct storage *storage, const uint8_t token[static 32])
{
    if (storage->setup.changed)
        storage->setup.changed(storage->setup.context, token);
}

static void count_message(struct mailbox_change *change, int64_t count, int64_t bytes, bool stranger)
{
    change->count += count;
    change->bytes += bytes;
    change->stranger_count += stranger ? count : 0;
    change->stranger_bytes += stranger ? bytes : 0;
}

void mailbox_add_message(struct mailbox_item *mailbox, int64_t bytes, bool stranger)
{
    count_message(&mailbox->change, 1, bytes, stranger);
}

void mailbox_remove_message(struct mailbox_item *mailbox, int64_t bytes, bool stranger)
{
    count_message(&mailbox->change, -1, -bytes, stranger);
}

void mailbox_settle(struct storage *storage, struct mailbox_item *mailbox, bool committed)
{
    struct mailboxes *mailboxes = &storage->mailboxes;
    struct mailbox *numbers = &mailbox->numbers;
    const struct mailbox_change change = mailbox->change;
    if (committed) {
        pthread_mutex_lock(&mailboxes->lock);
        numbers->count += (uint64_t)change.count;
        numbers->bytes += (uint64_t)change.bytes;
        numbers->stranger_count += (uint64_t)change.stranger_count;
        numbers->stranger_bytes += (uint64_t)change.stranger_bytes;
        mailboxes->messages += (uint64_t)change.count;
        mailboxes->bytes += (uint64_t)change.bytes;
        pthread_mutex_unlock(&mailboxes->lock);
    }
    mailbox->change = (struct mailbox_change){0};
    if (committed && change.arrival)
        tell_changed(storage, mailbox->item.token);
}

void mailbox_set_listed(struct storage *storage, const struct touched *touched, int64_t gone)
{
    struct mailboxes *mailboxes = &storage->mailboxes;
    pthread_mutex_lock(&mailboxes->lock);
    struct mailbox_item *mailbox = tokens_find(&mailboxes->tokens, touched->token, sizeof(struct mailbox_item));
    if (mailbox) { /* else no memory: not reachable until the next start */
        mailboxes->devices += (touched->limit > 0) - (uint64_t)(mailbox->numbers.limit > 0);
        mailbox->numbers.limit = touched->limit;
        mailbox->numbers.gone = touched->limit ? 0 : gone;
        memcpy(mailbox->numbers.account, touched->account, sizeof touched->account);
    }
    pthread_mutex_unlock(&mailboxes->lock);
    if (!touched->limit)
        tell_changed(storage, touched->token);
}

void account_add_blob_bytes(struct storage *storage, const uint8_t account[static 32], int64_t bytes)
{
    pthread_mutex_lock(&storage->mailboxes.lock);
    struct account_item *item = tokens_find(&storage->mailboxes.accounts, account, sizeof *item);
    if (item)
        item->blob_bytes += (uint64_t)bytes;
    pthread_mutex_unlock(&storage->mailboxes.lock);
}

/* ---- the start ---- */

static enum imsg_status load_listed(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct storage *storage = context;
    struct touched touched = {.limit = (uint32_t)sqlite3_column_int64(row, 2)};
    if (!sqlite_column_hash(row, 0, touched.token) || !sqlite_column_hash(row, 1, touched.account))
        return IMSG_OK;
    if (!mailbox_find(storage, touched.token, true))
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    mailbox_set_listed(storage, &touched, 0); /* the last row of a token stands */
    return IMSG_OK;
}

static enum imsg_status load_gone(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct storage *storage = context;
    struct touched touched = {0};
    (void)err;
    if (sqlite_column_hash(row, 0, touched.token))
        mailbox_set_listed(storage, &touched, sqlite3_column_int64(row, 1));
    return IMSG_OK;
}

static enum imsg_status load_messages(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct storage *storage = context;
    uint8_t token[IMSG_TOKEN];
    if (!sqlite_column_hash(row, 0, token))
        return IMSG_OK;
    struct mailbox_item *mailbox = mailbox_find(storage, token, true);
    if (!mailbox)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    mailbox->change = (struct mailbox_change){.count = sqlite3_column_int64(row, 1),
                                              .bytes = sqlite3_column_int64(row, 2),
                                              .stranger_count = sqlite3_column_int64(row, 3),
                                              .stranger_bytes = sqlite3_column_int64(row, 4)};
    mailbox_settle(storage, mailbox, true);
    return IMSG_OK;
}

static enum imsg_status load_blobs(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct storage *storage = context;
    uint8_t account[32];
    (void)err;
    if (sqlite_column_hash(row, 0, account))
        account_add_blob_bytes(storage, account, sqlite3_column_int64(row, 1));
    return IMSG_OK;
}

enum imsg_status mailboxes_load(struct storage *storage, struct imsg_error *err)
{
    static const struct {
        const char *query;
        enum imsg_status (*row)(void *context, sqlite3_stmt *row, struct imsg_error *err);
    } loads[] = {
        {"SELECT token, account, bytes FROM device ORDER BY token, bytes, handle DESC", load_listed},
        {"SELECT token, since FROM gone", load_gone},
        {"SELECT token, count(*), sum(size), sum(stranger), sum(stranger*size) FROM message GROUP BY token",
         load_messages},
        {"SELECT account, sum(size) FROM blob GROUP BY account", load_blobs},
    };
    enum imsg_status status = IMSG_OK;
    for (size_t i = 0; i < sizeof loads / sizeof loads[0] && status == IMSG_OK; i++)
        status = sqlite_each(storage, loads[i].query, loads[i].row, storage, err);
    return status;
}
