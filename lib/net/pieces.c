#include "net/pieces.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/pool.h"
#include "crypto/crypto.h"

#define WORTH_IT ((uint64_t)1 << 20)                                   /* bytes before other threads help */
enum { ROOMS = 4, SHA256_CHAIN = 0, SHA1_CHAIN, WRITE_CHAIN, CHAINS }; /* the longest work first */

struct piece {
    uint8_t *bytes;
    size_t len, most; /* in it now; the most that were ever in it */
    bool from_part;
};

/* One kind of work, done piece after piece. Pieces are begun in their order, so whoever waits for its turn waits for a
 * thread that is at work. */
struct chain {
    pthread_mutex_t mutex;
    pthread_cond_t turn;
    uint64_t next; /* number of the piece whose turn it is */
    bool failed;   /* changed by whose turn it is, and no other */
};

struct step {
    struct imsg_pieces *pieces;
    unsigned chain;
    uint64_t number; /* of the piece */
    enum imsg_status status;
    struct imsg_error err;
};

struct imsg_pieces {
    struct imsg_pieces_plan plan;
    struct imsg_pool *pool;
    bool wide; /* the pool has all threads */
    struct imsg_digest *sha1, *sha256;
    struct imsg_ctr *ctr; /* NULL: nothing is decrypted */
    uint8_t *plain;       /* a piece decrypted */
    size_t plain_most;
    struct piece pieces[ROOMS];
    struct chain chains[CHAINS];
    struct step steps[ROOMS][CHAINS];
    size_t under_way;        /* steps in the pool */
    uint64_t count, size;    /* pieces and bytes added */
    enum imsg_status status; /* the first failure */
    struct imsg_error err;
};

/* ---- the work ---- */

static enum imsg_status write_piece(struct imsg_pieces *pieces, const struct piece *piece, struct imsg_error *err)
{
    struct imsg_view bytes = imsg_view_of(piece->bytes, piece->len);
    enum imsg_status status = IMSG_OK;
    if (pieces->plan.part >= 0 && !piece->from_part)
        status = imsg_write_all(pieces->plan.part, bytes, err);
    if (status == IMSG_OK && pieces->ctr) {
        pieces->plain_most = piece->len > pieces->plain_most ? piece->len : pieces->plain_most;
        status = imsg_ctr_update(pieces->ctr, piece->bytes, pieces->plain, piece->len, err);
        bytes = imsg_view_of(pieces->plain, piece->len);
    }
    return status == IMSG_OK ? imsg_write_all(pieces->plan.fd, bytes, err) : status;
}

static enum imsg_status do_work(struct imsg_pieces *pieces, unsigned chain, const struct piece *piece,
                                struct imsg_error *err)
{
    if (chain == WRITE_CHAIN)
        return write_piece(pieces, piece, err);
    return imsg_digest_update(chain == SHA1_CHAIN ? pieces->sha1 : pieces->sha256,
                              imsg_view_of(piece->bytes, piece->len), err);
}

static void do_step(void *job)
{
    struct step *step = job;
    struct imsg_pieces *pieces = step->pieces;
    struct chain *chain = &pieces->chains[step->chain];
    pthread_mutex_lock(&chain->mutex);
    while (chain->next != step->number)
        pthread_cond_wait(&chain->turn, &chain->mutex);
    pthread_mutex_unlock(&chain->mutex);
    if (!chain->failed)
        step->status = do_work(pieces, step->chain, &pieces->pieces[step->number % ROOMS], &step->err);
    chain->failed |= step->status != IMSG_OK;
    pthread_mutex_lock(&chain->mutex);
    chain->next++;
    pthread_cond_broadcast(&chain->turn);
    pthread_mutex_unlock(&chain->mutex);
}

/* ---- pieces ---- */

enum imsg_status imsg_pieces_new(const struct imsg_pieces_plan *plan, struct imsg_pieces **out, struct imsg_error *err)
{
    static const uint8_t counter_zero[16]; /* every file has a key of its own (format.md §7) */
    struct imsg_pieces *pieces = calloc(1, sizeof *pieces);
    if (!pieces)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    pieces->plan = *plan;
    bool room = true;
    for (unsigned i = 0; i < CHAINS; i++) { /* these cannot fail where threads are futexes, or plain memory */
        pthread_mutex_init(&pieces->chains[i].mutex, NULL);
        pthread_cond_init(&pieces->chains[i].turn, NULL);
    }
    for (unsigned i = 0; i < ROOMS; i++)
        room = (pieces->pieces[i].bytes = malloc(IMSG_PIECE)) != NULL && room;
    if (plan->key)
        room = (pieces->plain = malloc(IMSG_PIECE)) != NULL && room;
    enum imsg_status status = room ? IMSG_OK : imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    if (status == IMSG_OK)
        status = imsg_digest_new(IMSG_SHA1, &pieces->sha1, err);
    if (status == IMSG_OK)
        status = imsg_digest_new(IMSG_SHA256, &pieces->sha256, err);
    if (status == IMSG_OK && plan->key)
        status = imsg_ctr_new(plan->key, counter_zero, &pieces->ctr, err);
    if (status == IMSG_OK)
        status = imsg_pool_new(1, ROOMS * CHAINS, do_step, &pieces->pool, err);
    if (status == IMSG_OK)
        *out = pieces;
    else
        imsg_pieces_free(pieces);
    return status;
}

/* Until at most `most` steps are under way. */
static void wait_for_steps(struct imsg_pieces *pieces, size_t most)
{
    while (pieces->under_way > most) {
        const struct step *step = imsg_pool_next(pieces->pool);
        pieces->under_way--;
        if (pieces->status == IMSG_OK && step->status != IMSG_OK) {
            pieces->status = step->status;
            pieces->err = step->err;
        }
    }
}

static enum imsg_status status_of(const struct imsg_pieces *pieces, struct imsg_error *err)
{
    if (pieces->status != IMSG_OK && err)
        *err = pieces->err;
    return pieces->status;
}

uint8_t *imsg_pieces_room(struct imsg_pieces *pieces)
{
    wait_for_steps(pieces, CHAINS * (ROOMS - 1));
    return pieces->pieces[pieces->count % ROOMS].bytes;
}

uint64_t imsg_pieces_size(const struct imsg_pieces *pieces)
{
    return pieces->size;
}

enum imsg_status imsg_pieces_wait(struct imsg_pieces *pieces, struct imsg_error *err)
{
    wait_for_steps(pieces, 0);
    return status_of(pieces, err);
}

static enum imsg_status use_all_threads(struct imsg_pieces *pieces, struct imsg_error *err)
{
    struct imsg_pool *pool = NULL;
    wait_for_steps(pieces, 0);
    enum imsg_status status = imsg_pool_new(pieces->plan.threads, ROOMS * CHAINS, do_step, &pool, err);
    if (status != IMSG_OK)
        return status;
    imsg_pool_free(pieces->pool);
    pieces->pool = pool;
    pieces->wide = true;
    return IMSG_OK;
}

enum imsg_status imsg_pieces_add(struct imsg_pieces *pieces, size_t len, bool from_part, struct imsg_error *err)
{
    struct piece *piece = &pieces->pieces[pieces->count % ROOMS];
    enum imsg_status status = status_of(pieces, err);
    if (status == IMSG_OK && !pieces->wide && pieces->plan.threads > 1 && pieces->size >= WORTH_IT)
        status = use_all_threads(pieces, err);
    if (status != IMSG_OK)
        return status;
    piece->len = len;
    piece->most = len > piece->most ? len : piece->most;
    piece->from_part = from_part;
    for (unsigned i = 0; i < CHAINS; i++) {
        struct step *step = &pieces->steps[pieces->count % ROOMS][i];
        *step = (struct step){.pieces = pieces, .chain = i, .number = pieces->count};
        imsg_pool_add(pieces->pool, step);
        pieces->under_way++;
    }
    pieces->count++;
    pieces->size += len;
    return pieces->wide ? IMSG_OK : imsg_pieces_wait(pieces, err); /* alone there is nothing to gain by waiting */
}

enum imsg_status imsg_pieces_end(struct imsg_pieces *pieces, uint8_t sha1[static 20], uint8_t sha256[static 32],
                                 struct imsg_error *err)
{
    enum imsg_status status = imsg_pieces_wait(pieces, err);
    if (status == IMSG_OK)
        status = imsg_digest_final(pieces->sha1, sha1, err);
    return status == IMSG_OK ? imsg_digest_final(pieces->sha256, sha256, err) : status;
}

/* On either way one of them held plaintext. Memory that was never used is not touched. */
static void wipe_and_free(uint8_t *bytes, size_t most)
{
    if (bytes)
        imsg_wipe(bytes, most);
    free(bytes);
}

void imsg_pieces_free(struct imsg_pieces *pieces)
{
    if (!pieces)
        return;
    imsg_pool_free(pieces->pool);
    imsg_digest_free(pieces->sha1);
    imsg_digest_free(pieces->sha256);
    imsg_ctr_free(pieces->ctr);
    for (unsigned i = 0; i < ROOMS; i++)
        wipe_and_free(pieces->pieces[i].bytes, pieces->pieces[i].most);
    wipe_and_free(pieces->plain, pieces->plain_most);
    for (unsigned i = 0; i < CHAINS; i++) {
        pthread_mutex_destroy(&pieces->chains[i].mutex);
        pthread_cond_destroy(&pieces->chains[i].turn);
    }
    free(pieces);
}
