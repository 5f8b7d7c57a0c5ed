/* Making a sealed file: envelopes for all recipients or nothing, then the content in chunks. */
#include "client/chunks.h"
#include "client/seal.h"
#include "crypto/crypto.h"

struct writing {
    const struct imsg_p256 *signer;
    imsg_sink *sink;
    void *context;
};

static void seal_chunk(struct imsg_chunk_job *job)
{
    const struct writing *writing = job->of->context;
    job->status = imsg_stream_seal(job->stream, writing->signer, &job->chunk, &job->err);
}

static enum imsg_status write_chunk(void *context, struct imsg_chunk_job *job, struct imsg_error *err)
{
    const struct writing *writing = context;
    if (job->status == IMSG_OK)
        return writing->sink(writing->context, imsg_view_of(job->chunk.bytes, job->chunk.len + IMSG_STREAM_EXTRA), err);
    *err = job->err;
    return job->status;
}

/* Envelopes and stream/1 line. */
static enum imsg_status seal_head(struct imsg_sealer *sealer, struct imsg_draft *draft, const struct writing *writing,
                                  struct imsg_stream_line *line, struct imsg_error *err)
{
    enum imsg_status status = imsg_seal_drafts(sealer, draft, 1, err);
    if (status == IMSG_OK && draft->status != IMSG_OK) {
        *err = draft->err;
        status = draft->status;
    }
    if (status != IMSG_OK || draft->partial)
        return status;
    status = imsg_stream_commit(draft->id, draft->stream_key, line, err);
    if (status == IMSG_OK)
        status = imsg_stream_print(line, &draft->lines, err);
    return status == IMSG_OK ? writing->sink(writing->context, imsg_buf_view(&draft->lines), err) : status;
}

enum imsg_status imsg_seal_file(struct imsg_sealer *sealer, struct imsg_draft *draft, const struct imsg_input *input,
                                imsg_sink *sink, void *context, struct imsg_error *err)
{
    struct imsg_error unheard;
    struct imsg_identity *identity;
    struct writing writing = {.sink = sink, .context = context};
    struct imsg_stream_line line;
    uint8_t key[32];
    if (draft->partial)
        return IMSG_OK;
    if (!err)
        err = &unheard;
    if (draft->target_count == 0)
        return imsg_fail(err, IMSG_NO_INPUT, "no device to seal for");
    enum imsg_status status = imsg_client_identity(sealer->client, &identity, err);
    if (status == IMSG_OK)
        status = imsg_random(key, sizeof key, err);
    draft->stream_key = key;
    if (status == IMSG_OK)
        status = seal_head(sealer, draft, &writing, &line, err);
    if (status == IMSG_OK && !draft->partial) {
        const struct imsg_chunk_work work = {
            .threads = imsg_client_threads(sealer->client),
            .size = IMSG_STREAM_CHUNK,
            .key = key,
            .line = &line,
            .first = imsg_buf_view(&draft->content),
            .input = input,
            .work = seal_chunk,
            .finish = write_chunk,
            .context = &writing,
        };
        writing.signer = imsg_identity_signer(identity);
        status = imsg_chunks_run(&work, err);
    }
    draft->stream_key = NULL;
    imsg_wipe(key, sizeof key);
    return status;
}
