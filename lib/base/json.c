/* Parsing and printing. jansson's error texts quote the input, which may be secret, so only its error code is used. */
#include "base/json.h"

#include <string.h>

#include "base/text.h"

static const char *fault_text(enum json_error_code code)
{
    switch (code) {
    case json_error_premature_end_of_input:
        return "JSON ends too early";
    case json_error_end_of_input_expected:
        return "something follows the JSON object";
    case json_error_invalid_utf8:
        return "not UTF-8";
    case json_error_duplicate_key:
        return "a member's name appears twice";
    case json_error_null_byte_in_key:
        return "a member's name holds a NUL";
    case json_error_numeric_overflow:
        return "a number is too big";
    default:
        return "not valid JSON";
    }
}

/* The quote that ends the string whose first byte is at `at`, or len. A quote is part of the string if an odd number
 * of backslashes stands before it. */
static size_t string_end(struct imsg_view text, size_t at)
{
    size_t start = at;
    while (at < text.len) {
        const uint8_t *quote = memchr(text.ptr + at, '"', text.len - at);
        if (!quote)
            return text.len;
        at = (size_t)(quote - text.ptr);
        size_t slash = at;
        while (slash > start && text.ptr[slash - 1] == '\\')
            slash--;
        if ((at - slash) % 2 == 0)
            return at;
        at++;
    }
    return text.len;
}

/* Checked before jansson parses, and without recursion. In text that is not JSON the count may be wrong: jansson
 * refuses it anyway. */
static bool too_deep(struct imsg_view text, size_t *offset)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"') {
            i = string_end(text, i + 1);
        } else if (c == '{' || c == '[') {
            if (++depth > IMSG_JSON_DEPTH) {
                *offset = i;
                return true;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

enum imsg_status imsg_json_parse(struct imsg_view text, size_t max, json_t **out, struct imsg_error *err)
{
    json_error_t fault;
    size_t offset;

    if (text.len > max)
        return imsg_fail(err, IMSG_MALFORMED, "JSON of %zu bytes is over the limit of %zu", text.len, max);
    if (text.len == 0)
        return imsg_fail_at(err, IMSG_MALFORMED, 0, "JSON ends too early");
    if (too_deep(text, &offset))
        return imsg_fail_at(err, IMSG_MALFORMED, offset, "JSON nested deeper than %d", IMSG_JSON_DEPTH);
    json_t *value = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    if (!value) {
        enum json_error_code code = json_error_code(&fault);
        if (code == json_error_out_of_memory)
            return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
        offset = fault.position > 0 ? (size_t)fault.position : 0;
        return imsg_fail_at(err, IMSG_MALFORMED, offset, "%s", fault_text(code));
    }
    /* jansson 2.14 steps over a NUL byte behind a number or a word, as if it were white space. */
    const uint8_t *nul = memchr(text.ptr, 0, text.len);
    if (nul) {
        json_decref(value);
        return imsg_fail_at(err, IMSG_MALFORMED, (size_t)(nul - text.ptr), "not valid JSON");
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return imsg_fail(err, IMSG_MALFORMED, "not a JSON object");
    }
    *out = value;
    return IMSG_OK;
}

static bool is_version(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && text[0] != '0' && text[len] == 0;
}

enum imsg_status imsg_json_kind(const json_t *object, const char *kind, struct imsg_error *err)
{
    const char *found = NULL;
    enum imsg_status status = imsg_json_peek(object, "imsg", IMSG_REQUIRED, &found, err);
    if (status != IMSG_OK || strcmp(found, kind) == 0)
        return status;
    const char *slash = strchr(kind, '/');
    size_t type = slash ? (size_t)(slash - kind) + 1 : strlen(kind);
    if (slash && strncmp(found, kind, type) == 0 && is_version(found + type))
        return imsg_fail(err, IMSG_UNSUPPORTED, "version \"%.64s\" is not known, only \"%s\"", found, kind);
    return imsg_fail(err, IMSG_MALFORMED, "is a \"%.64s\", not a \"%s\"", found, kind);
}

enum imsg_status imsg_json_document(struct imsg_view text, size_t max, const char *kind, json_t **out,
                                    struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_json_parse(text, max, &object, err);
    if (status == IMSG_OK)
        status = imsg_json_kind(object, kind, err);
    if (status == IMSG_OK)
        *out = object;
    else
        json_decref(object);
    return status;
}

struct sink {
    struct imsg_buf *out;
    struct imsg_error *err;
    enum imsg_status status;
};

static int append_text(const char *text, size_t len, void *context)
{
    struct sink *sink = context;
    sink->status = imsg_buf_append(sink->out, text, len, sink->err);
    return sink->status == IMSG_OK ? 0 : -1;
}

enum imsg_status imsg_json_print(const json_t *value, struct imsg_buf *out, struct imsg_error *err)
{
    struct sink sink = {out, err, IMSG_OK};
    size_t start = out->len;
    if (json_dump_callback(value, append_text, &sink, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return IMSG_OK;
    if (out->len > start) {
        imsg_wipe(out->ptr + start, out->len - start);
        out->len = start;
    }
    /* Our values hold no loops and only UTF-8: the one cause left is lack of memory. */
    return sink.status != IMSG_OK ? sink.status : imsg_fail(err, IMSG_NO_MEMORY, "cannot print JSON: out of memory");
}

static enum imsg_status no_memory(struct imsg_error *err)
{
    return imsg_fail(err, IMSG_NO_MEMORY, "out of memory");
}

enum imsg_status imsg_json_set(json_t *object, const char *member, json_t *value, struct imsg_error *err)
{
    if (!imsg_utf8_valid(imsg_view_str(member))) {
        json_decref(value);
        return imsg_fail(err, IMSG_MALFORMED, "the name of a member is not UTF-8");
    }
    /* Releases the value in every case; a NULL one fails. */
    return json_object_set_new(object, member, value) == 0 ? IMSG_OK : no_memory(err);
}

enum imsg_status imsg_json_set_string(json_t *object, const char *member, const char *text, struct imsg_error *err)
{
    if (!imsg_utf8_valid(imsg_view_str(text)))
        return imsg_fail(err, IMSG_MALFORMED, "member \"%s\": not UTF-8", member);
    return imsg_json_set(object, member, json_string(text), err);
}

typedef enum imsg_status encoder(struct imsg_view bytes, struct imsg_buf *out, struct imsg_error *err);

static enum imsg_status set_encoded(json_t *object, const char *member, struct imsg_view bytes, encoder *encode,
                                    struct imsg_error *err)
{
    struct imsg_buf text = {0};
    enum imsg_status status = encode(bytes, &text, err);
    if (status == IMSG_OK) {
        json_t *value = json_stringn_nocheck((const char *)text.ptr, text.len);
        status = imsg_json_set(object, member, value, err);
    }
    imsg_buf_free(&text);
    return status;
}

enum imsg_status imsg_json_set_base64(json_t *object, const char *member, struct imsg_view bytes,
                                      struct imsg_error *err)
{
    return set_encoded(object, member, bytes, imsg_base64_encode, err);
}

enum imsg_status imsg_json_set_hex(json_t *object, const char *member, struct imsg_view bytes, struct imsg_error *err)
{
    return set_encoded(object, member, bytes, imsg_hex_encode, err);
}
