#include "crypto/internal.h"

#include <limits.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/text.h"

#define PEM_MAX 65536
#define PASSPHRASE_MAX 1024 /* PEM_BUFSIZE: the longest that OpenSSL's own tools take */
#define LINE 64             /* base64 digits; RFC 7468 §2 */
#define PLAIN_LABEL "PRIVATE KEY"
#define ENCRYPTED_LABEL "ENCRYPTED PRIVATE KEY"
#define SALT 16
enum { SCRYPT_N = 16384, SCRYPT_R = 8, SCRYPT_P = 1 }; /* 16 MiB, half of what OpenSSL allows when reading */

typedef enum imsg_status parse_fn(struct imsg_view der, void **out, struct imsg_error *err);

/* ---- Armour ---------------------------------------------------------------------------------------------------- */

static bool take_text(struct imsg_view *in, const char *text)
{
    size_t len = strlen(text);
    if (in->len < len || memcmp(in->ptr, text, len) != 0)
        return false;
    *in = imsg_view_of(in->ptr + len, in->len - len);
    return true;
}

static bool holds(struct imsg_view in, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i + len <= in.len; i++) {
        if (memcmp(in.ptr + i, text, len) == 0)
            return true;
    }
    return false;
}

bool imsg_pem_is_encrypted(struct imsg_view pem)
{
    return holds(pem, "-----BEGIN " ENCRYPTED_LABEL "-----") || holds(pem, "Proc-Type: 4,ENCRYPTED");
}

static bool take_boundary(struct imsg_view *in, const char *verb, const char *label)
{
    return take_text(in, verb) && take_text(in, label) && take_text(in, "-----");
}

bool imsg_armour_read(struct imsg_view pem, const char *label, struct imsg_buf *der)
{
    struct imsg_buf digits = {0};
    struct imsg_view in = pem;
    bool good = false;

    if (!take_boundary(&in, "-----BEGIN ", label) || imsg_buf_reserve(&digits, in.len, NULL) != IMSG_OK)
        goto out;
    for (; in.len > 0 && *in.ptr != '-'; in.ptr++, in.len--) {
        if (*in.ptr != '\n' && *in.ptr != '\r' && imsg_buf_append(&digits, in.ptr, 1, NULL) != IMSG_OK)
            goto out;
    }
    if (!take_boundary(&in, "-----END ", label))
        goto out;
    while (in.len > 0 && (*in.ptr == '\n' || *in.ptr == '\r'))
        in = imsg_view_of(in.ptr + 1, in.len - 1);
    good = in.len == 0 && imsg_base64_decode(imsg_buf_view(&digits), der, NULL) == IMSG_OK;
out:
    imsg_buf_free(&digits);
    return good;
}

enum imsg_status imsg_armour_write(struct imsg_view der, const char *label, struct imsg_buf *out,
                                   struct imsg_error *err)
{
    struct imsg_buf pem = {0}, digits = {0};

    enum imsg_status status = imsg_base64_encode(der, &digits, err);
    if (status == IMSG_OK) /* all at once: a buffer that grows leaves copies of the key behind */
        status = imsg_buf_reserve(&pem, digits.len + digits.len / LINE + 2 * strlen(label) + 64, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&pem, "-----BEGIN ", err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&pem, label, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&pem, "-----\n", err);
    for (size_t i = 0; status == IMSG_OK && i < digits.len; i += LINE) {
        size_t left = digits.len - i;
        status = imsg_buf_append(&pem, digits.ptr + i, left < LINE ? left : LINE, err);
        if (status == IMSG_OK)
            status = imsg_buf_text(&pem, "\n", err);
    }
    if (status == IMSG_OK)
        status = imsg_buf_text(&pem, "-----END ", err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&pem, label, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&pem, "-----\n", err);
    if (status == IMSG_OK)
        status = imsg_buf_append(out, pem.ptr, pem.len, err);
    imsg_buf_free(&digits);
    imsg_buf_free(&pem);
    return status;
}

/* ---- Reading --------------------------------------------------------------------------------------------------- */

struct asked {
    struct imsg_view passphrase;
    bool was;
};

/* OpenSSL always gets this callback: without one it asks the terminal. */
static int give_passphrase(char *out, int size, int writing, void *arg)
{
    struct asked *asked = arg;

    (void)writing;
    asked->was = true;
    if (asked->passphrase.len == 0 || size < 0 || asked->passphrase.len > (size_t)size)
        return -1;
    memcpy(out, asked->passphrase.ptr, asked->passphrase.len);
    return (int)asked->passphrase.len;
}

static enum imsg_status wrong_passphrase(struct imsg_view passphrase, struct imsg_error *err)
{
    return imsg_fail(err, IMSG_PERMISSION, "%s",
                     passphrase.len == 0 ? "the key is encrypted and there is no passphrase" : "wrong passphrase");
}

static enum imsg_status no_key(struct imsg_error *err)
{
    return imsg_fail(err, IMSG_MALFORMED, "not a PEM private key of the kind expected");
}

/* Any key that OpenSSL has read is written as PKCS#8 and parsed again, so that one parser decides about all keys. */
static enum imsg_status parse_evp(EVP_PKEY *pkey, parse_fn *parse, void **out, struct imsg_error *err)
{
    struct imsg_buf der = {0};

    /* A compressed point in the file would come out compressed. RSA does not know the parameter. */
    if (EVP_PKEY_is_a(pkey, "EC"))
        (void)EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                             OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
    enum imsg_status status = imsg_pkcs8_from_evp(pkey, &der, err);
    if (status == IMSG_OK)
        status = parse(imsg_buf_view(&der), out, err);
    imsg_buf_free(&der);
    return status == IMSG_UNSUPPORTED ? no_key(err) : status;
}

static enum imsg_status parse_info(const PKCS8_PRIV_KEY_INFO *info, parse_fn *parse, void **out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_MALFORMED;
    uint8_t *bytes = NULL;
    EVP_PKEY *pkey = NULL;
    int len = i2d_PKCS8_PRIV_KEY_INFO(info, &bytes);

    if (len <= 0)
        return no_key(err);
    status = parse(imsg_view_of(bytes, (size_t)len), out, err);
    if (status == IMSG_UNSUPPORTED) {
        pkey = EVP_PKCS82PKEY_ex(info, imsg_crypto_context(), NULL);
        status = pkey ? parse_evp(pkey, parse, out, err) : no_key(err);
    }
    EVP_PKEY_free(pkey);
    OPENSSL_clear_free(bytes, (size_t)len);
    return status;
}

static enum imsg_status parse_encrypted(struct imsg_view der, struct imsg_view passphrase, parse_fn *parse, void **out,
                                        struct imsg_error *err)
{
    enum imsg_status status = IMSG_MALFORMED;
    const uint8_t *at = der.ptr;
    PKCS8_PRIV_KEY_INFO *info = NULL;
    X509_SIG *sealed = d2i_X509_SIG(NULL, &at, (long)der.len);

    if (!sealed || at != der.ptr + der.len) {
        status = no_key(err);
        goto out;
    }
    if (passphrase.len > 0 && passphrase.len <= INT_MAX)
        info = PKCS8_decrypt_ex(sealed, (const char *)passphrase.ptr, (int)passphrase.len, imsg_crypto_context(), NULL);
    status = info ? parse_info(info, parse, out, err) : wrong_passphrase(passphrase, err);
out:
    PKCS8_PRIV_KEY_INFO_free(info);
    X509_SIG_free(sealed);
    return status;
}

static enum imsg_status parse_any(struct imsg_view pem, struct imsg_view passphrase, parse_fn *parse, void **out,
                                  struct imsg_error *err)
{
    struct asked asked = {.passphrase = passphrase};
    enum imsg_status status = IMSG_NO_MEMORY;
    EVP_PKEY *pkey = NULL;

    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len); /* reads in place, copies nothing */
    if (!bio)
        return imsg_fail(err, status, "no memory for a private key");
    imsg_crypto_add_names();
    OSSL_LIB_CTX *before = imsg_crypto_enter(); /* the ciphers of encrypted PEM of the old kind take no context */
    pkey = PEM_read_bio_PrivateKey_ex(bio, NULL, give_passphrase, &asked, imsg_crypto_context(), NULL);
    imsg_crypto_leave(before);
    if (pkey)
        status = parse_evp(pkey, parse, out, err);
    else
        status = asked.was ? wrong_passphrase(passphrase, err) : no_key(err);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return status;
}

static enum imsg_status read_pem(struct imsg_view pem, struct imsg_view passphrase, parse_fn *parse, void **out,
                                 struct imsg_error *err)
{
    enum imsg_status status = IMSG_UNSUPPORTED;
    struct imsg_buf der = {0};

    if (pem.len == 0 || pem.len > PEM_MAX)
        return no_key(err);
    ERR_set_mark();
    if (imsg_armour_read(pem, PLAIN_LABEL, &der))
        status = parse(imsg_buf_view(&der), out, err);
    else if (imsg_armour_read(pem, ENCRYPTED_LABEL, &der))
        status = parse_encrypted(imsg_buf_view(&der), passphrase, parse, out, err);
    if (status == IMSG_UNSUPPORTED)
        status = parse_any(pem, passphrase, parse, out, err);
    imsg_buf_free(&der);
    ERR_pop_to_mark(); /* one decoder may have failed before another succeeded */
    return status;
}

static enum imsg_status parse_p256(struct imsg_view der, void **out, struct imsg_error *err)
{
    struct imsg_p256 *key = NULL;
    enum imsg_status status = imsg_pkcs8_p256(der, &key, err);
    if (status == IMSG_OK)
        *out = key;
    return status;
}

static enum imsg_status parse_rsa(struct imsg_view der, void **out, struct imsg_error *err)
{
    struct imsg_rsa *key = NULL;
    enum imsg_status status = imsg_pkcs8_rsa(der, &key, err);
    if (status == IMSG_OK)
        *out = key;
    return status;
}

enum imsg_status imsg_p256_from_pem(struct imsg_view pem, struct imsg_view passphrase, struct imsg_p256 **out,
                                    struct imsg_error *err)
{
    void *key = NULL;
    enum imsg_status status = read_pem(pem, passphrase, parse_p256, &key, err);
    if (status == IMSG_OK)
        *out = key;
    return status;
}

enum imsg_status imsg_rsa_from_pem(struct imsg_view pem, struct imsg_view passphrase, struct imsg_rsa **out,
                                   struct imsg_error *err)
{
    void *key = NULL;
    enum imsg_status status = read_pem(pem, passphrase, parse_rsa, &key, err);
    if (status == IMSG_OK)
        *out = key;
    return status;
}

/* ---- Writing --------------------------------------------------------------------------------------------------- */

/* PBES2 (RFC 8018) with scrypt (RFC 7914): EncryptedPrivateKeyInfo, appended to *out. */
static enum imsg_status encrypt(struct imsg_view der, struct imsg_view passphrase, struct imsg_buf *out,
                                struct imsg_error *err)
{
    uint8_t salt[SALT], iv[16], *bytes = NULL;
    const uint8_t *at = der.ptr;
    PKCS8_PRIV_KEY_INFO *info = NULL;
    X509_ALGOR *method = NULL;
    X509_SIG *sealed = NULL;
    int len = -1;

    enum imsg_status status = imsg_random(salt, sizeof salt, err);
    if (status == IMSG_OK)
        status = imsg_random(iv, sizeof iv, err);
    if (status != IMSG_OK)
        return status;
    ERR_set_mark();
    OSSL_LIB_CTX *before = imsg_crypto_enter(); /* PKCS5_pbe2_set_scrypt takes no context */
    info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
    method = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), salt, sizeof salt, iv, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    if (info && method)
        sealed = PKCS8_set0_pbe_ex((const char *)passphrase.ptr, (int)passphrase.len, info, method,
                                   imsg_crypto_context(), NULL);
    imsg_crypto_leave(before);
    if (sealed) {
        method = NULL; /* owned by sealed now */
        len = i2d_X509_SIG(sealed, &bytes);
    }
    if (len > 0)
        status = imsg_buf_append(out, bytes, (size_t)len, err);
    else
        status = imsg_fail(err, IMSG_NO_MEMORY, "no memory to encrypt a private key");
    OPENSSL_free(bytes);
    X509_SIG_free(sealed);
    X509_ALGOR_free(method);
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_pop_to_mark();
    return status;
}

static enum imsg_status write_pem(struct imsg_view der, struct imsg_view passphrase, struct imsg_buf *out,
                                  struct imsg_error *err)
{
    struct imsg_buf sealed = {0};

    if (passphrase.len == 0)
        return imsg_armour_write(der, PLAIN_LABEL, out, err);
    if (passphrase.len > PASSPHRASE_MAX)
        return imsg_fail(err, IMSG_TOO_LONG, "passphrase is longer than %d bytes", PASSPHRASE_MAX);
    enum imsg_status status = encrypt(der, passphrase, &sealed, err);
    if (status == IMSG_OK)
        status = imsg_armour_write(imsg_buf_view(&sealed), ENCRYPTED_LABEL, out, err);
    imsg_buf_free(&sealed);
    return status;
}

enum imsg_status imsg_p256_to_pem(const struct imsg_p256 *key, struct imsg_view passphrase, struct imsg_buf *out,
                                  struct imsg_error *err)
{
    struct imsg_buf der = {0};

    enum imsg_status status = imsg_pkcs8_from_p256(key, &der, err);
    if (status == IMSG_OK)
        status = write_pem(imsg_buf_view(&der), passphrase, out, err);
    imsg_buf_free(&der);
    return status;
}

enum imsg_status imsg_rsa_to_pem(const struct imsg_rsa *key, struct imsg_view passphrase, struct imsg_buf *out,
                                 struct imsg_error *err)
{
    struct imsg_buf der = {0};

    enum imsg_status status = imsg_pkcs8_from_evp(imsg_rsa_evp(key), &der, err);
    if (status == IMSG_OK)
        status = write_pem(imsg_buf_view(&der), passphrase, out, err);
    imsg_buf_free(&der);
    return status;
}
