/* What the vectors leave open about the payload formats: the size limits, what an output buffer holds afterwards, where
 * a fault is said to be, every bit flipped. The protobuf of "pair-ec" has t-pair-ec.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/pair.h"
#include "format/pair_ec.h"
#include "tap.h"
#include "vector.h"

static struct imsg_error err;
static const struct vector_device *alice, *bob;

static const uint8_t *x_of(const struct imsg_p256 *key)
{
    return imsg_p256_point(key) + 1;
}

/* Everything below goes from alice to bob. */
static enum imsg_status seal(const struct imsg_format *format, struct imsg_view message, struct imsg_buf *out)
{
    const struct imsg_pair_ec_recipient recipient = {x_of(bob->device), imsg_p256_point(bob->prekey), 5};
    if (format == &imsg_format_pair)
        return imsg_pair_seal(alice->signing, &alice->identity, &bob->identity, message, out, &err);
    return imsg_pair_ec_seal(alice->device, &recipient, message, out, &err);
}

static enum imsg_status open_payload(const struct imsg_format *format, struct imsg_view payload, struct imsg_buf *out)
{
    enum imsg_status status;
    if (format == &imsg_format_pair) {
        const struct imsg_pair_keys keys = {bob->encryption, &bob->identity, &alice->identity};
        struct imsg_pair pair;
        status = imsg_pair_parse(payload, &pair, NULL, &err);
        if (status == IMSG_OK)
            status = imsg_pair_open(&pair, &keys, out, NULL, &err);
    } else {
        const struct imsg_pair_ec_keys keys = {x_of(bob->device), bob->prekey, imsg_p256_point(alice->device)};
        struct imsg_pair_ec pair_ec;
        status = imsg_pair_ec_parse(payload, &pair_ec, NULL, &err);
        if (status == IMSG_OK)
            status = imsg_pair_ec_check_version(&pair_ec, NULL, &err);
        if (status == IMSG_OK)
            status = imsg_pair_ec_open(&pair_ec, &keys, out, NULL, &err);
    }
    return status;
}

static void append(struct imsg_buf *out, const void *bytes, size_t len)
{
    if (imsg_buf_append(out, bytes, len, &err) != IMSG_OK)
        abort();
}

static void names(void)
{
    tap_ok(strcmp(imsg_format_name(&imsg_format_pair), "pair") == 0, "name of pair");
    tap_ok(strcmp(imsg_format_name(&imsg_format_pair_ec), "pair-ec") == 0, "name of pair-ec");
    tap_ok(imsg_format_of("pair") == &imsg_format_pair && imsg_format_of("pair-ec") == &imsg_format_pair_ec,
           "formats by name");
    tap_ok(!imsg_format_of("none") && !imsg_format_of("PAIR") && !imsg_format_of(""), "no format by another name");
    char listed[64] = "";
    const struct imsg_format *format;
    for (size_t i = 0; (format = imsg_format_from_last(i)); i++)
        snprintf(listed + strlen(listed), sizeof listed - strlen(listed), "%s%s", i ? "|" : "", format->name);
    tap_ok(strcmp(listed, IMSG_FORMAT_NAMES) == 0, "options name the rows of the table: %s", listed);
}

/* ---- Sizes and buffers ---- */

/* A buffer that holds "before" and has seen other bytes behind it. */
static void make_dirty(struct imsg_buf *out, size_t len)
{
    uint8_t *filler = malloc(len);
    if (!filler)
        abort();
    memset(filler, 0xFF, len);
    append(out, "before", 6);
    append(out, filler, len);
    out->len = 6;
    out->ptr[6] = 0;
    free(filler);
}

/* An attacker's signature over alice's body: the tag is all that is wrong, so it is refused after decryption. */
static void wiped(void)
{
    struct imsg_buf payload = {0}, plain = {0};
    struct imsg_pair pair;
    const struct vector_device *mallory = vector_device("mallory");
    const struct imsg_pair_keys keys = {bob->encryption, &bob->identity, &mallory->identity};
    uint8_t digest[20], der[72];
    size_t len;
    if (seal(&imsg_format_pair, imsg_view_str("a secret of more bytes than none"), &payload) != IMSG_OK ||
        imsg_pair_parse(imsg_buf_view(&payload), &pair, NULL, &err) != IMSG_OK ||
        imsg_sha1(pair.body, digest, &err) != IMSG_OK ||
        imsg_p256_sign_der(mallory->signing, imsg_view_of(digest, 20), der, &len, &err) != IMSG_OK ||
        imsg_buf_reserve(&plain, 300, &err) != IMSG_OK)
        abort();
    pair.signature = imsg_view_of(der, len);
    tap_status(imsg_pair_open(&pair, &keys, &plain, NULL, &err), IMSG_BAD_TAG, &err, "pair: signed anew by another");
    bool clean = plain.len == 0;
    for (size_t i = 0; i < 33; i++)
        clean = clean && plain.ptr[i] == 0;
    tap_ok(clean, "pair: and no plaintext is left in the output's memory");
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

static void limits(const struct imsg_format *format)
{
    const char *name = imsg_format_name(format);
    struct imsg_buf message = {0}, payload = {0}, plain = {0};
    uint8_t *filler = calloc(1, IMSG_FORMAT_MAX + 1);
    if (!filler)
        abort();
    append(&message, filler, IMSG_FORMAT_MAX + 1);
    free(filler);
    make_dirty(&payload, 70000);
    make_dirty(&plain, 70000);
    tap_status(seal(format, imsg_buf_view(&message), &payload), IMSG_TOO_LONG, &err, "%s: one byte too many", name);
    tap_bytes(imsg_buf_view(&payload), imsg_view_str("before"), "%s: and nothing is written", name);

    message.len--;
    tap_status(seal(format, imsg_buf_view(&message), &payload), IMSG_OK, &err, "%s: as many as fit", name);
    tap_ok(memcmp(payload.ptr, "before", 6) == 0 && payload.ptr[payload.len] == 0, "%s: sealing appends", name);
    tap_status(open_payload(format, imsg_view_of(payload.ptr + 6, payload.len - 6), &plain), IMSG_OK, &err,
               "%s: and they open", name);
    tap_ok(plain.len == 6 + message.len && memcmp(plain.ptr, "before", 6) == 0 &&
               memcmp(plain.ptr + 6, message.ptr, message.len) == 0 && plain.ptr[plain.len] == 0,
           "%s: opening appends", name);

    payload.ptr[payload.len - 80] ^= 1; /* in the last signature or what stands around it */
    plain.len = 6;
    tap_ok(open_payload(format, imsg_view_of(payload.ptr + 6, payload.len - 6), &plain) != IMSG_OK && plain.len == 6 &&
               plain.ptr[6] == 0,
           "%s: a refusal leaves the output as it was", name);
    imsg_buf_free(&message);
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

static void huge(void)
{
    uint8_t *bytes = calloc(1, IMSG_PAYLOAD_MAX + 1);
    struct imsg_pair pair;
    struct imsg_pair_ec pair_ec;
    if (!bytes)
        abort();
    bytes[0] = 2;
    struct imsg_view all = imsg_view_of(bytes, IMSG_PAYLOAD_MAX + 1);
    tap_ok(imsg_pair_parse(all, &pair, NULL, &err) == IMSG_MALFORMED && err.offset == IMSG_PAYLOAD_MAX,
           "pair: over 128 KiB");
    tap_ok(imsg_pair_ec_parse(all, &pair_ec, NULL, &err) == IMSG_MALFORMED && err.offset == IMSG_PAYLOAD_MAX,
           "pair-ec: over 128 KiB");
    free(bytes);
}

/* Every length around the block's and the padding's edges. */
static void lengths(const struct imsg_format *format)
{
    uint8_t message[140];
    struct imsg_buf payload = {0}, plain = {0};
    unsigned good = 0;
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    for (size_t len = 0; len <= sizeof message; len++) {
        imsg_buf_clear(&payload);
        imsg_buf_clear(&plain);
        good += seal(format, imsg_view_of(message, len), &payload) == IMSG_OK &&
                open_payload(format, imsg_buf_view(&payload), &plain) == IMSG_OK &&
                imsg_view_equal(imsg_buf_view(&plain), imsg_view_of(message, len));
    }
    tap_ok(good == sizeof message + 1, "%s: all lengths from 0 to %zu", imsg_format_name(format), sizeof message);
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

/* ---- Where a fault is ---- */

static void pair_fault(const struct imsg_buf *good, size_t len, size_t at, uint8_t byte, size_t offset)
{
    struct imsg_pair pair;
    struct imsg_buf bad = {0};
    append(&bad, good->ptr, good->len);
    append(&bad, "\0", 1);
    bad.len = len;
    if (at < len)
        bad.ptr[at] = byte;
    enum imsg_status status = imsg_pair_parse(imsg_buf_view(&bad), &pair, NULL, &err);
    tap_ok((status == IMSG_MALFORMED || status == IMSG_UNSUPPORTED) && err.has_offset && err.offset == offset,
           "pair: fault at byte %zu: %s", offset, err.text);
    imsg_buf_free(&bad);
}

static void pair_faults(void)
{
    struct imsg_buf good = {0};
    struct imsg_pair pair;
    if (seal(&imsg_format_pair, imsg_view_str("hello"), &good) != IMSG_OK ||
        imsg_pair_parse(imsg_buf_view(&good), &pair, NULL, &err) != IMSG_OK)
        abort();
    tap_ok(pair.f_body.offset == 3 && pair.f_body.len == 160 && pair.f_signature.offset == 164 &&
               pair.f_signature.len == good.len - 164 && pair.body.ptr == good.ptr + 3 && pair.rest.len == 0,
           "pair: where the fields are");
    pair_fault(&good, 0, SIZE_MAX, 0, 0);
    pair_fault(&good, 1, SIZE_MAX, 0, 1);
    pair_fault(&good, 2, SIZE_MAX, 0, 2);
    pair_fault(&good, 162, SIZE_MAX, 0, 1);
    pair_fault(&good, 163, SIZE_MAX, 0, 163);
    pair_fault(&good, 164, SIZE_MAX, 0, 163);
    pair_fault(&good, good.len - 1, SIZE_MAX, 0, 163);
    pair_fault(&good, good.len + 1, SIZE_MAX, 0, good.len);
    pair_fault(&good, good.len, 0, 1, 0);
    pair_fault(&good, good.len, 2, 159, 1);
    pair_fault(&good, good.len, 1, 1, 1);
    pair_fault(&good, good.len, 163, 0, 163);
    imsg_buf_free(&good);
}

/* ---- Every bit ---- */

/* The last byte of a "pair-ec" payload is its sender's version, which is not signed: 0c to 63 are taken. */
static void versions(void)
{
    struct imsg_buf payload = {0}, plain = {0};
    const struct imsg_format *format = imsg_format_of("pair-ec");
    unsigned wrong = 0;
    if (seal(format, imsg_view_str("hello"), &payload) != IMSG_OK)
        abort();
    tap_ok(payload.ptr[payload.len - 1] == 0x0c, "pair-ec: version 0c is written");
    for (unsigned version = 0; version < 256; version++) {
        payload.ptr[payload.len - 1] = (uint8_t)version;
        imsg_buf_clear(&plain);
        enum imsg_status want = version >= 0x0c && version <= 0x63 ? IMSG_OK : IMSG_UNSUPPORTED;
        wrong += open_payload(format, imsg_buf_view(&payload), &plain) != want || (plain.len != 0) != (want == IMSG_OK);
    }
    tap_ok(wrong == 0, "pair-ec: versions 0c to 63 are taken and no others: %u wrong", wrong);
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

static size_t flipped, flips_opened;

static void flip(const struct imsg_format *format, struct imsg_view message)
{
    struct imsg_buf payload = {0}, plain = {0};
    unsigned opened = 0, released = 0;
    if (seal(format, message, &payload) != IMSG_OK)
        abort();
    size_t version = format == imsg_format_of("pair-ec"); /* its byte is not signed */
    for (size_t bit = 0; bit < (payload.len - version) * 8; bit++) {
        payload.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        opened += open_payload(format, imsg_buf_view(&payload), &plain) == IMSG_OK;
        released += plain.len != 0;
        payload.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    flipped += (payload.len - version) * 8;
    flips_opened += opened;
    tap_ok(opened == 0 && released == 0, "%s: none of the %zu bits around %zu bytes can be flipped",
           imsg_format_name(format), payload.len * 8, message.len);
    tap_status(open_payload(format, imsg_buf_view(&payload), &plain), IMSG_OK, &err, "%s: and unflipped it opens",
               imsg_format_name(format));
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

static void flips(void)
{
    uint8_t message[200];
    /* Under valgrind all would take minutes, and each goes the same way through the code. */
    size_t count = getenv("VALGRIND") ? 1 : 10;
    memset(message, 'm', sizeof message);
    for (size_t i = 0; i < count; i++) {
        flip(&imsg_format_pair, imsg_view_of(message, i * 20));
        flip(&imsg_format_pair_ec, imsg_view_of(message, i * 20));
    }
    tap_quality("A flipped bit of a payload, 20 payloads of both formats: refused, nothing out", flipped, flips_opened);
    versions();
}

/* ---- The prekey record ---- */

/* What newer clients add is passed over, wherever it stands. */
static void longer_prekeys(const struct imsg_prekey *good)
{
    static uint8_t bytes[IMSG_PREKEY_RECORD_MAX + 1];
    struct imsg_prekey read;
    size_t more = 1200, head = 3; /* field 4, 1200 bytes */
    const uint8_t tag[] = {0x22, 0xB0, 0x09};
    memcpy(bytes, good->raw, sizeof good->raw);
    memcpy(bytes + sizeof good->raw, tag, sizeof tag);
    tap_status(imsg_prekey_parse(imsg_view_of(bytes, sizeof good->raw + head + more), &read, &err), IMSG_OK, &err,
               "a prekey record with a field more");
    tap_ok(memcmp(&read, good, sizeof read) == 0, "is the same without it");
    tap_status(imsg_prekey_parse(imsg_view_of(bytes, sizeof good->raw + head + more - 1), &read, &err), IMSG_MALFORMED,
               &err, "cut");
    memcpy(bytes, tag, sizeof tag);
    memset(bytes + head, 0, more);
    memcpy(bytes + head + more, good->raw, sizeof good->raw);
    tap_status(imsg_prekey_parse(imsg_view_of(bytes, sizeof good->raw + head + more), &read, &err), IMSG_OK, &err,
               "the field in front");
    tap_status(imsg_prekey_verify(&read, x_of(alice->device), &err), IMSG_OK, &err, "verifies");
    memcpy(bytes, good->raw, sizeof good->raw);
    size_t rest = IMSG_PREKEY_RECORD_MAX - sizeof good->raw - 3;
    bytes[sizeof good->raw] = 0x22;
    bytes[sizeof good->raw + 1] = (uint8_t)(rest | 0x80);
    bytes[sizeof good->raw + 2] = (uint8_t)(rest >> 7);
    tap_status(imsg_prekey_parse(imsg_view_of(bytes, IMSG_PREKEY_RECORD_MAX), &read, &err), IMSG_OK, &err,
               "8192 bytes");
    tap_status(imsg_prekey_parse(imsg_view_of(bytes, IMSG_PREKEY_RECORD_MAX + 1), &read, &err), IMSG_MALFORMED, &err,
               "one more");
}

static void prekeys(void)
{
    uint8_t off_curve[32];
    struct imsg_prekey prekey;
    memset(off_curve, 0xFF, sizeof off_curve);
    tap_status(imsg_prekey_make(alice->device, off_curve, 1.5, &prekey, &err), IMSG_OK, &err,
               "prekey that is no point");
    tap_status(imsg_prekey_verify(&prekey, x_of(alice->device), &err), IMSG_MALFORMED, &err,
               "is malformed, though well signed");
    tap_status(imsg_prekey_make(alice->device, x_of(alice->prekey), 1.5, &prekey, &err), IMSG_OK, &err, "good prekey");
    tap_status(imsg_prekey_verify(&prekey, x_of(alice->device), &err), IMSG_OK, &err, "verifies");
    tap_status(imsg_prekey_verify(&prekey, off_curve, &err), IMSG_MALFORMED, &err, "device key that is no point");
    tap_status(imsg_prekey_verify(&prekey, x_of(bob->device), &err), IMSG_BAD_SIGNATURE, &err, "another device's key");
    longer_prekeys(&prekey);
    tap_bytes(imsg_view_of(prekey.time, 8), imsg_view_of("\0\0\0\0\0\0\xF8\x3F", 8), "time is a little-endian double");
}

int main(void)
{
    alice = vector_device("alice");
    bob = vector_device("bob");
    names();
    const struct imsg_format *format;
    for (size_t i = 0; (format = imsg_format_at(i)); i++) {
        limits(format);
        lengths(format);
    }
    wiped();
    huge();
    pair_faults();
    prekeys();
    flips();
    vector_devices_free();
    return tap_done();
}
