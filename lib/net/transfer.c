/* Attachments: one pass for the cipher and both hashes on the way out; on the way in the ciphertext is checked whole,
 * in the file that then becomes the plaintext, before a byte of it is decrypted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/net.h"

#define PIECE ((size_t)256 << 10) /* bytes of one read or write */
#define NAME_TRIES 10000          /* name-1, name-2 … */

static const uint8_t counter_zero[16]; /* a new key for every file: the counter starts at 0 (formats.md §7) */

struct hashes {
    struct imsg_digest *sha1, *sha256;
    uint64_t size;
};

static enum imsg_status hashes_start(struct hashes *hashes, struct imsg_error *err)
{
    *hashes = (struct hashes){0};
    enum imsg_status status = imsg_digest_new(IMSG_SHA1, &hashes->sha1, err);
    return status == IMSG_OK ? imsg_digest_new(IMSG_SHA256, &hashes->sha256, err) : status;
}

static enum imsg_status hashes_update(struct hashes *hashes, struct imsg_view piece, struct imsg_error *err)
{
    enum imsg_status status = imsg_digest_update(hashes->sha1, piece, err);
    if (status == IMSG_OK)
        status = imsg_digest_update(hashes->sha256, piece, err);
    hashes->size += piece.len;
    return status;
}

static enum imsg_status hashes_final(struct hashes *hashes, uint8_t sha1[static 20], uint8_t sha256[static 32],
                                     struct imsg_error *err)
{
    enum imsg_status status = imsg_digest_final(hashes->sha1, sha1, err);
    return status == IMSG_OK ? imsg_digest_final(hashes->sha256, sha256, err) : status;
}

static void hashes_free(struct hashes *hashes)
{
    imsg_digest_free(hashes->sha1);
    imsg_digest_free(hashes->sha256);
}

static ssize_t read_some(int fd, uint8_t *buffer)
{
    ssize_t n;
    do
        n = read(fd, buffer, PIECE);
    while (n < 0 && errno == EINTR);
    return n;
}

static enum imsg_status encrypt_piece(struct imsg_ctr *ctr, struct hashes *hashes, uint8_t *buffer, size_t len,
                                      int out, struct imsg_error *err)
{
    enum imsg_status status = imsg_ctr_update(ctr, buffer, buffer, len, err);
    if (status == IMSG_OK)
        status = hashes_update(hashes, imsg_view_of(buffer, len), err);
    if (status != IMSG_OK)
        return status;
    status = imsg_write_all(out, imsg_view_of(buffer, len), err);
    if (status == IMSG_OK)
        return IMSG_OK;
    imsg_error_prefix(err, "store");
    if (err)
        err->status = IMSG_TEMPORARY; /* a full disk, most likely, and not the reader's */
    return IMSG_TEMPORARY;
}

static enum imsg_status encrypt_all(struct imsg_ctr *ctr, struct hashes *hashes, struct imsg_view first, int fd,
                                    int out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    uint8_t *buffer = malloc(PIECE);
    if (!buffer)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    while (status == IMSG_OK && first.len > 0) {
        size_t len = first.len < PIECE ? first.len : PIECE;
        memcpy(buffer, first.ptr, len);
        first = imsg_view_of(first.ptr + len, first.len - len);
        status = encrypt_piece(ctr, hashes, buffer, len, out, err);
    }
    while (status == IMSG_OK && fd >= 0) {
        ssize_t n = read_some(fd, buffer);
        if (n < 0)
            status = imsg_fail(err, IMSG_IO, "read: %s", strerror(errno));
        if (n <= 0)
            break;
        status = encrypt_piece(ctr, hashes, buffer, (size_t)n, out, err);
    }
    imsg_wipe(buffer, PIECE);
    free(buffer);
    return status;
}

enum imsg_status imsg_attachment_put(struct imsg_store *store, struct imsg_view first, int fd,
                                     struct imsg_attachment *out, struct imsg_error *err)
{
    struct imsg_attachment made = {0};
    struct imsg_store_put put = {.fd = -1};
    struct imsg_ctr *ctr = NULL;
    struct hashes hashes = {0};
    bool begun = false;
    enum imsg_status status = imsg_random(made.key, sizeof made.key, err);
    if (status == IMSG_OK)
        status = imsg_ctr_new(made.key, counter_zero, &ctr, err);
    if (status == IMSG_OK)
        status = hashes_start(&hashes, err);
    if (status == IMSG_OK) {
        status = imsg_store_begin(store, &put, err);
        begun = status == IMSG_OK;
    }
    if (status == IMSG_OK)
        status = encrypt_all(ctr, &hashes, first, fd, put.fd, err);
    if (status == IMSG_OK)
        status = hashes_final(&hashes, made.sha1, made.sha256, err);
    if (status == IMSG_OK) {
        begun = false;
        status = imsg_store_commit(store, &put, made.sha256, &made.uri, err);
    }
    if (begun)
        imsg_store_abort(store, &put);
    imsg_ctr_free(ctr);
    hashes_free(&hashes);
    made.size = hashes.size;
    if (status != IMSG_OK)
        imsg_attachment_free(&made);
    else
        *out = made;
    return status;
}

struct fetch {
    struct hashes hashes;
    uint64_t size; /* the descriptor's */
    int fd;
};

static enum imsg_status take_piece(void *context, struct imsg_view piece, struct imsg_error *err)
{
    struct fetch *fetch = context;
    if (piece.len > fetch->size - fetch->hashes.size)
        return imsg_fail(err, IMSG_REFUSED, "the object has more bytes than the %llu the descriptor says",
                         (unsigned long long)fetch->size);
    enum imsg_status status = hashes_update(&fetch->hashes, piece, err);
    return status == IMSG_OK ? imsg_write_all(fetch->fd, piece, err) : status;
}

static enum imsg_status check(struct fetch *fetch, const struct imsg_attachment *attachment, struct imsg_error *err)
{
    uint8_t sha1[20], sha256[32];
    enum imsg_status status = hashes_final(&fetch->hashes, sha1, sha256, err);
    if (status == IMSG_OK && fetch->hashes.size != attachment->size)
        status = imsg_fail(err, IMSG_REFUSED, "the object has %llu bytes, the descriptor says %llu",
                           (unsigned long long)fetch->hashes.size, (unsigned long long)attachment->size);
    if (status == IMSG_OK && (memcmp(sha1, attachment->sha1, sizeof sha1) != 0 ||
                              memcmp(sha256, attachment->sha256, sizeof sha256) != 0))
        status = imsg_fail(err, IMSG_REFUSED, "the object's hashes are not the descriptor's");
    return status;
}

/* The file holds verified ciphertext: turn it into the plaintext where it is, no second file, no second name. */
static enum imsg_status decrypt_in_place(int fd, const uint8_t key[static 32], struct imsg_error *err)
{
    struct imsg_ctr *ctr = NULL;
    uint8_t *buffer = malloc(PIECE);
    off_t at = 0;
    enum imsg_status status = buffer ? imsg_ctr_new(key, counter_zero, &ctr, err)
                                     : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    while (status == IMSG_OK) {
        ssize_t n = pread(fd, buffer, PIECE, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = imsg_fail(err, IMSG_IO, "read: %s", strerror(errno));
        if (n <= 0)
            break;
        status = imsg_ctr_update(ctr, buffer, buffer, (size_t)n, err);
        if (status == IMSG_OK && lseek(fd, at, SEEK_SET) != at)
            status = imsg_fail(err, IMSG_IO, "seek: %s", strerror(errno));
        if (status == IMSG_OK)
            status = imsg_write_all(fd, imsg_view_of(buffer, (size_t)n), err);
        at += n;
    }
    imsg_ctr_free(ctr);
    if (buffer)
        imsg_wipe(buffer, PIECE);
    free(buffer);
    return status;
}

/* "photo.jpg", 2 -> "photo-2.jpg"; a leading dot starts no extension. */
static enum imsg_status numbered(const char *folder, const char *name, unsigned number, char **path,
                                 struct imsg_error *err)
{
    char file[512];
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    if (number == 0)
        return imsg_path_join(folder, name, path, err);
    snprintf(file, sizeof file, "%.*s-%u%s", (int)stem, name, number, name + stem);
    return imsg_path_join(folder, file, path, err);
}

static enum imsg_status publish(struct imsg_file *file, const char *folder, const char *name, char **path,
                                struct imsg_error *err)
{
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        char *candidate = NULL;
        enum imsg_status status = numbered(folder, name, i, &candidate, err);
        if (status == IMSG_OK)
            status = imsg_file_link(file, candidate, err);
        if (status == IMSG_OK) {
            *path = candidate;
            return IMSG_OK;
        }
        free(candidate);
        if (status != IMSG_CONFLICT)
            return status;
    }
    return imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": too many files of this name in \"%s\"", name, folder);
}

enum imsg_status imsg_attachment_get(struct imsg_store *store, const struct imsg_attachment *attachment,
                                     const char *folder, const char *name, char **path, struct imsg_error *err)
{
    struct imsg_file file = {.fd = -1};
    struct fetch fetch = {.fd = -1, .size = attachment->size};
    char *target = NULL, object[65];
    imsg_hex(attachment->sha256, sizeof attachment->sha256, object); /* until checked, a name nobody chose */
    enum imsg_status status = imsg_path_join(folder, object, &target, err);
    if (status == IMSG_OK)
        status = imsg_file_create(&file, target, 0666, err);
    if (status == IMSG_OK)
        status = hashes_start(&fetch.hashes, err);
    fetch.fd = file.fd;
    /* take_piece counts: too many bytes are a changed object, refused like any other. */
    if (status == IMSG_OK)
        status = imsg_store_get(store, attachment->uri, INT64_MAX, take_piece, &fetch, err);
    if (status == IMSG_OK)
        status = check(&fetch, attachment, err);
    if (status == IMSG_OK)
        status = decrypt_in_place(file.fd, attachment->key, err);
    if (status == IMSG_OK)
        status = publish(&file, folder, name, path, err);
    imsg_file_abort(&file);
    hashes_free(&fetch.hashes);
    free(target);
    return status;
}
