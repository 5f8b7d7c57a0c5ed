/* When the first algorithm of a kind is fetched, OpenSSL builds a method for every one its provider has of that kind.
 * For ciphers these are 130, of which three are used here: a fifth of all instructions of sealing one message. So they
 * are fetched in a context of their own, from a provider that is the default one with its list cut to the three. */
#include "crypto/internal.h"

#include <pthread.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

static const char *const used[] = {"AES-128-CTR", "AES-256-CTR", "AES-256-GCM"};
#define USED (sizeof used / sizeof used[0])

static pthread_once_t once = PTHREAD_ONCE_INIT;
static OSSL_PROVIDER *whole;  /* the default provider; all three kept for the life of the process */
static OSSL_LIB_CTX *context; /* NULL: fetch from the default one */
static OSSL_ALGORITHM few[USED + 1];

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

static void make(void)
{
    int no_cache = 0;
    size_t found = 0;

    imsg_crypto_start();
    whole = OSSL_PROVIDER_load(NULL, "default");
    const OSSL_ALGORITHM *all = whole ? OSSL_PROVIDER_query_operation(whole, OSSL_OP_CIPHER, &no_cache) : NULL;
    for (; all && all->algorithm_names; all++)
        for (size_t i = 0; i < USED; i++)
            if (is_named(all, used[i]) && found < USED)
                few[found++] = *all;
    OSSL_LIB_CTX *made = found == USED && !no_cache ? OSSL_LIB_CTX_new() : NULL;
    if (made && OSSL_PROVIDER_add_builtin(made, "imsg", start_provider) == 1 && OSSL_PROVIDER_load(made, "imsg"))
        context = made;
    else
        OSSL_LIB_CTX_free(made);
}

EVP_CIPHER *imsg_cipher(const char *name)
{
    pthread_once(&once, make);
    EVP_CIPHER *cipher = context ? EVP_CIPHER_fetch(context, name, NULL) : NULL;
    return cipher ? cipher : EVP_CIPHER_fetch(NULL, name, NULL);
}
