/* Parsers for parts of HTTP answers. The sender may be hostile, so they are strict. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"
#include "net/http.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static struct imsg_view trim_spaces(struct imsg_view value)
{
    while (value.len > 0 && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
        value = imsg_view_of(value.ptr + 1, value.len - 1);
    while (value.len > 0 && strchr(" \t\r\n", value.ptr[value.len - 1]))
        value.len--;
    return value;
}

/* Digits up to the first other byte. False: none, or too many. */
static bool read_number(struct imsg_view *value, uint64_t *out)
{
    size_t len = 0;
    uint64_t number = 0;
    while (len < value->len && is_digit(value->ptr[len])) {
        if (len == 18)
            return false;
        number = number * 10 + (uint64_t)(value->ptr[len++] - '0');
    }
    *value = imsg_view_of(value->ptr + len, value->len - len);
    *out = number;
    return len > 0;
}

bool imsg_http_etag(struct imsg_view value, char etag[static IMSG_ETAG_MAX])
{
    value = trim_spaces(value);
    size_t quote = value.len > 2 && memcmp(value.ptr, "W/", 2) == 0 ? 2 : 0;
    if (value.len < quote + 2 || value.len >= IMSG_ETAG_MAX || value.ptr[quote] != '"' ||
        value.ptr[value.len - 1] != '"')
        return false;
    for (size_t i = quote + 1; i + 1 < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] == '"' || value.ptr[i] > '~')
            return false;
    memcpy(etag, value.ptr, value.len);
    etag[value.len] = '\0';
    return true;
}

void imsg_http_reason(struct imsg_view body, char reason[static IMSG_REASON_MAX])
{
    json_t *object = NULL;
    const char *text = NULL;
    reason[0] = '\0';
    if (imsg_json_parse(body, IMSG_LINE_MAX, &object, NULL) == IMSG_OK &&
        imsg_json_peek(object, "reason", IMSG_OPTIONAL, &text, NULL) == IMSG_OK && text &&
        strlen(text) < IMSG_REASON_MAX &&
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ") == strlen(text))
        memcpy(reason, text, strlen(text) + 1);
    json_decref(object);
}

bool imsg_http_content_range(struct imsg_view value, uint64_t *first)
{
    uint64_t from, last;
    value = trim_spaces(value);
    if (value.len < 6 || strncasecmp((const char *)value.ptr, "bytes ", 6) != 0)
        return false;
    value = imsg_view_of(value.ptr + 6, value.len - 6);
    if (!read_number(&value, &from) || value.len == 0 || value.ptr[0] != '-')
        return false;
    value = imsg_view_of(value.ptr + 1, value.len - 1);
    if (!read_number(&value, &last) || last < from || value.len == 0 || value.ptr[0] != '/')
        return false;
    *first = from;
    return true;
}

void imsg_http_answer_free(struct imsg_http_answer *answer)
{
    imsg_buf_free(&answer->body);
    *answer = (struct imsg_http_answer){0};
}

enum imsg_status imsg_http_refused(const struct imsg_http_request *request, const struct imsg_http_answer *answer,
                                   struct imsg_error *err)
{
    char reason[IMSG_REASON_MAX];
    imsg_http_reason(imsg_buf_view(&answer->body), reason);
    if (answer->status >= 400)
        return imsg_fail(err, IMSG_UNAVAILABLE, "%s \"%s\": %u%s%s", request->role, request->place, answer->status,
                         reason[0] ? " " : "", reason);
    if (answer->status < 300)
        return imsg_fail(err, IMSG_PROTOCOL, "%s \"%s\": %u is no answer to %s", request->role, request->place,
                         answer->status, request->method);
    enum imsg_status status = imsg_fail(err, IMSG_PROTOCOL, "%s \"%s\": %u, which is not followed", request->role,
                                        request->place, answer->status);
    imsg_error_suggest(err, IMSG_HINT_MOVED, NULL);
    return status;
}
