#include "client/chunks.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/pipeline.h"

#define ROOM (IMSG_STREAM_CHUNK + IMSG_STREAM_EXTRA)
/* As many chunks as keep the threads busy, and two more for reading and writing, within the memory that a stream may
 * take. */
#define JOBS_MAX 5

void imsg_chunks_start(struct imsg_chunks *chunks, struct imsg_view first, int fd)
{
    *chunks = (struct imsg_chunks){.first = first, .fd = fd};
}

/* From what was read already, then from the descriptor. */
static enum imsg_status read_bytes(struct imsg_chunks *chunks, uint8_t *out, size_t size, size_t *len,
                                   struct imsg_error *err)
{
    size_t have = chunks->first.len < size ? chunks->first.len : size, got = 0;
    enum imsg_status status = IMSG_OK;
    if (have > 0) {
        memcpy(out, chunks->first.ptr, have);
        chunks->first = imsg_view_of(chunks->first.ptr + have, chunks->first.len - have);
    }
    if (have < size && chunks->fd >= 0)
        status = imsg_read_into(chunks->fd, out + have, size - have, &got, err);
    *len = have + got;
    return status;
}

/* One byte is read ahead, to know which chunk is the last. */
enum imsg_status imsg_chunks_next(struct imsg_chunks *chunks, uint8_t *out, size_t size, size_t *len, bool *last,
                                  struct imsg_error *err)
{
    size_t ahead = chunks->has_ahead, more = 0;
    out[0] = ahead ? chunks->ahead : 0;
    enum imsg_status status = read_bytes(chunks, out + ahead, size - ahead, len, err);
    *len += ahead;
    if (status == IMSG_OK && *len == size)
        status = read_bytes(chunks, &chunks->ahead, 1, &more, err);
    chunks->has_ahead = more > 0;
    *last = !chunks->has_ahead;
    return status;
}

bool imsg_chunks_would_wait(const struct imsg_chunks *chunks)
{
    return chunks->first.len == 0 && chunks->fd >= 0 && imsg_read_would_wait(chunks->fd);
}

/* ---- many at a time ---- */

struct run {
    const struct imsg_chunk_work *work;
    struct imsg_chunks chunks;
    uint64_t number;
    bool last;
};

/* A job gets its memory when it is first used: a small file needs one. */
static enum imsg_status make_job(const struct imsg_chunk_work *work, struct imsg_chunk_job *job, struct imsg_error *err)
{
    if (job->chunk.bytes)
        return IMSG_OK;
    job->of = work;
    job->chunk.bytes = malloc(ROOM);
    if (!job->chunk.bytes)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    return imsg_stream_new(work->key, work->line, &job->stream, err);
}

static enum imsg_status chunk_read(void *context, void *argument, bool busy, enum imsg_pipeline_step *step,
                                   struct imsg_error *err)
{
    struct run *run = context;
    struct imsg_chunk_job *job = argument;
    struct imsg_chunk *chunk = &job->chunk;
    *step = run->last ? IMSG_STEP_END : busy && imsg_chunks_would_wait(&run->chunks) ? IMSG_STEP_LATER : IMSG_STEP_JOB;
    if (*step != IMSG_STEP_JOB)
        return IMSG_OK;
    enum imsg_status status = make_job(run->work, job, err);
    if (status != IMSG_OK)
        return status;
    status = imsg_chunks_next(&run->chunks, chunk->bytes, run->work->size, &chunk->len, &run->last, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", run->work->input->name);
    chunk->number = run->number++;
    chunk->last = run->last;
    return status;
}

static void chunk_work(void *argument)
{
    struct imsg_chunk_job *job = argument;
    job->of->work(job);
}

static enum imsg_status chunk_finish(void *context, void *job, struct imsg_error *err)
{
    const struct run *run = context;
    return run->work->finish(run->work->context, job, err);
}

static void chunk_clear(void *argument)
{
    struct imsg_chunk_job *job = argument;
    imsg_stream_free(job->stream);
    if (job->chunk.bytes)
        imsg_wipe(job->chunk.bytes, ROOM);
    free(job->chunk.bytes);
}

enum imsg_status imsg_chunks_run(const struct imsg_chunk_work *work, struct imsg_error *err)
{
    struct run run = {.work = work};
    size_t depth = work->threads + 2 < JOBS_MAX ? work->threads + 2 : JOBS_MAX;
    const struct imsg_pipeline pipeline = {
        .threads = work->threads,
        .depth = work->threads > 1 ? depth : 1,
        .job_size = sizeof(struct imsg_chunk_job),
        .read = chunk_read,
        .work = chunk_work,
        .finish = chunk_finish,
        .clear = chunk_clear,
        .context = &run,
    };
    imsg_chunks_start(&run.chunks, work->first, work->input->fd);
    return imsg_pipeline_run(&pipeline, err);
}
