/* attachment/1: the descriptor of a file in the store (format.md §7). */
#include "format/attachment.h"

#define AT(member) offsetof(struct imsg_attachment, member)

static const struct imsg_member members[] = {
    IMSG_ROW("uri", TEXT, REQUIRED, AT(uri)),
    IMSG_ROW("name", TEXT, OPTIONAL, AT(name)),
    IMSG_ROW("type", TEXT, OPTIONAL, AT(type)),
    IMSG_ROW("size", NUMBER, REQUIRED, AT(size), .max = INT64_MAX),
    IMSG_ROW("key", BASE64, REQUIRED, AT(key), .len = 32),
    IMSG_ROW("sha1", HEX, REQUIRED, AT(sha1), .len = 20),
    IMSG_ROW("sha256", HEX, REQUIRED, AT(sha256), .len = 32),
    {0},
};
const struct imsg_document imsg_attachment_document = {
    .kind = "attachment/1", .members = members, .size = sizeof(struct imsg_attachment)};

enum imsg_status imsg_attachment_from_json(struct json_t *object, struct imsg_attachment *out, struct imsg_error *err)
{
    struct imsg_attachment attachment = {0};
    enum imsg_status status = imsg_document_read(&imsg_attachment_document, object, &attachment, err);
    if (status == IMSG_OK)
        *out = attachment;
    else
        imsg_error_prefix(err, "attachment descriptor");
    return status;
}

enum imsg_status imsg_attachment_print(const struct imsg_attachment *attachment, struct imsg_buf *out,
                                       struct imsg_error *err)
{
    return imsg_document_print(&imsg_attachment_document, attachment, out, err);
}

void imsg_attachment_free(struct imsg_attachment *attachment)
{
    imsg_document_free(&imsg_attachment_document, attachment);
}
