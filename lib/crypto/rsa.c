#include "crypto/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#define BITS 1280
#define EXPONENT 65537u
#define OAEP_OVERHEAD 42 /* two SHA-1 and two bytes: RFC 8017 §7.1.1 */

struct imsg_rsa {
    uint8_t modulus[IMSG_RSA_BYTES];
    EVP_PKEY *evp;
};

/* Takes over pkey, also on failure. */
static bool wrap(EVP_PKEY *pkey, struct imsg_rsa **out)
{
    bool done = false;
    BIGNUM *n = NULL;
    struct imsg_rsa *key = calloc(1, sizeof *key);

    if (key && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 && BN_num_bits(n) == BITS &&
        BN_bn2binpad(n, key->modulus, IMSG_RSA_BYTES) == IMSG_RSA_BYTES) {
        key->evp = pkey;
        *out = key;
        pkey = NULL;
        key = NULL;
        done = true;
    }
    BN_free(n);
    free(key);
    EVP_PKEY_free(pkey);
    return done;
}

/* ---- Keys from numbers ---------------------------------------------------------------------------------------- */

/* e times an exponent of the CRT is 1, and that exponent is d, both modulo prime - 1. */
static bool exponent_fits(const BIGNUM *e, const BIGNUM *d, const BIGNUM *prime, const BIGNUM *exponent, BN_CTX *ctx)
{
    BIGNUM *less = BN_CTX_get(ctx), *work = BN_CTX_get(ctx);

    if (!work)
        return false;
    BN_set_flags(less, BN_FLG_CONSTTIME);
    return BN_sub(less, prime, BN_value_one()) && BN_mod_mul(work, e, exponent, less, ctx) && BN_is_one(work) &&
           BN_mod(work, d, less, ctx) && BN_cmp(work, exponent) == 0;
}

static bool parts_fit(BIGNUM *const b[static RSA_PARTS])
{
    bool fit = false;
    BN_CTX *ctx = BN_CTX_secure_new_ex(imsg_crypto_context());

    if (!ctx)
        return false;
    BN_CTX_start(ctx);
    BIGNUM *work = BN_CTX_get(ctx);
    fit = work && BN_num_bits(b[RSA_N]) == BITS && BN_is_odd(b[RSA_N]) && BN_is_word(b[RSA_E], EXPONENT) &&
          BN_mul(work, b[RSA_P], b[RSA_Q], ctx) && BN_cmp(work, b[RSA_N]) == 0 &&
          exponent_fits(b[RSA_E], b[RSA_D], b[RSA_P], b[RSA_DP], ctx) &&
          exponent_fits(b[RSA_E], b[RSA_D], b[RSA_Q], b[RSA_DQ], ctx) && BN_cmp(b[RSA_QINV], b[RSA_P]) < 0 &&
          BN_mod_mul(work, b[RSA_QINV], b[RSA_Q], b[RSA_P], ctx) && BN_is_one(work);
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return fit;
}

static EVP_PKEY *from_data(int selection, BIGNUM *const b[], size_t count)
{
    static const char *const names[RSA_PARTS] = {
        OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    uint8_t native[RSA_PARTS][IMSG_RSA_BYTES];
    OSSL_PARAM params[RSA_PARTS + 1];
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = NULL;

    for (size_t i = 0; i < count; i++) {
        if (BN_bn2nativepad(b[i], native[i], IMSG_RSA_BYTES) < 0)
            goto out;
        params[i] = OSSL_PARAM_construct_BN(names[i], native[i], IMSG_RSA_BYTES);
    }
    params[count] = OSSL_PARAM_construct_end();
    ctx = EVP_PKEY_CTX_new_from_name(imsg_crypto_context(), "RSA", NULL);
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &pkey, selection, params);
out:
    EVP_PKEY_CTX_free(ctx);
    imsg_wipe(native, sizeof native);
    return pkey;
}

static enum imsg_status from_numbers(BIGNUM *const b[static RSA_PARTS], struct imsg_rsa **out)
{
    if (!parts_fit(b))
        return IMSG_MALFORMED;
    EVP_PKEY *pkey = from_data(EVP_PKEY_KEYPAIR, b, RSA_PARTS);
    return pkey && wrap(pkey, out) ? IMSG_OK : IMSG_NO_MEMORY;
}

static BIGNUM *secret_number(void)
{
    BIGNUM *number = BN_new();
    if (number)
        BN_set_flags(number, BN_FLG_CONSTTIME);
    return number;
}

enum imsg_status imsg_rsa_from_parts(const struct imsg_view parts[static RSA_PARTS], struct imsg_rsa **out,
                                     struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    BIGNUM *b[RSA_PARTS] = {0};

    ERR_set_mark();
    for (size_t i = 0; i < RSA_PARTS; i++) {
        if (parts[i].len > IMSG_RSA_BYTES) {
            status = IMSG_MALFORMED;
            goto out;
        }
        b[i] = secret_number();
        if (!b[i] || !BN_bin2bn(parts[i].ptr, (int)parts[i].len, b[i]))
            goto out;
    }
    status = from_numbers(b, out);
out:
    for (size_t i = 0; i < RSA_PARTS; i++)
        BN_clear_free(b[i]);
    return imsg_crypto_end(err, status,
                           status == IMSG_MALFORMED ? "not an RSA key of 1280 bits with exponent 65537 whose parts fit"
                                                    : "no memory for an RSA key");
}

/* ---- Generating ---------------------------------------------------------------------------------------------- */

/* The two primes are nearly all of the work, and neither depends on the other: one thread for each. Mean of 1,000 keys,
 * CPU time: EVP_RSA_gen(1280) 19.3 ms, two primes 19.7 ms, the longer of the two 11.9 ms, which is the time on two free
 * cores (docs/performance.md, keygen). The rest is as in FIPS 186-4 B.3.3 and in EVP_RSA_gen. */
static void *find_prime(void *arg)
{
    BIGNUM **prime = arg;
    BN_CTX *ctx = BN_CTX_secure_new_ex(imsg_crypto_context());
    BIGNUM *found = secret_number();

    /* Its two highest bits are set, so that the product of two has exactly 1280. */
    if (ctx && found && BN_generate_prime_ex2(found, BITS / 2, 0, NULL, NULL, NULL, ctx) == 1) {
        *prime = found;
        found = NULL;
    }
    BN_clear_free(found);
    BN_CTX_free(ctx);
    return NULL;
}

static bool find_primes(BIGNUM **p, BIGNUM **q)
{
    pthread_t other;

    bool two = sysconf(_SC_NPROCESSORS_ONLN) > 1 && pthread_create(&other, NULL, find_prime, q) == 0;
    find_prime(p);
    if (two)
        pthread_join(other, NULL);
    else
        find_prime(q);
    if (!*p || !*q)
        return false;
    if (BN_cmp(*p, *q) < 0) { /* the usual order, which keeps qInv below both */
        BIGNUM *smaller = *p;
        *p = *q;
        *q = smaller;
    }
    return true;
}

/* All else from b[RSA_P] and b[RSA_Q]. False also if e has no inverse, for one pair of primes in 32768. */
static bool complete(BIGNUM *const b[static RSA_PARTS])
{
    bool done = false;
    BN_CTX *ctx = BN_CTX_secure_new_ex(imsg_crypto_context());

    if (!ctx)
        return false;
    BN_CTX_start(ctx);
    BIGNUM *p1 = BN_CTX_get(ctx), *q1 = BN_CTX_get(ctx), *phi = BN_CTX_get(ctx);
    if (!phi)
        goto out;
    BN_set_flags(p1, BN_FLG_CONSTTIME);
    BN_set_flags(q1, BN_FLG_CONSTTIME);
    BN_set_flags(phi, BN_FLG_CONSTTIME);
    /* B.3.3 step 5.4: primes this close would make n easy to factor. */
    if (!BN_sub(phi, b[RSA_P], b[RSA_Q]) || BN_num_bits(phi) <= BITS / 2 - 100)
        goto out;
    done = BN_set_word(b[RSA_E], EXPONENT) && BN_mul(b[RSA_N], b[RSA_P], b[RSA_Q], ctx) &&
           BN_sub(p1, b[RSA_P], BN_value_one()) && BN_sub(q1, b[RSA_Q], BN_value_one()) && BN_mul(phi, p1, q1, ctx) &&
           BN_mod_inverse(b[RSA_D], b[RSA_E], phi, ctx) && BN_mod(b[RSA_DP], b[RSA_D], p1, ctx) &&
           BN_mod(b[RSA_DQ], b[RSA_D], q1, ctx) && BN_mod_inverse(b[RSA_QINV], b[RSA_Q], b[RSA_P], ctx);
out:
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return done;
}

enum imsg_status imsg_rsa_generate(struct imsg_rsa **out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_INTERNAL;

    ERR_set_mark();
    for (int attempt = 0; attempt < 4 && status != IMSG_OK; attempt++) {
        BIGNUM *b[RSA_PARTS] = {0};
        bool good = true;
        for (size_t i = 0; i < RSA_PARTS; i++) {
            if (i != RSA_P && i != RSA_Q)
                good = (b[i] = secret_number()) && good;
        }
        if (good && find_primes(&b[RSA_P], &b[RSA_Q]) && complete(b))
            status = from_numbers(b, out);
        for (size_t i = 0; i < RSA_PARTS; i++)
            BN_clear_free(b[i]);
    }
    return imsg_crypto_end(err, status == IMSG_OK ? status : IMSG_INTERNAL, "generating an RSA key failed");
}

EVP_PKEY *imsg_rsa_evp(const struct imsg_rsa *key)
{
    return key->evp;
}

const uint8_t *imsg_rsa_modulus(const struct imsg_rsa *key)
{
    return key->modulus;
}

void imsg_rsa_free(struct imsg_rsa *key)
{
    if (key)
        EVP_PKEY_free(key->evp);
    free(key);
}

/* ---- OAEP ----------------------------------------------------------------------------------------------------- */

static void oaep_params(OSSL_PARAM params[static 4])
{
    static char oaep[] = OSSL_PKEY_RSA_PAD_MODE_OAEP, sha1[] = "SHA1";

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, oaep, 0);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, sha1, 0);
    params[2] = OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, sha1, 0);
    params[3] = OSSL_PARAM_construct_end();
}

enum imsg_status imsg_rsa_oaep_seal(const uint8_t modulus[static 160], struct imsg_view plain,
                                    uint8_t block[static 160], struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    uint8_t sealed[IMSG_RSA_BYTES];
    size_t len = sizeof sealed;
    BIGNUM *b[2] = {0};
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = NULL;
    OSSL_PARAM params[4];

    if (plain.len > IMSG_OAEP_MAX)
        return imsg_fail(err, IMSG_TOO_LONG, "an RSA block takes %d bytes, not %zu", IMSG_OAEP_MAX, plain.len);
    if (!(modulus[0] & 0x80) || !(modulus[IMSG_RSA_BYTES - 1] & 1))
        return imsg_fail(err, IMSG_MALFORMED, "RSA modulus is not an odd number of 1280 bits");
    ERR_set_mark();
    oaep_params(params);
    b[RSA_N] = BN_bin2bn(modulus, IMSG_RSA_BYTES, NULL);
    b[RSA_E] = BN_new();
    if (!b[RSA_N] || !b[RSA_E] || BN_set_word(b[RSA_E], EXPONENT) != 1)
        goto out;
    pkey = from_data(EVP_PKEY_PUBLIC_KEY, b, 2);
    ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(imsg_crypto_context(), pkey, NULL) : NULL;
    if (!ctx || EVP_PKEY_encrypt_init_ex(ctx, params) != 1)
        goto out;
    status = IMSG_INTERNAL;
    if (EVP_PKEY_encrypt(ctx, sealed, &len, plain.len > 0 ? plain.ptr : modulus, plain.len) != 1 ||
        len != sizeof sealed)
        goto out;
    memcpy(block, sealed, sizeof sealed);
    status = IMSG_OK;
out:
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    BN_free(b[RSA_N]);
    BN_free(b[RSA_E]);
    return imsg_crypto_end(err, status,
                           status == IMSG_INTERNAL ? "sealing an RSA block failed" : "no memory for an RSA key");
}

enum imsg_status imsg_rsa_oaep_open_any(EVP_PKEY *pkey, struct imsg_view block, uint8_t *plain, size_t *len,
                                        struct imsg_error *err)
{
    size_t size = block.len;
    OSSL_PARAM params[4];

    ERR_set_mark();
    oaep_params(params);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(imsg_crypto_context(), pkey, NULL);
    if (!ctx || EVP_PKEY_decrypt_init_ex(ctx, params) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return imsg_crypto_end(err, IMSG_NO_MEMORY, "no memory for an RSA key");
    }
    /* RFC 8017 §7.1.2 wants the length of the modulus, which is no secret; OpenSSL, given more room, takes a shorter
     * block for a smaller number. From here on all failures have one answer: the reason would be an oracle. */
    bool good = block.len == (size_t)EVP_PKEY_get_size(pkey) &&
                EVP_PKEY_decrypt(ctx, plain, &size, block.ptr, block.len) == 1 && size + OAEP_OVERHEAD <= block.len;
    EVP_PKEY_CTX_free(ctx);
    if (good)
        *len = size;
    else
        imsg_wipe(plain, block.len);
    return imsg_crypto_end(err, good ? IMSG_OK : IMSG_NOT_FOR_THIS_KEY, "the block does not decode with this key");
}

enum imsg_status imsg_rsa_oaep_open(const struct imsg_rsa *key, const uint8_t block[static 160],
                                    uint8_t plain[static 118], size_t *len, struct imsg_error *err)
{
    uint8_t opened[IMSG_RSA_BYTES]; /* OpenSSL wants room for the whole block */
    size_t size = 0;

    enum imsg_status status = imsg_rsa_oaep_open_any(key->evp, imsg_view_of(block, IMSG_RSA_BYTES), opened, &size, err);
    if (status == IMSG_OK) {
        memcpy(plain, opened, size);
        *len = size;
    }
    imsg_wipe(opened, sizeof opened);
    return status;
}

enum imsg_status imsg_rsa_raw(const struct imsg_rsa *key, const uint8_t block[static 160], uint8_t em[static 160],
                              struct imsg_error *err)
{
    size_t size = IMSG_RSA_BYTES;

    ERR_set_mark();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(imsg_crypto_context(), key->evp, NULL);
    bool good = ctx && EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
                EVP_PKEY_decrypt(ctx, em, &size, block, IMSG_RSA_BYTES) == 1 && size == IMSG_RSA_BYTES;
    EVP_PKEY_CTX_free(ctx);
    return imsg_crypto_end(err, good ? IMSG_OK : IMSG_NOT_FOR_THIS_KEY, "the block is not below the modulus");
}
