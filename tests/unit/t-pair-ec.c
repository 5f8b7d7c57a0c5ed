/* "pair-ec" where the vectors leave it open: protobuf's corners outside, and inside what a sender may seal and sign. */
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/pair_ec.h"
#include "format/protobuf.h"
#include "tap.h"
#include "vector.h"

static struct imsg_error err;
static const struct vector_device *alice, *bob;

static const uint8_t *x_of(const struct imsg_p256 *key)
{
    return imsg_p256_point(key) + 1;
}

/* Everything below goes from alice to bob. */
static enum imsg_status seal_hello(struct imsg_buf *out)
{
    const struct imsg_pair_ec_recipient recipient = {x_of(bob->device), imsg_p256_point(bob->prekey), 5};
    return imsg_pair_ec_seal(alice->device, &recipient, imsg_view_str("hello"), out, &err);
}

static enum imsg_status open_payload(struct imsg_view payload, struct imsg_buf *out, struct imsg_trace *trace)
{
    const struct imsg_pair_ec_keys keys = {x_of(bob->device), bob->prekey, imsg_p256_point(alice->device)};
    struct imsg_pair_ec pair_ec;
    enum imsg_status status = imsg_pair_ec_parse(payload, &pair_ec, NULL, &err);
    return status == IMSG_OK ? imsg_pair_ec_open(&pair_ec, &keys, out, trace, &err) : status;
}

static void append(struct imsg_buf *out, const void *bytes, size_t len)
{
    if (imsg_buf_append(out, bytes, len, &err) != IMSG_OK)
        abort();
}

/* ---- The outer protobuf ---- */

/* `before` and `after` around a good payload; IMSG_OK means that it still opens. */
static void outer(const char *what, struct imsg_view before, struct imsg_view after, enum imsg_status want)
{
    struct imsg_buf payload = {0}, plain = {0};
    append(&payload, before.ptr, before.len);
    if (seal_hello(&payload) != IMSG_OK)
        abort();
    size_t end = payload.len;
    append(&payload, after.ptr, after.len);
    enum imsg_status status = open_payload(imsg_buf_view(&payload), &plain, NULL);
    tap_status(status, want, &err, "pair-ec, outside: %s: %s", what, status == IMSG_OK ? "opens" : err.text);
    if (want == IMSG_MALFORMED)
        tap_ok(err.has_offset &&
                   (after.len ? err.offset >= end && err.offset <= payload.len : err.offset < before.len + 2),
               "the offset is right");
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

#define BYTES(text) imsg_view_of(text, sizeof(text) - 1)
#define NOTHING imsg_view_of("", 0)

static void outers(void)
{
    outer("unknown varint", BYTES("\x20\xFF\x01"), NOTHING, IMSG_OK);
    outer("unknown fixed64", BYTES("\x21stuvwxyz"), NOTHING, IMSG_OK);
    outer("unknown bytes", BYTES("\x22\x02yz"), NOTHING, IMSG_OK);
    outer("unknown fixed32", BYTES("\x25wxyz"), NOTHING, IMSG_OK);
    outer("largest field number", BYTES("\xF8\xFF\xFF\xFF\x0F\x01"), NOTHING, IMSG_OK);
    outer("field number over 2^29 - 1", BYTES("\x80\x80\x80\x80\x10\x01"), NOTHING, IMSG_MALFORMED);
    outer("varint of ten bytes, 64 bits", BYTES("\x20\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), NOTHING, IMSG_OK);
    outer("varint of 65 bits", BYTES("\x20\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"), NOTHING, IMSG_MALFORMED);
    outer("varint of eleven bytes", BYTES("\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), NOTHING, IMSG_MALFORMED);
    outer("longer varint than need be", BYTES("\x20\x81\x00"), NOTHING, IMSG_OK);
    outer("field number 0", BYTES("\x00\x01"), NOTHING, IMSG_MALFORMED);
    outer("group", BYTES("\x23\x24"), NOTHING, IMSG_MALFORMED);
    outer("end of a group", NOTHING, BYTES("\x24"), IMSG_MALFORMED);
    outer("wire type 6", BYTES("\x26"), NOTHING, IMSG_MALFORMED);
    outer("wire type 7", NOTHING, BYTES("\x27"), IMSG_MALFORMED);
    outer("fixed64 that runs past the end", NOTHING, BYTES("\x21stuvwxy"), IMSG_MALFORMED);
    outer("fixed32 that runs past the end", NOTHING, BYTES("\x25xyz"), IMSG_MALFORMED);
    outer("length of 2^64 - 1", NOTHING, BYTES("\x22\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), IMSG_MALFORMED);
    outer("tag without a value", NOTHING, BYTES("\x20"), IMSG_MALFORMED);
    outer("earlier key of three bytes", BYTES("\x12\x03xyz"), NOTHING, IMSG_OK);
    outer("earlier key with another wire type", BYTES("\x10\x03"), NOTHING, IMSG_MALFORMED);
    outer("later signature of three bytes", NOTHING, BYTES("\x1A\x03xyz"), IMSG_MALFORMED);
    outer("later payload field of three bytes", NOTHING, BYTES("\x0A\x03xyz"), IMSG_MALFORMED);
    outer("later validator of another device", NOTHING, BYTES("\x9A\x06\x07tuvwxy\x0C"), IMSG_NOT_FOR_THIS_KEY);
    outer("later payload field", NOTHING, BYTES("\x0A\x04wxyz"), IMSG_BAD_SIGNATURE);
}

static void outer_fields(void)
{
    struct imsg_buf payload = {0};
    struct imsg_pair_ec p;
    if (seal_hello(&payload) != IMSG_OK || imsg_pair_ec_parse(imsg_buf_view(&payload), &p, NULL, &err) != IMSG_OK)
        abort();
    tap_ok(p.f_payload.offset == 2 && p.f_payload.len == 20 && p.f_ephemeral.offset == 24 && p.f_ephemeral.len == 32 &&
               p.f_signature.offset == 58 && p.f_signature.len == 64 && p.f_validator.offset == 125 &&
               p.f_validator.len == 7 && payload.len == 132,
           "pair-ec: where the fields are");
    tap_status(imsg_pair_ec_parse(imsg_view_of(payload.ptr, 122), &p, NULL, &err), IMSG_MALFORMED, &err,
               "no validator");
    tap_ok(err.has_offset && err.offset == 122, "is missed at the end: %s", err.text);
    imsg_buf_free(&payload);
}

/* ---- The inner part, sealed and signed by a sender who puts there what he likes ---- */

static void craft(struct imsg_view padded, struct imsg_buf *out)
{
    struct imsg_p256 *ephemeral = NULL;
    uint8_t secret[32], okm[48], hash[32], signature[64], payload[64], validator[7];
    if (imsg_p256_generate(&ephemeral, &err) != IMSG_OK ||
        imsg_p256_ecdh(ephemeral, imsg_p256_point(bob->prekey), secret, &err) != IMSG_OK ||
        imsg_hkdf_sha256(imsg_view_of(secret, 32), imsg_view_str("LastPawn-MessageKeys"), NOTHING, okm, 48, &err) !=
            IMSG_OK ||
        imsg_aes256_ctr64(okm, okm + 32, padded.ptr, payload, padded.len, &err) != IMSG_OK)
        abort();
    const struct imsg_view parts[] = {imsg_view_of(secret, 32), imsg_view_of(x_of(bob->prekey), 32),
                                      imsg_view_of(x_of(ephemeral), 32), imsg_view_of(x_of(bob->device), 32),
                                      imsg_view_of(payload, padded.len)};
    memcpy(validator, x_of(alice->device), 2);
    memcpy(validator + 2, x_of(bob->device), 2);
    memcpy(validator + 4, x_of(bob->prekey), 2);
    validator[6] = 0x0C;
    if (imsg_sha256_parts(parts, 5, hash, &err) != IMSG_OK ||
        imsg_p256_sign(alice->device, imsg_view_of(hash, 32), signature, &err) != IMSG_OK ||
        imsg_pb_put_bytes(out, 99, imsg_view_of(validator, 7), &err) != IMSG_OK ||
        imsg_pb_put_bytes(out, 3, imsg_view_of(signature, 64), &err) != IMSG_OK ||
        imsg_pb_put_bytes(out, 2, parts[2], &err) != IMSG_OK || imsg_pb_put_bytes(out, 1, parts[4], &err) != IMSG_OK)
        abort();
    imsg_p256_free(ephemeral);
}

/* Room that has seen other bytes. */
static void make_dirty(struct imsg_buf *out)
{
    uint8_t filler[100];
    memset(filler, 0xFF, sizeof filler);
    append(out, filler, sizeof filler);
    out->len = 0;
}

static bool is_clean(const struct imsg_buf *buf, size_t used)
{
    bool clean = true;
    for (size_t i = buf->len; i < used; i++)
        clean = clean && buf->ptr[i] == 0;
    return clean && buf->ptr[buf->len] == 0;
}

static void inner(const char *what, struct imsg_view padded, const char *message, int64_t counter)
{
    struct imsg_buf payload = {0}, plain = {0};
    struct imsg_trace trace = {0};
    craft(padded, &payload);
    make_dirty(&plain);
    enum imsg_status status = open_payload(imsg_buf_view(&payload), &plain, NULL);
    if (message) {
        tap_status(status, IMSG_OK, &err, "pair-ec, inside: %s: opens", what);
        tap_bytes(imsg_buf_view(&plain), imsg_view_str(message), "and holds \"%s\"", message);
        tap_ok(is_clean(&plain, padded.len), "and no plaintext is left behind it");
        plain.len = 0;
        (void)!open_payload(imsg_buf_view(&payload), &plain, &trace);
        const struct imsg_step *got = imsg_trace_find(&trace, "counter", IMSG_STEP_NUMBER);
        tap_ok(counter < 0 ? !got : got && got->number == (uint64_t)counter, "and its counter is right");
    } else {
        tap_status(status, IMSG_MALFORMED, &err, "pair-ec, inside: %s: %s", what, err.text);
        tap_ok(plain.len == 0 && !err.has_offset, "and nothing is written");
        tap_ok(is_clean(&plain, padded.len), "and no plaintext is left");
    }
    imsg_trace_free(&trace);
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

#define NO_PADDING "\0\0\0\0"

static void inners(void)
{
    inner("any field order", BYTES("\x10\x07\x0A\x02hi" NO_PADDING), "hi", 7);
    inner("nothing", BYTES(NO_PADDING), "", -1);
    inner("only padding", BYTES("xyz\x03\0\0\0"), "", -1);
    inner("padding of one byte too many", BYTES("xyz\x04\0\0\0"), NULL, 0);
    tap_ok(strstr(err.text, "padding") != NULL, "and it is the padding");
    inner("padding of 2^24 bytes", BYTES("xyz\0\0\0\x01"), NULL, 0);
    inner("message and counter twice", BYTES("\x0A\x02hi\x10\x07\x0A\x01x\x10\x08" NO_PADDING), "x", 8);
    inner("unknown fields", BYTES("\x1A\x01z\x9D\x06wxyz\x20\x01\x0A\x02hi" NO_PADDING), "hi", -1);
    inner("largest counter", BYTES("\x10\xFF\xFF\xFF\xFF\x0F" NO_PADDING), "", UINT32_MAX);
    inner("counter of 33 bits", BYTES("\x10\x80\x80\x80\x80\x10" NO_PADDING), NULL, 0);
    inner("counter as fixed32", BYTES("\x15wxyz" NO_PADDING), NULL, 0);
    inner("counter as bytes", BYTES("\x12\x01\x01" NO_PADDING), NULL, 0);
    inner("message as fixed64", BYTES("\x09stuvwxyz" NO_PADDING), NULL, 0);
    inner("group", BYTES("\x23\x24" NO_PADDING), NULL, 0);
    inner("bad field after a good message", BYTES("\x0A\x02hi\x10" NO_PADDING), NULL, 0);
}

int main(void)
{
    alice = vector_device("alice");
    bob = vector_device("bob");
    outer_fields();
    outers();
    inners();
    vector_devices_free();
    return tap_done();
}
