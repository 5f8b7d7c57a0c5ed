/* imsg-client.h: what a client is. Key files, the account, trust in directory entries, registration, sealing for all
 * devices of the recipients, opening with its order of checks, and receiving.
 *
 * The conventions are those of imsg.h. Nothing here prints, asks, reads the environment or ends the program: the caller
 * gives paths and callbacks, and gets events as values. Callbacks run on the thread that called the library.
 */
#ifndef IMSG_CLIENT_H
#define IMSG_CLIENT_H

#include "imsg.h"
#include "imsg-net.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Key files (lib/client/keys.c) -------------------------------------------------------------------------- */

/* A file with private keys: an identity, or an account key. {0} with a path is enough for one that is not encrypted. */
struct imsg_key_file {
    const char *path; /* to read; in messages its name */
    bool has_fd;      /* read `fd`, which stays open, in place of the path */
    int fd;
    bool others_may_read; /* else a regular file of this user's that others can read is IMSG_PERMISSION */
    /* Called if the keys are encrypted: append the passphrase. `what` names the file. NULL: IMSG_PERMISSION. */
    enum imsg_status (*passphrase)(void *context, const char *what, struct imsg_buf *out, struct imsg_error *err);
    void *context;
};
/* Append the file's bytes, at most 1 MiB. Links and pipes are followed. `role` names the file in messages.
 * IMSG_NO_INPUT, IMSG_PERMISSION, IMSG_MALFORMED (too large). */
IMSG_CHECK enum imsg_status imsg_key_file_read(const struct imsg_key_file *file, const char *role, struct imsg_buf *out,
                                               struct imsg_error *err);
/* Create a private file of mode 0600, atomically. A file that exists is never replaced: IMSG_CANNOT_CREATE. */
IMSG_CHECK enum imsg_status imsg_key_file_create(const char *path, struct imsg_view bytes, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_identity_load(const struct imsg_key_file *file, struct imsg_identity *out,
                                               struct imsg_error *err);
/* Read the token alone, which is public: no passphrase is asked for. */
IMSG_CHECK enum imsg_status imsg_identity_load_token(const struct imsg_key_file *file,
                                                     uint8_t token[IMSG_ROOM(IMSG_TOKEN)], struct imsg_error *err);
/* Write a new identity (imsg_key_file_create). */
IMSG_CHECK enum imsg_status imsg_identity_create(const char *path, const struct imsg_identity *identity,
                                                 struct imsg_error *err);
/* Load the identity, give it a new prekey and write it back, under the lock PATH.lock. A link is followed. *out is the
 * identity as written. file->has_fd must be false. */
IMSG_CHECK enum imsg_status imsg_identity_rotate_file(const struct imsg_key_file *file, struct imsg_identity *out,
                                                      struct imsg_error *err);
/* The same, giving it the thumbprint of its owner's account key. */
IMSG_CHECK enum imsg_status imsg_identity_account_file(const struct imsg_key_file *file, const char *thumbprint,
                                                       struct imsg_identity *out, struct imsg_error *err);
/* The account key signs the entries of its owner's handles. IMSG_NO_INPUT: there is no such file. */
IMSG_CHECK enum imsg_status imsg_account_load(const struct imsg_key_file *file, struct imsg_p256 **out,
                                              struct imsg_error *err);
/* Make an account key and write it, encrypted if the passphrase is not empty. */
IMSG_CHECK enum imsg_status imsg_account_create(const char *path, struct imsg_view passphrase, struct imsg_p256 **out,
                                                struct imsg_error *err);
/* What its owner reads out to a friend, and what is pinned. */
IMSG_CHECK enum imsg_status imsg_account_thumbprint(const struct imsg_p256 *account,
                                                    char out[IMSG_ROOM(IMSG_THUMBPRINT + 1)], struct imsg_error *err);
void imsg_account_free(struct imsg_p256 *account);

/* ---- The client (lib/client/trust.c) ------------------------------------------------------------------------ */

enum imsg_event_kind {
    IMSG_EVENT_FIRST_SEEN,   /* handle, key: not seen before; its account key is pinned now */
    IMSG_EVENT_KEY_REPLACED, /* handle, key, old_key: the key that was to be accepted is pinned in place of the old one
                              */
    IMSG_EVENT_UNREGISTERED, /* handle: the sender's own has no entry, so recipients will not find the key that signs */
    IMSG_EVENT_COUNTERS,     /* error: message counters may repeat, on which nothing else depends */
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
    bool cut;      /* the line has no newline at its end */
    const struct imsg_error *error;
};

/* A device of a user. The caller sets the first part; {0} with home and location is enough. Strings and pointers are
 * borrowed. What the callbacks give becomes the client's, and is freed by imsg_client_close. */
struct imsg_client {
    const char *home;                 /* an existing folder, private to the user: identity.json, pins.json and so on */
    const char *location;             /* of the directory; may be NULL if nobody is looked up, or with open_directory */
    struct imsg_net *net;             /* for remote locations, or NULL */
    struct imsg_identity *identity;   /* this device's keys; NULL: loaded when they are first needed */
    struct imsg_directory *directory; /* NULL: opened when it is first needed */
    /* In place of `home`, asked for whenever something of it is needed; the string stays the callee's. Or NULL. */
    enum imsg_status (*find_home)(void *context, const char **home, struct imsg_error *err);
    /* In place of identity.json of the home, and of `location`; or NULL. */
    enum imsg_status (*load_identity)(void *context, struct imsg_identity *out, struct imsg_error *err);
    enum imsg_status (*open_directory)(void *context, struct imsg_directory **out, struct imsg_error *err);
    /* As in imsg_key_file, for identity.json; or NULL. */
    enum imsg_status (*passphrase)(void *context, const char *what, struct imsg_buf *out, struct imsg_error *err);
    void (*event)(void *context, const struct imsg_event *event); /* or NULL */
    void *context;
    unsigned threads;     /* to work on, the caller's counted; 0: one */
    const char *accept;   /* thumbprint that may take the place of a pinned one, or NULL */
    bool allow_expired;   /* take entries whose time is over: one's own, to renew them */
    bool others_may_read; /* as in imsg_key_file */

    /* The library's. */
    struct imsg_identity loaded;
    bool has_loaded, has_opened;
    uint8_t account[65]; /* the point of this user's account key */
    bool has_account, account_checked;
};
/* Free what the client loaded and opened itself. */
void imsg_client_close(struct imsg_client *client);
/* For imsg_net.auth, with the client as context: servers know a device by its auth key. */
enum imsg_status imsg_client_auth(void *client, const struct imsg_p256 **key, struct imsg_error *err);
/* The verified entry of a canonical handle: its signature; one's own account key where the handle is one's own; the
 * pin, which a first sight makes. *entry goes with imsg_entry_free. *raw (raw may be NULL) becomes the bytes on
 * file, whatever it was. Records that do not verify (imsg_device_verify) are told by IMSG_EVENT_FAILED and left out.
 * IMSG_NO_ACCOUNT; IMSG_REFUSED: another key, an older or forked entry, or a pinned handle without an entry. */
IMSG_CHECK enum imsg_status imsg_client_look_up(struct imsg_client *client, const char *handle,
                                                struct imsg_entry *entry, struct imsg_buf *raw, struct imsg_error *err);
/* Move the handle's pin on to an entry just written; never back. */
IMSG_CHECK enum imsg_status imsg_client_pin(struct imsg_client *client, const char *handle,
                                            const struct imsg_entry *entry, struct imsg_error *err);
/* The account key that entries of one's own handles must be signed by, in place of account.pem of the home. It
 * is not needed afterwards. */
void imsg_client_set_account(struct imsg_client *client, const struct imsg_p256 *account);
/* The thumbprint of this user's account key, as far as it is known without a passphrase; else "". */
IMSG_CHECK enum imsg_status imsg_client_account(struct imsg_client *client, char out[IMSG_ROOM(IMSG_THUMBPRINT + 1)],
                                                struct imsg_error *err);
/* Where the directory is, for messages. */
const char *imsg_client_location(const struct imsg_client *client);
/* Load or open it, unless that was done; the client's. */
IMSG_CHECK enum imsg_status imsg_client_directory(struct imsg_client *client, struct imsg_directory **out,
                                                  struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_client_identity(struct imsg_client *client, struct imsg_identity **out,
                                                 struct imsg_error *err);

/* ---- Device records (lib/client/records.c) ------------------------------------------------------------------ */

/* Called for a line that is no good, which is left out. */
typedef void imsg_bad_line(void *context, uint64_t line, struct imsg_error *err);
/* Read device records, one a line, from a descriptor; their keys are checked on `threads` threads. *list grows by those
 * that are good; lines that are not are no failure. `bad` may be NULL. */
IMSG_CHECK enum imsg_status imsg_records_read(int fd, unsigned threads, struct imsg_devices *list, imsg_bad_line *bad,
                                              void *context, struct imsg_error *err);

/* ---- Registration (lib/client/register.c) ------------------------------------------------------------------- */

struct imsg_registration {
    struct imsg_client *client;         /* allow_expired is usual */
    struct imsg_key_file account_file;  /* made at the first registration where it does not exist */
    const struct imsg_devices *records; /* imsg_device_verify said yes to each */
    const char *const *removals;        /* names or tokens of devices, or a unique start of one */
    size_t removal_count;
    unsigned expires_days; /* 0: the entries do not expire */

    struct imsg_p256 *account; /* the library's; imsg_registration_free */
    bool *removed;             /* per removal: found in some entry */
    size_t failed;             /* handles whose entry could not be written; an event told each */
};
/* Load the account key if its file is there. imsg_register does so, too; this is for who wants to know before. */
IMSG_CHECK enum imsg_status imsg_register_start(struct imsg_registration *registration, struct imsg_error *err);
/* Put the records into the entry of each of their handles, replacing the record with the same token; take the
 * removals out of every own entry; sign what changed, write it and pin it. Conflicts with others who write at the
 * same time are resolved by reading again. */
IMSG_CHECK enum imsg_status imsg_register(struct imsg_registration *registration, struct imsg_error *err);
void imsg_registration_free(struct imsg_registration *registration);

/* ---- Sealing (lib/client/seal.c, recipients.c, sealed_file.c) ------------------------------------------------ */

/* What is read from a descriptor; `name` is for messages. */
struct imsg_input {
    int fd;
    const char *name;
};

struct imsg_target; /* one device that a draft is sealed for */

/* A message to be sealed, and what becomes of it. {0} is a start. Strings and buffers are the draft's: freed by
 * imsg_draft_free. */
struct imsg_draft {
    struct imsg_buf content;
    char *type;          /* NULL: text/plain or application/octet-stream, by the content; none for empty content */
    char *group_name;    /* or NULL */
    char *reply_to;      /* id of the message that this one answers */
    const char *receipt; /* "delivered" or "read": a receipt for reply_to; not the draft's */
    struct imsg_attachment *attachments;
    size_t attachment_count;
    char id[37], time[21]; /* "": made when it is sealed */
    uint64_t line;         /* the caller's number for it, which its events give back */

    char **to; /* the participants in the header, reached or not */
    size_t to_count;
    bool partial;            /* somebody could not be reached; an event told */
    struct imsg_buf lines;   /* the envelopes, one a line; or the bare payload */
    enum imsg_status status; /* why it was not sealed */
    struct imsg_error err;   /* the same in words; of a partial draft, what failed for the first recipient left out */

    struct imsg_target *targets; /* the library's, from here on */
    char *group_id;
    size_t target_count, target_cap;
    struct json_t *found; /* devices: "TOKEN THUMBPRINT", "TOKEN HANDLE" */
    const uint8_t *stream_key;
    struct imsg_buf plaintext;
};
void imsg_draft_free(struct imsg_draft *draft);
/* The content's type where none was given, as imsg_draft.type says. */
const char *imsg_content_type(struct imsg_view content);
/* Name a participant in the header, once, without sealing for him. */
IMSG_CHECK enum imsg_status imsg_draft_add_to(struct imsg_draft *draft, const char *handle, struct imsg_error *err);
/* Moves *attachment into the draft (then *attachment is {0}). */
IMSG_CHECK enum imsg_status imsg_draft_attach(struct imsg_draft *draft, struct imsg_attachment *attachment,
                                              struct imsg_error *err);

/* Who seals, and how. {0} with a client is enough. What it learns of recipients it keeps for the drafts that follow. */
struct imsg_sealer {
    struct imsg_client *client;
    const struct imsg_format *format;   /* forced; NULL: the best that each device offers */
    bool raw;                           /* the bare payload of the bare content */
    bool no_self;                       /* not for the sender's other devices */
    const struct imsg_devices *records; /* sealed for as they are, without a look-up; or NULL */
    bool records_are_directory;         /* a draft gets those of its handles, and nothing is looked up */
    /* Called when the content is over a device's limit: store it and describe it in *out, and the message is sealed
     * with that attachment in place of the content. NULL: IMSG_TOO_LONG. */
    enum imsg_status (*store)(void *context, struct imsg_draft *draft, struct imsg_attachment *out,
                              struct imsg_error *err);
    void *context;

    struct imsg_person **people; /* the library's: who was looked up */
    size_t person_count;
    struct json_t *person_index;
};
void imsg_sealer_free(struct imsg_sealer *sealer);
/* Find the devices of these canonical handles, of the sender himself, and the records. Who cannot be reached is told by
 * IMSG_EVENT_FAILED, and the others go on. */
IMSG_CHECK enum imsg_status imsg_draft_address(struct imsg_sealer *sealer, struct imsg_draft *draft,
                                               char *const *handles, size_t count, struct imsg_error *err);
/* Seal each draft for the devices found, on all threads. What becomes of each is in its status and lines. */
IMSG_CHECK enum imsg_status imsg_seal_drafts(struct imsg_sealer *sealer, struct imsg_draft *drafts, size_t count,
                                             struct imsg_error *err);
/* Both for one draft; its status is the result. If nobody can be reached, it is that of the first recipient: err says
 * only this much, draft->err and the events say why. */
IMSG_CHECK enum imsg_status imsg_seal(struct imsg_sealer *sealer, struct imsg_draft *draft, char *const *handles,
                                      size_t count, struct imsg_error *err);
/* Deliver the envelopes to a relay, all of them or up to the first failure; once more is no second message. */
IMSG_CHECK enum imsg_status imsg_draft_deliver(const struct imsg_draft *draft, struct imsg_relay *relay,
                                               struct imsg_error *err);
/* Make a sealed file for the devices found: envelopes, stream/1 line and chunks go to `sink`. draft->content and
 * then the rest of the input are what is sealed. Nothing is written if draft->partial is true, or becomes so: all
 * recipients or none. */
IMSG_CHECK enum imsg_status imsg_seal_file(struct imsg_sealer *sealer, struct imsg_draft *draft,
                                           const struct imsg_input *input, imsg_sink *sink, void *context,
                                           struct imsg_error *err);

/* ---- Opening (lib/client/open.c, open_file.c, sender.c) ------------------------------------------------------- */

/* A message that was verified in every respect. */
struct imsg_opened {
    struct imsg_envelope envelope;
    struct imsg_message message;
    bool own;           /* from one of this user's own handles */
    uint8_t auth[65];   /* the auth key of the device that sealed it */
    uint8_t replay[32]; /* its replay key, where imsg_opener.once is set */
    bool recorded;      /* as opened, by this run */
};
/* What was given out under this replay key did not reach its end, an output file for one: it may be opened again. */
IMSG_CHECK enum imsg_status imsg_opened_take_back(const struct imsg_client *client, const uint8_t replay[IMSG_ROOM(32)],
                                                  struct imsg_error *err);

#define IMSG_OPENER_ENTRIES 16 /* senders whose entries are kept: those of a group that take turns */

/* Who opens, and what for. Envelopes for other devices are passed over. What is wrong with a line or a sealed file
 * is told by IMSG_EVENT_FAILED, and the rest goes on; where only the private key could tell why, all failures read
 * the same and have IMSG_HINT_WHY. A callback's failure ends the run; what it is given is gone when it is back. */
struct imsg_opener {
    struct imsg_client *client;
    const struct imsg_devices *records; /* senders' keys are taken from these alone; NULL: from the directory */
    char *const *from;                  /* handles that are expected; others are refused */
    size_t from_count;                  /* 0: all are expected */
    bool verify_first;                  /* read a sealed file twice: verify all of it before any is given out */
    /* Refuse what was opened before, by its replay key, which is recorded in the home for ever: after all checks,
     * before the message is given out, and not where the callback fails. It also bounds how often the short tag of a
     * format can be guessed: after so many failures a day of one account its messages in that format are
     * IMSG_TEMPORARY (imsg_open_input; format.md §7). */
    bool once;
    const char *retry; /* name of an envelope that was recorded and is to be let through once more; or NULL */
    enum imsg_status (*message)(void *context, const struct imsg_opened *opened, struct imsg_error *err);
    /* A sealed file: its envelope, before any content, or NULL; its content, chunk after chunk; and its end. NULL
     * for the latter two: sealed files are refused. */
    enum imsg_status (*file_begin)(void *context, const struct imsg_opened *opened, struct imsg_error *err);
    enum imsg_status (*file_chunk)(void *context, struct imsg_view content, uint64_t number, bool last,
                                   struct imsg_error *err);
    enum imsg_status (*file_end)(void *context, const struct imsg_opened *opened, struct imsg_error *err);
    void *context;

    struct imsg_device own; /* the library's */
    bool has_own, postponed;
    struct imsg_entry entries[IMSG_OPENER_ENTRIES];
    size_t entry_next;
};
void imsg_opener_free(struct imsg_opener *opener);
/* Open all envelopes of an input, one a line, or the sealed file that it is. */
IMSG_CHECK enum imsg_status imsg_open_input(struct imsg_opener *opener, const struct imsg_input *input,
                                            struct imsg_error *err);
/* Open a bare payload from opener->from[0] and append its plaintext. A bare payload does not say which device sealed
 * it: every record of the handle is tried. */
IMSG_CHECK enum imsg_status imsg_open_raw(struct imsg_opener *opener, struct imsg_payload payload,
                                          struct imsg_buf *plaintext, struct imsg_error *err);

/* ---- Receiving (lib/client/receive.c, inbox.c, inbox_store.c) --------------------------------------------------- */

/* The inbox of a device, in its home: a Maildir of envelopes under their names (imsg.h), and the memory of what was
 * ever stored in it (seen/pull/ab/cdef…, an empty file, or a name of one, for each). Several processes may use one at a
 * time. */
struct imsg_inbox {
    char *new_path, *cur_path, *tmp_path, *lock_path, *seen_path;
};
/* Makes the folders where they are missing. On failure too it is to be freed. */
IMSG_CHECK enum imsg_status imsg_inbox_open(struct imsg_inbox *inbox, const char *home, struct imsg_error *err);
void imsg_inbox_free(struct imsg_inbox *inbox); /* safe on {0} */

struct imsg_arrival {
    struct imsg_view line; /* with its newline */
    char name[65];         /* 64 hex digits */
    bool fresh;            /* filled in: it was not stored before */
};
/* On IMSG_OK each is durable in new/ and remembered, or was stored before. After a failure those that are in new/
 * are not remembered: storing them again finds them there. Much quicker for many at once: they share their syncs. */
IMSG_CHECK enum imsg_status imsg_inbox_store(const struct imsg_inbox *inbox, struct imsg_arrival *arrivals,
                                             size_t count, struct imsg_error *err);
/* Remember a message of new/ that was stored by a process that ended right after it. */
IMSG_CHECK enum imsg_status imsg_inbox_remember(const struct imsg_inbox *inbox, const char *name,
                                                struct imsg_error *err);

/* What is in new/, in the order in which it came. */
struct imsg_stored {
    struct timespec when;
    char *name;
};
IMSG_CHECK enum imsg_status imsg_inbox_list(const struct imsg_inbox *inbox, struct imsg_stored **list, size_t *count,
                                            struct imsg_error *err);
void imsg_inbox_list_free(struct imsg_stored *list, size_t count);

/* Open a message of new/ for handing it out, and keep other processes from doing so until *fd and its copies are
 * closed. *fd = -1: it is not there any more, or another process has it. */
IMSG_CHECK enum imsg_status imsg_inbox_claim(const struct imsg_inbox *inbox, const char *name, int *fd,
                                             struct imsg_error *err);
/* It was handed out: move it to cur/. */
IMSG_CHECK enum imsg_status imsg_inbox_finish(const struct imsg_inbox *inbox, const char *name, struct imsg_error *err);

/* A message of new/ that is handed out. */
struct imsg_handed {
    const char *name;
    int fd;     /* its file, open for reading */
    bool again; /* it came out of new/ where an earlier call left it: it may have been handed out before */
    bool stays; /* for the callback to set */
};

/* From a relay into the inbox, and out of it: each message is stored before the relay is told to forget it, handed out
 * once, and kept where handing out failed. */
struct imsg_receiver {
    const struct imsg_inbox *inbox;
    struct imsg_relay *relay; /* NULL will do for imsg_receive_again */
    uint8_t token[IMSG_TOKEN];
    /* Called for each message, one after another. Not IMSG_OK, or message->stays set to true: the message stays in
     * new/; in the first case the run ends. */
    enum imsg_status (*hand_out)(void *context, struct imsg_handed *message, struct imsg_error *err);
    /* Called once for what the relay has under this name and is no message for this device: it stays there. Or NULL. */
    void (*rejected)(void *context, const char *waiting, const struct imsg_error *err);
    /* Called for a message that was stored before and is acknowledged only. Or NULL. */
    void (*repeated)(void *context, const char *name);
    void *context;
    char **known; /* what was rejected before; the library's */
    size_t known_count;
};

/* What waits at the relay now, or the start of it where it is very much (*more). Messages are stored and
 * acknowledged in batches: one, two, four … at a time, so that the first is handed out at once and a reader who goes
 * away early leaves few in new/. *taken counts them. */
IMSG_CHECK enum imsg_status imsg_receive(struct imsg_receiver *receiver, size_t *taken, bool *more,
                                         struct imsg_error *err);
/* What stayed in new/. */
IMSG_CHECK enum imsg_status imsg_receive_again(struct imsg_receiver *receiver, struct imsg_error *err);
void imsg_receiver_free(struct imsg_receiver *receiver);
/* Receive into the inbox of the client's home and open what comes out: first what an earlier run left in new/, then
 * what waits at the relay, then (`wait`) what arrives later, until something fails. What the opener refuses is told
 * as an event and counts as handed out, but for IMSG_TEMPORARY: such a message stays in new/. With opener->once a
 * message that was handed out before and stayed is let through. The relay must have the mailbox (imsg_relay_mailbox).
 */
IMSG_CHECK enum imsg_status imsg_receive_and_open(struct imsg_opener *opener, struct imsg_relay *relay, bool wait,
                                                  struct imsg_error *err);

#ifdef __cplusplus
}
#endif

#endif
