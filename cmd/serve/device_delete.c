/* DELETE /3/device/TOKEN/NAME and POST /3/device/TOKEN/acknowledge: a device has its messages, and they are deleted. */
#include "serve/device.h"

#include <string.h>

#include "serve/reply.h"
#include "serve/serve.h"

static void acknowledge_done(struct operation *operation, enum imsg_status status)
{
    request_resume(((struct acknowledgement *)operation)->request, status);
}

static void acknowledge_submit(struct request *request, const uint8_t *names, size_t count)
{
    struct acknowledgement *acknowledgement = request->state;
    struct message_delete *delete = &acknowledgement->delete;
    acknowledgement->request = request;
    delete->operation.done = acknowledge_done;
    delete->token = acknowledgement->token;
    delete->names = names;
    delete->count = count;
    request_park(request);
    if (!storage_delete_messages(request->serve->storage, delete))
        request_resume(request, IMSG_TEMPORARY);
}

void acknowledge_woken(struct request *request)
{
    const struct acknowledgement *acknowledgement = request->state;
    if (request->result != IMSG_OK) {
        reply_failure(request, request->result);
        return;
    }
    request->serve->metrics.acknowledged += acknowledgement->delete.deleted;
    reply_empty(request, MHD_HTTP_OK);
}

void acknowledge_one_end(struct request *request)
{
    struct acknowledgement *acknowledgement = request->state;
    const char *after;
    if (!device_path(request, acknowledgement->token, &after))
        return;
    if (*after != '/')
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
    else if (strlen(after + 1) != 64 || !hash_decode(after + 1, acknowledgement->name))
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
    else if (device_is_own(request, acknowledgement->token))
        acknowledge_submit(request, acknowledgement->name, 1);
}

void acknowledge_many_begin(struct request *request)
{
    struct acknowledgement *acknowledgement = request->state;
    const char *after;
    if (!device_path(request, acknowledgement->token, &after))
        return;
    if (strcmp(after, request->verb->suffix) != 0)
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
    else
        (void)device_is_own(request, acknowledgement->token);
}

/* Decode lines of 64 hex digits in place; 32 bytes each remain. The last newline may be missing. */
static bool names_decode(struct imsg_buf *body)
{
    size_t count = 0;
    if (body->ptr[body->len - 1] == '\n')
        body->len--;
    for (size_t at = 0; at <= body->len; at += 65, count++) {
        uint8_t name[32];
        if (body->len - at < 64 || !hash_decode((const char *)body->ptr + at, name) ||
            (at + 64 < body->len && body->ptr[at + 64] != '\n'))
            return false;
        memcpy(body->ptr + 32 * count, name, sizeof name);
    }
    body->len = 32 * count;
    return true;
}

void acknowledge_many_end(struct request *request)
{
    struct imsg_buf *body = &request->body;
    if (body->len == 0)
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "PayloadEmpty");
    else if (!names_decode(body))
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
    else
        acknowledge_submit(request, body->ptr, body->len / 32);
}
