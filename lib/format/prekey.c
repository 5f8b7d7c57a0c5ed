/* The signed prekey (format.md §4). It is a protobuf on the wire, but one with a single possible shape: three fields,
 * 109 bytes. Anything else, other field orders included, would be a second encoding of the same record. */
#include <string.h>

#include "crypto/crypto.h"
#include "format/device.h"
#include "format/protobuf.h"

enum { X = 2, SIGNATURE = 36, TIME = 101 };

static const struct {
    uint8_t offset, byte;
} fixed[] = {{0, 0x0A}, {1, 0x20}, {34, 0x12}, {35, 0x40}, {100, 0x19}};

static enum imsg_status prekey_digest(const uint8_t x[static 32], const uint8_t time_bytes[static 8],
                                      uint8_t digest[static 32], struct imsg_error *err)
{
    const struct imsg_view parts[] = {imsg_view_str("NGMPrekeySignature"), imsg_view_of(x, 32),
                                      imsg_view_of(time_bytes, 8)};
    return imsg_sha256_parts(parts, 3, digest, err);
}

enum imsg_status imsg_prekey_parse(struct imsg_view bytes, struct imsg_prekey *out, struct imsg_error *err)
{
    if (bytes.len != IMSG_PREKEY_RECORD)
        return imsg_fail_at(err, IMSG_MALFORMED, bytes.len < IMSG_PREKEY_RECORD ? bytes.len : IMSG_PREKEY_RECORD,
                            "prekey record has %zu bytes, not %d", bytes.len, IMSG_PREKEY_RECORD);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        uint8_t got = bytes.ptr[fixed[i].offset];
        if (got != fixed[i].byte)
            return imsg_fail_at(err, IMSG_MALFORMED, fixed[i].offset, "prekey record has 0x%02x where 0x%02x belongs",
                                got, fixed[i].byte);
    }
    memcpy(out->raw, bytes.ptr, sizeof out->raw);
    memcpy(out->x, bytes.ptr + X, sizeof out->x);
    memcpy(out->signature, bytes.ptr + SIGNATURE, sizeof out->signature);
    memcpy(out->time, bytes.ptr + TIME, sizeof out->time);
    return IMSG_OK;
}

enum imsg_status imsg_prekey_verify_by(const struct imsg_prekey *prekey, const uint8_t device[static 65],
                                       uint8_t point[static 65], struct imsg_error *err)
{
    uint8_t digest[32];
    enum imsg_status status = imsg_p256_lift(prekey->x, point, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "prekey");
        return status;
    }
    status = prekey_digest(prekey->x, prekey->time, digest, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_p256_verify(device, imsg_view_of(digest, sizeof digest), prekey->signature, err);
    if (status == IMSG_BAD_SIGNATURE)
        return imsg_fail(err, status, "prekey is not signed by the device key");
    return status;
}

enum imsg_status imsg_prekey_verify(const struct imsg_prekey *prekey, const uint8_t device_x[static 32],
                                    struct imsg_error *err)
{
    uint8_t device[65], point[65];
    enum imsg_status status = imsg_p256_lift(device_x, device, err);
    if (status == IMSG_OK)
        return imsg_prekey_verify_by(prekey, device, point, err);
    imsg_error_prefix(err, "device key");
    return status;
}

enum imsg_status imsg_prekey_make(const struct imsg_p256 *device, const uint8_t prekey_x[static 32],
                                  double unix_seconds, struct imsg_prekey *out, struct imsg_error *err)
{
    uint64_t bits;
    uint8_t digest[32], raw[IMSG_PREKEY_RECORD];
    _Static_assert(sizeof bits == sizeof unix_seconds, "double is IEEE 754 binary64");
    memcpy(&bits, &unix_seconds, sizeof bits);

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        raw[fixed[i].offset] = fixed[i].byte;
    memcpy(raw + X, prekey_x, 32);
    for (size_t i = 0; i < 8; i++)
        raw[TIME + i] = (uint8_t)(bits >> (8 * i));
    enum imsg_status status = prekey_digest(raw + X, raw + TIME, digest, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_p256_sign(device, imsg_view_of(digest, sizeof digest), raw + SIGNATURE, err);
    if (status != IMSG_OK)
        return status;
    return imsg_prekey_parse(imsg_view_of(raw, sizeof raw), out, err);
}

void imsg_prekey_lay_out(struct imsg_view bytes, struct imsg_layout *layout)
{
    static const struct imsg_pb_name names[] = {
        {1, "prekey_x"}, {2, "signature"}, {IMSG_PREKEY_TIME, "time"}, {0, NULL}};
    struct imsg_pb_reader reader = {.bytes = bytes, .layout = layout, .names = names};
    if (bytes.len > IMSG_PAYLOAD_MAX) /* no record is so long, and each two bytes could be a field */
        (void)imsg_layout_add(layout, "unreadable", (struct imsg_field){0, bytes.len}, IMSG_SHOWN_HEX);
    else
        imsg_pb_lay_out(&reader);
}

double imsg_prekey_seconds(const uint8_t time_bytes[static 8])
{
    uint64_t bits = 0;
    double seconds;
    for (size_t i = 8; i-- > 0;)
        bits = bits << 8 | time_bytes[i];
    memcpy(&seconds, &bits, sizeof seconds);
    return seconds;
}
