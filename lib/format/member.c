/* Documents by their rows: writing and freeing. Reading is in member_read.c. */
#include "format/member.h"

#include <stdio.h>
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

static size_t const_count_of(const struct imsg_member *member, const void *base)
{
    return *(const size_t *)(const void *)((const uint8_t *)base + member->more);
}

/* Its value is a string: kinds differ in what they accept when they are read. */
static bool is_text(const struct imsg_member *member)
{
    switch (member->kind) {
    case IMSG_MEMBER_TEXT:
    case IMSG_MEMBER_UUID:
    case IMSG_MEMBER_TIME:
    case IMSG_MEMBER_HANDLE:
    case IMSG_MEMBER_RELAY:
    case IMSG_MEMBER_WORD:
    case IMSG_MEMBER_THUMBPRINT:
        return true;
    default:
        return false;
    }
}

/* ---- writing ---- */

enum imsg_status imsg_member_check_word(const struct imsg_member *member, const char *text, struct imsg_error *err)
{
    char known[128] = "";
    if (member->kind == IMSG_MEMBER_THUMBPRINT) {
        enum imsg_status status = imsg_thumbprint_check(text, err);
        if (status != IMSG_OK)
            imsg_error_prefix(err, "member \"%s\"", member->name);
        return status;
    }
    for (size_t i = 0; member->words[i]; i++) {
        if (strcmp(member->words[i], text) == 0)
            return IMSG_OK;
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", member->words[i]);
    }
    return imsg_fail(err, IMSG_MALFORMED, "member \"%s\" is \"%.64s\", not one of: %s", member->name, text, known);
}

static enum imsg_status write_text(const struct imsg_member *member, const void *base, json_t *object,
                                   struct imsg_error *err)
{
    const char *text = const_text_of(member, base);
    enum imsg_status status = IMSG_OK;
    if (member->kind == IMSG_MEMBER_WORD || member->kind == IMSG_MEMBER_THUMBPRINT)
        status = imsg_member_check_word(member, text, err);
    return status == IMSG_OK ? imsg_json_set_string(object, member->name, text, err) : status;
}

/* Whether the struct has a value for the row. */
static bool is_there(const struct imsg_member *member, const void *base)
{
    uint64_t number;
    if (is_text(member) || member->kind == IMSG_MEMBER_FORMAT) /* a pointer like that of a text */
        return const_text_of(member, base) != NULL;
    switch (member->kind) {
    case IMSG_MEMBER_HANDLES:
    case IMSG_MEMBER_BLOBS:
    case IMSG_MEMBER_LIST:
        return const_count_of(member, base) > 0;
    case IMSG_MEMBER_NUMBER:
        memcpy(&number, const_value_of(member, base), sizeof number);
        return number != 0;
    case IMSG_MEMBER_HEX:
    case IMSG_MEMBER_BASE64:
    case IMSG_MEMBER_NULL_OR_HEX:
        return member->more == 0 || *((const bool *)base + member->more);
    case IMSG_MEMBER_OBJECT:
        for (const struct imsg_member *inner = member->inner; inner->name; inner++)
            if (is_there(inner, base))
                return true;
        return false;
    default:
        return true;
    }
}

static enum imsg_status write_bytes(const struct imsg_member *member, const void *base, json_t *object,
                                    struct imsg_error *err)
{
    struct imsg_view bytes = imsg_view_of(const_value_of(member, base), member->len);
    return member->kind == IMSG_MEMBER_BASE64 ? imsg_json_set_base64(object, member->name, bytes, err)
                                              : imsg_json_set_hex(object, member->name, bytes, err);
}

static enum imsg_status write_blobs(const struct imsg_member *member, const void *base, json_t *object,
                                    struct imsg_error *err)
{
    const struct imsg_buf *blobs;
    struct imsg_buf text = {0};
    memcpy(&blobs, const_value_of(member, base), sizeof blobs);
    json_t *array = json_array();
    enum imsg_status status = imsg_json_set(object, member->name, array, err);
    for (size_t i = 0; status == IMSG_OK && i < const_count_of(member, base); i++) {
        imsg_buf_clear(&text);
        status = imsg_base64_encode(imsg_buf_view(&blobs[i]), &text, err);
        if (status == IMSG_OK && json_array_append_new(array, json_stringn((const char *)text.ptr, text.len)) != 0)
            status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    }
    imsg_buf_free(&text);
    return status;
}

static enum imsg_status write_object(const struct imsg_member *member, const void *base, json_t *object,
                                     struct imsg_error *err)
{
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

/* A row with nothing to write: null, an empty list or a zero where the row is required. */
static enum imsg_status write_nothing(const struct imsg_member *member, json_t *object, struct imsg_error *err)
{
    if (member->kind == IMSG_MEMBER_NULL_OR_HEX)
        return imsg_json_set(object, member->name, json_null(), err);
    if (member->need == IMSG_OPTIONAL)
        return IMSG_OK;
    if (member->kind == IMSG_MEMBER_LIST)
        return imsg_json_set(object, member->name, json_array(), err);
    if (member->kind == IMSG_MEMBER_NUMBER)
        return imsg_json_set(object, member->name, json_integer(0), err);
    return imsg_fail(err, IMSG_INTERNAL, "no value for member \"%s\"", member->name);
}

static enum imsg_status write_member(const struct imsg_member *member, const void *base, json_t *object,
                                     struct imsg_error *err)
{
    const void *value = const_value_of(member, base);
    const struct imsg_format *format;
    char *const *handles;
    uint64_t number;
    if (!is_there(member, base))
        return write_nothing(member, object, err);
    if (is_text(member))
        return write_text(member, base, object, err);
    switch (member->kind) {
    case IMSG_MEMBER_FORMAT:
        memcpy(&format, value, sizeof format);
        return imsg_json_set_string(object, member->name, imsg_format_name(format), err);
    case IMSG_MEMBER_HANDLES:
        memcpy(&handles, value, sizeof handles);
        return imsg_json_set_strings(object, member->name, handles, const_count_of(member, base), err);
    case IMSG_MEMBER_NUMBER:
        memcpy(&number, value, sizeof number);
        return imsg_json_set(object, member->name, json_integer((json_int_t)number), err);
    case IMSG_MEMBER_HEX:
    case IMSG_MEMBER_BASE64:
    case IMSG_MEMBER_NULL_OR_HEX:
        return write_bytes(member, base, object, err);
    case IMSG_MEMBER_PAYLOAD:
        return imsg_json_set_base64(object, member->name, imsg_buf_view(value), err);
    case IMSG_MEMBER_BLOBS:
        return write_blobs(member, base, object, err);
    case IMSG_MEMBER_OBJECT:
        return write_object(member, base, object, err);
    case IMSG_MEMBER_LIST:
        return write_list(member, base, object, err);
    case IMSG_MEMBER_REST:
        return write_rest(base, object, err);
    default:
        return imsg_fail(err, IMSG_INTERNAL, "member \"%s\" has a kind that is not written", member->name);
    }
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

static void free_blobs(const struct imsg_member *member, void *base)
{
    struct imsg_buf *blobs;
    memcpy(&blobs, value_of(member, base), sizeof blobs);
    for (size_t i = 0; i < const_count_of(member, base); i++)
        imsg_buf_free(&blobs[i]);
    free(blobs);
}

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
        if (is_text(member))
            free(*text_of(member, from));
        switch (member->kind) {
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
        case IMSG_MEMBER_BLOBS:
            free_blobs(member, from);
            break;
        case IMSG_MEMBER_OBJECT:
            imsg_members_free(member->inner, from);
            break;
        case IMSG_MEMBER_LIST:
            free_list(member, from);
            break;
        default: /* owns nothing */
            break;
        }
    }
}

/* ---- whole documents ---- */

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
