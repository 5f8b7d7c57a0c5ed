/* message/1: writing one, and naming a group. */
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "format/document.h"

/* The namespace of group ids (RFC 4122 §4.3); chosen once for imsg. */
static const uint8_t group_space[16] = {0x7e, 0x0b, 0x3f, 0x5c, 0x4f, 0x0d, 0x5d, 0x7e,
                                        0x9a, 0x55, 0x6d, 0x1f, 0x6c, 0x0a, 0x2b, 0x11};

/* The members that say what kind of message it is. */
static enum imsg_status set_kind(const struct imsg_compose *compose, json_t *header, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    if (compose->type)
        status = imsg_json_set_string(header, "type", compose->type, err);
    if (status == IMSG_OK && compose->group_id)
        status = imsg_json_set(header, "group",
                               json_pack("{s:s,s:s}", "id", compose->group_id, "name", compose->group_name), err);
    if (status == IMSG_OK && compose->receipt)
        return imsg_json_set(header, "receipt",
                             json_pack("{s:s,s:s}", "of", compose->reply_to, "what", compose->receipt), err);
    if (status == IMSG_OK && compose->reply_to)
        status = imsg_json_set_string(header, "reply_to", compose->reply_to, err);
    return status;
}

static enum imsg_status set_stream(const uint8_t key[static 32], json_t *header, struct imsg_error *err)
{
    json_t *stream = json_object();
    enum imsg_status status = imsg_json_set_base64(stream, "key", imsg_view_of(key, 32), err);
    if (status == IMSG_OK)
        return imsg_json_set(header, "stream", stream, err);
    json_decref(stream);
    return status;
}

enum imsg_status imsg_message_print(const struct imsg_compose *compose, struct imsg_view content,
                                    struct imsg_buf *out, struct imsg_error *err)
{
    json_t *header = NULL;
    enum imsg_status status = imsg_document_new("message/1", &header, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(header, "id", compose->id, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(header, "from", compose->from, err);
    if (status == IMSG_OK)
        status = imsg_json_set_strings(header, "to", compose->to, compose->to_count, err);
    if (status == IMSG_OK)
        status = imsg_json_set_string(header, "time", compose->time, err);
    if (status == IMSG_OK)
        status = set_kind(compose, header, err);
    if (status == IMSG_OK && compose->attachments && json_array_size(compose->attachments) > 0)
        status = imsg_json_set(header, "attachments", json_incref(compose->attachments), err);
    if (status == IMSG_OK && compose->stream_key)
        status = set_stream(compose->stream_key, header, err);
    if (status == IMSG_OK)
        status = imsg_document_line(header, out, err);
    if (status == IMSG_OK)
        status = imsg_buf_append(out, content.ptr, content.len, err);
    imsg_json_wipe(json_object_get(header, "stream"));
    json_decref(header);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum imsg_status imsg_group_id(const char *const *participants, size_t count, const char *name, char out[static 37],
                               struct imsg_error *err)
{
    struct imsg_buf text = {0};
    enum imsg_status status = IMSG_OK;
    const char **sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(sorted, participants, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        if (i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0)
            continue;
        status = imsg_buf_text(&text, sorted[i], err);
        if (status == IMSG_OK)
            status = imsg_buf_text(&text, "\n", err);
    }
    if (status == IMSG_OK)
        status = imsg_buf_text(&text, name, err);
    if (status == IMSG_OK)
        status = imsg_uuid_v5(group_space, imsg_buf_view(&text), out, err);
    imsg_buf_free(&text);
    free(sorted);
    return status;
}
