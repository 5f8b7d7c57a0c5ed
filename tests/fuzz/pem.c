/* Private keys in PEM (lib/crypto/pem.c, pkcs8.c), read without a passphrase.
 *   D der                  an unencrypted PKCS#8, armoured here
 * max_len 2048 */
#include "base/text.h"
#include "crypto/crypto.h"
#include "fuzz.h"

static void p256(struct imsg_view pem, size_t size)
{
    const struct imsg_view none = imsg_view_str("");
    struct imsg_p256 *first = NULL, *second = NULL;
    struct imsg_buf text = {0};
    struct imsg_error err = {0};
    enum imsg_status status = imsg_p256_from_pem(pem, none, &first, &err);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, size);
        MUST(first == NULL && !err.has_offset);
        return;
    }
    MUST_OK(imsg_p256_check(imsg_p256_point(first), &fuzz_err));
    MUST_OK(imsg_p256_to_pem(first, none, &text, &fuzz_err));
    MUST_OK(imsg_p256_from_pem(imsg_buf_view(&text), none, &second, &fuzz_err));
    MUST(memcmp(imsg_p256_point(first), imsg_p256_point(second), 65) == 0);
    MUST(memcmp(imsg_p256_scalar(first), imsg_p256_scalar(second), 32) == 0);
    imsg_p256_free(first);
    imsg_p256_free(second);
    imsg_buf_free(&text);
}

/* Primes are not tested for being prime, so what is taken for a key need not open what it sealed; but it must not hang
 * or crash, and never open it to something else. */
static void rsa(struct imsg_view pem, size_t size)
{
    const struct imsg_view none = imsg_view_str("");
    struct imsg_rsa *first = NULL, *second = NULL;
    struct imsg_buf text = {0};
    struct imsg_error err = {0};
    uint8_t block[IMSG_RSA_BYTES], plain[IMSG_OAEP_MAX];
    size_t len;
    enum imsg_status status = imsg_rsa_from_pem(pem, none, &first, &err);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, size);
        MUST(first == NULL && !err.has_offset);
        return;
    }
    MUST_OK(imsg_rsa_to_pem(first, none, &text, &fuzz_err));
    MUST_OK(imsg_rsa_from_pem(imsg_buf_view(&text), none, &second, &fuzz_err));
    MUST(memcmp(imsg_rsa_modulus(first), imsg_rsa_modulus(second), IMSG_RSA_BYTES) == 0);
    MUST_OK(imsg_rsa_oaep_seal(imsg_rsa_modulus(first), imsg_view_str("hello"), block, &fuzz_err));
    status = imsg_rsa_oaep_open(first, block, plain, &len, &err);
    MUST(status == IMSG_OK ? len == 5 && memcmp(plain, "hello", 5) == 0 : status == IMSG_NOT_FOR_THIS_KEY);
    imsg_rsa_free(first);
    imsg_rsa_free(second);
    imsg_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_view input = imsg_view_of(data, size);
    struct imsg_buf pem = {0};
    if (fuzz_mode(&input, 'D')) {
        MUST_OK(imsg_buf_text(&pem, "-----BEGIN PRIVATE KEY-----\n", &fuzz_err));
        MUST_OK(imsg_base64_encode(input, &pem, &fuzz_err));
        MUST_OK(imsg_buf_text(&pem, "\n-----END PRIVATE KEY-----\n", &fuzz_err));
        input = imsg_buf_view(&pem);
    }
    p256(input, input.len);
    rsa(input, input.len);
    imsg_buf_free(&pem);
    return 0;
}
