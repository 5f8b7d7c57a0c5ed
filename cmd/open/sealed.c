/* The binary part of a sealed file: chunk after chunk, opened on all cores, written in order. */
#include "open/open.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/text.h"

#define SLOT (IMSG_STREAM_CHUNK + IMSG_STREAM_EXTRA)

/* One chunk under way. */
struct slot {
    struct imsg_stream *stream;
    const uint8_t *auth;
    struct imsg_chunk chunk; /* with room for SLOT bytes */
    enum imsg_status status;
    struct imsg_error err;
};

static void open_slot(void *argument)
{
    struct slot *slot = argument;
    slot->status = imsg_stream_open(slot->stream, slot->auth, &slot->chunk, NULL, &slot->err);
}

/* A slot gets its memory when it is first used: a small file needs one. */
static enum imsg_status make_slot(struct slot *slot, const struct open_sealed *sealed, struct imsg_error *err)
{
    if (slot->chunk.bytes)
        return IMSG_OK;
    slot->auth = sealed->auth;
    slot->chunk.bytes = malloc(SLOT);
    if (!slot->chunk.bytes)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    return imsg_stream_new(sealed->message.stream_key, sealed->message.id, NULL, &slot->stream, err);
}

static void free_slots(struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        imsg_stream_free(slots[i].stream);
        if (slots[i].chunk.bytes)
            imsg_wipe(slots[i].chunk.bytes, SLOT);
        free(slots[i].chunk.bytes);
    }
}

/* A chunk that another follows may end inside a character. */
static bool is_text(struct imsg_view content, bool last)
{
    size_t cut = last ? 0 : 3;
    for (size_t i = 0; i <= cut; i++)
        if (imsg_utf8_valid(imsg_view_of(content.ptr, content.len - i)))
            return true;
    return false;
}

static enum imsg_status finish(struct open_run *run, const struct open_sealed *sealed, const struct cli_input *input,
                               struct slot *slot, bool release, struct imsg_error *err)
{
    enum imsg_status status = slot->status;
    if (status != IMSG_OK) {
        *err = slot->err;
        imsg_error_prefix(err, "%s: chunk %llu", input->name, (unsigned long long)slot->chunk.number + 1);
        if (status == IMSG_REFUSED)
            open_hint_inspect(run, sealed->message.from, err);
    } else if (release) {
        struct imsg_view content = imsg_view_of(slot->chunk.bytes, slot->chunk.len - IMSG_STREAM_EXTRA);
        bool binary = slot->chunk.number == 0 && !is_text(content, slot->chunk.last); /* the first tells for all */
        status = cli_output_write(&run->out, content, binary, err);
    }
    return status;
}

/* From the first chunk to the last; nothing is written unless `release`. */
static enum imsg_status pass(struct open_run *run, const struct open_sealed *sealed, const struct cli_input *input,
                             struct imsg_view ahead, bool release, struct imsg_error *err)
{
    struct slot slots[CLI_CHUNKS_MAX] = {{0}}, *slot;
    struct imsg_pool *pool = NULL;
    struct cli_chunks chunks;
    uint64_t number = 0;
    size_t depth = cli_chunk_slots(&run->cli);
    bool last = false;
    enum imsg_status status = imsg_pool_new(cli_jobs(&run->cli), depth, open_slot, &pool, err);
    cli_chunks_start(&chunks, ahead, input->fd);
    while (status == IMSG_OK && !last) {
        slot = imsg_pool_full(pool) || cli_chunks_would_wait(&chunks) ? imsg_pool_next(pool) : NULL;
        if (slot) {
            status = finish(run, sealed, input, slot, release, err);
            continue;
        }
        slot = &slots[number % depth];
        status = make_slot(slot, sealed, err);
        if (status == IMSG_OK)
            status = cli_chunks_next(&chunks, slot->chunk.bytes, SLOT, &slot->chunk.len, &last, err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "%s", input->name);
            break;
        }
        slot->chunk.number = number++;
        slot->chunk.last = last;
        imsg_pool_add(pool, slot);
    }
    while (status == IMSG_OK && (slot = imsg_pool_next(pool)))
        status = finish(run, sealed, input, slot, release, err);
    imsg_pool_free(pool);
    free_slots(slots, depth);
    return status;
}

enum imsg_status open_chunks(struct open_run *run, const struct open_sealed *sealed, const struct cli_input *input,
                             struct imsg_view ahead, struct imsg_error *err)
{
    bool twice = cli_given(&run->cli, OPT_VERIFY_FIRST), json = cli_given(&run->cli, 'j');
    off_t at = lseek(input->fd, 0, SEEK_CUR);
    enum imsg_status status = IMSG_OK;
    if (json && !run->out.path)
        return imsg_fail(err, IMSG_USAGE, "the content of a sealed file does not go into JSON: give it a file with -o");
    if (json && run->out.opened)
        return open_not_alone(err);
    if (twice && at < 0)
        return imsg_fail(err, IMSG_USAGE, "%s: --verify-first reads twice, which this input does not allow",
                         input->name);
    if (twice) {
        status = pass(run, sealed, input, ahead, false, err);
        if (status == IMSG_OK && lseek(input->fd, at, SEEK_SET) != at)
            status = imsg_fail_errno(err, IMSG_IO, errno, "%s", input->name);
    }
    if (status == IMSG_OK)
        status = pass(run, sealed, input, ahead, true, err);
    if (status == IMSG_OK && !run->out.path)
        status = cli_output_flush(&run->out, err);
    if (status == IMSG_OK && json)
        status = open_print(run, &sealed->envelope, &sealed->message, false, &run->after, err);
    if (status == IMSG_OK)
        open_note(run, &sealed->message);
    if (status == IMSG_REFUSED) { /* told; other inputs go on */
        cli_report(&run->cli, err);
        status = IMSG_OK;
    }
    return status;
}

void open_sealed_free(struct open_sealed *sealed)
{
    imsg_message_free(&sealed->message);
    imsg_envelope_free(&sealed->envelope);
}
