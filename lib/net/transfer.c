/* Attachments, in one pass: the cipher and both hashes run beside each other while the bytes come.
 *
 * On the way in the plaintext goes into a file that has no name until both hashes are right, so that nobody reads what
 * is not verified and a killed run leaves no plaintext. What comes over a network is also kept as it came, as
 * ciphertext in a part named by the object, and the next try goes on with it. */
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

static unsigned count_threads(const struct imsg_transfer *how)
{
    return how && how->threads > 1 ? how->threads : 1;
}

static void report_progress(const struct imsg_transfer *how, uint64_t done, uint64_t size)
{
    if (how && how->progress)
        how->progress(how->context, done, size);
}

/* ---- put ---- */

/* Bytes that are still to be read from fd; 0: not known. */
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

/* A failed write is the store's failure (a full disk, most likely) and may pass by itself; IMSG_IO is for the input. */
static enum imsg_status as_store_failure(enum imsg_status status, struct imsg_error *err)
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
        if (status != IMSG_OK)
            imsg_wipe(room, IMSG_PIECE);
        if (status != IMSG_OK || len == 0)
            return status;
        status = as_store_failure(imsg_pieces_add(pieces, len, false, err), err);
        if (status != IMSG_OK)
            return status;
        report_progress(how, imsg_pieces_size(pieces), size);
    }
}

enum imsg_status imsg_attachment_put(struct imsg_store *store, struct imsg_view first, int fd,
                                     const struct imsg_transfer *how, struct imsg_attachment *out,
                                     struct imsg_error *err)
{
    struct imsg_attachment made = {0};
    struct imsg_store_put put = {.fd = -1};
    static const uint8_t counter_zero[16]; /* a new key for every file: the counter starts at 0 (format.md §7) */
    struct imsg_pieces_plan plan = {.part = -1, .threads = count_threads(how)};
    struct imsg_ctr *ctr = NULL;
    struct imsg_pieces *pieces = NULL;
    enum imsg_status status = imsg_random(made.key, sizeof made.key, err);
    if (status == IMSG_OK)
        status = imsg_ctr_new(made.key, counter_zero, &ctr, err);
    if (status == IMSG_OK)
        status = imsg_store_begin(store, &put, err);
    plan.fd = put.fd;
    if (status == IMSG_OK)
        status = imsg_pieces_new(&plan, &pieces, err);
    if (status == IMSG_OK)
        status = encrypt_all(ctr, pieces, first, fd, how, err);
    if (status == IMSG_OK)
        status = as_store_failure(imsg_pieces_end(pieces, made.sha1, made.sha256, err), err);
    if (status == IMSG_OK) {
        made.size = imsg_pieces_size(pieces);
        put.how = how;
        status = imsg_store_commit(store, &put, made.sha256, &made.uri, err);
    }
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
    int object;            /* the ciphertext where it is a file of this machine; -1: it comes over a network */
    int plain;             /* the plaintext, in a file without a name */
    struct imsg_part part; /* the ciphertext that came over a network */
    struct imsg_pieces *pieces;
    size_t filled; /* bytes of the room, not added yet */
};

static enum imsg_status add_piece(struct fetch *fetch, size_t len, bool from_part, struct imsg_error *err)
{
    enum imsg_status status = len > 0 ? imsg_pieces_add(fetch->pieces, len, from_part, err) : IMSG_OK;
    report_progress(fetch->how, imsg_pieces_size(fetch->pieces), fetch->attachment->size);
    return status;
}

/* Refuses more bytes than the descriptor says before they are written. */
static enum imsg_status check_room(const struct fetch *fetch, size_t len, struct imsg_error *err)
{
    if (len <= fetch->attachment->size - imsg_pieces_size(fetch->pieces) - fetch->filled)
        return IMSG_OK;
    return imsg_fail(err, IMSG_REFUSED, "the object has more bytes than the %llu the descriptor says",
                     (unsigned long long)fetch->attachment->size);
}

/* What a network brings may be in small pieces. */
static enum imsg_status collect_bytes(void *context, struct imsg_view bytes, struct imsg_error *err)
{
    struct fetch *fetch = context;
    enum imsg_status status = check_room(fetch, bytes.len, err);
    while (status == IMSG_OK && bytes.len > 0) {
        size_t len = bytes.len < IMSG_PIECE - fetch->filled ? bytes.len : IMSG_PIECE - fetch->filled;
        memcpy(imsg_pieces_room(fetch->pieces) + fetch->filled, bytes.ptr, len);
        fetch->filled += len;
        bytes = imsg_view_of(bytes.ptr + len, bytes.len - len);
        if (fetch->filled == IMSG_PIECE) {
            status = add_piece(fetch, fetch->filled, false, err);
            fetch->filled = 0;
        }
    }
    return status;
}

static enum imsg_status read_part(struct fetch *fetch, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (lseek(fetch->part.fd, 0, SEEK_SET) != 0)
        return imsg_fail_errno(err, IMSG_IO, errno, "seek");
    for (uint64_t left = fetch->part.size; status == IMSG_OK && left > 0;) {
        size_t len = left < IMSG_PIECE ? (size_t)left : IMSG_PIECE, got = 0;
        status = imsg_read_into(fetch->part.fd, imsg_pieces_room(fetch->pieces), len, &got, err);
        if (status == IMSG_OK && got < len)
            status = imsg_fail(err, IMSG_REFUSED, "the part has become shorter");
        if (status == IMSG_OK)
            status = add_piece(fetch, got, true, err);
        left -= got;
    }
    return status;
}

static enum imsg_status read_object(struct fetch *fetch, uint64_t from, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (lseek(fetch->object, (off_t)from, SEEK_SET) < 0)
        return imsg_fail_errno(err, IMSG_TEMPORARY, errno, "store: seek");
    for (size_t got = IMSG_PIECE; status == IMSG_OK && got == IMSG_PIECE;) {
        status = imsg_read_into(fetch->object, imsg_pieces_room(fetch->pieces), IMSG_PIECE, &got, err);
        if (status != IMSG_OK)
            return as_store_failure(status, err);
        status = check_room(fetch, got, err);
        if (status == IMSG_OK)
            status = add_piece(fetch, got, false, err);
    }
    return status;
}

static enum imsg_status check_object(struct fetch *fetch, struct imsg_error *err)
{
    const struct imsg_attachment *attachment = fetch->attachment;
    uint64_t size = imsg_pieces_size(fetch->pieces);
    uint8_t sha1[20], sha256[32];
    enum imsg_status status = imsg_pieces_end(fetch->pieces, sha1, sha256, err);
    if (status == IMSG_OK && size != attachment->size)
        status = imsg_fail(err, IMSG_REFUSED, "the object has %llu bytes, the descriptor says %llu",
                           (unsigned long long)size, (unsigned long long)attachment->size);
    if (status == IMSG_OK &&
        (memcmp(sha1, attachment->sha1, sizeof sha1) != 0 || memcmp(sha256, attachment->sha256, sizeof sha256) != 0))
        status = imsg_fail(err, IMSG_REFUSED, "the object's hashes are not the descriptor's");
    return status;
}

/* The whole object, verified, decrypted into the file without a name; what the part has of it is not fetched again. */
static enum imsg_status fetch_object(struct fetch *fetch, struct imsg_error *err)
{
    const struct imsg_attachment *attachment = fetch->attachment;
    struct imsg_pieces_plan plan = {.fd = fetch->plain,
                                    .key = attachment->key,
                                    .part = fetch->object < 0 ? fetch->part.fd : -1,
                                    .threads = count_threads(fetch->how)};
    uint64_t from = fetch->part.size;
    enum imsg_status status = imsg_pieces_new(&plan, &fetch->pieces, err);
    if (status != IMSG_OK)
        return status;
    fetch->filled = 0;
    if (from > 0)
        status = read_part(fetch, err);
    if (status == IMSG_OK && (from == 0 || from < attachment->size)) {
        const struct imsg_store_read read = {attachment->uri, from, INT64_MAX, collect_bytes, fetch};
        status = fetch->object >= 0 ? read_object(fetch, from, err) : imsg_store_get(fetch->store, &read, err);
        /* The part is to have every byte that came. */
        if (status == IMSG_TEMPORARY && add_piece(fetch, fetch->filled, false, NULL) == IMSG_OK)
            (void)!imsg_pieces_wait(fetch->pieces, NULL);
        else if (status == IMSG_OK)
            status = add_piece(fetch, fetch->filled, false, err);
    }
    if (status == IMSG_OK)
        status = check_object(fetch, err);
    fetch->part.size = imsg_pieces_size(fetch->pieces);
    imsg_pieces_free(fetch->pieces);
    fetch->pieces = NULL;
    return status;
}

static enum imsg_status empty_file(int fd, struct imsg_error *err)
{
    return ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 ? IMSG_OK
                                                                : imsg_fail_errno(err, IMSG_IO, errno, "truncate");
}

/* Where a part turns out not to be the beginning of the object, the object is fetched whole, once. */
static enum imsg_status fetch_resumed(struct fetch *fetch, struct imsg_error *err)
{
    bool resumed = fetch->part.size > 0;
    enum imsg_status status = fetch_object(fetch, err);
    if (!resumed || status == IMSG_OK || status == IMSG_TEMPORARY || status == IMSG_IO || status == IMSG_NO_MEMORY)
        return status;
    fetch->part.size = 0;
    status = empty_file(fetch->part.fd, err);
    if (status == IMSG_OK)
        status = empty_file(fetch->plain, err);
    return status == IMSG_OK ? fetch_object(fetch, err) : status;
}

/* "photo.jpg", 2 -> "photo-2.jpg"; a leading dot starts no extension. */
static enum imsg_status make_numbered_path(const struct imsg_attachment_place *place, unsigned number, char **path,
                                           struct imsg_error *err)
{
    const char *name = place->name;
    char file[512];
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    if (number == 0)
        return imsg_path_join(place->folder, name, path, err);
    snprintf(file, sizeof file, "%.*s-%u%s", (int)stem, name, number, name + stem);
    return imsg_path_join(place->folder, file, path, err);
}

/* The name is durable, or taken back: a second try is not to find it and take another. */
static enum imsg_status sync_name(const char *path, struct imsg_error *err)
{
    enum imsg_status status = imsg_sync_folder_of(path, err);
    if (status != IMSG_OK)
        unlink(path);
    return status;
}

static enum imsg_status publish_file(int fd, const struct imsg_attachment_place *place, char **path,
                                     struct imsg_error *err)
{
    enum imsg_status status = imsg_sync_file(fd, place->name, err);
    for (unsigned i = 0; status == IMSG_OK && i < NAME_TRIES; i++) {
        char *candidate = NULL;
        status = make_numbered_path(place, i, &candidate, err);
        if (status == IMSG_OK)
            status = imsg_unnamed_name(fd, candidate, err);
        if (status == IMSG_OK)
            status = sync_name(candidate, err);
        if (status == IMSG_OK) {
            *path = candidate;
            return IMSG_OK;
        }
        free(candidate);
        if (status == IMSG_CONFLICT)
            status = IMSG_OK;
    }
    return status != IMSG_OK ? status
                             : imsg_fail(err, IMSG_CANNOT_CREATE, "\"%s\": too many files of this name in \"%s\"",
                                         place->name, place->folder);
}

enum imsg_status imsg_attachment_get(struct imsg_store *store, const struct imsg_attachment *attachment,
                                     const struct imsg_attachment_place *place, const struct imsg_transfer *how,
                                     char **path, struct imsg_error *err)
{
    struct fetch fetch = {.store = store, .attachment = attachment, .how = how, .object = -1, .plain = -1};
    char *target = NULL, hash[65];
    fetch.part.fd = -1;
    imsg_hex(attachment->sha256, sizeof attachment->sha256, hash); /* the sender cannot choose it */
    enum imsg_status status = imsg_store_open_object(store, attachment->uri, &fetch.object, err);
    if (status == IMSG_OK)
        status = imsg_path_join(place->folder, hash, &target, err);
    if (status == IMSG_OK)
        status = imsg_unnamed_create(place->folder, 0666, &fetch.plain, err);
    if (status == IMSG_OK)
        status = imsg_part_open(&fetch.part, target, fetch.object < 0, attachment->size, err);
    if (status == IMSG_OK)
        status = fetch_resumed(&fetch, err);
    if (status == IMSG_OK)
        status = publish_file(fetch.plain, place, path, err);
    if (status == IMSG_TEMPORARY && fetch.part.size > 0)
        imsg_part_keep(&fetch.part);
    else
        imsg_part_remove(&fetch.part);
    if (fetch.plain >= 0)
        close(fetch.plain);
    if (fetch.object >= 0)
        close(fetch.object);
    free(target);
    return status;
}
