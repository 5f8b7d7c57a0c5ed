/* The content of a sealed file in pieces of one size, and the sealing and opening of many at a time. */
#ifndef IMSG_CLIENT_CHUNKS_H
#define IMSG_CLIENT_CHUNKS_H

#include "imsg-client.h"

struct imsg_chunks {
    struct imsg_view first; /* read already, and not yet given out */
    int fd;                 /* -1: `first` is all */
    uint8_t ahead;
    bool has_ahead;
};
/* `first`, borrowed, and then what is left in fd. */
void imsg_chunks_start(struct imsg_chunks *chunks, struct imsg_view first, int fd);
/* The next `size` bytes into `out`, fewer only at the end, and whether they are the last. Not again after *last. */
IMSG_CHECK enum imsg_status imsg_chunks_next(struct imsg_chunks *chunks, uint8_t *out, size_t size, size_t *len,
                                             bool *last, struct imsg_error *err);
/* True if reading the next piece would wait for its writer. */
bool imsg_chunks_would_wait(const struct imsg_chunks *chunks);

/* One chunk under way: content, or content with tag and signature. */
struct imsg_chunk_job {
    const struct imsg_chunk_work *of;
    struct imsg_stream *stream;
    struct imsg_chunk chunk; /* with room for IMSG_STREAM_CHUNK + IMSG_STREAM_EXTRA bytes */
    enum imsg_status status;
    struct imsg_error err;
};
/* What is done with the chunks of an input. */
struct imsg_chunk_work {
    unsigned threads;
    size_t size; /* bytes of a chunk as it is read */
    const uint8_t *key;
    const struct imsg_stream_line *line;
    struct imsg_view first; /* of the input, read already */
    const struct imsg_input *input;
    void (*work)(struct imsg_chunk_job *job); /* on any thread; leaves status and err */
    enum imsg_status (*finish)(void *context, struct imsg_chunk_job *job, struct imsg_error *err); /* in order */
    void *context;
};
/* From the first chunk to the last. What is done is finished before the input is waited for. */
IMSG_CHECK enum imsg_status imsg_chunks_run(const struct imsg_chunk_work *work, struct imsg_error *err);

#endif
