/* GET /3/device/TOKEN: the waiting messages of a mailbox, and the long poll where there are none. */
#include "serve/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/reply.h"
#include "serve/serve.h"

#define BLOCK 65536    /* bytes of a mailbox read and sent at a time */
#define BLOCK_MS 60000 /* for each block: a client that reads slower than 1 KiB/s is cut off */
#define WAIT_MAX 300   /* seconds of one long poll */

struct stream { /* a mailbox longer than one block */
    struct serve *serve;
    struct peer *peer;
    uint8_t token[IMSG_TOKEN];
    struct message_read block;
    size_t sent;
};

static ssize_t stream_read(void *context, uint64_t position, char *out, size_t max)
{
    struct stream *stream = context;
    (void)position;
    struct imsg_buf *lines = &stream->block.out;
    if (stream->sent == lines->len) {
        imsg_buf_clear(lines);
        stream->sent = 0;
        if (stream->block.more && storage_read_messages(stream->serve->storage, &stream->block, NULL) != IMSG_OK)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (lines->len == 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
        stream->peer->deadline = imsg_monotonic() + BLOCK_MS;
    }
    size_t len = lines->len - stream->sent < max ? lines->len - stream->sent : max;
    memcpy(out, lines->ptr + stream->sent, len);
    stream->sent += len;
    return (ssize_t)len;
}

static void stream_free(void *context)
{
    struct stream *stream = context;
    imsg_buf_free(&stream->block.out);
    free(stream);
}

static void reply_stream(struct request *request, struct message_read *block)
{
    const struct fetch *fetch = request->state;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    *stream = (struct stream){.serve = request->serve, .peer = request->peer, .block = *block};
    memcpy(stream->token, fetch->token, IMSG_TOKEN);
    stream->block.token = stream->token;
    block->out = (struct imsg_buf){0};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK / 4, stream_read, stream, stream_free);
    if (!response)
        stream_free(stream);
    reply(request, MHD_HTTP_OK, response);
    reply_header(request, "Content-Type", "application/x-ndjson");
}

/* Answer with what waits, or wait. True: the mailbox changed in between, so look again. */
static bool fetch_look(struct request *request)
{
    struct fetch *fetch = request->state;
    struct serve *serve = request->serve;
    enum poll_result wait = POLL_OVER;
    struct message_read block = {.token = fetch->token, .enough = BLOCK};
    struct imsg_error err = {0};
    struct mailbox mailbox;
    uint64_t changes = 0;
    if (!polls_look(&serve->polls, fetch->token, &changes)) {
        reply_failure(request, IMSG_NO_MEMORY);
        return false;
    }
    if (!device_mailbox(request, fetch->token, &mailbox))
        return false;
    enum imsg_status status = IMSG_OK;
    if (mailbox.count > 0)
        status = storage_read_messages(serve->storage, &block, &err);
    if (status != IMSG_OK) {
        cli_note(serve->cli, "%s", err.text);
        reply_failure(request, status);
    } else if (block.more) {
        reply_stream(request, &block);
    } else {
        if (block.out.len == 0 && fetch->poll.until > imsg_monotonic())
            wait = poll_wait(&fetch->poll, fetch->token, changes);
        if (wait == POLL_OVER)
            reply_body(request, MHD_HTTP_OK, "application/x-ndjson", &block.out);
    }
    imsg_buf_free(&block.out);
    return wait == POLL_CHANGED;
}

void fetch_woken(struct request *request)
{
    while (fetch_look(request))
        ;
}

void fetch_end(struct request *request)
{
    struct fetch *fetch = request->state;
    const char *text = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "wait"), *after;
    char *end = NULL;
    unsigned long seconds = 0;
    fetch->poll.request = request;
    if (!device_path(request, fetch->token, &after))
        return;
    if (*after) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
        return;
    }
    if (!device_is_own(request, fetch->token))
        return;
    if (text) {
        seconds = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
        if (!end || *end) {
            reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadWait");
            return;
        }
    }
    fetch->poll.until = imsg_monotonic() + 1000 * (uint64_t)(seconds < WAIT_MAX ? seconds : WAIT_MAX);
    fetch_woken(request);
}
