/* "pair-ec": an ephemeral P-256 key against the recipient's prekey, AES-256-CTR, one signature (format.md §5).
 *
 * The shared secret is part of what is signed: without it an attacker could sign a captured payload as his own. There
 * is no other tag. */
#include <stdio.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/pair_ec.h"
#include "format/protobuf.h"

enum imsg_status imsg_pair_ec_derive(const uint8_t secret[static X], struct imsg_pair_ec_cipher *out,
                                     struct imsg_error *err)
{
    return imsg_hkdf_sha256(imsg_view_of(secret, X), imsg_view_str("LastPawn-MessageKeys"), imsg_view_str(""), out->okm,
                            sizeof out->okm, err);
}

enum imsg_status imsg_pair_ec_crypt(const struct imsg_pair_ec_cipher *cipher, const uint8_t *in, uint8_t *out,
                                    size_t len, struct imsg_error *err)
{
    return imsg_aes256_ctr64(cipher->okm, cipher->okm + AES_KEY, in, out, len, err);
}

void imsg_pair_ec_signed_parts(const struct imsg_pair_ec_signed *data,
                               struct imsg_view parts[static IMSG_PAIR_EC_SIGNED])
{
    parts[0] = imsg_view_of(data->secret, X);
    parts[1] = imsg_view_of(data->prekey_x, X);
    parts[2] = imsg_view_of(data->ephemeral_x, X);
    parts[3] = imsg_view_of(data->recipient_x, X);
    parts[4] = data->payload;
}

enum imsg_status imsg_pair_ec_hash(const struct imsg_pair_ec_signed *data, uint8_t hash[static 32],
                                   struct imsg_error *err)
{
    struct imsg_view parts[IMSG_PAIR_EC_SIGNED];
    imsg_pair_ec_signed_parts(data, parts);
    return imsg_sha256_parts(parts, IMSG_PAIR_EC_SIGNED, hash, err);
}

/* ---- Parsing ---- */

struct outer {
    struct imsg_pb_field payload, ephemeral, signature, validator; /* number 0: not there */
};

static struct imsg_pb_field *outer_slot(struct outer *outer, uint32_t number)
{
    switch (number) {
    case OUTER_PAYLOAD:
        return &outer->payload;
    case OUTER_EPHEMERAL:
        return &outer->ephemeral;
    case OUTER_SIGNATURE:
        return &outer->signature;
    case OUTER_VALIDATOR:
        return &outer->validator;
    default:
        return NULL;
    }
}

static void lay_out_validator(struct imsg_layout *layout, const struct imsg_pb_field *field)
{
    static const struct {
        const char *name;
        size_t offset, len;
    } parts[] = {{"sender_hint", 0, 2}, {"device_hint", 2, 2}, {"prekey_hint", 4, 2}, {"version", 6, 1}};
    if (field->at.len != VALIDATOR)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        imsg_layout_add_inside(layout, parts[i].name,
                               (struct imsg_field){field->at.offset + parts[i].offset, parts[i].len});
}

/* Unknown fields are skipped; the last of a repeated one counts. */
static enum imsg_status read_outer(struct imsg_view bytes, struct outer *out, struct imsg_layout *layout,
                                   struct imsg_error *err)
{
    static const struct imsg_pb_name names[] = {{OUTER_PAYLOAD, "payload"},
                                                {OUTER_EPHEMERAL, "ephemeral_x"},
                                                {OUTER_SIGNATURE, "signature"},
                                                {OUTER_VALIDATOR, "validator"},
                                                {0, NULL}};
    struct imsg_pb_reader reader = {.bytes = bytes, .layout = layout, .names = names};
    struct imsg_pb_field field;
    bool more;
    enum imsg_status status = IMSG_OK, next;
    /* With a layout it reads on after a field of the wrong type. */
    while ((next = imsg_pb_next(&reader, &field, &more, status == IMSG_OK ? err : NULL)) == IMSG_OK && more) {
        struct imsg_pb_field *slot = outer_slot(out, field.number);
        if (layout && field.number == OUTER_VALIDATOR)
            lay_out_validator(layout, &field);
        if (!slot || status != IMSG_OK)
            continue;
        status = imsg_pb_expect(&field, IMSG_PB_BYTES, err);
        if (status != IMSG_OK && !layout)
            break;
        *slot = field;
    }
    return status != IMSG_OK ? status : next;
}

static enum imsg_status require_field(const struct imsg_pb_field *field, size_t len, const char *name, size_t end,
                                      struct imsg_error *err)
{
    if (field->number == 0)
        return imsg_fail_at(err, IMSG_MALFORMED, end, "there is no %s", name);
    if (len != 0 && field->at.len != len)
        return imsg_fail_at(err, IMSG_MALFORMED, field->at.offset, "%s has %zu bytes, not %zu", name, field->at.len,
                            len);
    return IMSG_OK;
}

enum imsg_status imsg_pair_ec_parse(struct imsg_view payload, struct imsg_pair_ec *out, struct imsg_layout *layout,
                                    struct imsg_error *err)
{
    if (payload.len > IMSG_PAYLOAD_MAX) {
        (void)imsg_layout_add(layout, "unreadable", (struct imsg_field){0, payload.len}, IMSG_SHOWN_HEX);
        return imsg_fail_at(err, IMSG_MALFORMED, IMSG_PAYLOAD_MAX, "payload of %zu bytes is over the %d taken",
                            payload.len, IMSG_PAYLOAD_MAX);
    }
    struct outer outer = {0};
    enum imsg_status status = read_outer(payload, &outer, layout, err);
    if (status == IMSG_OK)
        status = require_field(&outer.payload, 0, "payload field", payload.len, err);
    if (status == IMSG_OK && outer.payload.at.len < LENGTH)
        status = imsg_fail_at(err, IMSG_MALFORMED, outer.payload.at.offset,
                              "payload field has %zu bytes, fewer than %d", outer.payload.at.len, LENGTH);
    if (status == IMSG_OK)
        status = require_field(&outer.ephemeral, X, "ephemeral key", payload.len, err);
    if (status == IMSG_OK)
        status = require_field(&outer.signature, SIGNATURE, "signature", payload.len, err);
    if (status == IMSG_OK)
        status = require_field(&outer.validator, VALIDATOR, "validator", payload.len, err);
    if (status != IMSG_OK)
        return status;

    struct imsg_pair_ec found = {
        .payload = outer.payload.bytes,
        .f_payload = outer.payload.at,
        .f_ephemeral = outer.ephemeral.at,
        .f_signature = outer.signature.at,
        .f_validator = outer.validator.at,
    };
    memcpy(found.ephemeral_x, outer.ephemeral.bytes.ptr, X);
    memcpy(found.signature, outer.signature.bytes.ptr, SIGNATURE);
    memcpy(found.validator, outer.validator.bytes.ptr, VALIDATOR);
    status = imsg_p256_lift(found.ephemeral_x, found.ephemeral, err);
    if (status == IMSG_MALFORMED)
        return imsg_fail_at(err, status, found.f_ephemeral.offset, "ephemeral key is not a point of P-256");
    if (status == IMSG_OK)
        *out = found;
    return status;
}

enum imsg_status imsg_pair_ec_check_version(const struct imsg_pair_ec *pair_ec, struct imsg_trace *trace,
                                            struct imsg_error *err)
{
    char note[64];
    unsigned version = pair_ec->validator[VALIDATOR - 1];
    snprintf(note, sizeof note, "validator of version %02x, not %02x to %02x", version, VERSION, VERSION_MAX);
    if (imsg_trace_check(trace, "validator_version", version >= VERSION && version <= VERSION_MAX, note))
        return IMSG_OK;
    return imsg_fail_at(err, IMSG_UNSUPPORTED, pair_ec->f_validator.offset + VALIDATOR - 1, "%s", note);
}

/* ---- Opening ---- */

/* Whom the validator names. Nothing secret is used, so this need not take constant time. */
static enum imsg_status check_validator(const uint8_t validator[static VALIDATOR], const struct imsg_pair_ec_keys *keys,
                                        struct imsg_trace *trace, struct imsg_error *err)
{
    const char *device = "validator names another device", *prekey = "validator names another prekey",
               *sender = "validator names another sender";
    const uint8_t *prekey_x = imsg_p256_point(keys->prekey) + 1;
    imsg_trace_value(trace, "validator", imsg_view_of(validator, VALIDATOR));
    bool for_device =
        imsg_trace_check(trace, "validator_device", memcmp(validator + 2, keys->device_x, 2) == 0, device);
    bool for_prekey = imsg_trace_check(trace, "validator_prekey", memcmp(validator + 4, prekey_x, 2) == 0, prekey);
    bool by_sender = !keys->sender ||
                     imsg_trace_check(trace, "validator_sender", memcmp(validator, keys->sender + 1, 2) == 0, sender);
    if (trace)
        trace->key_fits = for_device;
    if (!for_device || !for_prekey)
        return imsg_fail(err, IMSG_NOT_FOR_THIS_KEY, "%s", for_device ? prekey : device);
    return by_sender ? IMSG_OK : imsg_fail(err, IMSG_BAD_SIGNATURE, "%s", sender);
}

/* The bytes that are signed, their hash, and both forms of the signature. */
static void trace_signed(struct imsg_trace *trace, const struct imsg_pair_ec *pair_ec,
                         const struct imsg_pair_ec_signed *data)
{
    struct imsg_buf all = {0};
    struct imsg_view parts[IMSG_PAIR_EC_SIGNED];
    uint8_t hash[32], der[72];
    size_t der_len = 0;
    if (!trace)
        return;
    imsg_pair_ec_signed_parts(data, parts);
    for (size_t i = 0; i < IMSG_PAIR_EC_SIGNED; i++)
        if (imsg_buf_append(&all, parts[i].ptr, parts[i].len, NULL) != IMSG_OK)
            trace->incomplete = true;
    imsg_trace_value(trace, "signed_data", imsg_buf_view(&all));
    if (imsg_sha256(imsg_buf_view(&all), hash, NULL) == IMSG_OK)
        imsg_trace_value(trace, "signed_sha256", imsg_view_of(hash, sizeof hash));
    imsg_trace_value(trace, "signature", imsg_view_of(pair_ec->signature, SIGNATURE));
    if (imsg_p256_signature_der(pair_ec->signature, der, &der_len) == IMSG_OK)
        imsg_trace_value(trace, "signature_der", imsg_view_of(der, der_len));
    imsg_buf_free(&all);
}

static enum imsg_status check_signature(const struct imsg_pair_ec *pair_ec, const struct imsg_pair_ec_signed *data,
                                        const uint8_t sender[static 65], struct imsg_error *err)
{
    uint8_t hash[32];
    enum imsg_status status = imsg_pair_ec_hash(data, hash, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_p256_verify(sender, imsg_view_of(hash, sizeof hash), pair_ec->signature, err);
    if (status == IMSG_BAD_SIGNATURE)
        return imsg_fail(err, status, "signature is not the sender's over this payload and these keys");
    return status;
}

/* *message points into the decrypted bytes. */
static enum imsg_status read_inner(struct imsg_view padded, struct imsg_view *message, struct imsg_trace *trace,
                                   struct imsg_error *err)
{
    static const struct imsg_pb_name names[] = {
        {INNER_MESSAGE, "message"}, {INNER_COUNTER, "counter"}, {3, "kt_gossip_data"}, {99, "debug_info"}, {0, NULL}};
    size_t room = padded.len - LENGTH;
    const uint8_t *l = padded.ptr + room;
    uint32_t padding = (uint32_t)l[0] | (uint32_t)l[1] << 8 | (uint32_t)l[2] << 16 | (uint32_t)l[3] << 24;
    if (padding > room)
        return imsg_fail(err, IMSG_MALFORMED, "decrypted padding length %u exceeds the %zu bytes there", padding, room);
    imsg_trace_value(trace, "padding", imsg_view_of(padded.ptr + room - padding, padding));
    imsg_trace_value(trace, "inner", imsg_view_of(padded.ptr, room - padding));
    struct imsg_pb_reader reader = {
        .bytes = imsg_view_of(padded.ptr, room - padding), .layout = trace ? &trace->inner : NULL, .names = names};
    struct imsg_pb_field field;
    struct imsg_view found = {0};
    bool more;
    enum imsg_status status;
    while ((status = imsg_pb_next(&reader, &field, &more, err)) == IMSG_OK && more) {
        if (field.number == INNER_MESSAGE) {
            status = imsg_pb_expect(&field, IMSG_PB_BYTES, err);
            found = field.bytes;
        } else if (field.number == INNER_COUNTER) {
            status = imsg_pb_expect(&field, IMSG_PB_VARINT, err);
            if (status == IMSG_OK)
                imsg_trace_number(trace, "counter", field.varint);
            if (status == IMSG_OK && field.varint > UINT32_MAX)
                status = imsg_fail_at(err, IMSG_MALFORMED, field.at.offset, "counter is over 32 bits");
        }
        if (status != IMSG_OK) {
            if (trace)
                imsg_pb_lay_out(&reader);
            break;
        }
    }
    if (status == IMSG_OK) {
        *message = found;
    } else if (err) {
        /* The offset is one of the decrypted bytes, not of the payload. */
        imsg_error_prefix(err, "inside, decrypted");
        err->has_offset = false;
    }
    return status;
}

/* The secret and the signature: nothing is decrypted before both are right. */
static enum imsg_status agree_and_verify(const struct imsg_pair_ec *pair_ec, const struct imsg_pair_ec_keys *keys,
                                         uint8_t secret[static X], struct imsg_trace *trace, struct imsg_error *err)
{
    const struct imsg_pair_ec_signed data = {.secret = secret,
                                             .prekey_x = imsg_p256_point(keys->prekey) + 1,
                                             .ephemeral_x = pair_ec->ephemeral_x,
                                             .recipient_x = keys->device_x,
                                             .payload = pair_ec->payload};
    enum imsg_status status = imsg_p256_ecdh(keys->prekey, pair_ec->ephemeral, secret, err);
    if (status != IMSG_OK)
        return status;
    imsg_trace_value(trace, "ephemeral_x", imsg_view_of(data.ephemeral_x, X));
    imsg_trace_value(trace, "prekey_x", imsg_view_of(data.prekey_x, X));
    imsg_trace_value(trace, "device_x", imsg_view_of(data.recipient_x, X));
    imsg_trace_value(trace, "secret", imsg_view_of(secret, X));
    trace_signed(trace, pair_ec, &data);
    if (!keys->sender)
        return imsg_fail(err, IMSG_REFUSED, "the sender's keys are not known");
    status = check_signature(pair_ec, &data, keys->sender, err);
    imsg_trace_check(trace, "signature", status == IMSG_OK, "not the sender's over this payload and these keys");
    return status;
}

static enum imsg_status decrypt_inner(const struct imsg_pair_ec *pair_ec, const uint8_t secret[static X],
                                      uint8_t *plain, struct imsg_view *message, struct imsg_trace *trace,
                                      struct imsg_error *err)
{
    struct imsg_pair_ec_cipher cipher;
    size_t len = pair_ec->payload.len;
    enum imsg_status status = imsg_pair_ec_derive(secret, &cipher, err);
    if (status == IMSG_OK) {
        imsg_trace_value(trace, "hkdf_key", imsg_view_of(cipher.okm, AES_KEY));
        imsg_trace_value(trace, "hkdf_iv", imsg_view_of(cipher.okm + AES_KEY, AES_IV));
        imsg_trace_value(trace, "payload", pair_ec->payload);
        status = imsg_pair_ec_crypt(&cipher, pair_ec->payload.ptr, plain, len, err);
    }
    if (status == IMSG_OK) {
        imsg_trace_value(trace, "inner_padded", imsg_view_of(plain, len));
        status = read_inner(imsg_view_of(plain, len), message, trace, err);
        imsg_trace_check(trace, "inner", status == IMSG_OK, err ? err->text : "does not parse");
    }
    if (status == IMSG_OK)
        imsg_trace_value(trace, "plaintext", *message);
    imsg_wipe(&cipher, sizeof cipher);
    return status;
}

enum imsg_status imsg_pair_ec_open(const struct imsg_pair_ec *pair_ec, const struct imsg_pair_ec_keys *keys,
                                   struct imsg_buf *out, struct imsg_trace *trace, struct imsg_error *err)
{
    struct imsg_error late = {0}, *first_err = err ? err : &late;
    enum imsg_status first = check_validator(pair_ec->validator, keys, trace, err);
    size_t len = pair_ec->payload.len;
    enum imsg_status status = imsg_buf_reserve(out, len + 1, err);
    if (status != IMSG_OK)
        return status;
    uint8_t *plain = out->ptr + out->len, secret[X];
    struct imsg_view message = {0};
    status = agree_and_verify(pair_ec, keys, secret, trace, first == IMSG_OK ? first_err : &late);
    if (first == IMSG_OK)
        first = status;
    /* The work goes on after a failure, so that from outside (time, system calls) all refusals look alike; but without
     * a trace, what is not signed is decrypted with a key of zeros. */
    if (first != IMSG_OK && !trace)
        memset(secret, 0, sizeof secret);
    status = decrypt_inner(pair_ec, secret, plain, &message, trace, first == IMSG_OK ? first_err : &late);
    if (first != IMSG_OK) {
        status = first;
        message.len = 0;
    }
    if (status == IMSG_OK) {
        if (message.len > 0)
            memmove(plain, message.ptr, message.len);
        out->len += message.len;
    }
    /* After a failure all of the plaintext, else what stood around the message. */
    imsg_wipe(out->ptr + out->len, len - message.len);
    out->ptr[out->len] = 0;
    imsg_wipe(secret, sizeof secret);
    return status;
}
