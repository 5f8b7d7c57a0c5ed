/* The JSON under all documents (lib/base/json.c).
 * max_len 4096 */
#include "base/json.h"
#include "fuzz.h"

static size_t depth(const json_t *value)
{
    size_t deepest = 0, i;
    const char *name;
    json_t *item;
    json_object_foreach ((json_t *)(uintptr_t)value, name, item) {
        size_t below = depth(item);
        deepest = below > deepest ? below : deepest;
    }
    json_array_foreach (value, i, item) {
        size_t below = depth(item);
        deepest = below > deepest ? below : deepest;
    }
    return deepest + (json_is_object(value) || json_is_array(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *first = NULL, *second = NULL;
    struct imsg_buf text = {0}, again = {0};
    struct imsg_error err = {0};
    enum imsg_status status = imsg_json_parse(imsg_view_of(data, size), IMSG_LINE_MAX, &first, &err);
    if (status != IMSG_OK) {
        fuzz_refused(status, &err, size);
        MUST(first == NULL);
        return 0;
    }
    MUST(memchr(data, 0, size) == NULL && json_is_object(first) && depth(first) <= IMSG_JSON_DEPTH);
    MUST_OK(imsg_json_print(first, &text, &fuzz_err));
    MUST(memchr(text.ptr, '\n', text.len) == NULL);
    MUST_OK(imsg_json_parse(imsg_buf_view(&text), SIZE_MAX, &second, &fuzz_err));
    MUST(json_equal(first, second));
    MUST_OK(imsg_json_print(second, &again, &fuzz_err));
    MUST(imsg_view_equal(imsg_buf_view(&text), imsg_buf_view(&again)));
    json_decref(first);
    json_decref(second);
    imsg_buf_free(&text);
    imsg_buf_free(&again);
    return 0;
}
