#include "format/document.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/url.h"
#include "crypto/crypto.h"

enum imsg_status imsg_document_new(const char *kind, json_t **out, struct imsg_error *err)
{
    json_t *object = json_object();
    enum imsg_status status = imsg_json_set_string(object, "imsg", kind, err);
    if (status != IMSG_OK) {
        json_decref(object);
        return status;
    }
    *out = object;
    return IMSG_OK;
}

enum imsg_status imsg_document_line(const json_t *document, struct imsg_buf *out, struct imsg_error *err)
{
    enum imsg_status status = imsg_json_print(document, out, err);
    return status == IMSG_OK ? imsg_buf_text(out, "\n", err) : status;
}

enum imsg_status imsg_json_set_strings(json_t *object, const char *member, char *const *strings, size_t count,
                                       struct imsg_error *err)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++)
        if (json_array_append_new(array, json_string(strings[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return imsg_json_set(object, member, array, err);
}

enum imsg_status imsg_json_relay(const json_t *object, const char *member, enum imsg_need need, char **out,
                                 struct imsg_error *err)
{
    const char *relay = NULL;
    enum imsg_status status = imsg_json_peek(object, member, need, &relay, err);
    if (status != IMSG_OK || !relay)
        return status;
    if (!imsg_url_is_https_origin(relay))
        return imsg_fail(err, IMSG_MALFORMED, "%s \"%.200s\" is not https://host[:port]", member, relay);
    return imsg_strdup(relay, out, err);
}

enum imsg_status imsg_token_of(const uint8_t auth[static 65], uint8_t token[static 32], struct imsg_error *err)
{
    return imsg_sha256(imsg_view_of(auth, 65), token, err);
}

void imsg_json_wipe(json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_string(value))
        imsg_wipe((void *)(uintptr_t)json_string_value(value), json_string_length(value));
    /* Neither loop does anything for a value of another type. */
    json_object_foreach (value, key, item) {
        imsg_json_wipe(item);
    }
    json_array_foreach (value, i, item) {
        imsg_json_wipe(item);
    }
}
