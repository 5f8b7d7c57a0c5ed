/* All that imsg-inspect shows of an input (cmd/inspect), with the keys of alice of tests/vectors.
 *   R record               a prekey record
 * max_len 2048 */
#include "inspect/inspect.h"

#include "base/io.h"
#include "base/text.h"
#include "fuzz.h"

/* Alice's keys, her record, and no look at anybody's files. */
static struct inspect *start(void)
{
    static struct inspect run;
    struct imsg_buf file = {0};
    struct imsg_device device;
    if (run.unlocked)
        return &run;
    MUST_OK(imsg_read_file("tests/fuzz/corpus/identity/all", 65536, &file, &fuzz_err));
    MUST_OK(imsg_identity_parse(imsg_buf_view(&file), imsg_view_str(""), &run.identity, &fuzz_err));
    MUST_OK(imsg_identity_device(&run.identity, &run.own, &fuzz_err));
    MUST_OK(imsg_identity_device(&run.identity, &device, &fuzz_err));
    MUST_OK(imsg_devices_add(&run.records, &device, &fuzz_err));
    run.record_count = 1;
    run.unlocked = run.default_tried = true;
    imsg_buf_free(&file);
    return &run;
}

static struct item inspect(struct inspect *run, struct imsg_view input)
{
    bool record = fuzz_mode(&input, 'R');
    struct item item = tree_start(run, "json", input);
    if (record)
        inspect_prekey(&item);
    else if (is_body(input))
        inspect_body(&item);
    else if (input.ptr[0] == '{')
        inspect_document(&item);
    else if (input.ptr[0] == 0x30)
        inspect_public_identity(&item);
    else
        inspect_payload(&item, imsg_format_of(input.ptr[0] == 0x02 ? "pair" : "pair-ec"));
    return item;
}

/* What is shown stands in the input. */
static void rows_lie_within(const json_t *inspection, size_t size)
{
    json_t *row;
    size_t i;
    json_array_foreach (json_object_get(inspection, "fields"), i, row) {
        json_int_t offset = json_integer_value(json_object_get(row, "offset"));
        json_int_t length = json_integer_value(json_object_get(row, "length"));
        MUST(offset >= 0 && length >= 0 && (size_t)offset <= size && (size_t)length <= size - (size_t)offset);
    }
    const json_t *error = json_object_get(json_object_get(inspection, "error"), "offset");
    MUST(!error || (json_integer_value(error) >= 0 && (size_t)json_integer_value(error) <= size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct inspect *run = start();
    struct imsg_buf view = {0}, text = {0};
    if (size == 0 || (size == 1 && data[0] == 'R'))
        return 0;
    struct item item = inspect(run, imsg_view_of(data, size));
    rows_lie_within(item.json, item.bytes.len);
    item.json = tree_ordered(item.json);
    MUST_OK(imsg_json_print(item.json, &text, &fuzz_err));
    MUST_OK(view_print(run, item.json, &view, &fuzz_err));
    MUST(imsg_utf8_valid(imsg_buf_view(&view)));
    for (size_t i = 0; i < view.len; i++)
        MUST(view.ptr[i] == '\n' || (view.ptr[i] >= ' ' && view.ptr[i] != 0x7f));
    imsg_buf_clear(&view);
    MUST_OK(view_hex_dump(item.bytes, &view, &fuzz_err));
    json_decref(item.json);
    imsg_buf_free(&view);
    imsg_buf_free(&text);
    return 0;
}
