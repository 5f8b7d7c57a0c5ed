/* -s: envelopes for all recipients or nothing, then the content in chunks, sealed on all cores, written in order. */
#include "seal/seal.h"

#include <stdlib.h>

#include "base/pool.h"
#include "crypto/crypto.h"

#define SLOT (IMSG_STREAM_CHUNK + IMSG_STREAM_EXTRA)

/* One chunk under way. */
struct slot {
    struct imsg_stream *stream;
    const struct imsg_p256 *signer;
    struct imsg_chunk chunk; /* with room for SLOT bytes; its length is that of the content */
    enum imsg_status status;
    struct imsg_error err;
};

static void seal_slot(void *argument)
{
    struct slot *slot = argument;
    slot->status = imsg_stream_seal(slot->stream, slot->signer, &slot->chunk, &slot->err);
}

/* A slot gets its memory when it is first used: a small file needs one. */
static enum imsg_status make_slot(struct seal *run, struct slot *slot, struct imsg_error *err)
{
    if (slot->chunk.bytes)
        return IMSG_OK;
    slot->signer = imsg_identity_signer(&run->identity);
    slot->chunk.bytes = malloc(SLOT);
    if (!slot->chunk.bytes)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    return imsg_stream_new(run->message.stream_key, run->message.id, NULL, &slot->stream, err);
}

static enum imsg_status finish(struct seal *run, struct slot *slot, struct imsg_error *err)
{
    if (slot->status == IMSG_OK)
        return cli_output_write(&run->out, imsg_view_of(slot->chunk.bytes, slot->chunk.len + IMSG_STREAM_EXTRA), true, err);
    *err = slot->err;
    return slot->status;
}

static enum imsg_status seal_chunks(struct seal *run, struct imsg_pool *pool, struct slot *slots, size_t depth,
                                    struct imsg_error *err)
{
    struct cli_chunks chunks;
    struct slot *slot;
    uint64_t number = 0;
    bool last = false;
    enum imsg_status status = IMSG_OK;
    cli_chunks_start(&chunks, imsg_buf_view(&run->message.content), run->input.fd);
    while (status == IMSG_OK && !last) {
        slot = imsg_pool_full(pool) || cli_chunks_would_wait(&chunks) ? imsg_pool_next(pool) : NULL;
        if (slot) {
            status = finish(run, slot, err);
            continue;
        }
        slot = &slots[number % depth];
        status = make_slot(run, slot, err);
        if (status != IMSG_OK)
            return status;
        status = cli_chunks_next(&chunks, slot->chunk.bytes, IMSG_STREAM_CHUNK, &slot->chunk.len, &last, err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "%s", run->input.name);
            return status;
        }
        slot->chunk.number = number++;
        slot->chunk.last = last;
        imsg_pool_add(pool, slot);
    }
    while (status == IMSG_OK && (slot = imsg_pool_next(pool)))
        status = finish(run, slot, err);
    return status;
}

/* Envelopes and stream/1 line. */
static enum imsg_status seal_head(struct seal *run, struct imsg_error *err)
{
    struct seal_message *message = &run->message;
    enum imsg_status status = seal_messages(run, message, 1, err);
    if (status == IMSG_OK && message->status != IMSG_OK) {
        *err = message->err;
        status = message->status;
    }
    if (status != IMSG_OK || message->partial)
        return status;
    status = imsg_stream_print(message->id, &message->lines, err);
    if (status == IMSG_OK)
        status = cli_output_write(&run->out, imsg_buf_view(&message->lines), true, err);
    return status;
}

enum imsg_status seal_file(struct seal *run, struct imsg_error *err)
{
    struct slot slots[CLI_CHUNKS_MAX] = {{0}};
    struct imsg_pool *pool = NULL;
    uint8_t key[32];
    size_t depth = cli_chunk_slots(&run->cli);
    enum imsg_status status = imsg_random(key, sizeof key, err);
    run->message.stream_key = key;
    if (status == IMSG_OK && !run->message.partial)
        status = seal_head(run, err);
    if (status == IMSG_OK && !run->message.partial) /* all recipients or nothing */
        status = imsg_pool_new(cli_jobs(&run->cli), depth, seal_slot, &pool, err);
    if (pool)
        status = seal_chunks(run, pool, slots, depth, err);
    imsg_pool_free(pool);
    for (size_t i = 0; i < depth; i++) {
        imsg_stream_free(slots[i].stream);
        if (slots[i].chunk.bytes)
            imsg_wipe(slots[i].chunk.bytes, SLOT);
        free(slots[i].chunk.bytes);
    }
    run->message.stream_key = NULL;
    imsg_wipe(key, sizeof key);
    return status;
}
