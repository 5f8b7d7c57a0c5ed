/* The three services: directory, relay, store. An interface each; the URL's scheme picks the backend (one file and one
 * table row per engine). A location without a scheme is a folder; https://host[:port][/path] is a server, http:// one
 * on this machine, and http+unix://SOCKET one behind a Unix socket whose path has %2F for its slashes. Scheme without a
 * backend: IMSG_CONFIG. Over the network: IMSG_TEMPORARY for what may pass by itself, IMSG_UNAVAILABLE where the
 * service says no or its name does not resolve, IMSG_PROTOCOL for nonsense, IMSG_REFUSED for a certificate that is not
 * right. */
#ifndef IMSG_NET_H
#define IMSG_NET_H

#include "imsg.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- session.c ---- what all connections of a run share; {0} is a start, NULL will do for folders. Strings are
 * borrowed. */
struct imsg_http;
/* Where an s3:// store is, and who asks (Signature Version 4). */
struct imsg_s3 {
    const char *endpoint; /* http(s)://host[:port], with the bucket in the path; NULL: Amazon's for the region */
    const char *region;
    const char *key, *secret; /* the access key's id, and it */
    const char *session;      /* the token of temporary credentials, or NULL */
};

struct imsg_net {
    const char *cacert;      /* PEM file of the CAs believed, in place of the system's; or NULL */
    const char *pin;         /* "sha256//…" (";" between several), stands in for CA and name; or NULL */
    const char *client_cert; /* PEM file of a client certificate and its key; or NULL */
    unsigned retry_for;      /* seconds: how long what is temporary is tried again */
    unsigned stall;          /* seconds without a byte that end a connection; 0: 30 */
    bool insecure_http;      /* http:// not only to loopback */
    bool allow_private;      /* URLs from outside may lead to addresses that are not global */
    const char *cache;       /* folder for entries with an ETag, made when needed; NULL: none is kept */
    const char *temp;        /* folder for ciphertext on its way out; NULL: /var/tmp */
    const char *invite;      /* sent with a first registration; or NULL */
    /* The auth key of this device, for bearer tokens, asked for when first needed and then kept by the callee. *key
     * stays NULL where there is none. NULL: there is none. */
    enum imsg_status (*auth)(void *context, const struct imsg_p256 **key, struct imsg_error *err);
    /* For an s3:// store, asked for when one is opened; the callee's. NULL: there are none. */
    enum imsg_status (*s3)(void *context, const struct imsg_s3 **out, struct imsg_error *err);
    /* Told once what speaks HTTP from now on, by name and version; or NULL. */
    void (*loaded)(void *context, const char *version);
    void *context;  /* of all three */
    char **origins; /* configured: what is not one of these came from outside */
    size_t origin_count;
    struct imsg_http *http; /* from the first remote location on */
};
/* A location of the user's own: its origin may get credentials and may be anywhere. Folders are passed over. */
IMSG_CHECK enum imsg_status imsg_net_trust(struct imsg_net *net, const char *location, struct imsg_error *err);
/* Closes all connections. */
void imsg_net_free(struct imsg_net *net);
/* Is it not a folder? */
bool imsg_location_is_remote(const char *location);

/* ---- directory.c ---- the files BASE/imsg/v1/h/xx/<hash>.json */
struct imsg_directory;
/* `create`: a base folder that is not there is empty, and put makes it. Without it that is
 * IMSG_TEMPORARY. Nothing is touched by open itself. */
IMSG_CHECK enum imsg_status imsg_directory_open(const char *location, struct imsg_net *net, bool create,
                                                struct imsg_directory **out, struct imsg_error *err);
/* Append the entry's bytes as stored. IMSG_NO_ACCOUNT: the directory answered, there is none. IMSG_TEMPORARY: it did
 * not answer. An entry over 1 MiB: IMSG_PROTOCOL. */
IMSG_CHECK enum imsg_status imsg_directory_get(struct imsg_directory *directory, const char *handle,
                                               struct imsg_buf *out, struct imsg_error *err);
/* Write the entry if the one on file still is `previous` (empty: none): IMSG_CONFLICT if not. Atomic, durable, under a
 * lock. */
IMSG_CHECK enum imsg_status imsg_directory_put(struct imsg_directory *directory, const char *handle,
                                               struct imsg_view previous, struct imsg_view entry,
                                               struct imsg_error *err);
const char *imsg_directory_location(const struct imsg_directory *directory);
void imsg_directory_close(struct imsg_directory *directory);

/* ---- relay.c ---- one mailbox per token; messages have the names of their envelopes (imsg.h) */
#define IMSG_RELAY_PATH "3/device/"     /* on a server: then the token */
#define IMSG_RELAY_DAYS 30              /* a message waits no longer */
#define IMSG_RELAY_ACKNOWLEDGE_MAX 1024 /* names in one request; more are several requests */
struct imsg_relay;
IMSG_CHECK enum imsg_status imsg_relay_open(const char *location, struct imsg_net *net, struct imsg_relay **out,
                                            struct imsg_error *err);
/* A relay named by a record or an envelope: a bare https origin, else IMSG_REFUSED. */
IMSG_CHECK enum imsg_status imsg_relay_open_foreign(const char *location, struct imsg_net *net, struct imsg_relay **out,
                                                    struct imsg_error *err);
/* Make the mailbox (and the base) if it is not there: a device does so before it receives. */
IMSG_CHECK enum imsg_status imsg_relay_mailbox(struct imsg_relay *relay, const uint8_t token[IMSG_ROOM(32)],
                                               struct imsg_error *err);
/* Deliver the line (without newline). Durable on IMSG_OK; a second time is IMSG_OK and one message. *duplicate (may be
 * NULL) tells so. IMSG_UNAVAILABLE: no such mailbox. IMSG_TEMPORARY: base not there, disk full. IMSG_TOO_LONG. */
IMSG_CHECK enum imsg_status imsg_relay_deliver(struct imsg_relay *relay, const struct imsg_envelope *envelope,
                                               struct imsg_view line, bool *duplicate, struct imsg_error *err);
/* The same for many: `done` is called once for each, from here or from a later imsg_relay_settle, in any order. Neither
 * envelope nor line is needed any more when this is back. A relay of the network has several under way, a folder takes
 * one after another. */
typedef void imsg_delivered(void *context, enum imsg_status status, bool duplicate, struct imsg_error *err);
void imsg_relay_send(struct imsg_relay *relay, const struct imsg_envelope *envelope, struct imsg_view line,
                     imsg_delivered *done, void *context);
/* Go on until at most `most` of what was sent has no result yet, or until `input` (a descriptor, -1: none) can be read.
 * Relays that share a net move on together. */
IMSG_CHECK enum imsg_status imsg_relay_settle(struct imsg_relay *relay, size_t most, int input, struct imsg_error *err);
/* What is waiting, oldest first: a list of names at the time of the call; of a very full mailbox perhaps not all
 * (`more`), the rest once these are acknowledged. Expires messages over 30 days old. */
struct imsg_waiting {
    char **names;
    size_t count;
    bool more; /* these are not all */
};
IMSG_CHECK enum imsg_status imsg_relay_list(struct imsg_relay *relay, const uint8_t token[IMSG_ROOM(32)],
                                            struct imsg_waiting *out, struct imsg_error *err);
void imsg_waiting_free(struct imsg_waiting *waiting);
/* Append one waiting message's line, without newline: one of those that imsg_relay_list named last. IMSG_NO_INPUT: it
 * is gone meanwhile. The relay may have given any line this name: the caller parses it and compares. */
IMSG_CHECK enum imsg_status imsg_relay_fetch(struct imsg_relay *relay, const uint8_t token[IMSG_ROOM(32)],
                                             const char *name, struct imsg_buf *out, struct imsg_error *err);
/* Delete messages at the relay, durably on IMSG_OK; one that is not there is no failure. After a failure some may be
 * deleted. */
IMSG_CHECK enum imsg_status imsg_relay_acknowledge(struct imsg_relay *relay, const uint8_t token[IMSG_ROOM(32)],
                                                   const char *const *names, size_t count, struct imsg_error *err);
/* Until something new may be waiting, at most `seconds`, less where the relay says so (a folder never waits more than 5
 * s, for NFS, SMB and Syncthing do not tell; a server under a minute): call imsg_relay_list again after each wait. A
 * relay that can be told (inotify) starts listening before imsg_relay_list reads the mailbox and forgets only there
 * what it heard before, so what arrives between list and wait ends the wait at once. A signal ends it too. Nothing new
 * is IMSG_OK as well. */
IMSG_CHECK enum imsg_status imsg_relay_wait(struct imsg_relay *relay, const uint8_t token[IMSG_ROOM(32)],
                                            unsigned seconds, struct imsg_error *err);
const char *imsg_relay_location(const struct imsg_relay *relay);
void imsg_relay_close(struct imsg_relay *relay);

/* ---- store.c ---- ciphertext objects named by their SHA-256 */
#define IMSG_STORE_PATH "store/" /* on a server: then the object's name */
struct imsg_store;
/* How an attachment comes and goes. */
struct imsg_transfer {
    unsigned threads; /* the caller's own counted; others help with what is large */
    /* Called now and then with the bytes done and those there are in all (0: nobody knows); NULL: nobody asks. What is
     * encrypted first and sent then goes from 0 to its size twice. */
    void (*progress)(void *context, uint64_t done, uint64_t size);
    void *context;
};
struct imsg_store_put {              /* its start is {.fd = -1} */
    int fd;                          /* write the ciphertext here, once, from the start; -1: not begun, or ended */
    char *temp;                      /* the backend's, or NULL */
    const struct imsg_transfer *how; /* set before the commit, or NULL */
};
IMSG_CHECK enum imsg_status imsg_store_open(const char *location, struct imsg_net *net, struct imsg_store **out,
                                            struct imsg_error *err);
/* A temporary file for the object (the base folder is made if missing). */
IMSG_CHECK enum imsg_status imsg_store_begin(struct imsg_store *store, struct imsg_store_put *put,
                                             struct imsg_error *err);
/* Durable under its name on IMSG_OK; *uri (the caller's) is what goes into the descriptor. Closes put->fd; nothing is
 * left behind on failure. */
IMSG_CHECK enum imsg_status imsg_store_commit(struct imsg_store *store, struct imsg_store_put *put,
                                              const uint8_t sha256[IMSG_ROOM(32)], char **uri, struct imsg_error *err);
/* Safe after commit and on {.fd = -1}. */
void imsg_store_abort(struct imsg_store *store, struct imsg_store_put *put);
/* Called with each piece of an object, in order; anything but IMSG_OK ends the transfer and is passed on. */
typedef enum imsg_status imsg_sink(void *context, struct imsg_view piece, struct imsg_error *err);
struct imsg_store_read {
    const char *uri;    /* of the object, as a descriptor names it */
    uint64_t from, max; /* from this byte on; more than `max` bytes in all: IMSG_PROTOCOL */
    imsg_sink *sink;
    void *context;
};
/* Read an object: one of this store, or one at an https URL of a server that is not configured. Any other uri:
 * IMSG_REFUSED, nothing is opened. IMSG_UNAVAILABLE: no such object.
 * IMSG_TEMPORARY. */
IMSG_CHECK enum imsg_status imsg_store_get(struct imsg_store *store, const struct imsg_store_read *read,
                                           struct imsg_error *err);
/* A descriptor of the object where it is a file of this machine; *fd = -1 where imsg_store_get fetches it over a
 * network. Failures as of imsg_store_get. */
IMSG_CHECK enum imsg_status imsg_store_open_object(struct imsg_store *store, const char *uri, int *fd,
                                                   struct imsg_error *err);
void imsg_store_close(struct imsg_store *store);

/* ---- transfer.c ---- attachments to and from a store, in constant memory */
/* Encrypt `first` and then what is left in fd (-1: nothing) under a new key, and store it. Fills uri, size, key, sha1
 * and sha256 of *out; name and type stay NULL. Read failures are IMSG_IO. */
IMSG_CHECK enum imsg_status imsg_attachment_put(struct imsg_store *store, struct imsg_view first, int fd,
                                                const struct imsg_transfer *how, struct imsg_attachment *out,
                                                struct imsg_error *err);
/* Where the file of an attachment is to be. */
struct imsg_attachment_place {
    const char *folder, *name;
};
/* Fetch into a new file of this folder and name or, if that exists, name-1, name-2 … before its extension; nothing is
 * replaced. The file has no name before size and both hashes were found right (IMSG_REFUSED). Of an object that comes
 * over a network the ciphertext that came stays in the folder as ".SHA256.part" after IMSG_TEMPORARY, and where the
 * process ends; the next call goes on with it. *path is the caller's. */
IMSG_CHECK enum imsg_status imsg_attachment_get(struct imsg_store *store, const struct imsg_attachment *attachment,
                                                const struct imsg_attachment_place *place,
                                                const struct imsg_transfer *how, char **path, struct imsg_error *err);

/* ---- pins.c ---- pins.json: {"imsg":"pins/1","pins":{HANDLE:{"account":THUMBPRINT,"seq":N,"payload":HEX}}} */
struct imsg_pins {
    char *path;
    int lock; /* -1: not held */
    struct json_t *json;
    bool changed;
};
/* Load under an exclusive lock on PATH.lock, held until imsg_pins_close; a file that is not there is empty. A file
 * that does not parse: IMSG_CONFIG (never overwritten). */
IMSG_CHECK enum imsg_status imsg_pins_open(const char *path, struct imsg_pins *pins, struct imsg_error *err);
/* *found = false if the handle has no pin. */
IMSG_CHECK enum imsg_status imsg_pins_get(const struct imsg_pins *pins, const char *handle, struct imsg_pin *out,
                                          bool *found, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_pins_set(struct imsg_pins *pins, const char *handle, const struct imsg_pin *pin,
                                          struct imsg_error *err);
/* Nothing where there is none. */
IMSG_CHECK enum imsg_status imsg_pins_remove(struct imsg_pins *pins, const char *handle, struct imsg_error *err);
/* Write (0600, atomic) if something changed. */
IMSG_CHECK enum imsg_status imsg_pins_save(struct imsg_pins *pins, struct imsg_error *err);
void imsg_pins_close(struct imsg_pins *pins); /* safe on {0} */

/* Exactly 64 lower-case hex digits: the only names from outside that ever become part of a path. */
bool imsg_name_is_hash(const char *name);

#ifdef __cplusplus
}
#endif

#endif
