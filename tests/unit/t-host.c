/* A program that uses OpenSSL itself before, between and after its calls of the library: OpenSSL is as it was, and the
 * library works whatever the program has made of OpenSSL. Each case is a process of its own, for OpenSSL starts once.
 */
#define _XOPEN_SOURCE 700
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_set_rand_method */
#include "scratch.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include "crypto/crypto.h"
#include "tap.h"

static int wrong;

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    wrong = 1;
    printf("# does not hold: %s\n", what);
    fflush(stdout);
}

/* ---- What the library does ------------------------------------------------------------------------------------- */

/* The key in pem_sec1_aes128 of pem-samples.h; its passphrase is "secret". */
static const char old_pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
                              "Proc-Type: 4,ENCRYPTED\n"
                              "DEK-Info: AES-128-CBC,4D1B2629B18961D30E0499E7483271D2\n"
                              "\n"
                              "4Big1wrDfRo0gg5q843knr3tH+gsKZ+33AYpDVFuv9NvO56ExOT/qkVDo7f3eRww\n"
                              "1FqdMwtffC691xwaxPmbVPSZg2YlCg8UXrXYoR3W+1Jl531d4litCmaNeUY4YW/q\n"
                              "Nguy982gnsPTPZZ20fPIUy/7aPhpkXTFVbwQkGtIy14=\n"
                              "-----END EC PRIVATE KEY-----\n";

static enum imsg_status ignore_name(void *context, const char *name, struct imsg_error *err)
{
    (void)context;
    (void)name;
    (void)err;
    return IMSG_OK;
}

static void use_digests_and_ciphers(void)
{
    struct imsg_view text = imsg_view_str("text");
    struct imsg_gcm *gcm = NULL;
    uint8_t key[32] = {1}, block[16] = {2}, bytes[32], tag[16];

    check(imsg_random(bytes, sizeof bytes, NULL) == IMSG_OK, "random");
    check(imsg_sha1(text, bytes, NULL) == IMSG_OK && imsg_sha256(text, bytes, NULL) == IMSG_OK, "digests");
    check(imsg_hmac_sha256(text, &text, 1, bytes, NULL) == IMSG_OK, "HMAC");
    check(imsg_hkdf_sha256(text, text, text, bytes, sizeof bytes, NULL) == IMSG_OK, "HKDF");
    check(imsg_aes128_ctr(key, block, bytes, bytes, sizeof bytes, NULL) == IMSG_OK &&
              imsg_aes256_ctr64(key, block, bytes, bytes, sizeof bytes, NULL) == IMSG_OK,
          "AES-CTR");
    check(imsg_gcm_new(key, &gcm, NULL) == IMSG_OK &&
              imsg_gcm_seal(gcm, block, &(struct imsg_gcm_data){text, bytes, bytes, sizeof bytes}, tag, NULL) ==
                  IMSG_OK,
          "AES-GCM");
    tag[0] ^= 1;
    check(imsg_gcm_open(gcm, block, &(struct imsg_gcm_data){text, bytes, bytes, sizeof bytes}, tag, NULL) ==
              IMSG_BAD_TAG,
          "a bad tag");
    imsg_gcm_free(gcm);
}

static void use_p256(void)
{
    struct imsg_p256 *key = NULL, *same = NULL, *old = NULL;
    struct imsg_buf pem = {0}, certificate = {0};
    const char *names[] = {"host.example", "127.0.0.1"};
    uint8_t hash[32] = {3}, signature[64], secret[32], point[65] = {4};
    char pin[IMSG_PIN + 1];
    struct imsg_view password = imsg_view_str("secret"), text = imsg_view_str("text");

    check(imsg_p256_generate_compact(&key, NULL) == IMSG_OK &&
              imsg_p256_ecdh(key, imsg_p256_point(key), secret, NULL) == IMSG_OK &&
              imsg_p256_lift(imsg_p256_point(key) + 1, point, NULL) == IMSG_OK,
          "P-256");
    check(imsg_p256_sign(key, imsg_view_of(hash, sizeof hash), signature, NULL) == IMSG_OK &&
              imsg_p256_verify(point, imsg_view_of(hash, sizeof hash), signature, NULL) == IMSG_OK,
          "ECDSA");
    signature[0] ^= 1;
    check(imsg_p256_verify(point, imsg_view_of(hash, sizeof hash), signature, NULL) == IMSG_BAD_SIGNATURE,
          "a bad signature");
    point[1] ^= 1;
    check(imsg_p256_check(point, NULL) == IMSG_MALFORMED, "no point");
    check(imsg_p256_to_pem(key, password, &pem, NULL) == IMSG_OK &&
              imsg_p256_from_pem(imsg_buf_view(&pem), password, &same, NULL) == IMSG_OK,
          "encrypted PEM");
    check(imsg_p256_from_pem(imsg_buf_view(&pem), text, &old, NULL) == IMSG_PERMISSION, "a wrong passphrase");
    check(imsg_p256_from_pem(text, password, &old, NULL) == IMSG_MALFORMED, "no PEM");
    check(imsg_p256_from_pem(imsg_view_str(old_pem), password, &old, NULL) == IMSG_OK, "encrypted PEM of the old kind");
    check(imsg_certificate_make(key, &(struct imsg_certificate){names, 2, 1000000000, 1}, &certificate, NULL) ==
                  IMSG_OK &&
              imsg_certificate_pin(imsg_buf_view(&certificate), pin, NULL) == IMSG_OK &&
              imsg_certificate_names(imsg_buf_view(&certificate), ignore_name, NULL, NULL) == IMSG_OK,
          "a certificate");
    check(imsg_certificate_pin(text, pin, NULL) == IMSG_MALFORMED, "no certificate");
    imsg_buf_free(&pem);
    imsg_buf_free(&certificate);
    imsg_p256_free(key);
    imsg_p256_free(same);
    imsg_p256_free(old);
}

static void use_rsa(void)
{
    struct imsg_rsa *key = NULL, *same = NULL;
    struct imsg_buf pem = {0};
    uint8_t block[160], plain[118];
    size_t len = 0;

    check(imsg_rsa_generate(&key, NULL) == IMSG_OK &&
              imsg_rsa_oaep_seal(imsg_rsa_modulus(key), imsg_view_str("text"), block, NULL) == IMSG_OK &&
              imsg_rsa_oaep_open(key, block, plain, &len, NULL) == IMSG_OK && len == 4,
          "RSA");
    block[159] ^= 1;
    check(imsg_rsa_oaep_open(key, block, plain, &len, NULL) == IMSG_NOT_FOR_THIS_KEY, "a damaged block");
    check(imsg_rsa_to_pem(key, (struct imsg_view){NULL, 0}, &pem, NULL) == IMSG_OK &&
              imsg_rsa_from_pem(imsg_buf_view(&pem), (struct imsg_view){NULL, 0}, &same, NULL) == IMSG_OK,
          "PEM of it");
    imsg_buf_free(&pem);
    imsg_rsa_free(key);
    imsg_rsa_free(same);
}

static void use_library(void)
{
    use_digests_and_ciphers();
    use_p256();
    use_rsa();
}

/* ---- What the program does ------------------------------------------------------------------------------------- */

static const EVP_MD *listed;
static const EVP_CIPHER *listed_cipher;

/* By name, by constant, by fetching, and random. */
static void use_openssl(void)
{
    uint8_t hash[32], bytes[16] = {0}, zero[16] = {0};

    listed = EVP_get_digestbyname("SHA3-512");
    listed_cipher = EVP_get_cipherbyname("CAMELLIA-256-CBC");
    check(listed && EVP_get_digestbyname("md5") && EVP_get_digestbyname("RSA-SHA256"), "digests by name");
    check(listed_cipher && EVP_get_cipherbyname("aes-128-gcm"), "ciphers by name");
    check(EVP_Digest("abc", 3, hash, NULL, EVP_sha256(), NULL) == 1 && hash[0] == 0xba && hash[31] == 0xad, "SHA-256");
    EVP_MD *fetched = EVP_MD_fetch(NULL, "SHAKE-256", NULL);
    check(fetched != NULL, "a fetched digest");
    EVP_MD_free(fetched);
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ARIA-128-CTR", NULL);
    check(cipher != NULL, "a fetched cipher");
    EVP_CIPHER_free(cipher);
    check(RAND_bytes(bytes, sizeof bytes) == 1 && memcmp(bytes, zero, sizeof bytes) != 0, "random bytes");
    check(ERR_reason_error_string(ERR_PACK(ERR_LIB_EVP, 0, EVP_R_BAD_DECRYPT)) != NULL, "error texts");
}

static bool generator_is(const char *name)
{
    EVP_RAND_CTX *primary = RAND_get0_primary(NULL);
    return primary && strcmp(EVP_RAND_get0_name(EVP_RAND_CTX_get0_rand(primary)), name) == 0;
}

static bool configured(void)
{
    return OBJ_txt2nid("imsgTestObject") != NID_undef;
}

/* Without OPENSSL_CONF: as OpenSSL comes. */
static void check_openssl(void)
{
    use_openssl();
    check(generator_is("CTR-DRBG"), "the random generator is OpenSSL's usual one");
    check(RAND_get_rand_method() == RAND_OpenSSL(), "the random method is OpenSSL's");
    check(OSSL_LIB_CTX_set0_default(NULL) == OSSL_LIB_CTX_get0_global_default(),
          "the default context is the global one");
    check(OSSL_PROVIDER_available(NULL, "default") == 1 && OSSL_PROVIDER_available(NULL, "imsg") == 0,
          "the providers of the default context");
    check(CRYPTO_secure_malloc_initialized() == 0, "no secure heap that the program has not asked for");
}

/* ---- The cases ------------------------------------------------------------------------------------------------- */

static int library_first(void *context)
{
    (void)context;
    use_library();
    check_openssl();
    use_library();
    check(CRYPTO_secure_malloc_init(32768, 16) == 1, "the program makes its secure heap");
    use_library();
    check(CRYPTO_secure_used() == 0, "nothing is left on it");
    return wrong;
}

static int library_between(void *context)
{
    (void)context;
    check_openssl();
    const EVP_MD *md = listed;
    const EVP_CIPHER *cipher = listed_cipher;
    use_library();
    check_openssl();
    check(listed == md && listed_cipher == cipher, "the same digest and cipher by name");
    use_library();
    OPENSSL_cleanup();
    return wrong;
}

static unsigned drawn;
static int draw(unsigned char *out, int len)
{
    drawn++;
    memset(out, 0x77, (size_t)len);
    return 1;
}

static int own_method(void *context)
{
    RAND_METHOD method = {.bytes = draw};
    uint8_t bytes[8], want[8] = {0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77};

    (void)context;
    RAND_set_rand_method(&method);
    use_digests_and_ciphers();
    check(RAND_get_rand_method() == &method, "the program's random method stays");
    drawn = 0;
    check(RAND_bytes(bytes, sizeof bytes) == 1 && drawn == 1 && memcmp(bytes, want, sizeof want) == 0, "and serves it");
    RAND_set_rand_method(NULL);
    return wrong;
}

static int pending_errors(void *context)
{
    unsigned long first, last, more;

    (void)context;
    use_library();
    check(ERR_peek_error() == 0, "an empty error queue stays empty");
    ERR_raise(ERR_LIB_USER, 11);
    first = ERR_peek_error();
    use_library();
    check(ERR_peek_error() == first && ERR_peek_last_error() == first, "one error stays the only one");
    check(ERR_set_mark() == 1, "a mark");
    ERR_raise(ERR_LIB_USER, 12);
    last = ERR_peek_last_error();
    use_library();
    check(ERR_peek_error() == first && ERR_peek_last_error() == last, "two errors stay");
    check(ERR_pop_to_mark() == 1 && ERR_peek_last_error() == first, "and the mark between them");
    check(ERR_get_error() == first && (more = ERR_get_error()) == 0, "and that is all");
    return wrong;
}

/* The library's first call is one during which its context is the thread's default one: the configuration is not to end
 * up there. */
static int configuration_first_seen_by_library(void *context)
{
    struct imsg_p256 *key = NULL;

    (void)context;
    check(imsg_p256_from_pem(imsg_view_str(old_pem), imsg_view_str("secret"), &key, NULL) == IMSG_OK,
          "encrypted PEM of the old kind");
    imsg_p256_free(key);
    use_library();
    check(configured(), "OPENSSL_CONF is honoured");
    check(generator_is("HMAC-DRBG"), "and decides about the random generator");
    return wrong;
}

static int configuration_first_seen_by_program(void *context)
{
    (void)context;
    check(generator_is("HMAC-DRBG") && configured(), "OPENSSL_CONF is honoured");
    use_library();
    check(generator_is("HMAC-DRBG"), "the random generator stays");
    use_openssl();
    return wrong;
}

/* The program's default context has the null provider alone. */
static int no_algorithms(void *context)
{
    uint8_t hash[32];

    (void)context;
    check(OSSL_PROVIDER_load(NULL, "null") != NULL, "the null provider");
    use_library();
    check(EVP_Digest("abc", 3, hash, NULL, EVP_sha256(), NULL) != 1, "the default context still has no SHA-256");
    use_library();
    return wrong;
}

static void *work_in_thread(void *barrier)
{
    pthread_barrier_wait(barrier);
    use_digests_and_ciphers();
    use_p256();
    return NULL;
}

static int threads_at_once(void *context)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;

    (void)context;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work_in_thread, &barrier) != 0)
            return 1;
    pthread_barrier_wait(&barrier);
    check_openssl();
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    check_openssl();
    return wrong;
}

static const char configuration[] = "openssl_conf = start\n"
                                    "[start]\noid_section = oids\nrandom = generator\n"
                                    "[oids]\nimsgTestObject = 1.3.6.1.4.1.99999.7\n"
                                    "[generator]\nrandom = HMAC-DRBG\ndigest = SHA512\n";

int main(void)
{
    static const struct {
        const char *what;
        int (*work)(void *);
        bool with_configuration;
    } cases[] = {
        {"the library is used first", library_first, false},
        {"the program uses OpenSSL first", library_between, false},
        {"the program has a random method", own_method, false},
        {"errors of the program's are pending", pending_errors, false},
        {"OPENSSL_CONF, the library is used first", configuration_first_seen_by_library, true},
        {"OPENSSL_CONF, the program uses OpenSSL first", configuration_first_seen_by_program, true},
        {"the program has no algorithms", no_algorithms, false},
        {"threads use the library for the first time at once", threads_at_once, false},
    };

    scratch_make();
    put_file(in_scratch("openssl.cnf", ""), configuration);
    put_file(in_scratch("empty.cnf", ""), "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setenv("OPENSSL_CONF", in_scratch(cases[i].with_configuration ? "openssl.cnf" : "empty.cnf", ""), 1);
        tap_ok(end_child(start_child(cases[i].work, NULL)) == 0, "%s", cases[i].what);
    }
    scratch_remove();
    return tap_done();
}
