/* A point from its x. Every device record, prekey and ephemeral key comes as x alone, so sealing and opening do this
 * two or three times a message. OpenSSL has it in EC_POINT_oct2point, by a general square root of 290,000 instructions,
 * four tenths of an ECDH; for this p, which is 3 modulo 4, one fixed power does. All values are public. */
#include "crypto/internal.h"

#include <pthread.h>
#include <string.h>

#include <openssl/bn.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BN_MONT_CTX *mont; /* modulo p; both kept for the life of the process, and only read */
static BIGNUM *curve_b;   /* in Montgomery form */

static void make_modulus(void)
{
    const EC_GROUP *curve = imsg_p256_group();
    BN_CTX *ctx = BN_CTX_new_ex(imsg_crypto_context());
    BIGNUM *b = BN_new();
    BN_MONT_CTX *made = BN_MONT_CTX_new();

    if (curve && ctx && b && made && EC_GROUP_get_curve(curve, NULL, NULL, b, ctx) == 1 &&
        BN_MONT_CTX_set(made, EC_GROUP_get0_field(curve), ctx) == 1 && BN_to_montgomery(b, b, made, ctx) == 1) {
        mont = made;
        curve_b = b;
        made = NULL;
        b = NULL;
    }
    BN_MONT_CTX_free(made);
    BN_free(b);
    BN_CTX_free(ctx);
}

/* r to the power 2^count; r may be a. */
static bool square(BIGNUM *r, const BIGNUM *a, unsigned count, BN_CTX *ctx)
{
    if (BN_copy(r, a) == NULL)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (BN_mod_mul_montgomery(r, r, r, mont, ctx) != 1)
            return false;
    return true;
}

/* a to the power (p + 1) / 4 = 2^254 - 2^222 + 2^190 + 2^94. */
static bool root(BIGNUM *r, const BIGNUM *a, BN_CTX *ctx)
{
    BIGNUM *ones = BN_CTX_get(ctx); /* a to the power 2^n - 1, n = 1, 2, 4 … 32 */

    if (!ones || !BN_copy(ones, a))
        return false;
    for (unsigned n = 1; n < 32; n *= 2)
        if (!square(r, ones, n, ctx) || BN_mod_mul_montgomery(ones, ones, r, mont, ctx) != 1)
            return false;
    return square(r, ones, 32, ctx) && BN_mod_mul_montgomery(r, r, a, mont, ctx) == 1 && square(r, r, 96, ctx) &&
           BN_mod_mul_montgomery(r, r, a, mont, ctx) == 1 && square(r, r, 94, ctx);
}

/* x^3 - 3x + b, all in Montgomery form. */
static bool right_side(BIGNUM *r, const BIGNUM *x, const BIGNUM *p, BN_CTX *ctx)
{
    return BN_mod_mul_montgomery(r, x, x, mont, ctx) == 1 && BN_mod_mul_montgomery(r, r, x, mont, ctx) == 1 &&
           BN_mod_sub_quick(r, r, x, p) == 1 && BN_mod_sub_quick(r, r, x, p) == 1 &&
           BN_mod_sub_quick(r, r, x, p) == 1 && BN_mod_add_quick(r, r, curve_b, p) == 1;
}

/* IMSG_MALFORMED: x is not below p, or what it gives is no square. */
static enum imsg_status find_y(const uint8_t x[static 32], uint8_t out[static 32], BN_CTX *ctx)
{
    const BIGNUM *p = EC_GROUP_get0_field(imsg_p256_group());
    BIGNUM *number = BN_CTX_get(ctx), *square_y = BN_CTX_get(ctx), *y = BN_CTX_get(ctx), *again = BN_CTX_get(ctx);

    if (!again || !BN_bin2bn(x, 32, number))
        return IMSG_NO_MEMORY;
    if (BN_cmp(number, p) >= 0)
        return IMSG_MALFORMED;
    if (BN_to_montgomery(number, number, mont, ctx) != 1 || !right_side(square_y, number, p, ctx) ||
        !root(y, square_y, ctx) || BN_mod_mul_montgomery(again, y, y, mont, ctx) != 1)
        return IMSG_NO_MEMORY;
    if (BN_cmp(again, square_y) != 0)
        return IMSG_MALFORMED;
    if (BN_from_montgomery(y, y, mont, ctx) != 1 || BN_sub(number, p, y) != 1)
        return IMSG_NO_MEMORY;
    /* The two roots are y and p - y. */
    return BN_bn2binpad(BN_cmp(y, number) < 0 ? y : number, out, 32) == 32 ? IMSG_OK : IMSG_NO_MEMORY;
}

enum imsg_status imsg_p256_lift(const uint8_t x[static 32], uint8_t point[static 65], struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    uint8_t y[32];

    ERR_set_mark();
    pthread_once(&once, make_modulus);
    BN_CTX *ctx = mont ? BN_CTX_new_ex(imsg_crypto_context()) : NULL;
    if (ctx) {
        BN_CTX_start(ctx);
        status = find_y(x, y, ctx);
        BN_CTX_end(ctx);
    }
    BN_CTX_free(ctx);
    if (status == IMSG_OK) {
        point[0] = POINT_CONVERSION_UNCOMPRESSED;
        memmove(point + 1, x, 32); /* point may hold x */
        memcpy(point + 33, y, 32);
    }
    return imsg_crypto_end(err, status,
                           status == IMSG_MALFORMED ? "compact key is not the x of a point on the curve"
                                                    : "no memory for a P-256 key");
}
