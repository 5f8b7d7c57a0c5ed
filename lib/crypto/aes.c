#include "crypto/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 16
#define RUN_MAX ((size_t)1 << 30) /* EVP takes an int; a multiple of the block, so that no run is split inside one */

struct imsg_ctr {
    EVP_CIPHER_CTX *ctx;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *aes128, *aes256; /* kept for the life of the process */

static void fetch_ciphers(void)
{
    aes128 = imsg_cipher("AES-128-CTR");
    aes256 = imsg_cipher("AES-256-CTR");
}

static bool encrypt(EVP_CIPHER_CTX *ctx, const uint8_t *in, uint8_t *out, size_t len)
{
    while (len > 0) {
        size_t part = len > RUN_MAX ? RUN_MAX : len;
        int done = 0;
        if (EVP_EncryptUpdate(ctx, out, &done, in, (int)part) != 1 || done != (int)part)
            return false;
        in += part;
        out += part;
        len -= part;
    }
    return true;
}

static enum imsg_status end(bool done, struct imsg_error *err)
{
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_NO_MEMORY, "no memory for a cipher");
}

enum imsg_status imsg_aes128_ctr(const uint8_t key[static 16], const uint8_t counter[static 16], const uint8_t *in,
                                 uint8_t *out, size_t len, struct imsg_error *err)
{
    ERR_set_mark();
    pthread_once(&once, fetch_ciphers);
    EVP_CIPHER_CTX *ctx = aes128 ? EVP_CIPHER_CTX_new() : NULL;
    bool done = ctx && EVP_EncryptInit_ex2(ctx, aes128, key, counter, NULL) == 1 && encrypt(ctx, in, out, len);
    EVP_CIPHER_CTX_free(ctx);
    return end(done, err);
}

/* Bytes until the last 8 bytes of the counter wrap; SIZE_MAX if that is beyond any input. */
static size_t until_wrap(const uint8_t counter[static BLOCK])
{
    uint64_t low = 0;
    for (size_t i = 8; i < BLOCK; i++)
        low = low << 8 | counter[i];
    uint64_t blocks = 0 - low; /* 0 stands for 2^64 */
    return blocks == 0 || blocks > SIZE_MAX / BLOCK ? SIZE_MAX : (size_t)blocks * BLOCK;
}

enum imsg_status imsg_aes256_ctr64(const uint8_t key[static 32], const uint8_t counter[static 16], const uint8_t *in,
                                   uint8_t *out, size_t len, struct imsg_error *err)
{
    bool done = false;
    size_t first = until_wrap(counter);

    ERR_set_mark();
    pthread_once(&once, fetch_ciphers);
    EVP_CIPHER_CTX *ctx = aes256 ? EVP_CIPHER_CTX_new() : NULL;
    if (!ctx || EVP_EncryptInit_ex2(ctx, aes256, key, counter, NULL) != 1)
        goto out;
    if (first >= len) {
        done = encrypt(ctx, in, out, len);
        goto out;
    }
    /* OpenSSL would carry into the upper 8 bytes: begin again behind the wrap with the lower ones at zero. */
    uint8_t wrapped[BLOCK] = {0};
    memcpy(wrapped, counter, 8);
    done = encrypt(ctx, in, out, first) && EVP_EncryptInit_ex2(ctx, NULL, NULL, wrapped, NULL) == 1 &&
           encrypt(ctx, in + first, out + first, len - first);
out:
    EVP_CIPHER_CTX_free(ctx);
    return end(done, err);
}

enum imsg_status imsg_ctr_new(const uint8_t key[static 32], const uint8_t counter[static 16], struct imsg_ctr **out,
                              struct imsg_error *err)
{
    struct imsg_ctr *ctr = calloc(1, sizeof *ctr);

    ERR_set_mark();
    pthread_once(&once, fetch_ciphers);
    if (ctr)
        ctr->ctx = EVP_CIPHER_CTX_new();
    bool done = aes256 && ctr && ctr->ctx && EVP_EncryptInit_ex2(ctr->ctx, aes256, key, counter, NULL) == 1;
    if (done)
        *out = ctr;
    else
        imsg_ctr_free(ctr);
    return end(done, err);
}

enum imsg_status imsg_ctr_update(struct imsg_ctr *ctr, const uint8_t *in, uint8_t *out, size_t len,
                                 struct imsg_error *err)
{
    ERR_set_mark();
    bool done = encrypt(ctr->ctx, in, out, len);
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_INTERNAL, "the cipher failed");
}

void imsg_ctr_free(struct imsg_ctr *ctr)
{
    if (ctr)
        EVP_CIPHER_CTX_free(ctr->ctx); /* wipes its key schedule */
    free(ctr);
}
