/* "pair": its keys in records and identities, and its row. */
#include "base/json.h"
#include "crypto/crypto.h"
#include "format/identity.h"
#include "format/pair.h"

static bool offered_by(const struct imsg_device *device)
{
    return device->has_pair;
}

static enum imsg_status read_record(const json_t *record, struct imsg_device *device, struct imsg_error *err)
{
    uint8_t identity[IMSG_PUBLIC_IDENTITY];
    enum imsg_status status = imsg_json_base64(record, "identity", identity, sizeof identity, &device->has_pair, err);
    if (status != IMSG_OK || !device->has_pair)
        return status;
    status = imsg_public_identity_parse(imsg_view_of(identity, sizeof identity), &device->identity, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "identity");
    return status;
}

static enum imsg_status write_record(const struct imsg_identity *identity, json_t *record, struct imsg_error *err)
{
    if (!identity->has_pair)
        return IMSG_OK;
    return imsg_json_set_base64(record, "identity", imsg_view_of(identity->identity.raw, IMSG_PUBLIC_IDENTITY), err);
}

static void trace_record(const struct imsg_device *device, struct imsg_trace *trace)
{
    if (device->has_pair)
        imsg_trace_value(trace, "identity_hash", imsg_view_of(device->identity.hash, sizeof device->identity.hash));
}

static bool usable_by(const struct imsg_identity *identity)
{
    return identity->has_pair;
}

const uint8_t *imsg_identity_hash(const struct imsg_identity *identity)
{
    return identity->has_pair ? identity->identity.hash : NULL;
}

/* What follows from the private keys. */
static enum imsg_status derive(struct imsg_identity *identity, struct imsg_error *err)
{
    identity->has_pair = true;
    return imsg_public_identity_make(imsg_p256_point(identity->signing), imsg_rsa_modulus(identity->encryption),
                                     &identity->identity, err);
}

static enum imsg_status read_rsa(const struct imsg_identity_file *file, struct imsg_rsa **out, struct imsg_error *err)
{
    const char *pem = NULL;
    enum imsg_status status = imsg_json_peek(file->keys, "encryption", IMSG_OPTIONAL, &pem, err);
    if (status != IMSG_OK || !pem)
        return status;
    status = imsg_rsa_from_pem(imsg_view_str(pem), file->passphrase, out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "key \"encryption\"");
    return status;
}

static enum imsg_status read_identity(const struct imsg_identity_file *file, struct imsg_identity *identity,
                                      struct imsg_error *err)
{
    enum imsg_status status = read_rsa(file, &identity->encryption, err);
    if (status == IMSG_OK) /* the signing key travels as a full point: never negated */
        status = imsg_identity_read_p256(file, "signing", false, &identity->signing, err);
    if (status != IMSG_OK)
        return status;
    if (!identity->encryption != !identity->signing)
        return imsg_fail(err, IMSG_MALFORMED, "keys \"encryption\" and \"signing\" go together");
    return identity->encryption ? derive(identity, err) : IMSG_OK;
}

static enum imsg_status write_identity(const struct imsg_identity *identity, const struct imsg_identity_file *file,
                                       struct imsg_error *err)
{
    struct imsg_buf pem = {0};
    if (!identity->has_pair)
        return IMSG_OK;
    enum imsg_status status = imsg_rsa_to_pem(identity->encryption, file->passphrase, &pem, err);
    if (status == IMSG_OK)
        status = imsg_json_set(file->keys, "encryption", json_stringn((const char *)pem.ptr, pem.len), err);
    if (status == IMSG_OK)
        status = imsg_identity_write_p256(file, "signing", identity->signing, err);
    imsg_buf_free(&pem);
    return status;
}

static void trace_identity(const struct imsg_identity *identity, bool private_keys, struct imsg_trace *trace)
{
    if (identity->has_pair && private_keys) {
        imsg_trace_value(trace, "signing_d", imsg_view_of(imsg_p256_scalar(identity->signing), 32));
    } else if (identity->has_pair) {
        imsg_trace_value(trace, "signing_pub", imsg_view_of(imsg_p256_point(identity->signing), 65));
        imsg_trace_value(trace, "rsa_n", imsg_view_of(imsg_rsa_modulus(identity->encryption), 160));
        imsg_trace_value(trace, "identity", imsg_view_of(identity->identity.raw, IMSG_PUBLIC_IDENTITY));
        imsg_trace_value(trace, "identity_hash", imsg_view_of(identity->identity.hash, 32));
    }
}

static enum imsg_status generate_keys(struct imsg_identity *identity, struct imsg_error *err)
{
    enum imsg_status status = imsg_rsa_generate(&identity->encryption, err);
    if (status == IMSG_OK)
        status = imsg_p256_generate(&identity->signing, err);
    return status == IMSG_OK ? derive(identity, err) : status;
}

static void free_identity(struct imsg_identity *identity)
{
    imsg_rsa_free(identity->encryption);
    imsg_p256_free(identity->signing);
}

static bool begins(struct imsg_view payload)
{
    return payload.len > 0 && payload.ptr[0] == 0x02;
}

static enum imsg_status parse(struct imsg_view payload, void *parts, struct imsg_layout *layout, struct imsg_error *err)
{
    return imsg_pair_parse(payload, parts, layout, err);
}

static bool may_be_from(const void *parts, const struct imsg_device *device)
{
    return device->has_pair && imsg_pair_verify(parts, &device->identity, NULL) == IMSG_OK;
}

static size_t replay_parts(const void *parts, struct imsg_view out[static IMSG_REPLAY_PARTS])
{
    const struct imsg_pair *pair = parts;
    out[0] = pair->body;
    return 1;
}

static enum imsg_status seal(const struct imsg_identity *sender, const struct imsg_device *device, uint32_t counter,
                             struct imsg_view plaintext, struct imsg_buf *out, struct imsg_error *err)
{
    (void)counter;
    return imsg_pair_seal(sender->signing, &sender->identity, &device->identity, plaintext, out, err);
}

static enum imsg_status open_parts(struct imsg_identity *identity, const struct imsg_device *sender, const void *parts,
                                   struct imsg_buf *plaintext, struct imsg_trace *trace, struct imsg_error *err)
{
    struct imsg_pair_keys keys = {.sender = sender && sender->has_pair ? &sender->identity : NULL};
    if (!identity || !identity->has_pair) {
        if (trace && keys.sender) /* the signature needs no secret */
            imsg_trace_check(trace, "signature", imsg_pair_verify(parts, keys.sender, NULL) == IMSG_OK,
                             "not the sender's over this body");
        return imsg_fail(err, IMSG_NOT_FOR_THIS_KEY, "the identity has no keys for \"pair\"");
    }
    if (!keys.sender && !trace)
        return imsg_fail(err, IMSG_BAD_SIGNATURE, "the sender has no keys for \"pair\"");
    keys.encryption = identity->encryption;
    keys.recipient = &identity->identity;
    return imsg_pair_open(parts, &keys, plaintext, trace, err);
}

static const struct imsg_meaning meanings[] = {
    {"pair", "version", "02: the \"pair\" frame"},
    {"pair", "body_length", "u16, big endian: bytes of body"},
    {"pair", "body", "what the signature covers: rsa_block and the rest of the ciphertext"},
    {"pair", "rsa_block", "RSA-1280 OAEP (SHA-1): AES key and the first bytes of ciphertext"},
    {"pair", "ciphertext_rest", "AES-128-CTR ciphertext after what the block holds"},
    {"pair", "signature_length", "u8: bytes of signature"},
    {"pair", "signature_der", "DER ECDSA P-256, SHA-1 over body, by the sender's signing key"},
    {"public-identity", "header", "SEQUENCE of 246 bytes"},
    {"public-identity", "signing_header", "[1] of 67 bytes, u16 length 65"},
    {"public-identity", "signing_pub", "uncompressed P-256 point: verifies \"pair\" signatures"},
    {"public-identity", "rsa_header", "[2] of 174 bytes, PKCS#1 RSAPublicKey"},
    {"public-identity", "rsa_n", "1280-bit modulus: \"pair\" keys are sealed for it"},
    {"public-identity", "rsa_e", "exponent 65537"},
    {"device/1", "identity", "public keys for \"pair\""},
    {"identity/1.keys", "encryption", "RSA-1280: opens \"pair\""},
    {"identity/1.keys", "signing", "P-256: signs \"pair\""},
    {"value", "identity_hash", "SHA-256 of both keys of the public identity"},
    {"value", "signing_pub", "point of the signing key"},
    {"value", "rsa_n", "modulus of the encryption key"},
    {"value", "identity", "the public identity, 249 bytes"},
    {"value", "signing_d", "private: scalar of the signing key"},
    {"value", "sender_hash", "SHA-256 of the sender's public identity; goes into the tag"},
    {"value", "recipient_hash", "SHA-256 of the recipient's public identity; goes into the tag"},
    {"value", "body", "rsa_block and the rest of the ciphertext: what is signed"},
    {"value", "body_sha1", "SHA-1 of body: what ECDSA signs"},
    {"value", "rsa_block", "body's first 160 bytes"},
    {"value", "oaep_em", "rsa_block under the private key, unpadded: 00, masked seed, masked data"},
    {"value", "rsa_plain", "what OAEP held: aes_key and the first bytes of ciphertext"},
    {"value", "aes_key", "rsa_plain's first 16 bytes: seed and tag"},
    {"value", "seed", "aes_key's first 11 bytes: random; the key of the HMAC"},
    {"value", "tag", "aes_key's last 5 bytes: hmac must begin with them"},
    {"value", "aes_ctr_iv", "AES-128-CTR's first counter block, always this"},
    {"value", "aes_ciphertext", "what followed aes_key in the block, and the rest of body"},
    {"value", "hmac", "HMAC-SHA256(seed, plaintext, 02, sender_hash, recipient_hash)"},
    {"check", "oaep", "rsa_block opens with this device's encryption key"},
    {"check", "rsa_plain", "it holds at least the 16 bytes of a key"},
    {"check", "tag", "tag equals the first 5 bytes of hmac"},
    {0},
};

const struct imsg_format imsg_format_pair = {
    .name = "pair",
    .payload_limit = 4096,
    .failures_a_day = 1000, /* of 2^40 tags */
    .meanings = meanings,
    .offered_by = offered_by,
    .read_record = read_record,
    .trace_record = trace_record,
    .write_record = write_record,
    .usable_by = usable_by,
    .read_identity = read_identity,
    .write_identity = write_identity,
    .trace_identity = trace_identity,
    .generate_keys = generate_keys,
    .free_identity = free_identity,
    .parts_size = sizeof(struct imsg_pair),
    .begins = begins,
    .parse = parse,
    .may_be_from = may_be_from,
    .replay_parts = replay_parts,
    .seal = seal,
    .open = open_parts,
};
