/* The signed prekey (format.md §4): a protobuf of three fields, 109 bytes where it is made here. Newer clients add
 * fields, which its signature does not cover: they are passed over. */
#include <string.h>

#include "crypto/crypto.h"
#include "format/device.h"
#include "format/protobuf.h"

enum { X = 2, SIGNATURE = 36, TIME = 101 }; /* offsets in the record that is made here */

static const struct {
    uint8_t offset, byte;
} fixed[] = {{0, 0x0A}, {1, 0x20}, {34, 0x12}, {35, 0x40}, {100, 0x19}};

/* The fields, by their numbers from 1. */
static const struct {
    enum imsg_pb_wire wire;
    uint8_t offset, len;
    const char *name;
} fields[] = {
    {IMSG_PB_BYTES, X, 32, "key"}, {IMSG_PB_BYTES, SIGNATURE, 64, "signature"}, {IMSG_PB_FIXED64, TIME, 8, "time"}};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static enum imsg_status prekey_digest(const uint8_t x[static 32], const uint8_t time_bytes[static 8],
                                      uint8_t digest[static 32], struct imsg_error *err)
{
    const struct imsg_view parts[] = {imsg_view_str("NGMPrekeySignature"), imsg_view_of(x, 32),
                                      imsg_view_of(time_bytes, 8)};
    return imsg_sha256_parts(parts, 3, digest, err);
}

static void fill(const uint8_t raw[static IMSG_PREKEY_RECORD], struct imsg_prekey *out)
{
    memcpy(out->raw, raw, sizeof out->raw);
    memcpy(out->x, raw + X, sizeof out->x);
    memcpy(out->signature, raw + SIGNATURE, sizeof out->signature);
    memcpy(out->time, raw + TIME, sizeof out->time);
}

/* A field into its place in `raw`; the last of a repeated one counts. */
static enum imsg_status read_field(const struct imsg_pb_field *field, uint8_t raw[static IMSG_PREKEY_RECORD],
                                   bool found[static FIELDS], struct imsg_error *err)
{
    size_t i = field->number - 1;
    if (i >= FIELDS)
        return IMSG_OK;
    enum imsg_status status = imsg_pb_expect(field, fields[i].wire, err);
    if (status == IMSG_OK && field->at.len != fields[i].len)
        status = imsg_fail_at(err, IMSG_MALFORMED, field->at.offset, "%s of %zu bytes, not %d", fields[i].name,
                              field->at.len, fields[i].len);
    if (status == IMSG_OK) {
        memcpy(raw + fields[i].offset, field->bytes.ptr, fields[i].len);
        found[i] = true;
    }
    return status;
}

enum imsg_status imsg_prekey_parse(struct imsg_view bytes, struct imsg_prekey *out, struct imsg_error *err)
{
    struct imsg_pb_reader reader = {.bytes = bytes};
    struct imsg_pb_field field;
    uint8_t raw[IMSG_PREKEY_RECORD];
    bool found[FIELDS] = {false}, more = true;
    enum imsg_status status = IMSG_OK;
    if (bytes.len > IMSG_PREKEY_RECORD_MAX)
        return imsg_fail_at(err, IMSG_MALFORMED, IMSG_PREKEY_RECORD_MAX, "prekey record has %zu bytes, at most %d",
                            bytes.len, IMSG_PREKEY_RECORD_MAX);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        raw[fixed[i].offset] = fixed[i].byte;
    while (status == IMSG_OK && (status = imsg_pb_next(&reader, &field, &more, err)) == IMSG_OK && more)
        status = read_field(&field, raw, found, err);
    for (size_t i = 0; status == IMSG_OK && i < FIELDS; i++)
        if (!found[i])
            status = imsg_fail_at(err, IMSG_MALFORMED, bytes.len, "there is no %s", fields[i].name);
    if (status == IMSG_OK)
        fill(raw, out);
    else
        imsg_error_prefix(err, "prekey record");
    return status;
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
    fill(raw, out);
    return IMSG_OK;
}

void imsg_prekey_lay_out(struct imsg_view bytes, struct imsg_layout *layout)
{
    static const struct imsg_pb_name names[] = {
        {1, "prekey_x"}, {2, "signature"}, {IMSG_PREKEY_TIME, "time"}, {4, "tetra_pre_key"}, {0, NULL}};
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
