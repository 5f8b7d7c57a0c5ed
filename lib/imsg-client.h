/* imsg-client.h: what a client is. Key files, the account, trust in directory entries, registration, sealing for all devices
 * of the recipients, and opening with its order of checks.
 *
 * The conventions are those of imsg.h. Nothing here prints, asks, reads the environment or ends the program: the caller
 * gives paths and callbacks, and gets events as values. Callbacks run on the thread that called the library.
 */
#ifndef IMSG_CLIENT_H
#define IMSG_CLIENT_H

#include "imsg.h"
#include "net/net.h"

/* ---- Key files (lib/client/keys.c) -------------------------------------------------------------------------- */

/* A file with private keys: an identity, or an account key. {0} with a path is enough for one that is not encrypted. */
struct imsg_key_file {
    const char *path;      /* to read; in messages its name */
    bool has_fd;           /* read `fd`, which stays open, in place of the path */
    int fd;
    bool others_may_read;  /* else a regular file of this user's that others can read is IMSG_PERMISSION */
    /* Called if the keys are encrypted: append the passphrase. `what` names the file. NULL: IMSG_PERMISSION. */
    enum imsg_status (*passphrase)(void *context, const char *what, struct imsg_buf *out, struct imsg_error *err);
    void *context;
};
/* Append the file's bytes, at most 1 MiB. Links and pipes are followed. `role` names the file in messages. IMSG_NO_INPUT,
 * IMSG_PERMISSION, IMSG_MALFORMED (too large). */
IMSG_CHECK enum imsg_status imsg_key_file_read(const struct imsg_key_file *file, const char *role, struct imsg_buf *out,
                                               struct imsg_error *err);
/* Create a private file of mode 0600, atomically. A file that exists is never replaced: IMSG_CANNOT_CREATE. */
IMSG_CHECK enum imsg_status imsg_key_file_create(const char *path, struct imsg_view bytes, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_identity_load(const struct imsg_key_file *file, struct imsg_identity *out,
                                               struct imsg_error *err);
/* Read the token alone, which is public: no passphrase is asked for. */
IMSG_CHECK enum imsg_status imsg_identity_load_token(const struct imsg_key_file *file, uint8_t token[static IMSG_TOKEN],
                                                     struct imsg_error *err);
/* Write a new identity (imsg_key_file_create). */
IMSG_CHECK enum imsg_status imsg_identity_create(const char *path, const struct imsg_identity *identity,
                                                 struct imsg_error *err);
/* Load the identity, give it a new prekey and write it back, under the lock PATH.lock. A link is followed. *out is the
 * identity as written. file->has_fd must be false. */
IMSG_CHECK enum imsg_status imsg_identity_rotate_file(const struct imsg_key_file *file, struct imsg_identity *out,
                                                      struct imsg_error *err);
/* The account key signs the entries of its owner's handles. IMSG_NO_INPUT: there is no such file. */
IMSG_CHECK enum imsg_status imsg_account_load(const struct imsg_key_file *file, struct imsg_p256 **out,
                                              struct imsg_error *err);
/* Make an account key and write it, encrypted if the passphrase is not empty. */
IMSG_CHECK enum imsg_status imsg_account_create(const char *path, struct imsg_view passphrase, struct imsg_p256 **out,
                                                struct imsg_error *err);
/* What its owner reads out to a friend, and what is pinned. */
IMSG_CHECK enum imsg_status imsg_account_thumbprint(const struct imsg_p256 *account, char out[static IMSG_THUMBPRINT + 1],
                                                    struct imsg_error *err);
void imsg_account_free(struct imsg_p256 *account);

/* ---- The client (lib/client/trust.c) ------------------------------------------------------------------------ */

enum imsg_event_kind {
    IMSG_EVENT_FIRST_SEEN,   /* handle, key: not seen before; its account key is pinned now */
    IMSG_EVENT_KEY_REPLACED, /* handle, key, old_key: the key that was to be accepted is pinned in place of the old one */
    IMSG_EVENT_UNREGISTERED, /* handle: the sender's own has no entry, so recipients will not find the key that signs */
    IMSG_EVENT_COUNTERS,     /* the counters cannot be kept and may repeat; nothing else depends on them */
    IMSG_EVENT_ACCOUNT_MADE, /* path, key: a new account key */
    IMSG_EVENT_REGISTERED,   /* handle, devices, seq: a new entry is in the directory */
    IMSG_EVENT_UNCHANGED,    /* handle, seq: the entry already was as it should be */
    IMSG_EVENT_FAILED,       /* error, line: one of several failed and is left out; the others go on */
};
struct imsg_event {
    enum imsg_event_kind kind;
    const char *handle;        /* canonical */
    const char *key, *old_key; /* thumbprints of account keys */
    const char *path;
    size_t devices;
    uint64_t seq;
    uint64_t line; /* of the input, or imsg_draft.line; 0: none */
    const struct imsg_error *error;
};

/* One device's view of the world. The caller sets the first part; {0} with home, identity and directory is enough. Strings
 * and pointers are borrowed. */
struct imsg_client {
    const char *home;                /* an existing folder, private to the user: pins.json, account.pem, identity.json … */
    struct imsg_identity *identity;  /* this device's keys; NULL: asked for by load_identity when first needed */
    struct imsg_directory *directory; /* NULL: asked for by open_directory when first needed */
    enum imsg_status (*load_identity)(void *context, struct imsg_identity **out, struct imsg_error *err);
    enum imsg_status (*open_directory)(void *context, struct imsg_directory **out, struct imsg_error *err);
    void (*event)(void *context, const struct imsg_event *event); /* or NULL */
    void *context;
    unsigned threads;                /* to work on, the caller's counted; 0: one */
    const char *accept;              /* thumbprint that may take the place of a pinned one, or NULL */
    bool allow_expired;              /* take entries whose time is over: one's own, to renew them */
    bool others_may_read;            /* as in imsg_key_file, for account.pem */

    /* The library's: the point of this user's account key. */
    uint8_t account[65];
    bool has_account, account_checked;
};
/* The verified entry of a canonical handle: its signature; one's own account key where the handle is one's own; the pin,
 * which a first sight makes. `raw` (may be NULL) gets the bytes on file. IMSG_NO_ACCOUNT; IMSG_REFUSED: another key, an
 * older or forked entry, or a pinned handle without an entry. */
IMSG_CHECK enum imsg_status imsg_client_look_up(struct imsg_client *client, const char *handle, struct imsg_entry *entry,
                                                struct imsg_buf *raw, struct imsg_error *err);
/* Move the handle's pin on to an entry just written; never back. */
IMSG_CHECK enum imsg_status imsg_client_pin(struct imsg_client *client, const char *handle,
                                            const struct imsg_entry *entry, struct imsg_error *err);
/* The account key that entries of one's own handles must be signed by, in place of account.pem of the home. */
void imsg_client_set_account(struct imsg_client *client, const struct imsg_p256 *account);
/* Where the directory is, for messages. */
const char *imsg_client_location(const struct imsg_client *client);
/* Opens directory and identity if they are not there yet; the client's. */
IMSG_CHECK enum imsg_status imsg_client_directory(struct imsg_client *client, struct imsg_directory **out,
                                                  struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_client_identity(struct imsg_client *client, struct imsg_identity **out,
                                                 struct imsg_error *err);

/* ---- Device records (lib/client/records.c) ------------------------------------------------------------------ */

/* Called for a line that is no good, which is left out. */
typedef void imsg_bad_line(void *context, uint64_t line, struct imsg_error *err);
/* Read device records, one a line, from a descriptor; their keys are checked on `threads` threads. *list grows by those
 * that are good. */
IMSG_CHECK enum imsg_status imsg_records_read(int fd, unsigned threads, struct imsg_devices *list, imsg_bad_line *bad,
                                              void *context, struct imsg_error *err);

/* ---- Registration (lib/client/register.c) ------------------------------------------------------------------- */

struct imsg_registration {
    struct imsg_client *client;         /* allow_expired is usual */
    struct imsg_key_file account_file;  /* made at the first registration where it does not exist */
    const struct imsg_devices *records; /* imsg_device_check said yes to each */
    const char *const *removals;        /* names or tokens of devices, or a unique start of one */
    size_t removal_count;
    unsigned expires_days;              /* 0: the entries do not expire */

    struct imsg_p256 *account; /* the library's; imsg_registration_free */
    bool *removed;             /* per removal: found in some entry */
    size_t failed;             /* handles whose entry could not be written; an event told each */
};
/* Load the account key if its file is there, before anything is written. */
IMSG_CHECK enum imsg_status imsg_register_start(struct imsg_registration *registration, struct imsg_error *err);
/* Put the records into the entry of each of their handles, replacing the record with the same token; take the removals out
 * of every own entry; sign what changed, write it and pin it. Conflicts with others who write at the same time are
 * resolved by reading again. */
IMSG_CHECK enum imsg_status imsg_register(struct imsg_registration *registration, struct imsg_error *err);
void imsg_registration_free(struct imsg_registration *registration);

#endif
