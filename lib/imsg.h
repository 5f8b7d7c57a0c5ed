/* imsg.h: the public face of libimsg.
 *
 * The library turns bytes into structs and back, and carries bytes to and from a directory, a relay and a store. It
 * never prints, never exits, reads no environment and asks no terminal. It is safe to use from several threads as long
 * as one object is used by one thread at a time; keys, an identity and a device record, once made, may be used by
 * several at once to seal and to open. It uses OpenSSL in a library context of its own: a program's OpenSSL stays as it
 * was, and has no part in what the library does, but for two things that are the whole process's: a method that was set
 * by RAND_set_rand_method, and the secure heap, where private numbers are if the program has made one.
 *
 * Conventions
 *   - Every function that can fail returns enum imsg_status (IMSG_OK is 0); the last parameter, struct imsg_error *err,
 *     may be NULL and receives one sentence for a person. Outputs are written only on IMSG_OK.
 *   - struct imsg_view borrows, struct imsg_buf owns (imsg_buf_free wipes it). "char **" results are the caller's,
 *     released by free(). Pointers inside a struct belong to the struct and go with its …_free function.
 *   - Fixed sizes are in the type: `const uint8_t key[IMSG_ROOM(32)]`. All lengths are in bytes.
 *   - "format.md §N" is section N of docs/format.md.
 */
#ifndef IMSG_H
#define IMSG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define IMSG_CHECK __attribute__((warn_unused_result))
#define IMSG_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* Of an array parameter: how many elements the caller's has at least. */
#ifdef __cplusplus
#define IMSG_ROOM(n) n
extern "C" {
#else
#define IMSG_ROOM(n) static n
#endif

struct json_t; /* jansson's */

/* ---- Status and errors (lib/base/error.c) ------------------------------------------------------------------- */

/* One table (imsg_status_exit, imsg_status_name) maps these to exit statuses and names. The first five after IMSG_OK
 * are the failure classes of format.md §6. */
enum imsg_status {
    IMSG_OK = 0,
    IMSG_MALFORMED,        /* 65 not what the format says, as far as it shows without a private key */
    IMSG_UNSUPPORTED,      /* 65 a version or kind this library does not know */
    IMSG_BAD_SIGNATURE,    /*  1 */
    IMSG_NOT_FOR_THIS_KEY, /*  1 */
    IMSG_BAD_TAG,          /*  1 */
    IMSG_REFUSED,          /*  1 well-formed, but the answer is no */
    IMSG_USAGE,            /* 64 */
    IMSG_TOO_LONG,         /* 65 content over a limit */
    IMSG_NO_INPUT,         /* 66 */
    IMSG_NO_ACCOUNT,       /* 67 the directory answered and has no device for the handle */
    IMSG_UNAVAILABLE,      /* 69 the service said no for good */
    IMSG_INTERNAL,         /* 70 a bug, or the random source failed */
    IMSG_NO_MEMORY,        /* 70 */
    IMSG_CANNOT_CREATE,    /* 73 */
    IMSG_IO,               /* 74 read, write or close failed */
    IMSG_TEMPORARY,        /* 75 safe to try again */
    IMSG_CONFLICT,         /* 75 somebody else changed it meanwhile: read again, try again */
    IMSG_PROTOCOL,         /* 76 the service answered nonsense */
    IMSG_PERMISSION,       /* 77 key file mode, wrong passphrase */
    IMSG_CONFIG,           /* 78 */
    IMSG_STATUS_COUNT
};

/* What a person can do about an error. The library gives a code; the program words it, for it knows its own options. */
enum imsg_hint {
    IMSG_HINT_NONE = 0,
    IMSG_HINT_TEXT,          /* set by a program, never by the library; about: the whole hint */
    IMSG_HINT_MODE,          /* take the file's permissions from others; about: its path */
    IMSG_HINT_IDENTITY,      /* this device has no identity yet: make one */
    IMSG_HINT_ACCEPT,        /* compare the account key with its owner, then accept it; about: "THUMBPRINT HANDLE" */
    IMSG_HINT_OWN_ACCOUNT,   /* an own handle by another account key: perhaps another own device has that key */
    IMSG_HINT_OTHER_ACCOUNT, /* register on the device that has the account key */
    IMSG_HINT_REGISTER,      /* register this device with the directory of the server */
    IMSG_HINT_INVITE,        /* the server may want an invitation */
    IMSG_HINT_MOVED,         /* the service may have moved: configure its new address */
    IMSG_HINT_HTTPS,         /* use https, or allow plain http explicitly */
    IMSG_HINT_FOLDER,        /* name a folder by its path */
    IMSG_HINT_LIBCURL,       /* install libcurl */
    IMSG_HINT_EXPECTED,      /* the program itself named the senders it expects, and this is another */
    IMSG_HINT_WHY,           /* only somebody with the private key can see why; about: the sender's handle, or "" */
};

struct imsg_error {
    enum imsg_status status;
    bool has_offset; /* offset is meaningful */
    uint64_t offset; /* byte at which the input stops making sense, from its start */
    char text[768];  /* one sentence, lower case, no period; may hold bytes from outside, so escape before a terminal */
    enum imsg_hint hint; /* what to do about it */
    char about[512];     /* what the hint is about, as enum imsg_hint says, or ""; bytes from outside as well */
};

/* Exit status (sysexits-like, imsg(7)) of a status; 70 for a value out of range. */
int imsg_status_exit(enum imsg_status status);
/* Its name: "ok", "malformed", "bad-signature", … Never NULL. */
const char *imsg_status_name(enum imsg_status status);
/* Fill *err (if not NULL; clears offset and hint) and return status, so that `return imsg_fail(err, …)` reads well. */
enum imsg_status imsg_fail(struct imsg_error *err, enum imsg_status status, const char *fmt, ...) IMSG_PRINTF(3, 4);
/* The same with the byte offset at which the input went wrong; the text gets "at byte N: " in front. */
enum imsg_status imsg_fail_at(struct imsg_error *err, enum imsg_status status, uint64_t offset, const char *fmt, ...)
    IMSG_PRINTF(4, 5);
/* Put "fmt: " in front of the text already there: outer functions name the role and the file. */
void imsg_error_prefix(struct imsg_error *err, const char *fmt, ...) IMSG_PRINTF(2, 3);
/* Set hint and about (NULL: ""), which is cut where it is too long. */
void imsg_error_suggest(struct imsg_error *err, enum imsg_hint hint, const char *about);

/* ---- Bytes (lib/base/buf.c) --------------------------------------------------------------------------------- */

struct imsg_view { /* borrowed, never freed */
    const uint8_t *ptr;
    size_t len;
};

struct imsg_buf { /* owned; {0} is empty and valid; a NUL follows the last byte whenever ptr is not NULL */
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

struct imsg_view imsg_view_of(const void *ptr, size_t len);
struct imsg_view imsg_view_str(const char *text); /* without the NUL */
struct imsg_view imsg_buf_view(const struct imsg_buf *buf);
bool imsg_view_equal(struct imsg_view a, struct imsg_view b); /* not constant time */
/* Make room for `more` bytes after len. Old memory is wiped when it moves. */
IMSG_CHECK enum imsg_status imsg_buf_reserve(struct imsg_buf *buf, size_t more, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_buf_append(struct imsg_buf *buf, const void *ptr, size_t len, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_buf_text(struct imsg_buf *buf, const char *text, struct imsg_error *err);
void imsg_buf_clear(struct imsg_buf *buf); /* len = 0, bytes wiped, memory kept */
void imsg_buf_free(struct imsg_buf *buf);  /* wiped, then {0} */
void imsg_wipe(void *ptr, size_t len);     /* zeroes that the compiler may not leave out */

/* ---- Handles (lib/base/handle.c) ---------------------------------------------------------------------------- */

#define IMSG_HANDLE_MAX 254 /* bytes of a canonical handle */
/* True if `text` is meant as a handle: it holds '@', starts with '+', "mailto:" or "tel:". All else is a name. */
bool imsg_handle_is(const char *text);
/* Canonical URI: "mailto:" + lower case address, or "tel:+" + E.164 digits (visual separators - . ( ) and space are
 * dropped). Printable ASCII only. IMSG_MALFORMED for anything else. *out is the caller's. */
IMSG_CHECK enum imsg_status imsg_handle_canonical(const char *text, char **out, struct imsg_error *err);
/* True if `text` already is the canonical form. */
bool imsg_handle_is_canonical(const char *text);

/* ---- Keys --------------------------------------------------------------------------------------------------- */

struct imsg_p256; /* a P-256 private key (lib/crypto/p256.c) */
struct imsg_rsa;  /* an RSA-1280 private key (lib/crypto/rsa.c) */

#define IMSG_TOKEN 32                /* push token: SHA-256 of the auth key's 65 bytes */
#define IMSG_PUBLIC_IDENTITY 249     /* format.md §1 */
#define IMSG_PREKEY_RECORD 109       /* format.md §4: of one that is made here */
#define IMSG_PREKEY_RECORD_MAX 8192  /* of one that is read */
#define IMSG_PAYLOAD_MAX 131072      /* largest payload that is opened */
#define IMSG_FORMAT_MAX 65475        /* largest plaintext of any payload format */
#define IMSG_RELAY_PAYLOAD_MAX 16384 /* largest payload that a relay takes */
#define IMSG_FORMATS_MAX 4           /* payload formats there can be */
#define IMSG_DEVICES_MAX 64          /* devices in one entry */

/* §1. The public keys of a "pair" device. */
struct imsg_public_identity {
    uint8_t raw[IMSG_PUBLIC_IDENTITY];
    uint8_t signing[65];  /* 04 || X || Y */
    uint8_t modulus[160]; /* big endian, exactly 1280 bits */
    uint8_t hash[32];     /* SHA-256 of the two inner parts */
};
/* Strict: exactly 249 bytes, exactly the fixed bytes, point on the curve, odd 1280-bit modulus; else IMSG_MALFORMED
 * with the offset. */
IMSG_CHECK enum imsg_status imsg_public_identity_parse(struct imsg_view bytes, struct imsg_public_identity *out,
                                                       struct imsg_error *err);
/* Build from the two keys (raw and hash are filled in). */
IMSG_CHECK enum imsg_status imsg_public_identity_make(const uint8_t signing[IMSG_ROOM(65)],
                                                      const uint8_t modulus[IMSG_ROOM(160)],
                                                      struct imsg_public_identity *out, struct imsg_error *err);

/* §4. A signed prekey. Parsing checks the shape only, and passes over fields that it does not know; imsg_prekey_verify
 * checks the signature. */
struct imsg_prekey {
    uint8_t raw[IMSG_PREKEY_RECORD]; /* the record of the three fields alone */
    uint8_t x[32];
    uint8_t signature[64];
    uint8_t time[8]; /* f64le Unix seconds, as received */
};
IMSG_CHECK enum imsg_status imsg_prekey_parse(struct imsg_view bytes, struct imsg_prekey *out, struct imsg_error *err);
/* IMSG_MALFORMED: a key that is no point; IMSG_BAD_SIGNATURE. */
IMSG_CHECK enum imsg_status imsg_prekey_verify(const struct imsg_prekey *prekey, const uint8_t device_x[IMSG_ROOM(32)],
                                               struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_prekey_make(const struct imsg_p256 *device, const uint8_t prekey_x[IMSG_ROOM(32)],
                                             double unix_seconds, struct imsg_prekey *out, struct imsg_error *err);

/* ---- Payload formats ---------------------------------------------------------------------------------------- */

/* A payload format: "pair" (format.md §2), "pair-ec" (§5). NULL where there is none. */
struct imsg_format;
struct imsg_device;
struct imsg_identity;
const char *imsg_format_name(const struct imsg_format *format); /* "none" of NULL */
const struct imsg_format *imsg_format_of(const char *name);     /* NULL if unknown */
/* The best one that the sender has keys for and the device offers, or NULL. */
const struct imsg_format *imsg_format_best(const struct imsg_identity *sender, const struct imsg_device *device);
/* True if sealing takes a counter, which the sender keeps for each of the recipient's keys. Not of NULL. */
bool imsg_format_counts(const struct imsg_format *format);

/* A field of a payload: where it stood. */
struct imsg_field {
    size_t offset, len;
};

/* ---- Devices and identities (format.md §7) ----------------------------------------------------------------- */

/* device/1: the public record. */
struct imsg_device {
    struct json_t *json; /* the whole document, unknown members kept */
    char **handles;      /* canonical, at least one */
    size_t handle_count;
    struct imsg_buf *proofs; /* of the handles, in their order, as they were read: signatures, not yet checked */
    size_t proof_count;
    char *name;    /* or NULL */
    char *account; /* or NULL; thumbprint of the only account key whose entries the record may stand in */
    char *relay;   /* or NULL; https://host[:port] only */
    char *created; /* or NULL */
    uint8_t token[IMSG_TOKEN];
    uint8_t auth[65]; /* the auth key's point: device_key's, or the signing key of a record without one */
    uint64_t limit;   /* largest payload in bytes, default applied */
    bool has_device_key, has_pair, has_pair_ec;
    struct imsg_public_identity identity; /* if has_pair */
    uint8_t device_x[32];                 /* if has_device_key */
    struct imsg_prekey prekey;            /* if has_pair_ec; signature not yet checked */
    uint8_t *prekey_point;                /* 65 bytes once imsg_device_check said yes, else NULL */
    bool proven;                          /* imsg_device_verify found the proofs good */
    void *keys[IMSG_FORMATS_MAX];         /* of the other formats, each its own */
};
/* Parse one line (or one JSON object). Everything of §7 is checked, the token against the auth key included; its
 * signatures are not (imsg_device_verify). Free with imsg_device_free. */
IMSG_CHECK enum imsg_status imsg_device_parse(struct imsg_view line, struct imsg_device *out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_device_from_json(struct json_t *object, struct imsg_device *out,
                                                  struct imsg_error *err); /* takes its own reference */
/* The prekey's signature alone: what must be good before anything is sealed for the device. */
IMSG_CHECK enum imsg_status imsg_device_check(const struct imsg_device *device, struct imsg_error *err);
/* All that a record must pass before it verifies somebody or is handed on: the holder of its keys has signed each of
 * its handles, its account is `account` where it names one (account NULL: that is not compared), and imsg_device_check.
 * IMSG_REFUSED, IMSG_BAD_SIGNATURE, IMSG_MALFORMED (a prekey that is no point). The text names the device. */
IMSG_CHECK enum imsg_status imsg_device_verify(const struct imsg_device *device, const char *account,
                                               struct imsg_error *err);
/* True if the two say the same. Proofs are not compared: each time they are made they are others. */
bool imsg_device_equal(const struct imsg_device *a, const struct imsg_device *b);
/* Append the record as one line with its newline; `handles` and `proofs` cut to the one given (NULL: as it is). */
IMSG_CHECK enum imsg_status imsg_device_print(const struct imsg_device *device, const char *only_handle,
                                              struct imsg_buf *out, struct imsg_error *err);
bool imsg_device_has_handle(const struct imsg_device *device, const char *canonical);
bool imsg_device_offers(const struct imsg_device *device, const struct imsg_format *format); /* false of NULL */
void imsg_device_free(struct imsg_device *device);

struct imsg_devices { /* a growing list; {0} is empty */
    struct imsg_device *items;
    size_t count, cap;
};
/* Moves *device into the list (then *device is {0}). */
IMSG_CHECK enum imsg_status imsg_devices_add(struct imsg_devices *list, struct imsg_device *device,
                                             struct imsg_error *err);
void imsg_devices_free(struct imsg_devices *list);

struct imsg_retired {
    char *pem;             /* as stored, wiped when freed */
    char *retired;         /* RFC 3339 */
    struct imsg_p256 *key; /* loaded when first needed, else NULL */
};

/* identity/1: a device's private file. */
struct imsg_identity {
    struct json_t *json; /* the whole document without the PEMs of "keys" */
    char **handles;
    size_t handle_count;
    char *name, *created;
    char *relay;   /* or NULL */
    char *account; /* or NULL; thumbprint of the owner's account key */
    uint8_t token[IMSG_TOKEN];
    struct imsg_rsa *encryption; /* with signing: "pair" */
    struct imsg_p256 *signing;
    struct imsg_p256 *device; /* with prekey: "pair-ec"; compact */
    struct imsg_p256 *prekey; /* compact */
    bool has_pair, has_pair_ec;
    bool encrypted;                       /* at least one PEM is encrypted */
    struct imsg_public_identity identity; /* if has_pair */
    uint8_t device_x[32];                 /* if has_pair_ec */
    struct imsg_prekey prekey_record;     /* if has_pair_ec */
    struct imsg_retired *retired;
    size_t retired_count;
    void *keys[IMSG_FORMATS_MAX]; /* of formats other than the two, each its own */
    struct imsg_buf passphrase;   /* kept to load retired prekeys and to write new keys; wiped */
};
/* True if the file holds an encrypted PEM, so that a passphrase must be asked before imsg_identity_parse. */
bool imsg_identity_is_encrypted(struct imsg_view file);
/* `passphrase` may be empty. IMSG_PERMISSION: missing or wrong passphrase. IMSG_MALFORMED: anything else, the
 * token against the auth key included. The caller wipes `file`. */
IMSG_CHECK enum imsg_status imsg_identity_parse(struct imsg_view file, struct imsg_view passphrase,
                                                struct imsg_identity *out, struct imsg_error *err);
/* New keys of all four kinds; token, created and prekey_record are filled in. Takes copies of its arguments; handles
 * must be canonical. relay and name: relay may be NULL. */
IMSG_CHECK enum imsg_status imsg_identity_generate(const char *const *handles, size_t handle_count, const char *name,
                                                   const char *relay, struct imsg_identity *out,
                                                   struct imsg_error *err);
/* Name the owner's account key by its thumbprint, in the identity and in the records made of it. IMSG_MALFORMED: it is
 * no thumbprint. */
IMSG_CHECK enum imsg_status imsg_identity_set_account(struct imsg_identity *identity, const char *thumbprint,
                                                      struct imsg_error *err);
/* New prekey, the old one goes to `retired`. */
IMSG_CHECK enum imsg_status imsg_identity_rotate(struct imsg_identity *identity, struct imsg_error *err);
/* Append the private file (one JSON object and a newline); PEMs are encrypted if identity->passphrase is not empty. */
IMSG_CHECK enum imsg_status imsg_identity_print(const struct imsg_identity *identity, struct imsg_buf *out,
                                                struct imsg_error *err);
/* The public record of it, with a proof of each handle. Free with imsg_device_free. */
IMSG_CHECK enum imsg_status imsg_identity_device(const struct imsg_identity *identity, struct imsg_device *out,
                                                 struct imsg_error *err);
/* The retired prekey number i, loaded on first use; *out is the identity's. Threads may ask at the same time. */
IMSG_CHECK enum imsg_status imsg_identity_retired(struct imsg_identity *identity, size_t i, struct imsg_p256 **out,
                                                  struct imsg_error *err);
/* The 32 bytes of the public identity's hash (format.md §1), the identity's; NULL where it has none. */
const uint8_t *imsg_identity_hash(const struct imsg_identity *identity);
bool imsg_identity_has_keys(const struct imsg_identity *identity, const struct imsg_format *format); /* false of NULL */
bool imsg_identity_has_handle(const struct imsg_identity *identity, const char *canonical);
/* The private key to the auth key: the device key, or the signing key of an identity without one. The identity's. */
const struct imsg_p256 *imsg_identity_signer(const struct imsg_identity *identity);
void imsg_identity_free(struct imsg_identity *identity);

/* ---- Directory entries (format.md §7 entry/1) -------------------------------------------------------------- */

#define IMSG_ENTRY_MAX                                                                                                 \
    1048576 /* bytes of an entry's file: 64 devices of a few hundred bytes, encoded twice, and more */
#define IMSG_ENTRY_FOLDER "imsg/v1/h" /* where entries stand below a directory's base */
#define IMSG_THUMBPRINT 43            /* characters of an RFC 7638 SHA-256 thumbprint, base64url without padding */

struct imsg_entry {
    struct json_t *json; /* the payload object */
    const char *handle;
    uint64_t seq;
    bool has_prev;
    uint8_t prev[32];              /* SHA-256 of the payload before */
    const char *updated, *expires; /* expires may be NULL */
    struct imsg_devices devices;
    uint8_t account[65]; /* the signer's point, from the jwk: proves nothing until compared with a pin */
    char thumbprint[IMSG_THUMBPRINT + 1];
    uint8_t hash[32]; /* SHA-256 of the payload bytes received */
    bool proven;      /* every record passed imsg_device_verify for this account key; the caller's to set */
};
/* Parse, verify, parse the payload. `handle` must be the one asked for. `now` is compared with expires (0: not
 * checked). IMSG_MALFORMED, IMSG_BAD_SIGNATURE, IMSG_REFUSED (other handle, expired). */
IMSG_CHECK enum imsg_status imsg_entry_parse(struct imsg_view file, const char *handle, time_t now,
                                             struct imsg_entry *out, struct imsg_error *err);
/* Sign a new entry with the handle, updated (NULL: now), expires and devices of *entry, all of it the caller's; seq and
 * prev follow *previous (NULL: it is the first). Appends the file's bytes. Every device must hold the handle; at most
 * IMSG_DEVICES_MAX. */
IMSG_CHECK enum imsg_status imsg_entry_sign(const struct imsg_p256 *account, const struct imsg_entry *entry,
                                            const struct imsg_entry *previous, struct imsg_buf *out,
                                            struct imsg_error *err);
void imsg_entry_free(struct imsg_entry *entry);
/* IMSG_ENTRY_FOLDER "/xx/<sha256 of handle>.json": where the entry of a canonical handle stands below a directory's
 * base. */
IMSG_CHECK enum imsg_status imsg_entry_path(const char *handle, struct imsg_buf *out, struct imsg_error *err);
/* RFC 7638 thumbprint of a P-256 point. */
IMSG_CHECK enum imsg_status imsg_thumbprint(const uint8_t point[IMSG_ROOM(65)],
                                            char out[IMSG_ROOM(IMSG_THUMBPRINT + 1)], struct imsg_error *err);
/* IMSG_MALFORMED: the text is not the form of a thumbprint. */
IMSG_CHECK enum imsg_status imsg_thumbprint_check(const char *text, struct imsg_error *err);

/* What a user remembers of a handle (pins.json). */
struct imsg_pin {
    char thumbprint[IMSG_THUMBPRINT + 1];
    uint64_t seq;
    uint8_t hash[32];
    bool proven; /* the records of this payload all passed imsg_device_verify */
};
/* The rules of format.md: another account key, a lower seq, the same seq with another payload, seq + 1 whose prev is
 * not the pinned payload: IMSG_REFUSED. */
IMSG_CHECK enum imsg_status imsg_pin_check(const struct imsg_pin *pin, const struct imsg_entry *entry,
                                           struct imsg_error *err);

/* ---- Attachments (format.md §7 attachment/1) --------------------------------------------------------------- */

struct imsg_attachment {
    struct json_t *json; /* the whole descriptor, as it was read; or NULL */
    char *uri;
    char *name, *type; /* or NULL */
    uint64_t size;
    uint8_t key[32];
    uint8_t sha1[20], sha256[32]; /* of the ciphertext */
};
/* Takes its own reference. */
IMSG_CHECK enum imsg_status imsg_attachment_from_json(struct json_t *object, struct imsg_attachment *out,
                                                      struct imsg_error *err);
/* Append the descriptor as one line with its newline. */
IMSG_CHECK enum imsg_status imsg_attachment_print(const struct imsg_attachment *attachment, struct imsg_buf *out,
                                                  struct imsg_error *err);
void imsg_attachment_free(struct imsg_attachment *attachment);

/* ---- Messages and envelopes --------------------------------------------------------------------------------- */

/* message/1, as it is sealed: header line, newline, content. One that was read owns what its pointers show; one that
 * is to be written is the caller's, who sets what applies and never frees it. */
struct imsg_message {
    struct json_t *header;        /* the whole of it, as it was read */
    const char *id, *from, *time; /* id and time NULL: made when it is written */
    char *const *to;
    size_t to_count;
    const char *type;                  /* or NULL, like all that follow */
    const char *group_id, *group_name; /* both or neither */
    const char *reply_to;
    const char *receipt, *receipt_of; /* "delivered" or "read", and of which message; both or neither */
    struct imsg_attachment *attachments;
    size_t attachment_count;
    bool has_stream;                 /* the header of a sealed file: refused outside one (format.md §8) */
    uint8_t stream_key[32];          /* if has_stream */
    struct imsg_view content;        /* of one that was read: into its plaintext */
    struct imsg_buf plaintext;       /* of a message that imsg_open_envelope opened; else empty */
    char made_id[37], made_time[21]; /* what id and time point at where they were made */
};
/* IMSG_UNSUPPORTED: foreign plaintext, does not start as message/1. IMSG_MALFORMED: starts so, but does not parse. */
IMSG_CHECK enum imsg_status imsg_message_parse(struct imsg_view plaintext, struct imsg_message *out,
                                               struct imsg_error *err);
void imsg_message_free(struct imsg_message *message);

/* Append header line, newline and content. Where id or time is NULL it is made and kept in the message, which must then
 * stay where it is: the envelopes need both. */
IMSG_CHECK enum imsg_status imsg_message_print(struct imsg_message *message, struct imsg_buf *out,
                                               struct imsg_error *err);
/* The id of the group of these participants (the sender included, any order) and this name: a UUID v5 over each
 * distinct handle, sorted by bytes, and the name, each behind its length as u32be, in the namespace
 * 7e0b3f5c-4f0d-5d7e-9a55-6d1f6c0a2b11. */
IMSG_CHECK enum imsg_status imsg_group_id(const char *const *participants, size_t count, const char *name,
                                          char out[IMSG_ROOM(37)], struct imsg_error *err);
/* Whether the message's group is that of its participants (imsg_group_id), or it has none; a receipt must have none.
 * False too where memory is lacking. */
bool imsg_message_group_fits(const struct imsg_message *message);

/* envelope/1 */
struct imsg_envelope {
    struct json_t *json;
    const char *id, *from, *to, *time;
    const char *relay; /* or NULL */
    uint8_t from_token[IMSG_TOKEN], to_token[IMSG_TOKEN];
    const struct imsg_format *format;
    struct imsg_buf payload; /* decoded, 1 to IMSG_PAYLOAD_MAX bytes */
    uint8_t name[32];        /* its name everywhere: SHA-256 over all members but the relay (format.md §7) */
};
/* The name is computed. What does not parse has none. */
IMSG_CHECK enum imsg_status imsg_envelope_parse(struct imsg_view line, struct imsg_envelope *out,
                                                struct imsg_error *err);
void imsg_envelope_free(struct imsg_envelope *envelope);
/* The same for all envelopes around what one sealing made for one device: SHA-256 over what its signature covers
 * (format.md §7). Says something only of an envelope that was opened. Failures are those of parsing the payload. */
IMSG_CHECK enum imsg_status imsg_envelope_replay_key(const struct imsg_envelope *envelope, uint8_t key[IMSG_ROOM(32)],
                                                     struct imsg_error *err);

struct imsg_seal_how {
    const struct imsg_format *format; /* NULL: the best that both have */
    uint32_t counter;                 /* where the format counts */
    uint64_t limit;                   /* bytes of payload, mostly the device's; 0: only the format's own bound */
};
/* Seal `plaintext` (header line and content) for one device. IMSG_TOO_LONG: the payload is over the limit. The
 * signatures of the record's keys are verified first. Appends the bare payload. */
IMSG_CHECK enum imsg_status imsg_seal_payload(const struct imsg_identity *sender, const struct imsg_device *device,
                                              const struct imsg_seal_how *how, struct imsg_view plaintext,
                                              struct imsg_buf *out, struct imsg_error *err);
/* Append one envelope line, newline included, made of the members that it prints: all but json and name, all of them
 * the caller's. */
IMSG_CHECK enum imsg_status imsg_envelope_print(const struct imsg_envelope *envelope, struct imsg_buf *out,
                                                struct imsg_error *err);
struct imsg_payload { /* a bare payload; borrowed */
    const struct imsg_format *format;
    struct imsg_view bytes;
};
/* Open one bare payload that `sender` should have sealed for `identity`. Appends the plaintext. IMSG_MALFORMED and
 * IMSG_UNSUPPORTED: it shows without a key. Everything else is IMSG_REFUSED with one and the same text. Retired
 * prekeys are tried. */
IMSG_CHECK enum imsg_status imsg_open_payload(struct imsg_identity *identity, const struct imsg_device *sender,
                                              struct imsg_payload payload, struct imsg_buf *plaintext,
                                              struct imsg_error *err);
/* Open an envelope: what imsg_open_payload does, then message/1 and the header against the envelope (format.md §7).
 * `sender` must hold envelope->from and envelope->from_token. *message holds the plaintext that its content points
 * into. message->has_stream: it belongs to a sealed file, and a caller that does not read one refuses it. */
IMSG_CHECK enum imsg_status imsg_open_envelope(struct imsg_identity *identity, const struct imsg_device *sender,
                                               const struct imsg_envelope *envelope, struct imsg_message *message,
                                               struct imsg_error *err);

/* ---- Sealed files (format.md §8, lib/format/stream.c) -------------------------------------------------------- */

/* After the envelope lines and the line that imsg_stream_print makes stand the chunks, numbered from 0:
 * IMSG_STREAM_CHUNK bytes of content each, the last 0 to IMSG_STREAM_CHUNK, and IMSG_STREAM_EXTRA bytes of tag and
 * signature behind each. Whoever opens them counts them, and says which is the last: the one that the end of the
 * input follows. */
#define IMSG_STREAM_CHUNK 1048576
#define IMSG_STREAM_EXTRA 80

/* The stream/1 line. The commitment holds the sender to one key: AES-GCM does not, and without it one file could be
 * made that opens to different content for two recipients. */
struct imsg_stream_line {
    char id[37]; /* the header's */
    uint8_t commitment[32];
};
/* The line of a file with this id (a uuid's text) and key. */
IMSG_CHECK enum imsg_status imsg_stream_commit(const char *id, const uint8_t key[IMSG_ROOM(32)],
                                               struct imsg_stream_line *out, struct imsg_error *err);
/* Append it, newline included. */
IMSG_CHECK enum imsg_status imsg_stream_print(const struct imsg_stream_line *line, struct imsg_buf *out,
                                              struct imsg_error *err);
/* True if the line is meant as one. */
bool imsg_stream_is(struct imsg_view line);
/* IMSG_UNSUPPORTED: another version, cipher or chunk size. */
IMSG_CHECK enum imsg_status imsg_stream_parse(struct imsg_view text, struct imsg_stream_line *out,
                                              struct imsg_error *err);

struct imsg_stream; /* what the chunks of one file have in common; a thread has its own */
/* `key` (32 bytes) from the header. key NULL: only signatures are checked. IMSG_REFUSED: the line is not committed to
 * this key. */
IMSG_CHECK enum imsg_status imsg_stream_new(const uint8_t *key, const struct imsg_stream_line *line,
                                            struct imsg_stream **out, struct imsg_error *err);
struct imsg_chunk {
    uint64_t number;
    bool last;
    uint8_t *bytes; /* borrowed */
    size_t len;
};
/* Encrypt and sign where it stands: the chunk holds len bytes of content and has room for IMSG_STREAM_EXTRA more, which
 * are written. auth: the private key to the sender's auth key. */
IMSG_CHECK enum imsg_status imsg_stream_seal(struct imsg_stream *stream, const struct imsg_p256 *auth,
                                             const struct imsg_chunk *chunk, struct imsg_error *err);
/* Verify the signature and then the tag, and decrypt where it stands: the chunk holds len bytes as they were read,
 * the content is the first len - IMSG_STREAM_EXTRA. auth: the 65 bytes of the sender's auth key. IMSG_REFUSED, one text
 * whatever the reason, wrong lengths included; then the chunk is wiped. A stream made without a key checks the
 * signature alone and decrypts nothing. */
IMSG_CHECK enum imsg_status imsg_stream_open(struct imsg_stream *stream, const uint8_t *auth,
                                             const struct imsg_chunk *chunk, struct imsg_error *err);
void imsg_stream_free(struct imsg_stream *stream); /* wiped */

#ifdef __cplusplus
}
#endif

#endif
