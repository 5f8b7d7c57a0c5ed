/* POST /3/device/TOKEN: an envelope for a device, from anybody who can sign for the sender's token. */
#include "serve/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "serve/reply.h"
#include "serve/serve.h"

#define FULL_RETRY 60   /* seconds */
#define CLOCK_AHEAD 300 /* seconds: a sender's clock may be so far ahead of ours */

/* apns-expiration: Unix seconds, in the future and at most 30 days away; without it, it is 30 days. */
static bool delivery_set_expiration(struct request *request, int64_t *expires)
{
    const char *text = request_header(request, "apns-expiration");
    char *end = NULL;
    int64_t now = imsg_now(), last = now + (int64_t)IMSG_RELAY_DAYS * 86400;
    *expires = last;
    if (!text)
        return true;
    long long when = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 0;
    if (!end || *end || when <= now || when > last + CLOCK_AHEAD) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadExpirationDate");
        return false;
    }
    *expires = when < last ? when : last;
    return true;
}

void delivery_begin(struct request *request)
{
    struct delivery *delivery = request->state;
    struct mailbox mailbox;
    const char *after, *id = request_header(request, "apns-id");
    delivery->request = request;
    if (!device_path(request, delivery->token, &after))
        return;
    if (*after) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
        return;
    }
    if (id && !imsg_uuid_valid(id))
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
    else if (delivery_set_expiration(request, &delivery->put.expires) &&
             device_mailbox(request, delivery->token, &mailbox))
        (void)authorize_sender(request); /* last: it may check a signature */
}

/* The body is one line, so that a mailbox is JSON Lines; without its newline here. */
static bool body_is_one_line(struct imsg_buf *body)
{
    if (body->len > 0 && body->ptr[body->len - 1] == '\n')
        body->len--;
    return body->len > 0 && !memchr(body->ptr, '\n', body->len) && !memchr(body->ptr, '\r', body->len);
}

static void delivery_check_envelope(struct delivery *delivery, const struct imsg_envelope *envelope)
{
    struct request *request = delivery->request;
    struct mailbox mailbox;
    const char *id = request_header(request, "apns-id");
    if (memcmp(envelope->from_token, request->sender, IMSG_TOKEN) != 0) {
        request->serve->metrics.refused_tokens++;
        reply_reason(request, MHD_HTTP_FORBIDDEN, "InvalidProviderToken");
    } else if (memcmp(envelope->to_token, delivery->token, IMSG_TOKEN) != 0) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadDeviceToken");
    } else if (id && strcmp(id, envelope->id) != 0) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadMessageId");
    } else if (device_mailbox(request, delivery->token, &mailbox) && envelope->payload.len > mailbox.limit) {
        reply_reason(request, MHD_HTTP_CONTENT_TOO_LARGE, "PayloadTooLarge");
    }
    memcpy(delivery->name, envelope->name, sizeof delivery->name);
    memcpy(delivery->id, envelope->id, sizeof delivery->id);
}

static void delivery_done(struct operation *operation, enum imsg_status status)
{
    request_resume(((struct delivery *)operation)->request, status);
}

void delivery_end(struct request *request)
{
    struct delivery *delivery = request->state;
    struct serve *serve = request->serve;
    struct imsg_envelope envelope = {0};
    if (request->body.len == 0) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "PayloadEmpty");
        return;
    }
    if (!body_is_one_line(&request->body) ||
        imsg_envelope_parse(imsg_buf_view(&request->body), &envelope, NULL) != IMSG_OK) {
        reply_reason(request, MHD_HTTP_BAD_REQUEST, "BadEnvelope");
        return;
    }
    delivery_check_envelope(delivery, &envelope);
    if (serve->log_handles && imsg_strdup(envelope.to, &request->handle, NULL) != IMSG_OK)
        request->handle = NULL;
    imsg_envelope_free(&envelope);
    if (request->response)
        return;
    if (imsg_buf_text(&request->body, "\n", NULL) != IMSG_OK) {
        reply_failure(request, IMSG_NO_MEMORY);
        return;
    }
    struct message_put *put = &delivery->put;
    put->operation.done = delivery_done;
    put->token = delivery->token;
    put->from = request->sender;
    put->name = delivery->name;
    put->line = imsg_buf_view(&request->body);
    put->max_count = serve->mailbox_count;
    put->max_bytes = serve->mailbox_bytes;
    request_park(request);
    if (!storage_put_message(serve->storage, put))
        request_resume(request, IMSG_TEMPORARY);
}

void delivery_woken(struct request *request)
{
    const struct delivery *delivery = request->state;
    struct metrics *metrics = &request->serve->metrics;
    struct mailbox mailbox;
    if (request->result != IMSG_OK) {
        reply_failure(request, request->result);
        return;
    }
    switch (delivery->put.result) {
    case MESSAGE_UNREGISTERED:
        if (device_mailbox(request, delivery->token, &mailbox)) /* listed again since */
            reply_failure(request, IMSG_TEMPORARY);
        return;
    case MESSAGE_MAILBOX_FULL:
        metrics->limited++;
        reply_later(request, MHD_HTTP_TOO_MANY_REQUESTS, "TooManyRequests", FULL_RETRY);
        return;
    case MESSAGE_DUPLICATE:
        metrics->duplicates++;
        break;
    case MESSAGE_STORED:
        metrics->delivered++;
        break;
    }
    reply_empty(request, MHD_HTTP_OK);
    reply_header(request, "apns-id", delivery->id);
}
