/* X.509 for the server: making a certificate signed by its own key, for trials, and reading the pin and the names of
 * one. The functions for certificates look for algorithms in the default context, so that is ours meanwhile. */
#include "crypto/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/text.h"

#define DAY 86400
#define SERIAL 16 /* bytes; RFC 5280 §4.1.2.2 allows 20 */

static X509 *read_certificate(struct imsg_view pem)
{
    X509 *certificate = NULL;
    OSSL_LIB_CTX *before = imsg_crypto_enter();
    BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    if (bio)
        certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    imsg_crypto_leave(before);
    return certificate;
}

enum imsg_status imsg_certificate_pin(struct imsg_view pem, char out[static IMSG_PIN + 1], struct imsg_error *err)
{
    uint8_t *der = NULL, hash[32];
    struct imsg_buf text = {0};

    ERR_set_mark();
    X509 *certificate = read_certificate(pem);
    int len = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der) : -1;
    enum imsg_status status = IMSG_OK;
    if (len <= 0)
        status = imsg_fail(err, IMSG_MALFORMED, "no certificate in it");
    if (status == IMSG_OK)
        status = imsg_sha256(imsg_view_of(der, (size_t)len), hash, err);
    if (status == IMSG_OK)
        status = imsg_base64_encode(imsg_view_of(hash, sizeof hash), &text, err);
    if (status == IMSG_OK)
        snprintf(out, IMSG_PIN + 1, "sha256//%s", (char *)text.ptr);
    OPENSSL_free(der);
    X509_free(certificate);
    imsg_buf_free(&text);
    ERR_pop_to_mark();
    return status;
}

/* The name as text, if it is one a URL can hold. */
static bool name_text(const GENERAL_NAME *name, char text[static IMSG_CERTIFICATE_NAME])
{
    if (name->type == GEN_DNS) {
        int len = ASN1_STRING_length(name->d.dNSName);
        const char *bytes = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
        if (len <= 0 || len >= IMSG_CERTIFICATE_NAME || memchr(bytes, 0, (size_t)len))
            return false;
        memcpy(text, bytes, (size_t)len);
        text[len] = 0;
        return true;
    }
    if (name->type == GEN_IPADD) {
        int len = ASN1_STRING_length(name->d.iPAddress);
        const void *bytes = ASN1_STRING_get0_data(name->d.iPAddress);
        return (len == 4 || len == 16) &&
               inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, IMSG_CERTIFICATE_NAME) != NULL;
    }
    return false;
}

enum imsg_status imsg_certificate_names(struct imsg_view pem, imsg_certificate_name *each, void *context,
                                        struct imsg_error *err)
{
    char text[IMSG_CERTIFICATE_NAME];
    enum imsg_status status = IMSG_OK;
    GENERAL_NAMES *names = NULL;

    ERR_set_mark();
    X509 *certificate = read_certificate(pem);
    if (certificate)
        names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    else
        status = imsg_fail(err, IMSG_MALFORMED, "no certificate in it");
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && status == IMSG_OK; i++)
        if (name_text(sk_GENERAL_NAME_value(names, i), text))
            status = each(context, text, err);
    GENERAL_NAMES_free(names);
    X509_free(certificate);
    ERR_pop_to_mark();
    return status;
}

static GENERAL_NAME *make_name(const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = NULL;
    uint8_t address[16];
    int len = inet_pton(AF_INET, text, address) == 1 ? 4 : inet_pton(AF_INET6, text, address) == 1 ? 16 : 0;
    if (name)
        value = len ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!value || ASN1_STRING_set(value, len ? (const void *)address : text, len ? len : (int)strlen(text)) != 1) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, len ? GEN_IPADD : GEN_DNS, value);
    return name;
}

static bool add_names(X509 *certificate, const char *const *names, size_t count)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    bool good = list != NULL;
    for (size_t i = 0; i < count && good; i++) {
        GENERAL_NAME *name = make_name(names[i]);
        good = name && sk_GENERAL_NAME_push(list, name) > 0;
        if (name && !good)
            GENERAL_NAME_free(name);
    }
    good = good && X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, 0) == 1;
    GENERAL_NAMES_free(list);
    return good;
}

/* The certificate is for a server alone: it must not sign others, also where it is among the trusted ones. */
static bool add_uses(X509 *certificate)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    EXTENDED_KEY_USAGE *uses = sk_ASN1_OBJECT_new_null();
    bool good = constraints && uses && sk_ASN1_OBJECT_push(uses, OBJ_nid2obj(NID_server_auth)) > 0;
    good = good && X509_add1_ext_i2d(certificate, NID_basic_constraints, constraints, 1, 0) == 1 &&
           X509_add1_ext_i2d(certificate, NID_ext_key_usage, uses, 0, 0) == 1;
    BASIC_CONSTRAINTS_free(constraints);
    EXTENDED_KEY_USAGE_free(uses);
    return good;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key, const uint8_t serial[static SERIAL],
                             const struct imsg_certificate *plan)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    BIGNUM *number = BN_bin2bn(serial, SERIAL, NULL);
    bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    good = good && X509_set_version(certificate, 2) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(certificate), plan->now - DAY) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), plan->now + (time_t)plan->days * DAY) != NULL &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)plan->names[0], -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 && add_names(certificate, plan->names, plan->count) &&
           add_uses(certificate) && X509_sign(certificate, key, EVP_sha256()) > 0;
    BN_free(number);
    return good;
}

enum imsg_status imsg_certificate_make(const struct imsg_p256 *key, const struct imsg_certificate *plan,
                                       struct imsg_buf *out, struct imsg_error *err)
{
    uint8_t serial[SERIAL];
    char *text = NULL;
    enum imsg_status status = imsg_random(serial, sizeof serial, err);
    if (status != IMSG_OK)
        return status;
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */

    ERR_set_mark();
    OSSL_LIB_CTX *before = imsg_crypto_enter();
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    EVP_PKEY *pkey = imsg_p256_evp(key);
    if (certificate && bio && pkey && fill_certificate(certificate, pkey, serial, plan) &&
        PEM_write_bio_X509(bio, certificate) == 1) {
        long len = BIO_get_mem_data(bio, &text);
        status = imsg_buf_append(out, text, (size_t)len, err);
    } else {
        status = imsg_fail(err, IMSG_INTERNAL, "cannot make a certificate");
    }
    BIO_free(bio);
    X509_free(certificate);
    imsg_crypto_leave(before);
    ERR_pop_to_mark();
    return status;
}
