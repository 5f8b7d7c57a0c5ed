/* Attachments: one pass for the cipher and both hashes on the way out; on the way in the ciphertext is checked whole,
 * in the file that then becomes the plaintext, before a byte of it is decrypted. What came of an object before the
 * transfer broke off stays, under the object's name, for the next try. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "imsg-net.h"
#include "net/pieces.h"

#define NAME_TRIES 10000 /* name-1, name-2 … */

static const uint8_t counter_zero[16]; /* a new key for every file: the counter starts at 0 (formats.md §7) */

static unsigned threads_of(const struct imsg_transfer *how)
{
    return how && how->threads > 1 ? how->threads : 1;
}

static void tell(const struct imsg_transfer *how, uint64_t done, uint64_t size)
{
    if (how && how->progress)
        how->progress(how->context, done, size);
}

/* ---- put ---- */

/* The size of what is to come, where that can be told. */
static uint64_t size_ahead(int fd)
{
    struct stat st;
    off_t at = fd >= 0 ? lseek(fd, 0, SEEK_CUR) : -1;
    return at >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
}

/* The next piece of `first` and then fd; *len = 0: that was all. */
static enum imsg_status read_piece(struct imsg_view *first, int fd, uint8_t *room, size_t *len, struct imsg_error *err)
{
    if (first->len > 0) {
        *len = first->len < IMSG_PIECE ? first->len : IMSG_PIECE;
        memcpy(room, first->ptr, *len);
        *first = imsg_view_of(first->ptr + *len, first->len - *len);
        return IMSG_OK;
    }
    *len = 0;
    return fd >= 0 ? imsg_read_into(fd, room, IMSG_PIECE, len, err) : IMSG_OK;
}

/* A full disk, most likely, and not the reader's. */
static enum imsg_status written(enum imsg_status status, struct imsg_error *err)
{
    if (status != IMSG_IO)
        return status;
    imsg_error_prefix(err, "store");
    if (err)
        err->status = IMSG_TEMPORARY;
    return IMSG_TEMPORARY;
}

static enum imsg_status encrypt_all(struct imsg_ctr *ctr, struct imsg_pieces *pieces, struct imsg_view first, int fd,
                                    const struct imsg_transfer *how, struct imsg_error *err)
{
    uint64_t ahead = size_ahead(fd), size = ahead > 0 ? first.len + ahead : 0;
    for (size_t len;;) {
        uint8_t *room = imsg_pieces_room(pieces);
        enum imsg_status status = read_piece(&first, fd, room, &len, err);
        if (status == IMSG_OK && len > 0)
            status = imsg_ctr_update(ctr, room, room, len, err);
        if (status != IMSG_OK || len == 0)
            return status;
        status = written(imsg_pieces_give(pieces, len, true, err), err);
        if (status != IMSG_OK)
            return status;
        tell(how, imsg_pieces_size(pieces), size);
    }
}

enum imsg_status imsg_attachment_put(struct imsg_store *store, struct imsg_view first, int fd,
                                     const struct imsg_transfer *how, struct imsg_attachment *out,
                                     struct imsg_error *err)
{
    struct imsg_attachment made = {0};
    struct imsg_store_put put = {.fd = -1};
    struct imsg_ctr *ctr = NULL;
    struct imsg_pieces *pieces = NULL;
    bool begun = false;
    enum imsg_status status = imsg_random(made.key, sizeof made.key, err);
    if (status == IMSG_OK)
        status = imsg_ctr_new(made.key, counter_zero, &ctr, err);
    if (status == IMSG_OK) {
        status = imsg_store_begin(store, &put, err);
        begun = status == IMSG_OK;
    }
    if (status == IMSG_OK)
        status = imsg_pieces_new(put.fd, threads_of(how), &pieces, err);
    if (status == IMSG_OK)
        status = encrypt_all(ctr, pieces, first, fd, how, err);
    if (status == IMSG_OK)
        status = written(imsg_pieces_end(pieces, made.sha1, made.sha256, err), err);
    if (status == IMSG_OK) {
        begun = false;
        made.size = imsg_pieces_size(pieces);
        put.how = how;
        status = imsg_store_commit(store, &put, made.sha256, &made.uri, err);
    }
    if (begun)
        imsg_store_abort(store, &put);
    imsg_pieces_free(pieces);
    imsg_ctr_free(ctr);
    if (status != IMSG_OK)
        imsg_attachment_free(&made);
    else
        *out = made;
    return status;
}

/* ---- get ---- */

struct fetch {
    struct imsg_store *store;
    const struct imsg_attachment *attachment;
    const struct imsg_transfer *how;
    struct imsg_pieces *pieces;
    size_t filled; /* bytes of the room, not yet given */
};

static enum imsg_status give(struct fetch *fetch, size_t len, bool write, struct imsg_error *err)
{
    enum imsg_status status = len > 0 ? imsg_pieces_give(fetch->pieces, len, write, err) : IMSG_OK;
    tell(fetch->how, imsg_pieces_size(fetch->pieces), fetch->attachment->size);
    return status;
}

/* What comes may be in small pieces. */
static enum imsg_status take_piece(void *context, struct imsg_view piece, struct imsg_error *err)
{
    struct fetch *fetch = context;
    enum imsg_status status = IMSG_OK;
    if (piece.len > fetch->attachment->size - imsg_pieces_size(fetch->pieces) - fetch->filled)
        return imsg_fail(err, IMSG_REFUSED, "the object has more bytes than the %llu the descriptor says",
                         (unsigned long long)fetch->attachment->size);
    while (status == IMSG_OK && piece.len > 0) {
        size_t len = piece.len < IMSG_PIECE - fetch->filled ? piece.len : IMSG_PIECE - fetch->filled;
        memcpy(imsg_pieces_room(fetch->pieces) + fetch->filled, piece.ptr, len);
        fetch->filled += len;
        piece = imsg_view_of(piece.ptr + len, piece.len - len);
        if (fetch->filled == IMSG_PIECE) {
            status = give(fetch, fetch->filled, true, err);
            fetch->filled = 0;
        }
    }
    return status;
}

static enum imsg_status check(struct fetch *fetch, struct imsg_error *err)
{
    const struct imsg_attachment *attachment = fetch->attachment;
    uint64_t size = imsg_pieces_size(fetch->pieces);
    uint8_t sha1[20], sha256[32];
    enum imsg_status status = imsg_pieces_end(fetch->pieces, sha1, sha256, err);
    if (status == IMSG_OK && size != attachment->size)
        status = imsg_fail(err, IMSG_REFUSED, "the object has %llu bytes, the descriptor says %llu",
                           (unsigned long long)size, (unsigned long long)attachment->size);
    if (status == IMSG_OK && (memcmp(sha1, attachment->sha1, sizeof sha1) != 0 ||
                              memcmp(sha256, attachment->sha256, sizeof sha256) != 0))
        status = imsg_fail(err, IMSG_REFUSED, "the object's hashes are not the descriptor's");
    return status;
}

/* The ciphertext, whole and verified, into the file, of which the first `kept` bytes are there. On failure *kept is what
 * is there now. */
static enum imsg_status fetch_all(struct fetch *fetch, int fd, uint64_t *kept, struct imsg_error *err)
{
    const struct imsg_attachment *attachment = fetch->attachment;
    uint64_t from = *kept;
    enum imsg_status status = imsg_pieces_new(fd, threads_of(fetch->how), &fetch->pieces, err);
    fetch->filled = 0;
    if (status == IMSG_OK && lseek(fd, 0, SEEK_SET) != 0)
        status = imsg_fail_errno(err, IMSG_IO, errno, "seek");
    for (uint64_t at = 0; status == IMSG_OK && at < from;) {
        size_t len = from - at < IMSG_PIECE ? (size_t)(from - at) : IMSG_PIECE, got = 0;
        status = imsg_read_into(fd, imsg_pieces_room(fetch->pieces), len, &got, err);
        if (status == IMSG_OK && got < len)
            status = imsg_fail(err, IMSG_REFUSED, "the file has become shorter");
        if (status == IMSG_OK)
            status = give(fetch, got, false, err);
        at += got;
    }
    /* take_piece counts: too many bytes are a changed object, refused like any other. */
    if (status == IMSG_OK && (from == 0 || from < attachment->size))
        status = imsg_store_get(fetch->store, attachment->uri, from, INT64_MAX, take_piece, fetch, err);
    if (status == IMSG_OK)
        status = give(fetch, fetch->filled, true, err);
    else if (status == IMSG_TEMPORARY && give(fetch, fetch->filled, true, NULL) == IMSG_OK)
        (void)!imsg_pieces_settle(fetch->pieces, NULL); /* it is kept to the last byte */
    *kept = fetch->pieces ? imsg_pieces_size(fetch->pieces) : 0;
    if (status == IMSG_OK)
        status = check(fetch, err);
    imsg_pieces_free(fetch->pieces);
    fetch->pieces = NULL;
    return status;
}

/* An object of which an earlier run left a part that is not its beginning is fetched whole, once. */
static enum imsg_status fetch_on(struct fetch *fetch, int fd, uint64_t *kept, struct imsg_error *err)
{
    bool resumed = *kept > 0;
    enum imsg_status status = fetch_all(fetch, fd, kept, err);
    if (!resumed || status == IMSG_OK || status == IMSG_TEMPORARY || status == IMSG_IO || status == IMSG_NO_MEMORY)
        return status;
    *kept = 0;
    if (ftruncate(fd, 0) != 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "truncate");
    return fetch_all(fetch, fd, kept, err);
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
                                     const char *folder, const char *name, const struct imsg_transfer *how,
                                     char **path, struct imsg_error *err)
{
    struct imsg_file file = {.fd = -1};
    struct fetch fetch = {.store = store, .attachment = attachment, .how = how};
    char *target = NULL, object[65];
    uint64_t kept = 0;
    imsg_hex(attachment->sha256, sizeof attachment->sha256, object); /* until checked, a name nobody chose */
    enum imsg_status status = imsg_path_join(folder, object, &target, err);
    if (status == IMSG_OK)
        status = imsg_file_resume(&file, target, 0666, attachment->size, &kept, err);
    if (status == IMSG_OK)
        status = fetch_on(&fetch, file.fd, &kept, err);
    if (status == IMSG_TEMPORARY && kept > 0)
        imsg_file_keep(&file);
    if (status == IMSG_OK)
        status = imsg_pieces_decrypt(file.fd, attachment->size, attachment->key, threads_of(how), err);
    if (status == IMSG_OK)
        status = publish(&file, folder, name, path, err);
    imsg_file_abort(&file);
    free(target);
    return status;
}
