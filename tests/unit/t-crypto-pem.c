/* lib/crypto: private keys as PEM, ours, OpenSSL's in all its forms, and bad ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/err.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "pem-samples.h"
#include "tap.h"

static const struct imsg_view none = {NULL, 0};

static void is_hex(const uint8_t *got, const char *hex, const char *what, const char *who)
{
    uint8_t want[160] = {0};
    size_t len = strlen(hex) / 2;
    bool read = len <= sizeof want && imsg_hex_decode(imsg_view_str(hex), want, len, NULL) == IMSG_OK;
    tap_bytes(imsg_view_of(got, read ? len : 0), imsg_view_of(want, len), "%s %s", who, what);
}

static void queue_is_empty(const char *what)
{
    tap_ok(ERR_peek_error() == 0, "%s: nothing in OpenSSL's error queue", what);
}

#define SECRET "secret"
#define P256_D "6fc4f03402c3fbc56cd65b9dc9be7acb5b65b0423aa93a71e42a0b27b31f9bf3"

static void test_p256_samples(void)
{
    static const struct {
        const char *what, *pem, *passphrase;
        bool same; /* the key of pem_p256 */
    } good[] = {
        {"PKCS#8", pem_p256, "", true},
        {"PKCS#8 without public key", pem_p8_nopub, "", true},
        {"PKCS#8 with compressed public key", pem_p8_compressed, "", true},
        {"PKCS#8 and a passphrase too many", pem_p256, SECRET, true},
        {"SEC 1", pem_sec1, "", true},
        {"SEC 1 behind parameters", pem_sec1params, "", false},
        {"SEC 1 with compressed public key", pem_sec1_compressed, "", true},
        {"SEC 1 without public key", pem_sec1_nopub, "", true},
        {"SEC 1, AES-128", pem_sec1_aes128, SECRET, true},
        {"SEC 1, 3DES", pem_sec1_des3, SECRET, true},
        {"PBES2 with PBKDF2", pem_p8_pbkdf2, SECRET, true},
        {"PBES2 with scrypt", pem_p8_scrypt, SECRET, true},
    };
    struct imsg_error err;
    struct imsg_p256 *first = NULL;

    if (!tap_status(imsg_p256_from_pem(imsg_view_str(pem_p256), none, &first, &err), IMSG_OK, &err, "the sample"))
        exit(tap_done());
    is_hex(imsg_p256_scalar(first), P256_D, "scalar", "the sample's");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct imsg_p256 *key = NULL;
        struct imsg_view pem = imsg_view_str(good[i].pem);
        bool encrypted = strstr(good[i].pem, "ENCRYPTED") != NULL;
        tap_ok(imsg_pem_is_encrypted(pem) == encrypted, "%s is %sencrypted", good[i].what, encrypted ? "" : "not ");
        if (tap_status(imsg_p256_from_pem(pem, imsg_view_str(good[i].passphrase), &key, &err), IMSG_OK, &err, "%s",
                       good[i].what))
            tap_ok((memcmp(imsg_p256_scalar(key), imsg_p256_scalar(first), 32) == 0) == good[i].same &&
                       (memcmp(imsg_p256_point(key), imsg_p256_point(first), 65) == 0) == good[i].same,
                   "%s: its scalar and point", good[i].what);
        imsg_p256_free(key);
        queue_is_empty(good[i].what);
        if (!encrypted)
            continue;
        key = NULL;
        tap_status(imsg_p256_from_pem(pem, none, &key, &err), IMSG_PERMISSION, &err, "%s without passphrase",
                   good[i].what);
        tap_status(imsg_p256_from_pem(pem, imsg_view_str("Secret"), &key, &err), IMSG_PERMISSION, &err,
                   "%s with another", good[i].what);
        tap_ok(key == NULL, "no key comes of it");
        queue_is_empty(good[i].what);
    }
    imsg_p256_free(first);
}

static void test_rsa_samples(void)
{
    static const struct {
        const char *what, *pem, *passphrase;
    } good[] = {
        {"PKCS#8", pem_rsa1280, ""},
        {"PKCS#1", pem_pkcs1, ""},
        {"PKCS#1, AES-256", pem_pkcs1_aes256, SECRET},
        {"PBES2 with PBKDF2", pem_rsa_pbkdf2, SECRET},
    };
    struct imsg_error err;
    uint8_t modulus[160], block[160], plain[118];
    size_t len = 0;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct imsg_rsa *key = NULL;
        struct imsg_view pem = imsg_view_str(good[i].pem);
        if (!tap_status(imsg_rsa_from_pem(pem, imsg_view_str(good[i].passphrase), &key, &err), IMSG_OK, &err, "RSA %s",
                        good[i].what))
            continue;
        if (i == 0)
            memcpy(modulus, imsg_rsa_modulus(key), sizeof modulus);
        tap_bytes(imsg_view_of(imsg_rsa_modulus(key), 160), imsg_view_of(modulus, 160), "its modulus");
        tap_ok(imsg_rsa_oaep_seal(modulus, imsg_view_str("hello"), block, &err) == IMSG_OK &&
                   imsg_rsa_oaep_open(key, block, plain, &len, &err) == IMSG_OK && len == 5 &&
                   memcmp(plain, "hello", 5) == 0,
               "it opens what is sealed for it");
        imsg_rsa_free(key);
        key = NULL;
        if (imsg_pem_is_encrypted(pem)) {
            tap_status(imsg_rsa_from_pem(pem, none, &key, &err), IMSG_PERMISSION, &err, "without passphrase");
            tap_status(imsg_rsa_from_pem(pem, imsg_view_str("x"), &key, &err), IMSG_PERMISSION, &err, "with another");
        }
        queue_is_empty(good[i].what);
    }
}

/* Blocks made with plain integers for the sample key, seed 01 02 03 … and so on. */
static void test_oaep_blocks(void)
{
    static const struct {
        const char *what;
        enum imsg_status want;
        const char *block;
    } blocks[] = {
        {"OAEP with SHA-1, MGF1-SHA-1, no label", IMSG_OK,
         "566d047d551cd7b67fca140765078704cfaaf75a280cab3a19990bbc0614a7ae5da64394234059398837baee821a8e13"
         "0d8c01e2263878d77d593a5a62b2faa2e3c010eab43f458ea482d938974c062ead46320d38745de1a7479f0f8341c8ec"
         "4214bd34dc6cb8297996a615cfaabe6ef77d765793a173b6e7c79fd20d3ee55a18abca2554a6ce3b61eb5371f219bab9"
         "a526c178d3572e3039c6c635348ed11c"},
        {"SHA-256 for both", IMSG_NOT_FOR_THIS_KEY,
         "50c837ab8c80cf70d551c7ff1cb855506bef6de44ec8c179954984077abe248ccf28d8c2fbb8168b4a3e4830a04216ce"
         "8de4a6d50beb86afd13afee352eacf4fd042614f1f64ab352e61495583c41721d8fdb8112d388ffb127638c76de92a45"
         "fe46a0b71adf69a76334242d57f07cf4e999b670e0d58bab4837944be96c78875b3b6f31a2bc54cade3e158faac45175"
         "0da51a2866298518840cfb67adf189e4"},
        {"MGF1 with SHA-256", IMSG_NOT_FOR_THIS_KEY,
         "45261eaac6eee93aad7875201eea9ce6552d86f3ced8eb118f808eb9ccf2dcea0f35630dfd0ec40699133ca5dfa92e3a"
         "bdf64cef65738ce135e2d27c9bd99bf1cd7d9cd78f38a8f4bbae16ec2a429d6eb452e288291409602cc04b281d478ef5"
         "0d8258e49195c38153fa3adabd89300def294bfb61424eb426cb5c201dc0a40f750c5630e207ec388b4194abcd75a986"
         "cc4ecd0b25e29bcf6cf3348d4b066e80"},
        {"a label", IMSG_NOT_FOR_THIS_KEY,
         "327ba9e42fd2af9bbd7c3d6d748f5d98c990aaa259ab0393c73acb738bff90af693c620318eda1ea5fb5d3e630d08017"
         "ce93c3b5e41e6281f8c7cd1ddacaec9eb9a426e47974b64b0155d7de8764eb48310f0d2d706d7fc944a474b50bef6ef1"
         "2f92ff366806832a01c42157b30276d6c1b3523c4551997d3c5a9a48eb0615edbd9b0aaba1087cd3535684363c92c977"
         "6cfd70c65fdc2e0b3ca4b0e2f7f4d0de"},
        {"PKCS#1 v1.5", IMSG_NOT_FOR_THIS_KEY,
         "48a7612ff91637dbc65bb72b67387318502e5532560bbbd0b826a2eae7040fcb0d52b8514f4597e7209b716f20a0406d"
         "5431a4a0f4f728db96f739723ff278ba04af4782634f8aaa1a9d5ed96b564df554ef50e3566b2a28d7e835b5226f4100"
         "3c04f1bac98c7925d6f79c05fd094e78af90a862da9b299e9d340b233959e08b22ae485bf7186c4aae9338d18af0b5e3"
         "f7c95d3c5fb407f7194a4d8d1dbf97a1"},
    };
    struct imsg_rsa *key = NULL;
    struct imsg_error err;
    uint8_t block[160], plain[118];
    size_t len = 0;

    if (!tap_status(imsg_rsa_from_pem(imsg_view_str(pem_rsa1280), none, &key, &err), IMSG_OK, &err, "the RSA sample"))
        return;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        enum imsg_status read = imsg_hex_decode(imsg_view_str(blocks[i].block), block, sizeof block, &err);
        tap_status(read, IMSG_OK, &err, "block read");
        tap_status(imsg_rsa_oaep_open(key, block, plain, &len, &err), blocks[i].want, &err, "%s", blocks[i].what);
        if (blocks[i].want == IMSG_OK)
            tap_bytes(imsg_view_of(plain, len), imsg_view_str("an OAEP block"), "its content");
    }
    imsg_rsa_free(key);
    queue_is_empty("OAEP blocks");
}

static void test_refused(void)
{
    static const struct {
        const char *what, *pem;
    } bad[] = {
        {"secp384r1", pem_p384},
        {"secp256k1", pem_k256},
        {"Ed25519", pem_ed25519},
        {"P-256 spelled out", pem_sec1_explicit},
        {"RSA-1024", pem_rsa1024},
        {"RSA-2048", pem_rsa2048},
        {"RSA-1280 with e = 3", pem_rsa1280_e3},
        {"RSA-PSS", pem_rsapss},
        {"another point", pem_p256_other_point},
        {"the negated point", pem_p256_negated_point},
        {"scalar 0", pem_p256_zero},
        {"scalar n", pem_p256_order},
        {"RSA, other n", pem_rsa_bad_n},
        {"RSA, other d", pem_rsa_bad_d},
        {"RSA, other p", pem_rsa_bad_p},
        {"RSA, other dp", pem_rsa_bad_dp},
        {"RSA, other dq", pem_rsa_bad_dq},
        {"RSA, other qinv", pem_rsa_bad_qinv},
        {"RSA, exponents for another e", pem_rsa_bad_exponents},
        {"no key", pem_not_a_key},
        {"nothing", ""},
        {"text", "hello\n"},
        {"only a head", "-----BEGIN PRIVATE KEY-----\n"},
        {"an empty block", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"},
        {"an empty encrypted block", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n"},
    };
    struct imsg_p256 *p256 = NULL;
    struct imsg_rsa *rsa = NULL;
    struct imsg_error err;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct imsg_view pem = imsg_view_str(bad[i].pem);
        tap_status(imsg_p256_from_pem(pem, imsg_view_str(SECRET), &p256, &err), IMSG_MALFORMED, &err, "P-256 from %s",
                   bad[i].what);
        tap_status(imsg_rsa_from_pem(pem, imsg_view_str(SECRET), &rsa, &err), IMSG_MALFORMED, &err, "RSA from %s",
                   bad[i].what);
        queue_is_empty(bad[i].what);
    }
    tap_status(imsg_p256_from_pem(imsg_view_str(pem_rsa1280), none, &p256, &err), IMSG_MALFORMED, &err,
               "P-256 from an RSA key");
    tap_status(imsg_rsa_from_pem(imsg_view_str(pem_p256), none, &rsa, &err), IMSG_MALFORMED, &err,
               "RSA from a P-256 key");
    tap_status(imsg_rsa_from_pem(imsg_view_str(pem_p8_pbkdf2), imsg_view_str(SECRET), &rsa, &err), IMSG_MALFORMED, &err,
               "RSA from an encrypted P-256 key");
    tap_ok(!p256 && !rsa, "no key comes of any");
}

/* Any byte of the sample changed or cut off: a key, or IMSG_MALFORMED, and never another key with this point. */
static void test_damage(void)
{
    char pem[sizeof pem_p256];
    unsigned odd = 0;
    struct imsg_error err;

    for (size_t i = 0; i + 1 < sizeof pem; i++) {
        struct imsg_p256 *key = NULL;
        memcpy(pem, pem_p256, sizeof pem);
        pem[i] = pem[i] == 'A' ? 'B' : 'A';
        enum imsg_status status = imsg_p256_from_pem(imsg_view_of(pem, sizeof pem - 1), none, &key, &err);
        odd += status != IMSG_MALFORMED && status != IMSG_OK;
        imsg_p256_free(key);
        key = NULL;
        status = imsg_p256_from_pem(imsg_view_of(pem_p256, i), none, &key, &err);
        odd += status != IMSG_MALFORMED && i + 2 < sizeof pem; /* the last newline may be missing */
        imsg_p256_free(key);
    }
    tap_ok(odd == 0, "damaged and cut PEM: %u surprises", odd);
    queue_is_empty("damage");
}

static void test_round_trip_p256(struct imsg_view passphrase)
{
    struct imsg_buf pem = {0};
    struct imsg_p256 *key = NULL, *back = NULL;
    struct imsg_error err;

    tap_status(imsg_p256_generate(&key, &err), IMSG_OK, &err, "a key");
    tap_status(imsg_buf_text(&pem, "before\n", &err), IMSG_OK, &err, "text before");
    tap_status(imsg_p256_to_pem(key, passphrase, &pem, &err), IMSG_OK, &err, "to PEM");
    struct imsg_view text = imsg_view_of(pem.ptr + 7, pem.len - 7);
    tap_ok(memcmp(pem.ptr, "before\n-----BEGIN ", 18) == 0 && text.ptr[text.len - 1] == '\n', "is appended");
    tap_ok(imsg_pem_is_encrypted(text) == (passphrase.len > 0), "encrypted or not");
    tap_status(imsg_p256_from_pem(text, passphrase, &back, &err), IMSG_OK, &err, "and back");
    tap_ok(back && memcmp(imsg_p256_scalar(back), imsg_p256_scalar(key), 32) == 0, "the same key");
    imsg_p256_free(back);
    back = NULL;
    tap_status(imsg_p256_from_pem(imsg_buf_view(&pem), passphrase, &back, &err), IMSG_OK, &err, "with text before it");
    imsg_p256_free(back);
    back = NULL;
    if (passphrase.len > 0) {
        tap_status(imsg_p256_from_pem(text, imsg_view_str("no"), &back, &err), IMSG_PERMISSION, &err,
                   "wrong passphrase");
        tap_status(imsg_p256_from_pem(text, none, &back, &err), IMSG_PERMISSION, &err, "no passphrase");
        tap_status(imsg_p256_from_pem(imsg_buf_view(&pem), none, &back, &err), IMSG_PERMISSION, &err,
                   "no passphrase, text before it");
    }
    imsg_p256_free(key);
    imsg_buf_free(&pem);
    queue_is_empty("P-256 round trip");
}

static void test_round_trips(void)
{
    struct imsg_buf pem = {0};
    struct imsg_rsa *key = NULL, *back = NULL;
    struct imsg_p256 *p256 = NULL;
    struct imsg_view pass = imsg_view_str("correct horse");
    struct imsg_error err;
    char endless[2000];

    test_round_trip_p256(none);
    test_round_trip_p256(pass);
    tap_status(imsg_rsa_from_pem(imsg_view_str(pem_rsa1280), none, &key, &err), IMSG_OK, &err, "an RSA key");
    tap_status(imsg_rsa_to_pem(key, none, &pem, &err), IMSG_OK, &err, "to PEM");
    tap_bytes(imsg_buf_view(&pem), imsg_view_str(pem_rsa1280), "byte for byte what openssl writes");
    imsg_buf_clear(&pem);
    tap_status(imsg_rsa_to_pem(key, pass, &pem, &err), IMSG_OK, &err, "to encrypted PEM");
    tap_ok(imsg_pem_is_encrypted(imsg_buf_view(&pem)), "it is encrypted");
    tap_status(imsg_rsa_from_pem(imsg_buf_view(&pem), pass, &back, &err), IMSG_OK, &err, "and back");
    tap_ok(back && memcmp(imsg_rsa_modulus(back), imsg_rsa_modulus(key), 160) == 0, "the same key");
    imsg_rsa_free(back);
    back = NULL;
    tap_status(imsg_rsa_from_pem(imsg_buf_view(&pem), imsg_view_str("no"), &back, &err), IMSG_PERMISSION, &err,
               "wrong passphrase");
    imsg_rsa_free(key);
    imsg_buf_clear(&pem);
    tap_status(imsg_p256_from_pem(imsg_view_str(pem_p256), none, &p256, &err), IMSG_OK, &err, "a P-256 key");
    tap_status(imsg_p256_to_pem(p256, none, &pem, &err), IMSG_OK, &err, "to PEM");
    tap_bytes(imsg_buf_view(&pem), imsg_view_str(pem_p256), "byte for byte what openssl writes");
    memset(endless, 'x', sizeof endless);
    tap_status(imsg_p256_to_pem(p256, imsg_view_of(endless, sizeof endless), &pem, &err), IMSG_TOO_LONG, &err,
               "an endless passphrase");
    imsg_p256_free(p256);
    imsg_buf_free(&pem);
    queue_is_empty("round trips");
}

static void test_vector_key(const json_t *device, const char *who, const char *pem_name, const char *d_name,
                            const char *x_name)
{
    struct imsg_p256 *key = NULL;
    struct imsg_error err;
    const char *pem = json_string_value(json_object_get(device, pem_name));

    if (!tap_ok(pem != NULL, "%s has %s", who, pem_name) ||
        !tap_status(imsg_p256_from_pem(imsg_view_str(pem), none, &key, &err), IMSG_OK, &err, "%s %s", who, pem_name))
        return;
    is_hex(imsg_p256_scalar(key), json_string_value(json_object_get(device, d_name)), d_name, who);
    is_hex(imsg_p256_point(key) + (strcmp(x_name, "signing_pub") == 0 ? 0 : 1),
           json_string_value(json_object_get(device, x_name)), x_name, who);
    imsg_p256_free(key);
}

static void test_vector_keys(void)
{
    const char *who;
    json_t *device;
    json_t *file = json_load_file("tests/vectors/keys.json", 0, NULL);
    struct imsg_error err;

    tap_ok(json_object_size(file) == 4, "tests/vectors/keys.json");
    json_object_foreach (file, who, device) {
        struct imsg_rsa *rsa = NULL;
        const char *pem = json_string_value(json_object_get(device, "encryption_pkcs8_pem"));
        test_vector_key(device, who, "signing_pkcs8_pem", "signing_d", "signing_pub");
        test_vector_key(device, who, "device_pkcs8_pem", "device_d", "device_x");
        test_vector_key(device, who, "prekey_pkcs8_pem", "prekey_d", "prekey_x");
        if (tap_status(imsg_rsa_from_pem(imsg_view_str(pem), none, &rsa, &err), IMSG_OK, &err, "%s encryption", who))
            is_hex(imsg_rsa_modulus(rsa), json_string_value(json_object_get(device, "rsa_n")), "modulus", who);
        imsg_rsa_free(rsa);
    }
    json_decref(file);
    queue_is_empty("vector keys");
}

int main(void)
{
    test_vector_keys();
    test_p256_samples();
    test_rsa_samples();
    test_oaep_blocks();
    test_refused();
    test_damage();
    test_round_trips();
    return tap_done();
}
