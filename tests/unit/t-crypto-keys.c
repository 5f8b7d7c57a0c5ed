/* lib/crypto: P-256 points and keys, ECDSA, ECDH, RSA-1280 with OAEP. */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_set_rand_method */
#define IMSG_TEST_SEAM

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tap.h"

static const char half_p[] = "7fffffff80000000800000000000000000000000"
                             "7fffffffffffffffffffffff";
static const char order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

static size_t from_hex(const char *hex, uint8_t *out, size_t room)
{
    size_t len = strlen(hex) / 2;
    if (len > room || imsg_hex_decode(imsg_view_str(hex), out, len, NULL) != IMSG_OK) {
        printf("Bail out! bad hex in the test: %s\n", hex);
        exit(1);
    }
    return len;
}

static void is_hex(const uint8_t *got, const char *hex, const char *what)
{
    uint8_t want[160];
    size_t len = from_hex(hex, want, sizeof want);
    tap_bytes(imsg_view_of(got, len), imsg_view_of(want, len), "%s", what);
}

static struct imsg_p256 *key_of(const char *hex)
{
    uint8_t d[32];
    struct imsg_p256 *key = NULL;
    struct imsg_error err;
    from_hex(hex, d, sizeof d);
    if (imsg_p256_from_scalar(d, &key, &err) != IMSG_OK) {
        printf("Bail out! no key: %s\n", err.text);
        exit(1);
    }
    return key;
}

static bool is_compact(const struct imsg_p256 *key)
{
    uint8_t half[32];
    from_hex(half_p, half, sizeof half);
    return memcmp(imsg_p256_point(key) + 33, half, 32) <= 0;
}

static void queue_is_empty(const char *what)
{
    tap_ok(ERR_peek_error() == 0, "%s: nothing in OpenSSL's error queue", what);
}

static void test_scalars(void)
{
    static const char *const bad[] = {"0000000000000000000000000000000000000000000000000000000000000000", order,
                                      "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552",
                                      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    uint8_t d[32];
    struct imsg_p256 *key = NULL;
    struct imsg_error err;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        from_hex(bad[i], d, sizeof d);
        tap_status(imsg_p256_from_scalar(d, &key, &err), IMSG_MALFORMED, &err, "scalar %s", bad[i]);
    }
    key = key_of("0000000000000000000000000000000000000000000000000000000000000001");
    is_hex(imsg_p256_point(key),
           "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
           "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
           "d = 1 is the generator");
    imsg_p256_free(key);
    key = key_of("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550");
    is_hex(imsg_p256_point(key),
           "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
           "b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a",
           "d = n - 1 is its negative");
    tap_ok(!is_compact(key) && imsg_p256_make_compact(key, NULL) == IMSG_OK, "made compact");
    is_hex(imsg_p256_scalar(key), "0000000000000000000000000000000000000000000000000000000000000001",
           "n - 1 becomes 1");
    is_hex(imsg_p256_point(key) + 33, "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
           "with the smaller root");
    imsg_p256_free(key);
    imsg_p256_free(NULL);
    queue_is_empty("scalars");
}

static void test_points(void)
{
    uint8_t point[65], lifted[65], infinity[65] = {0};
    struct imsg_error err;
    struct imsg_p256 *key = NULL;
    unsigned compact = 0, lifts = 0;

    for (int i = 0; i < 200; i++) {
        bool good = imsg_p256_generate_compact(&key, &err) == IMSG_OK && is_compact(key);
        compact += good;
        lifts += good && imsg_p256_lift(imsg_p256_point(key) + 1, lifted, NULL) == IMSG_OK &&
                 memcmp(lifted, imsg_p256_point(key), 65) == 0;
        imsg_p256_free(key);
        key = NULL;
    }
    tap_ok(compact == 200, "200 compact keys have the smaller root: %u", compact);
    tap_ok(lifts == 200, "their x is lifted to them: %u", lifts);

    unsigned large = 0, same = 0;
    uint8_t signature[64], digest[32] = {1};
    struct imsg_view view = imsg_view_of(digest, sizeof digest);
    for (int i = 0; i < 64; i++) {
        struct imsg_p256 *again = NULL;
        bool good = imsg_p256_generate(&key, &err) == IMSG_OK;
        large += good && !is_compact(key);
        /* signing first makes the cached key, which must follow when the scalar is negated */
        good = good && imsg_p256_sign(key, view, signature, NULL) == IMSG_OK &&
               imsg_p256_make_compact(key, &err) == IMSG_OK && is_compact(key) &&
               imsg_p256_from_scalar(imsg_p256_scalar(key), &again, &err) == IMSG_OK &&
               memcmp(imsg_p256_point(again), imsg_p256_point(key), 65) == 0 &&
               imsg_p256_sign(key, view, signature, NULL) == IMSG_OK &&
               imsg_p256_verify(imsg_p256_point(key), view, signature, NULL) == IMSG_OK;
        same += good;
        imsg_p256_free(again);
        imsg_p256_free(key);
        key = NULL;
    }
    tap_ok(large > 8 && large < 56, "about half of all keys have the larger root: %u of 64", large);
    tap_ok(same == 64, "make_compact keeps scalar, point and signatures together: %u", same);

    key = key_of("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    memcpy(point, imsg_p256_point(key), sizeof point);
    imsg_p256_free(key);
    tap_status(imsg_p256_check(point, &err), IMSG_OK, &err, "a point");
    point[64] ^= 1;
    tap_status(imsg_p256_check(point, &err), IMSG_MALFORMED, &err, "off the curve");
    point[64] ^= 1;
    unsigned heads = 0;
    for (unsigned head = 0; head < 256; head++) {
        point[0] = (uint8_t)head;
        heads += imsg_p256_check(point, NULL) == IMSG_OK;
    }
    tap_ok(heads == 1, "only one first byte is taken: %u", heads);
    tap_status(imsg_p256_check(infinity, &err), IMSG_MALFORMED, &err, "infinity");
    infinity[0] = 4;
    tap_status(imsg_p256_check(infinity, &err), IMSG_MALFORMED, &err, "04 and zeros");
    from_hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", infinity + 1, 32);
    tap_status(imsg_p256_check(infinity, &err), IMSG_MALFORMED, &err, "x = p");
    tap_status(imsg_p256_lift(infinity + 1, lifted, &err), IMSG_MALFORMED, &err, "lifting x = p");
    queue_is_empty("points");
}

/* Serves zeros, then the order, then 01 02 03 …: the draw must come back twice. */
static unsigned draws;
static int scripted(unsigned char *out, int len)
{
    if (len != 32)
        return 0;
    memset(out, 0, 32);
    if (++draws == 2)
        from_hex(order, out, 32);
    for (int i = 0; draws > 2 && i < 32; i++)
        out[i] = (unsigned char)(i + 1);
    return 1;
}

static void test_drawing(void)
{
    RAND_METHOD method = {.bytes = scripted};
    const RAND_METHOD *usual = RAND_get_rand_method();
    struct imsg_p256 *key = NULL;
    struct imsg_error err;

    RAND_set_rand_method(&method);
    tap_status(imsg_p256_generate(&key, &err), IMSG_OK, &err, "generating from a fixed source");
    RAND_set_rand_method(usual);
    tap_ok(draws == 3, "drawn again while 0 or not below n: %u draws", draws);
    if (key)
        is_hex(imsg_p256_scalar(key), "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
               "the draw is the scalar");
    imsg_p256_free(key);
}

/* NIST CAVP ECC CDH, P-256, case 0. */
static void test_ecdh(void)
{
    uint8_t point[65], a_out[32], b_out[32];
    struct imsg_error err;
    struct imsg_p256 *a = key_of("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534"), *b = NULL;

    from_hex("04700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287"
             "db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac",
             point, sizeof point);
    tap_status(imsg_p256_ecdh(a, point, a_out, &err), IMSG_OK, &err, "ecdh");
    is_hex(a_out, "46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b", "ecdh known answer");
    point[64] ^= 1;
    tap_status(imsg_p256_ecdh(a, point, a_out, &err), IMSG_MALFORMED, &err, "ecdh with a point off the curve");
    imsg_p256_free(a);
    a = NULL;
    unsigned same = 0;
    for (int i = 0; i < 20; i++) {
        same += imsg_p256_generate(&a, &err) == IMSG_OK && imsg_p256_generate(&b, &err) == IMSG_OK &&
                imsg_p256_ecdh(a, imsg_p256_point(b), a_out, &err) == IMSG_OK &&
                imsg_p256_ecdh(b, imsg_p256_point(a), b_out, &err) == IMSG_OK && memcmp(a_out, b_out, 32) == 0;
        imsg_p256_free(a);
        imsg_p256_free(b);
        a = b = NULL;
    }
    tap_ok(same == 20, "ecdh is symmetric: %u of 20", same);
    queue_is_empty("ecdh");
}

#define RFC6979_D "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"

/* RFC 6979 A.2.5. */
static void test_known_signatures(void)
{
    static const struct {
        bool sha1;
        const char *message, *k, *signature;
    } known[] = {
        {true, "sample", "882905f1227fd620fbf2abf21244f0ba83d0dc3a9103dbbee43a1fb858109db4",
         "61340c88c3aaebeb4f6d667f672ca9759a6ccaa9fa8811313039ee4a35471d32"
         "6d7f147dac089441bb2e2fe8f7a3fa264b9c475098fdcf6e00d7c996e1b8b7eb"},
        {false, "sample", "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60",
         "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
         "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
        {true, "test", "8c9520267c55d6b980df741e56b4adee114d84fbfa2e62137954164028632a2e",
         "0cbcc86fd6abd1d99e703e1ec50069ee5c0b4ba4b9ac60e409e8ec5910d81a89"
         "01b9d7b73dfaa60d5651ec4591a0136f87653e0fd780c3b1bc872ffdeae479b1"},
        {false, "test", "d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0",
         "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
         "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"},
    };
    struct imsg_p256 *key = key_of(RFC6979_D);
    uint8_t digest[32], k[32], signature[64], second[64], der[72];
    size_t len = 0;
    struct imsg_error err;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct imsg_view message = imsg_view_str(known[i].message);
        struct imsg_view hash = imsg_view_of(digest, known[i].sha1 ? 20 : 32);
        bool hashed =
            (known[i].sha1 ? imsg_sha1(message, digest, &err) : imsg_sha256(message, digest, &err)) == IMSG_OK;
        from_hex(known[i].k, k, sizeof k);
        imsg_test_next_k(k);
        tap_status(imsg_p256_sign(key, hash, signature, &err), IMSG_OK, &err, "sign with a fixed k");
        is_hex(signature, known[i].signature, hashed ? "RFC 6979 signature" : "no hash");
        tap_ok(imsg_p256_sign(key, hash, second, &err) == IMSG_OK && memcmp(second, signature, 64) != 0,
               "the next k is random again");
        imsg_test_next_k(k);
        tap_ok(imsg_p256_sign_der(key, hash, der, &len, &err) == IMSG_OK && der[0] == 0x30 && der[1] == len - 2,
               "DER of %zu bytes with a fixed k", len);
        tap_ok(memcmp(der + len - 31, signature + 33, 31) == 0, "is the same signature");
        tap_status(imsg_p256_verify(imsg_p256_point(key), hash, signature, &err), IMSG_OK, &err, "raw verifies");
        tap_status(imsg_p256_verify_der(imsg_p256_point(key), hash, imsg_view_of(der, len), &err), IMSG_OK, &err,
                   "DER verifies");
    }
    imsg_test_next_k(k);
    imsg_test_next_k(NULL);
    tap_ok(imsg_p256_sign(key, imsg_view_of(digest, 32), second, &err) == IMSG_OK && memcmp(second, signature, 64) != 0,
           "a nonce can be taken back");
    tap_status(imsg_p256_sign(key, imsg_view_of(digest, 31), second, &err), IMSG_INTERNAL, &err,
               "a digest of 31 bytes");
    tap_status(imsg_p256_verify(imsg_p256_point(key), imsg_view_of(digest, 31), signature, &err), IMSG_BAD_SIGNATURE,
               &err, "verifying a digest of 31 bytes");
    imsg_p256_free(key);
    queue_is_empty("known signatures");
}

static void test_flips(void)
{
    uint8_t digest[32], raw[64], der[72], point[65];
    struct imsg_error err;
    struct imsg_p256 *key = key_of(RFC6979_D);
    unsigned refused = 0, want = 0;

    for (size_t size = 20; size <= 32; size += 12) {
        struct imsg_view hash = imsg_view_of(digest, size);
        size_t len = 0;
        bool good = imsg_random(digest, sizeof digest, &err) == IMSG_OK &&
                    imsg_p256_sign(key, hash, raw, &err) == IMSG_OK &&
                    imsg_p256_sign_der(key, hash, der, &len, &err) == IMSG_OK;
        memcpy(point, imsg_p256_point(key), sizeof point);
        tap_ok(good && imsg_p256_verify(point, hash, raw, &err) == IMSG_OK &&
                   imsg_p256_verify_der(point, hash, imsg_view_of(der, len), &err) == IMSG_OK,
               "two signatures over %zu bytes", size);
#define FLIP(array, length, call)                                                                                      \
    for (size_t bit = 0; bit < 8 * (length); bit++, want++) {                                                          \
        (array)[bit / 8] ^= (uint8_t)(1u << bit % 8);                                                                  \
        refused += (call) == IMSG_BAD_SIGNATURE;                                                                       \
        (array)[bit / 8] ^= (uint8_t)(1u << bit % 8);                                                                  \
    }
        FLIP(raw, sizeof raw, imsg_p256_verify(point, hash, raw, NULL))
        FLIP(der, len, imsg_p256_verify_der(point, hash, imsg_view_of(der, len), NULL))
        FLIP(digest, size, imsg_p256_verify(point, hash, raw, NULL))
        FLIP(point, sizeof point, imsg_p256_verify(point, hash, raw, NULL))
    }
    tap_ok(refused == want && want > 3000, "every bit flip is a bad signature: %u of %u", refused, want);
    imsg_p256_free(key);
    queue_is_empty("flips");
}

/* Raw signatures whose numbers are out of range. */
static void test_ranges(const uint8_t point[static 65], struct imsg_view hash, const uint8_t signature[static 64])
{
    static const char *const numbers[] = {"0000000000000000000000000000000000000000000000000000000000000000", order,
                                          "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    uint8_t raw[64];
    struct imsg_error err;

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (size_t half = 0; half < 64; half += 32) {
            memcpy(raw, signature, sizeof raw);
            from_hex(numbers[i], raw + half, 32);
            tap_status(imsg_p256_verify(point, hash, raw, &err), IMSG_BAD_SIGNATURE, &err, "%s is %s", half ? "s" : "r",
                       numbers[i]);
        }
    }
    memset(raw, 0, sizeof raw);
    tap_status(imsg_p256_verify(point, hash, raw, &err), IMSG_BAD_SIGNATURE, &err, "both are 0");
}

static void test_strict_der(void)
{
    /* The SHA-1 signature of "test" in RFC 6979 A.2.5, whose numbers both have 32 bytes without a sign byte. */
#define R "0cbcc86fd6abd1d99e703e1ec50069ee5c0b4ba4b9ac60e409e8ec5910d81a89"
#define S "01b9d7b73dfaa60d5651ec4591a0136f87653e0fd780c3b1bc872ffdeae479b1"
    static const struct {
        const char *what, *der;
    } bad[] = {
        {"long-form length of the sequence", "308144"
                                             "0220" R "0220" S},
        {"two-byte length of the sequence", "30820044"
                                            "0220" R "0220" S},
        {"long-form length of r", "3045"
                                  "028120" R "0220" S},
        {"indefinite length", "3080"
                              "0220" R "0220" S "0000"},
        {"trailing byte", "3044"
                          "0220" R "0220" S "00"},
        {"trailing byte inside", "3045"
                                 "0220" R "0220" S "00"},
        {"needless zero before r", "3045"
                                   "022100" R "0220" S},
        {"needless zero before s", "3045"
                                   "0220" R "022100" S},
        {"negative r", "3044"
                       "0220"
                       "8cbcc86fd6abd1d99e703e1ec50069ee5c0b4ba4b9ac60e409e8ec5910d81a89"
                       "0220" S},
        {"r = 0", "3025"
                  "020100"
                  "0220" S},
        {"s = 0", "3025"
                  "0220" R "020100"},
        {"r empty", "3024"
                    "0200"
                    "0220" S},
        {"r + n", "3045"
                  "0221"
                  "010cbcc86ed6abd1da9e703e1ec50069ee18f2465260c3ff68fda2b71c0d3b3fda"
                  "0220" S},
        {"s + n", "3045"
                  "0220" R "0221"
                  "0101b9d7b63dfaa60e5651ec4591a0136f444c38bd7e986236b040fac0e7479f02"},
        {"one number", "3022"
                       "0220" R},
        {"three numbers", "3047"
                          "0220" R "0220" S "020101"},
        {"a set", "3144"
                  "0220" R "0220" S},
        {"an octet string for r", "3044"
                                  "0420" R "0220" S},
        {"a byte short", "3044"
                         "0220" R "021f" S},
        {"sequence a byte long", "3045"
                                 "0220" R "0220" S},
        {"just the head", "3044"},
        {"one byte", "30"},
        {"nothing", ""},
    };
    struct imsg_p256 *key = key_of(RFC6979_D);
    const uint8_t *point = imsg_p256_point(key);
    uint8_t digest[20], der[200], raw[64];
    struct imsg_view hash = imsg_view_of(digest, sizeof digest);
    struct imsg_error err;

    tap_status(imsg_sha1(imsg_view_str("test"), digest, &err), IMSG_OK, &err, "digest");
    size_t len = from_hex("3044"
                          "0220" R "0220" S,
                          der, sizeof der);
    tap_status(imsg_p256_verify_der(point, hash, imsg_view_of(der, len), &err), IMSG_OK, &err, "the good one");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        len = from_hex(bad[i].der, der, sizeof der);
        tap_status(imsg_p256_verify_der(point, hash, imsg_view_of(der, len), &err), IMSG_BAD_SIGNATURE, &err, "%s",
                   bad[i].what);
    }
    tap_status(imsg_p256_verify_der(point, hash, imsg_view_of(NULL, 0), &err), IMSG_BAD_SIGNATURE, &err, "NULL");
    from_hex(R S, raw, sizeof raw);
    test_ranges(point, hash, raw);
    /* n - s is a good signature too: there is no low-s rule. */
    from_hex(R "fe462847c20559f3a9ae13ba6e5fec903581bc9dcf96dad337329ac5117eaba0", raw, sizeof raw);
    tap_status(imsg_p256_verify(point, hash, raw, &err), IMSG_OK, &err, "n - s");
    /* r = -e / d puts the point to compare with at infinity, which OpenSSL answers with a negative number. */
    from_hex("080f6a8bb341bdb86be6c7972223e439fb657148f5b3769dfbce25e733246de5" S, raw, sizeof raw);
    tap_status(imsg_p256_verify(point, hash, raw, &err), IMSG_BAD_SIGNATURE, &err, "a sum at infinity");
    imsg_p256_free(key);
    queue_is_empty("strict DER");
}

struct signer {
    const struct imsg_p256 *key;
    unsigned good;
};

static void *sign_many(void *arg)
{
    struct signer *signer = arg;
    uint8_t digest[32] = {3}, raw[64];

    for (int i = 0; i < 50; i++)
        signer->good += imsg_p256_sign(signer->key, imsg_view_of(digest, 32), raw, NULL) == IMSG_OK &&
                        imsg_p256_verify(imsg_p256_point(signer->key), imsg_view_of(digest, 32), raw, NULL) == IMSG_OK;
    return NULL;
}

static void test_threads(void)
{
    struct imsg_p256 *key = key_of(RFC6979_D);
    struct signer signer[4];
    pthread_t thread[4];
    unsigned good = 0;

    for (int i = 0; i < 4; i++) {
        signer[i] = (struct signer){.key = key};
        if (pthread_create(&thread[i], NULL, sign_many, &signer[i]) != 0) {
            printf("Bail out! no thread\n");
            exit(1);
        }
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        good += signer[i].good;
    }
    tap_ok(good == 200, "four threads sign with one fresh key: %u of 200", good);
    imsg_p256_free(key);
}

static void test_oaep(const struct imsg_rsa *key)
{
    uint8_t block[160], again[160], plain[118], out[118];
    size_t len = 0;
    struct imsg_error err;
    unsigned good = 0;

    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(7 * i + 1);
    for (size_t size = 0; size <= IMSG_OAEP_MAX; size++)
        good += imsg_rsa_oaep_seal(imsg_rsa_modulus(key), imsg_view_of(plain, size), block, &err) == IMSG_OK &&
                imsg_rsa_oaep_open(key, block, out, &len, &err) == IMSG_OK && len == size &&
                memcmp(out, plain, size) == 0;
    tap_ok(good == IMSG_OAEP_MAX + 1, "OAEP round trip of every length: %u", good);
    tap_status(imsg_rsa_oaep_seal(imsg_rsa_modulus(key), imsg_view_of(block, 119), again, &err), IMSG_TOO_LONG, &err,
               "119 bytes");
    tap_ok(imsg_rsa_oaep_seal(imsg_rsa_modulus(key), imsg_view_of(plain, 9), again, &err) == IMSG_OK &&
               imsg_rsa_oaep_seal(imsg_rsa_modulus(key), imsg_view_of(plain, 9), block, &err) == IMSG_OK &&
               memcmp(again, block, sizeof block) != 0,
           "OAEP is randomised");
    good = 0;
    struct imsg_error first = {0};
    for (size_t bit = 0; bit < 160; bit++) {
        memcpy(again, block, sizeof again);
        again[bit] ^= (uint8_t)(1u << bit % 8);
        memset(out, 0x77, sizeof out);
        len = 4711;
        good += imsg_rsa_oaep_open(key, again, out, &len, &err) == IMSG_NOT_FOR_THIS_KEY && len == 4711 &&
                out[0] == 0x77 && (bit == 0 || strcmp(first.text, err.text) == 0);
        first = err;
    }
    tap_ok(good == 160, "a changed block does not open, all with one text and nothing written: %u", good);
    memset(again, 0xff, sizeof again);
    tap_ok(imsg_rsa_oaep_open(key, again, out, &len, &err) == IMSG_NOT_FOR_THIS_KEY &&
               strcmp(first.text, err.text) == 0,
           "a block above the modulus: the same");
    memset(again, 0, sizeof again);
    tap_ok(imsg_rsa_oaep_open(key, again, out, &len, &err) == IMSG_NOT_FOR_THIS_KEY &&
               strcmp(first.text, err.text) == 0,
           "a block of zeros: the same");
    queue_is_empty("OAEP");
}

static void test_rsa(void)
{
    struct imsg_rsa *key = NULL, *other = NULL;
    uint8_t modulus[160], block[160], out[118];
    size_t len = 0;
    struct imsg_error err;

    if (!tap_status(imsg_rsa_generate(&key, &err), IMSG_OK, &err, "generate RSA") ||
        !tap_status(imsg_rsa_generate(&other, &err), IMSG_OK, &err, "generate another"))
        exit(tap_done());
    queue_is_empty("generate");
    memcpy(modulus, imsg_rsa_modulus(key), sizeof modulus);
    tap_ok((modulus[0] & 0x80) && (modulus[159] & 1), "1280 bits, odd");
    tap_ok(memcmp(modulus, imsg_rsa_modulus(other), sizeof modulus) != 0, "two keys differ");
    test_oaep(key);
    tap_ok(imsg_rsa_oaep_seal(modulus, imsg_view_str("for key"), block, &err) == IMSG_OK &&
               imsg_rsa_oaep_open(other, block, out, &len, &err) == IMSG_NOT_FOR_THIS_KEY,
           "another key does not open it");
    modulus[159] ^= 1;
    tap_status(imsg_rsa_oaep_seal(modulus, imsg_view_str("x"), block, &err), IMSG_MALFORMED, &err, "even modulus");
    modulus[159] ^= 1;
    modulus[0] &= 0x7f;
    tap_status(imsg_rsa_oaep_seal(modulus, imsg_view_str("x"), block, &err), IMSG_MALFORMED, &err, "1279 bits");
    imsg_rsa_free(key);
    imsg_rsa_free(other);
    imsg_rsa_free(NULL);
    queue_is_empty("RSA");
}

int main(void)
{
    imsg_crypto_start_process();
    test_scalars();
    test_points();
    test_drawing();
    test_ecdh();
    test_known_signatures();
    test_flips();
    test_strict_der();
    test_threads();
    test_rsa();
    return tap_done();
}
