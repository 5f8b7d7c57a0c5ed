/* Documents by their rows: reading. Writing and freeing are in member.c. */
#include "format/member.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "format/document.h"

static void *value_of(const struct imsg_member *member, void *base)
{
    return (uint8_t *)base + member->at;
}

static bool *flag_of(const struct imsg_member *member, void *base)
{
    return (bool *)((uint8_t *)base + member->more);
}

static size_t *count_of(const struct imsg_member *member, void *base)
{
    return (size_t *)(void *)((uint8_t *)base + member->more);
}

static enum imsg_status read_word(const struct imsg_member *member, const json_t *object, char **out,
                                  struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member->name, member->need, &text, err);
    if (status != IMSG_OK || !text)
        return status;
    status = imsg_member_check_word(member, text, err);
    return status == IMSG_OK ? imsg_strdup(text, out, err) : status;
}

static enum imsg_status read_format(const struct imsg_member *member, const json_t *object,
                                    const struct imsg_format **out, struct imsg_error *err)
{
    const char *name = NULL;
    enum imsg_status status = imsg_json_peek(object, member->name, member->need, &name, err);
    if (status != IMSG_OK || !name)
        return status;
    *out = imsg_format_of(name);
    return *out ? IMSG_OK : imsg_fail(err, IMSG_UNSUPPORTED, "format \"%.64s\" is not known", name);
}

static enum imsg_status read_bytes(const struct imsg_member *member, const json_t *object, void *base,
                                   struct imsg_error *err)
{
    void *value = value_of(member, base);
    if (member->kind == IMSG_MEMBER_NULL_OR_HEX && json_is_null(json_object_get(object, member->name)))
        return IMSG_OK;
    enum imsg_status status = member->kind == IMSG_MEMBER_BASE64
                                  ? imsg_json_base64(object, member->name, value, member->len, NULL, err)
                                  : imsg_json_hex(object, member->name, value, member->len, NULL, err);
    if (status == IMSG_OK && member->more)
        *flag_of(member, base) = true;
    return status;
}

static enum imsg_status read_payload(const struct imsg_member *member, const json_t *object, struct imsg_buf *out,
                                     struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member->name, member->need, &text, err);
    if (status != IMSG_OK || !text)
        return status;
    status = imsg_base64_decode(imsg_view_str(text), out, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "%s", member->name);
    else if (out->len == 0 || out->len > member->max)
        status = imsg_fail(err, IMSG_MALFORMED, "%s of %zu bytes, not 1 to %llu", member->name, out->len,
                           (unsigned long long)member->max);
    return status;
}

static enum imsg_status read_blob(const struct imsg_member *member, const json_t *item, struct imsg_buf *out,
                                  struct imsg_error *err)
{
    if (!json_is_string(item))
        return imsg_fail(err, IMSG_MALFORMED, "is no string");
    struct imsg_view text = imsg_view_of(json_string_value(item), json_string_length(item));
    enum imsg_status status = imsg_base64_decode(text, out, err);
    if (status == IMSG_OK && (out->len == 0 || out->len > member->max))
        status =
            imsg_fail(err, IMSG_MALFORMED, "has %zu bytes, not 1 to %llu", out->len, (unsigned long long)member->max);
    return status;
}

static enum imsg_status read_blobs(const struct imsg_member *member, const json_t *object, void *base,
                                   struct imsg_error *err)
{
    json_t *array = NULL, *item;
    size_t i;
    enum imsg_status status = imsg_json_array(object, member->name, member->need, &array, err);
    if (status != IMSG_OK || json_array_size(array) == 0)
        return status;
    struct imsg_buf *blobs = calloc(json_array_size(array), sizeof *blobs);
    if (!blobs)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(value_of(member, base), &blobs, sizeof blobs);
    json_array_foreach (array, i, item) {
        *count_of(member, base) = i + 1;
        status = read_blob(member, item, &blobs[i], err);
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "member \"%s\": item %zu", member->name, i + 1);
            return status;
        }
    }
    return IMSG_OK;
}

static enum imsg_status read_object(const struct imsg_member *member, const json_t *object, void *base,
                                    struct imsg_error *err)
{
    json_t *inner = NULL;
    enum imsg_status status = imsg_json_object(object, member->name, member->need, &inner, err);
    if (status != IMSG_OK || !inner)
        return status;
    status = imsg_members_read(member->inner, inner, base, err);
    if (status != IMSG_OK)
        imsg_error_prefix(err, "member \"%s\"", member->name);
    return status;
}

static enum imsg_status read_list(const struct imsg_member *member, const json_t *object, void *base,
                                  struct imsg_error *err)
{
    json_t *array = NULL, *item;
    size_t i, size = member->element->size;
    enum imsg_status status = imsg_json_array(object, member->name, member->need, &array, err);
    if (status != IMSG_OK || json_array_size(array) == 0)
        return status;
    if (member->max && json_array_size(array) > member->max)
        return imsg_fail(err, IMSG_MALFORMED, "member \"%s\" has %zu items, at most %llu", member->name,
                         json_array_size(array), (unsigned long long)member->max);
    uint8_t *items = calloc(json_array_size(array), size);
    if (!items)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(value_of(member, base), &items, sizeof items);
    json_array_foreach (array, i, item) {
        status = json_is_object(item) ? imsg_document_read(member->element, item, items + i * size, err)
                                      : imsg_fail(err, IMSG_MALFORMED, "is no object");
        if (status != IMSG_OK) {
            imsg_error_prefix(err, "member \"%s\": item %zu", member->name, i + 1);
            return status;
        }
        *count_of(member, base) = i + 1;
    }
    return IMSG_OK;
}

static enum imsg_status read_member(const struct imsg_member *member, const json_t *object, void *base,
                                    struct imsg_error *err)
{
    const char *name = member->name;
    void *value = value_of(member, base);
    if (member->need == IMSG_OPTIONAL && !json_object_get(object, name))
        return IMSG_OK;
    switch (member->kind) {
    case IMSG_MEMBER_TEXT:
        return imsg_json_string(object, name, member->need, value, err);
    case IMSG_MEMBER_UUID:
        return imsg_json_uuid(object, name, member->need, value, err);
    case IMSG_MEMBER_TIME:
        return imsg_json_time(object, name, member->need, value, err);
    case IMSG_MEMBER_HANDLE:
        return imsg_json_handle(object, name, member->need, value, err);
    case IMSG_MEMBER_RELAY:
        return imsg_json_relay(object, name, member->need, value, err);
    case IMSG_MEMBER_WORD:
    case IMSG_MEMBER_THUMBPRINT:
        return read_word(member, object, value, err);
    case IMSG_MEMBER_FORMAT:
        return read_format(member, object, value, err);
    case IMSG_MEMBER_HANDLES:
        return imsg_json_handles(object, name, value, count_of(member, base), err);
    case IMSG_MEMBER_NUMBER:
        return imsg_json_integer(object, name, member->need, (struct imsg_range){member->min, member->max}, value, err);
    case IMSG_MEMBER_HEX:
    case IMSG_MEMBER_BASE64:
    case IMSG_MEMBER_NULL_OR_HEX:
        return read_bytes(member, object, base, err);
    case IMSG_MEMBER_PAYLOAD:
        return read_payload(member, object, value, err);
    case IMSG_MEMBER_BLOBS:
        return read_blobs(member, object, base, err);
    case IMSG_MEMBER_OBJECT:
        return read_object(member, object, base, err);
    case IMSG_MEMBER_LIST:
        return read_list(member, object, base, err);
    case IMSG_MEMBER_REST:
        break;
    }
    return IMSG_OK;
}

enum imsg_status imsg_members_read(const struct imsg_member *members, const json_t *object, void *out,
                                   struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (; status == IMSG_OK && members->name; members++)
        status = read_member(members, object, out, err);
    return status;
}

enum imsg_status imsg_document_read(const struct imsg_document *document, json_t *object, void *out,
                                    struct imsg_error *err)
{
    memset(out, 0, document->size);
    json_t *own = json_incref(object);
    memcpy(out, &own, sizeof own);
    enum imsg_status status = imsg_json_kind(object, document->kind, err);
    if (status == IMSG_OK)
        status = imsg_members_read(document->members, object, out, err);
    if (status == IMSG_OK && document->complete)
        status = document->complete(out, err);
    if (status != IMSG_OK) {
        imsg_document_free(document, out);
        if (err)
            err->has_offset = false; /* it would be one inside a member */
    }
    return status;
}
