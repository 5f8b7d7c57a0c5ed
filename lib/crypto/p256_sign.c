#ifdef IMSG_TEST_SEAM
#define OPENSSL_SUPPRESS_DEPRECATED /* ECDSA_sign_ex, the only way to give OpenSSL 3.0 a nonce */
#endif

#include "crypto/internal.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

#define RAW 64
#define DER_MAX 72 /* 30 46, twice 02 21 00 and 32 bytes */

#ifdef IMSG_TEST_SEAM
static uint8_t next_k[32];
static bool next_k_set;

void imsg_test_next_k(const uint8_t *k)
{
    next_k_set = k != NULL;
    if (k)
        memcpy(next_k, k, sizeof next_k);
}

static bool sign_with_next_k(const struct imsg_p256 *key, struct imsg_view digest, uint8_t der[static DER_MAX],
                             size_t *len)
{
    const EC_GROUP *group = imsg_p256_group();
    EC_KEY *ec = EC_KEY_new_ex(imsg_crypto_context(), NULL);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *k = BN_bin2bn(next_k, sizeof next_k, NULL);
    BIGNUM *d = BN_bin2bn(imsg_p256_scalar(key), 32, NULL);
    BIGNUM *r = BN_new();
    BN_CTX *ctx = BN_CTX_new_ex(imsg_crypto_context());
    unsigned int size = 0;
    bool done = false;

    next_k_set = false;
    if (EC_KEY_set_group(ec, group) == 1 && EC_KEY_set_private_key(ec, d) == 1 &&
        EC_POINT_mul(group, point, k, NULL, NULL, ctx) == 1 &&
        EC_POINT_get_affine_coordinates(group, point, r, NULL, ctx) == 1 &&
        BN_nnmod(r, r, EC_GROUP_get0_order(group), ctx) == 1 && BN_mod_inverse(k, k, EC_GROUP_get0_order(group), ctx))
        done = ECDSA_sign_ex(0, digest.ptr, (int)digest.len, der, &size, k, r, ec) == 1;
    *len = size;
    BN_CTX_free(ctx);
    BN_free(r);
    BN_clear_free(d);
    BN_clear_free(k);
    EC_POINT_free(point);
    EC_KEY_free(ec);
    return done;
}
#endif

/* Without a digest set the context takes any hash value as it is, so that a policy against SHA-1 does not matter. */
static bool sign(const struct imsg_p256 *key, struct imsg_view digest, uint8_t der[static DER_MAX], size_t *len)
{
    EVP_PKEY *pkey = imsg_p256_evp(key);
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(imsg_crypto_context(), pkey, NULL) : NULL;

    *len = DER_MAX;
    bool done = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, der, len, digest.ptr, digest.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return done;
}

static bool digest_length_known(struct imsg_view digest)
{
    return digest.len == 20 || digest.len == 32;
}

enum imsg_status imsg_p256_sign_der(const struct imsg_p256 *key, struct imsg_view digest, uint8_t signature[static 72],
                                    size_t *len, struct imsg_error *err)
{
    uint8_t der[DER_MAX];
    size_t size = 0;
    bool done = false;

    if (!digest_length_known(digest))
        return imsg_fail(err, IMSG_INTERNAL, "a digest of %zu bytes cannot be signed", digest.len);
    ERR_set_mark();
#ifdef IMSG_TEST_SEAM
    if (next_k_set)
        done = sign_with_next_k(key, digest, der, &size);
    else
#endif
        done = sign(key, digest, der, &size);
    if (done) {
        memcpy(signature, der, size);
        *len = size;
    }
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_INTERNAL, "signing failed");
}

enum imsg_status imsg_p256_sign(const struct imsg_p256 *key, struct imsg_view digest, uint8_t signature[static 64],
                                struct imsg_error *err)
{
    uint8_t der[DER_MAX], raw[RAW];
    const uint8_t *at = der;
    size_t len = 0;

    enum imsg_status status = imsg_p256_sign_der(key, digest, der, &len, err);
    if (status != IMSG_OK)
        return status;
    ERR_set_mark();
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    bool done = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32) == 32;
    ECDSA_SIG_free(sig);
    if (done)
        memcpy(signature, raw, sizeof raw);
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_INTERNAL, "signing failed");
}

static bool in_range(const BIGNUM *number, const BIGNUM *order)
{
    return number && !BN_is_negative(number) && !BN_is_zero(number) && BN_cmp(number, order) < 0;
}

/* The one DER of a signature whose numbers are in range; its length, 0 for any other. */
static size_t canonical_der(const ECDSA_SIG *sig, uint8_t der[static DER_MAX])
{
    const EC_GROUP *group = imsg_p256_group();
    const BIGNUM *order = group ? EC_GROUP_get0_order(group) : NULL;
    uint8_t *at = der;

    if (!order || !in_range(ECDSA_SIG_get0_r(sig), order) || !in_range(ECDSA_SIG_get0_s(sig), order))
        return 0;
    int len = i2d_ECDSA_SIG(sig, &at); /* fits: both numbers have at most 33 bytes */
    return len > 0 ? (size_t)len : 0;
}

static bool verify(const uint8_t point[static 65], struct imsg_view digest, const uint8_t *der, size_t len)
{
    EVP_PKEY_CTX *ctx = NULL;
    EVP_PKEY *pkey = len > 0 && digest_length_known(digest) ? imsg_p256_evp_public(point) : NULL;
    bool good = false;

    if (pkey && (ctx = EVP_PKEY_CTX_new_from_pkey(imsg_crypto_context(), pkey, NULL)) && EVP_PKEY_verify_init(ctx) == 1)
        good = EVP_PKEY_verify(ctx, der, len, digest.ptr, digest.len) == 1; /* a negative answer is a failure */
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return good;
}

static enum imsg_status end_verify(bool good, struct imsg_error *err)
{
    return imsg_crypto_end(err, good ? IMSG_OK : IMSG_BAD_SIGNATURE, "the signature does not verify");
}

enum imsg_status imsg_p256_signature_der(const uint8_t signature[static 64], uint8_t der[static 72], size_t *len)
{
    ERR_set_mark();
    BIGNUM *r = BN_bin2bn(signature, 32, NULL);
    BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
    ECDSA_SIG *sig = ECDSA_SIG_new();

    *len = 0;
    if (r && s && sig && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* owned by sig now */
        *len = canonical_der(sig, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    ERR_pop_to_mark();
    return *len > 0 ? IMSG_OK : IMSG_BAD_SIGNATURE;
}

enum imsg_status imsg_p256_verify(const uint8_t point[static 65], struct imsg_view digest,
                                  const uint8_t signature[static 64], struct imsg_error *err)
{
    uint8_t der[DER_MAX];
    size_t len = 0;

    ERR_set_mark();
    bool good = imsg_p256_signature_der(signature, der, &len) == IMSG_OK && verify(point, digest, der, len);
    return end_verify(good, err);
}

enum imsg_status imsg_p256_verify_der(const uint8_t point[static 65], struct imsg_view digest,
                                      struct imsg_view signature, struct imsg_error *err)
{
    uint8_t der[DER_MAX];
    size_t len = 0;
    const uint8_t *at = signature.ptr;

    ERR_set_mark();
    if (signature.len > 0 && signature.len <= sizeof der) {
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)signature.len);
        /* Strict: the bytes must be those that the two numbers encode to. */
        len = sig ? canonical_der(sig, der) : 0;
        if (len != signature.len || memcmp(der, signature.ptr, len) != 0)
            len = 0;
        ECDSA_SIG_free(sig);
    }
    return end_verify(verify(point, digest, der, len), err);
}
