/* "pair-ec" (format.md §5): pair_ec.c parses and opens, pair_ec_make.c seals, pair_ec_keys.c has its keys and its row.
 */
#ifndef IMSG_FORMAT_PAIR_EC_H
#define IMSG_FORMAT_PAIR_EC_H

#include "format/format.h"

enum { OUTER_PAYLOAD = 1, OUTER_EPHEMERAL = 2, OUTER_SIGNATURE = 3, OUTER_VALIDATOR = 99 };
enum { INNER_MESSAGE = 1, INNER_COUNTER = 2 };
enum {
    X = 32,
    SIGNATURE = 64,
    VALIDATOR = 7,
    VERSION = 0x0C,     /* the sender's protocol version that we write: the validator's last byte */
    VERSION_MAX = 0x63, /* the last one taken */
    LENGTH = 4,         /* u32le: how much padding stands before it */
    ALIGN = 16,
    AES_KEY = 32,
    AES_IV = 16,
};

struct imsg_pair_ec {
    struct imsg_view payload; /* ciphertext of padded inner */
    uint8_t ephemeral_x[X];
    uint8_t ephemeral[65]; /* the lifted point */
    uint8_t signature[SIGNATURE];
    uint8_t validator[VALIDATOR];
    struct imsg_field f_payload, f_ephemeral, f_signature, f_validator;
};
/* Protobuf, lengths, and that the ephemeral x is a point; the validator's version is imsg_pair_ec_check_version's. The
 * layout (may be NULL) is filled in also where the payload is refused. */
IMSG_CHECK enum imsg_status imsg_pair_ec_parse(struct imsg_view payload, struct imsg_pair_ec *out,
                                               struct imsg_layout *layout, struct imsg_error *err);

/* IMSG_UNSUPPORTED: a version that is not taken, which is no secret. The trace gets the check. */
IMSG_CHECK enum imsg_status imsg_pair_ec_check_version(const struct imsg_pair_ec *pair_ec, struct imsg_trace *trace,
                                                       struct imsg_error *err);
struct imsg_pair_ec_recipient {
    const uint8_t *device_x; /* 32 bytes */
    const uint8_t *prekey;   /* 65 bytes; its signature must have been verified */
    uint32_t counter;
};
/* Seal `message` (at most IMSG_FORMAT_MAX bytes). Appends the payload. */
IMSG_CHECK enum imsg_status imsg_pair_ec_seal(const struct imsg_p256 *sender_device,
                                              const struct imsg_pair_ec_recipient *recipient, struct imsg_view message,
                                              struct imsg_buf *out, struct imsg_error *err);

struct imsg_pair_ec_keys {
    const uint8_t *device_x;        /* the recipient's, 32 bytes */
    const struct imsg_p256 *prekey; /* the recipient's */
    const uint8_t *sender;          /* the point of the sender's device key, 65 bytes; with a trace or NULL: the
                                     * signature is not checked */
};
/* Open with one prekey; appends the message. not-for-this-key: the validator names another device or prekey (the caller
 * then tries a retired prekey). The trace gets the counter. */
IMSG_CHECK enum imsg_status imsg_pair_ec_open(const struct imsg_pair_ec *pair_ec, const struct imsg_pair_ec_keys *keys,
                                              struct imsg_buf *out, struct imsg_trace *trace, struct imsg_error *err);

/* ---- what sealing and opening share ---- */

/* Key and first counter block; the caller wipes it. */
struct imsg_pair_ec_cipher {
    uint8_t okm[AES_KEY + AES_IV];
};
IMSG_CHECK enum imsg_status imsg_pair_ec_derive(const uint8_t secret[static X], struct imsg_pair_ec_cipher *out,
                                                struct imsg_error *err);
/* Both directions; out may be in. */
IMSG_CHECK enum imsg_status imsg_pair_ec_crypt(const struct imsg_pair_ec_cipher *cipher, const uint8_t *in,
                                               uint8_t *out, size_t len, struct imsg_error *err);

enum { IMSG_PAIR_EC_SIGNED = 5 };
/* What is signed, in its order; the first four have 32 bytes. */
struct imsg_pair_ec_signed {
    const uint8_t *secret, *prekey_x, *ephemeral_x, *recipient_x;
    struct imsg_view payload;
};
void imsg_pair_ec_signed_parts(const struct imsg_pair_ec_signed *data,
                               struct imsg_view parts[static IMSG_PAIR_EC_SIGNED]);
IMSG_CHECK enum imsg_status imsg_pair_ec_hash(const struct imsg_pair_ec_signed *data, uint8_t hash[static 32],
                                              struct imsg_error *err);

#endif
