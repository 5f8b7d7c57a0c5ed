/* "pair-ec": sealing (format.md §5). */
#include <string.h>

#include "crypto/crypto.h"
#include "format/pair_ec.h"
#include "format/protobuf.h"

enum {
    /* Tags, lengths and the three small fields around the payload. */
    OUTER_ROOM = (1 + 10) + (2 + X) + (2 + SIGNATURE) + (3 + VALIDATOR),
    INNER_ROOM = (1 + 10) + (1 + 10) + ALIGN + LENGTH,
};

/* The secrets of one sealing, wiped together. */
struct sealing {
    struct imsg_p256 *ephemeral;
    uint8_t secret[X];
    struct imsg_pair_ec_cipher cipher;
};

static enum imsg_status agree_on_key(struct sealing *sealing, const uint8_t prekey[static 65], struct imsg_error *err)
{
    /* Either root will do: only x travels, and x of the product is the same. */
    enum imsg_status status = imsg_p256_generate(&sealing->ephemeral, err);
    if (status == IMSG_OK)
        status = imsg_p256_ecdh(sealing->ephemeral, prekey, sealing->secret, err);
    if (status == IMSG_OK)
        status = imsg_pair_ec_derive(sealing->secret, &sealing->cipher, err);
    return status;
}

static size_t inner_len(struct imsg_view message, uint32_t counter)
{
    size_t field = message.len == 0 ? 0 : 1 + imsg_pb_varint_len(message.len) + message.len;
    return field + 1 + imsg_pb_varint_len(counter);
}

/* Append inner, padding and the padding's length. */
static enum imsg_status put_padded(struct imsg_buf *out, struct imsg_view message, uint32_t counter, size_t padding,
                                   struct imsg_error *err)
{
    const uint8_t length[LENGTH] = {(uint8_t)padding}; /* little endian; below ALIGN */
    enum imsg_status status = IMSG_OK;
    if (message.len > 0)
        status = imsg_pb_put_bytes(out, INNER_MESSAGE, message, err);
    if (status == IMSG_OK)
        status = imsg_pb_put_varint(out, INNER_COUNTER, counter, err);
    if (status == IMSG_OK && padding > 0) {
        uint8_t random[ALIGN];
        status = imsg_random(random, padding, err);
        if (status == IMSG_OK)
            status = imsg_buf_append(out, random, padding, err);
    }
    if (status == IMSG_OK)
        status = imsg_buf_append(out, length, LENGTH, err);
    return status;
}

static void make_validator(uint8_t out[static VALIDATOR], const uint8_t sender_x[static X],
                           const uint8_t recipient_x[static X], const uint8_t prekey_x[static X])
{
    memcpy(out, sender_x, 2);
    memcpy(out + 2, recipient_x, 2);
    memcpy(out + 4, prekey_x, 2);
    out[6] = VERSION;
}

/* Append ephemeral key, signature and validator. */
static enum imsg_status put_rest(struct imsg_buf *out, const struct imsg_p256 *sender_device,
                                 const struct sealing *sealing, const struct imsg_pair_ec_recipient *recipient,
                                 struct imsg_view payload, struct imsg_error *err)
{
    const struct imsg_pair_ec_signed data = {.secret = sealing->secret,
                                             .prekey_x = recipient->prekey + 1,
                                             .ephemeral_x = imsg_p256_point(sealing->ephemeral) + 1,
                                             .recipient_x = recipient->device_x,
                                             .payload = payload};
    uint8_t hash[32], signature[SIGNATURE], validator[VALIDATOR];
    make_validator(validator, imsg_p256_point(sender_device) + 1, data.recipient_x, data.prekey_x);
    enum imsg_status status = imsg_pair_ec_hash(&data, hash, err);
    if (status == IMSG_OK)
        status = imsg_p256_sign(sender_device, imsg_view_of(hash, sizeof hash), signature, err);
    if (status == IMSG_OK)
        status = imsg_pb_put_bytes(out, OUTER_EPHEMERAL, imsg_view_of(data.ephemeral_x, X), err);
    if (status == IMSG_OK)
        status = imsg_pb_put_bytes(out, OUTER_SIGNATURE, imsg_view_of(signature, sizeof signature), err);
    if (status == IMSG_OK)
        status = imsg_pb_put_bytes(out, OUTER_VALIDATOR, imsg_view_of(validator, sizeof validator), err);
    return status;
}

enum imsg_status imsg_pair_ec_seal(const struct imsg_p256 *sender_device,
                                   const struct imsg_pair_ec_recipient *recipient, struct imsg_view message,
                                   struct imsg_buf *out, struct imsg_error *err)
{
    if (message.len > IMSG_FORMAT_MAX)
        return imsg_fail(err, IMSG_TOO_LONG, "message of %zu bytes is over the %d that \"pair-ec\" can hold",
                         message.len, IMSG_FORMAT_MAX);
    size_t start = out->len, inner = inner_len(message, recipient->counter), padding = (ALIGN - inner % ALIGN) % ALIGN;
    size_t len = inner + padding + LENGTH;
    /* All memory at once: then the buffer does not move, and `payload` stays valid. */
    enum imsg_status status = imsg_buf_reserve(out, OUTER_ROOM + INNER_ROOM + len, err);
    if (status != IMSG_OK)
        return status;
    struct sealing sealing = {0};
    uint8_t *payload;
    status = agree_on_key(&sealing, recipient->prekey, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_pb_put_head(out, OUTER_PAYLOAD, len, err);
    if (status != IMSG_OK)
        goto out;
    payload = out->ptr + out->len;
    status = put_padded(out, message, recipient->counter, padding, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_pair_ec_crypt(&sealing.cipher, payload, payload, len, err);
    if (status != IMSG_OK)
        goto out;
    status = put_rest(out, sender_device, &sealing, recipient, imsg_view_of(payload, len), err);
out:
    if (status != IMSG_OK) {
        imsg_wipe(out->ptr + start, out->len - start);
        out->len = start;
        out->ptr[start] = 0;
    }
    imsg_p256_free(sealing.ephemeral);
    imsg_wipe(&sealing, sizeof sealing);
    return status;
}
