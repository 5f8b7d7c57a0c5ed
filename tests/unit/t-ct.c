/* Constant time, as far as memcheck can see it: what comes out of a private key is marked undefined, and from there to
 * the place where it may be known no branch and no index of ours depends on it. Run under valgrind by
 * tests/cli/constant-time.bats; alone it only shows that opening works. The linker's --wrap (Makefile) puts the
 * functions here between the formats and the primitives. */
#include "tap.h"

#include <string.h>

#include "crypto/crypto.h"
#include "format/pair.h"
#include "format/pair_ec.h"

#if defined(__has_include) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_UNDEFINED(ptr, len) ((void)(ptr), (void)(len))
#define VALGRIND_MAKE_MEM_DEFINED(ptr, len) ((void)(ptr), (void)(len))
#endif

enum imsg_status __real_imsg_rsa_oaep_open(const struct imsg_rsa *key, const uint8_t block[static 160],
                                           uint8_t plain[static 118], size_t *len, struct imsg_error *err);
enum imsg_status __wrap_imsg_rsa_oaep_open(const struct imsg_rsa *key, const uint8_t block[static 160],
                                           uint8_t plain[static 118], size_t *len, struct imsg_error *err);
enum imsg_status __real_imsg_p256_ecdh(const struct imsg_p256 *key, const uint8_t point[static 65],
                                       uint8_t secret[static 32], struct imsg_error *err);
enum imsg_status __wrap_imsg_p256_ecdh(const struct imsg_p256 *key, const uint8_t point[static 65],
                                       uint8_t secret[static 32], struct imsg_error *err);
bool __real_imsg_equal_ct(const void *a, const void *b, size_t len);
bool __wrap_imsg_equal_ct(const void *a, const void *b, size_t len);
enum imsg_status __real_imsg_sha256_parts(const struct imsg_view *parts, size_t count, uint8_t out[static 32],
                                          struct imsg_error *err);
enum imsg_status __wrap_imsg_sha256_parts(const struct imsg_view *parts, size_t count, uint8_t out[static 32],
                                          struct imsg_error *err);
enum imsg_status __real_imsg_aes256_ctr64(const uint8_t key[static 32], const uint8_t counter[static 16],
                                          const uint8_t *in, uint8_t *out, size_t len, struct imsg_error *err);
enum imsg_status __wrap_imsg_aes256_ctr64(const uint8_t key[static 32], const uint8_t counter[static 16],
                                          const uint8_t *in, uint8_t *out, size_t len, struct imsg_error *err);

/* Secret from here: the AES key and tag of "pair", the shared secret of "pair-ec". */
enum imsg_status __wrap_imsg_rsa_oaep_open(const struct imsg_rsa *key, const uint8_t block[static 160],
                                           uint8_t plain[static 118], size_t *len, struct imsg_error *err)
{
    enum imsg_status status = __real_imsg_rsa_oaep_open(key, block, plain, len, err);
    if (status == IMSG_OK)
        (void)VALGRIND_MAKE_MEM_UNDEFINED(plain, *len);
    return status;
}

enum imsg_status __wrap_imsg_p256_ecdh(const struct imsg_p256 *key, const uint8_t point[static 65],
                                       uint8_t secret[static 32], struct imsg_error *err)
{
    enum imsg_status status = __real_imsg_p256_ecdh(key, point, secret, err);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(secret, 32);
    return status;
}

/* Known from here: the answer of the tag compare; the hash that the signature covers; a plaintext already verified. */
bool __wrap_imsg_equal_ct(const void *a, const void *b, size_t len)
{
    bool equal = __real_imsg_equal_ct(a, b, len);
    (void)VALGRIND_MAKE_MEM_DEFINED(&equal, sizeof equal);
    return equal;
}

enum imsg_status __wrap_imsg_sha256_parts(const struct imsg_view *parts, size_t count, uint8_t out[static 32],
                                          struct imsg_error *err)
{
    enum imsg_status status = __real_imsg_sha256_parts(parts, count, out, err);
    (void)VALGRIND_MAKE_MEM_DEFINED(out, 32);
    return status;
}

enum imsg_status __wrap_imsg_aes256_ctr64(const uint8_t key[static 32], const uint8_t counter[static 16],
                                          const uint8_t *in, uint8_t *out, size_t len, struct imsg_error *err)
{
    /* A counter block is no secret: with it alone nothing opens, and where it wraps OpenSSL branches on it too. */
    (void)VALGRIND_MAKE_MEM_DEFINED(counter, 16);
    enum imsg_status status = __real_imsg_aes256_ctr64(key, counter, in, out, len, err);
    (void)VALGRIND_MAKE_MEM_DEFINED(out, len);
    return status;
}

static struct imsg_error err;

static void open_pair(struct imsg_identity *bob, const struct imsg_identity *alice, bool wrong_tag)
{
    struct imsg_buf payload = {0}, plain = {0};
    struct imsg_pair pair;
    const struct imsg_pair_keys keys = {bob->encryption, &bob->identity, &alice->identity};
    const struct imsg_public_identity *named = wrong_tag ? &bob->identity : &alice->identity;
    /* Signed by the right key over a block whose tag names another sender. */
    enum imsg_status status =
        imsg_pair_seal(alice->signing, named, &bob->identity, imsg_view_str("hello"), &payload, &err);
    if (status == IMSG_OK)
        status = imsg_pair_parse(imsg_buf_view(&payload), &pair, NULL, &err);
    if (status == IMSG_OK)
        status = imsg_pair_open(&pair, &keys, &plain, NULL, &err);
    tap_status(status, wrong_tag ? IMSG_BAD_TAG : IMSG_OK, &err, "pair, %s tag", wrong_tag ? "another" : "right");
    if (plain.len > 0)
        (void)VALGRIND_MAKE_MEM_DEFINED(plain.ptr, plain.len);
    tap_ok(wrong_tag ? plain.len == 0 : plain.len == 5, "pair: released as it should be");
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

static void open_pair_ec(struct imsg_identity *bob, const struct imsg_identity *alice, bool forged)
{
    struct imsg_buf payload = {0}, plain = {0};
    struct imsg_pair_ec pair_ec;
    const struct imsg_pair_ec_recipient recipient = {bob->device_x, imsg_p256_point(bob->prekey), 0};
    const struct imsg_pair_ec_keys keys = {bob->device_x, bob->prekey, imsg_p256_point(alice->device)};
    enum imsg_status status = imsg_pair_ec_seal(alice->device, &recipient, imsg_view_str("hello"), &payload, &err);
    if (status == IMSG_OK)
        status = imsg_pair_ec_parse(imsg_buf_view(&payload), &pair_ec, NULL, &err);
    if (forged)
        pair_ec.signature[40] ^= 1;
    if (status == IMSG_OK)
        status = imsg_pair_ec_open(&pair_ec, &keys, &plain, NULL, &err);
    tap_status(status, forged ? IMSG_BAD_SIGNATURE : IMSG_OK, &err, "pair-ec, %s signature", forged ? "bad" : "good");
    tap_ok(forged ? plain.len == 0 : plain.len == 5, "pair-ec: released as it should be");
    imsg_buf_free(&payload);
    imsg_buf_free(&plain);
}

int main(void)
{
    const char *handle = "mailto:x@example.com";
    struct imsg_identity alice = {0}, bob = {0};
    tap_status(imsg_identity_generate(&handle, 1, "a", NULL, &alice, &err), IMSG_OK, &err, "alice's keys");
    tap_status(imsg_identity_generate(&handle, 1, "b", NULL, &bob, &err), IMSG_OK, &err, "bob's keys");
    for (int bad = 0; bad < 2; bad++) {
        open_pair(&bob, &alice, bad);
        open_pair_ec(&bob, &alice, bad);
    }
    imsg_identity_free(&alice);
    imsg_identity_free(&bob);
    return tap_done();
}
