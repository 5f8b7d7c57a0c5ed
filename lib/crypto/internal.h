/* What the files of lib/crypto share: OpenSSL's types, which no other folder sees. */
#ifndef IMSG_CRYPTO_INTERNAL_H
#define IMSG_CRYPTO_INTERNAL_H

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/crypto.h"

#define P256_GROUP_NAME "prime256v1"

/* The end of a function that began with ERR_set_mark(): what OpenSSL put into the error queue since is taken out again,
 * what the program has in there stays. Returns status; unless it is IMSG_OK, err gets it with the text. */
static inline enum imsg_status imsg_crypto_end(struct imsg_error *err, enum imsg_status status, const char *text)
{
    ERR_pop_to_mark();
    return status == IMSG_OK ? status : imsg_fail(err, status, "%s", text);
}

/* context.c: for every call of OpenSSL that takes a context, or makes what is bound to one. */
OSSL_LIB_CTX *imsg_crypto_context(void);
/* For the few calls that take none and use the default one: until imsg_crypto_leave, which gets what this returns, ours
 * is the default one of this thread. */
OSSL_LIB_CTX *imsg_crypto_enter(void);
void imsg_crypto_leave(OSSL_LIB_CTX *before);
/* One of the ciphers named there, the caller's; NULL when there was no memory. */
EVP_CIPHER *imsg_cipher(const char *name);

/* The curve, made once; NULL when there was no memory for it. Only read, so threads may share it. */
const EC_GROUP *imsg_p256_group(void);
/* The key as OpenSSL's, made at the first call and owned by `key`; NULL on failure. Threads may call it at once. */
EVP_PKEY *imsg_p256_evp(const struct imsg_p256 *key);
/* A public key of its own for a point; NULL if it is no point. Freed by EVP_PKEY_free. */
EVP_PKEY *imsg_p256_evp_public(const uint8_t point[static 65]);

enum rsa_part { RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QINV, RSA_PARTS };
/* Big endian numbers in the order of RFC 8017 A.1.2. IMSG_MALFORMED: not 1280 bits, e not 65537, or they do not fit
 * each other (the primes are not tested for being prime). */
IMSG_CHECK enum imsg_status imsg_rsa_from_parts(const struct imsg_view parts[static RSA_PARTS], struct imsg_rsa **out,
                                                struct imsg_error *err);
EVP_PKEY *imsg_rsa_evp(const struct imsg_rsa *key);
/* imsg_rsa_oaep_open for a key of any size, which the sizes of published test cases need. plain has room for block.len
 * bytes, of which at most block.len - 42 are the answer; unless IMSG_OK nothing is left in it. */
IMSG_CHECK enum imsg_status imsg_rsa_oaep_open_any(EVP_PKEY *pkey, struct imsg_view block, uint8_t *plain, size_t *len,
                                                   struct imsg_error *err);

/* pem.c: the bytes of a PEM that is one block with this label and nothing around it. False: something else, or no
 * memory; OpenSSL's reader may still know what to do. And the other way: append such a block. */
bool imsg_armour_read(struct imsg_view pem, const char *label, struct imsg_buf *der);
IMSG_CHECK enum imsg_status imsg_armour_write(struct imsg_view der, const char *label, struct imsg_buf *out,
                                              struct imsg_error *err);

/* pkcs8.c: the fixed PKCS#8 encodings. IMSG_UNSUPPORTED: another one, which OpenSSL may be able to read. */
IMSG_CHECK enum imsg_status imsg_pkcs8_p256(struct imsg_view der, struct imsg_p256 **out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_pkcs8_rsa(struct imsg_view der, struct imsg_rsa **out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_pkcs8_from_p256(const struct imsg_p256 *key, struct imsg_buf *der,
                                                 struct imsg_error *err);
/* Append the PKCS#8 of any key OpenSSL holds. */
IMSG_CHECK enum imsg_status imsg_pkcs8_from_evp(EVP_PKEY *pkey, struct imsg_buf *der, struct imsg_error *err);

#endif
