#include "net/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/pool.h"
#include "crypto/crypto.h"

#define WORTH_IT ((uint64_t)1 << 20) /* bytes before other threads help */
enum { TURNS = 2, BLOCK = 16 };

/* One thing to do with a piece; the three are independent of each other, and of the reading of the next piece. */
struct step {
    struct imsg_digest *digest; /* NULL: write */
    int fd;
    struct imsg_view bytes;
    enum imsg_status status;
    struct imsg_error err;
};

struct imsg_pieces {
    int fd;
    unsigned threads;
    bool wide; /* the pool has them all */
    struct imsg_pool *pool;
    struct imsg_digest *sha1, *sha256;
    uint64_t size;
    uint8_t *rooms[TURNS];
    unsigned turn;
    struct step steps[3];
};

static void do_step(void *job)
{
    struct step *step = job;
    step->status = step->digest ? imsg_digest_update(step->digest, step->bytes, &step->err)
                                : imsg_write_all(step->fd, step->bytes, &step->err);
}

enum imsg_status imsg_pieces_new(int fd, unsigned threads, struct imsg_pieces **out, struct imsg_error *err)
{
    struct imsg_pieces *pieces = calloc(1, sizeof *pieces);
    if (!pieces)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    pieces->fd = fd;
    pieces->threads = threads;
    enum imsg_status status = imsg_digest_new(IMSG_SHA1, &pieces->sha1, err);
    if (status == IMSG_OK)
        status = imsg_digest_new(IMSG_SHA256, &pieces->sha256, err);
    if (status == IMSG_OK)
        status = imsg_pool_new(1, 3, do_step, &pieces->pool, err);
    for (unsigned i = 0; status == IMSG_OK && i < TURNS; i++) {
        pieces->rooms[i] = malloc(IMSG_PIECE);
        if (!pieces->rooms[i])
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    if (status == IMSG_OK)
        *out = pieces;
    else
        imsg_pieces_free(pieces);
    return status;
}

uint8_t *imsg_pieces_room(struct imsg_pieces *pieces)
{
    return pieces->rooms[pieces->turn];
}

uint64_t imsg_pieces_size(const struct imsg_pieces *pieces)
{
    return pieces->size;
}

enum imsg_status imsg_pieces_settle(struct imsg_pieces *pieces, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    struct step *step;
    while ((step = imsg_pool_next(pieces->pool)) != NULL) {
        if (status == IMSG_OK && step->status != IMSG_OK) {
            status = step->status;
            if (err)
                *err = step->err;
        }
    }
    return status;
}

static void add(struct imsg_pieces *pieces, struct step *step, struct imsg_digest *digest, size_t len)
{
    *step = (struct step){.digest = digest, .fd = pieces->fd};
    step->bytes = imsg_view_of(pieces->rooms[pieces->turn], len);
    imsg_pool_add(pieces->pool, step);
}

enum imsg_status imsg_pieces_give(struct imsg_pieces *pieces, size_t len, bool write, struct imsg_error *err)
{
    enum imsg_status status = imsg_pieces_settle(pieces, err);
    if (status == IMSG_OK && !pieces->wide && pieces->threads > 1 && pieces->size >= WORTH_IT) {
        struct imsg_pool *pool = NULL;
        status = imsg_pool_new(pieces->threads, 3, do_step, &pool, err);
        if (status == IMSG_OK) {
            imsg_pool_free(pieces->pool);
            pieces->pool = pool;
            pieces->wide = true;
        }
    }
    if (status != IMSG_OK)
        return status;
    add(pieces, &pieces->steps[0], pieces->sha256, len); /* the longest first */
    add(pieces, &pieces->steps[1], pieces->sha1, len);
    if (write)
        add(pieces, &pieces->steps[2], NULL, len);
    pieces->size += len;
    pieces->turn = (pieces->turn + 1) % TURNS;
    return IMSG_OK;
}

enum imsg_status imsg_pieces_end(struct imsg_pieces *pieces, uint8_t sha1[static 20], uint8_t sha256[static 32],
                                 struct imsg_error *err)
{
    enum imsg_status status = imsg_pieces_settle(pieces, err);
    if (status == IMSG_OK)
        status = imsg_digest_final(pieces->sha1, sha1, err);
    return status == IMSG_OK ? imsg_digest_final(pieces->sha256, sha256, err) : status;
}

void imsg_pieces_free(struct imsg_pieces *pieces)
{
    if (!pieces)
        return;
    imsg_pool_free(pieces->pool);
    imsg_digest_free(pieces->sha1);
    imsg_digest_free(pieces->sha256);
    for (unsigned i = 0; i < TURNS; i++) {
        if (pieces->rooms[i])
            imsg_wipe(pieces->rooms[i], IMSG_PIECE); /* on the way out it held plaintext */
        free(pieces->rooms[i]);
    }
    free(pieces);
}

/* ---- in place ---- */

struct part {
    const uint8_t *key;
    int fd;
    uint64_t at;
    size_t len;
    uint8_t *room;
    enum imsg_status status;
    struct imsg_error err;
};

static void decrypt_part(void *job)
{
    struct part *part = job;
    struct imsg_ctr *ctr = NULL;
    uint8_t counter[BLOCK] = {0};
    uint64_t block = part->at / BLOCK;
    size_t got = 0;
    for (int i = 0; i < 8; i++)
        counter[BLOCK - 1 - i] = (uint8_t)(block >> (8 * i));
    part->status = imsg_ctr_new(part->key, counter, &ctr, &part->err);
    if (part->status == IMSG_OK)
        part->status = imsg_read_at(part->fd, part->at, part->room, part->len, &got, &part->err);
    if (part->status == IMSG_OK && got < part->len)
        part->status = imsg_fail(&part->err, IMSG_IO, "the file has become shorter");
    if (part->status == IMSG_OK)
        part->status = imsg_ctr_update(ctr, part->room, part->room, part->len, &part->err);
    if (part->status == IMSG_OK)
        part->status = imsg_write_at(part->fd, part->at, imsg_view_of(part->room, part->len), &part->err);
    imsg_ctr_free(ctr);
}

static enum imsg_status finish(struct imsg_pool *pool, struct part **free_part, struct imsg_error *err)
{
    struct part *part = imsg_pool_next(pool);
    *free_part = part;
    if (!part || part->status == IMSG_OK)
        return IMSG_OK;
    if (err)
        *err = part->err;
    return part->status;
}

enum imsg_status imsg_pieces_decrypt(int fd, uint64_t size, const uint8_t key[static 32], unsigned threads,
                                     struct imsg_error *err)
{
    struct imsg_pool *pool = NULL;
    struct part *parts, *next = NULL;
    size_t count = size < WORTH_IT || threads < 2 ? 1 : threads < 8 ? threads + 1 : 9, used = 0;
    enum imsg_status status = imsg_pool_new(count == 1 ? 1 : threads, count, decrypt_part, &pool, err);
    uint8_t *rooms = malloc(count * IMSG_PIECE);
    parts = calloc(count, sizeof *parts);
    if (status == IMSG_OK && (!parts || !rooms))
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    for (uint64_t at = 0; status == IMSG_OK && at < size; at += IMSG_PIECE) {
        if (used < count) {
            next = &parts[used];
            next->room = rooms + used++ * IMSG_PIECE;
        } else {
            status = finish(pool, &next, err);
        }
        if (status != IMSG_OK)
            break;
        size_t len = size - at < IMSG_PIECE ? (size_t)(size - at) : IMSG_PIECE;
        *next = (struct part){.key = key, .fd = fd, .at = at, .len = len, .room = next->room};
        imsg_pool_add(pool, next);
    }
    for (next = parts; status == IMSG_OK && next;)
        status = finish(pool, &next, err);
    imsg_pool_free(pool);
    if (rooms)
        imsg_wipe(rooms, count * IMSG_PIECE);
    free(rooms);
    free(parts);
    return status;
}
