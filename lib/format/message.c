/* message/1: one header line, a newline, the content (formats.md §7). */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"

static const char start[] = "{\"imsg\":\"message/";

static enum imsg_status parse_group(const json_t *header, struct imsg_message *message, struct imsg_error *err)
{
    json_t *group = NULL;
    enum imsg_status status = imsg_json_object(header, "group", IMSG_OPTIONAL, &group, err);
    if (status != IMSG_OK || !group)
        return status;
    status = imsg_json_uuid(group, "id", IMSG_REQUIRED, &message->group_id, err);
    if (status == IMSG_OK)
        status = imsg_json_string(group, "name", IMSG_REQUIRED, &message->group_name, err);
    return status;
}

static enum imsg_status check_receipt(const json_t *header, struct imsg_error *err)
{
    json_t *receipt = NULL;
    char *of = NULL;
    const char *what = NULL;
    enum imsg_status status = imsg_json_object(header, "receipt", IMSG_OPTIONAL, &receipt, err);
    if (status != IMSG_OK || !receipt)
        return status;
    status = imsg_json_uuid(receipt, "of", IMSG_REQUIRED, &of, err);
    free(of);
    if (status == IMSG_OK)
        status = imsg_json_peek(receipt, "what", IMSG_REQUIRED, &what, err);
    if (status == IMSG_OK && strcmp(what, "read") != 0 && strcmp(what, "delivered") != 0)
        status = imsg_fail(err, IMSG_MALFORMED, "receipt of kind \"%.64s\"", what);
    return status;
}

static enum imsg_status check_attachments(const json_t *header, struct imsg_error *err)
{
    json_t *array = NULL, *item;
    size_t i;
    enum imsg_status status = imsg_json_array(header, "attachments", IMSG_OPTIONAL, &array, err);
    if (status != IMSG_OK || !array)
        return status;
    json_array_foreach (array, i, item) {
        struct imsg_attachment attachment = {0};
        status = json_is_object(item) ? imsg_attachment_from_json(item, &attachment, err)
                                      : imsg_fail(err, IMSG_MALFORMED, "attachment %zu is no object", i);
        imsg_attachment_free(&attachment);
        if (status != IMSG_OK)
            return status;
    }
    return IMSG_OK;
}

static enum imsg_status check_stream(const json_t *header, struct imsg_message *message, struct imsg_error *err)
{
    json_t *stream = NULL;
    enum imsg_status status = imsg_json_object(header, "stream", IMSG_OPTIONAL, &stream, err);
    if (status != IMSG_OK || !stream)
        return status;
    status = imsg_json_base64(stream, "key", IMSG_REQUIRED, message->stream_key, sizeof message->stream_key, NULL, err);
    message->has_stream = status == IMSG_OK;
    return status;
}

static enum imsg_status parse_header(struct imsg_view line, struct imsg_message *message, struct imsg_error *err)
{
    char *reply_to = NULL;
    enum imsg_status status = imsg_json_document(line, IMSG_LINE_MAX, "message/1", &message->header, err);
    const json_t *header = message->header;
    if (status == IMSG_OK)
        status = imsg_json_uuid(header, "id", IMSG_REQUIRED, &message->id, err);
    if (status == IMSG_OK)
        status = imsg_json_handle(header, "from", IMSG_REQUIRED, &message->from, err);
    if (status == IMSG_OK)
        status = imsg_json_handles(header, "to", &message->to, &message->to_count, err);
    if (status == IMSG_OK)
        status = imsg_json_time(header, "time", IMSG_REQUIRED, &message->time, err);
    if (status == IMSG_OK)
        status = imsg_json_string(header, "type", IMSG_OPTIONAL, &message->type, err);
    if (status == IMSG_OK)
        status = imsg_json_uuid(header, "reply_to", IMSG_OPTIONAL, &reply_to, err);
    free(reply_to);
    if (status == IMSG_OK)
        status = parse_group(header, message, err);
    if (status == IMSG_OK)
        status = check_receipt(header, err);
    if (status == IMSG_OK)
        status = check_attachments(header, err);
    return status == IMSG_OK ? check_stream(header, message, err) : status;
}

enum imsg_status imsg_message_parse(struct imsg_view plaintext, struct imsg_message *out, struct imsg_error *err)
{
    struct imsg_message message = {0};
    const uint8_t *newline = plaintext.len ? memchr(plaintext.ptr, '\n', plaintext.len) : NULL;
    if (plaintext.len < sizeof start - 1 || memcmp(plaintext.ptr, start, sizeof start - 1) != 0)
        return imsg_fail(err, IMSG_UNSUPPORTED, "not a message/1: a body of another kind");
    if (!newline)
        return imsg_fail_at(err, IMSG_MALFORMED, plaintext.len, "message header without its newline");
    size_t line = (size_t)(newline - plaintext.ptr);
    enum imsg_status status = parse_header(imsg_view_of(plaintext.ptr, line), &message, err);
    if (status != IMSG_OK) {
        imsg_error_prefix(err, "message header");
        imsg_message_free(&message);
        if (status != IMSG_NO_MEMORY)
            status = IMSG_MALFORMED; /* another version of message/1 is refused too, never foreign */
        if (err)
            err->status = status;
        return status;
    }
    message.content = imsg_view_of(newline + 1, plaintext.len - line - 1);
    *out = message;
    return IMSG_OK;
}

void imsg_message_free(struct imsg_message *message)
{
    imsg_json_wipe(json_object_get(message->header, "stream")); /* whoever still holds the header has no use for it */
    json_decref(message->header);
    free(message->id);
    free(message->from);
    free(message->time);
    imsg_strings_free(message->to, message->to_count);
    free(message->type);
    free(message->group_id);
    free(message->group_name);
    imsg_buf_free(&message->plaintext);
    imsg_wipe(message->stream_key, sizeof message->stream_key);
    *message = (struct imsg_message){0};
}
