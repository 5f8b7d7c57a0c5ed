/* message/1: one header line, a newline, the content (format.md §7). */
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/attachment.h"
#include "format/document.h"

static const char start[] = "{\"imsg\":\"message/";

#define AT(member) offsetof(struct imsg_message, member)

static const struct imsg_member group[] = {
    IMSG_ROW("id", UUID, REQUIRED, AT(group_id)),
    IMSG_ROW("name", TEXT, REQUIRED, AT(group_name)),
    {0},
};
static const char *const receipts[] = {"delivered", "read", NULL};
static const struct imsg_member receipt[] = {
    IMSG_ROW("of", UUID, REQUIRED, AT(receipt_of)),
    IMSG_ROW("what", WORD, REQUIRED, AT(receipt), .words = receipts),
    {0},
};
static const struct imsg_member stream[] = {
    IMSG_ROW("key", BASE64, REQUIRED, AT(stream_key), .len = 32, .more = AT(has_stream)),
    {0},
};
static const struct imsg_member members[] = {
    IMSG_ROW("id", UUID, REQUIRED, AT(id)),
    IMSG_ROW("from", HANDLE, REQUIRED, AT(from)),
    IMSG_ROW("to", HANDLES, REQUIRED, AT(to), .more = AT(to_count)),
    IMSG_ROW("time", TIME, REQUIRED, AT(time)),
    IMSG_ROW("type", TEXT, OPTIONAL, AT(type)),
    IMSG_ROW("group", OBJECT, OPTIONAL, 0, .inner = group),
    IMSG_ROW("reply_to", UUID, OPTIONAL, AT(reply_to)),
    IMSG_ROW("receipt", OBJECT, OPTIONAL, 0, .inner = receipt),
    IMSG_ROW("attachments", LIST, OPTIONAL, AT(attachments), .more = AT(attachment_count),
             .element = &imsg_attachment_document),
    IMSG_ROW("stream", OBJECT, OPTIONAL, 0, .inner = stream),
    {0},
};
static const struct imsg_document document = {
    .kind = "message/1", .members = members, .size = sizeof(struct imsg_message)};

static enum imsg_status parse_header(struct imsg_view line, struct imsg_message *out, struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_json_parse(line, IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK)
        status = imsg_document_read(&document, object, out, err);
    json_decref(object);
    return status;
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

enum imsg_status imsg_message_print(struct imsg_message *message, struct imsg_buf *out, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (!message->id) {
        status = imsg_uuid_v4(message->made_id, err);
        message->id = message->made_id;
    }
    if (!message->time) {
        imsg_time_format(imsg_now(), message->made_time);
        message->time = message->made_time;
    }
    if (status == IMSG_OK)
        status = imsg_document_print(&document, message, out, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(out, message->content.ptr, message->content.len, err);
    return status;
}

void imsg_message_free(struct imsg_message *message)
{
    imsg_json_wipe(json_object_get(message->header, "stream")); /* a caller may still hold the header */
    imsg_buf_free(&message->plaintext);
    imsg_document_free(&document, message);
}
