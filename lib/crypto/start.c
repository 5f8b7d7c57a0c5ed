#include "crypto/internal.h"

#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

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
}

void imsg_crypto_start(void)
{
    pthread_once(&once, start);
}

enum imsg_status imsg_crypto_fail(struct imsg_error *err, enum imsg_status status, const char *text)
{
    ERR_clear_error();
    return imsg_fail(err, status, "%s", text);
}
