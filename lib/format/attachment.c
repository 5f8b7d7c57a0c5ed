/* attachment/1: the descriptor of a file in the store (formats.md §7). */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "format/document.h"

enum imsg_status imsg_attachment_from_json(const struct json_t *object, struct imsg_attachment *out,
                                           struct imsg_error *err)
{
    struct imsg_attachment attachment = {0};
    enum imsg_status status = imsg_json_kind(object, "attachment/1", err);
    if (status == IMSG_OK)
        status = imsg_json_string(object, "uri", IMSG_REQUIRED, &attachment.uri, err);
    if (status == IMSG_OK)
        status = imsg_json_string(object, "name", IMSG_OPTIONAL, &attachment.name, err);
    if (status == IMSG_OK)
        status = imsg_json_string(object, "type", IMSG_OPTIONAL, &attachment.type, err);
    if (status == IMSG_OK)
        status = imsg_json_integer(object, "size", IMSG_REQUIRED, 0, INT64_MAX, &attachment.size, err);
    if (status == IMSG_OK)
        status = imsg_json_base64(object, "key", IMSG_REQUIRED, attachment.key, sizeof attachment.key, NULL, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(object, "sha1", IMSG_REQUIRED, attachment.sha1, sizeof attachment.sha1, NULL, err);
    if (status == IMSG_OK)
        status = imsg_json_hex(object, "sha256", IMSG_REQUIRED, attachment.sha256, sizeof attachment.sha256, NULL,
                               err);
    if (status != IMSG_OK) {
        if (err)
            err->has_offset = false;
        imsg_error_prefix(err, "attachment descriptor");
        imsg_attachment_free(&attachment);
        return status;
    }
    *out = attachment;
    return IMSG_OK;
}

enum imsg_status imsg_attachment_print(const struct imsg_attachment *attachment, struct imsg_buf *out,
                                       struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_document_new("attachment/1", &object, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(object, "uri", attachment->uri, err);
    if (status == IMSG_OK && attachment->name)
        status = imsg_json_set_string(object, "name", attachment->name, err);
    if (status == IMSG_OK && attachment->type)
        status = imsg_json_set_string(object, "type", attachment->type, err);
    if (status == IMSG_OK)
        status = imsg_json_set(object, "size", json_integer((json_int_t)attachment->size), err);
    if (status == IMSG_OK)
        status = imsg_json_set_base64(object, "key", imsg_view_of(attachment->key, sizeof attachment->key), err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "sha1", imsg_view_of(attachment->sha1, sizeof attachment->sha1), err);
    if (status == IMSG_OK)
        status = imsg_json_set_hex(object, "sha256", imsg_view_of(attachment->sha256, sizeof attachment->sha256), err);
    if (status == IMSG_OK)
        status = imsg_document_line(object, out, err);
    imsg_json_wipe(object);
    json_decref(object);
    return status;
}

void imsg_attachment_free(struct imsg_attachment *attachment)
{
    free(attachment->uri);
    free(attachment->name);
    free(attachment->type);
    imsg_wipe(attachment->key, sizeof attachment->key);
    *attachment = (struct imsg_attachment){0};
}
