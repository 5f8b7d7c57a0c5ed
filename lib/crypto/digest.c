#include "crypto/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct imsg_digest {
    EVP_MD_CTX *ctx;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *fetched[2]; /* by enum imsg_digest_kind; kept for the life of the process */

static void fetch_digests(void)
{
    fetched[IMSG_SHA1] = EVP_MD_fetch(imsg_crypto_context(), "SHA1", NULL);
    fetched[IMSG_SHA256] = EVP_MD_fetch(imsg_crypto_context(), "SHA256", NULL);
}

static const EVP_MD *digest_of(enum imsg_digest_kind kind)
{
    pthread_once(&once, fetch_digests);
    return fetched[kind];
}

static enum imsg_status one_shot(enum imsg_digest_kind kind, struct imsg_view bytes, uint8_t *out,
                                 struct imsg_error *err)
{
    ERR_set_mark();
    const EVP_MD *md = digest_of(kind);
    bool done = md && EVP_Digest(bytes.ptr, bytes.len, out, NULL, md, NULL) == 1;
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_NO_MEMORY, "no memory for a digest");
}

enum imsg_status imsg_sha1(struct imsg_view bytes, uint8_t out[static 20], struct imsg_error *err)
{
    return one_shot(IMSG_SHA1, bytes, out, err);
}

enum imsg_status imsg_sha256(struct imsg_view bytes, uint8_t out[static 32], struct imsg_error *err)
{
    return one_shot(IMSG_SHA256, bytes, out, err);
}

enum imsg_status imsg_sha256_parts(const struct imsg_view *parts, size_t count, uint8_t out[static 32],
                                   struct imsg_error *err)
{
    struct imsg_digest *digest = NULL;

    enum imsg_status status = imsg_digest_new(IMSG_SHA256, &digest, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++)
        status = imsg_digest_update(digest, parts[i], err);
    if (status == IMSG_OK)
        status = imsg_digest_final(digest, out, err);
    imsg_digest_free(digest);
    return status;
}

/* In one piece: so many small updates would cost more than copying the bytes. */
enum imsg_status imsg_sha256_sized(const char *label, const struct imsg_view *parts, size_t count,
                                   uint8_t out[static 32], struct imsg_error *err)
{
    struct imsg_buf bytes = {0};
    size_t room = strlen(label);

    for (size_t i = 0; i < count; i++)
        room += 4 + parts[i].len;
    enum imsg_status status = imsg_buf_reserve(&bytes, room, err);
    if (status == IMSG_OK)
        status = imsg_buf_text(&bytes, label, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        const size_t len = parts[i].len;
        const uint8_t size[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
        status = imsg_buf_append(&bytes, size, sizeof size, err);
        if (status == IMSG_OK && len > 0)
            status = imsg_buf_append(&bytes, parts[i].ptr, len, err);
    }
    if (status == IMSG_OK)
        status = imsg_sha256(imsg_buf_view(&bytes), out, err);
    imsg_buf_free(&bytes);
    return status;
}

enum imsg_status imsg_digest_new(enum imsg_digest_kind kind, struct imsg_digest **out, struct imsg_error *err)
{
    struct imsg_digest *digest = calloc(1, sizeof *digest);

    ERR_set_mark();
    const EVP_MD *md = digest_of(kind);
    if (digest)
        digest->ctx = EVP_MD_CTX_new();
    bool done = md && digest && digest->ctx && EVP_DigestInit_ex2(digest->ctx, md, NULL) == 1;
    if (done)
        *out = digest;
    else
        imsg_digest_free(digest);
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_NO_MEMORY, "no memory for a digest");
}

enum imsg_status imsg_digest_update(struct imsg_digest *digest, struct imsg_view bytes, struct imsg_error *err)
{
    ERR_set_mark();
    bool done = bytes.len == 0 || EVP_DigestUpdate(digest->ctx, bytes.ptr, bytes.len) == 1;
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_INTERNAL, "the digest failed");
}

enum imsg_status imsg_digest_final(struct imsg_digest *digest, uint8_t *out, struct imsg_error *err)
{
    ERR_set_mark();
    bool done = EVP_DigestFinal_ex(digest->ctx, out, NULL) == 1;
    return imsg_crypto_end(err, done ? IMSG_OK : IMSG_INTERNAL, "the digest failed");
}

void imsg_digest_free(struct imsg_digest *digest)
{
    if (digest)
        EVP_MD_CTX_free(digest->ctx);
    free(digest);
}
