/* Content in pieces of one size, and the knowledge of which is the last, for which one byte is read ahead. */
#include "cli/cli.h"

#include <string.h>

void cli_chunks_start(struct cli_chunks *chunks, struct imsg_view first, int fd)
{
    *chunks = (struct cli_chunks){.first = first, .fd = fd};
}

/* From what was read already, then from the descriptor (-1: there is no more). */
static enum imsg_status take(struct cli_chunks *chunks, uint8_t *out, size_t size, size_t *len, struct imsg_error *err)
{
    size_t have = chunks->first.len < size ? chunks->first.len : size, got = 0;
    enum imsg_status status = IMSG_OK;
    if (have > 0)
        memcpy(out, chunks->first.ptr, have);
    chunks->first = imsg_view_of(chunks->first.ptr + have, chunks->first.len - have);
    if (have < size && chunks->fd >= 0)
        status = imsg_read_into(chunks->fd, out + have, size - have, &got, err);
    *len = have + got;
    return status;
}

enum imsg_status cli_chunks_next(struct cli_chunks *chunks, uint8_t *out, size_t size, size_t *len, bool *last,
                                 struct imsg_error *err)
{
    size_t ahead = chunks->has_ahead, more = 0;
    out[0] = ahead ? chunks->ahead : 0;
    enum imsg_status status = take(chunks, out + ahead, size - ahead, len, err);
    *len += ahead;
    if (status == IMSG_OK && *len == size)
        status = take(chunks, &chunks->ahead, 1, &more, err);
    chunks->has_ahead = more > 0;
    *last = !chunks->has_ahead;
    return status;
}

bool cli_chunks_would_wait(const struct cli_chunks *chunks)
{
    return chunks->first.len == 0 && chunks->fd >= 0 && imsg_read_would_wait(chunks->fd);
}

size_t cli_chunk_slots(const struct cli *cli)
{
    unsigned jobs = cli_jobs(cli);
    if (jobs == 1)
        return 1;
    return jobs + 2 < CLI_CHUNKS_MAX ? jobs + 2 : CLI_CHUNKS_MAX;
}
