/* lib/crypto/gcm.c: known answers, all small sizes, long runs, tampering, reuse of a context. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tap.h"

#define MIB ((size_t)1 << 20)

static const struct imsg_view no_aad = {0};

static void from_hex(const char *hex, struct imsg_buf *out)
{
    size_t len = strlen(hex) / 2;
    imsg_buf_clear(out);
    if (imsg_buf_reserve(out, len + 1, NULL) != IMSG_OK ||
        imsg_hex_decode(imsg_view_str(hex), out->ptr, len, NULL) != IMSG_OK) {
        printf("Bail out! bad hex in the test: %s\n", hex);
        exit(1);
    }
    out->len = len;
}

static struct imsg_gcm *new_gcm(const uint8_t key[static 32])
{
    struct imsg_gcm *gcm = NULL;
    if (imsg_gcm_new(key, &gcm, NULL) != IMSG_OK) {
        printf("Bail out! no AES-256-GCM\n");
        exit(1);
    }
    return gcm;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= bytes[i];
    return any == 0;
}

static void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

/* Test cases 13 to 16 of the GCM specification submitted to NIST, then from NIST's CAVP, gcmEncryptExtIV256.rsp. */
static const struct known {
    const char *name, *key, *nonce, *aad, *plain, *sealed, *tag;
} known[] = {
    {"GCM test case 13", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"GCM test case 14", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {"GCM test case 15", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
     "b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
     "c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"GCM test case 16", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
     "b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
     "c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {"CAVP without content", "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
     "516c33929df5a3284ff463d7", "", "", "", "bdc1ac884d332457a1d2664f168c76f0"},
    {"CAVP 128 bits", "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22", "0d18e06c7c725ac9e362e1ce",
     "", "2db5168e932556f8089a0622981d017d", "fa4362189661d163fcd6a56d8bf0405a", "d636ac1bbedd5cc3ee727dc2ab4a9489"},
    {"CAVP 128 bits, 128 of additional data", "92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b",
     "ac93a1a6145299bde902f21a", "1e0889016f67601c8ebea4943bc23ad6", "2d71bcfa914e4ac045b2aa60955fad24",
     "8995ae2e6df3dbf96fac7b7137bae67f", "eca5aa77d51d4a0a14d9c51e1da474ab"},
};

static void test_known(const struct known *k)
{
    struct imsg_buf key = {0}, nonce = {0}, aad = {0}, plain = {0}, sealed = {0}, tag = {0};
    uint8_t got[64], got_tag[16];
    struct imsg_error err = {0};

    from_hex(k->key, &key);
    from_hex(k->nonce, &nonce);
    from_hex(k->aad, &aad);
    from_hex(k->plain, &plain);
    from_hex(k->sealed, &sealed);
    from_hex(k->tag, &tag);
    struct imsg_gcm *gcm = new_gcm(key.ptr);
    struct imsg_view extra = aad.len > 0 ? imsg_buf_view(&aad) : no_aad;
    /* Twice with one object: nothing of the first message may be left in it. */
    for (int round = 1; round <= 2; round++) {
        tap_status(
            imsg_gcm_seal(gcm, nonce.ptr, &(struct imsg_gcm_data){extra, plain.ptr, got, plain.len}, got_tag, &err),
            IMSG_OK, &err, "%s: seal %d", k->name, round);
        tap_bytes(imsg_view_of(got, plain.len), imsg_buf_view(&sealed), "%s: ciphertext %d", k->name, round);
        tap_bytes(imsg_view_of(got_tag, 16), imsg_buf_view(&tag), "%s: tag %d", k->name, round);
        memset(got, 0xa5, sizeof got);
        tap_status(
            imsg_gcm_open(gcm, nonce.ptr, &(struct imsg_gcm_data){extra, sealed.ptr, got, sealed.len}, tag.ptr, &err),
            IMSG_OK, &err, "%s: open %d", k->name, round);
        tap_bytes(imsg_view_of(got, sealed.len), imsg_buf_view(&plain), "%s: content %d", k->name, round);
    }
    imsg_gcm_free(gcm);
    struct imsg_buf *all[] = {&key, &nonce, &aad, &plain, &sealed, &tag};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        imsg_buf_free(all[i]);
}

/* One call of OpenSSL for the whole message, to compare our runs with. */
static bool at_once(const uint8_t key[static 32], const uint8_t nonce[static 12], struct imsg_view aad,
                    const uint8_t *in, uint8_t *out, size_t len, uint8_t tag[static 16])
{
    int size = 0;
    uint8_t none[16];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
                (aad.len == 0 || EVP_EncryptUpdate(ctx, NULL, &size, aad.ptr, (int)aad.len) == 1) &&
                (len == 0 || EVP_EncryptUpdate(ctx, out, &size, in, (int)len) == 1) &&
                EVP_EncryptFinal_ex(ctx, none, &size) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return good;
}

/* Sizes around every boundary: none, a block, OpenSSL's wide loops, and our runs. */
static void test_sizes(void)
{
    static const size_t large[] = {4095, 4096, 4097, MIB - 1, MIB, MIB + 1, MIB + 15, MIB + 16, MIB + 17, 3 * MIB + 5};
    size_t most = 3 * MIB + 5;
    uint8_t key[32], nonce[12], tag[16], want_tag[16];
    uint8_t *plain = malloc(most), *want = malloc(most), *got = malloc(most);
    unsigned wrong_seal = 0, wrong_open = 0, count = 0;

    if (!plain || !want || !got) {
        printf("Bail out! no memory\n");
        exit(1);
    }
    fill(key, sizeof key, 1);
    fill(plain, most, 2);
    struct imsg_gcm *gcm = new_gcm(key);
    for (size_t i = 0; i < 600 + sizeof large / sizeof *large; i++) {
        size_t len = i < 600 ? i : large[i - 600];
        /* Additional data of every length up to 40, and once longer than a run. */
        struct imsg_view aad = imsg_view_of(plain, len == most ? MIB + 3 : len % 41);
        fill(nonce, sizeof nonce, (uint32_t)(1000 + len));
        if (!at_once(key, nonce, aad, plain, want, len, want_tag)) {
            printf("Bail out! OpenSSL has no AES-256-GCM\n");
            exit(1);
        }
        memcpy(got, plain, len);
        if (imsg_gcm_seal(gcm, nonce, &(struct imsg_gcm_data){aad, got, got, len}, tag, NULL) != IMSG_OK ||
            memcmp(got, want, len) != 0 || memcmp(tag, want_tag, 16) != 0)
            wrong_seal++;
        if (imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){aad, got, got, len}, tag, NULL) != IMSG_OK ||
            memcmp(got, plain, len) != 0)
            wrong_open++;
        count++;
    }
    tap_ok(wrong_seal == 0, "seal in place, %u sizes: as OpenSSL in one call (%u differ)", count, wrong_seal);
    tap_ok(wrong_open == 0, "open in place, %u sizes (%u differ)", count, wrong_open);
    imsg_gcm_free(gcm);
    free(plain);
    free(want);
    free(got);
}

/* Each bit of what goes in, one after the other. */
static unsigned accepted_with_a_bit_flipped(struct imsg_gcm *gcm, uint8_t *where, size_t len, const uint8_t *nonce,
                                            struct imsg_view aad, const uint8_t *sealed, size_t sealed_len,
                                            const uint8_t *tag, unsigned *not_wiped)
{
    unsigned accepted = 0;
    uint8_t out[64];

    for (size_t bit = 0; bit < 8 * len; bit++) {
        where[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0xa5, sizeof out);
        if (imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){aad, sealed, out, sealed_len}, tag, NULL) != IMSG_BAD_TAG)
            accepted++;
        if (!all_zero(out, sealed_len) || out[sealed_len] != 0xa5)
            ++*not_wiped;
        where[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    return accepted;
}

static void test_tampering(void)
{
    uint8_t key[32], nonce[12], aad[5], plain[37], sealed[37], tag[16], out[37];
    struct imsg_error err = {0};
    unsigned not_wiped = 0;

    fill(key, sizeof key, 3);
    fill(nonce, sizeof nonce, 4);
    fill(aad, sizeof aad, 5);
    fill(plain, sizeof plain, 6);
    struct imsg_view extra = imsg_view_of(aad, sizeof aad);
    struct imsg_gcm *gcm = new_gcm(key);
    tap_status(imsg_gcm_seal(gcm, nonce, &(struct imsg_gcm_data){extra, plain, sealed, sizeof plain}, tag, &err),
               IMSG_OK, &err, "seal");
    struct {
        const char *name;
        uint8_t *where;
        size_t len;
    } parts[] = {{"nonce", nonce, 12}, {"additional data", aad, 5}, {"ciphertext", sealed, 37}, {"tag", tag, 16}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        unsigned accepted = accepted_with_a_bit_flipped(gcm, parts[i].where, parts[i].len, nonce, extra, sealed,
                                                        sizeof sealed, tag, &not_wiped);
        tap_ok(accepted == 0, "each bit of the %s flipped: bad tag (%u accepted)", parts[i].name, accepted);
    }
    tap_ok(not_wiped == 0, "what does not open leaves zeroes, and nothing beyond (%u times not)", not_wiped);
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){no_aad, sealed, out, sizeof sealed}, tag, &err),
               IMSG_BAD_TAG, &err, "additional data left out");
    tap_ok(strcmp(err.text, "the tag does not fit") == 0, "its text");
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){extra, sealed, out, sizeof sealed - 1}, tag, &err),
               IMSG_BAD_TAG, &err, "cut by a byte");
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){extra, sealed, out, 0}, tag, &err), IMSG_BAD_TAG, &err,
               "cut to nothing");
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){extra, NULL, NULL, 0}, tag, NULL), IMSG_BAD_TAG, NULL,
               "nothing at all");
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){extra, sealed, out, sizeof sealed}, tag, &err),
               IMSG_OK, &err, "the object opens the right one after all those");
    tap_bytes(imsg_view_of(out, sizeof out), imsg_view_of(plain, sizeof plain), "and right");
    tag[15] ^= 1;
    memcpy(out, sealed, sizeof out);
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){extra, out, out, sizeof out}, tag, &err), IMSG_BAD_TAG,
               &err, "bad tag in place");
    tap_ok(all_zero(out, sizeof out), "in place, too, nothing is left");
    imsg_gcm_free(gcm);
    key[0] ^= 1;
    tag[15] ^= 1;
    gcm = new_gcm(key);
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){extra, sealed, out, sizeof sealed}, tag, &err),
               IMSG_BAD_TAG, &err, "another key");
    imsg_gcm_free(gcm);
    imsg_gcm_free(NULL);
}

/* A long message whose tag fails in its last run: the runs before it must go, too. */
static void test_long_wiped(void)
{
    uint8_t key[32] = {1}, nonce[12] = {2}, tag[16];
    size_t len = 2 * MIB + 100;
    uint8_t *bytes = malloc(len);

    if (!bytes) {
        printf("Bail out! no memory\n");
        exit(1);
    }
    struct imsg_gcm *gcm = new_gcm(key);
    fill(bytes, len, 7);
    bool sealed = imsg_gcm_seal(gcm, nonce, &(struct imsg_gcm_data){no_aad, bytes, bytes, len}, tag, NULL) == IMSG_OK;
    bytes[len - 1] ^= 1;
    tap_ok(sealed &&
               imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){no_aad, bytes, bytes, len}, tag, NULL) ==
                   IMSG_BAD_TAG &&
               all_zero(bytes, len),
           "a long message with its last byte changed leaves zeroes only");
    imsg_gcm_free(gcm);
    free(bytes);
}

/* Nothing is read or written: the length alone is refused. */
static void test_too_long(void)
{
#if SIZE_MAX > 0xffffffff
    uint8_t key[32] = {0}, nonce[12] = {0}, tag[16] = {0}, byte = 7;
    size_t len = ((size_t)1 << 36) - 31;
    struct imsg_gcm *gcm = new_gcm(key);
    tap_status(imsg_gcm_seal(gcm, nonce, &(struct imsg_gcm_data){no_aad, &byte, &byte, len}, tag, NULL), IMSG_TOO_LONG,
               NULL, "seal 2^36 - 31 bytes");
    tap_status(imsg_gcm_open(gcm, nonce, &(struct imsg_gcm_data){no_aad, &byte, &byte, len}, tag, NULL), IMSG_TOO_LONG,
               NULL, "open 2^36 - 31 bytes");
    tap_ok(byte == 7, "nothing was touched");
    imsg_gcm_free(gcm);
#endif
}

int main(void)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        test_known(&known[i]);
    test_sizes();
    test_tampering();
    test_long_wiped();
    test_too_long();
    tap_ok(ERR_peek_error() == 0, "nothing in OpenSSL's error queue");
    return tap_done();
}
