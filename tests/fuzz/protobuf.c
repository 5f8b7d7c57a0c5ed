/* The reader of protobuf's wire format (lib/format/protobuf.c).
 * max_len 1024 */
#include "format/protobuf.h"
#include "fuzz.h"

/* Our writers' form of the field, which must read as the same. Fixed-size fields have no writer. */
static void writes_the_same(const struct imsg_pb_field *field)
{
    struct imsg_buf out = {0};
    struct imsg_pb_field again;
    bool more = false;
    if (field->wire == IMSG_PB_BYTES)
        MUST_OK(imsg_pb_put_bytes(&out, field->number, field->bytes, &fuzz_err));
    else if (field->wire == IMSG_PB_VARINT)
        MUST_OK(imsg_pb_put_varint(&out, field->number, field->varint, &fuzz_err));
    else
        return;
    struct imsg_pb_reader reader = {.bytes = imsg_buf_view(&out)};
    MUST_OK(imsg_pb_next(&reader, &again, &more, &fuzz_err));
    MUST(more && reader.at == out.len && again.number == field->number && again.wire == field->wire);
    if (field->wire == IMSG_PB_BYTES)
        MUST(imsg_view_equal(again.bytes, field->bytes));
    else
        MUST(again.varint == field->varint && again.at.len == imsg_pb_varint_len(field->varint));
    imsg_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imsg_layout layout = {0};
    struct imsg_pb_reader reader = {.bytes = imsg_view_of(data, size), .layout = &layout};
    struct imsg_pb_field field;
    struct imsg_error err = {0};
    bool more = true;
    for (;;) {
        size_t before = reader.at;
        enum imsg_status status = imsg_pb_next(&reader, &field, &more, &err);
        if (status != IMSG_OK) {
            fuzz_refused(status, &err, size);
            MUST(status == IMSG_MALFORMED && err.has_offset && err.offset >= before && reader.at == before);
            fuzz_covers(&layout, size);
            imsg_layout_free(&layout);
            return 0;
        }
        if (!more)
            break;
        MUST(field.tag == before && field.at.offset > before && reader.at == field.at.offset + field.at.len);
        MUST(reader.at <= size && field.bytes.ptr == data + field.at.offset && field.bytes.len == field.at.len);
        MUST(field.number > 0 && field.number < (1u << 29));
        MUST(field.wire != IMSG_PB_FIXED32 || field.at.len == 4);
        MUST(field.wire != IMSG_PB_FIXED64 || field.at.len == 8);
        MUST((imsg_pb_expect(&field, IMSG_PB_BYTES, NULL) == IMSG_OK) == (field.wire == IMSG_PB_BYTES));
        writes_the_same(&field);
    }
    MUST(reader.at == size);
    fuzz_covers(&layout, size);
    imsg_layout_free(&layout);
    return 0;
}
