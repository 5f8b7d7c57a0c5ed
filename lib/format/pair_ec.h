/* Shared by pair_ec.c, which parses and opens, and pair_ec_make.c, which seals (formats.md §5). */
#ifndef IMSG_FORMAT_PAIR_EC_H
#define IMSG_FORMAT_PAIR_EC_H

#include "imsg.h"

enum { OUTER_PAYLOAD = 1, OUTER_EPHEMERAL = 2, OUTER_SIGNATURE = 3, OUTER_VALIDATOR = 99 };
enum { INNER_MESSAGE = 1, INNER_COUNTER = 2 };
enum {
    X = 32,
    SIGNATURE = 64,
    VALIDATOR = 7,
    VALIDATOR_END = 0x0C,
    LENGTH = 4, /* u32le: how much padding stands before it */
    ALIGN = 16,
    AES_KEY = 32,
    AES_IV = 16,
};

/* Key and first counter block. Wiped by whoever has it. */
struct imsg_pair_ec_cipher {
    uint8_t okm[AES_KEY + AES_IV];
};
IMSG_CHECK enum imsg_status imsg_pair_ec_derive(const uint8_t secret[static 32], struct imsg_pair_ec_cipher *out,
                                                struct imsg_error *err);
/* Both directions; out may be in. */
IMSG_CHECK enum imsg_status imsg_pair_ec_crypt(const struct imsg_pair_ec_cipher *cipher, const uint8_t *in,
                                               uint8_t *out, size_t len, struct imsg_error *err);
/* The hash that is signed. */
IMSG_CHECK enum imsg_status imsg_pair_ec_hash(const uint8_t secret[static 32], const uint8_t prekey_x[static 32],
                                              const uint8_t ephemeral_x[static 32],
                                              const uint8_t recipient_device_x[static 32], struct imsg_view payload,
                                              uint8_t hash[static 32], struct imsg_error *err);

/* imsg_pair_ec_seal where the prekey's point is known: a root costs as much as a signature. */
IMSG_CHECK enum imsg_status imsg_pair_ec_seal_to(const struct imsg_p256 *sender_device,
                                                 const uint8_t recipient_device_x[static 32],
                                                 const uint8_t prekey[static 65], uint32_t counter,
                                                 struct imsg_view message, struct imsg_buf *out,
                                                 struct imsg_error *err);
/* imsg_pair_ec_open_traced where the point of the sender's device key is known; NULL: the signature is not checked. */
IMSG_CHECK enum imsg_status imsg_pair_ec_open_from(const struct imsg_pair_ec *pair_ec,
                                                   const uint8_t recipient_device_x[static 32],
                                                   const struct imsg_p256 *recipient_prekey, const uint8_t *sender,
                                                   struct imsg_buf *out, uint32_t *counter, bool *has_counter,
                                                   struct imsg_trace *trace, struct imsg_error *err);

#endif
