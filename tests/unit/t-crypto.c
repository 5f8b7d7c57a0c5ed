/* lib/crypto: digests, codes, derivation, ciphers, randomness, secrets. Keys are in t-crypto-keys.c and t-crypto-pem.c.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_set_rand_method */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tap.h"

#define BIG 5242881

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
    uint8_t want[512];
    size_t len = from_hex(hex, want, sizeof want);
    tap_bytes(imsg_view_of(got, len), imsg_view_of(want, len), "%s", what);
}

static void queue_is_empty(const char *what)
{
    tap_ok(ERR_peek_error() == 0, "%s: nothing in OpenSSL's error queue", what);
}

/* FIPS 180-4 examples. */
static void test_digests(void)
{
    static const struct {
        const char *text, *sha1, *sha256;
    } known[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    uint8_t out[32];
    struct imsg_digest *digest = NULL;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct imsg_view text = imsg_view_str(known[i].text);
        tap_status(imsg_sha1(text, out, NULL), IMSG_OK, NULL, "sha1");
        is_hex(out, known[i].sha1, "sha1 known answer");
        tap_status(imsg_sha256(text, out, NULL), IMSG_OK, NULL, "sha256");
        is_hex(out, known[i].sha256, "sha256 known answer");
        for (size_t cut = 0; cut <= text.len; cut += 7) {
            struct imsg_view parts[] = {
                imsg_view_of(text.ptr, cut), {NULL, 0}, imsg_view_of(text.ptr + cut, text.len - cut)};
            tap_status(imsg_sha256_parts(parts, 3, out, NULL), IMSG_OK, NULL, "sha256 of parts, cut at %zu", cut);
            is_hex(out, known[i].sha256, "sha256 of parts");
        }
    }
    static const char *const million[] = {"34aa973cd4c4daa4f61eeb2bdbad27316534016f",
                                          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"};
    char run[1000];
    memset(run, 'a', sizeof run);
    for (int kind = 0; kind < 2; kind++) {
        bool good = imsg_digest_new((enum imsg_digest_kind)kind, &digest, NULL) == IMSG_OK;
        for (int i = 0; good && i < 1000; i++)
            good = imsg_digest_update(digest, imsg_view_of(run, sizeof run), NULL) == IMSG_OK;
        tap_ok(good && imsg_digest_final(digest, out, NULL) == IMSG_OK, "running digest");
        is_hex(out, million[kind], "a million a");
        imsg_digest_free(digest);
        digest = NULL;
    }
    imsg_digest_free(NULL);
    queue_is_empty("digests");
}

static void fill(uint8_t *out, uint8_t first, int step, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + step * (int)i);
}

/* RFC 4231 §4.2-4.4, 4.5, 4.7, 4.8. */
static void test_hmac(void)
{
    static const struct {
        size_t key_len;
        uint8_t key_first;
        int key_step;
        const char *text; /* or, if NULL, 50 times `fill` */
        uint8_t fill;
        const char *mac;
    } known[] = {
        {20, 0x0b, 0, "Hi There", 0, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {20, 0xaa, 0, NULL, 0xdd, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {25, 0x01, 1, NULL, 0xcd, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
        {131, 0xaa, 0, "Test Using Larger Than Block-Size Key - Hash Key First", 0,
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {131, 0xaa, 0,
         "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
         "hashed before being used by the HMAC algorithm.",
         0, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    uint8_t key[131], data[50], out[32];

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        fill(key, known[i].key_first, known[i].key_step, known[i].key_len);
        fill(data, known[i].fill, 0, sizeof data);
        struct imsg_view text = known[i].text ? imsg_view_str(known[i].text) : imsg_view_of(data, sizeof data);
        struct imsg_view parts[] = {imsg_view_of(text.ptr, 3), {NULL, 0}, imsg_view_of(text.ptr + 3, text.len - 3)};
        tap_status(imsg_hmac_sha256(imsg_view_of(key, known[i].key_len), parts, 3, out, NULL), IMSG_OK, NULL, "hmac");
        is_hex(out, known[i].mac, "hmac known answer");
    }
    struct imsg_view want = imsg_view_str("what do ya want for nothing?");
    tap_status(imsg_hmac_sha256(imsg_view_str("Jefe"), &want, 1, out, NULL), IMSG_OK, NULL, "hmac, short key");
    is_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "hmac known answer, short key");
    tap_status(imsg_hmac_sha256(imsg_view_of(NULL, 0), NULL, 0, out, NULL), IMSG_OK, NULL, "hmac of nothing");
    is_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "hmac of nothing, empty key");
    queue_is_empty("hmac");
}

/* RFC 5869 A.1-A.3. */
static void test_hkdf(void)
{
    uint8_t ikm[80], salt[80], info[80], out[82];
    struct imsg_error err;

    fill(ikm, 0x0b, 0, 22);
    fill(salt, 0, 1, 13);
    fill(info, 0xf0, 1, 10);
    tap_status(imsg_hkdf_sha256(imsg_view_of(ikm, 22), imsg_view_of(salt, 13), imsg_view_of(info, 10), out, 42, &err),
               IMSG_OK, &err, "hkdf A.1");
    is_hex(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
           "hkdf A.1 known answer");
    tap_status(imsg_hkdf_sha256(imsg_view_of(ikm, 22), imsg_view_of(NULL, 0), imsg_view_of(NULL, 0), out, 42, &err),
               IMSG_OK, &err, "hkdf A.3");
    is_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
           "hkdf A.3 known answer");
    fill(ikm, 0, 1, 80);
    fill(salt, 0x60, 1, 80);
    fill(info, 0xb0, 1, 80);
    tap_status(imsg_hkdf_sha256(imsg_view_of(ikm, 80), imsg_view_of(salt, 80), imsg_view_of(info, 80), out, 82, &err),
               IMSG_OK, &err, "hkdf A.2");
    is_hex(out,
           "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c"
           "2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
           "hkdf A.2 known answer");
    tap_status(imsg_hkdf_sha256(imsg_view_of(ikm, 80), imsg_view_of(salt, 80), imsg_view_of(info, 80), out, 8161, &err),
               IMSG_INTERNAL, &err, "hkdf of more than 255 blocks");
    queue_is_empty("hkdf");
}

/* NIST SP 800-38A F.5.1 and F.5.5. */
static void test_ctr(void)
{
    static const char plain_hex[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                                    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
    static const char aes256_hex[] = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
                                     "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6";
    uint8_t key[32], counter[16], plain[64], out[64];
    struct imsg_ctr *ctr = NULL;

    from_hex(plain_hex, plain, sizeof plain);
    fill(counter, 0xf0, 1, sizeof counter);
    from_hex("2b7e151628aed2a6abf7158809cf4f3c", key, sizeof key);
    tap_status(imsg_aes128_ctr(key, counter, plain, out, sizeof plain, NULL), IMSG_OK, NULL, "aes-128-ctr");
    is_hex(out,
           "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
           "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
           "aes-128-ctr known answer");
    from_hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", key, sizeof key);
    for (size_t cut = 0; cut <= sizeof plain; cut++) {
        memcpy(out, plain, sizeof plain);
        bool good = imsg_ctr_new(key, counter, &ctr, NULL) == IMSG_OK &&
                    imsg_ctr_update(ctr, out, out, cut, NULL) == IMSG_OK &&
                    imsg_ctr_update(ctr, plain + cut, out + cut, sizeof plain - cut, NULL) == IMSG_OK;
        imsg_ctr_free(ctr);
        ctr = NULL;
        tap_ok(good, "running ctr, cut at %zu", cut);
        is_hex(out, aes256_hex, "running ctr, in place and not");
    }
    tap_status(imsg_aes256_ctr64(key, counter, plain, plain, sizeof plain, NULL), IMSG_OK, NULL, "ctr64, in place");
    is_hex(plain, aes256_hex, "ctr64 far from the wrap is plain ctr");
    tap_status(imsg_aes256_ctr64(key, counter, NULL, NULL, 0, NULL), IMSG_OK, NULL, "ctr64 of nothing");
    imsg_ctr_free(NULL);
    queue_is_empty("ctr");
}

/* The wrap one block further at a time: against one block of plain CTR each. */
static void test_ctr64_blocks(void)
{
    uint8_t key[32], plain[80] = {0}, out[80], block[16], counter[16];

    fill(key, 1, 3, sizeof key);
    for (unsigned before = 0; before < 5; before++) {
        fill(counter, 0xff, 0, sizeof counter);
        counter[15] = (uint8_t)(0xff - before);
        counter[7] = 0x7f;
        bool good = imsg_aes256_ctr64(key, counter, plain, out, sizeof out, NULL) == IMSG_OK;
        for (size_t i = 0; good && i < sizeof out / 16; i++) {
            good = imsg_aes256_ctr64(key, counter, plain, block, 16, NULL) == IMSG_OK &&
                   memcmp(block, out + 16 * i, 16) == 0;
            for (size_t j = 16; j-- > 8 && ++counter[j] == 0;)
                ;
        }
        tap_ok(good, "ctr64 wraps after %u blocks", before + 1);
    }
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void test_vector_attachment(const json_t *entry)
{
    static const uint8_t zero[16];
    static uint8_t plain[BIG], sealed[BIG];
    uint8_t key[32], hash[32];
    struct imsg_ctr *ctr = NULL;
    size_t len;
    const char *text = member(entry, "plaintext"), *rule = member(entry, "plaintext_rule");

    if (text) {
        len = from_hex(text, plain, sizeof plain);
    } else if (rule && strcmp(rule, "byte i = (31*i >> 3) & 255") == 0) {
        len = (size_t)json_integer_value(json_object_get(entry, "length"));
        for (size_t i = 0; i < len && i < sizeof plain; i++)
            plain[i] = (uint8_t)(31 * i >> 3);
    } else {
        return; /* about the chunk signatures of a storage service, which is not ours */
    }
    from_hex(member(entry, "key"), key, sizeof key);
    bool good = len <= BIG && imsg_ctr_new(key, zero, &ctr, NULL) == IMSG_OK &&
                imsg_ctr_update(ctr, plain, sealed, len, NULL) == IMSG_OK;
    imsg_ctr_free(ctr);
    if (!tap_ok(good, "attachment of %zu bytes", len))
        return;
    if (member(entry, "ciphertext")) {
        uint8_t want[2048];
        size_t want_len = from_hex(member(entry, "ciphertext"), want, sizeof want);
        tap_bytes(imsg_view_of(sealed, len), imsg_view_of(want, want_len), "attachment ciphertext");
    } else {
        tap_status(imsg_sha256(imsg_view_of(sealed, len), hash, NULL), IMSG_OK, NULL, "hash of attachment");
        is_hex(hash, member(entry, "ciphertext_sha256"), "attachment ciphertext, by its hash");
    }
}

static void test_vector_ctr64(const json_t *entry)
{
    uint8_t key[32], iv[16], plain[256], want[256], out[256];

    from_hex(member(entry, "key"), key, sizeof key);
    from_hex(member(entry, "iv"), iv, sizeof iv);
    size_t len = from_hex(member(entry, "plaintext"), plain, sizeof plain);
    from_hex(member(entry, "ciphertext"), want, sizeof want);
    tap_status(imsg_aes256_ctr64(key, iv, plain, out, len, NULL), IMSG_OK, NULL, "ctr64");
    tap_bytes(imsg_view_of(out, len), imsg_view_of(want, len), "ctr64 vector");
}

static void test_vector_hkdf(const json_t *entry)
{
    uint8_t secret[32], out[48];

    from_hex(member(entry, "secret"), secret, sizeof secret);
    tap_status(imsg_hkdf_sha256(imsg_view_of(secret, 32), imsg_view_str("LastPawn-MessageKeys"), imsg_view_str(""), out,
                                sizeof out, NULL),
               IMSG_OK, NULL, "hkdf");
    is_hex(out, member(entry, "key"), "hkdf vector, key");
    is_hex(out + 32, member(entry, "iv"), "hkdf vector, iv");
}

static void test_vector_compact(const json_t *entry)
{
    uint8_t x[32], point[65];
    bool good = strcmp(member(entry, "expect"), "ok") == 0;
    struct imsg_error err;

    if (strlen(member(entry, "x")) != 2 * sizeof x) { /* the size is in the type */
        tap_ok(!good, "a compact key of another length is malformed");
        return;
    }
    from_hex(member(entry, "x"), x, sizeof x);
    tap_status(imsg_p256_lift(x, point, &err), good ? IMSG_OK : IMSG_MALFORMED, &err, "compact key vector");
    if (good) {
        tap_bytes(imsg_view_of(point + 1, 32), imsg_view_of(x, 32), "lifted x");
        is_hex(point + 33, member(entry, "y"), "lifted y");
    }
}

static void test_vectors(void)
{
    static const struct {
        const char *name;
        void (*test)(const json_t *entry);
        size_t count;
    } kinds[] = {
        {"compact_key", test_vector_compact, 8},
        {"aes256_ctr64", test_vector_ctr64, 4},
        {"hkdf", test_vector_hkdf, 2},
        {"attachment", test_vector_attachment, 14},
    };
    json_t *file = json_load_file("tests/vectors/primitives.json", 0, NULL);

    tap_ok(file != NULL, "tests/vectors/primitives.json");
    for (size_t k = 0; file && k < sizeof kinds / sizeof *kinds; k++) {
        size_t i;
        json_t *entry;
        const json_t *list = json_object_get(file, kinds[k].name);
        tap_ok(json_array_size(list) == kinds[k].count, "%zu vectors of %s", kinds[k].count, kinds[k].name);
        json_array_foreach (list, i, entry)
            kinds[k].test(entry);
    }
    json_decref(file);
    queue_is_empty("vectors");
}

static int no_bytes(unsigned char *out, int len)
{
    memset(out, 0xee, (size_t)len);
    return 0;
}

static void test_random(void)
{
    static const uint8_t dns[16] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
                                    0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    RAND_METHOD broken = {.bytes = no_bytes};
    uint8_t a[64] = {0}, b[64] = {0}, zero[64] = {0};
    char uuid[37], other[37];
    struct imsg_error err;

    tap_ok(imsg_random(a, sizeof a, NULL) == IMSG_OK && imsg_random(b, sizeof b, NULL) == IMSG_OK &&
               memcmp(a, b, sizeof a) != 0,
           "two draws differ");
    tap_ok(imsg_uuid_v4(uuid, NULL) == IMSG_OK && imsg_uuid_v4(other, NULL) == IMSG_OK && strcmp(uuid, other) != 0,
           "two uuids differ");
    tap_ok(strlen(uuid) == 36 && imsg_uuid_valid(uuid) && uuid[14] == '4' && strchr("89ab", uuid[19]),
           "uuid version 4: %s", uuid);
    tap_status(imsg_uuid_v5(dns, imsg_view_str("python.org"), uuid, &err), IMSG_OK, &err, "uuid version 5");
    tap_ok(strcmp(uuid, "886313e1-3b8a-5372-9b90-0c9aee199e5d") == 0, "uuid version 5 known answer: %s", uuid);

    const RAND_METHOD *usual = RAND_get_rand_method();
    RAND_set_rand_method(&broken);
    tap_status(imsg_random(a, sizeof a, &err), IMSG_INTERNAL, &err, "a failing source");
    tap_bytes(imsg_view_of(a, sizeof a), imsg_view_of(zero, sizeof a), "nothing of it is left");
    tap_status(imsg_uuid_v4(uuid, &err), IMSG_INTERNAL, &err, "a failing source, uuid");
    struct imsg_p256 *key = NULL;
    tap_status(imsg_p256_generate_compact(&key, &err), IMSG_INTERNAL, &err, "a failing source, key");
    RAND_set_rand_method(usual);
    queue_is_empty("random");
}

/* True if the kernel says of the mapping that holds ptr that it is left out of core dumps. */
static bool not_dumped(const void *ptr)
{
    char line[512];
    unsigned long from, to, at = (unsigned long)(uintptr_t)ptr;
    bool inside = false, found = false;
    FILE *file = fopen("/proc/self/smaps", "r");

    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from <= at && at < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, " dd") != NULL;
    }
    if (file)
        fclose(file);
    return found;
}

static void test_secret(void)
{
    struct imsg_p256 *key = NULL;
    struct imsg_error err;
    uint8_t a[40], b[40];

    imsg_crypto_start_process();
    size_t before = CRYPTO_secure_used();
    tap_status(imsg_p256_generate(&key, &err), IMSG_OK, &err, "a private key");
    tap_ok(CRYPTO_secure_used() > before, "its number is on the secure heap");
    imsg_p256_free(key);
    tap_ok(CRYPTO_secure_used() == before, "and gone from there with the key");
    void *number = OPENSSL_secure_malloc(32);
    tap_ok(number && CRYPTO_secure_allocated(number) && not_dumped(number), "which is not dumped");
    OPENSSL_secure_free(number);

    fill(a, 7, 5, sizeof a);
    memcpy(b, a, sizeof b);
    bool good = imsg_equal_ct(a, b, sizeof a) && imsg_equal_ct(a, NULL, 0);
    for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        good = good && !imsg_equal_ct(a, b, sizeof a);
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    tap_ok(good, "equality sees every bit");
}

int main(void)
{
    test_digests();
    test_hmac();
    test_hkdf();
    test_ctr();
    test_ctr64_blocks();
    test_vectors();
    test_random();
    test_secret();
    return tap_done();
}
