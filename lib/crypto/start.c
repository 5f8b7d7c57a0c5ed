#include "crypto/internal.h"

#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

enum { SECURE_HEAP = 65536, SECURE_HEAP_MIN = 32 }; /* bytes: in all, and of one number. Some 1,000 private keys */

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Each of these is work of the order of a millisecond in a process that lives for five: the configuration file, the
 * tables of legacy names, the error texts, and the cleanup at exit. Whatever OpenSSL would start by itself later is
 * started here without them, and stays so. */
static void start(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
                            OPENSSL_INIT_NO_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                            OPENSSL_INIT_NO_ATEXIT,
                        NULL);
    /* A random generator on a hash, for the usual one on AES would have all ciphers made (ciphers.c). Both are those of
     * SP 800-90A, of 256 bits, and seeded by the system. */
    (void)RAND_set_DRBG_type(NULL, "HASH-DRBG", NULL, NULL, "SHA256");
    /* Best effort: RLIMIT_MEMLOCK may be zero. Then it is used, but not locked. */
    (void)CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_HEAP_MIN);
}

void imsg_crypto_start(void)
{
    pthread_once(&once, start);
}

static void start_tls(void)
{
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
    const EVP_CIPHER *const ciphers[] = {EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc(), EVP_des_ede3_cbc()};
    imsg_crypto_start();
    /* Without its digest in the table a signature on a certificate counts as too weak. */
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        EVP_add_digest(digests[i]);
    for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
        EVP_add_cipher(ciphers[i]);
}

void imsg_crypto_start_tls(void)
{
    static pthread_once_t tls_once = PTHREAD_ONCE_INIT;
    pthread_once(&tls_once, start_tls);
}

enum imsg_status imsg_crypto_fail(struct imsg_error *err, enum imsg_status status, const char *text)
{
    ERR_clear_error();
    return imsg_fail(err, status, "%s", text);
}
