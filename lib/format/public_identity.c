/* The public identity of a "pair" device (format.md §1).
 *
 * It looks like DER but is not (u16 lengths inside context tags), and every length in it is fixed. So it is read as
 * three runs of fixed bytes around two keys, without a general decoder. */
#include <string.h>

#include "crypto/crypto.h"
#include "format/device.h"

enum {
    EC_PART = 5, /* 00 41 04 X Y: the first of the two parts that are hashed */
    EC_PART_LEN = 67,
    POINT = 7,
    POINT_LEN = 65,
    RSA_PART = 75, /* 00 AC … 01 00 01: the second */
    RSA_PART_LEN = 174,
    MODULUS = 84,
    MODULUS_LEN = 160,
};

static const struct {
    uint8_t offset, len;
    uint8_t bytes[12];
} fixed[] = {
    {0, 8, {0x30, 0x81, 0xF6, 0x81, 0x43, 0x00, 0x41, 0x04}},
    {72, 12, {0x82, 0x81, 0xAE, 0x00, 0xAC, 0x30, 0x81, 0xA9, 0x02, 0x81, 0xA1, 0x00}},
    {244, 5, {0x02, 0x03, 0x01, 0x00, 0x01}},
};

static enum imsg_status check_fixed(const uint8_t *raw, struct imsg_error *err)
{
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const uint8_t *got = raw + fixed[i].offset;
        for (size_t j = 0; j < fixed[i].len; j++) {
            if (got[j] != fixed[i].bytes[j])
                return imsg_fail_at(err, IMSG_MALFORMED, fixed[i].offset + j,
                                    "public identity has 0x%02x where 0x%02x belongs", got[j], fixed[i].bytes[j]);
        }
    }
    return IMSG_OK;
}

enum imsg_status imsg_public_identity_parse(struct imsg_view bytes, struct imsg_public_identity *out,
                                            struct imsg_error *err)
{
    if (bytes.len != IMSG_PUBLIC_IDENTITY)
        return imsg_fail_at(err, IMSG_MALFORMED, bytes.len < IMSG_PUBLIC_IDENTITY ? bytes.len : IMSG_PUBLIC_IDENTITY,
                            "public identity has %zu bytes, not %d", bytes.len, IMSG_PUBLIC_IDENTITY);
    enum imsg_status status = check_fixed(bytes.ptr, err);
    if (status != IMSG_OK)
        return status;
    const uint8_t *modulus = bytes.ptr + MODULUS;
    if ((modulus[0] & 0x80) == 0)
        return imsg_fail_at(err, IMSG_MALFORMED, MODULUS, "RSA modulus has fewer than 1280 bits");
    if ((modulus[MODULUS_LEN - 1] & 1) == 0)
        return imsg_fail_at(err, IMSG_MALFORMED, MODULUS + MODULUS_LEN - 1, "RSA modulus is even");
    status = imsg_p256_check(bytes.ptr + POINT, err);
    if (status == IMSG_MALFORMED)
        return imsg_fail_at(err, IMSG_MALFORMED, POINT, "signing key is not a point of P-256");
    if (status != IMSG_OK)
        return status;

    const struct imsg_view parts[] = {imsg_view_of(bytes.ptr + EC_PART, EC_PART_LEN),
                                      imsg_view_of(bytes.ptr + RSA_PART, RSA_PART_LEN)};
    uint8_t hash[sizeof out->hash];
    status = imsg_sha256_parts(parts, 2, hash, err);
    if (status != IMSG_OK)
        return status;
    memcpy(out->raw, bytes.ptr, IMSG_PUBLIC_IDENTITY);
    memcpy(out->signing, out->raw + POINT, POINT_LEN);
    memcpy(out->modulus, out->raw + MODULUS, MODULUS_LEN);
    memcpy(out->hash, hash, sizeof hash);
    return IMSG_OK;
}

enum imsg_status imsg_public_identity_make(const uint8_t signing[static 65], const uint8_t modulus[static 160],
                                           struct imsg_public_identity *out, struct imsg_error *err)
{
    uint8_t raw[IMSG_PUBLIC_IDENTITY];
    /* The point's 04 is one of the fixed bytes, which are written over it: another form must not be hidden by that. */
    if (signing[0] != 0x04)
        return imsg_fail(err, IMSG_MALFORMED, "signing key is not an uncompressed point");
    memcpy(raw + POINT, signing, POINT_LEN);
    memcpy(raw + MODULUS, modulus, MODULUS_LEN);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        memcpy(raw + fixed[i].offset, fixed[i].bytes, fixed[i].len);
    return imsg_public_identity_parse(imsg_view_of(raw, sizeof raw), out, err);
}

void imsg_public_identity_lay_out(struct imsg_view bytes, struct imsg_layout *layout)
{
    static const struct {
        const char *name;
        size_t at;
    } parts[] = {{"header", 0},
                 {"signing_header", 3},
                 {"signing_pub", POINT},
                 {"rsa_header", POINT + POINT_LEN},
                 {"rsa_n", MODULUS},
                 {"rsa_e", MODULUS + MODULUS_LEN},
                 {"trailing", IMSG_PUBLIC_IDENTITY},
                 {NULL, SIZE_MAX}};
    for (size_t i = 0; parts[i].name && parts[i].at < bytes.len; i++) {
        size_t end = parts[i + 1].at < bytes.len ? parts[i + 1].at : bytes.len;
        (void)imsg_layout_add(layout, parts[i].name, (struct imsg_field){parts[i].at, end - parts[i].at},
                              IMSG_SHOWN_HEX);
    }
}
