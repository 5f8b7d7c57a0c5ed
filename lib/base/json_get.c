/* Members of an object, type by type. An object here is what imsg_json_parse made: jansson has checked its UTF-8. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* *value = NULL if it is not there and need not be. */
static enum imsg_status find_member(const json_t *object, const char *member, enum imsg_need need, json_t **value,
                                    struct imsg_error *err)
{
    json_t *found = json_object_get(object, member);
    if (!found && need == IMSG_REQUIRED)
        return imsg_fail(err, IMSG_MALFORMED, "no member \"%s\"", member);
    *value = found;
    return IMSG_OK;
}

static enum imsg_status fail_type(const char *member, const char *what, struct imsg_error *err)
{
    return imsg_fail(err, IMSG_MALFORMED, "member \"%s\" is not %s", member, what);
}

/* NULL unless a string without a NUL inside. */
static const char *clean_string(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

enum imsg_status imsg_json_peek(const json_t *object, const char *member, enum imsg_need need, const char **out,
                                struct imsg_error *err)
{
    json_t *value = NULL;
    enum imsg_status status = find_member(object, member, need, &value, err);
    if (status != IMSG_OK)
        return status;
    const char *text = clean_string(value);
    if (value && !text)
        return fail_type(member, json_is_string(value) ? "free of NUL characters" : "a string", err);
    *out = text;
    return IMSG_OK;
}

/* What a string must be. */
struct form {
    bool (*good)(const char *text); /* NULL: any will do */
    const char *name;
};

static enum imsg_status copy_string(const json_t *object, const char *member, enum imsg_need need,
                                    const struct form *form, char **out, struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member, need, &text, err);
    if (status != IMSG_OK)
        return status;
    if (!text) {
        *out = NULL;
        return IMSG_OK;
    }
    if (form->good && !form->good(text))
        return fail_type(member, form->name, err);
    return imsg_strdup(text, out, err);
}

enum imsg_status imsg_json_string(const json_t *object, const char *member, enum imsg_need need, char **out,
                                  struct imsg_error *err)
{
    return copy_string(object, member, need, &(struct form){NULL, "a string"}, out, err);
}

enum imsg_status imsg_json_uuid(const json_t *object, const char *member, enum imsg_need need, char **out,
                                struct imsg_error *err)
{
    return copy_string(object, member, need, &(struct form){imsg_uuid_valid, "a lower-case uuid"}, out, err);
}

static bool is_time(const char *text)
{
    time_t ignored;
    return imsg_time_parse(text, &ignored, NULL) == IMSG_OK;
}

enum imsg_status imsg_json_time(const json_t *object, const char *member, enum imsg_need need, char **out,
                                struct imsg_error *err)
{
    return copy_string(object, member, need, &(struct form){is_time, "a time like 2026-11-24T03:20:00Z"}, out, err);
}

enum imsg_status imsg_json_handle(const json_t *object, const char *member, enum imsg_need need, char **out,
                                  struct imsg_error *err)
{
    return copy_string(object, member, need, &(struct form){imsg_handle_is_canonical, "a canonical handle"}, out, err);
}

enum imsg_status imsg_json_integer(const json_t *object, const char *member, enum imsg_need need,
                                   struct imsg_range range, uint64_t *out, struct imsg_error *err)
{
    json_t *value = NULL;
    enum imsg_status status = find_member(object, member, need, &value, err);
    if (status != IMSG_OK || !value)
        return status;
    if (!json_is_integer(value))
        return fail_type(member, "an integer", err);
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number < range.min || (uint64_t)number > range.max)
        return imsg_fail(err, IMSG_MALFORMED, "member \"%s\": %lld is not from %llu to %llu", member, (long long)number,
                         (unsigned long long)range.min, (unsigned long long)range.max);
    *out = (uint64_t)number;
    return IMSG_OK;
}

enum imsg_status imsg_json_object(const json_t *object, const char *member, enum imsg_need need, json_t **out,
                                  struct imsg_error *err)
{
    json_t *value = NULL;
    enum imsg_status status = find_member(object, member, need, &value, err);
    if (status != IMSG_OK)
        return status;
    if (value && !json_is_object(value))
        return fail_type(member, "an object", err);
    *out = value;
    return IMSG_OK;
}

enum imsg_status imsg_json_array(const json_t *object, const char *member, enum imsg_need need, json_t **out,
                                 struct imsg_error *err)
{
    json_t *value = NULL;
    enum imsg_status status = find_member(object, member, need, &value, err);
    if (status != IMSG_OK)
        return status;
    if (value && !json_is_array(value))
        return fail_type(member, "an array", err);
    *out = value;
    return IMSG_OK;
}

enum imsg_status imsg_json_base64(const json_t *object, const char *member, uint8_t *out, size_t len, bool *found,
                                  struct imsg_error *err)
{
    const char *text = NULL;
    struct imsg_buf bytes = {0};
    enum imsg_status status = imsg_json_peek(object, member, found ? IMSG_OPTIONAL : IMSG_REQUIRED, &text, err);
    if (status != IMSG_OK)
        return status;
    if (text) {
        struct imsg_view view = imsg_view_str(text);
        /* The length first: what is too long is not decoded. No offset: it would count from the start of the member. */
        status = view.len == (len + 2) / 3 * 4 ? imsg_base64_decode(view, &bytes, err) : IMSG_MALFORMED;
        if (status == IMSG_OK && bytes.len != len)
            status = IMSG_MALFORMED;
        if (status == IMSG_MALFORMED)
            imsg_fail(err, status, "member \"%s\" is not base64 of %zu bytes", member, len);
        if (status == IMSG_OK && len > 0)
            memcpy(out, bytes.ptr, len);
        imsg_buf_free(&bytes);
    }
    if (status == IMSG_OK && found)
        *found = text != NULL;
    return status;
}

enum imsg_status imsg_json_hex(const json_t *object, const char *member, uint8_t *out, size_t len, bool *found,
                               struct imsg_error *err)
{
    const char *text = NULL;
    enum imsg_status status = imsg_json_peek(object, member, found ? IMSG_OPTIONAL : IMSG_REQUIRED, &text, err);
    if (status != IMSG_OK)
        return status;
    if (text && imsg_hex_decode(imsg_view_str(text), out, len, NULL) != IMSG_OK)
        return imsg_fail(err, IMSG_MALFORMED, "member \"%s\" is not %zu lower-case hex digits", member, 2 * len);
    if (found)
        *found = text != NULL;
    return IMSG_OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted: comparing each with each would be slow for the many handles that a hostile line can hold. */
static enum imsg_status check_distinct(char *const *strings, size_t count, const char *member, struct imsg_error *err)
{
    enum imsg_status status = IMSG_OK;
    char **sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
    memcpy(sorted, strings, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    for (size_t i = 1; i < count && status == IMSG_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = imsg_fail(err, IMSG_MALFORMED, "member \"%s\" holds \"%s\" twice", member, sorted[i]);
    free(sorted);
    return status;
}

enum imsg_status imsg_json_handles(const json_t *object, const char *member, char ***out, size_t *count,
                                   struct imsg_error *err)
{
    enum imsg_status status = IMSG_INTERNAL;
    json_t *array = NULL;
    char **strings = NULL;
    size_t filled = 0;

    status = imsg_json_array(object, member, IMSG_REQUIRED, &array, err);
    if (status != IMSG_OK)
        goto out;
    size_t size = json_array_size(array);
    if (size == 0) {
        status = imsg_fail(err, IMSG_MALFORMED, "member \"%s\" is empty", member);
        goto out;
    }
    strings = calloc(size, sizeof *strings);
    if (!strings) {
        status = imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        goto out;
    }
    for (; filled < size; filled++) {
        const char *text = clean_string(json_array_get(array, filled));
        if (!text || !imsg_handle_is_canonical(text))
            status =
                imsg_fail(err, IMSG_MALFORMED, "member \"%s\": item %zu is not a canonical handle", member, filled + 1);
        else
            status = imsg_strdup(text, &strings[filled], err);
        if (status != IMSG_OK)
            goto out;
    }
    status = check_distinct(strings, size, member, err);
out:
    if (status == IMSG_OK) {
        *out = strings;
        *count = size;
    } else {
        imsg_strings_free(strings, filled);
    }
    return status;
}

void imsg_strings_free(char **strings, size_t count)
{
    for (size_t i = 0; i < count && strings; i++)
        free(strings[i]);
    free(strings);
}
