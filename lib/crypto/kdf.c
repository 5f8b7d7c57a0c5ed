#include "crypto/internal.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MAC *hmac; /* both kept for the life of the process */
static EVP_KDF *hkdf;

static void fetch_algorithms(void)
{
    hmac = EVP_MAC_fetch(imsg_crypto_context(), "HMAC", NULL);
    hkdf = EVP_KDF_fetch(imsg_crypto_context(), "HKDF", NULL);
}

/* OpenSSL takes a NULL pointer for "not given", which is not the same as empty. */
static struct imsg_view present(struct imsg_view bytes)
{
    return bytes.len > 0 ? bytes : imsg_view_of("", 0);
}

static OSSL_PARAM octets(const char *name, struct imsg_view bytes)
{
    struct imsg_view given = present(bytes);
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)given.ptr, given.len);
}

static OSSL_PARAM sha256_param(const char *name)
{
    static char digest[] = "SHA256";
    return OSSL_PARAM_construct_utf8_string(name, digest, 0);
}

enum imsg_status imsg_hmac_sha256(struct imsg_view key, const struct imsg_view *parts, size_t count,
                                  uint8_t out[static 32], struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    size_t len = 0;
    uint8_t mac[32];
    EVP_MAC_CTX *ctx = NULL;
    OSSL_PARAM params[] = {sha256_param(OSSL_MAC_PARAM_DIGEST), OSSL_PARAM_construct_end()};

    ERR_set_mark();
    pthread_once(&once, fetch_algorithms);
    if (!hmac || !(ctx = EVP_MAC_CTX_new(hmac)) || EVP_MAC_init(ctx, present(key).ptr, key.len, params) != 1)
        goto out;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0 && EVP_MAC_update(ctx, parts[i].ptr, parts[i].len) != 1)
            goto out;
    }
    if (EVP_MAC_final(ctx, mac, &len, sizeof mac) != 1 || len != sizeof mac)
        goto out;
    for (size_t i = 0; i < sizeof mac; i++)
        out[i] = mac[i];
    status = IMSG_OK;
out:
    EVP_MAC_CTX_free(ctx);
    imsg_wipe(mac, sizeof mac);
    return imsg_crypto_end(err, status, "no memory for a message code");
}

enum imsg_status imsg_hkdf_sha256(struct imsg_view secret, struct imsg_view salt, struct imsg_view info, uint8_t *out,
                                  size_t len, struct imsg_error *err)
{
    enum imsg_status status = IMSG_NO_MEMORY;
    EVP_KDF_CTX *ctx = NULL;
    OSSL_PARAM params[] = {
        sha256_param(OSSL_KDF_PARAM_DIGEST), octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, salt),
        octets(OSSL_KDF_PARAM_INFO, info),   OSSL_PARAM_construct_end(),
    };

    if (len == 0 || len > 255 * 32)
        return imsg_fail(err, IMSG_INTERNAL, "a derived key of %zu bytes is not possible", len);
    ERR_set_mark();
    pthread_once(&once, fetch_algorithms);
    if (hkdf && (ctx = EVP_KDF_CTX_new(hkdf)) && EVP_KDF_derive(ctx, out, len, params) == 1)
        status = IMSG_OK;
    EVP_KDF_CTX_free(ctx);
    return imsg_crypto_end(err, status, "no memory for a key derivation");
}
