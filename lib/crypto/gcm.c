#include "crypto/internal.h"

#include <pthread.h>
#include <stdlib.h>

#define TAG 16
/* EVP takes an int. A multiple of the block, so that no run is split inside one; no longer than a sealed file's chunk,
 * for a longer one is no faster, and so anything longer than a chunk exercises the splitting. */
#define RUN_MAX ((size_t)1 << 20)
#define LEN_MAX (((uint64_t)1 << 36) - 32) /* SP 800-38D §5.2.1.1; beyond it the counter would come round */

struct imsg_gcm {
    EVP_CIPHER_CTX *ctx; /* has the key; each message sets a direction and a nonce */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *aes256; /* kept for the life of the process */

static void fetch_cipher(void)
{
    aes256 = imsg_cipher("AES-256-GCM");
}

enum imsg_status imsg_gcm_new(const uint8_t key[static 32], struct imsg_gcm **out, struct imsg_error *err)
{
    struct imsg_gcm *gcm = calloc(1, sizeof *gcm);

    ERR_set_mark();
    pthread_once(&once, fetch_cipher);
    if (gcm)
        gcm->ctx = EVP_CIPHER_CTX_new();
    bool done = aes256 && gcm && gcm->ctx && EVP_EncryptInit_ex2(gcm->ctx, aes256, key, NULL, NULL) == 1;
    if (done)
        *out = gcm;
    else
        imsg_gcm_free(gcm);
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_NO_MEMORY, "no memory for a cipher");
}

/* Content into out, or additional data, for which out is NULL. */
static bool update(EVP_CIPHER_CTX *ctx, const uint8_t *in, uint8_t *out, size_t len)
{
    while (len > 0) {
        size_t part = len > RUN_MAX ? RUN_MAX : len;
        int done = 0;
        if (EVP_CipherUpdate(ctx, out, &done, in, (int)part) != 1 || done != (int)part)
            return false;
        in += part;
        out = out ? out + part : NULL;
        len -= part;
    }
    return true;
}

static enum imsg_status too_long(size_t len, struct imsg_error *err)
{
    return imsg_fail(err, IMSG_TOO_LONG, "%zu bytes are more than AES-GCM may do with one nonce", len);
}

enum imsg_status imsg_gcm_seal(struct imsg_gcm *gcm, const uint8_t nonce[static 12], const struct imsg_gcm_data *data,
                               uint8_t tag[static 16], struct imsg_error *err)
{
    uint8_t none[TAG]; /* OpenSSL wants a pointer where it writes nothing */
    int size = 0;

    if (data->len > LEN_MAX)
        return too_long(data->len, err);
    ERR_set_mark();
    bool done = EVP_CipherInit_ex2(gcm->ctx, NULL, NULL, nonce, 1, NULL) == 1 &&
                update(gcm->ctx, data->aad.ptr, NULL, data->aad.len) &&
                update(gcm->ctx, data->in, data->out, data->len) && EVP_CipherFinal_ex(gcm->ctx, none, &size) == 1 &&
                EVP_CIPHER_CTX_ctrl(gcm->ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1;
    if (!done)
        imsg_wipe(data->out, data->len);
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_INTERNAL, "the cipher failed");
}

enum imsg_status imsg_gcm_open(struct imsg_gcm *gcm, const uint8_t nonce[static 12], const struct imsg_gcm_data *data,
                               const uint8_t tag[static 16], struct imsg_error *err)
{
    enum imsg_status status = IMSG_INTERNAL;
    uint8_t none[TAG];
    int size = 0;

    if (data->len > LEN_MAX)
        return too_long(data->len, err);
    ERR_set_mark();
    if (EVP_CipherInit_ex2(gcm->ctx, NULL, NULL, nonce, 0, NULL) != 1 ||
        !update(gcm->ctx, data->aad.ptr, NULL, data->aad.len) || !update(gcm->ctx, data->in, data->out, data->len) ||
        EVP_CIPHER_CTX_ctrl(gcm->ctx, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(uintptr_t)tag) != 1)
        goto out;
    status = EVP_CipherFinal_ex(gcm->ctx, none, &size) == 1 ? IMSG_OK : IMSG_BAD_TAG;
out:
    if (status != IMSG_OK)
        imsg_wipe(data->out, data->len); /* unauthenticated plaintext must not be used */
    return imsg_crypto_end(err, status, status == IMSG_BAD_TAG ? "the tag does not fit" : "the cipher failed");
}

void imsg_gcm_free(struct imsg_gcm *gcm)
{
    if (gcm)
        EVP_CIPHER_CTX_free(gcm->ctx); /* wipes its key schedule */
    free(gcm);
}
