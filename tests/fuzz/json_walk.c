/* Where the members of a JSON text stand (lib/base/json_walk.c), against what jansson reads.
 * max_len 4096 */
#include "inspect/json_walk.h"

#include <stdlib.h>

#include "base/json.h"
#include "fuzz.h"

static struct imsg_view slice(struct imsg_view text, struct imsg_field field)
{
    MUST(field.offset <= text.len && field.len <= text.len - field.offset);
    return imsg_view_of(text.ptr + field.offset, field.len);
}

/* The item's text alone means what `value` means. */
static void means(struct imsg_view text, const json_t *value)
{
    json_t *read =
        json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    MUST(read != NULL && json_equal(read, value));
    json_decref(read);
}

/* Returns true if the walk came to the end; counts the items. */
static bool walk(struct imsg_view text, const json_t *object, size_t *count)
{
    struct imsg_json_walk cursor;
    struct imsg_json_item item;
    struct imsg_error err = {0};
    size_t before = 0;
    bool more = true;
    enum imsg_status status = imsg_json_walk(text, 0, &cursor, &err);
    while (status == IMSG_OK && more) {
        status = imsg_json_walk_next(&cursor, &item, &more, &err);
        if (status != IMSG_OK || !more)
            break;
        struct imsg_view key = slice(text, item.key), value = slice(text, item.value), inner = slice(text, item.inner);
        MUST(item.value.offset > before && value.len > 0 && inner.len <= value.len && cursor.at <= text.len);
        before = item.value.offset + item.value.len;
        /* A name without escapes is itself; one with them is found by nobody here. */
        if (object && !memchr(key.ptr, '\\', key.len)) {
            char *name = fuzz_string(key);
            means(value, json_object_get(object, name));
            free(name);
        }
        ++*count;
    }
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, text.len);
        MUST(status == IMSG_MALFORMED && err.has_offset && err.offset >= before);
    }
    return status == IMSG_OK && cursor.done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_view text = imsg_view_of(data, size);
    json_t *object = NULL;
    size_t count = 0;
    bool good = imsg_json_parse(text, IMSG_LINE_MAX, &object, NULL) == IMSG_OK;
    bool ended = walk(text, object, &count);
    MUST(!good || (ended && count == json_object_size(object)));
    json_decref(object);
    return 0;
}
