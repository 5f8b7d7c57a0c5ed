/* Every primitive, on OpenSSL's libcrypto; the only folder that includes its headers. All of it is in an OSSL_LIB_CTX
 * of the library's own, and a program's OpenSSL stays as it was: its default context, its names, its random generator,
 * and what it has in its error queue. Algorithms are fetched once per process (pthread_once). */
#ifndef IMSG_CRYPTO_H
#define IMSG_CRYPTO_H

#include "imsg.h"

/* For a process that uses OpenSSL through this library alone (and libcurl), before it has threads: OpenSSL starts
 * without configuration file, name tables, error strings and cleanup at exit, and has a secure heap, which is locked
 * where the limit on that allows. A program that uses OpenSSL itself does not call it, and need not. */
void imsg_crypto_start_process(void);
/* After imsg_crypto_start_process (otherwise without effect): the few names that are looked up all the same. Without
 * its digest a signature on a certificate counts as too weak for TLS, and encrypted PEM of the old kind names its
 * cipher. */
void imsg_crypto_add_names(void);

/* ---- secret.c ---- */
bool imsg_equal_ct(const void *a, const void *b, size_t len); /* constant time */

/* ---- random.c ---- the one seam through which randomness comes (RAND_priv_bytes). Failure: IMSG_INTERNAL. */
IMSG_CHECK enum imsg_status imsg_random(void *out, size_t len, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_uuid_v4(char out[static 37], struct imsg_error *err);
/* RFC 4122 version 5 (SHA-1) in a namespace of 16 bytes. */
IMSG_CHECK enum imsg_status imsg_uuid_v5(const uint8_t space[static 16], struct imsg_view name, char out[static 37],
                                         struct imsg_error *err);

/* ---- digest.c ---- */
enum imsg_digest_kind { IMSG_SHA1, IMSG_SHA256 };
IMSG_CHECK enum imsg_status imsg_sha1(struct imsg_view bytes, uint8_t out[static 20], struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_sha256(struct imsg_view bytes, uint8_t out[static 32], struct imsg_error *err);
/* Of several parts one after another. */
IMSG_CHECK enum imsg_status imsg_sha256_parts(const struct imsg_view *parts, size_t count, uint8_t out[static 32],
                                              struct imsg_error *err);
struct imsg_digest; /* a running digest */
IMSG_CHECK enum imsg_status imsg_digest_new(enum imsg_digest_kind kind, struct imsg_digest **out,
                                            struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_digest_update(struct imsg_digest *digest, struct imsg_view bytes,
                                               struct imsg_error *err);
/* 20 or 32 bytes; the digest is spent. */
IMSG_CHECK enum imsg_status imsg_digest_final(struct imsg_digest *digest, uint8_t *out, struct imsg_error *err);
void imsg_digest_free(struct imsg_digest *digest);
/* HMAC-SHA256 over parts. */
IMSG_CHECK enum imsg_status imsg_hmac_sha256(struct imsg_view key, const struct imsg_view *parts, size_t count,
                                             uint8_t out[static 32], struct imsg_error *err);
/* RFC 5869, SHA-256; len at most 255 * 32. */
IMSG_CHECK enum imsg_status imsg_hkdf_sha256(struct imsg_view secret, struct imsg_view salt, struct imsg_view info,
                                             uint8_t *out, size_t len, struct imsg_error *err);

/* ---- aes.c ---- out may be in. */
IMSG_CHECK enum imsg_status imsg_aes128_ctr(const uint8_t key[static 16], const uint8_t counter[static 16],
                                            const uint8_t *in, uint8_t *out, size_t len, struct imsg_error *err);
/* AES-256-CTR where only the last 8 bytes of the counter count up and wrap without carry (docs/format.md §5). */
IMSG_CHECK enum imsg_status imsg_aes256_ctr64(const uint8_t key[static 32], const uint8_t counter[static 16],
                                              const uint8_t *in, uint8_t *out, size_t len, struct imsg_error *err);
struct imsg_ctr; /* a running AES-256-CTR with a 128-bit counter (attachments) */
IMSG_CHECK enum imsg_status imsg_ctr_new(const uint8_t key[static 32], const uint8_t counter[static 16],
                                         struct imsg_ctr **out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_ctr_update(struct imsg_ctr *ctr, const uint8_t *in, uint8_t *out, size_t len,
                                            struct imsg_error *err);
void imsg_ctr_free(struct imsg_ctr *ctr);

/* ---- gcm.c ---- AES-256-GCM with a nonce of 12 bytes and the whole tag. `out` is `in` or does not overlap it. The
 * caller never seals twice with one key and nonce. IMSG_TOO_LONG: len over 2^36 - 32. */
struct imsg_gcm; /* one key, any number of messages one after another; a thread has its own */
struct imsg_gcm_data {
    struct imsg_view aad;
    const uint8_t *in;
    uint8_t *out;
    size_t len; /* of in and of out */
};
IMSG_CHECK enum imsg_status imsg_gcm_new(const uint8_t key[static 32], struct imsg_gcm **out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_gcm_seal(struct imsg_gcm *gcm, const uint8_t nonce[static 12],
                                          const struct imsg_gcm_data *data, uint8_t tag[static 16],
                                          struct imsg_error *err);
/* IMSG_BAD_TAG: out is wiped (in too, if they are one), whatever len. Until IMSG_OK nothing of out may be believed. */
IMSG_CHECK enum imsg_status imsg_gcm_open(struct imsg_gcm *gcm, const uint8_t nonce[static 12],
                                          const struct imsg_gcm_data *data, const uint8_t tag[static 16],
                                          struct imsg_error *err);
void imsg_gcm_free(struct imsg_gcm *gcm); /* wiped */

/* ---- p256.c ---- Points are 65 bytes, 04 || X || Y; compact keys are X of the point with the smaller y (§3). */
/* y ≤ (p-1)/2. IMSG_MALFORMED: x ≥ p or not on the curve. */
IMSG_CHECK enum imsg_status imsg_p256_lift(const uint8_t x[static 32], uint8_t point[static 65],
                                           struct imsg_error *err);
/* IMSG_MALFORMED unless an uncompressed point on the curve, not infinity. */
IMSG_CHECK enum imsg_status imsg_p256_check(const uint8_t point[static 65], struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_p256_generate(struct imsg_p256 **out, struct imsg_error *err);
/* A key whose point has the smaller root: d drawn by imsg_random as 32 bytes (again while 0 or ≥ n), negated where
 * needed. */
IMSG_CHECK enum imsg_status imsg_p256_generate_compact(struct imsg_p256 **out, struct imsg_error *err);
/* IMSG_MALFORMED: d is 0 or ≥ n. */
IMSG_CHECK enum imsg_status imsg_p256_from_scalar(const uint8_t d[static 32], struct imsg_p256 **out,
                                                  struct imsg_error *err);
/* Negate d in place if the point has the larger root. */
IMSG_CHECK enum imsg_status imsg_p256_make_compact(struct imsg_p256 *key, struct imsg_error *err);
const uint8_t *imsg_p256_point(const struct imsg_p256 *key);  /* 65 bytes, the key's; X at +1 */
const uint8_t *imsg_p256_scalar(const struct imsg_p256 *key); /* 32 bytes, the key's; secret */
void imsg_p256_free(struct imsg_p256 *key);                   /* wiped */
/* x of the product, 32 bytes. The point must have been checked or lifted. */
IMSG_CHECK enum imsg_status imsg_p256_ecdh(const struct imsg_p256 *key, const uint8_t point[static 65],
                                           uint8_t secret[static 32], struct imsg_error *err);
/* p256_sign.c: ECDSA over a digest of 20 or 32 bytes. Raw is r || s, DER at most 72 bytes. */
IMSG_CHECK enum imsg_status imsg_p256_sign(const struct imsg_p256 *key, struct imsg_view digest,
                                           uint8_t signature[static 64], struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_p256_sign_der(const struct imsg_p256 *key, struct imsg_view digest,
                                               uint8_t signature[static 72], size_t *len, struct imsg_error *err);
/* Exactly IMSG_OK or IMSG_BAD_SIGNATURE (any negative answer of OpenSSL included); strict DER; no low-s rule. */
IMSG_CHECK enum imsg_status imsg_p256_verify(const uint8_t point[static 65], struct imsg_view digest,
                                             const uint8_t signature[static 64], struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_p256_verify_der(const uint8_t point[static 65], struct imsg_view digest,
                                                 struct imsg_view signature, struct imsg_error *err);
/* The DER form of r || s, as it stands; IMSG_BAD_SIGNATURE if it has none (r or s is 0). */
IMSG_CHECK enum imsg_status imsg_p256_signature_der(const uint8_t signature[static 64], uint8_t der[static 72],
                                                    size_t *len);
#ifdef IMSG_TEST_SEAM
/* Only in test objects: the nonce of the next signature (NULL: random again). */
void imsg_test_next_k(const uint8_t *k);
#endif

/* ---- rsa.c ---- RSA-1280, e = 65537, OAEP with SHA-1, MGF1-SHA-1, empty label. */
#define IMSG_RSA_BYTES 160
#define IMSG_OAEP_MAX 118
IMSG_CHECK enum imsg_status imsg_rsa_generate(struct imsg_rsa **out, struct imsg_error *err);
const uint8_t *imsg_rsa_modulus(const struct imsg_rsa *key); /* 160 bytes */
void imsg_rsa_free(struct imsg_rsa *key);
IMSG_CHECK enum imsg_status imsg_rsa_oaep_seal(const uint8_t modulus[static 160], struct imsg_view plain,
                                               uint8_t block[static 160], struct imsg_error *err);
/* IMSG_NOT_FOR_THIS_KEY when it does not decode. plain holds at most 118 bytes. */
IMSG_CHECK enum imsg_status imsg_rsa_oaep_open(const struct imsg_rsa *key, const uint8_t block[static 160],
                                               uint8_t plain[static 118], size_t *len, struct imsg_error *err);

/* The bare private-key operation, block^d mod n, to be shown; nothing is opened with it. */
IMSG_CHECK enum imsg_status imsg_rsa_raw(const struct imsg_rsa *key, const uint8_t block[static 160],
                                         uint8_t em[static 160], struct imsg_error *err);

/* ---- pem.c ---- PKCS#8 PEM, with a passphrase PBES2 (AES-256-CBC, scrypt N=16384 r=8 p=1). Unencrypted PKCS#8 of the
 * two key kinds is parsed without OpenSSL's slow decoders; everything else (SEC 1, PKCS#1, encrypted) through them.
 * IMSG_PERMISSION: passphrase missing or wrong. IMSG_MALFORMED: no key, other curve, other size, public does not
 * fit. */
bool imsg_pem_is_encrypted(struct imsg_view pem);
IMSG_CHECK enum imsg_status imsg_p256_from_pem(struct imsg_view pem, struct imsg_view passphrase,
                                               struct imsg_p256 **out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_rsa_from_pem(struct imsg_view pem, struct imsg_view passphrase, struct imsg_rsa **out,
                                              struct imsg_error *err);
/* Append the PEM; passphrase.len 0: not encrypted. */
IMSG_CHECK enum imsg_status imsg_p256_to_pem(const struct imsg_p256 *key, struct imsg_view passphrase,
                                             struct imsg_buf *out, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_rsa_to_pem(const struct imsg_rsa *key, struct imsg_view passphrase,
                                            struct imsg_buf *out, struct imsg_error *err);

/* ---- certificate.c ---- X.509 of a server, PEM. */
#define IMSG_PIN 52               /* characters of curl's form: sha256// and base64 of the SHA-256 of the public key */
#define IMSG_CERTIFICATE_NAME 256 /* bytes of a name, with its NUL */
/* Of the first certificate. IMSG_MALFORMED: there is none. */
IMSG_CHECK enum imsg_status imsg_certificate_pin(struct imsg_view pem, char out[static IMSG_PIN + 1],
                                                 struct imsg_error *err);
/* Its alternative names one by one: host names as they stand, addresses as text. */
typedef enum imsg_status imsg_certificate_name(void *context, const char *name, struct imsg_error *err);
IMSG_CHECK enum imsg_status imsg_certificate_names(struct imsg_view pem, imsg_certificate_name *each, void *context,
                                                   struct imsg_error *err);
struct imsg_certificate {
    const char *const *names; /* host names and addresses, at least one */
    size_t count;
    time_t now; /* valid from a day before */
    int days;
};
/* Append one signed by its own key. */
IMSG_CHECK enum imsg_status imsg_certificate_make(const struct imsg_p256 *key, const struct imsg_certificate *plan,
                                                  struct imsg_buf *out, struct imsg_error *err);

#endif
