/* Project Wycheproof's cases through our own functions. The files are not part of the sources: WYCHEPROOF names the
 * folder that has them (C2SP/wycheproof, testvectors_v1). Every case has to end as the file says, and "acceptable" ones
 * are refused. Where a function of ours has no room for what a case asks (another key size, another hash), the case is
 * counted and said to be so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/internal.h"
#include "tap.h"
#include "vector.h"
#include "wycheproof.h"

/* ---- One function for each kind of file ---- */

static struct imsg_view signer(const json_t *group)
{
    const json_t *key = vector_member(group, "publicKey");
    struct imsg_view point = hex(key, "uncompressed");

    if (!is_text(key, "curve", "secp256r1") || !is_text(group, "sha", "SHA-256") || point.len != 65)
        broken("a group of other signatures than ECDSA P-256 with SHA-256");
    return point;
}

static void digest_message(const json_t *test, uint8_t digest[static 32])
{
    if (imsg_sha256(hex(test, "msg"), digest, NULL) != IMSG_OK)
        broken("no SHA-256");
}

static enum answer ecdsa_der(const json_t *group, const json_t *test, const char **note)
{
    uint8_t digest[32];

    digest_message(test, digest);
    return answer_of(
        imsg_p256_verify_der(signer(group).ptr, imsg_view_of(digest, sizeof digest), hex(test, "sig"), NULL),
        IMSG_BAD_SIGNATURE, note);
}

static enum answer ecdsa_raw(const json_t *group, const json_t *test, const char **note)
{
    uint8_t digest[32];
    struct imsg_view signature = hex(test, "sig");

    if (signature.len != 64) {
        *note = "signature is not of 64 bytes";
        return REFUSED;
    }
    digest_message(test, digest);
    return answer_of(imsg_p256_verify(signer(group).ptr, imsg_view_of(digest, sizeof digest), signature.ptr, NULL),
                     IMSG_BAD_SIGNATURE, note);
}

/* A number of any length as 32 bytes: the file writes it as DER does, with a zero in front or shorter. */
static void scalar_of(struct imsg_view digits, uint8_t scalar[static 32])
{
    memset(scalar, 0, 32);
    for (; digits.len > 32; digits.ptr++, digits.len--) {
        if (*digits.ptr != 0)
            broken("a private key of more than 256 bits");
    }
    memcpy(scalar + 32 - digits.len, digits.ptr, digits.len);
}

static enum answer ecdh(const json_t *group, const json_t *test, const char **note)
{
    uint8_t scalar[32], secret[32];
    struct imsg_p256 *key = NULL;
    struct imsg_view point = hex(test, "public"), shared = hex(test, "shared");

    if (!is_text(group, "curve", "secp256r1"))
        broken("a group of another curve than P-256");
    if (point.len != 65) {
        *note = "point is not of 65 bytes";
        return REFUSED;
    }
    scalar_of(hex(test, "private"), scalar);
    if (imsg_p256_from_scalar(scalar, &key, NULL) != IMSG_OK) {
        *note = "private key refused";
        return WRONG;
    }
    memset(secret, 0xa5, sizeof secret);
    enum imsg_status check = imsg_p256_check(point.ptr, NULL);
    enum imsg_status product = imsg_p256_ecdh(key, point.ptr, secret, NULL);
    imsg_p256_free(key);
    if (check != product) {
        *note = "imsg_p256_check and imsg_p256_ecdh differ";
        return WRONG;
    }
    if (product == IMSG_OK && !imsg_view_equal(imsg_view_of(secret, sizeof secret), shared)) {
        *note = "another secret";
        return WRONG;
    }
    return answer_of(product, IMSG_MALFORMED, note);
}

/* A group's key, kept for its other cases: reading it and preparing its first use take longest here. */
static EVP_PKEY *group_key;
static const json_t *group_of_key;

static void forget_key(void)
{
    EVP_PKEY_free(group_key);
    group_key = NULL;
    group_of_key = NULL;
}

static EVP_PKEY *key_of(const json_t *group)
{
    if (group_of_key != group) {
        struct imsg_view der = hex(group, "privateKeyPkcs8");
        const uint8_t *at = der.ptr;
        forget_key();
        group_key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
        if (!group_key)
            broken("a private key that OpenSSL does not read");
        group_of_key = group;
    }
    return group_key;
}

/* Other labels and other hashes than ours must not open, which contradicts the file where it has them as valid. */
static enum answer oaep(const json_t *group, const json_t *test, const char **note)
{
    uint8_t plain[1024];
    size_t len = 0;
    struct imsg_view block = hex(test, "ct");
    const char *foreign = NULL;

    if (!is_text(group, "sha", "SHA-1"))
        foreign = "other hash (refused)";
    else if (!is_text(group, "mgf", "MGF1") || !is_text(group, "mgfSha", "SHA-1"))
        foreign = "other mask (refused)";
    else if (hex(test, "label").len > 0)
        foreign = "other label (refused)";
    if (block.len > sizeof plain)
        broken("a block of %zu bytes", block.len);
    memset(plain, 0xa5, sizeof plain);
    enum imsg_status got = imsg_rsa_oaep_open_any(key_of(group), block, plain, &len, NULL);
    enum answer answer = answer_of(got, IMSG_NOT_FOR_THIS_KEY, note);
    if (answer == ACCEPTED && foreign) {
        *note = "opened in spite of another hash, mask or label";
        return WRONG;
    }
    if (answer == ACCEPTED && !imsg_view_equal(imsg_view_of(plain, len), hex(test, "msg"))) {
        *note = "another plaintext";
        return WRONG;
    }
    if (answer == REFUSED && !all_zero(plain, block.len)) {
        *note = "refused, but not wiped";
        return WRONG;
    }
    if (answer == REFUSED && foreign) {
        *note = foreign;
        return result_of(test) == VALID ? NOT_OURS : REFUSED;
    }
    return answer;
}

static enum answer hkdf(const json_t *group, const json_t *test, const char **note)
{
    size_t len = number(test, "size");
    struct imsg_view want = hex(test, "okm");
    uint8_t *out = malloc(len > 0 ? len : 1);

    (void)group;
    if (!out)
        broken("no memory");
    enum imsg_status got = imsg_hkdf_sha256(hex(test, "ikm"), hex(test, "salt"), hex(test, "info"), out, len, NULL);
    enum answer answer = answer_of(got, IMSG_INTERNAL, note); /* a length that no caller may ask for */
    if (answer == ACCEPTED && !imsg_view_equal(imsg_view_of(out, len), want)) {
        *note = "another key";
        answer = WRONG;
    }
    free(out);
    return answer;
}

static enum answer hmac(const json_t *group, const json_t *test, const char **note)
{
    uint8_t mac[32];
    struct imsg_view message = hex(test, "msg"), tag = hex(test, "tag");
    size_t bits = number(group, "tagSize");

    if (bits % 8 != 0 || bits > 256)
        broken("a tag of %zu bits", bits);
    if (imsg_hmac_sha256(hex(test, "key"), &message, 1, mac, NULL) != IMSG_OK) {
        *note = "no code at all";
        return WRONG;
    }
    return tag.len == bits / 8 && imsg_equal_ct(mac, tag.ptr, tag.len) ? ACCEPTED : REFUSED;
}

static enum answer gcm_both_ways(struct imsg_gcm *gcm, const json_t *test, uint8_t *out, const char **note)
{
    uint8_t made[16];
    struct imsg_view nonce = hex(test, "iv"), aad = hex(test, "aad"), plain = hex(test, "msg");
    struct imsg_view sealed = hex(test, "ct"), tag = hex(test, "tag");

    enum answer answer = answer_of(
        imsg_gcm_open(gcm, nonce.ptr, &(struct imsg_gcm_data){aad, sealed.ptr, out, sealed.len}, tag.ptr, NULL),
        IMSG_BAD_TAG, note);
    if (answer == WRONG)
        return answer;
    if (answer == REFUSED && !all_zero(out, sealed.len)) {
        *note = "refused, but not wiped";
        return WRONG;
    }
    if (answer == ACCEPTED && !imsg_view_equal(imsg_view_of(out, sealed.len), plain)) {
        *note = "another plaintext";
        return WRONG;
    }
    if (plain.len != sealed.len) {
        *note = "lengths in the file differ";
        return WRONG;
    }
    bool same =
        imsg_gcm_seal(gcm, nonce.ptr, &(struct imsg_gcm_data){aad, plain.ptr, out, plain.len}, made, NULL) == IMSG_OK &&
        imsg_view_equal(imsg_view_of(out, plain.len), sealed) && imsg_view_equal(imsg_view_of(made, sizeof made), tag);
    if (same != (answer == ACCEPTED)) {
        *note = same ? "sealed to what is not to be opened" : "sealed to something else";
        return WRONG;
    }
    return answer;
}

static enum answer gcm(const json_t *group, const json_t *test, const char **note)
{
    struct imsg_gcm *object = NULL;

    if (number(group, "keySize") != 256)
        *note = "other key size";
    else if (number(group, "ivSize") != 96)
        *note = "other nonce size";
    else if (number(group, "tagSize") != 128)
        *note = "other tag size";
    if (*note)
        return NOT_OURS;
    struct imsg_view key = hex(test, "key");
    size_t len = hex(test, "ct").len;
    uint8_t *out = malloc(len > 0 ? len : 1);
    if (key.len != 32 || !out || imsg_gcm_new(key.ptr, &object, NULL) != IMSG_OK)
        broken("a key of %zu bytes, or no memory", key.len);
    memset(out, 0xa5, len);
    enum answer answer = gcm_both_ways(object, test, out, note);
    imsg_gcm_free(object);
    free(out);
    return answer;
}

static const struct source {
    const char *name;
    enum answer (*run)(const json_t *group, const json_t *test, const char **note);
} sources[] = {
    {"ecdsa_secp256r1_sha256_test", ecdsa_der},
    {"ecdsa_secp256r1_sha256_p1363_test", ecdsa_raw},
    {"ecdh_secp256r1_ecpoint_test", ecdh},
    {"rsa_oaep_2048_sha1_mgf1sha1_test", oaep},
    {"rsa_oaep_misc_test", oaep},
    {"hkdf_sha256_test", hkdf},
    {"hmac_sha256_test", hmac},
    {"aes_gcm_test", gcm},
};

static size_t all_seen;

static void run(const char *folder, const struct source *source)
{
    struct tally tally = {0};
    char path[4096];
    json_error_t why;
    const json_t *group, *test;
    size_t i, j;

    snprintf(path, sizeof path, "%s/%s.json", folder, source->name);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!json)
        broken("%s: %s", path, why.text);
    json_array_foreach (vector_member(json, "testGroups"), i, group) {
        json_array_foreach (vector_member(group, "tests"), j, test) {
            const char *note = NULL;
            enum answer answer = source->run(group, test, &note);
            tally.seen++;
            judge(source->name, test, answer, note, &tally);
            forget_pieces();
        }
    }
    all_seen += (size_t)tally.seen;
    report(source->name, &tally, number(json, "numberOfTests"));
    forget_key();
    json_decref(json);
}

/* No file has this one. One block in some 200 begins with a zero; without it the number is the same. */
static void test_short_block(void)
{
    struct imsg_rsa *key = NULL;
    uint8_t block[IMSG_RSA_BYTES], plain[IMSG_RSA_BYTES];
    size_t len = 0;
    bool sealed = imsg_rsa_generate(&key, NULL) == IMSG_OK;

    for (int i = 0; sealed && (i == 0 || block[0] != 0) && i < 20000; i++)
        sealed = imsg_rsa_oaep_seal(imsg_rsa_modulus(key), imsg_view_str("zero"), block, NULL) == IMSG_OK;
    if (!sealed || block[0] != 0)
        broken("no RSA block that begins with a zero");
    tap_status(imsg_rsa_oaep_open_any(imsg_rsa_evp(key), imsg_view_of(block, sizeof block), plain, &len, NULL), IMSG_OK,
               NULL, "an RSA block that begins with a zero");
    tap_bytes(imsg_view_of(plain, len), imsg_view_str("zero"), "its plaintext");
    tap_status(imsg_rsa_oaep_open_any(imsg_rsa_evp(key), imsg_view_of(block + 1, sizeof block - 1), plain, &len, NULL),
               IMSG_NOT_FOR_THIS_KEY, NULL, "the block without that zero");
    imsg_rsa_free(key);
}

int main(void)
{
    const char *folder = getenv("WYCHEPROOF");

    test_short_block();
    if (!folder || !*folder) {
        tap_skip("WYCHEPROOF=DIR names no folder with Project Wycheproof's testvectors_v1", "wycheproof");
        return tap_done();
    }
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        run(folder, &sources[i]);
    tap_quality("A case of Project Wycheproof: ends as its file says", all_seen, tap_failed());
    return tap_done();
}
