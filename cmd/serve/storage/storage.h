/* What imsg-serve keeps: entries, mailboxes, invites, and a row for each blob of the store. The rest of imsg-serve
 * changes and reads it by these functions only.
 *
 * A change is an operation. Operations that come in while others are being committed are committed together, in one
 * transaction; each has a result of its own. The status of an operation says whether it is on disk:
 *
 *   IMSG_OK          committed, and on disk
 *   IMSG_TEMPORARY   not committed, or unknown whether it is: the caller asks its client to send it again (503).
 *                    Every operation may be sent again.
 *   another status   not committed, and not worth another try
 *
 * The process must not cache what is read here: another process may change it, unless the engine says that it alone
 * writes. What is only in this process's memory (who waits in a long poll, what uploads have reserved) is kept in
 * polls.c and quota.c, not here.
 *
 * One engine: SQLite for rows, a folder for entries (sqlite*.c). All functions may be called from any thread. */
#ifndef IMSG_SERVE_STORAGE_H
#define IMSG_SERVE_STORAGE_H

#include "imsg.h"
#include "serve/queue.h"

struct cli;
struct storage;
struct storage_setup {
    struct cli *cli;    /* for notes on what failed */
    const char *folder; /* DATA */
    bool create;        /* false: IMSG_NO_INPUT where there is no database yet */
    /* Something changed at a mailbox: a message came, or no entry lists its token any more. Called on a thread of the
     * storage after the commit, and before the operation's own `done`; NULL: nobody asks. */
    void (*changed)(void *context, const uint8_t token[static 32]);
    void *context;
};
IMSG_CHECK enum imsg_status storage_open(const struct storage_setup *setup, struct storage **out,
                                         struct imsg_error *err);
/* For a server: before the first request, and with no other server on the same DATA. */
IMSG_CHECK enum imsg_status storage_load(struct storage *storage, struct imsg_error *err);
/* Finish all operations that were handed over, and refuse new ones; reading goes on. */
void storage_stop(struct storage *storage);
void storage_close(struct storage *storage);

/* Did the last commit succeed? */
bool storage_is_healthy(const struct storage *storage);
struct storage_totals {
    uint64_t messages, bytes, devices;                 /* now */
    uint64_t commits, operations, failures, commit_us; /* since the start */
};
void storage_read_totals(struct storage *storage, struct storage_totals *out);

/* ---- operations ---- */

struct operation {  /* the first member of each operation; zero but for `done` when it is handed over */
    struct job job; /* the storage's, and so are the next two */
    struct storage *storage;
    void *mailbox;
    /* Called once, on a thread of the storage; the operation may be freed in it. */
    void (*done)(struct operation *operation, enum imsg_status status);
};

/* ---- mailboxes ---- */

struct mailbox {
    uint32_t limit;                          /* bytes of the largest payload; 0: no entry lists the token */
    int64_t gone;                            /* Unix milliseconds since when none does; 0: none ever did */
    uint64_t count, bytes;                   /* of the messages waiting */
    uint64_t stranger_count, stranger_bytes; /* of those among them that came from strangers */
    uint8_t account[32]; /* by whose account key the entry is signed that lists it; zero: no entry does */
    uint64_t blob_bytes; /* of that account's blobs in the store */
};
/* All zero where nothing is known of the token. */
IMSG_CHECK enum imsg_status storage_read_mailbox(struct storage *storage, const uint8_t token[static 32],
                                                 struct mailbox *out, struct imsg_error *err);

enum message_result {
    MESSAGE_STORED,
    MESSAGE_DUPLICATE, /* it was there, and is now kept until the later of both dates */
    MESSAGE_MAILBOX_FULL,
    MESSAGE_UNREGISTERED /* no entry lists the token */
};
struct message_put {
    struct operation operation;
    const uint8_t *token, *name;   /* 32 bytes each; the caller's until done */
    const uint8_t *from;           /* the sender's token; the caller's until done */
    struct imsg_view line;         /* the envelope with its newline; the caller's until done */
    int64_t expires;               /* Unix seconds */
    uint64_t max_count, max_bytes; /* of the mailbox; all senders that no entry here lists share a quarter of it */
    enum message_result result;
};
/* False: the storage has been stopped, and `done` is not called. */
IMSG_CHECK bool storage_put_message(struct storage *storage, struct message_put *put);

struct message_delete {
    struct operation operation;
    const uint8_t *token; /* the caller's until done */
    const uint8_t *names; /* 32 bytes each; the caller's until done */
    size_t count;
    size_t deleted; /* so many of them were there */
};
/* Delete all of the names, in one transaction. False: as above. */
IMSG_CHECK bool storage_delete_messages(struct storage *storage, struct message_delete *delete);

struct message_read {
    const uint8_t *token; /* of the mailbox, 32 bytes */
    size_t enough;
    int64_t after;       /* the number of the message read last; 0: none */
    struct imsg_buf out; /* the caller's */
    bool more;           /* filled in: there may be others */
};
/* The waiting messages of a mailbox behind number `after`, oldest first: append their lines while `out` is shorter than
 * `enough` bytes, and move `after` on. */
IMSG_CHECK enum imsg_status storage_read_messages(struct storage *storage, struct message_read *read,
                                                  struct imsg_error *err);
/* Delete messages whose time is over; waits. *count is increased by their number. */
IMSG_CHECK enum imsg_status storage_expire_messages(struct storage *storage, uint64_t *count, struct imsg_error *err);

/* ---- entries ---- */

struct listed { /* a device that an entry lists */
    uint8_t token[IMSG_TOKEN];
    uint32_t limit; /* bytes of the largest payload it takes */
};
/* The bytes of the entry of a handle, named by its SHA-256; *found = false: there is none. */
IMSG_CHECK enum imsg_status storage_read_entry(struct storage *storage, const uint8_t hash[static 32],
                                               struct imsg_buf *out, bool *found, struct imsg_error *err);

enum entry_result {
    ENTRY_WRITTEN,
    ENTRY_CHANGED,       /* it is no longer `before`: read it again */
    ENTRY_INVITE_REFUSED /* the code is not known, another account's, or used up */
};
struct entry_put {
    const uint8_t *hash;     /* 32 bytes: SHA-256 of the handle */
    struct imsg_view bytes;  /* the entry */
    struct imsg_view before; /* what is there now; ptr NULL: nothing */
    const struct listed *listed;
    size_t count;
    const uint8_t *invite;  /* SHA-256 of the code that this entry uses up; NULL: none is needed */
    const uint8_t *account; /* thumbprint of the account key, 32 bytes */
    enum entry_result result;
};
/* Waits. The devices that it lists have mailboxes before the entry can be read. Where it fails the invite is as
 * before. */
IMSG_CHECK enum imsg_status storage_put_entry(struct storage *storage, struct entry_put *put, struct imsg_error *err);
/* Find the entries that an operator added, replaced or removed; waits. */
IMSG_CHECK enum imsg_status storage_scan_entries(struct storage *storage, struct imsg_error *err);

/* ---- invites ---- */

/* Add a code, by its SHA-256, that is good for `entries` new entries of one account; waits. */
IMSG_CHECK enum imsg_status storage_add_invite(struct storage *storage, const uint8_t hash[static 32], unsigned entries,
                                               struct imsg_error *err);
/* Is there an invite or an entry? */
IMSG_CHECK enum imsg_status storage_is_in_use(struct storage *storage, bool *in_use, struct imsg_error *err);

/* ---- blobs ---- rows; the bytes are store.c's */

struct blob {
    uint8_t hash[32];
    uint8_t account[32]; /* whose quota it counts against; zero: nobody's */
    uint64_t size;       /* bytes */
    int64_t stored;      /* Unix seconds: its age counts from here */
};
/* Add the row, or where there is one only set `stored`; waits. */
IMSG_CHECK enum imsg_status storage_record_blob(struct storage *storage, const struct blob *blob,
                                                struct imsg_error *err);
/* Delete the row; waits. */
IMSG_CHECK enum imsg_status storage_forget_blob(struct storage *storage, const uint8_t hash[static 32],
                                                struct imsg_error *err);
/* Delete the rows of blobs stored until `before`; waits. `erase` deletes the bytes of one; until its row is deleted
 * too, nobody can record that blob. */
IMSG_CHECK enum imsg_status storage_expire_blobs(struct storage *storage, int64_t before,
                                                 enum imsg_status (*erase)(void *context, const struct blob *blob,
                                                                           struct imsg_error *err),
                                                 void *context, struct imsg_error *err);
/* Each row, ordered by hash. */
IMSG_CHECK enum imsg_status storage_each_blob(struct storage *storage,
                                              enum imsg_status (*each)(void *context, const struct blob *blob,
                                                                       struct imsg_error *err),
                                              void *context, struct imsg_error *err);

#endif
