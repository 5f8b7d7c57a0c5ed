/* The parts of the SQLite engine. DATA/mail.db holds rows, DATA/directory the entries.
 *
 * One writer thread owns the connection that writes. This process alone writes (DATA/lock), but for invites that
 * `imsg-serve invite` adds; so the numbers of mailboxes are also kept in memory, and follow each commit.
 *
 * Locks, taken one at a time: the writer queue's; `mailboxes.lock`; `entries`, which is held while the writer is waited
 * for, and is never taken on the writer thread. */
#ifndef IMSG_SERVE_SQLITE_H
#define IMSG_SERVE_SQLITE_H

#include <stdatomic.h>

#include <sqlite3.h>

#include "base/text.h"
#include "serve/storage/storage.h"
#include "serve/tokens.h"

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_POST,
    SQL_EXTEND,
    SQL_ACKNOWLEDGE,
    SQL_EXPIRE,
    SQL_ENTRY_DROP,
    SQL_ENTRY_SET,
    SQL_ENTRY_TOKENS,
    SQL_DEVICE_DROP,
    SQL_DEVICE_ADD,
    SQL_DEVICE_LISTED,
    SQL_GONE_SET,
    SQL_GONE_DROP,
    SQL_INVITE_ADD,
    SQL_INVITE_GET,
    SQL_INVITE_USE,
    SQL_INVITE_RETURN,
    SQL_BLOB_SET,
    SQL_BLOB_AGAIN,
    SQL_BLOB_DROP,
    SQL_BLOB_OLD,
    SQL_COUNT
};

/* ---- sqlite_mailboxes.c: the numbers of mailboxes, in memory ---- */

struct mailbox_item {
    struct token_item item;
    struct mailbox numbers; /* but for blob_bytes, which is the account's */
    struct mailbox_change { /* the writer's own: in the transaction that is open */
        int64_t count, bytes, stranger_count, stranger_bytes;
        bool arrival;
    } change;
};
struct account_item {
    struct token_item item; /* the thumbprint of its key */
    uint64_t blob_bytes;
};
struct mailboxes {
    pthread_mutex_t lock;
    struct tokens tokens;              /* of struct mailbox_item */
    struct tokens accounts;            /* of struct account_item */
    uint64_t messages, bytes, devices; /* in all */
};

struct storage {
    struct storage_setup setup;
    char *path;      /* DATA/mail.db */
    char *directory; /* DATA/directory */
    sqlite3 *writer;
    sqlite3_stmt *statements[SQL_COUNT];
    pthread_key_t reader; /* a connection for each thread that reads */
    bool has_key;
    struct queue queue;      /* of operations */
    pthread_mutex_t entries; /* entries are written one at a time */
    struct mailboxes mailboxes;
    _Atomic bool sick; /* the last commit failed */
    _Atomic uint64_t commits, operations, failures, commit_us;
};

/* Find a mailbox, lock taken inside. `make`: add it where it is missing. NULL: missing, or no memory. */
struct mailbox_item *mailbox_find(struct storage *storage, const uint8_t token[static 32], bool make);
/* On the writer thread: the open transaction adds, or deletes, a message of so many bytes. */
void mailbox_add_message(struct mailbox_item *mailbox, int64_t bytes, bool stranger);
void mailbox_remove_message(struct mailbox_item *mailbox, int64_t bytes, bool stranger);
/* On the writer thread, after a transaction that changed the mailbox: apply or forget what it changed. */
void mailbox_settle(struct storage *storage, struct mailbox_item *mailbox, bool committed);
struct touched { /* a token that an entry listed or lists, and what holds for it after the change */
    uint8_t token[IMSG_TOKEN];
    uint32_t limit;      /* the largest of all entries that list it; 0: none does */
    uint8_t account[32]; /* of the entry with that limit */
};
/* On the writer thread, after a commit. `gone`: the time of the change. */
void mailbox_set_listed(struct storage *storage, const struct touched *touched, int64_t gone);
/* On the writer thread, after a commit: the account has so many bytes more, or less, in the store. */
void account_add_blob_bytes(struct storage *storage, const uint8_t account[static 32], int64_t bytes);
IMSG_CHECK enum imsg_status mailboxes_load(struct storage *storage, struct imsg_error *err);

/* ---- sqlite_statements.c ---- */

/* imsg_fail with SQLite's words: IMSG_TEMPORARY where it may pass by itself (disk full, busy), else IMSG_IO. */
enum imsg_status sqlite_fail(sqlite3 *connection, const char *what, struct imsg_error *err);
/* Run one of the writer's statements that gives no row. Parameters are bound already; they are cleared. */
IMSG_CHECK enum imsg_status sqlite_run(struct storage *storage, enum statement which, struct imsg_error *err);
/* Bind a blob / a number to a parameter; a failure shows when the statement runs. */
void sqlite_bind_bytes(struct storage *storage, enum statement which, int parameter, struct imsg_view bytes);
void sqlite_bind_number(struct storage *storage, enum statement which, int parameter, int64_t number);
/* Step the writer's statement: true: a row; false: none any more, or it failed with *status. */
bool sqlite_row(struct storage *storage, enum statement which, enum imsg_status *status, struct imsg_error *err);
void sqlite_reset_statement(struct storage *storage, enum statement which);
/* Copy a column of 32 bytes; false: it has another length. */
bool sqlite_column_hash(sqlite3_stmt *row, int column, uint8_t out[static 32]);

/* ---- sqlite.c: connections ---- */

/* This thread's connection that only reads. */
IMSG_CHECK enum imsg_status sqlite_reader(struct storage *storage, sqlite3 **out, struct imsg_error *err);
/* Each row of a query, on this thread's connection that only reads. */
IMSG_CHECK enum imsg_status sqlite_each(struct storage *storage, const char *query,
                                        enum imsg_status (*row)(void *context, sqlite3_stmt *statement,
                                                                struct imsg_error *err),
                                        void *context, struct imsg_error *err);

/* ---- sqlite_writer.c: group commit ---- */

void *sqlite_writer_loop(void *queue);
/* Hand an operation over. `run` works inside a transaction, where a failure takes back all operations of the batch;
 * `done` is called after it, with the status of the commit. */
IMSG_CHECK bool sqlite_submit(struct storage *storage, struct operation *operation,
                              enum imsg_status (*run)(struct job *job, struct imsg_error *err),
                              void (*done)(struct job *job, enum imsg_status status));
/* The same, and wait. `done` may be NULL. `what` is for the error: "the index of entries cannot be written". */
IMSG_CHECK enum imsg_status sqlite_submit_wait(struct storage *storage, struct operation *operation,
                                               enum imsg_status (*run)(struct job *job, struct imsg_error *err),
                                               void (*done)(struct job *job, enum imsg_status status), const char *what,
                                               struct imsg_error *err);

/* ---- sqlite_invites.c: inside a transaction ---- */

/* *refused: the code is not known, another account's, or used up. */
IMSG_CHECK enum imsg_status invite_use(struct storage *storage, const uint8_t hash[static 32],
                                       const uint8_t account[static 32], bool *refused, struct imsg_error *err);
/* The entry was not written after all. */
IMSG_CHECK enum imsg_status invite_give_back(struct storage *storage, const uint8_t hash[static 32],
                                             struct imsg_error *err);

/* ---- sqlite_index.c: which devices the entries list ---- */

struct stat;
struct entry_index {
    struct operation operation;
    const uint8_t *hash; /* 32 bytes */
    const struct listed *listed;
    size_t count;
    const struct stat *file;   /* of the entry; NULL: there is none any more */
    const uint8_t *invite;     /* used up in the same transaction; NULL: none */
    const uint8_t *account;    /* 32 bytes: whose entry it is; read only where `count` or `invite` says so */
    const uint8_t *given_back; /* an invite that is returned in the same transaction; NULL: none */
    bool refused;              /* the invite was: nothing changed */
    struct touched touched[2 * IMSG_DEVICES_MAX];
    size_t touched_count;
};
/* Record what an entry lists, on disk and in memory; waits. The caller holds `entries`. */
IMSG_CHECK enum imsg_status entry_index_write(struct storage *storage, struct entry_index *index,
                                              struct imsg_error *err);
/* DATA/directory/imsg/v1/h/xx/HASH.json */
IMSG_CHECK enum imsg_status entry_file_path(const struct storage *storage, const uint8_t hash[static 32], char **path,
                                            struct imsg_error *err);
/* Record what an entry's file lists, whoever signed it: it was checked when it came in, or the operator put it there.
 * What is no entry lists nobody, with a note. `path` NULL: the file is gone. `given_back`: as in entry_index. The
 * caller holds `entries`. */
IMSG_CHECK enum imsg_status entry_index_file(struct storage *storage, const uint8_t hash[static 32], const char *path,
                                             const uint8_t *given_back, struct imsg_error *err);

#endif
