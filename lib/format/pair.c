/* "pair": RSA-1280 and AES-128 (format.md §2).
 *
 * An attacker can replace the signature by his own over the same body; the 40-bit tag inside the key binds sender,
 * recipient and message together. So both are always checked, and no plaintext is released before both hold. */
#include <string.h>

#include "crypto/crypto.h"
#include "format/pair.h"

enum {
    VERSION = 0x02,
    HEAD = 3, /* version and u16 body length */
    BLOCK = IMSG_RSA_BYTES,
    SEED = 11,
    KEY = 16,
    TAG = KEY - SEED,
    INLINE = 100,                     /* bytes of ciphertext we put into the block */
    INLINE_MAX = IMSG_OAEP_MAX - KEY, /* bytes that another sender may have put there */
    DER_MAX = 72,
};

static const uint8_t first_counter[16] = {[15] = 1};

/* A number below every 1280-bit modulus that is not a valid OAEP block. */
static const uint8_t decoy_block[BLOCK] = {0x2a, [BLOCK - 1] = 1};

/* A field at `at`, or what is left of it where the payload ends. */
static struct imsg_field field_within(struct imsg_view payload, size_t at, size_t len)
{
    size_t start = at < payload.len ? at : payload.len, left = payload.len - start;
    return (struct imsg_field){start, len < left ? len : left};
}

/* The lengths that a frame states, and the bytes behind its last field. */
struct frame {
    size_t body_len, sig_len;
    struct imsg_field trailing;
};

/* Cut the payload into fields at the lengths that it states, right or wrong. */
static void cut_frame(struct imsg_view payload, struct imsg_pair *pair, struct frame *frame)
{
    const uint8_t *p = payload.ptr;
    *pair = (struct imsg_pair){.f_version = field_within(payload, 0, 1), .f_body_length = field_within(payload, 1, 2)};
    *frame = (struct frame){0};
    if (pair->f_body_length.len == 2)
        frame->body_len = (size_t)p[1] << 8 | p[2];
    pair->f_body = field_within(payload, HEAD, frame->body_len);
    struct imsg_view head = {p, pair->f_body.offset + pair->f_body.len};
    pair->f_block = field_within(head, HEAD, BLOCK);
    pair->f_rest = field_within(head, HEAD + BLOCK, payload.len);
    pair->f_signature_length = field_within(payload, HEAD + frame->body_len, 1);
    if (pair->f_signature_length.len == 1)
        frame->sig_len = p[pair->f_signature_length.offset];
    pair->f_signature = field_within(payload, HEAD + frame->body_len + 1, frame->sig_len);
    frame->trailing = field_within(payload, HEAD + frame->body_len + 1 + frame->sig_len, payload.len);
}

static void lay_out_hex(struct imsg_layout *layout, const char *name, struct imsg_field at)
{
    if (at.len > 0)
        (void)imsg_layout_add(layout, name, at, IMSG_SHOWN_HEX);
}

static void lay_out_number(struct imsg_layout *layout, const char *name, struct imsg_field at, size_t len, size_t value)
{
    struct imsg_layout_part *part = at.len > 0 ? imsg_layout_add(layout, name, at, IMSG_SHOWN_NUMBER) : NULL;
    if (part && at.len < len)
        part->shown = IMSG_SHOWN_HEX;
    if (part)
        part->number = value;
}

static void lay_out_frame(const struct imsg_pair *pair, const struct frame *frame, struct imsg_layout *layout)
{
    lay_out_hex(layout, "version", pair->f_version);
    lay_out_number(layout, "body_length", pair->f_body_length, 2, frame->body_len);
    if (pair->f_body.len > 0) {
        (void)imsg_layout_add(layout, "body", pair->f_body, IMSG_SHOWN_PARTS);
        imsg_layout_add_inside(layout, "rsa_block", pair->f_block);
    }
    if (pair->f_rest.len > 0)
        imsg_layout_add_inside(layout, "ciphertext_rest", pair->f_rest);
    lay_out_number(layout, "signature_length", pair->f_signature_length, 1, frame->sig_len);
    if (pair->f_signature.len > 0 || frame->trailing.len > 0) /* an empty one is shown too */
        (void)imsg_layout_add(layout, "signature_der", pair->f_signature, IMSG_SHOWN_HEX);
    lay_out_hex(layout, "trailing", frame->trailing);
}

static enum imsg_status check_frame(struct imsg_view payload, const struct imsg_pair *pair, const struct frame *frame,
                                    struct imsg_error *err)
{
    size_t body_left = payload.len - (payload.len < HEAD ? payload.len : HEAD), length_at = HEAD + frame->body_len;
    if (payload.len > IMSG_PAYLOAD_MAX)
        return imsg_fail_at(err, IMSG_MALFORMED, IMSG_PAYLOAD_MAX, "payload of %zu bytes is over the %d taken",
                            payload.len, IMSG_PAYLOAD_MAX);
    if (payload.len == 0)
        return imsg_fail_at(err, IMSG_MALFORMED, 0, "payload is empty");
    if (payload.ptr[0] != VERSION)
        return imsg_fail_at(err, IMSG_UNSUPPORTED, 0, "version byte is 0x%02x, not 0x%02x", payload.ptr[0], VERSION);
    if (payload.len < HEAD)
        return imsg_fail_at(err, IMSG_MALFORMED, payload.len, "payload ends inside the body length");
    if (frame->body_len < BLOCK)
        return imsg_fail_at(err, IMSG_MALFORMED, 1, "body length %zu is less than the %d of the RSA block",
                            frame->body_len, BLOCK);
    if (frame->body_len > body_left)
        return imsg_fail_at(err, IMSG_MALFORMED, 1, "body length %zu exceeds the %zu bytes left", frame->body_len,
                            body_left);
    if (pair->f_signature_length.len == 0)
        return imsg_fail_at(err, IMSG_MALFORMED, length_at, "payload ends before the signature length");
    if (frame->sig_len == 0)
        return imsg_fail_at(err, IMSG_MALFORMED, length_at, "signature is empty");
    if (frame->sig_len > pair->f_signature.len)
        return imsg_fail_at(err, IMSG_MALFORMED, length_at, "signature length %zu exceeds the %zu bytes left",
                            frame->sig_len, pair->f_signature.len);
    if (frame->trailing.len > 0)
        return imsg_fail_at(err, IMSG_MALFORMED, frame->trailing.offset, "%zu bytes follow the signature",
                            frame->trailing.len);
    return IMSG_OK;
}

enum imsg_status imsg_pair_parse(struct imsg_view payload, struct imsg_pair *out, struct imsg_layout *layout,
                                 struct imsg_error *err)
{
    struct imsg_pair pair;
    struct frame frame;
    cut_frame(payload, &pair, &frame);
    if (layout)
        lay_out_frame(&pair, &frame, layout);
    enum imsg_status status = check_frame(payload, &pair, &frame, err);
    if (status != IMSG_OK)
        return status;
    pair.body = imsg_view_of(payload.ptr + pair.f_body.offset, pair.f_body.len);
    pair.block = imsg_view_of(payload.ptr + pair.f_block.offset, pair.f_block.len);
    pair.rest = imsg_view_of(payload.ptr + pair.f_rest.offset, pair.f_rest.len);
    pair.signature = imsg_view_of(payload.ptr + pair.f_signature.offset, pair.f_signature.len);
    *out = pair;
    return IMSG_OK;
}

/* H of §2. */
static enum imsg_status binding(const uint8_t seed[static SEED], struct imsg_view message,
                                const struct imsg_public_identity *sender, const struct imsg_public_identity *recipient,
                                uint8_t out[static 32], struct imsg_error *err)
{
    const uint8_t version = VERSION;
    const struct imsg_view parts[] = {message, imsg_view_of(&version, 1),
                                      imsg_view_of(sender->hash, sizeof sender->hash),
                                      imsg_view_of(recipient->hash, sizeof recipient->hash)};
    return imsg_hmac_sha256(imsg_view_of(seed, SEED), parts, 4, out, err);
}

/* Write the body (BLOCK + message.len - min(message.len, INLINE) bytes) to `body`. The ciphertext is made where its
 * tail belongs; its first bytes then lie inside the block's place, from where they move into the block. */
static enum imsg_status seal_body(const struct imsg_public_identity *sender,
                                  const struct imsg_public_identity *recipient, struct imsg_view message, uint8_t *body,
                                  struct imsg_error *err)
{
    size_t inlined = message.len < INLINE ? message.len : INLINE;
    uint8_t *ciphertext = body + BLOCK - inlined;
    uint8_t plain[KEY + INLINE], h[32];
    enum imsg_status status = imsg_random(plain, SEED, err);
    if (status != IMSG_OK)
        goto out;
    status = binding(plain, message, sender, recipient, h, err);
    if (status != IMSG_OK)
        goto out;
    memcpy(plain + SEED, h, TAG);
    if (message.len > 0) {
        status = imsg_aes128_ctr(plain, first_counter, message.ptr, ciphertext, message.len, err);
        if (status != IMSG_OK)
            goto out;
    }
    memcpy(plain + KEY, ciphertext, inlined);
    status = imsg_rsa_oaep_seal(recipient->modulus, imsg_view_of(plain, KEY + inlined), body, err);
out:
    imsg_wipe(plain, sizeof plain);
    imsg_wipe(h, sizeof h);
    return status;
}

enum imsg_status imsg_pair_seal(const struct imsg_p256 *sender_signing, const struct imsg_public_identity *sender,
                                const struct imsg_public_identity *recipient, struct imsg_view message,
                                struct imsg_buf *out, struct imsg_error *err)
{
    if (message.len > IMSG_FORMAT_MAX)
        return imsg_fail(err, IMSG_TOO_LONG, "message of %zu bytes is over the %d that \"pair\" can hold", message.len,
                         IMSG_FORMAT_MAX);
    size_t body_len = BLOCK + message.len - (message.len < INLINE ? message.len : INLINE), sig_len = 0;
    enum imsg_status status = imsg_buf_reserve(out, HEAD + body_len + 1 + DER_MAX + 1, err);
    if (status != IMSG_OK)
        return status;
    uint8_t *frame = out->ptr + out->len, *body = frame + HEAD, *sig = body + body_len + 1;
    uint8_t digest[20];
    status = seal_body(sender, recipient, message, body, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_sha1(imsg_view_of(body, body_len), digest, err);
    if (status != IMSG_OK)
        goto out;
    status = imsg_p256_sign_der(sender_signing, imsg_view_of(digest, sizeof digest), sig, &sig_len, err);
    if (status != IMSG_OK)
        goto out;
    frame[0] = VERSION;
    frame[1] = (uint8_t)(body_len >> 8);
    frame[2] = (uint8_t)body_len;
    body[body_len] = (uint8_t)sig_len;
    out->len += HEAD + body_len + 1 + sig_len;
out:
    out->ptr[out->len] = 0;
    return status;
}

enum imsg_status imsg_pair_verify(const struct imsg_pair *pair, const struct imsg_public_identity *sender,
                                  struct imsg_error *err)
{
    uint8_t digest[20];
    enum imsg_status status = imsg_sha1(pair->body, digest, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_p256_verify_der(sender->signing, imsg_view_of(digest, sizeof digest), pair->signature, err);
    if (status == IMSG_BAD_SIGNATURE)
        return imsg_fail(err, status, "signature is not the sender's over this body");
    return status;
}

/* The contents of the RSA block. Where it does not open, key is random and len 0, so that the work that follows is the
 * same; `verdict` is returned at its end. */
struct unwrapped {
    uint8_t key[KEY];
    uint8_t ciphertext[INLINE_MAX];
    size_t len;
    enum imsg_status verdict;
};

static enum imsg_status open_block(const struct imsg_rsa *key, struct imsg_view block, struct unwrapped *out,
                                   struct imsg_trace *trace, struct imsg_error *err)
{
    uint8_t plain[IMSG_OAEP_MAX];
    size_t len = 0;
    *out = (struct unwrapped){.verdict = IMSG_NOT_FOR_THIS_KEY};
    /* Always drawn, so that the cost is the same. */
    enum imsg_status status = imsg_random(out->key, sizeof out->key, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_rsa_oaep_open(key, block.ptr, plain, &len, err);
    if (status == IMSG_OK)
        imsg_trace_value(trace, "rsa_plain", imsg_view_of(plain, len));
    if (status == IMSG_OK && len < KEY) {
        out->verdict = IMSG_MALFORMED;
    } else if (status == IMSG_OK) {
        out->verdict = IMSG_OK;
        out->len = len - KEY;
        memcpy(out->key, plain, KEY);
        memcpy(out->ciphertext, plain + KEY, out->len);
    } else if (status == IMSG_NOT_FOR_THIS_KEY) {
        status = IMSG_OK;
    }
    imsg_wipe(plain, sizeof plain);
    return status;
}

static enum imsg_status name_failure(enum imsg_status verdict, bool tag_fits, struct imsg_error *err)
{
    if (verdict == IMSG_NOT_FOR_THIS_KEY)
        return imsg_fail(err, verdict, "RSA block does not open with this encryption key");
    if (verdict == IMSG_MALFORMED)
        return imsg_fail(err, verdict, "RSA block holds fewer than the %d bytes of a key", KEY);
    if (!tag_fits)
        return imsg_fail(err, IMSG_BAD_TAG, "tag does not bind this message, sender and recipient");
    return IMSG_OK;
}

/* Check the signature, before any secret is used. */
static enum imsg_status verify_sender(const struct imsg_pair *pair, const struct imsg_pair_keys *keys,
                                      struct imsg_trace *trace, struct imsg_error *err)
{
    const struct imsg_public_identity *sender = keys->sender, *recipient = keys->recipient;
    enum imsg_status status =
        sender ? imsg_pair_verify(pair, sender, err) : imsg_fail(err, IMSG_REFUSED, "the sender's keys are not known");
    if (!trace)
        return status;
    uint8_t digest[20];
    if (sender)
        imsg_trace_value(trace, "sender_hash", imsg_view_of(sender->hash, sizeof sender->hash));
    imsg_trace_value(trace, "recipient_hash", imsg_view_of(recipient->hash, sizeof recipient->hash));
    imsg_trace_value(trace, "body", pair->body);
    if (imsg_sha1(pair->body, digest, NULL) == IMSG_OK)
        imsg_trace_value(trace, "body_sha1", imsg_view_of(digest, sizeof digest));
    imsg_trace_value(trace, "signature_der", pair->signature);
    if (sender)
        imsg_trace_check(trace, "signature", status == IMSG_OK, "not the sender's over this body");
    return status;
}

static void trace_block(struct imsg_trace *trace, const struct imsg_rsa *key, const struct imsg_pair *pair)
{
    uint8_t em[IMSG_RSA_BYTES];
    imsg_trace_value(trace, "rsa_block", pair->block);
    if (trace && imsg_rsa_raw(key, pair->block.ptr, em, NULL) == IMSG_OK) {
        imsg_trace_value(trace, "oaep_em", imsg_view_of(em, sizeof em));
        imsg_wipe(em, sizeof em);
    }
}

static void trace_key(struct imsg_trace *trace, const struct unwrapped *held, struct imsg_view ciphertext)
{
    if (!trace)
        return;
    trace->key_fits = held->verdict != IMSG_NOT_FOR_THIS_KEY;
    imsg_trace_check(trace, "oaep", trace->key_fits, "the block does not open with this key");
    if (trace->key_fits)
        imsg_trace_check(trace, "rsa_plain", held->verdict == IMSG_OK, "fewer bytes than a key has");
    if (held->verdict != IMSG_OK) /* then the key is a random one */
        return;
    imsg_trace_value(trace, "aes_key", imsg_view_of(held->key, KEY));
    imsg_trace_value(trace, "seed", imsg_view_of(held->key, SEED));
    imsg_trace_value(trace, "tag", imsg_view_of(held->key + SEED, TAG));
    imsg_trace_value(trace, "aes_ctr_iv", imsg_view_of(first_counter, sizeof first_counter));
    imsg_trace_value(trace, "aes_ciphertext", ciphertext);
}

/* Decrypt into `message` and recompute the tag. */
static enum imsg_status decrypt(const struct imsg_pair *pair, const struct unwrapped *held,
                                const struct imsg_pair_keys *keys, uint8_t *message, struct imsg_trace *trace,
                                struct imsg_error *err)
{
    const struct imsg_public_identity *sender = keys->sender;
    size_t len = held->len + pair->rest.len;
    uint8_t h[32] = {0};
    enum imsg_status status = IMSG_OK;
    memcpy(message, held->ciphertext, held->len);
    memcpy(message + held->len, pair->rest.ptr, pair->rest.len);
    trace_key(trace, held, imsg_view_of(message, len));
    if (len > 0)
        status = imsg_aes128_ctr(held->key, first_counter, message, message, len, err);
    if (status == IMSG_OK && held->verdict == IMSG_OK)
        imsg_trace_value(trace, "plaintext", imsg_view_of(message, len));
    if (status == IMSG_OK && sender)
        status = binding(held->key, imsg_view_of(message, len), sender, keys->recipient, h, err);
    if (status == IMSG_OK) {
        bool fits = imsg_equal_ct(h, held->key + SEED, TAG);
        if (sender && held->verdict == IMSG_OK) {
            imsg_trace_value(trace, "hmac", imsg_view_of(h, sizeof h));
            imsg_trace_check(trace, "tag", fits, "the 40 bits do not bind this message, sender and recipient");
        }
        status = name_failure(held->verdict, fits || !sender, err);
    }
    imsg_wipe(h, sizeof h);
    return status;
}

enum imsg_status imsg_pair_open(const struct imsg_pair *pair, const struct imsg_pair_keys *keys, struct imsg_buf *out,
                                struct imsg_trace *trace, struct imsg_error *err)
{
    struct imsg_error late;
    struct imsg_pair real = *pair;
    enum imsg_status first = verify_sender(pair, keys, trace, err), status;
    /* The private key is not used on a block that the sender did not sign. The same work is done on a block of our own,
     * so that from outside (time, system calls) a bad signature looks like every other refusal. */
    if (first != IMSG_OK && !trace)
        real.block = imsg_view_of(decoy_block, sizeof decoy_block);
    pair = &real;
    size_t room = INLINE_MAX + pair->rest.len + 1;
    status = imsg_buf_reserve(out, room, err);
    if (status != IMSG_OK)
        return status;
    uint8_t *message = out->ptr + out->len;
    struct unwrapped held;
    trace_block(trace, keys->encryption, pair);
    status = open_block(keys->encryption, pair->block, &held, trace, first == IMSG_OK ? err : &late);
    if (status == IMSG_OK)
        status = decrypt(pair, &held, keys, message, trace, first == IMSG_OK ? err : &late);
    if (first != IMSG_OK)
        status = first;
    if (status == IMSG_OK)
        out->len += held.len + pair->rest.len;
    else
        imsg_wipe(message, room);
    out->ptr[out->len] = 0;
    imsg_wipe(&held, sizeof held);
    return status;
}
