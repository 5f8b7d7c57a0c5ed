/* Opening the binary part of a sealed file: chunk after chunk, given out in order. */
#include <errno.h>
#include <unistd.h>

#include "base/io.h"
#include "client/chunks.h"
#include "client/once.h"
#include "client/open.h"

struct passing {
    struct imsg_opener *opener;
    const struct imsg_opened *opened;
    const struct imsg_stream_line *line;
    bool release; /* give out what is verified */
};

static void open_chunk(struct imsg_chunk_job *job)
{
    const struct passing *passing = job->of->context;
    job->status = imsg_stream_open(job->stream, passing->opened->auth, &job->chunk, &job->err);
}

static enum imsg_status release_chunk(void *context, struct imsg_chunk_job *job, struct imsg_error *err)
{
    const struct passing *passing = context;
    const struct imsg_opener *opener = passing->opener;
    const struct imsg_chunk *chunk = &job->chunk;
    if (job->status == IMSG_OK && passing->release)
        return opener->file_chunk(opener->context, imsg_view_of(chunk->bytes, chunk->len - IMSG_STREAM_EXTRA),
                                  chunk->number, chunk->last, err);
    if (job->status == IMSG_OK)
        return IMSG_OK;
    *err = job->err;
    imsg_error_prefix(err, "chunk %llu", (unsigned long long)chunk->number + 1);
    if (job->status == IMSG_REFUSED)
        imsg_error_suggest(err, IMSG_HINT_WHY, passing->opened->message.from);
    return job->status;
}

/* From the first chunk to the last. */
static enum imsg_status pass(struct passing *passing, const struct imsg_input *input, struct imsg_view ahead,
                             struct imsg_error *err)
{
    const struct imsg_chunk_work work = {
        .threads = imsg_client_threads(passing->opener->client),
        .size = IMSG_STREAM_CHUNK + IMSG_STREAM_EXTRA,
        .key = passing->opened->message.stream_key,
        .line = passing->line,
        .first = ahead,
        .input = input,
        .work = open_chunk,
        .finish = release_chunk,
        .context = passing,
    };
    return imsg_chunks_run(&work, err);
}

static enum imsg_status verify_all(struct passing *passing, const struct imsg_input *input, struct imsg_view ahead,
                                   struct imsg_error *err)
{
    off_t at = lseek(input->fd, 0, SEEK_CUR);
    if (at < 0)
        return imsg_fail(err, IMSG_USAGE, "%s: this input cannot be read a second time", input->name);
    enum imsg_status status = pass(passing, input, ahead, err);
    if (status == IMSG_OK && lseek(input->fd, at, SEEK_SET) != at)
        status = imsg_fail_errno(err, IMSG_IO, errno, "%s", input->name);
    return status;
}

/* A sealed file counts as opened from its first chunk on. */
enum imsg_status imsg_open_file(struct imsg_opener *opener, struct imsg_opened *opened,
                                const struct imsg_stream_line *line, const struct imsg_input *input,
                                struct imsg_view ahead, struct imsg_error *err)
{
    struct passing passing = {.opener = opener, .opened = opened, .line = line};
    enum imsg_status status = IMSG_OK;
    if (opener->file_begin)
        status = opener->file_begin(opener->context, opened, err);
    if (status == IMSG_OK && opener->verify_first)
        status = verify_all(&passing, input, ahead, err);
    if (status == IMSG_OK && opener->once)
        status = imsg_once_record(opener->client, opener->retry, opened, err);
    passing.release = true;
    if (status == IMSG_OK)
        status = pass(&passing, input, ahead, err);
    if (status == IMSG_OK && opener->file_end)
        status = opener->file_end(opener->context, opened, err);
    if (status != IMSG_OK && opened->recorded)
        (void)!imsg_opened_take_back(opener->client, opened->replay, NULL);
    if (status == IMSG_REFUSED) { /* other inputs go on */
        imsg_opener_tell(opener, 0, false, err);
        status = IMSG_OK;
    }
    return status;
}
