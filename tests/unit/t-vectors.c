/* All of tests/vectors that concerns the payload formats and the keys' encodings: positives open, their intermediates
 * agree, sealing them again with the same random inputs gives the same bytes; every negative fails in its class. */
#define IMSG_TEST_SEAM
#include <string.h>

#include "crypto/crypto.h"
#include "format/pair.h"
#include "format/pair_ec.h"
#include "format/protobuf.h"
#include "tap.h"
#include "vector.h"

static struct imsg_error err;

/* An intermediate value; the longest are left out of the files. */
static void agrees(const json_t *vector, const char *member, struct imsg_view got)
{
    const json_t *all = vector_member(vector, "intermediates");
    if (!json_object_get(all, member))
        return;
    struct imsg_buf want = {0};
    vector_hex(all, member, &want);
    tap_bytes(got, imsg_buf_view(&want), "%s: %s", vector_string(vector, "id"), member);
    imsg_buf_free(&want);
}

static void fix_nonce(const json_t *object)
{
    uint8_t k[32];
    vector_hex_fixed(object, "ecdsa_k", k, sizeof k);
    imsg_test_next_k(k);
}

static void fix_random(const json_t *vector, const char *member)
{
    struct imsg_buf bytes = {0};
    vector_hex(vector_member(vector, "random"), member, &bytes);
    if (bytes.len > 0)
        vector_random_queue(bytes.ptr, bytes.len);
    imsg_buf_free(&bytes);
}

static void resealed(const char *id, enum imsg_status status, const struct imsg_buf *got, const struct imsg_buf *want)
{
    size_t left = vector_random_left();
    imsg_test_next_k(NULL);
    tap_ok(left == 0, "%s: sealing draws the vector's random inputs, one by one", id);
    if (tap_status(status, IMSG_OK, &err, "%s: seals", id))
        tap_bytes(imsg_buf_view(got), imsg_buf_view(want), "%s: sealing gives the same bytes", id);
}

/* A negative: its class, and nothing released unless it is one that opens. */
static void judged(const json_t *vector, enum imsg_status status, const struct imsg_buf *plain)
{
    const char *id = vector_string(vector, "id");
    bool also;
    bool allowed = vector_allows(vector, status, &also);
    tap_ok(allowed, "%s: %s: %s%s", id, vector_string(vector, "desc"), imsg_status_name(status),
           also ? " (also_ok)" : "");
    if (!allowed)
        tap_status(status, vector_class(vector_string(vector, "expect")), &err, "%s: class", id);
    if (status == IMSG_OK && json_object_get(vector, "plaintext_hex")) {
        struct imsg_buf want = {0};
        vector_hex(vector, "plaintext_hex", &want);
        tap_bytes(imsg_buf_view(plain), imsg_buf_view(&want), "%s: plaintext", id);
        imsg_buf_free(&want);
    } else {
        tap_ok(plain->len == 0, "%s: releases nothing", id);
    }
}

/* ---- pair ---- */

static enum imsg_status open_pair(const json_t *vector, const struct imsg_buf *envelope, struct imsg_buf *plain)
{
    const struct vector_device *sender = vector_device(vector_string(vector, "sender"));
    const struct vector_device *recipient = vector_device(vector_string(vector, "recipient"));
    const struct imsg_pair_keys keys = {recipient->encryption, &recipient->identity, &sender->identity};
    struct imsg_pair pair;
    enum imsg_status status = imsg_pair_parse(imsg_buf_view(envelope), &pair, NULL, &err);
    return status == IMSG_OK ? imsg_pair_open(&pair, &keys, plain, NULL, &err) : status;
}

static void pair_intermediates(const json_t *vector, const struct imsg_buf *envelope, const struct imsg_buf *plain)
{
    const struct vector_device *sender = vector_device(vector_string(vector, "sender"));
    const struct vector_device *recipient = vector_device(vector_string(vector, "recipient"));
    const struct imsg_view message = imsg_buf_view(plain), version = imsg_view_of("\x02", 1);
    const struct imsg_view parts[] = {message, version, imsg_view_of(sender->identity.hash, 32),
                                      imsg_view_of(recipient->identity.hash, 32)};
    const uint8_t counter[16] = {[15] = 1};
    uint8_t sha1[20], hmac[32], held[IMSG_OAEP_MAX];
    size_t held_len = 0;
    struct imsg_buf ciphertext = {0};
    struct imsg_pair pair;
    if (!tap_status(imsg_pair_parse(imsg_buf_view(envelope), &pair, NULL, &err), IMSG_OK, &err, "parse"))
        return;
    agrees(vector, "sender_hash", parts[2]);
    agrees(vector, "recipient_hash", parts[3]);
    agrees(vector, "rsa_block", pair.block);
    agrees(vector, "body", pair.body);
    agrees(vector, "signature_der", pair.signature);
    if (imsg_sha1(pair.body, sha1, &err) == IMSG_OK)
        agrees(vector, "body_sha1", imsg_view_of(sha1, sizeof sha1));
    if (!tap_status(imsg_rsa_oaep_open(recipient->encryption, pair.block.ptr, held, &held_len, &err), IMSG_OK, &err,
                    "OAEP"))
        return;
    agrees(vector, "rsa_plain", imsg_view_of(held, held_len));
    agrees(vector, "aes_key", imsg_view_of(held, 16));
    if (imsg_hmac_sha256(imsg_view_of(held, 11), parts, 4, hmac, &err) == IMSG_OK)
        agrees(vector, "hmac", imsg_view_of(hmac, sizeof hmac));
    if (imsg_buf_reserve(&ciphertext, message.len + 1, &err) == IMSG_OK &&
        imsg_aes128_ctr(held, counter, message.ptr, ciphertext.ptr, message.len, &err) == IMSG_OK)
        agrees(vector, "aes_ciphertext", imsg_view_of(ciphertext.ptr, message.len));
    imsg_buf_free(&ciphertext);
}

static void pair_positive(const json_t *vector)
{
    const char *id = vector_string(vector, "id");
    const struct vector_device *sender = vector_device(vector_string(vector, "sender"));
    const struct vector_device *recipient = vector_device(vector_string(vector, "recipient"));
    struct imsg_buf envelope = {0}, plain = {0}, want = {0}, again = {0};
    vector_hex(vector, "envelope_hex", &envelope);
    vector_hex(vector, "plaintext_hex", &want);
    if (tap_status(open_pair(vector, &envelope, &plain), IMSG_OK, &err, "%s: %s", id, vector_string(vector, "desc")) &&
        tap_bytes(imsg_buf_view(&plain), imsg_buf_view(&want), "%s: plaintext", id))
        pair_intermediates(vector, &envelope, &plain);

    fix_random(vector, "seed");
    fix_random(vector, "oaep_seed");
    fix_nonce(vector_member(vector, "random"));
    resealed(
        id,
        imsg_pair_seal(sender->signing, &sender->identity, &recipient->identity, imsg_buf_view(&want), &again, &err),
        &again, &envelope);
    imsg_buf_free(&envelope);
    imsg_buf_free(&plain);
    imsg_buf_free(&want);
    imsg_buf_free(&again);
}

static void pair_negative(const json_t *vector)
{
    struct imsg_buf envelope = {0}, plain = {0};
    vector_hex(vector, "envelope_hex", &envelope);
    judged(vector, open_pair(vector, &envelope, &plain), &plain);
    imsg_buf_free(&envelope);
    imsg_buf_free(&plain);
}

/* ---- pair-ec ---- */

static unsigned not_resealed;

static enum imsg_status open_pair_ec(const json_t *vector, const struct imsg_buf *envelope, struct imsg_buf *plain,
                                     struct imsg_trace *trace)
{
    const struct vector_device *sender = vector_device(vector_string(vector, "sender"));
    const struct vector_device *recipient = vector_device(vector_string(vector, "recipient"));
    struct imsg_p256 *other = NULL;
    struct imsg_pair_ec pair_ec;
    if (json_object_get(vector, "recipient_prekey_pkcs8_pem"))
        other = vector_p256(vector, "recipient_prekey_pkcs8_pem");
    const struct imsg_pair_ec_keys keys = {imsg_p256_point(recipient->device) + 1, other ? other : recipient->prekey,
                                           imsg_p256_point(sender->device)};
    enum imsg_status status = imsg_pair_ec_parse(imsg_buf_view(envelope), &pair_ec, NULL, &err);
    if (status == IMSG_OK)
        status = imsg_pair_ec_open(&pair_ec, &keys, plain, trace, &err);
    imsg_p256_free(other);
    return status;
}

static void pair_ec_intermediates(const json_t *vector, const struct imsg_buf *envelope)
{
    const struct vector_device *recipient = vector_device(vector_string(vector, "recipient"));
    const struct imsg_view salt = imsg_view_str("LastPawn-MessageKeys");
    struct imsg_pair_ec pair_ec;
    uint8_t secret[32], okm[48], hash[32];
    struct imsg_buf padded = {0};
    if (!tap_status(imsg_pair_ec_parse(imsg_buf_view(envelope), &pair_ec, NULL, &err), IMSG_OK, &err, "parse") ||
        !tap_status(imsg_p256_ecdh(recipient->prekey, pair_ec.ephemeral, secret, &err), IMSG_OK, &err, "ECDH") ||
        !tap_status(imsg_hkdf_sha256(imsg_view_of(secret, 32), salt, imsg_view_str(""), okm, sizeof okm, &err), IMSG_OK,
                    &err, "HKDF"))
        return;
    agrees(vector, "ephemeral_x", imsg_view_of(pair_ec.ephemeral_x, 32));
    agrees(vector, "payload", pair_ec.payload);
    agrees(vector, "signature", imsg_view_of(pair_ec.signature, 64));
    agrees(vector, "validator", imsg_view_of(pair_ec.validator, 7));
    agrees(vector, "secret", imsg_view_of(secret, 32));
    agrees(vector, "hkdf_key", imsg_view_of(okm, 32));
    agrees(vector, "hkdf_iv", imsg_view_of(okm + 32, 16));
    if (imsg_buf_reserve(&padded, pair_ec.payload.len, &err) == IMSG_OK &&
        imsg_aes256_ctr64(okm, okm + 32, pair_ec.payload.ptr, padded.ptr, pair_ec.payload.len, &err) == IMSG_OK)
        agrees(vector, "inner_padded", imsg_view_of(padded.ptr, pair_ec.payload.len));
    imsg_buf_free(&padded);
    const struct imsg_view parts[] = {imsg_view_of(secret, 32),
                                      imsg_view_of(imsg_p256_point(recipient->prekey) + 1, 32),
                                      imsg_view_of(pair_ec.ephemeral_x, 32),
                                      imsg_view_of(imsg_p256_point(recipient->device) + 1, 32), pair_ec.payload};
    if (imsg_sha256_parts(parts, 5, hash, &err) == IMSG_OK)
        agrees(vector, "signed_sha256", imsg_view_of(hash, 32));
}

/* Whether the vector was made with the inner part and the padding that we would make. Others can only be opened. */
static bool is_our_kind(const json_t *vector, const struct imsg_buf *plain)
{
    const json_t *counter = json_object_get(vector, "counter"), *all = vector_member(vector, "intermediates");
    struct imsg_buf inner = {0}, want = {0};
    bool ours = json_is_integer(counter);
    if (ours && plain->len > 0)
        ours = imsg_pb_put_bytes(&inner, 1, imsg_buf_view(plain), &err) == IMSG_OK;
    if (ours)
        ours = imsg_pb_put_varint(&inner, 2, (uint64_t)json_integer_value(counter), &err) == IMSG_OK;
    if (ours && json_object_get(all, "inner")) {
        vector_hex(all, "inner", &want);
        ours = imsg_view_equal(imsg_buf_view(&inner), imsg_buf_view(&want));
    }
    if (ours) {
        vector_hex(vector_member(vector, "random"), "padding", &want);
        ours = want.len == (16 - inner.len % 16) % 16;
    }
    imsg_buf_free(&inner);
    imsg_buf_free(&want);
    return ours;
}

static void pair_ec_reseal(const json_t *vector, const struct imsg_buf *plain, const struct imsg_buf *envelope)
{
    const char *id = vector_string(vector, "id");
    const struct vector_device *sender = vector_device(vector_string(vector, "sender"));
    const struct vector_device *recipient = vector_device(vector_string(vector, "recipient"));
    if (!is_our_kind(vector, plain)) {
        not_resealed++;
        tap_skip("another sender's inner part or padding", "%s: sealing gives the same bytes", id);
        return;
    }
    struct imsg_buf again = {0};
    fix_random(vector, "ephemeral_d");
    fix_random(vector, "padding");
    fix_nonce(vector_member(vector, "random"));
    const struct imsg_pair_ec_recipient keys = {imsg_p256_point(recipient->device) + 1,
                                                imsg_p256_point(recipient->prekey),
                                                (uint32_t)json_integer_value(json_object_get(vector, "counter"))};
    enum imsg_status status = imsg_pair_ec_seal(sender->device, &keys, imsg_buf_view(plain), &again, &err);
    resealed(id, status, &again, envelope);
    imsg_buf_free(&again);
}

static void pair_ec_positive(const json_t *vector)
{
    const char *id = vector_string(vector, "id");
    const json_t *counter = vector_member(vector, "counter");
    struct imsg_buf envelope = {0}, plain = {0}, want = {0};
    struct imsg_trace trace = {0};
    vector_hex(vector, "envelope_hex", &envelope);
    vector_hex(vector, "plaintext_hex", &want);
    if (tap_status(open_pair_ec(vector, &envelope, &plain, NULL), IMSG_OK, &err, "%s: %s", id,
                   vector_string(vector, "desc"))) {
        tap_bytes(imsg_buf_view(&plain), imsg_buf_view(&want), "%s: plaintext", id);
        (void)!open_pair_ec(vector, &envelope, &plain, &trace);
        const struct imsg_step *got = imsg_trace_find(&trace, "counter", IMSG_STEP_NUMBER);
        tap_ok(json_is_integer(counter) ? got && got->number == (uint64_t)json_integer_value(counter) : !got,
               "%s: counter", id);
        pair_ec_intermediates(vector, &envelope);
    }
    pair_ec_reseal(vector, &want, &envelope);
    imsg_trace_free(&trace);
    imsg_buf_free(&envelope);
    imsg_buf_free(&plain);
    imsg_buf_free(&want);
}

static void pair_ec_negative(const json_t *vector)
{
    struct imsg_buf envelope = {0}, plain = {0};
    vector_hex(vector, "envelope_hex", &envelope);
    judged(vector, open_pair_ec(vector, &envelope, &plain, NULL), &plain);
    imsg_buf_free(&envelope);
    imsg_buf_free(&plain);
}

/* ---- identity and prekey ---- */

static void identity_positive(const json_t *vector)
{
    const char *name = vector_string(vector, "name");
    struct imsg_public_identity parsed, made;
    struct imsg_buf bytes = {0};
    uint8_t hash[32];
    vector_hex(vector, "identity_hex", &bytes);
    vector_hex_fixed(vector, "sha256_of_parts", hash, sizeof hash);
    if (tap_status(imsg_public_identity_parse(imsg_buf_view(&bytes), &parsed, &err), IMSG_OK, &err, "identity %s",
                   name)) {
        tap_bytes(imsg_view_of(parsed.hash, 32), imsg_view_of(hash, 32), "identity %s: hash", name);
        tap_status(imsg_public_identity_make(parsed.signing, parsed.modulus, &made, &err), IMSG_OK, &err,
                   "identity %s: made from its keys", name);
        tap_bytes(imsg_view_of(made.raw, sizeof made.raw), imsg_buf_view(&bytes), "identity %s: same bytes", name);
        tap_bytes(imsg_view_of(made.hash, 32), imsg_view_of(hash, 32), "identity %s: same hash", name);
    }
    imsg_buf_free(&bytes);
}

static void identity_negative(const json_t *vector)
{
    struct imsg_public_identity parsed;
    struct imsg_buf bytes = {0}, nothing = {0};
    vector_hex(vector, "identity_hex", &bytes);
    judged(vector, imsg_public_identity_parse(imsg_buf_view(&bytes), &parsed, &err), &nothing);
    tap_ok(err.has_offset, "%s: says where: %s", vector_string(vector, "id"), err.text);
    imsg_buf_free(&bytes);
}

static void prekey_positive(const json_t *vector)
{
    const char *id = vector_string(vector, "id");
    const struct vector_device *device = vector_device(vector_string(vector, "device"));
    const struct vector_device *prekey = vector_device(vector_string(vector, "prekey"));
    const uint8_t *device_x = imsg_p256_point(device->device) + 1, *prekey_x = imsg_p256_point(prekey->prekey) + 1;
    struct imsg_prekey parsed, made;
    struct imsg_buf bytes = {0};
    vector_hex(vector, "record_hex", &bytes);
    if (tap_status(imsg_prekey_parse(imsg_buf_view(&bytes), &parsed, &err), IMSG_OK, &err, "%s: parses", id))
        tap_status(imsg_prekey_verify(&parsed, device_x, &err), IMSG_OK, &err, "%s: verifies", id);
    fix_nonce(vector);
    if (tap_status(imsg_prekey_make(device->device, prekey_x, json_number_value(vector_member(vector, "timestamp")),
                                    &made, &err),
                   IMSG_OK, &err, "%s: made", id))
        tap_bytes(imsg_view_of(made.raw, sizeof made.raw), imsg_buf_view(&bytes), "%s: same bytes", id);
    imsg_test_next_k(NULL);
    imsg_buf_free(&bytes);
}

static void prekey_negative(const json_t *vector)
{
    struct imsg_prekey parsed;
    struct imsg_buf bytes = {0}, nothing = {0};
    uint8_t device_x[32];
    vector_hex(vector, "record_hex", &bytes);
    vector_hex_fixed(vector, "device_x", device_x, sizeof device_x);
    enum imsg_status status = imsg_prekey_parse(imsg_buf_view(&bytes), &parsed, &err);
    if (status == IMSG_OK)
        status = imsg_prekey_verify(&parsed, device_x, &err);
    judged(vector, status, &nothing);
    imsg_buf_free(&bytes);
}

static size_t vectors;

static void each(const char *file, void (*positive)(const json_t *), void (*negative)(const json_t *))
{
    json_t *json = vector_load(file);
    const json_t *vector;
    size_t i;
    json_array_foreach (vector_member(json, "positive"), i, vector)
        positive(vector);
    tap_ok(i > 0, "%s: %zu positive", file, i);
    vectors += i;
    json_array_foreach (vector_member(json, "negative"), i, vector)
        negative(vector);
    tap_ok(i > 0, "%s: %zu negative", file, i);
    vectors += i;
    json_decref(json);
}

int main(void)
{
    vector_random_start();
    each("identity", identity_positive, identity_negative);
    each("prekey", prekey_positive, prekey_negative);
    each("pair", pair_positive, pair_negative);
    each("pair-ec", pair_ec_positive, pair_ec_negative);
    /* A sealer that changes must not turn failures into skips. */
    tap_ok(not_resealed == 7, "%u pair-ec vectors are of other senders' kinds", not_resealed);
    tap_quality("A vector of tests/vectors: sealed byte for byte, opened, or refused in its class", vectors,
                tap_failed());
    vector_devices_free();
    return tap_done();
}
