/* An answer as it comes in: its status and which part it is, its body counted and passed on. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/text.h"
#include "net/http_transfer.h"

#define ERROR_KEPT 4096      /* bytes of an error's body, for its reason */
#define ERROR_MAX (64 << 10) /* bytes of it that are listened to */

static bool is_header(struct imsg_view line, const char *name, struct imsg_view *value)
{
    size_t len = strlen(name);
    if (line.len <= len || line.ptr[len] != ':' || strncasecmp((const char *)line.ptr, name, len) != 0)
        return false;
    *value = imsg_view_of(line.ptr + len + 1, line.len - len - 1);
    return true;
}

/* "HTTP/1.1 200 OK": what stood before was an interim answer's (RFC 9110 §15.2). */
static bool is_status(struct imsg_view line, unsigned *status)
{
    const uint8_t *at = line.len > 5 ? memchr(line.ptr, ' ', line.len) : NULL;
    if (!at || memcmp(line.ptr, "HTTP/", 5) != 0 || line.ptr + line.len - at < 4)
        return false;
    *status = 0;
    for (int i = 1; i <= 3; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *status = *status * 10 + (unsigned)(at[i] - '0');
    }
    return true;
}

void transfer_header(struct transfer *transfer, struct imsg_view line)
{
    struct imsg_view value;
    unsigned status;
    if (is_status(line, &status)) {
        transfer->answer.status = status;
        transfer->has_range = transfer->head_ended = false;
    } else if (line.len == 2 && memcmp(line.ptr, "\r\n", 2) == 0) {
        transfer->head_ended = true;
    } else if (is_header(line, "content-range", &value)) {
        transfer->has_range = imsg_http_content_range(value, &transfer->range_first);
    }
}

/* The part of an error that is kept; an endless one ends here, and is an answer all the same. */
static bool keep_error(struct transfer *transfer, struct imsg_view piece)
{
    struct imsg_buf *body = &transfer->answer.body;
    size_t room = body->len < ERROR_KEPT ? ERROR_KEPT - body->len : 0;
    if (imsg_buf_append(body, piece.ptr, piece.len < room ? piece.len : room, &transfer->sink_err) != IMSG_OK) {
        transfer->sunk = IMSG_NO_MEMORY;
        return false;
    }
    return transfer->received <= ERROR_MAX;
}

/* Where this body starts in the whole. */
static bool find_offset(struct transfer *transfer)
{
    bool partial = transfer->answer.status == 206;
    transfer->skip = partial ? 0 : transfer->given;
    return partial ? transfer->given > 0 && transfer->has_range && transfer->range_first == transfer->given : true;
}

bool transfer_body(struct transfer *transfer, struct imsg_view piece)
{
    const struct imsg_http_request *request = transfer->request;
    struct imsg_http_answer *answer = &transfer->answer;
    bool first = transfer->received == 0, whole = true;
    transfer->received += piece.len;
    if (answer->status / 100 != 2)
        return keep_error(transfer, piece);
    if (first && request->sink && !find_offset(transfer)) {
        transfer->out_of_turn = true;
        return false;
    }
    size_t had = transfer->skip < piece.len ? (size_t)transfer->skip : piece.len;
    transfer->skip -= had;
    piece = imsg_view_of(piece.ptr + had, piece.len - had);
    uint64_t room = request->max - (request->sink ? transfer->given : answer->body.len);
    if (piece.len > room) {
        whole = false;
        answer->cut = request->cut;
        transfer->over = !request->cut;
        piece.len = request->cut ? (size_t)room : 0;
    }
    if (piece.len > 0 && request->sink) {
        transfer->sunk = request->sink(request->context, piece, &transfer->sink_err);
        transfer->given += piece.len;
    } else if (piece.len > 0) {
        transfer->sunk = imsg_buf_append(&answer->body, piece.ptr, piece.len, &transfer->sink_err);
    }
    return whole && transfer->sunk == IMSG_OK;
}

bool transfer_may_connect(const struct transfer *transfer, const struct sockaddr *address)
{
    const struct imsg_net *net = transfer->net;
    if (transfer->request->socket)
        return address->sa_family == AF_UNIX;
    if (transfer->origin->loopback_only && !imsg_address_is_loopback(address))
        return false;
    return transfer->origin->configured || net->allow_private || imsg_address_is_global(address);
}
