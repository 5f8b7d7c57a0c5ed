#include "format/member.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "format/document.h"

/* ---- where a row's value is ---- */

static void *value_of(const struct imsg_member *member, void *base)
{
    return (uint8_t *)base + member->at;
}

static const void *const_value_of(const struct imsg_member *member, const void *base)
{
    return (const uint8_t *)base + member->at;
}

static char **text_of(const struct imsg_member *member, void *base)
{
    return value_of(member, base);
}

static const char *const_text_of(const struct imsg_member *member, const void *base)
{
    const char *text;
    memcpy(&text, const_value_of(member, base), sizeof text);
    return text;
}

static bool *flag_of(const struct imsg_member *member, void *base)
{
    return member->more ? (bool *)((uint8_t *)base + member->more) : NULL;
}

static size_t *count_of(const struct imsg_member *member, void *base)
{
    return (size_t *)(void *)((uint8_t *)base + member->more);
}

static size_t const_count_of(const struct imsg_member *member, const void *base)
{
    return *(const size_t *)(const void *)((const uint8_t *)base + member->more);
}

/* ---- reading ---- */

static enum imsg_status read_word(const struct imsg_member *member, const json_t *object, char **out,
                                  struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member->name, member->need, &text, err);
    if (status != IMSG_OK || !text)
        return status;
    for (size_t i = 0; member->words[i]; i++)
        if (strcmp(member->words[i], text) == 0)
            return imsg_strdup(text, out, err);
    return imsg_fail(err, IMSG_MALFORMED, "member \"%s\": \"%.64s\" is none of its values", member->name, text);
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

static enum imsg_status read_null_or_hex(const struct imsg_member *member, const json_t *object, void *base,
                                         struct imsg_error *err)
{
    if (json_is_null(json_object_get(object, member->name)))
        return IMSG_OK;
    return imsg_json_hex(object, member->name, IMSG_REQUIRED, value_of(member, base), member->len,
                         flag_of(member, base), err);
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

static enum imsg_status read_object(const struct imsg_member *member, const json_t *object, void *base,
                                    struct imsg_error *err)
{
    json_t *inner = NULL;
    enum imsg_status status = imsg_json_object(object, member->name, member->need, &inner, err);
    return status == IMSG_OK && inner ? imsg_members_read(member->inner, inner, base, err) : status;
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
        return read_word(member, object, value, err);
    case IMSG_MEMBER_FORMAT:
        return read_format(member, object, value, err);
    case IMSG_MEMBER_HANDLES:
        return imsg_json_handles(object, name, value, count_of(member, base), err);
    case IMSG_MEMBER_NUMBER:
        return imsg_json_integer(object, name, member->need, member->min, member->max, value, err);
    case IMSG_MEMBER_HEX:
        return imsg_json_hex(object, name, member->need, value, member->len, flag_of(member, base), err);
    case IMSG_MEMBER_BASE64:
        return imsg_json_base64(object, name, member->need, value, member->len, flag_of(member, base), err);
    case IMSG_MEMBER_NULL_OR_HEX:
        return read_null_or_hex(member, object, base, err);
    case IMSG_MEMBER_PAYLOAD:
        return read_payload(member, object, value, err);
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

/* ---- writing ---- */

static enum imsg_status missing(const struct imsg_member *member, struct imsg_error *err)
{
    if (member->need == IMSG_OPTIONAL)
        return IMSG_OK;
    return imsg_fail(err, IMSG_INTERNAL, "no value for member \"%s\"", member->name);
}

static enum imsg_status write_text(const struct imsg_member *member, const char *text, json_t *object,
                                   struct imsg_error *err)
{
    return text ? imsg_json_set_string(object, member->name, text, err) : missing(member, err);
}

static enum imsg_status write_bytes(const struct imsg_member *member, const void *base, json_t *object,
                                    struct imsg_error *err)
{
    struct imsg_view bytes = imsg_view_of(const_value_of(member, base), member->len);
    bool there = member->more == 0 || *((const bool *)base + member->more);
    if (!there && member->kind == IMSG_MEMBER_NULL_OR_HEX)
        return imsg_json_set(object, member->name, json_null(), err);
    if (!there) /* of an object, say, that is not there either */
        return IMSG_OK;
    return member->kind == IMSG_MEMBER_BASE64 ? imsg_json_set_base64(object, member->name, bytes, err)
                                              : imsg_json_set_hex(object, member->name, bytes, err);
}

static enum imsg_status write_object(const struct imsg_member *member, const void *base, json_t *object,
                                     struct imsg_error *err)
{
    bool there = false;
    for (const struct imsg_member *inner = member->inner; inner->name && !there; inner++)
        there = inner->kind == IMSG_MEMBER_BASE64 ? *((const bool *)base + inner->more)
                                                  : const_text_of(inner, base) != NULL;
    if (!there)
        return IMSG_OK;
    json_t *inner = json_object();
    enum imsg_status status = imsg_json_set(object, member->name, inner, err); /* steals; stays valid inside object */
    return status == IMSG_OK ? imsg_members_write(member->inner, base, inner, err) : status;
}

static enum imsg_status write_item(const struct imsg_document *document, const void *item, json_t **out,
                                   struct imsg_error *err)
{
    json_t *json;
    memcpy(&json, item, sizeof json);
    *out = json_incref(json);
    return json ? IMSG_OK : imsg_document_write(document, item, out, err);
}

static enum imsg_status write_list(const struct imsg_member *member, const void *base, json_t *object,
                                   struct imsg_error *err)
{
    const uint8_t *items;
    size_t count = const_count_of(member, base);
    if (count == 0 && member->need == IMSG_OPTIONAL)
        return IMSG_OK;
    memcpy(&items, const_value_of(member, base), sizeof items);
    json_t *array = json_array();
    enum imsg_status status = imsg_json_set(object, member->name, array, err);
    for (size_t i = 0; status == IMSG_OK && i < count; i++) {
        json_t *item = NULL;
        status = write_item(member->element, items + i * member->element->size, &item, err);
        if (status == IMSG_OK && json_array_append_new(array, item) != 0)
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    return status;
}

static enum imsg_status write_rest(const void *base, json_t *object, struct imsg_error *err)
{
    json_t *json;
    memcpy(&json, base, sizeof json);
    if (json && json_object_update_missing(object, json) != 0)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    return IMSG_OK;
}

static enum imsg_status write_member(const struct imsg_member *member, const void *base, json_t *object,
                                     struct imsg_error *err)
{
    const void *value = const_value_of(member, base);
    const struct imsg_format *format;
    char *const *handles;
    uint64_t number;
    switch (member->kind) {
    case IMSG_MEMBER_TEXT:
    case IMSG_MEMBER_UUID:
    case IMSG_MEMBER_TIME:
    case IMSG_MEMBER_HANDLE:
    case IMSG_MEMBER_RELAY:
    case IMSG_MEMBER_WORD:
        return write_text(member, const_text_of(member, base), object, err);
    case IMSG_MEMBER_FORMAT:
        memcpy(&format, value, sizeof format);
        return write_text(member, format ? imsg_format_name(format) : NULL, object, err);
    case IMSG_MEMBER_HANDLES:
        memcpy(&handles, value, sizeof handles);
        return imsg_json_set_strings(object, member->name, handles, const_count_of(member, base), err);
    case IMSG_MEMBER_NUMBER:
        memcpy(&number, value, sizeof number);
        if (number == 0 && member->need == IMSG_OPTIONAL)
            return IMSG_OK;
        return imsg_json_set(object, member->name, json_integer((json_int_t)number), err);
    case IMSG_MEMBER_HEX:
    case IMSG_MEMBER_BASE64:
    case IMSG_MEMBER_NULL_OR_HEX:
        return write_bytes(member, base, object, err);
    case IMSG_MEMBER_PAYLOAD:
        return imsg_json_set_base64(object, member->name, imsg_buf_view(value), err);
    case IMSG_MEMBER_OBJECT:
        return write_object(member, base, object, err);
    case IMSG_MEMBER_LIST:
        return write_list(member, base, object, err);
    case IMSG_MEMBER_REST:
        return write_rest(base, object, err);
    }
    return IMSG_OK;
}

enum imsg_status imsg_members_write(const struct imsg_member *members, const void *from, json_t *object,
                                    struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    for (; status == IMSG_OK && members->name; members++)
        status = write_member(members, from, object, err);
    return status;
}

/* ---- freeing ---- */

static void free_list(const struct imsg_member *member, void *base)
{
    uint8_t *items;
    memcpy(&items, value_of(member, base), sizeof items);
    for (size_t i = 0; i < const_count_of(member, base); i++)
        imsg_document_free(member->element, items + i * member->element->size);
    free(items);
}

void imsg_members_free(const struct imsg_member *members, void *from)
{
    char **handles;
    for (const struct imsg_member *member = members; member->name; member++) {
        switch (member->kind) {
        case IMSG_MEMBER_TEXT:
        case IMSG_MEMBER_UUID:
        case IMSG_MEMBER_TIME:
        case IMSG_MEMBER_HANDLE:
        case IMSG_MEMBER_RELAY:
        case IMSG_MEMBER_WORD:
            free(*text_of(member, from));
            break;
        case IMSG_MEMBER_HANDLES:
            memcpy(&handles, value_of(member, from), sizeof handles);
            imsg_strings_free(handles, const_count_of(member, from));
            break;
        case IMSG_MEMBER_HEX:
        case IMSG_MEMBER_BASE64:
        case IMSG_MEMBER_NULL_OR_HEX:
            imsg_wipe(value_of(member, from), member->len);
            break;
        case IMSG_MEMBER_PAYLOAD:
            imsg_buf_free(value_of(member, from));
            break;
        case IMSG_MEMBER_OBJECT:
            imsg_members_free(member->inner, from);
            break;
        case IMSG_MEMBER_LIST:
            free_list(member, from);
            break;
        case IMSG_MEMBER_FORMAT:
        case IMSG_MEMBER_NUMBER:
        case IMSG_MEMBER_REST:
            break;
        }
    }
}

/* ---- whole documents ---- */

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

enum imsg_status imsg_document_write(const struct imsg_document *document, const void *from, json_t **out,
                                     struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_document_new(document->kind, &object, err);
    if (status == IMSG_OK)
        status = imsg_members_write(document->members, from, object, err);
    if (status == IMSG_OK)
        *out = object;
    else
        json_decref(object);
    return status;
}

enum imsg_status imsg_document_print(const struct imsg_document *document, const void *from, struct imsg_buf *out,
                                     struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_document_write(document, from, &object, err);
    if (status == IMSG_OK)
        status = imsg_document_line(object, out, err);
    imsg_json_wipe(object);
    json_decref(object);
    return status;
}

void imsg_document_free(const struct imsg_document *document, void *from)
{
    json_t *json;
    memcpy(&json, from, sizeof json);
    if (document->release)
        document->release(from);
    imsg_members_free(document->members, from);
    json_decref(json);
    memset(from, 0, document->size);
}
