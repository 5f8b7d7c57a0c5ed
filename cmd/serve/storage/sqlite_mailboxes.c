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
    pthread_mutex_unlock(&storage->mailboxes.lock);
    return IMSG_OK;
}

static void tell_changed(struct storage *storage, const uint8_t token[static 32])
{
    if (storage->setup.changed)
        storage->setup.changed(storage->setup.context, token);
}

void mailbox_settle(struct storage *storage, struct mailbox_item *mailbox, bool committed)
{
    struct mailboxes *mailboxes = &storage->mailboxes;
    bool arrival = committed && mailbox->new_arrival;
    if (committed) {
        pthread_mutex_lock(&mailboxes->lock);
        mailbox->numbers.count += (uint64_t)mailbox->new_count;
        mailbox->numbers.bytes += (uint64_t)mailbox->new_bytes;
        mailboxes->messages += (uint64_t)mailbox->new_count;
        mailboxes->bytes += (uint64_t)mailbox->new_bytes;
        pthread_mutex_unlock(&mailboxes->lock);
    }
    mailbox->new_count = mailbox->new_bytes = 0;
    mailbox->new_arrival = false;
    if (arrival)
        tell_changed(storage, mailbox->item.token);
}

void mailbox_set_limit(struct storage *storage, const uint8_t token[static 32], uint32_t limit, int64_t gone)
{
    struct mailboxes *mailboxes = &storage->mailboxes;
    pthread_mutex_lock(&mailboxes->lock);
    struct mailbox_item *mailbox = tokens_find(&mailboxes->tokens, token, sizeof(struct mailbox_item));
    if (mailbox) { /* else no memory: not reachable until the next start */
        mailboxes->devices += (limit > 0) - (uint64_t)(mailbox->numbers.limit > 0);
        mailbox->numbers.limit = limit;
        mailbox->numbers.gone = limit ? 0 : gone;
    }
    pthread_mutex_unlock(&mailboxes->lock);
    if (!limit)
        tell_changed(storage, token);
}

void mailbox_add_blob_bytes(struct storage *storage, const uint8_t token[static 32], int64_t bytes)
{
    pthread_mutex_lock(&storage->mailboxes.lock);
    struct mailbox_item *mailbox = tokens_find(&storage->mailboxes.tokens, token, sizeof(struct mailbox_item));
    if (mailbox)
        mailbox->numbers.blob_bytes += (uint64_t)bytes;
    pthread_mutex_unlock(&storage->mailboxes.lock);
}

/* Columns: token, two numbers, and which numbers they are. */
static enum imsg_status load_row(void *context, sqlite3_stmt *row, struct imsg_error *err)
{
    struct mailboxes *mailboxes = context;
    uint8_t token[IMSG_TOKEN];
    if (!sqlite_column_hash(row, 0, token))
        return IMSG_OK;
    struct mailbox_item *mailbox = tokens_find(&mailboxes->tokens, token, sizeof(struct mailbox_item));
    if (!mailbox)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    int64_t first = sqlite3_column_int64(row, 1), second = sqlite3_column_int64(row, 2);
    switch (sqlite3_column_int(row, 3)) {
    case 0:
        mailbox->numbers.limit = (uint32_t)first;
        mailboxes->devices++;
        break;
    case 1:
        mailbox->numbers.gone = first;
        break;
    case 2:
        mailbox->numbers.count = (uint64_t)first;
        mailbox->numbers.bytes = (uint64_t)second;
        mailboxes->messages += (uint64_t)first;
        mailboxes->bytes += (uint64_t)second;
        break;
    default:
        mailbox->numbers.blob_bytes = (uint64_t)first;
        break;
    }
    return IMSG_OK;
}

enum imsg_status mailboxes_load(struct storage *storage, struct imsg_error *err)
{
    pthread_mutex_lock(&storage->mailboxes.lock);
    enum imsg_status status = sqlite_each(storage,
                                          "SELECT token, max(bytes), 0, 0 FROM device GROUP BY token UNION ALL "
                                          "SELECT token, since, 0, 1 FROM gone UNION ALL "
                                          "SELECT token, count(*), sum(size), 2 FROM message GROUP BY token UNION ALL "
                                          "SELECT token, sum(size), 0, 3 FROM blob GROUP BY token",
                                          load_row, &storage->mailboxes, err);
    pthread_mutex_unlock(&storage->mailboxes.lock);
    return status;
}
