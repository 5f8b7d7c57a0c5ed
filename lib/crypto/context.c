/* OpenSSL's state that is this library's alone. A program that links libimsg may use OpenSSL itself, with a
 * configuration file, providers and a random generator of its own choice: none of that is changed here, and none of it
 * is used. Both contexts are made at the first use and kept for the life of the process.
 *
 * When the first algorithm of a kind is fetched, OpenSSL builds a method for every one its provider has of that kind.
 * For ciphers these are 130, of which three are used here: a fifth of all instructions of sealing one message. So they
 * are fetched in a second context, from a provider that is the default one with its list cut to the three. */
#include "crypto/internal.h"

#include <pthread.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

static const char *const used[] = {"AES-128-CTR", "AES-256-CTR", "AES-256-GCM"};
#define USED (sizeof used / sizeof used[0])

static pthread_once_t once = PTHREAD_ONCE_INIT, ciphers_once = PTHREAD_ONCE_INIT;
static OSSL_LIB_CTX *context; /* NULL, which is the program's own, where there was no memory for it */
static OSSL_LIB_CTX *ciphers; /* NULL: fetch from `context` */
static OSSL_PROVIDER *whole;  /* the default provider, in `context` */
static OSSL_ALGORITHM few[USED + 1];

static void make_context(void)
{
    ERR_set_mark();
    context = OSSL_LIB_CTX_new();
    /* A random generator on a hash, for the usual one on AES would have all ciphers made. Both are those of SP 800-90A,
     * of 256 bits, and seeded by the system. */
    if (context)
        (void)RAND_set_DRBG_type(context, "HASH-DRBG", NULL, NULL, "SHA256");
    ERR_pop_to_mark();
}

OSSL_LIB_CTX *imsg_crypto_context(void)
{
    pthread_once(&once, make_context);
    return context;
}

OSSL_LIB_CTX *imsg_crypto_enter(void)
{
    return OSSL_LIB_CTX_set0_default(imsg_crypto_context());
}

void imsg_crypto_leave(OSSL_LIB_CTX *before)
{
    (void)OSSL_LIB_CTX_set0_default(before);
}

/* ---- Ciphers --------------------------------------------------------------------------------------------------- */

/* An algorithm has all its names in one string: "AES-256-GCM:id-aes256-GCM:2.16.…". */
static bool is_named(const OSSL_ALGORITHM *algorithm, const char *name)
{
    size_t len = strlen(name);
    return strncmp(algorithm->algorithm_names, name, len) == 0 && strchr(":", algorithm->algorithm_names[len]);
}

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
    (void)provctx;
    *no_cache = 0;
    return operation == OSSL_OP_CIPHER ? few : NULL;
}

static int start_provider(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                          void **provctx)
{
    static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query}, {0, NULL}};
    (void)handle;
    (void)in;
    *out = functions;
    *provctx = OSSL_PROVIDER_get0_provider_ctx(whole); /* what the algorithms are made with */
    return 1;
}

static void make_ciphers(void)
{
    int no_cache = 0;
    size_t found = 0;

    ERR_set_mark();
    whole = imsg_crypto_context() ? OSSL_PROVIDER_load(context, "default") : NULL;
    const OSSL_ALGORITHM *all = whole ? OSSL_PROVIDER_query_operation(whole, OSSL_OP_CIPHER, &no_cache) : NULL;
    for (; all && all->algorithm_names; all++)
        for (size_t i = 0; i < USED; i++)
            if (is_named(all, used[i]) && found < USED)
                few[found++] = *all;
    OSSL_LIB_CTX *made = found == USED && !no_cache ? OSSL_LIB_CTX_new() : NULL;
    if (made && OSSL_PROVIDER_add_builtin(made, "imsg", start_provider) == 1 && OSSL_PROVIDER_load(made, "imsg"))
        ciphers = made;
    else
        OSSL_LIB_CTX_free(made);
    ERR_pop_to_mark();
}

EVP_CIPHER *imsg_cipher(const char *name)
{
    pthread_once(&ciphers_once, make_ciphers);
    EVP_CIPHER *cipher = ciphers ? EVP_CIPHER_fetch(ciphers, name, NULL) : NULL;
    return cipher ? cipher : EVP_CIPHER_fetch(imsg_crypto_context(), name, NULL);
}
