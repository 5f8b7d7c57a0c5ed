#include "crypto/internal.h"

#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { SECURE_HEAP = 65536, SECURE_HEAP_MIN = 32 }; /* bytes: in all, and of one number. Some 1,000 private keys */

static bool lean; /* written before there are threads */

/* Each of these is work of the order of a millisecond in a process that lives for five: the configuration file, the
 * tables of legacy names, the error texts, and the cleanup at exit. Whatever OpenSSL would start by itself later is
 * started here without them, and stays so. */
void imsg_crypto_start_process(void)
{
    if (lean)
        return;
    lean = true;
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
                            OPENSSL_INIT_NO_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                            OPENSSL_INIT_NO_ATEXIT,
                        NULL);
    /* Best effort: RLIMIT_MEMLOCK may be zero. Then it is used, but not locked. */
    (void)CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_HEAP_MIN);
}

static void add_names(void)
{
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
    const EVP_CIPHER *const ciphers[] = {EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc(), EVP_des_ede3_cbc()};

    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        EVP_add_digest(digests[i]);
    for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
        EVP_add_cipher(ciphers[i]);
}

void imsg_crypto_add_names(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (lean)
        pthread_once(&once, add_names);
}
