/* attachment/1, the descriptor of a stored file (lib/format/attachment.c).
 * max_len 2048 */
#include "base/json.h"
#include "fuzz.h"

static enum imsg_status parse(struct imsg_view text, struct imsg_attachment *out, struct imsg_error *err)
{
    json_t *object = NULL;
    enum imsg_status status = imsg_json_parse(text, IMSG_LINE_MAX, &object, err);
    if (status == IMSG_OK)
        status = imsg_attachment_from_json(object, out, err);
    json_decref(object);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_attachment first, second;
    struct imsg_buf line = {0};
    struct imsg_error err = {0};
    fuzz_paint(&first, sizeof first);
    enum imsg_status status = parse(imsg_view_of(data, size), &first, &err);
    if (status != IMSG_OK) {
        fuzz_refused_document(status, &err, imsg_view_of(data, size));
        MUST(fuzz_untouched(&first, sizeof first));
        return 0;
    }
    MUST_OK(imsg_attachment_print(&first, &line, &fuzz_err));
    MUST(line.len > 0 && memchr(line.ptr, '\n', line.len) == line.ptr + line.len - 1);
    MUST_OK(parse(imsg_buf_view(&line), &second, &fuzz_err));
    MUST(fuzz_same(first.uri, second.uri) && fuzz_same(first.name, second.name) && fuzz_same(first.type, second.type));
    MUST(first.size == second.size && memcmp(first.key, second.key, sizeof first.key) == 0);
    MUST(memcmp(first.sha1, second.sha1, sizeof first.sha1) == 0);
    MUST(memcmp(first.sha256, second.sha256, sizeof first.sha256) == 0);
    imsg_attachment_free(&second);
    imsg_attachment_free(&first);
    imsg_buf_free(&line);
    return 0;
}
