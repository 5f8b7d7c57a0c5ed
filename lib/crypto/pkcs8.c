/* PKCS#8 of the two kinds of keys, parsed by hand: OpenSSL's decoders take half a millisecond for each key, where a
 * whole call of a tool takes four. */
#include "crypto/internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

/* RFC 5958 around RFC 5915 for id-ecPublicKey, prime256v1, without parameters inside: what OpenSSL and most others
 * write, with the public key and without. A scalar of 32 bytes follows each head. */
static const uint8_t ec_head[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
                                  0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                  0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
static const uint8_t ec_public_head[] = {0xa1, 0x44, 0x03, 0x42, 0x00};
static const uint8_t ec_bare_head[] = {0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                       0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
                                       0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20};
/* version 0, rsaEncryption, NULL */
static const uint8_t rsa_head[] = {0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
                                   0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};

enum { SCALAR = 32, POINT = 65, DER_INTEGER = 0x02, DER_OCTETS = 0x04, DER_SEQUENCE = 0x30 };

static bool take_bytes(struct imsg_view *in, const uint8_t *bytes, size_t len)
{
    if (in->len < len || memcmp(in->ptr, bytes, len) != 0)
        return false;
    *in = imsg_view_of(in->ptr + len, in->len - len);
    return true;
}

/* One element with its shortest length, below 64 KiB. */
static bool take(struct imsg_view *in, uint8_t tag, struct imsg_view *content)
{
    const uint8_t *at = in->ptr;
    size_t head = 2, len;

    if (in->len < 2 || at[0] != tag)
        return false;
    len = at[1];
    if (len == 0x81 && in->len >= 3 && at[2] >= 0x80) {
        len = at[2];
        head = 3;
    } else if (len == 0x82 && in->len >= 4 && at[2] > 0) {
        len = (size_t)at[2] << 8 | at[3];
        head = 4;
    } else if (len >= 0x80) {
        return false;
    }
    if (in->len - head < len)
        return false;
    *content = imsg_view_of(at + head, len);
    *in = imsg_view_of(at + head + len, in->len - head - len);
    return true;
}

/* A number that is positive and has no needless zeros, which leaves out its sign byte. */
static bool take_number(struct imsg_view *in, struct imsg_view *number)
{
    struct imsg_view n;

    if (!take(in, DER_INTEGER, &n) || n.len == 0 || n.ptr[0] & 0x80)
        return false;
    if (n.ptr[0] == 0) {
        if (n.len == 1 || !(n.ptr[1] & 0x80))
            return false;
        n = imsg_view_of(n.ptr + 1, n.len - 1);
    }
    *number = n;
    return true;
}

enum imsg_status imsg_pkcs8_p256(struct imsg_view der, struct imsg_p256 **out, struct imsg_error *err)
{
    struct imsg_p256 *key = NULL;
    const uint8_t *point = NULL;
    struct imsg_view in = der;

    if (take_bytes(&in, ec_head, sizeof ec_head)) {
        if (in.len != SCALAR + sizeof ec_public_head + POINT ||
            memcmp(in.ptr + SCALAR, ec_public_head, sizeof ec_public_head) != 0)
            return imsg_fail(err, IMSG_UNSUPPORTED, "not the usual PKCS#8 of a P-256 key");
        point = in.ptr + SCALAR + sizeof ec_public_head;
    } else if (!take_bytes(&in, ec_bare_head, sizeof ec_bare_head) || in.len != SCALAR) {
        return imsg_fail(err, IMSG_UNSUPPORTED, "not the usual PKCS#8 of a P-256 key");
    }
    enum imsg_status status = imsg_p256_from_scalar(in.ptr, &key, err);
    if (status != IMSG_OK)
        return status;
    if (point && memcmp(point, imsg_p256_point(key), POINT) != 0) {
        imsg_p256_free(key);
        return imsg_fail(err, IMSG_MALFORMED, "the public key in it does not fit the private key");
    }
    *out = key;
    return IMSG_OK;
}

enum imsg_status imsg_pkcs8_rsa(struct imsg_view der, struct imsg_rsa **out, struct imsg_error *err)
{
    static const uint8_t version[] = {0x02, 0x01, 0x00};
    struct imsg_view in = der, outer, octets, inner, parts[RSA_PARTS];
    bool good = take(&in, DER_SEQUENCE, &outer) && in.len == 0 && take_bytes(&outer, rsa_head, sizeof rsa_head) &&
                take(&outer, DER_OCTETS, &octets) && outer.len == 0 && take(&octets, DER_SEQUENCE, &inner) &&
                octets.len == 0 && take_bytes(&inner, version, sizeof version);

    for (size_t i = 0; good && i < RSA_PARTS; i++)
        good = take_number(&inner, &parts[i]);
    if (!good || inner.len != 0)
        return imsg_fail(err, IMSG_UNSUPPORTED, "not the usual PKCS#8 of an RSA key");
    return imsg_rsa_from_parts(parts, out, err);
}

enum imsg_status imsg_pkcs8_from_p256(const struct imsg_p256 *key, struct imsg_buf *der, struct imsg_error *err)
{
    enum imsg_status status = imsg_buf_append(der, ec_head, sizeof ec_head, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(der, imsg_p256_scalar(key), SCALAR, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(der, ec_public_head, sizeof ec_public_head, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(der, imsg_p256_point(key), POINT, err);
    return status;
}

enum imsg_status imsg_pkcs8_from_evp(EVP_PKEY *pkey, struct imsg_buf *der, struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    uint8_t *bytes = NULL;

    ERR_set_mark();
    /* Of several errors the first is the reason: the last is always a lack of memory. It cannot be told among others.
     */
    bool alone = ERR_peek_error() == 0;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
    int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &bytes) : -1;

    if (len > 0)
        status = imsg_buf_append(der, bytes, (size_t)len, err);
    else if (alone && ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
        imsg_fail(err, status, "no memory for a private key");
    else /* a scalar longer than its curve's, for one: OpenSSL reads that and does not write it */
        status = imsg_fail(err, IMSG_UNSUPPORTED, "OpenSSL does not write this private key");
    if (len > 0)
        OPENSSL_clear_free(bytes, (size_t)len);
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes the key in it */
    ERR_pop_to_mark();
    return status;
}
