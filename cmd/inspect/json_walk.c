#include "inspect/json_walk.h"

#include <string.h>

#define DEPTH_MAX 64 /* brackets open at once inside one value; what is deeper is no document of ours */

static enum imsg_status fault(struct imsg_error *err, size_t at, const char *what)
{
    return imsg_fail_at(err, IMSG_MALFORMED, at, "%s", what);
}

static size_t skip_space(struct imsg_view text, size_t at)
{
    while (at < text.len && memchr(" \t\r\n", text.ptr[at], 4))
        at++;
    return at;
}

/* From an opening quote to behind the closing one. */
static enum imsg_status skip_string(struct imsg_view text, size_t *at, struct imsg_error *err)
{
    for (size_t i = *at + 1; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            i++;
        } else if (text.ptr[i] == '"') {
            *at = i + 1;
            return IMSG_OK;
        } else if (text.ptr[i] < 0x20) {
            return fault(err, i, "a control character in a string");
        }
    }
    return fault(err, text.len, "the text ends inside a string");
}

static bool in_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
           c == '.';
}

/* A container, to behind its closing bracket: brackets are matched, strings stepped over. */
static enum imsg_status skip_container(struct imsg_view text, size_t *at, struct imsg_error *err)
{
    char open[DEPTH_MAX];
    size_t depth = 0, i = *at;
    while (i < text.len) {
        uint8_t c = text.ptr[i];
        if (c == '"') {
            enum imsg_status status = skip_string(text, &i, err);
            if (status != IMSG_OK)
                return status;
            continue;
        }
        if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX)
                return fault(err, i, "nested too deep");
            open[depth++] = c == '{' ? '}' : ']';
        } else if (c == '}' || c == ']') {
            if (open[--depth] != (char)c) /* depth is at least 1: the text began with a bracket */
                return fault(err, i, "a bracket that closes another kind");
            if (depth == 0) {
                *at = i + 1;
                return IMSG_OK;
            }
        }
        i++;
    }
    return fault(err, text.len, depth ? "the text ends inside brackets" : "the text ends");
}

static enum imsg_status skip_value(struct imsg_view text, size_t at, struct imsg_json_item *item,
                                   struct imsg_error *err)
{
    size_t end = at;
    enum imsg_status status = IMSG_OK;
    if (at >= text.len)
        return fault(err, at, "the text ends where a value should be");
    uint8_t c = text.ptr[at];
    if (c == '"') {
        status = skip_string(text, &end, err);
    } else if (c == '{' || c == '[') {
        status = skip_container(text, &end, err);
    } else {
        while (end < text.len && in_word(text.ptr[end]))
            end++;
        if (end == at)
            return fault(err, at, "no value");
    }
    if (status != IMSG_OK)
        return status;
    item->kind = (char)(c == '-' || (c >= '0' && c <= '9') ? '0' : c);
    item->value = (struct imsg_field){at, end - at};
    item->inner = c == '"' ? (struct imsg_field){at + 1, end - at - 2} : item->value;
    return IMSG_OK;
}

enum imsg_status imsg_json_walk(struct imsg_view text, size_t at, struct imsg_json_walk *out, struct imsg_error *err)
{
    at = skip_space(text, at);
    if (at >= text.len || (text.ptr[at] != '{' && text.ptr[at] != '['))
        return fault(err, at, "neither { nor [");
    *out = (struct imsg_json_walk){.text = text, .at = at + 1, .object = text.ptr[at] == '{'};
    return IMSG_OK;
}

enum imsg_status imsg_json_walk_next(struct imsg_json_walk *walk, struct imsg_json_item *item, bool *more,
                                     struct imsg_error *err)
{
    struct imsg_view text = walk->text;
    struct imsg_json_item found = {0};
    enum imsg_status status;
    size_t at = skip_space(text, walk->at);
    *more = false;
    if (at >= text.len)
        return fault(err, at, walk->object ? "the text ends inside an object" : "the text ends inside an array");
    if (text.ptr[at] == (walk->object ? '}' : ']')) {
        walk->at = at + 1;
        walk->done = true;
        return IMSG_OK;
    }
    if (walk->started) {
        if (text.ptr[at] != ',')
            return fault(err, at, "neither a comma nor the end");
        at = skip_space(text, at + 1);
    }
    if (walk->object) {
        size_t end = at;
        if (at >= text.len || text.ptr[at] != '"')
            return fault(err, at, "no member name");
        status = skip_string(text, &end, err);
        if (status != IMSG_OK)
            return status;
        found.key = (struct imsg_field){at + 1, end - at - 2};
        at = skip_space(text, end);
        if (at >= text.len || text.ptr[at] != ':')
            return fault(err, at, "no colon after a member name");
        at = skip_space(text, at + 1);
    }
    status = skip_value(text, at, &found, err);
    if (status != IMSG_OK)
        return status;
    walk->started = true;
    walk->at = found.value.offset + found.value.len;
    *item = found;
    *more = true;
    return IMSG_OK;
}
